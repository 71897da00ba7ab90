/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `console GUEST`: the serial console as a stream to a client. Output is
 * pulled while the client keeps up; a client that stops reading loses old
 * bytes of the guest and holds nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ui/feed.h"
#include "ui/guests.h"
#include "ui/job.h"
#include "ui/paths.h"

#define STREAM_HIGH   65536 /* bytes on their way before we wait */
#define STREAM_REPLAY 4096  /* old output that a newcomer is shown */

struct stream {
	struct feed feed;
	char guest[CONF_NAME_MAX + 1];
	bool ended; /* the guest; what it left is still sent */
	bool over;
};

static size_t stream_queued(const struct job *j)
{
	return j->sink && j->sink->queued ? j->sink->queued(j->sink_arg) : 0;
}

static void stream_finish(struct job *j)
{
	struct stream *s = j->priv;

	if (s->over)
		return;
	s->over = true;
	feed_close(&s->feed);
	job_drop(j);
}

static void stream_pump(struct job *j)
{
	struct stream *s = j->priv;
	char buf[8192];
	size_t n;

	if (s->over)
		return;
	while (j->sink && stream_queued(j) < STREAM_HIGH) {
		n = feed_read(&s->feed, buf, sizeof(buf));
		if (!n)
			break;
		job_write(j, buf, n);
	}
	if (s->ended && feed_at_end(&s->feed)) {
		job_note(j, "%s has ended", s->guest);
		stream_finish(j);
	}
}

static void stream_output(void *arg)
{
	stream_pump(arg);
}

static bool stream_input(struct job *j, const uint8_t *data, size_t len)
{
	struct stream *s = j->priv;

	return s->over || feed_input(&s->feed, data, len);
}

static void stream_drained(void *arg)
{
	struct job *j = arg;

	if (j->sink && j->sink->more)
		j->sink->more(j->sink_arg);
}

static void stream_event(struct job *j, const struct engine_event *ev)
{
	struct stream *s = j->priv;

	if (s->over || strcmp(ev->guest, s->guest) ||
		ev->kind != ENGINE_EV_STATE)
		return;
	if (ev->state == GUEST_OFF || ev->state == GUEST_CRASHED)
		s->ended = true;
	stream_pump(j);
}

static void stream_free(struct job *j)
{
	struct stream *s = j->priv;

	feed_close(&s->feed);
	free(s);
}

static const struct job_ops stream_ops = {
	.input = stream_input,
	.writable = stream_pump,
	.cancel = stream_finish,
	.event = stream_event,
	.free = stream_free,
};

/* All that the ring still has; what it lost is in the engine's log file. */
static void console_log(struct job *j, struct stream *s)
{
	uint64_t lost = 0;
	char buf[8192];
	size_t n;

	while ((n = feed_read(&s->feed, buf, sizeof(buf)))) {
		if (!lost)
			lost = s->feed.pos - n + 1;
		job_write(j, buf, n);
	}
	feed_close(&s->feed);
	if (lost > 1 && j->app->paths)
		job_note(j, "%llu bytes before these are in %s/%s.serial.log",
			(unsigned long long)lost - 1, j->app->paths->log,
			s->guest);
}

void cmd_console(struct job *j)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct err e = ERR_NONE;
	struct guest_info g;

	if (!s) {
		job_fail(j, "out of memory");
		return;
	}
	j->priv = s;
	j->ops = &stream_ops;
	s->over = true;
	if (guests_one(j, &g))
		return;
	strcpy(s->guest, g.name);
	if (feed_open(&s->feed, j->app->engine, j->app->loop, g.name, &e)) {
		job_fail(j, "%s", e.msg);
		return;
	}
	s->feed.output = stream_output;
	s->feed.drained = stream_drained;
	s->feed.arg = j;
	if (cmd_opt(&j->args, "--log")) {
		console_log(j, s);
		return;
	}
	if (g.state == GUEST_OFF || g.state == GUEST_CRASHED) {
		feed_close(&s->feed);
		job_fail(j, "%s is %s: start it, or see console %s --log",
			g.name, guest_state_name(g.state), g.name);
		return;
	}
	s->over = false;
	job_hold(j);
	feed_skip(&s->feed, STREAM_REPLAY);
	if (j->sink && j->sink->raw)
		j->sink->raw(j->sink_arg, PROTO_RAW_SERIAL);
	feed_listen(&s->feed, true);
	stream_pump(j);
}
