/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The throttle's filter, over a child that notes what reaches it. Nothing
 * here looks at how long anything takes: where the filter must hold a
 * request, the limit is one an hour. The arithmetic is
 * test_throttle_bucket.c, groups test_throttle_group.c.
 */
#include <errno.h>
#include <pthread.h>

#include "storage/blk/filter.h"
#include "storage/core/ctx.h"
#include "storage/core/sync.h"

#include "tests/unit/storage/blk/throttlerig.h"

/* A child that notes what comes and completes it at once. */

struct child {
	struct node node;
	struct blk_req *kept[64];
	unsigned n, closed;
};

static void child_submit(struct node *n, struct blk_req *r)
{
	struct child *c = container_of(n, struct child, node);

	ck_assert_uint_lt(c->n, ARRAY_LEN(c->kept));
	c->kept[c->n++] = r;
	node_done(r, 0);
}

static int child_close(struct node *n)
{
	container_of(n, struct child, node)->closed++;
	return -ENOSPC;
}

static void child_info(const struct node *n, struct blk_info *out)
{
	(void)n;
	*out = (struct blk_info){ .size = 1 * GiB, .format = "child" };
}

static int child_resize(struct node *n, uint64_t size, enum node_prealloc how,
	struct err *e)
{
	(void)n;
	(void)how;
	return size == 4096 ? 0 : err_set(e, EFBIG, "no room");
}

static const struct node_ops child_ops = { .name = "child",
	.close = child_close,
	.submit = child_submit,
	.info = child_info,
	.resize = child_resize };

static struct ctx *ctx;

struct disk {
	struct child child;
	struct node *node;
	const char *group;
	const struct blk_throttle *limits;
	struct err e;
};

static int disk_open_fn(void *arg)
{
	struct disk *d = arg;

	return throttle_open(&d->child.node, d->group, d->limits, &d->node,
		&d->e);
}

static int disk_close_fn(void *arg)
{
	return node_close(((struct disk *)arg)->node);
}

static int disk_try(struct disk *d, const char *group,
	const struct blk_throttle *limits)
{
	struct err e = ERR_NONE;

	if (!ctx)
		ck_assert_int_eq(ctx_get(rig_loop, &ctx, &e), 0);
	memset(d, 0, sizeof(*d));
	d->child.node =
		(struct node){ .ops = &child_ops, .ctx = ctx, .path = "disk" };
	d->group = group;
	d->limits = limits;
	return ctx_run(ctx, disk_open_fn, d);
}

static void disk_open(struct disk *d, const char *group,
	const struct blk_throttle *limits)
{
	ck_assert_int_eq(disk_try(d, group, limits), 0);
}

static void disk_close(struct disk *d)
{
	/* the child's own error comes through */
	ck_assert_int_eq(ctx_run(ctx, disk_close_fn, d), -ENOSPC);
	ck_assert_uint_eq(d->child.closed, 1);
}

static void ctx_end(void)
{
	ctx_put(ctx);
	ctx = NULL;
}

static struct blk_throttle an_hour(void)
{
	struct blk_throttle t;

	memset(&t, 0, sizeof(t));
	/* 4096 bytes take more than an hour */
	t.bytes[BLK_LIMIT_TOTAL].rate = 1;
	return t;
}

static char page[4096];

static void send(struct disk *d, struct rig_req *q, enum blk_op op,
	uint64_t off)
{
	rig_init_req(q, op, off, page, sizeof(page));
	node_submit(d->node, &q->r);
}

START_TEST (without_limits_all_passes_at_once) {
	struct disk d;
	struct rig_req q[8];

	disk_open(&d, NULL, NULL);
	for (int i = 0; i < 8; i++) {
		send(&d, &q[i], i % 2 ? BLK_READ : BLK_WRITE, 0);
		ck_assert_int_eq(q[i].calls, 1);
	}
	disk_close(&d);
	ctx_end();
}
END_TEST

START_TEST (over_the_limit_waits_in_order_and_flush_passes) {
	struct blk_throttle t = an_hour();
	struct err e = ERR_NONE;
	struct rig_req q[6];
	struct disk d;

	disk_open(&d, NULL, &t);
	for (int i = 0; i < 4; i++)
		send(&d, &q[i], BLK_WRITE, (uint64_t)i * 4096);
	ck_assert_int_eq(q[0].calls, 1);
	send(&d, &q[4], BLK_FLUSH, 0);
	ck_assert_int_eq(q[4].calls, 1);
	send(&d, &q[5], BLK_STATUS, 0);
	ck_assert_int_eq(q[5].calls, 1);
	ck_assert_uint_eq(d.child.n, 3);
	ck_assert_int_eq(throttle_set(d.node, NULL, &e), 0);
	rig_wait(&q[3]);
	for (int i = 1; i < 4; i++) {
		ck_assert_int_eq(q[i].calls, 1);
		ck_assert_ptr_eq(d.child.kept[2 + i], &q[i].r);
	}
	disk_close(&d);
	ctx_end();
}
END_TEST

START_TEST (writes_that_wait_do_not_hold_reads) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_WRITE, 1);
	struct err e = ERR_NONE;
	struct rig_req q[4];
	struct disk d;

	t.bytes[BLK_LIMIT_WRITE].rate = 1;
	disk_open(&d, NULL, &t);
	send(&d, &q[0], BLK_WRITE, 0);
	send(&d, &q[1], BLK_WRITE, 0);
	ck_assert_int_eq(q[1].calls, 0);
	send(&d, &q[2], BLK_READ, 0);
	ck_assert_int_eq(q[2].calls, 1);
	send(&d, &q[3], BLK_DISCARD, 0);
	ck_assert_int_eq(q[3].calls, 0); /* a write, too */
	ck_assert_int_eq(throttle_set(d.node, NULL, &e), 0);
	rig_wait(&q[3]);
	disk_close(&d);
	ctx_end();
}
END_TEST

START_TEST (discard_counts_with_a_mebibyte_at_most) {
	struct blk_throttle t = an_hour();
	struct rig_req q;
	struct err e = ERR_NONE;
	struct throttle_member peek;
	struct disk d;
	uint64_t ns;

	t.bytes[BLK_LIMIT_TOTAL].rate = 1 * MiB;
	disk_open(&d, "lab", &t);
	join(&peek, "lab");
	rig_init_req(&q, BLK_DISCARD, 0, NULL, 1 * GiB);
	node_submit(d.node, &q.r);
	ck_assert_int_eq(q.calls, 1);
	ns = throttle_bucket_wait_ns(&peek.group->bytes[BLK_LIMIT_TOTAL]);
	ck_assert_uint_eq(ns, NS_PER_S - SLACK_NS);
	ck_assert_int_eq(throttle_set(d.node, NULL, &e), 0);
	throttle_group_leave(&peek);
	disk_close(&d);
	ctx_end();
}
END_TEST

START_TEST (held_request_passes_by_itself_when_its_time_has_come) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_TOTAL, 1000);
	struct rig_req q[120];
	struct disk d;

	disk_open(&d, NULL, &t);
	for (int i = 0; i < 60; i++)
		send(&d, &q[i], BLK_READ, 0);
	d.child.n = 0;
	for (int i = 60; i < 120; i++)
		send(&d, &q[i], BLK_READ, 0);
	rig_wait(&q[119]);
	for (int i = 0; i < 120; i++)
		ck_assert_int_eq(q[i].calls, 1);
	disk_close(&d);
	ctx_end();
}
END_TEST

/* done() that submits the next from inside, until n are done. */
struct chain {
	struct blk_req r;
	struct node *node;
	unsigned n;
	char *low;
};

static void chain_done(struct blk_req *r, int err)
{
	struct chain *c = r->arg;
	char here;

	ck_assert_int_eq(err, 0);
	if (!c->low)
		c->low = &here;
	ck_assert(c->low - &here < 65536); /* the stack does not grow */
	if (--c->n)
		node_submit(c->node, r);
}

static void sink_submit(struct node *n, struct blk_req *r)
{
	(void)n;
	node_done(r, 0);
}

START_TEST (request_made_in_done_does_not_recur) {
	static const struct node_ops sink_ops = { .name = "sink",
		.close = child_close,
		.submit = sink_submit,
		.info = child_info };
	struct blk_throttle t = iops_limit(BLK_LIMIT_TOTAL, UINT64_C(1) << 40);
	struct chain c = { .n = 10000 };
	struct disk d;

	disk_open(&d, NULL, &t);
	d.child.node.ops = &sink_ops;
	c.node = d.node;
	c.r = (struct blk_req){ .op = BLK_WRITE,
		.len = 512,
		.done = chain_done,
		.arg = &c };
	node_submit(d.node, &c.r);
	ck_assert_uint_eq(c.n, 0);
	d.child.node.ops = &child_ops;
	disk_close(&d);
	ctx_end();
}
END_TEST

START_TEST (drain_lets_all_pass_and_counts_on_after) {
	struct blk_throttle t = an_hour();
	struct err e = ERR_NONE;
	struct rig_req q[4];
	struct disk d;

	disk_open(&d, NULL, &t);
	send(&d, &q[0], BLK_READ, 0);
	send(&d, &q[1], BLK_READ, 0);
	ck_assert_int_eq(q[1].calls, 0);
	throttle_drain(d.node, true);
	rig_wait(&q[1]);
	send(&d, &q[2], BLK_READ, 0);
	ck_assert_int_eq(q[2].calls, 1);
	throttle_drain(d.node, false);
	send(&d, &q[3], BLK_READ, 0);
	ck_assert_int_eq(q[3].calls, 0);
	ck_assert_int_eq(throttle_set(d.node, NULL, &e), 0);
	rig_wait(&q[3]);
	disk_close(&d);
	ctx_end();
}
END_TEST

START_TEST (group_limits_each_of_its_disks_and_is_set_by_any) {
	struct blk_throttle t = an_hour();
	struct err e = ERR_NONE;
	struct rig_req q[3];
	struct disk a, b;

	disk_open(&a, "lab", &t);
	disk_open(&b, "lab", NULL); /* takes what is there */
	send(&a, &q[0], BLK_READ, 0);
	ck_assert_int_eq(q[0].calls, 1);
	send(&b, &q[1], BLK_READ, 0);
	ck_assert_int_eq(q[1].calls, 0);
	ck_assert_int_eq(throttle_set(a.node, NULL, &e), 0);
	rig_wait(&q[1]);
	disk_close(&a);
	send(&b, &q[2], BLK_READ, 0);
	ck_assert_int_eq(q[2].calls, 1);
	disk_close(&b);
	ctx_end();
}
END_TEST

START_TEST (open_refuses_bad_limits_and_leaves_the_child) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 10);
	struct disk d;

	t.iops[BLK_LIMIT_READ].burst_rate = 5;
	ck_assert_int_eq(disk_try(&d, "lab", &t), -EINVAL);
	ck_assert_err(d.e, EINVAL, "burst rate 5");
	ck_assert_uint_eq(d.child.closed, 0);
	ctx_end();
}
END_TEST

static int resize_fn(void *arg)
{
	struct disk *d = arg;
	int r = node_resize(d->node, 8192, NODE_PREALLOC_OFF, &d->e);

	return r ? r : node_resize(d->node, 4096, NODE_PREALLOC_OFF, &d->e);
}

START_TEST (size_and_resize_are_the_childs) {
	struct blk_info info;
	struct disk d;

	disk_open(&d, NULL, NULL);
	d.node->ops->info(d.node, &info);
	ck_assert_uint_eq(info.size, 1 * GiB);
	ck_assert_str_eq(info.format, "child");
	ck_assert_int_eq(ctx_run(ctx, resize_fn, &d), -EFBIG);
	ck_assert_err(d.e, EFBIG, "no room");
	disk_close(&d);
	ctx_end();
}
END_TEST

/* A fiber that closes the disk as soon as its read is done. */
static int read_and_close(void *arg)
{
	struct disk *d = arg;
	int r = node_read(d->node, 0, page, sizeof(page));

	if (!r)
		r = node_read(d->node, 0, page, sizeof(page));
	ck_assert_int_eq(r, 0);
	return node_close(d->node);
}

START_TEST (close_from_inside_the_last_completion_is_fine) {
	/* the second one waits */
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 9);
	struct disk d;

	disk_open(&d, NULL, &t);
	ck_assert_int_eq(ctx_run(ctx, read_and_close, &d), -ENOSPC);
	ctx_end();
}
END_TEST

/* Disks of one group on loops of their own. */

struct side {
	pthread_t thread;
	unsigned done;
};

static void *side_run(void *arg)
{
	struct side *s = arg;
	struct blk_throttle t = iops_limit(BLK_LIMIT_TOTAL, 2000);
	struct err e = ERR_NONE;
	struct loop *l;
	struct ctx *c;
	struct disk d;

	memset(&d, 0, sizeof(d));
	ck_assert_int_eq(loop_new(&l, &e), 0);
	ck_assert_int_eq(ctx_get(l, &c, &e), 0);
	d.child.node =
		(struct node){ .ops = &child_ops, .ctx = c, .path = "disk" };
	d.group = "threads";
	d.limits = &t;
	ck_assert_int_eq(ctx_run(c, disk_open_fn, &d), 0);
	for (int i = 0; i < 100; i++) {
		struct rig_req q;

		d.child.n = 0;
		rig_init_req(&q, BLK_READ, 0, page, sizeof(page));
		node_submit(d.node, &q.r);
		if (i % 10 == 5)
			ck_assert_int_eq(throttle_set(d.node, &t, &e), 0);
		while (!q.calls)
			ctx_wait(c);
		s->done++;
	}
	ck_assert_int_eq(ctx_run(c, disk_close_fn, &d), -ENOSPC);
	ctx_put(c);
	loop_free(l);
	return NULL;
}

START_TEST (disks_of_several_threads_share_a_group) {
	struct side s[4];

	memset(s, 0, sizeof(s));
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&s[i].thread, NULL, side_run,
					 &s[i]),
			0);
	for (int i = 0; i < 4; i++) {
		pthread_join(s[i].thread, NULL);
		ck_assert_uint_eq(s[i].done, 100);
	}
}
END_TEST

RIG_SUITE("throttle", without_limits_all_passes_at_once,
	over_the_limit_waits_in_order_and_flush_passes,
	writes_that_wait_do_not_hold_reads,
	discard_counts_with_a_mebibyte_at_most,
	held_request_passes_by_itself_when_its_time_has_come,
	request_made_in_done_does_not_recur,
	drain_lets_all_pass_and_counts_on_after,
	group_limits_each_of_its_disks_and_is_set_by_any,
	open_refuses_bad_limits_and_leaves_the_child,
	size_and_resize_are_the_childs,
	close_from_inside_the_last_completion_is_fine,
	disks_of_several_threads_share_a_group)
