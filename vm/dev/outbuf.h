/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Output of a byte-wide port, gathered so that a guest that prints costs a
 * store for a byte and not a system call. What is gathered goes to a console
 * on the I/O thread a few milliseconds later; a vCPU never waits for it: a
 * full buffer says no and the device tells its guest in its own way.
 *
 * Locks: the owner's device lock guards everything; only the I/O thread
 * drains, so bytes stay in order while the lock is not held.
 */
#ifndef VM_DEV_OUTBUF_H
#define VM_DEV_OUTBUF_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/base/lock.h"
#include "vm/base/loop.h"

#define OUTBUF_SIZE     8192
#define OUTBUF_DELAY_MS 4

struct outbuf {
	struct lock *lock; /* the owner's, borrowed */
	struct loop_timer timer;
	void (*sink)(void *arg, const void *buf, size_t len);
	void (*room)(void *arg);
	void *arg;
	unsigned cur; /* buf that is being filled */
	unsigned len; /* bytes in it */
	uint8_t buf[2][OUTBUF_SIZE];
};

/*
 * sink(arg, ...) gets the bytes on io's thread with no lock held; room(arg)
 * (may be NULL) is called with the lock held after a drain made room.
 */
void outbuf_init(struct outbuf *o, struct lock *lock, struct loop *io,
	void (*sink)(void *arg, const void *buf, size_t len),
	void (*room)(void *arg), void *arg);
/* The I/O thread has stopped: hand out the rest. */
void outbuf_fini(struct outbuf *o);

/* Keep one byte. False when full: the byte is not kept. */
bool outbuf_put_locked(struct outbuf *o, uint8_t byte);
bool outbuf_full_locked(const struct outbuf *o);

#endif
