/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of vm/net: what a back end gives and what it embeds. */
#ifndef VM_NET_NET_IMPL_H
#define VM_NET_NET_IMPL_H

#include "vm/net/net.h"

struct netdev_ops {
	int (*send)(struct netdev *n, const struct iovec *iov, int niov,
		size_t len);
	void (*resume)(struct netdev *n);
	int (*set_offload)(struct netdev *n, bool vnet_hdr, unsigned tun_f);
	void (*free)(struct netdev *n);
};

struct netdev {
	const struct netdev_ops *ops;
	struct loop *loop;
	struct log *log;
	struct net_sink sink; /* receive is NULL while nobody takes frames */
	char name[32];
	bool vnet_hdr; /* frames may carry a header */
	struct net_counters counters;
};

/* Give a frame to the sink and count it; false when it has no buffer. */
bool netdev_deliver(struct netdev *n, const struct iovec *iov, int niov,
	size_t len);

/* Copy the pieces of iov into buf, at most max bytes; returns how many. */
size_t netdev_gather(const struct iovec *iov, int niov, void *buf, size_t max);

#endif
