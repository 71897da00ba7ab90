/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fibers: functions with a stack of their own that wait for requests without
 * blocking the thread, so that the metadata of a format can be handled in
 * straight code. They run on the loop's thread only, one at a time, and
 * change places only where one waits: between two waits a fiber is alone.
 *
 * A stack has at least 64 KiB and a guard page: no large arrays, no recursion
 * that an image can drive.
 */
#ifndef STORAGE_CORE_FIBER_H
#define STORAGE_CORE_FIBER_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/base/list.h"

struct ctx;
struct fiber;

/*
 * Run fn(arg) in a new fiber. From outside of fibers it begins at once and
 * this returns when it waits or ends; from inside one it begins when that
 * one waits or ends. 0 or -ENOMEM.
 */
int fiber_start(struct ctx *c, void (*fn)(void *arg), void *arg);

/* The running fiber, NULL outside. */
struct fiber *fiber_self(void);

/* Wait for fiber_wake(); at once when that came first. In a fiber. */
void fiber_wait(void);

/*
 * End f's wait, this or (once) the next. From outside of fibers f runs at
 * once, from inside one when that one waits or ends. Thread: the loop's.
 */
void fiber_wake(struct fiber *f);

/* Fibers that wait for something; first in, first out. Zeroed = NOT ready:
 * fiber_queue_init(). */
struct fiber_queue {
	struct list waiters;
};

void fiber_queue_init(struct fiber_queue *q);
void fiber_queue_wait(struct fiber_queue *q); /* in a fiber */
bool fiber_queue_wake(struct fiber_queue *q); /* one; false = none waits */
void fiber_queue_wake_all(struct fiber_queue *q);

/* Not too many fibers at the same thing; who waits comes in in order. */
struct fiber_room {
	unsigned in;
	struct fiber_queue queue;
};

void fiber_room_init(struct fiber_room *r);
/* At most max (0 = 1) at a time. In a fiber. */
void fiber_room_enter(struct fiber_room *r, uint64_t max);
void fiber_room_leave(struct fiber_room *r);

/* A lock between fibers of one loop, handed on in order. */
struct fiber_lock {
	struct fiber *owner;
	struct fiber_queue queue;
};

void fiber_lock_init(struct fiber_lock *l);
void fiber_lock_take(struct fiber_lock *l); /* in a fiber */
bool fiber_lock_try(struct fiber_lock *l);  /* in a fiber */
void fiber_lock_drop(struct fiber_lock *l); /* by its owner */
static inline bool fiber_lock_is_taken(const struct fiber_lock *l)
{
	return l->owner != NULL;
}

#endif
