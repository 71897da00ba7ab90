/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests to a node that a fiber makes and waits for. Each returns the
 * request's error: 0 or -errno. Offsets and lengths in bytes; a length of 0
 * is done at once. Thread: the loop's, in a fiber.
 */
#ifndef STORAGE_CORE_SYNC_H
#define STORAGE_CORE_SYNC_H

#include "storage/core/node.h"

int node_read(struct node *n, uint64_t offset, void *buf, uint64_t len);
int node_write(struct node *n, uint64_t offset, const void *buf, uint64_t len,
	unsigned flags);
int node_readv(struct node *n, uint64_t offset, const struct iovec *iov,
	int niov, uint64_t len);
int node_writev(struct node *n, uint64_t offset, const struct iovec *iov,
	int niov, uint64_t len, unsigned flags);
int node_flush(struct node *n);
int node_discard(struct node *n, uint64_t offset, uint64_t len);
int node_zero(struct node *n, uint64_t offset, uint64_t len, unsigned flags);
int node_status(struct node *n, uint64_t offset, uint64_t len, unsigned flags,
	struct blk_extent *extent);

/* Size in bytes now. */
uint64_t node_size(const struct node *n);
/* -ENOTSUP with e filled where the node has no resize. */
int node_resize(struct node *n, uint64_t size, enum node_prealloc how,
	struct err *e);
/* NULL is fine: 0. */
int node_close(struct node *n);

#endif
