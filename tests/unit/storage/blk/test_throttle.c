/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The throttle: its arithmetic and groups under a clock of the test's, and
 * the filter over a child that notes what reaches it. Nothing here looks at
 * how long anything takes: where the filter must hold a request, the limit is
 * one an hour.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "storage/blk/filter.h"
#include "storage/blk/throttle_group.h"
#include "storage/core/ctx.h"
#include "storage/core/sync.h"

#include "tests/unit/storage/rig.h"
#include "tests/unit/suite.h"

#define SLACK_NS (NS_PER_S / 10) /* work that may come early */

/* The bucket. */

static struct throttle_bucket bucket(uint64_t rate, uint64_t burst_rate,
	unsigned burst_s)
{
	struct blk_limit l = { rate, burst_rate, burst_s };
	struct throttle_bucket b;

	memset(&b, 0, sizeof(b));
	throttle_bucket_set(&b, &l);
	return b;
}

/* ns that n requests of units each take, one after the other, at the most
 * speed that b allows; the first passes at 0. */
static uint64_t bucket_run_ns(struct throttle_bucket *b, unsigned n,
	uint64_t units)
{
	uint64_t at = 0;

	while (n--) {
		uint64_t wait = throttle_bucket_wait_ns(b);

		at += wait;
		throttle_bucket_drain(b, wait);
		ck_assert_uint_eq(throttle_bucket_wait_ns(b), 0);
		throttle_bucket_add(b, units);
	}
	return at;
}

START_TEST (no_limit_never_waits) {
	struct throttle_bucket b = bucket(0, 0, 0);

	ck_assert_uint_eq(bucket_run_ns(&b, 1000, UINT64_C(1) << 40), 0);
}
END_TEST

START_TEST (rate_is_kept) {
	struct throttle_bucket b = bucket(1000, 0, 0);

	/* 5101 came before the last; all of them but the slack have drained */
	ck_assert_uint_eq(bucket_run_ns(&b, 5102, 1), 5 * NS_PER_S + NS_PER_MS);
}
END_TEST

START_TEST (rate_is_kept_to_the_nanosecond_where_it_does_not_divide) {
	struct throttle_bucket b = bucket(3, 0, 0);
	uint64_t at = bucket_run_ns(&b, 3001, 1);

	/* 3000 requests at 3 a second, less the slack of 0.3 requests */
	ck_assert_uint_ge(at, 1000 * NS_PER_S - SLACK_NS);
	ck_assert_uint_le(at, 1000 * NS_PER_S - SLACK_NS + 3001);
}
END_TEST

START_TEST (request_larger_than_the_bucket_passes_and_the_next_waits) {
	struct throttle_bucket b = bucket(1 * MiB, 0, 0);

	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 0);
	throttle_bucket_add(&b, 10 * MiB);
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b),
		10 * NS_PER_S - SLACK_NS);
}
END_TEST

START_TEST (idle_time_is_not_saved_up) {
	struct throttle_bucket b = bucket(100, 0, 0);

	throttle_bucket_drain(&b, 3600 * NS_PER_S);
	ck_assert_uint_eq(bucket_run_ns(&b, 12, 1), 10 * NS_PER_MS);
}
END_TEST

START_TEST (burst_lasts_as_long_as_it_says_and_then_comes_the_rate) {
	struct throttle_bucket b = bucket(100, 1000, 5);
	uint64_t at;

	/* 5 s at 1000 a second; some of the slack is used up by it */
	at = bucket_run_ns(&b, 5000, 1);
	ck_assert_uint_ge(at, 5 * NS_PER_S - 2 * SLACK_NS);
	ck_assert_uint_le(at, 5 * NS_PER_S);
	/* and 100 a second from there */
	(void)bucket_run_ns(&b, 200, 1);
	at = bucket_run_ns(&b, 1000, 1);
	ck_assert_uint_eq(at, 10 * NS_PER_S);
}
END_TEST

START_TEST (burst_rate_is_a_limit_too) {
	struct throttle_bucket b = bucket(100, 1000, 60);

	(void)bucket_run_ns(&b, 101, 1); /* slack of the burst */
	ck_assert_uint_eq(bucket_run_ns(&b, 1000, 1), NS_PER_S);
}
END_TEST

START_TEST (burst_comes_back_while_idle) {
	struct throttle_bucket b = bucket(100, 1000, 5);
	uint64_t first = bucket_run_ns(&b, 5000, 1);

	throttle_bucket_drain(&b, 45 * NS_PER_S + SLACK_NS + NS_PER_S);
	ck_assert_uint_eq(bucket_run_ns(&b, 5000, 1), first);
}
END_TEST

START_TEST (huge_figures_do_not_overflow) {
	struct throttle_bucket b =
		bucket(UINT64_MAX - 1, UINT64_MAX, UINT32_MAX);

	throttle_bucket_add(&b, UINT64_C(1) << 40);
	throttle_bucket_drain(&b, UINT64_C(1) << 62);
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 0);
	b = bucket(1, 0, 0);
	for (int i = 0; i < 1000; i++)
		throttle_bucket_add(&b, UINT64_C(1) << 60);
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 30 * 86400 * NS_PER_S);
}
END_TEST

START_TEST (taken_back_is_as_if_never_added) {
	struct throttle_bucket b = bucket(10, 100, 1);

	throttle_bucket_add(&b, 500);
	throttle_bucket_take_back(&b, 500);
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 0);
	throttle_bucket_take_back(&b, 500); /* never below empty */
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 0);
}
END_TEST

static void check_limit(struct blk_limit l, const char *has)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(throttle_limit_check(&l, "iops, read", &e), -EINVAL);
	ck_assert_err(e, EINVAL, has);
	ck_assert_err(e, EINVAL, "iops, read");
}

START_TEST (limits_that_make_no_sense_are_refused) {
	struct blk_limit good = { 10, 20, 1 };

	check_limit((struct blk_limit){ 0, 10, 1 }, "needs a rate");
	check_limit((struct blk_limit){ 10, 10, 1 }, "not above the rate 10");
	check_limit((struct blk_limit){ 10, 20, 0 }, "0 seconds");
	ck_assert_int_eq(throttle_limit_check(&good, "x", NULL), 0);
}
END_TEST

/* Groups. */

static void no_change(struct throttle_member *m)
{
	(void)m;
}

static struct blk_throttle iops_limit(enum blk_limit_dir dir, uint64_t rate)
{
	struct blk_throttle t;

	memset(&t, 0, sizeof(t));
	t.iops[dir].rate = rate;
	return t;
}

static void join(struct throttle_member *m, const char *name)
{
	memset(m, 0, sizeof(*m));
	list_init(&m->node);
	m->changed = no_change;
	ck_assert_int_eq(throttle_group_join(name, m), 0);
}

static void set(struct throttle_member *m, const struct blk_throttle *t)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(throttle_group_set(m->group, t, 0, &e), 0);
}

START_TEST (groups_are_found_by_name) {
	struct throttle_member a, b, c, d;

	join(&a, "lab");
	join(&b, "lab");
	join(&c, "other");
	join(&d, NULL);
	ck_assert_ptr_eq(a.group, b.group);
	ck_assert_ptr_ne(a.group, c.group);
	ck_assert_ptr_ne(c.group, d.group);
	throttle_group_leave(&a);
	throttle_group_leave(&b);
	throttle_group_leave(&c);
	throttle_group_leave(&d);
}
END_TEST

START_TEST (limits_are_kept_while_somebody_is_in_the_group) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_TOTAL, 10);
	struct throttle_member a, b;

	join(&a, "lab");
	set(&a, &t);
	join(&b, "lab");
	throttle_group_leave(&a);
	ck_assert_uint_eq(b.group->iops[BLK_LIMIT_TOTAL].limit.rate, 10);
	throttle_group_leave(&b);
	join(&b, "lab");
	ck_assert_uint_eq(b.group->iops[BLK_LIMIT_TOTAL].limit.rate, 0);
	throttle_group_leave(&b);
}
END_TEST

START_TEST (members_take_turns) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_TOTAL, 10);
	struct throttle_member m[3];
	uint64_t now = 0;
	unsigned passed[3] = { 0, 0, 0 };

	for (int i = 0; i < 3; i++)
		join(&m[i], "lab");
	set(&m[0], &t);
	/* all of them always want more, and the first ones more often */
	for (; now < 30 * NS_PER_S; now += NS_PER_MS) {
		for (int i = 0; i < 3; i++) {
			while (throttle_group_place(&m[i], THROTTLE_READ, 512,
				       now) <= now) {
				ck_assert(throttle_group_passed(&m[i],
					THROTTLE_READ));
				passed[i]++;
			}
		}
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_ge(passed[i], 99);
		ck_assert_uint_le(passed[i], 102);
		throttle_group_leave(&m[i]);
	}
}
END_TEST

START_TEST (total_and_direction_limit_together) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_TOTAL, 1000);
	struct throttle_member m;

	t.iops[BLK_LIMIT_READ].rate = 10;
	t.bytes[BLK_LIMIT_WRITE].rate = 1 * MiB;
	join(&m, NULL);
	set(&m, &t);
	for (int i = 0; i < 2; i++)
		while (throttle_group_place(&m, THROTTLE_READ, 512, 0) == 0)
			throttle_group_passed(&m, THROTTLE_READ);
	/* reads wait for their own limit, a write does not */
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_READ, 512, 0),
		NS_PER_S / 10);
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_WRITE, 1 * MiB, 0),
		0);
	throttle_group_passed(&m, THROTTLE_WRITE);
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_WRITE, 1 * MiB, 0),
		NS_PER_S - SLACK_NS);
	throttle_group_leave(&m);
}
END_TEST

START_TEST (place_is_kept_until_it_is_used) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 1);
	struct throttle_member m;
	uint64_t at;

	join(&m, NULL);
	set(&m, &t);
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_READ, 512, 5), 5);
	throttle_group_passed(&m, THROTTLE_READ);
	at = throttle_group_place(&m, THROTTLE_READ, 512, 5);
	ck_assert_uint_eq(at, 5 + NS_PER_S - SLACK_NS);
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_READ, 512, at), at);
	ck_assert(throttle_group_passed(&m, THROTTLE_READ));
	throttle_group_leave(&m);
}
END_TEST

START_TEST (change_takes_places_away_and_keeps_what_has_passed) {
	struct blk_throttle slow = iops_limit(BLK_LIMIT_READ, 1);
	struct blk_throttle fast = iops_limit(BLK_LIMIT_READ, 10);
	struct throttle_member m;

	join(&m, NULL);
	set(&m, &slow);
	throttle_group_place(&m, THROTTLE_READ, 512, 0);
	throttle_group_passed(&m, THROTTLE_READ);
	throttle_group_place(&m, THROTTLE_READ, 512, 0);
	set(&m, &fast);
	ck_assert(!throttle_group_passed(&m, THROTTLE_READ));
	/* one request is in the bucket, which drains at 10 a second now and
	 * has room for one */
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_READ, 512, 0), 0);
	throttle_group_passed(&m, THROTTLE_READ);
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_READ, 512, 0),
		NS_PER_S / 10);
	set(&m, NULL);
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_READ, 512, 0), 0);
	throttle_group_leave(&m);
}
END_TEST

START_TEST (who_leaves_gives_its_place_back) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 1);
	struct throttle_member a, b;

	join(&a, "lab");
	join(&b, "lab");
	set(&a, &t);
	ck_assert_uint_eq(throttle_group_place(&a, THROTTLE_READ, 512, 0), 0);
	throttle_group_leave(&a);
	ck_assert_uint_eq(throttle_group_place(&b, THROTTLE_READ, 512, 0), 0);
	throttle_group_leave(&b);
}
END_TEST

START_TEST (clock_that_lags_behind_another_core_is_no_harm) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 10);
	struct throttle_member a, b;

	join(&a, "lab");
	join(&b, "lab");
	set(&a, &t);
	throttle_group_place(&a, THROTTLE_READ, 512, NS_PER_S);
	throttle_group_passed(&a, THROTTLE_READ);
	throttle_group_place(&a, THROTTLE_READ, 512, NS_PER_S);
	ck_assert_uint_eq(throttle_group_place(&b, THROTTLE_READ, 512,
				  NS_PER_S - 7),
		NS_PER_S - 7 + NS_PER_S / 10);
	throttle_group_leave(&a);
	throttle_group_leave(&b);
}
END_TEST

START_TEST (refused_limits_change_nothing) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 10), bad = t;
	struct throttle_member m;
	struct err e = ERR_NONE;

	join(&m, NULL);
	set(&m, &t);
	bad.bytes[BLK_LIMIT_WRITE] = (struct blk_limit){ 5, 4, 1 };
	ck_assert_int_eq(throttle_group_set(m.group, &bad, 0, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "bytes/s, write");
	ck_assert_uint_eq(m.group->iops[BLK_LIMIT_READ].limit.rate, 10);
	throttle_group_leave(&m);
}
END_TEST

/* The filter, over a child that completes at once or keeps what comes. */

struct child {
	struct node node;
	bool keep;
	struct blk_req *kept[64];
	unsigned n, closed;
};

static void child_submit(struct node *n, struct blk_req *r)
{
	struct child *c = container_of(n, struct child, node);

	ck_assert_uint_lt(c->n, ARRAY_LEN(c->kept));
	c->kept[c->n++] = r;
	if (!c->keep)
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
	d.child.keep = false;
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
	struct blk_throttle t;
	struct disk d;

	memset(&t, 0, sizeof(t));
	t.bytes[BLK_LIMIT_READ].rate = 1 * MiB; /* the second one waits */
	t.bytes[BLK_LIMIT_READ].burst_rate = 0;
	t.iops[BLK_LIMIT_READ].rate = 9;
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

RIG_SUITE("throttle", no_limit_never_waits, rate_is_kept,
	rate_is_kept_to_the_nanosecond_where_it_does_not_divide,
	request_larger_than_the_bucket_passes_and_the_next_waits,
	idle_time_is_not_saved_up,
	burst_lasts_as_long_as_it_says_and_then_comes_the_rate,
	burst_rate_is_a_limit_too, burst_comes_back_while_idle,
	huge_figures_do_not_overflow, taken_back_is_as_if_never_added,
	limits_that_make_no_sense_are_refused, groups_are_found_by_name,
	limits_are_kept_while_somebody_is_in_the_group, members_take_turns,
	total_and_direction_limit_together, place_is_kept_until_it_is_used,
	change_takes_places_away_and_keeps_what_has_passed,
	who_leaves_gives_its_place_back,
	clock_that_lags_behind_another_core_is_no_harm,
	refused_limits_change_nothing, without_limits_all_passes_at_once,
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
