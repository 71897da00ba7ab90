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

/* The bytes of what we do and of what we deny, and what others must not. */
struct imglock_byte {
	off_t at;
	enum imglock_use from; /* for this use and those above it */
	bool by_writer;        /* who holds it writes */
};

static int imglock_set(int fd, enum imglock_use use)
{
	static const struct imglock_byte ours[] = {
		{ IMGLOCK_USES + PERM_READ, IMGLOCK_READ, false },
		{ IMGLOCK_USES + PERM_WRITE, IMGLOCK_WRITE, false },
		{ IMGLOCK_USES + PERM_RESIZE, IMGLOCK_GROW, false },
		{ IMGLOCK_DENIES + PERM_WRITE, IMGLOCK_READ, false },
		{ IMGLOCK_DENIES + PERM_RESIZE, IMGLOCK_READ, false },
	};
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_LEN(ours); i++)
		if (use >= ours[i].from)
			r = imglock_share(fd, ours[i].at);
	return r;
}

static int imglock_check(int fd, const char *path, enum imglock_use use,
	struct err *e)
{
	static const struct imglock_byte theirs[] = {
		{ IMGLOCK_USES + PERM_WRITE, IMGLOCK_READ, true },
		{ IMGLOCK_USES + PERM_RESIZE, IMGLOCK_READ, true },
		{ IMGLOCK_DENIES + PERM_READ, IMGLOCK_READ, true },
		{ IMGLOCK_DENIES + PERM_WRITE, IMGLOCK_WRITE, false },
		{ IMGLOCK_DENIES + PERM_RESIZE, IMGLOCK_GROW, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
		bool held = false;
		int r;

		if (use < theirs[i].from)
			continue;
		r = imglock_held(fd, theirs[i].at, &held);
		if (r)
			return err_sys(e, -r, "%s: cannot test its locks",
				path);
		if (held)
			return imglock_busy(path, theirs[i].by_writer, e);
	}
	return 0;
}

/* Has the file system no locks? */
static bool imglock_is_unknown(int r)
{
	return r == -ENOLCK || r == -EOPNOTSUPP || r == -EINVAL || r == -ENOSYS;
}

int imglock_take(int fd, const char *path, enum imglock_use use,
	struct log *log, struct err *e)
{
	int r = imglock_set(fd, use);

	if (r == -EAGAIN || r == -EACCES)
		return imglock_busy(path, true, e); /* an exclusive lock */
	if (imglock_is_unknown(r)) {
		log_msg(log, LOG_WARN,
			"%s: its file system has no locks (%s): nothing keeps "
			"a second program from writing to it",
			path, strerror(-r));
		return 0;
	}
	if (r)
		return err_sys(e, -r, "%s: cannot lock it", path);
	return imglock_check(fd, path, use, e);
}

int imglock_grow(int fd, const char *path, struct err *e)
{
	int r = imglock_share(fd, IMGLOCK_USES + PERM_RESIZE);

	if (imglock_is_unknown(r))
		return 0;
	if (r)
		return err_sys(e, -r, "%s: cannot lock it", path);
	r = imglock_check(fd, path, IMGLOCK_GROW, e);
	if (r)
		imglock_grown(fd);
	return r;
}

void imglock_grown(int fd)
{
	imglock_byte(fd, F_OFD_SETLK, F_UNLCK, IMGLOCK_USES + PERM_RESIZE,
		NULL);
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
