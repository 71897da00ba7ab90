/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A document of lines with pieces of text, meters and sparklines, built anew
 * at each draw and shown through a window that scrolls. Thread: the loop's.
 */
#ifndef UI_W_DOC_H
#define UI_W_DOC_H

#include <stddef.h>

#include "ui/draw.h"
#include "ui/keys.h"

enum w_doc_kind { W_DOC_TEXT, W_DOC_METER, W_DOC_SPARK };

struct w_doc_piece {
	enum w_doc_kind kind;
	enum role role;
	int line, col, width; /* width 0 = as long as it is */
	size_t text;          /* offset in arena */
	double part;          /* meter; spark: the top value */
	const float *values;  /* spark, borrowed */
	unsigned n;
};

struct w_doc {
	struct w_doc_piece *piece;
	size_t npieces, cap;
	char *arena;
	size_t used, arena_cap;
	int lines;
};

void w_doc_clear(struct w_doc *d);
void w_doc_fini(struct w_doc *d);

/* Begin the next line. */
void w_doc_line(struct w_doc *d);
/* A heading on a line of its own, a free line before it. */
void w_doc_head(struct w_doc *d, const char *title);
void w_doc_text(struct w_doc *d, int col, enum role role, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Right-aligned in width columns from col. */
void w_doc_right(struct w_doc *d, int col, int width, enum role role,
	const char *text);
void w_doc_meter(struct w_doc *d, int col, int width, double part,
	enum role role);
void w_doc_spark(struct w_doc *d, int col, int width, const float *v,
	unsigned n, double max);
/* "Label   text" */
void w_doc_field(struct w_doc *d, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Paint lines from `top` on into the rectangle. */
void w_doc_draw(const struct w_doc *d, struct canvas *cv, int y, int x, int h,
	int w, int top);
/* Move *top by a key, inside lines shown h at a time; false = not a key. */
bool w_doc_scroll(int *top, int lines, int h, int code);

#endif
