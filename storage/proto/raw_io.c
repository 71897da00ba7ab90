/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A request on a raw image is a few system calls one after the other: the
 * parts of a transfer that came short or goes through a bounce buffer
 * (O_DIRECT with memory that is not aligned), the ways to write zeroes from
 * the best that the file takes down to writing them, a sync at the end.
 * io->next says what to do with a call's result.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "storage/core/iov.h"
#include "storage/proto/raw.h"

#define RAW_BOUNCE_ALIGN 4096u
#define RAW_RETRIES      16u

struct raw_io {
	struct aio_req q;
	struct raw *raw;
	struct blk_req *r;
	void (*next)(struct raw_io *io, int64_t res);
	uint64_t pos;      /* bytes of r that are done */
	uint8_t *bounce;   /* NULL = none */
	struct iovec *iov; /* rest of r->iov after a short transfer */
	struct iovec one;
	unsigned retries;
	struct list node; /* in raw->spare */
};

static void raw_rw_step(struct raw_io *io);
static void raw_zero_step(struct raw_io *io);

/* The ends of a request. */

static struct raw_io *raw_io_get(struct raw *raw, struct blk_req *r)
{
	struct list *n = list_pop(&raw->spare);
	struct raw_io *io;

	io = n ? list_entry(n, struct raw_io, node) : malloc(sizeof(*io));
	if (!io)
		return NULL;
	io->raw = raw;
	io->r = r;
	io->pos = 0;
	io->bounce = NULL;
	io->iov = NULL;
	io->retries = 0;
	return io;
}

static void raw_io_put(struct raw_io *io)
{
	free(io->bounce);
	free(io->iov);
	list_add_head(&io->raw->spare, &io->node);
}

void raw_io_fini(struct raw *raw)
{
	struct list *n;

	while ((n = list_pop(&raw->spare)))
		free(list_entry(n, struct raw_io, node));
	if (raw->zeros)
		munmap(raw->zeros, RAW_STEP_MAX);
}

/* What a host error is to a guest. */
static int raw_map_err(int64_t res)
{
	switch (res) {
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	case -EROFS:
		return -EROFS;
	}
	return -EIO;
}

static void raw_io_end(struct raw_io *io, int err)
{
	struct blk_req *r = io->r;

	raw_io_put(io);
	node_done(r, err);
}

static void raw_io_fail(struct raw_io *io, int64_t res)
{
	static const char *const what[] = { "read", "write", "flush", "discard",
		"zeroing" };
	struct raw *raw = io->raw;

	log_limited(raw->log, &raw->limit, LOG_ERROR,
		"%s: %s of %llu bytes at %llu: %s", raw->path, what[io->r->op],
		(unsigned long long)io->r->len,
		(unsigned long long)io->r->offset, strerror((int)-res));
	raw_io_end(io, raw_map_err(res));
}

/* One system call. */

static void raw_called(struct aio_req *q)
{
	struct raw_io *io = container_of(q, struct raw_io, q);
	struct aio *aio = io->raw->aio;

	if ((q->res == -EINTR || q->res == -EAGAIN) &&
		io->retries++ < RAW_RETRIES)
		aio->ops->submit(aio, q);
	else
		io->next(io, q->res);
	aio->ops->kick(aio);
}

static void raw_call(struct raw_io *io, enum aio_op op, uint64_t offset,
	uint64_t len, void (*next)(struct raw_io *io, int64_t res))
{
	io->q.op = op;
	io->q.offset = offset;
	io->q.len = len;
	io->q.done = raw_called;
	io->next = next;
	io->raw->aio->ops->submit(io->raw->aio, &io->q);
}

/* Flush. */

/*
 * After a failed sync the kernel forgets which pages were not written and
 * the next sync would succeed: never say again that data is safe. Direct
 * I/O leaves no pages behind.
 */
static void raw_synced(struct raw_io *io, int64_t res)
{
	struct raw *raw = io->raw;

	if (!res) {
		raw_io_end(io, 0);
		return;
	}
	if (!raw->file.direct) {
		raw->lost = raw_map_err(res);
		log_msg(raw->log, LOG_ERROR,
			"%s: data written before is lost (%s): all flushes "
			"fail until it is opened anew",
			raw->path, strerror((int)-res));
	}
	raw_io_fail(io, res);
}

static void raw_sync(struct raw_io *io)
{
	if (io->raw->unsafe)
		raw_io_end(io, 0);
	else if (io->raw->lost)
		raw_io_end(io, io->raw->lost);
	else
		raw_call(io, AIO_SYNC, 0, 0, raw_synced);
}

/* A write is in the page cache (or on the device): must it go further? */
static void raw_io_written(struct raw_io *io)
{
	if (io->raw->write_through || (io->r->flags & BLK_FUA))
		raw_sync(io);
	else
		raw_io_end(io, 0);
}

/* Read and write. */

static void raw_rw_all_done(struct raw_io *io)
{
	if (io->r->op == BLK_WRITE)
		raw_io_written(io);
	else
		raw_io_end(io, 0);
}

/* The file ends within what the guest reads: it shrank, or is a short one. */
static void raw_read_eof(struct raw_io *io)
{
	const struct blk_req *r = io->r;

	iov_zero(r->iov, r->niov, io->pos, r->len - io->pos);
	raw_io_end(io, 0);
}

static void raw_rw_called(struct raw_io *io, int64_t res)
{
	const struct blk_req *r = io->r;
	const struct file *f = &io->raw->file;
	bool torn =
		f->direct && res > 0 && ((uint64_t)res & (f->block_size - 1));

	if (res < 0) {
		raw_io_fail(io, res);
		return;
	}
	if (torn && r->op == BLK_WRITE)
		res -= (int64_t)((uint64_t)res & (f->block_size - 1));
	if (!res && r->op == BLK_WRITE) {
		raw_io_fail(io, -EIO);
		return;
	}
	if (io->bounce && r->op == BLK_READ)
		iov_from_buf(r->iov, r->niov, io->pos, io->bounce,
			(uint64_t)res);
	io->pos += (uint64_t)res;
	if (io->pos >= r->len)
		raw_rw_all_done(io);
	else if (r->op == BLK_READ && (!res || torn))
		raw_read_eof(io);
	else
		raw_rw_step(io);
}

static bool raw_must_bounce(const struct raw *raw, const struct blk_req *r)
{
	return raw->file.direct &&
	       !iov_aligned(r->iov, r->niov, raw->file.mem_align,
		       raw->file.block_size);
}

/* Point q's iovec at a piece of the bounce buffer. Returns its length. */
static uint64_t raw_bounce(struct raw_io *io)
{
	const struct blk_req *r = io->r;
	uint64_t len = r->len - io->pos;
	void *buf = NULL;

	if (len > RAW_STEP_MAX)
		len = RAW_STEP_MAX;
	if (!io->bounce) {
		if (posix_memalign(&buf, RAW_BOUNCE_ALIGN, len))
			return 0;
		io->bounce = buf;
	}
	if (r->op == BLK_WRITE)
		iov_to_buf(r->iov, r->niov, io->pos, io->bounce, len);
	io->one = (struct iovec){ io->bounce, len };
	io->q.iov = &io->one;
	io->q.niov = 1;
	return len;
}

/* Point q's iovec at what is left of r. Returns its length. */
static uint64_t raw_rest(struct raw_io *io)
{
	const struct blk_req *r = io->r;

	io->q.iov = r->iov;
	io->q.niov = r->niov;
	if (io->pos) {
		if (!io->iov)
			io->iov = calloc((size_t)r->niov, sizeof(*io->iov));
		if (!io->iov)
			return 0;
		io->q.iov = io->iov;
		io->q.niov = iov_behind(r->iov, r->niov, io->pos, io->iov);
	}
	return r->len - io->pos;
}

static void raw_rw_step(struct raw_io *io)
{
	const struct blk_req *r = io->r;
	uint64_t len =
		raw_must_bounce(io->raw, r) ? raw_bounce(io) : raw_rest(io);

	if (!len) {
		raw_io_fail(io, -ENOMEM);
		return;
	}
	raw_call(io, r->op == BLK_READ ? AIO_READ : AIO_WRITE,
		r->offset + io->pos, len, raw_rw_called);
}

/* Discard and write-zeroes. */

static bool raw_is_refusal(int64_t res)
{
	return res == -EOPNOTSUPP || res == -ENOTTY || res == -ENOSYS ||
	       res == -EINVAL;
}

/* A discard is a hint: where it cannot be done, it was not needed. */
static void raw_discarded(struct raw_io *io, int64_t res)
{
	if (res && raw_is_refusal(res)) {
		io->raw->no_discard = true;
		res = 0;
	}
	if (res)
		raw_io_fail(io, res);
	else
		raw_io_end(io, 0);
}

static void raw_discard(struct raw_io *io)
{
	const struct blk_req *r = io->r;

	if (io->raw->no_discard) {
		raw_io_end(io, 0);
		return;
	}
	io->q.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	raw_call(io, io->raw->file.bdev ? AIO_DISCARD : AIO_FALLOCATE,
		r->offset, r->len, raw_discarded);
}

/* One call did all of it. res_no is what a refusal is remembered in. */
static void raw_zeroed_by(struct raw_io *io, int64_t res, bool *refused)
{
	if (raw_is_refusal(res)) {
		*refused = true;
		raw_zero_step(io); /* the next best */
	} else if (res < 0) {
		raw_io_fail(io, res);
	} else {
		raw_io_written(io);
	}
}

static void raw_punched(struct raw_io *io, int64_t res)
{
	raw_zeroed_by(io, res, &io->raw->no_punch);
}

static void raw_zero_ranged(struct raw_io *io, int64_t res)
{
	raw_zeroed_by(io, res, &io->raw->no_zero_range);
}

static void raw_zeroed_out(struct raw_io *io, int64_t res)
{
	raw_zeroed_by(io, res, &io->raw->no_zeroout);
}

static void raw_zeros_written(struct raw_io *io, int64_t res)
{
	if (res <= 0) {
		raw_io_fail(io, res ? res : -EIO);
		return;
	}
	if (io->raw->file.direct)
		res -= (int64_t)((uint64_t)res &
				 (io->raw->file.block_size - 1));
	io->pos += (uint64_t)res;
	if (!res)
		raw_io_fail(io, -EIO);
	else if (io->pos >= io->r->len)
		raw_io_written(io);
	else
		raw_zero_step(io);
}

/* Write zeros from a mapping that the kernel backs with one zero page. */
static void raw_write_zeros(struct raw_io *io)
{
	struct raw *raw = io->raw;
	uint64_t len = io->r->len - io->pos;
	void *p;

	if (!raw->zeros) {
		p = mmap(NULL, RAW_STEP_MAX, PROT_READ,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED) {
			raw_io_fail(io, -ENOMEM);
			return;
		}
		raw->zeros = p;
	}
	if (len > RAW_STEP_MAX)
		len = RAW_STEP_MAX;
	io->one = (struct iovec){ raw->zeros, len };
	io->q.iov = &io->one;
	io->q.niov = 1;
	raw_call(io, AIO_WRITE, io->r->offset + io->pos, len,
		raw_zeros_written);
}

/*
 * The best way that is left: punch a hole if the guest allows it, let the
 * file system or the device zero the range, write zeros. On a block device
 * the two fallocate modes zero by the device with and without unmapping.
 */
static void raw_zero_step(struct raw_io *io)
{
	struct raw *raw = io->raw;
	const struct blk_req *r = io->r;

	if ((r->flags & BLK_UNMAP) && !raw->keep_allocated && !raw->no_punch) {
		io->q.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		raw_call(io, AIO_FALLOCATE, r->offset, r->len, raw_punched);
	} else if (!raw->no_zero_range) {
		io->q.mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
		raw_call(io, AIO_FALLOCATE, r->offset, r->len, raw_zero_ranged);
	} else if (raw->file.bdev && !raw->no_zeroout) {
		raw_call(io, AIO_ZEROOUT, r->offset, r->len, raw_zeroed_out);
	} else {
		raw_write_zeros(io);
	}
}

void raw_submit(struct node *n, struct blk_req *r)
{
	struct raw *raw = container_of(n, struct raw, node);
	struct raw_io *io = raw_io_get(raw, r);

	if (!io) {
		node_done(r, -EIO);
		return;
	}
	switch (r->op) {
	case BLK_READ:
	case BLK_WRITE:
		raw_rw_step(io);
		break;
	case BLK_FLUSH:
		raw_sync(io);
		break;
	case BLK_DISCARD:
		raw_discard(io);
		break;
	case BLK_WRITE_ZEROES:
		raw_zero_step(io);
		break;
	}
}
