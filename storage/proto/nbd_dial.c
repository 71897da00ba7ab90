/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connecting to an NBD server: the name's look-up, the handshake, TLS and the
 * choice of the export, in a thread that may wait. It ends by itself after
 * params->connect_ms, or at once by nbd_dial_cancel(), but for the look-up,
 * which has only the resolver's time-out.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "storage/proto/nbd.h"

#define NBD_SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

/* A peer that is gone without a word is found out in about that time. */
#define NBD_ALIVE_IDLE_S     10
#define NBD_ALIVE_INTERVAL_S 5
#define NBD_ALIVE_PROBES     4
#define NBD_ALIVE_SEND_MS    30000

/* What to do about a failure to connect: by libnbd's words or the code. */
static const struct dial_mend {
	const char *has; /* NULL = any */
	int code;        /* 0 = any */
	const char *mend;
} dial_mends[] = {
	{ "getaddrinfo", 0, "is the host's name right?" },
	{ "no export named", 0,
		"name one that it has (nbdinfo --list shows them)" },
	{ "refused TLS", 0,
		"the server has no TLS: set it up there, or use nbd://" },
	{ "requires TLS", 0, "use nbds://" },
	{ "certificate", 0,
		"do its certificate, its name and the ca-cert.pem of the TLS "
		"folder fit?" },
	{ "gnutls", 0,
		"do its certificate and the ones in the TLS folder fit?" },
	{ NULL, EINVAL,
		"write nbd://HOST[:PORT]/EXPORT or "
		"nbd+unix:///EXPORT?socket=PATH" },
	{ NULL, ECONNREFUSED,
		"is the server running there, on this port (10809 unless "
		"named) or socket?" },
	{ NULL, ENOENT, "is the server running, on this socket?" },
	{ NULL, ETIMEDOUT,
		"does the server run, can it be reached, and does it take "
		"one more client?" },
	{ NULL, 0, "is that an NBD server, and what does its log say?" },
};

static const char *dial_mend(int code, const char *why)
{
	const struct dial_mend *m = dial_mends;

	while ((m->has && !strstr(why, m->has)) || (m->code && m->code != code))
		m++;
	return m->mend;
}

static int dial_fail(struct nbd_dial *d, int code, const char *why)
{
	if (code <= 0)
		code = EIO;
	return err_set(&d->err, code,
		"%s: cannot connect to the NBD server: %s: %s", d->uri, why,
		dial_mend(code, why));
}

/* The last call to libnbd failed. */
static int dial_fail_libnbd(struct nbd_dial *d)
{
	const char *why = nbd_get_error();
	const char *colon = why ? strstr(why, ": ") : NULL;

	/* without the name of the function that found it */
	return dial_fail(d, nbd_get_errno(),
		colon ? colon + 2 : "the server broke off");
}

/*
 * libnbd 1.14 checks a server's certificate only where it found ca-cert.pem
 * in a folder that it was given (without one it takes the system's
 * authorities and then checks nothing, CVE-2024-7383). So there must be one:
 * for the system's authorities a folder of our own with a link to them.
 */
static int dial_system_authorities(struct nbd_dial *d)
{
	char link[64];
	int code;

	if (access(NBD_SYSTEM_CA, R_OK))
		return err_set(&d->err, ENOENT,
			"%s: no authorities to check the NBD server's "
			"certificate with: install ca-certificates or give a "
			"TLS folder with ca-cert.pem",
			d->uri);
	snprintf(d->ca_dir, sizeof(d->ca_dir), "/tmp/guestdeck-ca-XXXXXX");
	if (!mkdtemp(d->ca_dir)) {
		code = errno;
		d->ca_dir[0] = '\0';
		return dial_fail(d, code, "a folder in /tmp cannot be made");
	}
	snprintf(link, sizeof(link), "%s/ca-cert.pem", d->ca_dir);
	if (symlink(NBD_SYSTEM_CA, link))
		return dial_fail(d, errno, "no link in /tmp can be made");
	return 0;
}

static void dial_drop_authorities(struct nbd_dial *d)
{
	char link[64];

	if (!d->ca_dir[0])
		return;
	snprintf(link, sizeof(link), "%s/ca-cert.pem", d->ca_dir);
	(void)unlink(link);
	(void)rmdir(d->ca_dir);
	d->ca_dir[0] = '\0';
}

static int dial_setup_tls(struct nbd_dial *d)
{
	const char *dir = d->tls_dir;
	char path[PATH_MAX];
	int r;

	if (strncasecmp(d->uri, "nbds", 4) != 0)
		return 0;
	if (dir) {
		snprintf(path, sizeof(path), "%s/ca-cert.pem", dir);
		if (access(path, R_OK))
			return err_sys(&d->err, errno,
				"%s: the TLS folder needs a ca-cert.pem to "
				"check the NBD server's certificate with, but "
				"%s cannot be read",
				d->uri, path);
	} else {
		r = dial_system_authorities(d);
		if (r)
			return r;
		dir = d->ca_dir;
	}
	return nbd_set_tls_certificates(d->h, dir) ? dial_fail_libnbd(d) : 0;
}

static int dial_setup(struct nbd_dial *d)
{
	struct nbd_handle *h = nbd_create();

	if (!h)
		return dial_fail_libnbd(d);
	d->h = h;
	if (nbd_set_opt_mode(h, true) ||
		nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) ||
		nbd_set_uri_allow_transports(h,
			LIBNBD_ALLOW_TRANSPORT_TCP |
				LIBNBD_ALLOW_TRANSPORT_UNIX) ||
		nbd_set_tls_verify_peer(h, true))
		return dial_fail_libnbd(d);
	return dial_setup_tls(d);
}

/* Wait for the socket and let libnbd go on. */
static int dial_step(struct nbd_dial *d, uint64_t deadline_ns)
{
	unsigned dir = nbd_aio_get_direction(d->h);
	struct pollfd fds[2] = {
		{ .fd = nbd_aio_get_fd(d->h) },
		{ .fd = d->cancel_fd, .events = POLLIN },
	};
	uint64_t now = clock_now_ns();
	int r;

	if (now >= deadline_ns)
		return dial_fail(d, ETIMEDOUT, "it does not answer");
	if (dir & LIBNBD_AIO_DIRECTION_READ)
		fds[0].events |= POLLIN;
	if (dir & LIBNBD_AIO_DIRECTION_WRITE)
		fds[0].events |= POLLOUT;
	r = poll(fds, 2, (int)((deadline_ns - now) / NS_PER_MS) + 1);
	if (r < 0 && errno != EINTR)
		return dial_fail(d, errno, strerror(errno));
	if (r <= 0)
		return 0;
	if (fds[1].revents)
		return dial_fail(d, ECANCELED, "given up");
	r = 0;
	if ((dir & LIBNBD_AIO_DIRECTION_READ) && (fds[0].revents & ~POLLOUT))
		r = nbd_aio_notify_read(d->h);
	else if (fds[0].revents)
		r = nbd_aio_notify_write(d->h);
	return r ? dial_fail_libnbd(d) : 0;
}

/* Until libnbd is no longer connecting. */
static int dial_drive(struct nbd_dial *d, uint64_t deadline_ns)
{
	int r = 0;

	while (!r && nbd_aio_is_connecting(d->h) > 0)
		r = dial_step(d, deadline_ns);
	if (!r && (nbd_aio_is_dead(d->h) || nbd_aio_is_closed(d->h)))
		r = dial_fail_libnbd(d);
	return r;
}

static int dial_gone(void *arg, int *error)
{
	*(int *)arg = *error ? *error : -1;
	return 1;
}

/* Ask for the export. */
static int dial_go(struct nbd_dial *d, uint64_t deadline_ns)
{
	nbd_completion_callback cb = { .callback = dial_gone,
		.user_data = &d->answer };
	int r;

	if (nbd_aio_is_ready(d->h) > 0)
		return 0; /* an old server that has only one */
	d->answer = 0;
	if (nbd_aio_opt_go(d->h, cb))
		return dial_fail_libnbd(d);
	r = dial_drive(d, deadline_ns);
	if (r)
		return r;
	if (d->answer > 0)
		return dial_fail_libnbd(d);
	if (nbd_aio_is_ready(d->h) <= 0)
		return dial_fail(d, EPROTO, "it broke off");
	return 0;
}

static bool dial_can(int answer)
{
	return answer > 0;
}

/* Look hard at what the server says before anybody counts on it. */
static int dial_read_caps(struct nbd_dial *d)
{
	struct nbd_caps *c = &d->caps;
	struct nbd_handle *h = d->h;
	int64_t size = nbd_get_size(h);
	int64_t min = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);
	int64_t max = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);

	if (size < 0 || min < 0 || max < 0)
		return dial_fail_libnbd(d);
	if (!min)
		min = 1;
	if (!max || max > NBD_PAYLOAD)
		max = NBD_PAYLOAD;
	if (!size_is_pow2((uint64_t)min) || min > NBD_BLOCK_MAX || max < min)
		return err_set(&d->err, EPROTO,
			"%s: the NBD server asks for blocks of %lld to %lld "
			"bytes, which the protocol does not allow: mend the "
			"server",
			d->uri, (long long)min, (long long)max);
	c->min_block = (uint32_t)min;
	c->max_payload = (uint32_t)size_down((uint64_t)max, (uint64_t)min);
	c->size = (uint64_t)size;
	c->readonly = nbd_is_read_only(h) != 0;
	c->flush = dial_can(nbd_can_flush(h));
	c->fua = dial_can(nbd_can_fua(h));
	c->trim = dial_can(nbd_can_trim(h));
	c->zero = dial_can(nbd_can_zero(h));
	c->multi = dial_can(nbd_can_multi_conn(h));
	c->alloc = dial_can(
		nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION));
	return 0;
}

/* Find out when the other host is gone; harmless where it is no TCP. */
static void dial_keep_alive(int fd)
{
	int on = 1, idle = NBD_ALIVE_IDLE_S, every = NBD_ALIVE_INTERVAL_S;
	int probes = NBD_ALIVE_PROBES;
	unsigned send_ms = NBD_ALIVE_SEND_MS;

	if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)))
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &send_ms,
		sizeof(send_ms));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static int dial_connect(struct nbd_dial *d, uint64_t deadline_ns)
{
	int r = d->params->connect ? d->params->connect(d->h, d->params->arg)
				   : nbd_aio_connect_uri(d->h, d->uri);

	if (r)
		return dial_fail_libnbd(d);
	r = dial_drive(d, deadline_ns);
	if (!r)
		r = dial_go(d, deadline_ns);
	if (!r)
		r = dial_read_caps(d);
	if (!r)
		dial_keep_alive(nbd_aio_get_fd(d->h));
	return r;
}

static void dial_run(void *arg)
{
	struct nbd_dial *d = arg;
	uint64_t deadline_ns =
		clock_now_ns() + d->params->connect_ms * NS_PER_MS;
	int r = dial_setup(d);

	if (!r)
		r = dial_connect(d, deadline_ns);
	dial_drop_authorities(d);
	if (r) {
		nbd_close(d->h);
		d->h = NULL;
	}
	atomic_store_explicit(&d->done, true, memory_order_release);
	(void)eventfd_write(d->done_fd, 1);
}

int nbd_dial_start(struct nbd_dial *d, struct err *e)
{
	int r;

	d->h = NULL;
	d->ca_dir[0] = '\0';
	d->err.code = 0;
	atomic_store_explicit(&d->done, false, memory_order_relaxed);
	d->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->cancel_fd < 0)
		return err_sys(e, errno, "%s: cannot connect", d->uri);
	r = thread_start(&d->thread, "nbd-connect", dial_run, d, e);
	if (r) {
		close(d->cancel_fd);
		return r;
	}
	d->running = true;
	return 0;
}

void nbd_dial_cancel(struct nbd_dial *d)
{
	if (d->running)
		(void)eventfd_write(d->cancel_fd, 1);
}

void nbd_dial_end(struct nbd_dial *d)
{
	thread_join(&d->thread);
	close(d->cancel_fd);
	d->running = false;
}
