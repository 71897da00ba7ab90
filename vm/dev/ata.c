// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * ATA commands of a SATA disk, and the few of a CD-ROM drive that are not
 * packets (ATA8-ACS, chapter 7). Thread: the I/O thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/dev/ahci_impl.h"

enum {
	C_DSM = 0x06,
	C_DEVICE_RESET = 0x08,
	C_RECALIBRATE = 0x10,
	C_READ = 0x20,
	C_READ_NORETRY = 0x21,
	C_READ_EXT = 0x24,
	C_READ_DMA_EXT = 0x25,
	C_READ_MAX_EXT = 0x27,
	C_READ_MULTI_EXT = 0x29,
	C_READ_LOG_EXT = 0x2f,
	C_WRITE = 0x30,
	C_WRITE_NORETRY = 0x31,
	C_WRITE_EXT = 0x34,
	C_WRITE_DMA_EXT = 0x35,
	C_WRITE_MULTI_EXT = 0x39,
	C_WRITE_DMA_FUA_EXT = 0x3d,
	C_VERIFY = 0x40,
	C_VERIFY_NORETRY = 0x41,
	C_VERIFY_EXT = 0x42,
	C_READ_FPDMA = 0x60,
	C_WRITE_FPDMA = 0x61,
	C_SEEK = 0x70,
	C_DIAGNOSTIC = 0x90,
	C_INIT_PARAMS = 0x91,
	C_POWER_OLD = 0x94, /* ..0x99, the old codes of 0xe0.. */
	C_CHECK_POWER_OLD = 0x98,
	C_SLEEP_OLD = 0x99,
	C_IDENTIFY_PACKET = 0xa1,
	C_SMART = 0xb0,
	C_READ_MULTI = 0xc4,
	C_WRITE_MULTI = 0xc5,
	C_SET_MULTI = 0xc6,
	C_READ_DMA = 0xc8,
	C_READ_DMA_NORETRY = 0xc9,
	C_WRITE_DMA = 0xca,
	C_WRITE_DMA_NORETRY = 0xcb,
	C_WRITE_MULTI_FUA_EXT = 0xce,
	C_STANDBY_NOW = 0xe0,
	C_CHECK_POWER = 0xe5,
	C_SLEEP = 0xe6,
	C_FLUSH = 0xe7,
	C_FLUSH_EXT = 0xea,
	C_IDENTIFY = 0xec,
	C_SET_FEATURES = 0xef,
	C_READ_MAX = 0xf8,
};

#define DEV_LBA    0x40
#define DEV_FUA    0x80 /* in FPDMA commands */
#define LBA48_MASK UINT64_C(0xffffffffffff)
#define DSM_TRIM   0x01
#define DSM_BLOCKS 8
#define SMART_KEY  0xc24f00u
#define SMART_MASK 0xffff00u

enum { RW_EXT = 1, RW_FUA = 2, RW_PIO = 4, RW_WRITE = 8, RW_NODATA = 16 };

void ata_drive_reset(struct ahci_drive *d)
{
	d->multi = 0;
	d->cache_off = d->smart_off = false;
	d->ncq_error.valid = false;
	d->locked = false;
	d->attention = false;
	d->event = 0;
	d->sense = (struct ata_sense){ 0 };
}

void ata_signature(const struct ahci_drive *d, struct ata_task *t)
{
	t->status = d->cdrom ? 0x10 : ATA_RDY;
	t->error = 1; /* diagnostics passed */
	t->lba = d->cdrom ? 0xeb1401 : 0x000001;
	t->count = 1;
	t->device = 0;
}

/* ---- reading and writing ---- */

/* RW_* of a command that moves sectors, -1 if it is none. */
static int rw_kind(uint8_t command)
{
	switch (command) {
	case C_READ:
	case C_READ_NORETRY:
	case C_READ_MULTI:
		return RW_PIO;
	case C_READ_EXT:
	case C_READ_MULTI_EXT:
		return RW_PIO | RW_EXT;
	case C_READ_DMA:
	case C_READ_DMA_NORETRY:
		return 0;
	case C_READ_DMA_EXT:
		return RW_EXT;
	case C_WRITE:
	case C_WRITE_NORETRY:
	case C_WRITE_MULTI:
	case C_WRITE_DMA:
	case C_WRITE_DMA_NORETRY:
		return RW_WRITE;
	case C_WRITE_EXT:
	case C_WRITE_MULTI_EXT:
	case C_WRITE_DMA_EXT:
		return RW_WRITE | RW_EXT;
	case C_WRITE_DMA_FUA_EXT:
	case C_WRITE_MULTI_FUA_EXT:
		return RW_WRITE | RW_EXT | RW_FUA;
	case C_VERIFY:
	case C_VERIFY_NORETRY:
		return RW_NODATA;
	case C_VERIFY_EXT:
		return RW_NODATA | RW_EXT;
	default:
		return -1;
	}
}

/* Sector address of a 28-bit command, by LBA or by cylinder-head-sector. */
static uint64_t lba28(const struct ata_task *t)
{
	uint64_t low = t->lba & 0xffffff, head = t->device & 0x0f;

	if (t->device & DEV_LBA)
		return low | head << 24;
	if (!(low & 0xff)) /* sectors count from 1 */
		return UINT64_MAX;
	return ((low >> 8) * 16 + head) * 63 + (low & 0xff) - 1;
}

static void rw_next(struct ahci_cmd *c, int err)
{
	bool write = c->req.op == BLK_WRITE;

	if (!err)
		ahci_done(c);
	else if (err == -EFAULT || err == -ENODATA || write)
		ahci_fail(c, ATA_ABRT);
	else
		ahci_fail(c, ATA_UNC);
}

static void rw(struct ahci_cmd *c, uint64_t lba, uint32_t n, int kind)
{
	const struct ahci_drive *d = &c->port->drive;
	bool fua = kind & RW_FUA || d->cache_off;

	if (!size_in(lba, n, d->sectors)) {
		ahci_fail(c, ATA_IDNF);
		return;
	}
	if (kind & RW_WRITE && d->readonly) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	c->out.count = 0;
	if (kind & RW_NODATA) {
		ahci_done(c);
		return;
	}
	c->pio_in = kind & RW_PIO;
	ahci_rw(c, kind & RW_WRITE ? BLK_WRITE : BLK_READ, lba * d->sector,
		(uint64_t)n * d->sector, kind & RW_WRITE && fua ? BLK_FUA : 0,
		rw_next);
}

static void rw_command(struct ahci_cmd *c, int kind)
{
	uint32_t n;

	if (kind & RW_EXT) {
		n = c->in.count ? c->in.count : 65536;
		rw(c, c->in.lba, n, kind);
	} else {
		n = c->in.count & 0xff ? c->in.count & 0xff : 256;
		rw(c, lba28(&c->in), n, kind);
	}
}

static void fpdma(struct ahci_cmd *c, int kind)
{
	uint32_t n = c->in.features ? c->in.features : 65536;

	if (c->in.count >> 3 != c->tag) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	if (c->in.device & DEV_FUA)
		kind |= RW_FUA;
	rw(c, c->in.lba, n, kind);
}

/* ---- commands with small data ---- */

static void send_pio(struct ahci_cmd *c, const uint8_t *data, uint32_t len)
{
	if (ahci_data_in(c, data, len) < len) {
		c->pis |= PIS_OF;
		ahci_fail(c, ATA_ABRT);
		return;
	}
	c->pio_in = true;
	ahci_done(c);
}

static void identify(struct ahci_cmd *c, bool packet)
{
	const struct ahci_drive *d = &c->port->drive;
	uint8_t id[512] = { 0 };

	if (packet != d->cdrom) {
		/* A packet device says by its signature what it is. */
		if (d->cdrom)
			ata_signature(d, &c->out);
		ahci_fail(c, ATA_ABRT);
		return;
	}
	if (packet)
		ata_identify_packet(d, id);
	else
		ata_identify(d, id);
	send_pio(c, id, sizeof(id));
}

static void read_log(struct ahci_cmd *c)
{
	struct ahci_drive *d = &c->port->drive;
	uint8_t page[512] = { 0 };
	unsigned log = c->in.lba & 0xff;

	if (c->in.count != 1 || !ata_log_page(d, log, page)) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	if (log == 0x10)
		d->ncq_error.valid = false;
	send_pio(c, page, sizeof(page));
}

static void smart(struct ahci_cmd *c)
{
	struct ahci_drive *d = &c->port->drive;
	uint8_t page[512] = { 0 }, sub = c->in.features & 0xff;

	if ((c->in.lba & SMART_MASK) != SMART_KEY ||
		(d->smart_off && sub != 0xd8)) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	switch (sub) {
	case 0xd0: /* read data */
		ata_smart_data(page);
		send_pio(c, page, sizeof(page));
		break;
	case 0xd1: /* read thresholds */
		ata_smart_thresholds(page);
		send_pio(c, page, sizeof(page));
		break;
	case 0xd8: /* enable, disable */
	case 0xd9:
		d->smart_off = sub == 0xd9;
		ahci_done(c);
		break;
	case 0xd2: /* autosave: nothing to save */
	case 0xda: /* status: the key unchanged says "healthy" */
		ahci_done(c);
		break;
	default:
		ahci_fail(c, ATA_ABRT);
	}
}

/* ---- trim ---- */

static void trim_end(struct ahci_cmd *c)
{
	free(c->buf);
	c->buf = NULL;
}

static void trim_next(struct ahci_cmd *c, int err)
{
	const struct ahci_drive *d = &c->port->drive;

	while (!err && c->trim < c->trims) {
		uint64_t range = get_le64(&c->buf[c->trim++ * 8]);
		uint64_t lba = range & LBA48_MASK, n = range >> 48;

		if (!n)
			continue;
		ahci_storage(c, BLK_DISCARD, lba * d->sector, n * d->sector,
			trim_next);
		return;
	}
	trim_end(c);
	if (err)
		ahci_fail(c, ATA_ABRT);
	else
		ahci_done(c);
}

static bool trim_in_range(const struct ahci_cmd *c)
{
	for (unsigned i = 0; i < c->trims; i++) {
		uint64_t range = get_le64(&c->buf[i * 8]);

		if (!size_in(range & LBA48_MASK, range >> 48,
			    c->port->drive.sectors))
			return false;
	}
	return true;
}

static void dsm(struct ahci_cmd *c)
{
	const struct ahci_drive *d = &c->port->drive;
	uint32_t len = c->in.count * 512u;

	if (c->in.features != DSM_TRIM || !d->can_discard || d->readonly ||
		!c->in.count || c->in.count > DSM_BLOCKS) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	c->buf = malloc(AHCI_BUF);
	c->trim = 0;
	c->trims = len / 8;
	if (!c->buf || ahci_data_out(c, c->buf, len) < len ||
		!trim_in_range(c)) {
		trim_end(c);
		ahci_fail(c, ATA_ABRT);
		return;
	}
	trim_next(c, 0);
}

/* ---- commands without data ---- */

static void flush_next(struct ahci_cmd *c, int err)
{
	if (err)
		ahci_fail(c, ATA_ABRT);
	else
		ahci_done(c);
}

static void set_features(struct ahci_cmd *c)
{
	struct ahci_drive *d = &c->port->drive;

	switch (c->in.features & 0xff) {
	case 0x02:
		d->cache_off = false;
		break;
	case 0x82: /* what was cached must be on disk now */
		d->cache_off = true;
		if (d->blk && !d->cdrom) {
			ahci_storage(c, BLK_FLUSH, 0, 0, flush_next);
			return;
		}
		break;
	case 0x03: /* transfer mode: SATA has none */
	case 0x10: /* SATA features on, off: none is kept */
	case 0x90:
	case 0x55: /* read look-ahead */
	case 0xaa:
	case 0x66: /* power-on defaults after software reset */
	case 0xcc:
		break;
	default:
		ahci_fail(c, ATA_ABRT);
		return;
	}
	ahci_done(c);
}

static void read_max(struct ahci_cmd *c, bool ext)
{
	uint64_t last = c->port->drive.sectors - 1;

	if (!ext && last > 0x0fffffff)
		last = 0x0fffffff;
	c->out.lba = ext ? last : last & 0xffffff;
	c->out.device = DEV_LBA | (ext ? 0 : (uint8_t)(last >> 24));
	ahci_done(c);
}

static void set_multi(struct ahci_cmd *c)
{
	unsigned n = c->in.count & 0xff;

	if (n > 16 || (n && !size_is_pow2(n))) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	c->port->drive.multi = (uint8_t)n;
	ahci_done(c);
}

static void reset_drive(struct ahci_cmd *c)
{
	ata_drive_reset(&c->port->drive);
	ata_signature(&c->port->drive, &c->out);
	ahci_done(c);
}

/* What disks and CD-ROM drives share; false when it is none of that. */
static bool common_command(struct ahci_cmd *c)
{
	switch (c->in.command) {
	case C_IDENTIFY:
	case C_IDENTIFY_PACKET:
		identify(c, c->in.command == C_IDENTIFY_PACKET);
		break;
	case C_DIAGNOSTIC:
		reset_drive(c);
		break;
	case C_SET_FEATURES:
		set_features(c);
		break;
	case C_CHECK_POWER:
	case C_CHECK_POWER_OLD:
		c->out.count = 0xff; /* always spinning */
		ahci_done(c);
		break;
	case C_STANDBY_NOW ... C_STANDBY_NOW + 3:
	case C_SLEEP:
	case C_POWER_OLD ... C_POWER_OLD + 3:
	case C_SLEEP_OLD:
		ahci_done(c);
		break;
	default:
		return false;
	}
	return true;
}

static void disk_command(struct ahci_cmd *c)
{
	switch (c->in.command) {
	case C_READ_FPDMA:
		fpdma(c, RW_EXT);
		break;
	case C_WRITE_FPDMA:
		fpdma(c, RW_EXT | RW_WRITE);
		break;
	case C_FLUSH:
	case C_FLUSH_EXT:
		ahci_storage(c, BLK_FLUSH, 0, 0, flush_next);
		break;
	case C_DSM:
		dsm(c);
		break;
	case C_READ_LOG_EXT:
		read_log(c);
		break;
	case C_SMART:
		smart(c);
		break;
	case C_SET_MULTI:
		set_multi(c);
		break;
	case C_READ_MAX:
	case C_READ_MAX_EXT:
		read_max(c, c->in.command == C_READ_MAX_EXT);
		break;
	case C_RECALIBRATE ... C_RECALIBRATE + 15:
	case C_SEEK:
	case C_INIT_PARAMS:
		ahci_done(c);
		break;
	default: /* NOP too: it always aborts */
		ahci_fail(c, ATA_ABRT);
	}
}

void ata_command(struct ahci_cmd *c)
{
	int kind = c->port->drive.cdrom ? -1 : rw_kind(c->in.command);

	if (kind >= 0)
		rw_command(c, kind);
	else if (common_command(c))
		return;
	else if (!c->port->drive.cdrom)
		disk_command(c);
	else if (c->in.command == C_DEVICE_RESET)
		reset_drive(c);
	else
		ahci_fail(c, ATA_ABRT);
}
