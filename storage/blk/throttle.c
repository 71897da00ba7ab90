/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The throttle filter: requests wait in the order they came, reads and
 * writes apart, and go on to the child as the limits of the group allow.
 *
 * A write counts with its bytes; discards and write-zeroes are writes too,
 * of at most THROTTLE_RANGE_BYTES, for they move no data. Flush and status
 * never wait: a flush is what a guest's safety hangs on, and it covers only
 * writes that were answered, hence passed.
 *
 * Thread: the loop's; only `wake` is written from others, when the group's
 * limits change.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vm/base/clock.h"

#include "storage/blk/filter.h"
#include "storage/blk/throttle_group.h"
#include "storage/core/ctx.h"
#include "storage/core/fiber.h"
#include "storage/core/sync.h"

#define THROTTLE_RANGE_BYTES (UINT64_C(1) << 20)

struct throttle_queue {
	struct throttle *t;
	enum throttle_dir dir;
	struct list waiting; /* struct blk_req */
	struct ctx_timer timer;
	bool running; /* throttle_run() is on the stack */
};

struct throttle {
	struct node node;
	struct node *child;
	struct throttle_member member;
	struct throttle_queue queue[THROTTLE_DIRS];
	int wake; /* eventfd */
	struct ctx_fd watch;
	bool pass_all; /* to drain */
	unsigned busy; /* callbacks on the stack that may end in a close */
	struct fiber *closer;
};

static struct throttle *throttle_of(const struct node *n)
{
	return container_of(n, struct throttle, node);
}

/* Queues. */

static bool throttle_is_free(enum blk_op op)
{
	return op == BLK_FLUSH || op == BLK_STATUS;
}

static enum throttle_dir throttle_dir(enum blk_op op)
{
	return op == BLK_READ ? THROTTLE_READ : THROTTLE_WRITE;
}

static uint64_t throttle_bytes(const struct blk_req *r)
{
	if (r->op == BLK_READ || r->op == BLK_WRITE ||
		r->len < THROTTLE_RANGE_BYTES)
		return r->len;
	return THROTTLE_RANGE_BYTES;
}

static void throttle_leave_call(struct throttle *t)
{
	struct fiber *closer = t->closer;

	if (--t->busy || !closer)
		return;
	t->closer = NULL;
	fiber_wake(closer); /* frees t */
}

/* May the first one pass? Else the timer is set for it. */
static bool queue_may_pass(struct throttle_queue *q, const struct blk_req *r)
{
	struct throttle_member *m = &q->t->member;
	uint64_t now, pass;

	if (q->t->pass_all) {
		(void)throttle_group_passed(m, q->dir);
		return true;
	}
	do {
		now = clock_now_ns();
		pass = throttle_group_place(m, q->dir, throttle_bytes(r), now);
		if (pass > now) {
			ctx_timer_arm(&q->timer, pass);
			return false;
		}
	} while (!throttle_group_passed(m, q->dir));
	return true;
}

static void queue_run(struct throttle_queue *q)
{
	struct throttle *t = q->t;

	if (q->running)
		return;
	q->running = true;
	t->busy++;
	ctx_timer_disarm(&q->timer);
	while (!list_empty(&q->waiting)) {
		struct blk_req *r =
			list_entry(q->waiting.next, struct blk_req, node);

		if (!queue_may_pass(q, r))
			break;
		list_del(&r->node);
		node_submit(t->child, r); /* may complete, and bring more */
	}
	q->running = false;
	throttle_leave_call(t);
}

static void queue_due(void *arg)
{
	queue_run(arg);
}

static void throttle_submit(struct node *n, struct blk_req *r)
{
	struct throttle *t = throttle_of(n);
	struct throttle_queue *q;

	if (throttle_is_free(r->op)) {
		node_submit(t->child, r);
		return;
	}
	q = &t->queue[throttle_dir(r->op)];
	if (list_empty(&q->waiting) && !q->running &&
		!atomic_load_explicit(&t->member.group->active,
			memory_order_relaxed)) {
		node_submit(t->child, r);
		return;
	}
	list_add_tail(&q->waiting, &r->node);
	if (q->waiting.next == &r->node)
		queue_run(q);
}

/* Limits that change. */

/* Another's thread, maybe; the group's lock is held. */
static void throttle_changed(struct throttle_member *m)
{
	struct throttle *t = container_of(m, struct throttle, member);

	(void)eventfd_write(t->wake, 1);
}

static void throttle_woken(void *arg, uint32_t events)
{
	struct throttle *t = arg;
	eventfd_t n;

	(void)events;
	(void)eventfd_read(t->wake, &n);
	t->busy++;
	for (unsigned i = 0; i < THROTTLE_DIRS; i++)
		queue_run(&t->queue[i]);
	throttle_leave_call(t);
}

int throttle_set(struct node *n, const struct blk_throttle *t, struct err *e)
{
	struct throttle_group *g = throttle_of(n)->member.group;

	return throttle_group_set(g, t, clock_now_ns(), e);
}

void throttle_drain(struct node *n, bool on)
{
	struct throttle *t = throttle_of(n);

	t->pass_all = on;
	if (!on)
		return;
	/* from the loop: who drains may stand in a request's done() */
	(void)eventfd_write(t->wake, 1);
}

/* Life. */

static void throttle_unwatch(struct throttle *t)
{
	ctx_fd_del(&t->watch);
	close(t->wake);
}

static int throttle_close(struct node *n)
{
	struct throttle *t = throttle_of(n);
	struct node *child = t->child;

	while (t->busy) {
		t->closer = fiber_self();
		fiber_wait();
	}
	t->closer = NULL;
	throttle_group_leave(&t->member);
	for (unsigned i = 0; i < THROTTLE_DIRS; i++)
		ctx_timer_disarm(&t->queue[i].timer);
	throttle_unwatch(t);
	free(t);
	return node_close(child);
}

static void throttle_info(const struct node *n, struct blk_info *out)
{
	const struct node *child = throttle_of(n)->child;

	child->ops->info(child, out);
}

static int throttle_resize(struct node *n, uint64_t size,
	enum node_prealloc how, struct err *e)
{
	return node_resize(throttle_of(n)->child, size, how, e);
}

static const struct node_ops throttle_ops = {
	.name = "throttle",
	.close = throttle_close,
	.submit = throttle_submit,
	.info = throttle_info,
	.resize = throttle_resize,
};

static int throttle_watch(struct throttle *t, struct err *e)
{
	int r = 0;

	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->wake < 0)
		return err_sys(e, errno, "%s: cannot throttle it",
			t->node.path);
	r = ctx_fd_add(t->node.ctx, &t->watch, t->wake, EPOLLIN, throttle_woken,
		t);
	if (!r)
		return 0;
	close(t->wake);
	return err_sys(e, -r, "%s: cannot throttle it", t->node.path);
}

static void throttle_init(struct throttle *t, struct node *child)
{
	t->node = *child;
	t->node.ops = &throttle_ops;
	t->child = child;
	t->member.changed = throttle_changed;
	for (unsigned i = 0; i < THROTTLE_DIRS; i++) {
		struct throttle_queue *q = &t->queue[i];

		q->t = t;
		q->dir = (enum throttle_dir)i;
		list_init(&q->waiting);
		ctx_timer_init(&q->timer, child->ctx, queue_due, q);
	}
}

/* Join the group and give it the limits. */
static int throttle_join(struct throttle *t, const char *group,
	const struct blk_throttle *limits, struct err *e)
{
	int r = throttle_group_join(group, &t->member);

	if (r)
		return err_sys(e, -r, "%s: cannot throttle it", t->node.path);
	if (!limits)
		return 0;
	r = throttle_set(&t->node, limits, e);
	if (r)
		throttle_group_leave(&t->member);
	return r;
}

int throttle_open(struct node *child, const char *group,
	const struct blk_throttle *limits, struct node **out, struct err *e)
{
	struct throttle *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_sys(e, ENOMEM, "%s: cannot throttle it",
			child->path);
	throttle_init(t, child);
	r = throttle_watch(t, e);
	if (r)
		goto fail;
	r = throttle_join(t, group, limits, e);
	if (r)
		goto fail_watch;
	*out = &t->node;
	return 0;
fail_watch:
	throttle_unwatch(t);
fail:
	free(t);
	return r;
}
