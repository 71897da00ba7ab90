// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Debug port: a written byte is text, a read gives 0xe9, by which SeaBIOS
 * knows that somebody listens. Output is gathered (outbuf.c); what does not
 * fit is dropped and counted, the guest never waits for its log.
 *
 * Threads: the port on vCPUs, lines on the I/O thread. Lock: one of rank
 * LOCK_DEVICE.
 */
#include "vm/dev/debugcon.h"

#include <errno.h>
#include <stdlib.h>

#include "vm/base/list.h"
#include "vm/base/lock.h"

#include "vm/dev/outbuf.h"

#define DEBUGCON_PORT 0x402
#define DEBUGCON_ID   0xe9
#define LINE_MAX_LEN  256

struct debugcon {
	struct device dev;
	struct core *core;
	struct console *con; /* NULL = the log */
	struct bus_region region;
	struct lock lock;  /* LOCK_DEVICE */
	struct outbuf out; /* guarded by lock */
	uint64_t dropped;  /* likewise */
	struct log_limit limit;
	/* I/O thread only */
	char line[LINE_MAX_LEN];
	unsigned line_len;
};

static void end_line(struct debugcon *d)
{
	if (d->line_len)
		log_msg(d->core->log, LOG_DEBUG, "firmware: %.*s",
			(int)d->line_len, d->line);
	d->line_len = 0;
}

static void put_line_byte(struct debugcon *d, char ch)
{
	if (ch == '\r')
		return;
	if (ch != '\n')
		d->line[d->line_len++] = ch;
	if (ch == '\n' || d->line_len == LINE_MAX_LEN)
		end_line(d);
}

static void debugcon_output(void *arg, const void *buf, size_t len)
{
	struct debugcon *d = arg;
	const char *text = buf;

	if (d->con) {
		console_output(d->con, buf, len);
		return;
	}
	for (size_t i = 0; i < len; i++)
		put_line_byte(d, text[i]);
}

/* After a drain: tell how much was lost before it. */
static void debugcon_room(void *arg)
{
	struct debugcon *d = arg;

	if (d->dropped)
		log_limited(d->core->log, &d->limit, LOG_INFO,
			"firmware log: %llu bytes dropped",
			(unsigned long long)d->dropped);
	d->dropped = 0;
}

static uint64_t debugcon_read(void *opaque, uint64_t off, unsigned size)
{
	(void)opaque;
	(void)off;
	(void)size;
	return DEBUGCON_ID;
}

static void debugcon_write(void *opaque, uint64_t off, uint64_t val,
	unsigned size)
{
	struct debugcon *d = opaque;

	(void)off;
	(void)size;
	LOCK_GUARD(&d->lock);
	if (!outbuf_put_locked(&d->out, (uint8_t)val))
		d->dropped++;
}

static const struct bus_ops debugcon_bus_ops = {
	.read = debugcon_read,
	.write = debugcon_write,
};

static void debugcon_reset(struct device *dev)
{
	(void)dev; /* what was printed before is still to be shown */
}

static void debugcon_free(struct device *dev)
{
	struct debugcon *d = container_of(dev, struct debugcon, dev);

	bus_unmap(d->core->pio, &d->region);
	outbuf_fini(&d->out);
	end_line(d);
	lock_fini(&d->lock);
	free(d);
}

static const struct device_ops debugcon_ops = {
	.reset = debugcon_reset,
	.free = debugcon_free,
};

int debugcon_new(struct core *core, struct console *con, struct device **out,
	struct err *e)
{
	struct debugcon *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_sys(e, ENOMEM, "debug port");
	d->dev = (struct device){ .name = "debugcon", .ops = &debugcon_ops };
	d->core = core;
	d->con = con;
	d->region = (struct bus_region){
		.name = "debugcon",
		.ops = &debugcon_bus_ops,
		.opaque = d,
		.len = 1,
		.prio = BUS_FIXED,
	};
	lock_init(&d->lock, "debugcon", LOCK_DEVICE);
	outbuf_init(&d->out, &d->lock, core->io, debugcon_output, debugcon_room,
		d);
	r = bus_map(core->pio, &d->region, DEBUGCON_PORT);
	if (r) {
		lock_fini(&d->lock);
		free(d);
		return err_sys(e, -r, "debug port 0x402");
	}
	*out = &d->dev;
	return 0;
}
