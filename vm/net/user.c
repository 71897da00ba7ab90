// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * User-mode network through libslirp: the guest gets 10.0.2.15 by DHCP,
 * gateway 10.0.2.2, DNS 10.0.2.3, and TCP/UDP out of the host's own sockets;
 * no privileges needed.
 *
 * libslirp is made for a poll() loop: it names its descriptors, then wants
 * to be told what is ready. Here they stand in the epoll loop as watches and
 * are named anew after everything that may have changed them (sync_call,
 * coalesced). When one fires, poll() with no time-out asks all of them.
 *
 * What a hostile guest could make libslirp do or hold: see get_revents(),
 * MAX_SOCKS and guard.h.
 *
 * Everything runs on the loop's thread. Frames for a guest without buffers
 * wait in a short queue; past its end they are dropped, as on a wire.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/clock.h"
#include "vm/base/list.h"

#include "vm/net/guard.h"
#include "vm/net/net_impl.h"

#define MAX_QUEUED 512
#define MAX_FDS    1024
#define MAX_SOCKS  1000 /* that guest and callers may have open */
#define BUCKETS    64   /* of watches, by descriptor */

struct frame {
	struct list node;
	size_t len;
	uint8_t data[];
};

/* A descriptor of slirp's: watched while it is named in each round. */
struct fd_watch {
	struct list node;
	struct loop_fd w; /* loop is NULL while it is not watched */
	struct user_net *u;
	int fd;
	uint32_t events;
	bool wanted; /* named in the present round */
	bool sock;   /* registered: stays to its end, and counts */
	bool read;   /* was watched for reading: it is connected */
};

struct slirp_timer {
	struct loop_timer t;
	struct user_net *u;
	SlirpTimerCb cb;
	void *cb_opaque;
};

struct user_net {
	struct netdev n;
	Slirp *slirp;
	struct list watches[BUCKETS];
	unsigned nsocks;
	struct guard guard;
	struct pollfd pfd[MAX_FDS];
	int npfd;
	struct loop_call sync_call;
	struct loop_timer tick; /* slirp's own time-outs */
	struct list queue;      /* struct frame */
	unsigned queued;
	uint8_t tx[NET_FRAME_MAX];
	struct log_limit limit;
};

static struct user_net *user_of(struct netdev *n)
{
	return container_of(n, struct user_net, n);
}

static struct fd_watch *watch_of(struct user_net *u, int fd)
{
	list_each (n, &u->watches[(unsigned)fd % BUCKETS]) {
		struct fd_watch *w = list_entry(n, struct fd_watch, node);

		if (w->fd == fd)
			return w;
	}
	return NULL;
}

static struct fd_watch *watch_new(struct user_net *u, int fd)
{
	struct fd_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->u = u;
	w->fd = fd;
	list_add_tail(&u->watches[(unsigned)fd % BUCKETS], &w->node);
	return w;
}

static void watch_free(struct fd_watch *w)
{
	if (w->sock)
		w->u->nsocks--;
	loop_fd_del(&w->w);
	list_del(&w->node);
	free(w);
}

/*
 * slirp's revents for descriptor idx, as poll() just told. It reads from a
 * connection that has an error, whether it asked for reading or not, and
 * aborts the process when it has no room for what it reads; it asks only
 * while it has. An error it then finds by writing, for which it did ask. One
 * that is being connected is told: there it reads nothing.
 */
static int get_revents(int idx, void *opaque)
{
	struct user_net *u = opaque;
	const struct fd_watch *w;
	const struct pollfd *p;
	int ev = 0;

	if (idx < 0 || idx >= u->npfd)
		return 0;
	p = &u->pfd[idx];
	ev |= p->revents & POLLIN ? SLIRP_POLL_IN : 0;
	ev |= p->revents & POLLOUT ? SLIRP_POLL_OUT : 0;
	ev |= p->revents & POLLPRI ? SLIRP_POLL_PRI : 0;
	w = watch_of(u, p->fd);
	if (!(p->events & POLLIN) && w && w->read)
		return p->revents & (POLLERR | POLLHUP) ? ev | SLIRP_POLL_OUT
							: ev;
	ev |= p->revents & POLLERR ? SLIRP_POLL_ERR : 0;
	ev |= p->revents & POLLHUP ? SLIRP_POLL_HUP : 0;
	return ev;
}

/* What slirp asked for holds once: it may have no room any more after it. */
static void poll_now(struct user_net *u)
{
	int r = poll(u->pfd, (nfds_t)u->npfd, 0);

	slirp_pollfds_poll(u->slirp, r < 0, get_revents, u);
	u->npfd = 0;
	loop_call_schedule(&u->sync_call);
}

static void fd_ready(void *arg, uint32_t events)
{
	struct fd_watch *w = arg;

	(void)events;
	if (w->u->npfd) /* else it is asked anew in this round */
		poll_now(w->u);
}

static void tick(void *arg)
{
	poll_now(arg);
}

/* Watch w for events; a failure is told and leaves slirp's own timer. */
static void watch_set(struct fd_watch *w, uint32_t events)
{
	struct user_net *u = w->u;
	int r = 0;

	if (!w->w.loop)
		r = loop_fd_add(u->n.loop, &w->w, w->fd, events, fd_ready, w);
	else if (w->events != events)
		r = loop_fd_mod(&w->w, events);
	if (r < 0)
		log_limited(u->n.log, &u->limit, LOG_WARN,
			"user network: cannot watch a socket: %s",
			strerror(-r));
	else
		w->events = events;
}

static bool is_full(const struct user_net *u)
{
	return u->nsocks >= MAX_SOCKS;
}

static int add_poll(int fd, int events, void *opaque)
{
	struct user_net *u = opaque;
	struct fd_watch *w = watch_of(u, fd);
	short ev = 0;
	uint32_t ep = 0;

	/* a forward's own socket would bring more */
	if (u->npfd == MAX_FDS || (is_full(u) && !(w && w->sock)))
		return -1;
	if (!w)
		w = watch_new(u, fd);
	if (!w)
		return -1;
	if (events & SLIRP_POLL_IN) {
		ev |= POLLIN;
		ep |= EPOLLIN;
		w->read = true;
	}
	if (events & SLIRP_POLL_OUT) {
		ev |= POLLOUT;
		ep |= EPOLLOUT;
	}
	if (events & SLIRP_POLL_PRI) {
		ev |= POLLPRI;
		ep |= EPOLLPRI;
	}
	u->pfd[u->npfd] = (struct pollfd){ .fd = fd, .events = ev };
	w->wanted = true;
	watch_set(w, ep);
	return u->npfd++;
}

/* Nobody waits for this one now. */
static void watch_rest(struct fd_watch *w)
{
	if (!w->sock)
		watch_free(w);
	else
		loop_fd_del(&w->w);
}

/* Ask slirp what it waits for, and make the watches match. */
static void sync_watches(void *arg)
{
	struct user_net *u = arg;
	uint32_t timeout_ms = UINT32_MAX;

	for (unsigned b = 0; b < BUCKETS; b++)
		list_each (n, &u->watches[b])
			list_entry(n, struct fd_watch, node)->wanted = false;
	u->npfd = 0;
	slirp_pollfds_fill(u->slirp, &timeout_ms, add_poll, u);
	for (unsigned b = 0; b < BUCKETS; b++)
		list_each_safe (n, tmp, &u->watches[b]) {
			struct fd_watch *w =
				list_entry(n, struct fd_watch, node);

			if (!w->wanted)
				watch_rest(w);
		}
	if (timeout_ms != UINT32_MAX)
		loop_timer_arm(&u->tick,
			clock_now_ns() + timeout_ms * NS_PER_MS);
}

/* Give waiting frames to the guest as far as it takes them. */
static void flush_queue(struct user_net *u)
{
	while (!list_empty(&u->queue)) {
		struct frame *f = list_entry(u->queue.next, struct frame, node);
		struct iovec iov = { f->data, f->len };

		if (!netdev_deliver(&u->n, &iov, 1, f->len))
			return;
		list_del(&f->node);
		free(f);
		u->queued--;
	}
}

static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
	struct user_net *u = opaque;
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct frame *f;

	guard_learn(&u->guard, buf, len);
	if (!u->queued && netdev_deliver(&u->n, &iov, 1, len))
		return (ssize_t)len;
	f = u->queued < MAX_QUEUED && u->n.sink.receive
		    ? malloc(sizeof(*f) + len)
		    : NULL;
	if (!f) {
		atomic_fetch_add_explicit(&u->n.counters.rx_dropped, 1,
			memory_order_relaxed);
		return (ssize_t)len;
	}
	f->len = len;
	memcpy(f->data, buf, len);
	list_add_tail(&u->queue, &f->node);
	u->queued++;
	return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
	struct user_net *u = opaque;

	log_limited(u->n.log, &u->limit, LOG_WARN, "user network: %s", msg);
}

static int64_t now_ns(void *opaque)
{
	(void)opaque;
	return (int64_t)clock_now_ns();
}

static void timer_fired(void *arg)
{
	struct slirp_timer *t = arg;

	t->cb(t->cb_opaque);
	loop_call_schedule(&t->u->sync_call);
}

static void *timer_make(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
	struct user_net *u = opaque;
	struct slirp_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->u = u;
	t->cb = cb;
	t->cb_opaque = cb_opaque;
	loop_timer_init(&t->t, u->n.loop, timer_fired, t);
	return t;
}

static void timer_unmake(void *timer, void *opaque)
{
	struct slirp_timer *t = timer;

	(void)opaque;
	if (!t)
		return;
	loop_timer_disarm(&t->t);
	free(t);
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	struct slirp_timer *t = timer;

	(void)opaque;
	if (t)
		loop_timer_arm(&t->t, (uint64_t)expire_ms * NS_PER_MS);
}

/* A socket of the guest's, or of who came in by a forward. */
static void fd_registered(int fd, void *opaque)
{
	struct user_net *u = opaque;
	struct fd_watch *w;

	if (fd < 0)
		return;
	w = watch_of(u, fd);
	if (!w)
		w = watch_new(u, fd);
	if (!w)
		return;
	if (!w->sock)
		u->nsocks++;
	w->sock = true;
	w->read = false;
}

/* slirp is about to close fd: its number may come back at once. */
static void fd_unregistered(int fd, void *opaque)
{
	struct fd_watch *w = watch_of(opaque, fd);

	if (w)
		watch_free(w);
}

static void notified(void *opaque)
{
	struct user_net *u = opaque;

	loop_call_schedule(&u->sync_call);
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = now_ns,
	.timer_new = timer_make,
	.timer_free = timer_unmake,
	.timer_mod = timer_mod,
	.register_poll_fd = fd_registered,
	.unregister_poll_fd = fd_unregistered,
	.notify = notified,
};

static int user_send(struct netdev *n, const struct iovec *iov, int niov,
	size_t len)
{
	struct user_net *u = user_of(n);

	if (len > sizeof(u->tx))
		return -EMSGSIZE;
	len = netdev_gather(iov, niov, u->tx, sizeof(u->tx));
	if (is_full(u))
		log_limited(n->log, &u->limit, LOG_WARN,
			"user network: %u sockets are open: no more for now",
			u->nsocks);
	if (!guard_pass(&u->guard, u->tx, len, is_full(u), clock_now_ns()))
		return -EPERM;
	slirp_input(u->slirp, u->tx, (int)len);
	loop_call_schedule(&u->sync_call);
	return 0;
}

static void user_resume(struct netdev *n)
{
	flush_queue(user_of(n));
}

static void user_free(struct netdev *n)
{
	struct user_net *u = user_of(n);
	struct list *it;

	if (u->slirp)
		slirp_cleanup(u->slirp);
	loop_call_cancel(&u->sync_call);
	loop_timer_disarm(&u->tick);
	for (unsigned b = 0; b < BUCKETS; b++)
		list_each_safe (w, tmp, &u->watches[b])
			watch_free(list_entry(w, struct fd_watch, node));
	while ((it = list_pop(&u->queue)))
		free(list_entry(it, struct frame, node));
	free(u);
}

static const struct netdev_ops user_ops = {
	.send = user_send,
	.resume = user_resume,
	.free = user_free,
};

static int forward(struct user_net *u, const struct net_forward *f,
	struct err *e)
{
	struct in_addr host, guest = { htonl(0x0a00020f) };

	if (inet_pton(AF_INET, f->host_addr, &host) != 1)
		return err_set(e, EINVAL, "forward: \"%s\" is no IPv4 address",
			f->host_addr);
	if (slirp_add_hostfwd(u->slirp, f->udp, host, f->host_port, guest,
		    f->guest_port) < 0)
		return err_set(e, errno ? errno : EADDRINUSE,
			"forward: cannot listen on %s:%s:%u: %s: choose "
			"another port",
			f->udp ? "udp" : "tcp", f->host_addr, f->host_port,
			strerror(errno ? errno : EADDRINUSE));
	return 0;
}

static void fill_config(SlirpConfig *c, const char *hostname)
{
	memset(c, 0, sizeof(*c));
	c->version = 4;
	c->in_enabled = true;
	c->vnetwork.s_addr = htonl(0x0a000200);
	c->vnetmask.s_addr = htonl(0xffffff00);
	c->vhost.s_addr = htonl(0x0a000202);
	c->vdhcp_start.s_addr = htonl(0x0a00020f);
	c->vnameserver.s_addr = htonl(0x0a000203);
	c->in6_enabled = true;
	inet_pton(AF_INET6, "fec0::", &c->vprefix_addr6);
	c->vprefix_len = 64;
	inet_pton(AF_INET6, "fec0::2", &c->vhost6);
	inet_pton(AF_INET6, "fec0::3", &c->vnameserver6);
	c->vhostname = hostname;
}

int netdev_user_new(struct loop *l, struct log *log, const char *hostname,
	const struct net_forward *fwd, unsigned nfwd, struct netdev **out,
	struct err *e)
{
	struct user_net *u = calloc(1, sizeof(*u));
	SlirpConfig c;
	int r = 0;

	if (!u)
		return err_set(e, ENOMEM, "no memory for the user network");
	u->n.ops = &user_ops;
	u->n.loop = l;
	u->n.log = log;
	snprintf(u->n.name, sizeof(u->n.name), "user");
	for (unsigned b = 0; b < BUCKETS; b++)
		list_init(&u->watches[b]);
	guard_init(&u->guard, clock_now_ns());
	list_init(&u->queue);
	loop_call_init(&u->sync_call, l, sync_watches, u);
	loop_timer_init(&u->tick, l, tick, u);
	fill_config(&c, hostname);
	u->slirp = slirp_new(&c, &callbacks, u);
	if (!u->slirp)
		r = err_set(e, ENOMEM, "libslirp refused to start");
	for (unsigned i = 0; i < nfwd && r >= 0; i++)
		r = forward(u, &fwd[i], e);
	if (r < 0) {
		user_free(&u->n);
		return r;
	}
	loop_call_schedule(&u->sync_call);
	*out = &u->n;
	return 0;
}
