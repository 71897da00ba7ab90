/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The order in which metadata reaches the disk, what is free when, and that a
 * power loss at any point leaves an image without corruptions that has all
 * that was flushed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
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

/* --- power losses --- */

/*
 * Everything that was written since the last flush of the file may be there
 * or not, in any mix. All writes are kept; an image is made of those before a
 * flush and of some after it.
 */
struct kept {
	uint64_t off, len;
	uint8_t *bytes; /* NULL = zeros, or of no length: a flush */
};

struct tape {
	struct kept *kept;
	unsigned n, room;
	uint8_t *start; /* the image at the beginning */
	uint64_t start_size;
	unsigned seed;
};

static unsigned tape_rand(struct tape *t)
{
	t->seed = t->seed * 1103515245u + 12345u;
	return t->seed >> 8;
}

static int tape_keep(void *arg, const struct blk_req *r)
{
	struct tape *t = arg;
	struct kept *k;
	uint64_t at = 0;

	if (r->op == BLK_READ || r->op == BLK_STATUS)
		return 0;
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->kept = realloc(t->kept, t->room * sizeof(*t->kept));
		ck_assert_ptr_nonnull(t->kept);
	}
	k = &t->kept[t->n++];
	*k = (struct kept){ r->offset, r->op == BLK_FLUSH ? 0 : r->len, NULL };
	if (r->op != BLK_WRITE)
		return 0;
	k->bytes = malloc(r->len);
	ck_assert_ptr_nonnull(k->bytes);
	for (int i = 0; i < r->niov; i++) {
		memcpy(k->bytes + at, r->iov[i].iov_base, r->iov[i].iov_len);
		at += r->iov[i].iov_len;
	}
	return 0;
}

static void tape_begin(struct tape *t, struct node *file)
{
	uint64_t size;
	const uint8_t *bytes = memnode_bytes(file, &size);

	*t = (struct tape){ .seed = 5,
		.start_size = size,
		.start = malloc(size) };
	ck_assert_ptr_nonnull(t->start);
	memcpy(t->start, bytes, size);
	memnode_watch(file, tape_keep, t);
}

static void tape_end(struct tape *t)
{
	for (unsigned i = 0; i < t->n; i++)
		free(t->kept[i].bytes);
	free(t->kept);
	free(t->start);
}

/* The image as of a loss after the first n requests. */
static void tape_play(struct tape *t, unsigned n, struct node *to)
{
	unsigned durable = n;
	uint64_t size;

	while (durable && t->kept[durable - 1].len)
		durable--;
	ck_assert_int_eq(qt_io(to, BLK_WRITE, 0, 0, t->start, t->start_size),
		0);
	for (unsigned i = 0; i < n; i++) {
		const struct kept *k = &t->kept[i];
		uint64_t part = k->len;

		if (!k->len || (i >= durable && tape_rand(t) % 2))
			continue;
		/* some are torn */
		if (i >= durable && k->len > 512 && tape_rand(t) % 4 == 0)
			part = 512 * (1 + tape_rand(t) % (k->len / 512));
		part = part < k->len ? part : k->len;
		if (k->bytes) {
			ck_assert_int_eq(qt_io(to, BLK_WRITE, 0, k->off,
						 k->bytes, part),
				0);
			continue;
		}
		memnode_bytes(to, &size);
		if (k->off < size)
			ck_assert_int_eq(qt_io(to, BLK_WRITE_ZEROES, 0, k->off,
						 NULL,
						 part < size - k->off
							 ? part
							 : size - k->off),
				0);
	}
}

/* No corruption is found in it; leaks may be. Then 8 clusters are as the
 * guest's flushes promise: seed, or the one written after it. */
static void after_loss(struct node *file, const unsigned *flushed,
	const unsigned *written, bool lazy)
{
	struct inner in = { .file = file };

	memnode_save(file, rig_path("loss.qcow2"));
	if (!lazy)
		qt_sh_ok("qemu-img check -q loss.qcow2 >out 2>&1; s=$?; "
			 "[ $s = 0 -o $s = 3 ] || { cat out; exit 1; }");
	inner_open(&in);
	for (unsigned i = 0; i < 8; i++)
		ck_assert(inner_is(&in, i * CLUSTER, CLUSTER, flushed[i]) ||
			  inner_is(&in, i * CLUSTER, CLUSTER, written[i]) ||
			  flushed[i] != written[i]);
	ck_assert_int_eq(qt_close(in.n), 0);
}

static void lose_power(const struct qcow2_create *o)
{
	unsigned flushed[8] = { 0 }, written[8] = { 0 };
	struct {
		unsigned at; /* requests that were made */
		unsigned flushed[8], written[8];
	} marks[48];
	struct tape t;
	struct inner in;
	unsigned n = 0;

	inner_begin(&in, o, NULL, NULL);
	for (unsigned i = 0; i < 8; i++) {
		flushed[i] = written[i] = 100 + i;
		ck_assert_int_eq(inner_write(&in, i * CLUSTER, CLUSTER,
					 written[i]),
			0);
	}
	ck_assert_int_eq(flush(&in), 0);
	inner_reopen(&in);
	tape_begin(&t, in.file);
	while (n < ARRAY_LEN(marks)) {
		uint64_t far = (1 + tape_rand(&t) % 60) * MiB;
		unsigned i = tape_rand(&t) % 8;

		switch (tape_rand(&t) % 5) {
		case 0:
			ck_assert_int_eq(flush(&in), 0);
			memcpy(flushed, written, sizeof(flushed));
			break;
		case 1: /* gives up clusters of the 8, and takes new ones */
			ck_assert_int_eq(discard(&in, i * CLUSTER, CLUSTER), 0);
			written[i] = 1000 + n;
			ck_assert_int_eq(inner_write(&in, i * CLUSTER, CLUSTER,
						 written[i]),
				0);
			break;
		case 2:
			ck_assert_int_eq(discard(&in, far, 4 * CLUSTER), 0);
			break;
		default:
			ck_assert_int_eq(inner_write(&in, far, 3 * CLUSTER, n),
				0);
		}
		marks[n].at = t.n;
		memcpy(marks[n].flushed, flushed, sizeof(flushed));
		memcpy(marks[n].written, written, sizeof(written));
		n++;
	}
	memnode_watch(in.file, NULL, NULL);
	for (unsigned i = 0; i < n; i++) {
		struct node *to = memnode_new(qt_ctx, "loss.qcow2", 0);

		to->log = qt_log;
		/* somewhere inside of the i-th step, or right behind it */
		tape_play(&t,
			marks[i].at - (i & 1 && marks[i].at > t.n / 9
						      ? tape_rand(&t) % 3
						      : 0),
			to);
		after_loss(to, marks[i ? i - 1 : 0].flushed, marks[i].written,
			o->lazy_refcounts);
		memnode_free(to);
	}
	tape_end(&t);
	inner_end(&in);
}

START_TEST (a_power_loss_leaves_no_corruption) {
	lose_power(&usual);
}
END_TEST

START_TEST (a_power_loss_with_small_blocks_leaves_no_corruption) {
	struct qcow2_create o = { .size = 64 * MiB,
		.cluster_size = 4096,
		.refcount_bits = 64 };

	lose_power(&o);
}
END_TEST

START_TEST (a_power_loss_with_lazy_counts_is_repaired) {
	struct qcow2_create o = { .size = 64 * MiB, .lazy_refcounts = true };

	lose_power(&o);
}
END_TEST

QT_SUITE("qcow2-commit", counts_then_a_sync_then_entries,
	lazy_counts_wait_for_the_close,
	what_was_given_up_is_free_after_the_commit,
	what_is_written_directly_is_not_free_before,
	a_commit_that_failed_frees_nothing,
	a_count_that_cannot_be_read_is_counted_down_later,
	no_discard_gives_nothing_back, a_failed_sync_writes_all_of_it_again,
	a_full_cache_is_committed, flushes_at_the_same_time_share_a_commit,
	a_power_loss_leaves_no_corruption,
	a_power_loss_with_small_blocks_leaves_no_corruption,
	a_power_loss_with_lazy_counts_is_repaired)
