/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scanner's front: which mode is it, what are its colours, who paints. */
#include "display/vgascan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "display/vgascan_impl.h"

#define VGASCAN_PAGE 4096

int vgascan_new(struct vgascan **out, struct err *e)
{
	struct vgascan *sc = calloc(1, sizeof(*sc));

	if (!sc)
		return err_sys(e, ENOMEM, "cannot make a VGA scanner");
	for (unsigned v = 0; v < 256; v++)
		for (unsigned bit = 0; bit < 8; bit++)
			if (v & (0x80 >> bit))
				sc->spread[v] |= UINT64_C(1) << (8 * bit);
	*out = sc;
	return 0;
}

void vgascan_free(struct vgascan *sc)
{
	free(sc);
}

bool vgascan_dirty(const struct vgascan_job *j, uint64_t off, uint64_t len)
{
	uint64_t last;

	if (j->full || !j->dirty)
		return true;
	if (!len || off >= j->st->vram_size)
		return false;
	last = off + len - 1;
	if (last >= j->st->vram_size)
		last = j->st->vram_size - 1;
	for (uint64_t p = off / VGASCAN_PAGE; p <= last / VGASCAN_PAGE; p++)
		if (j->dirty[p / 64] >> (p % 64) & 1)
			return true;
	return false;
}

/* ---- mode ---- */

static unsigned vgascan_height(const struct vga_state *st)
{
	unsigned h = st->crtc[0x12] | (unsigned)(st->crtc[7] & 0x02) << 7 |
		     (unsigned)(st->crtc[7] & 0x40) << 3;

	return h + 1;
}

static unsigned vgascan_split(const struct vga_state *st)
{
	return st->crtc[0x18] | (unsigned)(st->crtc[7] & 0x10) << 4 |
	       (unsigned)(st->crtc[9] & 0x40) << 3;
}

/* Text lines count in characters, of 8 dots or 9; others have 8. */
static void vgascan_vga_size(const struct vga_state *st, struct vgascan_mode *m)
{
	m->dots = m->kind == VGASCAN_TEXT && !(st->seq[1] & 1) ? 9 : 8;
	m->dup = st->seq[1] & 8 ? 2 : 1;
	m->cols = st->crtc[1] + 1u;
	m->width = m->cols * m->dots * m->dup;
	m->height = vgascan_height(st);
}

/* Dots that the picture moves to the left. */
static unsigned vgascan_pan(const struct vga_state *st, enum vgascan_kind kind)
{
	unsigned pan = st->attr[0x13] & 15;

	if (kind == VGASCAN_TEXT || pan > 7)
		return 0;
	return kind == VGASCAN_PACKED ? pan & 6 : pan;
}

static void vgascan_vga_mode(const struct vga_state *st, struct vgascan_mode *m)
{
	if (!(st->gfx[6] & 1))
		m->kind = VGASCAN_TEXT;
	else if (st->gfx[5] & 0x40)
		m->kind = VGASCAN_PACKED;
	else if (st->gfx[5] & 0x20)
		m->kind = VGASCAN_CGA;
	else
		m->kind = VGASCAN_PLANAR;
	vgascan_vga_size(st, m);
	m->repeat = (st->crtc[9] & 0x1f) + 1u;
	m->double_shift = st->crtc[9] >> 7;
	m->start = ((uint32_t)st->crtc[0xc] << 8 | st->crtc[0xd]) +
		   (st->crtc[8] >> 5 & 3);
	m->pitch = st->crtc[0x13] * 2u;
	m->first_scan = st->crtc[8] & 0x1f;
	m->split = vgascan_split(st);
	m->pan = vgascan_pan(st, m->kind);
	m->pan_split = st->attr[0x10] & 0x20;
	m->chain4 = st->seq[4] & 8;
	m->crtc14 = st->crtc[0x14];
	m->crtc17 = st->crtc[0x17];
	m->attr10 = st->attr[0x10];
	m->planes = st->attr[0x12] & 15;
	m->font_select = st->seq[3];
}

/* 16 colours with the geometry of dispi: lines are plain plane bytes. */
static void vgascan_lfb_planar(const struct vga_state *st,
	struct vgascan_mode *m)
{
	m->kind = VGASCAN_PLANAR;
	m->dots = 8;
	m->dup = 1;
	m->cols = (st->lfb_width + 7) / 8;
	m->repeat = 1;
	m->start = (uint32_t)st->lfb_offset;
	m->pitch = st->lfb_pitch;
	m->split = UINT32_MAX;
	m->crtc17 = 0x43; /* bytes, no interleave */
	m->planes = st->attr[0x12] & 15;
}

static void vgascan_mode_of(const struct vga_state *st, struct vgascan_mode *m)
{
	memset(m, 0, sizeof(*m));
	if (!st->video_on || (!st->lfb && (st->seq[1] & 0x20))) {
		m->kind = VGASCAN_BLANK;
		return;
	}
	if (!st->lfb) {
		vgascan_vga_mode(st, m);
		return;
	}
	if (st->lfb_bpp == 4) {
		vgascan_lfb_planar(st, m);
	} else {
		m->kind = VGASCAN_LFB;
		m->bpp = st->lfb_bpp;
		m->offset = st->lfb_offset;
		if (m->offset > st->vram_size)
			m->offset = st->vram_size; /* all black */
		m->lfb_pitch = st->lfb_pitch;
	}
	m->width = st->lfb_width;
	m->height = st->lfb_height;
}

/* ---- colours ---- */

static uint32_t vgascan_dac(const struct vga_state *st, unsigned i)
{
	uint32_t rgb = 0;

	for (int c = 0; c < 3; c++) {
		unsigned v = st->palette[i][c];

		if (!st->dac8)
			v = (v & 0x3f) << 2 | (v >> 4 & 3);
		rgb = rgb << 8 | v;
	}
	return rgb;
}

/* Which DAC entry attribute value i shows. */
static unsigned vgascan_attr(const struct vga_state *st, unsigned i)
{
	unsigned v = st->attr[i] & 0x3f;

	if (st->attr[0x10] & 0x80)
		v = (v & 15) | (unsigned)(st->attr[0x14] & 3) << 4;
	v |= (unsigned)(st->attr[0x14] & 0xc) << 4;
	return v & st->pel_mask;
}

/* Returns whether any colour changed. */
static bool vgascan_colours(struct vgascan *sc, const struct vga_state *st)
{
	uint32_t colours[256], attrs[16];
	bool changed;

	for (unsigned i = 0; i < 256; i++)
		colours[i] = vgascan_dac(st, i & st->pel_mask);
	for (unsigned i = 0; i < 16; i++)
		attrs[i] = vgascan_dac(st, vgascan_attr(st, i));
	changed = memcmp(sc->colours, colours, sizeof(colours)) ||
		  memcmp(sc->attrs, attrs, sizeof(attrs));
	memcpy(sc->colours, colours, sizeof(colours));
	memcpy(sc->attrs, attrs, sizeof(attrs));
	return changed;
}

/* ---- painting ---- */

static void vgascan_blank(struct vgascan_job *j)
{
	static const uint32_t black[DISPLAY_MAX_W];

	/* a screen that never had a mode looks like text will */
	if (!surface_width(j->s) && surface_resize(j->s, 720, 400))
		return;
	if (!j->full)
		return;
	for (unsigned y = 0; y < surface_height(j->s); y++)
		surface_put_row(j->s, 0, y, black, DISPLAY_MAX_W);
}

/* What is right of and below the mode's picture (tiny modes) is black. */
static void vgascan_border(struct vgascan_job *j)
{
	static const uint32_t black[DISPLAY_MAX_W];
	const struct vgascan_mode *m = &j->sc->mode;

	for (unsigned y = 0; y < surface_height(j->s); y++)
		surface_put_row(j->s, y < m->height ? m->width : 0, y, black,
			DISPLAY_MAX_W);
}

void vgascan_paint(struct vgascan *sc, const struct vga_state *st,
	const uint64_t *dirty, bool full, struct surface *s,
	struct display_text *text)
{
	struct vgascan_job j = {
		.sc = sc,
		.st = st,
		.dirty = dirty,
		.s = s,
		.text = text,
		.full = full,
	};
	const uint32_t *was = surface_pixels(s);
	struct vgascan_mode m;

	assert(st->vram_size >= VGA_PLANES_SIZE);
	vgascan_mode_of(st, &m);
	if (vgascan_colours(sc, st))
		j.full = true;
	/* both were cleared as bytes first */
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
	if (memcmp(&m, &sc->mode, sizeof(m)))
		j.full = true;
	memcpy(&sc->mode, &m, sizeof(m));
	text->cols = text->rows = 0;
	if (m.kind == VGASCAN_BLANK) {
		vgascan_blank(&j);
		return;
	}
	if (surface_resize(s, m.width, m.height)) {
		memset(&sc->mode, 0, sizeof(sc->mode)); /* try again */
		return;
	}
	if (surface_pixels(s) != was)
		j.full = true;
	if (j.full)
		vgascan_border(&j);
	if (m.kind == VGASCAN_TEXT)
		vgascan_text(&j);
	else if (m.kind == VGASCAN_LFB)
		vgascan_lfb(&j);
	else
		vgascan_graphics(&j);
}
