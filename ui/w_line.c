/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Line editor: the Emacs keys that every shell has. */
#include "ui/w_line.h"

#include <stdlib.h>
#include <string.h>

#include "ui/text.h"

void w_line_begin(struct w_line *l, struct w_history *h, const char *text)
{
	memset(l, 0, sizeof(*l));
	l->history = h;
	l->at = h ? h->n : 0;
	w_line_replace(l, 0, text);
}

void w_line_replace(struct w_line *l, size_t from, const char *text)
{
	size_t n = strlen(text), tail = l->len - l->cursor;

	if (from > l->cursor || from + n + tail >= sizeof(l->text))
		return;
	memmove(l->text + from + n, l->text + l->cursor, tail);
	memcpy(l->text + from, text, n);
	l->cursor = from + n;
	l->len = l->cursor + tail;
	l->text[l->len] = 0;
}

static size_t w_line_left(const struct w_line *l)
{
	size_t i = l->cursor;

	while (i && ((unsigned char)l->text[--i] & 0xc0) == 0x80)
		continue;
	return i;
}

static size_t w_line_right(const struct w_line *l)
{
	size_t used;

	text_utf8_get(l->text + l->cursor, l->len - l->cursor, &used);
	return l->cursor + used;
}

static size_t w_line_word(const struct w_line *l)
{
	size_t i = l->cursor;

	while (i && l->text[i - 1] == ' ')
		i--;
	while (i && l->text[i - 1] != ' ')
		i--;
	return i;
}

static void w_line_recall(struct w_line *l, int step)
{
	int to = l->at + step;
	const char *text;

	if (!l->history || to < 0 || to > l->history->n)
		return;
	if (l->at == l->history->n)
		memcpy(l->typed, l->text, sizeof(l->typed));
	l->at = to;
	text = to == l->history->n ? l->typed : l->history->line[to];
	l->cursor = l->len;
	w_line_replace(l, 0, text);
}

static void w_line_move(struct w_line *l, int code)
{
	switch (code) {
	case K_LEFT:
	case K_CTRL('b'):
		l->cursor = w_line_left(l);
		break;
	case K_RIGHT:
	case K_CTRL('f'):
		l->cursor = w_line_right(l);
		break;
	case K_HOME:
	case K_CTRL('a'):
		l->cursor = 0;
		break;
	case K_END:
	case K_CTRL('e'):
		l->cursor = l->len;
		break;
	case K_UP:
	case K_CTRL('p'):
		w_line_recall(l, -1);
		break;
	case K_DOWN:
	case K_CTRL('n'):
		w_line_recall(l, 1);
		break;
	default:
		break;
	}
}

/* Keys that take something away; false when it is none of them. */
static bool w_line_delete(struct w_line *l, int code)
{
	switch (code) {
	case K_BACKSPACE:
		w_line_replace(l, w_line_left(l), "");
		return true;
	case K_DEL:
	case K_CTRL('d'):
		if (l->cursor < l->len) {
			size_t from = l->cursor;

			l->cursor = w_line_right(l);
			w_line_replace(l, from, "");
		}
		return true;
	case K_CTRL('u'):
		w_line_replace(l, 0, "");
		return true;
	case K_CTRL('k'):
		l->len = l->cursor;
		l->text[l->len] = 0;
		return true;
	case K_CTRL('w'):
		w_line_replace(l, w_line_word(l), "");
		return true;
	default:
		return false;
	}
}

enum w_line_end w_line_key(struct w_line *l, const struct key *k)
{
	char utf8[5] = { 0 };

	if (k->code == K_ENTER)
		return W_LINE_DONE;
	if (k->code == K_ESC || k->code == K_CTRL('c') ||
		k->code == K_CTRL('g') || (k->code == K_BACKSPACE && !l->len))
		return W_LINE_CANCEL;
	if (k->code == K_TAB)
		return W_LINE_TAB;
	if (w_line_delete(l, k->code))
		return W_LINE_MORE;
	if (k->code < 32 || k->code > K_BASE) {
		w_line_move(l, k->code);
		return W_LINE_MORE;
	}
	if (k->alt || text_width_of((uint32_t)k->code) < 1)
		return W_LINE_MORE;
	text_utf8_put((uint32_t)k->code, utf8);
	w_line_replace(l, l->cursor, utf8);
	return W_LINE_MORE;
}

/* Columns of the first n bytes of text. */
static int w_line_columns(const char *text, size_t n)
{
	int w = 0;
	size_t used;

	for (size_t i = 0; i < n; i += used)
		w += text_width_of(text_utf8_get(text + i, n - i, &used));
	return w;
}

void w_line_draw(const struct w_line *l, struct canvas *cv, int y,
	const char *prompt)
{
	int x = draw_text(cv, y, 0, cv->cols, ROLE_PROMPT, prompt);
	int room = cv->cols - x - 1, at = w_line_columns(l->text, l->cursor);
	const char *from = l->text;
	size_t used;

	/* a long line shows the part around the cursor */
	while (at > room && *from) {
		at -= text_width_of(text_utf8_get(from, strlen(from), &used));
		from += used;
	}
	draw_fill(cv, y, x, cv->cols - x, ROLE_NORMAL);
	draw_text(cv, y, x, room, ROLE_NORMAL, from);
	cv->cursor_y = y;
	cv->cursor_x = x + at;
}

void w_history_add(struct w_history *h, const char *line)
{
	char *copy;

	if (!*line || (h->n && !strcmp(h->line[h->n - 1], line)))
		return;
	copy = strdup(line);
	if (!copy)
		return;
	if (h->n == W_HISTORY_MAX) {
		free(h->line[0]);
		memmove(h->line, h->line + 1,
			(W_HISTORY_MAX - 1) * sizeof(h->line[0]));
		h->n--;
	}
	h->line[h->n++] = copy;
}

void w_history_fini(struct w_history *h)
{
	for (int i = 0; i < h->n; i++)
		free(h->line[i]);
	h->n = 0;
}
