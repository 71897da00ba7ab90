/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A line that is being typed, with history. UTF-8 inside; the cursor is a
 * byte offset at the start of a sequence. Thread: the loop's.
 */
#ifndef UI_W_LINE_H
#define UI_W_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "ui/draw.h"
#include "ui/keys.h"

#define W_LINE_MAX    512
#define W_HISTORY_MAX 100

struct w_history {
	char *line[W_HISTORY_MAX];
	int n;
};

struct w_line {
	char text[W_LINE_MAX];
	size_t len, cursor;
	struct w_history *history; /* borrowed, may be NULL */
	int at;                    /* in history; n = the line being typed */
	char typed[W_LINE_MAX];
};

enum w_line_end { W_LINE_MORE, W_LINE_DONE, W_LINE_CANCEL, W_LINE_TAB };

void w_line_begin(struct w_line *l, struct w_history *h, const char *text);
/* One key; says whether the line has ended. */
enum w_line_end w_line_key(struct w_line *l, const struct key *k);
/* Replace [from, cursor) by text. */
void w_line_replace(struct w_line *l, size_t from, const char *text);
/* Paint after prompt; sets the canvas' cursor. */
void w_line_draw(const struct w_line *l, struct canvas *cv, int y,
	const char *prompt);

/* Remember a line (not twice in a row). */
void w_history_add(struct w_history *h, const char *line);
void w_history_fini(struct w_history *h);

#endif
