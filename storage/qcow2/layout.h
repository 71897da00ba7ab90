/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the parts of a new image lie: header, refcount table, refcount
 * blocks, L1 table, then with preallocation L2 tables and data clusters, one
 * behind the other. Thread: any, no state.
 */
#ifndef STORAGE_QCOW2_LAYOUT_H
#define STORAGE_QCOW2_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/qcow2/qcow2.h"

struct qlayout {
	unsigned cluster_bits, refcount_order;
	uint64_t cluster;        /* bytes */
	unsigned l2_entry_bytes; /* 8, or 16 with subclusters */
	bool prealloc;           /* all clusters of the guest have a place */
	uint64_t guest_clusters;
	/* how many */
	uint64_t l1_entries, l2_tables, blocks, rt_clusters, data_clusters;
	/* where, in bytes; blocks: refcount blocks */
	uint64_t rt, block, l1, l2, data;
	uint64_t used; /* clusters, all of the image */
};

/*
 * The layout of o, whose single options are right. 0, or -EFBIG: more than
 * the format's tables can hold.
 */
int qlayout_make(struct qlayout *l, const struct qcow2_create *o);

/*
 * Pieces of tables as they go to disk, len bytes that begin `at` bytes into
 * the table: the refcount table, refcount blocks (one after the other), the
 * L1 table, L2 tables (likewise; bitmap is the subclusters' with extended
 * entries).
 */
void qlayout_fill_rt(const struct qlayout *l, uint64_t at, uint8_t *buf,
	uint64_t len);
void qlayout_fill_blocks(const struct qlayout *l, uint64_t at, uint8_t *buf,
	uint64_t len);
void qlayout_fill_l1(const struct qlayout *l, uint64_t at, uint8_t *buf,
	uint64_t len);
void qlayout_fill_l2(const struct qlayout *l, uint64_t bitmap, uint64_t at,
	uint8_t *buf, uint64_t len);

#endif
