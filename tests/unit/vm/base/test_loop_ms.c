/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/loop on a kernel without epoll_pwait2(): waits by milliseconds. */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>

static int ncalls, answer = ENOSYS;

static int no_pwait2(int fd, struct epoll_event *ev, int n,
	const struct timespec *ts, const sigset_t *set)
{
	(void)fd;
	(void)ev;
	(void)n;
	(void)ts;
	(void)set;
	ncalls++;
	errno = answer;
	return -1;
}

#define epoll_pwait2 no_pwait2
#include "vm/base/loop_run.c"

#include "tests/unit/suite.h"

static int nran;

static void ran(void *arg)
{
	(void)arg;
	nran++;
}

static void check_waits(void)
{
	uint64_t at = clock_now_ns() + 1500 * NS_PER_US;
	struct loop_timer t;
	struct loop *l;

	ck_assert_int_eq(loop_new(&l, NULL), 0);
	loop_timer_init(&t, l, ran, NULL);
	loop_timer_arm(&t, at);
	while (!nran)
		loop_run_once(l, -1);
	ck_assert_uint_ge(clock_now_ns(), at);
	loop_run_once(l, 1);
	loop_run_once(l, 0);
	loop_stop(l);
	loop_run_once(l, -1);
	ck_assert_int_eq(ncalls, 1);
	loop_free(l);
}

START_TEST (an_old_kernel_is_asked_once) {
	check_waits();
}
END_TEST

START_TEST (a_filter_that_forbids_it_is_asked_once) {
	answer = EPERM;
	check_waits();
}
END_TEST

START_TEST (a_wait_far_away_fits_the_call) {
	struct loop_timer t;
	struct loop *l;

	ck_assert_int_eq(loop_new(&l, NULL), 0);
	loop_timer_init(&t, l, ran, NULL);
	loop_timer_arm(&t, UINT64_MAX - 1);
	loop_run_once(l, 1);
	ck_assert_int_eq(nran, 0);
	loop_timer_disarm(&t);
	loop_free(l);
}
END_TEST

SUITE("loop_ms", an_old_kernel_is_asked_once,
	a_filter_that_forbids_it_is_asked_once, a_wait_far_away_fits_the_call)
