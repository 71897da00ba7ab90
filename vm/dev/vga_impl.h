/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of the VGA, for vga*.c only. Everything in struct vga that can
 * change is guarded by its lock (rank LOCK_DEVICE); video memory is not: the
 * guest writes it at will.
 */
#ifndef VM_DEV_VGA_IMPL_H
#define VM_DEV_VGA_IMPL_H

#include "vm/base/lock.h"

#include "display/display.h"

#include "vm/core/device.h"
#include "vm/dev/vga.h"
#include "vm/pci/pci.h"

#define VGA_PAGE       4096
#define VGA_PAGE_WORDS (VGA_VRAM_BYTES / VGA_PAGE / 64)
#define VGA_EDID_SIZE  128
#define VGA_WIN_BASE   0xA0000u
#define VGA_WIN_SIZE   0x20000u

/* Bochs dispi registers (VBE_DISPI_INDEX_*) */
enum vga_dispi {
	DISPI_ID,
	DISPI_XRES,
	DISPI_YRES,
	DISPI_BPP,
	DISPI_ENABLE,
	DISPI_BANK,
	DISPI_VIRT_WIDTH,
	DISPI_VIRT_HEIGHT,
	DISPI_X_OFFSET,
	DISPI_Y_OFFSET,
	DISPI_MEMORY, /* read only, in 64 KiB */
	DISPI_REGS,
};

#define DISPI_ID_LOW   0xb0c0
#define DISPI_ID_HIGH  0xb0c5
#define DISPI_ENABLED  0x01
#define DISPI_GETCAPS  0x02
#define DISPI_8BIT_DAC 0x20
#define DISPI_NOCLEAR  0x80

/* What the guest sees at 0xA0000-0xBFFFF without an exit. */
enum vga_window {
	VGA_WINDOW_TRAP,  /* nothing: accesses come to vga_mem.c */
	VGA_WINDOW_A0000, /* 64 KiB of linear memory from window_off */
	VGA_WINDOW_B0000, /* 32 KiB of text at the start of memory */
	VGA_WINDOW_B8000,
};

struct vga {
	struct device dev;
	struct core *core;
	struct pci_dev pci;
	struct display *display;
	struct lock lock;

	struct gmem_block *block;
	uint8_t *vram;
	struct gmem_view *bar0, *win64, *win32;
	struct bus_region ports, dispi_ports, legacy;

	uint8_t misc, feature;
	uint8_t seq_index, seq[8];
	uint8_t crtc_index, crtc[32];
	uint8_t gfx_index, gfx[16];
	uint8_t attr_index, attr[32];
	bool attr_data; /* the next write to 0x3c0 is data */
	uint8_t status1;
	uint8_t pel_mask, dac_read, dac_write, dac_part;
	bool dac_reading;
	uint8_t dac_latch[3];
	uint8_t palette[256][3];
	uint8_t latch[4];

	uint16_t dispi_index;
	uint16_t dispi[DISPI_REGS];
	uint8_t edid[VGA_EDID_SIZE];

	enum vga_window window;
	uint32_t window_off; /* of VGA_WINDOW_A0000 in video memory */
	bool coalesced;
	uint64_t written[VGA_PAGE_WORDS]; /* pages that host code wrote */

	/* the display thread's */
	struct vgascan *scan;
	struct vga_state state;
	uint64_t dirty[VGA_PAGE_WORDS];
};

/* ---- vga_regs.c: ports 0x3b0-0x3df ---- */
uint8_t vga_port_read(struct vga *v, unsigned port);
void vga_port_write(struct vga *v, unsigned port, uint8_t val);
void vga_regs_reset(struct vga *v);

/* ---- vga_dispi.c ---- */
struct vga_geometry {
	unsigned width, height, bpp;
	uint32_t pitch; /* bytes */
	uint64_t offset;
};

bool vga_dispi_on(const struct vga *v);
/* A linear mode is on: not off, not 16 planar colours. */
bool vga_dispi_linear(const struct vga *v);
/* The mode in force; all of it lies inside video memory. */
void vga_dispi_geometry(const struct vga *v, struct vga_geometry *g);
uint16_t vga_dispi_read(const struct vga *v, unsigned index);
/*
 * Returns how many bytes at the start of video memory the caller is to clear
 * when it has dropped the lock (16 MiB take long).
 */
uint32_t vga_dispi_write(struct vga *v, unsigned index, uint16_t val);

/* ---- vga_mem.c: the legacy window ---- */
/* Show, move or hide the direct view as the registers now say. */
void vga_window_update(struct vga *v);
/* OR the pages written through the direct view into written. */
void vga_window_collect(struct vga *v);
uint8_t vga_mem_read(struct vga *v, uint32_t off);
void vga_mem_write(struct vga *v, uint32_t off, uint8_t val);

static inline void vga_mark(struct vga *v, uint32_t off)
{
	uint32_t page = off / VGA_PAGE % (VGA_PAGE_WORDS * 64);

	v->written[page / 64] |= UINT64_C(1) << (page % 64);
}

/* ---- vga_edid.c ---- */
/* An EDID 1.4 that prefers width x height. */
void vga_edid_fill(uint8_t edid[VGA_EDID_SIZE], unsigned width,
	unsigned height);

#endif
