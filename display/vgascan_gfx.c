/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Graphics modes of the VGA (16, 4 and 2 colours, 256 chained and not) and
 * the linear framebuffer of dispi. A line is converted only when a page it
 * comes from may have changed.
 */
#include <string.h>

#include "vm/base/bytes.h"

#include "display/vgascan_impl.h"

/* A line of memory: where it starts and which of a row's lines it is. */
struct gfx_line {
	uint32_t counter;
	unsigned scan;
	unsigned pan;
};

/* Write px[0..n) dup times each to out; returns the next place. */
static uint32_t *gfx_emit(uint32_t *out, const uint32_t *px, unsigned n,
	unsigned dup)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < dup; k++)
			*out++ = px[i];
	return out;
}

/* Eight dots of four planes as attribute values. */
static void gfx_planar(const struct vgascan_job *j, const struct gfx_line *l,
	unsigned col, uint32_t px[8])
{
	const struct vgascan *sc = j->sc;
	uint32_t a = vgascan_addr(&sc->mode, l->counter + col, l->scan);
	uint64_t v = 0;

	for (unsigned p = 0; p < 4; p++)
		if (sc->mode.planes >> p & 1)
			v |= sc->spread[vgascan_plane(j, a, p)] << p;
	for (unsigned i = 0; i < 8; i++)
		px[i] = sc->attrs[v >> (8 * i) & 15];
}

/* Four dots of two bits from each byte pair (planes 0 and 2, then 1 and 3). */
static void gfx_cga(const struct vgascan_job *j, const struct gfx_line *l,
	unsigned col, uint32_t px[8])
{
	const struct vgascan *sc = j->sc;
	uint32_t a = vgascan_addr(&sc->mode, l->counter + col, l->scan);

	for (unsigned i = 0; i < 8; i++) {
		unsigned shift = 6 - 2 * (i & 3), p = i >> 2, v;

		v = (vgascan_plane(j, a, p) >> shift & 3) |
		    (vgascan_plane(j, a, p + 2) >> shift & 3) << 2;
		px[i] = sc->attrs[v & sc->mode.planes];
	}
}

/* Four pixels of two dots, one from each plane. */
static void gfx_packed(const struct vgascan_job *j, const struct gfx_line *l,
	unsigned col, uint32_t px[8])
{
	const struct vgascan *sc = j->sc;
	uint32_t c = l->counter + col;

	for (unsigned i = 0; i < 4; i++) {
		uint32_t at;

		if (sc->mode.chain4)
			at = (4 * c + i) & (VGA_PLANES_SIZE - 1);
		else
			at = vga_plane_offset(vgascan_addr(&sc->mode, c,
						      l->scan),
				i);
		px[2 * i] = px[2 * i + 1] = sc->colours[j->st->vram[at]];
	}
}

/* Convert a line into sc->line; panning needs one character more. */
static void gfx_convert(struct vgascan_job *j, const struct gfx_line *l)
{
	struct vgascan *sc = j->sc;
	const struct vgascan_mode *m = &sc->mode;
	uint32_t px[8], *out = sc->line;
	uint32_t *end = sc->line + DISPLAY_MAX_W;

	for (unsigned col = 0; col <= m->cols && out < end; col++) {
		if (m->kind == VGASCAN_PLANAR)
			gfx_planar(j, l, col, px);
		else if (m->kind == VGASCAN_CGA)
			gfx_cga(j, l, col, px);
		else
			gfx_packed(j, l, col, px);
		out = gfx_emit(out, px, 8, m->dup);
	}
}

/* May the memory of a line have changed? */
static bool gfx_line_dirty(const struct vgascan_job *j,
	const struct gfx_line *l)
{
	const struct vgascan_mode *m = &j->sc->mode;
	uint32_t last = l->counter + m->cols, lo, hi;

	if (m->kind == VGASCAN_PACKED && m->chain4) {
		lo = 4 * l->counter & (VGA_PLANES_SIZE - 1);
		hi = 4 * last & (VGA_PLANES_SIZE - 1);
		return hi < lo || vgascan_dirty(j, lo, hi - lo + 4);
	}
	lo = vgascan_addr(m, l->counter, l->scan);
	hi = vgascan_addr(m, last, l->scan);
	if (hi < lo || last - l->counter > hi - lo)
		return true; /* it wraps: not worth the sums */
	for (uint32_t part = 0; part < VGA_PLANES_SIZE; part += 0x10000)
		if (vgascan_dirty(j, part + (lo & ~1u), hi - lo + 4))
			return true;
	return false;
}

/* Which line of memory shows at line y of the picture? */
static void gfx_locate(const struct vgascan_mode *m, unsigned y,
	struct gfx_line *l)
{
	bool below = y > m->split;
	unsigned repeat = m->repeat ? m->repeat : 1;
	unsigned n, first = below ? 0 : m->first_scan;

	if (first >= repeat)
		first = 0;
	n = (below ? y - m->split - 1 : y) >> m->double_shift;
	n += first;
	l->scan = n % repeat;
	l->counter = (below ? 0 : m->start) + n / repeat * m->pitch;
	l->pan = below && m->pan_split ? 0 : m->pan;
}

void vgascan_graphics(struct vgascan_job *j)
{
	struct vgascan *sc = j->sc;
	const struct vgascan_mode *m = &sc->mode;
	struct gfx_line l, have = { 0, 0, 0 };
	bool converted = false;
	unsigned width = m->width < DISPLAY_MAX_W ? m->width : DISPLAY_MAX_W;

	for (unsigned y = 0; y < m->height && y < surface_height(j->s); y++) {
		gfx_locate(m, y, &l);
		if (!gfx_line_dirty(j, &l))
			continue;
		/* a line that is shown twice is converted once */
		if (!converted || l.counter != have.counter ||
			l.scan != have.scan)
			gfx_convert(j, &l);
		converted = true;
		have = l;
		surface_put_row(j->s, 0, y, sc->line + l.pan * m->dup, width);
	}
}

/* ---- linear framebuffer ---- */

static void lfb_line(const struct vgascan_job *j, const uint8_t *p,
	uint32_t *out, unsigned n)
{
	const uint32_t *colours = j->sc->colours;
	unsigned v;

	switch (j->sc->mode.bpp) {
	case 8:
		for (unsigned i = 0; i < n; i++)
			out[i] = colours[p[i]];
		break;
	case 15:
		for (unsigned i = 0; i < n; i++) {
			v = get_le16(p + 2 * i);
			out[i] = (v & 0x7c00) << 9 | (v & 0x7000) << 4 |
				 (v & 0x3e0) << 6 | (v & 0x380) << 1 |
				 (v & 0x1f) << 3 | (v & 0x1c) >> 2;
		}
		break;
	case 16:
		for (unsigned i = 0; i < n; i++) {
			v = get_le16(p + 2 * i);
			out[i] = (v & 0xf800) << 8 | (v & 0xe000) << 3 |
				 (v & 0x7e0) << 5 | (v & 0x600) >> 1 |
				 (v & 0x1f) << 3 | (v & 0x1c) >> 2;
		}
		break;
	case 24:
		for (unsigned i = 0; i < n; i++)
			out[i] = p[3 * i] | (uint32_t)p[3 * i + 1] << 8 |
				 (uint32_t)p[3 * i + 2] << 16;
		break;
	case 32:
		for (unsigned i = 0; i < n; i++)
			out[i] = get_le32(p + 4 * (size_t)i) & 0xffffff;
		break;
	default:
		memset(out, 0, (size_t)n * 4);
	}
}

void vgascan_lfb(struct vgascan_job *j)
{
	struct vgascan *sc = j->sc;
	const struct vgascan_mode *m = &sc->mode;
	unsigned width = m->width < DISPLAY_MAX_W ? m->width : DISPLAY_MAX_W;
	uint64_t bytes = (uint64_t)width * ((m->bpp + 7) / 8);

	for (unsigned y = 0; y < m->height && y < surface_height(j->s); y++) {
		uint64_t off = m->offset + (uint64_t)y * m->lfb_pitch;

		if (off > j->st->vram_size || bytes > j->st->vram_size - off) {
			if (!j->full)
				continue;
			memset(sc->line, 0, (size_t)width * 4);
		} else {
			if (!vgascan_dirty(j, off, bytes))
				continue;
			lfb_line(j, j->st->vram + off, sc->line, width);
		}
		surface_put_row(j->s, 0, y, sc->line, width);
	}
}
