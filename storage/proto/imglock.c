/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Image locks as in QEMU's docs/devel/block (permissions of a block node):
 * each permission p has two bytes in the file, 100 + p "I use it" and
 * 200 + p "I let nobody else use it". Who opens an image takes shared locks
 * on the bytes that say what it does, then looks for a lock of somebody else
 * on the opposite bytes. As both do it in this order, at least one of two
 * sees the other. The locks belong to the open file (OFD), not the process.
 */
#include "storage/proto/imglock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#define IMGLOCK_USES   100
#define IMGLOCK_DENIES 200

enum imglock_perm { PERM_READ = 0, PERM_WRITE = 1, PERM_RESIZE = 3 };

static int imglock_byte(int fd, int cmd, short type, off_t at, bool *held)
{
	struct flock fl = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = at,
		.l_len = 1,
	};
	int r;

	do {
		r = fcntl(fd, cmd, &fl);
	} while (r < 0 && errno == EINTR);
	if (held)
		*held = fl.l_type != F_UNLCK;
	return r < 0 ? -errno : 0;
}

/* Does somebody else hold the byte at at? */
static int imglock_held(int fd, off_t at, bool *held)
{
	return imglock_byte(fd, F_OFD_GETLK, F_WRLCK, at, held);
}

static int imglock_share(int fd, off_t at)
{
	return imglock_byte(fd, F_OFD_SETLK, F_RDLCK, at, NULL);
}

static int imglock_busy(const char *path, bool by_writer, struct err *e)
{
	if (by_writer)
		return err_set(e, EBUSY,
			"%s: in use: another guest or program has it open for "
			"writing: stop that first, or give this guest a copy",
			path);
	return err_set(e, EBUSY,
		"%s: in use: another guest or program reads it and wants no "
		"writer: stop that first, or set readonly = yes here",
		path);
}

/* The bytes of what we do, then those of what we deny. */
static int imglock_set(int fd, bool readonly)
{
	static const off_t bytes[] = {
		IMGLOCK_USES + PERM_READ, IMGLOCK_DENIES + PERM_WRITE,
		IMGLOCK_DENIES + PERM_RESIZE,
		IMGLOCK_USES + PERM_WRITE, /* writers only */
	};
	size_t n = ARRAY_LEN(bytes) - (readonly ? 1 : 0);
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = imglock_share(fd, bytes[i]);
	return r;
}

static int imglock_check(int fd, const char *path, bool readonly, struct err *e)
{
	static const struct {
		off_t at;
		bool by_writer;
		bool writers_only;
	} look[] = {
		{ IMGLOCK_USES + PERM_WRITE, true, false },
		{ IMGLOCK_USES + PERM_RESIZE, true, false },
		{ IMGLOCK_DENIES + PERM_READ, true, false },
		{ IMGLOCK_DENIES + PERM_WRITE, false, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(look); i++) {
		bool held = false;
		int r;

		if (look[i].writers_only && readonly)
			continue;
		r = imglock_held(fd, look[i].at, &held);
		if (r)
			return err_sys(e, -r, "%s: cannot test its locks",
				path);
		if (held)
			return imglock_busy(path, look[i].by_writer, e);
	}
	return 0;
}

int imglock_take(int fd, const char *path, bool readonly, struct log *log,
	struct err *e)
{
	int r = imglock_set(fd, readonly);

	if (r == -EAGAIN || r == -EACCES)
		return imglock_busy(path, true, e); /* an exclusive lock */
	if (r == -ENOLCK || r == -EOPNOTSUPP || r == -EINVAL || r == -ENOSYS) {
		log_msg(log, LOG_WARN,
			"%s: its file system has no locks (%s): nothing keeps "
			"a second program from writing to it",
			path, strerror(-r));
		return 0;
	}
	if (r)
		return err_sys(e, -r, "%s: cannot lock it", path);
	return imglock_check(fd, path, readonly, e);
}

void imglock_drop(int fd)
{
	struct flock fl = {
		.l_type = F_UNLCK,
		.l_whence = SEEK_SET,
		.l_start = IMGLOCK_USES,
		.l_len = 2 * (IMGLOCK_DENIES - IMGLOCK_USES),
	};

	fcntl(fd, F_OFD_SETLK, &fl);
}
