/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A verb being carried out in the server, for a client, a view or a test.
 * Text goes to a sink; the sink may go away and the job still ends. A job
 * ends when nothing holds it any more, always from the loop, never from
 * inside job_run(). Thread: the loop's.
 */
#ifndef UI_JOB_H
#define UI_JOB_H

#include <stdarg.h>

#include "ui/app.h"
#include "ui/cmd.h"
#include "ui/protocol.h"

struct job;

struct job_sink {
	void (*out)(void *arg, const char *text, size_t len);
	void (*err)(void *arg, const char *text, size_t len);
	/* Called once, last. The job is freed after it. */
	void (*done)(void *arg, int code);
	/* Terminal wanted (console, attach); NULL = the sink has none. */
	void (*raw)(void *arg, enum proto_raw how);
	/* Bytes the sink holds that did not leave yet; NULL = 0. */
	size_t (*queued)(void *arg);
	/* How far a long job is; NULL = the sink does not show it. */
	void (*progress)(void *arg, unsigned permille);
	/* After input() returned false: the job takes input again. */
	void (*more)(void *arg);
};

/* For verbs that take the terminal; each may be NULL. */
struct job_ops {
	/* All of data is taken; false = no more until sink->more(). */
	bool (*input)(struct job *j, const uint8_t *data, size_t len);
	void (*winsize)(struct job *j, int rows, int cols);
	void (*eof)(struct job *j);
	void (*writable)(struct job *j); /* the sink's queue has drained */
	void (*cancel)(struct job *j);   /* the sink went away */
	void (*stop)(struct job *j);     /* the person wants no more of it */
	void (*event)(struct job *j, const struct engine_event *ev);
	void (*free)(struct job *j);
};

struct job {
	struct list node;
	struct app *app;
	const struct job_sink *sink; /* NULL once it went away */
	void *sink_arg;
	struct proto_request req; /* owned */
	struct cmd_args args;
	const struct job_ops *ops;
	void *priv; /* the verb's */
	unsigned holds;
	int code;
	struct loop_call end;
};

/*
 * Take *req (it becomes empty) and carry it out. Never NULL but when memory
 * is short; then *req is freed and the sink hears nothing.
 */
struct job *job_run(struct app *a, struct proto_request *req,
	const struct job_sink *sink, void *arg);
/* The sink goes away. A verb that only lives for it ends. */
void job_detach(struct job *j);
/* Can it be stopped before its end? And do so: it ends soon, and tells. */
bool job_can_stop(const struct job *j);
void job_stop(struct job *j);
/* Free a job that will not end any more (app_fini()). */
void job_free(struct job *j);

void job_hold(struct job *j);
void job_drop(struct job *j);

void job_write(struct job *j, const char *text, size_t len);
void job_printf(struct job *j, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* One line on standard error; the job's exit code becomes 1. */
void job_fail(struct job *j, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same, but the exit code stays. */
void job_note(struct job *j, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Something done elsewhere for a job: by the engine's thread or by the
 * worker, which may block. done() runs on the loop when it has ended; the
 * job is held so long, and t is freed after it.
 */
struct task {
	struct list node;
	struct job *job;
	struct loop_call run;         /* on the worker's loop */
	struct loop_call end;         /* on the app's loop */
	void (*fn)(struct task *t);   /* worker: fills err, may block */
	void (*done)(struct task *t); /* loop; err.code says how it went */
	struct err err;
	char guest[CONF_NAME_MAX + 1];
	char path[CONF_PATH_MAX];
	void *data; /* borrowed, the verb's */
};

/* NULL when memory is short (told to the job). */
struct task *task_new(struct job *j, const char *guest,
	void (*done)(struct task *t));
void task_work(struct task *t, void (*fn)(struct task *t));
void task_engine(struct task *t, enum engine_verb verb, unsigned timeout_ms);

#endif
