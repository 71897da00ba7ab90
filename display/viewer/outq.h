/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A queue of bytes to a descriptor, in chunks. Its owner bounds it by looking
 * at outq_bytes(). Thread: the owner's.
 */
#ifndef DISPLAY_VIEWER_OUTQ_H
#define DISPLAY_VIEWER_OUTQ_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct outq_chunk;

struct outq {
	struct outq_chunk *first, *last;
	size_t bytes;
};

void outq_clear(struct outq *q);

static inline size_t outq_bytes(const struct outq *q)
{
	return q->bytes;
}

/* Copy len bytes to the end. 0 or -ENOMEM (part of it may be queued). */
int outq_put(struct outq *q, const void *buf, size_t len);

/*
 * Read what fd has, at most max bytes, to the end of the queue. Returns
 * bytes read, 0 = end of file, -EAGAIN = nothing there, or -errno.
 */
ssize_t outq_fill(struct outq *q, int fd, size_t max);

/*
 * Write to fd until it is full or the queue is empty. Returns bytes written
 * (0 = it takes none now) or -errno.
 */
ssize_t outq_flush(struct outq *q, int fd);

#endif
