/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VGA registers at ports 0x3b0-0x3df (IBM VGA, FreeVGA's pages). Monochrome
 * and colour addresses of the CRTC both work, as miscellaneous output bit 0
 * says. Retrace has no clock: the status toggles at each read, which is all
 * that waiting loops want. Under the device's lock.
 */
#include <string.h>

#include "vm/dev/vga_impl.h"

#define VGA_STATUS1_TOGGLES 0x09 /* display disabled, vertical retrace */

static const uint8_t vga_seq_mask[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0,
	0 };
static const uint8_t vga_gfx_mask[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b,
	0x0f, 0x0f, 0xff };

void vga_regs_reset(struct vga *v)
{
	v->misc = v->feature = 0;
	v->seq_index = v->crtc_index = v->gfx_index = v->attr_index = 0;
	memset(v->seq, 0, sizeof(v->seq));
	memset(v->crtc, 0, sizeof(v->crtc));
	memset(v->gfx, 0, sizeof(v->gfx));
	memset(v->attr, 0, sizeof(v->attr));
	v->attr_data = false;
	v->status1 = 0;
	v->pel_mask = 0xff;
	v->dac_read = v->dac_write = v->dac_part = 0;
	v->dac_reading = false;
	memset(v->palette, 0, sizeof(v->palette));
	memset(v->latch, 0, sizeof(v->latch));
	memset(v->dispi, 0, sizeof(v->dispi));
	v->dispi[DISPI_ID] = DISPI_ID_HIGH;
	v->dispi_index = 0;
}

/* Is this one of the CRTC's or status ports that is not decoded now? */
static bool vga_port_hidden(const struct vga *v, unsigned port)
{
	bool colour = v->misc & 1;

	if (port >= 0x3b0 && port <= 0x3bf)
		return colour;
	return port >= 0x3d0 && port <= 0x3df && !colour;
}

static uint8_t vga_dac_data(struct vga *v)
{
	uint8_t val = v->palette[v->dac_read][v->dac_part];

	if (++v->dac_part == 3) {
		v->dac_part = 0;
		v->dac_read++;
	}
	return val;
}

uint8_t vga_port_read(struct vga *v, unsigned port)
{
	if (vga_port_hidden(v, port))
		return 0xff;
	switch (port) {
	case 0x3c0:
		return v->attr_index;
	case 0x3c1:
		return v->attr[v->attr_index & 0x1f];
	case 0x3c2:
		return 0;
	case 0x3c4:
		return v->seq_index;
	case 0x3c5:
		return v->seq[v->seq_index & 7];
	case 0x3c6:
		return v->pel_mask;
	case 0x3c7:
		return v->dac_reading ? 3 : 0;
	case 0x3c8:
		return v->dac_write;
	case 0x3c9:
		return vga_dac_data(v);
	case 0x3ca:
		return v->feature;
	case 0x3cc:
		return v->misc;
	case 0x3ce:
		return v->gfx_index;
	case 0x3cf:
		return v->gfx[v->gfx_index & 15];
	case 0x3b4:
	case 0x3d4:
		return v->crtc_index;
	case 0x3b5:
	case 0x3d5:
		return v->crtc[v->crtc_index & 0x1f];
	case 0x3ba:
	case 0x3da:
		v->status1 ^= VGA_STATUS1_TOGGLES;
		v->attr_data = false;
		return v->status1;
	}
	return 0;
}

static void vga_attr_write(struct vga *v, uint8_t val)
{
	static const uint8_t mask[5] = { 0xef, 0xff, 0x3f, 0x0f, 0x0f };
	unsigned i = v->attr_index & 0x1f;

	v->attr_data = !v->attr_data;
	if (v->attr_data) {
		v->attr_index = val & 0x3f;
		return;
	}
	if (i < 16)
		v->attr[i] = val & 0x3f;
	else if (i < 16 + sizeof(mask))
		v->attr[i] = val & mask[i - 16];
}

static void vga_crtc_write(struct vga *v, uint8_t val)
{
	unsigned i = v->crtc_index & 0x1f;

	/* bit 7 of register 0x11 guards 0 to 7, but for line compare */
	if ((v->crtc[0x11] & 0x80) && i <= 7) {
		if (i == 7)
			v->crtc[7] =
				(uint8_t)((v->crtc[7] & ~0x10) | (val & 0x10));
		return;
	}
	v->crtc[i] = val;
}

static void vga_dac_write(struct vga *v, uint8_t val)
{
	v->dac_latch[v->dac_part] = val;
	if (++v->dac_part < 3)
		return;
	memcpy(v->palette[v->dac_write], v->dac_latch, 3);
	v->dac_part = 0;
	v->dac_write++;
}

/* Registers that decide how memory looks from 0xA0000. */
static void vga_seq_write(struct vga *v, uint8_t val)
{
	unsigned i = v->seq_index & 7;

	v->seq[i] = val & vga_seq_mask[i];
	if (i == 2 || i == 4)
		vga_window_update(v);
}

static void vga_gfx_write(struct vga *v, uint8_t val)
{
	unsigned i = v->gfx_index & 15;

	v->gfx[i] = val & vga_gfx_mask[i];
	vga_window_update(v);
}

void vga_port_write(struct vga *v, unsigned port, uint8_t val)
{
	if (vga_port_hidden(v, port))
		return;
	switch (port) {
	case 0x3c0:
		vga_attr_write(v, val);
		break;
	case 0x3c2:
		v->misc = val & 0xef;
		break;
	case 0x3c4:
		v->seq_index = val & 7;
		break;
	case 0x3c5:
		vga_seq_write(v, val);
		break;
	case 0x3c6:
		v->pel_mask = val;
		break;
	case 0x3c7:
		v->dac_read = val;
		v->dac_part = 0;
		v->dac_reading = true;
		break;
	case 0x3c8:
		v->dac_write = val;
		v->dac_part = 0;
		v->dac_reading = false;
		break;
	case 0x3c9:
		vga_dac_write(v, val);
		break;
	case 0x3ce:
		v->gfx_index = val & 15;
		break;
	case 0x3cf:
		vga_gfx_write(v, val);
		break;
	case 0x3b4:
	case 0x3d4:
		v->crtc_index = val;
		break;
	case 0x3b5:
	case 0x3d5:
		vga_crtc_write(v, val);
		break;
	case 0x3ba:
	case 0x3da:
		v->feature = val & 0x10;
		break;
	}
}
