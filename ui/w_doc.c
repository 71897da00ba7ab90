/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of pieces. When memory is short pieces are missing, no more. */
#include "ui/w_doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/text.h"

#define W_DOC_LABEL 14

void w_doc_clear(struct w_doc *d)
{
	d->npieces = 0;
	d->used = 0;
	d->lines = 0;
}

void w_doc_fini(struct w_doc *d)
{
	free(d->piece);
	free(d->arena);
	memset(d, 0, sizeof(*d));
}

void w_doc_line(struct w_doc *d)
{
	d->lines++;
}

static struct w_doc_piece *w_doc_add(struct w_doc *d, enum w_doc_kind kind,
	int col, int width, enum role role)
{
	struct w_doc_piece *p;

	if (!d->lines)
		d->lines = 1;
	if (d->npieces == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 128;

		p = realloc(d->piece, cap * sizeof(*p));
		if (!p)
			return NULL;
		d->piece = p;
		d->cap = cap;
	}
	p = &d->piece[d->npieces++];
	memset(p, 0, sizeof(*p));
	p->kind = kind;
	p->role = role;
	p->line = d->lines - 1;
	p->col = col;
	p->width = width;
	return p;
}

static void w_doc_put(struct w_doc *d, int col, enum role role,
	const char *text)
{
	size_t n = strlen(text) + 1;
	struct w_doc_piece *p;

	if (d->used + n > d->arena_cap) {
		size_t cap = 2 * d->arena_cap + n + 1024;
		char *a = realloc(d->arena, cap);

		if (!a)
			return;
		d->arena = a;
		d->arena_cap = cap;
	}
	p = w_doc_add(d, W_DOC_TEXT, col, 0, role);
	if (!p)
		return;
	p->text = d->used;
	memcpy(d->arena + d->used, text, n);
	d->used += n;
}

void w_doc_text(struct w_doc *d, int col, enum role role, const char *fmt, ...)
{
	char text[2304];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w_doc_put(d, col, role, text);
}

void w_doc_right(struct w_doc *d, int col, int width, enum role role,
	const char *text)
{
	int n = text_width(text);

	w_doc_put(d, n < width ? col + width - n : col, role, text);
}

void w_doc_head(struct w_doc *d, const char *title)
{
	if (d->lines)
		w_doc_line(d);
	w_doc_line(d);
	w_doc_put(d, 0, ROLE_INFO, title);
}

void w_doc_field(struct w_doc *d, const char *label, const char *fmt, ...)
{
	char text[2304];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w_doc_line(d);
	w_doc_put(d, 1, ROLE_DIM, label);
	w_doc_put(d, W_DOC_LABEL, ROLE_NORMAL, text);
}

void w_doc_meter(struct w_doc *d, int col, int width, double part,
	enum role role)
{
	struct w_doc_piece *p = w_doc_add(d, W_DOC_METER, col, width, role);

	if (p)
		p->part = part;
}

void w_doc_spark(struct w_doc *d, int col, int width, const float *v,
	unsigned n, double max)
{
	struct w_doc_piece *p =
		w_doc_add(d, W_DOC_SPARK, col, width, ROLE_SPARK);

	if (!p)
		return;
	p->values = v;
	p->n = n;
	p->part = max;
}

void w_doc_draw(const struct w_doc *d, struct canvas *cv, int y, int x, int h,
	int w, int top)
{
	for (size_t i = 0; i < d->npieces; i++) {
		const struct w_doc_piece *p = &d->piece[i];
		int row = y + p->line - top, room = w - p->col;

		if (p->line < top || p->line >= top + h || room < 1)
			continue;
		if (p->width && p->width < room)
			room = p->width;
		if (p->kind == W_DOC_TEXT)
			draw_text(cv, row, x + p->col, room, p->role,
				d->arena + p->text);
		else if (p->kind == W_DOC_METER)
			draw_meter(cv, row, x + p->col, room, p->part, p->role);
		else
			draw_spark(cv, row, x + p->col, room, p->values, p->n,
				p->part, p->role);
	}
}

bool w_doc_scroll(int *top, int lines, int h, int code)
{
	int last = lines > h ? lines - h : 0, to = *top;

	switch (code) {
	case K_UP:
	case 'k':
		to--;
		break;
	case K_DOWN:
	case 'j':
		to++;
		break;
	case K_PGUP:
	case K_CTRL('b'):
		to -= h - 1;
		break;
	case K_PGDN:
	case K_CTRL('f'):
	case ' ':
		to += h - 1;
		break;
	case K_HOME:
	case 'g':
		to = 0;
		break;
	case K_END:
	case 'G':
		to = last;
		break;
	default:
		return false;
	}
	*top = to < 0 ? 0 : to > last ? last : to;
	return true;
}
