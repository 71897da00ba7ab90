// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The VGA as a device: PCI function, ports, windows, and the screen's source.
 * Registers: vga_regs.c; dispi: vga_dispi.c; memory: vga_mem.c; pixels:
 * display/vgascan.c.
 *
 * Threads: registers and trapped memory on vCPUs under the lock (rank
 * LOCK_DEVICE); refresh on the display thread copies the registers under the
 * lock and paints without it. Video memory changes all the while, as it does
 * under a real CRTC.
 */
#include "vm/dev/vga.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"
#include "vm/base/list.h"

#include "vm/dev/vga_impl.h"

#define VGA_MMIO_SIZE  4096
#define VGA_MMIO_PORTS 0x400 /* ports 0x3c0-0x3df */
#define VGA_MMIO_DISPI 0x500
#define VGA_MMIO_QEXT  0x600 /* size, then byte order */
#define VGA_QEXT_SIZE  8
#define VGA_QEXT_LE    0x1e1e1e1e
#define VGA_EDID_W     1280
#define VGA_EDID_H     800
#define VGA_EDID_MAX_W 4088 /* a timing has 12 bits */
#define VGA_CURSOR_MS  250  /* half a blink */
#define VGA_BLINK_MS   500

/* ---- ports: wider accesses are bytes to ports that follow ---- */

static uint64_t vga_ports_read(void *opaque, uint64_t off, unsigned size)
{
	struct vga *v = opaque;
	uint64_t val = 0;

	LOCK_GUARD(&v->lock);
	for (unsigned i = 0; i < size; i++)
		val |= (uint64_t)vga_port_read(v, 0x3b0 + (unsigned)off + i)
		       << (8 * i);
	return val;
}

static void vga_ports_write(void *opaque, uint64_t off, uint64_t val,
	unsigned size)
{
	struct vga *v = opaque;

	LOCK_GUARD(&v->lock);
	for (unsigned i = 0; i < size; i++)
		vga_port_write(v, 0x3b0 + (unsigned)off + i,
			(uint8_t)(val >> (8 * i)));
}

static const struct bus_ops vga_ports_ops = {
	.read = vga_ports_read,
	.write = vga_ports_write,
};

/* ---- dispi: index at 0x1ce, data at 0x1cf and 0x1d0 ---- */

/* Clearing is not under the lock: it may be 16 MiB. */
static void vga_dispi_set(struct vga *v, unsigned index, uint16_t val)
{
	uint32_t clear;

	lock_take(&v->lock);
	clear = vga_dispi_write(v, index, val);
	lock_drop(&v->lock);
	if (!clear)
		return;
	memset(v->vram, 0, clear);
	LOCK_GUARD(&v->lock);
	for (uint32_t off = 0; off < clear; off += VGA_PAGE)
		vga_mark(v, off);
}

static uint64_t vga_dispi_ports_read(void *opaque, uint64_t off, unsigned size)
{
	struct vga *v = opaque;

	(void)size;
	LOCK_GUARD(&v->lock);
	return off ? vga_dispi_read(v, v->dispi_index) : v->dispi_index;
}

static void vga_dispi_ports_write(void *opaque, uint64_t off, uint64_t val,
	unsigned size)
{
	struct vga *v = opaque;
	unsigned index;

	(void)size;
	lock_take(&v->lock);
	if (!off)
		v->dispi_index = (uint16_t)val;
	index = v->dispi_index;
	lock_drop(&v->lock);
	if (off)
		vga_dispi_set(v, index, (uint16_t)val);
}

static const struct bus_ops vga_dispi_ops = {
	.read = vga_dispi_ports_read,
	.write = vga_dispi_ports_write,
};

/* ---- legacy window ---- */

static uint64_t vga_legacy_read(void *opaque, uint64_t off, unsigned size)
{
	struct vga *v = opaque;
	uint64_t val = 0;

	LOCK_GUARD(&v->lock);
	for (unsigned i = 0; i < size; i++)
		val |= (uint64_t)vga_mem_read(v, (uint32_t)off + i) << (8 * i);
	return val;
}

static void vga_legacy_write(void *opaque, uint64_t off, uint64_t val,
	unsigned size)
{
	struct vga *v = opaque;

	LOCK_GUARD(&v->lock);
	for (unsigned i = 0; i < size; i++)
		vga_mem_write(v, (uint32_t)off + i, (uint8_t)(val >> (8 * i)));
}

static const struct bus_ops vga_legacy_ops = {
	.read = vga_legacy_read,
	.write = vga_legacy_write,
};

/* ---- BAR 2 ---- */

static uint8_t vga_mmio_byte(struct vga *v, unsigned off)
{
	const unsigned qext[2] = { VGA_QEXT_SIZE, VGA_QEXT_LE };
	unsigned i;

	if (off < VGA_EDID_SIZE)
		return v->edid[off];
	if (off >= VGA_MMIO_PORTS && off < VGA_MMIO_PORTS + 0x20)
		return vga_port_read(v, 0x3c0 + off - VGA_MMIO_PORTS);
	if (off >= VGA_MMIO_DISPI && off < VGA_MMIO_DISPI + 2 * DISPI_REGS) {
		i = off - VGA_MMIO_DISPI;
		return (uint8_t)(vga_dispi_read(v, i / 2) >> (8 * (i & 1)));
	}
	if (off >= VGA_MMIO_QEXT && off < VGA_MMIO_QEXT + VGA_QEXT_SIZE) {
		i = off - VGA_MMIO_QEXT;
		return (uint8_t)(qext[i / 4] >> (8 * (i & 3)));
	}
	return off < VGA_MMIO_PORTS ? 0 : 0xff; /* past the EDID: zeroes */
}

static uint64_t vga_mmio_read(void *opaque, uint64_t off, unsigned size)
{
	struct vga *v = opaque;
	uint64_t val = 0;

	LOCK_GUARD(&v->lock);
	for (unsigned i = 0; i < size; i++)
		val |= (uint64_t)vga_mmio_byte(v, (unsigned)off + i) << (8 * i);
	return val;
}

/* The byte order register is fixed; other places cannot be written. */
static void vga_mmio_write(void *opaque, uint64_t off, uint64_t val,
	unsigned size)
{
	struct vga *v = opaque;

	if (off >= VGA_MMIO_PORTS && off < VGA_MMIO_PORTS + 0x20) {
		LOCK_GUARD(&v->lock);
		for (unsigned i = 0; i < size; i++)
			vga_port_write(v,
				0x3c0 + (unsigned)off - VGA_MMIO_PORTS + i,
				(uint8_t)(val >> (8 * i)));
		return;
	}
	if (off < VGA_MMIO_DISPI || off >= VGA_MMIO_DISPI + 2 * DISPI_REGS ||
		(off & 1) || size < 2)
		return;
	for (unsigned i = 0; i < size; i += 2)
		vga_dispi_set(v, (unsigned)(off - VGA_MMIO_DISPI + i) / 2,
			(uint16_t)(val >> (8 * i)));
}

static const struct bus_ops vga_mmio_ops = {
	.read = vga_mmio_read,
	.write = vga_mmio_write,
};

/* ---- the screen's source ---- */

static void vga_snapshot_dispi(const struct vga *v, struct vga_state *st)
{
	struct vga_geometry g;

	st->lfb = vga_dispi_on(v);
	if (!st->lfb)
		return;
	vga_dispi_geometry(v, &g);
	st->lfb_width = g.width;
	st->lfb_height = g.height;
	st->lfb_bpp = g.bpp;
	st->lfb_pitch = g.pitch;
	st->lfb_offset = g.offset;
}

/* Registers and dirty pages as they are now, for the display thread. */
static void vga_snapshot(struct vga *v)
{
	struct vga_state *st = &v->state;
	uint64_t ms = clock_now_ns() / NS_PER_MS;

	LOCK_GUARD(&v->lock);
	memcpy(st->seq, v->seq, sizeof(st->seq));
	memcpy(st->crtc, v->crtc, sizeof(st->crtc));
	memcpy(st->gfx, v->gfx, sizeof(st->gfx));
	memcpy(st->attr, v->attr, sizeof(st->attr));
	memcpy(st->palette, v->palette, sizeof(st->palette));
	st->video_on = v->attr_index & 0x20;
	st->pel_mask = v->pel_mask;
	st->dac8 = v->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC;
	st->cursor_phase = ms / VGA_CURSOR_MS % 2;
	st->blink_phase = ms / VGA_BLINK_MS % 2;
	vga_snapshot_dispi(v, st);

	gmem_view_dirty(v->bar0, v->dirty);
	vga_window_collect(v);
	for (unsigned i = 0; i < VGA_PAGE_WORDS; i++) {
		v->dirty[i] |= v->written[i];
		v->written[i] = 0;
	}
}

static void vga_refresh(void *arg, struct surface *s, bool full,
	struct display_text *text)
{
	struct vga *v = arg;

	memset(v->dirty, 0, sizeof(v->dirty));
	bus_flush(v->core->mmio);
	vga_snapshot(v);
	vgascan_paint(v->scan, &v->state, v->dirty, full, s, text);
}

/*
 * The guest finds the size the next time it reads the EDID: stdvga has no
 * interrupt to tell of a change.
 */
static void vga_resize_hint(void *arg, unsigned width, unsigned height)
{
	struct vga *v = arg;

	width &= ~7u;
	if (width < 640 || height < 480 || width > VGA_EDID_MAX_W ||
		height > DISPLAY_MAX_H ||
		(uint64_t)width * height * 4 > VGA_VRAM_BYTES)
		return;
	LOCK_GUARD(&v->lock);
	vga_edid_fill(v->edid, width, height);
}

/* ---- life ---- */

static struct vga *vga_of(struct device *d)
{
	return container_of(d, struct vga, dev);
}

static void vga_reset(struct device *d)
{
	struct vga *v = vga_of(d);

	LOCK_GUARD(&v->lock);
	vga_regs_reset(v);
	vga_window_update(v);
}

static void vga_free(struct device *d)
{
	struct vga *v = vga_of(d);

	if (v->display)
		display_set_source(v->display, NULL);
	bus_unmap(v->core->pio, &v->ports);
	bus_unmap(v->core->pio, &v->dispi_ports);
	bus_unmap(v->core->mmio, &v->legacy);
	if (v->pci.bus)
		pci_dev_del(&v->pci);
	/* views and block are gmem's */
	vgascan_free(v->scan);
	lock_fini(&v->lock);
	free(v);
}

static const struct device_ops vga_ops = {
	.reset = vga_reset,
	.free = vga_free,
};

static int vga_memory(struct vga *v, struct err *e)
{
	int r = gmem_block_new(v->core->gmem, "vram", VGA_VRAM_BYTES, &v->block,
		e);

	if (!r)
		r = gmem_view_new(v->block, 0, VGA_VRAM_BYTES, GMEM_DIRTY,
			&v->bar0, e);
	if (!r)
		r = gmem_view_new(v->block, 0, 0x10000, GMEM_DIRTY, &v->win64,
			e);
	if (!r)
		r = gmem_view_new(v->block, 0, 0x8000, GMEM_DIRTY, &v->win32,
			e);
	if (!r)
		v->vram = gmem_block_ptr(v->block);
	return r;
}

static int vga_pci(struct vga *v, struct pci_bus *b, unsigned devfn,
	const void *rom, size_t rom_len, struct err *e)
{
	static const struct pci_ids ids = {
		.vendor = 0x1234,
		.device = 0x1111,
		.subvendor = 0x1af4,
		.subdevice = 0x1100,
		.class_rev = 0x03000002,
	};
	int r = pci_dev_add(b, &v->pci, "vga", devfn, &ids, e);

	if (r)
		return r;
	pci_bar_view(&v->pci, 0, PCI_BAR_MEM32, VGA_VRAM_BYTES, v->bar0);
	pci_bar_trap(&v->pci, 2, PCI_BAR_MEM32, VGA_MMIO_SIZE, &vga_mmio_ops,
		v);
	return rom ? pci_rom_add(&v->pci, rom, rom_len, e) : 0;
}

static void vga_region(struct vga *v, struct bus_region *r,
	const struct bus_ops *ops, uint64_t len)
{
	r->name = "vga";
	r->ops = ops;
	r->opaque = v;
	r->len = len;
	r->prio = BUS_FIXED;
}

static int vga_map_legacy(struct vga *v, struct err *e)
{
	int r;

	vga_region(v, &v->ports, &vga_ports_ops, 0x30);
	vga_region(v, &v->dispi_ports, &vga_dispi_ops, 4);
	vga_region(v, &v->legacy, &vga_legacy_ops, VGA_WIN_SIZE);
	r = bus_map(v->core->pio, &v->ports, 0x3b0);
	if (!r)
		r = bus_map(v->core->pio, &v->dispi_ports, 0x1ce);
	if (!r)
		r = bus_map(v->core->mmio, &v->legacy, VGA_WIN_BASE);
	return r ? err_sys(e, -r, "vga: cannot map the legacy ports") : 0;
}

static void vga_show(struct vga *v, struct display *display)
{
	const struct display_source src = {
		.refresh = vga_refresh,
		.resize_hint = vga_resize_hint,
		.arg = v,
	};

	v->display = display;
	if (display)
		display_set_source(display, &src);
}

int vga_new(struct core *core, struct pci_bus *b, unsigned devfn,
	const void *rom, size_t rom_len, struct display *display,
	struct device **out, struct err *e)
{
	struct vga *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_sys(e, ENOMEM, "vga");
	v->dev.name = "vga";
	v->dev.ops = &vga_ops;
	v->core = core;
	lock_init(&v->lock, "vga", LOCK_DEVICE);
	vga_regs_reset(v);
	vga_edid_fill(v->edid, VGA_EDID_W, VGA_EDID_H);
	r = vgascan_new(&v->scan, e);
	if (!r)
		r = vga_memory(v, e);
	if (!r) {
		v->state.vram = v->vram;
		v->state.vram_size = VGA_VRAM_BYTES;
		r = vga_pci(v, b, devfn, rom, rom_len, e);
	}
	if (!r)
		r = vga_map_legacy(v, e);
	if (r) {
		vga_free(&v->dev);
		return r;
	}
	vga_window_update(v);
	vga_show(v, display);
	*out = &v->dev;
	return 0;
}
