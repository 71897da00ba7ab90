/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a file has data and where holes, by lseek() on a worker thread: a
 * file system may read from its disk for the answer. The extent found last
 * is kept, so that who asks piece by piece asks the file system once an
 * extent. A write that ends makes it forget. See file.h.
 */
#include <errno.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/proto/file.h"

void file_status_forget(struct file *f)
{
	f->seen.end = 0;
	f->changes++;
}

/* io->arg: from; afterwards the extent [from, to), io->flag its kind. The
 * block in which a file ends is there to its end: a guest's file has whole
 * blocks. */
static int64_t file_seek_job(struct file_io *io)
{
	off_t from = (off_t)io->arg[0];
	off_t data = lseek(io->f->fd, from, SEEK_DATA), hole;

	if (data < 0 && errno == ENXIO) { /* a hole up to the end */
		off_t end = lseek(io->f->fd, 0, SEEK_END);

		/* what a file lost is no hole: its read fails */
		io->flag = end <= from;
		io->arg[1] = end <= from ? UINT64_MAX
					 : size_up((uint64_t)end, FILE_BLOCK);
		return 0;
	}
	if (data < 0)
		return -errno;
	io->flag = data == from;
	if (data > from) {
		io->arg[1] = (uint64_t)data;
		return 0;
	}
	hole = lseek(io->f->fd, from, SEEK_HOLE);
	if (hole <= from)
		return hole < 0 ? -errno : -EINVAL;
	io->arg[1] = size_up((uint64_t)hole, FILE_BLOCK);
	return 0;
}

/* r lies in an extent that goes on up to to. */
static void file_status_tell(struct file_io *io, uint64_t to, bool data,
	bool present)
{
	const struct blk_req *r = io->r;
	uint64_t len = to - r->offset;

	*r->extent = (struct blk_extent){
		.len = len < r->len ? len : r->len,
		.data = data,
		.zero = !data,
		.present = present,
		.has_host = present,
		.host = present ? r->offset : 0,
		.file = io->f->path,
	};
	file_io_end(io, 0);
}

static void file_sought(struct file_io *io, int64_t res)
{
	struct file *f = io->f;
	uint64_t to = io->arg[1];

	if (res) { /* no such call here: all may be data */
		f->no_seek = true;
		file_status_tell(io, f->size, true, true);
		return;
	}
	if (to > f->size)
		to = f->size;
	if (io->end == f->changes) {
		f->seen.start = io->r->offset;
		f->seen.end = to;
		f->seen.data = io->flag;
	}
	file_status_tell(io, to, io->flag, true);
}

void file_status(struct file_io *io)
{
	const struct blk_req *r = io->r;
	struct file *f = io->f;

	if (r->offset >= f->size || !r->len)
		file_status_tell(io, UINT64_MAX, false, false);
	else if (f->bdev || f->no_seek)
		file_status_tell(io, f->size, true, true);
	else if (r->offset >= f->seen.start && r->offset < f->seen.end)
		file_status_tell(io, f->seen.end, f->seen.data, true);
	else {
		io->arg[0] = r->offset;
		io->end = f->changes;
		file_work(io, file_seek_job, file_sought);
	}
}
