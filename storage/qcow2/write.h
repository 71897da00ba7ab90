/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What write.c, cow.c, pack.c and zero.c share. In a fiber. */
#ifndef STORAGE_QCOW2_WRITE_H
#define STORAGE_QCOW2_WRITE_H

#include "storage/qcow2/impl.h"

/* Some of a request's memory: len bytes that begin skip bytes into iov. */
struct qbytes {
	const struct iovec *iov;
	int niov;
	uint64_t skip;
};

/* The next len bytes of b are done. */
void qbytes_advance(struct qbytes *b, uint64_t len);
/* Write the next len bytes of b to a place in child. 0 or -errno. */
int qbytes_write(const struct qbytes *b, struct node *child, uint64_t offset,
	uint64_t len);

/* A job of a request in a fiber of its own; completes r with what fn returns,
 * and with FUA after a flush. */
void qjob_start(struct qcow2 *q, struct blk_req *r,
	int (*fn)(struct qcow2 *q, struct blk_req *r));

/*
 * Take meta and be ready to change the map in [start, end): the image is
 * marked as written, the caches have room, and nobody else is writing there.
 * 0 with meta held, or -errno without it.
 */
int qwrite_enter(struct qcow2 *q, uint64_t start, uint64_t end);
/* How far the slice with the entry of offset goes: guest offset of its end. */
uint64_t qwrite_slice_end(const struct qcow2 *q, uint64_t offset);

/* Announce a write, meta held; and its end. */
void qinflight_begin(struct qcow2 *q, struct qinflight *f, uint64_t start,
	uint64_t end);
void qinflight_end(struct qinflight *f);

/*
 * Write as much of len bytes at offset as can be done at a time where
 * clusters (or subclusters) must be made or filled up. What was done, 0 =
 * that is not needed here (any more), or -errno.
 */
int64_t qcow_write(struct qcow2 *q, uint64_t offset, const struct qbytes *b,
	uint64_t len);

/* Write len bytes compressed, where they are whole clusters. 0 or -errno. */
int qpack_write(struct qcow2 *q, uint64_t offset, const struct iovec *iov,
	int niov, uint64_t len);

/* Reads a hole at offset as zeros: is nothing there that backs it? */
bool qwrite_unbacked(const struct qcow2 *q, uint64_t offset);

#endif
