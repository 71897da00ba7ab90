// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A tap interface of the host: one read or write a frame, each behind a
 * virtio-net header when the guest's driver took one, so that checksums and
 * large segments pass through untouched. While the guest has no buffers
 * nothing is read: the kernel's queue holds and then drops.
 * Linux Documentation/networking/tuntap.rst. Thread: the loop's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vm/base/list.h"

#include "vm/net/net_impl.h"

#define BATCH 64 /* frames in one round of the loop */

struct tap_net {
	struct netdev n;
	int fd;
	struct loop_fd w;
	size_t waiting; /* bytes of rx that the guest has not taken */
	struct log_limit limit;
	uint8_t rx[NET_FRAME_MAX];
};

static struct tap_net *tap_of(struct netdev *n)
{
	return container_of(n, struct tap_net, n);
}

/* Give the frame in rx to the guest; without a buffer stop reading. */
static bool deliver(struct tap_net *t)
{
	struct iovec iov = { t->rx, t->waiting };

	if (t->n.sink.receive && !netdev_deliver(&t->n, &iov, 1, t->waiting))
		return false;
	t->waiting = 0;
	return true;
}

/* The interface was deleted: poll would tell it without end. */
static void lost(struct tap_net *t, int code)
{
	loop_fd_del(&t->w);
	log_limited(t->n.log, &t->limit, LOG_WARN, "%s: %s: no more frames",
		t->n.name, strerror(code));
}

static void readable(void *arg, uint32_t events)
{
	struct tap_net *t = arg;

	(void)events;
	if (t->waiting) { /* not asked for, so an error */
		lost(t, ENODEV);
		return;
	}
	for (int i = 0; i < BATCH; i++) {
		ssize_t got = read(t->fd, t->rx, sizeof(t->rx));

		if (got < 0 && errno != EAGAIN && errno != EINTR)
			lost(t, errno);
		if (got <= 0)
			return;
		t->waiting = (size_t)got;
		if (!deliver(t)) {
			loop_fd_mod(&t->w, 0);
			return;
		}
	}
}

static int tap_send(struct netdev *n, const struct iovec *iov, int niov,
	size_t len)
{
	struct tap_net *t = tap_of(n);

	(void)len;
	if (writev(t->fd, iov, niov) >= 0)
		return 0;
	if (errno != EAGAIN)
		log_limited(n->log, &t->limit, LOG_WARN, "%s: %s", n->name,
			strerror(errno));
	return -errno;
}

static void tap_resume(struct netdev *n)
{
	struct tap_net *t = tap_of(n);

	if (t->waiting && !deliver(t))
		return;
	loop_fd_mod(&t->w, EPOLLIN);
}

static int tap_set_offload(struct netdev *n, bool vnet_hdr, unsigned tun_f)
{
	/* the header is always there; without one asked for, no offloads */
	if (ioctl(tap_of(n)->fd, TUNSETOFFLOAD, vnet_hdr ? tun_f : 0) < 0)
		return -errno;
	return 0;
}

static void tap_free(struct netdev *n)
{
	struct tap_net *t = tap_of(n);

	loop_fd_del(&t->w);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

static const struct netdev_ops tap_ops = {
	.send = tap_send,
	.resume = tap_resume,
	.set_offload = tap_set_offload,
	.free = tap_free,
};

static int tap_error(const char *name, struct err *e)
{
	int code = errno;

	if (code == EPERM || code == EACCES)
		return err_set(e, code,
			"tap %s: not permitted: run as root, or make the tap "
			"for your user first (ip tuntap add %s mode tap user "
			"$USER)",
			name, name[0] ? name : "tap0");
	if (code == EBUSY)
		return err_set(e, code,
			"tap %s: in use by another process: choose another",
			name);
	return err_sys(e, code, "tap %s", name);
}

static int attach(struct tap_net *t, const char *name, struct err *e)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int hdr = NET_VNET_HDR;

	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return err_sys(e, errno,
			"tap %s: cannot open /dev/net/tun (is the module tun "
			"loaded?)",
			name);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", name);
	if (ioctl(t->fd, TUNSETIFF, &ifr) < 0 ||
		ioctl(t->fd, TUNSETVNETHDRSZ, &hdr) < 0)
		return tap_error(name, e);
	snprintf(t->n.name, sizeof(t->n.name), "%.15s", ifr.ifr_name);
	return 0;
}

int netdev_tap_new(struct loop *l, struct log *log, const char *name,
	struct netdev **out, struct err *e)
{
	struct tap_net *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(e, ENOMEM, "no memory for a tap");
	t->n.ops = &tap_ops;
	t->n.loop = l;
	t->n.log = log;
	t->n.vnet_hdr = true;
	t->fd = -1;
	r = attach(t, name, e);
	if (r >= 0) {
		r = loop_fd_add(l, &t->w, t->fd, EPOLLIN, readable, t);
		if (r < 0)
			err_sys(e, -r, "tap %s", name);
	}
	if (r < 0) {
		tap_free(&t->n);
		return r;
	}
	*out = &t->n;
	return 0;
}
