/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The viewer process: what runs in the jail. The engine's end of the pair is
 * descriptor 3; when the engine closes it, or says what cannot be, the
 * process ends. It keeps nothing worth saving.
 *
 * Threads: main (control and front), encoder (vnc.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/loop.h"

#include "display/proto.h"
#include "display/viewer/auth.h"
#include "display/viewer/front.h"
#include "display/viewer/jail.h"
#include "display/viewer/vnc.h"

struct viewer {
	struct loop *loop;
	struct loop_fd control;
	struct front *front;
	struct vnc *vnc;
	char name[VIEWER_NAME_MAX];
};

/* Blocks while the engine is behind: it reads in the end. */
static void viewer_send(void *arg, const struct viewer_msg *m)
{
	struct viewer *v = arg;

	if (io_send_fds(VIEWER_FD, m, viewer_msg_len(m->type), NULL, 0) < 0)
		loop_stop(v->loop);
}

static void viewer_surface(struct viewer *v, const struct viewer_surface *s,
	int fd)
{
	if (fd < 0)
		return;
	front_size(v->front, s->width, s->height);
	vnc_set_surface(v->vnc, s, fd);
}

/* Takes fd (-1 = none). */
static void viewer_handle(struct viewer *v, const struct viewer_msg *m, int fd)
{
	switch (m->type) {
	case VIEWER_CONFIG:
		front_config(v->front, &m->u.config);
		break;
	case VIEWER_SURFACE:
		viewer_surface(v, &m->u.surface, fd);
		return;
	case VIEWER_FRAME:
		vnc_frame(v->vnc, &m->u.frame.tiles);
		front_frame(v->front);
		break;
	case VIEWER_CLIENT:
		if (fd >= 0)
			front_connect(v->front, fd, m->u.client.peer);
		return;
	default:
		break;
	}
	if (fd >= 0)
		close(fd);
}

static void viewer_control(void *arg, uint32_t events)
{
	struct viewer *v = arg;
	struct viewer_msg m;
	int fd = -1, nfds;
	ssize_t n;

	(void)events;
	n = io_recv_fds(VIEWER_FD, &m, sizeof(m), &fd, 1, &nfds);
	if (n <= 0 || (size_t)n < offsetof(struct viewer_msg, u) ||
		(size_t)n != viewer_msg_len(m.type)) {
		loop_stop(v->loop);
		return;
	}
	viewer_handle(v, &m, nfds ? fd : -1);
	explicit_bzero(&m, sizeof(m));
}

/* The first message names the guest and the passwords. */
static int viewer_first(struct viewer *v, struct viewer_config *c,
	struct err *e)
{
	struct viewer_msg m;
	int fd, nfds;
	ssize_t n = io_recv_fds(VIEWER_FD, &m, sizeof(m), &fd, 0, &nfds);

	if (n <= 0 || (size_t)n < offsetof(struct viewer_msg, u) ||
		m.type != VIEWER_CONFIG || (size_t)n != viewer_msg_len(m.type))
		return err_set(e, EPROTO,
			"the viewer process is started by guestdeck itself");
	*c = m.u.config;
	c->name[sizeof(c->name) - 1] = 0;
	c->password[VIEWER_PASS_MAX] = 0;
	c->viewonly[VIEWER_PASS_MAX] = 0;
	memcpy(v->name, c->name, sizeof(v->name));
	explicit_bzero(&m, sizeof(m));
	return 0;
}

static int viewer_start(struct viewer *v, struct err *e)
{
	struct viewer_config c;
	int r = viewer_first(v, &c, e);

	if (!r)
		r = loop_new(&v->loop, e);
	if (!r)
		r = vnc_new(v->name, &v->vnc, e);
	if (!r)
		r = front_new(v->loop, v->vnc, viewer_send, v, &v->front, e);
	if (r)
		return r;
	front_config(v->front, &c);
	explicit_bzero(&c, sizeof(c));
	auth_works(); /* the cipher is loaded while that can be done */
	r = loop_fd_add(v->loop, &v->control, VIEWER_FD, EPOLLIN,
		viewer_control, v);
	return r ? err_sys(e, -r, "cannot watch the engine") : 0;
}

int display_viewer_main(int argc, char **argv)
{
	struct viewer v = { 0 };
	struct err e = ERR_NONE;
	int r;

	(void)argc;
	(void)argv;
	r = jail_begin(&e);
	if (!r)
		r = viewer_start(&v, &e);
	if (!r)
		r = jail_close(&e);
	if (!r)
		loop_run(v.loop);
	else
		fprintf(stderr, "guestdeck viewer: %s\n", e.msg);
	if (v.control.loop)
		loop_fd_del(&v.control);
	front_free(v.front);
	vnc_free(v.vnc);
	if (v.loop)
		loop_free(v.loop);
	return r ? 1 : 0;
}
