/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The aio engine on io_uring: one ring an image, the image as registered
 * file, one system call a batch. The loop watches the ring's own descriptor:
 * no eventfd to write and read. What is complete right after a submit, as
 * reads from the page cache are, is picked up at the end of the loop's round
 * without a wait.
 *
 * Single-issuer rings with deferred task work were tried (Linux 6.1 and
 * 6.18, page cache and O_DIRECT, depth 32) and gained nothing over
 * cooperative task work; they tie a ring to a thread, and their completions
 * do not wake who polls the ring.
 *
 * A ring that the kernel refuses to serve any more is left alone and threads
 * take over: no request is lost. Thread: the loop's; no locks.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "storage/core/aio.h"

#define URING_SQ       128
#define URING_CQ       1024 /* and the most that is in flight in the kernel */
#define URING_REAP     256
#define URING_RETRY_NS NS_PER_MS

struct aio_uring {
	struct aio aio;
	struct io_uring ring;
	bool left;            /* the ring failed: threads do the rest */
	bool reaping;         /* done callbacks run: their kick comes after */
	unsigned in_kernel;   /* submitted, not yet completed */
	struct list backlog;  /* not yet in the submission queue */
	struct list prepared; /* in it, in its order; not yet submitted */
	struct list failed;   /* to be completed with what is in res */
	struct loop_fd watch;
	struct loop_call reap; /* completions that need no wait */
	struct loop_timer retry;
	struct log_limit limit;
	struct aio *threads; /* helper, made when first needed */
};

/* The helper for what the ring cannot do. */

/* Give q to the helper; where there is none, fail it, but not from here. */
static void uring_detour(struct aio_uring *u, struct aio_req *q)
{
	int r = 0;

	if (!u->threads)
		r = aio_threads_new(u->aio.fd, u->aio.loop, u->aio.log,
			&u->threads);
	if (!r) {
		u->threads->ops->submit(u->threads, q);
		return;
	}
	log_limited(u->aio.log, &u->limit, LOG_ERROR,
		"a disk request fails: no I/O thread (%s)", strerror(-r));
	q->res = -EIO;
	list_add_tail(&u->failed, &q->node);
	loop_call_schedule(&u->reap);
}

/* The ring gave err: threads do from here on what it has not got yet. */
static void uring_leave(struct aio_uring *u, int err)
{
	struct list *n;

	log_msg(u->aio.log, LOG_WARN, "io_uring fails (%s), using threads",
		strerror(-err));
	u->left = true;
	atomic_store(&u->aio.name, "threads");
	while ((n = list_pop(&u->prepared)))
		uring_detour(u, list_entry(n, struct aio_req, node));
	while ((n = list_pop(&u->backlog)))
		uring_detour(u, list_entry(n, struct aio_req, node));
}

/* Submission. */

static void uring_prepare(struct io_uring_sqe *sqe, const struct aio_req *q)
{
	const struct iovec *iov = q->iov;

	switch (q->op) {
	case AIO_READ:
		if (q->niov == 1) /* spares the kernel the copy of iovecs */
			io_uring_prep_read(sqe, 0, iov->iov_base,
				(unsigned)iov->iov_len, q->offset);
		else
			io_uring_prep_readv(sqe, 0, iov, (unsigned)q->niov,
				q->offset);
		break;
	case AIO_WRITE:
		if (q->niov == 1)
			io_uring_prep_write(sqe, 0, iov->iov_base,
				(unsigned)iov->iov_len, q->offset);
		else
			io_uring_prep_writev(sqe, 0, iov, (unsigned)q->niov,
				q->offset);
		break;
	case AIO_SYNC:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	case AIO_FALLOCATE:
		io_uring_prep_fallocate(sqe, 0, q->mode, (off_t)q->offset,
			(off_t)q->len);
		break;
	case AIO_DISCARD:
	case AIO_ZEROOUT:
		assert(!"an ioctl in the ring");
		break;
	}
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, (void *)(uintptr_t)q);
}

/*
 * Move the backlog to the submission queue, as far as that has places and
 * the completion queue has for all that are out.
 */
static unsigned uring_fill(struct aio_uring *u)
{
	unsigned ready = io_uring_sq_ready(&u->ring);
	struct io_uring_sqe *sqe;

	while (!list_empty(&u->backlog) && u->in_kernel + ready < URING_CQ) {
		struct aio_req *q =
			list_entry(u->backlog.next, struct aio_req, node);

		sqe = io_uring_get_sqe(&u->ring);
		if (!sqe)
			break;
		uring_prepare(sqe, q);
		list_del(&q->node);
		list_add_tail(&u->prepared, &q->node);
		ready++;
	}
	return ready;
}

/* The kernel took the first n. */
static void uring_taken(struct aio_uring *u, unsigned n)
{
	u->in_kernel += n;
	while (n--)
		list_pop(&u->prepared);
}

static void uring_submit_all(struct aio_uring *u)
{
	int r = 0;

	while (!r && uring_fill(u)) {
		r = io_uring_submit(&u->ring);
		if (r <= 0)
			break;
		uring_taken(u, (unsigned)r);
		r = 0;
	}
	if (r == -EAGAIN || r == -EBUSY || r == -EINTR || r == -ENOMEM)
		loop_timer_arm(&u->retry, clock_now_ns() + URING_RETRY_NS);
	else if (r < 0)
		uring_leave(u, r);
}

/* Is there something that needs no wait? */
static bool uring_has_some(struct aio_uring *u)
{
	return io_uring_cq_ready(&u->ring) ||
	       (IO_URING_READ_ONCE(*u->ring.sq.kflags) &
		       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

static void uring_kick(struct aio *a)
{
	struct aio_uring *u = container_of(a, struct aio_uring, aio);

	if (u->left || u->reaping)
		return;
	if (!list_empty(&u->backlog) || !list_empty(&u->prepared))
		uring_submit_all(u);
	if (u->in_kernel && uring_has_some(u))
		loop_call_schedule(&u->reap);
}

static void uring_retry(void *arg)
{
	struct aio_uring *u = arg;

	uring_kick(&u->aio);
}

static void uring_submit(struct aio *a, struct aio_req *q)
{
	struct aio_uring *u = container_of(a, struct aio_uring, aio);

	if (u->left || q->op == AIO_DISCARD || q->op == AIO_ZEROOUT)
		uring_detour(u, q);
	else
		list_add_tail(&u->backlog, &q->node);
}

/* Completion. */

static void uring_reap_ring(struct aio_uring *u)
{
	struct io_uring_cqe *cqe[URING_REAP];
	struct aio_req *q[URING_REAP];
	unsigned n = io_uring_peek_batch_cqe(&u->ring, cqe, URING_REAP);

	for (unsigned i = 0; i < n; i++) {
		q[i] = io_uring_cqe_get_data(cqe[i]);
		q[i]->res = cqe[i]->res;
	}
	io_uring_cq_advance(&u->ring, n);
	assert(n <= u->in_kernel);
	u->in_kernel -= n;
	for (unsigned i = 0; i < n; i++)
		q[i]->done(q[i]);
}

/* Complete what is complete, then submit what that brought in one go. */
static void uring_reap(void *arg)
{
	struct aio_uring *u = arg;
	struct list *n;

	u->reaping = true;
	if (u->in_kernel)
		uring_reap_ring(u);
	while ((n = list_pop(&u->failed))) {
		struct aio_req *q = list_entry(n, struct aio_req, node);

		q->done(q);
	}
	u->reaping = false;
	uring_kick(&u->aio);
}

static void uring_event(void *arg, uint32_t events)
{
	(void)events;
	uring_reap(arg);
}

static void uring_wait(struct aio *a)
{
	struct aio_uring *u = container_of(a, struct aio_uring, aio);
	struct pollfd p[2] = { { .fd = -1 }, { .fd = -1 } };
	int timeout_ms = -1;

	uring_kick(a);
	if (u->in_kernel && uring_has_some(u))
		timeout_ms = 0;
	if (u->in_kernel)
		p[0] = (struct pollfd){ .fd = a->wait_fd, .events = POLLIN };
	if (u->threads)
		p[1] = (struct pollfd){ .fd = u->threads->wait_fd,
			.events = POLLIN };
	if (!list_empty(&u->failed))
		timeout_ms = 0;
	if (timeout_ms && !u->left &&
		(!list_empty(&u->prepared) || !list_empty(&u->backlog)))
		timeout_ms = 1; /* the kernel was busy: ask again */
	while (poll(p, 2, timeout_ms) < 0 && errno == EINTR)
		;
	uring_reap(u);
	if (u->threads)
		aio_threads_reap(u->threads);
}

/* The ring itself. */

static int uring_setup(struct aio_uring *u, unsigned flags)
{
	struct io_uring_params p = {
		.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = URING_CQ,
	};
	int r = io_uring_queue_init_params(URING_SQ, &u->ring, &p);

	if (r)
		return r;
	if (!(p.features & IORING_FEAT_RW_CUR_POS))
		r = -ENOSYS; /* older than 5.6: no plain reads, no fallocate */
	if (!r)
		r = io_uring_register_files(&u->ring, &u->aio.fd, 1);
	if (!r)
		r = loop_fd_add(u->aio.loop, &u->watch, u->ring.ring_fd,
			EPOLLIN, uring_event, u);
	if (r)
		io_uring_queue_exit(&u->ring);
	else
		u->aio.wait_fd = u->ring.ring_fd;
	return r;
}

/*
 * The kernel ends a ring some time after its last descriptor is closed: the
 * image must not stay open for so long.
 */
static void uring_teardown(struct aio_uring *u)
{
	io_uring_unregister_files(&u->ring);
	io_uring_queue_exit(&u->ring);
}

static void uring_unwatch(void *arg)
{
	struct aio_uring *u = arg;

	loop_timer_disarm(&u->retry);
	loop_call_cancel(&u->reap);
	loop_fd_del(&u->watch);
}

static void uring_free(struct aio *a)
{
	struct aio_uring *u = container_of(a, struct aio_uring, aio);

	loop_sync(a->loop, uring_unwatch, u);
	if (u->threads)
		u->threads->ops->free(u->threads);
	uring_teardown(u);
	free(u);
}

static const struct aio_ops uring_ops = {
	.submit = uring_submit,
	.kick = uring_kick,
	.wait = uring_wait,
	.free = uring_free,
};

int aio_uring_new(int fd, struct loop *l, struct log *log, struct aio **out)
{
	struct aio_uring *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	aio_init(&u->aio, &uring_ops, "io_uring", fd, l, log);
	list_init(&u->backlog);
	list_init(&u->prepared);
	list_init(&u->failed);
	loop_call_init(&u->reap, l, uring_reap, u);
	loop_timer_init(&u->retry, l, uring_retry, u);
	r = uring_setup(u,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
	if (r == -EINVAL) /* older than 5.19 */
		r = uring_setup(u, 0);
	if (r) {
		free(u);
		return r;
	}
	*out = &u->aio;
	return 0;
}
