/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a key goes: a question first, then the line being typed, the top
 * screen's keys, those of every screen, and what else the screen makes of it.
 */
#include <stdlib.h>
#include <string.h>

#include "ui/view.h"

static unsigned key_command(struct screen *s)
{
	struct view *v = s->view;

	v->prompt = VIEW_COMMAND;
	w_line_begin(&v->line, &v->history, "");
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_help(struct screen *s)
{
	if (s->ops != &scr_help)
		view_push(s->view, &scr_help, NULL);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_back(struct screen *s)
{
	return SCREEN_HANDLED | (s->below ? SCREEN_CLOSE : SCREEN_DETACH);
}

static unsigned key_escape(struct screen *s)
{
	return SCREEN_HANDLED | (s->below ? SCREEN_CLOSE : 0);
}

static unsigned key_redraw(struct screen *s)
{
	s->view->clear = true;
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_stop(struct screen *s)
{
	view_jobs_stop(s->view);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

const struct bind view_binds[] = {
	{ ':', "Command", "type a verb; Tab completes, Up recalls", NULL,
		key_command },
	{ '?', "Help", "this help", NULL, key_help },
	{ K_F1, NULL, "this help", NULL, key_help },
	{ 'q', "Back", "back; on the table: detach, guests go on", NULL,
		key_back },
	{ K_ESC, NULL, "back", NULL, key_escape },
	{ K_CTRL('c'), NULL, "stop the disk verb that was begun last", NULL,
		key_stop },
	{ K_CTRL('l'), NULL, "draw the screen anew", NULL, key_redraw },
	{ 0 },
};

void view_begin_filter(struct view *v, const char *text)
{
	v->prompt = VIEW_FILTER;
	w_line_begin(&v->line, NULL, text);
}

static void prompt_key(struct view *v, const struct key *k)
{
	enum view_prompt kind = v->prompt;
	enum w_line_end end = w_line_key(&v->line, k);
	struct screen *s = v->top;

	if (end == W_LINE_TAB) {
		if (kind == VIEW_COMMAND)
			view_complete(v);
		return;
	}
	v->message[0] = 0;
	if (end != W_LINE_MORE)
		v->prompt = VIEW_NO_PROMPT;
	if (kind == VIEW_FILTER && s->ops->filter)
		s->ops->filter(s, end == W_LINE_CANCEL ? "" : v->line.text);
	if (kind == VIEW_COMMAND && end == W_LINE_DONE) {
		w_history_add(&v->history, v->line.text);
		view_run_line(v, v->line.text);
	}
}

static void ask_key(struct view *v, const struct key *k)
{
	switch (k->code) {
	case 'y':
	case 'Y':
		view_ask_end(v, true);
		break;
	case 'n':
	case 'N':
	case 'q':
	case K_ESC:
	case K_CTRL('c'):
		view_ask_end(v, false);
		break;
	case K_ENTER:
		view_ask_end(v, v->ask_yes);
		break;
	case K_TAB:
	case K_BACKTAB:
	case K_LEFT:
	case K_RIGHT:
	case 'h':
	case 'l':
		v->ask_yes = !v->ask_yes;
		break;
	default:
		break;
	}
}

static const struct bind *bind_find(const struct bind *b, int code)
{
	for (; b && b->code; b++)
		if (b->code == code)
			return b;
	return NULL;
}

static unsigned bind_run(struct screen *s, const struct bind *b)
{
	struct names n = { NULL, 0 };

	if (b->fn)
		return b->fn(s);
	if (s->ops->targets)
		s->ops->targets(s, &n);
	if (n.n)
		view_run_verb(s->view, b->verb, &n);
	else
		view_message(s->view, ROLE_WARN, "%s: no guest is selected",
			b->verb);
	free(n.name);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned screen_key(struct screen *s, const struct key *k)
{
	const struct bind *b = NULL;

	if (!s->ops->full && !k->alt && !k->ctrl) {
		b = bind_find(s->ops->binds, k->code);
		if (!b)
			b = bind_find(view_binds, k->code);
	}
	if (b)
		return bind_run(s, b);
	return s->ops->key ? s->ops->key(s, k) : 0;
}

void view_key(struct view *v, const struct key *k)
{
	struct screen *s = v->top;
	unsigned bits;

	view_dirty(v, true);
	if (v->question) {
		ask_key(v, k);
		return;
	}
	if (v->prompt) {
		prompt_key(v, k);
		return;
	}
	v->message[0] = 0;
	bits = screen_key(s, k);
	if (bits & SCREEN_DETACH)
		v->leaving = true;
	else if (bits & SCREEN_CLOSE && s == v->top)
		view_pop(v);
}
