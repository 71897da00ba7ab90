/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and closing an image's file, and what it is; see file.h. */
#include "storage/proto/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/proto/imglock.h"

static int file_close(struct node *n)
{
	struct file *f = container_of(n, struct file, node);

	f->aio->ops->free(f->aio);
	file_io_fini(f);
	if (f->tail_fd >= 0)
		close(f->tail_fd);
	if (f->locked)
		imglock_drop(f->fd);
	close(f->fd);
	free(f->path);
	free(f);
	return 0;
}

static void file_info(const struct node *n, struct blk_info *out)
{
	const struct file *f = container_of(n, struct file, node);

	*out = (struct blk_info){
		.size = f->size,
		.block_size = f->block_size,
		.phys_size = f->phys_size,
		.readonly = n->readonly,
		.can_discard = !n->readonly,
		.can_write_zeroes = !n->readonly,
		.discard_align = f->discard_align,
		.format = "raw",
		.aio = atomic_load(&f->aio->name),
	};
}

static const struct node_ops file_ops = {
	.name = "file",
	.close = file_close,
	.submit = file_submit,
	.info = file_info,
	.resize = file_resize,
};

/*
 * Open without waiting, should the path be a pipe after all, and let I/O
 * wait again: io_uring takes O_NONBLOCK to mean that it must not. O_EXCL
 * keeps the host from mounting a block device while we write to it, and us
 * from one that is.
 */
static int file_open_fd(struct file *f, const struct proto_open *o, bool bdev,
	struct err *e)
{
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
		    (o->readonly ? O_RDONLY : O_RDWR) |
		    (f->direct ? O_DIRECT : 0) |
		    (bdev && !o->readonly && !o->no_lock ? O_EXCL : 0);

	do {
		f->fd = open(o->path, flags);
	} while (f->fd < 0 && errno == EINTR);
	if (f->fd < 0)
		return file_open_error(o->path, o->readonly, f->direct, errno,
			e);
	flags = fcntl(f->fd, F_GETFL);
	if (flags < 0 || fcntl(f->fd, F_SETFL, flags & ~O_NONBLOCK))
		return err_sys(e, errno, "%s: cannot open it", o->path);
	return 0;
}

/*
 * Direct I/O is made in whole blocks and would make a file longer whose last
 * one is not whole. A format does not mind, a guest would see its disk grow:
 * that end is written without O_DIRECT.
 */
int file_open_tail(struct file *f, struct err *e)
{
	char self[64];

	if (!f->direct || f->bdev || f->is_format || f->node.readonly ||
		!(f->size & (f->align - 1)) || f->tail_fd >= 0)
		return 0;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	f->tail_fd = open(self, O_RDWR | O_CLOEXEC);
	if (f->tail_fd < 0)
		return err_sys(e, errno,
			"%s: cannot open its end without direct I/O: give it "
			"a size that is a multiple of %u bytes",
			f->path, f->align);
	return 0;
}

/* Opening some device files has effects: look first. */
static int file_stat(const char *path, struct stat *st, struct err *e)
{
	if (!stat(path, st))
		return file_check_type(path, st->st_mode, e);
	if (errno == ENOENT)
		return err_set(e, ENOENT,
			"%s: there is no such file: check the path, or make it "
			"(disk create)",
			path);
	return err_sys(e, errno, "%s: cannot open it", path);
}

int file_read_head(const char *path, void *head, uint64_t *len, struct err *e)
{
	struct stat st;
	size_t got = 0;
	ssize_t n = 1;
	int fd, r;

	r = file_stat(path, &st, e);
	if (r)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return file_open_error(path, true, false, errno, e);
	while (got < *len && n > 0) {
		n = pread(fd, (char *)head + got, *len - got, (off_t)got);
		if (n > 0)
			got += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	r = n < 0 ? err_sys(e, errno, "%s: cannot read it", path) : 0;
	close(fd);
	*len = got;
	return r;
}

static int file_open(struct file *f, const struct proto_open *o, struct err *e)
{
	enum imglock_use use = o->readonly    ? IMGLOCK_READ
			       : o->is_format ? IMGLOCK_GROW
					      : IMGLOCK_WRITE;
	struct stat st;
	int r;

	r = file_stat(o->path, &st, e);
	if (!r)
		r = file_open_fd(f, o, S_ISBLK(st.st_mode), e);
	if (r)
		return r;
	if (fstat(f->fd, &st))
		return err_sys(e, errno, "%s: cannot measure it", o->path);
	r = file_check_type(o->path, st.st_mode, e);
	if (!r && !o->no_lock) {
		r = imglock_take(f->fd, o->path, use, o->log, e);
		f->locked = true;
	}
	if (!r)
		r = file_measure(f, &st, e);
	if (!r)
		r = file_open_tail(f, e);
	if (!r)
		r = aio_new(o->aio, f->fd, o->path, o->ctx, o->log, &f->aio, e);
	return r;
}

static void file_init(struct file *f, const struct proto_open *o)
{
	f->node.ops = &file_ops;
	f->node.ctx = o->ctx;
	f->node.log = o->log;
	f->node.path = f->path;
	f->node.readonly = o->readonly;
	f->is_format = o->is_format;
	f->keep_allocated = o->no_discard;
	f->direct = o->cache == BLK_NONE || o->cache == BLK_DIRECTSYNC;
	f->write_through =
		o->cache == BLK_WRITETHROUGH || o->cache == BLK_DIRECTSYNC;
	f->unsafe = o->cache == BLK_UNSAFE;
	f->fd = f->tail_fd = -1;
	list_init(&f->spare);
}

int file_node_open(const struct proto_open *o, struct node **out, struct err *e)
{
	struct file *f = calloc(1, sizeof(*f));
	int r;

	if (f)
		f->path = strdup(o->path);
	if (!f || !f->path) {
		free(f);
		return err_sys(e, ENOMEM, "%s: cannot open it", o->path);
	}
	file_init(f, o);
	r = file_open(f, o, e);
	if (!r) {
		file_order_init(f);
		*out = &f->node;
		return 0;
	}
	if (f->tail_fd >= 0)
		close(f->tail_fd);
	if (f->locked)
		imglock_drop(f->fd);
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	free(f);
	return r;
}
