/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Kicks: from the driver's doorbell to the device's queue function. The
 * eventfd is watched edge-triggered, so it need not be read: one system call
 * less on the way of each request.
 *
 * A driver that kicks on and on with nothing new in its ring would wake the
 * I/O thread each time, and keep it from other devices. After some such kicks
 * the doorbell is left alone for a while, and rung ones only counted; the
 * first buffer that is new ends that. Thread: I/O.
 */
#include <sys/eventfd.h>

#include "vm/base/clock.h"

#include "vm/virtio/impl.h"

#define KICK_EVENTS       (EPOLLIN | EPOLLET)
#define KICKS_FOR_NOTHING 16
#define KICK_HOLD_MIN_NS  (50 * NS_PER_US)
#define KICK_HOLD_MAX_NS  NS_PER_MS

/* Listen to the doorbell again. A kick that came meanwhile is an event. */
static void kick_release(struct virtq *q)
{
	q->for_nothing = 0;
	if (!q->hold_ns)
		return;
	q->hold_ns = 0;
	loop_fd_mod(&q->kick, KICK_EVENTS);
}

static void kick_hold(struct virtq *q, uint64_t ns)
{
	if (!q->hold_ns)
		loop_fd_mod(&q->kick, 0);
	q->hold_ns = ns < KICK_HOLD_MAX_NS ? ns : KICK_HOLD_MAX_NS;
	loop_timer_arm(&q->hold, clock_now_ns() + q->hold_ns);
}

static void kick_event(void *arg, uint32_t events)
{
	struct virtq *q = arg;

	(void)events;
	if (virtq_has_news(q))
		q->for_nothing = 0;
	else
		q->for_nothing++;
	virtio_queue_run(q);
	if (q->for_nothing > KICKS_FOR_NOTHING)
		kick_hold(q, KICK_HOLD_MIN_NS);
}

/* The doorbell was left alone long enough. */
static void kick_look(void *arg)
{
	struct virtq *q = arg;
	eventfd_t rung = 0;
	bool quiet = eventfd_read(q->kick_fd, &rung) != 0;

	if (quiet || virtq_has_news(q))
		kick_release(q);
	else
		kick_hold(q, 2 * q->hold_ns);
	if (!quiet)
		virtio_queue_run(q);
}

void virtq_again(struct virtq *q)
{
	kick_release(q); /* this one is ours, and for something */
	eventfd_write(q->kick_fd, 1);
}

int kick_init(struct virtq *q)
{
	loop_timer_init(&q->hold, q->v->core->io, kick_look, q);
	return loop_fd_add(q->v->core->io, &q->kick, q->kick_fd, KICK_EVENTS,
		kick_event, q);
}

void kick_start(struct virtq *q)
{
	loop_timer_disarm(&q->hold);
	kick_release(q);
}

void kick_fini(struct virtq *q)
{
	if (q->hold.loop)
		loop_timer_disarm(&q->hold);
	loop_fd_del(&q->kick);
}
