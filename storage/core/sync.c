/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that a fiber waits for; see sync.h. */
#include "storage/core/sync.h"

#include <errno.h>
#include <string.h>

#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"

/* Lies on the waiting fiber's stack. */
struct sync {
	struct blk_req r;
	struct fiber *waiter; /* NULL while nobody waits */
	bool done;
	int err;
};

static void sync_done(struct blk_req *r, int err)
{
	struct sync *s = r->arg;
	struct fiber *waiter = s->waiter;

	s->err = err;
	s->done = true;
	if (waiter)
		fiber_wake(waiter);
}

/* Make the request that s->r says and wait for it. */
static int sync_do(struct node *n, struct sync *s)
{
	s->r.done = sync_done;
	s->r.arg = s;
	list_init(&s->r.node);
	node_submit(n, &s->r);
	if (!s->done) {
		s->waiter = fiber_self();
		fiber_wait_for(&s->done);
	}
	return s->err;
}

/* The same in pieces of at most BLK_MAX_BYTES, which no request exceeds. */
static int sync_range(struct node *n, enum blk_op op, uint64_t offset,
	void *buf, uint64_t len, unsigned flags)
{
	int r = 0;

	while (len && !r) {
		uint64_t step = len < BLK_MAX_BYTES ? len : BLK_MAX_BYTES;
		struct iovec iov = { buf, step };
		struct sync s = { .r = { .op = op,
					  .flags = flags,
					  .offset = offset,
					  .len = step,
					  .iov = buf ? &iov : NULL,
					  .niov = buf ? 1 : 0 } };

		r = sync_do(n, &s);
		offset += step;
		len -= step;
		buf = buf ? (char *)buf + step : NULL;
	}
	return r;
}

static int sync_vec(struct node *n, enum blk_op op, uint64_t offset,
	const struct iovec *iov, int niov, uint64_t len, unsigned flags)
{
	struct sync s = { .r = { .op = op,
				  .flags = flags,
				  .offset = offset,
				  .len = len,
				  .iov = iov,
				  .niov = niov } };

	return len ? sync_do(n, &s) : 0;
}

int node_read(struct node *n, uint64_t offset, void *buf, uint64_t len)
{
	return sync_range(n, BLK_READ, offset, buf, len, 0);
}

int node_write(struct node *n, uint64_t offset, const void *buf, uint64_t len,
	unsigned flags)
{
	return sync_range(n, BLK_WRITE, offset, (void *)(uintptr_t)buf, len,
		flags);
}

int node_readv(struct node *n, uint64_t offset, const struct iovec *iov,
	int niov, uint64_t len)
{
	return sync_vec(n, BLK_READ, offset, iov, niov, len, 0);
}

int node_writev(struct node *n, uint64_t offset, const struct iovec *iov,
	int niov, uint64_t len, unsigned flags)
{
	return sync_vec(n, BLK_WRITE, offset, iov, niov, len, flags);
}

int node_flush(struct node *n)
{
	struct sync s = { .r = { .op = BLK_FLUSH } };

	return sync_do(n, &s);
}

int node_discard(struct node *n, uint64_t offset, uint64_t len)
{
	return sync_range(n, BLK_DISCARD, offset, NULL, len, 0);
}

int node_zero(struct node *n, uint64_t offset, uint64_t len, unsigned flags)
{
	return sync_range(n, BLK_WRITE_ZEROES, offset, NULL, len, flags);
}

int node_status(struct node *n, uint64_t offset, uint64_t len, unsigned flags,
	struct blk_extent *extent)
{
	struct sync s = { .r = { .op = BLK_STATUS,
				  .flags = flags,
				  .offset = offset,
				  .len = len,
				  .extent = extent } };

	memset(extent, 0, sizeof(*extent));
	return len ? sync_do(n, &s) : 0;
}

uint64_t node_size(const struct node *n)
{
	struct blk_info info = { 0 };

	n->ops->info(n, &info);
	return info.size;
}

int node_resize(struct node *n, uint64_t size, enum node_prealloc how,
	struct err *e)
{
	if (!n->ops->resize)
		return err_set(e, ENOTSUP, "%s: its size cannot be changed",
			n->path);
	return n->ops->resize(n, size, how, e);
}

int node_close(struct node *n)
{
	return n ? n->ops->close(n) : 0;
}
