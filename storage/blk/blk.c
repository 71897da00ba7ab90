/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The top of a chain of nodes: checks what the caller asks and what the
 * nodes answer, so that nodes stay plain. A request that is wrong is
 * answered with an error, one that completes twice is a bug of ours.
 *
 * done() is never called from inside blk_submit(): what completes there (an
 * error, a flush that is ignored) waits in `late` for the end of the loop's
 * round. Thread: the loop's but for open, info and stats. No locks: counters
 * are relaxed atomics, each of which is right alone.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/core/node.h"

struct blk_dir {
	_Atomic uint64_t ops, bytes, errors, time_ns;
	struct hist latency;
};

struct blk {
	struct loop *loop;
	struct node *top;
	struct blk_info info; /* as opened; aio may change later */
	bool no_discard;
	unsigned plugged;
	unsigned submitting; /* inside blk_submit(): completions wait */
	struct list late;    /* requests to complete, error in priv[0] */
	struct loop_call late_call;
	_Atomic uint32_t in_flight;
	struct blk_dir dir[BLK_OPS];
};

/* Completion. */

static void blk_count(struct blk *b, const struct blk_req *r, int err)
{
	struct blk_dir *d = &b->dir[r->op];
	uint64_t ns = clock_now_ns() - r->start_ns;

	hist_add(&d->latency, ns);
	atomic_fetch_add_explicit(&d->time_ns, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->ops, 1, memory_order_relaxed);
	if (err)
		atomic_fetch_add_explicit(&d->errors, 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&d->bytes, r->len,
			memory_order_relaxed);
}

static void blk_finish(struct blk *b, struct blk_req *r, int err)
{
	if ((unsigned)r->op < BLK_OPS)
		blk_count(b, r, err);
	r->blk = NULL;
	atomic_fetch_sub_explicit(&b->in_flight, 1, memory_order_relaxed);
	r->done(r, err); /* may free or submit r */
}

static void blk_finish_late(void *arg)
{
	struct blk *b = arg;
	struct list now, *n;

	/* what done() submits comes in the next round: no starving */
	list_init(&now);
	while ((n = list_pop(&b->late)))
		list_add_tail(&now, n);
	while ((n = list_pop(&now))) {
		struct blk_req *r = list_entry(n, struct blk_req, node);

		blk_finish(b, r, (int)(int64_t)r->priv[0].u64);
	}
}

static void blk_done(struct blk *b, struct blk_req *r, int err)
{
	if (!b->submitting) {
		blk_finish(b, r, err);
		return;
	}
	r->priv[0].u64 = (uint64_t)(int64_t)err;
	list_add_tail(&b->late, &r->node);
	loop_call_schedule(&b->late_call);
}

void node_done(struct blk_req *r, int err)
{
	assert(err <= 0);
	if (r->blk)
		blk_done(r->blk, r, err);
	else
		r->done(r, err);
}

/* Submission. */

static int blk_check_data(const struct blk_req *r)
{
	uint64_t sum;

	if (r->niov < 0 || r->niov > BLK_MAX_IOV || (r->niov && !r->iov))
		return -EINVAL;
	if (!iov_sum(r->iov, r->niov, &sum) || sum != r->len)
		return -EINVAL;
	return 0;
}

static int blk_check(const struct blk *b, const struct blk_req *r)
{
	uint64_t align = b->info.block_size - 1;

	if ((unsigned)r->op >= BLK_OPS)
		return -ENOTSUP;
	if (r->flags & ~(unsigned)(BLK_FUA | BLK_UNMAP))
		return -EINVAL;
	if (r->op == BLK_FLUSH)
		return 0;
	if (b->info.readonly && r->op != BLK_READ)
		return -EROFS;
	if (r->len > BLK_MAX_BYTES || (r->offset & align) || (r->len & align) ||
		!size_in(r->offset, r->len, b->info.size))
		return -EINVAL;
	if (r->op == BLK_READ || r->op == BLK_WRITE)
		return blk_check_data(r);
	return 0;
}

/* Is there nothing to do for r, which is right? */
static bool blk_is_void(const struct blk *b, const struct blk_req *r)
{
	if (r->op == BLK_DISCARD && b->no_discard)
		return true;
	/* an empty write with FUA still is a flush of nothing */
	return r->op != BLK_FLUSH && !r->len;
}

void blk_submit(struct blk *b, struct blk_req *r)
{
	int err;

	r->blk = b;
	r->start_ns = clock_now_ns();
	list_init(&r->node);
	atomic_fetch_add_explicit(&b->in_flight, 1, memory_order_relaxed);
	b->submitting++;
	err = blk_check(b, r);
	if (err || blk_is_void(b, r))
		blk_done(b, r, err);
	else
		b->top->ops->submit(b->top, r);
	if (!b->plugged)
		b->top->ops->unplug(b->top);
	b->submitting--;
}

void blk_plug(struct blk *b)
{
	if (!b->plugged++ && b->top->ops->plug)
		b->top->ops->plug(b->top);
}

void blk_unplug(struct blk *b)
{
	assert(b->plugged);
	if (--b->plugged)
		return;
	b->submitting++;
	b->top->ops->unplug(b->top);
	b->submitting--;
}

void blk_drain(struct blk *b)
{
	assert(!b->submitting);
	while (atomic_load_explicit(&b->in_flight, memory_order_relaxed)) {
		if (!list_empty(&b->late)) {
			loop_call_cancel(&b->late_call);
			blk_finish_late(b);
		} else {
			b->top->ops->wait(b->top);
		}
	}
}

/* Open, close, and what others look at. */

int blk_open(const struct blk_opts *o, struct loop *l, struct log *log,
	struct blk **out, struct err *e)
{
	const struct node_open no = { .opts = o, .loop = l, .log = log };
	struct blk *b;
	int r;

	if (o->format == BLK_QCOW2)
		return err_set(e, ENOTSUP,
			"%s: qcow2 is not there yet: convert with qemu-img "
			"convert -O raw",
			o->path);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_sys(e, ENOMEM, "%s: cannot open it", o->path);
	b->loop = l;
	b->no_discard = o->no_discard;
	list_init(&b->late);
	loop_call_init(&b->late_call, l, blk_finish_late, b);
	r = raw_ops.open(&no, &b->top, e);
	if (r) {
		free(b);
		return r;
	}
	b->top->ops->info(b->top, &b->info);
	log_msg(log, LOG_INFO, "%s: %s, %llu bytes%s, %s", o->path,
		b->info.format, (unsigned long long)b->info.size,
		o->readonly ? ", read-only" : "", b->info.aio);
	*out = b;
	return 0;
}

void blk_close(struct blk *b)
{
	if (!b)
		return;
	assert(!atomic_load(&b->in_flight));
	loop_call_cancel(&b->late_call);
	b->top->ops->close(b->top);
	free(b);
}

void blk_info(const struct blk *b, struct blk_info *out)
{
	b->top->ops->info(b->top, out);
}

void blk_stats_get(struct blk *b, struct blk_stats *out)
{
	for (int i = 0; i < BLK_OPS; i++) {
		struct blk_dir *d = &b->dir[i];
		struct blk_dir_stats *s = &out->op[i];

		s->ops = atomic_load_explicit(&d->ops, memory_order_relaxed);
		s->bytes =
			atomic_load_explicit(&d->bytes, memory_order_relaxed);
		s->errors =
			atomic_load_explicit(&d->errors, memory_order_relaxed);
		s->time_ns =
			atomic_load_explicit(&d->time_ns, memory_order_relaxed);
		hist_copy(&d->latency, &s->latency);
	}
	out->in_flight =
		atomic_load_explicit(&b->in_flight, memory_order_relaxed);
}
