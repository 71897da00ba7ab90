/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The aio engine for kernels or filters that refuse io_uring, and io_uring's
 * helper for what that cannot do (ioctls): a pool of threads, one at first
 * and more while work waits, that make blocking calls.
 *
 * Lock: one, rank LOCK_BLK, guards both queues; held for list moves only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vm/base/lock.h"
#include "vm/base/thread.h"

#include "storage/core/aio.h"

#define AIO_THREADS_MAX 16

struct aio_threads {
	struct aio aio;
	struct loop_fd watch;

	struct lock lock;
	pthread_cond_t work;  /* with lock: queue got longer, or quit */
	struct list queue;    /* guarded by lock */
	struct list finished; /* guarded by lock */
	bool quit;            /* guarded by lock */
	unsigned idle;        /* guarded by lock; threads that wait */
	unsigned queued;      /* guarded by lock; length of queue */

	unsigned nthreads; /* by submit and free only */
	struct thread threads[AIO_THREADS_MAX];
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

static void aio_threads_work(void *arg)
{
	struct aio_threads *t = arg;
	struct list *n;

	LOCK_GUARD(&t->lock);
	for (;;) {
		while (!(n = list_pop(&t->queue)) && !t->quit) {
			t->idle++;
			lock_wait(&t->lock, &t->work);
			t->idle--;
		}
		if (!n)
			return;
		t->queued--;
		struct aio_req *q = list_entry(n, struct aio_req, node);

		lock_drop(&t->lock);
		q->res = aio_call(t->aio.fd, q);
		lock_take(&t->lock);
		if (list_empty(&t->finished))
			eventfd_write(t->aio.wait_fd, 1);
		list_add_tail(&t->finished, &q->node);
	}
}

static int aio_threads_grow(struct aio_threads *t)
{
	int r = thread_start(&t->threads[t->nthreads], "disk io",
		aio_threads_work, t, NULL);

	if (!r)
		t->nthreads++;
	return r;
}

static void aio_threads_submit(struct aio *a, struct aio_req *q)
{
	struct aio_threads *t = container_of(a, struct aio_threads, aio);
	bool more;

	lock_take(&t->lock);
	list_add_tail(&t->queue, &q->node);
	t->queued++;
	more = t->queued > t->idle;
	pthread_cond_signal(&t->work);
	lock_drop(&t->lock);
	/* one thread is there for certain; no more is slow, not wrong */
	if (more && t->nthreads < AIO_THREADS_MAX)
		aio_threads_grow(t);
}

static void aio_threads_kick(struct aio *a)
{
	(void)a; /* the threads have begun already */
}

void aio_threads_reap(struct aio *a)
{
	struct aio_threads *t = container_of(a, struct aio_threads, aio);
	struct list done, *n;
	eventfd_t ignored;

	list_init(&done);
	lock_take(&t->lock);
	eventfd_read(t->aio.wait_fd, &ignored);
	while ((n = list_pop(&t->finished)))
		list_add_tail(&done, n);
	lock_drop(&t->lock);
	while ((n = list_pop(&done))) {
		struct aio_req *q = list_entry(n, struct aio_req, node);

		q->done(q);
	}
}

static void aio_threads_event(void *arg, uint32_t events)
{
	struct aio_threads *t = arg;

	(void)events;
	aio_threads_reap(&t->aio);
}

static void aio_threads_wait(struct aio *a)
{
	struct pollfd p = { .fd = a->wait_fd, .events = POLLIN };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	aio_threads_reap(a);
}

static void aio_threads_unwatch(void *arg)
{
	struct aio_threads *t = arg;

	loop_fd_del(&t->watch);
}

static void aio_threads_free(struct aio *a)
{
	struct aio_threads *t = container_of(a, struct aio_threads, aio);

	loop_sync(a->loop, aio_threads_unwatch, t);
	lock_take(&t->lock);
	t->quit = true;
	pthread_cond_broadcast(&t->work);
	lock_drop(&t->lock);
	while (t->nthreads)
		thread_join(&t->threads[--t->nthreads]);
	pthread_cond_destroy(&t->work);
	lock_fini(&t->lock);
	close(t->aio.wait_fd);
	free(t);
}

static const struct aio_ops aio_threads_ops = {
	.submit = aio_threads_submit,
	.kick = aio_threads_kick,
	.wait = aio_threads_wait,
	.free = aio_threads_free,
};

int aio_threads_new(int fd, struct loop *l, struct log *log, struct aio **out)
{
	struct aio_threads *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	aio_init(&t->aio, &aio_threads_ops, "threads", fd, l, log);
	lock_init(&t->lock, "disk threads", LOCK_BLK);
	lock_cond_init(&t->work);
	list_init(&t->queue);
	list_init(&t->finished);
	t->aio.wait_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = t->aio.wait_fd < 0 ? -errno : 0;
	if (!r)
		r = loop_fd_add(l, &t->watch, t->aio.wait_fd, EPOLLIN,
			aio_threads_event, t);
	if (!r)
		r = aio_threads_grow(t);
	if (r) {
		loop_fd_del(&t->watch);
		if (t->aio.wait_fd >= 0)
			close(t->aio.wait_fd);
		pthread_cond_destroy(&t->work);
		lock_fini(&t->lock);
		free(t);
		return r;
	}
	*out = &t->aio;
	return 0;
}
