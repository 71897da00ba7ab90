/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reference counts of host clusters, 1 to 64 bits wide. Specification: "Host
 * cluster management". The refcount table is in memory whole (rtable.c makes
 * and writes it), slices of the blocks are in q->rb. A place in the table
 * that cannot be marks the image corrupt when it is used, never before: the
 * repair must be able to open it.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/refs.h"

#define QREF_MAX_CACHE (UINT64_C(4) << 20)
#define QREF_MIN_CACHE (UINT64_C(128) << 10)

/* --- single counts --- */

static uint64_t qref_max(const struct qcow2 *q)
{
	return UINT64_MAX >> (64 - (1u << q->h.refcount_order));
}

static uint64_t qref_load(const uint8_t *p, unsigned order, unsigned i)
{
	unsigned bits = 1u << order, per = 8u >> order;

	switch (order) {
	case 3:
		return p[i];
	case 4:
		return get_be16(p + 2 * (size_t)i);
	case 5:
		return get_be32(p + 4 * (size_t)i);
	case 6:
		return get_be64(p + 8 * (size_t)i);
	default: /* several in a byte, the first in its low bits */
		return (p[i / per] >> (i % per * bits)) & ((1u << bits) - 1);
	}
}

static void qref_store(uint8_t *p, unsigned order, unsigned i, uint64_t v)
{
	unsigned bits = 1u << order, per = 8u >> order, shift, mask;

	switch (order) {
	case 3:
		p[i] = (uint8_t)v;
		break;
	case 4:
		put_be16(p + 2 * (size_t)i, (uint16_t)v);
		break;
	case 5:
		put_be32(p + 4 * (size_t)i, (uint32_t)v);
		break;
	case 6:
		put_be64(p + 8 * (size_t)i, v);
		break;
	default:
		shift = i % per * bits;
		mask = ((1u << bits) - 1) << shift;
		p[i / per] = (uint8_t)((p[i / per] & ~mask) | (v << shift));
	}
}

/* --- slices of blocks --- */

uint64_t qref_limit(const struct qcow2 *q)
{
	uint64_t table = (QCOW2_MAX_RT_BYTES / 8) << q->rb_bits;
	uint64_t entry = UINT64_C(1) << (56 - q->cluster_bits);

	return table < entry ? table : entry;
}

int qref_block(struct qcow2 *q, uint64_t i, uint64_t *host)
{
	uint64_t entry = i < q->rt_entries ? q->rt[i] : 0;

	*host = entry;
	if (!entry)
		return 0;
	if (!(entry & (q->cluster_size - 1)) &&
		entry >> q->cluster_bits < q->file_end)
		return 0;
	qcow2_mark_corrupt(q,
		"refcount table entry %llu is %#llx: no place where a refcount "
		"block can be",
		(unsigned long long)i, (unsigned long long)entry);
	return -EIO;
}

/* Counts of a slice: 1 << this. */
static unsigned qref_slice_bits(const struct qcow2 *q)
{
	return q->rb.slice_bits + 3 - q->h.refcount_order;
}

/*
 * The pinned slice with the count of cluster and the count's place in it;
 * *left = how many from it on the slice has. NULL where there is no block:
 * then *left reaches to the end of what the block would cover.
 */
static int qref_slice(struct qcow2 *q, uint64_t cluster, struct qslice **out,
	unsigned *i, uint64_t *left)
{
	uint64_t in = cluster & ((UINT64_C(1) << q->rb_bits) - 1);
	uint64_t n = UINT64_C(1) << qref_slice_bits(q), host;
	int r = qref_block(q, cluster >> q->rb_bits, &host);

	if (r)
		return r;
	*i = (unsigned)(in & (n - 1));
	*out = NULL;
	if (!host) {
		*left = (UINT64_C(1) << q->rb_bits) - in;
		return 0;
	}
	*left = n - *i;
	host += (in >> qref_slice_bits(q)) << q->rb.slice_bits;
	return qcache_get(&q->rb, host, out);
}

int qref_get(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
	struct qslice *s;
	uint64_t left;
	unsigned i;
	int r = qref_slice(q, cluster, &s, &i, &left);

	if (r)
		return r;
	*count = 0;
	if (s) {
		*count = qref_load(s->data, q->h.refcount_order, i);
		qcache_put(&q->rb, s);
	}
	return 0;
}

int qref_scan(struct qcow2 *q, uint64_t cluster, uint64_t max, bool used,
	uint64_t *n)
{
	*n = 0;
	while (*n < max) {
		struct qslice *s;
		uint64_t left, k = 0;
		unsigned i;
		int r = qref_slice(q, cluster + *n, &s, &i, &left);

		if (r)
			return r;
		if (left > max - *n)
			left = max - *n;
		if (!s && used)
			return 0;
		if (!s)
			k = left;
		else
			while (k < left &&
				!!qref_load(s->data, q->h.refcount_order,
					i + (unsigned)k) == used)
				k++;
		if (s)
			qcache_put(&q->rb, s);
		*n += k;
		if (k < left)
			return 0;
	}
	return 0;
}

/* --- changing --- */

/* A cluster that nothing refers to any more. */
static void qref_freed(struct qcow2 *q, uint64_t cluster)
{
	uint64_t host = cluster << q->cluster_bits;

	if (cluster < q->free_hint)
		q->free_hint = cluster;
	if (q->bytes_next && q->bytes_next >> q->cluster_bits == cluster)
		q->bytes_next = 0;
	if (!cluster || !qmeta_hits(q, host, q->cluster_size))
		return;
	qmeta_del(q, host, q->cluster_size);
	qcache_forget(&q->l2, host, q->cluster_size);
	qcache_forget(&q->rb, host, q->cluster_size);
}

/* Can all n counts from place i on take delta? */
static int qref_fits(const struct qcow2 *q, const struct qslice *s, unsigned i,
	uint64_t n, int64_t delta)
{
	uint64_t most = qref_max(q);

	for (uint64_t k = 0; k < n; k++) {
		uint64_t v = qref_load(s->data, q->h.refcount_order,
			i + (unsigned)k);

		if (delta < 0 && v < -(uint64_t)delta)
			return -EIO;
		if (delta > 0 && (v > most || (uint64_t)delta > most - v))
			return -ERANGE;
	}
	return 0;
}

/* The same for as many as one slice has: *done of them, all or none. */
static int qref_add_some(struct qcow2 *q, uint64_t cluster, uint64_t n,
	int64_t delta, uint64_t *done)
{
	unsigned order = q->h.refcount_order, i;
	struct qslice *s;
	uint64_t left;
	int r = qref_slice(q, cluster, &s, &i, &left);

	if (r)
		return r;
	if (!s)
		return -EIO; /* to be counted down from 0 */
	if (left > n)
		left = n;
	r = qref_fits(q, s, i, left, delta);
	for (uint64_t k = 0; !r && k < left; k++) {
		unsigned at = i + (unsigned)k;
		uint64_t v = qref_load(s->data, order, at) + (uint64_t)delta;

		qref_store(s->data, order, at, v);
		if (!v)
			qref_freed(q, cluster + k);
	}
	if (!r)
		qcache_mark_dirty(&q->rb, s);
	qcache_put(&q->rb, s);
	*done = left;
	return r;
}

int qref_add(struct qcow2 *q, uint64_t cluster, uint64_t n, int64_t delta)
{
	uint64_t done = 0, k, end;
	int r = 0;

	if (!n || !delta)
		return 0;
	if (!size_add(cluster, n, &end) || end > qref_limit(q))
		return delta < 0 ? -EIO : -ENOSPC;
	if (delta > 0)
		r = qrt_cover(q, cluster, n);
	while (!r && done < n) {
		r = qref_add_some(q, cluster + done, n - done, delta, &k);
		if (!r)
			done += k;
	}
	if (!r)
		return 0;
	/* back to what it was; those slices are dirty, so they are there */
	for (uint64_t undone = 0; undone < done; undone += k)
		if (qref_add_some(q, cluster + undone, done - undone, -delta,
			    &k))
			break;
	return r;
}

/* --- open and close --- */

static int qref_read_table(struct qcow2 *q, struct err *e)
{
	uint64_t bytes = (uint64_t)q->h.rt_clusters << q->cluster_bits;
	const char *path = q->file->path;
	int r;

	if (!bytes || bytes > QCOW2_MAX_RT_BYTES ||
		!size_in(q->h.rt_offset, bytes, q->file_end << q->cluster_bits))
		return err_set(e, EINVAL,
			"%s: the refcount table (%u clusters at %llu) does not "
			"fit into the image; the image is damaged",
			path, q->h.rt_clusters,
			(unsigned long long)q->h.rt_offset);
	q->rt = malloc(bytes);
	if (!q->rt)
		return err_sys(e, ENOMEM, "%s: the refcount table", path);
	r = node_read(q->file, q->h.rt_offset, q->rt, bytes);
	if (r)
		return err_sys(e, -r, "%s: reading the refcount table", path);
	q->rt_entries = bytes / 8;
	for (uint64_t i = 0; i < q->rt_entries; i++)
		q->rt[i] = get_be64(&q->rt[i]);
	return 0;
}

/* The tables are no place for data. */
static int qref_guard(struct qcow2 *q)
{
	uint64_t end = q->file_end << q->cluster_bits;
	int r = qmeta_add(q, q->h.rt_offset, q->rt_entries * 8);

	for (uint64_t i = 0; !r && i < q->rt_entries; i++)
		if (q->rt[i] && size_in(q->rt[i], 1, end))
			r = qmeta_add(q, size_down(q->rt[i], q->cluster_size),
				q->cluster_size);
	return r;
}

int qref_open(struct qcow2 *q, struct err *e)
{
	uint64_t counts, bytes;
	int r;

	list_init(&q->pending);
	list_init(&q->new_blocks);
	q->rb_bits = q->cluster_bits + 3 - q->h.refcount_order;
	q->file_end = node_size(q->file);
	q->file_end = (q->file_end >> q->cluster_bits) +
		      !!(q->file_end & (q->cluster_size - 1));
	q->fresh_from = q->file_end;
	q->free_hint = q->bytes_next = 0;
	q->rt_new = q->rt_new_clusters = 0;
	/* as much as an image needs that is as large as its disk */
	counts = q->file_end + (q->h.size >> q->cluster_bits);
	bytes = (counts << q->h.refcount_order) >> 3;
	bytes = bytes < QREF_MIN_CACHE ? QREF_MIN_CACHE : bytes;
	bytes = bytes > QREF_MAX_CACHE ? QREF_MAX_CACHE : bytes;
	r = qref_read_table(q, e);
	if (!r && !q->rb.hash)
		r = qcache_init(&q->rb, q, bytes);
	if (!r)
		r = qref_guard(q);
	if (r && (!e || !e->code))
		err_sys(e, -r, "%s: the refcounts", q->file->path);
	if (r)
		qref_close(q);
	return r;
}

void qref_close(struct qcow2 *q)
{
	struct list *n;

	while (q->pending.next && (n = list_pop(&q->pending)))
		free(list_entry(n, struct qpending, node));
	while (q->new_blocks.next && (n = list_pop(&q->new_blocks)))
		free(list_entry(n, struct qnew_block, node));
	qcache_fini(&q->rb);
	free(q->rt);
	q->rt = NULL;
	q->rt_entries = 0;
}
