/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What goes over the connections of an NBD node: commands that wait for one,
 * sending, and answers.
 *
 * libnbd calls back from inside its own calls, with its lock held: answers
 * are only put on a list there and looked at afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "vm/base/clock.h"

#include "storage/proto/nbd.h"

#define NBD_ANSWERS 64u /* of one connection in a round of the loop */

static void conn_sent(struct nbd_conn *c);

void nbd_enter(struct nbd *nbd)
{
	nbd->busy++;
}

void nbd_leave(struct nbd *nbd)
{
	struct fiber *closer = nbd->closer;

	if (--nbd->busy || !closer)
		return;
	nbd->closer = NULL;
	fiber_wake(closer); /* frees nbd */
}

/* Commands that wait for a connection. */

static uint64_t op_deadline(const struct nbd_op *op)
{
	return op->lost_ns + op->nbd->params.hold_ms * NS_PER_MS;
}

static void conns_arm_hold(struct nbd *nbd)
{
	uint64_t first = UINT64_MAX;

	list_each (it, &nbd->waiting) {
		uint64_t t = op_deadline(list_entry(it, struct nbd_op, node));

		if (t < first)
			first = t;
	}
	if (first == UINT64_MAX)
		ctx_timer_disarm(&nbd->hold);
	else
		ctx_timer_arm(&nbd->hold, first);
}

static void op_fail(struct nbd_op *op)
{
	op->conn = NULL;
	op->err = EIO;
	list_add_tail(&op->nbd->failed, &op->node);
	ctx_call_schedule(&op->nbd->service);
}

/* op lost its connection, or there is none. */
static void op_wait(struct nbd_op *op)
{
	struct nbd *nbd = op->nbd;
	uint64_t deadline;

	op->conn = NULL;
	if (!op->lost_ns)
		op->lost_ns = nbd->down_ns ? nbd->down_ns : clock_now_ns();
	deadline = op_deadline(op);
	if (nbd->changed || clock_now_ns() >= deadline) {
		op_fail(op);
		return;
	}
	list_add_tail(&nbd->waiting, &op->node);
	if (!nbd->hold.deadline_ns || deadline < nbd->hold.deadline_ns)
		ctx_timer_arm(&nbd->hold, deadline);
}

void nbd_conns_hold_over(void *arg)
{
	struct nbd *nbd = arg;
	uint64_t now = clock_now_ns();
	unsigned failed = 0;

	list_each_safe (it, next, &nbd->waiting) {
		struct nbd_op *op = list_entry(it, struct nbd_op, node);

		if (op_deadline(op) > now && !nbd->changed)
			continue;
		list_del(it);
		op_fail(op);
		failed++;
	}
	if (failed)
		log_limited(nbd->node.log, &nbd->limit, LOG_ERROR,
			"%s: %u commands failed: no connection to the NBD "
			"server: %s",
			nbd->uri, failed, nbd->last.msg);
	conns_arm_hold(nbd);
}

void nbd_conns_resend(struct nbd *nbd)
{
	struct list now, *n;

	list_init(&now);
	while ((n = list_pop(&nbd->waiting)))
		list_add_tail(&now, n);
	while ((n = list_pop(&now)))
		nbd_op_send(list_entry(n, struct nbd_op, node));
	conns_arm_hold(nbd);
}

/* Sending. */

/* The one with the least to do. */
struct nbd_conn *nbd_conns_pick(struct nbd *nbd)
{
	struct nbd_conn *best = NULL;

	for (unsigned i = 0; i < nbd->conns; i++) {
		struct nbd_conn *c = &nbd->conn[i];

		if (c->h && (!best || c->in_flight < best->in_flight))
			best = c;
	}
	return best;
}

/* Called by libnbd, inside one of our calls to it. */
static int op_answered(void *arg, int *error)
{
	struct nbd_op *op = arg;

	op->err = *error;
	list_del(&op->node);
	list_add_tail(&op->conn->answered, &op->node);
	return 1;
}

static int op_extent(void *arg, const char *context, uint64_t offset,
	uint32_t *entries, size_t n, int *error)
{
	struct nbd_op *op = arg;

	(void)error;
	if (n >= 2 && offset == op->offset && !op->ext_len &&
		!strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION)) {
		op->ext_len = entries[0];
		op->ext_flags = entries[1];
	}
	return 0;
}

/* -1 = libnbd did not take it. */
static int64_t op_issue(struct nbd_op *op, struct nbd_handle *h)
{
	nbd_completion_callback cb = { .callback = op_answered,
		.user_data = op };
	nbd_extent_callback ext = { .callback = op_extent, .user_data = op };

	switch (op->cmd) {
	case BLK_READ:
		return nbd_aio_pread(h, op->buf, op->len, op->offset, cb,
			op->flags);
	case BLK_WRITE:
		return nbd_aio_pwrite(h, op->buf, op->len, op->offset, cb,
			op->flags);
	case BLK_FLUSH:
		return nbd_aio_flush(h, cb, op->flags);
	case BLK_DISCARD:
		return nbd_aio_trim(h, op->len, op->offset, cb, op->flags);
	case BLK_WRITE_ZEROES:
		return nbd_aio_zero(h, op->len, op->offset, cb, op->flags);
	case BLK_STATUS:
		op->ext_len = 0;
		return nbd_aio_block_status(h, op->len, op->offset, ext, cb,
			op->flags);
	}
	return -1;
}

static bool conn_is_dead(const struct nbd_conn *c)
{
	return nbd_aio_is_dead(c->h) || nbd_aio_is_closed(c->h);
}

void nbd_op_send(struct nbd_op *op)
{
	struct nbd_conn *c = nbd_conns_pick(op->nbd);

	if (!c) {
		op_wait(op);
		return;
	}
	op->conn = c;
	op->err = 0;
	c->in_flight++;
	list_add_tail(&c->sent, &op->node);
	if (op_issue(op, c->h) < 0) {
		/* refused by its checks, or the connection is just gone */
		op->err = conn_is_dead(c) ? ENOTCONN : nbd_get_errno();
		if (op->err <= 0)
			op->err = EIO;
		list_del(&op->node);
		list_add_tail(&c->answered, &op->node);
	}
	conn_sent(c);
}

/* Receiving. */

/* Did the answer come from the server, or is there none? */
static bool op_is_lost(const struct nbd_op *op)
{
	return op->err == ENOTCONN || op->err == ESHUTDOWN;
}

/* What went over c goes elsewhere or waits. */
void nbd_conn_give_back(struct nbd_conn *c)
{
	uint64_t now = clock_now_ns();
	struct list *n;

	while ((n = list_pop(&c->answered)))
		list_add_tail(&c->sent, n);
	while ((n = list_pop(&c->sent))) {
		struct nbd_op *op = list_entry(n, struct nbd_op, node);

		/* it may be what brings the server down */
		if (op->lost_ns && now >= op_deadline(op)) {
			op_fail(op);
			continue;
		}
		if (!op->lost_ns)
			op->lost_ns = now;
		nbd_op_send(op);
	}
}

/* Look at what was answered up to now. False = the server is going. */
static bool conn_reap(struct nbd_conn *c)
{
	struct list now, *n;
	bool lost = false;

	list_init(&now);
	while ((n = list_pop(&c->answered)))
		list_add_tail(&now, n);
	while ((n = list_pop(&now))) {
		struct nbd_op *op = list_entry(n, struct nbd_op, node);

		if (op_is_lost(op)) {
			list_add_tail(&c->sent, n);
			lost = true;
			continue;
		}
		c->in_flight--;
		c->nbd->mute = false;
		c->pause_ms = c->nbd->params.pause_ms;
		op->conn = NULL;
		nbd_op_done(op);
	}
	return !lost;
}

uint32_t nbd_conn_events(unsigned direction)
{
	return (direction & LIBNBD_AIO_DIRECTION_READ ? EPOLLIN : 0u) |
	       (direction & LIBNBD_AIO_DIRECTION_WRITE ? EPOLLOUT : 0u);
}

static void conn_watch(struct nbd_conn *c)
{
	unsigned direction = nbd_aio_get_direction(c->h);

	if (direction == c->direction)
		return;
	c->direction = direction;
	ctx_fd_mod(&c->watch, nbd_conn_events(direction));
}

/* After a call to libnbd that may not complete requests. */
static void conn_sent(struct nbd_conn *c)
{
	if (!list_empty(&c->answered) || conn_is_dead(c))
		ctx_call_schedule(&c->nbd->service);
	else
		conn_watch(c);
}

/* why: what libnbd said last, or NULL. */
static void conn_service(struct nbd_conn *c, const char *why)
{
	char text[256];

	/* without the name of libnbd's function */
	if (why && strstr(why, ": "))
		why = strstr(why, ": ") + 2;
	snprintf(text, sizeof(text), "%s", why ? why : "closed by it");
	if (!conn_reap(c))
		nbd_conn_lost(c, conn_is_dead(c) ? text : "it shuts down");
	else if (conn_is_dead(c))
		nbd_conn_lost(c, text);
	else
		conn_sent(c);
}

static bool conn_has_more(const struct nbd_conn *c)
{
	uint8_t b;

	return recv(c->fd, &b, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/*
 * libnbd takes one answer in a call. While more commands are out, likely the
 * next one is there too: a look costs less than another round of the loop.
 * libnbd itself must not look for nothing: it then waits for that answer and
 * sends nothing more, not even the rest of a write.
 */
static int conn_read(struct nbd_conn *c)
{
	int r = 0;

	for (unsigned n = 0; !r && n < NBD_ANSWERS; n++) {
		const struct list *last = c->answered.prev;

		r = nbd_aio_notify_read(c->h);
		if (c->answered.prev == last || list_empty(&c->sent) ||
			!(nbd_aio_get_direction(c->h) &
				LIBNBD_AIO_DIRECTION_READ) ||
			!conn_has_more(c))
			break;
	}
	return r;
}

void nbd_conn_event(void *arg, uint32_t events)
{
	struct nbd_conn *c = arg;
	unsigned dir = nbd_aio_get_direction(c->h);
	int r = 0;

	nbd_enter(c->nbd);
	if ((dir & LIBNBD_AIO_DIRECTION_READ) && (events & ~EPOLLOUT))
		r = conn_read(c);
	else if (dir & LIBNBD_AIO_DIRECTION_WRITE)
		r = nbd_aio_notify_write(c->h);
	conn_service(c, r ? nbd_get_error() : NULL);
	nbd_leave(c->nbd);
}

void nbd_conns_service(void *arg)
{
	struct nbd *nbd = arg;
	struct list now, *n;

	nbd_enter(nbd);
	for (unsigned i = 0; i < nbd->conns; i++)
		if (nbd->conn[i].h)
			conn_service(&nbd->conn[i], NULL);
	list_init(&now);
	while ((n = list_pop(&nbd->failed)))
		list_add_tail(&now, n);
	while ((n = list_pop(&now)))
		nbd_op_done(list_entry(n, struct nbd_op, node));
	nbd_leave(nbd);
}
