// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Answers of a CD/DVD-ROM drive, as bytes (MMC-5 chapters 6 and 7, SPC-3
 * 6.4). Pure: each builds into a zeroed buffer of AHCI_BUF bytes and returns
 * the length, 0 for a field that asks for what there is not.
 */
#include <string.h>

#include "vm/base/bytes.h"

#include "vm/dev/ahci_impl.h"

#define PROFILE_CD  0x0008
#define PROFILE_DVD 0x0010
#define CD_MAX      (80u * 60 * 75) /* sectors of the longest CD */
#define LEAD_OUT    0xaa

static bool is_dvd(const struct ahci_drive *d)
{
	return d->sectors > CD_MAX;
}

static unsigned profile(const struct ahci_drive *d)
{
	if (!d->blk || d->tray_open)
		return 0;
	return is_dvd(d) ? PROFILE_DVD : PROFILE_CD;
}

static void pad(uint8_t *to, size_t len, const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)(i < n ? s[i] : ' ');
}

unsigned atapi_inquiry(uint8_t *out)
{
	out[0] = 0x05; /* CD-ROM */
	out[1] = 0x80; /* removable */
	out[2] = 0x05; /* SPC-3 */
	out[3] = 0x02;
	out[4] = 31;
	pad(&out[8], 8, "GUESTDEK");
	pad(&out[16], 16, "DVD-ROM");
	pad(&out[32], 4, "1.0");
	return 36;
}

/* ---- mode pages ---- */

static unsigned page_error(uint8_t *p)
{
	p[0] = 0x01;
	p[1] = 10;
	p[3] = 5; /* retries */
	return 12;
}

static unsigned page_audio(uint8_t *p)
{
	p[0] = 0x0e;
	p[1] = 14;
	p[2] = 0x04; /* immediate */
	p[8] = p[10] = 1;
	p[9] = p[11] = 0xff;
	return 16;
}

static unsigned page_timeout(uint8_t *p)
{
	p[0] = 0x1d;
	p[1] = 10;
	put_be16(&p[8], 60);
	return 12;
}

static unsigned page_capabilities(const struct ahci_drive *d, uint8_t *p)
{
	p[0] = 0x2a;
	p[1] = 20;
	p[2] = 0x3b; /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R */
	p[4] = 0x70; /* mode 2 forms 1 and 2, multisession */
	p[6] = 0x29 | (d->locked ? 2 : 0); /* tray, eject, lock */
	put_be16(&p[8], 706 * 16);
	put_be16(&p[10], 2);
	put_be16(&p[12], 512);
	put_be16(&p[14], 706 * 16);
	return 22;
}

unsigned atapi_mode_sense(const struct ahci_drive *d, const uint8_t *cdb,
	uint8_t *out)
{
	bool ten = cdb[0] == 0x5a;
	unsigned page = cdb[2] & 0x3f, control = cdb[2] >> 6;
	unsigned head = ten ? 8 : 4, n = head;

	if (control) /* only current values: nothing changes, none is saved */
		return 0;
	if (page == 0x01 || page == 0x3f)
		n += page_error(&out[n]);
	if (page == 0x0e || page == 0x3f)
		n += page_audio(&out[n]);
	if (page == 0x1d || page == 0x3f)
		n += page_timeout(&out[n]);
	if (page == 0x2a || page == 0x3f)
		n += page_capabilities(d, &out[n]);
	if (n == head)
		return 0;
	if (ten) {
		put_be16(out, (uint16_t)(n - 2));
		out[2] = d->blk ? 0x01 : 0x70; /* 120 mm data, or none */
	} else {
		out[0] = (uint8_t)(n - 1);
		out[1] = d->blk ? 0x01 : 0x70;
	}
	return n;
}

/* ---- table of contents ---- */

/* An address as LBA, or as minute, second, frame with the lead-in added. */
static void put_addr(uint8_t *p, uint32_t lba, bool msf)
{
	if (!msf) {
		put_be32(p, lba);
		return;
	}
	lba += 150;
	p[0] = 0;
	p[1] = (uint8_t)(lba / 75 / 60);
	p[2] = (uint8_t)(lba / 75 % 60);
	p[3] = (uint8_t)(lba % 75);
}

static unsigned toc_tracks(const struct ahci_drive *d, unsigned first, bool msf,
	uint8_t *out)
{
	unsigned n = 4;

	if (first > 1 && first != LEAD_OUT)
		return 0;
	out[2] = out[3] = 1; /* first and last track */
	if (first <= 1) {
		out[n + 1] = 0x14; /* data track */
		out[n + 2] = 1;
		put_addr(&out[n + 4], 0, msf);
		n += 8;
	}
	out[n + 1] = 0x16;
	out[n + 2] = LEAD_OUT;
	put_addr(&out[n + 4], (uint32_t)d->sectors, msf);
	n += 8;
	put_be16(out, (uint16_t)(n - 2));
	return n;
}

static unsigned toc_session(bool msf, uint8_t *out)
{
	put_be16(out, 10);
	out[2] = out[3] = 1;
	out[5] = 0x14;
	out[6] = 1;
	put_addr(&out[8], 0, msf);
	return 12;
}

/* One entry of the full TOC; its addresses are always MSF. */
static uint8_t *full_entry(uint8_t *p, uint8_t point)
{
	p[0] = 1;    /* session */
	p[1] = 0x14; /* data track */
	p[3] = point;
	return p + 11;
}

static unsigned toc_full(const struct ahci_drive *d, uint8_t *out)
{
	uint8_t *p = &out[4];
	uint8_t addr[4];

	p[8] = 1; /* first track */
	p = full_entry(p, 0xa0);
	p[8] = 1; /* last track */
	p = full_entry(p, 0xa1);
	put_addr(addr, (uint32_t)d->sectors, true);
	memcpy(&p[8], &addr[1], 3);
	p = full_entry(p, 0xa2);
	put_addr(addr, 0, true);
	memcpy(&p[8], &addr[1], 3);
	p = full_entry(p, 1);
	put_be16(out, (uint16_t)(p - out - 2));
	out[2] = out[3] = 1;
	return (unsigned)(p - out);
}

unsigned atapi_toc(const struct ahci_drive *d, const uint8_t *cdb, uint8_t *out)
{
	bool msf = cdb[1] & 2;
	unsigned format = cdb[2] & 0x0f;

	if (!format) /* SFF-8020 has it in the control byte */
		format = cdb[9] >> 6;
	switch (format) {
	case 0:
		return toc_tracks(d, cdb[6], msf, out);
	case 1:
		return toc_session(msf, out);
	case 2:
		return toc_full(d, out);
	default:
		return 0;
	}
}

unsigned atapi_disc_info(uint8_t *out)
{
	put_be16(out, 32);
	out[2] = 0x0e; /* last session complete, disc finalised */
	out[3] = out[4] = out[5] = out[6] = 1;
	out[7] = 0x20; /* unrestricted use */
	memset(&out[16], 0xff, 8);
	return 34;
}

unsigned atapi_track_info(const struct ahci_drive *d, uint8_t *out)
{
	put_be16(out, 34);
	out[2] = out[3] = 1; /* track, session */
	out[5] = 4;          /* data */
	out[6] = 1;          /* mode 1 */
	put_be32(&out[24], (uint32_t)d->sectors);
	return 36;
}

/* ---- features ---- */

static uint8_t *feature(uint8_t *p, unsigned code, unsigned flags, unsigned len)
{
	put_be16(p, (uint16_t)code);
	p[2] = (uint8_t)flags; /* version, persistent, current */
	p[3] = (uint8_t)len;
	return p + 4;
}

static uint8_t *feature_profiles(const struct ahci_drive *d, uint8_t *p)
{
	p = feature(p, 0x0000, 0x03, 8);
	put_be16(p, PROFILE_DVD);
	p[2] = profile(d) == PROFILE_DVD;
	put_be16(p + 4, PROFILE_CD);
	p[6] = profile(d) == PROFILE_CD;
	return p + 8;
}

static uint8_t *put_feature(const struct ahci_drive *d, uint8_t *p,
	unsigned code)
{
	unsigned now = profile(d) != 0;

	switch (code) {
	case 0x0000:
		return feature_profiles(d, p);
	case 0x0001: /* core: ATAPI */
		p = feature(p, code, 0x0b, 8);
		put_be32(p, 2);
		p[4] = 1;
		return p + 8;
	case 0x0003: /* removable: tray, eject, lock */
		p = feature(p, code, 0x03, 4);
		p[0] = 0x29;
		return p + 4;
	case 0x0010: /* random readable */
		p = feature(p, code, now, 8);
		put_be32(p, CD_SECTOR);
		put_be16(p + 4, 16);
		return p + 8;
	case 0x001e: /* CD read */
		p = feature(p, code, 0x08 | (profile(d) == PROFILE_CD), 4);
		return p + 4;
	case 0x001f: /* DVD read */
		p = feature(p, code, 0x08 | (profile(d) == PROFILE_DVD), 4);
		return p + 4;
	case 0x0105: /* timeout */
		p = feature(p, code, 0x07, 4);
		return p + 4;
	default:
		return p;
	}
}

unsigned atapi_configuration(const struct ahci_drive *d, const uint8_t *cdb,
	uint8_t *out)
{
	static const uint16_t codes[] = { 0x0000, 0x0001, 0x0003, 0x0010,
		0x001e, 0x001f, 0x0105 };
	unsigned kind = cdb[1] & 3, first = get_be16(&cdb[2]);
	uint8_t *p = &out[8], *end;

	if (kind == 3)
		return 0;
	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i] < first || (kind == 2 && codes[i] != first))
			continue;
		end = put_feature(d, p, codes[i]);
		if (kind == 1 && !(p[2] & 1)) /* only what is current */
			memset(p, 0, (size_t)(end - p));
		else
			p = end;
	}
	put_be32(out, (uint32_t)(p - out - 4));
	put_be16(&out[6], (uint16_t)profile(d));
	return (unsigned)(p - out);
}

/* Only the physical format of the one layer. */
unsigned atapi_dvd_structure(const struct ahci_drive *d, const uint8_t *cdb,
	uint8_t *out)
{
	uint8_t *p = &out[4];

	if (!is_dvd(d) || cdb[7] || cdb[6] || cdb[1])
		return 0;
	put_be16(out, 2048 + 2);
	p[0] = 0x01; /* DVD-ROM, part version 1 */
	p[1] = 0x0f; /* 120 mm, no maximum rate */
	p[2] = 0x01; /* one layer, embossed */
	put_be32(&p[4], 0x30000);
	put_be32(&p[8], 0x30000 + (uint32_t)d->sectors - 1);
	return 2048 + 4;
}
