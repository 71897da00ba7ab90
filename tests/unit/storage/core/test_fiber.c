/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When fibers run, what wakes them, and who gets a lock next. */
#include <stdlib.h>
#include <string.h>

#include "vm/base/thread.h"

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"

#include "tests/unit/storage/rig.h"

#define MANY 2000

static struct ctx *ctx;
static char trail[256]; /* what happened, in order */

static void begin(void)
{
	ck_assert_int_eq(ctx_get(rig_loop, &ctx, NULL), 0);
	trail[0] = '\0';
}

static void end(void)
{
	ck_assert_uint_eq(ctx->nfibers, 0);
	ctx_put(ctx);
}

static void mark(const char *what)
{
	strcat(trail, what);
}

static void start(void (*fn)(void *), void *arg)
{
	ck_assert_int_eq(fiber_start(ctx, fn, arg), 0);
}

static struct fiber *sleeper;

static void sleeps_once(void *arg)
{
	(void)arg;
	sleeper = fiber_self();
	ck_assert_ptr_nonnull(sleeper);
	mark("a");
	fiber_wait();
	ck_assert_ptr_eq(fiber_self(), sleeper);
	mark("b");
}

START_TEST (fiber_begins_at_once_and_goes_on_at_the_wake) {
	begin();
	ck_assert_ptr_null(fiber_self());
	start(sleeps_once, NULL);
	mark("-");
	ck_assert_ptr_null(fiber_self());
	fiber_wake(sleeper);
	mark("-");
	ck_assert_str_eq(trail, "a-b-");
	end();
}
END_TEST

static void wakes_itself(void *arg)
{
	(void)arg;
	fiber_wake(fiber_self());
	fiber_wake(fiber_self()); /* two before the wait are one */
	fiber_wait();
	mark("a");
	sleeper = fiber_self();
	fiber_wait();
	mark("b");
}

START_TEST (wake_before_the_wait_ends_the_next_one_only) {
	begin();
	start(wakes_itself, NULL);
	ck_assert_str_eq(trail, "a");
	fiber_wake(sleeper);
	ck_assert_str_eq(trail, "ab");
	end();
}
END_TEST

static void says_its_name(void *arg)
{
	mark(arg);
}

static void wakes_and_starts(void *arg)
{
	(void)arg;
	mark("1");
	fiber_wake(sleeper); /* waits for us */
	start(says_its_name, (void *)(uintptr_t) "c");
	mark("2");
}

START_TEST (woken_and_started_from_inside_run_after_in_order) {
	begin();
	start(sleeps_once, NULL);
	start(wakes_and_starts, NULL);
	ck_assert_str_eq(trail, "a12bc");
	end();
}
END_TEST

static struct fiber_queue queue;

static void waits_in_queue(void *arg)
{
	fiber_queue_wait(&queue);
	mark(arg);
}

START_TEST (queue_is_first_in_first_out) {
	begin();
	fiber_queue_init(&queue);
	ck_assert(!fiber_queue_wake(&queue));
	start(waits_in_queue, (void *)(uintptr_t) "a");
	start(waits_in_queue, (void *)(uintptr_t) "b");
	start(waits_in_queue, (void *)(uintptr_t) "c");
	ck_assert(fiber_queue_wake(&queue));
	ck_assert_str_eq(trail, "a");
	fiber_queue_wake_all(&queue);
	ck_assert_str_eq(trail, "abc");
	ck_assert(!fiber_queue_wake(&queue));
	end();
}
END_TEST

static int rounds;

static void waits_again(void *arg)
{
	(void)arg;
	for (; rounds < 10; rounds++)
		fiber_queue_wait(&queue);
}

START_TEST (wake_all_wakes_nobody_twice) {
	begin();
	fiber_queue_init(&queue);
	rounds = 0;
	start(waits_again, NULL);
	fiber_queue_wake_all(&queue);
	ck_assert_int_eq(rounds, 1);
	while (fiber_queue_wake(&queue))
		;
	ck_assert_int_eq(rounds, 10);
	end();
}
END_TEST

static bool request_done;

/* Waits in the queue while a request of its own is out. */
static void waits_for_two(void *arg)
{
	(void)arg;
	sleeper = fiber_self();
	fiber_queue_wait(&queue);
	mark("q");
	while (!request_done)
		fiber_wait();
	mark("r");
	fiber_wait();
	mark("x");
}

START_TEST (wake_for_something_else_passes_no_queue_and_is_not_lost) {
	begin();
	fiber_queue_init(&queue);
	request_done = false;
	start(waits_for_two, NULL);
	fiber_wake(sleeper); /* not the queue's */
	ck_assert_str_eq(trail, "");
	fiber_queue_wake(&queue);
	ck_assert_str_eq(trail, "q"); /* it is looked at, and more is needed */
	request_done = true;
	fiber_wake(sleeper);
	ck_assert_str_eq(trail, "qr");
	fiber_wake(sleeper);
	ck_assert_str_eq(trail, "qrx");
	end();
}
END_TEST

static struct fiber_queue inside;
static struct fiber_room chamber;

static void enters_the_room(void *arg)
{
	fiber_room_enter(&chamber, 2);
	mark(arg);
	fiber_queue_wait(&inside);
	mark("-");
	fiber_room_leave(&chamber);
}

START_TEST (room_lets_in_so_many_in_order) {
	begin();
	fiber_room_init(&chamber);
	fiber_queue_init(&inside);
	start(enters_the_room, (void *)(uintptr_t) "a");
	start(enters_the_room, (void *)(uintptr_t) "b");
	start(enters_the_room, (void *)(uintptr_t) "c");
	start(enters_the_room, (void *)(uintptr_t) "d");
	ck_assert_str_eq(trail, "ab");
	fiber_queue_wake(&inside);
	ck_assert_str_eq(trail, "ab-c");
	while (fiber_queue_wake(&inside))
		;
	ck_assert_str_eq(trail, "ab-c-d--");
	ck_assert_uint_eq(chamber.in, 0);
	end();
}
END_TEST

/* A room of none is one of one: nobody waits for ever. */
static void enters_no_room(void *arg)
{
	fiber_room_enter(&chamber, 0);
	mark(arg);
	fiber_room_leave(&chamber);
}

START_TEST (room_always_has_a_place) {
	begin();
	fiber_room_init(&chamber);
	start(enters_no_room, (void *)(uintptr_t) "a");
	start(enters_no_room, (void *)(uintptr_t) "b");
	ck_assert_str_eq(trail, "ab");
	end();
}
END_TEST

static struct fiber_lock lock;

static void takes_the_lock(void *arg)
{
	fiber_lock_take(&lock);
	mark(arg);
	fiber_queue_wait(&inside);
	fiber_lock_drop(&lock);
	mark("-");
}

static void tries_the_lock(void *arg)
{
	(void)arg;
	mark(fiber_lock_try(&lock) ? "y" : "n");
	if (lock.owner == fiber_self())
		fiber_lock_drop(&lock);
}

START_TEST (lock_is_handed_on_in_order) {
	begin();
	fiber_lock_init(&lock);
	fiber_queue_init(&inside);
	ck_assert(!fiber_lock_is_taken(&lock));
	start(takes_the_lock, (void *)(uintptr_t) "a");
	start(takes_the_lock, (void *)(uintptr_t) "b");
	start(takes_the_lock, (void *)(uintptr_t) "c");
	start(tries_the_lock, NULL);
	ck_assert(fiber_lock_is_taken(&lock));
	while (fiber_queue_wake(&inside))
		;
	ck_assert_str_eq(trail, "an-b-c-");
	ck_assert(!fiber_lock_is_taken(&lock));
	start(tries_the_lock, NULL);
	ck_assert_str_eq(trail, "an-b-c-y");
	end();
}
END_TEST

/* No one comes between the drop and the one that waited. */
static void drops_and_takes(void *arg)
{
	for (int i = 0; i < 3; i++) {
		fiber_lock_take(&lock);
		mark(arg);
		fiber_wake(fiber_self());
		fiber_wait();
		fiber_lock_drop(&lock);
	}
}

static void starts_two(void *arg)
{
	start(drops_and_takes, (void *)(uintptr_t) "a");
	start(drops_and_takes, (void *)(uintptr_t) "b");
	(void)arg;
	fiber_lock_take(&lock);
	mark("0");
	sleeper = fiber_self();
	fiber_wait();
	fiber_lock_drop(&lock);
}

START_TEST (lock_starves_nobody) {
	begin();
	fiber_lock_init(&lock);
	start(starts_two, NULL);
	ck_assert_str_eq(trail, "0");
	fiber_wake(sleeper);
	ck_assert_str_eq(trail, "0ababab");
	end();
}
END_TEST

static void wakes_sleeper(void *arg)
{
	(void)arg;
	ck_assert_ptr_null(fiber_self());
	fiber_wake(sleeper);
	ck_assert_ptr_null(fiber_self());
}

/* A loop that does not run is used by one thread after the other. */
START_TEST (fiber_goes_on_in_another_thread) {
	struct thread t;

	begin();
	start(sleeps_once, NULL);
	ck_assert_int_eq(thread_start(&t, "other", wakes_sleeper, NULL, NULL),
		0);
	thread_join(&t);
	ck_assert_str_eq(trail, "ab");
	end();
}
END_TEST

static struct ctx *other_ctx;

static void starts_in_the_other(void *arg)
{
	mark(arg);
	ck_assert_int_eq(fiber_start(other_ctx, says_its_name,
				 (void *)(uintptr_t) "o"),
		0);
	mark("-");
}

/* Two loops that one thread uses: nobody is left behind on a list. */
START_TEST (fiber_wakes_one_of_another_loop) {
	struct loop *l;

	begin();
	ck_assert_int_eq(loop_new(&l, NULL), 0);
	ck_assert_int_eq(ctx_get(l, &other_ctx, NULL), 0);
	start(starts_in_the_other, (void *)(uintptr_t) "a");
	ck_assert_str_eq(trail, "a-o");
	ck_assert_uint_eq(other_ctx->nfibers, 0);
	ctx_put(other_ctx);
	loop_free(l);
	end();
}
END_TEST

static unsigned done;

/* Uses its stack, and checks after the wait that nobody else did. */
static void fills_its_stack(void *arg)
{
	volatile char room[16384];
	char c = (char)(uintptr_t)arg;

	for (size_t i = 0; i < sizeof(room); i += 512)
		room[i] = c;
	fiber_queue_wait(&queue);
	for (size_t i = 0; i < sizeof(room); i += 512)
		ck_assert_int_eq(room[i], c);
	done++;
}

START_TEST (thousands_wait_at_once_and_spare_stacks_are_bounded) {
	begin();
	fiber_queue_init(&queue);
	for (int round = 0; round < 2; round++) {
		done = 0;
		for (uintptr_t i = 0; i < MANY; i++)
			start(fills_its_stack, (void *)i);
		ck_assert_uint_eq(ctx->nfibers, MANY);
		fiber_queue_wake_all(&queue);
		ck_assert_uint_eq(done, MANY);
		ck_assert_uint_eq(ctx->nfibers, 0);
		ck_assert_uint_eq(ctx->nstacks, 64);
	}
	end();
}
END_TEST

static void counts_down(void *arg)
{
	unsigned *n = arg;

	if (--*n)
		start(counts_down, n);
}

START_TEST (chain_of_fibers_uses_two_stacks) {
	unsigned n = 10 * MANY;

	begin();
	start(counts_down, &n);
	ck_assert_uint_eq(n, 0);
	ck_assert_uint_le(ctx->nstacks, 2);
	end();
}
END_TEST

/* Callee-saved registers and the alignment that SSE wants. */
static void computes(void *arg)
{
	double *sum = arg, parts[8] __attribute__((aligned(16)));

	ck_assert_uint_eq((uintptr_t)parts % 16, 0);
	for (int i = 0; i < 8; i++) {
		parts[i] = i * 0.5;
		fiber_queue_wait(&queue);
	}
	for (int i = 0; i < 8; i++)
		*sum += parts[i];
}

START_TEST (values_outlive_a_wait) {
	double sum[2] = { 0, 0 };

	begin();
	fiber_queue_init(&queue);
	start(computes, &sum[0]);
	start(computes, &sum[1]);
	while (fiber_queue_wake(&queue))
		;
	ck_assert_double_eq(sum[0], 14);
	ck_assert_double_eq(sum[1], 14);
	end();
}
END_TEST

RIG_SUITE("storage/fiber", fiber_begins_at_once_and_goes_on_at_the_wake,
	wake_before_the_wait_ends_the_next_one_only,
	woken_and_started_from_inside_run_after_in_order,
	queue_is_first_in_first_out, wake_all_wakes_nobody_twice,
	wake_for_something_else_passes_no_queue_and_is_not_lost,
	room_lets_in_so_many_in_order, room_always_has_a_place,
	lock_is_handed_on_in_order, lock_starves_nobody,
	fiber_goes_on_in_another_thread, fiber_wakes_one_of_another_loop,
	thousands_wait_at_once_and_spare_stacks_are_bounded,
	chain_of_fibers_uses_two_stacks, values_outlive_a_wait)
