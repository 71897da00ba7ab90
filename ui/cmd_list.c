/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `list` and `show`: what the model knows, as a table or as JSON. A guest
 * with a single snapshot has no rates yet: then a second one is taken a
 * moment later and the answer waits for it.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "ui/guests.h"
#include "ui/job.h"
#include "ui/model.h"
#include "ui/report.h"

#define LIST_FRESH_NS  (1500 * NS_PER_MS)
#define LIST_SAMPLE_NS (250 * NS_PER_MS)

struct list_wait {
	struct loop_timer timer;
	void (*print)(struct job *j);
	bool armed;
};

static void list_second(void *arg)
{
	struct job *j = arg;
	struct list_wait *w = j->priv;

	w->armed = false;
	model_sample(j->app->model);
	w->print(j);
	job_drop(j);
}

static void list_free(struct job *j)
{
	struct list_wait *w = j->priv;

	loop_timer_disarm(&w->timer);
	free(w);
}

static const struct job_ops list_ops = { .free = list_free };

/* Print now, or when the figures are there. */
static void list_when_known(struct job *j, void (*print)(struct job *j))
{
	struct model *m = j->app->model;
	struct list_wait *w;

	model_refresh(m);
	if (!m->sampled_ns || clock_now_ns() - m->sampled_ns > LIST_FRESH_NS ||
		model_wants_sample(m))
		model_sample(m);
	app_poke(j->app);
	w = model_wants_sample(m) ? calloc(1, sizeof(*w)) : NULL;
	if (!w) {
		print(j);
		return;
	}
	w->print = print;
	loop_timer_init(&w->timer, j->app->loop, list_second, j);
	j->priv = w;
	j->ops = &list_ops;
	job_hold(j);
	loop_timer_arm(&w->timer, clock_now_ns() + LIST_SAMPLE_NS);
}

/* The guests that the operands name, as the model has them. */
static int list_pick(struct job *j, struct model_guest ***out)
{
	struct guest_info *g = NULL;
	struct err e = ERR_NONE;
	int n = guests_match(j->app->engine, j->args.operand, j->args.noperands,
		&g, &e);
	struct model_guest **v = NULL;
	int have = 0;

	if (n >= 0)
		v = calloc((size_t)n + 1, sizeof(void *));
	if (!v) {
		job_fail(j, "%s", n < 0 ? e.msg : "out of memory");
		free(g);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		v[have] = model_find(j->app->model, g[i].name);
		if (v[have])
			have++;
	}
	free(g);
	*out = v;
	return have;
}

static void list_print(struct job *j)
{
	struct model_guest **v;
	int n = list_pick(j, &v);
	char *text;

	if (n < 0)
		return;
	if (cmd_opt(&j->args, "--json")) {
		text = report_list_json(v, n);
		if (text)
			job_write(j, text, strlen(text));
		else
			job_fail(j, "out of memory");
		free(text);
	} else {
		report_list_text(v, n, job_write, j);
		for (size_t i = 0; engine_broken(j->app->engine, i); i++)
			job_note(j, "%s", engine_broken(j->app->engine, i));
	}
	free(v);
}

static void list_names(struct job *j)
{
	struct guest_info *g = NULL;
	struct err e = ERR_NONE;
	int n = guests_match(j->app->engine, j->args.operand, j->args.noperands,
		&g, &e);

	if (n < 0)
		job_fail(j, "%s", e.msg);
	for (int i = 0; i < n; i++)
		job_printf(j, "%s\n", g[i].name);
	free(g);
}

void cmd_list(struct job *j)
{
	if (cmd_opt(&j->args, "--names"))
		list_names(j);
	else
		list_when_known(j, list_print);
}

static void show_print(struct job *j)
{
	struct conf *c = malloc(sizeof(*c));
	struct model_guest **v = NULL;
	int n = c ? list_pick(j, &v) : -1;

	for (int i = 0; i < n; i++) {
		const char *name = v[i]->info.name;
		char *text;

		if (engine_conf(j->app->engine, name, c)) {
			job_fail(j, "there is no guest '%s'", name);
			continue;
		}
		text = cmd_opt(&j->args, "--json") ? report_show_json(v[i], c)
						   : report_show_text(v[i], c);
		if (text)
			job_write(j, text, strlen(text));
		else
			job_fail(j, "out of memory");
		free(text);
	}
	free(v);
	free(c);
}

void cmd_show(struct job *j)
{
	list_when_known(j, show_print);
}
