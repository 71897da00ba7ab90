// SPDX-License-Identifier: GPL-3.0-or-later
/* What all back ends of a NIC have in common: the sink and the counters. */
#include "vm/net/net.h"

#include <errno.h>
#include <string.h>

#include "vm/net/net_impl.h"

#define COUNT(c, n) atomic_fetch_add_explicit(&(c), (n), memory_order_relaxed)

void netdev_free(struct netdev *n)
{
	if (n)
		n->ops->free(n);
}

void netdev_set_sink(struct netdev *n, const struct net_sink *s)
{
	if (s)
		n->sink = *s;
	else
		memset(&n->sink, 0, sizeof(n->sink));
}

bool netdev_vnet_hdr(const struct netdev *n)
{
	return n->vnet_hdr;
}

int netdev_set_offload(struct netdev *n, bool vnet_hdr, unsigned tun_f)
{
	if (n->ops->set_offload)
		return n->ops->set_offload(n, vnet_hdr, tun_f);
	return vnet_hdr || tun_f ? -ENOTSUP : 0;
}

int netdev_send(struct netdev *n, const struct iovec *iov, int niov, size_t len)
{
	int r = n->ops->send(n, iov, niov, len);

	if (r < 0) {
		COUNT(n->counters.tx_dropped, 1);
		return r;
	}
	COUNT(n->counters.tx_frames, 1);
	COUNT(n->counters.tx_bytes, len);
	return 0;
}

void netdev_resume(struct netdev *n)
{
	if (n->ops->resume)
		n->ops->resume(n);
}

const char *netdev_name(const struct netdev *n)
{
	return n->name;
}

struct net_counters *netdev_counters(struct netdev *n)
{
	return &n->counters;
}

bool netdev_deliver(struct netdev *n, const struct iovec *iov, int niov,
	size_t len)
{
	if (!n->sink.receive || !n->sink.receive(n->sink.arg, iov, niov, len))
		return false;
	COUNT(n->counters.rx_frames, 1);
	COUNT(n->counters.rx_bytes, len);
	return true;
}

size_t netdev_gather(const struct iovec *iov, int niov, void *buf, size_t max)
{
	size_t done = 0;

	for (int i = 0; i < niov && done < max; i++) {
		size_t part = iov[i].iov_len;

		if (part > max - done)
			part = max - done;
		memcpy((char *)buf + done, iov[i].iov_base, part);
		done += part;
	}
	return done;
}
