/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/thread: names, signals, the time used. */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>

#include "vm/base/clock.h"
#include "vm/base/thread.h"

#include "tests/unit/suite.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static sem_t ready, go;
static char seen_name[16];
static sigset_t seen_mask;

static void look(void *arg)
{
	pthread_getname_np(pthread_self(), seen_name, sizeof(seen_name));
	pthread_sigmask(SIG_SETMASK, NULL, &seen_mask);
	*(int *)arg = 7;
}

START_TEST (it_runs_with_its_name) {
	struct thread t;
	int arg = 0;

	ck_assert_int_eq(thread_start(&t, "vcpu 3 of a long name", look, &arg,
				 NULL),
		0);
	thread_join(&t);
	ck_assert_int_eq(arg, 7);
	ck_assert_str_eq(seen_name, "vcpu 3 of a lon");
}
END_TEST

START_TEST (signals_are_blocked_but_those_of_faults) {
	struct thread t;
	sigset_t mine;
	int arg;

	ck_assert_int_eq(thread_start(&t, "t", look, &arg, NULL), 0);
	thread_join(&t);
	ck_assert(sigismember(&seen_mask, SIGTERM));
	ck_assert(sigismember(&seen_mask, SIGINT));
	ck_assert(sigismember(&seen_mask, SIGUSR1));
	ck_assert(!sigismember(&seen_mask, SIGSEGV));
	ck_assert(!sigismember(&seen_mask, SIGBUS));
	ck_assert(!sigismember(&seen_mask, SIGFPE));
	ck_assert(!sigismember(&seen_mask, SIGILL));
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	ck_assert(!sigismember(&mine, SIGTERM));
}
END_TEST

static void burn(void *arg)
{
	uint64_t end = clock_ns_of(CLOCK_THREAD_CPUTIME_ID) + 5 * NS_PER_MS;

	(void)arg;
	while (clock_ns_of(CLOCK_THREAD_CPUTIME_ID) < end)
		;
	sem_post(&ready);
	sem_wait(&go);
}

START_TEST (its_cpu_time_is_seen_by_others) {
	struct thread t;
	uint64_t cpu;

	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	ck_assert_int_eq(thread_start(&t, "burn", burn, NULL, NULL), 0);
	sem_wait(&ready);
	cpu = thread_cpu_ns(&t);
	ck_assert_uint_ge(cpu, 5 * NS_PER_MS);
	ck_assert_uint_lt(cpu, 5 * NS_PER_S);
	ck_assert_uint_lt(thread_wait_ns(&t), 60 * NS_PER_S);
	sem_post(&go);
	thread_join(&t);
	ck_assert_uint_eq(thread_cpu_ns(&t), 0);
	ck_assert_uint_eq(thread_wait_ns(&t), 0);
}
END_TEST

START_TEST (a_stale_kernel_id_gives_zero) {
	struct thread t = { .tid = 0x7ffffff0 };

	ck_assert_uint_eq(thread_cpu_ns(&t), 0);
	ck_assert_uint_eq(thread_wait_ns(&t), 0);
}
END_TEST

START_TEST (a_start_that_fails_says_which) {
	struct rlimit none = { 0, 0 };
	struct err e = ERR_NONE;
	struct thread t;
	int arg;

	if (SANITIZED) {
		puts("skip a_start_that_fails: the sanitizer needs memory");
		return;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
	ck_assert_int_eq(thread_start(&t, "late", look, &arg, &e), -EAGAIN);
	ck_assert_err(e, EAGAIN, "cannot start thread late: Resource");
}
END_TEST

SUITE("thread", it_runs_with_its_name, signals_are_blocked_but_those_of_faults,
	its_cpu_time_is_seen_by_others, a_stale_kernel_id_gives_zero,
	a_start_that_fails_says_which)
