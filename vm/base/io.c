/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whole reads and writes and small files. No state; any thread. What Unix
 * sockets need is in io_unix.c.
 */
#include "vm/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/clock.h"

#define PIPE_WAIT_MS 1000 /* for the whole of what a pipe gives */

int io_read_full(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_write_full(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_pread_full(int fd, void *buf, size_t len, off_t off)
{
	char *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_pwrite_full(int fd, const void *buf, size_t len, off_t off)
{
	const char *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Wait for more from a pipe, until the deadline in ns: 0 or -ETIMEDOUT. */
static int io_wait_more(int fd, uint64_t *deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = clock_now_ns();

	if (!*deadline)
		*deadline = now + PIPE_WAIT_MS * NS_PER_MS;
	if (now >= *deadline)
		return -ETIMEDOUT;
	poll(&p, 1, (int)((*deadline - now) / NS_PER_MS) + 1);
	return 0;
}

/* Read to the end of fd, at most max bytes, into a growing *buf. */
static int io_slurp(int fd, size_t max, uint8_t **buf, size_t *len)
{
	size_t room = max < 4096 ? max + 1 : 4096;
	uint8_t *p = malloc(room + 1);
	int r = p ? 0 : -ENOMEM;
	uint64_t deadline = 0;

	*len = 0;
	while (!r) {
		ssize_t n = read(fd, p + *len, room - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			r = io_wait_more(fd, &deadline);
			continue;
		}
		if (n <= 0) {
			r = n ? -errno : 0;
			break;
		}
		*len += (size_t)n;
		if (*len > max) {
			r = -EFBIG;
		} else if (*len == room) {
			uint8_t *more;

			room = room > max / 2 ? max + 1 : 2 * room;
			more = realloc(p, room + 1);
			if (more)
				p = more;
			else
				r = -ENOMEM;
		}
	}
	if (r) {
		free(p);
		return r;
	}
	p[*len] = 0;
	*buf = p;
	return 0;
}

int io_read_file(const char *path, size_t max, uint8_t **out, size_t *len,
	struct err *e)
{
	int fd, r;

	if (max > SSIZE_MAX / 2)
		max = SSIZE_MAX / 2;
	/* a FIFO, which blocks for as long as it likes, may lie there */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	r = io_slurp(fd, max, out, len);
	close(fd);
	if (r == -EFBIG)
		return err_set(e, EFBIG, "%s is larger than %zu bytes", path,
			max);
	if (r)
		return err_sys(e, -r, "cannot read %s", path);
	return 0;
}

/* fsync the folder that holds path, so that a rename in it lasts. */
static int io_sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";
	int fd, r = 0;

	if (slash) {
		size_t n = slash == path ? 1 : (size_t)(slash - path);

		if (n >= sizeof(dir))
			return -ENAMETOOLONG;
		memcpy(dir, path, n);
		dir[n] = 0;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* EINVAL: a file system that cannot sync a folder, and need not */
	if (fsync(fd) && errno != EINVAL)
		r = -errno;
	close(fd);
	return r;
}

/* Make the file tmp new and put buf safely in it. */
static int io_write_new(const char *tmp, const void *buf, size_t len,
	mode_t mode)
{
	int fd, r;

	/* what a crash left must not lend the new file its mode */
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, buf, len);
	if (!r && fsync(fd))
		r = -errno;
	if (close(fd) && !r)
		r = -errno;
	if (r)
		unlink(tmp);
	return r;
}

int io_write_file(const char *path, const void *buf, size_t len, mode_t mode,
	struct err *e)
{
	char tmp[PATH_MAX];
	int r;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		return err_sys(e, ENAMETOOLONG, "cannot write %s", path);
	r = io_write_new(tmp, buf, len, mode);
	if (r)
		return err_sys(e, -r, "cannot write %s", tmp);
	if (rename(tmp, path)) {
		r = -errno;
		unlink(tmp);
		return err_sys(e, -r, "cannot replace %s", path);
	}
	r = io_sync_folder(path);
	if (r)
		return err_sys(e, -r, "cannot sync the folder of %s", path);
	return 0;
}

int io_mkdirs(const char *path, struct err *e)
{
	char dir[PATH_MAX];
	struct stat st;
	size_t len = strlen(path);

	if (!len || len >= sizeof(dir))
		return err_sys(e, len ? ENAMETOOLONG : ENOENT,
			"cannot make folder %s", path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] && path[i] != '/')
			continue;
		memcpy(dir, path, i);
		dir[i] = 0;
		if (mkdir(dir, 0700) && errno != EEXIST)
			return err_sys(e, errno, "cannot make folder %s", dir);
	}
	if (stat(path, &st))
		return err_sys(e, errno, "cannot make folder %s", path);
	if (!S_ISDIR(st.st_mode))
		return err_sys(e, ENOTDIR, "cannot make folder %s", path);
	return 0;
}

int io_cloexec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

int io_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return io_cloexec(fd);
}
