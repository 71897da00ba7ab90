/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a node hears of a fiber's requests, and what the fiber hears back. */
#include <errno.h>
#include <string.h>

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"
#include "storage/core/sync.h"

#include "tests/unit/storage/rig.h"
#include "tests/unit/suite.h"

/* A node that keeps what it is asked, and answers at once or later. */
struct fake {
	struct node node;
	struct ctx_call later;
	bool at_once;
	int err;
	unsigned asked;
	struct blk_req last; /* of it: a copy */
	struct iovec iov;
	struct blk_req *pending;
	uint64_t sum; /* of lengths */
	uint64_t size;
};

static struct fake fake;
static struct ctx *ctx;
static char room[8192];

static void fake_answer(void *arg)
{
	struct fake *f = arg;
	struct blk_req *r = f->pending;

	f->pending = NULL;
	node_done(r, f->err);
}

static void fake_submit(struct node *n, struct blk_req *r)
{
	struct fake *f = container_of(n, struct fake, node);

	ck_assert_ptr_null(f->pending);
	f->asked++;
	f->last = *r;
	f->sum += r->len;
	if (r->niov)
		f->iov = r->iov[0];
	if (r->op == BLK_STATUS)
		r->extent->len = r->len / 2;
	f->pending = r;
	if (f->at_once)
		fake_answer(f);
	else
		ctx_call_schedule(&f->later);
}

static void fake_info(const struct node *n, struct blk_info *out)
{
	memset(out, 0, sizeof(*out));
	out->size = container_of(n, const struct fake, node)->size;
}

static int fake_resize(struct node *n, uint64_t size, enum node_prealloc how,
	struct err *e)
{
	if (how != NODE_PREALLOC_OFF)
		return err_set(e, ENOSPC, "no room");
	container_of(n, struct fake, node)->size = size;
	return 0;
}

static int fake_close(struct node *n)
{
	(void)n;
	return -EIO;
}

static const struct node_ops fake_ops = {
	.name = "fake",
	.close = fake_close,
	.submit = fake_submit,
	.info = fake_info,
	.resize = fake_resize,
};

static const struct node_ops fixed_ops = {
	.name = "fixed",
	.submit = fake_submit,
	.info = fake_info,
};

/* Run fn in a fiber, with a node that answers at once and one that waits. */
static void both_ways(int (*fn)(void *arg))
{
	for (int at_once = 0; at_once < 2; at_once++) {
		ck_assert_int_eq(ctx_get(rig_loop, &ctx, NULL), 0);
		memset(&fake, 0, sizeof(fake));
		fake.node.ops = &fake_ops;
		fake.node.ctx = ctx;
		fake.node.path = "fake.img";
		fake.at_once = at_once;
		ctx_call_init(&fake.later, ctx, fake_answer, &fake);
		ck_assert_int_eq(ctx_run(ctx, fn, &fake.node), 0);
		ctx_put(ctx);
	}
}

static void ck_last(enum blk_op op, uint64_t offset, uint64_t len,
	unsigned flags, const void *buf)
{
	ck_assert_int_eq(fake.last.op, op);
	ck_assert_uint_eq(fake.last.offset, offset);
	ck_assert_uint_eq(fake.last.len, len);
	ck_assert_uint_eq(fake.last.flags, flags);
	ck_assert_ptr_null(fake.last.blk);
	ck_assert_int_eq(fake.last.niov, buf ? 1 : 0);
	if (buf) {
		ck_assert_ptr_eq(fake.iov.iov_base, buf);
		ck_assert_uint_eq(fake.iov.iov_len, len);
	}
}

static int asks_all(void *arg)
{
	struct iovec iov[2] = { { room, 512 }, { room + 512, 512 } };
	struct blk_extent x;
	struct node *n = arg;

	ck_assert_int_eq(node_read(n, 512, room, 4096), 0);
	ck_last(BLK_READ, 512, 4096, 0, room);
	ck_assert_int_eq(node_write(n, 1024, room, 512, BLK_FUA), 0);
	ck_last(BLK_WRITE, 1024, 512, BLK_FUA, room);
	ck_assert_int_eq(node_readv(n, 0, iov, 2, 1024), 0);
	ck_assert_int_eq(fake.last.niov, 2);
	ck_assert_int_eq(node_writev(n, 0, iov, 2, 1024, BLK_COMPRESS), 0);
	ck_assert_int_eq(fake.last.op, BLK_WRITE);
	ck_assert_int_eq(fake.last.flags, BLK_COMPRESS);
	ck_assert_int_eq(node_flush(n), 0);
	ck_last(BLK_FLUSH, 0, 0, 0, NULL);
	ck_assert_int_eq(node_discard(n, 0, 65536), 0);
	ck_last(BLK_DISCARD, 0, 65536, 0, NULL);
	ck_assert_int_eq(node_zero(n, 7, 9, BLK_UNMAP), 0);
	ck_last(BLK_WRITE_ZEROES, 7, 9, BLK_UNMAP, NULL);
	memset(&x, 0xff, sizeof(x));
	ck_assert_int_eq(node_status(n, 0, 1024, BLK_TOP, &x), 0);
	ck_last(BLK_STATUS, 0, 1024, BLK_TOP, NULL);
	ck_assert_uint_eq(x.len, 512);
	ck_assert(!x.data && !x.zero && !x.has_host);
	ck_assert_uint_eq(fake.asked, 8);
	return 0;
}

START_TEST (each_call_is_its_request) {
	both_ways(asks_all);
}
END_TEST

static int fails_all(void *arg)
{
	struct iovec iov = { room, 512 };
	struct blk_extent x;
	struct node *n = arg;

	fake.err = -ENOSPC;
	ck_assert_int_eq(node_read(n, 0, room, 512), -ENOSPC);
	ck_assert_int_eq(node_write(n, 0, room, 512, 0), -ENOSPC);
	ck_assert_int_eq(node_readv(n, 0, &iov, 1, 512), -ENOSPC);
	ck_assert_int_eq(node_writev(n, 0, &iov, 1, 512, 0), -ENOSPC);
	ck_assert_int_eq(node_flush(n), -ENOSPC);
	ck_assert_int_eq(node_discard(n, 0, 512), -ENOSPC);
	ck_assert_int_eq(node_zero(n, 0, UINT64_C(1) << 40, 0), -ENOSPC);
	ck_assert_int_eq(node_status(n, 0, 512, 0, &x), -ENOSPC);
	ck_assert_uint_eq(fake.asked, 8); /* a failure ends a long one */
	return 0;
}

START_TEST (errors_come_back) {
	both_ways(fails_all);
}
END_TEST

static int asks_nothing(void *arg)
{
	struct blk_extent x;
	struct node *n = arg;

	ck_assert_int_eq(node_read(n, 0, room, 0), 0);
	ck_assert_int_eq(node_write(n, 0, room, 0, 0), 0);
	ck_assert_int_eq(node_readv(n, 0, NULL, 0, 0), 0);
	ck_assert_int_eq(node_writev(n, 0, NULL, 0, 0, 0), 0);
	ck_assert_int_eq(node_discard(n, 0, 0), 0);
	ck_assert_int_eq(node_zero(n, 0, 0, 0), 0);
	ck_assert_int_eq(node_status(n, 0, 0, 0, &x), 0);
	ck_assert_uint_eq(fake.asked, 0);
	return 0;
}

START_TEST (length_of_nothing_asks_nobody) {
	both_ways(asks_nothing);
}
END_TEST

static int zeroes_much(void *arg)
{
	const uint64_t len = 3 * BLK_MAX_BYTES + 4096;

	ck_assert_int_eq(node_zero(arg, 512, len, 0), 0);
	ck_assert_uint_eq(fake.asked, 4);
	ck_assert_uint_eq(fake.sum, len);
	ck_last(BLK_WRITE_ZEROES, 512 + 3 * BLK_MAX_BYTES, 4096, 0, NULL);
	return 0;
}

START_TEST (long_range_goes_in_pieces) {
	both_ways(zeroes_much);
}
END_TEST

static int sizes(void *arg)
{
	struct err e = ERR_NONE;
	struct node *n = arg;

	fake.size = 4096;
	ck_assert_uint_eq(node_size(n), 4096);
	ck_assert_int_eq(node_resize(n, 8192, NODE_PREALLOC_OFF, &e), 0);
	ck_assert_uint_eq(node_size(n), 8192);
	ck_assert_int_eq(node_resize(n, 9216, NODE_PREALLOC_FULL, &e), -ENOSPC);
	ck_assert_err(e, ENOSPC, "no room");
	fake.node.ops = &fixed_ops;
	ck_assert_int_eq(node_resize(n, 9216, NODE_PREALLOC_OFF, &e), -ENOTSUP);
	ck_assert_err(e, ENOTSUP, "fake.img: its size cannot be changed");
	fake.node.ops = &fake_ops;
	ck_assert_int_eq(node_close(n), -EIO);
	ck_assert_int_eq(node_close(NULL), 0);
	return 0;
}

START_TEST (size_close_and_a_node_without_resize) {
	both_ways(sizes);
}
END_TEST

/* A wake for something else does not end a request early, nor get lost. */
static int is_woken_amid(void *arg)
{
	fiber_wake(fiber_self());
	ck_assert_int_eq(node_read(arg, 0, room, 512), 0);
	ck_assert_ptr_null(fake.pending);
	fiber_wait(); /* the wake is still there */
	return 0;
}

START_TEST (other_wakes_are_kept_for_the_next_wait) {
	both_ways(is_woken_amid);
}
END_TEST

static int completes;

static void complete(struct blk_req *r, int err)
{
	ck_assert_int_eq(err, -EIO);
	ck_assert_ptr_nonnull(r->done);
	completes++;
}

static void never(struct blk_req *r, int err)
{
	(void)r;
	ck_abort_msg("done called past complete: %d", err);
}

START_TEST (wrappers_requests_end_with_the_wrapper) {
	struct blk_req r = { .op = BLK_FLUSH,
		.done = never,
		.complete = complete };

	node_done(&r, -EIO);
	ck_assert_int_eq(completes, 1);
}
END_TEST

RIG_SUITE("storage/sync", each_call_is_its_request, errors_come_back,
	length_of_nothing_asks_nobody, long_range_goes_in_pieces,
	size_close_and_a_node_without_resize,
	other_wakes_are_kept_for_the_next_wait,
	wrappers_requests_end_with_the_wrapper)
