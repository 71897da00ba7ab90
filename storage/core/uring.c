/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One io_uring for all images of a loop: what they submit in a round of the
 * loop goes to the kernel in one system call. The loop watches the ring's own
 * descriptor: no eventfd to write and read. What is complete right after a
 * submit, as reads from the page cache are, is picked up at the end of the
 * round without a wait.
 *
 * Single-issuer rings with deferred task work were tried (Linux 6.1 and
 * 6.18, page cache and O_DIRECT, depth 32) and gained nothing over
 * cooperative task work; they tie a ring to a thread, and their completions
 * do not wake who polls the ring.
 *
 * A ring that the kernel refuses to serve any more is left alone and threads
 * take over: no request is lost. Thread: the loop's; no locks.
 */
#include "storage/core/uring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vm/base/clock.h"

#include "storage/core/ctx_impl.h"

/* Of Linux 6.12; older liburings do not know its name. */
#define URING_FEAT_MIN_TIMEOUT (1u << 15)

/*
 * Completions at a time: what they bring along goes to the kernel after so
 * many, for a disk whose queue has room is idle meanwhile. 64 random reads
 * at a time with O_DIRECT, a second, in thousands, medians of 6 in turns: 256
 * give 116, 32 give 120, 16 give 131, 4 give 128 (qemu-img, which enters the
 * kernel for each: 134); writes 126, 127, 130, 136 (141). From the page cache
 * 4 cost 6 %.
 */
#define URING_REAP     4
#define URING_RETRY_NS NS_PER_MS

static struct aio_req *uring_req(struct list *n)
{
	return list_entry(n, struct aio_req, node);
}

/* The ring gave err: threads do from here on what it has not got yet. */
static void uring_leave(struct uring *u, int err)
{
	struct list *n;

	u->left = true;
	aio_uring_left(u, err);
	while ((n = list_pop(&u->prepared)))
		aio_uring_detour(uring_req(n));
	while ((n = list_pop(&u->backlog)))
		aio_uring_detour(uring_req(n));
}

/* Submission. */

/*
 * Move the backlog to the submission queue, as far as that has places and
 * the completion queue has for all that are out. Returns its length.
 */
static unsigned uring_fill(struct uring *u)
{
	unsigned ready = io_uring_sq_ready(&u->ring);
	struct io_uring_sqe *sqe;

	while (!list_empty(&u->backlog) && u->in_kernel + ready < URING_CQ) {
		struct aio_req *q = uring_req(u->backlog.next);

		sqe = io_uring_get_sqe(&u->ring);
		if (!sqe)
			break;
		aio_uring_prepare(sqe, q);
		io_uring_sqe_set_data(sqe, q);
		list_del(&q->node);
		list_add_tail(&u->prepared, &q->node);
		ready++;
	}
	return ready;
}

/*
 * Submit what is filled in and wait for wait completions. True when the
 * kernel took some, or there were none.
 */
static bool uring_enter(struct uring *u, unsigned ready, unsigned wait)
{
	int r = io_uring_submit_and_wait(&u->ring, wait);

	u->enters++;
	if (r >= 0) {
		u->in_kernel += (unsigned)r;
		for (int i = 0; i < r; i++)
			list_pop(&u->prepared);
		return r > 0 || !ready;
	}
	if (r == -EAGAIN || r == -EBUSY || r == -ENOMEM)
		ctx_timer_arm(&u->retry, clock_now_ns() + URING_RETRY_NS);
	else if (r != -EINTR)
		uring_leave(u, r);
	else if (ready)
		ctx_schedule_round(u->ctx);
	return false;
}

void uring_flush(struct uring *u)
{
	unsigned ready;

	if (!u || u->left || u->reaping)
		return;
	do {
		if (list_empty(&u->backlog) && list_empty(&u->prepared))
			return;
		ready = uring_fill(u);
	} while (ready && uring_enter(u, ready, 0));
}

static void uring_retry(void *arg)
{
	uring_flush(arg);
}

/* Completion. */

/* Is something in the kernel that will come back, or waits to go there? */
static bool uring_is_busy(const struct uring *u)
{
	return u && (u->in_kernel || !list_empty(&u->backlog) ||
			    !list_empty(&u->prepared));
}

bool uring_can_wait(const struct uring *u)
{
	return uring_is_busy(u) && !u->left;
}

/* Is there a completion in the ring, or known to the kernel? */
static bool uring_has_cqe(struct uring *u)
{
	return u->in_kernel &&
	       (io_uring_cq_ready(&u->ring) ||
		       (IO_URING_READ_ONCE(*u->ring.sq.kflags) &
			       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)));
}

bool uring_has_some(struct uring *u)
{
	return u && (!list_empty(&u->failed) || uring_has_cqe(u));
}

static void uring_reap_ring(struct uring *u)
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

/* The requests that are there now are done; what they bring is queued. */
static void uring_complete(struct uring *u)
{
	struct list now, *n;

	assert(!u->reaping); /* ctx_wait() from inside of a completion */
	u->reaping = true;
	list_init(&now);
	while ((n = list_pop(&u->failed)))
		list_add_tail(&now, n);
	if (u->in_kernel)
		uring_reap_ring(u);
	while ((n = list_pop(&now)))
		uring_req(n)->done(uring_req(n));
	u->reaping = false;
}

void uring_reap(struct uring *u)
{
	uring_complete(u);
	uring_flush(u);
	if (uring_has_some(u))
		ctx_schedule_round(u->ctx);
}

void uring_wait(struct uring *u)
{
	unsigned ready = uring_fill(u);

	if (!list_empty(&u->backlog)) { /* more than goes in one call */
		uring_flush(u);
		ready = 0;
	}
	if (uring_has_some(u))
		uring_flush(u);
	else if (ready || u->in_kernel)
		uring_enter(u, ready, 1);
	uring_complete(u);
	/* the next wait takes what that brought along, or else the round */
	if (!list_empty(&u->backlog))
		ctx_schedule_round(u->ctx);
}

static void uring_event(void *arg, uint32_t events)
{
	(void)events;
	uring_reap(arg);
}

struct ctx_fd *uring_watch(struct uring *u)
{
	return u && u->in_kernel ? &u->watch : NULL;
}

/*
 * The table of files: the kernel looks them up without counting users, worth
 * 1 to 2 % of a read from the page cache. Older kernels let go of a file that
 * was taken out of it up to a second later: an image must not stay open for
 * so long (somebody unmounts its file system), so there it is by descriptor.
 */

int uring_slot_get(struct uring *u, int fd)
{
	for (int i = 0; i < URING_SLOTS && u->has_table; i++) {
		if (u->used[i])
			continue;
		if (io_uring_register_files_update(&u->ring, (unsigned)i, &fd,
			    1) != 1)
			return -1;
		u->used[i] = true;
		return i;
	}
	return -1;
}

void uring_slot_put(struct uring *u, int slot)
{
	int none = -1;

	if (slot < 0)
		return;
	io_uring_register_files_update(&u->ring, (unsigned)slot, &none, 1);
	u->used[slot] = false;
}

static bool uring_make_table(struct uring *u)
{
	return (u->ring.features & URING_FEAT_MIN_TIMEOUT) &&
	       !io_uring_register_files_sparse(&u->ring, URING_SLOTS);
}

/* The ring itself. */

static int uring_setup(struct uring *u, unsigned flags)
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
		r = ctx_fd_add(u->ctx, &u->watch, u->ring.ring_fd, EPOLLIN,
			uring_event, u);
	if (r) {
		io_uring_queue_exit(&u->ring);
		return r;
	}
	ctx_fd_hide(&u->watch); /* ctx_wait() asks for it by uring_watch() */
	u->has_table = uring_make_table(u);
	uring_buffer_init(u);
	return 0;
}

int uring_new(struct ctx *c, struct uring **out)
{
	struct uring *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	u->ctx = c;
	list_init(&u->backlog);
	list_init(&u->prepared);
	list_init(&u->failed);
	list_init(&u->images);
	ctx_timer_init(&u->retry, c, uring_retry, u);
	r = uring_setup(u,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
	if (r == -EINVAL) /* older than 5.19 */
		r = uring_setup(u, 0);
	if (r)
		free(u);
	else
		*out = u;
	return r;
}

/*
 * The kernel ends a ring some time after its last descriptor is closed, and
 * files in its table with it: each image has taken its own out.
 */
void uring_free(struct uring *u)
{
	if (!u)
		return;
	assert(!uring_is_busy(u) && list_empty(&u->images));
	ctx_timer_disarm(&u->retry);
	ctx_fd_del(&u->watch);
	io_uring_queue_exit(&u->ring);
	free(u);
}
