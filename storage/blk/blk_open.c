/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening and closing an image, and all of the wrapper that is no request:
 * what it is, its counters, limits and size. What touches nodes runs in a
 * fiber on the loop's thread; see impl.h.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/blk/filter.h"
#include "storage/blk/impl.h"
#include "storage/core/sync.h"

/* What the image is, and what the checks of requests ask of that. */
static void blk_measure(struct blk *b)
{
	struct blk_info info = { 0 };

	b->top->ops->info(b->top, &info);
	assert(size_is_pow2(info.block_size));
	info.size = size_down(info.size, info.block_size);
	b->size = info.size;
	b->align_mask = info.block_size - 1;
	b->readonly = info.readonly;
	b->compress_size = chain_layer(b->chain, 0)->format == BLK_QCOW2 &&
					   size_is_pow2(info.cluster_size)
				   ? info.cluster_size
				   : 0;
	LOCK_GUARD(&b->lock);
	b->info = info;
}

/* Open. */

struct blk_opening {
	const struct blk_opts *o;
	struct blk *b;
	struct err *e;
};

static void blk_set_filter(struct blk *b)
{
	b->top = b->throttle;
	chain_set_filter(b->chain, b->throttle);
}

static int blk_open_throttle(struct blk *b, const struct blk_opts *o,
	struct err *e)
{
	int r;

	if (!o->throttle && !o->throttle_group)
		return 0;
	r = throttle_open(b->top, o->throttle_group, o->throttle, &b->throttle,
		e);
	if (r) {
		err_prefix(e, "%s", o->path);
		return r;
	}
	blk_set_filter(b);
	return 0;
}

static int blk_open_fiber(void *arg)
{
	struct blk_opening *p = arg;
	struct blk *b = p->b;
	int r = chain_open(p->o, b->ctx, b->log, &b->chain, p->e);

	if (r)
		return r;
	b->top = chain_layer(b->chain, 0)->node;
	r = blk_open_throttle(b, p->o, p->e);
	if (r) {
		chain_close(b->chain);
		return r;
	}
	b->guarded = chain_layer(b->chain, 0)->probed &&
		     chain_layer(b->chain, 0)->format == BLK_RAW;
	blk_measure(b);
	return 0;
}

static void blk_free(struct blk *b)
{
	ctx_put(b->ctx);
	lock_fini(&b->lock);
	free(b);
}

static struct blk *blk_new(const struct blk_opts *o, struct log *log)
{
	struct blk *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->log = log;
	b->no_discard = o->no_discard;
	b->detect_zeroes = o->detect_zeroes;
	list_init(&b->late);
	lock_init(&b->lock, "disk", LOCK_BLK);
	return b;
}

static void blk_tell(const struct blk *b, const struct blk_opts *o)
{
	unsigned below = chain_layers(b->chain) - 1;
	char backing[32] = "";

	if (below)
		snprintf(backing, sizeof(backing), ", %u backing file%s", below,
			below == 1 ? "" : "s");
	log_msg(b->log, LOG_INFO, "%s: %s, %llu bytes%s, %s%s", o->path,
		b->info.format, (unsigned long long)b->info.size,
		o->readonly ? ", read-only" : "", b->info.aio, backing);
}

int blk_open(const struct blk_opts *o, struct loop *l, struct log *log,
	struct blk **out, struct err *e)
{
	struct blk *b = blk_new(o, log);
	struct blk_opening p = { o, b, e };
	int r;

	if (!b)
		return err_sys(e, ENOMEM, "%s: cannot open it", o->path);
	r = ctx_get(l, &b->ctx, e);
	if (!r) {
		ctx_call_init(&b->late_call, b->ctx, blk_finish_late, b);
		r = ctx_run(b->ctx, blk_open_fiber, &p);
	}
	if (r) {
		blk_free(b);
		return r;
	}
	blk_tell(b, o);
	*out = b;
	return 0;
}

/* Close. */

static int blk_close_fiber(void *arg)
{
	struct blk *b = arg;

	ctx_call_cancel(&b->late_call);
	return chain_close(b->chain);
}

int blk_close(struct blk *b)
{
	int r;

	if (!b)
		return 0;
	assert(!atomic_load(&b->in_flight));
	r = ctx_run(b->ctx, blk_close_fiber, b);
	blk_free(b);
	return r;
}

/* Limits and size. */

struct blk_change {
	struct blk *b;
	const struct blk_throttle *t;
	uint64_t size;
	struct err *e;
};

static int blk_throttle_fiber(void *arg)
{
	struct blk_change *c = arg;
	struct blk *b = c->b;
	int r;

	if (b->throttle)
		return throttle_set(b->throttle, c->t, c->e);
	if (!c->t)
		return 0;
	r = throttle_open(b->top, NULL, c->t, &b->throttle, c->e);
	if (!r)
		blk_set_filter(b);
	return r;
}

int blk_set_throttle(struct blk *b, const struct blk_throttle *t, struct err *e)
{
	struct blk_change c = { .b = b, .t = t, .e = e };

	return ctx_run(b->ctx, blk_throttle_fiber, &c);
}

static int blk_resize_fiber(void *arg)
{
	struct blk_change *c = arg;
	struct blk *b = c->b;
	int r = node_resize(blk_node(b), c->size, NODE_PREALLOC_OFF, c->e);

	blk_measure(b);
	return r;
}

int blk_resize(struct blk *b, uint64_t size, struct err *e)
{
	struct blk_change c = { .b = b, .size = size, .e = e };
	const char *path = blk_node(b)->path;

	if (!size || (size & 511))
		return err_set(e, EINVAL,
			"%s: a size of %llu: must be a multiple of 512", path,
			(unsigned long long)size);
	if (b->readonly)
		return err_set(e, EROFS, "%s: is opened read-only", path);
	if (atomic_load(&b->in_flight))
		return err_set(e, EBUSY,
			"%s: its size cannot change while requests are in "
			"flight",
			path);
	return ctx_run(b->ctx, blk_resize_fiber, &c);
}

/* What others look at. */

struct node *blk_node(struct blk *b)
{
	return chain_layer(b->chain, 0)->node;
}

struct chain *blk_chain(struct blk *b)
{
	return b->chain;
}

struct ctx *blk_ctx(struct blk *b)
{
	return b->ctx;
}

/* Nodes may be asked on the loop's thread only; else what was true last. */
void blk_info(const struct blk *b, struct blk_info *out)
{
	struct lock *lock = (struct lock *)(uintptr_t)&b->lock;

	if (loop_is_mine(ctx_loop(b->ctx)))
		blk_measure((struct blk *)(uintptr_t)b);
	LOCK_GUARD(lock);
	*out = b->info;
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
