/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compressed clusters as read.c and status.c use them (unpack.c): the last
 * few that were decompressed are kept. Thread: the loop's.
 */
#ifndef STORAGE_QCOW2_READ_H
#define STORAGE_QCOW2_READ_H

#include "storage/qcow2/impl.h"

/* Where the data of a compressed cluster is, as the map said in an epoch.
 * What is kept counts only in the epoch that it was read in, since later the
 * place may hold other data. */
struct qunpack_at {
	uint64_t host;
	uint32_t host_len;
	unsigned epoch;
};

/* Its bytes if they are here, else NULL. Good until the caller waits. */
const uint8_t *qunpack_peek(struct qcow2 *q, const struct qunpack_at *at);

/*
 * len bytes from `in` inside the cluster into iov. The place must be kept
 * from being used anew by the caller (qdirect_begin()). In a fiber. 0 or
 * -errno.
 */
int qunpack(struct qcow2 *q, const struct qunpack_at *at, uint32_t in,
	uint32_t len, const struct iovec *iov, int niov);

void qunpack_close(struct qcow2 *q); /* nothing in flight */

#endif
