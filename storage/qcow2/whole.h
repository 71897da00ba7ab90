/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What changes an image as a whole shares (snapshot.c, resize.c, empty.c):
 * the tree below an L1 table, and switching tables. Nothing else is in
 * flight; meta held, in a fiber, 0 or -errno.
 */
#ifndef STORAGE_QCOW2_WHOLE_H
#define STORAGE_QCOW2_WHOLE_H

#include "storage/qcow2/refs.h"
#include "storage/qcow2/snapshot.h"

/* --- tree.c: the tables as they are on disk, nothing being dirty ---------- */

/*
 * Read the L2 table that an L1 entry refers to into buf (a cluster). *table
 * is its place; 0 = there is none and nothing is read. -EIO for an entry that
 * cannot be, which marks corrupt.
 */
int qtree_read(struct qcow2 *q, uint64_t l1_entry, uint8_t *buf,
	uint64_t *table);
/* Where an L2 entry's data is, whole clusters of the image; *n = 0: has none
 * there. -EIO as above. */
int qtree_data(struct qcow2 *q, uint64_t entry, uint64_t *cluster, uint64_t *n);
/* Entry i of a table that was read. */
uint64_t qtree_entry(const struct qcow2 *q, const uint8_t *buf, unsigned i);
static inline unsigned qtree_entries(const struct qcow2 *q)
{
	return 1u << q->l2_bits;
}

/* qfree_later() for a table and all that it refers to. */
int qtree_free(struct qcow2 *q, uint64_t l1_entry);
/* Read an L1 table of n entries, host order; *out is the caller's. */
int qtree_read_l1(struct qcow2 *q, uint64_t offset, uint32_t n, uint64_t **out);
/* Write one to its place, up to the end of its last cluster. */
int qtree_write_l1(struct qcow2 *q, uint64_t offset, const uint64_t *l1,
	uint32_t n);

/* Clusters for n entries; entries for a disk. */
uint64_t qtree_l1_clusters(const struct qcow2 *q, uint32_t n);
uint64_t qtree_l1_need(const struct qcow2 *q, uint64_t size);

/* --- switch.c ------------------------------------------------------------- */

/*
 * May the image be changed as a whole? Then all of it is on disk. 0 or
 * -errno with e filled.
 */
int qwhole_begin(struct qcow2 *q, struct err *e);
/*
 * Write the header's fields of size and tables, all in one sector, and make
 * it durable; then h's are q->h's. When it fails the old ones are tried to be
 * written back, and when that fails too the image is written no more.
 */
int qwhole_write_header(struct qcow2 *q, const struct qheader *h);
/* Put a table of n entries (copied) in the place of the active one. The old
 * one's clusters are given up, not what it refers to. */
int qwhole_switch_l1(struct qcow2 *q, const uint64_t *l1, uint32_t n);

/* --- trim.c --------------------------------------------------------------- */

/* Cut the file behind the last cluster in use, after qcommit_all(). A hint. */
void qwhole_trim(struct qcow2 *q);

/* --- shadow.c ------------------------------------------------------------- */

/*
 * Counts, L2 tables, L1 tables and the snapshot table that are made beside
 * those of the image, where the image does not look, until one sector of the
 * header takes them all at once. So at no time are counts and COPIED flags
 * at odds on disk.
 *
 * Refcount blocks are copied when a count in them changes. Clusters are
 * allocated in the image's own counts first, so that a crash leaves no more
 * than leaks, and are counted in the copies as well.
 */
struct qrange {
	uint64_t cluster, n;
};

struct qranges {
	struct qrange *list;
	uint32_t n, max;
};

struct qshadow {
	struct qcow2 *q;
	uint64_t *rt; /* the refcount table that is to be */
	uint64_t entries;
	struct qranges made; /* given back when it ends without a switch */
	struct qranges old;  /* given up with the switch */
};

int qshadow_begin(struct qshadow *s, struct qcow2 *q);
/* n clusters in a row for a table, with count 1. */
int qshadow_table(struct qshadow *s, uint64_t n, uint64_t *host);
/* One reference more to clusters that are in use. -ERANGE: too many. */
int qshadow_add(struct qshadow *s, uint64_t cluster, uint64_t n);
/* One reference less; the last one ends with the switch. */
int qshadow_drop(struct qshadow *s, uint64_t cluster, uint64_t n);
/* The count as it is to be; of what ends with the switch it is 1. */
int qshadow_get(struct qshadow *s, uint64_t cluster, uint64_t *count);
/*
 * The switch to h, whose refcount fields are filled here. Everything of s is
 * gone then, with or without success. When it fails the image is as before.
 */
int qshadow_commit(struct qshadow *s, struct qheader *h);
void qshadow_abort(struct qshadow *s);

/* Remember a range in a list. 0 or -ENOMEM. */
int qranges_add(struct qranges *r, uint64_t cluster, uint64_t n);
void qranges_fini(struct qranges *r);

#endif
