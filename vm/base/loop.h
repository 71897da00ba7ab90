/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An epoll loop: descriptors, timers and calls from other threads. One
 * thread runs it. Callbacks run on that thread with no lock of the loop
 * held. A callback may add or delete anything, itself included; a watch that
 * was deleted is not called again, even when its event was already fetched.
 */
#ifndef VM_BASE_LOOP_H
#define VM_BASE_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "vm/base/err.h"
#include "vm/base/list.h"

struct loop;
typedef void (*loop_fn)(void *arg);
typedef void (*loop_fd_fn)(void *arg, uint32_t events); /* EPOLLIN ... */

struct loop_fd {
	struct loop *loop; /* NULL when not added */
	int fd;
	loop_fd_fn fn;
	void *arg;
};

struct loop_timer {
	struct loop *loop;
	loop_fn fn;
	void *arg;
	uint64_t deadline_ns; /* guarded by the loop's lock; 0 = not armed */
	struct list node;     /* likewise */
};

struct loop_call {
	struct loop *loop;
	loop_fn fn;
	void *arg;
	bool pending;     /* guarded by the loop's lock */
	struct list node; /* likewise */
};

int loop_new(struct loop **out, struct err *e);
/* Free a loop that does not run. Its watches must be gone. */
void loop_free(struct loop *l);

/* Run until loop_stop(). Thread: becomes the loop's thread. */
void loop_run(struct loop *l);
/*
 * Run one round: wait at most timeout_ms (-1 = for ever) and call what is
 * due. Thread: as loop_run().
 */
void loop_run_once(struct loop *l, int timeout_ms);
/* Make loop_run() return after the present round. Thread: any. */
void loop_stop(struct loop *l);
/* Is the caller the thread that runs l? */
bool loop_is_mine(const struct loop *l);

/*
 * Watch fd for events (level-triggered). w is the caller's and must stay
 * until loop_fd_del(). Thread: the loop's, or any before it runs.
 * 0 or -errno.
 */
int loop_fd_add(struct loop *l, struct loop_fd *w, int fd, uint32_t events,
	loop_fd_fn fn, void *arg);
int loop_fd_mod(struct loop_fd *w, uint32_t events);
void loop_fd_del(struct loop_fd *w); /* harmless when not added */

/*
 * One-shot timers. arm and disarm: any thread; arm replaces an earlier
 * deadline (CLOCK_MONOTONIC ns). fn may still be on its way to run when
 * disarm returns on another thread: fn checks its own state under its own
 * lock. Before freeing t: disarm on the loop's thread or when the loop has
 * stopped.
 */
void loop_timer_init(struct loop_timer *t, struct loop *l, loop_fn fn,
	void *arg);
void loop_timer_arm(struct loop_timer *t, uint64_t deadline_ns);
void loop_timer_disarm(struct loop_timer *t);

/*
 * A call that any thread can schedule and the loop's thread runs; scheduling
 * it again before it ran is one call. Same rule as timers for freeing.
 */
void loop_call_init(struct loop_call *c, struct loop *l, loop_fn fn, void *arg);
void loop_call_schedule(struct loop_call *c);
void loop_call_cancel(struct loop_call *c);

/*
 * Run fn(arg) on the loop's thread and wait for it. On the loop's own
 * thread, or when the loop does not run, it is called directly. Never call it
 * with a lock held that the loop's thread may want.
 */
void loop_sync(struct loop *l, loop_fn fn, void *arg);

#endif
