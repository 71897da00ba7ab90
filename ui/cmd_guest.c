/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Verbs that change guests. Commands run on the engine's thread, files are
 * read and written by the worker; the loop only hands over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "display/display.h"

#include "ui/guests.h"
#include "ui/job.h"
#include "ui/paths.h"

#define STOP_DEFAULT_S 60
#define STOP_MAX_S     86400

/* Tell what went wrong, naming the guest once. */
static void guest_failed(struct task *t)
{
	size_t n = strlen(t->guest);

	if (!t->err.code)
		return;
	if (!*t->err.msg)
		err_set(&t->err, t->err.code, "%s", strerror(t->err.code));
	if (!strncmp(t->err.msg, t->guest, n) && t->err.msg[n] == ':')
		job_fail(t->job, "%s", t->err.msg);
	else
		job_fail(t->job, "%s: %s", t->guest, t->err.msg);
}

/* The same command for every guest that the operands name. */
static void guest_command(struct job *j, enum engine_verb verb,
	unsigned timeout_ms)
{
	struct guest_info *g = NULL;
	struct err e = ERR_NONE;
	int n = guests_match(j->app->engine, j->args.operand, j->args.noperands,
		&g, &e);

	if (n < 0)
		job_fail(j, "%s", e.msg);
	for (int i = 0; i < n; i++) {
		struct task *t = task_new(j, g[i].name, guest_failed);

		if (t)
			task_engine(t, verb, timeout_ms);
	}
	free(g);
}

void cmd_start(struct job *j)
{
	guest_command(j, ENGINE_START, 0);
}

void cmd_stop(struct job *j)
{
	const char *s = cmd_opt(&j->args, "--timeout");
	char *end;
	double v = s ? strtod(s, &end) : STOP_DEFAULT_S;

	/* "!(a && b)" also refuses what is no number */
	if (s && (!*s || *end || !(v >= 0 && v <= STOP_MAX_S))) {
		job_fail(j, "stop: --timeout takes 0 to %d seconds, not '%s'",
			STOP_MAX_S, s);
		j->code = UI_USAGE;
		return;
	}
	guest_command(j, ENGINE_STOP, (unsigned)(v * 1000));
}

void cmd_kill(struct job *j)
{
	guest_command(j, ENGINE_KILL, 0);
}

void cmd_pause(struct job *j)
{
	guest_command(j, ENGINE_PAUSE, 0);
}

void cmd_resume(struct job *j)
{
	guest_command(j, ENGINE_RESUME, 0);
}

void cmd_reset(struct job *j)
{
	guest_command(j, ENGINE_RESET, 0);
}

/* Worker: KVM changes every memslot of the guest. */
static void dirty_work(struct task *t)
{
	int r = engine_dirty_rate(t->job->app->engine, t->guest,
		t->data == NULL);

	if (r == -EINVAL)
		err_set(&t->err, EINVAL, "it is off: start it first");
	else if (r < 0)
		err_sys(&t->err, -r, "cannot measure");
}

void cmd_dirty(struct job *j)
{
	struct guest_info *g = NULL;
	struct err e = ERR_NONE;
	int n = guests_match(j->app->engine, j->args.operand, j->args.noperands,
		&g, &e);

	if (n < 0)
		job_fail(j, "%s", e.msg);
	for (int i = 0; i < n; i++) {
		struct task *t = task_new(j, g[i].name, guest_failed);

		if (!t)
			continue;
		t->data = (void *)cmd_opt(&j->args, "--off");
		task_work(t, dirty_work);
	}
	free(g);
}

void cmd_undefine(struct job *j)
{
	guest_command(j, ENGINE_UNDEFINE, 0);
}

/* Worker. */
static void define_work(struct task *t)
{
	struct conf *c = malloc(sizeof(*c));

	if (!c) {
		err_sys(&t->err, ENOMEM, "cannot read %s", t->path);
		return;
	}
	if (!conf_read(t->path, c, &t->err)) {
		snprintf(t->guest, sizeof(t->guest), "%s", c->name);
		engine_define(t->job->app->engine, c, t->data != NULL, &t->err);
	}
	free(c);
}

static void define_done(struct task *t)
{
	if (t->err.code)
		job_fail(t->job, "%s", t->err.msg);
	else
		job_printf(t->job, "%s defined\n", t->guest);
}

void cmd_define(struct job *j)
{
	for (int i = 0; i < j->args.noperands; i++) {
		struct err e = ERR_NONE;
		struct task *t = task_new(j, "", define_done);

		if (!t)
			return;
		if (paths_resolve(j->req.cwd, j->args.operand[i], t->path,
			    sizeof(t->path), &e)) {
			t->err = e;
			loop_call_schedule(&t->end);
			continue;
		}
		t->data = (void *)cmd_opt(&j->args, "--replace");
		task_work(t, define_work);
	}
}

/* Worker: a picture is refreshed, packed and written. */
static void screenshot_work(struct task *t)
{
	display_screenshot(t->data, t->path, &t->err);
}

static void screenshot_done(struct task *t)
{
	engine_display_put(t->job->app->engine, t->data);
	guest_failed(t);
}

/* The display of the one guest that the first operand names, or NULL. */
static struct display *guest_display(struct job *j, char *name, size_t len)
{
	struct guest_info g;
	struct display *d;

	if (guests_one(j, &g))
		return NULL;
	snprintf(name, len, "%s", g.name);
	d = engine_display_get(j->app->engine, g.name);
	if (!d)
		job_fail(j, "%s: no screen: %s", g.name,
			g.state == GUEST_DEFINED ? "it was never started"
						 : "it has no display adapter");
	return d;
}

void cmd_screenshot(struct job *j)
{
	char name[CONF_NAME_MAX + 1];
	struct err e = ERR_NONE;
	struct display *d = guest_display(j, name, sizeof(name));
	struct task *t;

	if (!d)
		return;
	t = task_new(j, name, screenshot_done);
	if (!t) {
		engine_display_put(j->app->engine, d);
		return;
	}
	t->data = d;
	if (paths_resolve(j->req.cwd, j->args.operand[1], t->path,
		    sizeof(t->path), &e)) {
		t->err = e;
		loop_call_schedule(&t->end);
		return;
	}
	task_work(t, screenshot_work);
}

void cmd_sendkey(struct job *j)
{
	char name[CONF_NAME_MAX + 1];
	struct err e = ERR_NONE;
	struct display *d = guest_display(j, name, sizeof(name));

	if (!d)
		return;
	if (display_sendkey(d, (const char *const *)&j->args.operand[1],
		    j->args.noperands - 1, &e))
		job_fail(j, "%s: %s", name, e.msg);
	engine_display_put(j->app->engine, d);
}
