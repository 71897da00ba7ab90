/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The locks on an image file, the same bytes that QEMU and its tools use, so
 * that neither opens an image that the other writes to.
 */
#ifndef STORAGE_IMGLOCK_H
#define STORAGE_IMGLOCK_H

#include <stdbool.h>

#include "vm/base/err.h"
#include "vm/base/log.h"

/* What an image is opened for. */
enum imglock_use {
	IMGLOCK_READ,  /* others may read too */
	IMGLOCK_WRITE, /* nobody else writes or resizes; readers must not mind
			*/
	IMGLOCK_GROW,  /* the same, and the file's size changes */
};

/*
 * Lock the open image fd. The lock goes with the last copy of fd, or by
 * imglock_drop(). 0, -EBUSY with e filled, or another -errno. A file system
 * that has no locks is told in the log and let pass.
 */
int imglock_take(int fd, const char *path, enum imglock_use use,
	struct log *log, struct err *e);

/* From IMGLOCK_WRITE to IMGLOCK_GROW and back. 0 or -errno as above. */
int imglock_grow(int fd, const char *path, struct err *e);
void imglock_grown(int fd);

/* Drop the locks now, whatever copies of fd the kernel still holds. */
void imglock_drop(int fd);

#endif
