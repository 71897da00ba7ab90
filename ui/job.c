/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Jobs: one verb from its words to its exit code. A job that waits is held;
 * when the last hold drops, its end is called from the loop, so that no
 * caller finds its job gone under its feet.
 */
#include "ui/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOB_LINE_MAX 2048

static void job_end(void *arg)
{
	struct job *j = arg;
	const struct job_sink *sink = j->sink;
	void *sink_arg = j->sink_arg;
	int code = j->code;

	list_del(&j->node);
	job_free(j);
	if (sink)
		sink->done(sink_arg, code);
}

void job_free(struct job *j)
{
	loop_call_cancel(&j->end);
	if (j->ops && j->ops->free)
		j->ops->free(j);
	proto_request_fini(&j->req);
	free(j);
}

void job_hold(struct job *j)
{
	j->holds++;
}

void job_drop(struct job *j)
{
	if (--j->holds == 0)
		loop_call_schedule(&j->end);
}

struct job *job_run(struct app *a, struct proto_request *req,
	const struct job_sink *sink, void *arg)
{
	struct job *j = calloc(1, sizeof(*j));
	struct err e = ERR_NONE;

	if (!j) {
		proto_request_fini(req);
		return NULL;
	}
	j->app = a;
	j->sink = sink;
	j->sink_arg = arg;
	j->req = *req;
	memset(req, 0, sizeof(*req));
	loop_call_init(&j->end, a->loop, job_end, j);
	list_add_tail(&a->jobs, &j->node);
	j->holds = 1;
	if (cmd_parse(j->req.argc, j->req.argv, &j->args, &e)) {
		job_fail(j, "%s", e.msg);
		j->code = UI_USAGE;
	} else if (!j->args.verb->exec) {
		job_fail(j, "%s: this verb is not for the server",
			j->args.verb->name);
		j->code = UI_USAGE;
	} else {
		j->args.verb->exec(j);
	}
	job_drop(j);
	return j;
}

void job_detach(struct job *j)
{
	j->sink = NULL;
	if (j->ops && j->ops->cancel)
		j->ops->cancel(j);
}

bool job_can_stop(const struct job *j)
{
	return j->ops && j->ops->stop;
}

void job_stop(struct job *j)
{
	if (job_can_stop(j))
		j->ops->stop(j);
}

void job_write(struct job *j, const char *text, size_t len)
{
	if (j->sink && len)
		j->sink->out(j->sink_arg, text, len);
}

void job_printf(struct job *j, const char *fmt, ...)
{
	char line[JOB_LINE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		job_write(j, line, strlen(line));
}

static void job_complain(struct job *j, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void job_complain(struct job *j, const char *fmt, va_list ap)
{
	char line[JOB_LINE_MAX] = "guestdeck: ";
	size_t n = strlen(line);

	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	strcat(line, "\n");
	if (j->sink)
		j->sink->err(j->sink_arg, line, strlen(line));
}

void job_fail(struct job *j, const char *fmt, ...)
{
	va_list ap;

	j->code = UI_FAIL;
	va_start(ap, fmt);
	job_complain(j, fmt, ap);
	va_end(ap);
}

void job_note(struct job *j, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	job_complain(j, fmt, ap);
	va_end(ap);
}

/* Loop's thread: t has ended elsewhere. */
static void task_end(void *arg)
{
	struct task *t = arg;
	struct job *j = t->job;

	list_del(&t->node);
	t->done(t);
	free(t);
	job_drop(j);
}

/* Worker's thread. */
static void task_run(void *arg)
{
	struct task *t = arg;

	t->fn(t);
	loop_call_schedule(&t->end);
}

/* Engine's thread. */
static void task_engine_done(void *arg, const struct err *e)
{
	struct task *t = arg;

	t->err = *e;
	loop_call_schedule(&t->end);
}

struct task *task_new(struct job *j, const char *guest,
	void (*done)(struct task *t))
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t) {
		job_fail(j, "out of memory");
		return NULL;
	}
	t->job = j;
	t->done = done;
	snprintf(t->guest, sizeof(t->guest), "%s", guest);
	loop_call_init(&t->run, j->app->work_loop, task_run, t);
	loop_call_init(&t->end, j->app->loop, task_end, t);
	list_add_tail(&j->app->tasks, &t->node);
	job_hold(j);
	return t;
}

void task_work(struct task *t, void (*fn)(struct task *t))
{
	t->fn = fn;
	loop_call_schedule(&t->run);
}

void task_engine(struct task *t, enum engine_verb verb, unsigned timeout_ms)
{
	struct engine_command c = {
		.verb = verb,
		.timeout_ms = timeout_ms,
		.done = task_engine_done,
		.arg = t,
	};

	snprintf(c.guest, sizeof(c.guest), "%s", t->guest);
	engine_command(t->job->app->engine, &c);
}
