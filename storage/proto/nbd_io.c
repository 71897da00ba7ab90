/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A request on an NBD export, from begin to end: one command or several
 * (nbd_piece.c). A flush comes at the end where FUA was asked and the server
 * has none; zeroing becomes writing where it cannot zero.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/proto/nbd.h"

#define NBD_WINDOW 8u /* commands of one request at a time */

static void io_step(struct nbd_io *io);

void nbd_io_fini(struct nbd *nbd)
{
	struct list *n;

	while ((n = list_pop(&nbd->spare_ios)))
		free(list_entry(n, struct nbd_io, node));
	while ((n = list_pop(&nbd->spare_ops)))
		free(list_entry(n, struct nbd_op, node));
	if (nbd->zeros)
		munmap(nbd->zeros, NBD_ZEROS);
}

/* Ends. */

static void io_end(struct nbd_io *io)
{
	struct nbd *nbd = io->nbd;
	struct blk_req *r = io->r;
	int err = io->err;

	list_del(&io->node);
	list_add_head(&nbd->spare_ios, &io->node);
	nbd_rmw_io_ended(nbd);
	node_done(r, err);
}

static void io_all_done(struct nbd_io *io)
{
	if (io->again && !io->err) {
		io->again = false;
		io->cmd = BLK_WRITE;
		io->pos = 0;
		io_step(io);
		return;
	}
	io_end(io);
}

/* What a server's error is to a guest. */
static int io_map_err(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	case EPERM:
	case EROFS:
		return -EROFS;
	}
	return -EIO;
}

/* A command of io failed. Some need not be. */
static void io_op_failed(struct nbd_io *io, const struct nbd_op *op)
{
	static const char *const what[BLK_OPS] = { "read", "write", "flush",
		"discard", "zeroing", "status" };
	struct nbd *nbd = io->nbd;

	if (op->err == ENOTSUP && op->cmd == BLK_DISCARD) {
		nbd->no_trim = true;
		return;
	}
	if (op->err == ENOTSUP && op->cmd == BLK_WRITE_ZEROES) {
		nbd->no_zero = true;
		io->again = true;
		io->pos = io->end;
		return;
	}
	log_limited(nbd->node.log, &nbd->limit, LOG_ERROR,
		"%s: %s of %llu bytes at %llu: %s", nbd->uri, what[op->cmd],
		(unsigned long long)op->len, (unsigned long long)op->offset,
		strerror(op->err));
	if (!io->err)
		io->err = io_map_err(op->err);
}

static void io_take_extent(struct nbd_io *io, const struct nbd_op *op)
{
	struct nbd *nbd = io->nbd;
	struct blk_extent *x = io->r->extent;
	bool hole = op->ext_len && (op->ext_flags & LIBNBD_STATE_HOLE);

	*x = (struct blk_extent){ .len = op->len, .present = true };
	if (op->ext_len && op->ext_len < x->len)
		x->len = op->ext_len;
	if (x->len > io->end)
		x->len = io->end;
	x->zero = op->ext_len && (op->ext_flags & LIBNBD_STATE_ZERO);
	/* a hole that may read as anything must be read */
	x->data = !(hole && x->zero);
	x->has_host = x->data;
	x->host = x->has_host ? op->offset : 0;
	x->file = nbd->uri;
}

void nbd_op_done(struct nbd_op *op)
{
	struct nbd_io *io = op->io;
	const struct blk_req *r = io->r;

	io->ops--;
	if (op->err)
		io_op_failed(io, op);
	else if (op->cmd == BLK_READ && op->bounce)
		iov_from_buf(r->iov, r->niov, op->iov_pos,
			(uint8_t *)op->bounce + op->skip, op->want);
	else if (op->cmd == BLK_STATUS)
		io_take_extent(io, op);
	nbd_op_put(op);
	io_step(io);
}

/* Send what may be sent; end what is at its end. */
static void io_step(struct nbd_io *io)
{
	while (!io->err && io->pos < io->end && io->ops < NBD_WINDOW)
		if (!nbd_io_send_next(io))
			io->err = -EIO; /* no memory */
	if (io->ops)
		return;
	if (io->flush && !io->err && !io->again && !nbd_io_send_flush(io))
		io->err = -EIO;
	if (!io->ops)
		io_all_done(io);
}

/* The part of r inside the image; what is behind it reads as zeros. */
static int io_clip(struct nbd_io *io)
{
	const struct nbd *nbd = io->nbd;
	const struct blk_req *r = io->r;
	uint64_t room = r->offset < nbd->size ? nbd->size - r->offset : 0;

	io->end = r->len;
	if (r->len <= room)
		return 0;
	if (r->op == BLK_WRITE || r->op == BLK_WRITE_ZEROES)
		return -ENOSPC;
	io->end = room;
	if (r->op == BLK_READ)
		iov_zero(r->iov, r->niov, room, r->len - room);
	return 0;
}

/* A hint keeps to whole blocks. False = none is left. */
static bool io_trim_edges(struct nbd_io *io)
{
	uint64_t block = io->nbd->caps.min_block;
	uint64_t first = size_up(io->r->offset, block) - io->r->offset;
	uint64_t end = io->r->offset + io->end;

	if (first >= io->end || size_down(end, block) <= io->r->offset + first)
		return false;
	io->pos = first;
	io->end = size_down(end, block) - io->r->offset;
	return true;
}

/* Status without asking. */
static void io_status_known(struct nbd_io *io)
{
	struct nbd *nbd = io->nbd;
	const struct blk_req *r = io->r;
	bool inside = r->offset < nbd->size;

	*r->extent = (struct blk_extent){
		.len = inside ? io->end : r->len,
		.data = inside,
		.zero = !inside,
		.present = inside,
		.has_host = inside,
		.host = inside ? r->offset : 0,
		.file = nbd->uri,
	};
	io->pos = io->end;
}

/* Set io up by what r asks. */
static void io_prepare(struct nbd_io *io)
{
	struct nbd *nbd = io->nbd;
	const struct nbd_caps *caps = &nbd->caps;
	const struct blk_req *r = io->r;
	bool fua = (r->flags & BLK_FUA) || nbd->write_through;

	io->err = io_clip(io);
	switch (r->op) {
	case BLK_WRITE_ZEROES:
		if (!caps->zero || nbd->no_zero)
			io->cmd = BLK_WRITE;
		/* fallthrough */
	case BLK_WRITE:
		io->flush = fua && !caps->fua && caps->flush && !nbd->unsafe;
		break;
	case BLK_FLUSH:
		io->end = 0;
		io->flush = caps->flush && !nbd->unsafe;
		break;
	case BLK_DISCARD:
		if (!caps->trim || nbd->no_trim || nbd->keep_allocated ||
			!io_trim_edges(io))
			io->pos = io->end;
		break;
	case BLK_STATUS:
		if (!caps->alloc || !io->end ||
			(r->offset & (caps->min_block - 1)))
			io_status_known(io);
		break;
	case BLK_READ:
		break;
	}
}

static bool op_changes(enum blk_op op)
{
	return op == BLK_WRITE || op == BLK_WRITE_ZEROES || op == BLK_DISCARD;
}

void nbd_io_start(struct nbd *nbd, struct blk_req *r)
{
	struct list *spare = list_pop(&nbd->spare_ios);
	struct nbd_io *io = spare ? list_entry(spare, struct nbd_io, node)
				  : malloc(sizeof(*io));

	if (!io) {
		node_done(r, -EIO);
		return;
	}
	memset(io, 0, sizeof(*io));
	list_init(&io->node);
	io->nbd = nbd;
	io->r = r;
	io->cmd = r->op;
	if (op_changes(r->op) && nbd->caps.min_block > 1)
		list_add_tail(&nbd->writing, &io->node);
	io_prepare(io);
	io_step(io);
}

/* Does r change part of one of the server's blocks? */
static bool req_is_odd(const struct nbd *nbd, const struct blk_req *r)
{
	uint64_t mask = nbd->caps.min_block - 1;

	return (r->op == BLK_WRITE || r->op == BLK_WRITE_ZEROES) &&
	       ((r->offset | r->len) & mask) &&
	       size_in(r->offset, r->len, nbd->size);
}

void nbd_submit(struct node *n, struct blk_req *r)
{
	struct nbd *nbd = container_of(n, struct nbd, node);

	if (op_changes(r->op) && nbd_rmw_holds(nbd, r))
		return;
	if (req_is_odd(nbd, r))
		nbd_rmw_start(nbd, r);
	else
		nbd_io_start(nbd, r);
}
