/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One reader of a serial console. The console's ring never waits for us: who
 * is slow loses old bytes. Input that does not fit the device's queue is
 * tried again ten times a second until the guest takes it.
 */
#include "ui/feed.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vm/base/clock.h"

#define FEED_RETRY_NS (20 * NS_PER_MS)
#define FEED_MUCH     8192

static void feed_signalled(void *arg, uint32_t events)
{
	struct feed *f = arg;
	eventfd_t n;

	(void)events;
	eventfd_read(f->fd, &n);
	f->output(f->arg);
}

/* Give the device what it takes. */
static void feed_push(struct feed *f)
{
	struct sendq *q = &f->input;

	while (q->len) {
		size_t n = console_input(f->console, q->buf + q->head, q->len);

		if (!n) {
			loop_timer_arm(&f->retry,
				clock_now_ns() + FEED_RETRY_NS);
			return;
		}
		q->head += n;
		q->len -= n;
	}
	q->head = 0;
}

static void feed_retry(void *arg)
{
	struct feed *f = arg;
	bool much = f->input.len >= FEED_MUCH;

	if (!f->console)
		return;
	feed_push(f);
	if (much && f->input.len < FEED_MUCH && f->drained)
		f->drained(f->arg);
}

int feed_open(struct feed *f, struct engine *en, struct loop *l,
	const char *guest, struct err *e)
{
	int r;

	f->engine = en;
	f->pos = 0;
	f->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->fd < 0)
		return err_sys(e, errno, "cannot watch the console of %s",
			guest);
	f->console = engine_console_get(en, guest);
	if (!f->console) {
		close(f->fd);
		return err_set(e, ENOENT,
			"%s: no serial console yet: it was never started",
			guest);
	}
	sendq_init(&f->input, FEED_INPUT_MAX);
	loop_timer_init(&f->retry, l, feed_retry, f);
	r = loop_fd_add(l, &f->watch, f->fd, EPOLLIN, feed_signalled, f);
	if (r) {
		feed_close(f);
		return err_sys(e, -r, "cannot watch the console of %s", guest);
	}
	return 0;
}

void feed_close(struct feed *f)
{
	if (!f->console)
		return;
	console_unwatch(f->console, f->fd);
	loop_fd_del(&f->watch);
	loop_timer_disarm(&f->retry);
	close(f->fd);
	engine_console_put(f->engine, f->console);
	sendq_fini(&f->input);
	f->console = NULL;
}

void feed_listen(struct feed *f, bool on)
{
	console_unwatch(f->console, f->fd);
	/* no room for one more: the one-second tick still reads */
	if (on)
		console_watch(f->console, f->fd);
}

size_t feed_read(struct feed *f, void *buf, size_t len)
{
	return console_read(f->console, &f->pos, buf, len);
}

void feed_skip(struct feed *f, uint64_t keep)
{
	uint64_t end = console_end(f->console);

	if (end - f->pos > keep)
		f->pos = end - keep;
}

bool feed_at_end(const struct feed *f)
{
	return f->pos >= console_end(f->console);
}

bool feed_input(struct feed *f, const void *data, size_t len)
{
	if (sendq_put(&f->input, data, len))
		return false;
	feed_push(f);
	return f->input.len < FEED_MUCH;
}
