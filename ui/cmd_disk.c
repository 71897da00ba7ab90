/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The disk verbs in the server, for the console's ':' line: each in a thread
 * of its own, for it may take hours. What it prints is kept and handed over
 * at its end; how far it is goes to the sink now and then. It stops when its
 * person leaves or says so.
 *
 * Threads: the job's is the loop's; the verb's own touches only struct
 * disk_job's fields that say so, and schedules the two calls.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "ui/disk.h"
#include "ui/job.h"

#define TELL_NS (500 * NS_PER_MS)

struct disk_job {
	struct job *job;
	struct thread thread;
	struct loop_call moved, end;
	_Atomic bool stop;
	_Atomic unsigned permille; /* done of it */
	uint64_t told_ns;          /* the verb's thread; so is the next */
	FILE *warn_to;
	bool ended; /* the loop's: the thread is no more */
	/* made there, the loop's after `end` */
	char *out, *err;
	size_t out_len, err_len;
	int code;
};

/* The verb's thread. */

static void disk_job_progress(void *arg, uint64_t done, uint64_t total)
{
	struct disk_job *d = arg;
	uint64_t now = clock_now_ns();

	if (!total || now - d->told_ns < TELL_NS)
		return;
	d->told_ns = now;
	atomic_store(&d->permille,
		(unsigned)(1000.0 * (double)done / (double)total));
	loop_call_schedule(&d->moved);
}

/* Kept for the end, with what else went wrong. */
static void disk_job_warn(void *arg, const char *text)
{
	struct disk_job *d = arg;

	disk_say(d->warn_to, text);
}

static bool disk_job_cancelled(void *arg)
{
	struct disk_job *d = arg;

	return atomic_load(&d->stop);
}

static void disk_job_verb(struct disk_job *d, FILE *out, FILE *err)
{
	struct img_job job = {
		.progress = disk_job_progress,
		.cancelled = disk_job_cancelled,
		.warn = disk_job_warn,
		.arg = d,
	};
	struct disk_io io = {
		.out = out,
		.err = err,
		.cwd = d->job->req.cwd,
		.job = &job,
	};

	d->warn_to = err;
	d->code = d->job->args.verb->disk(&d->job->args, &io);
	disk_io_fini(&io);
}

static void disk_job_thread(void *arg)
{
	struct disk_job *d = arg;
	FILE *out = open_memstream(&d->out, &d->out_len);
	FILE *err = open_memstream(&d->err, &d->err_len);

	d->told_ns = clock_now_ns();
	d->code = UI_FAIL;
	if (out && err)
		disk_job_verb(d, out, err);
	if (out)
		fclose(out);
	if (err)
		fclose(err);
	loop_call_schedule(&d->end);
}

/* The loop's thread. */

static void disk_job_moved(void *arg)
{
	struct disk_job *d = arg;
	unsigned permille = atomic_load(&d->permille);
	struct job *j = d->job;

	if (j->sink && j->sink->progress)
		j->sink->progress(j->sink_arg, permille);
}

static void disk_job_end(void *arg)
{
	struct disk_job *d = arg;
	struct job *j = d->job;

	thread_join(&d->thread);
	loop_call_cancel(&d->moved);
	j->code = d->code;
	if (d->out_len)
		job_write(j, d->out, d->out_len);
	if (d->err_len && j->sink)
		j->sink->err(j->sink_arg, d->err, d->err_len);
	d->ended = true;
	job_drop(j);
}

static void disk_job_cancel(struct job *j)
{
	struct disk_job *d = j->priv;

	atomic_store(&d->stop, true);
}

/* Also at the server's end, with the verb still at work: it is stopped. */
static void disk_job_free(struct job *j)
{
	struct disk_job *d = j->priv;

	if (!d->ended) {
		atomic_store(&d->stop, true);
		thread_join(&d->thread);
	}
	loop_call_cancel(&d->moved);
	loop_call_cancel(&d->end);
	free(d->out);
	free(d->err);
	free(d);
}

static const struct job_ops disk_job_ops = {
	.cancel = disk_job_cancel,
	.stop = disk_job_cancel,
	.free = disk_job_free,
};

void cmd_disk(struct job *j)
{
	struct disk_job *d = calloc(1, sizeof(*d));
	struct err e = ERR_NONE;

	if (!d) {
		job_fail(j, "out of memory");
		return;
	}
	d->job = j;
	loop_call_init(&d->moved, j->app->loop, disk_job_moved, d);
	loop_call_init(&d->end, j->app->loop, disk_job_end, d);
	if (thread_start(&d->thread, "disk", disk_job_thread, d, &e)) {
		job_fail(j, "%s", e.msg);
		free(d);
		return;
	}
	j->priv = d;
	j->ops = &disk_job_ops;
	job_hold(j);
}
