// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Packet commands of a CD/DVD-ROM drive (MMC-5, SPC-3, ATA8-ACS 7.18). The
 * medium is an image of 2048-byte sectors. Whether data comes by DMA or PIO
 * makes no difference to an AHCI driver's PRD table. Thread: the I/O thread.
 */
#include <errno.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/dev/ahci_impl.h"

enum {
	P_TEST_UNIT_READY = 0x00,
	P_REQUEST_SENSE = 0x03,
	P_INQUIRY = 0x12,
	P_MODE_SENSE_6 = 0x1a,
	P_START_STOP = 0x1b,
	P_PREVENT_ALLOW = 0x1e,
	P_READ_FORMAT_CAP = 0x23,
	P_READ_CAPACITY = 0x25,
	P_READ_10 = 0x28,
	P_SEEK_10 = 0x2b,
	P_VERIFY_10 = 0x2f,
	P_SYNC_CACHE = 0x35,
	P_READ_TOC = 0x43,
	P_GET_CONFIG = 0x46,
	P_GET_EVENT = 0x4a,
	P_READ_DISC_INFO = 0x51,
	P_READ_TRACK_INFO = 0x52,
	P_MODE_SENSE_10 = 0x5a,
	P_READ_12 = 0xa8,
	P_READ_DVD = 0xad,
	P_SET_SPEED = 0xbb,
	P_MECH_STATUS = 0xbd,
	P_READ_CD = 0xbe,
};

enum {
	KEY_NONE = 0x0,
	KEY_NOT_READY = 0x2,
	KEY_MEDIUM = 0x3,
	KEY_ILLEGAL = 0x5,
	KEY_ATTENTION = 0x6,
};

#define ASC_UNREADABLE   0x11
#define ASC_BAD_COMMAND  0x20
#define ASC_OUT_OF_RANGE 0x21
#define ASC_BAD_FIELD    0x24
#define ASC_CHANGED      0x28
#define ASC_NO_MEDIUM    0x3a
#define ASC_LOCKED       0x53

#define EVENT_NEW     2
#define EVENT_REMOVED 3

#define REASON_DONE 3 /* count register at the end: status, to the host */

static void good(struct ahci_cmd *c)
{
	c->out.count = REASON_DONE;
	ahci_done(c);
}

static void check(struct ahci_cmd *c, uint8_t key, uint8_t asc, uint8_t ascq)
{
	c->port->drive.sense = (struct ata_sense){ key, asc, ascq };
	c->out.count = REASON_DONE;
	ahci_fail(c, (uint8_t)(key << 4 | (key == KEY_ILLEGAL ? ATA_ABRT : 0)));
}

static void bad_field(struct ahci_cmd *c)
{
	check(c, KEY_ILLEGAL, ASC_BAD_FIELD, 0);
}

/* Send an answer, cut to the allocation length of the command. */
static void answer(struct ahci_cmd *c, const uint8_t *buf, uint32_t len,
	uint32_t alloc)
{
	ahci_data_in(c, buf, len < alloc ? len : alloc);
	good(c);
}

/* ---- media ---- */

static uint32_t capacity(const struct ahci_drive *d)
{
	return d->sectors > UINT32_MAX ? UINT32_MAX : (uint32_t)d->sectors;
}

static void read_next(struct ahci_cmd *c, int err)
{
	if (!err)
		good(c);
	else if (err == -EFAULT || err == -ENODATA)
		bad_field(c);
	else
		check(c, KEY_MEDIUM, ASC_UNREADABLE, 0);
}

static void read_sectors(struct ahci_cmd *c, uint32_t lba, uint32_t n)
{
	const struct ahci_drive *d = &c->port->drive;

	if (!size_in(lba, n, d->sectors)) {
		check(c, KEY_ILLEGAL, ASC_OUT_OF_RANGE, 0);
		return;
	}
	ahci_rw(c, BLK_READ, (uint64_t)lba * CD_SECTOR, (uint64_t)n * CD_SECTOR,
		0, read_next);
}

/* READ CD: only user data of mode 1 sectors is there to be read. */
static void read_cd(struct ahci_cmd *c)
{
	uint32_t n = get_be32(&c->cdb[5]) & 0xffffff;
	uint8_t parts = c->cdb[9] & 0xf8;

	if (n && parts && parts != 0x10) {
		bad_field(c);
		return;
	}
	read_sectors(c, get_be32(&c->cdb[2]), parts ? n : 0);
}

static void read_capacity(struct ahci_cmd *c)
{
	uint8_t buf[8];

	put_be32(buf, capacity(&c->port->drive) - 1);
	put_be32(&buf[4], CD_SECTOR);
	answer(c, buf, sizeof(buf), sizeof(buf));
}

static void read_format_capacities(struct ahci_cmd *c)
{
	uint8_t buf[12] = { 0, 0, 0, 8 };

	put_be32(&buf[4], capacity(&c->port->drive));
	put_be32(&buf[8], CD_SECTOR);
	buf[8] = 2; /* formatted media */
	answer(c, buf, sizeof(buf), get_be16(&c->cdb[7]));
}

/* ---- drive ---- */

static void request_sense(struct ahci_cmd *c)
{
	struct ahci_drive *d = &c->port->drive;
	uint8_t buf[18] = { 0x70 };

	if (d->attention) {
		d->attention = false;
		d->sense = (struct ata_sense){ KEY_ATTENTION, ASC_CHANGED, 0 };
	}
	buf[2] = d->sense.key;
	buf[7] = sizeof(buf) - 8;
	buf[12] = d->sense.asc;
	buf[13] = d->sense.ascq;
	d->sense = (struct ata_sense){ 0 };
	answer(c, buf, sizeof(buf), c->cdb[4]);
}

static void start_stop(struct ahci_cmd *c)
{
	struct ahci_drive *d = &c->port->drive;
	bool load_eject = c->cdb[4] & 2, start = c->cdb[4] & 1;

	if (load_eject && !start && d->locked) {
		check(c, d->blk ? KEY_ILLEGAL : KEY_NOT_READY, ASC_LOCKED, 2);
		return;
	}
	if (load_eject && d->tray_open == start) {
		d->tray_open = !start;
		if (d->blk)
			d->event = start ? EVENT_NEW : EVENT_REMOVED;
	}
	good(c);
}

static void get_event(struct ahci_cmd *c)
{
	struct ahci_drive *d = &c->port->drive;
	uint8_t buf[8] = { 0, 0, 0x80, 0x10 }; /* none; media is supported */
	unsigned len = 4;

	if (!(c->cdb[1] & 1)) { /* asynchronous delivery is not */
		bad_field(c);
		return;
	}
	if (c->cdb[4] & 0x10) {
		buf[1] = 6;
		buf[2] = 4; /* media class */
		buf[4] = d->event;
		buf[5] = (d->tray_open ? 1 : 0) |
			 (d->blk && !d->tray_open ? 2 : 0);
		d->event = 0;
		len = 8;
	} else {
		buf[1] = 2;
	}
	answer(c, buf, len, get_be16(&c->cdb[7]));
}

static void mechanism_status(struct ahci_cmd *c)
{
	uint8_t buf[8] = { 0 };

	buf[1] = c->port->drive.tray_open ? 0x10 : 0;
	answer(c, buf, sizeof(buf), get_be16(&c->cdb[8]));
}

/* An answer of len 0 means that the command asked for what there is not. */
static void answer_or_bad(struct ahci_cmd *c, const uint8_t *buf, unsigned len,
	uint32_t alloc)
{
	if (len)
		answer(c, buf, len, alloc);
	else
		bad_field(c);
}

/* Commands that need no medium. */
static bool drive_command(struct ahci_cmd *c)
{
	struct ahci_drive *d = &c->port->drive;
	uint8_t buf[AHCI_BUF] = { 0 };
	unsigned len;

	switch (c->cdb[0]) {
	case P_INQUIRY:
		len = c->cdb[1] & 1 ? 0 : atapi_inquiry(buf);
		answer_or_bad(c, buf, len, get_be16(&c->cdb[3]));
		break;
	case P_REQUEST_SENSE:
		request_sense(c);
		break;
	case P_MODE_SENSE_6:
		len = atapi_mode_sense(d, c->cdb, buf);
		answer_or_bad(c, buf, len, c->cdb[4]);
		break;
	case P_MODE_SENSE_10:
		len = atapi_mode_sense(d, c->cdb, buf);
		answer_or_bad(c, buf, len, get_be16(&c->cdb[7]));
		break;
	case P_GET_CONFIG:
		len = atapi_configuration(d, c->cdb, buf);
		answer_or_bad(c, buf, len, get_be16(&c->cdb[7]));
		break;
	case P_GET_EVENT:
		get_event(c);
		break;
	case P_MECH_STATUS:
		mechanism_status(c);
		break;
	case P_START_STOP:
		start_stop(c);
		break;
	case P_PREVENT_ALLOW:
		d->locked = c->cdb[4] & 1;
		good(c);
		break;
	case P_SET_SPEED:
		good(c);
		break;
	default:
		return false;
	}
	return true;
}

static void media_command(struct ahci_cmd *c)
{
	struct ahci_drive *d = &c->port->drive;
	uint8_t buf[AHCI_BUF] = { 0 };

	switch (c->cdb[0]) {
	case P_TEST_UNIT_READY:
	case P_SEEK_10:
	case P_VERIFY_10:
	case P_SYNC_CACHE:
		good(c);
		break;
	case P_READ_10:
		read_sectors(c, get_be32(&c->cdb[2]), get_be16(&c->cdb[7]));
		break;
	case P_READ_12:
		read_sectors(c, get_be32(&c->cdb[2]), get_be32(&c->cdb[6]));
		break;
	case P_READ_CD:
		read_cd(c);
		break;
	case P_READ_CAPACITY:
		read_capacity(c);
		break;
	case P_READ_FORMAT_CAP:
		read_format_capacities(c);
		break;
	case P_READ_TOC:
		answer_or_bad(c, buf, atapi_toc(d, c->cdb, buf),
			get_be16(&c->cdb[7]));
		break;
	case P_READ_DISC_INFO:
		answer(c, buf, atapi_disc_info(buf), get_be16(&c->cdb[7]));
		break;
	case P_READ_TRACK_INFO:
		answer(c, buf, atapi_track_info(d, buf), get_be16(&c->cdb[7]));
		break;
	case P_READ_DVD:
		answer_or_bad(c, buf, atapi_dvd_structure(d, c->cdb, buf),
			get_be16(&c->cdb[8]));
		break;
	default:
		check(c, KEY_ILLEGAL, ASC_BAD_COMMAND, 0);
	}
}

/* Commands that are carried out although a unit attention waits. */
static bool ignores_attention(uint8_t op)
{
	return op == P_INQUIRY || op == P_REQUEST_SENSE || op == P_GET_CONFIG ||
	       op == P_GET_EVENT;
}

void atapi_command(struct ahci_cmd *c)
{
	struct ahci_drive *d = &c->port->drive;

	if (d->attention && !ignores_attention(c->cdb[0])) {
		d->attention = false;
		check(c, KEY_ATTENTION, ASC_CHANGED, 0);
		return;
	}
	if (c->cdb[0] != P_REQUEST_SENSE)
		d->sense = (struct ata_sense){ 0 };
	if (drive_command(c))
		return;
	if (!d->blk || d->tray_open)
		check(c, KEY_NOT_READY, ASC_NO_MEDIUM, d->tray_open ? 2 : 1);
	else
		media_command(c);
}
