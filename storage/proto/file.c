/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and measuring an image's file; see file.h. */
#include "storage/proto/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/proto/imglock.h"

#define FILE_BLOCK     512u
#define FILE_BLOCK_MAX 4096u

static bool file_wants_direct(const struct blk_opts *o)
{
	return o->cache == BLK_NONE || o->cache == BLK_DIRECTSYNC;
}

/* Only files and block devices; what else there is would block or lie. */
static int file_check_type(const char *path, mode_t mode, struct err *e)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	if (S_ISDIR(mode))
		return err_set(e, EISDIR,
			"%s: is a folder: name the image file in it", path);
	return err_set(e, EINVAL,
		"%s: is a %s: a disk must be a file or a block device", path,
		S_ISFIFO(mode)   ? "pipe"
		: S_ISSOCK(mode) ? "socket"
				 : "character device");
}

static int file_open_error(const struct blk_opts *o, int code, struct err *e)
{
	switch (code) {
	case EINVAL:
		if (file_wants_direct(o))
			return err_set(e, EINVAL,
				"%s: its file system has no direct I/O: use "
				"cache writeback or writethrough",
				o->path);
		break;
	case EROFS:
		return err_set(e, EROFS,
			"%s: is on a read-only file system or device: set "
			"readonly = yes",
			o->path);
	case ETXTBSY:
	case EACCES:
	case EPERM:
		return err_set(e, code, "%s: cannot open it for %s: %s%s",
			o->path, o->readonly ? "reading" : "writing",
			strerror(code),
			o->readonly ? ""
				    : ": set readonly = yes or mend its "
				      "permissions");
	}
	return err_sys(e, code, "%s: cannot open it", o->path);
}

/*
 * Open without waiting, should the path be a pipe after all, and let I/O
 * wait again: io_uring takes O_NONBLOCK to mean that it must not.
 */
static int file_open_fd(const struct blk_opts *o, struct err *e)
{
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
		    (o->readonly ? O_RDONLY : O_RDWR) |
		    (file_wants_direct(o) ? O_DIRECT : 0);
	int fd;

	do {
		fd = open(o->path, flags);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return file_open_error(o, errno, e);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK)) {
		int code = errno;

		close(fd);
		return err_sys(e, code, "%s: cannot open it", o->path);
	}
	return fd;
}

/* Can one read of align bytes at offset 0 be made? EOF counts as yes. */
static bool file_try_direct(int fd, void *buf, uint32_t align)
{
	return pread(fd, buf, align, 0) >= 0 || errno != EINVAL;
}

/* The same by trial, for kernels and file systems that do not tell. */
static int file_probe_direct(struct file *f)
{
	void *buf = NULL;

	if (posix_memalign(&buf, FILE_BLOCK_MAX, FILE_BLOCK_MAX))
		return -ENOMEM;
	while (f->block_size < FILE_BLOCK_MAX &&
		!file_try_direct(f->fd, buf, f->block_size))
		f->block_size *= 2;
	f->mem_align = f->block_size;
	free(buf);
	return 0;
}

/* What O_DIRECT asks of memory and offsets. */
static int file_measure_direct(struct file *f)
{
	struct statx sx;

	memset(&sx, 0, sizeof(sx));
	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) ||
		!(sx.stx_mask & STATX_DIOALIGN) ||
		!size_is_pow2(sx.stx_dio_mem_align) ||
		!size_is_pow2(sx.stx_dio_offset_align))
		return file_probe_direct(f);
	if (sx.stx_dio_offset_align > f->block_size)
		f->block_size = sx.stx_dio_offset_align;
	f->mem_align = sx.stx_dio_mem_align;
	return 0;
}

static int file_measure_bdev(struct file *f)
{
	int logical = 0;
	unsigned physical = 0;

	if (ioctl(f->fd, BLKGETSIZE64, &f->size) ||
		ioctl(f->fd, BLKSSZGET, &logical))
		return -errno;
	if (logical < (int)FILE_BLOCK || !size_is_pow2((uint64_t)logical))
		return -EINVAL;
	f->block_size = (uint32_t)logical;
	f->phys_size = f->block_size;
	if (!ioctl(f->fd, BLKPBSZGET, &physical) && size_is_pow2(physical) &&
		physical > f->phys_size)
		f->phys_size = physical;
	f->discard_align = f->phys_size;
	return 0;
}

static int file_measure(const struct node_open *o, struct file *f,
	const struct stat *st, struct err *e)
{
	const char *path = o->opts->path;
	uint64_t bytes;
	int r = 0;

	f->bdev = S_ISBLK(st->st_mode);
	f->direct = file_wants_direct(o->opts);
	f->size = (uint64_t)st->st_size;
	f->block_size = f->phys_size = FILE_BLOCK;
	f->mem_align = 1;
	f->discard_align = FILE_BLOCK_MAX;
	if (size_is_pow2((uint64_t)st->st_blksize) &&
		st->st_blksize >= (blksize_t)FILE_BLOCK)
		f->discard_align = (uint32_t)st->st_blksize;
	if (f->bdev)
		r = file_measure_bdev(f);
	if (!r && f->direct)
		r = file_measure_direct(f);
	if (r)
		return err_sys(e, -r, "%s: cannot measure it", path);
	if (f->phys_size < f->block_size)
		f->phys_size = f->block_size;
	bytes = f->size;
	f->size = size_down(bytes, f->block_size);
	if (!f->size)
		return err_set(e, EINVAL,
			"%s: is empty: give it a size (truncate -s 10G)", path);
	if (f->size != bytes)
		log_msg(o->log, LOG_WARN,
			"%s: its size is no multiple of %u: the guest does "
			"not see the last %llu bytes",
			path, f->block_size,
			(unsigned long long)(bytes - f->size));
	return 0;
}

int file_open(const struct node_open *o, struct file *f, struct err *e)
{
	const char *path = o->opts->path;
	struct stat st;
	int r;

	memset(f, 0, sizeof(*f));
	/* opening some device files has effects: look first */
	if (stat(path, &st)) {
		if (errno == ENOENT)
			return err_set(e, ENOENT,
				"%s: there is no such file: check the path, "
				"or make it (truncate -s 10G)",
				path);
		return err_sys(e, errno, "%s: cannot open it", path);
	}
	r = file_check_type(path, st.st_mode, e);
	if (r)
		return r;
	f->fd = file_open_fd(o->opts, e);
	if (f->fd < 0)
		return f->fd;
	if (fstat(f->fd, &st))
		r = err_sys(e, errno, "%s: cannot measure it", path);
	if (!r)
		r = file_check_type(path, st.st_mode, e);
	if (!r && !o->opts->no_lock)
		r = imglock_take(f->fd, path, o->opts->readonly, o->log, e);
	if (!r)
		r = file_measure(o, f, &st, e);
	if (r)
		close(f->fd);
	return r;
}

void file_close(struct file *f)
{
	imglock_drop(f->fd);
	close(f->fd);
}

bool file_is_qcow2(const struct file *f)
{
	static const char magic[4] = { 'Q', 'F', 'I', '\xfb' };
	void *buf = NULL;
	bool is = false;

	if (posix_memalign(&buf, FILE_BLOCK_MAX, FILE_BLOCK_MAX))
		return false;
	if (pread(f->fd, buf, f->block_size, 0) >= (ssize_t)sizeof(magic))
		is = !memcmp(buf, magic, sizeof(magic));
	free(buf);
	return is;
}
