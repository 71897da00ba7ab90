// SPDX-License-Identifier: GPL-3.0-or-later
/* The board's images, opened on the I/O thread's loop. */
#include <errno.h>
#include <string.h>

#include "vm/machine/board_impl.h"

/* False = the disk has no limits of its own. */
static bool disk_throttle(const struct conf_disk *d, struct blk_throttle *t)
{
	bool any = false;

	for (int i = 0; i < 3; i++) {
		t->iops[i] = (struct blk_limit){ d->iops[i], d->iops_burst[i],
			d->burst_s };
		t->bytes[i] = (struct blk_limit){ d->bps[i], d->bps_burst[i],
			d->burst_s };
		any |= d->iops[i] || d->bps[i];
	}
	return any;
}

int board_storage_up(struct board *b, struct err *e)
{
	static const enum blk_format formats[] = {
		[CONF_FORMAT_RAW] = BLK_RAW,
		[CONF_FORMAT_QCOW2] = BLK_QCOW2,
		[CONF_FORMAT_AUTO] = BLK_AUTO,
	};
	static const enum blk_cache caches[] = {
		[CONF_CACHE_WRITEBACK] = BLK_WRITEBACK,
		[CONF_CACHE_NONE] = BLK_NONE,
		[CONF_CACHE_WRITETHROUGH] = BLK_WRITETHROUGH,
		[CONF_CACHE_DIRECTSYNC] = BLK_DIRECTSYNC,
		[CONF_CACHE_UNSAFE] = BLK_UNSAFE,
	};
	static const enum blk_aio aios[] = {
		[CONF_AIO_AUTO] = BLK_AIO_AUTO,
		[CONF_AIO_URING] = BLK_AIO_URING,
		[CONF_AIO_THREADS] = BLK_AIO_THREADS,
	};
	static const enum blk_zeroes zeroes[] = {
		[CONF_ZEROES_OFF] = BLK_ZEROES_OFF,
		[CONF_ZEROES_ON] = BLK_ZEROES_ON,
		[CONF_ZEROES_UNMAP] = BLK_ZEROES_UNMAP,
	};
	const struct conf *c = b->o.conf;

	for (unsigned i = 0; i < c->ndisks; i++) {
		const struct conf_disk *d = &c->disks[i];
		struct blk_throttle t;
		struct blk_opts o = {
			.path = d->path,
			.format = formats[d->format],
			.cache = caches[d->cache],
			.aio = aios[d->aio],
			.detect_zeroes = zeroes[d->detect_zeroes],
			.no_discard = !d->discard,
			.readonly = d->readonly || d->cdrom,
			.throttle = disk_throttle(d, &t) ? &t : NULL,
			.throttle_group =
				d->throttle_group[0] ? d->throttle_group : NULL,
			.tls_dir = d->tls[0] ? d->tls : NULL,
		};
		int r = blk_open(&o, b->io, b->o.log, &b->blks[i], e);

		if (r < 0)
			return err_prefix(e, "disk %s", d->name);
	}
	return 0;
}

static void board_storage_close(struct board *b, unsigned i)
{
	int r = blk_close(b->blks[i]);

	b->blks[i] = NULL;
	if (r)
		log_msg(b->o.log, LOG_ERROR,
			"disk %s: the last write of its metadata failed (%s): "
			"what was flushed before is safe",
			b->o.conf->disks[i].name, strerror(-r));
}

void board_storage_down(struct board *b)
{
	for (unsigned i = 0; i < CONF_MAX_DISKS; i++)
		board_storage_close(b, i);
}
