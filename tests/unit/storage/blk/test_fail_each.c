/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A course of events on a qcow2 image, again and again: each time another one
 * of all the requests that it makes to its files fails, once. What was asked
 * of the image then ends with that error or works all the same, a failed
 * write leaves each sector as before or as asked for, and everything behind
 * it works: at the end the image is sound and reads as it must, from memory
 * and opened anew. GUESTDECK_LONG=1 lets each fail with each error,
 * GUESTDECK_SEED makes another course.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/qcow2/qcow2.h"

#include "tests/unit/storage/memnode.h"
#include "tests/unit/storage/rig.h"

#define STEPS 16u
#define GROUP 3u /* requests at once */

struct each {
	struct qcow2_create o;
	uint64_t backing_len; /* 0 = none */
	/* below: made by the test */
	struct node *file, *data, *backing, *n;
	uint8_t *model, *was, *buf;
	uint64_t size, max_size;
	uint8_t *snap; /* NULL = there is none */
	uint64_t snap_size;
	unsigned seed;
	/* the request that fails */
	uint64_t seen, at;
	int err;
	bool hit, paused;
};

struct each_req {
	struct blk_req r;
	struct iovec iov;
	uint8_t *buf;
	bool done;
	int err;
};

static uint64_t below(struct each *c, uint64_t n)
{
	return (((uint64_t)rand_r(&c->seed) << 15) ^ rand_r(&c->seed)) % n;
}

static int each_watch(void *arg, const struct blk_req *r)
{
	struct each *c = arg;

	(void)r;
	if (c->paused || c->seen++ != c->at)
		return 0;
	c->hit = true;
	return -c->err;
}

/* A verb ended with r: well, or with the error of the request that failed. */
static bool each_failed(struct each *c, int r, const char *what)
{
	if (!r)
		return false;
	ck_assert_msg(c->hit && r == -c->err,
		"%s: %d, while request %llu failed with %d", what, r,
		(unsigned long long)c->at, c->hit ? c->err : 0);
	return true;
}

/* --- opening and closing --- */

static void each_run(int (*fn)(void *arg), struct each *c)
{
	ck_assert_int_eq(rig_run(fn, c), 0);
}

static int each_try_open(struct each *c)
{
	struct qcow2_opts o = { 0 };
	struct err e = ERR_NONE;
	int r;

	memnode_hold(c->file);
	r = qcow2_open(c->file, &o, &c->n, &e);
	if (r)
		return r;
	if (c->data) {
		memnode_hold(c->data);
		qcow2_set_data(c->n, c->data);
	}
	if (c->backing) {
		memnode_hold(c->backing);
		qcow2_set_backing(c->n, c->backing);
	}
	r = qcow2_activate(c->n, &e);
	if (r) {
		(void)node_close(c->n);
		c->n = NULL;
	}
	return r;
}

/* It may fail once. */
static int each_open_fn(void *arg)
{
	struct each *c = arg;

	if (each_failed(c, each_try_open(c), "open"))
		ck_assert_int_eq(each_try_open(c), 0);
	return 0;
}

static int each_close_fn(void *arg)
{
	struct each *c = arg;

	/* what is to be seen when the close fails was flushed */
	if (each_failed(c, node_flush(c->n), "flush"))
		ck_assert_int_eq(node_flush(c->n), 0);
	each_failed(c, node_close(c->n), "close");
	c->n = NULL;
	return 0;
}

static int each_create_fn(void *arg)
{
	struct each *c = arg;
	struct err e = ERR_NONE;

	ck_assert_msg(!qcow2_create(c->file, c->data, &c->o, &e), "%s", e.msg);
	return 0;
}

static struct node *each_mem(struct each *c, const char *name)
{
	struct node *n = memnode_new(rig_ctx(), name, 0);

	memnode_hold(n);
	memnode_watch(n, each_watch, c);
	memnode_set_async(n, true);
	return n;
}

static void each_make_backing(struct each *c)
{
	uint8_t *bytes = malloc(c->backing_len);
	uint64_t shown = c->backing_len < c->size ? c->backing_len : c->size;

	ck_assert_ptr_nonnull(bytes);
	for (uint64_t i = 0; i < c->backing_len; i++)
		bytes[i] = (uint8_t)below(c, 256);
	memset(bytes, 0, c->backing_len / 4);
	c->backing = memnode_new_from(rig_ctx(), "base", bytes, c->backing_len);
	memnode_hold(c->backing);
	memnode_watch(c->backing, each_watch, c);
	memnode_set_async(c->backing, true);
	memcpy(c->model, bytes, shown);
	c->o.backing_file = "base";
	c->o.backing_format = "raw";
	free(bytes);
}

static void each_begin(struct each *c)
{
	const char *seed = getenv("GUESTDECK_SEED");

	c->seed = seed ? (unsigned)strtoul(seed, NULL, 0) : 1;
	c->paused = true;
	c->seen = 0;
	c->hit = false;
	c->size = c->o.size;
	c->max_size = 2 * c->size;
	c->model = calloc(1, c->max_size);
	c->was = malloc(c->max_size);
	c->buf = malloc(c->max_size);
	ck_assert(c->model && c->was && c->buf);
	c->file = each_mem(c, "file");
	c->data = c->o.data_file ? each_mem(c, "data") : NULL;
	if (c->backing_len)
		each_make_backing(c);
	each_run(each_create_fn, c);
	c->paused = false;
	each_run(each_open_fn, c);
}

static int each_check_fn(void *arg)
{
	struct each *c = arg;
	struct qcow2_check found;
	struct qcow2_info info;
	struct err e = ERR_NONE;

	qcow2_info(c->n, &info);
	ck_assert(!info.corrupt);
	ck_assert_int_eq(qcow2_check(c->n, QCOW2_REPAIR_NONE, NULL, &found, &e),
		0);
	ck_assert_msg(!found.corruptions && !found.errors,
		"request %llu failed: %llu corruptions",
		(unsigned long long)c->at,
		(unsigned long long)found.corruptions);
	if (!c->hit)
		ck_assert_uint_eq(found.leaks, 0);
	return 0;
}

static int each_read_fn(void *arg)
{
	struct each *c = arg;

	return node_read(c->n, 0, c->buf, c->size);
}

/* What the image reads, asked for while nothing fails. */
static void each_read(struct each *c)
{
	bool paused = c->paused;

	c->paused = true;
	each_run(each_read_fn, c);
	c->paused = paused;
}

static void each_same(struct each *c, const char *when)
{
	each_read(c);
	for (uint64_t i = 0; i < c->size; i += 512)
		ck_assert_msg(!memcmp(c->buf + i, c->model + i, 512),
			"request %llu failed with %d: %s: differs at %llu",
			(unsigned long long)c->at, c->err, when,
			(unsigned long long)i);
}

static void each_end(struct each *c)
{
	each_same(c, "at the end");
	each_run(each_close_fn, c);
	c->paused = true;
	each_run(each_open_fn, c);
	each_run(each_check_fn, c);
	each_same(c, "opened anew");
	each_run(each_close_fn, c);
	memnode_free(c->file);
	if (c->data)
		memnode_free(c->data);
	if (c->backing)
		memnode_free(c->backing);
	free(c->model);
	free(c->was);
	free(c->buf);
	free(c->snap);
	c->backing = c->data = NULL;
	c->snap = NULL;
}

/* --- requests --- */

static void each_done(struct blk_req *r, int err)
{
	struct each_req *q = r->arg;

	ck_assert(!q->done);
	q->done = true;
	q->err = err;
}

/* Requests of a group have each a third of the disk. */
static void each_pick(struct each *c, struct each_req *q, unsigned i)
{
	static const enum blk_op ops[] = { BLK_WRITE, BLK_WRITE, BLK_WRITE,
		BLK_WRITE, BLK_READ, BLK_WRITE_ZEROES, BLK_WRITE_ZEROES,
		BLK_DISCARD, BLK_FLUSH };
	uint64_t third = size_down(c->size / GROUP, 512);
	uint64_t cs = c->o.cluster_size, most = 3 * cs;
	struct blk_req *r = &q->r;

	*r = (struct blk_req){ .done = each_done, .arg = q };
	list_init(&r->node);
	r->op = ops[below(c, sizeof(ops) / sizeof(ops[0]))];
	r->offset = i * third + below(c, third / 512) * 512;
	r->len = 512 + below(c, most / 512) * 512;
	if (below(c, 2)) { /* whole clusters */
		r->offset = size_up(r->offset, cs);
		r->len = size_up(r->len, cs);
	}
	if (r->offset >= (i + 1) * third)
		r->offset = i * third;
	if (r->len > (i + 1) * third - r->offset)
		r->len = (i + 1) * third - r->offset;
	if (r->op == BLK_FLUSH)
		r->offset = r->len = 0;
	if (r->op == BLK_WRITE_ZEROES && below(c, 2))
		r->flags = BLK_UNMAP;
	if (r->op == BLK_WRITE && !below(c, 4))
		r->flags = below(c, 2) ? BLK_FUA : BLK_COMPRESS;
}

static void each_fill(struct each *c, struct each_req *q)
{
	uint8_t fill = (uint8_t)below(c, 255) + 1;

	if (q->r.op != BLK_WRITE && q->r.op != BLK_READ)
		return;
	q->buf = malloc(q->r.len);
	ck_assert_ptr_nonnull(q->buf);
	for (uint64_t k = 0; k < q->r.len; k++)
		q->buf[k] = (uint8_t)(fill ^ (k >> 9));
	q->iov = (struct iovec){ q->buf, q->r.len };
	q->r.iov = &q->iov;
	q->r.niov = 1;
}

/* Sectors that may be as before or as asked; the model takes what they are. */
static void each_accept(struct each *c, const struct each_req *q)
{
	static const uint8_t zeros[512];
	uint64_t off = q->r.offset;

	each_read(c);
	for (uint64_t i = 0; i < q->r.len; i += 512) {
		const uint8_t *want = q->buf ? q->buf + i : zeros;
		const uint8_t *got = c->buf + off + i;

		ck_assert_msg(!memcmp(got, c->model + off + i, 512) ||
				      !memcmp(got, want, 512),
			"request %llu failed: neither old nor new at %llu",
			(unsigned long long)c->at, (unsigned long long)off + i);
	}
	memcpy(c->model + off, c->buf + off, q->r.len);
}

static void each_take(struct each *c, struct each_req *q)
{
	struct blk_req *r = &q->r;
	bool failed = each_failed(c, q->err, "request");

	if (r->op == BLK_READ && !failed)
		ck_assert(!memcmp(q->buf, c->model + r->offset, r->len));
	else if (r->op == BLK_DISCARD ||
		 (failed && (r->op == BLK_WRITE || r->op == BLK_WRITE_ZEROES)))
		each_accept(c, q);
	else if (r->op == BLK_WRITE)
		memcpy(c->model + r->offset, q->buf, r->len);
	else if (r->op == BLK_WRITE_ZEROES)
		memset(c->model + r->offset, 0, r->len);
}

static void each_group(struct each *c)
{
	struct each_req q[GROUP] = { 0 };

	for (unsigned i = 0; i < GROUP; i++) {
		each_pick(c, &q[i], i);
		each_fill(c, &q[i]);
	}
	for (unsigned i = 0; i < GROUP; i++)
		node_submit(c->n, &q[i].r);
	for (unsigned i = 0; i < GROUP; i++)
		while (!q[i].done)
			ctx_wait(rig_ctx());
	for (unsigned i = 0; i < GROUP; i++) {
		each_take(c, &q[i]);
		free(q[i].buf);
	}
}

/* --- what changes the whole image --- */

static void each_snapshot_made(struct each *c)
{
	c->snap = malloc(c->size);
	ck_assert_ptr_nonnull(c->snap);
	memcpy(c->snap, c->model, c->size);
	c->snap_size = c->size;
}

static int each_snapshot_fn(void *arg)
{
	struct each *c = arg;
	bool revert = below(c, 2);
	struct err e = ERR_NONE;

	if (!c->snap) {
		if (!each_failed(c, qcow2_snapshot_create(c->n, "s", &e),
			    "create"))
			each_snapshot_made(c);
	} else if (revert) {
		if (each_failed(c, qcow2_snapshot_revert(c->n, "s", &e),
			    "revert"))
			return 0;
		c->size = c->snap_size;
		memcpy(c->model, c->snap, c->size);
	} else if (!each_failed(c, qcow2_snapshot_delete(c->n, "s", &e),
			   "delete")) {
		free(c->snap);
		c->snap = NULL;
	}
	return 0;
}

/* What a failed shrinking has cut off already is zeros; the size is what it
 * was or what it should be. */
static int each_resize_fn(void *arg)
{
	struct each *c = arg;
	uint64_t size =
		size_down(c->o.size / 2, 512) + below(c, c->o.size / 512) * 512;
	struct err e = ERR_NONE;
	int r = node_resize(c->n, size, NODE_PREALLOC_OFF, &e);
	uint64_t now = node_size(c->n);

	if (!each_failed(c, r, "resize"))
		ck_assert_uint_eq(now, size);
	else
		ck_assert(now == size || now == c->size);
	if (now > c->size)
		memset(c->model + c->size, 0, now - c->size);
	c->size = now;
	return 0;
}

static void each_whole(struct each *c)
{
	bool counts = !c->data && c->o.refcount_bits != 1;

	if (counts && below(c, 3))
		each_run(each_snapshot_fn, c);
	else if (c->o.version != 2)
		each_run(each_resize_fn, c);
	each_same(c, "after a verb");
}

static void each_reopen(struct each *c)
{
	each_run(each_close_fn, c);
	each_run(each_open_fn, c);
}

/* --- the course --- */

static void each_course(struct each *c)
{
	each_begin(c);
	for (unsigned i = 0; i < STEPS; i++) {
		each_group(c);
		if (i % 4 == 3)
			each_whole(c);
		if (i % 6 == 5)
			each_reopen(c);
	}
	each_end(c);
}

static void each_all(struct each c)
{
	static const int errs[] = { EIO, ENOSPC };
	bool all = getenv("GUESTDECK_LONG");
	uint64_t requests, hits = 0;

	c.at = UINT64_MAX;
	each_course(&c);
	requests = c.seen;
	ck_assert_uint_gt(requests, STEPS);
	for (uint64_t i = 0; i < requests; i++) {
		c.at = i;
		for (unsigned k = 0; k < (all ? 2 : 1); k++) {
			c.err = errs[(i + k) % 2];
			each_course(&c);
			hits += c.hit;
		}
	}
	/* compressing threads make the number differ a bit */
	ck_assert_uint_gt(hits, requests / 2);
}

#define EACH(name, ...)                                                        \
	START_TEST (name) {                                                    \
		each_all((struct each){ __VA_ARGS__ });                        \
	}                                                                      \
	END_TEST

EACH(usual, .o = { .size = 256 * KiB, .cluster_size = 4096 })
EACH(usual_backing, .o = { .size = 256 * KiB + 512, .cluster_size = 4096 },
	.backing_len = 200 * KiB + 512)
EACH(v2_backing, .o = { .size = 256 * KiB, .cluster_size = 4096, .version = 2 },
	.backing_len = 300 * KiB)
EACH(tiny_clusters, .o = { .size = 100 * KiB, .cluster_size = 512 })
EACH(lazy, .o = { .size = 256 * KiB,
		   .cluster_size = 4096,
		   .lazy_refcounts = true })
EACH(wide_counts,
	.o = { .size = 100 * KiB, .cluster_size = 512, .refcount_bits = 64 },
	.backing_len = 50 * KiB)
EACH(narrow_counts,
	.o = { .size = 256 * KiB, .cluster_size = 4096, .refcount_bits = 1 })
EACH(subclusters_backing,
	.o = { .size = 512 * KiB, .cluster_size = 16384, .extended_l2 = true },
	.backing_len = 300 * KiB)
EACH(data_file,
	.o = { .size = 256 * KiB, .cluster_size = 4096, .data_file = "data" })
EACH(data_file_lazy_backing,
	.o = { .size = 256 * KiB,
		.cluster_size = 4096,
		.lazy_refcounts = true,
		.data_file = "data" },
	.backing_len = 100 * KiB)

RIG_SUITE("storage/fail-each", usual, usual_backing, v2_backing, tiny_clusters,
	lazy, wide_counts, narrow_counts, subclusters_backing, data_file,
	data_file_lazy_backing)
