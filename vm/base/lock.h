/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ranked mutexes. A thread takes locks in rising rank only; two of one rank
 * never together. Builds with GUESTDECK_DEBUG abort on a wrong order, naming
 * both locks: that is a bug of ours, never the doing of a guest.
 */
#ifndef VM_BASE_LOCK_H
#define VM_BASE_LOCK_H

#include <pthread.h>

enum lock_rank {
	LOCK_ENGINE = 10,
	LOCK_VM = 20,
	LOCK_PCI = 25, /* config space, taken before a device's lock */
	LOCK_DEVICE = 30,
	LOCK_VIRTQUEUE = 40,
	LOCK_INTX = 45, /* a bus's INTx wires, a function's MSI-X table */
	LOCK_IRQ = 50,
	LOCK_BUS = 55, /* address maps and memslots */
	LOCK_BLK = 60,
	LOCK_LOOP = 65, /* a loop's timers and posted calls */
	LOCK_SURFACE = 70,
	LOCK_CONSOLE = 75,
	LOCK_LOG = 80,
};

struct lock {
	pthread_mutex_t mutex;
	const char *name;
	enum lock_rank rank;
};

void lock_init(struct lock *l, const char *name, enum lock_rank rank);
void lock_fini(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);

/* Wait on cond (made with CLOCK_MONOTONIC by lock_cond_init) under l. */
void lock_cond_init(pthread_cond_t *cond);
void lock_wait(struct lock *l, pthread_cond_t *cond);

static inline void lock_guard_drop(struct lock **l)
{
	lock_drop(*l);
}

/* Hold l to the end of the block. */
#define LOCK_GUARD_(l, n)                                                      \
	struct lock *n __attribute__((cleanup(lock_guard_drop), unused)) =     \
		(l);                                                           \
	lock_take(n)
#define LOCK_GUARD(l) LOCK_GUARD_(l, lock_guard_var)

#endif
