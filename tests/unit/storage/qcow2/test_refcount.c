/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reference counts of all widths, new blocks, and the table's growth. */
#include <errno.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/inner.h"

/* --- counts --- */

START_TEST (counts_of_every_width_are_kept) {
	for (unsigned bits = 1; bits <= 64; bits *= 2) {
		struct qcow2_create o = { .size = MiB,
			.cluster_size = 4096,
			.refcount_bits = bits };
		uint64_t most = UINT64_MAX >> (64 - bits);
		struct inner in;

		inner_begin(&in, &o, NULL, NULL);
		/* neighbours in one byte keep theirs */
		ck_assert_int_eq(inner_add(&in, 100, 17, 1), 0);
		ck_assert_int_eq(inner_add(&in, 103, 1, -1), 0);
		for (uint64_t c = 99; c <= 117; c++)
			ck_assert_uint_eq(inner_count(&in, c),
				c != 99 && c != 103 && c != 117);
		if (most > 1 && most < UINT64_MAX / 2)
			ck_assert_int_eq(inner_add(&in, 104, 1,
						 (int64_t)most - 1),
				0);
		else if (most > 1)
			for (int i = 0; i < 2; i++)
				ck_assert_int_eq(inner_add(&in, 104, 1,
							 INT64_MAX),
					0);
		ck_assert_uint_eq(inner_count(&in, 104), most);
		ck_assert_int_eq(inner_add(&in, 104, 1, 1), -ERANGE);
		inner_reopen(&in);
		ck_assert_uint_eq(inner_count(&in, 104), most);
		ck_assert_uint_eq(inner_count(&in, 105), 1);
		ck_assert_uint_eq(inner_count(&in, 103), 0);
		ck_assert_int_eq(qt_close(in.n), 0);
	}
}
END_TEST

START_TEST (a_change_that_fails_is_undone) {
	struct qcow2_create o = { .size = MiB,
		.cluster_size = 512,
		.refcount_bits = 8 };
	struct inner in;

	inner_begin(&in, &o, NULL, NULL);
	/* a slice has 512 counts: two blocks, the second ends it */
	ck_assert_int_eq(inner_add(&in, 400, 300, 1), 0);
	ck_assert_int_eq(inner_add(&in, 650, 1, 254), 0);
	ck_assert_int_eq(inner_add(&in, 400, 300, 1), -ERANGE);
	ck_assert_uint_eq(inner_count(&in, 400), 1);
	ck_assert_uint_eq(inner_count(&in, 699), 1);
	ck_assert_int_eq(inner_add(&in, 400, 310, -1), -EIO);
	ck_assert_uint_eq(inner_count(&in, 400), 1);
	ck_assert_int_eq(inner_add(&in, 1u << 20, 1, -1), -EIO);
	ck_assert_int_eq(inner_add(&in, UINT64_MAX, 2, 1), -ENOSPC);
	ck_assert_int_eq(inner_add(&in, 650, 1, -254), 0);
	ck_assert_int_eq(inner_add(&in, 400, 300, -1), 0);
	inner_end(&in);
}
END_TEST

START_TEST (a_failed_read_is_told) {
	struct qcow2_create o = { .size = MiB };
	struct inner in;

	inner_begin(&in, &o, NULL, NULL);
	memnode_fail(in.file, BLK_READ, 0, EIO);
	ck_assert_int_eq(inner_add(&in, 9, 1, 1), -EIO);
	memnode_fail(in.file, BLK_READ, 0, 0);
	ck_assert_uint_eq(inner_count(&in, 9), 0);
	inner_end(&in);
}
END_TEST

/* --- blocks --- */

/* 512-byte clusters and 64 bits: a block has 64 counts, the table's first
 * cluster 64 blocks. */
static const struct qcow2_create small = { .size = 64 * MiB,
	.cluster_size = 512,
	.refcount_bits = 64 };

START_TEST (a_new_block_counts_itself) {
	struct inner in;
	uint64_t at;

	inner_begin(&in, &small, NULL, NULL);
	at = 64 * 40;
	ck_assert_uint_eq(in.q->rt[40], 0);
	ck_assert_int_eq(inner_add(&in, at + 5, 1, 1), 0);
	ck_assert_uint_eq(in.q->rt[40], at * 512);
	ck_assert_uint_eq(inner_count(&in, at), 1);
	ck_assert(qmeta_hits(in.q, at * 512, 1));
	ck_assert_int_eq(inner_add(&in, at + 5, 1, -1), 0);
	inner_end(&in);
}
END_TEST

START_TEST (blocks_stay_out_of_the_run_that_needs_them) {
	struct inner in;

	inner_begin(&in, &small, NULL, NULL);
	/* all of 40 and 41, and the first of 42 */
	ck_assert_int_eq(inner_add(&in, 64 * 40, 64 * 2 + 1, 1), 0);
	for (uint64_t c = 64 * 40; c < 64 * 42 + 1; c++)
		ck_assert_uint_eq(inner_count(&in, c), 1);
	for (uint64_t i = 40; i <= 42; i++) {
		ck_assert_uint_ge(in.q->rt[i] / 512, 64 * 42 + 1);
		ck_assert_uint_eq(inner_count(&in, in.q->rt[i] / 512), 1);
	}
	ck_assert_int_eq(inner_add(&in, 64 * 40, 64 * 2 + 1, -1), 0);
	inner_end(&in);
}
END_TEST

START_TEST (a_block_without_room_is_not_made) {
	struct inner in;
	int ends[] = { ENOSPC, EIO };

	inner_begin(&in, &small, NULL, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		memnode_fail(in.file, BLK_WRITE_ZEROES, 0, ends[i]);
		ck_assert_int_eq(inner_add(&in, 64 * 40, 1, 1), -ends[i]);
		memnode_fail(in.file, BLK_WRITE_ZEROES, 0, 0);
		ck_assert_uint_eq(in.q->rt[40], 0);
	}
	ck_assert_int_eq(inner_add(&in, 64 * 40, 1, 1), 0);
	ck_assert_int_eq(inner_add(&in, 64 * 40, 1, -1), 0);
	inner_end(&in);
}
END_TEST

START_TEST (a_block_that_cannot_be_marks_corrupt) {
	static const uint64_t bad[] = { 0x201, UINT64_C(1) << 62, 64 * MiB };

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct inner in;
		uint8_t *bytes;
		struct qcow2_info info;

		inner_begin(&in, &small, NULL, NULL);
		ck_assert_int_eq(qt_close(in.n), 0);
		bytes = memnode_bytes(in.file, NULL);
		put_be64(bytes + get_be64(bytes + 48) + 8 * 7, bad[i]);
		inner_open(&in);
		ck_assert_int_eq(inner_add(&in, 64 * 7, 1, 1), -EIO);
		ck_assert(in.q->corrupt);
		ck_assert_int_eq(inner_write(&in, 0, 512, 1), -EIO);
		qcow2_info(in.n, &info);
		ck_assert(info.corrupt);
		ck_assert_int_eq(qt_close(in.n), 0);
	}
}
END_TEST

START_TEST (a_free_cluster_that_is_a_table_marks_corrupt) {
	struct inner in;
	uint64_t l1;

	inner_begin(&in, &small, NULL, NULL);
	l1 = in.q->h.l1_offset / 512;
	ck_assert_int_eq(inner_add(&in, l1, 1, -1), 0);
	/* the count is gone, and with it the mark; as an image has it: */
	ck_assert_int_eq(qmeta_add(in.q, l1 * 512, 512), 0);
	ck_assert_int_eq(inner_write(&in, 0, 512, 1), -EIO);
	ck_assert(in.q->corrupt);
	ck_assert_int_eq(qt_close(in.n), 0);
}
END_TEST

START_TEST (a_table_that_does_not_fit_is_refused) {
	static const struct {
		uint64_t offset;
		uint32_t clusters;
	} bad[] = { { 512, 0 }, { 512, 1u << 20 }, { 64 * MiB, 1 },
		{ UINT64_MAX - 511, 1 } };
	struct qcow2_opts o = { 0 };

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct node *file = qt_new(&small), *n;
		uint8_t *bytes = memnode_bytes(file, NULL);
		struct err e = ERR_NONE;

		put_be64(bytes + 48, bad[i].offset);
		put_be32(bytes + 56, bad[i].clusters);
		ck_assert_int_lt(qt_open(file, &o, &n, &e), 0);
		ck_assert_err(e, EINVAL, "refcount table");
		ck_assert_err(e, EINVAL, "mem.qcow2");
	}
}
END_TEST

/* --- growth --- */

/* An image as `small` whose table has one cluster (QEMU's does). */
static void begin_small_table(struct inner *in)
{
	qt_sh_ok("qemu-img create -q -f qcow2 "
		 "-o cluster_size=512,refcount_bits=64 small.qcow2 64M");
	*in = (struct inner){ .file = qt_load(rig_path("small.qcow2")) };
	inner_open(in);
	ck_assert_uint_eq(in->q->h.rt_clusters, 1);
}

/* Write until the table has to grow: 64 blocks of 64 clusters. */
static int outgrow(struct inner *in)
{
	for (uint64_t off = 0; off < 3 * MiB; off += 64 * KiB) {
		int r = inner_write(in, off, 64 * KiB, (unsigned)(off >> 16));

		if (r)
			return r;
	}
	return 0;
}

static void is_outgrown(struct inner *in)
{
	for (uint64_t off = 0; off < 3 * MiB; off += 64 * KiB)
		ck_assert(inner_is(in, off, 64 * KiB, (unsigned)(off >> 16)));
}

START_TEST (the_table_grows_by_moving) {
	struct inner in;
	uint64_t was;

	begin_small_table(&in);
	was = in.q->h.rt_offset;
	ck_assert_int_eq(outgrow(&in), 0);
	ck_assert_uint_gt(in.q->rt_entries, 64);
	ck_assert_int_eq(inner_commit(&in), 0);
	ck_assert_uint_ne(in.q->h.rt_offset, was);
	ck_assert_uint_gt(in.q->h.rt_clusters, 1);
	ck_assert(qmeta_hits(in.q, in.q->h.rt_offset, 512));
	ck_assert(!qmeta_hits(in.q, was, 512));
	ck_assert_uint_eq(inner_count(&in, was / 512), 0);
	inner_reopen(&in);
	is_outgrown(&in);
	inner_end(&in);
}
END_TEST

/* With an error at each of the commit's requests in turn: what is on disk is
 * whole all the time, and the next commit does it. */
static void grow_with_errors(enum blk_op op)
{
	struct inner in;
	unsigned failed = 0;

	begin_small_table(&in);
	ck_assert_int_eq(outgrow(&in), 0);
	for (unsigned i = 0;; i++) {
		memnode_fail_once(in.file, op, i, EIO);
		if (!inner_commit(&in))
			break;
		failed++;
		memnode_fail(in.file, op, 0, 0);
		memnode_save(in.file, rig_path("crash.qcow2"));
		/* leaks are found, errors are not */
		ck_assert_int_ne(qt_sh("qemu-img check -q crash.qcow2 "
				       ">/dev/null 2>&1; [ $? = 0 -o $? = 3 ]"),
			1);
	}
	memnode_fail(in.file, op, 0, 0);
	ck_assert_uint_ge(failed, 3);
	inner_reopen(&in);
	is_outgrown(&in);
	inner_end(&in);
}

START_TEST (growth_goes_on_after_failed_writes) {
	grow_with_errors(BLK_WRITE);
}
END_TEST

START_TEST (growth_goes_on_after_failed_flushes) {
	grow_with_errors(BLK_FLUSH);
}
END_TEST

QT_SUITE("qcow2-refcount", counts_of_every_width_are_kept,
	a_change_that_fails_is_undone, a_failed_read_is_told,
	a_new_block_counts_itself, blocks_stay_out_of_the_run_that_needs_them,
	a_block_without_room_is_not_made, a_block_that_cannot_be_marks_corrupt,
	a_free_cluster_that_is_a_table_marks_corrupt,
	a_table_that_does_not_fit_is_refused, the_table_grows_by_moving,
	growth_goes_on_after_failed_writes, growth_goes_on_after_failed_flushes)
