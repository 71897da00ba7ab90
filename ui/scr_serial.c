/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's serial console, full screen. Every key goes to the guest but ^],
 * which leaves, and shifted (or alt) PgUp and PgDn, which scroll back. Old
 * output is replayed into a fresh terminal with its answers muted, so that a
 * question asked long ago is not answered again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/feed.h"
#include "ui/guest_cols.h"
#include "ui/term.h"
#include "ui/view.h"

#define SERIAL_LEAVE 0x1d  /* ^] */
#define SERIAL_CHUNK 16384 /* bytes in one go; then others get their turn */

struct scr_serial {
	struct screen base;
	char guest[CONF_NAME_MAX + 1];
	struct feed feed;
	struct term *term;
	struct loop_call more;
	int back; /* lines scrolled back */
	bool replaying;
};

static void serial_pump(void *arg)
{
	struct scr_serial *s = arg;
	char buf[SERIAL_CHUNK];
	int before = term_history(s->term);
	size_t n = feed_read(&s->feed, buf, sizeof(buf));

	if (!n && s->replaying) {
		s->replaying = false;
		term_mute(s->term, false);
	}
	if (!n)
		return;
	term_write(s->term, buf, n);
	/* who reads old lines keeps them before the eyes */
	if (s->back)
		s->back += term_history(s->term) - before;
	if (s->back > term_history(s->term))
		s->back = term_history(s->term);
	view_dirty(s->base.view, false);
	loop_call_schedule(&s->more);
}

/* What the terminal answers, and special keys as the guest wants them. */
static void serial_out(void *arg, const char *data, size_t len)
{
	struct scr_serial *s = arg;

	if (s->feed.console)
		feed_input(&s->feed, data, len);
}

static void serial_replay(struct scr_serial *s)
{
	s->feed.pos = 0;
	s->replaying = true;
	term_mute(s->term, true);
	loop_call_schedule(&s->more);
}

static int serial_open(struct scr_serial *s, struct err *e)
{
	struct app *a = s->base.view->app;
	int r = feed_open(&s->feed, a->engine, a->loop, s->guest, e);

	if (r)
		return r;
	s->feed.output = serial_pump;
	s->feed.arg = s;
	feed_listen(&s->feed, true);
	serial_replay(s);
	return 0;
}

static int serial_init(struct screen *base, const char *arg, struct err *e)
{
	struct scr_serial *s = (struct scr_serial *)(void *)base;
	struct view *v = base->view;
	int r;

	snprintf(s->guest, sizeof(s->guest), "%s", arg);
	loop_call_init(&s->more, v->app->loop, serial_pump, s);
	s->term = term_new(v->rows - 1, v->cols, serial_out, s);
	if (!s->term)
		return err_set(e, ENOMEM, "out of memory");
	r = serial_open(s, e);
	if (r)
		term_free(s->term);
	return r;
}

static void serial_free(struct screen *base)
{
	struct scr_serial *s = (struct scr_serial *)(void *)base;

	loop_call_cancel(&s->more);
	feed_close(&s->feed);
	term_free(s->term);
}

/* A new terminal of that size; what the guest said is played again. */
static void serial_resize(struct screen *base)
{
	struct scr_serial *s = (struct scr_serial *)(void *)base;
	struct term *t = term_new(base->h - 1, base->w, serial_out, s);

	if (!t)
		return; /* the old one is drawn as far as it fits */
	term_free(s->term);
	s->term = t;
	s->back = 0;
	serial_replay(s);
}

/* A guest that was started anew has a new console. */
static void serial_update(struct screen *base)
{
	struct scr_serial *s = (struct scr_serial *)(void *)base;
	struct engine *en = base->view->app->engine;
	struct console *c = engine_console_get(en, s->guest);
	bool other = c && c != s->feed.console;

	if (c)
		engine_console_put(en, c);
	if (!other) {
		/* also for a reader that found no free watch */
		loop_call_schedule(&s->more);
		return;
	}
	feed_close(&s->feed);
	/* a new power-on, a clear screen */
	term_write(s->term, "\030\033c", 3);
	s->back = 0;
	serial_open(s, NULL);
}

static unsigned serial_scroll(struct scr_serial *s, int by)
{
	int max = term_history(s->term);

	s->back += by;
	s->back = s->back > max ? max : s->back < 0 ? 0 : s->back;
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned serial_key(struct screen *base, const struct key *k)
{
	struct scr_serial *s = (struct scr_serial *)(void *)base;
	int page = base->h > 3 ? base->h - 2 : 1;

	if (k->code == SERIAL_LEAVE && !k->alt)
		return SCREEN_HANDLED | SCREEN_CLOSE;
	if ((k->shift || k->alt) && k->code == K_PGUP)
		return serial_scroll(s, page);
	if ((k->shift || k->alt) && k->code == K_PGDN)
		return serial_scroll(s, -page);
	s->back = 0;
	if (!s->feed.console)
		return SCREEN_HANDLED;
	if (k->code > K_BASE && k->code != K_UNKNOWN)
		term_key(s->term, k);
	else
		feed_input(&s->feed, k->raw, k->nraw);
	return SCREEN_HANDLED;
}

static void serial_draw(struct screen *base, struct canvas *cv)
{
	struct scr_serial *s = (struct scr_serial *)(void *)base;
	int y = base->h - 1, x = 1;
	struct guest_info g;

	term_draw(s->term, cv, 0, s->back);
	if (base->h < 3)
		return;
	draw_fill(cv, y, 0, cv->cols, ROLE_TITLE);
	x += draw_textf(cv, y, x, cv->cols - 1, ROLE_TITLE, "%s", s->guest);
	x += draw_text(cv, y, x, cv->cols - x, ROLE_TITLE2, " serial  ");
	if (!engine_info(base->view->app->engine, s->guest, &g))
		x += draw_text(cv, y, x, cv->cols - x, ROLE_TITLE,
			guest_state_name(g.state));
	x += draw_text(cv, y, x, cv->cols - x, ROLE_TITLE2,
		"   ^] back   Shift-PgUp scroll");
	if (s->back)
		draw_textf(cv, y, x, cv->cols - x, ROLE_SORTED,
			"  %d lines back ", s->back);
}

const struct screen_ops scr_serial = {
	.title = "Serial console",
	.size = sizeof(struct scr_serial),
	.full = true,
	.init = serial_init,
	.free = serial_free,
	.resize = serial_resize,
	.key = serial_key,
	.update = serial_update,
	.draw = serial_draw,
};
