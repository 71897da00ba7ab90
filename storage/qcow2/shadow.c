/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counts and tables made beside those of the image; see whole.h.
 *
 * There are two refcount tables in memory meanwhile: q->rt, which is the
 * image's and by which clusters are found, and s->rt, where some blocks are
 * copies. A block that is not copied counts for both. The functions of
 * refcount.c work on the other table by exchanging the pointers around them;
 * meta is held, so nobody sees that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/whole.h"

#define QRANGES_MAX (UINT32_C(1) << 20) /* 16 MiB; see qshadow_drop() */

/* --- lists of ranges ------------------------------------------------------ */

int qranges_add(struct qranges *r, uint64_t cluster, uint64_t n)
{
	struct qrange *list = r->list;

	if (!n)
		return 0;
	if (list && r->n &&
		list[r->n - 1].cluster + list[r->n - 1].n == cluster) {
		list[r->n - 1].n += n;
		return 0;
	}
	if (!list || r->n == r->max) {
		uint32_t max = r->max ? 2 * r->max : 64;

		list = realloc(list, max * sizeof(*list));
		if (!list)
			return -ENOMEM;
		r->list = list;
		r->max = max;
	}
	list[r->n++] = (struct qrange){ cluster, n };
	return 0;
}

void qranges_fini(struct qranges *r)
{
	free(r->list);
	memset(r, 0, sizeof(*r));
}

/* --- two tables ----------------------------------------------------------- */

/* The other table is q->rt now. */
static void exchange(struct qshadow *s)
{
	uint64_t *rt = s->q->rt, n = s->q->rt_entries;

	s->q->rt = s->rt;
	s->q->rt_entries = s->entries;
	s->rt = rt;
	s->entries = n;
}

static bool is_copied(const struct qshadow *s, uint64_t i)
{
	const struct qcow2 *q = s->q;

	return i < s->entries && i < q->rt_entries && s->rt[i] != q->rt[i];
}

/* qref_add() in the copies alone: clusters whose block is none are counted
 * by the image's block already. */
static int add_in_copies(struct qshadow *s, uint64_t cluster, uint64_t n,
	int64_t delta)
{
	struct qcow2 *q = s->q;
	uint64_t k;
	int r = 0;

	for (; n && !r; cluster += k, n -= k) {
		uint64_t i = cluster >> q->rb_bits;

		k = ((i + 1) << q->rb_bits) - cluster;
		k = k < n ? k : n;
		if (!is_copied(s, i))
			continue;
		exchange(s);
		r = qref_add(q, cluster, k, delta);
		exchange(s);
	}
	return r;
}

/* The image's table got larger, or has new blocks: so has the other. */
static int follow(struct qshadow *s)
{
	struct qcow2 *q = s->q;

	if (s->entries < q->rt_entries) {
		uint64_t *rt = realloc(s->rt, q->rt_entries * 8);

		if (!rt)
			return -ENOMEM;
		memset(rt + s->entries, 0, (q->rt_entries - s->entries) * 8);
		s->rt = rt;
		s->entries = q->rt_entries;
	}
	list_each (it, &q->new_blocks) {
		uint64_t i = list_entry(it, struct qnew_block, node)->index;
		int r;

		if (s->rt[i])
			continue;
		s->rt[i] = q->rt[i];
		r = add_in_copies(s, q->rt[i] >> q->cluster_bits, 1, 1);
		if (r)
			return r;
	}
	return 0;
}

/* So that the cache stays in its bounds: increments of the image's counts and
 * all of the copies may reach the disk at any time. */
static int spill(struct qshadow *s)
{
	struct qcache *c = &s->q->rb;

	return c->ndirty > c->max / 2 ? qcache_write(c) : 0;
}

int qshadow_begin(struct qshadow *s, struct qcow2 *q)
{
	memset(s, 0, sizeof(*s));
	s->q = q;
	s->rt = malloc(q->rt_entries * 8);
	if (!s->rt)
		return -ENOMEM;
	memcpy(s->rt, q->rt, q->rt_entries * 8);
	s->entries = q->rt_entries;
	return 0;
}

int qshadow_table(struct qshadow *s, uint64_t n, uint64_t *host)
{
	struct qcow2 *q = s->q;
	uint64_t at;
	int r = qalloc_table(q, n, host), done;

	if (r)
		return r;
	at = *host >> q->cluster_bits;
	/* what was cached of this place is of another time */
	qcache_forget(&q->l2, *host, n << q->cluster_bits);
	/* both, so that there is no half of it to be taken back */
	r = follow(s);
	done = qranges_add(&s->made, at, n);
	if (!r && !done)
		r = add_in_copies(s, at, n, 1);
	if (done)
		(void)qfree_now(q, *host, n << q->cluster_bits);
	return r ? r : done;
}

/* --- counts --------------------------------------------------------------- */

/* The copy of block i is filled from memory, so it has what is not on disk. */
static int copy_slices(struct qshadow *s, uint64_t from, uint64_t to)
{
	struct qcow2 *q = s->q;
	struct qcache *c = &q->rb;
	int r = 0;

	for (uint64_t at = 0; at < q->cluster_size && !r;
		at += c->slice_bytes) {
		struct qslice *old, *new;

		r = qcache_get(c, from + at, &old);
		if (r)
			break;
		r = qcache_get_new(c, to + at, &new);
		if (!r) {
			memcpy(new->data, old->data, c->slice_bytes);
			qcache_mark_dirty(c, new);
			qcache_put(c, new);
		}
		qcache_put(c, old);
		if (!r)
			r = spill(s);
	}
	return r;
}

/* Let block i be a copy. */
static int copy_block(struct qshadow *s, uint64_t i)
{
	struct qcow2 *q = s->q;
	uint64_t from, to;
	int r;

	if (is_copied(s, i))
		return 0;
	r = qref_block(q, i, &from);
	if (!r && !from)
		r = -EIO; /* nothing that is in use is counted there */
	if (!r)
		r = qshadow_table(s, 1, &to);
	if (!r)
		r = copy_slices(s, from, to);
	if (!r)
		r = qranges_add(&s->old, from >> q->cluster_bits, 1);
	if (!r)
		s->rt[i] = to;
	return r;
}

/* Clusters of one block, in use, take delta. */
static int change(struct qshadow *s, uint64_t cluster, uint64_t n,
	int64_t delta)
{
	struct qcow2 *q = s->q;
	uint64_t used;
	int r = copy_block(s, cluster >> q->rb_bits);

	if (r)
		return r;
	exchange(s);
	r = qref_scan(q, cluster, n, true, &used);
	if (!r && used == n)
		r = qref_add(q, cluster, n, delta);
	exchange(s);
	if (!r && used < n) {
		cluster += used;
		qcow2_mark_corrupt(q, "cluster %llu is in use and not counted",
			(unsigned long long)cluster);
		r = -EIO;
	}
	return r ? r : spill(s);
}

int qshadow_add(struct qshadow *s, uint64_t cluster, uint64_t n)
{
	unsigned bits = s->q->rb_bits;
	uint64_t k;
	int r = 0;

	for (; n && !r; cluster += k, n -= k) {
		k = (((cluster >> bits) + 1) << bits) - cluster;
		k = k < n ? k : n;
		r = change(s, cluster, k, 1);
	}
	return r;
}

int qshadow_get(struct qshadow *s, uint64_t cluster, uint64_t *count)
{
	int r;

	exchange(s);
	r = qref_get(s->q, cluster, count);
	exchange(s);
	return r;
}

int qshadow_drop(struct qshadow *s, uint64_t cluster, uint64_t n)
{
	int r = 0;

	for (; n && !r; cluster++, n--) {
		uint64_t count;

		r = qshadow_get(s, cluster, &count);
		if (r)
			break;
		/* given up afterwards, it is also given back to the host; of
		 * very scattered ones those that are too many are not */
		if (count == 1 && s->old.n < QRANGES_MAX)
			r = qranges_add(&s->old, cluster, 1);
		else
			r = change(s, cluster, 1, -1);
	}
	return r;
}

/* --- the end -------------------------------------------------------------- */

static void fini(struct qshadow *s)
{
	free(s->rt);
	s->rt = NULL;
	qranges_fini(&s->made);
	qranges_fini(&s->old);
}

void qshadow_abort(struct qshadow *s)
{
	struct qcow2 *q = s->q;

	/* with their counts go what is cached of them */
	for (uint32_t i = 0; i < s->made.n && !q->corrupt; i++)
		(void)qfree_now(q, s->made.list[i].cluster << q->cluster_bits,
			s->made.list[i].n << q->cluster_bits);
	fini(s);
}

/*
 * When the image's own table has outgrown its place it gets another one with
 * the next commit: that is found now, so that the commit allocates nothing,
 * and is counted in the copies too.
 */
static int prepare_own(struct qshadow *s)
{
	struct qcow2 *q = s->q;
	uint64_t was = q->rt_new, n = q->rt_new_clusters;
	int r = qrt_prepare(q);

	if (!r)
		r = follow(s);
	if (r || (was == q->rt_new && n == q->rt_new_clusters))
		return r;
	r = add_in_copies(s, was >> q->cluster_bits, n, -1);
	if (!r)
		r = add_in_copies(s, q->rt_new >> q->cluster_bits,
			q->rt_new_clusters, 1);
	return r;
}

/* A place for the table that is to be. Finding one may make it larger. */
static int place_table(struct qshadow *s, struct qheader *h)
{
	struct qcow2 *q = s->q;
	int r = prepare_own(s);

	h->rt_clusters = 0;
	while (!r && h->rt_clusters != (s->entries * 8) >> q->cluster_bits) {
		uint64_t n = (s->entries * 8) >> q->cluster_bits;

		if (h->rt_clusters)
			r = qranges_add(&s->old,
				h->rt_offset >> q->cluster_bits,
				h->rt_clusters);
		if (!r)
			r = qshadow_table(s, n, &h->rt_offset);
		h->rt_clusters = (uint32_t)n;
		if (!r)
			r = prepare_own(s);
	}
	return r;
}

/* All counts to disk. The image's table may move by that. */
static int write_counts(struct qshadow *s)
{
	struct qcow2 *q = s->q;
	uint64_t was = q->h.rt_offset, n = q->h.rt_clusters;
	int r = qcommit_all(q);

	if (r || was == q->h.rt_offset)
		return r;
	r = add_in_copies(s, was >> q->cluster_bits, n, -1);
	return r ? r : qcommit_all(q);
}

static int write_table(struct qshadow *s, const struct qheader *h)
{
	uint64_t bytes = s->entries * 8;
	uint64_t *buf = malloc(bytes);
	int r;

	if (!buf)
		return -ENOMEM;
	for (uint64_t i = 0; i < s->entries; i++)
		put_be64(&buf[i], s->rt[i]);
	r = node_write(s->q->file, h->rt_offset, buf, bytes, 0);
	free(buf);
	return r ? r : node_flush(s->q->file);
}

/* It is done: what was replaced can go. */
static void give_up_old(struct qshadow *s, uint64_t table, uint64_t n)
{
	struct qcow2 *q = s->q;

	qfree_later(q, table, n << q->cluster_bits);
	for (uint32_t i = 0; i < s->old.n; i++)
		qfree_later(q, s->old.list[i].cluster << q->cluster_bits,
			s->old.list[i].n << q->cluster_bits);
	q->bytes_next = 0;
	qcache_forget(&q->l2, 0, UINT64_MAX);
}

int qshadow_commit(struct qshadow *s, struct qheader *h)
{
	struct qcow2 *q = s->q;
	uint64_t table, n;
	int r = place_table(s, h);

	if (!r)
		r = write_counts(s);
	if (!r)
		r = write_table(s, h);
	table = q->h.rt_offset;
	n = q->h.rt_clusters;
	if (!r)
		r = qwhole_write_header(q, h);
	if (r) {
		qshadow_abort(s);
		return r;
	}
	exchange(s);
	give_up_old(s, table, n);
	fini(s);
	return 0;
}
