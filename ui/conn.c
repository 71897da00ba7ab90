/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One client of the server: a request, then what its verb says. A client may
 * be stopped, slow, mad or gone: frames are checked by protocol.c, what waits
 * for it is bounded, and what breaks the rules loses its connection, nothing
 * else. Thread: the loop's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/clock.h"

#include "ui/job.h"
#include "ui/server.h"

#define CONN_OUT_MAX  (8u << 20)
#define CONN_OUT_LOW  16384           /* at this few bytes a stream goes on */
#define CONN_HELLO_NS (10 * NS_PER_S) /* to send a request */
#define CONN_BYE_NS   (10 * NS_PER_S) /* to read the answer's end */

struct conn {
	struct list node;
	struct server *server;
	struct loop_fd watch;
	struct loop_timer patience;
	struct loop_call close_call;
	struct loop_call parse_call; /* the verb takes input again */
	struct proto_in in;
	struct sendq out;
	struct job *job;
	bool asked;  /* its request came */
	bool paused; /* the verb takes no input now */
	bool ending; /* EXIT is queued */
	bool dead;
};

static void conn_free(struct conn *c)
{
	int fd = c->watch.fd;

	list_del(&c->node);
	c->server->nconns--;
	loop_timer_disarm(&c->patience);
	loop_call_cancel(&c->close_call);
	loop_call_cancel(&c->parse_call);
	loop_fd_del(&c->watch);
	/* who asked for the end sees it when the process is really gone */
	if (!c->server->stopping || !c->ending)
		close(fd);
	proto_in_fini(&c->in);
	sendq_fini(&c->out);
	free(c);
}

/* Freed from the loop, so that callers further up may still look at c. */
static void conn_close_now(void *arg)
{
	conn_free(arg);
}

static void conn_close(struct conn *c)
{
	struct job *j = c->job;

	if (c->dead)
		return;
	c->dead = true;
	c->job = NULL;
	loop_fd_mod(&c->watch, 0);
	if (j)
		job_detach(j);
	loop_call_schedule(&c->close_call);
}

static void conn_events(struct conn *c)
{
	uint32_t ev = 0;

	if (c->dead)
		return;
	if (!c->paused)
		ev |= EPOLLIN;
	if (c->out.len)
		ev |= EPOLLOUT;
	loop_fd_mod(&c->watch, ev);
}

/* Send what can be sent; when all is out and the verb has ended, close. */
static void conn_flush(struct conn *c)
{
	if (c->dead)
		return;
	if (sendq_flush(&c->out, c->watch.fd)) {
		conn_close(c);
		return;
	}
	if (c->ending && !c->out.len && !c->server->stopping)
		conn_close(c);
	else
		conn_events(c);
}

static void conn_frame(struct conn *c, enum proto_type type, const void *data,
	size_t len)
{
	if (c->dead)
		return;
	if (sendq_frame(&c->out, type, data, len)) {
		log_msg(c->server->log, LOG_WARN,
			"a client that does not read was dropped");
		conn_close(c);
		return;
	}
	conn_flush(c);
}

static void sink_out(void *arg, const char *text, size_t len)
{
	conn_frame(arg, PROTO_OUT, text, len);
}

static void sink_err(void *arg, const char *text, size_t len)
{
	conn_frame(arg, PROTO_ERR, text, len);
}

static void sink_raw(void *arg, enum proto_raw how)
{
	uint8_t b = (uint8_t)how;

	conn_frame(arg, PROTO_RAW, &b, 1);
}

static size_t sink_queued(void *arg)
{
	const struct conn *c = arg;

	return c->out.len;
}

static void sink_more(void *arg)
{
	struct conn *c = arg;

	c->paused = false;
	/* frames that were read while it took none */
	if (!c->dead)
		loop_call_schedule(&c->parse_call);
}

static void sink_done(void *arg, int code)
{
	struct conn *c = arg;
	uint8_t b = (uint8_t)code;

	c->job = NULL;
	c->ending = true;
	loop_timer_arm(&c->patience, clock_now_ns() + CONN_BYE_NS);
	conn_frame(c, PROTO_EXIT, &b, 1);
}

static const struct job_sink conn_sink = {
	.out = sink_out,
	.err = sink_err,
	.raw = sink_raw,
	.queued = sink_queued,
	.more = sink_more,
	.done = sink_done,
};

static void conn_request(struct conn *c, const struct proto_msg *m)
{
	struct proto_request req;
	struct err e = ERR_NONE;
	struct job *j;

	c->asked = true;
	loop_timer_disarm(&c->patience);
	if (proto_request_parse(m->data, m->len, &req, &e)) {
		sink_err(c, "guestdeck: ", 11);
		sink_err(c, e.msg, strlen(e.msg));
		sink_err(c, "\n", 1);
		sink_done(c, UI_USAGE);
		return;
	}
	j = job_run(&c->server->app, &req, &conn_sink, c);
	if (!j)
		conn_close(c);
	else if (c->dead)
		job_detach(j); /* it died while the verb began */
	else
		c->job = j;
}

static void conn_message(struct conn *c, const struct proto_msg *m)
{
	const struct job_ops *ops = c->job ? c->job->ops : NULL;
	int rows, cols;

	if (m->type == PROTO_REQUEST && !c->asked)
		conn_request(c, m);
	else if (!c->asked || m->type == PROTO_REQUEST || m->type >= PROTO_OUT)
		conn_close(c);
	else if (!ops)
		return; /* input for a verb that takes none, or has ended */
	else if (m->type == PROTO_INPUT && ops->input)
		c->paused |= !ops->input(c->job, m->data, m->len);
	else if (m->type == PROTO_WINSIZE && ops->winsize &&
		 !proto_winsize(m, &rows, &cols))
		ops->winsize(c->job, rows, cols);
	else if (m->type == PROTO_EOF && ops->eof)
		ops->eof(c->job);
}

static void conn_parse(struct conn *c)
{
	struct proto_msg m;
	int r = 0;

	while (!c->dead && !c->paused && (r = proto_in_next(&c->in, &m)) > 0)
		conn_message(c, &m);
	if (r < 0)
		conn_close(c);
}

static void conn_parse_more(void *arg)
{
	struct conn *c = arg;

	if (c->dead)
		return;
	conn_parse(c);
	conn_events(c);
}

static void conn_read(struct conn *c)
{
	size_t room;
	uint8_t *p = proto_in_room(&c->in, &room);
	ssize_t n;

	if (!p) {
		conn_close(c);
		return;
	}
	n = recv(c->watch.fd, p, room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	proto_in_added(&c->in, (size_t)n);
	conn_parse(c);
}

static void conn_event(void *arg, uint32_t events)
{
	struct conn *c = arg;

	if (c->dead)
		return;
	if (events & EPOLLOUT) {
		conn_flush(c);
		if (!c->dead && c->job && c->out.len < CONN_OUT_LOW &&
			c->job->ops && c->job->ops->writable)
			c->job->ops->writable(c->job);
	}
	if (!c->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		conn_read(c);
	if (!c->dead)
		conn_events(c);
}

static void conn_impatient(void *arg)
{
	struct conn *c = arg;

	if (!c->asked || c->ending)
		conn_close(c);
}

void conn_new(struct server *s, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c || loop_fd_add(s->loop, &c->watch, fd, EPOLLIN, conn_event, c)) {
		free(c);
		close(fd);
		return;
	}
	c->server = s;
	sendq_init(&c->out, CONN_OUT_MAX);
	loop_timer_init(&c->patience, s->loop, conn_impatient, c);
	loop_call_init(&c->close_call, s->loop, conn_close_now, c);
	loop_call_init(&c->parse_call, s->loop, conn_parse_more, c);
	loop_timer_arm(&c->patience, clock_now_ns() + CONN_HELLO_NS);
	list_add_tail(&s->conns, &c->node);
	s->nconns++;
}

void conn_close_all(struct server *s)
{
	list_each_safe (n, tmp, &s->conns) {
		struct conn *c = list_entry(n, struct conn, node);

		conn_close(c);
		conn_free(c);
	}
}
