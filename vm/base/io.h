/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whole reads and writes, small files, and Unix sockets with descriptors.
 * Thread: any. Return 0 or a count, or -errno.
 */
#ifndef VM_BASE_IO_H
#define VM_BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vm/base/err.h"

/* All of len or an error; EOF before len is -ENODATA. EINTR is retried. */
int io_read_full(int fd, void *buf, size_t len);
int io_write_full(int fd, const void *buf, size_t len);
int io_pread_full(int fd, void *buf, size_t len, off_t off);
int io_pwrite_full(int fd, const void *buf, size_t len, off_t off);

/*
 * Read the whole file at path, at most max bytes. *out gets one extra zero
 * byte after *len; the caller frees it. -EFBIG when larger than max, and e
 * names path and cause on every failure. A pipe may lie there; its writer is
 * waited for a second: -ETIMEDOUT.
 */
int io_read_file(const char *path, size_t max, uint8_t **out, size_t *len,
	struct err *e);

/*
 * Replace the file at path as one step: write PATH.tmp, fsync, rename, fsync
 * the folder. mode as for open(2).
 */
int io_write_file(const char *path, const void *buf, size_t len, mode_t mode,
	struct err *e);

/* mkdir -p with mode 0700 for what is new. */
int io_mkdirs(const char *path, struct err *e);

/* Set close-on-exec and O_NONBLOCK. */
int io_nonblock(int fd);
int io_cloexec(int fd);

/*
 * Listen on a Unix socket at path (0600, a stale one is replaced; one that
 * answers is -EADDRINUSE), or connect to it. Returns a nonblocking-free
 * close-on-exec descriptor (>= 0) or -errno with e filled; a path too long
 * for sun_path is told as such.
 */
int io_unix_listen(const char *path, int backlog, struct err *e);
int io_unix_connect(const char *path, struct err *e);

/*
 * Send or receive len bytes with up to nfds (at most 8) descriptors beside
 * them (SCM_RIGHTS, close-on-exec). recv returns bytes got (0 = end), sets
 * *nfds to what came; descriptors beyond max_fds are closed.
 */
ssize_t io_send_fds(int sock, const void *buf, size_t len, const int *fds,
	int nfds);
ssize_t io_recv_fds(int sock, void *buf, size_t len, int *fds, int max_fds,
	int *nfds);

#endif
