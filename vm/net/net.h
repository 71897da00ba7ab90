/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Host side of a NIC: user-mode network (libslirp) or a tap. Packets are
 * Ethernet frames; a tap may carry virtio-net headers with offloads.
 * Thread: everything on the loop's thread (the guest's I/O thread) unless
 * said otherwise.
 */
#ifndef VM_NET_NET_H
#define VM_NET_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vm/base/err.h"
#include "vm/base/log.h"
#include "vm/base/loop.h"

#define NET_FRAME_MAX (65536 + 64)
#define NET_VNET_HDR  12 /* struct virtio_net_hdr_v1 */

struct netdev;

struct net_forward {
	bool udp;
	const char *host_addr;
	uint16_t host_port, guest_port;
};

/* What the NIC model gives. */
struct net_sink {
	/*
	 * A frame for the guest (behind a vnet header when netdev_vnet_hdr()
	 * said so). Returns false when the guest has no buffer: the netdev
	 * then waits for netdev_resume() or drops.
	 */
	bool (*receive)(void *arg, const struct iovec *iov, int niov,
		size_t len);
	void *arg;
};

struct net_counters {
	_Atomic uint64_t rx_frames, rx_bytes, rx_dropped; /* to the guest */
	_Atomic uint64_t tx_frames, tx_bytes, tx_dropped; /* from the guest */
};

/*
 * NAT as QEMU's users know it: guest 10.0.2.15 by DHCP, gateway 10.0.2.2,
 * DNS 10.0.2.3. -EADDRINUSE names the busy forward.
 */
int netdev_user_new(struct loop *l, struct log *log, const char *hostname,
	const struct net_forward *fwd, unsigned nfwd, struct netdev **out,
	struct err *e);
/* name "" = let the kernel choose; an existing tap is joined. */
int netdev_tap_new(struct loop *l, struct log *log, const char *name,
	struct netdev **out, struct err *e);
void netdev_free(struct netdev *n);

void netdev_set_sink(struct netdev *n, const struct net_sink *s);
bool netdev_vnet_hdr(const struct netdev *n); /* may frames have one? */
/*
 * Tell a tap whether frames carry a vnet header and which offloads (bits as
 * TUN_F_*) the guest takes. 0 or -errno.
 */
int netdev_set_offload(struct netdev *n, bool vnet_hdr, unsigned tun_f);
/* A frame from the guest. Returns 0, or -errno when it was dropped. */
int netdev_send(struct netdev *n, const struct iovec *iov, int niov,
	size_t len);
void netdev_resume(struct netdev *n); /* the guest has buffers again */
const char *netdev_name(const struct netdev *n); /* "user" or the tap's */
struct net_counters *netdev_counters(struct netdev *n); /* any thread */

#endif
