/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making the file for a new image. What was there is replaced, but not
 * before its locks say that nobody uses it. See proto.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/proto/file.h"
#include "storage/proto/imglock.h"

/* An image holds a machine's secrets: nobody else reads it by default. */
#define CREATE_MODE 0600

/*
 * Open path for writing, made if it is not there. O_NONBLOCK: should it be a
 * pipe. O_EXCL is for devices: not one that the host has mounted.
 */
static int create_open(const char *path, bool *made, struct err *e)
{
	int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;
	int fd, r;

	*made = false;
	if (!stat(path, &st)) {
		r = file_check_type(path, st.st_mode, e);
		if (r)
			return r;
		if (S_ISBLK(st.st_mode))
			flags |= O_EXCL;
		fd = open(path, flags);
	} else {
		fd = open(path, flags | O_CREAT | O_EXCL, CREATE_MODE);
		*made = fd >= 0;
	}
	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return err_set(e, ENOENT,
			"%s: cannot make it: its folder is not there", path);
	return file_open_error(path, false, false, errno, e);
}

static int create_check_bdev(int fd, const char *path, uint64_t size,
	struct err *e)
{
	uint64_t now;
	int r = file_bytes(fd, true, &now);

	if (r)
		return err_sys(e, -r, "%s: cannot measure it", path);
	if (now < size)
		return err_set(e, ENOSPC,
			"%s: the device has %llu bytes, the image asks for "
			"%llu: take a larger device",
			path, (unsigned long long)now,
			(unsigned long long)size);
	return 0;
}

static int create_fill(int fd, const char *path, uint64_t size,
	enum node_prealloc how, struct err *e)
{
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return err_sys(e, errno, "%s: cannot measure it", path);
	r = file_check_type(path, st.st_mode, e);
	if (!r)
		r = imglock_take(fd, path, IMGLOCK_GROW, NULL, e);
	if (r)
		return r;
	if (S_ISBLK(st.st_mode))
		return create_check_bdev(fd, path, size, e);
	if (ftruncate(fd, 0))
		return err_sys(e, errno, "%s: cannot empty it", path);
	r = file_set_size(fd, 0, size, how);
	if (r)
		return err_sys(e, -r, "%s: cannot give it %llu bytes", path,
			(unsigned long long)size);
	return 0;
}

int proto_create(const char *path, uint64_t size, enum node_prealloc how,
	struct err *e)
{
	bool made;
	int fd, r;

	if (nbd_is_uri(path))
		return 0; /* who opens it sees what it is */
	fd = create_open(path, &made, e);
	if (fd < 0)
		return fd;
	r = create_fill(fd, path, size, how, e);
	if (r && made)
		unlink(path);
	imglock_drop(fd);
	close(fd);
	return r;
}
