/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The top of a chain of nodes: checks what the caller asks and what the
 * nodes answer, so that nodes stay plain. A request that is wrong is
 * answered with an error, one that completes twice is a bug of ours.
 *
 * done() is never called from inside blk_submit(): what completes there (an
 * error, a flush that is ignored) waits in `late` for the end of the loop's
 * round. Thread: the loop's. No locks: only this thread counts, so counters
 * are plain stores that other threads may look at.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "storage/blk/filter.h"
#include "storage/blk/impl.h"
#include "storage/core/fiber.h"
#include "storage/core/iov.h"

/* What blk_submit() made of a request, for blk_complete() to undo. */
#define BLK_WAS_WRITE (1u << 30)
#define BLK_HAD_UNMAP (1u << 29)

/* Completion. */

/* This thread alone writes *v: no need for a locked instruction. */
static void blk_add(_Atomic uint64_t *v, uint64_t n)
{
	atomic_store_explicit(v,
		atomic_load_explicit(v, memory_order_relaxed) + n,
		memory_order_relaxed);
}

static void blk_count_in_flight(struct blk *b, int n)
{
	uint32_t now =
		atomic_load_explicit(&b->in_flight, memory_order_relaxed);

	atomic_store_explicit(&b->in_flight, now + (uint32_t)n,
		memory_order_relaxed);
}

static void blk_count(struct blk *b, const struct blk_req *r, int err)
{
	struct blk_dir *d = &b->dir[r->op];
	uint64_t ns = clock_now_ns() - r->start_ns;

	hist_add(&d->latency, ns);
	blk_add(&d->time_ns, ns);
	blk_add(&d->ops, 1);
	if (err)
		blk_add(&d->errors, 1);
	else
		blk_add(&d->bytes, r->len);
}

static void blk_finish(struct blk *b, struct blk_req *r, int err)
{
	r->blk = NULL;
	r->complete = NULL;
	blk_count_in_flight(b, -1);
	r->done(r, err); /* may free or submit r */
}

void blk_finish_late(void *arg)
{
	struct blk *b = arg;
	struct list now, *n;

	/* what done() submits comes in the next round: no starving */
	list_init(&now);
	while ((n = list_pop(&b->late)))
		list_add_tail(&now, n);
	while ((n = list_pop(&now))) {
		struct blk_req *r = list_entry(n, struct blk_req, node);

		blk_finish(b, r, (int)(int64_t)r->start_ns);
	}
}

/* Not from here: at the end of the loop's round. */
static void blk_finish_later(struct blk *b, struct blk_req *r, int err)
{
	r->start_ns = (uint64_t)(int64_t)err;
	list_add_tail(&b->late, &r->node);
	ctx_call_schedule(&b->late_call);
}

/* The errors that storage.h promises. */
static int blk_map_err(int err)
{
	switch (err) {
	case -EIO:
	case -ENOSPC:
	case -EROFS:
	case -EINVAL:
	case -ENOTSUP:
	case -ECANCELED:
		return err;
	}
#ifdef GUESTDECK_DEBUG
	assert(err < 0 && err > -4096);
#endif
	return -EIO;
}

/*
 * Extents end between blocks, as requests do: the end of a file, or of what
 * an NBD server tells, may lie in the midst of one. A block that is not alike
 * in all of it is data.
 */
static void blk_round_extent(const struct blk *b, struct blk_extent *x)
{
	uint64_t block = (uint64_t)b->align_mask + 1;

	if (x->len < block) {
		x->len = block;
		x->data = x->present = true;
		x->zero = x->has_host = false;
	}
	x->len = size_down(x->len, block);
}

/* A node has done r. */
static void blk_complete(struct blk_req *r, int err)
{
	struct blk *b = r->blk;

	assert(b); /* else it was complete before */
	if (err)
		err = blk_map_err(err);
#ifdef GUESTDECK_DEBUG
	assert(err || r->op != BLK_STATUS ||
		(r->extent->len && r->extent->len <= r->len));
#endif
	if (!err && r->op == BLK_STATUS)
		blk_round_extent(b, r->extent);
	if (r->flags & BLK_WAS_WRITE) {
		r->op = BLK_WRITE;
		if (!(r->flags & BLK_HAD_UNMAP))
			r->flags &= ~(unsigned)BLK_UNMAP;
		r->flags &= ~(BLK_WAS_WRITE | BLK_HAD_UNMAP);
	}
	blk_count(b, r, err);
	if (b->submitting)
		blk_finish_later(b, r, err);
	else
		blk_finish(b, r, err);
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

static int blk_check_flags(const struct blk *b, const struct blk_req *r)
{
	uint64_t piece = b->compress_size;

	if (r->flags &
		~(unsigned)(BLK_FUA | BLK_UNMAP | BLK_TOP | BLK_COMPRESS))
		return -EINVAL;
	if ((r->flags & BLK_TOP) && r->op != BLK_STATUS)
		return -EINVAL;
	if (!(r->flags & BLK_COMPRESS))
		return 0;
	if (r->op != BLK_WRITE)
		return -EINVAL;
	if (!piece)
		return -ENOTSUP;
	if ((r->offset & (piece - 1)) ||
		((r->len & (piece - 1)) && r->offset + r->len != b->size))
		return -EINVAL;
	return 0;
}

static int blk_check(const struct blk *b, const struct blk_req *r)
{
	int err;

	if ((unsigned)r->op >= BLK_OPS)
		return -ENOTSUP;
	if (r->flags) {
		err = blk_check_flags(b, r);
		if (err)
			return err;
	}
	if (r->op == BLK_FLUSH)
		return 0;
	if (b->readonly && r->op != BLK_READ && r->op != BLK_STATUS)
		return -EROFS;
	if (r->len > BLK_MAX_BYTES || ((r->offset | r->len) & b->align_mask) ||
		!size_in(r->offset, r->len, b->size))
		return -EINVAL;
	if (r->op == BLK_STATUS)
		return r->extent ? 0 : -EINVAL;
	if (r->op == BLK_READ || r->op == BLK_WRITE)
		return blk_check_data(r);
	return 0;
}

/* Is there nothing to do for r, which is right? */
static bool blk_is_void(const struct blk *b, const struct blk_req *r)
{
	if (r->op == BLK_DISCARD && b->no_discard)
		return true;
	if (r->op == BLK_FLUSH || r->len)
		return false;
	if (r->op == BLK_STATUS)
		memset(r->extent, 0, sizeof(*r->extent));
	return true; /* an empty write with FUA still is a flush of nothing */
}

/* A write of nothing but zeros goes on as what it is. */
static void blk_make_zeroes(struct blk *b, struct blk_req *r)
{
	if (!iov_is_zero(r->iov, r->niov))
		return;
	r->op = BLK_WRITE_ZEROES;
	if (r->flags & BLK_UNMAP)
		r->flags |= BLK_HAD_UNMAP;
	r->flags &= ~(unsigned)BLK_UNMAP;
	r->flags |= BLK_WAS_WRITE;
	if (b->detect_zeroes == BLK_ZEROES_UNMAP)
		r->flags |= BLK_UNMAP;
}

/* r goes no further than here. */
static void blk_answer(struct blk *b, struct blk_req *r, int err)
{
	if ((unsigned)r->op < BLK_OPS)
		blk_count(b, r, err);
	blk_finish_later(b, r, err);
}

void blk_submit(struct blk *b, struct blk_req *r)
{
	int err;

	r->blk = b;
	r->complete = blk_complete;
	r->start_ns = clock_now_ns();
	list_init(&r->node);
	blk_count_in_flight(b, 1);
	err = blk_check(b, r);
	if (err || blk_is_void(b, r)) {
		blk_answer(b, r, err);
		return;
	}
	if (b->detect_zeroes && r->op == BLK_WRITE &&
		!(r->flags & BLK_COMPRESS))
		blk_make_zeroes(b, r);
	b->submitting++;
	if (b->guarded && r->op == BLK_WRITE && !r->offset)
		guard_submit(b, r);
	else
		node_submit(b->top, r);
	b->submitting--;
}

void blk_plug(struct blk *b)
{
	ctx_plug(b->ctx);
}

void blk_unplug(struct blk *b)
{
	b->submitting++;
	ctx_unplug(b->ctx);
	b->submitting--;
}

void blk_wait(struct blk *b)
{
	assert(!b->submitting);
	ctx_wait(b->ctx);
}

void blk_settle(struct blk *b, bool on)
{
	if (b->throttle)
		throttle_drain(b->throttle, on);
}

void blk_drain(struct blk *b)
{
	assert(!b->submitting);
	blk_settle(b, true);
	while (atomic_load_explicit(&b->in_flight, memory_order_relaxed))
		ctx_wait(b->ctx);
	blk_settle(b, false);
}

void blk_give_up(struct blk *b)
{
	struct chain *ch = blk_chain(b);

	for (unsigned i = 0; i < chain_layers(ch); i++) {
		const struct chain_layer *l = chain_layer(ch, i);

		node_give_up(l->node);
		node_give_up(l->file);
	}
	ctx_kick(b->ctx);
}

/* One request, waited for. */

struct blk_once {
	struct blk_req r;
	struct iovec iov;
	struct fiber *fiber; /* that waits, or NULL: the thread does */
	bool done;
	int err;
};

static void blk_once_done(struct blk_req *r, int err)
{
	struct blk_once *o = r->arg;

	o->done = true;
	o->err = err;
	if (o->fiber)
		fiber_wake(o->fiber);
}

static int blk_once(struct blk *b, struct blk_once *o)
{
	o->r.done = blk_once_done;
	o->r.arg = o;
	o->fiber = fiber_self();
	blk_submit(b, &o->r);
	while (!o->done) {
		if (o->fiber)
			fiber_wait();
		else
			ctx_wait(b->ctx);
	}
	return o->err;
}

int blk_rw(struct blk *b, enum blk_op op, unsigned flags, uint64_t offset,
	uint64_t len, void *buf)
{
	struct blk_once o = {
		.r = { .op = op, .flags = flags, .offset = offset, .len = len },
		.iov = { buf, len },
	};

	if (op == BLK_READ || op == BLK_WRITE) {
		o.r.iov = &o.iov;
		o.r.niov = 1;
	}
	return blk_once(b, &o);
}

int blk_status(struct blk *b, unsigned flags, uint64_t offset, uint64_t len,
	struct blk_extent *extent)
{
	struct blk_once o = {
		.r = { .op = BLK_STATUS,
			.flags = flags,
			.offset = offset,
			.len = len,
			.extent = extent },
	};

	return blk_once(b, &o);
}
