/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bochs dispi (VBE) registers, id 0xb0c5: bochs "VBE Display API" and QEMU's
 * docs/specs/standard-vga. What the guest writes is kept within what fits
 * video memory and the surface at the moment it takes effect.
 */
#include <string.h>

#include "vm/dev/vga_impl.h"

bool vga_dispi_on(const struct vga *v)
{
	return v->dispi[DISPI_ENABLE] & DISPI_ENABLED;
}

bool vga_dispi_linear(const struct vga *v)
{
	return vga_dispi_on(v) && v->dispi[DISPI_BPP] != 4;
}

static bool dispi_bpp_known(unsigned bpp)
{
	return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 ||
	       bpp == 32;
}

/* Bytes of n pixels; with 4 bits a pixel, of one plane. */
static uint32_t dispi_bytes(unsigned bpp, uint32_t n)
{
	return bpp == 4 ? (n + 7) / 8 : n * ((bpp + 7) / 8);
}

static uint32_t dispi_memory(unsigned bpp)
{
	return bpp == 4 ? VGA_PLANES_SIZE / 4 : VGA_VRAM_BYTES;
}

static uint16_t dispi_clamp(uint32_t v, uint32_t min, uint32_t max)
{
	return (uint16_t)(v < min ? min : v > max ? max : v);
}

/* Does a picture that starts at these offsets end inside memory? */
static bool dispi_fits(const struct vga *v)
{
	const uint16_t *r = v->dispi;
	uint64_t pitch = dispi_bytes(r[DISPI_BPP], r[DISPI_VIRT_WIDTH]);
	uint64_t end = (uint64_t)r[DISPI_Y_OFFSET] * pitch +
		       dispi_bytes(r[DISPI_BPP], r[DISPI_X_OFFSET]) +
		       (r[DISPI_YRES] - 1u) * pitch +
		       dispi_bytes(r[DISPI_BPP], r[DISPI_XRES]);

	return end <= dispi_memory(r[DISPI_BPP]);
}

/* Make the registers of a mode that is on a mode that can be shown. */
static void dispi_fix(struct vga *v)
{
	uint16_t *r = v->dispi;
	uint32_t lines;

	if (!dispi_bpp_known(r[DISPI_BPP]))
		r[DISPI_BPP] = 8;
	r[DISPI_XRES] = dispi_clamp(r[DISPI_XRES], 8, DISPLAY_MAX_W);
	r[DISPI_VIRT_WIDTH] =
		dispi_clamp(r[DISPI_VIRT_WIDTH], r[DISPI_XRES], UINT16_MAX);
	lines = dispi_memory(r[DISPI_BPP]) /
		dispi_bytes(r[DISPI_BPP], r[DISPI_VIRT_WIDTH]);
	r[DISPI_VIRT_HEIGHT] = dispi_clamp(lines, 1, UINT16_MAX);
	r[DISPI_YRES] = dispi_clamp(r[DISPI_YRES], 1, DISPLAY_MAX_H);
	if (r[DISPI_YRES] > r[DISPI_VIRT_HEIGHT])
		r[DISPI_YRES] = r[DISPI_VIRT_HEIGHT];
	if (!dispi_fits(v))
		r[DISPI_Y_OFFSET] = 0;
	if (!dispi_fits(v))
		r[DISPI_X_OFFSET] = 0;
}

void vga_dispi_geometry(const struct vga *v, struct vga_geometry *g)
{
	const uint16_t *r = v->dispi;

	g->width = r[DISPI_XRES];
	g->height = r[DISPI_YRES];
	g->bpp = r[DISPI_BPP];
	g->pitch = dispi_bytes(g->bpp, r[DISPI_VIRT_WIDTH]);
	g->offset = (uint64_t)r[DISPI_Y_OFFSET] * g->pitch +
		    dispi_bytes(g->bpp, r[DISPI_X_OFFSET]);
}

uint16_t vga_dispi_read(const struct vga *v, unsigned index)
{
	if (index >= DISPI_REGS)
		return 0;
	if (index == DISPI_MEMORY)
		return VGA_VRAM_BYTES / 65536;
	if (v->dispi[DISPI_ENABLE] & DISPI_GETCAPS) {
		switch (index) {
		case DISPI_XRES:
			return DISPLAY_MAX_W;
		case DISPI_YRES:
			return DISPLAY_MAX_H;
		case DISPI_BPP:
			return 32;
		}
	}
	return v->dispi[index];
}

/* Returns bytes to clear. */
static uint32_t dispi_enable(struct vga *v, uint16_t val)
{
	bool was = vga_dispi_on(v);
	struct vga_geometry g;

	v->dispi[DISPI_ENABLE] = val;
	v->dispi[DISPI_BANK] = 0;
	if (!(val & DISPI_ENABLED) || was)
		return 0;
	v->dispi[DISPI_VIRT_WIDTH] = 0;
	v->dispi[DISPI_X_OFFSET] = 0;
	v->dispi[DISPI_Y_OFFSET] = 0;
	dispi_fix(v);
	if (val & DISPI_NOCLEAR)
		return 0;
	vga_dispi_geometry(v, &g);
	/* all of the planes, as they are not one after the other */
	return g.bpp == 4 ? VGA_PLANES_SIZE : g.pitch * g.height;
}

uint32_t vga_dispi_write(struct vga *v, unsigned index, uint16_t val)
{
	uint32_t clear = 0;

	switch (index) {
	case DISPI_ID:
		if (val >= DISPI_ID_LOW && val <= DISPI_ID_HIGH)
			v->dispi[DISPI_ID] = val;
		return 0;
	case DISPI_ENABLE:
		clear = dispi_enable(v, val);
		break;
	case DISPI_BANK:
		if (val < VGA_VRAM_BYTES / 65536)
			v->dispi[DISPI_BANK] = val;
		break;
	case DISPI_XRES:
	case DISPI_YRES:
	case DISPI_BPP:
	case DISPI_VIRT_WIDTH:
	case DISPI_X_OFFSET:
	case DISPI_Y_OFFSET:
		v->dispi[index] = val;
		if (vga_dispi_on(v))
			dispi_fix(v);
		break;
	default:
		return 0; /* read only, or none */
	}
	vga_window_update(v);
	return clear;
}
