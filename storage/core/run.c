/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ctx_run(): a fiber that a thread waits for. On the loop's thread, or when
 * the loop does not run, by ctx_wait(); else the loop goes on and the fiber's
 * end wakes the thread that asked.
 */
#include <assert.h>
#include <errno.h>
#include <time.h>

#include "vm/base/clock.h"

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"

#define RUN_LOOK_NS (100 * NS_PER_MS)

/* Lies on the stack of who waits. */
struct run {
	struct ctx *ctx;
	int (*fn)(void *arg);
	void *arg;
	int ret; /* guarded by ctx->lock */
	pthread_t asker;
	bool begun; /* by the loop's thread */
	bool ended; /* guarded by ctx->lock */
};

static void run_end(struct run *j, int ret)
{
	struct ctx *c = j->ctx;

	LOCK_GUARD(&c->lock);
	j->ret = ret;
	j->ended = true; /* j may be gone from the unlock on */
	pthread_cond_broadcast(&c->ended);
}

static void run_fiber(void *arg)
{
	struct run *j = arg;

	run_end(j, j->fn(j->arg));
}

static bool run_has_ended(struct run *j)
{
	LOCK_GUARD(&j->ctx->lock);
	return j->ended;
}

/* On the loop's thread, or on the asker's while nobody runs the loop. */
static void run_go_on(void *arg)
{
	struct run *j = arg;
	int r;

	if (!j->begun) {
		j->begun = true;
		r = fiber_start(j->ctx, run_fiber, j);
		if (r)
			run_end(j, r);
	}
	if (!pthread_equal(pthread_self(), j->asker))
		return; /* the loop goes on; the asker waits */
	while (!run_has_ended(j))
		ctx_wait(j->ctx);
}

/*
 * True when it ended. Not for ever: the loop may be stopped before, and then
 * it is for the asker to go on.
 */
static bool run_wait(struct run *j)
{
	struct ctx *c = j->ctx;
	uint64_t until = clock_now_ns() + RUN_LOOK_NS;
	struct timespec ts = { .tv_sec = (time_t)(until / NS_PER_S),
		.tv_nsec = (long)(until % NS_PER_S) };

	LOCK_GUARD(&c->lock);
	while (!j->ended)
		if (pthread_cond_timedwait(&c->ended, &c->lock.mutex, &ts))
			break;
	return j->ended;
}

int ctx_run(struct ctx *c, int (*fn)(void *arg), void *arg)
{
	struct run j = { .ctx = c,
		.fn = fn,
		.arg = arg,
		.asker = pthread_self() };

	assert(!fiber_self());
	do {
		loop_sync(c->loop, run_go_on, &j);
	} while (!run_wait(&j));
	return j.ret;
}
