/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing the size of an image's file; see file.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vm/base/io.h"

#include "storage/proto/file.h"
#include "storage/proto/imglock.h"

/* Write zeros to [from, size) of fd and see them on the disk. */
static int file_write_full(int fd, uint64_t from, uint64_t size)
{
	void *zeros = calloc(1, FILE_STEP_MAX);
	int r = zeros ? 0 : -ENOMEM;

	while (!r && from < size) {
		uint64_t n = size - from;

		if (n > FILE_STEP_MAX)
			n = FILE_STEP_MAX;
		r = io_pwrite_full(fd, zeros, n, (off_t)from);
		from += n;
	}
	if (!r && fdatasync(fd))
		r = -errno;
	free(zeros);
	return r;
}

/* The same where fd may be O_DIRECT, which asks for alignment. */
static int file_fill(int fd, uint64_t from, uint64_t size)
{
	char self[64];
	int other, r;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	other = open(self, O_RDWR | O_CLOEXEC);
	if (other < 0)
		return -errno;
	r = file_write_full(other, from, size);
	close(other);
	return r;
}

int file_set_size(int fd, uint64_t from, uint64_t size, enum node_prealloc how)
{
	int r = 0;

	if (size > INT64_MAX)
		return -EFBIG;
	if (ftruncate(fd, (off_t)size))
		return -errno;
	if (size <= from)
		return 0;
	if (how == NODE_PREALLOC_FALLOC)
		r = -posix_fallocate(fd, (off_t)from, (off_t)(size - from));
	else if (how == NODE_PREALLOC_FULL)
		r = file_fill(fd, from, size);
	if (r && ftruncate(fd, (off_t)from))
		return r; /* the first error says more */
	return r;
}

struct resize {
	int fd;
	uint64_t from, size;
	enum node_prealloc how;
};

static int file_resize_job(void *arg)
{
	const struct resize *z = arg;

	return file_set_size(z->fd, z->from, z->size, z->how);
}

/*
 * A device has the size that it has, which may have changed since it was
 * opened. A format may use less of it.
 */
static int file_resize_bdev(struct file *f, uint64_t size, struct err *e)
{
	uint64_t now;
	int r = file_bytes(f->fd, true, &now);

	if (r)
		return err_sys(e, -r, "%s: cannot measure it", f->path);
	if (size > now)
		return err_set(e, ENOSPC,
			"%s: the device has %llu bytes, not %llu: make it "
			"larger first (lvextend, or where it comes from)",
			f->path, (unsigned long long)now,
			(unsigned long long)size);
	if (size < now && !f->is_format)
		return err_set(e, ENOTSUP,
			"%s: a block device is made smaller by its own tools "
			"(lvreduce): it has %llu bytes",
			f->path, (unsigned long long)now);
	f->size = now;
	return 0;
}

static int file_resize_file(struct file *f, uint64_t size,
	enum node_prealloc how, struct err *e)
{
	struct resize z = { f->fd, 0, size, how };
	int r = 0;

	if (f->locked && !f->is_format)
		r = imglock_grow(f->fd, f->path, e);
	if (r)
		return r;
	r = file_bytes(f->fd, false, &z.from);
	if (!r)
		r = ctx_work(f->node.ctx, file_resize_job, &z);
	if (f->locked && !f->is_format)
		imglock_grown(f->fd);
	if (r)
		return err_sys(e, -r, "%s: cannot give it %llu bytes", f->path,
			(unsigned long long)size);
	f->size = size;
	return 0;
}

int file_resize(struct node *n, uint64_t size, enum node_prealloc how,
	struct err *e)
{
	struct file *f = container_of(n, struct file, node);
	int r;

	if (n->readonly)
		return err_set(e, EROFS, "%s: is opened read-only", f->path);
	if (!f->is_format && (!size || (size & (f->block_size - 1))))
		return err_set(e, EINVAL,
			"%s: a size of %llu: must be a multiple of %u", f->path,
			(unsigned long long)size, f->block_size);
	file_status_forget(f);
	r = f->bdev ? file_resize_bdev(f, size, e)
		    : file_resize_file(f, size, how, e);
	file_status_forget(f);
	return r ? r : file_open_tail(f, e);
}
