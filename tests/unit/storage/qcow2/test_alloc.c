/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding host clusters, and bytes for compressed data. */
#include <errno.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/inner.h"

#define CLUSTER (64 * KiB)

struct alloc {
	uint64_t n, near, host, got;
	bool fresh;
};

static int clusters_fn(struct qcow2 *q, void *arg)
{
	struct alloc *a = arg;
	int r = qalloc_clusters(q, a->n, a->near, &a->host, &a->got);

	if (!r)
		a->fresh = qalloc_is_fresh(q, a->host);
	return r;
}

static int table_fn(struct qcow2 *q, void *arg)
{
	struct alloc *a = arg;

	return qalloc_table(q, a->n, &a->host);
}

static int bytes_fn(struct qcow2 *q, void *arg)
{
	struct alloc *a = arg;

	return qalloc_bytes(q, a->n, &a->host);
}

static int free_fn(struct qcow2 *q, void *arg)
{
	struct alloc *a = arg;

	return qfree_now(q, a->host, a->n);
}

/* n clusters; the first one's number. */
static uint64_t get(struct inner *in, uint64_t n, uint64_t near, uint64_t got,
	bool fresh)
{
	struct alloc a = { .n = n, .near = near };

	ck_assert_int_eq(inner_call(in, clusters_fn, &a), 0);
	ck_assert_uint_eq(a.got, got);
	ck_assert_int_eq(a.fresh, fresh);
	return a.host / CLUSTER;
}

static void put(struct inner *in, uint64_t cluster, uint64_t n)
{
	struct alloc a = { .host = cluster * CLUSTER, .n = n * CLUSTER };

	ck_assert_int_eq(inner_call(in, free_fn, &a), 0);
}

static uint64_t get_bytes(struct inner *in, uint64_t n)
{
	struct alloc a = { .n = n };

	ck_assert_int_eq(inner_call(in, bytes_fn, &a), 0);
	return a.host;
}

static void put_bytes(struct inner *in, uint64_t host, uint64_t n)
{
	struct alloc a = { .host = host, .n = n };

	ck_assert_int_eq(inner_call(in, free_fn, &a), 0);
}

static const struct qcow2_create usual = { .size = GiB };

START_TEST (the_first_that_is_free_is_taken) {
	struct inner in;
	uint64_t a;

	inner_begin(&in, &usual, NULL, NULL);
	a = get(&in, 10, 0, 10, true);
	ck_assert_uint_eq(get(&in, 1, 0, 1, true), a + 10);
	put(&in, a + 3, 2);
	/* a hole gives as many as it has */
	ck_assert_uint_eq(get(&in, 5, 0, 2, false), a + 3);
	ck_assert_uint_eq(get(&in, 5, 0, 5, true), a + 11);
	put(&in, a, 16);
	inner_end(&in);
}
END_TEST

START_TEST (a_run_goes_on_where_it_should) {
	struct inner in;
	uint64_t a;

	inner_begin(&in, &usual, NULL, NULL);
	a = get(&in, 10, 0, 10, true);
	put(&in, a + 2, 6);
	ck_assert_uint_eq(get(&in, 2, (a + 5) * CLUSTER, 2, false), a + 5);
	ck_assert_uint_eq(get(&in, 2, (a + 6) * CLUSTER, 2, false), a + 2);
	ck_assert_uint_eq(get(&in, 9, (a + 7) * CLUSTER, 1, false), a + 7);
	put(&in, a, 4);
	put(&in, a + 5, 5);
	inner_end(&in);
}
END_TEST

START_TEST (what_was_used_is_not_fresh) {
	struct inner in;
	uint64_t a, size;

	inner_begin(&in, &usual, NULL, NULL);
	a = get(&in, 1, 0, 1, true);
	put(&in, a, 1);
	ck_assert_uint_eq(get(&in, 1, 0, 1, false), a);
	put(&in, a, 1);
	/* nor what is inside the file when it is opened */
	inner_reopen(&in);
	memnode_bytes(in.file, &size);
	a = get(&in, 1, 0, 1, size <= a * CLUSTER);
	put(&in, a, 1);
	inner_end(&in);
}
END_TEST

START_TEST (a_table_is_in_one_piece_and_guarded) {
	struct inner in;
	struct alloc t = { .n = 5 };
	uint64_t a;

	inner_begin(&in, &usual, NULL, NULL);
	a = get(&in, 20, 0, 20, true);
	put(&in, a + 2, 3);
	put(&in, a + 10, 6);
	ck_assert_int_eq(inner_call(&in, table_fn, &t), 0);
	ck_assert_uint_eq(t.host, (a + 10) * CLUSTER);
	ck_assert(qmeta_hits(in.q, (a + 14) * CLUSTER + 5, 1));
	ck_assert(!qmeta_hits(in.q, (a + 15) * CLUSTER, CLUSTER));
	/* what was passed over is still found */
	ck_assert_uint_eq(get(&in, 3, 0, 3, false), a + 2);
	put(&in, a, 15);
	ck_assert(!qmeta_hits(in.q, (a + 10) * CLUSTER, 5 * CLUSTER));
	put(&in, a + 16, 4);
	inner_end(&in);
}
END_TEST

START_TEST (a_table_of_many_blocks_is_counted) {
	struct qcow2_create o = { .size = MiB,
		.cluster_size = 512,
		.refcount_bits = 64 };
	struct inner in;
	struct alloc t = { .n = 1000 };

	inner_begin(&in, &o, NULL, NULL);
	ck_assert_int_eq(inner_call(&in, table_fn, &t), 0);
	for (uint64_t i = 0; i < t.n; i++)
		ck_assert_uint_eq(inner_count(&in, t.host / 512 + i), 1);
	t.n *= 512;
	ck_assert_int_eq(inner_call(&in, free_fn, &t), 0);
	inner_end(&in);
}
END_TEST

START_TEST (what_no_table_can_count_is_enospc) {
	struct qcow2_create o = { .size = MiB,
		.cluster_size = 512,
		.refcount_bits = 64 };
	struct inner in;
	struct alloc t;

	inner_begin(&in, &o, NULL, NULL);
	/* 8 MiB of table, 64 counts a block */
	ck_assert_uint_eq(qref_limit(in.q), UINT64_C(1) << 26);
	t = (struct alloc){ .n = qref_limit(in.q) };
	ck_assert_int_eq(inner_call(&in, table_fn, &t), -ENOSPC);
	inner_end(&in);
}
END_TEST

START_TEST (a_full_image_is_looked_through_in_large_steps) {
	struct qcow2_create o = { .size = 64 * GiB, .refcount_bits = 64 };
	struct inner in;
	uint64_t n = 200000, reads, slices;

	inner_begin(&in, &o, NULL, NULL);
	ck_assert_int_eq(inner_add(&in, 1000, n, 1), 0);
	inner_reopen(&in);
	slices = in.q->rb.count;
	reads = memnode_count(in.file, BLK_READ);
	/* all below is in use, but for what is not 1000 yet */
	in.q->free_hint = 1000;
	ck_assert_uint_ge(get(&in, 1, 0, 1, true), 1000 + n);
	/* 200000 counts of 8 bytes in blocks of 64 KiB */
	ck_assert_uint_le(memnode_count(in.file, BLK_READ) - reads, 40);
	ck_assert_uint_le(in.q->rb.count - slices, 8);
	ck_assert_int_eq(qt_close(in.n), 0);
}
END_TEST

/* One that is free is not passed over, in a slice that is in the cache with
 * what the disk does not have yet, or not. */
START_TEST (a_hole_in_a_full_image_is_found) {
	struct qcow2_create o = { .size = 64 * GiB, .refcount_bits = 64 };

	for (int reopen = 0; reopen < 2; reopen++) {
		struct inner in;
		uint64_t n = 20000, a;

		inner_begin(&in, &o, NULL, NULL);
		ck_assert_int_eq(inner_add(&in, 1000, n, 1), 0);
		inner_reopen(&in);
		ck_assert_int_eq(inner_add(&in, 15007, 1, -1), 0);
		if (reopen)
			inner_reopen(&in);
		in.q->free_hint = 1000;
		a = get(&in, 1, 0, 1, in.q->file_end <= 15007);
		ck_assert_uint_eq(a, 15007);
		ck_assert_int_eq(qt_close(in.n), 0);
	}
}
END_TEST

START_TEST (bytes_share_clusters) {
	struct inner in;
	uint64_t a, b, c;

	inner_begin(&in, &usual, NULL, NULL);
	a = get_bytes(&in, 1000);
	b = get_bytes(&in, 60000);
	c = get_bytes(&in, 10000);
	ck_assert_uint_eq(b, a + 1000);
	ck_assert_uint_eq(c, b + 60000);
	ck_assert_uint_eq(a % CLUSTER, 0);
	ck_assert_uint_eq(inner_count(&in, a / CLUSTER), 3);
	ck_assert_uint_eq(inner_count(&in, a / CLUSTER + 1), 1);
	put_bytes(&in, a, 1000);
	put_bytes(&in, b, 60000);
	ck_assert_uint_eq(inner_count(&in, a / CLUSTER), 1);
	/* it goes on while somebody is there, and not when nobody is */
	ck_assert_uint_eq(get_bytes(&in, 100), c + 10000);
	put_bytes(&in, c, 10000);
	put_bytes(&in, c + 10000, 100);
	ck_assert_uint_eq(in.q->bytes_next, 0);
	ck_assert_uint_eq(get_bytes(&in, 100), a);
	put_bytes(&in, a, 100);
	inner_end(&in);
}
END_TEST

START_TEST (bytes_that_fill_a_cluster_end_it) {
	struct inner in;
	uint64_t a;

	inner_begin(&in, &usual, NULL, NULL);
	a = get_bytes(&in, 5536);
	ck_assert_uint_eq(get_bytes(&in, 60000), a + 5536);
	ck_assert_uint_eq(in.q->bytes_next, 0);
	put_bytes(&in, a, 5536);
	put_bytes(&in, a + 5536, 60000);
	inner_end(&in);
}
END_TEST

START_TEST (bytes_begin_anew_where_the_next_cluster_is_used) {
	struct inner in;
	uint64_t a, b;

	inner_begin(&in, &usual, NULL, NULL);
	a = get_bytes(&in, 60000);
	ck_assert_uint_eq(get(&in, 1, 0, 1, true), a / CLUSTER + 1);
	b = get_bytes(&in, 10000);
	ck_assert_uint_eq(b, a + 2 * CLUSTER);
	put_bytes(&in, a, 60000);
	put_bytes(&in, b, 10000);
	put(&in, a / CLUSTER + 1, 1);
	inner_end(&in);
}
END_TEST

START_TEST (bytes_do_not_share_what_counts_to_one) {
	struct qcow2_create o = { .size = MiB, .refcount_bits = 1 };
	struct inner in;
	uint64_t a, b;

	inner_begin(&in, &o, NULL, NULL);
	a = get_bytes(&in, 1000);
	b = get_bytes(&in, 1000);
	ck_assert_uint_eq(b, a + CLUSTER);
	put_bytes(&in, a, 1000);
	put_bytes(&in, b, 1000);
	inner_end(&in);
}
END_TEST

START_TEST (a_corrupt_image_gives_nothing) {
	struct inner in;
	struct alloc a = { .n = 1 };

	inner_begin(&in, &usual, NULL, NULL);
	(void)get(&in, 1, 0, 1, true);
	in.q->corrupt = true;
	ck_assert_int_eq(inner_call(&in, clusters_fn, &a), -EIO);
	ck_assert_int_eq(inner_call(&in, table_fn, &a), -EIO);
	ck_assert_int_eq(inner_call(&in, bytes_fn, &a), -EIO);
	ck_assert_int_eq(inner_commit(&in), -EIO);
	ck_assert_int_eq(qt_close(in.n), 0);
}
END_TEST

QT_SUITE("qcow2-alloc", the_first_that_is_free_is_taken,
	a_run_goes_on_where_it_should, what_was_used_is_not_fresh,
	a_table_is_in_one_piece_and_guarded, a_table_of_many_blocks_is_counted,
	what_no_table_can_count_is_enospc,
	a_full_image_is_looked_through_in_large_steps,
	a_hole_in_a_full_image_is_found, bytes_share_clusters,
	bytes_that_fill_a_cluster_end_it,
	bytes_begin_anew_where_the_next_cluster_is_used,
	bytes_do_not_share_what_counts_to_one, a_corrupt_image_gives_nothing)
