/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The order in which metadata reaches the disk, and what is free when. What
 * that is for, an image that is whole after any power loss: test_crash.c.
 */
#include <errno.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/inner.h"

#define CLUSTER (64 * KiB)

static const struct qcow2_create usual = { .size = 64 * MiB };

static int flush(struct inner *in)
{
	return qt_io(in->n, BLK_FLUSH, 0, 0, NULL, 0);
}

static int discard(struct inner *in, uint64_t off, uint64_t len)
{
	return qt_io(in->n, BLK_DISCARD, 0, off, NULL, len);
}

/* --- what is asked of the file --- */

enum seen {
	SEEN_REFS = 1,
	SEEN_L2,
	SEEN_L1,
	SEEN_FLUSH,
	SEEN_DATA,
	SEEN_OTHER
};

struct seen_log {
	struct qcow2 *q;
	uint64_t block, l2; /* in the image */
	enum seen seen[64];
	unsigned n;
};

static bool inside(uint64_t off, uint64_t start, uint64_t len)
{
	return off >= start && off - start < len;
}

static int see(void *arg, const struct blk_req *r)
{
	struct seen_log *log = arg;
	const struct qcow2 *q = log->q;
	enum seen what = SEEN_OTHER;

	if (r->op == BLK_FLUSH)
		what = SEEN_FLUSH;
	else if (r->op != BLK_WRITE)
		return 0;
	else if (inside(r->offset, q->rt[0], CLUSTER))
		what = SEEN_REFS;
	else if (inside(r->offset, q->h.l1_offset, CLUSTER))
		what = SEEN_L1;
	else if (inside(r->offset, q->l1[0] & QL1_OFFSET, CLUSTER))
		what = SEEN_L2;
	else if (r->offset > CLUSTER)
		what = SEEN_DATA;
	if (log->n < ARRAY_LEN(log->seen))
		log->seen[log->n++] = what;
	return 0;
}

static void saw(const struct seen_log *log, unsigned n, const enum seen *want)
{
	ck_assert_uint_eq(log->n, n);
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(log->seen[i], want[i]);
}

#define SAW(log, ...)                                                          \
	do {                                                                   \
		const enum seen want_[] = { __VA_ARGS__ };                     \
		saw(log, ARRAY_LEN(want_), want_);                             \
		(log)->n = 0;                                                  \
	} while (0)

START_TEST (counts_then_a_sync_then_entries) {
	struct seen_log log = { 0 };
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 512, 1), 0);
	log.q = in.q;
	memnode_watch(in.file, see, &log);
	/* metadata stays in memory */
	ck_assert_int_eq(inner_write(&in, MiB, CLUSTER, 1), 0);
	SAW(&log, SEEN_DATA);
	ck_assert_int_eq(flush(&in), 0);
	SAW(&log, SEEN_REFS, SEEN_FLUSH, SEEN_L2, SEEN_L1, SEEN_FLUSH);
	/* nothing is left: data only */
	ck_assert_int_eq(inner_write(&in, MiB, CLUSTER, 2), 0);
	ck_assert_int_eq(flush(&in), 0);
	SAW(&log, SEEN_DATA, SEEN_FLUSH);
	ck_assert_int_eq(inner_write(&in, 2 * MiB, CLUSTER, 2), 0);
	ck_assert_int_eq(flush(&in), 0);
	SAW(&log, SEEN_DATA, SEEN_REFS, SEEN_FLUSH, SEEN_L2, SEEN_FLUSH);
	memnode_watch(in.file, NULL, NULL);
	inner_end(&in);
}
END_TEST

START_TEST (lazy_counts_wait_for_the_close) {
	struct qcow2_create o = { .size = MiB, .lazy_refcounts = true };
	struct seen_log log = { 0 };
	struct inner in;
	struct qcow2_info info;

	inner_begin(&in, &o, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 512, 1), 0);
	log.q = in.q;
	memnode_watch(in.file, see, &log);
	ck_assert_int_eq(flush(&in), 0);
	SAW(&log, SEEN_FLUSH, SEEN_L2, SEEN_L1, SEEN_FLUSH);
	qcow2_info(in.n, &info);
	ck_assert(info.dirty);
	memnode_watch(in.file, NULL, NULL);
	inner_end(&in);
}
END_TEST

/* --- what is free when --- */

START_TEST (what_was_given_up_is_free_after_the_commit) {
	struct inner in;
	uint64_t host;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 2 * CLUSTER, 1), 0);
	host = inner_map(&in, 0).host / CLUSTER;
	ck_assert_int_eq(discard(&in, 0, CLUSTER), 0);
	ck_assert_uint_eq(inner_count(&in, host), 1);
	/* so it is not used for another */
	ck_assert_int_eq(inner_write(&in, MiB, CLUSTER, 2), 0);
	ck_assert_uint_ne(inner_map(&in, MiB).host / CLUSTER, host);
	ck_assert_int_eq(inner_commit(&in), 0);
	ck_assert_uint_eq(inner_count(&in, host), 0);
	ck_assert_uint_eq(memnode_count(in.file, BLK_DISCARD), 1);
	ck_assert_int_eq(inner_write(&in, 2 * MiB, CLUSTER, 3), 0);
	ck_assert_uint_eq(inner_map(&in, 2 * MiB).host / CLUSTER, host);
	inner_end(&in);
}
END_TEST

START_TEST (what_is_written_directly_is_not_free_before) {
	struct inner in;
	uint64_t host;
	unsigned slot, later;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
	host = inner_map(&in, 0).host / CLUSTER;
	slot = qdirect_begin(in.q);
	ck_assert_int_eq(discard(&in, 0, CLUSTER), 0);
	ck_assert_int_eq(inner_commit(&in), 0);
	ck_assert_uint_eq(inner_count(&in, host), 1);
	/* who begins after it does not count */
	later = qdirect_begin(in.q);
	ck_assert_uint_ne(later, slot);
	ck_assert_int_eq(inner_commit(&in), 0);
	ck_assert_uint_eq(inner_count(&in, host), 1);
	qdirect_end(in.q, slot);
	ck_assert_int_eq(inner_commit(&in), 0);
	ck_assert_uint_eq(inner_count(&in, host), 0);
	qdirect_end(in.q, later);
	inner_end(&in);
}
END_TEST

START_TEST (a_commit_that_failed_frees_nothing) {
	static const enum blk_op ops[] = { BLK_WRITE, BLK_FLUSH };

	for (unsigned k = 0; k < ARRAY_LEN(ops); k++) {
		struct inner in;
		uint64_t host;

		inner_begin(&in, &usual, NULL, NULL);
		ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
		ck_assert_int_eq(flush(&in), 0);
		host = inner_map(&in, 0).host / CLUSTER;
		ck_assert_int_eq(discard(&in, 0, CLUSTER), 0);
		memnode_fail(in.file, ops[k], 0, EIO);
		ck_assert_int_eq(flush(&in), -EIO);
		ck_assert_uint_eq(inner_count(&in, host), 1);
		memnode_fail(in.file, ops[k], 0, 0);
		ck_assert_int_eq(flush(&in), 0);
		ck_assert_uint_eq(inner_count(&in, host), 0);
		inner_end(&in);
	}
}
END_TEST

START_TEST (a_count_that_cannot_be_read_is_counted_down_later) {
	struct inner in;
	uint64_t host;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 2 * CLUSTER, 1), 0);
	host = inner_map(&in, 0).host / CLUSTER;
	inner_reopen(&in);
	ck_assert_int_eq(discard(&in, 0, 2 * CLUSTER), 0);
	memnode_fail(in.file, BLK_READ, 0, EIO);
	ck_assert_int_eq(flush(&in), 0);
	memnode_fail(in.file, BLK_READ, 0, 0);
	ck_assert_uint_eq(inner_count(&in, host), 1);
	ck_assert_int_eq(inner_commit(&in), 0);
	ck_assert_uint_eq(inner_count(&in, host), 0);
	inner_end(&in);
}
END_TEST

START_TEST (no_discard_gives_nothing_back) {
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	in.q->opts.no_discard = true;
	ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
	ck_assert_int_eq(discard(&in, 0, CLUSTER), 0);
	ck_assert(inner_is(&in, 0, CLUSTER, 1));
	ck_assert_int_eq(qt_io(in.n, BLK_WRITE_ZEROES, BLK_UNMAP, 0, NULL,
				 CLUSTER),
		0);
	ck_assert(inner_map(&in, 0).has_host);
	ck_assert_int_eq(flush(&in), 0);
	ck_assert_uint_eq(memnode_count(in.file, BLK_DISCARD), 0);
	inner_end(&in);
}
END_TEST

/* --- errors --- */

START_TEST (a_failed_sync_writes_all_of_it_again) {
	struct seen_log log = { 0 };
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 512, 1), 0);
	log.q = in.q;
	memnode_fail_once(in.file, BLK_FLUSH, 0, EIO);
	ck_assert_int_eq(flush(&in), -EIO);
	memnode_watch(in.file, see, &log);
	ck_assert_int_eq(flush(&in), 0);
	SAW(&log, SEEN_REFS, SEEN_FLUSH, SEEN_L2, SEEN_L1, SEEN_FLUSH);
	ck_assert_int_eq(inner_write(&in, MiB, 512, 1), 0);
	ck_assert_int_eq(flush(&in), 0);
	log.n = 0;
	ck_assert_int_eq(inner_write(&in, 2 * MiB, 512, 1), 0);
	memnode_fail_once(in.file, BLK_FLUSH, 1, EIO);
	ck_assert_int_eq(flush(&in), -EIO);
	log.n = 0;
	ck_assert_int_eq(flush(&in), 0);
	SAW(&log, SEEN_FLUSH, SEEN_L2, SEEN_FLUSH);
	memnode_watch(in.file, NULL, NULL);
	inner_end(&in);
}
END_TEST

START_TEST (a_full_cache_is_committed) {
	struct qcow2_create o = { .size = 64 * MiB, .cluster_size = 512 };
	struct inner in;

	inner_begin(&in, &o, NULL, NULL);
	for (uint64_t off = 0; off < o.size; off += 32 * KiB) {
		ck_assert_int_eq(inner_write(&in, off, 512, 1), 0);
		ck_assert_uint_le(in.q->l2.ndirty, in.q->l2.max / 2 + 1);
	}
	ck_assert_uint_gt(memnode_count(in.file, BLK_FLUSH), 2);
	/* and when that cannot be the write fails, and works later */
	memnode_fail(in.file, BLK_FLUSH, 0, ENOSPC);
	for (uint64_t off = 512;; off += 32 * KiB) {
		int r;

		ck_assert_uint_lt(off, o.size);
		r = inner_write(&in, off, 512, 1);
		if (!r)
			continue;
		ck_assert_int_eq(r, -ENOSPC);
		memnode_fail(in.file, BLK_FLUSH, 0, 0);
		ck_assert_int_eq(inner_write(&in, off, 512, 1), 0);
		break;
	}
	inner_end(&in);
}
END_TEST

START_TEST (flushes_at_the_same_time_share_a_commit) {
	struct inner_req r[8];
	struct inner in;
	uint64_t was;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
	memnode_set_async(in.file, true);
	was = memnode_count(in.file, BLK_FLUSH);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		inner_submit(&in, &r[i], BLK_FLUSH, 0, 0, NULL, 0);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		ck_assert_int_eq(inner_wait(&r[i]), 0);
	/* the first, and one for all that came while it ran */
	ck_assert_uint_le(memnode_count(in.file, BLK_FLUSH) - was, 3);
	inner_end(&in);
}
END_TEST

QT_SUITE("qcow2-commit", counts_then_a_sync_then_entries,
	lazy_counts_wait_for_the_close,
	what_was_given_up_is_free_after_the_commit,
	what_is_written_directly_is_not_free_before,
	a_commit_that_failed_frees_nothing,
	a_count_that_cannot_be_read_is_counted_down_later,
	no_discard_gives_nothing_back, a_failed_sync_writes_all_of_it_again,
	a_full_cache_is_committed, flushes_at_the_same_time_share_a_commit)
