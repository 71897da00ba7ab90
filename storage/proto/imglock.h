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

/*
 * Lock the open image fd for a writer, or for a reader that lets other
 * readers in. The lock goes with the last copy of fd, or by imglock_drop(). 0,
 * -EBUSY with e filled, or another -errno. A file system that has no locks is
 * told in the log and let pass.
 */
int imglock_take(int fd, const char *path, bool readonly, struct log *log,
	struct err *e);

/* Drop the locks now, whatever copies of fd the kernel still holds. */
void imglock_drop(int fd);

#endif
