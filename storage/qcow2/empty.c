/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Dropping clusters of the active image: all of them (empty, when a commit is
 * done with them), or those behind an offset (for resize). See whole.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/resize.h"
#include "storage/qcow2/whole.h"

/* --- behind an offset ----------------------------------------------------- */

/* All that L1 entry i refers to, which stays as it is. */
static int drop_table(struct qcow2 *q, uint64_t i)
{
	int r = qtree_free(q, q->l1[i]);

	if (r)
		return r;
	qcache_forget(&q->l2, q->l1[i] & QL1_OFFSET, q->cluster_size);
	qmap_set_l1(q, i, 0);
	return 0;
}

/* Entries from guest offset `from` on in the table that has it. */
static int drop_entries(struct qcow2 *q, uint64_t from)
{
	uint64_t span = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
	uint64_t end = size_up(from + 1, span);
	int r = 0;

	for (; from < end && !r; from += q->cluster_size) {
		uint64_t entry, bitmap, at, n;
		struct qslice *s;
		unsigned index;

		r = qmap_l2_for_write(q, from, &s, &index);
		if (r)
			return r;
		entry = qmap_entry(q, s, index, &bitmap);
		r = qtree_data(q, entry, &at, &n);
		if (!r && (entry || bitmap)) {
			qfree_later(q, at << q->cluster_bits,
				n << q->cluster_bits);
			qmap_set_entry(q, s, index, 0, 0);
		}
		qcache_put(&q->l2, s);
	}
	return r;
}

int qdrop_from(struct qcow2 *q, uint64_t from)
{
	unsigned shift = q->cluster_bits + q->l2_bits;
	uint64_t i = from >> shift;
	int r = 0;

	if (from & ((UINT64_C(1) << shift) - 1)) {
		if (i < q->h.l1_entries && q->l1[i])
			r = drop_entries(q, from);
		/* tables are read from disk below */
		if (!r)
			r = qcommit_all(q);
		i++;
	}
	for (; i < q->h.l1_entries && !r; i++) {
		if (!q->l1[i])
			continue;
		r = drop_table(q, i);
		if (!r)
			r = qcommit_if_full(q);
	}
	return r ? r : qcommit_all(q);
}

/* --- all ------------------------------------------------------------------ */

/* Bytes of a data file are nobody's then. */
static int empty_data(struct qcow2 *q)
{
	if (q->data == q->file)
		return 0;
	if (q->h.autoclear & QAUTOCLEAR_DATA_RAW)
		return node_zero(q->data, 0, q->h.size, BLK_UNMAP);
	(void)node_discard(q->data, 0, q->h.size); /* a hint */
	return 0;
}

static int empty(struct qcow2 *q)
{
	uint32_t n = q->h.l1_entries;
	uint64_t *none = calloc((size_t)n + 1, sizeof(*none));
	uint64_t *was = calloc((size_t)n + 1, sizeof(*was));
	int r = none && was ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < n && !r; i++)
		was[i] = q->l1[i];
	/* at once for whoever looks: nothing of it, or all */
	if (!r)
		r = qwhole_switch_l1(q, none, n);
	if (!r) {
		q->bytes_next = 0;
		qcache_forget(&q->l2, 0, UINT64_MAX);
	}
	for (uint32_t i = 0; i < n && !r; i++) {
		r = was[i] ? qtree_free(q, was[i]) : 0;
		if (!r)
			r = qcommit_if_full(q);
	}
	free(none);
	free(was);
	return r;
}

int qcow2_make_empty(struct node *n, struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	int r;

	fiber_lock_take(&q->meta);
	r = qwhole_begin(q, e);
	if (!r) {
		r = empty(q);
		if (!r)
			r = empty_data(q);
		if (!r)
			r = qcommit_all(q);
		if (!r)
			qwhole_trim(q);
		if (r)
			err_sys(e, -r, "%s: dropping its clusters", n->path);
	}
	fiber_lock_drop(&q->meta);
	return r;
}
