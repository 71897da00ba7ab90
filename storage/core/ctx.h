/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the images of one loop share: the io_uring, a pool of worker threads,
 * fibers, and a list of all that storage waits for on that loop, so that it
 * can also be waited for alone, without running anybody else's callbacks
 * (ctx_wait()).
 *
 * One a loop, made with the first image and freed with the last. Thread: the
 * loop's for all but ctx_get(), ctx_put() and ctx_run(). "The loop's thread"
 * is also any thread that uses a loop that does not run, one at a time.
 */
#ifndef STORAGE_CORE_CTX_H
#define STORAGE_CORE_CTX_H

#include "vm/base/err.h"
#include "vm/base/list.h"
#include "vm/base/log.h"
#include "vm/base/loop.h"

struct ctx;

/* The one of loop l, with one more user. 0 or -errno with e filled. Any. */
int ctx_get(struct loop *l, struct ctx **out, struct err *e);
void ctx_put(struct ctx *c); /* NULL is fine */
struct loop *ctx_loop(const struct ctx *c);

/*
 * Run fn(arg) in a fiber on the loop's thread and wait until it returns:
 * by ctx_wait() on that thread or when the loop does not run, else as
 * loop_sync() does while the loop goes on. Not from inside a fiber or a
 * completion. Returns what fn returned, or -ENOMEM when there is no stack.
 */
int ctx_run(struct ctx *c, int (*fn)(void *arg), void *arg);

/*
 * Block until something storage waits for on this loop happened, and handle
 * all that did. Kicks first, plugged or not. A signal ends it too, and so
 * does having nothing to wait for. Not from inside a fiber or a completion.
 */
void ctx_wait(struct ctx *c);

/* Plugged, requests are kept for one system call at the unplug; else for the
 * end of the loop's round or the next ctx_kick(). Nests. */
void ctx_plug(struct ctx *c);
void ctx_unplug(struct ctx *c);
void ctx_kick(struct ctx *c); /* hand it to the kernel now, unless plugged */

/*
 * Tell the kernel of memory that many requests go to or from, as a copying
 * tool's buffers: reads and writes of one piece inside [base, base + len)
 * cost a sixth less of CPU time through the page cache (uring_buffer.c has the
 * figures). The memory is pinned, so it is not for a guest's RAM. It must be
 * taken back before it is unmapped or given to free(); requests of it that
 * are in flight end well. Where the kernel has no room for it nothing changes.
 */
void ctx_buffer_add(struct ctx *c, void *base, size_t len);
void ctx_buffer_del(struct ctx *c, void *base);

/* As loop_fd, loop_timer and loop_call, but seen by ctx_wait() too. */
struct ctx_fd {
	struct ctx *ctx; /* NULL when not added */
	struct loop_fd watch;
	uint32_t events;
	loop_fd_fn fn;
	void *arg;
	struct list node;
};

int ctx_fd_add(struct ctx *c, struct ctx_fd *w, int fd, uint32_t events,
	loop_fd_fn fn, void *arg);
int ctx_fd_mod(struct ctx_fd *w, uint32_t events);
void ctx_fd_del(struct ctx_fd *w);

struct ctx_timer {
	struct ctx *ctx;
	struct loop_timer timer;
	uint64_t deadline_ns; /* 0 = not armed */
	loop_fn fn;
	void *arg;
	struct list node;
};

void ctx_timer_init(struct ctx_timer *t, struct ctx *c, loop_fn fn, void *arg);
void ctx_timer_arm(struct ctx_timer *t, uint64_t deadline_ns);
void ctx_timer_disarm(struct ctx_timer *t);

/* Runs at the end of the loop's round, or in ctx_wait(). */
struct ctx_call {
	struct ctx *ctx;
	bool pending;
	loop_fn fn;
	void *arg;
	struct list node;
};

void ctx_call_init(struct ctx_call *k, struct ctx *c, loop_fn fn, void *arg);
void ctx_call_schedule(struct ctx_call *k);
void ctx_call_cancel(struct ctx_call *k);

/*
 * Work for another core: run() on a thread of the pool (as many as there are
 * cores, at most 16, started when needed), then done() on the loop's thread.
 * w is the caller's until done().
 */
struct ctx_work {
	void (*run)(struct ctx_work *w);
	void (*done)(struct ctx_work *w);
	struct list node;
};

void ctx_work_submit(struct ctx *c, struct ctx_work *w);

/* The same from a fiber, which waits: returns what fn returned. */
int ctx_work(struct ctx *c, int (*fn)(void *arg), void *arg);

#endif
