/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The connections of an NBD node. conn[0] is the one that is always wanted:
 * it is dialled again and again, with growing pauses. The others follow when
 * it stands and the server says that it keeps several in step (multi-conn:
 * a flush on one covers what was answered on all); one that cannot be had is
 * let go until conn[0] comes anew.
 *
 * libnbd calls back from inside its own calls, with its lock held: answers
 * are only put on a list there and looked at afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vm/base/clock.h"

#include "storage/proto/nbd.h"

static void conn_dial(struct nbd_conn *c);
static void conn_retry(struct nbd_conn *c);
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

static void conns_hold_over(void *arg)
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

static void conns_resend(struct nbd *nbd)
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
static struct nbd_conn *conns_pick(struct nbd *nbd)
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
	struct nbd_conn *c = conns_pick(op->nbd);

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
static void conn_give_back(struct nbd_conn *c)
{
	uint64_t now = clock_now_ns();
	struct list *n;

	while ((n = list_pop(&c->answered)))
		list_add_tail(&c->sent, n);
	while ((n = list_pop(&c->sent))) {
		struct nbd_op *op = list_entry(n, struct nbd_op, node);

		if (!op->lost_ns)
			op->lost_ns = now;
		/* it may be what brings the server down */
		if (now >= op_deadline(op))
			op_fail(op);
		else
			nbd_op_send(op);
	}
}

static void conn_detach(struct nbd_conn *c)
{
	ctx_fd_del(&c->watch);
	close(c->fd);
	nbd_close(c->h);
	c->h = NULL;
}

static void conn_lost(struct nbd_conn *c, const char *why)
{
	struct nbd *nbd = c->nbd;
	bool first = c == &nbd->conn[0];
	uint64_t now = clock_now_ns();

	log_limited(nbd->node.log, &nbd->limit, first ? LOG_WARN : LOG_INFO,
		"%s: connection %u of %u to the NBD server is lost (%s): "
		"connecting again; requests wait at most %u s",
		nbd->uri, (unsigned)(c - nbd->conn) + 1, nbd->conns, why,
		nbd->params.hold_ms / 1000);
	err_set(&nbd->last, ENOTCONN, "%s", why);
	conn_detach(c);
	c->in_flight = 0;
	if (!conns_pick(nbd))
		nbd->down_ns = now;
	if (now - c->up_ns > nbd->params.pause_max_ms * NS_PER_MS)
		c->pause_ms = nbd->params.pause_ms;
	conn_give_back(c);
	if (first || nbd->conn[0].h)
		conn_retry(c);
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
		c->pause_ms = c->nbd->params.pause_ms;
		op->conn = NULL;
		nbd_op_done(op);
	}
	return !lost;
}

static uint32_t conn_events(unsigned direction)
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
	ctx_fd_mod(&c->watch, conn_events(direction));
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

	snprintf(text, sizeof(text), "%s", why ? why : "closed by it");
	if (!conn_reap(c))
		conn_lost(c, conn_is_dead(c) ? text : "it shuts down");
	else if (conn_is_dead(c))
		conn_lost(c, text);
	else
		conn_sent(c);
}

static void conn_event(void *arg, uint32_t events)
{
	struct nbd_conn *c = arg;
	unsigned dir = nbd_aio_get_direction(c->h);
	int r = 0;

	nbd_enter(c->nbd);
	if ((dir & LIBNBD_AIO_DIRECTION_READ) && (events & ~EPOLLOUT))
		r = nbd_aio_notify_read(c->h);
	else if (dir & LIBNBD_AIO_DIRECTION_WRITE)
		r = nbd_aio_notify_write(c->h);
	conn_service(c, r ? nbd_get_error() : NULL);
	nbd_leave(c->nbd);
}

static void conns_service(void *arg)
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

/* Connecting. */

/* Is this the export that requests in work were made for? */
static bool caps_fit(struct nbd *nbd, const struct nbd_caps *c, struct err *e)
{
	const struct nbd_caps *was = &nbd->caps;

	if (c->size != was->size)
		err_set(e, ESTALE, "its size changed from %llu to %llu bytes",
			(unsigned long long)was->size,
			(unsigned long long)c->size);
	else if (c->readonly && !nbd->node.readonly)
		err_set(e, EROFS, "it became read-only");
	else if (c->min_block > was->min_block ||
		 c->max_payload < was->max_payload ||
		 (was->flush && !c->flush) || (was->fua && !c->fua) ||
		 (was->trim && !c->trim) || (was->zero && !c->zero) ||
		 (was->alloc && !c->alloc))
		err_set(e, ENOTSUP, "it can do less than before");
	else
		return true;
	return false;
}

static void conn_changed(struct nbd_conn *c, const struct err *why)
{
	struct nbd *nbd = c->nbd;

	if (!nbd->changed)
		log_msg(nbd->node.log, LOG_ERROR,
			"%s: the NBD server has another export now (%s): all "
			"requests fail until it has the old one again or the "
			"disk is opened anew",
			nbd->uri, why->msg);
	nbd->last = *why;
	nbd->changed = true;
	conns_hold_over(nbd);
}

static void conn_retry(struct nbd_conn *c)
{
	ctx_timer_arm(&c->retry, clock_now_ns() + c->pause_ms * NS_PER_MS);
	c->pause_ms *= 2;
	if (c->pause_ms > c->nbd->params.pause_max_ms)
		c->pause_ms = c->nbd->params.pause_max_ms;
}

static void conns_dial_others(struct nbd *nbd)
{
	if (!nbd->caps.multi || nbd->closing)
		return;
	nbd->conns = nbd->params.conns;
	for (unsigned i = 1; i < nbd->conns; i++)
		if (!nbd->conn[i].h && !nbd->conn[i].dial.running)
			conn_dial(&nbd->conn[i]);
}

/* h is connected and fits. 0 or -errno: then it is closed. */
static int conn_attach(struct nbd_conn *c, struct nbd_handle *h)
{
	struct nbd *nbd = c->nbd;
	int r;

	c->fd = fcntl(nbd_aio_get_fd(h), F_DUPFD_CLOEXEC, 0);
	if (c->fd < 0) {
		r = -errno;
		goto fail;
	}
	c->direction = nbd_aio_get_direction(h);
	r = ctx_fd_add(nbd->node.ctx, &c->watch, c->fd,
		conn_events(c->direction), conn_event, c);
	if (r)
		goto fail_fd;
	c->h = h;
	c->up_ns = clock_now_ns();
	nbd->down_ns = 0;
	return 0;
fail_fd:
	close(c->fd);
fail:
	nbd_close(h);
	return r;
}

static void conn_back(struct nbd_conn *c)
{
	struct nbd *nbd = c->nbd;

	nbd->changed = false;
	if (c == &nbd->conn[0]) {
		log_limited(nbd->node.log, &nbd->limit, LOG_INFO,
			"%s: connected to the NBD server again", nbd->uri);
		conns_dial_others(nbd);
	}
	conns_resend(nbd);
}

/* A dial after the first has ended. */
static void conn_dialled(struct nbd_conn *c)
{
	struct nbd *nbd = c->nbd;
	struct nbd_handle *h = c->dial.h;
	struct err e = ERR_NONE;
	bool first = c == &nbd->conn[0];

	c->dial.h = NULL;
	if (nbd->closing) {
		nbd_close(h);
		return;
	}
	if (h && !caps_fit(nbd, &c->dial.caps, &e)) {
		nbd_close(h);
		h = NULL;
		if (first)
			conn_changed(c, &e);
	} else if (!h && first && !nbd->changed) {
		nbd->last = c->dial.err;
	}
	if (h && !conn_attach(c, h))
		conn_back(c);
	else if (first)
		conn_retry(c);
}

static void conn_dial(struct nbd_conn *c)
{
	struct err e = ERR_NONE;

	if (nbd_dial_start(&c->dial, &e)) {
		c->nbd->last = e;
		if (c == &c->nbd->conn[0])
			conn_retry(c);
	}
}

static void conn_retry_now(void *arg)
{
	struct nbd_conn *c = arg;

	if (!c->nbd->closing && !c->h && !c->dial.running)
		conn_dial(c);
}

static bool conns_are_dialling(const struct nbd *nbd)
{
	for (unsigned i = 0; i < NBD_CONNS; i++)
		if (nbd->conn[i].dial.running)
			return true;
	return false;
}

/* Some dial is done. */
static void conns_event(void *arg, uint32_t events)
{
	struct nbd *nbd = arg;
	struct fiber *opener;
	eventfd_t n;

	(void)events;
	(void)eventfd_read(nbd->done_fd, &n);
	nbd_enter(nbd);
	for (unsigned i = 0; i < NBD_CONNS; i++) {
		struct nbd_conn *c = &nbd->conn[i];

		if (!c->dial.running || !atomic_load_explicit(&c->dial.done,
						memory_order_acquire))
			continue;
		nbd_dial_end(&c->dial);
		if (!nbd->opener)
			conn_dialled(c);
	}
	opener = nbd->opener;
	if (opener && !conns_are_dialling(nbd)) {
		nbd->opener = NULL;
		fiber_wake(opener);
	}
	nbd_leave(nbd);
}

/* The beginning and the end. */

int nbd_conns_init(struct nbd *nbd, struct err *e)
{
	int r;

	list_init(&nbd->waiting);
	list_init(&nbd->failed);
	ctx_call_init(&nbd->service, nbd->node.ctx, conns_service, nbd);
	ctx_timer_init(&nbd->hold, nbd->node.ctx, conns_hold_over, nbd);
	nbd->conns = 1;
	nbd->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (nbd->done_fd < 0)
		return err_sys(e, errno, "%s: cannot connect", nbd->uri);
	for (unsigned i = 0; i < NBD_CONNS; i++) {
		struct nbd_conn *c = &nbd->conn[i];

		c->nbd = nbd;
		list_init(&c->sent);
		list_init(&c->answered);
		c->pause_ms = nbd->params.pause_ms;
		ctx_timer_init(&c->retry, nbd->node.ctx, conn_retry_now, c);
		c->dial.uri = nbd->uri;
		c->dial.tls_dir = nbd->tls_dir;
		c->dial.params = &nbd->params;
		c->dial.done_fd = nbd->done_fd;
	}
	r = ctx_fd_add(nbd->node.ctx, &nbd->done_watch, nbd->done_fd, EPOLLIN,
		conns_event, nbd);
	if (r) {
		close(nbd->done_fd);
		return err_sys(e, -r, "%s: cannot connect", nbd->uri);
	}
	return 0;
}

static void conns_wait_for_dials(struct nbd *nbd)
{
	if (!conns_are_dialling(nbd))
		return;
	nbd->opener = fiber_self();
	fiber_wait();
}

int nbd_conns_open(struct nbd *nbd, struct err *e)
{
	struct nbd_conn *c = &nbd->conn[0];
	struct nbd_handle *h;
	int r = nbd_dial_start(&c->dial, e);

	if (r)
		return r;
	conns_wait_for_dials(nbd);
	h = c->dial.h;
	c->dial.h = NULL;
	if (!h) {
		if (e)
			*e = c->dial.err;
		return -c->dial.err.code;
	}
	nbd->caps = c->dial.caps;
	r = conn_attach(c, h);
	if (r)
		return err_sys(e, -r, "%s: cannot connect", nbd->uri);
	conns_dial_others(nbd);
	return 0;
}

static void conn_fini(struct nbd_conn *c)
{
	ctx_timer_disarm(&c->retry);
	if (!c->h)
		return;
	(void)nbd_aio_disconnect(c->h, 0); /* a good-bye, no more */
	conn_detach(c);
}

/* Until no callback of this node is on the stack. */
static void conns_wait_for_idle(struct nbd *nbd)
{
	if (!nbd->busy)
		return;
	nbd->closer = fiber_self();
	fiber_wait();
}

void nbd_conns_fini(struct nbd *nbd)
{
	nbd->closing = true;
	conns_wait_for_idle(nbd);
	for (unsigned i = 0; i < NBD_CONNS; i++)
		nbd_dial_cancel(&nbd->conn[i].dial);
	conns_wait_for_dials(nbd);
	conns_wait_for_idle(nbd);
	for (unsigned i = 0; i < NBD_CONNS; i++) {
		nbd_close(nbd->conn[i].dial.h);
		conn_fini(&nbd->conn[i]);
	}
	ctx_timer_disarm(&nbd->hold);
	ctx_call_cancel(&nbd->service);
	ctx_fd_del(&nbd->done_watch);
	close(nbd->done_fd);
}
