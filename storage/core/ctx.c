/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the images of a loop share: its life, calls and timers; see ctx.h.
 * Calls run at the end of the loop's round, and after them what was queued
 * for the ring goes to the kernel: all of a round in one system call.
 *
 * Lock: ctx_lock, rank LOCK_BLK, guards the list of all and their users.
 */
#include "storage/core/ctx.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vm/base/clock.h"

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"
#include "storage/core/uring.h"

static struct lock ctx_lock = { PTHREAD_MUTEX_INITIALIZER, "storage loops",
	LOCK_BLK };
static struct list ctx_all = { &ctx_all, &ctx_all }; /* guarded by ctx_lock */

static void ctx_round(void *arg);

/* Life. */

static struct ctx *ctx_find_locked(struct loop *l)
{
	list_each (n, &ctx_all) {
		struct ctx *c = list_entry(n, struct ctx, node);

		if (c->loop == l)
			return c;
	}
	return NULL;
}

static struct ctx *ctx_new(struct loop *l)
{
	struct ctx *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->loop = l;
	list_init(&c->fds);
	list_init(&c->timers);
	list_init(&c->calls);
	list_init(&c->stacks);
	loop_call_init(&c->round, l, ctx_round, c);
	ctx_work_init(c);
	lock_init(&c->lock, "storage job", LOCK_BLK);
	lock_cond_init(&c->ended);
	return c;
}

int ctx_get(struct loop *l, struct ctx **out, struct err *e)
{
	struct ctx *c;

	LOCK_GUARD(&ctx_lock);
	c = ctx_find_locked(l);
	if (!c) {
		c = ctx_new(l);
		if (!c)
			return err_sys(e, ENOMEM, "cannot open a disk");
		list_add_tail(&ctx_all, &c->node);
	}
	c->users++;
	*out = c;
	return 0;
}

/* On the loop's thread, for its watches. */
static void ctx_free(void *arg)
{
	struct ctx *c = arg;

	uring_free(c->ring);
	ctx_work_fini(c);
	fiber_fini(c);
	loop_call_cancel(&c->round);
	assert(list_empty(&c->fds) && list_empty(&c->timers) &&
		list_empty(&c->calls));
	pthread_cond_destroy(&c->ended);
	lock_fini(&c->lock);
	free(c);
}

void ctx_put(struct ctx *c)
{
	bool last;

	if (!c)
		return;
	lock_take(&ctx_lock);
	last = !--c->users;
	if (last)
		list_del(&c->node);
	lock_drop(&ctx_lock);
	if (last)
		loop_sync(c->loop, ctx_free, c);
}

struct loop *ctx_loop(const struct ctx *c)
{
	return c->loop;
}

/* The end of a round. */

void ctx_schedule_round(struct ctx *c)
{
	if (c->round_pending)
		return;
	c->round_pending = true;
	loop_call_schedule(&c->round);
}

/* Those that are there now; what they schedule comes in the next round. */
void ctx_run_calls(struct ctx *c)
{
	struct list now, *n;

	list_init(&now);
	while ((n = list_pop(&c->calls)))
		list_add_tail(&now, n);
	while ((n = list_pop(&now))) {
		struct ctx_call *k = list_entry(n, struct ctx_call, node);

		k->pending = false;
		k->fn(k->arg); /* may free k */
	}
}

static void ctx_round(void *arg)
{
	struct ctx *c = arg;

	c->round_pending = false;
	ctx_run_calls(c);
	uring_flush(c->ring);
	if (uring_has_some(c->ring))
		uring_reap(c->ring);
	if (!list_empty(&c->calls) || uring_has_some(c->ring))
		ctx_schedule_round(c);
}

void ctx_call_init(struct ctx_call *k, struct ctx *c, loop_fn fn, void *arg)
{
	*k = (struct ctx_call){ .ctx = c, .fn = fn, .arg = arg };
	list_init(&k->node);
}

void ctx_call_schedule(struct ctx_call *k)
{
	if (k->pending)
		return;
	k->pending = true;
	list_add_tail(&k->ctx->calls, &k->node);
	ctx_schedule_round(k->ctx);
}

void ctx_call_cancel(struct ctx_call *k)
{
	list_del(&k->node);
	k->pending = false;
}

void ctx_plug(struct ctx *c)
{
	c->plugged++;
}

void ctx_unplug(struct ctx *c)
{
	assert(c->plugged);
	c->plugged--;
	ctx_kick(c);
}

void ctx_kick(struct ctx *c)
{
	if (c->plugged)
		return;
	uring_flush(c->ring);
	if (uring_has_some(c->ring))
		ctx_schedule_round(c);
}

/* Timers. */

static void ctx_timer_due(void *arg)
{
	struct ctx_timer *t = arg;

	list_del(&t->node);
	t->deadline_ns = 0;
	t->fn(t->arg);
}

void ctx_timer_init(struct ctx_timer *t, struct ctx *c, loop_fn fn, void *arg)
{
	*t = (struct ctx_timer){ .ctx = c, .fn = fn, .arg = arg };
	list_init(&t->node);
	loop_timer_init(&t->timer, c->loop, ctx_timer_due, t);
}

void ctx_timer_arm(struct ctx_timer *t, uint64_t deadline_ns)
{
	t->deadline_ns = deadline_ns ? deadline_ns : 1;
	loop_timer_arm(&t->timer, deadline_ns);
	list_del(&t->node);
	list_add_tail(&t->ctx->timers, &t->node);
}

void ctx_timer_disarm(struct ctx_timer *t)
{
	if (!t->deadline_ns)
		return;
	loop_timer_disarm(&t->timer);
	t->deadline_ns = 0;
	list_del(&t->node);
}

uint64_t ctx_next_deadline(const struct ctx *c)
{
	uint64_t next = UINT64_MAX;

	list_each (n, &c->timers) {
		struct ctx_timer *t = list_entry(n, struct ctx_timer, node);

		if (t->deadline_ns < next)
			next = t->deadline_ns;
	}
	return next;
}

/* Taken out before anything is called: what is armed anew waits. */
void ctx_run_timers(struct ctx *c)
{
	struct list due, *n;
	uint64_t now;

	if (list_empty(&c->timers))
		return;
	now = clock_now_ns();
	list_init(&due);
	list_each_safe (it, tmp, &c->timers) {
		struct ctx_timer *t = list_entry(it, struct ctx_timer, node);

		if (t->deadline_ns <= now) {
			list_del(it);
			list_add_tail(&due, it);
		}
	}
	while (!list_empty(&due)) {
		n = due.next;
		loop_timer_disarm(
			&list_entry(n, struct ctx_timer, node)->timer);
		ctx_timer_due(list_entry(n, struct ctx_timer, node));
	}
}
