/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A request on an NBD export is one command or several: no more than the
 * server's payload in each, from the caller's memory where a piece of the
 * iovec is large enough, else through a bounce buffer (libnbd takes no
 * iovecs). A flush comes at the end where FUA was asked and the server has
 * none; zeroing becomes writing where it cannot zero.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/proto/nbd.h"

#define NBD_WINDOW     8u         /* commands of one request at a time */
#define NBD_BOUNCE     (1u << 20) /* bytes in a bounce buffer, at most */
#define NBD_DIRECT_MIN (1u << 16) /* a piece of the iovec worth a command */
#define NBD_TRIM_MAX   (UINT64_C(1) << 30) /* trim, zero, status: no payload */

static void io_step(struct nbd_io *io);

static void *spare_get(struct list *spare, size_t node, size_t size)
{
	struct list *n = list_pop(spare);

	return n ? (char *)n - node : malloc(size);
}

static void spare_free(struct list *spare, size_t node)
{
	struct list *n;

	while ((n = list_pop(spare)))
		free((char *)n - node);
}

void nbd_io_fini(struct nbd *nbd)
{
	spare_free(&nbd->spare_ios, offsetof(struct nbd_io, node));
	spare_free(&nbd->spare_ops, offsetof(struct nbd_op, node));
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
	free(op->bounce);
	list_add_head(&op->nbd->spare_ops, &op->node);
	io_step(io);
}

/* Beginnings. */

static struct nbd_op *op_new(struct nbd_io *io, enum blk_op cmd)
{
	struct nbd *nbd = io->nbd;
	struct nbd_op *op = spare_get(&nbd->spare_ops,
		offsetof(struct nbd_op, node), sizeof(*op));

	if (!op)
		return NULL;
	memset(op, 0, sizeof(*op));
	op->nbd = nbd;
	op->io = io;
	op->cmd = cmd;
	list_init(&op->node);
	if ((io->r->flags & BLK_FUA || nbd->write_through) && nbd->caps.fua &&
		(cmd == BLK_WRITE || cmd == BLK_WRITE_ZEROES) && !nbd->unsafe)
		op->flags |= LIBNBD_CMD_FLAG_FUA;
	return op;
}

static void op_drop(struct nbd_op *op)
{
	free(op->bounce);
	list_add_head(&op->nbd->spare_ops, &op->node);
}

static void io_send(struct nbd_io *io, struct nbd_op *op)
{
	io->ops++;
	nbd_op_send(op);
}

static void io_seek(struct nbd_io *io, uint64_t bytes)
{
	const struct blk_req *r = io->r;

	io->pos += bytes;
	io->seg_pos += bytes;
	while (io->seg < r->niov && io->seg_pos >= r->iov[io->seg].iov_len)
		io->seg_pos -= r->iov[io->seg++].iov_len;
}

/* Bytes at pos that can go without a copy, 0 = none. */
static uint64_t io_direct(const struct nbd_io *io)
{
	const struct blk_req *r = io->r;
	const struct nbd_caps *caps = &io->nbd->caps;
	uint64_t left = io->end - io->pos, len;

	if ((r->offset + io->pos) & (caps->min_block - 1))
		return 0;
	len = r->iov[io->seg].iov_len - io->seg_pos;
	if (len > left)
		len = left;
	if (len < left && len < NBD_DIRECT_MIN)
		return 0;
	if (len > caps->max_payload)
		len = caps->max_payload;
	return size_down(len, caps->min_block);
}

/*
 * Set op up for what lies at pos, in a buffer of its own that keeps to the
 * server's blocks (a write does so anyway). Returns bytes of r in it, 0 when
 * there is no memory.
 */
static uint64_t io_bounce(struct nbd_io *io, struct nbd_op *op)
{
	const struct blk_req *r = io->r;
	const struct nbd_caps *caps = &io->nbd->caps;
	uint64_t at = r->offset + io->pos, len = io->end - io->pos;
	uint64_t max =
		caps->max_payload < NBD_BOUNCE ? caps->max_payload : NBD_BOUNCE;

	op->offset = size_down(at, caps->min_block);
	op->skip = at - op->offset;
	if (len > max - op->skip)
		len = max - op->skip;
	op->want = len;
	op->len = size_up(op->skip + len, caps->min_block);
	op->bounce = malloc(op->len);
	if (!op->bounce)
		return 0;
	op->buf = op->bounce;
	if (op->cmd == BLK_WRITE)
		iov_to_buf(r->iov, r->niov, io->pos, op->bounce, len);
	return len;
}

static bool io_send_data(struct nbd_io *io)
{
	const struct blk_req *r = io->r;
	struct nbd_op *op = op_new(io, io->cmd);
	uint64_t len;

	if (!op)
		return false;
	op->iov_pos = io->pos;
	len = io_direct(io);
	if (len) {
		op->offset = r->offset + io->pos;
		op->len = len;
		op->buf = (char *)r->iov[io->seg].iov_base + io->seg_pos;
	} else {
		len = io_bounce(io, op);
	}
	if (!len) {
		op_drop(op);
		return false;
	}
	io_seek(io, len);
	io_send(io, op);
	return true;
}

/* Zeros from a mapping that the kernel backs with one zero page. */
static bool io_send_zeros(struct nbd_io *io)
{
	struct nbd *nbd = io->nbd;
	struct nbd_op *op;
	uint64_t len = io->end - io->pos;

	if (!nbd->zeros) {
		void *p = mmap(NULL, NBD_ZEROS, PROT_READ,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return false;
		nbd->zeros = p;
	}
	op = op_new(io, BLK_WRITE);
	if (!op)
		return false;
	if (len > NBD_ZEROS)
		len = NBD_ZEROS;
	if (len > nbd->caps.max_payload)
		len = nbd->caps.max_payload;
	op->offset = io->r->offset + io->pos;
	op->len = len;
	op->buf = nbd->zeros;
	io->pos += len;
	io_send(io, op);
	return true;
}

/* Trim, zero, status: a range and no data. */
static bool io_send_range(struct nbd_io *io)
{
	struct nbd *nbd = io->nbd;
	struct nbd_op *op = op_new(io, io->cmd);
	uint64_t len = io->end - io->pos;

	if (!op)
		return false;
	if (len > NBD_TRIM_MAX)
		len = NBD_TRIM_MAX;
	op->offset = io->r->offset + io->pos;
	op->len = len;
	if (io->cmd == BLK_STATUS) {
		op->len = size_up(len, nbd->caps.min_block);
		op->flags |= LIBNBD_CMD_FLAG_REQ_ONE;
		io->pos = io->end; /* the first piece is all that is told */
	} else {
		io->pos += len;
	}
	if (io->cmd == BLK_WRITE_ZEROES &&
		(!(io->r->flags & BLK_UNMAP) || nbd->keep_allocated))
		op->flags |= LIBNBD_CMD_FLAG_NO_HOLE;
	io_send(io, op);
	return true;
}

static bool io_send_flush(struct nbd_io *io)
{
	struct nbd_op *op = op_new(io, BLK_FLUSH);

	if (!op)
		return false;
	io->flush = false;
	io_send(io, op);
	return true;
}

static bool io_send_next(struct nbd_io *io)
{
	if (io->cmd == BLK_READ ||
		(io->cmd == BLK_WRITE && io->r->op == BLK_WRITE))
		return io_send_data(io);
	if (io->cmd == BLK_WRITE)
		return io_send_zeros(io);
	return io_send_range(io);
}

/* Send what may be sent; end what is at its end. */
static void io_step(struct nbd_io *io)
{
	while (!io->err && io->pos < io->end && io->ops < NBD_WINDOW)
		if (!io_send_next(io))
			io->err = -EIO; /* no memory */
	if (io->ops)
		return;
	if (io->flush && !io->err && !io->again && !io_send_flush(io))
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
	struct nbd_io *io = spare_get(&nbd->spare_ios,
		offsetof(struct nbd_io, node), sizeof(*io));

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

void nbd_submit(struct node *n, struct blk_req *r)
{
	struct nbd *nbd = container_of(n, struct nbd, node);
	uint64_t mask = nbd->caps.min_block - 1;

	if (!op_changes(r->op) || !mask)
		nbd_io_start(nbd, r);
	else if (nbd_rmw_holds(nbd, r))
		return;
	else if (r->op != BLK_DISCARD && ((r->offset | r->len) & mask) &&
		 size_in(r->offset, r->len, nbd->size))
		nbd_rmw_start(nbd, r);
	else
		nbd_io_start(nbd, r);
}
