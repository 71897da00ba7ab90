/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Waiting for storage alone. Descriptors and timers are registered with the
 * loop and also kept in lists, for ctx_wait() to poll just them. When nothing
 * but the ring can bring anything, as for a raw or qcow2 file that is waited
 * for, ctx_wait() is the ring's one system call. Thread: the loop's.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "vm/base/clock.h"

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"
#include "storage/core/uring.h"

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT &&
		       EPOLLERR == POLLERR && EPOLLHUP == POLLHUP,
	"epoll's events are poll's");

/* Descriptors. */

/* The descriptors that one ctx_wait() polls. */
struct ctx_poll {
	struct ctx_poll *outer;
	unsigned n;
	struct pollfd *fds;
	struct ctx_fd **watches; /* NULL: deleted meanwhile */
};

static void ctx_fd_event(void *arg, uint32_t events)
{
	struct ctx_fd *w = arg;

	w->fn(w->arg, events);
}

int ctx_fd_add(struct ctx *c, struct ctx_fd *w, int fd, uint32_t events,
	loop_fd_fn fn, void *arg)
{
	int r;

	*w = (struct ctx_fd){ .events = events, .fn = fn, .arg = arg };
	list_init(&w->node);
	r = loop_fd_add(c->loop, &w->watch, fd, events, ctx_fd_event, w);
	if (r)
		return r;
	w->ctx = c;
	list_add_tail(&c->fds, &w->node);
	return 0;
}

int ctx_fd_mod(struct ctx_fd *w, uint32_t events)
{
	int r;

	if (w->ctx && w->events == events)
		return 0;
	r = loop_fd_mod(&w->watch, events);
	if (!r)
		w->events = events;
	return r;
}

void ctx_fd_del(struct ctx_fd *w)
{
	struct ctx *c = w->ctx;

	if (!c)
		return;
	loop_fd_del(&w->watch);
	list_del(&w->node);
	for (struct ctx_poll *p = c->polls; p; p = p->outer)
		for (unsigned i = 0; i < p->n; i++)
			if (p->watches[i] == w)
				p->watches[i] = NULL;
	w->ctx = NULL;
}

void ctx_fd_show(struct ctx_fd *w)
{
	list_del(&w->node);
	list_add_tail(&w->ctx->fds, &w->node);
}

void ctx_fd_hide(struct ctx_fd *w)
{
	list_del(&w->node);
}

/* Waiting. */

/* ms that ctx_wait() may sleep; -1 = until something comes. */
static int ctx_timeout_ms(struct ctx *c)
{
	uint64_t now, at, ms;

	if (!list_empty(&c->calls) || uring_has_some(c->ring))
		return 0;
	if (list_empty(&c->timers))
		return -1;
	now = clock_now_ns();
	at = ctx_next_deadline(c);
	if (at <= now)
		return 0;
	ms = (at - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void ctx_poll_dispatch(struct ctx *c, struct ctx_poll *p)
{
	p->outer = c->polls;
	c->polls = p;
	for (unsigned i = 0; i < p->n; i++) {
		struct ctx_fd *w = p->watches[i];
		uint32_t got = (uint32_t)p->fds[i].revents;

		if (w && got)
			w->fn(w->arg, got);
	}
	c->polls = p->outer;
}

static unsigned ctx_count_fds(const struct ctx *c)
{
	unsigned n = 0;

	list_each (it, &c->fds)
		n++;
	return n;
}

static void ctx_poll_add(struct ctx_poll *p, struct ctx_fd *w)
{
	p->fds[p->n] = (struct pollfd){ .fd = w->watch.fd,
		.events = (short)w->events };
	p->watches[p->n++] = w;
}

/* Poll all there is, for at most timeout_ms, and call what is ready. */
static void ctx_poll(struct ctx *c, int timeout_ms)
{
	unsigned max = ctx_count_fds(c);
	struct pollfd fds[max + 1];
	struct ctx_fd *watches[max + 1];
	struct ctx_poll p = { .fds = fds, .watches = watches };
	struct ctx_fd *ring = uring_watch(c->ring);

	list_each (it, &c->fds)
		ctx_poll_add(&p, list_entry(it, struct ctx_fd, node));
	if (ring)
		ctx_poll_add(&p, ring);
	if (!p.n && timeout_ms < 0)
		return; /* nothing would ever come */
	/* a signal ends the wait: who waits looks for the reason */
	if (poll(fds, p.n, timeout_ms) > 0)
		ctx_poll_dispatch(c, &p);
}

void ctx_wait(struct ctx *c)
{
	assert(!fiber_self());
	if (uring_can_wait(c->ring) && list_empty(&c->fds) &&
		list_empty(&c->timers) && list_empty(&c->calls)) {
		uring_wait(c->ring);
		return;
	}
	uring_flush(c->ring);
	ctx_poll(c, ctx_timeout_ms(c));
	ctx_run_timers(c);
	ctx_run_calls(c);
	if (uring_has_some(c->ring))
		uring_reap(c->ring);
}
