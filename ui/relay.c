/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The client's loop. The server never touches the terminal: it sends bytes
 * and this process writes them, so a terminal that is stopped (^S) or gone
 * holds up only this process.
 */
#include "ui/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/io.h"

#include "ui/client.h"
#include "ui/protocol.h"
#include "ui/tty.h"

#define RELAY_ESCAPE 0x1d /* ^] */

struct relay_state {
	struct relay *r;
	struct proto_in in;
	struct sendq to_server;
	sigset_t wait;
	enum proto_raw raw; /* 0 = not asked for */
	bool tty, stdin_open, left;
	int code; /* -1 = not told yet */
};

static int relay_request(struct relay_state *s, int argc, char **argv)
{
	const char *term = getenv("TERM");
	struct proto_request q = {
		.argc = argc,
		.argv = argv,
		.cwd = getcwd(NULL, 0),
		.tty = s->tty,
		.utf8 = tty_utf8(),
		.term = (char *)(term ? term : ""),
	};
	char *json = NULL;
	int r;

	if (!q.cwd)
		q.cwd = strdup("/");
	tty_size(&q.rows, &q.cols);
	r = proto_request_format(&q, &json);
	free(q.cwd);
	if (r)
		return client_fail("an argument or the working folder's name "
				   "is not UTF-8");
	r = sendq_frame(&s->to_server, PROTO_REQUEST, json, strlen(json));
	free(json);
	if (r)
		return client_fail("the command line is too long");
	return 0;
}

static void relay_winsize(struct relay_state *s)
{
	uint8_t b[4];
	int rows, cols;

	tty_size(&rows, &cols);
	put_le16(b, (uint16_t)rows);
	put_le16(b + 2, (uint16_t)cols);
	sendq_frame(&s->to_server, PROTO_WINSIZE, b, sizeof(b));
}

/* Write all; a signal that ends us also ends a write that hangs. */
static int relay_write(struct relay_state *s, int fd, const uint8_t *p,
	size_t len)
{
	while (len) {
		struct pollfd w = { .fd = fd, .events = POLLOUT };
		ssize_t n;

		if (ppoll(&w, 1, NULL, &s->wait) < 0) {
			struct tty_news news;

			tty_news(&news);
			if (news.resized)
				relay_winsize(s);
			if (news.ended)
				return -EINTR;
			continue;
		}
		n = write(fd, p, len > 1024 ? 1024 : len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int relay_go_raw(struct relay_state *s, enum proto_raw raw)
{
	struct err e = ERR_NONE;

	s->raw = raw;
	s->stdin_open = true;
	if (raw == PROTO_RAW_SERIAL && s->tty)
		fprintf(stderr, "connected; ^] leaves\r\n");
	if (s->tty && tty_raw(&e))
		return client_fail("%s", e.msg);
	return 0;
}

/* 0 to go on, else an end. */
static int relay_message(struct relay_state *s, const struct proto_msg *m)
{
	switch (m->type) {
	case PROTO_OUT:
		if (s->r->out)
			return fwrite(m->data, 1, m->len, s->r->out) != m->len;
		return relay_write(s, STDOUT_FILENO, m->data, m->len);
	case PROTO_ERR:
		return relay_write(s, STDERR_FILENO, m->data, m->len);
	case PROTO_RAW:
		return m->len == 1 ? relay_go_raw(s, (enum proto_raw)m->data[0])
				   : -EPROTO;
	case PROTO_EXIT:
		s->code = m->len == 1 ? m->data[0] : UI_FAIL;
		return 0;
	default:
		return -EPROTO;
	}
}

/* From the server; 0 to go on, 1 when it closed, or an error. */
static int relay_from_server(struct relay_state *s)
{
	struct proto_msg m;
	size_t room;
	uint8_t *p = proto_in_room(&s->in, &room);
	ssize_t n;
	int r;

	if (!p)
		return -ENOMEM;
	n = recv(s->r->fd, p, room, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : 1;
	if (n == 0)
		return 1;
	proto_in_added(&s->in, (size_t)n);
	while ((r = proto_in_next(&s->in, &m)) > 0) {
		r = relay_message(s, &m);
		if (r)
			return r;
		if (s->code >= 0 && !s->r->until_gone)
			return 1;
	}
	return r;
}

static void relay_from_stdin(struct relay_state *s)
{
	uint8_t buf[4096], *esc;
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		s->stdin_open = false;
		sendq_frame(&s->to_server, PROTO_EOF, NULL, 0);
		s->left = s->tty; /* the terminal is gone */
		return;
	}
	if (s->raw == PROTO_RAW_SERIAL && s->tty) {
		esc = memchr(buf, RELAY_ESCAPE, (size_t)n);
		if (esc) {
			s->left = true;
			n = esc - buf;
		}
	}
	if (n)
		sendq_frame(&s->to_server, PROTO_INPUT, buf, (size_t)n);
}

/* One wait; 0 to go on. */
static int relay_round(struct relay_state *s)
{
	/* input waits in the terminal while the server takes none */
	bool take = s->stdin_open && s->to_server.len < 65536;
	struct pollfd p[2] = {
		{ .fd = s->r->fd,
			.events = (short)(POLLIN |
					  (s->to_server.len ? POLLOUT : 0)) },
		{ .fd = take ? STDIN_FILENO : -1, .events = POLLIN },
	};
	struct err e = ERR_NONE;
	struct tty_news news;
	int r = 0;

	if (ppoll(p, 2, NULL, &s->wait) < 0)
		p[0].revents = p[1].revents = 0;
	tty_news(&news);
	if (news.ended)
		return -EINTR;
	if (news.resized && s->raw) {
		if (s->tty)
			tty_raw(&e); /* the shell had it while we stopped */
		relay_winsize(s);
	}
	if (p[1].revents)
		relay_from_stdin(s);
	if (sendq_flush(&s->to_server, s->r->fd) && s->code < 0)
		r = 1;
	if (!r && p[0].revents & (POLLIN | POLLHUP | POLLERR))
		r = relay_from_server(s);
	return s->left ? 1 : r;
}

static int relay_end(struct relay_state *s, int r)
{
	bool screen = s->raw == PROTO_RAW_SCREEN && s->tty;

	if (s->code >= 0) {
		tty_restore();
		return s->code;
	}
	if (screen)
		tty_rescue();
	tty_restore();
	if (s->left && s->tty && !screen) {
		fprintf(stderr, "\nleft the console\n");
		return UI_OK;
	}
	if (s->left)
		return UI_OK;
	if (r == -EINTR)
		return UI_FAIL;
	if (r == 1)
		return client_fail("the server has gone away");
	if (r == -EPIPE)
		return UI_FAIL; /* our reader left: nothing to tell */
	return client_fail("%s", strerror(r < 0 ? -r : EIO));
}

int relay_run(struct relay *r, int argc, char **argv)
{
	struct relay_state s = { .r = r, .code = -1, .tty = tty_is() };
	int ret;

	sendq_init(&s.to_server, 4 * PROTO_MAX);
	ret = relay_request(&s, argc, argv);
	if (ret) {
		sendq_fini(&s.to_server);
		return UI_USAGE;
	}
	tty_signals(&s.wait);
	do
		ret = relay_round(&s);
	while (!ret);
	ret = relay_end(&s, ret);
	tty_signals_end();
	proto_in_fini(&s.in);
	sendq_fini(&s.to_server);
	return ret;
}
