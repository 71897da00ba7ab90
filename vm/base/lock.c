/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ranked mutexes. With GUESTDECK_DEBUG each thread keeps a list of what it
 * holds, in the order taken; ranks in it rise. Without, only the mutex calls
 * are left.
 */
#include "vm/base/lock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef GUESTDECK_DEBUG

#define LOCK_HELD_MAX 16

static _Thread_local struct lock *lock_held[LOCK_HELD_MAX];
static _Thread_local int lock_nheld;

static void lock_check_take(struct lock *l)
{
	struct lock *top = lock_nheld ? lock_held[lock_nheld - 1] : NULL;

	if (top && top->rank >= l->rank) {
		fprintf(stderr,
			"lock order: %s (rank %d) taken while holding %s "
			"(rank %d)\n",
			l->name, (int)l->rank, top->name, (int)top->rank);
		abort();
	}
	if (lock_nheld == LOCK_HELD_MAX) {
		fprintf(stderr, "lock order: %s is one lock too many\n",
			l->name);
		abort();
	}
	lock_held[lock_nheld++] = l;
}

static int lock_find(const struct lock *l)
{
	for (int i = lock_nheld - 1; i >= 0; i--)
		if (lock_held[i] == l)
			return i;
	fprintf(stderr, "lock order: %s is not held by this thread\n", l->name);
	abort();
}

static void lock_check_drop(struct lock *l)
{
	for (int i = lock_find(l) + 1; i < lock_nheld; i++)
		lock_held[i - 1] = lock_held[i];
	lock_nheld--;
}

static void lock_check_wait(struct lock *l)
{
	if (lock_find(l) == lock_nheld - 1)
		return;
	fprintf(stderr, "lock order: wait on %s while holding %s\n", l->name,
		lock_held[lock_nheld - 1]->name);
	abort();
}

#else

static void lock_check_take(struct lock *l)
{
	(void)l;
}

static void lock_check_drop(struct lock *l)
{
	(void)l;
}

static void lock_check_wait(struct lock *l)
{
	(void)l;
}

#endif

/* Errors of these calls are bugs of ours: a wild or destroyed mutex. */
static void lock_must(int r)
{
	assert(r == 0);
	(void)r;
}

void lock_init(struct lock *l, const char *name, enum lock_rank rank)
{
	l->name = name;
	l->rank = rank;
	lock_must(pthread_mutex_init(&l->mutex, NULL));
}

void lock_fini(struct lock *l)
{
	lock_must(pthread_mutex_destroy(&l->mutex));
}

void lock_take(struct lock *l)
{
	lock_check_take(l);
	lock_must(pthread_mutex_lock(&l->mutex));
}

void lock_drop(struct lock *l)
{
	lock_check_drop(l);
	lock_must(pthread_mutex_unlock(&l->mutex));
}

void lock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	lock_must(pthread_condattr_init(&attr));
	lock_must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	lock_must(pthread_cond_init(cond, &attr));
	lock_must(pthread_condattr_destroy(&attr));
}

void lock_wait(struct lock *l, pthread_cond_t *cond)
{
	lock_check_wait(l);
	lock_must(pthread_cond_wait(cond, &l->mutex));
}
