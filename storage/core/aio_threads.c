/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The aio engine for kernels or filters that refuse io_uring, and io_uring's
 * helper for what that cannot do (ioctls): blocking calls on the ctx's pool
 * of threads for such (work.c), which all its images share.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "storage/core/aio.h"
#include "storage/core/pool.h"

struct aio_threads {
	struct aio aio;
	struct pool *pool;
};

static int64_t aio_ioctl_range(int fd, unsigned long what,
	const struct aio_req *q)
{
	uint64_t range[2] = { q->offset, q->len };

	return ioctl(fd, what, range) ? -errno : 0;
}

/* Make the call that q describes. Returns bytes or -errno. */
static int64_t aio_call(int fd, const struct aio_req *q)
{
	int64_t n = -1;

	switch (q->op) {
	case AIO_READ:
		n = preadv(fd, q->iov, q->niov, (off_t)q->offset);
		break;
	case AIO_WRITE:
		n = pwritev(fd, q->iov, q->niov, (off_t)q->offset);
		break;
	case AIO_SYNC:
		n = fdatasync(fd);
		break;
	case AIO_FALLOCATE:
		n = fallocate(fd, q->mode, (off_t)q->offset, (off_t)q->len);
		break;
	case AIO_DISCARD:
		return aio_ioctl_range(fd, BLKDISCARD, q);
	case AIO_ZEROOUT:
		return aio_ioctl_range(fd, BLKZEROOUT, q);
	}
	return n < 0 ? -errno : n;
}

static void aio_threads_run(struct ctx_work *w)
{
	struct aio_req *q = container_of(w, struct aio_req, work);

	q->res = aio_call(q->aio->fd, q);
}

static void aio_threads_done(struct ctx_work *w)
{
	struct aio_req *q = container_of(w, struct aio_req, work);

	q->done(q);
}

static void aio_threads_submit(struct aio *a, struct aio_req *q)
{
	struct aio_threads *t = container_of(a, struct aio_threads, aio);

	q->aio = a;
	q->work.run = aio_threads_run;
	q->work.done = aio_threads_done;
	pool_submit(t->pool, &q->work);
}

static void aio_threads_free(struct aio *a)
{
	free(container_of(a, struct aio_threads, aio));
}

static const struct aio_ops aio_threads_ops = {
	.submit = aio_threads_submit,
	.free = aio_threads_free,
};

int aio_threads_new(int fd, struct ctx *c, struct log *log, struct aio **out)
{
	struct aio_threads *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	r = pool_io(c, &t->pool);
	if (r) {
		free(t);
		return r;
	}
	aio_init(&t->aio, &aio_threads_ops, "threads", fd, c, log);
	*out = &t->aio;
	return 0;
}
