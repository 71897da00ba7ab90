// SPDX-License-Identifier: GPL-3.0-or-later
/* The board's images, opened on the I/O thread's loop. */
#include <errno.h>

#include "vm/machine/board_impl.h"

int board_storage_up(struct board *b, struct err *e)
{
	static const enum blk_format formats[] = {
		[CONF_FORMAT_RAW] = BLK_RAW,
		[CONF_FORMAT_QCOW2] = BLK_QCOW2,
		[CONF_FORMAT_AUTO] = BLK_AUTO,
	};
	const struct conf *c = b->o.conf;

	for (unsigned i = 0; i < c->ndisks; i++) {
		const struct conf_disk *d = &c->disks[i];
		struct blk_opts o = {
			.path = d->path,
			.format = formats[d->format],
			.readonly = d->readonly || d->cdrom,
		};
		int r = blk_open(&o, b->io, b->o.log, &b->blks[i], e);

		if (r < 0)
			return err_prefix(e, "disk %s", d->name);
	}
	return 0;
}

void board_storage_down(struct board *b)
{
	for (unsigned i = 0; i < CONF_MAX_DISKS; i++)
		blk_close(b->blks[i]);
}
