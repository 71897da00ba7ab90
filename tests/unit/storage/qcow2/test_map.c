/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Entries of L1 and L2 tables: good ones, wrong ones, and new tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/memnode.h"
#include "tests/unit/storage/qcow2/images.h"
#include "tests/unit/storage/rig.h"

#define C UINT64_C(65536)

static struct node *file;
static struct qcow2 *q;

static struct node *open_it(bool readonly)
{
	struct node *n = images_in_memory("image", readonly, &file);

	q = qcow2_of(n);
	return n;
}

static uint8_t *disk(uint64_t at)
{
	uint64_t size;
	uint8_t *bytes = memnode_bytes(file, &size);

	ck_assert_uint_lt(at, size);
	return bytes + at;
}

/* The entry of guest cluster i, in the image, whose table exists. */
static uint8_t *entry_of(uint64_t i)
{
	uint64_t l1 = q->l1[i >> q->l2_bits];

	ck_assert_uint_ne(l1 & QL1_OFFSET, 0);
	i &= (UINT64_C(1) << q->l2_bits) - 1;
	return disk((l1 & QL1_OFFSET) + i * q->l2_entry_bytes);
}

static void get(uint64_t at, uint64_t len, enum qkind kind, uint64_t want,
	struct qmap *m)
{
	ck_assert_int_eq(qmap_get(q, at, len, m), 0);
	ck_assert_int_eq(m->kind, kind);
	ck_assert_msg(m->len == want, "at %llu: %llu, not %llu",
		(unsigned long long)at, (unsigned long long)m->len,
		(unsigned long long)want);
}

/* --- wrong entries --- */

struct wrong {
	const char *options;
	uint64_t entry, bitmap;
	const char *text;
};

static int try_wrong(void *arg)
{
	const struct wrong *w = arg;
	struct node *n = open_it(true);
	struct qmap m;
	uint8_t buf[512];

	put_be64(entry_of(1), w->entry);
	if (q->l2_entry_bytes == 16)
		put_be64(entry_of(1) + 8, w->bitmap);
	/* the cluster before is right, and a run ends there */
	get(0, 4 * q->cluster_size, QMAP_DATA, q->cluster_size, &m);
	ck_assert(!q->corrupt);
	ck_assert_int_eq(qmap_peek(q, q->cluster_size, 512, &m), -EIO);
	ck_assert(q->corrupt);
	ck_assert_int_eq(qmap_get(q, q->cluster_size, 512, &m), -EIO);
	ck_assert_int_eq(node_read(n, q->cluster_size, buf, 512), -EIO);
	/* what is right can still be read */
	ck_assert_int_eq(node_read(n, 0, buf, 512), 0);
	images_logged(w->text);
	return node_close(n);
}

static const struct wrong wrongs[] = {
	{ "compat=1.1", QL2_COPIED | 0x50000 | 2, 0, "reserved bits" },
	{ "compat=1.1", QL2_COPIED | 0x50000 | 0x100, 0, "reserved bits" },
	{ "compat=1.1", QL2_COPIED | 0x50000 | UINT64_C(1) << 56, 0,
		"reserved bits" },
	{ "compat=1.1", QL2_COPIED | 0x50000 | UINT64_C(1) << 61, 0,
		"reserved bits" },
	{ "compat=1.1", QL2_COPIED | 0x50200, 0, "not aligned" },
	{ "compat=0.10", QL2_COPIED | 0x50000 | 1, 0, "zero flag" },
	{ "compat=0.10", 1, 0, "zero flag" },
	{ "extended_l2=on,cluster_size=64k", QL2_COPIED | 0x50000 | 1,
		UINT32_MAX, "zero flag" },
	{ "extended_l2=on,cluster_size=64k", QL2_COPIED | 0x50000,
		UINT64_C(0x100000001), "zero and data" },
	{ "extended_l2=on,cluster_size=64k", 0, 1, "data without a place" },
	{ "extended_l2=on,cluster_size=64k", 0, UINT64_C(1) << 31,
		"data without a place" },
	{ "compat=1.1", QL2_COMPRESSED | 0x100, 0, "is compressed" },
	{ "compat=1.1", QL2_COMPRESSED, 0, "is compressed" },
	{ "cluster_size=512", QL2_COMPRESSED | UINT64_C(1) << 58, 0,
		"is compressed" },
	{ "data_file=data", QL2_COMPRESSED | 0x50000, 0, "is compressed" },
	{ "data_file=data", QL2_COPIED | 0x50000, 0, "data file" },
};

START_TEST (a_wrong_entry_is_an_error_and_marks_corrupt) {
	for (unsigned i = 0; i < ARRAY_LEN(wrongs); i++) {
		images_begin();
		images_create("image", wrongs[i].options, 2 * MiB);
		images_sh("qemu-io -f qcow2 -c 'write 0 256k' image >said");
		images_run(try_wrong, (void *)(uintptr_t)&wrongs[i]);
		images_end();
		images_sh("rm log");
	}
}
END_TEST

static const uint64_t wrong_l1[] = {
	QL1_COPIED | 0x40000 | 1, QL1_COPIED | 0x40000 | 0x100,
	QL1_COPIED | 0x40000 | UINT64_C(1) << 56,
	QL1_COPIED | 0x40000 | UINT64_C(1) << 62, QL1_COPIED | 0x40200,
	QL1_COPIED | UINT64_C(0x80000000000000),
	QL1_COPIED | 0x4000000, /* behind the end of the file */
};

static int try_wrong_l1(void *arg)
{
	struct node *n = open_it(false);
	struct qmap m;

	q->l1[0] = *(const uint64_t *)arg;
	ck_assert_int_eq(qmap_peek(q, 0, 512, &m), -EIO);
	ck_assert(q->corrupt);
	ck_assert_int_eq(qmap_get(q, 0, 512, &m), -EIO);
	images_logged("no place where an L2 table can be");
	return node_close(n);
}

START_TEST (a_wrong_l1_entry_is_an_error_and_marks_corrupt) {
	for (unsigned i = 0; i < ARRAY_LEN(wrong_l1); i++) {
		images_begin();
		images_create("image", "", 2 * MiB);
		images_sh("qemu-io -f qcow2 -c 'write 0 256k' image >said");
		images_run(try_wrong_l1, (void *)(uintptr_t)&wrong_l1[i]);
		images_end();
		images_sh("rm log");
	}
}
END_TEST

static int past_table(void *arg)
{
	struct node *n = open_it(true);
	struct qmap m;

	(void)arg;
	q->h.l1_entries = 0;
	ck_assert_int_eq(qmap_get(q, 0, 512, &m), -EIO);
	q->h.l1_entries = 1;
	return node_close(n);
}

START_TEST (what_no_l1_entry_covers_is_an_error) {
	images_begin();
	images_create("image", "", 2 * MiB);
	images_run(past_table, NULL);
	images_end();
}
END_TEST

/* --- runs --- */

static int look_at_runs(void *arg)
{
	struct node *n = open_it(true);
	uint64_t far = 600 * C; /* in the second slice */
	struct qmap m;

	(void)arg;
	ck_assert_int_eq(qmap_peek(q, 0, 512, &m), -EAGAIN);
	get(0, 64 * MiB, QMAP_DATA, 4 * C, &m);
	ck_assert(m.has_host && m.copied);
	ck_assert_int_eq(qmap_peek(q, 512, 64 * MiB, &m), 0);
	ck_assert_uint_eq(m.len, 4 * C - 512);
	ck_assert_uint_eq(m.host & (C - 1), 512);
	ck_assert_int_eq(qmap_peek(q, 512, 1024, &m), 0);
	ck_assert_uint_eq(m.len, 1024);
	get(4 * C, 64 * MiB, QMAP_ZERO, 2 * C, &m);
	ck_assert(!m.has_host && !m.copied);
	get(6 * C, C, QMAP_NONE, C, &m);
	/* to the end of the slice, as the next one is not there */
	ck_assert_int_eq(qmap_peek(q, 6 * C, 64 * MiB, &m), 0);
	ck_assert_uint_eq(m.len, 506 * C);
	ck_assert_int_eq(qmap_peek(q, far, C, &m), -EAGAIN);
	get(far, C, QMAP_NONE, C, &m);
	ck_assert_int_eq(qmap_peek(q, 6 * C, 256 * MiB, &m), 0);
	ck_assert_uint_eq(m.len, (1024 - 6) * C);
	/* an L1 entry without a table */
	ck_assert_int_eq(qmap_peek(q, 3 * GiB / 2, GiB, &m), 0);
	ck_assert_int_eq(m.kind, QMAP_NONE);
	ck_assert_uint_eq(m.len, GiB);
	return node_close(n);
}

START_TEST (runs_go_as_far_as_clusters_are_alike) {
	images_begin();
	images_create("image", "", 4 * GiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 256k' -c 'write -z 256k 128k' "
		  "image >said");
	images_run(look_at_runs, NULL);
	images_end();
}
END_TEST

static int over_slices(void *arg)
{
	struct node *n = open_it(true);
	struct qmap m;

	(void)arg;
	for (uint64_t at = 0; at < 100 * MiB; at += 32 * MiB)
		ck_assert_int_eq(qmap_get(q, at, 512, &m), 0);
	get(C, 100 * MiB - C, QMAP_DATA, 100 * MiB - C, &m);
	ck_assert(m.copied);
	return node_close(n);
}

START_TEST (a_run_goes_on_in_the_next_slice) {
	images_begin();
	images_create("image", "preallocation=metadata", 100 * MiB);
	images_run(over_slices, NULL);
	images_end();
}
END_TEST

static int gap_in_host(void *arg)
{
	struct node *n = open_it(true);
	uint64_t a = get_be64(entry_of(0)), b = get_be64(entry_of(1));
	struct qmap m;

	(void)arg;
	put_be64(entry_of(0), b);
	put_be64(entry_of(1), a);
	put_be64(entry_of(3), get_be64(entry_of(3)) & ~QL2_COPIED);
	put_be64(entry_of(4), QL2_COPIED | UINT64_C(0x7ffffffff0000));
	put_be64(entry_of(5), QL2_COPIED); /* as nothing is there */
	get(0, 4 * C, QMAP_DATA, C, &m);
	ck_assert_uint_eq(m.host, b & QL2_OFFSET);
	get(C, 4 * C, QMAP_DATA, C, &m);
	get(2 * C, 4 * C, QMAP_DATA, C, &m);
	get(3 * C, 4 * C, QMAP_DATA, C, &m);
	ck_assert(m.has_host && !m.copied);
	get(4 * C, 4 * C, QMAP_DATA, C, &m);
	ck_assert(m.has_host && !m.copied); /* far behind the file's end */
	get(5 * C, C, QMAP_NONE, C, &m);
	ck_assert(!m.has_host);
	q->l1[0] &= ~QL1_COPIED;
	get(0, C, QMAP_DATA, C, &m);
	ck_assert(!m.copied);
	return node_close(n);
}

START_TEST (runs_end_where_places_do_not_follow_or_are_shared) {
	images_begin();
	images_create("image", "", 64 * MiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 384k' image >said");
	images_run(gap_in_host, NULL);
	images_end();
}
END_TEST

static int look_at_subclusters(void *arg)
{
	struct node *n = open_it(true);
	uint64_t sub = 2048, host = get_be64(entry_of(0)) & QL2_OFFSET;
	struct qmap m;

	(void)arg;
	/* 0-3 data, 4-7 none, 8-9 zero, 10 data, rest none */
	put_be64(entry_of(0) + 8, UINT64_C(0x3000000040f));
	get(0, 64 * C, QMAP_DATA, 4 * sub, &m);
	ck_assert_uint_eq(m.host, host);
	get(512, 64 * C, QMAP_DATA, 4 * sub - 512, &m);
	get(4 * sub + 100, 64 * C, QMAP_NONE, 4 * sub - 100, &m);
	ck_assert(m.has_host && m.copied);
	ck_assert_uint_eq(m.host, host + 4 * sub + 100);
	get(8 * sub, 64 * C, QMAP_ZERO, 2 * sub, &m);
	get(9 * sub, 64 * C, QMAP_ZERO, sub, &m);
	get(10 * sub, 64 * C, QMAP_DATA, sub, &m);
	get(11 * sub, 64 * C, QMAP_NONE, 21 * sub, &m);
	/* over the border of clusters */
	put_be64(entry_of(0) + 8, UINT64_C(0xf0000000));
	put_be64(entry_of(1) + 8, UINT64_C(0x0fffffff));
	qcache_forget(&q->l2, 0, GiB);
	get(28 * sub, 64 * C, QMAP_DATA, 32 * sub, &m);
	return node_close(n);
}

START_TEST (subclusters_make_runs_too) {
	images_begin();
	images_create("image", "extended_l2=on,cluster_size=64k", 64 * MiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 384k' image >said");
	images_run(look_at_subclusters, NULL);
	images_end();
}
END_TEST

/* A bitmap by the book: the same, bit by bit. */
static int subclusters_by_dice(void *arg)
{
	struct node *n = open_it(true);
	uint64_t seed = 3, sub = 2048;

	(void)arg;
	for (int i = 0; i < 2000; i++) {
		uint64_t data = images_dice(&seed, UINT64_C(1) << 32);
		uint64_t zero = images_dice(&seed, UINT64_C(1) << 32) & ~data;
		unsigned at = (unsigned)images_dice(&seed, 32), end = at;
		struct qmap m;

		if (i & 1)
			data |= data << 1 | data << 2;
		data &= UINT32_MAX;
		zero &= ~data;
		put_be64(entry_of(0) + 8, zero << 32 | data);
		qcache_forget(&q->l2, 0, GiB);
		ck_assert_int_eq(qmap_get(q, at * sub, C - at * sub, &m), 0);
		ck_assert_int_eq(m.kind, zero >> at & 1   ? QMAP_ZERO
					 : data >> at & 1 ? QMAP_DATA
							  : QMAP_NONE);
		while (end < 32 && (zero >> end & 1) == (zero >> at & 1) &&
			(data >> end & 1) == (data >> at & 1))
			end++;
		ck_assert_uint_eq(m.len, (end - at) * sub);
	}
	return node_close(n);
}

START_TEST (any_bitmap_of_subclusters_is_taken_apart) {
	images_begin();
	images_create("image", "extended_l2=on,cluster_size=64k", 64 * MiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 64k' image >said");
	images_run(subclusters_by_dice, NULL);
	images_end();
}
END_TEST

START_TEST (a_compressed_entry_is_taken_apart) {
	struct qcow2 x = { .cluster_bits = 16, .cluster_size = 65536 };
	uint64_t host;
	uint32_t len;

	ck_assert(qmap_compressed(&x,
		QL2_COMPRESSED | UINT64_C(5) << 54 | 0x123456, &host, &len));
	ck_assert_uint_eq(host, 0x123456);
	ck_assert_uint_eq(len, 6 * 512 - 0x56);
	x.cluster_bits = 9;
	x.cluster_size = 512;
	ck_assert(qmap_compressed(&x, QL2_COMPRESSED | UINT64_C(1) << 61 | 513,
		&host, &len));
	ck_assert_uint_eq(host, 513);
	ck_assert_uint_eq(len, 1023);
	ck_assert(!qmap_compressed(&x, QL2_COMPRESSED | 511, &host, &len));
	ck_assert(!qmap_compressed(&x, QL2_COMPRESSED | UINT64_C(1) << 56,
		&host, &len));
	x.cluster_bits = 21;
	x.cluster_size = 1 << 21;
	ck_assert(qmap_compressed(&x,
		QL2_COMPRESSED | UINT64_C(0x1fff) << 49 | 1 << 21, &host,
		&len));
	ck_assert_uint_eq(host, 1 << 21);
	ck_assert_uint_eq(len, 8192 * 512);
}
END_TEST

/* --- looking while tables change --- */

/* While the slice is read its table moves. */
static int move_table(void *arg, const struct blk_req *r)
{
	uint64_t *to = arg;

	if (r->op == BLK_READ && *to) {
		q->l1[0] = *to | QL1_COPIED;
		*to = 0;
	}
	return 0;
}

static int moving(void *arg)
{
	struct node *n = open_it(true);
	uint64_t to = 8 * C;
	struct qmap m;

	(void)arg;
	memset(disk(to), 0, C);
	put_be64(disk(to), QL2_ZERO);
	memnode_watch(file, move_table, &to);
	get(0, C, QMAP_ZERO, C, &m);
	return node_close(n);
}

START_TEST (a_table_that_moves_while_it_is_read_is_looked_up_anew) {
	images_begin();
	images_create("image", "", 64 * MiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 384k' image >said");
	images_run(moving, NULL);
	images_end();
}
END_TEST

static int no_read(void *arg)
{
	struct node *n = open_it(true);
	struct qmap m;

	(void)arg;
	memnode_fail_once(file, BLK_READ, 0, EIO);
	ck_assert_int_eq(qmap_get(q, 0, C, &m), -EIO);
	ck_assert(!q->corrupt); /* the disk's fault */
	get(0, 64 * C, QMAP_DATA, 4 * C, &m);
	return node_close(n);
}

START_TEST (a_slice_that_cannot_be_read_is_no_corruption) {
	images_begin();
	images_create("image", "", 64 * MiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 256k' image >said");
	images_run(no_read, NULL);
	images_end();
}
END_TEST

/* --- tables for writing --- */

static uint64_t count_of(uint64_t host)
{
	uint64_t count = 99;

	ck_assert_int_eq(qref_get(q, host >> q->cluster_bits, &count), 0);
	return count;
}

static int new_table(void *arg)
{
	struct node *n = open_it(false);
	struct qslice *s;
	uint64_t host, bitmap;
	unsigned index;
	struct qmap m;

	(void)arg;
	fiber_lock_take(&q->meta);
	ck_assert_uint_eq(q->l1[1], 0);
	ck_assert_int_eq(qmap_l2_for_write(q, 8192 * C + 600 * C, &s, &index),
		0);
	ck_assert_uint_eq(index, 88);
	host = q->l1[1] & QL1_OFFSET;
	ck_assert_uint_eq(q->l1[1], host | QL1_COPIED);
	ck_assert_uint_eq(s->offset, host + 4096);
	ck_assert_uint_eq(count_of(host), 1);
	ck_assert(qmeta_hits(q, host, 1));
	ck_assert_uint_eq(qmap_entry(q, s, index, &bitmap), 0);
	qmap_set_entry(q, s, index, QL2_ZERO, 0);
	ck_assert(s->dirty);
	qcache_put(&q->l2, s);
	get((8192 + 600) * C, 4 * C, QMAP_ZERO, C, &m);
	/* not yet in the table on disk */
	ck_assert_uint_eq(get_be64(disk(q->h.l1_offset + 8)), 0);
	ck_assert_int_eq(qcommit(q), 0);
	ck_assert_uint_eq(get_be64(disk(q->h.l1_offset + 8)),
		host | QL1_COPIED);
	ck_assert_uint_eq(get_be64(disk(host + 600 * 8)), QL2_ZERO);
	ck_assert(!q->l1_any_dirty);
	fiber_lock_drop(&q->meta);
	return node_close(n);
}

START_TEST (a_new_table_is_made_for_the_first_entry) {
	images_begin();
	images_create("image", "", 4 * GiB);
	images_run(new_table, NULL);
	images_end();
}
END_TEST

static int copied_table(void *arg)
{
	struct node *n = open_it(false);
	uint64_t old = q->l1[0] & QL1_OFFSET, host, bitmap;
	struct qslice *s;
	unsigned index;

	(void)arg;
	ck_assert_uint_ne(old, 0);
	ck_assert(!(q->l1[0] & QL1_COPIED)); /* a snapshot has it too */
	ck_assert_uint_eq(count_of(old), 2);
	fiber_lock_take(&q->meta);
	ck_assert_int_eq(qmap_l2_for_write(q, 2 * C, &s, &index), 0);
	ck_assert_uint_eq(index, 2);
	host = q->l1[0] & QL1_OFFSET;
	ck_assert_uint_ne(host, old);
	ck_assert(q->l1[0] & QL1_COPIED);
	ck_assert_int_eq(memcmp(disk(host), disk(old), C), 0);
	ck_assert_uint_ne(qmap_entry(q, s, 2, &bitmap), 0);
	qcache_put(&q->l2, s);
	ck_assert_uint_eq(count_of(old), 2); /* until the next commit */
	ck_assert_int_eq(qcommit_all(q), 0);
	ck_assert_uint_eq(count_of(old), 1);
	ck_assert_uint_eq(count_of(host), 1);
	/* and it is not copied again */
	ck_assert_int_eq(qmap_l2_for_write(q, 2 * C, &s, &index), 0);
	ck_assert_uint_eq(q->l1[0] & QL1_OFFSET, host);
	qcache_put(&q->l2, s);
	fiber_lock_drop(&q->meta);
	return node_close(n);
}

START_TEST (a_table_that_a_snapshot_shares_is_copied) {
	images_begin();
	images_create("image", "", 64 * MiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 256k' image >said && "
		  "qemu-img snapshot -c s1 image");
	images_run(copied_table, NULL);
	images_end();
}
END_TEST

static int no_table(void *arg)
{
	struct node *n = open_it(false);
	uint64_t was = q->l1[0];
	struct qslice *s;
	unsigned index;

	(void)arg;
	fiber_lock_take(&q->meta);
	memnode_fail(file, BLK_WRITE, 0, ENOSPC);
	memnode_fail(file, BLK_WRITE_ZEROES, 0, ENOSPC);
	ck_assert_int_eq(qmap_l2_for_write(q, 2 * C, &s, &index), -ENOSPC);
	ck_assert_uint_eq(q->l1[0], was);
	ck_assert(!q->l1_any_dirty);
	memnode_fail(file, BLK_WRITE, 0, 0);
	memnode_fail(file, BLK_WRITE_ZEROES, 0, 0);
	ck_assert_int_eq(qmap_l2_for_write(q, 2 * C, &s, &index), 0);
	qcache_put(&q->l2, s);
	ck_assert_int_eq(qcommit_all(q), 0);
	fiber_lock_drop(&q->meta);
	return node_close(n);
}

START_TEST (a_table_that_cannot_be_written_changes_nothing) {
	for (int i = 0; i < 2; i++) {
		images_begin();
		images_create("image", "", 64 * MiB);
		if (i)
			images_sh("qemu-io -f qcow2 -c 'write 0 256k' image "
				  ">said && qemu-img snapshot -c s1 image");
		images_run(no_table, NULL);
		images_end();
	}
}
END_TEST

static int l1_pieces(void *arg)
{
	struct node *n = open_it(false);
	uint64_t before;

	(void)arg;
	fiber_lock_take(&q->meta);
	ck_assert_uint_eq(q->h.l1_entries, 200);
	ck_assert_int_eq(qmap_write_l1(q), 0); /* nothing to do */
	ck_assert_uint_eq(memnode_count(file, BLK_WRITE), 0);
	for (unsigned i = 0; i < 200; i++)
		q->l1[i] = 0;
	qmap_set_l1(q, 3, QL1_COPIED | 0x10000);
	qmap_set_l1(q, 64, QL1_COPIED | 0x20000);
	qmap_set_l1(q, 199, QL1_COPIED | 0x30000);
	memnode_fail_once(file, BLK_WRITE, 0, EIO);
	ck_assert_int_eq(qmap_write_l1(q), -EIO);
	ck_assert(q->l1_any_dirty);
	before = memnode_count(file, BLK_WRITE);
	ck_assert_int_eq(qmap_write_l1(q), 0);
	/* the first two are neighbours */
	ck_assert_uint_eq(memnode_count(file, BLK_WRITE), before + 2);
	ck_assert_uint_eq(get_be64(disk(q->h.l1_offset + 3 * 8)),
		QL1_COPIED | 0x10000);
	ck_assert_uint_eq(get_be64(disk(q->h.l1_offset + 64 * 8)),
		QL1_COPIED | 0x20000);
	ck_assert_uint_eq(get_be64(disk(q->h.l1_offset + 199 * 8)),
		QL1_COPIED | 0x30000);
	ck_assert_uint_eq(get_be64(disk(q->h.l1_offset + 200 * 8)), 0);
	ck_assert(!q->l1_any_dirty);
	fiber_lock_drop(&q->meta);
	return node_close(n);
}

START_TEST (only_what_changed_of_the_l1_table_is_written) {
	images_begin();
	images_create("image", "", 100 * GiB);
	images_run(l1_pieces, NULL);
	images_end();
}
END_TEST

/* --- opening --- */

static int open_fails(void *arg)
{
	struct node *n = open_it(true);
	struct err e = ERR_NONE;
	struct qheader was = q->h;

	(void)arg;
	q->h.l1_entries = 3;
	ck_assert_int_eq(qmap_read_l1(q, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "L1 table has 3 entries"));
	ck_assert_ptr_nonnull(strstr(e.msg, "/image"));
	q->h = was;
	q->h.l1_offset += 512;
	ck_assert_int_eq(qmap_read_l1(q, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "cannot be"));
	q->h = was;
	q->h.l1_entries = (32 << 20) / 8 + 1;
	ck_assert_int_eq(qmap_read_l1(q, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "cannot be"));
	q->h.l1_entries--;
	ck_assert_int_eq(qmap_read_l1(q, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "behind the end of the file"));
	q->h = was;
	memnode_fail_once(file, BLK_READ, 0, EIO);
	ck_assert_int_eq(qmap_read_l1(q, &e), -EIO);
	ck_assert_ptr_nonnull(strstr(e.msg, "cannot read its L1 table"));
	ck_assert_int_eq(qmap_read_l1(q, &e), 0);
	return node_close(n);
}

START_TEST (an_l1_table_that_cannot_be_is_refused) {
	images_begin();
	images_create("image", "", 4 * GiB);
	images_run(open_fails, NULL);
	images_end();
}
END_TEST

RIG_SUITE("qcow2 map", a_wrong_entry_is_an_error_and_marks_corrupt,
	a_wrong_l1_entry_is_an_error_and_marks_corrupt,
	what_no_l1_entry_covers_is_an_error,
	runs_go_as_far_as_clusters_are_alike, a_run_goes_on_in_the_next_slice,
	runs_end_where_places_do_not_follow_or_are_shared,
	subclusters_make_runs_too, any_bitmap_of_subclusters_is_taken_apart,
	a_compressed_entry_is_taken_apart,
	a_table_that_moves_while_it_is_read_is_looked_up_anew,
	a_slice_that_cannot_be_read_is_no_corruption,
	a_new_table_is_made_for_the_first_entry,
	a_table_that_a_snapshot_shares_is_copied,
	a_table_that_cannot_be_written_changes_nothing,
	only_what_changed_of_the_l1_table_is_written,
	an_l1_table_that_cannot_be_is_refused)
