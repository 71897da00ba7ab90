/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The refcount table: new blocks, and growth. A block is made where its first
 * clusters are needed and, when it can, counts itself. It is in the table in
 * memory at once; on disk it is entered in qcommit(), after its counts.
 *
 * The table in memory may be larger than the one on disk. Then qcommit()
 * writes it to a new place, makes that durable, then the header, and only
 * then gives up the old place. Until then nothing on disk refers to what only
 * the new one counts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/refs.h"

#define QREF_MAX_CACHE (4 * MiB)
#define QREF_MIN_CACHE (128 * KiB)
#define QRT_PIECE      512u /* what is written of the table for a new entry */

/* --- blocks --- */

/* Make the table in memory hold entry i. */
static int qrt_reserve(struct qcow2 *q, uint64_t i)
{
	uint64_t most = QCOW2_MAX_RT_BYTES / 8, n = q->rt_entries;
	uint64_t *rt;

	if (i < n)
		return 0;
	if (i >= most)
		return -ENOSPC;
	n += n / 2;
	n = size_up(n > i ? n : i + 1, q->cluster_size / 8);
	n = n > most ? most : n;
	rt = realloc(q->rt, n * 8);
	if (!rt)
		return -ENOMEM;
	memset(rt + q->rt_entries, 0, (n - q->rt_entries) * 8);
	q->rt = rt;
	q->rt_entries = n;
	return 0;
}

static void qrt_forget_block(struct qcow2 *q, uint64_t i, struct qnew_block *b)
{
	qmeta_del(q, q->rt[i], q->cluster_size);
	qcache_forget(&q->rb, q->rt[i], q->cluster_size);
	q->rt[i] = 0;
	list_del(&b->node);
	free(b);
}

/* The cluster at is free: let it be block i, and count it. */
static int qrt_add_block(struct qcow2 *q, uint64_t i, uint64_t at)
{
	uint64_t host = at << q->cluster_bits;
	struct qnew_block *b;
	int r;

	if (qmeta_hits(q, host, q->cluster_size)) {
		qcow2_mark_corrupt(q,
			"the table in cluster %llu is not counted as used",
			(unsigned long long)at);
		return -EIO;
	}
	/* here a lack of space is met, not when others are to be written */
	r = node_zero(q->file, host, q->cluster_size, 0);
	if (r)
		return r;
	b = malloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	r = qmeta_add(q, host, q->cluster_size);
	if (r) {
		free(b);
		return r;
	}
	b->index = i;
	list_add_tail(&q->new_blocks, &b->node);
	qcache_forget(&q->l2, host, q->cluster_size);
	qcache_forget(&q->rb, host, q->cluster_size);
	q->rt[i] = host;
	if (q->file_end <= at)
		q->file_end = at + 1;
	r = qref_add(q, at, 1, 1); /* of what is covered: no recursion */
	if (r)
		qrt_forget_block(q, i, b);
	return r;
}

/*
 * Make block i; the n clusters from cluster on are to stay free. Its own
 * first clusters may be all among these: then it lies behind them, where
 * another block may have to be made first, which can count itself.
 */
static int qrt_make(struct qcow2 *q, uint64_t i, uint64_t cluster, uint64_t n)
{
	uint64_t first = i << q->rb_bits, per = UINT64_C(1) << q->rb_bits;
	uint64_t at = first, used, k;
	int r = qrt_reserve(q, i);

	if (r)
		return r;
	if (at >= cluster && at - cluster < n)
		at = cluster + n;
	if (at - first < per)
		return qrt_add_block(q, i, at);
	for (;;) {
		if (at >= qref_limit(q))
			return -ENOSPC;
		r = qref_scan(q, at, per, true, &used);
		if (r)
			return r;
		at += used;
		if (used == per)
			continue;
		k = at >> q->rb_bits;
		r = qrt_reserve(q, k);
		if (r)
			return r;
		if (q->rt[k])
			return qrt_add_block(q, i, at);
		r = qrt_add_block(q, k, at);
		if (r)
			return r;
	}
}

int qrt_cover(struct qcow2 *q, uint64_t cluster, uint64_t n)
{
	uint64_t last = (cluster + n - 1) >> q->rb_bits;

	for (uint64_t i = cluster >> q->rb_bits; i <= last; i++) {
		int r = 0;

		if (i >= q->rt_entries || !q->rt[i])
			r = qrt_make(q, i, cluster, n);
		if (r)
			return r;
	}
	return 0;
}

/* --- the table on disk --- */

static uint64_t qrt_clusters(const struct qcow2 *q)
{
	return q->rt_entries * 8 >> q->cluster_bits;
}

static bool qrt_moves(const struct qcow2 *q)
{
	return qrt_clusters(q) > q->h.rt_clusters;
}

bool qrt_is_dirty(const struct qcow2 *q)
{
	return qrt_moves(q) || !list_empty(&q->new_blocks);
}

int qrt_prepare(struct qcow2 *q)
{
	int r = 0;

	/* finding a place may need blocks, and those a larger table */
	while (!r && qrt_moves(q) && q->rt_new_clusters != qrt_clusters(q)) {
		uint64_t n = qrt_clusters(q), host;

		/* a sync that failed may have left the header with it */
		if (q->rt_new_clusters)
			qfree_later(q, q->rt_new,
				q->rt_new_clusters << q->cluster_bits);
		q->rt_new_clusters = 0;
		r = qalloc_table(q, n, &host);
		if (r)
			break;
		q->rt_new = host;
		q->rt_new_clusters = n;
	}
	return r;
}

static int qrt_move(struct qcow2 *q)
{
	uint64_t bytes = q->rt_entries * 8;
	uint64_t *buf = malloc(bytes);
	struct qheader h = q->h;
	int r;

	if (!buf)
		return -ENOMEM;
	for (uint64_t i = 0; i < q->rt_entries; i++)
		put_be64(&buf[i], q->rt[i]);
	r = node_write(q->file, q->rt_new, buf, bytes, 0);
	free(buf);
	if (!r)
		r = node_flush(q->file);
	if (r)
		return r;
	h.rt_offset = q->rt_new;
	h.rt_clusters = (uint32_t)q->rt_new_clusters;
	r = qheader_write_rt(q->file, &h);
	if (!r)
		r = node_flush(q->file);
	if (r)
		return r; /* the header has one of the two, and both are good */
	(void)qfree_now(q, q->h.rt_offset,
		(uint64_t)q->h.rt_clusters << q->cluster_bits);
	q->h.rt_offset = h.rt_offset;
	q->h.rt_clusters = h.rt_clusters;
	q->rt_new = q->rt_new_clusters = 0;
	return 0;
}

/* The piece of the table that entry i is in. */
static int qrt_write_piece(struct qcow2 *q, uint64_t i)
{
	uint64_t first = size_down(i, QRT_PIECE / 8);
	uint8_t buf[QRT_PIECE];

	for (unsigned k = 0; k < QRT_PIECE / 8; k++)
		put_be64(buf + 8 * (size_t)k, q->rt[first + k]);
	return node_write(q->file, q->h.rt_offset + first * 8, buf, QRT_PIECE,
		0);
}

static int qrt_enter(struct qcow2 *q)
{
	uint64_t written = UINT64_MAX;

	list_each (it, &q->new_blocks) {
		uint64_t i = list_entry(it, struct qnew_block, node)->index;
		int r;

		if (i / (QRT_PIECE / 8) == written)
			continue;
		r = qrt_write_piece(q, i);
		if (r)
			return r;
		written = i / (QRT_PIECE / 8);
	}
	return node_flush(q->file);
}

int qrt_write(struct qcow2 *q)
{
	struct list *n;
	int r = 0;

	if (qrt_moves(q))
		r = qrt_move(q);
	else if (!list_empty(&q->new_blocks))
		r = qrt_enter(q);
	if (r)
		return r;
	while ((n = list_pop(&q->new_blocks)))
		free(list_entry(n, struct qnew_block, node));
	return 0;
}

int qrt_drop(struct qcow2 *q, uint64_t i)
{
	struct qnew_block *b = malloc(sizeof(*b));
	uint64_t host = q->rt[i];
	int r;

	if (!b)
		return -ENOMEM;
	q->rt[i] = 0;
	r = qrt_write_piece(q, i);
	if (!r)
		r = node_flush(q->file);
	if (!r) {
		free(b);
		return 0;
	}
	/* nobody knows which of the two the disk has */
	q->rt[i] = host;
	b->index = i;
	list_add_tail(&q->new_blocks, &b->node);
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
