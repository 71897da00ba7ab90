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

#define QREF_SKIP_BYTES (256 * KiB)

/* --- single counts --- */

static uint64_t qref_max(const struct qcow2 *q)
{
	return UINT64_MAX >> (64 - (1u << q->h.refcount_order));
}

uint64_t qref_load(const uint8_t *p, unsigned order, uint64_t i)
{
	unsigned bits = 1u << order, per = 8u >> order;

	switch (order) {
	case 3:
		return p[i];
	case 4:
		return get_be16(p + 2 * i);
	case 5:
		return get_be32(p + 4 * i);
	case 6:
		return get_be64(p + 8 * i);
	default: /* several in a byte, the first in its low bits */
		return (p[i / per] >> (i % per * bits)) & ((1u << bits) - 1);
	}
}

void qref_store(uint8_t *p, unsigned order, uint64_t i, uint64_t v)
{
	unsigned bits = 1u << order, per = 8u >> order, shift, mask;

	switch (order) {
	case 3:
		p[i] = (uint8_t)v;
		break;
	case 4:
		put_be16(p + 2 * i, (uint16_t)v);
		break;
	case 5:
		put_be32(p + 4 * i, (uint32_t)v);
		break;
	case 6:
		put_be64(p + 8 * i, v);
		break;
	default:
		shift = (unsigned)(i % per) * bits;
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

/* Has none of a slice's counts the value 0? */
static bool qref_all_used(const struct qcow2 *q, const uint8_t *p)
{
	unsigned n = 1u << qref_slice_bits(q);

	for (unsigned i = 0; i < n; i++)
		if (!qref_load(p, q->h.refcount_order, i))
			return false;
	return true;
}

/*
 * Whole slices of a block, from the one with cluster on, that have nothing
 * free: how many clusters they count. They are read many at a time and past
 * the cache; an image that is full up to its end would take long, and push
 * out all that is needed, to be looked through slice by slice. 0 = none, or
 * it is not worth it; never an error, the usual way meets that again.
 */
static uint64_t qref_skip(struct qcow2 *q, uint64_t cluster)
{
	uint64_t in = cluster & ((UINT64_C(1) << q->rb_bits) - 1);
	uint64_t at = (in >> qref_slice_bits(q)) << q->rb.slice_bits;
	uint64_t len = q->cluster_size - at, n = 0, host;
	uint8_t *buf;

	if (len < 2 * q->rb.slice_bytes ||
		qref_block(q, cluster >> q->rb_bits, &host) || !host ||
		qcache_peek(&q->rb, host + at))
		return 0;
	if (len > QREF_SKIP_BYTES)
		len = QREF_SKIP_BYTES;
	buf = malloc(len);
	if (!buf || node_read(q->file, host + at, buf, len))
		len = 0;
	for (uint64_t i = 0; i < len; i += q->rb.slice_bytes) {
		const struct qslice *s = qcache_peek(&q->rb, host + at + i);

		if (!qref_all_used(q, s ? s->data : buf + i))
			break;
		n += UINT64_C(1) << qref_slice_bits(q);
	}
	free(buf);
	return n;
}

/* How many of the slice's counts from place i on, at most n, are so? */
static uint64_t qref_run(const struct qcow2 *q, const struct qslice *s,
	unsigned i, uint64_t n, bool used)
{
	uint64_t k = 0;

	while (k < n && !!qref_load(s->data, q->h.refcount_order,
				i + (unsigned)k) == used)
		k++;
	return k;
}

int qref_scan(struct qcow2 *q, uint64_t cluster, uint64_t max, bool used,
	uint64_t *n)
{
	*n = 0;
	while (*n < max) {
		struct qslice *s;
		uint64_t left, k;
		unsigned i;
		int r;

		k = 0;
		if (used && !((cluster + *n) &
				    ((UINT64_C(1) << qref_slice_bits(q)) - 1)))
			k = qref_skip(q, cluster + *n);
		if (k) {
			*n = k < max - *n ? *n + k : max;
			continue;
		}
		r = qref_slice(q, cluster + *n, &s, &i, &left);
		if (r)
			return r;
		if (left > max - *n)
			left = max - *n;
		k = s ? qref_run(q, s, i, left, used) : used ? 0 : left;
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
