/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A differential test: the same random writes, compressed writes, zeroes,
 * discards, flushes, snapshots, resizes and reopenings of a qcow2 image and of
 * an array of bytes, several at a time, and with errors in between. The bytes
 * must be equal, and qemu-img must find nothing wrong and read the same.
 * GUESTDECK_LONG=1 makes more rounds, GUESTDECK_SEED another course of events.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/qtest.h"

#define BATCH     6
#define SNAPSHOTS 3

struct diff_snap {
	uint8_t *model; /* NULL = none here */
	uint64_t size;
};

struct diff {
	struct qcow2_create o;
	uint64_t backing_len; /* 0 = none */
	/* below: made by the test */
	struct node *file, *data, *backing, *n;
	uint8_t *model;
	uint64_t size, max_size;
	struct diff_snap snaps[SNAPSHOTS];
	unsigned seed;
	bool errors; /* some requests of the file fail */
};

/* One request of a batch. */
struct diff_req {
	struct blk_req r;
	struct iovec iov[2];
	uint8_t *buf;
	bool done;
	int err;
};

static unsigned diff_rand(struct diff *d)
{
	d->seed = d->seed * 1103515245u + 12345u;
	return d->seed >> 8;
}

static uint64_t diff_below(struct diff *d, uint64_t n)
{
	uint64_t v = ((uint64_t)diff_rand(d) << 20) ^ diff_rand(d);

	return v % n;
}

/* --- the image --- */

static int diff_open_fn(void *arg)
{
	struct diff *d = arg;
	struct qcow2_opts o = { 0 };
	struct err e = ERR_NONE;
	int r;

	memnode_hold(d->file);
	r = qcow2_open(d->file, &o, &d->n, &e);
	ck_assert_msg(!r, "%s", e.msg);
	if (d->data) {
		memnode_hold(d->data);
		qcow2_set_data(d->n, d->data);
	}
	if (d->backing) {
		memnode_hold(d->backing);
		qcow2_set_backing(d->n, d->backing);
	}
	r = qcow2_activate(d->n, &e);
	ck_assert_msg(!r, "%s", e.msg);
	return 0;
}

static void diff_begin(struct diff *d)
{
	struct err e = ERR_NONE;
	int r;

	d->size = d->o.size;
	d->max_size = 2 * d->size;
	d->model = calloc(1, d->max_size);
	ck_assert_ptr_nonnull(d->model);
	d->file = qt_mem();
	if (d->o.data_file)
		d->data = qt_mem();
	if (d->backing_len) {
		uint8_t *bytes = malloc(d->backing_len);

		d->backing = qt_mem();
		qt_fill(bytes, d->backing_len, d->seed);
		memset(bytes, 0, d->backing_len / 4);
		r = qt_io(d->backing, BLK_WRITE, 0, 0, bytes, d->backing_len);
		ck_assert_int_eq(r, 0);
		memcpy(d->model, bytes,
			d->backing_len < d->size ? d->backing_len : d->size);
		free(bytes);
		d->o.backing_file = "backing.raw";
		d->o.backing_format = "raw";
		memnode_save(d->backing, rig_path("backing.raw"));
	}
	r = qt_create(d->file, d->data, &d->o, &e);
	ck_assert_msg(!r, "%s", e.msg);
	qt_run(diff_open_fn, d);
	memnode_set_async(d->file, true);
	if (d->data)
		memnode_set_async(d->data, true);
}

static void diff_save_model(struct diff *d)
{
	const char *path = rig_file("model.raw", d->size);

	rig_write_file(path, 0, d->model, d->size);
}

/* What qemu-img says of the image, which is closed. */
static void diff_ask_qemu(struct diff *d)
{
	memnode_save(d->file, rig_path("image.qcow2"));
	if (d->data)
		memnode_save(d->data, rig_path("data.raw"));
	diff_save_model(d);
	qt_check_file("image.qcow2");
	qt_sh_ok("qemu-img compare -q -f qcow2 -F raw image.qcow2 model.raw");
	if (d->o.data_file_raw)
		qt_sh_ok("qemu-img compare -q -f raw -F raw data.raw "
			 "model.raw");
}

/* --- comparing --- */

static void diff_compare(struct diff *d, uint64_t off, uint64_t len)
{
	uint8_t *buf = malloc(len);
	int r;

	ck_assert_ptr_nonnull(buf);
	r = qt_io(d->n, BLK_READ, 0, off, buf, len);
	ck_assert_int_eq(r, 0);
	for (uint64_t i = 0; i < len; i += 512)
		ck_assert_msg(!memcmp(buf + i, d->model + off + i, 512),
			"seed %u: differs at %llu of [%llu, +%llu)", d->seed,
			(unsigned long long)(off + i), (unsigned long long)off,
			(unsigned long long)len);
	free(buf);
}

/*
 * A range that may be as it was, or (other, NULL = zeros) as asked, sector by
 * sector; the model takes what it is.
 */
static void diff_accept(struct diff *d, uint64_t off, uint64_t len,
	const uint8_t *other)
{
	static const uint8_t zeros[512];
	uint8_t *buf = malloc(len);
	int r;

	ck_assert_ptr_nonnull(buf);
	r = qt_io(d->n, BLK_READ, 0, off, buf, len);
	ck_assert_int_eq(r, 0);
	for (uint64_t i = 0; i < len; i += 512) {
		const uint8_t *want = other ? other + i : zeros;

		ck_assert_msg(!memcmp(buf + i, d->model + off + i, 512) ||
				      !memcmp(buf + i, want, 512),
			"seed %u: neither old nor new at %llu", d->seed,
			(unsigned long long)(off + i));
	}
	memcpy(d->model + off, buf, len);
	free(buf);
}

/* --- requests --- */

static void diff_done(struct blk_req *r, int err)
{
	struct diff_req *q = r->arg;

	ck_assert(!q->done);
	q->done = true;
	q->err = err;
}

static uint64_t diff_cluster(const struct diff *d)
{
	return d->o.cluster_size;
}

static void diff_pick_range(struct diff *d, struct blk_req *r)
{
	uint64_t cs = diff_cluster(d), sectors = d->size / 512, most;

	switch (diff_rand(d) % 4) {
	case 0: /* small */
		most = 16;
		break;
	case 1: /* whole clusters */
		r->offset = size_down(diff_below(d, d->size), cs);
		r->len = cs * (1 + diff_below(d, 4));
		if (r->len > d->size - r->offset)
			r->len = d->size - r->offset;
		return;
	case 2: /* about a cluster */
		most = 1 + 2 * cs / 512;
		break;
	default:
		most = 1 + 5 * cs / 512;
		break;
	}
	r->offset = diff_below(d, sectors) * 512;
	r->len = (1 + diff_below(d, most)) * 512;
	if (r->len > d->size - r->offset)
		r->len = d->size - r->offset;
}

static void diff_pick_op(struct diff *d, struct blk_req *r)
{
	unsigned k = diff_rand(d) % 20;

	r->op = BLK_WRITE;
	if (k < 3)
		r->flags = BLK_COMPRESS;
	else if (k == 3)
		r->flags = BLK_FUA;
	if (k < 11)
		return;
	r->op = k < 15 ? BLK_WRITE_ZEROES : k < 18 ? BLK_DISCARD : BLK_FLUSH;
	if (k >= 13 && k < 15)
		r->flags = BLK_UNMAP;
	if (r->op == BLK_FLUSH)
		r->offset = r->len = 0;
}

static void diff_fill(struct diff *d, struct diff_req *q)
{
	struct blk_req *r = &q->r;
	uint64_t split = size_down(r->len / 3, 512);

	if (r->op != BLK_WRITE)
		return;
	q->buf = malloc(r->len);
	ck_assert_ptr_nonnull(q->buf);
	if (r->flags & BLK_COMPRESS && diff_rand(d) % 4)
		memset(q->buf, (int)(diff_rand(d) & 255), r->len);
	else
		qt_fill(q->buf, r->len, diff_rand(d));
	q->iov[0] = (struct iovec){ q->buf, split };
	q->iov[1] = (struct iovec){ q->buf + split, r->len - split };
	r->iov = split ? q->iov : q->iov + 1;
	r->niov = split ? 2 : 1;
}

static bool diff_overlaps(const struct diff_req *q, unsigned n,
	const struct blk_req *r)
{
	for (unsigned i = 0; i < n; i++)
		if (q[i].r.offset < r->offset + r->len &&
			r->offset < q[i].r.offset + q[i].r.len)
			return true;
	return false;
}

/* Take what q did into the model, and look. */
static void diff_take(struct diff *d, struct diff_req *q)
{
	struct blk_req *r = &q->r;

	if (!d->errors)
		ck_assert_msg(!q->err, "seed %u: op %d: %d", d->seed, r->op,
			q->err);
	if (r->op == BLK_FLUSH)
		return;
	if (q->err || r->op == BLK_DISCARD)
		diff_accept(d, r->offset, r->len, q->buf);
	else if (r->op == BLK_WRITE)
		memcpy(d->model + r->offset, q->buf, r->len);
	else
		memset(d->model + r->offset, 0, r->len);
	free(q->buf);
}

static void diff_mend(struct diff *d)
{
	for (int op = 0; op < BLK_OPS; op++) {
		memnode_fail(d->file, (enum blk_op)op, 0, 0);
		if (d->data)
			memnode_fail(d->data, (enum blk_op)op, 0, 0);
	}
}

static void diff_batch(struct diff *d)
{
	struct diff_req q[BATCH] = { 0 };
	unsigned n = 0, want = 1 + diff_rand(d) % BATCH;

	while (n < want) {
		struct blk_req *r = &q[n].r;

		*r = (struct blk_req){ .done = diff_done, .arg = &q[n] };
		diff_pick_range(d, r);
		diff_pick_op(d, r);
		if (diff_overlaps(q, n, r))
			break;
		diff_fill(d, &q[n]);
		list_init(&r->node);
		n++;
	}
	for (unsigned i = 0; i < n; i++)
		node_submit(d->n, &q[i].r);
	for (unsigned i = 0; i < n; i++)
		while (!q[i].done)
			ctx_wait(qt_ctx);
	diff_mend(d);
	for (unsigned i = 0; i < n; i++)
		diff_take(d, &q[i]);
	for (unsigned i = 0; i < n; i++)
		if (q[i].r.len)
			diff_compare(d, q[i].r.offset, q[i].r.len);
}

static void diff_reopen(struct diff *d, bool ask)
{
	ck_assert_int_eq(qt_close(d->n), 0);
	if (ask)
		diff_ask_qemu(d);
	qt_run(diff_open_fn, d);
	diff_compare(d, 0, d->size);
}

static void diff_end(struct diff *d)
{
	ck_assert_int_eq(qt_close(d->n), 0);
	diff_ask_qemu(d);
	free(d->model);
	for (int i = 0; i < SNAPSHOTS; i++)
		free(d->snaps[i].model);
}

/* --- what changes the whole image --- */

static int diff_whole_fn(void *arg)
{
	struct diff *d = arg;
	unsigned i = diff_rand(d) % SNAPSHOTS;
	struct diff_snap *s = &d->snaps[i];
	char name[2] = { (char)('a' + i), 0 };
	struct err e = ERR_NONE;
	int r;

	if (!s->model) {
		r = qcow2_snapshot_create(d->n, name, &e);
		ck_assert_msg(!r, "seed %u: %s", d->seed, e.msg);
		s->size = d->size;
		s->model = malloc(d->size);
		ck_assert_ptr_nonnull(s->model);
		memcpy(s->model, d->model, d->size);
	} else if (diff_rand(d) % 2) {
		r = qcow2_snapshot_revert(d->n, name, &e);
		ck_assert_msg(!r, "seed %u: %s", d->seed, e.msg);
		d->size = s->size;
		memcpy(d->model, s->model, s->size);
	} else {
		r = qcow2_snapshot_delete(d->n, name, &e);
		ck_assert_msg(!r, "seed %u: %s", d->seed, e.msg);
		free(s->model);
		s->model = NULL;
	}
	return 0;
}

static int diff_resize_fn(void *arg)
{
	struct diff *d = arg;
	uint64_t size = 512 * (1 + diff_below(d, d->max_size / 512));
	struct err e = ERR_NONE;
	int r;

	r = node_resize(d->n, size, NODE_PREALLOC_OFF, &e);
	ck_assert_msg(!r, "seed %u: %s", d->seed, e.msg);
	ck_assert_uint_eq(node_size(d->n), size);
	if (size > d->size)
		memset(d->model + d->size, 0, size - d->size);
	d->size = size;
	return 0;
}

/* Snapshots need counts, and all data in the image. */
static void diff_whole(struct diff *d)
{
	bool snaps = d->o.refcount_bits != 1 && !d->data, has = false;

	for (int i = 0; i < SNAPSHOTS; i++)
		has = has || d->snaps[i].model;
	if (snaps && diff_rand(d) % 3)
		qt_run(diff_whole_fn, d);
	else if (d->o.version != 2 || !has) /* refused there */
		qt_run(diff_resize_fn, d);
	diff_compare(d, 0, d->size);
}

/* From some request on one, or all, of a kind fail. */
static void diff_break(struct diff *d)
{
	static const enum blk_op ops[] = { BLK_WRITE, BLK_WRITE, BLK_WRITE,
		BLK_FLUSH, BLK_READ, BLK_WRITE_ZEROES };
	enum blk_op op = ops[diff_rand(d) % ARRAY_LEN(ops)];
	int err = diff_rand(d) % 2 ? ENOSPC : EIO;
	struct node *n = d->file;

	if (d->data && diff_rand(d) % 2)
		n = d->data;
	switch (diff_rand(d) % 3) {
	case 0:
		memnode_fail(n, op, diff_rand(d) % 4, err);
		break;
	case 1:
		memnode_fail_once(n, op, diff_rand(d) % 4, err);
		break;
	default:
		break;
	}
}

static unsigned diff_rounds(void)
{
	return getenv("GUESTDECK_LONG") ? 2000 : 100;
}

static void diff_run(struct diff d, bool errors)
{
	const char *seed = getenv("GUESTDECK_SEED");
	unsigned rounds = diff_rounds();

	d.seed = (seed ? (unsigned)strtoul(seed, NULL, 0) : 1) + 7;
	d.errors = errors;
	diff_begin(&d);
	for (unsigned i = 0; i < rounds; i++) {
		if (errors)
			diff_break(&d);
		diff_batch(&d);
		if (diff_rand(&d) % 40 == 0)
			diff_reopen(&d, diff_rand(&d) % 2);
		if (diff_rand(&d) % 20 == 0)
			diff_whole(&d);
	}
	diff_end(&d);
}

/* --- kinds of images --- */

#define DIFF(name, ...)                                                        \
	START_TEST (name) {                                                    \
		diff_run((struct diff){ __VA_ARGS__ }, false);                 \
	}                                                                      \
	END_TEST                                                               \
	START_TEST (name##_errors) {                                           \
		diff_run((struct diff){ __VA_ARGS__ }, true);                  \
	}                                                                      \
	END_TEST

DIFF(tiny_clusters, .o = { .size = 517 * 512, .cluster_size = 512 })
DIFF(tiny_clusters_v2_backing,
	.o = { .size = 700 * 512, .cluster_size = 512, .version = 2 },
	.backing_len = 333 * 512)
DIFF(tiny_clusters_wide_counts,
	.o = { .size = 3000 * 512, .cluster_size = 512, .refcount_bits = 64 })
DIFF(small_clusters, .o = { .size = MiB + 1536, .cluster_size = 4096 })
DIFF(small_clusters_v2,
	.o = { .size = MiB + 512, .cluster_size = 4096, .version = 2 })
DIFF(small_clusters_narrow_counts_backing,
	.o = { .size = MiB + 2048, .cluster_size = 4096, .refcount_bits = 1 },
	.backing_len = 700 * KiB + 512)
DIFF(usual, .o = { .size = 8 * MiB, .cluster_size = 65536 })
DIFF(usual_zstd, .o = { .size = 8 * MiB, .cluster_size = 65536, .zstd = true })
DIFF(usual_backing, .o = { .size = 8 * MiB, .cluster_size = 65536 },
	.backing_len = 5 * MiB + 1024)
DIFF(usual_v2_backing,
	.o = { .size = 8 * MiB + 512, .cluster_size = 65536, .version = 2 },
	.backing_len = 9 * MiB)
DIFF(usual_lazy,
	.o = { .size = 8 * MiB, .cluster_size = 65536, .lazy_refcounts = true })
DIFF(usual_wide_counts,
	.o = { .size = 8 * MiB, .cluster_size = 65536, .refcount_bits = 64 })
DIFF(subclusters, .o = { .size = 8 * MiB + 512,
			  .cluster_size = 65536,
			  .extended_l2 = true })
DIFF(subclusters_backing,
	.o = { .size = 8 * MiB, .cluster_size = 65536, .extended_l2 = true },
	.backing_len = 5 * MiB + 512)
DIFF(small_subclusters_lazy_backing,
	.o = { .size = MiB,
		.cluster_size = 16384,
		.extended_l2 = true,
		.lazy_refcounts = true },
	.backing_len = 1200 * KiB)
DIFF(data_file, .o = { .size = 8 * MiB + 512,
			.cluster_size = 65536,
			.data_file = "data.raw" })
DIFF(data_file_raw, .o = { .size = 8 * MiB,
			    .cluster_size = 65536,
			    .data_file = "data.raw",
			    .data_file_raw = true })
DIFF(data_file_subclusters_backing,
	.o = { .size = 8 * MiB,
		.cluster_size = 65536,
		.data_file = "data.raw",
		.extended_l2 = true },
	.backing_len = 3 * MiB)
DIFF(large_clusters, .o = { .size = 20 * MiB + 512, .cluster_size = 2 * MiB })
DIFF(large_clusters_backing, .o = { .size = 20 * MiB, .cluster_size = 2 * MiB },
	.backing_len = 9 * MiB + 512)
DIFF(large_subclusters,
	.o = { .size = 20 * MiB, .cluster_size = 2 * MiB, .extended_l2 = true })

#define BOTH(name) name, name##_errors

QT_SUITE("qcow2-diff", BOTH(tiny_clusters), BOTH(tiny_clusters_v2_backing),
	BOTH(tiny_clusters_wide_counts), BOTH(small_clusters),
	BOTH(small_clusters_v2), BOTH(small_clusters_narrow_counts_backing),
	BOTH(usual), BOTH(usual_zstd), BOTH(usual_backing),
	BOTH(usual_v2_backing), BOTH(usual_lazy), BOTH(usual_wide_counts),
	BOTH(subclusters), BOTH(subclusters_backing),
	BOTH(small_subclusters_lazy_backing), BOTH(data_file),
	BOTH(data_file_raw), BOTH(data_file_subclusters_backing),
	BOTH(large_clusters), BOTH(large_clusters_backing),
	BOTH(large_subclusters))
