/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Work for other threads: results, order of life, and no thread at all. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"
#include "storage/core/pool.h"

#include "tests/unit/storage/rig.h"

#define MANY 500

static struct ctx *ctx;

struct item {
	struct ctx_work w;
	uint64_t in, out;
	pthread_t ran, ended;
	int done;
};

static unsigned items_done;

static void item_run(struct ctx_work *w)
{
	struct item *i = container_of(w, struct item, w);

	i->out = i->in * i->in;
	i->ran = pthread_self();
}

static void item_done(struct ctx_work *w)
{
	struct item *i = container_of(w, struct item, w);

	i->ended = pthread_self();
	i->done++;
	items_done++;
}

static void item_submit(struct item *i, uint64_t in)
{
	*i = (struct item){ .w = { .run = item_run, .done = item_done },
		.in = in };
	ctx_work_submit(ctx, &i->w);
}

static void begin(void)
{
	ck_assert_int_eq(ctx_get(rig_loop, &ctx, NULL), 0);
	items_done = 0;
}

START_TEST (work_is_done_elsewhere_and_ends_here_once) {
	struct item *items = calloc(MANY, sizeof(*items));

	begin();
	for (int round = 0; round < 2; round++) {
		items_done = 0;
		for (unsigned i = 0; i < MANY; i++)
			item_submit(&items[i], i);
		ck_assert_uint_eq(items_done, 0);
		while (items_done < MANY)
			if (round)
				loop_run_once(rig_loop, -1);
			else
				ctx_wait(ctx);
		for (unsigned i = 0; i < MANY; i++) {
			ck_assert_uint_eq(items[i].out, (uint64_t)i * i);
			ck_assert_int_eq(items[i].done, 1);
			ck_assert(!pthread_equal(items[i].ran, pthread_self()));
			ck_assert(
				pthread_equal(items[i].ended, pthread_self()));
		}
	}
	ctx_wait(ctx); /* nothing is in flight: at once */
	ctx_put(ctx);
	free(items);
}
END_TEST

static int adds_one(void *arg)
{
	ck_assert_ptr_null(fiber_self()); /* a plain thread */
	return ++*(int *)arg;
}

static int works_in_turn(void *arg)
{
	int *n = arg;

	for (int i = 1; i <= 100; i++)
		ck_assert_int_eq(ctx_work(ctx, adds_one, n), i);
	return *n;
}

START_TEST (fiber_waits_for_its_work) {
	int n = 0;

	begin();
	ck_assert_int_eq(ctx_run(ctx, works_in_turn, &n), 100);
	ctx_put(ctx);
}
END_TEST

START_TEST (work_without_threads_is_done_here) {
	struct item items[3];

	begin();
	rig_refuse(SYS_clone3, EAGAIN); /* what threads begin with */
	for (unsigned i = 0; i < 3; i++)
		item_submit(&items[i], i);
	ck_assert_uint_eq(items_done, 0); /* not from inside submit */
	while (items_done < 3)
		ctx_wait(ctx);
	ck_assert_uint_eq(items[2].out, 4);
	item_submit(&items[0], 5);
	while (items_done < 4)
		loop_run_once(rig_loop, -1);
	ck_assert_uint_eq(items[0].out, 25);
	ck_assert_ptr_null(ctx->cpu);
	ctx_put(ctx);
}
END_TEST

/* Both of a pool's threads are needed for this to end. */
static atomic_int met;

static void meets(struct ctx_work *w)
{
	(void)w;
	atomic_fetch_add(&met, 1);
	while (atomic_load(&met) < 2)
		usleep(100);
}

START_TEST (second_thread_starts_when_work_waits) {
	struct item items[2];
	struct pool *p;

	begin();
	ck_assert_int_eq(pool_new(ctx, "pair", 2, &p), 0);
	for (int i = 0; i < 2; i++) {
		items[i] = (struct item){ .w = { .run = meets,
						  .done = item_done } };
		pool_submit(p, &items[i].w);
	}
	while (items_done < 2)
		ctx_wait(ctx);
	pool_free(p);
	pool_free(NULL);
	ctx_put(ctx);
}
END_TEST

RIG_SUITE("storage/work", work_is_done_elsewhere_and_ends_here_once,
	fiber_waits_for_its_work, work_without_threads_is_done_here,
	second_thread_starts_when_work_waits)
