/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asynchronous system calls on one descriptor, by io_uring or by a pool of
 * threads. What is submitted is handed on at the latest by the next kick;
 * done is called on the loop's thread, never from inside submit or kick.
 * Short transfers are reported as they are.
 */
#ifndef STORAGE_AIO_H
#define STORAGE_AIO_H

#include <stdint.h>
#include <sys/uio.h>

#include "storage/storage.h"

enum aio_op {
	AIO_READ,
	AIO_WRITE,
	AIO_SYNC,      /* fdatasync */
	AIO_FALLOCATE, /* mode, offset, len */
	AIO_DISCARD,   /* BLKDISCARD, block devices */
	AIO_ZEROOUT,   /* BLKZEROOUT, block devices */
};

/* Owned by the caller until done, as is what iov points to. */
struct aio_req {
	enum aio_op op;
	int mode;
	uint64_t offset, len;
	const struct iovec *iov;
	int niov;
	int64_t res; /* bytes, or -errno */
	void (*done)(struct aio_req *q);
	struct list node; /* the engine's */
};

struct aio;

struct aio_ops {
	void (*submit)(struct aio *a, struct aio_req *q);
	void (*kick)(struct aio *a);
	/* Block until a request is done; call done of all that are. */
	void (*wait)(struct aio *a);
	void (*free)(struct aio *a); /* nothing is in flight */
};

struct aio {
	const struct aio_ops *ops;
	_Atomic(const char *) name; /* of what is in use now */
	int fd;                     /* of the image, borrowed */
	int wait_fd;                /* readable when something may be done */
	struct loop *loop;
	struct log *log;
};

/*
 * Make the engine that kind asks for; BLK_AIO_AUTO takes io_uring and, where
 * the kernel refuses that, threads, and says why in the log. name is the
 * image's, for messages. 0 or -errno with e filled.
 */
int aio_new(enum blk_aio kind, int fd, const char *name, struct loop *l,
	struct log *log, struct aio **out, struct err *e);

/* For the engines. */
static inline void aio_init(struct aio *a, const struct aio_ops *ops,
	const char *name, int fd, struct loop *l, struct log *log)
{
	a->ops = ops;
	atomic_init(&a->name, name);
	a->fd = fd;
	a->wait_fd = -1;
	a->loop = l;
	a->log = log;
}

int aio_uring_new(int fd, struct loop *l, struct log *log, struct aio **out);
int aio_threads_new(int fd, struct loop *l, struct log *log, struct aio **out);

/* Do what is done without waiting for more (part of the thread engine's). */
void aio_threads_reap(struct aio *a);

#endif
