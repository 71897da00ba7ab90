/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Transfers that O_DIRECT does not take as they are, through a buffer of
 * ours: memory that is not aligned, and ranges that begin or end within a
 * block. Such a write reads the block first; file_order.c keeps other writes
 * away from it meanwhile. See file.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/proto/file.h"

/* A step moves bytes [cur, end) of the file, in whole blocks [lo, hi). */
struct part {
	uint64_t cur, end, lo, hi;
};

bool file_is_partial(const struct file *f, uint64_t offset, uint64_t len)
{
	return ((offset | len) & (f->align - 1)) != 0;
}

static uint64_t part_limit(const struct file_io *io)
{
	return io->r->op == BLK_WRITE_ZEROES ? io->end : io->r->len;
}

/* Where the part begins that only tail_fd may write. */
static uint64_t part_tail(const struct file *f)
{
	return f->tail_fd >= 0 ? size_down(f->size, f->align) : UINT64_MAX;
}

static struct part part_of(const struct file_io *io)
{
	const struct file *f = io->f;
	struct part p;

	p.cur = io->r->offset + io->pos;
	p.end = io->r->offset + part_limit(io);
	p.lo = size_down(p.cur, f->align);
	p.hi = size_up(p.end, f->align);
	if (p.hi - p.lo > FILE_STEP_MAX)
		p.hi = p.lo + FILE_STEP_MAX;
	if (io->r->op != BLK_READ && p.lo < part_tail(f) && p.hi > part_tail(f))
		p.hi = part_tail(f);
	if (p.end > p.hi)
		p.end = p.hi;
	return p;
}

/* The first step is the longest, or shorter than a block. */
static bool part_buffer(struct file_io *io, const struct part *p)
{
	size_t align = io->f->mem_align;
	void *buf = NULL;

	if (io->bounce)
		return true;
	if (align < FILE_BLOCK_MAX)
		align = FILE_BLOCK_MAX;
	if (posix_memalign(&buf, align, p->hi - p->lo))
		return false;
	io->bounce = buf;
	return true;
}

/* Transfer len bytes of the buffer, from at in it, to or from the file. */
static void part_call(struct file_io *io, enum aio_op op, uint64_t lo,
	uint64_t at, uint64_t len, void (*next)(struct file_io *, int64_t))
{
	io->one = (struct iovec){ io->bounce + at, len };
	io->q.iov = &io->one;
	io->q.niov = 1;
	file_call(io, op, lo + at, len, next);
}

/* n bytes of r more are done. */
static void part_advance(struct file_io *io, uint64_t n)
{
	io->pos += n;
	if (io->r->op != BLK_READ)
		file_grew(io->f,
			size_up(io->r->offset + io->pos, io->f->align));
	if (io->pos < part_limit(io))
		file_part_step(io);
	else if (io->r->op == BLK_READ)
		file_io_end(io, 0);
	else if (io->r->op == BLK_WRITE)
		file_io_written(io);
	else
		file_zero(io);
}

/* Reading. */

static void part_was_read(struct file_io *io, int64_t res)
{
	struct part p = part_of(io);
	uint64_t pad = p.cur - p.lo, got = 0;

	if (res < 0) {
		file_io_fail(io, res);
		return;
	}
	if ((uint64_t)res > pad)
		got = (uint64_t)res - pad;
	if (got > p.end - p.cur)
		got = p.end - p.cur;
	iov_from_buf(io->r->iov, io->r->niov, io->pos, io->bounce + pad, got);
	io->pos += got;
	if (io->pos < part_limit(io) &&
		(!got || ((uint64_t)res & (io->f->align - 1))))
		file_read_eof(io);
	else
		part_advance(io, 0);
}

/* Writing: [ read first block ] [ read last block ] overlay, write. */

static void part_overlay(struct file_io *io, uint8_t *to, uint64_t len)
{
	if (io->r->op == BLK_WRITE)
		iov_to_buf(io->r->iov, io->r->niov, io->pos, to, len);
	else
		memset(to, 0, len);
}

static void part_written(struct file_io *io, int64_t res)
{
	struct part p = part_of(io);
	uint64_t pad = p.cur - p.lo, put;

	put = res > 0 ? size_down((uint64_t)res, io->f->align) : 0;
	if (put <= pad) {
		file_io_fail(io, res < 0 ? res : -EIO);
		return;
	}
	put -= pad;
	part_advance(io, put < p.end - p.cur ? put : p.end - p.cur);
}

static void part_write(struct file_io *io)
{
	struct part p = part_of(io);

	part_overlay(io, io->bounce + (p.cur - p.lo), p.end - p.cur);
	part_call(io, AIO_WRITE, p.lo, 0, p.hi - p.lo, part_written);
}

/* A block at at in the buffer was read; what the file has not got is zero. */
static bool part_block_read(struct file_io *io, uint64_t at, int64_t res)
{
	if (res < 0) {
		file_io_fail(io, res);
		return false;
	}
	if ((uint64_t)res < io->f->align)
		memset(io->bounce + at + res, 0, io->f->align - (uint64_t)res);
	return true;
}

static void part_last_read(struct file_io *io, int64_t res)
{
	struct part p = part_of(io);

	if (part_block_read(io, p.hi - p.lo - io->f->align, res))
		part_write(io);
}

static void part_read_last(struct file_io *io)
{
	struct part p = part_of(io);
	uint64_t last = p.hi - p.lo - io->f->align;

	if (p.end == p.hi || (last == 0 && p.cur > p.lo))
		part_write(io); /* whole, or read as the first one */
	else
		part_call(io, AIO_READ, p.lo, last, io->f->align,
			part_last_read);
}

static void part_first_read(struct file_io *io, int64_t res)
{
	if (part_block_read(io, 0, res))
		part_read_last(io);
}

/* The end of a guest's file, through the page cache; on a worker thread. */
static int64_t part_tail_job(struct file_io *io)
{
	int r = io_pwrite_full(io->f->tail_fd, io->bounce, io->arg[1],
		(off_t)io->arg[0]);

	return r ? r : (int64_t)io->arg[1];
}

static void part_tail_written(struct file_io *io, int64_t res)
{
	if (res < 0)
		file_io_fail(io, res);
	else
		part_advance(io, (uint64_t)res);
}

static void part_write_tail(struct file_io *io, const struct part *p)
{
	part_overlay(io, io->bounce, p->end - p->cur);
	io->arg[0] = p->cur;
	io->arg[1] = p->end - p->cur;
	file_work(io, part_tail_job, part_tail_written);
}

void file_part_step(struct file_io *io)
{
	struct part p = part_of(io);

	if (!part_buffer(io, &p))
		file_io_fail(io, -ENOMEM);
	else if (io->r->op == BLK_READ)
		part_call(io, AIO_READ, p.lo, 0, p.hi - p.lo, part_was_read);
	else if (p.cur >= part_tail(io->f))
		part_write_tail(io, &p);
	else if (p.cur > p.lo)
		part_call(io, AIO_READ, p.lo, 0, io->f->align, part_first_read);
	else
		part_read_last(io);
}
