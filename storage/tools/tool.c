/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the image tools share: see tools.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"

#include "storage/blk/chain.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

#define TOOL_TICK_NS (100 * NS_PER_MS)

static void tool_log(void *arg, enum log_level level, const char *text)
{
	struct tool *t = arg;

	if (level >= LOG_WARN && t->job && t->job->warn)
		t->job->warn(t->job->arg, text);
}

int tool_init(struct tool *t, struct img_job *j, struct err *e)
{
	int r;

	memset(t, 0, sizeof(*t));
	t->job = j;
	t->log = log_new(tool_log, t);
	if (!t->log)
		return err_sys(e, ENOMEM, "cannot begin");
	r = loop_new(&t->loop, e);
	if (r)
		goto fail_log;
	r = ctx_get(t->loop, &t->ctx, e);
	if (r)
		goto fail_loop;
	return 0;
fail_loop:
	loop_free(t->loop);
fail_log:
	log_close(t->log);
	return r;
}

void tool_fini(struct tool *t)
{
	ctx_put(t->ctx);
	loop_free(t->loop);
	log_close(t->log);
}

int tool_open(struct tool *t, const struct img_ref *ref, unsigned how,
	struct blk **out, struct err *e)
{
	const struct blk_opts o = {
		.path = ref->path,
		.format = ref->format,
		.cache = ref->cache,
		.aio = ref->aio,
		.tls_dir = ref->tls_dir,
		.snapshot = ref->snapshot,
		.readonly = !(how & TOOL_WRITE),
		.no_backing = how & TOOL_ALONE,
		.header_only = how & TOOL_HEADER,
		.for_check = how & TOOL_CHECK,
		.no_lock = how & TOOL_NO_LOCK,
	};

	return blk_open(&o, t->loop, t->log, out, e);
}

int tool_close(struct blk **b, const char *path, int err, struct err *e)
{
	int r = 0;

	if (*b)
		r = blk_close(*b);
	*b = NULL;
	if (err && e && !e->code)
		err_set(e, -err, "%s: %s", path,
			err == -ECANCELED ? "stopped" : strerror(-err));
	if (err || !r)
		return err;
	return err_sys(e, -r, "%s: the last write to it failed", path);
}

/* Running. */

struct tool_job {
	struct tool *t;
	int (*fn)(void *arg);
	void *arg;
	int result;
	bool ended;
	struct ctx_timer tick;
};

bool tool_tick(struct tool *t)
{
	struct img_job *j = t->job;

	if (!j)
		return t->stop;
	if (j->progress)
		j->progress(j->arg, t->done, t->total);
	if (j->cancelled && j->cancelled(j->arg))
		t->stop = true;
	return t->stop;
}

static void tool_ticked(void *arg)
{
	struct tool_job *job = arg;

	tool_tick(job->t);
	ctx_timer_arm(&job->tick, clock_now_ns() + TOOL_TICK_NS);
}

static void tool_fiber(void *arg)
{
	struct tool_job *job = arg;

	job->result = job->fn(job->arg);
	job->ended = true;
}

int tool_run(struct tool *t, int (*fn)(void *arg), void *arg)
{
	struct tool_job job = { .t = t, .fn = fn, .arg = arg };
	int r;

	if (tool_tick(t))
		return -ECANCELED;
	ctx_timer_init(&job.tick, t->ctx, tool_ticked, &job);
	if (t->job)
		ctx_timer_arm(&job.tick, clock_now_ns() + TOOL_TICK_NS);
	r = fiber_start(t->ctx, tool_fiber, &job);
	while (!r && !job.ended)
		ctx_wait(t->ctx);
	ctx_timer_disarm(&job.tick);
	if (t->job && t->job->progress)
		t->job->progress(t->job->arg, 0, 0);
	return r ? r : job.result;
}

/* Small things. */

uint64_t tool_size(const struct blk *b)
{
	struct blk_info info;

	blk_info(b, &info);
	return info.size;
}

struct node *tool_qcow2(struct blk *b, const char *path, const char *what,
	struct err *e)
{
	struct node *n = blk_node(b);
	struct blk_info info;

	if (n->ops == &qcow2_ops)
		return n;
	blk_info(b, &info);
	err_set(e, ENOTSUP, "%s: a %s image %s", path, info.format, what);
	return NULL;
}

int tool_beside(const char *path, const char *name, char *out, size_t size,
	struct err *e)
{
	char *full = NULL;
	int r = chain_resolve(path, name, &full, e);

	if (!r && strlen(full) >= size)
		r = err_set(e, ENAMETOOLONG, "%s: too long a name", name);
	if (!r)
		memcpy(out, full, strlen(full) + 1);
	free(full);
	return r;
}
