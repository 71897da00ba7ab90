/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See layout.h. */
#include "storage/qcow2/layout.h"

#include <errno.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/refs.h"

/* Room that the refcount table gets for what the guest will write, so that
 * it has to be moved late or never. */
#define RT_SPARE_MAX (64 * KiB)

static uint64_t div_up(uint64_t v, uint64_t by)
{
	return v / by + !!(v % by);
}

/* --- how much ------------------------------------------------------------- */

/* Clusters of the refcount table for blocks that count n clusters. */
static uint64_t rt_clusters_for(const struct qlayout *l, uint64_t n)
{
	unsigned rb_bits = l->cluster_bits + 3 - l->refcount_order;

	return div_up(div_up(n, UINT64_C(1) << rb_bits) * 8, l->cluster);
}

/*
 * Refcount blocks count themselves and the table: add what is missing until
 * nothing is. Each round adds far less than the one before.
 */
static void count_refcounts(struct qlayout *l, uint64_t others)
{
	unsigned rb_bits = l->cluster_bits + 3 - l->refcount_order;
	uint64_t want = rt_clusters_for(l, others + l->guest_clusters);

	if (want > RT_SPARE_MAX >> l->cluster_bits)
		want = RT_SPARE_MAX >> l->cluster_bits;
	l->rt_clusters = want ? want : 1;
	l->blocks = 1;
	for (;;) {
		uint64_t blocks, rt;

		l->used = others + l->rt_clusters + l->blocks;
		blocks = div_up(l->used, UINT64_C(1) << rb_bits);
		rt = rt_clusters_for(l, l->used);
		if (blocks <= l->blocks && rt <= l->rt_clusters)
			return;
		if (blocks > l->blocks)
			l->blocks = blocks;
		if (rt > l->rt_clusters)
			l->rt_clusters = rt;
	}
}

static void place(struct qlayout *l, uint64_t l1_clusters)
{
	l->rt = l->cluster;
	l->block = l->rt + l->rt_clusters * l->cluster;
	l->l1 = l->block + l->blocks * l->cluster;
	l->l2 = l->l1 + l1_clusters * l->cluster;
	l->data = l->l2 + (l->prealloc ? l->l2_tables * l->cluster : 0);
	if (!l->l1_entries)
		l->l1 = 0;
}

int qlayout_make(struct qlayout *l, const struct qcow2_create *o)
{
	uint64_t l1_clusters, others, l2_entries;

	memset(l, 0, sizeof(*l));
	l->cluster = o->cluster_size ? o->cluster_size : 64 * KiB;
	l->cluster_bits = (unsigned)__builtin_ctzll(l->cluster);
	l->refcount_order = o->refcount_bits
				    ? (unsigned)__builtin_ctz(o->refcount_bits)
				    : 4;
	l->l2_entry_bytes = o->extended_l2 ? 16 : 8;
	/* a raw data file shall be read without our tables, so they must not
	 * say that anything is not there */
	l->prealloc = o->prealloc != QCOW2_PREALLOC_OFF || o->data_file_raw;

	l->guest_clusters = div_up(o->size, l->cluster);
	l2_entries = l->cluster / l->l2_entry_bytes;
	l->l2_tables = l->l1_entries = div_up(l->guest_clusters, l2_entries);
	if (l->l1_entries > QCOW2_MAX_L1_BYTES / 8)
		return -EFBIG;
	l1_clusters = div_up(l->l1_entries * 8, l->cluster);
	others = 1 + l1_clusters;
	if (l->prealloc)
		others += l->l2_tables;
	if (l->prealloc && !o->data_file)
		l->data_clusters = l->guest_clusters;
	others += l->data_clusters;
	if (others > UINT64_C(1) << (55 - l->cluster_bits))
		return -EFBIG;
	count_refcounts(l, others);
	if (l->rt_clusters * l->cluster > QCOW2_MAX_RT_BYTES)
		return -EFBIG;
	place(l, l1_clusters);
	return 0;
}

/* --- tables --------------------------------------------------------------- */

void qlayout_fill_rt(const struct qlayout *l, uint64_t at, uint8_t *buf,
	uint64_t len)
{
	for (uint64_t i = 0; i < len; i += 8) {
		uint64_t n = (at + i) / 8;

		put_be64(buf + i,
			n < l->blocks ? l->block + n * l->cluster : 0);
	}
}

void qlayout_fill_l1(const struct qlayout *l, uint64_t at, uint8_t *buf,
	uint64_t len)
{
	for (uint64_t i = 0; i < len; i += 8) {
		uint64_t n = (at + i) / 8;

		put_be64(buf + i,
			n < l->l2_tables ? (l->l2 + n * l->cluster) | QL1_COPIED
					 : 0);
	}
}

void qlayout_fill_l2(const struct qlayout *l, uint64_t bitmap, uint64_t at,
	uint8_t *buf, uint64_t len)
{
	/* in a data file a cluster lies where the guest sees it */
	uint64_t base = l->data_clusters ? l->data : 0;

	for (uint64_t i = 0; i < len; i += l->l2_entry_bytes) {
		uint64_t n = (at + i) / l->l2_entry_bytes;
		bool there = n < l->guest_clusters;

		put_be64(buf + i,
			there ? (base + n * l->cluster) | QL2_COPIED : 0);
		if (l->l2_entry_bytes == 16)
			put_be64(buf + i + 8, there ? bitmap : 0);
	}
}

void qlayout_fill_blocks(const struct qlayout *l, uint64_t at, uint8_t *buf,
	uint64_t len)
{
	uint64_t first = (at * 8) >> l->refcount_order;
	uint64_t n = (len * 8) >> l->refcount_order;

	memset(buf, 0, len);
	if (first >= l->used)
		return;
	if (n > l->used - first)
		n = l->used - first;
	for (uint64_t i = 0; i < n; i++)
		qref_store(buf, l->refcount_order, i, 1);
}
