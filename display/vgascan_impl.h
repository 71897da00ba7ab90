/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the scanner, for vgascan*.c only. */
#ifndef DISPLAY_VGASCAN_IMPL_H
#define DISPLAY_VGASCAN_IMPL_H

#include "display/display.h"
#include "display/vgascan.h"

#define VGASCAN_MAX_CELLS (256 * 256)
#define VGASCAN_MAX_LINE  (DISPLAY_MAX_W + 64)
#define VGASCAN_NO_CELL   UINT32_MAX

enum vgascan_kind {
	VGASCAN_BLANK,
	VGASCAN_TEXT,
	VGASCAN_PLANAR, /* 16 colours, 2 with one plane */
	VGASCAN_CGA,    /* 4 colours, shift register interleave */
	VGASCAN_PACKED, /* 256 colours, chained or not */
	VGASCAN_LFB,
};

/* All that decides what the whole screen looks like, but for memory. */
struct vgascan_mode {
	enum vgascan_kind kind;
	unsigned width, height; /* surface */
	unsigned cols;          /* character clocks a line */
	unsigned dots;          /* a character clock, 8 or 9 */
	unsigned dup;           /* each dot is so many pixels wide */
	unsigned repeat;        /* lines a row of text or memory */
	unsigned double_shift;  /* 1 = each of them twice */
	uint32_t start, pitch;  /* address counter, of line 0 and a row */
	unsigned first_scan;    /* preset row scan */
	unsigned split;         /* line after which memory starts anew at 0 */
	unsigned pan;           /* dots */
	bool pan_split;         /* no panning below the split */
	bool chain4;
	uint8_t crtc14, crtc17; /* addressing and underline */
	uint8_t attr10, planes; /* mode control, colour plane enable */
	uint8_t font_select;
	unsigned bpp;
	uint64_t offset; /* LFB */
	uint32_t lfb_pitch;
};

struct vgascan {
	struct vgascan_mode mode;
	uint32_t colours[256]; /* DAC as XRGB, mask applied */
	uint32_t attrs[16];    /* attribute values as XRGB */
	uint32_t line[VGASCAN_MAX_LINE];
	uint64_t spread[256]; /* bits of a byte, one a byte, first bit low */
	/* what is painted: char, attr << 8, flags << 16 */
	uint32_t cell[VGASCAN_MAX_CELLS];
};

/* One painting. */
struct vgascan_job {
	struct vgascan *sc;
	const struct vga_state *st;
	const uint64_t *dirty; /* NULL = all */
	struct surface *s;
	struct display_text *text;
	bool full;
};

/* The plane address of counter value c in line `scan` of a row. */
static inline uint32_t vgascan_addr(const struct vgascan_mode *m, uint32_t c,
	unsigned scan)
{
	uint32_t a;

	if (m->crtc14 & 0x40)
		a = c << 2 | (c >> 14 & 3);
	else if (m->crtc17 & 0x40)
		a = c;
	else
		a = c << 1 | (c >> (m->crtc17 & 0x20 ? 15 : 13) & 1);
	if (!(m->crtc17 & 1))
		a = (a & ~0x2000u) | (scan & 1) << 13;
	if (!(m->crtc17 & 2))
		a = (a & ~0x4000u) | (scan >> 1 & 1) << 14;
	return a & 0xffff;
}

static inline uint8_t vgascan_plane(const struct vgascan_job *j, uint32_t addr,
	unsigned plane)
{
	return j->st->vram[vga_plane_offset(addr, plane)];
}

/* May any byte of [off, off + len) have changed? */
bool vgascan_dirty(const struct vgascan_job *j, uint64_t off, uint64_t len);

void vgascan_text(struct vgascan_job *j);
void vgascan_graphics(struct vgascan_job *j);
void vgascan_lfb(struct vgascan_job *j);

#endif
