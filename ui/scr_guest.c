/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's page: tabs on a terminal of usual size; where there is room, the
 * overview also shows the other parts beside and below it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/page.h"
#include "ui/text.h"
#include "ui/view.h"
#include "ui/w_head.h"

#define PAGE_WIDE 150 /* columns for two parts side by side */
#define PAGE_TALL 40  /* rows for parts below each other */

enum page_tab {
	TAB_OVERVIEW,
	TAB_CPUS,
	TAB_DISKS,
	TAB_NETS,
	TAB_CONFIG,
	TAB_EVENTS,
	TABS,
};

static const char *const tab_names[TABS] = { "Overview", "CPUs", "Disks",
	"Network", "Config", "Events" };

struct scr_guest {
	struct screen base;
	char guest[CONF_NAME_MAX + 1];
	struct conf *conf;
	struct w_doc left, right;
	enum page_tab tab;
	int top;
	bool gone; /* undefined meanwhile */
};

static struct scr_guest *page_of(struct screen *base)
{
	return (struct scr_guest *)(void *)base;
}

static struct model_guest *page_guest(struct scr_guest *s)
{
	return model_find(s->base.view->app->model, s->guest);
}

static void page_update(struct screen *base)
{
	struct scr_guest *s = page_of(base);

	s->gone = engine_conf(base->view->app->engine, s->guest, s->conf) != 0;
}

static int page_init(struct screen *base, const char *arg, struct err *e)
{
	struct scr_guest *s = page_of(base);

	snprintf(s->guest, sizeof(s->guest), "%s", arg);
	if (!model_find(base->view->app->model, arg))
		return err_set(e, ENOENT, "there is no guest '%s'", arg);
	s->conf = calloc(1, sizeof(*s->conf));
	if (!s->conf)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static void page_free(struct screen *base)
{
	struct scr_guest *s = page_of(base);

	w_doc_fini(&s->left);
	w_doc_fini(&s->right);
	free(s->conf);
}

/* ---- keys ---- */

static void page_targets(struct screen *base, struct names *out)
{
	out->name = calloc(1, sizeof(*out->name));
	out->n = out->name ? 1 : 0;
	if (out->n)
		strcpy(out->name[0], page_of(base)->guest);
}

static unsigned key_serial(struct screen *base)
{
	view_push(base->view, &scr_serial, page_of(base)->guest);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_screen(struct screen *base)
{
	view_push(base->view, &scr_text, page_of(base)->guest);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_log(struct screen *base)
{
	char line[CONF_NAME_MAX + 24];

	snprintf(line, sizeof(line), "console --log %s", page_of(base)->guest);
	view_run_line(base->view, line);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_pause(struct screen *base)
{
	const struct model_guest *g = page_guest(page_of(base));
	struct names n;

	page_targets(base, &n);
	if (n.n)
		view_run_verb(base->view,
			g && g->info.state == GUEST_PAUSED ? "resume" : "pause",
			&n);
	free(n.name);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned page_turn(struct screen *base, int step)
{
	struct scr_guest *s = page_of(base);

	s->tab = (enum page_tab)(((int)s->tab + step + TABS) % TABS);
	s->top = 0;
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static unsigned key_next(struct screen *s)
{
	return page_turn(s, 1);
}

static unsigned key_prev(struct screen *s)
{
	return page_turn(s, -1);
}

static const struct bind page_binds[] = {
	{ K_TAB, "Part", "next part (also 1 to 6, Left and Right)", NULL,
		key_next },
	{ K_BACKTAB, NULL, "part before", NULL, key_prev },
	{ 'c', "Console", "serial console, ^] leaves it", NULL, key_serial },
	{ 't', "Screen", "text screen, ^] leaves it", NULL, key_screen },
	{ 's', "Start", "power on", "start", NULL },
	{ 'S', "Stop", "press the power button (asks)", "stop", NULL },
	{ 'p', "Pause", "pause, or let go on", NULL, key_pause },
	{ 'R', "Reset", "press the reset button (asks)", "reset", NULL },
	{ 'K', "Kill", "take the power away (asks)", "kill", NULL },
	{ 'l', "Log", "what the serial console said", NULL, key_log },
	{ 0 },
};

static unsigned page_key(struct screen *base, const struct key *k)
{
	struct scr_guest *s = page_of(base);
	int lines =
		s->left.lines > s->right.lines ? s->left.lines : s->right.lines;

	if (k->code >= '1' && k->code < '1' + TABS)
		return page_turn(base, k->code - '1' - (int)s->tab);
	if (k->code == K_LEFT)
		return page_turn(base, -1);
	if (k->code == K_RIGHT)
		return page_turn(base, 1);
	if (w_doc_scroll(&s->top, lines, base->h - 2, k->code))
		return SCREEN_HANDLED | SCREEN_REDRAW;
	return 0;
}

/* ---- drawing ---- */

static void page_head(const struct scr_guest *s, struct canvas *cv,
	const struct model_guest *g)
{
	char more[160], up[24], clock[16];

	snprintf(more, sizeof(more), "%s%s%s", guest_state_name(g->info.state),
		model_alive(g->info.state) ? " for " : "",
		model_alive(g->info.state)
			? text_duration(g->info.uptime_ns, up, sizeof(up))
			: "");
	w_title(cv, 0, s->guest, more,
		w_clock(w_wall_ns(), clock, sizeof(clock)));
}

static void page_tabs(const struct scr_guest *s, struct canvas *cv)
{
	int x = 0;

	draw_fill(cv, 1, 0, cv->cols, ROLE_HEAD);
	for (int i = 0; i < TABS; i++)
		x += 1 + draw_textf(cv, 1, x, cv->cols - x,
				 i == (int)s->tab ? ROLE_SORTED : ROLE_HEAD,
				 " %d %s ", i + 1, tab_names[i]);
}

static void page_build(struct scr_guest *s, const struct model_guest *g, int w)
{
	const struct app *a = s->base.view->app;
	struct w_doc *d = &s->left;
	bool wide = s->base.w >= PAGE_WIDE, tall = s->base.h >= PAGE_TALL;

	w_doc_clear(&s->left);
	w_doc_clear(&s->right);
	if (s->tab == TAB_OVERVIEW)
		page_overview(d, g, w);
	if (s->tab == TAB_CPUS || (s->tab == TAB_OVERVIEW && (wide || tall)))
		page_cpus(d, g);
	if (s->tab == TAB_OVERVIEW && wide)
		d = &s->right;
	if (s->tab == TAB_DISKS || (s->tab == TAB_OVERVIEW && (wide || tall)))
		page_disks(d, g);
	if (s->tab == TAB_NETS || (s->tab == TAB_OVERVIEW && (wide || tall)))
		page_nets(d, g, s->conf);
	if (s->tab == TAB_CONFIG)
		page_config(d, s->conf);
	if (s->tab == TAB_EVENTS || (s->tab == TAB_OVERVIEW && (wide || tall)))
		page_events(d, a, s->guest);
}

static void page_draw(struct screen *base, struct canvas *cv)
{
	struct scr_guest *s = page_of(base);
	const struct model_guest *g = page_guest(s);
	bool split = s->tab == TAB_OVERVIEW && base->w >= PAGE_WIDE;
	int w = split ? base->w / 2 - 1 : base->w, h = base->h - 2;

	if (s->gone || !g) {
		draw_textf(cv, 0, 1, cv->cols - 2, ROLE_BAD,
			"%s is not defined any more", s->guest);
		return;
	}
	page_head(s, cv, g);
	page_tabs(s, cv);
	page_build(s, g, w);
	w_doc_draw(&s->left, cv, 2, 0, h, w, s->top);
	if (split)
		w_doc_draw(&s->right, cv, 2, w + 2, h, w - 1, s->top);
}

const struct screen_ops scr_guest = {
	.title = "A guest's page",
	.binds = page_binds,
	.size = sizeof(struct scr_guest),
	.init = page_init,
	.free = page_free,
	.key = page_key,
	.update = page_update,
	.draw = page_draw,
	.targets = page_targets,
};
