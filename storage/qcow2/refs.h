/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What refcount.c, rtable.c, alloc.c and commit.c share. meta held, in a
 * fiber, unless it says otherwise; 0 or -errno.
 */
#ifndef STORAGE_QCOW2_REFS_H
#define STORAGE_QCOW2_REFS_H

#include "storage/qcow2/impl.h"

/* Count i of what p has (a refcount block, or a part of one), 1 << order bits
 * wide. No waiting. Any thread. */
uint64_t qref_load(const uint8_t *p, unsigned order, uint64_t i);
void qref_store(uint8_t *p, unsigned order, uint64_t i, uint64_t v);

/* Host clusters from here on can never be used (the table's greatest size,
 * and what an entry can hold). No waiting. */
uint64_t qref_limit(const struct qcow2 *q);

/* How many from cluster on, at most max, are free (used = false) or used? */
int qref_scan(struct qcow2 *q, uint64_t cluster, uint64_t max, bool used,
	uint64_t *n);

/* The place of refcount block i in the image, 0 = there is none. -EIO for one
 * that cannot be, which marks corrupt. No waiting. */
int qref_block(struct qcow2 *q, uint64_t i, uint64_t *host);

/* --- rtable.c --- */

/* A refcount block that the table on disk does not have yet. */
struct qnew_block {
	uint64_t index; /* in the table */
	struct list node;
};

/* Make the refcount blocks of n clusters where they are missing, none of them
 * inside these clusters. */
int qrt_cover(struct qcow2 *q, uint64_t cluster, uint64_t n);

/* Find a place for the table when it has outgrown the one on disk. */
int qrt_prepare(struct qcow2 *q);
/* Is there something of the table to write? No waiting. */
bool qrt_is_dirty(const struct qcow2 *q);
/* Write and sync it; the new blocks are durable already. */
int qrt_write(struct qcow2 *q);
/* Take block i out of it, on disk too; the table's place is as large as the
 * table. When that fails the next commit enters the block again. */
int qrt_drop(struct qcow2 *q, uint64_t i);

#endif
