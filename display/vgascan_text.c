/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text modes. Cells are compared with what was painted last, so dirty pages
 * matter only for fonts (plane 2). A split screen starts a new band of rows.
 */
#include <string.h>

#include "vm/base/sizes.h"

#include "display/vgascan_impl.h"

#define CELL_CURSOR (1u << 16)
#define CELL_HIDDEN (1u << 17) /* blinks and is in its dark half */

/* Rows from surface line y on, down to line end. */
struct text_band {
	unsigned y, end;
	uint32_t counter;
	unsigned first_scan;
};

struct text_walk {
	struct vgascan_job *j;
	unsigned row;   /* of the whole screen */
	unsigned cellh; /* surface lines a row */
};

static uint32_t text_font(uint8_t select, bool map_a)
{
	unsigned m = map_a ? (select >> 2 & 3) | (select >> 3 & 4)
			   : (select & 3) | (select >> 2 & 4);

	return (m & 3) * 0x4000 + (m & 4 ? 0x2000 : 0);
}

/* The dots of one line of a glyph, leftmost in bit 8. */
static unsigned text_dots(const struct vgascan_job *j, uint32_t cell,
	unsigned scan)
{
	const struct vgascan_mode *m = &j->sc->mode;
	uint8_t ch = (uint8_t)cell, attr = (uint8_t)(cell >> 8);
	uint32_t font = text_font(m->font_select, attr & 8);
	unsigned dots;

	dots = (unsigned)vgascan_plane(j, font + ch * 32u + scan, 2) << 1;
	if ((m->attr10 & 4) && ch >= 0xc0 && ch <= 0xdf)
		dots |= dots >> 1 & 1; /* line graphics reach the next cell */
	if ((attr & 7) == 1 && scan == (m->crtc14 & 0x1fu))
		dots = 0x1ff;
	return dots;
}

static bool text_cursor_line(const struct vga_state *st, unsigned scan)
{
	unsigned first = st->crtc[0xa] & 0x1f, last = st->crtc[0xb] & 0x1f;

	return scan >= first && scan <= last;
}

static void text_colours(const struct vgascan_job *j, uint32_t cell,
	uint32_t *fg, uint32_t *bg)
{
	uint8_t attr = (uint8_t)(cell >> 8);

	*fg = j->sc->attrs[attr & 15];
	*bg = j->sc->attrs[j->sc->mode.attr10 & 8 ? attr >> 4 & 7 : attr >> 4];
	if (cell & CELL_HIDDEN)
		*fg = *bg;
}

/* Paint one line of a cell at surface (x, y). */
static void text_paint_line(struct vgascan_job *j, uint32_t cell, unsigned scan,
	unsigned x, unsigned y)
{
	const struct vgascan_mode *m = &j->sc->mode;
	unsigned dots = text_dots(j, cell, scan), n = 0;
	uint32_t fg, bg, px[18];

	text_colours(j, cell, &fg, &bg);
	if ((cell & CELL_CURSOR) && text_cursor_line(j->st, scan)) {
		dots = 0x1ff;
		fg = j->sc->attrs[cell >> 8 & 15];
	}
	for (unsigned i = 0; i < m->dots; i++)
		for (unsigned k = 0; k < m->dup; k++)
			px[n++] = dots & (0x100u >> i) ? fg : bg;
	surface_put_row(j->s, x, y, px, n);
}

/* What is to be seen at counter c. */
static uint32_t text_cell(const struct vgascan_job *j, uint32_t c)
{
	const struct vgascan_mode *m = &j->sc->mode;
	const struct vga_state *st = j->st;
	uint32_t at = vgascan_addr(m, c, 0);
	uint8_t attr = vgascan_plane(j, at, 1);
	uint32_t cell = vgascan_plane(j, at, 0) | (uint32_t)attr << 8;
	uint32_t cursor = (uint32_t)st->crtc[0xe] << 8 | st->crtc[0xf];

	if ((c & 0xffff) == cursor && !(st->crtc[0xa] & 0x20) &&
		st->cursor_phase)
		cell |= CELL_CURSOR;
	if ((m->attr10 & 8) && (attr & 0x80) && !st->blink_phase)
		cell |= CELL_HIDDEN;
	return cell;
}

static void text_paint_cell(struct text_walk *w, const struct text_band *b,
	uint32_t cell, unsigned col)
{
	const struct vgascan_mode *m = &w->j->sc->mode;
	unsigned x = col * m->dots * m->dup;

	for (unsigned i = 0; i < w->cellh && b->y + i < b->end; i++)
		text_paint_line(w->j, cell,
			b->first_scan + (i >> m->double_shift), x, b->y + i);
}

/* Into the cells for terminals. */
static void text_note(struct text_walk *w, uint32_t c, unsigned col,
	uint32_t cell)
{
	struct display_text *t = w->j->text;
	const struct vga_state *st = w->j->st;
	struct display_cell *out = &t->cell[w->row * t->cols + col];

	out->ch = (uint8_t)cell;
	out->attr = (uint8_t)(cell >> 8);
	if ((c & 0xffff) == ((uint32_t)st->crtc[0xe] << 8 | st->crtc[0xf]) &&
		!(st->crtc[0xa] & 0x20) &&
		(st->crtc[0xa] & 0x1f) <= (st->crtc[0xb] & 0x1f)) {
		t->cursor_col = (int)col;
		t->cursor_row = (int)w->row;
	}
}

static void text_row(struct text_walk *w, const struct text_band *b)
{
	struct vgascan *sc = w->j->sc;
	const struct vgascan_mode *m = &sc->mode;

	for (unsigned col = 0; col < m->cols; col++) {
		uint32_t c = b->counter + col, cell = text_cell(w->j, c);
		size_t at = (size_t)w->row * m->cols + col;
		/* rows of a mode with hundreds of them are not remembered */
		uint32_t *was = at < VGASCAN_MAX_CELLS ? &sc->cell[at] : NULL;

		if (w->row < w->j->text->rows)
			text_note(w, c, col, cell);
		if (!w->j->full && was && *was == cell)
			continue;
		text_paint_cell(w, b, cell, col);
		if (was)
			*was = cell;
	}
}

static void text_band(struct text_walk *w, struct text_band *b)
{
	const struct vgascan_mode *m = &w->j->sc->mode;

	while (b->y < b->end) {
		unsigned lines = w->cellh;

		/* the first row may start inside its glyphs */
		if (b->first_scan >= m->repeat)
			b->first_scan = 0;
		lines -= b->first_scan << m->double_shift;
		if (b->end - b->y > lines) {
			struct text_band one = *b;

			one.end = b->y + lines;
			text_row(w, &one);
		} else {
			text_row(w, b);
		}
		b->y += lines;
		b->counter += m->pitch;
		b->first_scan = 0;
		w->row++;
	}
}

static void text_head(struct vgascan_job *j, unsigned cellh)
{
	const struct vgascan_mode *m = &j->sc->mode;
	struct display_text *t = j->text;

	t->cols = m->cols;
	t->rows = (m->height + cellh - 1) / cellh;
	if (t->rows > DISPLAY_TEXT_MAX_ROWS)
		t->rows = DISPLAY_TEXT_MAX_ROWS;
	t->cursor_col = t->cursor_row = -1;
	t->blink = m->attr10 & 8;
	for (unsigned i = 0; i < 16; i++)
		for (unsigned c = 0; c < 3; c++)
			t->palette[i][c] =
				(uint8_t)(j->sc->attrs[i] >> (16 - 8 * c));
	memset(t->cell, 0, (size_t)t->cols * t->rows * sizeof(t->cell[0]));
}

void vgascan_text(struct vgascan_job *j)
{
	const struct vgascan_mode *m = &j->sc->mode;
	struct text_walk w = { .j = j, .cellh = m->repeat << m->double_shift };
	unsigned height = m->height < surface_height(j->s)
				  ? m->height
				  : surface_height(j->s);
	struct text_band b = {
		.end = m->split < height ? m->split + 1 : height,
		.counter = m->start,
		.first_scan = m->first_scan,
	};

	/* a font changed: glyphs of planes 2 and 3 stand in the upper half */
	if (vgascan_dirty(j, VGA_PLANES_SIZE / 2, VGA_PLANES_SIZE / 2))
		j->full = true;
	text_head(j, w.cellh);
	if (b.end > height)
		b.end = height;
	text_band(&w, &b);
	if (b.end < height) {
		b.y = b.end;
		b.end = height;
		b.counter = 0;
		b.first_scan = 0;
		text_band(&w, &b);
	}
}
