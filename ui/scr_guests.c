/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of guests: sorted, filtered, with one selected and any number
 * tagged. Selection and tags are kept by name, so that they stay on their
 * guests when the order changes. Verbs act on the tagged guests, or on the
 * selected one when none is tagged.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "ui/guest_cols.h"
#include "ui/text.h"
#include "ui/view.h"
#include "ui/w_head.h"

struct scr_guests {
	struct screen base;
	struct model_guest **row; /* of the model's present generation */
	int n;
	uint64_t generation;
	int at, top; /* selected row, first shown */
	char selected[CONF_NAME_MAX + 1];
	char filter[128];
	struct names tags;
	int sort; /* column */
	bool reverse;
};

static const struct scr_guests *sorting; /* for qsort's comparison */

static int rows_cmp(const void *pa, const void *pb)
{
	const struct model_guest *a = *(struct model_guest *const *)pa;
	const struct model_guest *b = *(struct model_guest *const *)pb;
	int r = guest_col(sorting->sort)->cmp(a, b);

	if (sorting->reverse)
		r = -r;
	return r ? r : strcmp(a->info.name, b->info.name);
}

static bool guests_match_filter(const struct scr_guests *s, const char *name)
{
	char pattern[sizeof(s->filter) + 2];

	if (!s->filter[0])
		return true;
	if (strpbrk(s->filter, "*?["))
		snprintf(pattern, sizeof(pattern), "%s", s->filter);
	else
		snprintf(pattern, sizeof(pattern), "*%s*", s->filter);
	return !fnmatch(pattern, name, FNM_CASEFOLD);
}

static int tag_find(const struct scr_guests *s, const char *name)
{
	for (int i = 0; i < s->tags.n; i++)
		if (!strcmp(s->tags.name[i], name))
			return i;
	return -1;
}

static void tag_drop(struct scr_guests *s, int i)
{
	memmove(s->tags.name[i], s->tags.name[i + 1],
		(size_t)(s->tags.n - i - 1) * sizeof(*s->tags.name));
	s->tags.n--;
}

static void tag_add(struct scr_guests *s, const char *name)
{
	void *p = realloc(s->tags.name,
		(size_t)(s->tags.n + 1) * sizeof(*s->tags.name));

	if (!p)
		return;
	s->tags.name = p;
	snprintf(s->tags.name[s->tags.n++], sizeof(*s->tags.name), "%s", name);
}

/* Keep the selected name in view; the place when its guest is gone. */
static void guests_place(struct scr_guests *s)
{
	for (int i = 0; i < s->n; i++)
		if (!strcmp(s->row[i]->info.name, s->selected)) {
			s->at = i;
			return;
		}
	if (s->at >= s->n)
		s->at = s->n ? s->n - 1 : 0;
	if (s->n)
		strcpy(s->selected, s->row[s->at]->info.name);
}

/* Take the model's rows anew when it changed or force is set. */
static void guests_sync(struct scr_guests *s, bool force)
{
	struct model *m = s->base.view->app->model;
	struct model_guest **v;

	if (!force && s->generation == m->generation)
		return;
	v = realloc(s->row, (m->n + 1) * sizeof(void *));
	s->n = 0;
	if (!v)
		return;
	s->row = v;
	s->generation = m->generation;
	for (size_t i = 0; i < m->n; i++)
		if (guests_match_filter(s, m->guest[i]->info.name))
			v[s->n++] = m->guest[i];
	sorting = s;
	qsort(v, (size_t)s->n, sizeof(void *), rows_cmp);
	for (int i = s->tags.n - 1; i >= 0; i--)
		if (!model_find(m, s->tags.name[i]))
			tag_drop(s, i);
	guests_place(s);
}

static struct scr_guests *guests_of(struct screen *base)
{
	struct scr_guests *s = (struct scr_guests *)(void *)base;

	guests_sync(s, false);
	return s;
}

static int guests_init(struct screen *base, const char *arg, struct err *e)
{
	(void)arg;
	(void)e;
	guests_sync((struct scr_guests *)(void *)base, true);
	return 0;
}

static void guests_free(struct screen *base)
{
	struct scr_guests *s = (struct scr_guests *)(void *)base;

	free(s->row);
	free(s->tags.name);
}

static void guests_update(struct screen *base)
{
	guests_sync((struct scr_guests *)(void *)base, true);
}

static const char *guests_selected(const struct scr_guests *s)
{
	return s->n ? s->row[s->at]->info.name : NULL;
}

static void guests_targets(struct screen *base, struct names *out)
{
	struct scr_guests *s = guests_of(base);
	int n = s->tags.n ? s->tags.n : s->n ? 1 : 0;

	out->n = 0;
	out->name = calloc((size_t)n + 1, sizeof(*out->name));
	if (!out->name)
		return;
	out->n = n;
	if (s->tags.n)
		memcpy(out->name, s->tags.name, (size_t)n * sizeof(*out->name));
	else if (n)
		strcpy(out->name[0], guests_selected(s));
}

static void guests_filter(struct screen *base, const char *text)
{
	struct scr_guests *s = (struct scr_guests *)(void *)base;

	snprintf(s->filter, sizeof(s->filter), "%s", text);
	guests_sync(s, true);
}

/* ---- keys ---- */

static unsigned guests_open(struct screen *base, const struct screen_ops *ops)
{
	const char *name = guests_selected(guests_of(base));

	if (name)
		view_push(base->view, ops, name);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_page(struct screen *s)
{
	return guests_open(s, &scr_guest);
}

static unsigned key_serial(struct screen *s)
{
	return guests_open(s, &scr_serial);
}

static unsigned key_screen(struct screen *s)
{
	return guests_open(s, &scr_text);
}

static unsigned key_log(struct screen *s)
{
	const char *name = guests_selected(guests_of(s));
	char line[CONF_NAME_MAX + 24];

	if (name) {
		snprintf(line, sizeof(line), "console --log %s", name);
		view_run_line(s->view, line);
	}
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

/* One key for both: what is paused goes on. */
static unsigned key_pause(struct screen *base)
{
	struct model *m = base->view->app->model;
	struct names n;
	bool paused = true;

	guests_targets(base, &n);
	for (int i = 0; i < n.n; i++) {
		const struct model_guest *g = model_find(m, n.name[i]);

		paused &= g && g->info.state == GUEST_PAUSED;
	}
	if (n.n)
		view_run_verb(base->view, paused ? "resume" : "pause", &n);
	free(n.name);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_tag(struct screen *base)
{
	struct scr_guests *s = guests_of(base);
	const char *name = guests_selected(s);
	int i;

	if (!name)
		return SCREEN_HANDLED;
	i = tag_find(s, name);
	if (i >= 0)
		tag_drop(s, i);
	else
		tag_add(s, name);
	if (s->at + 1 < s->n)
		strcpy(s->selected, s->row[++s->at]->info.name);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_tag_all(struct screen *base)
{
	struct scr_guests *s = guests_of(base);
	int before = s->tags.n;

	for (int i = 0; i < s->n; i++)
		if (tag_find(s, s->row[i]->info.name) < 0)
			tag_add(s, s->row[i]->info.name);
	if (s->tags.n == before)
		s->tags.n = 0; /* all were: now none is */
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_filter(struct screen *base)
{
	view_begin_filter(base->view, guests_of(base)->filter);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned sort_by(struct screen *base, int step)
{
	struct scr_guests *s = guests_of(base);

	do {
		s->sort += step;
		if (!guest_col(s->sort))
			s->sort = step > 0 ? 0 : 14;
	} while (!guest_col(s->sort) || !guest_col(s->sort)->cmp);
	guests_sync(s, true);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_sort_next(struct screen *s)
{
	return sort_by(s, 1);
}

static unsigned key_sort_prev(struct screen *s)
{
	return sort_by(s, -1);
}

static unsigned key_reverse(struct screen *base)
{
	struct scr_guests *s = guests_of(base);

	s->reverse = !s->reverse;
	guests_sync(s, true);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static const struct bind guests_binds[] = {
	{ K_ENTER, "Page", "all about the selected guest", NULL, key_page },
	{ 's', "Start", "power on", "start", NULL },
	{ 'S', "Stop", "press the power button (asks)", "stop", NULL },
	{ 'p', "Pause", "pause, or let go on what is paused", NULL, key_pause },
	{ 'c', "Console", "serial console, ^] leaves it", NULL, key_serial },
	{ 't', "Screen", "text screen, ^] leaves it", NULL, key_screen },
	{ '/', "Filter", "show names with this in them, or that fit a pattern",
		NULL, key_filter },
	{ ' ', "Tag", "tag: verbs then act on all that are tagged", NULL,
		key_tag },
	{ '*', NULL, "tag all that are shown, or none", NULL, key_tag_all },
	{ 'R', "Reset", "press the reset button (asks)", "reset", NULL },
	{ 'K', "Kill", "take the power away (asks)", "kill", NULL },
	{ 'U', NULL, "forget a guest that is off (asks)", "undefine", NULL },
	{ 'l', "Log", "what the serial console said", NULL, key_log },
	{ '>', "Sort", "sort by the next column", NULL, key_sort_next },
	{ '<', NULL, "sort by the column before", NULL, key_sort_prev },
	{ 'o', NULL, "turn the order round", NULL, key_reverse },
	{ 0 },
};

static int guests_page(const struct screen *base)
{
	return base->h > 6 ? base->h - 4 : base->h > 2 ? base->h - 2 : 1;
}

static unsigned guests_key(struct screen *base, const struct key *k)
{
	struct scr_guests *s = guests_of(base);
	int page = guests_page(base), to = s->at;

	switch (k->code) {
	case K_UP:
	case 'k':
		to--;
		break;
	case K_DOWN:
	case 'j':
		to++;
		break;
	case K_PGUP:
		to -= page;
		break;
	case K_PGDN:
		to += page;
		break;
	case K_HOME:
	case 'g':
		to = 0;
		break;
	case K_END:
	case 'G':
		to = s->n - 1;
		break;
	default:
		return 0;
	}
	to = to >= s->n ? s->n - 1 : to;
	s->at = to < 0 ? 0 : to;
	if (s->n)
		strcpy(s->selected, s->row[s->at]->info.name);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

/* ---- drawing ---- */

static void draw_heads(const struct scr_guests *s, struct canvas *cv, int y,
	const struct guest_layout *l)
{
	char title[32];

	draw_fill(cv, y, 0, cv->cols, ROLE_HEAD);
	for (int i = 0; i < l->n; i++) {
		const struct guest_col *c = l->col[i];
		bool by = c == guest_col(s->sort);
		enum role role = by ? ROLE_SORTED : ROLE_HEAD;

		snprintf(title, sizeof(title), "%s%s", c->title,
			!by || (int)strlen(c->title) >= l->w[i] ? ""
			: s->reverse                            ? "\u25b2"
								: "\u25bc");
		if (c->left)
			draw_text(cv, y, 1 + l->x[i], l->w[i], role, title);
		else
			draw_right(cv, y, 1 + l->x[i], l->w[i], role, title);
	}
}

static void draw_row(const struct scr_guests *s, struct canvas *cv, int y,
	int i, const struct guest_layout *l)
{
	const struct model_guest *g = s->row[i];
	bool tagged = tag_find(s, g->info.name) >= 0;

	cv->over = i == s->at ? ROLE_SELECTED : tagged ? ROLE_TAGGED : 0;
	if (i == s->at)
		draw_fill(cv, y, 0, cv->cols, ROLE_SELECTED);
	draw_char(cv, y, 0, ROLE_TAGGED, tagged ? '*' : ' ');
	for (int k = 0; k < l->n; k++)
		l->col[k]->cell(cv, y, 1 + l->x[k], l->w[k], g);
	cv->over = ROLE_NORMAL;
}

static void draw_empty(const struct scr_guests *s, struct canvas *cv, int y)
{
	if (s->filter[0]) {
		draw_textf(cv, y, 2, cv->cols - 4, ROLE_DIM,
			"No guest fits '%s'. / and Enter shows all.",
			s->filter);
		return;
	}
	draw_text(cv, y, 2, cv->cols - 4, ROLE_STRONG, "No guest is defined.");
	draw_text(cv, y + 2, 2, cv->cols - 4, ROLE_DIM,
		"Type :define /path/to/guest.ini, or ? for help.");
}

static void draw_title(const struct scr_guests *s, struct canvas *cv)
{
	const struct model *m = s->base.view->app->model;
	char clock[16], more[sizeof(m->host.name) + sizeof(s->filter) + 64];
	size_t at;

	at = (size_t)snprintf(more, sizeof(more), "%s", m->host.name);
	if (s->filter[0])
		at += (size_t)snprintf(more + at, sizeof(more) - at,
			"  filter: %s", s->filter);
	if (s->tags.n)
		snprintf(more + at, sizeof(more) - at, "  %d tagged",
			s->tags.n);
	w_title(cv, 0, "guestdeck", more,
		w_clock(w_wall_ns(), clock, sizeof(clock)));
}

static void guests_draw(struct screen *base, struct canvas *cv)
{
	struct scr_guests *s = guests_of(base);
	int y = base->h >= 10 ? 3 : base->h >= 4 ? 1 : 0, rows, name_w = 0;
	struct guest_layout l;

	for (int i = 0; i < s->n; i++) {
		int w = text_width(s->row[i]->info.name);

		name_w = w > name_w ? w : name_w;
	}
	guest_layout(&l, cv->cols - 1, name_w);
	if (y)
		draw_title(s, cv);
	if (y == 3)
		w_head(cv, 1, base->view->app->model);
	if (base->h > 1)
		draw_heads(s, cv, y++, &l);
	rows = base->h - y;
	if (s->at < s->top)
		s->top = s->at;
	if (s->at >= s->top + rows)
		s->top = s->at - rows + 1;
	if (s->top + rows > s->n)
		s->top = s->n > rows ? s->n - rows : 0;
	for (int i = 0; i < rows && s->top + i < s->n; i++)
		draw_row(s, cv, y + i, s->top + i, &l);
	if (!s->n)
		draw_empty(s, cv, y + 1);
}

const struct screen_ops scr_guests = {
	.title = "Table of guests",
	.binds = guests_binds,
	.size = sizeof(struct scr_guests),
	.init = guests_init,
	.free = guests_free,
	.key = guests_key,
	.update = guests_update,
	.draw = guests_draw,
	.targets = guests_targets,
	.filter = guests_filter,
};
