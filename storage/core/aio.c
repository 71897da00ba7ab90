/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which aio engine an image gets; see aio.h. */
#include "storage/core/aio.h"

#include <errno.h>
#include <string.h>

int aio_new(enum blk_aio kind, int fd, const char *name, struct ctx *c,
	struct log *log, struct aio **out, struct err *e)
{
	int r = 0;

	if (kind != BLK_AIO_THREADS) {
		r = aio_uring_new(fd, c, log, out);
		if (!r)
			return 0;
		if (kind == BLK_AIO_URING)
			return err_set(e, -r,
				"%s: the kernel refuses io_uring (%s): use "
				"threads, or see sysctl "
				"kernel.io_uring_disabled",
				name, strerror(-r));
		log_msg(log, LOG_INFO,
			"%s: the kernel refuses io_uring (%s), using threads",
			name, strerror(-r));
	}
	r = aio_threads_new(fd, c, log, out);
	if (r)
		return err_sys(e, -r, "%s: cannot start I/O threads", name);
	return 0;
}
