/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The EDID that a guest's driver reads to find its first mode: VESA E-EDID
 * 1.4, timings by CVT with reduced blanking (they drive nothing).
 */
#include <string.h>

#include "vm/base/bytes.h"

#include "vm/dev/vga_impl.h"

#define EDID_DPI     96
#define EDID_H_BLANK 160 /* CVT reduced blanking */
#define EDID_V_BLANK 35
#define EDID_HZ      60

static unsigned edid_mm(unsigned pixels)
{
	return pixels * 254 / (EDID_DPI * 10);
}

/* Detailed timing (section 3.10.2) of the preferred mode. */
static void edid_timing(uint8_t *d, unsigned w, unsigned h)
{
	unsigned clock =
		(w + EDID_H_BLANK) * (h + EDID_V_BLANK) / 10000 * EDID_HZ;
	unsigned wmm = edid_mm(w), hmm = edid_mm(h);

	put_le16(d, (uint16_t)(clock < 0xffff ? clock : 0xffff));
	d[2] = (uint8_t)w;
	d[3] = EDID_H_BLANK;
	d[4] = (uint8_t)(w >> 8 << 4);
	d[5] = (uint8_t)h;
	d[6] = EDID_V_BLANK;
	d[7] = (uint8_t)(h >> 8 << 4);
	d[8] = 48; /* horizontal front porch and sync */
	d[9] = 32;
	d[10] = 3 << 4 | 6; /* vertical */
	d[12] = (uint8_t)wmm;
	d[13] = (uint8_t)hmm;
	d[14] = (uint8_t)((wmm >> 8) << 4 | hmm >> 8);
	d[17] = 0x1a; /* digital separate sync, +h -v */
}

static void edid_text(uint8_t *d, uint8_t tag, const char *text)
{
	size_t n = strlen(text);

	d[3] = tag;
	for (size_t i = 0; i < 13; i++)
		d[5 + i] = i < n ? (uint8_t)text[i] : i == n ? '\n' : ' ';
}

/* Widths that guests may offer besides; 60 Hz, aspect in the top bits. */
static void edid_standard(uint8_t *p)
{
	static const struct {
		uint16_t width;
		uint8_t aspect; /* 0 = 16:10, 1 = 4:3, 2 = 5:4, 3 = 16:9 */
	} modes[8] = {
		{ 1920, 3 },
		{ 1920, 0 },
		{ 1680, 0 },
		{ 1600, 1 },
		{ 1440, 0 },
		{ 1280, 2 },
		{ 1280, 0 },
		{ 1280, 3 },
	};

	for (unsigned i = 0; i < 8; i++) {
		p[2 * i] = (uint8_t)(modes[i].width / 8 - 31);
		p[2 * i + 1] = (uint8_t)(modes[i].aspect << 6);
	}
}

void vga_edid_fill(uint8_t edid[VGA_EDID_SIZE], unsigned width, unsigned height)
{
	static const uint8_t head[8] = { 0, 255, 255, 255, 255, 255, 255, 0 };
	/* sRGB's chromaticities */
	static const uint8_t colour[10] = { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99,
		0x26, 0x0f, 0x50, 0x54 };
	uint8_t sum = 0;

	memset(edid, 0, VGA_EDID_SIZE);
	memcpy(edid, head, sizeof(head));
	/* three letters of five bits, A = 1: GDK */
	put_be16(edid + 8, 7 << 10 | 4 << 5 | 11);
	put_le16(edid + 10, 1);
	edid[16] = 1;  /* week */
	edid[17] = 36; /* 2026 */
	edid[18] = 1;
	edid[19] = 4;
	edid[20] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
	edid[21] = (uint8_t)(edid_mm(width) / 10);
	edid[22] = (uint8_t)(edid_mm(height) / 10);
	edid[23] = 120;  /* gamma 2.2 */
	edid[24] = 0x06; /* sRGB, first timing is preferred */
	memcpy(edid + 25, colour, sizeof(colour));
	edid[35] = 0x21; /* 640x480, 800x600 */
	edid[36] = 0x08; /* 1024x768 */
	edid_standard(edid + 38);
	edid_timing(edid + 54, width, height);
	edid_text(edid + 72, 0xfc, "guestdeck");
	edid_text(edid + 90, 0xff, "1");
	edid[108 + 3] = 0x10; /* dummy descriptor */
	for (unsigned i = 0; i < VGA_EDID_SIZE - 1; i++)
		sum = (uint8_t)(sum + edid[i]);
	edid[127] = (uint8_t)-sum;
}
