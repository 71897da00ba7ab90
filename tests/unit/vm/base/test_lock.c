/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/lock: with the checks of a debug build, whatever this build is. */
#ifndef GUESTDECK_DEBUG
#define GUESTDECK_DEBUG
#endif
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/base/lock.c"

#include "tests/unit/suite.h"

static struct lock low, mid, high;

static void locks_init(void)
{
	lock_init(&low, "low", LOCK_VM);
	lock_init(&mid, "mid", LOCK_DEVICE);
	lock_init(&high, "high", LOCK_LOG);
}

/* Run fn in a child; it must abort and tell text. */
static void expect_abort(void (*fn)(void), const char *text)
{
	char said[512] = "";
	int status, fds[2];
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(fds[1]);
	n = read(fds[0], said, sizeof(said) - 1);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	ck_assert_msg(strstr(said, text) != NULL, "%s", said);
	close(fds[0]);
}

START_TEST (rising_ranks_are_fine) {
	locks_init();
	lock_take(&low);
	lock_take(&mid);
	lock_take(&high);
	lock_drop(&mid); /* any order */
	lock_drop(&high);
	lock_drop(&low);
	ck_assert_int_eq(lock_nheld, 0);
	lock_fini(&low);
	lock_fini(&mid);
	lock_fini(&high);
}
END_TEST

static void take_wrongly(void)
{
	lock_take(&high);
	lock_take(&low);
}

START_TEST (a_falling_rank_aborts_with_both_names) {
	locks_init();
	expect_abort(take_wrongly,
		"low (rank 20) taken while holding high (rank 80)");
}
END_TEST

static void take_twice(void)
{
	struct lock other;

	lock_init(&other, "other", LOCK_VM);
	lock_take(&low);
	lock_take(&other);
}

START_TEST (two_of_one_rank_abort) {
	locks_init();
	expect_abort(take_twice, "other (rank 20) taken while holding low");
}
END_TEST

static void drop_unheld(void)
{
	lock_drop(&low);
}

START_TEST (dropping_what_is_not_held_aborts) {
	locks_init();
	expect_abort(drop_unheld, "low is not held by this thread");
}
END_TEST

static void wait_holding(void)
{
	pthread_cond_t cond;

	lock_cond_init(&cond);
	lock_take(&low);
	lock_take(&high);
	lock_wait(&low, &cond);
}

START_TEST (waiting_while_holding_another_aborts) {
	locks_init();
	expect_abort(wait_holding, "wait on low while holding high");
}
END_TEST

static void take_many(void)
{
	struct lock l[LOCK_HELD_MAX + 1];

	for (int i = 0; i <= LOCK_HELD_MAX; i++) {
		lock_init(&l[i], "many", (enum lock_rank)(i + 1));
		lock_take(&l[i]);
	}
}

START_TEST (too_many_at_once_abort) {
	expect_abort(take_many, "many is one lock too many");
}
END_TEST

static void hold_in_a_block(void)
{
	LOCK_GUARD(&low);

	ck_assert_int_eq(lock_nheld, 1);
}

START_TEST (a_guard_drops_at_the_end_of_its_block) {
	locks_init();
	hold_in_a_block();
	ck_assert_int_eq(lock_nheld, 0);
	lock_take(&low);
	lock_drop(&low);
}
END_TEST

static pthread_cond_t cond;
static int value; /* guarded by low */

static void *setter(void *arg)
{
	LOCK_GUARD(&low);

	value = 1;
	pthread_cond_signal(&cond);
	return arg;
}

START_TEST (waiting_lets_others_take_the_lock) {
	pthread_t t;

	locks_init();
	lock_cond_init(&cond);
	lock_take(&low);
	ck_assert_int_eq(pthread_create(&t, NULL, setter, NULL), 0);
	while (!value)
		lock_wait(&low, &cond);
	lock_drop(&low);
	pthread_join(t, NULL);
}
END_TEST

SUITE("lock", rising_ranks_are_fine, a_falling_rank_aborts_with_both_names,
	two_of_one_rank_abort, dropping_what_is_not_held_aborts,
	waiting_while_holding_another_aborts, too_many_at_once_abort,
	a_guard_drops_at_the_end_of_its_block,
	waiting_lets_others_take_the_lock)
