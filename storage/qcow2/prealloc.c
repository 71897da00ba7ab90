/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Places for clusters that the guest has not written yet, when an image grows
 * with preallocation. They read as zeros: metadata leaves holes in the file,
 * falloc reserves the room, full writes it.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/resize.h"
#include "storage/qcow2/write.h"

#define PIECE MiB /* of zeros that are written at once */

static int write_zeros(struct node *n, uint64_t at, uint64_t len)
{
	uint8_t *buf = calloc(1, PIECE);
	int r = buf ? 0 : -ENOMEM;

	for (uint64_t k; len && !r; at += k, len -= k) {
		k = len < PIECE ? len : PIECE;
		r = node_write(n, at, buf, k, 0);
	}
	free(buf);
	return r;
}

/* Clusters of the file that were just allocated. */
static int fill(struct qcow2 *q, uint64_t host, uint64_t len, bool fresh,
	enum qcow2_prealloc how)
{
	uint64_t end = host + len;

	if (how == QCOW2_PREALLOC_FULL)
		return write_zeros(q->file, host, len);
	if (how == QCOW2_PREALLOC_FALLOC)
		return node_zero(q->file, host, len, 0);
	if (!fresh)
		return node_zero(q->file, host, len, BLK_UNMAP);
	/* what the map refers to must be in the file */
	if (end <= node_size(q->file))
		return 0;
	return node_resize(q->file, end, NODE_PREALLOC_OFF, NULL);
}

/* Entries of clusters that have no place get one of a run from host on. */
static void enter(struct qcow2 *q, struct qslice *s, unsigned index, uint64_t n,
	uint64_t host)
{
	for (uint64_t i = 0; i < n; i++) {
		unsigned at = index + (unsigned)i;
		uint64_t bitmap;

		(void)qmap_entry(q, s, at, &bitmap);
		/* what is zero there stays so */
		qmap_set_entry(q, s, at,
			(host + (i << q->cluster_bits)) | QL2_COPIED, bitmap);
	}
}

/* How many of n entries from index on have no place, or all have one? */
static uint64_t alike(const struct qcow2 *q, const struct qslice *s,
	unsigned index, uint64_t n, bool *have)
{
	uint64_t k;

	for (k = 0; k < n; k++) {
		uint64_t bitmap;
		uint64_t entry = qmap_entry(q, s, index + (unsigned)k, &bitmap);
		bool has = entry & (QL2_OFFSET | QL2_COPIED | QL2_COMPRESSED);

		if (!k)
			*have = has;
		else if (has != *have)
			break;
	}
	return k;
}

/* Up to n clusters that read as zeros: *got of them at *host. */
static int place(struct qcow2 *q, uint64_t n, enum qcow2_prealloc how,
	uint64_t *host, uint64_t *got)
{
	bool fresh;
	int r = qalloc_clusters(q, n, 0, host, got);

	if (r)
		return r;
	fresh = qalloc_is_fresh(q, *host);
	r = fill(q, *host, *got << q->cluster_bits, fresh, how);
	if (r)
		(void)qfree_now(q, *host, *got << q->cluster_bits);
	return r;
}

/* Some of [from, to), which one slice has. *done = bytes. meta held. */
static int some(struct qcow2 *q, uint64_t from, uint64_t to,
	enum qcow2_prealloc how, uint64_t *done)
{
	uint64_t n = (to - from) >> q->cluster_bits, host = from, got = n;
	struct qslice *s;
	unsigned index;
	bool have = false;
	int r = qmap_l2_for_write(q, from, &s, &index);

	if (r)
		return r;
	n = got = alike(q, s, index, n, &have);
	if (!have && q->data == q->file)
		r = place(q, n, how, &host, &got);
	if (!r && !have)
		enter(q, s, index, got, host);
	qcache_put(&q->l2, s);
	*done = got << q->cluster_bits;
	return r;
}

int qprealloc(struct qcow2 *q, uint64_t from, uint64_t to,
	enum qcow2_prealloc how)
{
	int r = 0;

	from = size_up(from, q->cluster_size);
	to = size_up(to, q->cluster_size);
	while (from < to && !r) {
		uint64_t stop = qwrite_slice_end(q, from), done;

		stop = stop < to ? stop : to;
		r = qwrite_enter(q, from, stop);
		if (r)
			return r;
		r = some(q, from, stop, how, &done);
		fiber_lock_drop(&q->meta);
		if (!r)
			from += done;
	}
	return r;
}
