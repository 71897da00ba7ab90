/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What resize.c, prealloc.c and empty.c share. In a fiber; 0 or -errno. */
#ifndef STORAGE_QCOW2_RESIZE_H
#define STORAGE_QCOW2_RESIZE_H

#include "storage/qcow2/impl.h"

/*
 * Nothing is at guest offset `from` (a cluster's begin) and behind it, to the
 * end of the L1 table; all is durable. Tables that get empty go. Nothing is
 * dirty before; meta held.
 */
int qdrop_from(struct qcow2 *q, uint64_t from);

/*
 * Give all clusters of [from, to), where only zeros or holes are, places that
 * read as zeros. Takes meta, which is not held.
 */
int qprealloc(struct qcow2 *q, uint64_t from, uint64_t to,
	enum qcow2_prealloc how);

#endif
