/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Three looks: 256 colours, 8 colours, and none (attributes only). State is
 * never told by colour alone: the word or the sign is there too.
 */
#include "ui/theme.h"

#include <stdlib.h>

struct theme_spec {
	short fg256, bg256, fg8, bg8; /* -1 = the terminal's own */
	attr_t attr, mono;            /* with colours; without */
};

static const struct theme_spec specs[ROLES] = {
	[ROLE_NORMAL] = { -1, -1, -1, -1, 0, 0 },
	[ROLE_DIM] = { 244, -1, -1, -1, 0, A_DIM },
	[ROLE_STRONG] = { -1, -1, -1, -1, A_BOLD, A_BOLD },
	[ROLE_TITLE] = { 255, 24, 7, 4, A_BOLD, A_REVERSE | A_BOLD },
	[ROLE_TITLE2] = { 153, 24, 7, 4, 0, A_REVERSE },
	[ROLE_HEAD] = { 252, 237, 0, 6, 0, A_REVERSE },
	[ROLE_SORTED] = { 220, 237, 0, 3, 0, A_REVERSE | A_BOLD },
	[ROLE_SELECTED] = { 231, 25, 7, 4, A_BOLD, A_REVERSE },
	[ROLE_TAGGED] = { 220, -1, 3, -1, A_BOLD, A_BOLD | A_UNDERLINE },
	[ROLE_GOOD] = { 78, -1, 2, -1, 0, 0 },
	[ROLE_WARN] = { 214, -1, 3, -1, 0, A_BOLD },
	[ROLE_BAD] = { 203, -1, 1, -1, A_BOLD, A_BOLD },
	[ROLE_INFO] = { 80, -1, 6, -1, 0, 0 },
	[ROLE_METER] = { 71, -1, 2, -1, 0, A_BOLD },
	[ROLE_METER_HOT] = { 203, -1, 1, -1, 0, A_BOLD },
	[ROLE_METER_OFF] = { 239, -1, -1, -1, 0, A_DIM },
	[ROLE_SPARK] = { 74, -1, 6, -1, 0, 0 },
	[ROLE_KEY] = { -1, -1, -1, -1, A_BOLD, A_BOLD },
	[ROLE_KEY_LABEL] = { 252, 237, 0, 6, 0, A_REVERSE },
	[ROLE_PROMPT] = { 220, -1, 3, -1, A_BOLD, A_BOLD },
	[ROLE_ERROR] = { 231, 160, 7, 1, A_BOLD, A_REVERSE | A_BOLD },
	[ROLE_DIALOG] = { 255, 238, 0, 7, 0, A_REVERSE },
	[ROLE_DIALOG_TITLE] = { 231, 130, 7, 1, A_BOLD, A_REVERSE | A_BOLD },
};

void theme_init(struct theme *t)
{
	t->colors = 0;
	if (has_colors() && start_color() == OK && COLORS >= 8 &&
		COLOR_PAIRS > ROLES) {
		t->colors = COLORS;
		use_default_colors();
	}
	for (int i = 0; i < ROLES; i++) {
		const struct theme_spec *s = &specs[i];
		short fg = t->colors >= 256 ? s->fg256 : s->fg8;
		short bg = t->colors >= 256 ? s->bg256 : s->bg8;

		t->attr[i] = t->colors ? s->attr : s->mono;
		t->pair[i] = 0;
		if (!t->colors || (fg < 0 && bg < 0))
			continue;
		if (init_pair((short)(i + 1), fg, bg) == OK)
			t->pair[i] = (short)(i + 1);
		else
			t->attr[i] = s->mono;
	}
}

/* Level 0..5 of xterm's colour cube nearest to v. */
static int theme_level(uint8_t v)
{
	return v < 48 ? 0 : v < 115 ? 1 : (v - 35) / 40;
}

int theme_from_rgb(uint8_t r, uint8_t g, uint8_t b)
{
	int lr = theme_level(r), lg = theme_level(g), lb = theme_level(b);
	int grey = (r + g + b) / 3;

	if (abs(r - g) < 12 && abs(g - b) < 12 && grey > 4 && grey < 246)
		return 232 + (grey - 3) / 10 - (grey > 238 ? 1 : 0);
	return 16 + 36 * lr + 6 * lg + lb;
}

/* One of the first eight colours for any of 256, *bright when a bright one. */
static int theme_to_8(int c, bool *bright)
{
	int r, g, b;

	*bright = false;
	if (c < 0 || c < 8)
		return c;
	if (c < 16) {
		*bright = true;
		return c - 8;
	}
	if (c >= 232) { /* grey */
		*bright = c >= 238 && c < 248;
		return c < 244 ? 0 : 7;
	}
	c -= 16;
	r = c / 36;
	g = c / 6 % 6;
	b = c % 6;
	*bright = r > 4 || g > 4 || b > 4;
	return (r > 1 ? 1 : 0) | (g > 1 ? 2 : 0) | (b > 1 ? 4 : 0);
}

void theme_guest(const struct theme *t, int fg, int bg, attr_t *attr,
	short *pair)
{
	bool bright = false, unused;
	int p;

	*pair = 0;
	*attr = 0;
	if (!t->colors) {
		if (bg > 0 && bg != 16 && (fg < 0 || fg == 0 || fg == 16))
			*attr = A_REVERSE;
		else if (fg >= 8 && fg < 16)
			*attr = A_BOLD;
		return;
	}
	if (t->colors < 256) {
		if (t->colors < 16 || fg >= 16)
			fg = theme_to_8(fg, &bright);
		if (t->colors < 16 || bg >= 16)
			bg = theme_to_8(bg, &unused);
		if (bright)
			*attr = A_BOLD;
	}
	if (fg < 0 && bg < 0)
		return;
	p = alloc_pair(fg, bg);
	*pair = p > 0 && p <= INT16_MAX ? (short)p : 0;
}
