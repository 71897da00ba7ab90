/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asynchronous system calls on one descriptor, by the ctx's io_uring or by
 * its pool of threads. What is submitted is handed on at the latest at the
 * end of the loop's round or by ctx_wait(); ctx_kick() and the last
 * ctx_unplug() do it at once. done is called on the loop's thread, never from
 * inside submit or kick. Short transfers are reported as they are.
 * Thread: the loop's.
 */
#ifndef STORAGE_AIO_H
#define STORAGE_AIO_H

#include <stdint.h>
#include <sys/uio.h>

#include "storage/core/ctx.h"
#include "storage/storage.h"

enum aio_op {
	AIO_READ,
	AIO_WRITE,
	AIO_SYNC,      /* fdatasync */
	AIO_FALLOCATE, /* mode, offset, len */
	AIO_DISCARD,   /* BLKDISCARD, block devices */
	AIO_ZEROOUT,   /* BLKZEROOUT, block devices */
};

struct aio;

/* Owned by the caller until done, as is what iov points to. */
struct aio_req {
	enum aio_op op;
	int mode;
	uint64_t offset, len;
	const struct iovec *iov;
	int niov;
	int64_t res; /* bytes, or -errno */
	void (*done)(struct aio_req *q);
	/* the engine's */
	struct aio *aio;
	struct list node;
	struct ctx_work work;
};

struct aio_ops {
	void (*submit)(struct aio *a, struct aio_req *q);
	/* Nothing is in flight. fd may be closed right after. */
	void (*free)(struct aio *a);
};

struct aio {
	const struct aio_ops *ops;
	_Atomic(const char *) name; /* of what is in use now; any thread */
	int fd;                     /* of the image, borrowed */
	struct ctx *ctx;
	struct log *log;
};

/*
 * Make the engine that kind asks for; BLK_AIO_AUTO takes io_uring and, where
 * the kernel refuses that, threads, and says why in the log. name is the
 * image's, for messages. 0 or -errno with e filled.
 */
int aio_new(enum blk_aio kind, int fd, const char *name, struct ctx *c,
	struct log *log, struct aio **out, struct err *e);

/* For the engines. */
static inline void aio_init(struct aio *a, const struct aio_ops *ops,
	const char *name, int fd, struct ctx *c, struct log *log)
{
	a->ops = ops;
	atomic_init(&a->name, name);
	a->fd = fd;
	a->ctx = c;
	a->log = log;
}

int aio_uring_new(int fd, struct ctx *c, struct log *log, struct aio **out);
int aio_threads_new(int fd, struct ctx *c, struct log *log, struct aio **out);

#endif
