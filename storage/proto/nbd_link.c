/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The connections of an NBD node come and go. conn[0] is the one that is
 * always wanted: it is dialled again and again, with growing pauses. The
 * others follow when it stands and the server says that it keeps several in
 * step (multi-conn: a flush on one covers what was answered on all); one that
 * cannot be had is let go until conn[0] comes anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/clock.h"

#include "storage/proto/nbd.h"

static void conn_dial(struct nbd_conn *c);
static void conn_retry(struct nbd_conn *c);

/* Loss. */

static void conn_detach(struct nbd_conn *c)
{
	ctx_fd_del(&c->watch);
	close(c->fd);
	nbd_close(c->h);
	c->h = NULL;
}

void nbd_conn_lost(struct nbd_conn *c, const char *why)
{
	struct nbd *nbd = c->nbd;
	bool first = c == &nbd->conn[0];
	uint64_t now = clock_now_ns();

	if (first) /* one line is enough for all of them */
		log_limited(nbd->node.log, &nbd->limit, LOG_WARN,
			"%s: the connection to the NBD server is lost (%s): "
			"connecting again; requests wait at most %u s",
			nbd->uri, why, nbd->params.hold_ms / 1000);
	err_set(&nbd->last, ENOTCONN, "%s", why);
	conn_detach(c);
	c->in_flight = 0;
	if (!nbd_conns_pick(nbd))
		nbd->down_ns = now;
	if (now - c->up_ns > nbd->params.pause_max_ms * NS_PER_MS)
		c->pause_ms = nbd->params.pause_ms;
	nbd_conn_give_back(c);
	if (first || nbd->conn[0].h)
		conn_retry(c);
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
		 (was->alloc && !c->alloc) || (nbd->conns > 1 && !c->multi))
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
	nbd_conns_hold_over(nbd);
}

static void conn_retry(struct nbd_conn *c)
{
	if (c->nbd->gone)
		return;
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
		nbd_conn_events(c->direction), nbd_conn_event, c);
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
	nbd_conns_resend(nbd);
}

/* A dial after the first has ended. */
static void conn_dialled(struct nbd_conn *c)
{
	struct nbd *nbd = c->nbd;
	struct nbd_handle *h = c->dial.h;
	struct err e = ERR_NONE;
	bool first = c == &nbd->conn[0];

	c->dial.h = NULL;
	if (nbd->closing || nbd->gone) {
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

/* Giving up. */

static unsigned conns_in_flight(const struct nbd *nbd)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NBD_CONNS; i++)
		if (nbd->conn[i].h)
			n += nbd->conn[i].in_flight;
	return n;
}

static void conns_arm_patience(struct nbd *nbd)
{
	nbd->mute = conns_in_flight(nbd) > 0;
	ctx_timer_arm(&nbd->patience,
		clock_now_ns() + nbd->params.patience_ms * NS_PER_MS);
}

/*
 * One that keeps its connections and says nothing would be waited for as
 * well. It is not connected to again: what it has of us by now may reach the
 * disk late.
 */
static void conns_silent(void *arg)
{
	struct nbd *nbd = arg;
	unsigned in_flight = conns_in_flight(nbd);

	if (!in_flight || !nbd->mute) {
		conns_arm_patience(nbd);
		return;
	}
	log_msg(nbd->node.log, LOG_ERROR,
		"%s: the NBD server answers none of %u commands: given up",
		nbd->uri, in_flight);
	nbd->gone = true;
	for (unsigned i = 0; i < NBD_CONNS; i++)
		if (nbd->conn[i].h) /* libnbd sees its end */
			(void)shutdown(nbd->conn[i].fd, SHUT_RDWR);
}

void nbd_conns_give_up(struct nbd *nbd)
{
	nbd->params.hold_ms = 0;
	nbd_conns_hold_over(nbd);
	conns_arm_patience(nbd);
}

/* The beginning and the end. */

int nbd_conns_init(struct nbd *nbd, struct err *e)
{
	int r;

	list_init(&nbd->waiting);
	list_init(&nbd->failed);
	ctx_call_init(&nbd->service, nbd->node.ctx, nbd_conns_service, nbd);
	ctx_timer_init(&nbd->hold, nbd->node.ctx, nbd_conns_hold_over, nbd);
	ctx_timer_init(&nbd->patience, nbd->node.ctx, conns_silent, nbd);
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
	while (conns_are_dialling(nbd)) {
		nbd->opener = fiber_self();
		fiber_wait();
	}
	nbd->opener = NULL;
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
	while (nbd->busy) {
		nbd->closer = fiber_self();
		fiber_wait();
	}
	nbd->closer = NULL;
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
	ctx_timer_disarm(&nbd->patience);
	ctx_call_cancel(&nbd->service);
	ctx_fd_del(&nbd->done_watch);
	close(nbd->done_fd);
}
