/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a file of the host is and asks for: type, size, blocks, alignment of
 * direct I/O. See file.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/proto/file.h"

/* Only files and block devices; what else there is would block or lie. */
int file_check_type(const char *path, mode_t mode, struct err *e)
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

int file_open_error(const char *path, bool readonly, bool direct, int code,
	struct err *e)
{
	switch (code) {
	case EINVAL:
		if (direct)
			return err_set(e, EINVAL,
				"%s: its file system has no direct I/O: use "
				"cache writeback or writethrough",
				path);
		break;
	case EBUSY:
		return err_set(e, EBUSY,
			"%s: in use: the host has it mounted, or as a part of "
			"a RAID or a volume group: end that first, or set "
			"readonly = yes",
			path);
	case EROFS:
		return err_set(e, EROFS,
			"%s: is on a read-only file system or device: set "
			"readonly = yes",
			path);
	case ETXTBSY:
	case EACCES:
	case EPERM:
		return err_set(e, code, "%s: cannot open it for %s: %s%s", path,
			readonly ? "reading" : "writing", strerror(code),
			readonly ? ""
				 : ": set readonly = yes or mend its "
				   "permissions");
	}
	return err_sys(e, code, "%s: cannot open it", path);
}

int file_bytes(int fd, bool bdev, uint64_t *out)
{
	struct stat st;

	if (bdev)
		return ioctl(fd, BLKGETSIZE64, out) ? -errno : 0;
	if (fstat(fd, &st))
		return -errno;
	*out = (uint64_t)st.st_size;
	return 0;
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
	while (f->align < FILE_BLOCK_MAX &&
		!file_try_direct(f->fd, buf, f->align))
		f->align *= 2;
	f->mem_align = f->align;
	free(buf);
	return 0;
}

/* What O_DIRECT asks of memory and offsets. */
static int file_measure_direct(struct file *f)
{
	struct statx sx;

	f->align = f->block_size;
	memset(&sx, 0, sizeof(sx));
	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) ||
		!(sx.stx_mask & STATX_DIOALIGN) ||
		!size_is_pow2(sx.stx_dio_mem_align) ||
		!size_is_pow2(sx.stx_dio_offset_align) ||
		sx.stx_dio_offset_align > FILE_STEP_MAX ||
		sx.stx_dio_mem_align > FILE_STEP_MAX)
		return file_probe_direct(f);
	if (sx.stx_dio_offset_align > f->align)
		f->align = sx.stx_dio_offset_align;
	f->mem_align = sx.stx_dio_mem_align;
	return 0;
}

static int file_measure_bdev(struct file *f)
{
	int logical = 0;
	unsigned physical = 0;

	if (ioctl(f->fd, BLKSSZGET, &logical))
		return -errno;
	if (logical < (int)FILE_BLOCK || !size_is_pow2((uint64_t)logical) ||
		(uint64_t)logical > FILE_STEP_MAX)
		return -EINVAL;
	f->block_size = f->phys_size = f->zero_align = (uint32_t)logical;
	if (!ioctl(f->fd, BLKPBSZGET, &physical) && size_is_pow2(physical) &&
		physical > f->phys_size)
		f->phys_size = physical;
	f->discard_align = f->phys_size;
	return 0;
}

/* The guest's own image: whole blocks, and not none. What a file lacks of its
 * last block reads as zeros, and is there once it was written to. */
static int file_round(struct file *f, struct err *e)
{
	f->size = f->bdev ? size_down(f->size, f->block_size)
			  : size_up(f->size, f->block_size);
	if (!f->size)
		return err_set(e, EINVAL,
			"%s: is empty: give it a size (truncate -s 10G)",
			f->path);
	return 0;
}

int file_measure(struct file *f, const struct stat *st, struct err *e)
{
	int r;

	f->bdev = S_ISBLK(st->st_mode);
	f->block_size = f->phys_size = FILE_BLOCK;
	f->align = f->mem_align = f->zero_align = 1;
	f->discard_align = FILE_BLOCK_MAX;
	if (size_is_pow2((uint64_t)st->st_blksize) &&
		st->st_blksize >= (blksize_t)FILE_BLOCK)
		f->discard_align = (uint32_t)st->st_blksize;
	r = file_bytes(f->fd, f->bdev, &f->size);
	if (!r && f->bdev)
		r = file_measure_bdev(f);
	if (!r && f->direct)
		r = file_measure_direct(f);
	if (r)
		return err_sys(e, -r, "%s: cannot measure it", f->path);
	if (f->phys_size < f->align)
		f->phys_size = f->align;
	return f->is_format ? 0 : file_round(f, e);
}
