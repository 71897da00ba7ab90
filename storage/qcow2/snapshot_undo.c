/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Deleting a snapshot, and going back to one. What a snapshot refers to is
 * counted down; then COPIED flags of the active tables follow the counts. See
 * snapshot_change.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/snapshot_change.h"

/* --- delete --------------------------------------------------------------- */

/* One reference less to the table of a snapshot's L1 entry and to its data. */
static int drop_table(struct qsnap_change *c, uint64_t l1_entry)
{
	uint64_t table;
	int r = qtree_read(c->q, l1_entry, c->buf, &table);

	for (unsigned i = 0; i < qtree_entries(c->q) && table && !r; i++) {
		uint64_t at, n;

		r = qtree_data(c->q, qtree_entry(c->q, c->buf, i), &at, &n);
		if (!r)
			r = qshadow_drop(&c->s, at, n);
	}
	if (!r && table)
		r = qshadow_drop(&c->s, table >> c->q->cluster_bits, 1);
	return r;
}

/* Do the COPIED flags of the table in c->buf follow the counts? They do then;
 * *changed = they did not. */
static int mend_copied(struct qsnap_change *c, bool *changed)
{
	for (unsigned i = 0; i < qtree_entries(c->q); i++) {
		uint64_t v = qtree_entry(c->q, c->buf, i), at, n, count;
		int r;

		if (v & QL2_COMPRESSED)
			continue;
		r = qtree_data(c->q, v, &at, &n);
		if (!r && n)
			r = qshadow_get(&c->s, at, &count);
		if (r)
			return r;
		if (!n || (count == 1) == !!(v & QL2_COPIED))
			continue;
		*changed = true;
		put_be64(c->buf + (size_t)i * c->q->l2_entry_bytes,
			v ^ QL2_COPIED);
	}
	return 0;
}

/* Active L1 entry i, now that there are fewer users of what it refers to. */
static int mend_table(struct qsnap_change *c, uint32_t i)
{
	bool changed = false;
	uint64_t table, copy = 0, count;
	int r = qtree_read(c->q, c->q->l1[i], c->buf, &table);

	c->l1[i] = c->q->l1[i];
	if (r || !table)
		return r;
	r = qshadow_get(&c->s, table >> c->q->cluster_bits, &count);
	if (r)
		return r;
	c->l1[i] = count == 1 ? table | QL1_COPIED : table;
	/* who shares a table shares what it refers to */
	if (count != 1)
		return 0;
	r = mend_copied(c, &changed);
	if (r || !changed)
		return r;
	r = qchange_write_l2(c, &copy);
	if (!r)
		r = qshadow_drop(&c->s, table >> c->q->cluster_bits, 1);
	c->l1[i] = copy | QL1_COPIED;
	return r;
}

static int mend_active(struct qsnap_change *c)
{
	uint32_t n = c->q->h.l1_entries;
	int r = 0;

	c->l1 = calloc((size_t)n + 1, sizeof(*c->l1));
	if (!c->l1)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !r; i++)
		r = mend_table(c, i);
	if (r)
		return r;
	if (memcmp(c->l1, c->q->l1, (size_t)n * 8) != 0)
		return qchange_active(c, n);
	free(c->l1);
	c->l1 = NULL;
	return 0;
}

static int drop_tree(struct qsnap_change *c, const struct qsnap *s)
{
	uint64_t *l1;
	int r = qtree_read_l1(c->q, s->l1_offset, s->l1_entries, &l1);

	if (r)
		return r;
	for (uint32_t i = 0; i < s->l1_entries && !r; i++)
		r = drop_table(c, l1[i]);
	free(l1);
	return r ? r
		 : qchange_end_table(c, s->l1_offset,
			   (uint64_t)s->l1_entries * 8);
}

int qsnap_delete_at(struct qcow2 *q, uint32_t at, struct err *e)
{
	struct qsnap gone, *list = q->snaps;
	struct qsnap_change c;
	int r = qchange_begin(&c, q, e);

	if (r)
		return r;
	gone = list[at];
	/* the table without it; it comes back when this fails */
	memmove(list + at, list + at + 1, (q->nsnaps - at - 1) * sizeof(*list));
	r = drop_tree(&c, &gone);
	if (!r)
		r = mend_active(&c);
	if (!r)
		r = qchange_list(&c, list, q->nsnaps - 1);
	r = r ? qchange_fail(&c, r, "deleting a snapshot", e)
	      : qchange_commit(&c, e);
	if (r) {
		memmove(list + at + 1, list + at,
			(q->nsnaps - at - 1) * sizeof(*list));
		list[at] = gone;
		return r;
	}
	free(gone.raw);
	q->nsnaps--;
	return 0;
}

/* --- revert --------------------------------------------------------------- */

/* Active L1 entry i is to be what the snapshot has. */
static int take_table(struct qsnap_change *c, uint32_t i, uint64_t l1_entry)
{
	uint64_t table, copy = 0;
	int r = qtree_read(c->q, l1_entry, c->buf, &table);

	c->l1[i] = table;
	if (r || !table)
		return r;
	if (qchange_clear_copied(c)) {
		/* flags of inactive tables mean nothing: a table of its own */
		r = qchange_write_l2(c, &copy);
		c->l1[i] = copy | QL1_COPIED;
	} else {
		r = qshadow_add(&c->s, table >> c->q->cluster_bits, 1);
	}
	return r ? r : qchange_add_data(c);
}

static int revert_tables(struct qsnap_change *c, const struct qsnap *s)
{
	uint64_t need = qtree_l1_need(c->q, c->h.size), *l1;
	uint32_t n = s->l1_entries;
	int r;

	if (need > QCOW2_MAX_L1_BYTES / 8)
		return -EFBIG;
	n = n < need ? (uint32_t)need : n;
	r = qtree_read_l1(c->q, s->l1_offset, s->l1_entries, &l1);
	if (r)
		return r;
	c->l1 = calloc((size_t)n + 1, sizeof(*c->l1));
	r = c->l1 ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < s->l1_entries && !r; i++)
		r = take_table(c, i, l1[i]);
	free(l1);
	return r ? r : qchange_active(c, n);
}

int qsnap_revert_to(struct qcow2 *q, const struct qsnap *s, struct err *e)
{
	struct qsnap_change c;
	int r = qchange_begin(&c, q, e);

	if (r)
		return r;
	c.h.size = size_down(s->s.size, 512);
	/* down before up, so that narrow counts do */
	for (uint32_t i = 0; i < q->h.l1_entries && !r; i++)
		r = drop_table(&c, q->l1[i]);
	if (!r)
		r = revert_tables(&c, s);
	return r ? qchange_fail(&c, r, "reverting to a snapshot", e)
		 : qchange_commit(&c, e);
}
