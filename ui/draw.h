/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Painting on the SCREEN that is set. Everything is clipped to the canvas,
 * so no terminal is too small; signs that a terminal without UTF-8 cannot
 * show become plain ones. Thread: the loop's.
 */
#ifndef UI_DRAW_H
#define UI_DRAW_H

#include <stdbool.h>
#include <stdint.h>

#include "ui/theme.h"

struct canvas {
	const struct theme *theme;
	int rows, cols;
	bool utf8;
	enum role over; /* role painted instead of all (selected line), or 0 */
	int cursor_y, cursor_x; /* where the cursor shall be; -1 = hidden */
};

/* One sign with any attributes; c is a code point. Returns its columns. */
int draw_cell(struct canvas *cv, int y, int x, uint32_t c, attr_t attr,
	short pair);
int draw_char(struct canvas *cv, int y, int x, enum role role, uint32_t c);
/* UTF-8 text in at most w columns; cut text ends in an ellipsis. */
int draw_text(struct canvas *cv, int y, int x, int w, enum role role,
	const char *s);
int draw_textf(struct canvas *cv, int y, int x, int w, enum role role,
	const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* The same, at the right end of the w columns. */
void draw_right(struct canvas *cv, int y, int x, int w, enum role role,
	const char *s);
void draw_fill(struct canvas *cv, int y, int x, int w, enum role role);
/* A bar of w columns, part 0..1 of it filled. */
void draw_meter(struct canvas *cv, int y, int x, int w, double part,
	enum role role);
/* The newest values, one a column, the last at the right end. */
void draw_spark(struct canvas *cv, int y, int x, int w, const float *v,
	unsigned n, double max, enum role role);
/* A frame with a filled inside. */
void draw_box(struct canvas *cv, int y, int x, int h, int w, enum role role);

/* What stands for c on a terminal without UTF-8. */
uint32_t draw_plain(uint32_t c);

#endif
