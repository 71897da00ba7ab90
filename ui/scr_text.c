/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's VGA text screen as cells. It is looked at five times a second
 * while shown; keys are pressed on the guest's keyboard (US layout), ^]
 * leaves. In a graphics mode the address for a viewer is told instead.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "display/display.h"

#include "ui/cp437.h"
#include "ui/model.h"
#include "ui/view.h"

#define TEXT_LEAVE   0x1d /* ^] */
#define TEXT_LOOK_NS (200 * NS_PER_MS)

struct scr_text {
	struct screen base;
	char guest[CONF_NAME_MAX + 1];
	struct display *display;
	struct display_text *text;
	uint64_t generation;
	struct loop_timer look;
	int pan; /* first row shown; -1 = follow the cursor */
	struct guest_info info;
};

static void text_look(void *arg)
{
	struct scr_text *s = arg;
	uint64_t gen = display_text(s->display, s->text);

	if (gen != s->generation)
		view_dirty(s->base.view, false);
	s->generation = gen;
	loop_timer_arm(&s->look, clock_now_ns() + TEXT_LOOK_NS);
}

static int text_open(struct scr_text *s, struct err *e)
{
	struct engine *en = s->base.view->app->engine;

	if (engine_info(en, s->guest, &s->info))
		return err_set(e, ENOENT, "there is no guest '%s'", s->guest);
	s->display = engine_display_get(en, s->guest);
	if (!s->display)
		return err_set(e, ENOENT, "%s: no screen: %s", s->guest,
			s->info.state == GUEST_DEFINED
				? "it was never started"
				: "it has no display adapter");
	return 0;
}

static int text_init(struct screen *base, const char *arg, struct err *e)
{
	struct scr_text *s = (struct scr_text *)(void *)base;
	int r;

	snprintf(s->guest, sizeof(s->guest), "%s", arg);
	s->pan = -1;
	s->text = calloc(1, sizeof(*s->text));
	if (!s->text)
		return err_set(e, ENOMEM, "out of memory");
	r = text_open(s, e);
	if (r) {
		free(s->text);
		return r;
	}
	loop_timer_init(&s->look, base->view->app->loop, text_look, s);
	text_look(s);
	return 0;
}

static void text_free(struct screen *base)
{
	struct scr_text *s = (struct scr_text *)(void *)base;

	loop_timer_disarm(&s->look);
	engine_display_put(base->view->app->engine, s->display);
	free(s->text);
}

/* A guest that was started anew has a new display. */
static void text_update(struct screen *base)
{
	struct scr_text *s = (struct scr_text *)(void *)base;
	struct engine *en = base->view->app->engine;
	struct display *d = engine_display_get(en, s->guest);

	engine_info(en, s->guest, &s->info);
	if (!d)
		return;
	engine_display_put(en, s->display);
	s->display = d;
}

static int text_rows_shown(const struct screen *base)
{
	return base->h > 2 ? base->h - 1 : base->h;
}

static int text_first(const struct scr_text *s)
{
	int h = text_rows_shown(&s->base), rows = (int)s->text->rows;
	int first = s->pan;

	if (first < 0) /* the cursor's row, else the lower end */
		first = (s->text->cursor_row >= 0 ? s->text->cursor_row + 1
						  : rows) -
			h;
	if (first > rows - h)
		first = rows - h;
	return first < 0 ? 0 : first;
}

static unsigned text_key(struct screen *base, const struct key *k)
{
	struct scr_text *s = (struct scr_text *)(void *)base;
	char name[64];
	const char *names[1];
	struct err e = ERR_NONE;

	if (k->code == TEXT_LEAVE && !k->alt)
		return SCREEN_HANDLED | SCREEN_CLOSE;
	if ((k->shift || k->alt) && (k->code == K_PGUP || k->code == K_PGDN)) {
		s->pan = text_first(s) + (k->code == K_PGUP ? -5 : 5);
		s->pan = s->pan < 0 ? 0 : s->pan;
		return SCREEN_HANDLED | SCREEN_REDRAW;
	}
	s->pan = -1;
	names[0] = cp437_key_name(k, name, sizeof(name));
	if (!names[0])
		view_message(base->view, ROLE_WARN,
			"a US keyboard has no such key");
	else if (display_sendkey(s->display, names, 1, &e))
		view_message(base->view, ROLE_WARN, "%s", e.msg);
	return SCREEN_HANDLED;
}

/* VGA's colour numbers to those of ANSI: blue and red change places. */
static int text_color(unsigned vga)
{
	static const uint8_t ansi[8] = { 0, 4, 2, 6, 1, 5, 3, 7 };

	return ansi[vga & 7] | (int)(vga & 8);
}

static void text_draw_cell(const struct scr_text *s, struct canvas *cv, int y,
	int x, const struct display_cell *c)
{
	unsigned fg = c->attr & 15, bg = c->attr >> 4;
	attr_t attr, more = 0;
	short pair;

	if (s->text->blink) {
		more = bg & 8 ? A_BLINK : 0;
		bg &= 7;
	}
	/* grey on black is what a terminal has as its own colours */
	theme_guest(cv->theme, c->attr == 7 ? -1 : text_color(fg),
		bg             ? text_color(bg)
		: c->attr == 7 ? -1
			       : 0,
		&attr, &pair);
	draw_cell(cv, y, x, cp437_to_unicode(c->ch), attr | more, pair);
}

static void text_draw_cells(const struct scr_text *s, struct canvas *cv)
{
	const struct display_text *t = s->text;
	int h = text_rows_shown(&s->base), first = text_first(s);

	for (int y = 0; y < h && first + y < (int)t->rows; y++)
		for (int x = 0; x < (int)t->cols && x < cv->cols; x++)
			text_draw_cell(s, cv, y, x,
				&t->cell[(unsigned)(first + y) * t->cols +
					 (unsigned)x]);
	if (t->cursor_row >= first && t->cursor_row < first + h) {
		cv->cursor_y = t->cursor_row - first;
		cv->cursor_x = t->cursor_col;
	}
}

static void text_draw_notice(const struct scr_text *s, struct canvas *cv)
{
	struct display_stats st;
	int y = s->base.h / 3;

	display_stats(s->display, &st);
	if (!model_alive(s->info.state))
		draw_textf(cv, y, 2, cv->cols - 4, ROLE_STRONG, "%s is %s.",
			s->guest, guest_state_name(s->info.state));
	else if (st.width)
		draw_textf(cv, y, 2, cv->cols - 4, ROLE_STRONG,
			"%s shows graphics, %ux%u.", s->guest, st.width,
			st.height);
	else
		draw_textf(cv, y, 2, cv->cols - 4, ROLE_STRONG,
			"%s shows nothing yet.", s->guest);
	if (*s->info.vnc)
		draw_textf(cv, y + 2, 2, cv->cols - 4, ROLE_NORMAL,
			"A VNC viewer sees it at %s", s->info.vnc);
}

static void text_draw(struct screen *base, struct canvas *cv)
{
	struct scr_text *s = (struct scr_text *)(void *)base;
	int y = base->h - 1, x = 1;

	if (s->text->cols)
		text_draw_cells(s, cv);
	else
		text_draw_notice(s, cv);
	if (base->h < 3)
		return;
	draw_fill(cv, y, 0, cv->cols, ROLE_TITLE);
	x += draw_textf(cv, y, x, cv->cols - 1, ROLE_TITLE, "%s", s->guest);
	x += draw_textf(cv, y, x, cv->cols - x, ROLE_TITLE2, " screen %ux%u  ",
		s->text->cols, s->text->rows);
	x += draw_text(cv, y, x, cv->cols - x, ROLE_TITLE,
		guest_state_name(s->info.state));
	draw_text(cv, y, x, cv->cols - x, ROLE_TITLE2,
		"   ^] back   Shift-PgUp pan");
}

const struct screen_ops scr_text = {
	.title = "Text screen",
	.size = sizeof(struct scr_text),
	.full = true,
	.init = text_init,
	.free = text_free,
	.key = text_key,
	.update = text_update,
	.draw = text_draw,
};
