// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Gathered output. The first byte in an empty buffer arms a timer on the I/O
 * thread, which swaps the two buffers under the lock and hands the full one
 * out without it. 4 ms is below what a person at a console can notice.
 */
#include "vm/dev/outbuf.h"

#include "vm/base/clock.h"

/* Timer and end of life: hand out what is there. */
static void outbuf_drain(void *arg)
{
	struct outbuf *o = arg;
	unsigned len, mine;

	lock_take(o->lock);
	mine = o->cur;
	len = o->len;
	o->cur ^= 1;
	o->len = 0;
	lock_drop(o->lock);
	if (!len)
		return;
	o->sink(o->arg, o->buf[mine], len);
	lock_take(o->lock);
	if (o->room)
		o->room(o->arg);
	lock_drop(o->lock);
}

void outbuf_init(struct outbuf *o, struct lock *lock, struct loop *io,
	void (*sink)(void *arg, const void *buf, size_t len),
	void (*room)(void *arg), void *arg)
{
	o->lock = lock;
	o->sink = sink;
	o->room = room;
	o->arg = arg;
	o->cur = 0;
	o->len = 0;
	loop_timer_init(&o->timer, io, outbuf_drain, o);
}

void outbuf_fini(struct outbuf *o)
{
	loop_timer_disarm(&o->timer);
	o->room = NULL;
	outbuf_drain(o);
}

bool outbuf_full_locked(const struct outbuf *o)
{
	return o->len == OUTBUF_SIZE;
}

bool outbuf_put_locked(struct outbuf *o, uint8_t byte)
{
	if (outbuf_full_locked(o))
		return false;
	o->buf[o->cur][o->len++] = byte;
	if (o->len == 1)
		loop_timer_arm(&o->timer,
			clock_now_ns() + OUTBUF_DELAY_MS * NS_PER_MS);
	else if (o->len == OUTBUF_SIZE)
		loop_timer_arm(&o->timer, clock_now_ns());
	return true;
}
