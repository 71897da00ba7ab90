// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A board comes up by one visible list and goes down by walking it back.
 * Order: what everybody needs (KVM, memory, buses), images and networks,
 * devices on them, what the guest finds at power-on, vCPUs, and last the I/O
 * thread, so that all before it may touch the loop freely.
 */
#include "vm/machine/board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "display/display.h"

#include "vm/dev/lpc.h"
#include "vm/dev/rtc.h"
#include "vm/machine/board_impl.h"

static const struct board_stage stages[] = {
	{ "core", board_core_up, board_core_down },
	{ "storage", board_storage_up, board_storage_down },
	{ "network", board_nets_up, board_nets_down },
	{ "devices", board_devices_up, board_devices_down },
	{ "boot", board_boot_up, board_boot_down },
	{ "vcpus", board_vcpus_up, board_vcpus_down },
	{ "io", board_io_up, board_io_down },
};

int board_new(const struct board_opts *o, struct board **out, struct err *e)
{
	struct board *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, ENOMEM, "no memory for a guest's board");
	b->o = *o;
	for (unsigned i = 0; i < ARRAY_LEN(stages); i++) {
		int r;

		b->stages_up = i + 1;
		r = stages[i].up(b, e);
		if (r < 0) {
			board_free(b);
			return r;
		}
	}
	*out = b;
	return 0;
}

/* Each device's op, on the I/O thread; NULL ops are skipped. */
struct each_device {
	struct board *b;
	enum { EACH_RESET, EACH_HOLD, EACH_QUIESCE, EACH_RESUME } what;
};

static void each_device(void *arg)
{
	const struct each_device *ed = arg;

	for (unsigned i = 0; i < ed->b->ndevices; i++) {
		struct device *d = ed->b->devices[i];
		void (*fn)(struct device *) =
			ed->what == EACH_RESET     ? d->ops->reset
			: ed->what == EACH_HOLD    ? d->ops->hold
			: ed->what == EACH_QUIESCE ? d->ops->quiesce
						   : d->ops->resume;

		if (fn)
			fn(d);
	}
}

static void all_devices(struct board *b, int what)
{
	struct each_device ed = { .b = b, .what = what };

	loop_sync(b->io, each_device, &ed);
}

/* The same for its images. */
struct each_disk {
	struct board *b;
	enum { DISK_GIVE_UP, DISK_SETTLE, DISK_LIMIT } what;
};

static void each_disk(void *arg)
{
	const struct each_disk *ed = arg;

	for (unsigned i = 0; i < CONF_MAX_DISKS; i++) {
		struct blk *blk = ed->b->blks[i];

		if (blk && ed->what == DISK_GIVE_UP)
			blk_give_up(blk);
		else if (blk)
			blk_settle(blk, ed->what == DISK_SETTLE);
	}
}

static void all_disks(struct board *b, int what)
{
	struct each_disk ed = { .b = b, .what = what };

	loop_sync(b->io, each_disk, &ed);
}

void board_free(struct board *b)
{
	if (!b)
		return;
	if (b->vcpus)
		vcpus_stop(b->vcpus);
	/*
	 * The display's thread looks at the screen, and with it at the ring
	 * of gathered writes, which is in the vCPUs' memory.
	 */
	if (b->o.display)
		display_set_source(b->o.display, NULL);
	if (b->io_runs) {
		/* no guest is left that a disk's server could come back for */
		all_disks(b, DISK_GIVE_UP);
		all_devices(b, EACH_QUIESCE);
	}
	while (b->stages_up > 0)
		stages[--b->stages_up].down(b);
	free(b);
}

int board_start(struct board *b, struct err *e)
{
	return vcpus_start(b->vcpus, e);
}

void board_hold(struct board *b)
{
	vcpus_pause(b->vcpus);
	all_devices(b, EACH_HOLD);
	all_disks(b, DISK_SETTLE);
}

const char *board_busy_disk(struct board *b)
{
	struct blk_stats s;

	for (unsigned i = 0; i < CONF_MAX_DISKS; i++) {
		if (!b->blks[i])
			continue;
		blk_stats_get(b->blks[i], &s);
		if (s.in_flight)
			return b->o.conf->disks[i].name;
	}
	return NULL;
}

void board_pause(struct board *b)
{
	vcpus_pause(b->vcpus);
	all_devices(b, EACH_QUIESCE);
}

void board_resume(struct board *b)
{
	all_disks(b, DISK_LIMIT);
	all_devices(b, EACH_RESUME);
	vcpus_resume(b->vcpus);
}

int board_reset(struct board *b, struct err *e)
{
	int r;

	vcpus_pause(b->vcpus);
	pci_bus_reset(b->pci);
	all_devices(b, EACH_RESET);
	r = board_boot_reset(b, e);
	if (r < 0)
		return r;
	return board_vcpus_reset(b, e);
}

void board_power_button(struct board *b)
{
	lpc_power_button(b->lpc);
}

int64_t board_rtc_offset_s(struct board *b)
{
	return rtc_offset_s(b->rtc);
}
