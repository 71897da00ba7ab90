/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a loop waits for: epoll for descriptors, a sorted list for timers (a
 * guest has a few dozen at most), a list for calls, one eventfd to interrupt
 * the wait. Locks: loop_impl.h. How it runs: loop_run.c.
 */
#include "vm/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vm/base/loop_impl.h"

int loop_new(struct loop **out, struct err *e)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct loop *l = calloc(1, sizeof(*l));
	int code;

	if (!l)
		return err_sys(e, ENOMEM, "cannot make an event loop");
	l->wakefd = -1;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0)
		goto fail;
	l->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wakefd < 0)
		goto fail;
	/* its data.ptr is NULL: an event without a watch */
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wakefd, &ev))
		goto fail;
	lock_init(&l->lock, "loop", LOCK_LOOP);
	lock_cond_init(&l->changed);
	list_init(&l->timers);
	list_init(&l->due_timers);
	list_init(&l->calls);
	list_init(&l->due_calls);
	list_init(&l->syncs);
	*out = l;
	return 0;
fail:
	code = errno;
	if (l->wakefd >= 0)
		close(l->wakefd);
	if (l->epfd >= 0)
		close(l->epfd);
	free(l);
	return err_sys(e, code, "cannot make an event loop");
}

/* Forget timers and calls in list, so that a late disarm is harmless. */
static void loop_forget_timers(struct list *list)
{
	struct list *n;

	while ((n = list_pop(list))) {
		struct loop_timer *t = list_entry(n, struct loop_timer, node);

		t->deadline_ns = 0;
		t->loop = NULL;
	}
}

static void loop_forget_calls(struct list *list)
{
	struct list *n;

	while ((n = list_pop(list))) {
		struct loop_call *c = list_entry(n, struct loop_call, node);

		c->pending = false;
		c->loop = NULL;
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	assert(!l->inside && list_empty(&l->syncs));
	loop_forget_timers(&l->timers);
	loop_forget_timers(&l->due_timers);
	loop_forget_calls(&l->calls);
	loop_forget_calls(&l->due_calls);
	close(l->wakefd);
	close(l->epfd);
	pthread_cond_destroy(&l->changed);
	lock_fini(&l->lock);
	free(l);
}

void loop_wake_locked(struct loop *l)
{
	if (!l->sleeping || l->woken)
		return;
	l->woken = true;
	eventfd_write(l->wakefd, 1);
}

/* Descriptors. */

int loop_fd_add(struct loop *l, struct loop_fd *w, int fd, uint32_t events,
	loop_fd_fn fn, void *arg)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	w->loop = NULL;
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	w->loop = l;
	return 0;
}

int loop_fd_mod(struct loop_fd *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (!w->loop)
		return -ENOENT;
	if (epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev))
		return -errno;
	return 0;
}

void loop_fd_del(struct loop_fd *w)
{
	struct loop *l = w->loop;

	if (!l)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	/* an event for it may lie in the batch that is being handed out */
	for (int i = l->next_event; i < l->nevents; i++)
		if (l->events[i].data.ptr == w)
			l->events[i].data.ptr = NULL;
	w->loop = NULL;
}

/* Timers. */

void loop_timer_init(struct loop_timer *t, struct loop *l, loop_fn fn,
	void *arg)
{
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->deadline_ns = 0;
	list_init(&t->node);
}

/* Keep the order, and among equals the order of arming. */
static void loop_insert_locked(struct loop *l, struct loop_timer *t)
{
	struct list *at = l->timers.prev;

	while (at != &l->timers &&
		list_entry(at, struct loop_timer, node)->deadline_ns >
			t->deadline_ns)
		at = at->prev;
	list_add_head(at, &t->node);
}

void loop_timer_arm(struct loop_timer *t, uint64_t deadline_ns)
{
	struct loop *l = t->loop;

	if (!l)
		return;
	LOCK_GUARD(&l->lock);
	list_del(&t->node);
	t->deadline_ns = deadline_ns ? deadline_ns : 1;
	loop_insert_locked(l, t);
	if (l->timers.next == &t->node)
		loop_wake_locked(l);
}

void loop_timer_disarm(struct loop_timer *t)
{
	struct loop *l = t->loop;

	if (!l)
		return;
	LOCK_GUARD(&l->lock);
	list_del(&t->node);
	t->deadline_ns = 0;
}

/* Calls. */

void loop_call_init(struct loop_call *c, struct loop *l, loop_fn fn, void *arg)
{
	c->loop = l;
	c->fn = fn;
	c->arg = arg;
	c->pending = false;
	list_init(&c->node);
}

void loop_call_schedule(struct loop_call *c)
{
	struct loop *l = c->loop;

	if (!l)
		return;
	LOCK_GUARD(&l->lock);
	if (c->pending)
		return;
	c->pending = true;
	list_add_tail(&l->calls, &c->node);
	loop_wake_locked(l);
}

void loop_call_cancel(struct loop_call *c)
{
	struct loop *l = c->loop;

	if (!l)
		return;
	LOCK_GUARD(&l->lock);
	list_del(&c->node);
	c->pending = false;
}
