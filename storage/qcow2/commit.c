/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Metadata goes to disk in qcommit(), in the order that impl.h gives; and
 * what is given up is counted down after it.
 *
 * A write or sync that fails leaves memory as it is and all of it dirty: what
 * was written since the last sync that worked is held and marked again, for
 * nobody knows what of it the disk has. So the next commit does it anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/refs.h"

/* --- giving up --- */

int qfree_now(struct qcow2 *q, uint64_t host, uint64_t len)
{
	uint64_t first = host >> q->cluster_bits, last;

	if (!len)
		return 0;
	last = (host + len - 1) >> q->cluster_bits;
	return qref_add(q, first, last - first + 1, -1);
}

void qfree_later(struct qcow2 *q, uint64_t host, uint64_t len)
{
	uint64_t start = size_down(host, q->cluster_size);
	uint64_t end = size_up(host + len, q->cluster_size);
	static struct log_limit limit;
	struct qpending *p;

	if (!len)
		return;
	if (!list_empty(&q->pending)) {
		p = list_entry(q->pending.prev, struct qpending, node);
		if (!p->durable && p->epoch == q->epoch &&
			p->host + p->len == start) {
			p->len += end - start;
			return;
		}
	}
	p = malloc(sizeof(*p));
	if (!p) {
		log_limited(q->node.log, &limit, LOG_WARN,
			"%s: no memory to note what is free; check --repair "
			"leaks will find it",
			q->file->path);
		return;
	}
	*p = (struct qpending){ .host = start,
		.len = end - start,
		.epoch = q->epoch };
	list_add_tail(&q->pending, &p->node);
}

void qfree_entry(struct qcow2 *q, uint64_t entry)
{
	uint64_t host = entry & QL2_OFFSET;
	uint32_t len = q->cluster_size;

	if (entry & QL2_COMPRESSED) {
		if (!qmap_compressed(q, entry, &host, &len))
			return;
	} else if (!host || q->data != q->file) {
		return;
	}
	if (qmeta_hits(q, host, len))
		qcow2_mark_corrupt(q, "data at %#llx lies in a table",
			(unsigned long long)host);
	else
		qfree_later(q, host, len);
}

/* A run of clusters that are free now, to be given back to the host. */
struct qhole {
	uint64_t start, n; /* clusters */
};

static void qhole_end(struct qcow2 *q, struct qhole *h)
{
	if (h->n && !q->opts.no_discard)
		(void)node_discard(q->file, h->start << q->cluster_bits,
			h->n << q->cluster_bits); /* a hint */
	h->n = 0;
}

/*
 * Count down what p gave up. meta is held, so what gets free here is not
 * used before its hole is made. False = a count could not be read: the rest
 * stays in p for the next time.
 */
static bool qpending_free(struct qcow2 *q, struct qpending *p)
{
	static struct log_limit limit;
	struct qhole hole = { 0 };
	uint64_t count;

	while (p->len) {
		uint64_t cluster = p->host >> q->cluster_bits;

		if (qref_get(q, cluster, &count))
			break;
		p->host += q->cluster_size;
		p->len -= q->cluster_size;
		if (qref_add(q, cluster, 1, -1))
			log_limited(q->node.log, &limit, LOG_WARN,
				"%s: cluster %llu was in use and not counted: "
				"its refcounts are wrong, see disk check",
				q->file->path, (unsigned long long)cluster);
		if (count != 1) {
			qhole_end(q, &hole);
			continue;
		}
		if (!hole.n++)
			hole.start = cluster;
	}
	qhole_end(q, &hole);
	return !p->len;
}

/* Is nobody left who may still use what was given up in p's epoch? */
static bool qpending_is_free(const struct qcow2 *q, const struct qpending *p)
{
	unsigned age = q->epoch - p->epoch;

	if (!p->durable)
		return false;
	if (age > 1)
		return true;
	return !q->direct[p->epoch & 1] &&
	       (age == 1 || !q->direct[(p->epoch + 1) & 1]);
}

static void qpending_release(struct qcow2 *q)
{
	/* who begins now counts in the other epoch, when that is empty */
	if (!q->direct[(q->epoch + 1) & 1])
		q->epoch++;
	list_each_safe (it, tmp, &q->pending) {
		struct qpending *p = list_entry(it, struct qpending, node);

		if (!qpending_is_free(q, p) || !qpending_free(q, p))
			continue;
		list_del(it);
		free(p);
	}
}

/* --- what was written, until it is durable --- */

struct qheld {
	struct qcache *c;
	struct qslice **slices;
	uint32_t n;
};

/* Hold what is dirty in c. 0 or -ENOMEM. */
static int qheld_take(struct qheld *h, struct qcache *c)
{
	*h = (struct qheld){ .c = c };
	if (!c->ndirty)
		return 0;
	h->slices = calloc(c->ndirty, sizeof(struct qslice *));
	if (!h->slices)
		return -ENOMEM;
	/* dirty ones are there: no waiting, and the list stays as it is */
	list_each (it, &c->dirty) {
		struct qslice *s = list_entry(it, struct qslice, lru);

		if (!qcache_get(c, s->offset, &h->slices[h->n]))
			h->n++;
	}
	return 0;
}

static void qheld_drop(struct qheld *h, bool durable)
{
	for (uint32_t i = 0; i < h->n; i++) {
		if (!durable)
			qcache_mark_dirty(h->c, h->slices[i]);
		qcache_put(h->c, h->slices[i]);
	}
	free(h->slices);
	*h = (struct qheld){ .c = h->c };
}

/* --- the commit --- */

static int qcommit_sync(struct qcow2 *q)
{
	int r = 0;

	if (q->data != q->file)
		r = node_flush(q->data);
	return r ? r : node_flush(q->file);
}

/* Step 1, with refcounts or (lazy) only what data needs. */
static int qcommit_refs(struct qcow2 *q, bool refs)
{
	struct qheld held = { 0 };
	int r = 0;

	if (refs)
		r = qrt_prepare(q);
	if (!r && refs)
		r = qheld_take(&held, &q->rb);
	if (!r && refs)
		r = qcache_write(&q->rb);
	if (!r)
		r = qcommit_sync(q);
	qheld_drop(&held, !r);
	if (!r && refs)
		r = qrt_write(q);
	return r;
}

/* Step 2. */
static int qcommit_map(struct qcow2 *q)
{
	size_t n = qmap_l1_dirty_bytes(q->h.l1_entries);
	uint8_t *l1 = NULL;
	struct qheld held;
	int r;

	if (q->l1_any_dirty) {
		l1 = malloc(n);
		if (!l1)
			return -ENOMEM;
		memcpy(l1, q->l1_dirty, n);
	}
	r = qheld_take(&held, &q->l2);
	if (!r)
		r = qcache_write(&q->l2);
	if (!r && l1)
		r = qmap_write_l1(q);
	if (!r)
		r = node_flush(q->file);
	qheld_drop(&held, !r);
	for (size_t i = 0; r && l1 && i < n; i++)
		q->l1_dirty[i] |= l1[i];
	if (r && l1)
		q->l1_any_dirty = true;
	free(l1);
	return r;
}

/* lazy: refcounts may stay behind, the dirty bit has them made anew. */
static int qcommit_do(struct qcow2 *q, bool lazy)
{
	uint64_t ticket = ++q->commits_begun;
	int r;

	if (q->corrupt)
		return -EIO;
	qpending_release(q);
	lazy = lazy && q->rb.ndirty <= q->rb.max / 2;
	r = qcommit_refs(q, !lazy);
	if (!r && (q->l2.ndirty || q->l1_any_dirty))
		r = qcommit_map(q);
	if (r)
		return r;
	list_each (it, &q->pending)
		list_entry(it, struct qpending, node)->durable = true;
	qpending_release(q);
	q->commits_ok = ticket;
	return 0;
}

int qcommit(struct qcow2 *q)
{
	return qcommit_do(q, q->h.compatible & QCOMPAT_LAZY);
}

int qcommit_if_full(struct qcow2 *q)
{
	if (q->l2.ndirty <= q->l2.max / 2 && q->rb.ndirty <= q->rb.max / 2)
		return 0;
	return qcommit(q);
}

int qcommit_all(struct qcow2 *q)
{
	int r = 0;

	/* each round frees what the one before gave up, which dirties counts;
	 * moving the table frees its old place */
	for (int i = 0; i < 4 && !r; i++) {
		r = qcommit_do(q, false);
		if (!q->rb.ndirty && !q->l2.ndirty && !q->l1_any_dirty &&
			!qrt_is_dirty(q) && list_empty(&q->pending))
			break;
	}
	return r;
}
