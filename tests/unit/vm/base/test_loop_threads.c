/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/loop: what other threads may do to a loop. */
#include <semaphore.h>

#include "vm/base/clock.h"
#include "vm/base/loop.h"
#include "vm/base/thread.h"

#include "tests/unit/suite.h"

static struct loop *loop;
static struct thread runner;
static sem_t done;

static void run(void *arg)
{
	loop_run(arg);
}

static void start(void)
{
	ck_assert_int_eq(loop_new(&loop, NULL), 0);
	sem_init(&done, 0, 0);
	ck_assert_int_eq(thread_start(&runner, "loop", run, loop, NULL), 0);
}

static void finish(void)
{
	loop_stop(loop);
	thread_join(&runner);
	loop_free(loop);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void post_mine(void *arg)
{
	*(bool *)arg = loop_is_mine(loop);
	sem_post(&done);
}

START_TEST (a_call_from_another_thread_runs_on_the_loop) {
	struct loop_call c;
	bool mine = false;

	start();
	loop_sync(loop, nothing, NULL);
	loop_call_init(&c, loop, post_mine, &mine);
	loop_call_schedule(&c);
	sem_wait(&done);
	ck_assert(mine);
	ck_assert(!loop_is_mine(loop));
	finish();
}
END_TEST

START_TEST (a_timer_armed_by_another_thread_shortens_the_wait) {
	struct loop_timer t, late;
	bool mine = false;

	start();
	loop_timer_init(&late, loop, nothing, NULL);
	loop_timer_arm(&late, clock_now_ns() + 3600 * NS_PER_S);
	loop_sync(loop, nothing, NULL);
	loop_timer_init(&t, loop, post_mine, &mine);
	loop_timer_arm(&t, clock_now_ns() + NS_PER_MS);
	sem_wait(&done);
	ck_assert(mine);
	finish();
}
END_TEST

START_TEST (a_loop_stopped_before_it_runs_does_not_run) {
	ck_assert_int_eq(loop_new(&loop, NULL), 0);
	loop_stop(loop);
	loop_run(loop);
	loop_free(loop);
}
END_TEST

static void set_where(void *arg)
{
	*(pthread_t *)arg = pthread_self();
}

START_TEST (sync_of_another_thread_runs_on_the_loop_before_it_returns) {
	pthread_t where = pthread_self();

	start();
	/* until the loop runs, a sync may be direct */
	while (pthread_equal(where, pthread_self()))
		loop_sync(loop, set_where, &where);
	ck_assert(pthread_equal(where, runner.id));
	finish();
}
END_TEST

START_TEST (sync_on_a_loop_that_does_not_run_is_direct) {
	pthread_t where;

	ck_assert_int_eq(loop_new(&loop, NULL), 0);
	loop_sync(loop, set_where, &where);
	ck_assert(pthread_equal(where, pthread_self()));
	ck_assert(!loop_is_mine(loop));
	loop_free(loop);
}
END_TEST

static void nested(void *arg)
{
	ck_assert(loop_is_mine(loop));
	loop_sync(loop, set_where, arg);
}

START_TEST (sync_inside_the_loop_is_direct) {
	pthread_t where;

	start();
	loop_sync(loop, nested, &where);
	finish();
	ck_assert_int_eq(loop_new(&loop, NULL), 0);
	loop_sync(loop, nested, &where);
	ck_assert(pthread_equal(where, pthread_self()));
	loop_free(loop);
}
END_TEST

static unsigned counter; /* on the loop's thread or alone */

static void count(void *arg)
{
	(void)arg;
	counter++;
}

static void sync_many(void *arg)
{
	for (int i = 0; i < 2000; i++)
		loop_sync(arg, count, NULL);
}

START_TEST (syncs_survive_a_loop_that_starts_and_stops) {
	struct thread t[2];

	counter = 0;
	ck_assert_int_eq(loop_new(&loop, NULL), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(thread_start(&t[i], "sync", sync_many, loop,
					 NULL),
			0);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(thread_start(&runner, "loop", run, loop, NULL),
			0);
		loop_sync(loop, count, NULL);
		loop_stop(loop);
		thread_join(&runner);
	}
	for (int i = 0; i < 2; i++)
		thread_join(&t[i]);
	ck_assert_uint_eq(counter, 4050);
	loop_free(loop);
}
END_TEST

static void sync_then_post(void *arg)
{
	loop_sync(loop, set_where, arg);
	sem_post(&done);
}

START_TEST (a_sync_waits_for_the_next_round_of_run_once) {
	pthread_t where;
	struct thread t;

	ck_assert_int_eq(loop_new(&loop, NULL), 0);
	sem_init(&done, 0, 0);
	loop_run_once(loop, 0);
	ck_assert(loop_is_mine(loop));
	ck_assert_int_eq(thread_start(&t, "sync", sync_then_post, &where, NULL),
		0);
	while (sem_trywait(&done))
		loop_run_once(loop, 1);
	thread_join(&t);
	ck_assert(pthread_equal(where, pthread_self()));
	loop_free(loop);
}
END_TEST

START_TEST (a_loop_between_rounds_can_be_run_by_another_thread) {
	pthread_t where;

	ck_assert_int_eq(loop_new(&loop, NULL), 0);
	loop_run_once(loop, 0);
	ck_assert_int_eq(thread_start(&runner, "loop", run, loop, NULL), 0);
	do
		loop_sync(loop, set_where, &where);
	while (!pthread_equal(where, runner.id));
	finish();
}
END_TEST

static _Atomic unsigned ncalls;

static void count_call(void *arg)
{
	(void)arg;
	ncalls++;
}

static struct loop_call shared_call;
static struct loop_timer shared_timer;

static void hammer(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5000; i++) {
		loop_call_schedule(&shared_call);
		loop_timer_arm(&shared_timer, clock_now_ns() + 1000);
		if (i % 7 == 0)
			loop_timer_disarm(&shared_timer);
	}
	loop_call_schedule(&shared_call);
}

START_TEST (many_threads_may_schedule_one_call) {
	struct thread t[2];

	start();
	loop_call_init(&shared_call, loop, count_call, NULL);
	loop_timer_init(&shared_timer, loop, count_call, NULL);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(thread_start(&t[i], "hammer", hammer, NULL,
					 NULL),
			0);
	for (int i = 0; i < 2; i++)
		thread_join(&t[i]);
	/* no wake-up is lost: the last call comes */
	for (unsigned was = ncalls; ncalls == was;) {
		loop_call_schedule(&shared_call);
		loop_sync(loop, nothing, NULL);
	}
	finish();
}
END_TEST

SUITE("loop_threads", a_call_from_another_thread_runs_on_the_loop,
	a_timer_armed_by_another_thread_shortens_the_wait,
	a_loop_stopped_before_it_runs_does_not_run,
	sync_of_another_thread_runs_on_the_loop_before_it_returns,
	sync_on_a_loop_that_does_not_run_is_direct,
	sync_inside_the_loop_is_direct,
	syncs_survive_a_loop_that_starts_and_stops,
	a_sync_waits_for_the_next_round_of_run_once,
	a_loop_between_rounds_can_be_run_by_another_thread,
	many_threads_may_schedule_one_call)
