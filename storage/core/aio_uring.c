/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image on its ctx's io_uring (uring.c): what its requests look like to
 * the kernel, and the threads that do what a ring cannot (ioctls).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/core/ctx_impl.h"
#include "storage/core/uring.h"

static struct aio_uring *aio_uring_of(struct aio *a)
{
	return container_of(a, struct aio_uring, aio);
}

/* A transfer of one piece spares the kernel the copy of the iovec. */
static void aio_uring_prepare_rw(struct io_uring_sqe *sqe, int fd,
	const struct aio_req *q)
{
	bool write = q->op == AIO_WRITE;
	const struct iovec *iov = q->iov;
	unsigned len = (unsigned)iov->iov_len;
	int buf = -1;

	if (q->niov == 1)
		buf = uring_buffer_find(q->aio->ctx, iov);
	if (buf >= 0 && write)
		io_uring_prep_write_fixed(sqe, fd, iov->iov_base, len,
			q->offset, buf);
	else if (buf >= 0)
		io_uring_prep_read_fixed(sqe, fd, iov->iov_base, len, q->offset,
			buf);
	else if (q->niov == 1 && write)
		io_uring_prep_write(sqe, fd, iov->iov_base, len, q->offset);
	else if (q->niov == 1)
		io_uring_prep_read(sqe, fd, iov->iov_base, len, q->offset);
	else if (write)
		io_uring_prep_writev(sqe, fd, iov, (unsigned)q->niov,
			q->offset);
	else
		io_uring_prep_readv(sqe, fd, iov, (unsigned)q->niov, q->offset);
}

void aio_uring_prepare(struct io_uring_sqe *sqe, const struct aio_req *q)
{
	const struct aio_uring *a = aio_uring_of(q->aio);
	int fd = a->slot >= 0 ? a->slot : a->aio.fd;

	switch (q->op) {
	case AIO_READ:
	case AIO_WRITE:
		aio_uring_prepare_rw(sqe, fd, q);
		break;
	case AIO_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case AIO_FALLOCATE:
		io_uring_prep_fallocate(sqe, fd, q->mode, (off_t)q->offset,
			(off_t)q->len);
		break;
	case AIO_DISCARD:
	case AIO_ZEROOUT:
		assert(!"an ioctl in the ring");
		break;
	}
	if (a->slot >= 0)
		sqe->flags |= IOSQE_FIXED_FILE;
}

void aio_uring_detour(struct aio_req *q)
{
	struct aio_uring *a = aio_uring_of(q->aio);
	int r = 0;

	if (!a->threads)
		r = aio_threads_new(a->aio.fd, a->aio.ctx, a->aio.log,
			&a->threads);
	if (!r) {
		a->threads->ops->submit(a->threads, q);
		return;
	}
	log_limited(a->aio.log, &a->limit, LOG_ERROR,
		"a disk request fails: no I/O thread (%s)", strerror(-r));
	q->res = -EIO;
	list_add_tail(&a->u->failed, &q->node);
	ctx_schedule_round(a->aio.ctx);
}

void aio_uring_left(struct uring *u, int err)
{
	list_each (n, &u->images) {
		struct aio_uring *a = list_entry(n, struct aio_uring, node);

		log_msg(a->aio.log, LOG_WARN,
			"io_uring fails (%s), using threads", strerror(-err));
		atomic_store(&a->aio.name, "threads");
	}
}

static void aio_uring_submit(struct aio *aio, struct aio_req *q)
{
	struct aio_uring *a = aio_uring_of(aio);

	q->aio = aio;
	if (a->u->left || q->op == AIO_DISCARD || q->op == AIO_ZEROOUT) {
		aio_uring_detour(q);
		return;
	}
	list_add_tail(&a->u->backlog, &q->node);
	if (!a->u->reaping) /* what completions bring is flushed after them */
		ctx_schedule_round(aio->ctx);
}

static void aio_uring_free(struct aio *aio)
{
	struct aio_uring *a = aio_uring_of(aio);

	uring_slot_put(a->u, a->slot);
	list_del(&a->node);
	if (a->threads)
		a->threads->ops->free(a->threads);
	free(a);
}

static const struct aio_ops aio_uring_ops = {
	.submit = aio_uring_submit,
	.free = aio_uring_free,
};

int aio_uring_new(int fd, struct ctx *c, struct log *log, struct aio **out)
{
	struct aio_uring *a;
	int r = 0;

	if (!c->ring)
		r = uring_new(c, &c->ring);
	if (r)
		return r;
	if (c->ring->left)
		return -EIO; /* why was told when it was left */
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	aio_init(&a->aio, &aio_uring_ops, "io_uring", fd, c, log);
	a->u = c->ring;
	a->slot = uring_slot_get(a->u, fd);
	list_add_tail(&a->u->images, &a->node);
	*out = &a->aio;
	return 0;
}
