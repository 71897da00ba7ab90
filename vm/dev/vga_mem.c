/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The window at 0xA0000-0xBFFFF. Where what the guest would see is linear in
 * video memory (256-colour modes, dispi banks, and by the order in which
 * planes are kept, colour text) a view shows it and costs no exit. All else
 * traps and goes through the VGA's data path: latches, write modes 0 to 3,
 * read modes 0 and 1, odd/even. Under the device's lock, which ranks before
 * the views' (LOCK_BUS).
 */
#include <string.h>

#include "vm/dev/vga_impl.h"

#define VGA_WIN64 0x10000u

/* Do writes go through the data path unchanged, as reads do? */
static bool vga_path_plain(const struct vga *v)
{
	return !(v->gfx[5] & 0x0b) && !(v->gfx[1] & 0x0f) && !v->gfx[3] &&
	       v->gfx[8] == 0xff;
}

static bool vga_chain4(const struct vga *v)
{
	return v->seq[4] & 8;
}

static bool vga_odd_even(const struct vga *v)
{
	return v->gfx[5] & 0x10;
}

/* Memory map select: 0 = 128 KiB, 1 = 64 KiB at A0000, 2 = B0000, 3 = B8000 */
static unsigned vga_map(const struct vga *v)
{
	return v->gfx[6] >> 2 & 3;
}

static enum vga_window vga_window_wanted(const struct vga *v)
{
	unsigned map = vga_map(v);

	if (vga_dispi_linear(v))
		return map <= 1 ? VGA_WINDOW_A0000 : VGA_WINDOW_TRAP;
	if (vga_chain4(v))
		return map == 1 && v->seq[2] == 0x0f && vga_path_plain(v)
			       ? VGA_WINDOW_A0000
			       : VGA_WINDOW_TRAP;
	if (map >= 2 && vga_odd_even(v) && !(v->seq[4] & 4) && v->seq[2] == 3 &&
		!(v->gfx[4] & 2) && vga_path_plain(v))
		return map == 2 ? VGA_WINDOW_B0000 : VGA_WINDOW_B8000;
	return VGA_WINDOW_TRAP;
}

static struct gmem_view *vga_window_view(const struct vga *v)
{
	switch (v->window) {
	case VGA_WINDOW_A0000:
		return v->win64;
	case VGA_WINDOW_B0000:
	case VGA_WINDOW_B8000:
		return v->win32;
	case VGA_WINDOW_TRAP:
		break;
	}
	return NULL;
}

void vga_window_collect(struct vga *v)
{
	struct gmem_view *view = vga_window_view(v);
	uint64_t bits = 0;
	unsigned page;

	/* a window has 16 pages and starts at a multiple of 16 */
	if (!view || gmem_view_dirty(view, &bits) <= 0)
		return;
	page = v->window == VGA_WINDOW_A0000 ? v->window_off / VGA_PAGE : 0;
	v->written[page / 64] |= (bits & 0xffff) << (page % 64);
}

static gpa_t vga_window_base(enum vga_window w)
{
	switch (w) {
	case VGA_WINDOW_B0000:
		return 0xB0000;
	case VGA_WINDOW_B8000:
		return 0xB8000;
	default:
		return VGA_WIN_BASE;
	}
}

/*
 * Let KVM gather writes to what traps: planes are written byte by byte, a
 * font upload is 8192 of them. They arrive before the next exit is handled,
 * and refresh asks for them.
 */
static void vga_window_coalesce(struct vga *v, bool on)
{
	if (v->coalesced == on)
		return;
	v->coalesced = on;
	bus_coalesce(v->core->mmio, VGA_WIN_BASE, VGA_WIN_SIZE, on);
}

void vga_window_update(struct vga *v)
{
	enum vga_window want = vga_window_wanted(v);
	uint32_t off =
		vga_dispi_linear(v) ? v->dispi[DISPI_BANK] * VGA_WIN64 : 0;
	struct gmem_view *view;

	if (want == v->window &&
		(want != VGA_WINDOW_A0000 || off == v->window_off)) {
		vga_window_coalesce(v, want == VGA_WINDOW_TRAP);
		return;
	}
	/* what was written through the old window counts under its place */
	vga_window_collect(v);
	view = vga_window_view(v);
	if (view && want != v->window)
		gmem_view_unmap(view);
	v->window = want;
	view = vga_window_view(v);
	vga_window_coalesce(v, !view);
	if (!view)
		return;
	if (want == VGA_WINDOW_A0000) {
		v->window_off = off;
		gmem_view_shift(view, off);
	}
	/* when it fails accesses trap, which is slower but right */
	gmem_view_map(view, vga_window_base(want));
}

/* ---- trapped accesses ---- */

/* Offset into the memory that the window shows; false = not decoded. */
static bool vga_decode(const struct vga *v, uint32_t off, uint32_t *out)
{
	switch (vga_map(v)) {
	case 0:
		*out = off;
		return off < VGA_WIN_SIZE;
	case 1:
		*out = off;
		return off < VGA_WIN64;
	case 2:
		*out = off - 0x10000;
		return off >= 0x10000 && off < 0x18000;
	default:
		*out = off - 0x18000;
		return off >= 0x18000 && off < VGA_WIN_SIZE;
	}
}

/* Where chained or dispi memory is linear: the byte's place. */
static uint32_t vga_linear_at(const struct vga *v, uint32_t at)
{
	if (vga_dispi_linear(v))
		at += v->dispi[DISPI_BANK] * VGA_WIN64;
	return at % VGA_VRAM_BYTES;
}

static bool vga_is_linear(const struct vga *v)
{
	return vga_dispi_linear(v) || vga_chain4(v);
}

static void vga_latch(struct vga *v, uint32_t addr)
{
	for (unsigned p = 0; p < 4; p++)
		v->latch[p] = v->vram[vga_plane_offset(addr, p)];
}

/* Read mode 1: a bit is 1 where the four planes have the wanted colour. */
static uint8_t vga_compare(const struct vga *v)
{
	uint8_t differs = 0;

	for (unsigned p = 0; p < 4; p++) {
		uint8_t want = v->gfx[2] >> p & 1 ? 0xff : 0;

		if (v->gfx[7] >> p & 1)
			differs |= v->latch[p] ^ want;
	}
	return (uint8_t)~differs;
}

uint8_t vga_mem_read(struct vga *v, uint32_t off)
{
	uint32_t at;
	unsigned plane = v->gfx[4] & 3;

	if (!vga_decode(v, off, &at))
		return 0xff;
	if (vga_is_linear(v))
		return v->vram[vga_linear_at(v, at)];
	if (vga_odd_even(v)) {
		plane = (plane & 2) | (at & 1);
		at &= ~1u;
	}
	vga_latch(v, at);
	return v->gfx[5] & 8 ? vga_compare(v) : v->latch[plane];
}

static uint8_t vga_rotate(const struct vga *v, uint8_t val)
{
	unsigned n = v->gfx[3] & 7;

	return (uint8_t)(val >> n | (unsigned)val << (8 - n));
}

/* The logic unit: val with what the latch of the plane holds. */
static uint8_t vga_logic(const struct vga *v, uint8_t val, uint8_t latch)
{
	switch (v->gfx[3] >> 3 & 3) {
	case 1:
		return val & latch;
	case 2:
		return val | latch;
	case 3:
		return val ^ latch;
	}
	return val;
}

static uint8_t vga_bit(uint8_t bits, unsigned p)
{
	return bits >> p & 1 ? 0xff : 0;
}

/* What write mode 0 to 3 puts into plane p for the byte val. */
static uint8_t vga_write_value(const struct vga *v, uint8_t val, unsigned p)
{
	uint8_t mask = v->gfx[8], latch = v->latch[p];

	switch (v->gfx[5] & 3) {
	case 1:
		return latch;
	case 2:
		val = vga_logic(v, vga_bit(val, p), latch);
		break;
	case 3:
		mask &= vga_rotate(v, val);
		val = vga_bit(v->gfx[0], p);
		break;
	default:
		val = vga_rotate(v, val);
		if (v->gfx[1] >> p & 1)
			val = vga_bit(v->gfx[0], p);
		val = vga_logic(v, val, latch);
	}
	return (uint8_t)((val & mask) | (latch & ~mask));
}

void vga_mem_write(struct vga *v, uint32_t off, uint8_t val)
{
	unsigned planes = v->seq[2] & 15;
	uint32_t at;

	if (!vga_decode(v, off, &at))
		return;
	if (vga_is_linear(v)) {
		if (!vga_dispi_linear(v) && !(planes >> (at & 3) & 1))
			return;
		at = vga_linear_at(v, at);
		v->vram[at] = val;
		vga_mark(v, at);
		return;
	}
	if (vga_odd_even(v)) {
		planes &= at & 1 ? 0x0a : 0x05;
		at &= ~1u;
	}
	for (unsigned p = 0; p < 4; p++) {
		uint32_t to = vga_plane_offset(at, p);

		if (!(planes >> p & 1))
			continue;
		v->vram[to] = vga_write_value(v, val, p);
		vga_mark(v, to);
	}
}
