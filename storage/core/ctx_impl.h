/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of a ctx, for storage/core only. Thread: the loop's, as ctx.h. */
#ifndef STORAGE_CORE_CTX_IMPL_H
#define STORAGE_CORE_CTX_IMPL_H

#include <pthread.h>

#include "vm/base/lock.h"

#include "storage/core/ctx.h"

struct ctx_poll;
struct pool;
struct uring;

#define CTX_BUFFERS 16

/* One of ctx_buffer_add(). */
struct ctx_buffer {
	char *base; /* NULL: the place is free */
	size_t len;
	bool in_ring; /* the kernel took it, under this place's number */
};

struct ctx {
	struct loop *loop;
	struct list node; /* guarded by ctx_lock */
	unsigned users;   /* guarded by ctx_lock */

	struct list fds;    /* struct ctx_fd: what ctx_wait() polls */
	struct list timers; /* struct ctx_timer: armed ones, in no order */
	struct list calls;  /* struct ctx_call: pending ones */
	struct loop_call round;
	bool round_pending;
	unsigned plugged;
	struct ctx_poll *polls; /* of the ctx_wait()s, innermost first */

	struct uring *ring; /* NULL until an image wants it */
	struct ctx_buffer buffers[CTX_BUFFERS];
	unsigned nbuffers;     /* places up to the last in use */
	struct pool *cpu, *io; /* NULL until there is work */
	struct list undone;    /* struct ctx_work: no thread was to be had */
	struct ctx_call work_here; /* does that */

	struct list stacks; /* struct fiber: spare ones */
	unsigned nstacks;
	unsigned nfibers; /* that have begun and not ended */

	/* For ctx_run() from other threads; rank LOCK_BLK. */
	struct lock lock;
	pthread_cond_t ended; /* with lock: a job of ctx_run() ended */
};

/* See that the round's end is worked on in this round of the loop. */
void ctx_schedule_round(struct ctx *c);

/* Run what is due now; what that schedules or arms comes the next time. */
void ctx_run_calls(struct ctx *c);
void ctx_run_timers(struct ctx *c);

/* Of the timer that is due first, UINT64_MAX when none is armed. */
uint64_t ctx_next_deadline(const struct ctx *c);

/* Keep a watch out of ctx_wait()'s way while nothing can come from it. */
void ctx_fd_show(struct ctx_fd *w);
void ctx_fd_hide(struct ctx_fd *w);

void ctx_work_init(struct ctx *c);
void ctx_work_fini(struct ctx *c);

/* Free the spare stacks. */
void fiber_fini(struct ctx *c);

/* fiber_wait() until *flag; wakes that were for something else are kept. */
void fiber_wait_for(const bool *flag);

#endif
