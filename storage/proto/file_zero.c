/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Discards, and zeros by the best way that a file or device takes: punch a
 * hole if that is allowed, let the file system or the device zero the range,
 * write zeros. See file.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include "vm/base/sizes.h"

#include "storage/proto/file.h"

static bool file_is_refusal(int64_t res)
{
	return res == -EOPNOTSUPP || res == -ENOTTY || res == -ENOSYS ||
	       res == -EINVAL;
}

/* A discard is a hint: where it cannot be done, it was not needed. */
static void file_discarded(struct file_io *io, int64_t res)
{
	if (res && file_is_refusal(res)) {
		io->f->no_discard = true;
		res = 0;
	}
	if (res)
		file_io_fail(io, res);
	else
		file_io_end(io, 0);
}

void file_discard(struct file_io *io)
{
	const struct blk_req *r = io->r;
	struct file *f = io->f;
	uint64_t lo = size_up(r->offset, f->zero_align);
	uint64_t hi = size_down(r->offset + r->len, f->zero_align);

	if (hi > f->size)
		hi = size_down(f->size, f->zero_align);
	if (f->no_discard || f->keep_allocated || lo >= hi) {
		file_io_end(io, 0);
		return;
	}
	io->q.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	file_call(io, f->bdev ? AIO_DISCARD : AIO_FALLOCATE, lo, hi - lo,
		file_discarded);
}

/* One call zeroed up to io->end, or *refused keeps that it never will. */
static void file_zeroed_by(struct file_io *io, int64_t res, bool *refused)
{
	if (file_is_refusal(res)) {
		*refused = true;
		file_zero(io); /* the next best */
	} else if (res < 0) {
		file_io_fail(io, res);
	} else {
		io->pos = io->end;
		file_grew(io->f, io->r->offset + io->pos);
		file_zero(io);
	}
}

static void file_punched(struct file_io *io, int64_t res)
{
	file_zeroed_by(io, res, &io->f->no_punch);
}

static void file_zero_ranged(struct file_io *io, int64_t res)
{
	file_zeroed_by(io, res, &io->f->no_zero_range);
}

static void file_zeroed_out(struct file_io *io, int64_t res)
{
	file_zeroed_by(io, res, &io->f->no_zeroout);
}

/* Zeros by writing them. */

static void file_write_zeros(struct file_io *io);

static void file_zeros_written(struct file_io *io, int64_t res)
{
	if (res > 0 && io->f->direct)
		res = (int64_t)size_down((uint64_t)res, io->f->align);
	if (res <= 0) {
		file_io_fail(io, res ? res : -EIO);
		return;
	}
	io->pos += (uint64_t)res;
	file_grew(io->f, io->r->offset + io->pos);
	if (io->pos < io->end)
		file_write_zeros(io);
	else
		file_zero(io);
}

/* A mapping that the kernel backs with one page of zeros. */
static bool file_map_zeros(struct file *f)
{
	void *p;

	if (f->zeros)
		return true;
	p = mmap(NULL, FILE_STEP_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (p == MAP_FAILED)
		return false;
	f->zeros = p;
	return true;
}

static void file_write_zeros(struct file_io *io)
{
	struct file *f = io->f;
	uint64_t cur = io->r->offset + io->pos, len = io->end - io->pos;

	if (file_is_partial(f, cur, len) || f->mem_align > FILE_BLOCK_MAX) {
		file_part_step(io);
		return;
	}
	if (!file_map_zeros(f)) {
		file_io_fail(io, -ENOMEM);
		return;
	}
	if (len > FILE_STEP_MAX)
		len = FILE_STEP_MAX;
	io->one = (struct iovec){ f->zeros, len };
	io->q.iov = &io->one;
	io->q.niov = 1;
	file_call(io, AIO_WRITE, cur, len, file_zeros_written);
}

/*
 * Up to io->end, which is what may be done in one call, by the best way
 * that is left. On a block device the two fallocate modes zero by the device
 * with and without unmapping. A hole cannot make a file longer.
 */
static void file_zero_ladder(struct file_io *io)
{
	struct file *f = io->f;
	uint64_t cur = io->r->offset + io->pos, len = io->end - io->pos;
	bool grows = cur + len > f->size && !f->bdev;

	if ((io->r->flags & BLK_UNMAP) && !f->keep_allocated && !f->no_punch &&
		!grows) {
		io->q.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		file_call(io, AIO_FALLOCATE, cur, len, file_punched);
	} else if (!f->no_zero_range) {
		io->q.mode = FALLOC_FL_ZERO_RANGE;
		if (!grows)
			io->q.mode |= FALLOC_FL_KEEP_SIZE;
		file_call(io, AIO_FALLOCATE, cur, len, file_zero_ranged);
	} else if (f->bdev && !f->no_zeroout) {
		file_call(io, AIO_ZEROOUT, cur, len, file_zeroed_out);
	} else {
		file_write_zeros(io);
	}
}

/*
 * Go on at io->pos: on a device what is no whole sector is written, the
 * sectors between go by the ladder.
 */
void file_zero(struct file_io *io)
{
	const struct blk_req *r = io->r;
	const struct file *f = io->f;
	uint64_t cur = r->offset + io->pos, rest = r->len - io->pos;
	uint64_t whole = size_down(rest, f->zero_align);

	if (!rest) {
		file_io_written(io);
	} else if (f->bdev && cur + rest > f->size) {
		file_io_fail(io, -ENOSPC);
	} else if ((cur & (f->zero_align - 1)) || !whole) {
		io->end = size_up(cur + 1, f->zero_align) - r->offset;
		if (io->end > r->len)
			io->end = r->len;
		file_write_zeros(io);
	} else {
		io->end = io->pos + whole;
		file_zero_ladder(io);
	}
}
