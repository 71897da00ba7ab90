/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VGA state to pixels: what the CRTC, the attribute controller and the DAC of
 * a VGA (IBM VGA and FreeVGA register model) or a Bochs dispi adapter show of
 * video memory. No ports, no guest: plain data in, pixels and text cells out.
 * Every register value is harmless; memory is only read inside vram_size.
 *
 * Video memory holds the four planes so that colour text, as the guest
 * addresses it (odd/even), is linear: see vga_plane_offset(). Chained
 * 256-colour memory is linear as it is.
 *
 * Thread: one scanner is used by one thread (the display's).
 */
#ifndef DISPLAY_VGASCAN_H
#define DISPLAY_VGASCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/base/err.h"

struct surface;
struct display_text;

#define VGA_PLANES_SIZE 0x40000u /* 4 planes of 64 KiB */

/*
 * Where byte `addr` of a plane stands in video memory. Bytes at even plane
 * addresses of planes 0 and 1 alternate from 0 on (characters and attributes
 * of a text screen), those at odd addresses from 64 KiB on, planes 2 and 3
 * likewise from 128 KiB on.
 */
static inline uint32_t vga_plane_offset(uint32_t addr, unsigned plane)
{
	return (addr & 0xfffe) | (plane & 1) | (addr & 1) << 16 |
	       (uint32_t)(plane & 2) << 16;
}

struct vga_state {
	uint8_t seq[8], crtc[32], gfx[16], attr[32];
	bool video_on; /* attribute index bit 5: the palette drives video */
	uint8_t pel_mask;
	uint8_t palette[256][3]; /* 6 or 8 bits a colour */
	bool dac8;
	/* dispi: a mode that overrides the VGA's geometry */
	bool lfb;
	unsigned lfb_width, lfb_height, lfb_bpp; /* 4 8 15 16 24 32 */
	uint32_t lfb_pitch;                      /* bytes a line */
	uint64_t lfb_offset;                     /* bytes, of the first pixel */
	/* phases of what blinks, by the caller's clock */
	bool cursor_phase, blink_phase;
	const uint8_t *vram;
	uint32_t vram_size; /* at least VGA_PLANES_SIZE */
};

struct vgascan;

int vgascan_new(struct vgascan **out, struct err *e);
void vgascan_free(struct vgascan *sc);

/*
 * Bring s up to date with st: resize, paint what changed, mark it. dirty has
 * a bit for each 4 KiB page of video memory that may have changed since the
 * last call; NULL or full = all may. text gets the cells of a text mode, or
 * cols = 0.
 */
void vgascan_paint(struct vgascan *sc, const struct vga_state *st,
	const uint64_t *dirty, bool full, struct surface *s,
	struct display_text *text);

#endif
