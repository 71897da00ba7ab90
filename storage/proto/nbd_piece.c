/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The commands of a request: no more than the server's payload in each, from
 * the caller's memory where a piece of the iovec is large enough, else
 * through a bounce buffer (libnbd takes no iovecs).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/proto/nbd.h"

#define NBD_BOUNCE     (1u << 20) /* bytes in a bounce buffer, at most */
#define NBD_DIRECT_MIN (1u << 16) /* a piece of the iovec worth a command */
#define NBD_TRIM_MAX   (UINT64_C(1) << 30) /* trim, zero, status: no payload */

static struct nbd_op *op_new(struct nbd_io *io, enum blk_op cmd)
{
	struct nbd *nbd = io->nbd;
	struct list *spare = list_pop(&nbd->spare_ops);
	struct nbd_op *op = spare ? list_entry(spare, struct nbd_op, node)
				  : malloc(sizeof(*op));

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

void nbd_op_put(struct nbd_op *op)
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
		nbd_op_put(op);
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

bool nbd_io_send_flush(struct nbd_io *io)
{
	struct nbd_op *op = op_new(io, BLK_FLUSH);

	if (!op)
		return false;
	io->flush = false;
	io_send(io, op);
	return true;
}

bool nbd_io_send_next(struct nbd_io *io)
{
	if (io->cmd == BLK_READ ||
		(io->cmd == BLK_WRITE && io->r->op == BLK_WRITE))
		return io_send_data(io);
	if (io->cmd == BLK_WRITE)
		return io_send_zeros(io);
	return io_send_range(io);
}
