// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What drives tell of themselves: IDENTIFY (PACKET) DEVICE (ATA8-ACS 7.16,
 * 7.17), log pages (annex A), SMART data. Pure; out is zeroed by the caller.
 */
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/dev/ahci_impl.h"

#define MODEL_DISK "GUESTDECK HARDDISK"
#define MODEL_CD   "GUESTDECK DVD-ROM"
#define FIRMWARE   "1.0"

static void word(uint8_t *out, unsigned n, unsigned val)
{
	put_le16(&out[2 * n], (uint16_t)val);
}

/* ATA strings: padded with blanks, bytes of each word swapped. */
static void text(uint8_t *out, unsigned first, unsigned words, const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < 2u * words; i++)
		out[2 * first + (i ^ 1)] = (uint8_t)(i < len ? s[i] : ' ');
}

static void sum(uint8_t *out)
{
	uint8_t all = 0;

	for (unsigned i = 0; i < 511; i++)
		all = (uint8_t)(all + out[i]);
	out[511] = (uint8_t)-all;
}

/* A stable world-wide name from the serial number (FNV-1a), NAA 5. */
static uint64_t wwn(const char *serial)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *serial; serial++)
		h = (h ^ (uint8_t)*serial) * UINT64_C(0x100000001b3);
	return UINT64_C(5) << 60 | (h & (UINT64_MAX >> 4));
}

static void names(const struct ahci_drive *d, uint8_t *out)
{
	text(out, 10, 10, d->serial);
	text(out, 23, 4, FIRMWARE);
	text(out, 27, 20, d->cdrom ? MODEL_CD : MODEL_DISK);
}

/* Words that disks and CD-ROM drives share. */
static void common(uint8_t *out)
{
	word(out, 49, 0x0f00); /* DMA, LBA, IORDY */
	word(out, 53, 0x0006); /* words 64-70 and 88 hold */
	word(out, 63, 0x0007); /* multiword DMA 0-2 */
	word(out, 64, 0x0003); /* PIO 3, 4 */
	for (unsigned i = 65; i <= 68; i++)
		word(out, i, 120); /* ns a cycle */
	word(out, 80, 0x01f0);     /* ATA-4 to ATA8 */
	word(out, 88, 0x203f);     /* Ultra DMA 0-5, 5 is on */
	word(out, 222, 0x1020);    /* Serial, SATA 2.6 */
}

static void geometry(const struct ahci_drive *d, uint8_t *out)
{
	uint64_t cyls = d->sectors / (16 * 63);
	uint32_t chs, lba28;

	cyls = cyls > 16383 ? 16383 : cyls;
	chs = (uint32_t)cyls * 16 * 63;
	lba28 = d->sectors > 0x0fffffff ? 0x0fffffff : (uint32_t)d->sectors;
	word(out, 1, (unsigned)cyls);
	word(out, 3, 16);
	word(out, 6, 63);
	word(out, 54, (unsigned)cyls);
	word(out, 55, 16);
	word(out, 56, 63);
	put_le32(&out[2 * 57], chs);
	put_le32(&out[2 * 60], lba28);
	put_le64(&out[2 * 100], d->sectors);
}

static void sector_size(const struct ahci_drive *d, uint8_t *out)
{
	unsigned w = 0x4000, shift = 0;

	while (d->sector << shift < d->phys_sector && shift < 15)
		shift++;
	if (shift)
		w |= 0x2000 | shift;
	if (d->sector > 512) {
		w |= 0x1000;
		put_le32(&out[2 * 117], d->sector / 2);
	}
	word(out, 106, w);
}

void ata_identify(const struct ahci_drive *d, uint8_t *out)
{
	uint64_t name = wwn(d->serial);

	word(out, 0, 0x0040); /* fixed disk */
	names(d, out);
	common(out);
	geometry(d, out);
	sector_size(d, out);
	word(out, 47, 0x8010); /* 16 sectors in READ MULTIPLE */
	word(out, 48, 0x4000);
	word(out, 50, 0x4000);
	word(out, 53, 0x0007);
	word(out, 59, d->multi ? 0x0100 | d->multi : 0);
	word(out, 75, AHCI_SLOTS - 1);
	word(out, 76, 0x0102); /* NCQ, 1.5 Gb/s */
	word(out, 82, 0x0069); /* look-ahead, write cache, PM, SMART */
	word(out, 83, 0x7400); /* flush, flush ext, LBA48 */
	word(out, 84, 0x4160); /* WWN, FUA, logs */
	word(out, 85,
		0x0048 | (d->cache_off ? 0 : 0x20) | (d->smart_off ? 0 : 1));
	word(out, 86, 0x3400);
	word(out, 87, 0x4160);
	for (unsigned i = 0; i < 4; i++)
		word(out, 108 + i, (unsigned)(name >> (48 - 16 * i)) & 0xffff);
	if (d->can_discard && !d->readonly) {
		word(out, 105, 8); /* blocks of ranges */
		word(out, 169, 1);
	}
	word(out, 217, 1); /* does not rotate */
	out[510] = 0xa5;
	sum(out);
}

void ata_identify_packet(const struct ahci_drive *d, uint8_t *out)
{
	word(out, 0, 0x85c0); /* ATAPI, CD-ROM, removable, 12-byte packets */
	names(d, out);
	common(out);
	word(out, 76, 0x0002); /* 1.5 Gb/s */
	word(out, 82, 0x4218); /* NOP, DEVICE RESET, packet, PM */
	word(out, 83, 0x4000);
	word(out, 84, 0x4000);
	word(out, 85, 0x4218);
	word(out, 87, 0x4000);
	out[510] = 0xa5;
	sum(out);
}

void ata_smart_data(uint8_t *out)
{
	put_le16(out, 1);       /* revision; no attributes */
	put_le16(&out[368], 3); /* saves on its own */
	sum(out);
}

void ata_smart_thresholds(uint8_t *out)
{
	put_le16(out, 1);
	sum(out);
}

static void ncq_error_log(const struct ahci_drive *d, uint8_t *out)
{
	const struct ata_task *t = &d->ncq_error.task;

	if (!d->ncq_error.valid) {
		out[0] = 0x80; /* the last error was not a queued command's */
		sum(out);
		return;
	}
	out[0] = (uint8_t)d->ncq_error.tag;
	out[2] = t->status;
	out[3] = t->error;
	for (unsigned i = 0; i < 3; i++) {
		out[4 + i] = (uint8_t)(t->lba >> (8 * i));
		out[8 + i] = (uint8_t)(t->lba >> (24 + 8 * i));
	}
	out[7] = t->device;
	put_le16(&out[12], t->count);
	sum(out);
}

bool ata_log_page(const struct ahci_drive *d, unsigned log, uint8_t *out)
{
	switch (log) {
	case 0x00: /* directory: pages of each log */
		put_le16(out, 1);
		put_le16(&out[2 * 0x10], 1);
		return true;
	case 0x10:
		ncq_error_log(d, out);
		return true;
	default:
		return false;
	}
}
