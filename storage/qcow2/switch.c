/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Putting new tables in the place of the image's, and what goes before and
 * after it. See whole.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/qcow2/whole.h"

int qwhole_begin(struct qcow2 *q, struct err *e)
{
	int r;

	if (q->node.readonly)
		return err_set(e, EROFS, "%s: opened for reading only",
			q->node.path);
	if (q->corrupt || !q->active)
		return err_set(e, EIO,
			"%s: the image is damaged; repair it "
			"with `disk check --repair all`",
			q->node.path);
	r = qcow2_begin_writing(q);
	if (!r)
		r = qcommit_all(q);
	if (r)
		return err_sys(e, -r, "%s: writing what is in memory",
			q->node.path);
	return 0;
}

/* --- the header ----------------------------------------------------------- */

static int write_header(struct qcow2 *q, const struct qheader *h)
{
	int r = qheader_write_tables(q->file, h);

	return r ? r : node_flush(q->file);
}

int qwhole_write_header(struct qcow2 *q, const struct qheader *h)
{
	int r = write_header(q, h);

	if (!r) {
		q->h.size = h->size;
		q->h.l1_entries = h->l1_entries;
		q->h.l1_offset = h->l1_offset;
		q->h.rt_offset = h->rt_offset;
		q->h.rt_clusters = h->rt_clusters;
		q->h.nsnapshots = h->nsnapshots;
		q->h.snapshots_offset = h->snapshots_offset;
		return 0;
	}
	/* nobody knows which of the two the disk has; both are whole */
	if (write_header(q, &q->h)) {
		log_msg(q->node.log, LOG_ERROR,
			"%s: its header cannot be written (%s): the image is "
			"not written any more",
			q->node.path, strerror(-r));
		q->corrupt = true;
	}
	return r;
}

/* --- the L1 table --------------------------------------------------------- */

/* The new table is at host; all that it needs is in memory. */
static int enter_l1(struct qcow2 *q, uint64_t host, uint64_t *l1, uint32_t n,
	uint8_t *dirty)
{
	uint64_t was = q->h.l1_offset, bytes = (uint64_t)q->h.l1_entries * 8;
	struct qheader h = q->h;
	int r = qtree_write_l1(q, host, l1, n);

	if (!r)
		r = qcommit_all(q); /* syncs; its count is on disk then */
	if (r)
		return r;
	h.l1_offset = host;
	h.l1_entries = n;
	r = qwhole_write_header(q, &h);
	if (r)
		return r;
	qfree_later(q, was, bytes);
	free(q->l1);
	free(q->l1_dirty);
	q->l1 = l1;
	q->l1_dirty = dirty;
	q->l1_any_dirty = false;
	return 0;
}

int qwhole_switch_l1(struct qcow2 *q, const uint64_t *l1, uint32_t n)
{
	uint64_t *copy = calloc((size_t)n + 1, sizeof(*copy));
	uint8_t *dirty = calloc(1, qmap_l1_dirty_bytes(n));
	uint64_t clusters = qtree_l1_clusters(q, n), host = 0;
	int r = copy && dirty ? 0 : -ENOMEM;

	if (!r && clusters)
		r = qalloc_table(q, clusters, &host);
	if (!r) {
		memcpy(copy, l1, (size_t)n * sizeof(*copy));
		r = enter_l1(q, host, copy, n, dirty);
		if (r && !q->corrupt)
			(void)qfree_now(q, host, clusters << q->cluster_bits);
	}
	if (r) {
		free(copy);
		free(dirty);
	}
	return r;
}
