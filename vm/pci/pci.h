/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PCI Express as q35 has it: one root bus, 32 slots of 8 functions, config
 * space by 0xcf8/0xcfc and by ECAM, BARs, INTx through the ICH9's PIRQs,
 * MSI-X. PCI Local Bus 3.0 ch. 6, PCI Express Base 4.0 ch. 7.
 *
 * Locks: config accesses of a bus are serialised by the bus's own lock (rank
 * LOCK_PCI); cfg_written and bar_moved run under it, so they take only locks
 * of higher rank. INTx and MSI-X have locks of rank
 * LOCK_INTX.
 */
#ifndef VM_PCI_PCI_H
#define VM_PCI_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/core/device.h"

#define PCI_DEVFN(slot, fn) ((unsigned)((slot) << 3 | (fn)))
#define PCI_SLOT(devfn)     ((unsigned)(devfn) >> 3)
#define PCI_FUNC(devfn)     ((unsigned)(devfn)&7)
#define PCI_CFG_SIZE        4096
#define PCI_BARS            7 /* 6 BARs and the option ROM */
#define PCI_ROM_BAR         6

struct pci_bus;
struct pci_dev;

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

struct pci_ids {
	uint16_t vendor, device, subvendor, subdevice;
	uint32_t class_rev; /* class << 8 | revision: 0x03000002 = VGA rev 2 */
};

struct pci_dev {
	const char *name;
	struct pci_bus *bus;
	unsigned devfn;
	uint8_t cfg[PCI_CFG_SIZE];   /* what a read returns */
	uint8_t wmask[PCI_CFG_SIZE]; /* bits that a write may change */
	uint8_t w1c[PCI_CFG_SIZE];   /* bits that a written 1 clears */
	/*
	 * Called after a config write to cfg[off, off+len), whether or not
	 * bits changed; before BARs are remapped. May be NULL. Under the
	 * bus's lock.
	 */
	void (*cfg_written)(struct pci_dev *d, unsigned off, unsigned len);
	/*
	 * Called before cfg[off, off+len) is read, to bring bytes up to date
	 * that change by themselves. May be NULL. Under the bus's lock.
	 */
	void (*cfg_reading)(struct pci_dev *d, unsigned off, unsigned len);
	/*
	 * A BAR was mapped at addr, or unmapped (addr = GPA_NONE). May be
	 * NULL. Under the bus's lock. For ioeventfds that follow a BAR.
	 */
	void (*bar_moved)(struct pci_dev *d, unsigned bar, uint64_t addr);
	struct pci_bar {
		enum pci_bar_kind kind;
		uint64_t size;
		struct bus_region region; /* trapped BARs */
		struct gmem_view *view;   /* memory-backed BARs and ROM */
		uint64_t addr;            /* GPA_NONE = not mapped */
	} bar[PCI_BARS];
	struct pci_msix *msix; /* NULL = none */
	bool intx_level;
	/* private to vm/pci */
	bool intx_driven;            /* what the wire sees, guarded by intx */
	bool frozen;                 /* init holds the power-on values */
	unsigned cap_last, cap_next; /* end of the list; free offset */
	uint8_t init[PCI_CFG_SIZE];
};

/*
 * The bus with host bridge (00:00.0, 8086:29c0, PCIEXBAR, PAM) and nothing
 * else; maps 0xcf8-0xcff and, when PCIEXBAR enables it, ECAM. route(arg, pin
 * 0..7 for PIRQ A..H, level) is the ICH9 LPC's. ecam = map ECAM from the
 * start (direct boot, where no firmware does it).
 */
int pci_bus_new(struct core *core, bool ecam, struct pci_bus **out,
	struct err *e);
void pci_bus_free(struct pci_bus *b);
void pci_bus_set_router(struct pci_bus *b,
	void (*route)(void *arg, unsigned pirq, bool level), void *arg);
/*
 * Call route() once for each PIRQ with its level as it is now: for a router
 * whose routes changed. route() always runs under the bus's INTx lock (rank
 * LOCK_INTX), so the router's state needs no lock of its own when it is only
 * used there. Thread: any.
 */
void pci_bus_reroute(struct pci_bus *b);
/* PIRQ (0..7 = A..H) that pin 1..4 of a slot is wired to (MACHINE.md 1). */
unsigned pci_pirq(unsigned slot, unsigned pin);
/*
 * 0xcf9, the reset control register, lies inside 0xcf8, which only a 4-byte
 * access reaches; a region of one's own there would never be called, or cut
 * the address register into bytes. So its owner (the LPC bridge) gives its
 * ops here: called with off 0 and size 1 for a 1-byte access to 0xcf9. NULL
 * takes it away. No vCPU runs. Thread: ops run on vCPUs, without locks.
 */
void pci_bus_set_cf9(struct pci_bus *b, const struct bus_ops *ops,
	void *opaque);
/*
 * All config spaces, BARs, INTx lines and MSI-X state back to power-on.
 * Called before the devices' own resets.
 */
void pci_bus_reset(struct pci_bus *b);
/*
 * Direct boot: give every BAR an address as firmware would (32-bit window up
 * from GMEM_PCI32_BASE, I/O from 0xC000; 64-bit BARs that do not fit there
 * above RAM), set interrupt lines, enable nothing but decoding. Once after
 * each pci_bus_reset().
 */
void pci_bus_assign(struct pci_bus *b);

/*
 * Put d on bus b at devfn with these ids and header type 0. d is embedded in
 * the device and outlives the bus's use. -EEXIST when the place is taken.
 * pci_dev_del before the device's memory goes.
 */
int pci_dev_add(struct pci_bus *b, struct pci_dev *d, const char *name,
	unsigned devfn, const struct pci_ids *ids, struct err *e);
void pci_dev_del(struct pci_dev *d);

/* Trapped BAR: size a power of two >= 16 (mem) or >= 4 (I/O). */
void pci_bar_trap(struct pci_dev *d, unsigned bar, enum pci_bar_kind kind,
	uint64_t size, const struct bus_ops *ops, void *opaque);
/* Memory BAR shown straight from a view (prefetchable). */
void pci_bar_view(struct pci_dev *d, unsigned bar, enum pci_bar_kind kind,
	uint64_t size, struct gmem_view *view);
/* Option ROM from a file's bytes (copied). */
int pci_rom_add(struct pci_dev *d, const void *image, uint64_t len,
	struct err *e);

/*
 * Add a capability of len bytes (id and next are filled in) to the list;
 * returns its offset in cfg, 0 when config space is full.
 */
unsigned pci_cap_add(struct pci_dev *d, uint8_t id, unsigned len);
/*
 * PCI Express capability of a root complex integrated endpoint: tells guests
 * that the function's config space is 4 KiB.
 */
void pci_express_add(struct pci_dev *d);

/* Interrupt pin A..D (1..4; 0 = none) in config space. */
void pci_intx_pin(struct pci_dev *d, unsigned pin);
/* Drive INTx; respects the command register's disable bit. Thread: any. */
void pci_intx_set(struct pci_dev *d, bool level);

/*
 * MSI-X: n vectors (1..2048); table and PBA in trapped BAR `bar`, which this
 * makes (4 KiB, or what n needs). Fire is safe from any thread, honours
 * masks (a masked vector becomes pending). enabled: does the guest use it?
 */
int pci_msix_add(struct pci_dev *d, unsigned n, unsigned bar, struct err *e);
bool pci_msix_enabled(struct pci_dev *d);
void pci_msix_fire(struct pci_dev *d, unsigned vector);

/* Is bus mastering on? A device that is not master touches no memory. */
bool pci_is_master(const struct pci_dev *d);

#endif
