/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See snapshot_change.h. */
#include "storage/qcow2/snapshot_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

int qchange_begin(struct qsnap_change *c, struct qcow2 *q, struct err *e)
{
	int r;

	memset(c, 0, sizeof(*c));
	c->q = q;
	if (q->h.incompatible & QINCOMPAT_DATA_FILE)
		return err_set(e, ENOTSUP,
			"%s: an image with a data file "
			"cannot have snapshots",
			q->node.path);
	r = qwhole_begin(q, e);
	if (r)
		return r;
	c->h = q->h;
	c->snaps_bytes = q->snaps_bytes;
	c->buf = malloc(q->cluster_size);
	r = c->buf ? qshadow_begin(&c->s, q) : -ENOMEM;
	if (!r)
		return 0;
	free(c->buf);
	err_sys(e, -r, "%s", q->node.path);
	return r;
}

int qchange_fail(struct qsnap_change *c, int r, const char *what, struct err *e)
{
	qshadow_abort(&c->s);
	free(c->l1);
	free(c->buf);
	if (r == -ERANGE)
		err_set(e, ERANGE,
			"%s: its refcounts of %u bits cannot "
			"count one more user of a cluster: delete snapshots, "
			"or convert the image with wider refcounts",
			c->q->node.path, 1u << c->q->h.refcount_order);
	else if (r == -EIO && c->q->corrupt)
		err_set(e, EIO,
			"%s: the image is damaged: repair it "
			"with `disk check --repair all`",
			c->q->node.path);
	else
		err_sys(e, -r, "%s: %s", c->q->node.path, what);
	return r;
}

int qchange_add_data(struct qsnap_change *c)
{
	uint64_t first = 0, n = 0;
	int r = 0;

	for (unsigned i = 0; i < qtree_entries(c->q) && !r; i++) {
		uint64_t at, k;

		r = qtree_data(c->q, qtree_entry(c->q, c->buf, i), &at, &k);
		if (r || !k)
			continue;
		if (n && first + n == at) {
			n += k;
			continue;
		}
		r = qshadow_add(&c->s, first, n);
		first = at;
		n = k;
	}
	return r ? r : qshadow_add(&c->s, first, n);
}

bool qchange_clear_copied(struct qsnap_change *c)
{
	bool was = false;

	for (unsigned i = 0; i < qtree_entries(c->q); i++) {
		uint64_t v = qtree_entry(c->q, c->buf, i);

		if (!(v & QL2_COPIED))
			continue;
		was = true;
		put_be64(c->buf + (size_t)i * c->q->l2_entry_bytes,
			v & ~QL2_COPIED);
	}
	return was;
}

int qchange_write_l2(struct qsnap_change *c, uint64_t *host)
{
	int r = qshadow_table(&c->s, 1, host);

	if (r)
		return r;
	return node_write(c->q->file, *host, c->buf, c->q->cluster_size, 0);
}

int qchange_write_l1(struct qsnap_change *c, const uint64_t *l1, uint32_t n,
	uint64_t *host)
{
	int r;

	*host = 0;
	if (!n)
		return 0;
	r = qshadow_table(&c->s, qtree_l1_clusters(c->q, n), host);
	return r ? r : qtree_write_l1(c->q, *host, l1, n);
}

int qchange_end_table(struct qsnap_change *c, uint64_t host, uint64_t len)
{
	unsigned bits = c->q->cluster_bits;

	if (!len)
		return 0;
	return qranges_add(&c->s.old, host >> bits,
		(len + c->q->cluster_size - 1) >> bits);
}

int qchange_active(struct qsnap_change *c, uint32_t n)
{
	int r = qchange_write_l1(c, c->l1, n, &c->h.l1_offset);

	c->h.l1_entries = n;
	if (!r)
		r = qchange_end_table(c, c->q->h.l1_offset,
			(uint64_t)c->q->h.l1_entries * 8);
	return r;
}

int qchange_list(struct qsnap_change *c, const struct qsnap *list, uint32_t n)
{
	struct qcow2 *q = c->q;
	uint64_t len, host = 0;
	uint8_t *buf;
	int r = qsnaps_pack(list, n, &buf, &len);

	if (!r && n)
		r = qshadow_table(&c->s,
			(len + q->cluster_size - 1) >> q->cluster_bits, &host);
	if (!r && n)
		r = node_write(q->file, host, buf, len, 0);
	free(buf);
	c->h.snapshots_offset = host;
	c->h.nsnapshots = n;
	c->snaps_bytes = len;
	return r ? r
		 : qchange_end_table(c, q->h.snapshots_offset, q->snaps_bytes);
}

int qchange_commit(struct qsnap_change *c, struct err *e)
{
	struct qcow2 *q = c->q;
	uint64_t *l1 = c->l1;
	uint8_t *dirty = calloc(1, qmap_l1_dirty_bytes(c->h.l1_entries));
	int r;

	if (!dirty)
		return qchange_fail(c, -ENOMEM, "snapshots", e);
	r = qshadow_commit(&c->s, &c->h);
	if (r) {
		free(dirty);
		return qchange_fail(c, r, "writing its snapshots", e);
	}
	if (l1) {
		free(q->l1);
		free(q->l1_dirty);
		q->l1 = l1;
		q->l1_dirty = dirty;
		q->l1_any_dirty = false;
	} else {
		free(dirty);
	}
	q->snaps_bytes = c->snaps_bytes;
	free(c->buf);
	return 0;
}

void qchange_finish(struct qcow2 *q)
{
	static struct log_limit limit;
	int r = qcommit_all(q);

	if (r)
		log_limited(q->node.log, &limit, LOG_WARN,
			"%s: giving up what is no longer needed: %s; see `disk "
			"check --repair leaks`",
			q->node.path, strerror(-r));
}
