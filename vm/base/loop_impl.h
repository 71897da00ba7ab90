/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of the loop, for loop.c and loop_run.c only.
 *
 * Lock: l->lock, rank LOCK_LOOP, guards timers, calls, syncs and the state of
 * the wait. Descriptor watches belong to the loop's thread and need none.
 *
 * The wait is entered with `sleeping` set under the lock after a look at the
 * lists. Who adds work later sees it and writes the eventfd, once; nobody
 * writes it for a loop that is awake.
 */
#ifndef VM_BASE_LOOP_IMPL_H
#define VM_BASE_LOOP_IMPL_H

#include "vm/base/lock.h"
#include "vm/base/loop.h"

#define LOOP_BATCH 64

struct loop {
	int epfd;
	int wakefd;
	struct lock lock;
	pthread_cond_t changed; /* with lock: owner, or a sync got done */

	struct list timers;     /* guarded by lock; soonest first */
	struct list due_timers; /* guarded by lock; taken out this round */
	struct list calls;      /* guarded by lock */
	struct list due_calls;  /* guarded by lock; taken out this round */
	struct list syncs;      /* guarded by lock; struct loop_wait */
	bool stop;              /* guarded by lock */
	bool sleeping;          /* guarded by lock; the wait may be on */
	bool woken;             /* guarded by lock; wakefd was written */
	bool runs;              /* guarded by lock; owner is a loop_run*() */
	bool inside;            /* guarded by lock; a round is going on */
	/* Mark of the thread the loop belongs to now. Written under lock. */
	_Atomic(const void *) owner;

	/* what epoll gave, by the loop's thread only */
	struct epoll_event events[LOOP_BATCH];
	int next_event, nevents;
};

/* One loop_sync() that waits; lives on the waiting thread's stack. */
struct loop_wait {
	struct list node;
	loop_fn fn;
	void *arg;
	bool done; /* guarded by the loop's lock */
};

/* Interrupt the wait, if one is on. */
void loop_wake_locked(struct loop *l);

#endif
