/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of the AHCI controller: ahci.c (life), ahci_regs.c (what the guest's
 * driver writes), ahci_cmd.c (command lists, data, FISes), ata.c and
 * ata_ident.c (disks), atapi.c and atapi_data.c (CD-ROM drives).
 *
 * A register write takes the device's lock and at most schedules the I/O
 * thread, which alone fetches commands, runs them and calls storage; it holds
 * the lock only while it changes registers. A port's `busy` counts commands
 * in the I/O thread's hands. Stopping a port ends its epoch: what still runs
 * then changes nothing more when it ends, and the guest sees the port as
 * running (CR, HR, no signature) until the last is gone, so that nothing is
 * written to its memory after it was told so.
 */
#ifndef VM_DEV_AHCI_IMPL_H
#define VM_DEV_AHCI_IMPL_H

#include "vm/base/lock.h"

#include "storage/storage.h"

#include "vm/dev/ahci.h"
#include "vm/dev/msi.h"

#define AHCI_SLOTS   32
#define AHCI_IOV     258        /* pieces of one storage request */
#define AHCI_PRD_MAX (4u << 20) /* bytes of one PRD entry */
#define AHCI_CHUNK   (1u << 20) /* bytes of one storage request */
#define AHCI_BUF     4096       /* largest answer or parameter list */

#define CD_SECTOR 2048

#define ATA_BSY 0x80
#define ATA_RDY 0x50 /* ready, seek complete */
#define ATA_DRQ 0x08
#define ATA_ERR 0x01
/* error register */
#define ATA_UNC  0x40
#define ATA_IDNF 0x10
#define ATA_ABRT 0x04

/* PxIS */
#define PIS_DHR  0x00000001u
#define PIS_PS   0x00000002u
#define PIS_SDB  0x00000008u
#define PIS_DP   0x00000020u
#define PIS_PC   0x00000040u
#define PIS_OF   0x01000000u
#define PIS_IF   0x08000000u
#define PIS_HBD  0x10000000u
#define PIS_HBF  0x20000000u
#define PIS_TFE  0x40000000u
#define PIS_MASK 0x7d4000ffu

/* PxCMD */
#define PCMD_ST  0x00000001u
#define PCMD_SUD 0x00000002u
#define PCMD_POD 0x00000004u
#define PCMD_FRE 0x00000010u
#define PCMD_FR  0x00004000u
#define PCMD_CR  0x00008000u

#define GHC_HR 0x00000001u
#define GHC_IE 0x00000002u
#define GHC_AE 0x80000000u

#define SERR_X 0x04000000u /* device presence changed */

/* Shadow registers, as a command brings or a result sends them. */
struct ata_task {
	uint8_t command, device, status, error;
	uint16_t features, count;
	uint64_t lba;
};

struct ahci_port;
struct ahci_cmd;

/* Goes on with a command when its storage work is done. I/O thread. */
typedef void (*ahci_next_fn)(struct ahci_cmd *c, int err);

struct ahci_cmd {
	struct ahci_port *port;
	unsigned tag;
	uint32_t epoch;
	struct ata_task in, out;
	uint8_t cdb[16];
	bool ncq, pio_in;
	bool parked;  /* a transfer that goes on when the guest does */
	uint32_t pis; /* further PxIS bits for the result */
	/* data: place in the PRD table */
	gpa_t header, prdt;
	unsigned prds, prd; /* entries; the next one */
	uint32_t prd_off;   /* bytes of it that are used */
	uint32_t moved;     /* bytes moved */
	/* storage */
	struct blk_req req;
	ahci_next_fn next;
	uint64_t off, left;
	unsigned trims, trim; /* entries in buf; the next one */
	uint8_t *buf;         /* AHCI_BUF bytes while a trim runs */
	struct iovec iov[AHCI_IOV];
};

struct ata_sense {
	uint8_t key, asc, ascq;
};

/* A drive; touched by the I/O thread, or under the lock while not busy. */
struct ahci_drive {
	struct blk *blk; /* NULL = no medium */
	bool present, cdrom;
	char serial[21];
	uint32_t sector; /* bytes */
	uint64_t sectors;
	uint32_t phys_sector;
	bool readonly, can_discard;
	/* disk */
	uint8_t multi;
	bool cache_off, smart_off;
	struct { /* NCQ error log, page 0x10 */
		bool valid;
		unsigned tag;
		struct ata_task task;
	} ncq_error;
	/* CD-ROM */
	struct ata_sense sense;
	bool attention; /* unit attention waits: medium changed */
	bool locked;    /* guest prevents removal */
	bool tray_open;
	uint8_t event; /* media event for GET EVENT STATUS */
};

struct ahci_port {
	struct ahci *ahci;
	unsigned n;
	struct ahci_drive drive;
	struct ahci_cmd *cmd; /* AHCI_SLOTS; NULL = no drive */
	/* registers, guarded by the device's lock */
	uint64_t clb, fb;
	uint32_t is, ie, pcmd, tfd, sig, ssts, sctl, serr, sact, ci;
	/* likewise */
	uint32_t started; /* slots in the I/O thread's hands */
	unsigned busy;    /* how many */
	uint32_t epoch;
	unsigned last_slot;
	bool alone;     /* a command that runs alone runs */
	bool halted;    /* by an error, until ST is cleared */
	bool reset_due; /* COMRESET waits for busy to be 0 */
	bool fis_due;   /* signature FIS waits for FRE */
	bool srst;      /* software reset is asserted */
};

struct ahci {
	struct device dev;
	struct pci_dev pci;
	struct core *core;
	struct msi msi;
	struct loop_call kick;
	struct log_limit log_limit;
	struct lock lock; /* LOCK_DEVICE */
	struct ahci_port port[AHCI_PORTS];
	uint32_t ghc, is; /* guarded by lock */
	bool level;       /* likewise: what was told, for messages */
	bool intx;        /* likewise: the INTx line */
	/* I/O thread only */
	bool paused;  /* no command is begun */
	bool parking; /* nor a further part of a transfer */
};

/* ahci_regs.c */
extern const struct bus_ops ahci_bus_ops;
void ahci_irq_locked(struct ahci *a);
/* All of the controller, or a port, to power-on. No command runs. */
void ahci_reset_locked(struct ahci *a);
/* A command has left the I/O thread's hands: do what waited for that. */
void ahci_idle_locked(struct ahci_port *p);

/* ahci_cmd.c; I/O thread */
void ahci_port_run(struct ahci_port *p);
void ahci_kick(void *ahci);
/* Go on with parked transfers, or end them with err. */
void ahci_unpark(struct ahci_port *p, int err);
void ahci_done(struct ahci_cmd *c); /* c->out is the result */
void ahci_fail(struct ahci_cmd *c, uint8_t error);
/* Post a D2H register FIS, if the port receives FISes. */
void ahci_post_d2h_locked(struct ahci_port *p, const struct ata_task *t,
	bool irq);
/*
 * Copy between buf and the guest's data area, from where the last copy ended
 * on. Returns the bytes copied: less when the area ends or is no memory.
 */
uint32_t ahci_data_in(struct ahci_cmd *c, const void *buf, uint32_t len);
uint32_t ahci_data_out(struct ahci_cmd *c, void *buf, uint32_t len);
/*
 * Read or write len bytes of the medium at off, a multiple of sector bytes
 * at a time, then call next. -ENODATA: the data area is too short, -EFAULT:
 * it is no memory; else what storage says.
 */
void ahci_rw(struct ahci_cmd *c, enum blk_op op, uint64_t off, uint64_t len,
	unsigned flags, ahci_next_fn next);
/* Flush or discard. */
void ahci_storage(struct ahci_cmd *c, enum blk_op op, uint64_t off,
	uint64_t len, ahci_next_fn next);

/* ata.c */
void ata_command(struct ahci_cmd *c);
void ata_drive_reset(struct ahci_drive *d);
/* Registers that tell what kind of drive it is, as after a reset. */
void ata_signature(const struct ahci_drive *d, struct ata_task *t);
/* ata_ident.c; out has 512 bytes */
void ata_identify(const struct ahci_drive *d, uint8_t *out);
void ata_identify_packet(const struct ahci_drive *d, uint8_t *out);
void ata_smart_data(uint8_t *out);
void ata_smart_thresholds(uint8_t *out);
bool ata_log_page(const struct ahci_drive *d, unsigned log, uint8_t *out);

/* atapi.c */
void atapi_command(struct ahci_cmd *c);
/* atapi_data.c: answers; return their length, at most AHCI_BUF */
unsigned atapi_inquiry(uint8_t *out);
unsigned atapi_mode_sense(const struct ahci_drive *d, const uint8_t *cdb,
	uint8_t *out);
unsigned atapi_toc(const struct ahci_drive *d, const uint8_t *cdb,
	uint8_t *out);
unsigned atapi_configuration(const struct ahci_drive *d, const uint8_t *cdb,
	uint8_t *out);
unsigned atapi_disc_info(uint8_t *out);
unsigned atapi_track_info(const struct ahci_drive *d, uint8_t *out);
unsigned atapi_dvd_structure(const struct ahci_drive *d, const uint8_t *cdb,
	uint8_t *out);

#endif
