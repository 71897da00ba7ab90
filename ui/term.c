/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvterm between a serial line and the canvas. What scrolls off the top is
 * kept as short cells in a ring of lines; memory is bounded by the ring and
 * by the largest terminal (PROTO_COLS_MAX).
 */
#include "ui/term.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#include "vm/base/sizes.h"

#include "ui/vtfilter.h"

struct term_cell {
	uint32_t c;
	int16_t fg, bg; /* 0..255 or -1 */
	uint8_t attr;   /* enum term_attr */
	uint8_t width;
};

enum term_attr {
	TERM_BOLD = 1,
	TERM_UNDERLINE = 2,
	TERM_REVERSE = 4,
	TERM_BLINK = 8,
};

struct term_line {
	struct term_cell *cell;
	int n;
};

struct term {
	VTerm *vt;
	VTermScreen *screen;
	struct vtfilter filter;
	int rows, cols;
	VTermPos cursor;
	bool visible, muted;
	void (*out)(void *arg, const char *data, size_t len);
	void *arg;
	struct term_line line[TERM_SCROLLBACK]; /* ring */
	unsigned first, lines;
};

static int16_t term_color(const VTermColor *c)
{
	if (VTERM_COLOR_IS_DEFAULT_FG(c) || VTERM_COLOR_IS_DEFAULT_BG(c))
		return -1;
	if (VTERM_COLOR_IS_INDEXED(c))
		return c->indexed.idx;
	return (int16_t)theme_from_rgb(c->rgb.red, c->rgb.green, c->rgb.blue);
}

static void term_cell_from(struct term_cell *to, const VTermScreenCell *from)
{
	uint32_t c = from->chars[0];

	/* the right half of a wide sign is marked by all ones */
	to->c = c == UINT32_MAX || c > 0x10ffff ? 0 : c;
	to->fg = term_color(&from->fg);
	to->bg = term_color(&from->bg);
	to->attr = (uint8_t)((from->attrs.bold ? TERM_BOLD : 0) |
			     (from->attrs.underline ? TERM_UNDERLINE : 0) |
			     (from->attrs.reverse ? TERM_REVERSE : 0) |
			     (from->attrs.blink ? TERM_BLINK : 0));
	to->width = c == UINT32_MAX ? 0 : from->width == 2 ? 2 : 1;
}

static int term_push_line(int cols, const VTermScreenCell *cells, void *user)
{
	struct term *t = user;
	unsigned at = (t->first + t->lines) % TERM_SCROLLBACK;
	struct term_line *l = &t->line[at];
	int n = cols;

	/* blank ends need no memory */
	while (n && !cells[n - 1].chars[0] && !cells[n - 1].attrs.reverse &&
		VTERM_COLOR_IS_DEFAULT_BG(&cells[n - 1].bg))
		n--;
	if (t->lines == TERM_SCROLLBACK)
		t->first = (t->first + 1) % TERM_SCROLLBACK;
	else
		t->lines++;
	free(l->cell);
	l->cell = n ? calloc((size_t)n, sizeof(*l->cell)) : NULL;
	l->n = l->cell ? n : 0;
	for (int i = 0; i < l->n; i++)
		term_cell_from(&l->cell[i], &cells[i]);
	return 1;
}

static int term_moved(VTermPos pos, VTermPos old, int visible, void *user)
{
	struct term *t = user;

	(void)old;
	(void)visible;
	t->cursor = pos;
	return 1;
}

static int term_property(VTermProp prop, VTermValue *val, void *user)
{
	struct term *t = user;

	if (prop == VTERM_PROP_CURSORVISIBLE)
		t->visible = val->boolean;
	return 1;
}

static const VTermScreenCallbacks term_callbacks = {
	.movecursor = term_moved,
	.settermprop = term_property,
	.sb_pushline = term_push_line,
};

static void term_answer(const char *s, size_t len, void *user)
{
	struct term *t = user;

	if (!t->muted)
		t->out(t->arg, s, len);
}

struct term *term_new(int rows, int cols,
	void (*out)(void *arg, const char *data, size_t len), void *arg)
{
	struct term *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->rows = rows < 2 ? 2 : rows;
	t->cols = cols < 2 ? 2 : cols;
	t->out = out;
	t->arg = arg;
	t->visible = true;
	t->vt = vterm_new(t->rows, t->cols);
	if (!t->vt) {
		free(t);
		return NULL;
	}
	vterm_set_utf8(t->vt, 1);
	vterm_output_set_callback(t->vt, term_answer, t);
	t->screen = vterm_obtain_screen(t->vt);
	vterm_screen_set_callbacks(t->screen, &term_callbacks, t);
	vterm_screen_enable_altscreen(t->screen, 1);
	vterm_screen_reset(t->screen, 1);
	return t;
}

void term_free(struct term *t)
{
	if (!t)
		return;
	vterm_free(t->vt);
	for (int i = 0; i < TERM_SCROLLBACK; i++)
		free(t->line[i].cell);
	free(t);
}

void term_write(struct term *t, const char *data, size_t len)
{
	char buf[2 * VTFILTER_OUT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (sizeof(buf) - n < VTFILTER_OUT_MAX) {
			vterm_input_write(t->vt, buf, n);
			n = 0;
		}
		n += vtfilter_byte(&t->filter, (uint8_t)data[i], buf + n);
	}
	if (n)
		vterm_input_write(t->vt, buf, n);
}

void term_mute(struct term *t, bool on)
{
	t->muted = on;
}

int term_history(const struct term *t)
{
	return (int)t->lines;
}

void term_key(struct term *t, const struct key *k)
{
	static const struct {
		int code;
		VTermKey key;
	} keys[] = {
		{ K_UP, VTERM_KEY_UP },
		{ K_DOWN, VTERM_KEY_DOWN },
		{ K_LEFT, VTERM_KEY_LEFT },
		{ K_RIGHT, VTERM_KEY_RIGHT },
		{ K_HOME, VTERM_KEY_HOME },
		{ K_END, VTERM_KEY_END },
		{ K_PGUP, VTERM_KEY_PAGEUP },
		{ K_PGDN, VTERM_KEY_PAGEDOWN },
		{ K_INS, VTERM_KEY_INS },
		{ K_DEL, VTERM_KEY_DEL },
	};
	int mod = (k->shift ? VTERM_MOD_SHIFT : 0) |
		  (k->alt ? VTERM_MOD_ALT : 0) | (k->ctrl ? VTERM_MOD_CTRL : 0);

	if (k->code == K_BACKTAB) {
		vterm_keyboard_key(t->vt, VTERM_KEY_TAB, VTERM_MOD_SHIFT);
	} else if (k->code >= K_F1 && k->code <= K_F12) {
		vterm_keyboard_key(t->vt,
			(VTermKey)VTERM_KEY_FUNCTION(k->code - K_F1 + 1),
			(VTermModifier)mod);
	} else {
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			if (keys[i].code == k->code)
				vterm_keyboard_key(t->vt, keys[i].key,
					(VTermModifier)mod);
	}
}

static void term_paint(struct canvas *cv, int y, int x,
	const struct term_cell *c)
{
	attr_t attr;
	short pair;

	theme_guest(cv->theme, c->fg, c->bg, &attr, &pair);
	if (c->attr & TERM_BOLD)
		attr |= A_BOLD;
	if (c->attr & TERM_UNDERLINE)
		attr |= A_UNDERLINE;
	if (c->attr & TERM_REVERSE)
		attr ^= A_REVERSE;
	if (c->attr & TERM_BLINK)
		attr |= A_BLINK;
	draw_cell(cv, y, x, c->c ? c->c : ' ', attr, pair);
}

static void term_draw_history(const struct term *t, struct canvas *cv, int y,
	unsigned i)
{
	const struct term_line *l = &t->line[(t->first + i) % TERM_SCROLLBACK];

	for (int x = 0; x < l->n && x < cv->cols; x++)
		if (l->cell[x].width)
			term_paint(cv, y, x, &l->cell[x]);
}

static void term_draw_row(const struct term *t, struct canvas *cv, int y,
	int row)
{
	for (int x = 0; x < t->cols && x < cv->cols; x++) {
		VTermPos pos = { .row = row, .col = x };
		VTermScreenCell vc;
		struct term_cell c;

		if (!vterm_screen_get_cell(t->screen, pos, &vc))
			continue;
		term_cell_from(&c, &vc);
		if (c.width)
			term_paint(cv, y, x, &c);
	}
}

void term_draw(struct term *t, struct canvas *cv, int y, int back)
{
	if (back > (int)t->lines)
		back = (int)t->lines;
	for (int row = 0; row < t->rows; row++) {
		int from = row - back; /* < 0: in the history */

		if (from < 0)
			term_draw_history(t, cv, y + row,
				t->lines - (unsigned)-from);
		else
			term_draw_row(t, cv, y + row, from);
	}
	if (t->visible && t->cursor.row + back < t->rows) {
		cv->cursor_y = y + t->cursor.row + back;
		cv->cursor_x =
			t->cursor.col < cv->cols ? t->cursor.col : cv->cols - 1;
	}
}
