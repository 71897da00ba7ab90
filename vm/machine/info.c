// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What other threads may know of the guests: copies taken under the engine's
 * lock, which no guest's thread ever waits on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/base/clock.h"

#include "vm/machine/machine.h"

static const char *firmware_name(enum conf_firmware f)
{
	switch (f) {
	case CONF_FW_SEABIOS:
		return "seabios";
	case CONF_FW_UEFI:
		return "uefi";
	default:
		return "none";
	}
}

static void fill_info(const struct guest *g, struct guest_info *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", g->conf.name);
	out->state = g->state;
	out->cpus = g->conf.cpus;
	out->memory_bytes = g->conf.memory_bytes;
	if (g->board)
		out->uptime_ns = clock_now_ns() - g->started_ns;
	out->reboots = g->reboots;
	snprintf(out->vnc, sizeof(out->vnc), "%s", g->vnc);
	snprintf(out->firmware, sizeof(out->firmware), "%s",
		firmware_name(g->conf.firmware));
	snprintf(out->why, sizeof(out->why), "%s", g->why);
}

size_t engine_list(struct engine *en, struct guest_info *out, size_t max)
{
	size_t n = 0;

	LOCK_GUARD(&en->lock);
	list_each (it, &en->guests) {
		if (n < max)
			fill_info(list_entry(it, struct guest, node), &out[n]);
		n++;
	}
	return n;
}

int engine_info(struct engine *en, const char *guest, struct guest_info *out)
{
	struct guest *g;

	LOCK_GUARD(&en->lock);
	g = engine_find(en, guest);
	if (!g)
		return -ENOENT;
	fill_info(g, out);
	return 0;
}

int engine_conf(struct engine *en, const char *guest, struct conf *out)
{
	struct guest *g;

	LOCK_GUARD(&en->lock);
	g = engine_find(en, guest);
	if (!g)
		return -ENOENT;
	*out = g->conf;
	return 0;
}

int engine_stats(struct engine *en, const char *guest, struct guest_stats *out)
{
	struct guest *g;

	memset(out, 0, sizeof(*out));
	out->dirty_pages = -1;
	LOCK_GUARD(&en->lock);
	g = engine_find(en, guest);
	if (!g)
		return -ENOENT;
	out->when_ns = clock_now_ns();
	if (!g->board)
		return 0;
	out->uptime_ns = out->when_ns - g->started_ns;
	board_stats(g->board, out);
	return 0;
}

int engine_dirty_rate(struct engine *en, const char *guest, bool on)
{
	struct guest *g;

	LOCK_GUARD(&en->lock);
	g = engine_find(en, guest);
	if (!g)
		return -ENOENT;
	return g->board ? board_dirty_rate(g->board, on) : -EINVAL;
}

struct console *engine_console_get(struct engine *en, const char *guest)
{
	struct guest *g;

	LOCK_GUARD(&en->lock);
	g = engine_find(en, guest);
	return g ? share_get(en, g->serial) : NULL;
}

void engine_console_put(struct engine *en, struct console *c)
{
	share_put_ptr(en, c);
}

struct display *engine_display_get(struct engine *en, const char *guest)
{
	struct guest *g;

	LOCK_GUARD(&en->lock);
	g = engine_find(en, guest);
	return g ? share_get(en, g->display) : NULL;
}

void engine_display_put(struct engine *en, struct display *d)
{
	share_put_ptr(en, d);
}
