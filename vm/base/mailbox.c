/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A ring of pointers and a loop call that empties it. Lock: rank LOCK_LOOP,
 * guards the ring; it is dropped before the loop or fn is called.
 */
#include "vm/base/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vm/base/lock.h"

struct mailbox {
	struct lock lock;
	struct loop_call call;
	void (*fn)(void *arg, void *msg);
	void *arg;
	size_t capacity;
	size_t first; /* guarded by lock */
	size_t count; /* guarded by lock */
	void *ring[]; /* guarded by lock */
};

/* The oldest message; false when there is none. */
static bool mailbox_take(struct mailbox *m, void **msg)
{
	LOCK_GUARD(&m->lock);

	if (!m->count)
		return false;
	*msg = m->ring[m->first];
	m->first = (m->first + 1) % m->capacity;
	m->count--;
	return true;
}

/* One box full a round, so that a busy sender does not starve the loop. */
static void mailbox_deliver(void *arg)
{
	struct mailbox *m = arg;
	size_t left = m->capacity;
	void *msg;

	while (left--) {
		if (!mailbox_take(m, &msg))
			return;
		m->fn(m->arg, msg);
	}
	loop_call_schedule(&m->call);
}

int mailbox_new(struct loop *l, size_t capacity,
	void (*fn)(void *arg, void *msg), void *arg, struct mailbox **out,
	struct err *e)
{
	struct mailbox *m;
	size_t bytes;

	assert(capacity > 0);
	if (__builtin_mul_overflow(capacity, sizeof(void *), &bytes) ||
		__builtin_add_overflow(bytes, sizeof(*m), &bytes))
		return err_sys(e, ENOMEM, "cannot make a mailbox of %zu",
			capacity);
	m = calloc(1, bytes);
	if (!m)
		return err_sys(e, ENOMEM, "cannot make a mailbox of %zu",
			capacity);
	lock_init(&m->lock, "mailbox", LOCK_LOOP);
	loop_call_init(&m->call, l, mailbox_deliver, m);
	m->fn = fn;
	m->arg = arg;
	m->capacity = capacity;
	*out = m;
	return 0;
}

void mailbox_free(struct mailbox *m, void (*drop)(void *msg))
{
	void *msg;

	if (!m)
		return;
	loop_call_cancel(&m->call);
	while (mailbox_take(m, &msg))
		if (drop)
			drop(msg);
	lock_fini(&m->lock);
	free(m);
}

int mailbox_put(struct mailbox *m, void *msg)
{
	bool full;

	lock_take(&m->lock);
	full = m->count == m->capacity;
	if (!full)
		m->ring[(m->first + m->count++) % m->capacity] = msg;
	lock_drop(&m->lock);
	if (full)
		return -EAGAIN;
	loop_call_schedule(&m->call);
	return 0;
}
