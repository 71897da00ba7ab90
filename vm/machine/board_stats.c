// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * One plain snapshot of a running board's counters. Everything read here is
 * an atomic beside the code that counts, or the kernel's own accounting: no
 * lock that a vCPU or the I/O thread waits on.
 */
#include <stdio.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/machine/board_impl.h"

static void copy_dir(struct dir_stats *to, const struct blk_dir_stats *from)
{
	to->ops = from->ops;
	to->bytes = from->bytes;
	to->errors = from->errors;
	to->time_ns = from->time_ns;
	to->latency = from->latency;
}

static void disk_stats(struct board *b, struct guest_stats *out)
{
	const struct conf *c = b->o.conf;
	struct blk_info info;
	struct blk_stats s;

	for (unsigned i = 0; i < c->ndisks && i < STATS_MAX_DISKS; i++) {
		struct disk_stats *d = &out->disk[out->ndisks++];

		blk_stats_get(b->blks[i], &s);
		snprintf(d->name, sizeof(d->name), "%.31s", c->disks[i].name);
		blk_info(b->blks[i], &info);
		d->format = info.format;
		d->aio = info.aio;
		copy_dir(&d->read, &s.op[BLK_READ]);
		copy_dir(&d->write, &s.op[BLK_WRITE]);
		copy_dir(&d->flush, &s.op[BLK_FLUSH]);
		copy_dir(&d->discard, &s.op[BLK_DISCARD]);
		d->in_flight = s.in_flight;
	}
}

static void net_stats(struct board *b, struct guest_stats *out)
{
	const struct conf *c = b->o.conf;

	for (unsigned i = 0; i < c->nnets && i < STATS_MAX_NETS; i++) {
		struct net_counters *n = netdev_counters(b->nets[i]);
		struct net_stats *s = &out->net[out->nnets++];

		snprintf(s->name, sizeof(s->name), "%.31s", c->nets[i].name);
		s->rx.ops = STAT_GET(n->rx_frames);
		s->rx.bytes = STAT_GET(n->rx_bytes);
		s->rx_dropped = STAT_GET(n->rx_dropped);
		s->tx.ops = STAT_GET(n->tx_frames);
		s->tx.bytes = STAT_GET(n->tx_bytes);
		s->tx_dropped = STAT_GET(n->tx_dropped);
	}
}

void board_stats(struct board *b, struct guest_stats *out)
{
	struct display_stats ds = { 0 };

	out->nvcpus = vcpus_stats(b->vcpus, out->vcpu, STATS_MAX_VCPUS);
	out->io_cpu_ns = thread_cpu_ns(&b->io_thread);
	out->memory_bytes = gmem_size(b->core.gmem);
	out->memory_resident_bytes = gmem_resident(b->core.gmem);
	out->dirty_pages = b->dirty_on ? gmem_dirty_fetch(b->core.gmem) : -1;
	disk_stats(b, out);
	net_stats(b, out);
	if (b->o.display)
		display_stats(b->o.display, &ds);
	out->frames = ds.frames;
	out->viewers = ds.viewers;
	out->width = ds.width;
	out->height = ds.height;
}

int board_dirty_rate(struct board *b, bool on)
{
	int r = 0;

	if (on == b->dirty_on)
		return 0;
	if (on)
		r = gmem_dirty_start(b->core.gmem);
	else
		gmem_dirty_stop(b->core.gmem);
	if (r >= 0)
		b->dirty_on = on;
	return r;
}
