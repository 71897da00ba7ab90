/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The front's clients: coming, reading, writing, going. See front.h. */
#include "display/viewer/front.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/log.h"

#include "display/viewer/front_impl.h"
#include "display/viewer/vnc.h"

/* ---- what the engine hears ---- */

void front_log(struct front *f, int level, const char *fmt, ...)
{
	struct viewer_msg m = { .type = VIEWER_LOG };
	va_list ap;

	m.u.log.level = (uint32_t)level;
	va_start(ap, fmt);
	vsnprintf(m.u.log.text, sizeof(m.u.log.text), fmt, ap);
	va_end(ap);
	f->send(f->send_arg, &m);
}

static unsigned front_count(const struct front *f, bool running)
{
	unsigned n = 0;

	list_each (it, &f->clients) {
		const struct front_client *c =
			list_entry(it, struct front_client, node);

		if (c->dead || c->state == FRONT_CLOSING)
			continue;
		n += (c->state >= FRONT_INNER) == running;
	}
	return n;
}

unsigned front_running(const struct front *f)
{
	return front_count(f, true);
}

void front_tell(struct front *f)
{
	struct viewer_msg m = { .type = VIEWER_STATS };
	struct viewer_stats *s = &m.u.stats;
	uint64_t now = clock_now_ns();

	s->viewers = front_running(f);
	s->pending = front_count(f, false);
	s->taken = f->taken;
	s->blocked = auth_remembered(&f->auth, now);
	if (s->blocked)
		loop_timer_arm(&f->forget, now + FRONT_FORGET_NS);
	if (!memcmp(s, &f->stats, sizeof(*s)))
		return;
	f->stats = *s;
	f->send(f->send_arg, &m);
}

static void front_forget(void *arg)
{
	front_tell(arg);
}

/* ---- pictures ---- */

void front_want(struct front *f)
{
	struct viewer_msg m = { .type = VIEWER_WANT };

	if (f->wanted)
		return;
	f->wanted = true;
	f->send(f->send_arg, &m);
}

/* The last frame was not what some client waits for: ask again. */
static void front_want_again(void *arg)
{
	struct front *f = arg;

	list_each (it, &f->clients)
		if (list_entry(it, struct front_client, node)->waits) {
			front_want(f);
			return;
		}
}

void front_frame(struct front *f)
{
	f->wanted = false;
	loop_timer_arm(&f->again, clock_now_ns() + FRONT_AGAIN_NS);
}

void front_size(struct front *f, unsigned width, unsigned height)
{
	f->width = width;
	f->height = height;
}

/* ---- a client ---- */

static void front_destroy(struct front_client *c)
{
	struct front *f = c->f;

	front_run_end(c);
	loop_timer_disarm(&c->timer);
	loop_fd_del(&c->watch);
	close(c->fd);
	outq_clear(&c->out);
	outq_clear(&c->in);
	list_del(&c->node);
	free(c);
	front_tell(f);
}

void front_drop(struct front_client *c, const char *why)
{
	if (c->dead)
		return;
	c->dead = true;
	if (why)
		front_log(c->f, LOG_INFO, "closed the connection from %s: %s",
			c->peer, why);
}

void front_put(struct front_client *c, const void *buf, size_t len)
{
	if (outq_put(&c->out, buf, len))
		front_drop(c, "out of memory");
}

void front_close_after(struct front_client *c)
{
	c->state = FRONT_CLOSING;
	loop_timer_arm(&c->timer, clock_now_ns() + FRONT_LINGER_NS);
}

/*
 * An encoder's answer to two requests may be queued at once, each as large
 * as the picture; what is more is no answer.
 */
static size_t front_out_max(const struct front *f)
{
	return 2 * ((size_t)f->width * f->height * 4 + FRONT_LOW) + (1u << 20);
}

static void front_flush(struct front_client *c)
{
	ssize_t n = outq_flush(&c->out, c->fd);

	if (n < 0) {
		front_drop(c, NULL);
		return;
	}
	if (n > 0)
		c->moved_ns = clock_now_ns();
	if (outq_bytes(&c->out) > front_out_max(c->f))
		front_drop(c, "it reads too slowly");
	if (c->state == FRONT_CLOSING && !outq_bytes(&c->out))
		front_drop(c, NULL);
}

/* Bytes from the client, to whom they concern. */
static void front_feed(struct front_client *c, const uint8_t *p, size_t len)
{
	while (len && !c->dead) {
		size_t n;

		if (c->state == FRONT_CLOSING)
			return;
		if (c->state == FRONT_RUN || c->state == FRONT_INNER) {
			front_run_feed(c, p, len);
			return;
		}
		n = front_hand_feed(c, p, len);
		p += n;
		len -= n;
	}
}

static void front_read(struct front_client *c)
{
	uint8_t buf[FRONT_READ];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0)
		front_feed(c, buf, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		front_drop(c, NULL);
}

static void front_inner_event(void *arg, uint32_t events);

static void front_watch_inner(struct front_client *c)
{
	uint32_t events = EPOLLIN;

	if (outq_bytes(&c->in))
		events |= EPOLLOUT;
	if (!c->inner_events) {
		if (loop_fd_add(c->f->loop, &c->inner_watch, c->inner, events,
			    front_inner_event, c))
			front_drop(c, "out of descriptors");
	} else if (events != c->inner_events) {
		loop_fd_mod(&c->inner_watch, events);
	}
	c->inner_events = events;
}

/* Watch for what can be done now. */
static void front_rewatch(struct front_client *c)
{
	uint32_t events = 0;

	if (c->state != FRONT_CLOSING && outq_bytes(&c->in) < FRONT_IN_MAX)
		events |= EPOLLIN;
	if (outq_bytes(&c->out))
		events |= EPOLLOUT;
	if (events != c->events)
		loop_fd_mod(&c->watch, events);
	c->events = events;
	if (c->inner >= 0)
		front_watch_inner(c);
}

/* Full queues are looked at now and then, empty ones cost no timer. */
static void front_watch_stall(struct front_client *c)
{
	if (c->state != FRONT_RUN || c->stall_armed || !outq_bytes(&c->out))
		return;
	c->stall_armed = true;
	c->moved_ns = clock_now_ns();
	loop_timer_arm(&c->timer, c->moved_ns + FRONT_STALL_NS);
}

/* After any event of c: write, ask on, look for the next, or bury it. */
static void front_settle(struct front_client *c)
{
	if (!c->dead)
		front_run_request(c);
	if (!c->dead)
		front_flush(c);
	if (!c->dead) {
		front_watch_stall(c);
		front_rewatch(c);
	}
	if (c->dead)
		front_destroy(c);
	else
		front_tell(c->f);
}

static void front_event(void *arg, uint32_t events)
{
	struct front_client *c = arg;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		front_read(c);
	front_settle(c);
}

/* Something from the encoder, or room for more to it. */
static void front_inner_event(void *arg, uint32_t events)
{
	struct front_client *c = arg;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		front_run_inner(c);
	front_settle(c);
}

static void front_timer(void *arg)
{
	struct front_client *c = arg;
	uint64_t now = clock_now_ns();

	if (c->state < FRONT_RUN) {
		front_drop(c, "it took too long to log in");
	} else if (c->state == FRONT_CLOSING) {
		front_drop(c, NULL);
	} else {
		c->stall_armed = false;
		if (outq_bytes(&c->out) && now - c->moved_ns >= FRONT_STALL_NS)
			front_drop(c, "it reads nothing");
		else if (outq_bytes(&c->out)) {
			c->stall_armed = true;
			loop_timer_arm(&c->timer, c->moved_ns + FRONT_STALL_NS);
		}
	}
	if (c->dead)
		front_destroy(c);
}

/* Room for one more before authentication: the oldest has had its time. */
static void front_make_room(struct front *f)
{
	if (front_count(f, false) < FRONT_PENDING)
		return;
	list_each (it, &f->clients) {
		struct front_client *c =
			list_entry(it, struct front_client, node);

		if (c->state >= FRONT_INNER)
			continue;
		front_drop(c, "too many others log in");
		front_destroy(c);
		return;
	}
}

void front_connect(struct front *f, int fd, const char *peer)
{
	struct front_client *c;

	f->taken++;
	front_make_room(f);
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		front_tell(f);
		return;
	}
	c->f = f;
	c->fd = fd;
	c->inner = -1;
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	list_add_tail(&f->clients, &c->node);
	loop_timer_init(&c->timer, f->loop, front_timer, c);
	loop_timer_arm(&c->timer, clock_now_ns() + FRONT_HAND_NS);
	c->events = EPOLLIN;
	if (loop_fd_add(f->loop, &c->watch, fd, EPOLLIN, front_event, c)) {
		front_drop(c, "out of descriptors");
		front_destroy(c);
		return;
	}
	front_hand_begin(c);
	front_settle(c);
}

/* ---- life ---- */

void front_config(struct front *f, const struct viewer_config *c)
{
	f->config = *c;
}

int front_new(struct loop *l, struct vnc *vnc, front_send_fn send, void *arg,
	struct front **out, struct err *e)
{
	struct front *f = calloc(1, sizeof(*f));

	if (!f)
		return err_sys(e, ENOMEM, "cannot make a VNC server");
	f->loop = l;
	f->vnc = vnc;
	f->send = send;
	f->send_arg = arg;
	f->width = f->height = DISPLAY_MIN;
	list_init(&f->clients);
	loop_timer_init(&f->again, l, front_want_again, f);
	loop_timer_init(&f->forget, l, front_forget, f);
	*out = f;
	return 0;
}

void front_free(struct front *f)
{
	if (!f)
		return;
	list_each_safe (it, tmp, &f->clients)
		front_destroy(list_entry(it, struct front_client, node));
	loop_timer_disarm(&f->again);
	loop_timer_disarm(&f->forget);
	explicit_bzero(&f->config, sizeof(f->config));
	free(f);
}
