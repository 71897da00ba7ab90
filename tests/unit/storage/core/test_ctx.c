/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who runs a ctx's jobs, and what ctx_wait() waits for and what not. */
#include <errno.h>
#include <semaphore.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/thread.h"

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"

#include "tests/unit/storage/rig.h"

static struct ctx *ctx;
static char trail[64];

static void begin(void)
{
	ck_assert_int_eq(ctx_get(rig_loop, &ctx, NULL), 0);
	trail[0] = '\0';
}

static void mark(void *what)
{
	strcat(trail, what);
}

static void *text(const char *s)
{
	return (void *)(uintptr_t)s;
}

START_TEST (loop_has_one_ctx_with_users) {
	struct ctx *other;
	struct loop *l;

	begin();
	ck_assert_int_eq(ctx_get(rig_loop, &other, NULL), 0);
	ck_assert_ptr_eq(other, ctx);
	ck_assert_ptr_eq(ctx_loop(other), rig_loop);
	ctx_put(other);
	ck_assert_int_eq(loop_new(&l, NULL), 0);
	ck_assert_int_eq(ctx_get(l, &other, NULL), 0);
	ck_assert_ptr_ne(other, ctx);
	ctx_put(other);
	ctx_put(ctx);
	ctx_put(NULL);
	loop_free(l);
}
END_TEST

/* A job: waits for a timer, and says on which thread it ran. */

struct job {
	struct ctx_timer timer;
	struct fiber *f;
	pthread_t thread;
};

static void job_due(void *arg)
{
	struct job *j = arg;

	fiber_wake(j->f);
}

static int job_run(void *arg)
{
	struct job *j = arg;

	j->f = fiber_self();
	j->thread = pthread_self();
	ck_assert_ptr_nonnull(j->f);
	ctx_timer_init(&j->timer, ctx, job_due, j);
	for (int i = 0; i < 3; i++) {
		ctx_timer_arm(&j->timer, clock_now_ns() + NS_PER_MS);
		fiber_wait();
	}
	return 42;
}

static int job_at_once(void *arg)
{
	*(bool *)arg = true;
	return -7;
}

START_TEST (run_without_a_running_loop_is_by_its_caller) {
	bool ran = false;
	struct job j;

	begin();
	ck_assert_int_eq(ctx_run(ctx, job_at_once, &ran), -7);
	ck_assert(ran);
	ck_assert_int_eq(ctx_run(ctx, job_run, &j), 42);
	ck_assert(pthread_equal(j.thread, pthread_self()));
	ctx_put(ctx);
}
END_TEST

/* In a child that ends by _exit(): LeakSanitizer wants mprotect() as well. */
START_TEST (run_without_memory_for_a_stack_fails) {
	bool ran = false;
	int status = -1;
	pid_t pid;

	begin();
	pid = fork();
	if (!pid) {
		rig_refuse(SYS_mprotect, ENOMEM); /* of the guard page */
		status = ctx_run(ctx, job_at_once, &ran);
		_exit(status == -ENOMEM && !ran ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ctx_put(ctx);
}
END_TEST

static void run_from_the_loop(void *arg)
{
	ck_assert(loop_is_mine(rig_loop));
	ck_assert_int_eq(ctx_run(ctx, job_run, arg), 42);
	loop_stop(rig_loop);
}

START_TEST (run_on_the_loops_thread_blocks_it_until_the_end) {
	struct loop_call call;
	struct job j;

	begin();
	loop_call_init(&call, rig_loop, run_from_the_loop, &j);
	loop_call_schedule(&call);
	loop_run(rig_loop);
	ck_assert(pthread_equal(j.thread, pthread_self()));
	ctx_put(ctx);
}
END_TEST

/* The loop on a thread of its own. */
static struct thread loop_thread;
static sem_t loop_runs;

static void run_loop(void *arg)
{
	(void)arg;
	loop_run(rig_loop);
}

static void post(void *arg)
{
	sem_post(arg);
}

static void begin_with_thread(void)
{
	struct loop_call call;

	begin();
	sem_init(&loop_runs, 0, 0);
	loop_call_init(&call, rig_loop, post, &loop_runs);
	loop_call_schedule(&call);
	ck_assert_int_eq(thread_start(&loop_thread, "loop", run_loop, NULL,
				 NULL),
		0);
	while (sem_wait(&loop_runs))
		;
}

/* Wakes the fiber that waits, from the loop's own call: the loop goes on. */
static int job_by_loop(void *arg)
{
	struct job *j = arg;
	struct loop_call call;

	j->f = fiber_self();
	j->thread = pthread_self();
	loop_call_init(&call, rig_loop, job_due, j);
	loop_call_schedule(&call);
	fiber_wait();
	return 43;
}

START_TEST (run_from_another_thread_lets_the_loop_go_on) {
	struct job j;

	begin_with_thread();
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(ctx_run(ctx, job_run, &j), 42);
		ck_assert_int_eq(ctx_run(ctx, job_by_loop, &j), 43);
	}
	loop_stop(rig_loop);
	thread_join(&loop_thread);
	ctx_put(ctx);
}
END_TEST

static int job_stops_the_loop(void *arg)
{
	if (loop_is_mine(rig_loop))
		loop_stop(rig_loop);
	return job_run(arg);
}

START_TEST (run_ends_even_when_the_loop_is_stopped_meanwhile) {
	struct job j;

	begin_with_thread();
	ck_assert_int_eq(ctx_run(ctx, job_stops_the_loop, &j), 42);
	loop_stop(rig_loop);
	thread_join(&loop_thread);
	ctx_put(ctx);
}
END_TEST

/* ctx_wait(). */

static int efd;

static void fd_ready(void *arg, uint32_t events)
{
	eventfd_t n;

	ck_assert_uint_eq(events, EPOLLIN);
	eventfd_read(efd, &n);
	mark(arg);
}

START_TEST (wait_runs_descriptors_and_no_callback_of_others) {
	struct loop_fd foreign;
	struct loop_call call;
	struct ctx_fd w;

	begin();
	efd = eventfd(1, EFD_NONBLOCK);
	ck_assert_int_eq(ctx_fd_add(ctx, &w, efd, EPOLLIN, fd_ready, text("f")),
		0);
	ck_assert_int_eq(loop_fd_add(rig_loop, &foreign, eventfd(1, 0), EPOLLIN,
				 fd_ready, text("no")),
		0);
	loop_call_init(&call, rig_loop, mark, text("no"));
	loop_call_schedule(&call);
	ctx_wait(ctx);
	ck_assert_str_eq(trail, "f");
	ctx_fd_del(&w);
	ctx_fd_del(&w); /* harmless */
	loop_fd_del(&foreign);
	close(foreign.fd);
	close(efd);
	loop_call_cancel(&call);
	ctx_wait(ctx); /* nothing is left to wait for */
	ck_assert_str_eq(trail, "f");
	ctx_put(ctx);
}
END_TEST

START_TEST (descriptor_is_watched_by_the_loop_too) {
	struct ctx_fd w;

	begin();
	efd = eventfd(0, EFD_NONBLOCK);
	ck_assert_int_eq(ctx_fd_add(ctx, &w, efd, EPOLLIN, fd_ready, text("f")),
		0);
	eventfd_write(efd, 1);
	loop_run_once(rig_loop, -1);
	ck_assert_str_eq(trail, "f");
	ck_assert_int_eq(ctx_fd_mod(&w, 0), 0);
	eventfd_write(efd, 1);
	loop_run_once(rig_loop, 0);
	ck_assert_str_eq(trail, "f");
	ck_assert_int_eq(ctx_fd_mod(&w, EPOLLIN), 0);
	ctx_wait(ctx);
	ck_assert_str_eq(trail, "ff");
	ctx_fd_del(&w);
	close(efd);
	ck_assert_int_eq(ctx_fd_add(ctx, &w, efd, EPOLLIN, fd_ready, NULL),
		-EBADF);
	ck_assert_ptr_null(w.ctx);
	ctx_put(ctx);
}
END_TEST

static struct ctx_fd twins[2];

static void deletes_both(void *arg, uint32_t events)
{
	(void)events;
	mark(arg);
	ctx_fd_del(&twins[0]);
	ctx_fd_del(&twins[1]);
}

START_TEST (descriptor_deleted_meanwhile_is_not_called) {
	begin();
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(ctx_fd_add(ctx, &twins[i], eventfd(1, 0),
					 EPOLLIN, deletes_both, text("x")),
			0);
	ctx_wait(ctx);
	ck_assert_str_eq(trail, "x");
	close(twins[0].watch.fd);
	close(twins[1].watch.fd);
	ctx_put(ctx);
}
END_TEST

static struct ctx_timer again;

static void arms_again(void *arg)
{
	mark(arg);
	ctx_timer_arm(&again, 1); /* long past */
}

START_TEST (timers_run_in_wait_and_those_armed_anew_in_the_next) {
	struct ctx_timer late, off;

	begin();
	ctx_timer_init(&again, ctx, arms_again, text("a"));
	ctx_timer_init(&late, ctx, mark, text("l"));
	ctx_timer_init(&off, ctx, mark, text("o"));
	ctx_timer_disarm(&off); /* harmless */
	ctx_timer_arm(&again, 0);
	ctx_timer_arm(&off, 1);
	ctx_timer_disarm(&off);
	ctx_timer_arm(&late, clock_now_ns() + 3600 * NS_PER_S);
	ctx_wait(ctx);
	ck_assert_str_eq(trail, "a");
	ctx_wait(ctx);
	ck_assert_str_eq(trail, "aa");
	loop_run_once(rig_loop, -1);
	ck_assert_str_eq(trail, "aaa");
	ctx_timer_disarm(&again);
	ctx_timer_arm(&late, clock_now_ns() + 2 * NS_PER_MS);
	while (late.deadline_ns)
		ctx_wait(ctx);
	ck_assert_str_eq(trail, "aaal");
	loop_run_once(rig_loop, 0); /* not once more */
	ck_assert_str_eq(trail, "aaal");
	ctx_put(ctx);
}
END_TEST

static struct ctx_call calls[3];

static void cancels_next(void *arg)
{
	mark(arg);
	ctx_call_cancel(&calls[1]);
	ctx_call_schedule(&calls[0]);
}

START_TEST (calls_run_once_in_order_and_can_be_cancelled) {
	begin();
	ctx_call_init(&calls[0], ctx, cancels_next, text("0"));
	ctx_call_init(&calls[1], ctx, mark, text("1"));
	ctx_call_init(&calls[2], ctx, mark, text("2"));
	for (int round = 0; round < 2; round++) {
		trail[0] = '\0';
		for (int i = 0; i < 3; i++) {
			ctx_call_schedule(&calls[i]);
			ctx_call_schedule(&calls[i]);
		}
		if (round)
			ctx_wait(ctx);
		else
			loop_run_once(rig_loop, -1);
		ck_assert_str_eq(trail, "02");
		ck_assert(calls[0].pending); /* for the next round */
	}
	loop_run_once(rig_loop, -1);
	ck_assert_str_eq(trail, "020");
	ctx_call_cancel(&calls[0]);
	loop_run_once(rig_loop, 0);
	ck_assert_str_eq(trail, "020");
	ctx_put(ctx);
}
END_TEST

RIG_SUITE("storage/ctx", loop_has_one_ctx_with_users,
	run_without_a_running_loop_is_by_its_caller,
	run_without_memory_for_a_stack_fails,
	run_on_the_loops_thread_blocks_it_until_the_end,
	run_from_another_thread_lets_the_loop_go_on,
	run_ends_even_when_the_loop_is_stopped_meanwhile,
	wait_runs_descriptors_and_no_callback_of_others,
	descriptor_is_watched_by_the_loop_too,
	descriptor_deleted_meanwhile_is_not_called,
	timers_run_in_wait_and_those_armed_anew_in_the_next,
	calls_run_once_in_order_and_can_be_cancelled)
