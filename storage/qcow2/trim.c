/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making the file shorter when its end is no longer in use. Refcount blocks
 * that count nothing but themselves go first: they lie among what they count.
 * See whole.h.
 */
#include "storage/qcow2/whole.h"

/* Does block i count nothing, or only itself? */
static bool counts_nothing(struct qcow2 *q, uint64_t i)
{
	uint64_t first = i << q->rb_bits, n = UINT64_C(1) << q->rb_bits;
	uint64_t own = q->rt[i] >> q->cluster_bits, k, count;

	if (qref_scan(q, first, n, false, &k))
		return false;
	if (k == n)
		return true;
	if (first + k != own || qref_get(q, own, &count) || count != 1)
		return false;
	n -= k + 1;
	return !n || (!qref_scan(q, own + 1, n, false, &k) && k == n);
}

/* False = it could not be. */
static bool drop_block(struct qcow2 *q, uint64_t i)
{
	uint64_t host = q->rt[i], own = host >> q->cluster_bits;

	if (qrt_drop(q, i))
		return false;
	if (own >> q->rb_bits == i) {
		qmeta_del(q, host, q->cluster_size);
		qcache_forget(&q->rb, host, q->cluster_size);
		if (own < q->free_hint)
			q->free_hint = own;
	}
	/* else another block counts it */
	if (own >> q->rb_bits != i)
		(void)qfree_now(q, host, q->cluster_size);
	return true;
}

static void drop_blocks(struct qcow2 *q)
{
	for (uint64_t i = q->rt_entries; i-- > 1;)
		if (q->rt[i] && (!counts_nothing(q, i) || !drop_block(q, i)))
			return;
}

void qwhole_trim(struct qcow2 *q)
{
	uint64_t end = q->file_end, count = 0, bytes;

	/* nothing is dirty, so the table is on disk as it is here */
	if (qrt_is_dirty(q))
		return;
	drop_blocks(q);
	if (qcommit_all(q))
		return;
	while (end > 1 && !qref_get(q, end - 1, &count) && !count)
		end--;
	bytes = end << q->cluster_bits;
	/* a block device stays as it is; so does what cannot be cut */
	if (end == q->file_end || node_size(q->file) <= bytes ||
		node_resize(q->file, bytes, NODE_PREALLOC_OFF, NULL))
		return;
	q->file_end = end;
}
