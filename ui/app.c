/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The state that verbs and screens share, the worker thread, the events of
 * the engine and the one-second tick. The tick runs only while something can
 * change: a view is attached or a guest runs.
 */
#include "ui/app.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "ui/job.h"
#include "ui/model.h"
#include "ui/view.h"

/* Between looks at the guests while nobody watches. */
#define APP_SELDOM_NS (5 * NS_PER_S)

/* Any thread. A box that is full loses the event; states are read anyway. */
static void app_watch(void *arg, const struct engine_event *ev)
{
	struct app *a = arg;
	struct engine_event *copy = malloc(sizeof(*copy));

	if (!copy)
		return;
	*copy = *ev;
	if (mailbox_put(a->mail, copy))
		free(copy);
}

static void app_event(void *arg, void *msg)
{
	struct app *a = arg;
	struct engine_event *ev = msg;
	struct app_event *slot = &a->events[a->nevents++ % APP_EVENTS];

	slot->wall_ns = clock_wall_ns();
	slot->ev = *ev;
	if (ev->kind == ENGINE_EV_STATE)
		log_msg(a->log, LOG_INFO, "%s is %s%s%s", ev->guest,
			guest_state_name(ev->state), *ev->why ? ": " : "",
			ev->why);
	model_refresh(a->model);
	list_each_safe (n, tmp, &a->jobs) {
		struct job *j = list_entry(n, struct job, node);

		if (j->ops && j->ops->event)
			j->ops->event(j, ev);
	}
	list_each (n, &a->views)
		view_event(view_of(n), ev);
	free(ev);
	app_poke(a);
}

static void app_tick(void *arg)
{
	struct app *a = arg;

	a->next_tick_ns = 0;
	model_sample(a->model);
	list_each_safe (n, tmp, &a->views)
		view_tick(view_of(n));
	if (!list_empty(&a->views) || model_running(a->model))
		app_poke(a);
}

void app_poke(struct app *a)
{
	bool seldom = list_empty(&a->views);

	/* one who came to look does not wait for the seldom look */
	if (a->next_tick_ns && (seldom || !a->seldom))
		return;
	a->seldom = seldom;
	a->next_tick_ns = clock_now_ns() + (seldom ? APP_SELDOM_NS : NS_PER_S);
	loop_timer_arm(&a->tick, a->next_tick_ns);
}

static void app_work(void *arg)
{
	loop_run(arg);
}

static int app_start(struct app *a, struct err *e)
{
	int r = loop_new(&a->work_loop, e);

	if (r)
		return r;
	r = thread_start(&a->work, "worker", app_work, a->work_loop, e);
	if (r) {
		loop_free(a->work_loop);
		a->work_loop = NULL;
	}
	return r;
}

int app_init(struct app *a, struct engine *en, struct loop *l, struct log *log,
	struct err *e)
{
	int r;

	memset(a, 0, sizeof(*a));
	a->engine = en;
	a->loop = l;
	a->log = log;
	a->started_ns = clock_now_ns();
	list_init(&a->jobs);
	list_init(&a->tasks);
	list_init(&a->views);
	list_init(&a->lookups);
	loop_timer_init(&a->tick, l, app_tick, a);
	r = model_new(en, &a->model);
	if (r)
		return err_sys(e, -r, "cannot make the model");
	r = mailbox_new(l, APP_EVENTS, app_event, a, &a->mail, e);
	if (r)
		goto out_model;
	r = app_start(a, e);
	if (r)
		goto out_mail;
	engine_watch(en, app_watch, a);
	model_refresh(a->model);
	return 0;
out_mail:
	mailbox_free(a->mail, free);
out_model:
	model_free(a->model);
	return r;
}

void app_quiesce(struct app *a)
{
	engine_watch(a->engine, NULL, NULL);
	loop_timer_disarm(&a->tick);
	if (!a->work_loop)
		return;
	loop_stop(a->work_loop);
	thread_join(&a->work);
}

void app_fini(struct app *a)
{
	struct list *n;

	while ((n = list_pop(&a->tasks))) {
		struct task *t = list_entry(n, struct task, node);

		loop_call_cancel(&t->run);
		loop_call_cancel(&t->end);
		free(t);
	}
	while ((n = list_pop(&a->jobs)))
		job_free(list_entry(n, struct job, node));
	view_complete_fini(a);
	if (a->work_loop)
		loop_free(a->work_loop);
	mailbox_free(a->mail, free);
	model_free(a->model);
}
