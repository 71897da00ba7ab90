/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One frame: the top screen, then what lies over it: key bar, message or the
 * line being typed, and a question.
 */
#include <string.h>

#include "ui/text.h"
#include "ui/view.h"

static int draw_bar_keys(struct canvas *cv, int y, int x, const struct bind *b,
	const struct screen *s)
{
	char name[16];

	for (; b && b->code; b++) {
		const char *label = b->label;
		int need;

		if (!label)
			continue;
		if (b->code == 'q' && !s->below)
			label = "Detach";
		keys_name(b->code, name, sizeof(name));
		need = text_width(name) + text_width(label) + 2;
		if (x + need > cv->cols)
			break;
		x += draw_text(cv, y, x, 12, ROLE_KEY, name);
		x += draw_text(cv, y, x, 24, ROLE_KEY_LABEL, label);
		x += 1;
	}
	return x;
}

/* Those of every screen come first: on a narrow terminal they matter most. */
static void draw_key_bar(struct view *v)
{
	int x, y = v->rows - 1;

	draw_fill(&v->cv, y, 0, v->cols, ROLE_NORMAL);
	x = draw_bar_keys(&v->cv, y, 0, view_binds, v->top);
	draw_bar_keys(&v->cv, y, x, v->top->ops->binds, v->top);
}

/* What runs: not on a guest's own screen. */
static void draw_jobs(struct view *v, int y)
{
	char left[256], right[64];
	int w, need;

	if (v->top->ops->full ||
		!view_jobs_text(v, left, sizeof(left), right, sizeof(right)))
		return;
	need = *right ? text_width(right) + 2 : 0;
	w = v->cols > need + 16 ? v->cols - need : v->cols;
	draw_fill(&v->cv, y, 0, v->cols, ROLE_NORMAL);
	w = draw_text(&v->cv, y, 0, w, ROLE_DIM, left) + 2;
	if (w + need - 2 <= v->cols)
		draw_text(&v->cv, y, w, v->cols - w, ROLE_DIM, right);
}

static void draw_message(struct view *v, int y)
{
	if (!v->message[0]) {
		draw_jobs(v, y);
		return;
	}
	draw_fill(&v->cv, y, 0, v->cols, ROLE_NORMAL);
	draw_text(&v->cv, y, 0, v->cols, v->message_role, v->message);
}

/* Text in lines of at most w columns, broken at blanks; returns lines. */
static int draw_wrapped(struct canvas *cv, int y, int x, int w, enum role role,
	const char *s, bool paint)
{
	int lines = 0;

	while (*s && w > 0) {
		char line[256];
		size_t n = strlen(s), brk;

		if (n > sizeof(line) - 1)
			n = sizeof(line) - 1;
		memcpy(line, s, n);
		line[n] = 0;
		while (text_width(line) > w && n) {
			for (brk = n; brk && line[brk - 1] != ' '; brk--)
				continue;
			n = brk > 1 ? brk - 1 : n - 1;
			line[n] = 0;
		}
		if (!n)
			break;
		if (paint)
			draw_text(cv, y + lines, x, w, role, line);
		lines++;
		s += n;
		s += strspn(s, " ");
	}
	return lines;
}

static void draw_button(struct canvas *cv, int y, int x, const char *text,
	bool on)
{
	draw_text(cv, y, x, 12, on ? ROLE_SELECTED : ROLE_DIALOG, text);
}

static void draw_question(struct view *v)
{
	struct canvas *cv = &v->cv;
	int w = v->cols > 64 ? 60 : v->cols - 4, lines, h, y, x;

	if (w < 20 || v->rows < 7) { /* no room for a box */
		draw_fill(cv, v->rows - 1, 0, v->cols, ROLE_ERROR);
		draw_textf(cv, v->rows - 1, 0, v->cols, ROLE_ERROR, "y/n? %s",
			v->question);
		return;
	}
	lines = draw_wrapped(cv, 0, 0, w - 4, ROLE_DIALOG, v->question, false);
	h = lines + 5;
	if (h > v->rows)
		h = v->rows;
	y = (v->rows - h) / 2;
	x = (v->cols - w) / 2;
	draw_box(cv, y, x, h, w, ROLE_DIALOG);
	draw_text(cv, y, x + 2, w - 4, ROLE_DIALOG_TITLE, " Sure? ");
	draw_wrapped(cv, y + 1, x + 2, w - 4, ROLE_DIALOG, v->question, true);
	draw_button(cv, y + h - 2, x + w / 2 - 11, "[ y Yes ]", v->ask_yes);
	draw_button(cv, y + h - 2, x + w / 2 + 2, "[ n No ]", !v->ask_yes);
}

void view_draw(struct view *v)
{
	struct canvas *cv = &v->cv;
	struct screen *s = v->top;
	int chrome_y;

	cv->over = ROLE_NORMAL;
	cv->cursor_y = cv->cursor_x = -1;
	if (v->clear) {
		clearok(stdscr, TRUE);
		v->clear = false;
	}
	erase();
	s->ops->draw(s, cv);
	cv->over = ROLE_NORMAL;
	chrome_y = s->ops->full || v->rows < 6 ? v->rows - 1 : v->rows - 2;
	if (!s->ops->full && v->rows >= 6)
		draw_key_bar(v);
	draw_message(v, chrome_y);
	if (v->prompt)
		w_line_draw(&v->line, cv, v->rows >= 6 ? v->rows - 1 : chrome_y,
			v->prompt == VIEW_COMMAND ? ":" : "/");
	if (v->question) {
		draw_question(v);
		cv->cursor_y = -1;
	}
	if (cv->cursor_y >= 0 && cv->cursor_y < v->rows && cv->cursor_x >= 0 &&
		cv->cursor_x < v->cols) {
		curs_set(1);
		move(cv->cursor_y, cv->cursor_x);
	} else {
		curs_set(0);
		move(v->rows - 1, v->cols - 1);
	}
	wnoutrefresh(stdscr);
	doupdate();
}
