/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes and zeroing that do not keep to the server's blocks (a format's
 * metadata on a server of 4 KiB sectors): the blocks at the edges are read,
 * changed and written, one request after the other, in a fiber. Meanwhile
 * nothing else is changed in them: what is on its way there is waited for,
 * what comes waits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/core/sync.h"
#include "storage/proto/nbd.h"

struct rmw {
	struct nbd *nbd;
	struct blk_req *r;
	uint8_t *block;    /* min_block bytes */
	struct iovec *iov; /* r->niov places */
};

static bool rmw_overlaps(const struct nbd *nbd, const struct blk_req *r)
{
	return r->offset < nbd->rmw_end && nbd->rmw_start < r->offset + r->len;
}

bool nbd_rmw_holds(struct nbd *nbd, struct blk_req *r)
{
	if (nbd->rmw_start == nbd->rmw_end || !rmw_overlaps(nbd, r) ||
		nbd->rmw_lock.owner == fiber_self())
		return false;
	list_add_tail(&nbd->held, &r->node);
	return true;
}

static bool rmw_must_wait(const struct nbd *nbd)
{
	list_each (it, &nbd->writing) {
		const struct nbd_io *io = list_entry(it, struct nbd_io, node);

		if (rmw_overlaps(nbd, io->r))
			return true;
	}
	return false;
}

void nbd_rmw_io_ended(struct nbd *nbd)
{
	struct fiber *f = nbd->rmw_waiter;

	if (!f || rmw_must_wait(nbd))
		return;
	nbd->rmw_waiter = NULL;
	fiber_wake(f);
}

/* Make the blocks of r ours. */
static void rmw_begin(struct nbd *nbd, const struct blk_req *r)
{
	uint64_t block = nbd->caps.min_block;

	fiber_lock_take(&nbd->rmw_lock);
	nbd->rmw_start = size_down(r->offset, block);
	nbd->rmw_end = size_up(r->offset + r->len, block);
	while (rmw_must_wait(nbd)) {
		nbd->rmw_waiter = fiber_self();
		fiber_wait();
	}
	nbd->rmw_waiter = NULL;
}

static void rmw_end(struct nbd *nbd)
{
	struct list now, *n;

	nbd->rmw_start = nbd->rmw_end = 0;
	list_init(&now);
	while ((n = list_pop(&nbd->held)))
		list_add_tail(&now, n);
	fiber_lock_drop(&nbd->rmw_lock);
	while ((n = list_pop(&now)))
		nbd_submit(&nbd->node, list_entry(n, struct blk_req, node));
}

/* Bytes [pos, pos + len) of r, all in one block. */
static int rmw_edge(struct rmw *w, uint64_t pos, uint64_t len)
{
	struct node *n = &w->nbd->node;
	uint64_t block = w->nbd->caps.min_block;
	uint64_t at = size_down(w->r->offset + pos, block);
	uint8_t *to = w->block + (w->r->offset + pos - at);
	int r = node_read(n, at, w->block, block);

	if (r)
		return r;
	if (w->r->op == BLK_WRITE)
		iov_to_buf(w->r->iov, w->r->niov, pos, to, len);
	else
		memset(to, 0, len);
	return node_write(n, at, w->block, block, w->r->flags & BLK_FUA);
}

/* Whole blocks: bytes [pos, pos + len) of r. */
static int rmw_middle(struct rmw *w, uint64_t pos, uint64_t len)
{
	struct node *n = &w->nbd->node;
	const struct blk_req *r = w->r;
	int niov;

	if (r->op == BLK_WRITE_ZEROES)
		return node_zero(n, r->offset + pos, len, r->flags);
	niov = iov_part(r->iov, r->niov, pos, len, w->iov);
	return node_writev(n, r->offset + pos, w->iov, niov, len,
		r->flags & BLK_FUA);
}

static int rmw_do(struct rmw *w)
{
	uint64_t block = w->nbd->caps.min_block;
	uint64_t start = w->r->offset, end = start + w->r->len;
	uint64_t a = size_up(start, block), b = size_down(end, block);
	int r = 0;

	if (a > b) /* inside one block */
		return rmw_edge(w, 0, w->r->len);
	if (start < a)
		r = rmw_edge(w, 0, a - start);
	if (!r && a < b)
		r = rmw_middle(w, a - start, b - a);
	if (!r && b < end)
		r = rmw_edge(w, b - start, end - b);
	return r;
}

static void rmw_run(void *arg)
{
	struct rmw *w = arg;
	struct nbd *nbd = w->nbd;
	struct blk_req *r = w->r;
	int err = -EIO;

	rmw_begin(nbd, r);
	w->block = malloc(nbd->caps.min_block);
	w->iov = calloc((size_t)r->niov + 1, sizeof(*w->iov));
	if (w->block && w->iov)
		err = rmw_do(w);
	free(w->block);
	free(w->iov);
	free(w);
	nbd_enter(nbd);
	rmw_end(nbd);
	node_done(r, err);
	nbd_leave(nbd);
}

void nbd_rmw_start(struct nbd *nbd, struct blk_req *r)
{
	struct rmw *w = malloc(sizeof(*w));

	if (w) {
		w->nbd = nbd;
		w->r = r;
		if (!fiber_start(nbd->node.ctx, rmw_run, w))
			return;
	}
	free(w);
	node_done(r, -EIO);
}
