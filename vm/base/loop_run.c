/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a loop runs: which thread owns it, calls that are waited for, rounds.
 * Locks: loop_impl.h.
 */
#include <errno.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <time.h>

#include "vm/base/clock.h"
#include "vm/base/loop.h"
#include "vm/base/loop_impl.h"

#define LOOP_FOREVER UINT64_MAX

/* Its address is the thread's mark; unlike a kernel id it survives fork. */
static _Thread_local char loop_me;

static _Atomic bool loop_no_pwait2;

bool loop_is_mine(const struct loop *l)
{
	return atomic_load(&l->owner) == &loop_me;
}

/*
 * Make the calling thread the owner, for loop_run*() when `runs`, else for a
 * direct loop_sync(). A loop between two loop_run_once() may be taken over
 * by another thread that runs it, but not by a sync.
 */
static void loop_own_locked(struct loop *l, bool runs)
{
	while (l->owner && !loop_is_mine(l) && (l->inside || !l->runs))
		lock_wait(&l->lock, &l->changed);
	l->runs = runs;
	atomic_store(&l->owner, &loop_me);
}

static void loop_disown_locked(struct loop *l)
{
	l->runs = false;
	atomic_store(&l->owner, NULL);
	pthread_cond_broadcast(&l->changed);
}

/* Run fn here if the loop is ours or nobody's; false = it runs elsewhere. */
static bool loop_sync_direct_locked(struct loop *l, loop_fn fn, void *arg)
{
	bool nested = loop_is_mine(l);

	if (l->runs && !nested)
		return false;
	if (!nested)
		loop_own_locked(l, false);
	lock_drop(&l->lock);
	fn(arg);
	lock_take(&l->lock);
	if (!nested)
		loop_disown_locked(l);
	return true;
}

void loop_sync(struct loop *l, loop_fn fn, void *arg)
{
	struct loop_wait w = { .fn = fn, .arg = arg };

	LOCK_GUARD(&l->lock);
	/* while another thread's direct call is on, it is soon nobody's */
	while (l->owner && !l->runs && !loop_is_mine(l))
		lock_wait(&l->lock, &l->changed);
	if (loop_sync_direct_locked(l, fn, arg))
		return;
	list_add_tail(&l->syncs, &w.node);
	loop_wake_locked(l);
	while (!w.done)
		lock_wait(&l->lock, &l->changed);
}

/* The rounds. */

/* How long may the coming wait be? Sets sleeping when it may wait at all. */
static uint64_t loop_prepare(struct loop *l, int timeout_ms)
{
	uint64_t wait = LOOP_FOREVER, now, at;

	LOCK_GUARD(&l->lock);
	if (timeout_ms == 0 || l->stop || !list_empty(&l->calls) ||
		!list_empty(&l->syncs))
		return 0;
	if (timeout_ms > 0)
		wait = (uint64_t)timeout_ms * NS_PER_MS;
	if (!list_empty(&l->timers)) {
		at = list_entry(l->timers.next, struct loop_timer, node)
			     ->deadline_ns;
		now = clock_now_ns();
		if (at <= now)
			return 0;
		if (at - now < wait)
			wait = at - now;
	}
	l->sleeping = true;
	return wait;
}

static int loop_wait_ms(struct loop *l, uint64_t wait)
{
	uint64_t ms = wait / NS_PER_MS + (wait % NS_PER_MS != 0);
	int timeout = ms > INT_MAX ? INT_MAX : (int)ms;

	if (wait == LOOP_FOREVER)
		timeout = -1;
	return epoll_wait(l->epfd, l->events, LOOP_BATCH, timeout);
}

/* Wait in ns; by the ms on a kernel or under a filter without pwait2. */
static int loop_wait_events(struct loop *l, uint64_t wait)
{
	struct timespec ts = {
		.tv_sec = (time_t)(wait / NS_PER_S),
		.tv_nsec = (long)(wait % NS_PER_S),
	};
	int n;

	if (atomic_load(&loop_no_pwait2))
		return loop_wait_ms(l, wait);
	n = epoll_pwait2(l->epfd, l->events, LOOP_BATCH,
		wait == LOOP_FOREVER ? NULL : &ts, NULL);
	if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
		atomic_store(&loop_no_pwait2, true);
		return loop_wait_ms(l, wait);
	}
	return n;
}

static void loop_awake(struct loop *l)
{
	eventfd_t ignored;

	LOCK_GUARD(&l->lock);
	l->sleeping = false;
	if (l->woken)
		eventfd_read(l->wakefd, &ignored);
	l->woken = false;
}

static void loop_dispatch_fds(struct loop *l, int n)
{
	l->nevents = n > 0 ? n : 0;
	l->next_event = 0;
	while (l->next_event < l->nevents) {
		struct epoll_event *ev = &l->events[l->next_event++];
		struct loop_fd *w = ev->data.ptr;

		if (w)
			w->fn(w->arg, ev->events);
	}
	l->next_event = l->nevents = 0;
}

/*
 * Take out what is due before anything is called, so that a timer that arms
 * itself anew in the past waits for the next round.
 */
static void loop_take_due_locked(struct loop *l)
{
	uint64_t now = clock_now_ns();

	while (!list_empty(&l->timers)) {
		struct list *n = l->timers.next;

		if (list_entry(n, struct loop_timer, node)->deadline_ns > now)
			break;
		list_del(n);
		list_add_tail(&l->due_timers, n);
	}
}

static void loop_dispatch_timers(struct loop *l)
{
	struct list *n;

	LOCK_GUARD(&l->lock);
	loop_take_due_locked(l);
	while ((n = list_pop(&l->due_timers))) {
		struct loop_timer *t = list_entry(n, struct loop_timer, node);
		loop_fn fn = t->fn;
		void *arg = t->arg;

		t->deadline_ns = 0;
		lock_drop(&l->lock);
		fn(arg); /* may free t */
		lock_take(&l->lock);
	}
}

static void loop_dispatch_calls(struct loop *l)
{
	struct list *n;

	LOCK_GUARD(&l->lock);
	while ((n = list_pop(&l->calls)))
		list_add_tail(&l->due_calls, n);
	while ((n = list_pop(&l->due_calls))) {
		struct loop_call *c = list_entry(n, struct loop_call, node);
		loop_fn fn = c->fn;
		void *arg = c->arg;

		c->pending = false;
		lock_drop(&l->lock);
		fn(arg); /* may free c */
		lock_take(&l->lock);
	}
}

static void loop_dispatch_syncs_locked(struct loop *l)
{
	struct list *n;

	while ((n = list_pop(&l->syncs))) {
		struct loop_wait *w = list_entry(n, struct loop_wait, node);

		lock_drop(&l->lock);
		w->fn(w->arg);
		lock_take(&l->lock);
		w->done = true;
		pthread_cond_broadcast(&l->changed);
	}
}

static void loop_round(struct loop *l, int timeout_ms)
{
	uint64_t wait = loop_prepare(l, timeout_ms);
	int n = loop_wait_events(l, wait);

	loop_awake(l);
	loop_dispatch_fds(l, n);
	loop_dispatch_timers(l);
	lock_take(&l->lock);
	loop_dispatch_syncs_locked(l);
	lock_drop(&l->lock);
	loop_dispatch_calls(l);
}

void loop_run(struct loop *l)
{
	lock_take(&l->lock);
	loop_own_locked(l, true);
	l->inside = true;
	while (!l->stop) {
		lock_drop(&l->lock);
		loop_round(l, -1);
		lock_take(&l->lock);
	}
	/* who waits in loop_sync() must not wait for the next run */
	loop_dispatch_syncs_locked(l);
	l->stop = false;
	l->inside = false;
	loop_disown_locked(l);
	lock_drop(&l->lock);
}

void loop_run_once(struct loop *l, int timeout_ms)
{
	lock_take(&l->lock);
	loop_own_locked(l, true);
	l->inside = true;
	lock_drop(&l->lock);
	loop_round(l, timeout_ms);
	lock_take(&l->lock);
	/* stays the owner: a sync of another thread waits for its next round */
	l->inside = false;
	pthread_cond_broadcast(&l->changed);
	lock_drop(&l->lock);
}

void loop_stop(struct loop *l)
{
	LOCK_GUARD(&l->lock);
	l->stop = true;
	loop_wake_locked(l);
}
