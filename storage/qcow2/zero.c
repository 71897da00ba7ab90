/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Write-zeroes and discard. Whole clusters (with extended L2 entries:
 * subclusters) change in the map where the format has zero clusters, so in
 * version 3; the rest is written as zeros. What a discard or an unmap gives
 * up goes by way of qfree_later(), and so back to the host after the commit.
 *
 * A discarded cluster must never show what backs the image again, nor a
 * snapshot's older data: it becomes a zero cluster, or in version 2 without
 * anything behind it a hole. A version 2 image with a backing file cannot say
 * that, and nothing is done.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/write.h"

#define QZERO_PAGE (64 * KiB)
#define QZERO_IOV  16

enum qzero_how {
	QZERO_KEEP,    /* write-zeroes: the clusters stay allocated */
	QZERO_UNMAP,   /* write-zeroes that may give them up */
	QZERO_DISCARD, /* give them up */
};

static uint32_t qzero_unit(const struct qcow2 *q, enum qzero_how how)
{
	return how == QZERO_DISCARD ? q->cluster_size : q->subcluster_size;
}

/* --- as data --- */

static int qzero_plain(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	static const uint8_t zeros[QZERO_PAGE];
	struct iovec iov[QZERO_IOV];
	int r = 0;

	for (int i = 0; i < QZERO_IOV; i++)
		iov[i] = (struct iovec){ (void *)(uintptr_t)zeros, QZERO_PAGE };
	while (len && !r) {
		uint64_t n = sizeof(zeros) * QZERO_IOV;

		if (n > len)
			n = len;
		r = qwrite(q, offset, iov, QZERO_IOV, n);
		offset += n;
		len -= n;
	}
	return r;
}

/*
 * A part of the request that the map cannot tell: plain zeros but where it
 * reads so already.
 */
static int qzero_part(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	while (len) {
		struct qmap m;
		int r = qmap_get(q, offset, len, &m);

		if (r)
			return r;
		if (m.kind != QMAP_ZERO &&
			!(m.kind == QMAP_NONE && qwrite_unbacked(q, offset)))
			r = qzero_plain(q, offset, m.len);
		if (r)
			return r;
		offset += m.len;
		len -= m.len;
	}
	return 0;
}

/* --- in the map --- */

/* Does nothing show through a hole, now and later? */
static bool qzero_is_alone(const struct qcow2 *q)
{
	return !q->backing && !q->keep_zeroes;
}

/* Can the map say that a cluster with this entry reads as zeros, so that
 * nothing has to be written? */
static bool qzero_can_map(const struct qcow2 *q, enum qzero_how how)
{
	return q->h.version >= 3 || (how != QZERO_KEEP && qzero_is_alone(q));
}

/* All of the cluster with this entry. */
static void qzero_cluster(struct qcow2 *q, struct qslice *s, unsigned index,
	enum qzero_how how)
{
	uint64_t bitmap, old = qmap_entry(q, s, index, &bitmap), entry = 0;
	bool own = (old & QL2_COPIED) && !(old & QL2_COMPRESSED);
	bool hole = how == QZERO_DISCARD && qzero_is_alone(q);

	if (how == QZERO_KEEP && own)
		entry = old & (QL2_OFFSET | QL2_COPIED);
	else
		qfree_entry(q, old);
	bitmap = 0;
	if (q->h.version >= 3 && !hole) {
		if (q->subclusters > 1)
			bitmap = UINT64_MAX << 32;
		else
			entry |= QL2_ZERO;
	}
	qmap_set_entry(q, s, index, entry, bitmap);
}

/* Some subclusters, from first to before end, of a cluster that is not
 * compressed. */
static void qzero_subclusters(struct qcow2 *q, struct qslice *s, unsigned index,
	unsigned first, unsigned end, enum qzero_how how)
{
	uint64_t bits =
		((UINT64_C(1) << end) - 1) & ~((UINT64_C(1) << first) - 1);
	uint64_t bitmap, entry = qmap_entry(q, s, index, &bitmap);

	bitmap = (bitmap & ~bits) | bits << 32;
	if (how == QZERO_UNMAP && !(bitmap & UINT32_MAX)) {
		qfree_entry(q, entry);
		entry = 0;
	}
	qmap_set_entry(q, s, index, entry, bitmap);
}

/* Is there nothing to be done for a run like this? */
static bool qzero_is_done(const struct qcow2 *q, const struct qmap *m,
	uint64_t offset, enum qzero_how how)
{
	if (m->kind == QMAP_ZERO)
		return how == QZERO_KEEP || !m->has_host;
	return m->kind == QMAP_NONE && !m->has_host &&
	       qwrite_unbacked(q, offset);
}

/* The cluster of offset, of which [offset, end) are whole units. */
static void qzero_entry(struct qcow2 *q, struct qslice *s, unsigned index,
	uint64_t offset, uint64_t end, enum qzero_how how)
{
	uint32_t in = (uint32_t)(offset & (q->cluster_size - 1));
	uint64_t n = end - (offset - in);

	if (!in && n == q->cluster_size)
		qzero_cluster(q, s, index, how);
	else
		qzero_subclusters(q, s, index, in / q->subcluster_size,
			(unsigned)(n / q->subcluster_size), how);
}

/*
 * A run of [offset, end), which are whole units in one slice's reach; meta
 * held. *next = how far that went. 0, -errno, or -EAGAIN when up to *next it
 * has to be written.
 */
static int qzero_map_run(struct qcow2 *q, uint64_t offset, uint64_t end,
	enum qzero_how how, uint64_t *next)
{
	uint64_t to = size_down(offset, q->cluster_size) + q->cluster_size;
	uint64_t run, stop;
	struct qslice *s;
	struct qmap m;
	unsigned index;
	int r = qmap_get(q, offset, end - offset, &m);

	if (r)
		return r;
	run = *next = offset + m.len;
	if (qzero_is_done(q, &m, offset, how))
		return 0;
	/* behind the end of the disk is nothing: to the cluster's end */
	if (end == q->h.size)
		end = size_up(end, q->cluster_size);
	if (run == q->h.size)
		run = end;
	stop = end < to ? end : to;
	*next = stop < q->h.size ? stop : q->h.size;
	if (m.kind == QMAP_COMPRESSED && stop - offset != q->cluster_size)
		return -EAGAIN;
	r = qmap_l2_for_write(q, offset, &s, &index);
	if (r)
		return r;
	qzero_entry(q, s, index, offset, stop, how);
	/* what is alike behind it */
	while (run - stop >= q->cluster_size && run > stop) {
		qzero_entry(q, s, ++index, stop, stop + q->cluster_size, how);
		stop += q->cluster_size;
	}
	*next = stop;
	qcache_put(&q->l2, s);
	return q->corrupt ? -EIO : 0;
}

/* In the data file too: zeros, where it is the raw image itself; or a hole.
 * meta held before and after, dropped meanwhile. */
static int qzero_data_file(struct qcow2 *q, uint64_t offset, uint64_t end,
	enum qzero_how how)
{
	bool raw = q->h.autoclear & QAUTOCLEAR_DATA_RAW;
	uint64_t stop = end < q->h.size ? end : q->h.size;
	struct qinflight flight;
	int r = 0;

	if (q->data == q->file || (!raw && how == QZERO_KEEP))
		return 0;
	qinflight_begin(q, &flight, size_down(offset, q->cluster_size),
		size_up(end, q->cluster_size));
	fiber_lock_drop(&q->meta);
	if (raw)
		r = node_zero(q->data, offset, stop - offset,
			how == QZERO_KEEP ? 0 : BLK_UNMAP);
	else
		(void)node_discard(q->data, offset, stop - offset); /* a hint */
	fiber_lock_take(&q->meta);
	qinflight_end(&flight);
	return r;
}

/* Whole units, one slice's reach at a time. */
static int qzero_map(struct qcow2 *q, uint64_t offset, uint64_t end,
	enum qzero_how how)
{
	int r = 0;

	while (offset < end && !r) {
		uint64_t stop = qwrite_slice_end(q, offset), next = offset;

		if (stop > end)
			stop = end;
		r = qwrite_enter(q, size_down(offset, q->cluster_size),
			size_up(stop, q->cluster_size));
		if (r)
			return r;
		r = qzero_data_file(q, offset, stop, how);
		while (offset < stop && !r) {
			r = qzero_map_run(q, offset, stop, how, &next);
			if (!r)
				offset = next;
		}
		fiber_lock_drop(&q->meta);
		if (r == -EAGAIN) {
			r = qzero_plain(q, offset, next - offset);
			offset = next;
		}
	}
	return r;
}

/* --- requests --- */

static int qzero_range(struct qcow2 *q, uint64_t offset, uint64_t len,
	enum qzero_how how)
{
	uint32_t unit = qzero_unit(q, how);
	uint64_t end = offset + len;
	uint64_t first = size_up(offset, unit), last = size_down(end, unit);
	int r = 0;

	if (end == q->h.size)
		last = size_up(end, unit);
	if (!qzero_can_map(q, how) || first >= last)
		return how == QZERO_DISCARD ? 0 : qzero_part(q, offset, len);
	if (how != QZERO_DISCARD && first > offset)
		r = qzero_part(q, offset, first - offset);
	if (!r)
		r = qzero_map(q, first, last < end ? last : end, how);
	if (!r && how != QZERO_DISCARD && last < end)
		r = qzero_part(q, last, end - last);
	return r;
}

static int qzero_job(struct qcow2 *q, struct blk_req *r)
{
	enum qzero_how how = QZERO_KEEP;

	if (r->op == BLK_DISCARD)
		how = QZERO_DISCARD;
	else if ((r->flags & BLK_UNMAP) && !q->opts.no_discard)
		how = QZERO_UNMAP;
	return qzero_range(q, r->offset, r->len, how);
}

void qzero_submit(struct qcow2 *q, struct blk_req *r)
{
	if (q->corrupt)
		node_done(r, -EIO);
	else if (r->op == BLK_DISCARD && q->opts.no_discard)
		node_done(r, 0);
	else
		qjob_start(q, r, qzero_job);
}
