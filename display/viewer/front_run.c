/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A client that is in: its messages through the sieve, its input to the
 * engine, the encoder's bytes into its queue. A request for a picture is
 * passed on only when the queue is short, so that a slow client holds at
 * most about one picture here and never blocks the encoder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/clock.h"
#include "vm/base/log.h"

#include "display/viewer/front_impl.h"
#include "display/viewer/vnc.h"

/* To the encoder: version 3.3, which asks for no security, and "share". */
#define RUN_HELLO     "RFB 003.003\n\001"
#define RUN_HELLO_LEN 13
/* From it, not for the client: its version and the security type */
#define RUN_GREETING 16
#define RUN_BATCH    (1u << 20)

/* ---- what the sieve lets through ---- */

static void run_forward(void *arg, const uint8_t *msg, size_t len)
{
	struct front_client *c = arg;

	if (outq_put(&c->in, msg, len))
		front_drop(c, "out of memory");
}

/* Join a request with the one that still waits. */
static void run_request(void *arg, const struct filter_request *r)
{
	struct front_client *c = arg;
	struct filter_request *q = &c->request;
	unsigned x2, y2;

	if (!c->has_request) {
		*q = *r;
		c->has_request = true;
		return;
	}
	x2 = q->x + q->w > r->x + r->w ? q->x + q->w : r->x + r->w;
	y2 = q->y + q->h > r->y + r->h ? q->y + q->h : r->y + r->h;
	q->incremental = q->incremental && r->incremental;
	q->x = q->x < r->x ? q->x : r->x;
	q->y = q->y < r->y ? q->y : r->y;
	q->w = (uint16_t)(x2 - q->x > 0xffff ? 0xffff : x2 - q->x);
	q->h = (uint16_t)(y2 - q->y > 0xffff ? 0xffff : y2 - q->y);
}

static void run_key(void *arg, bool down, uint32_t keysym, uint32_t code)
{
	struct front_client *c = arg;

	keys_event(&c->keys, down, keysym, code);
}

static void run_send_key(void *arg, uint16_t scancode, bool down)
{
	struct front_client *c = arg;
	struct viewer_msg m = { .type = VIEWER_INPUT };

	m.u.input.kind = INPUT_KEY;
	m.u.input.scancode = scancode;
	m.u.input.down = down;
	c->f->send(c->f->send_arg, &m);
}

/* Pixel to 0..32767. */
static int32_t run_scale(unsigned v, unsigned size)
{
	if (size < 2)
		return 0;
	if (v >= size)
		v = size - 1;
	return (int32_t)((uint64_t)v * 32767 / (size - 1));
}

static void run_send_pointer(struct front_client *c)
{
	struct viewer_msg m = { .type = VIEWER_INPUT };

	m.u.input.kind = INPUT_POINTER_ABS;
	m.u.input.x = run_scale(c->x, c->f->width);
	m.u.input.y = run_scale(c->y, c->f->height);
	/* RFB's buttons are in the order of enum input_button */
	m.u.input.buttons = c->buttons & 0x1f;
	c->f->send(c->f->send_arg, &m);
}

static void run_pointer(void *arg, uint8_t buttons, uint16_t x, uint16_t y)
{
	struct front_client *c = arg;

	c->buttons = buttons;
	c->x = x;
	c->y = y;
	run_send_pointer(c);
}

/* At most twice a second, of all clients. */
static void run_resize(void *arg, uint16_t width, uint16_t height)
{
	struct front_client *c = arg;
	struct front *f = c->f;
	struct viewer_msg m = { .type = VIEWER_RESIZE };
	uint64_t now = clock_now_ns();

	if (f->resize_ns && now < f->resize_ns + FRONT_RESIZE_NS)
		return;
	if (width < DISPLAY_MIN || width > DISPLAY_MAX_W ||
		height < DISPLAY_MIN || height > DISPLAY_MAX_H)
		return;
	f->resize_ns = now;
	m.u.resize.width = width;
	m.u.resize.height = height;
	f->send(f->send_arg, &m);
}

static const struct filter_ops run_ops = {
	.forward = run_forward,
	.request = run_request,
	.key = run_key,
	.pointer = run_pointer,
	.resize = run_resize,
};

/* ---- life ---- */

static int run_connect(struct front_client *c)
{
	int pair[2], size = 1 << 20;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		    pair))
		return -errno;
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* before the encoder sees it, or it waits for a WebSocket */
	if (outq_put(&c->in, RUN_HELLO, RUN_HELLO_LEN) ||
		outq_flush(&c->in, pair[0]) != RUN_HELLO_LEN) {
		close(pair[0]);
		close(pair[1]);
		return -EIO;
	}
	c->inner = pair[0];
	return vnc_add_client(c->f->vnc, pair[1]);
}

void front_run_begin(struct front_client *c)
{
	int r = run_connect(c);

	if (r) {
		front_drop(c, strerror(-r));
		return;
	}
	filter_init(&c->filter, &run_ops, c, c->view_only);
	c->keys.send = run_send_key;
	c->keys.arg = c;
	c->keys.caps = &c->f->caps;
	c->state = FRONT_INNER;
	front_log(c->f, LOG_INFO, "%s looks on%s", c->peer,
		c->view_only ? " (view only)" : "");
}

void front_run_end(struct front_client *c)
{
	if (c->inner < 0)
		return;
	keys_release(&c->keys);
	if (c->buttons) {
		c->buttons = 0;
		run_send_pointer(c);
	}
	loop_fd_del(&c->inner_watch);
	close(c->inner);
	c->inner = -1;
	front_log(c->f, LOG_INFO, "%s has left", c->peer);
}

void front_run_feed(struct front_client *c, const uint8_t *p, size_t len)
{
	if (filter_feed(&c->filter, p, len))
		front_drop(c, c->filter.why);
}

static void run_push(struct front_client *c)
{
	if (outq_flush(&c->in, c->inner) < 0)
		front_drop(c, "the encoder gave it up");
}

void front_run_request(struct front_client *c)
{
	const struct filter_request *q = &c->request;
	uint8_t msg[10] = { 3 };

	if (c->inner < 0)
		return;
	run_push(c);
	if (c->dead || !c->has_request || outq_bytes(&c->in) ||
		outq_bytes(&c->out) >= FRONT_LOW)
		return;
	msg[1] = q->incremental;
	put_be16(msg + 2, q->x);
	put_be16(msg + 4, q->y);
	put_be16(msg + 6, q->w);
	put_be16(msg + 8, q->h);
	run_forward(c, msg, sizeof(msg));
	c->has_request = false;
	c->waits = true;
	front_want(c->f);
	if (!c->dead)
		run_push(c);
}

/* The encoder's greeting is for us; false while it is not complete. */
static bool run_greeting(struct front_client *c)
{
	ssize_t n = recv(c->inner, c->hand + c->hand_len,
		RUN_GREETING - c->hand_len, MSG_DONTWAIT);

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			front_drop(c, "the encoder refused it");
		return false;
	}
	c->hand_len += (size_t)n;
	if (c->hand_len < RUN_GREETING)
		return false;
	if (get_be32(c->hand + 12) != 1) {
		front_drop(c, "the encoder wants security");
		return false;
	}
	c->state = FRONT_RUN;
	loop_timer_disarm(&c->timer);
	return true;
}

void front_run_inner(struct front_client *c)
{
	ssize_t n;

	if (c->state == FRONT_INNER && !run_greeting(c))
		return;
	if (c->state != FRONT_RUN)
		return;
	n = outq_fill(&c->out, c->inner, RUN_BATCH);
	if (n > 0)
		c->waits = false;
	else if (n != -EAGAIN)
		front_drop(c, "the encoder gave it up");
}
