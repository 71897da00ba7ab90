/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Unix sockets: listen without leaving a stale path behind, connect, and
 * descriptors beside bytes, unix(7) and cmsg(3). No state; any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vm/base/io.h"

#define IO_FDS_MAX 8

static int io_unix_addr(const char *path, struct sockaddr_un *a, struct err *e)
{
	size_t len = strlen(path);

	if (!len)
		return err_set(e, EINVAL, "a socket needs a path");
	if (len >= sizeof(a->sun_path))
		return err_set(e, ENAMETOOLONG,
			"socket path %s has %zu bytes, at most %zu are "
			"possible: use a shorter folder",
			path, len, sizeof(a->sun_path) - 1);
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, path, len + 1);
	return 0;
}

static int io_unix_socket(int flags, struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		return err_sys(e, errno, "cannot make a socket");
	return fd;
}

/*
 * Remove the socket file at a when nobody answers there. 0 when the path is
 * free now, -EADDRINUSE when somebody answers or it is no socket.
 */
static int io_unix_clear(const struct sockaddr_un *a, struct err *e)
{
	struct stat st;
	int fd, r;

	if (lstat(a->sun_path, &st)) {
		if (errno == ENOENT)
			return 0;
		return err_sys(e, errno, "cannot listen on %s", a->sun_path);
	}
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, EADDRINUSE,
			"cannot listen on %s: a file that is no socket is "
			"there, remove it",
			a->sun_path);
	fd = io_unix_socket(SOCK_NONBLOCK, e);
	if (fd < 0)
		return fd;
	r = connect(fd, (const struct sockaddr *)a, sizeof(*a)) ? errno : 0;
	close(fd);
	if (r != ECONNREFUSED && r != ENOENT)
		return err_sys(e, EADDRINUSE, "cannot listen on %s",
			a->sun_path);
	if (unlink(a->sun_path) && errno != ENOENT)
		return err_sys(e, errno, "cannot remove stale socket %s",
			a->sun_path);
	return 0;
}

/*
 * Lock the folder of path, so that of two starters one clears and binds at a
 * time. Returns a descriptor; closing it unlocks.
 */
static int io_unix_lock_folder(const char *path, struct err *e)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)] = ".";
	const char *slash = strrchr(path, '/');
	int fd, r;

	if (slash) {
		size_t n = slash == path ? 1 : (size_t)(slash - path);

		memcpy(dir, path, n);
		dir[n] = 0;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "cannot listen on %s", path);
	do
		r = flock(fd, LOCK_EX);
	while (r && errno == EINTR);
	return fd; /* where flock does not work, go on without */
}

/* The mode is set before bind(2), so that the path is never open to others. */
static int io_unix_bind(int fd, const struct sockaddr_un *a, int backlog,
	struct err *e)
{
	if (fchmod(fd, 0600) ||
		bind(fd, (const struct sockaddr *)a, sizeof(*a)))
		return err_sys(e, errno, "cannot listen on %s", a->sun_path);
	if (listen(fd, backlog)) {
		int code = errno;

		unlink(a->sun_path);
		return err_sys(e, code, "cannot listen on %s", a->sun_path);
	}
	return 0;
}

int io_unix_listen(const char *path, int backlog, struct err *e)
{
	struct sockaddr_un a;
	int fd = -1, folder, r;

	r = io_unix_addr(path, &a, e);
	if (r)
		return r;
	folder = io_unix_lock_folder(path, e);
	if (folder < 0)
		return folder;
	r = io_unix_clear(&a, e);
	if (r)
		goto out;
	r = fd = io_unix_socket(0, e);
	if (r < 0)
		goto out;
	r = io_unix_bind(fd, &a, backlog, e);
	if (r) {
		close(fd);
		goto out;
	}
	r = fd;
out:
	close(folder);
	return r;
}

int io_unix_connect(const char *path, struct err *e)
{
	struct sockaddr_un a;
	int fd, r;

	r = io_unix_addr(path, &a, e);
	if (r)
		return r;
	fd = io_unix_socket(0, e);
	if (fd < 0)
		return fd;
	do
		r = connect(fd, (const struct sockaddr *)&a, sizeof(a));
	while (r && errno == EINTR);
	if (r) {
		r = err_sys(e, errno, "cannot connect to %s", path);
		close(fd);
		return r;
	}
	return fd;
}

union io_control {
	char buf[CMSG_SPACE(IO_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

ssize_t io_send_fds(int sock, const void *buf, size_t len, const int *fds,
	int nfds)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union io_control control;
	ssize_t n;

	/* a stream carries descriptors only beside at least one byte */
	if (nfds < 0 || nfds > IO_FDS_MAX || (nfds && !len))
		return -EINVAL;
	if (nfds) {
		size_t bytes = (size_t)nfds * sizeof(int);
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), fds, bytes);
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Keep up to max descriptors of one control message, close the others. */
static int io_keep_fds(struct cmsghdr *c, int *fds, int have, int max)
{
	size_t count;

	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return have;
	count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		if (have < max)
			fds[have++] = fd;
		else
			close(fd);
	}
	return have;
}

ssize_t io_recv_fds(int sock, void *buf, size_t len, int *fds, int max_fds,
	int *nfds)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	union io_control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c;
	ssize_t n;

	*nfds = 0;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		*nfds = io_keep_fds(c, fds, *nfds, max_fds);
	return n;
}
