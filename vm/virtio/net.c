// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * virtio-net, virtio 1.2 section 5.1: one pair of queues, mergeable receive
 * buffers, and on a back end whose frames carry a virtio-net header also
 * checksum and segmentation offloads. Without one the header is written and
 * skipped here and no offload is offered, so every frame is a plain one.
 *
 * All on the I/O thread: frames from the back end go straight into the
 * driver's buffers, frames from the driver straight to the back end, no
 * queue in between.
 */
#include "vm/virtio/net.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/list.h"

enum { Q_RX, Q_TX, NQUEUES };

/* Feature bits (5.1.3) */
#define F_CSUM       0
#define F_GUEST_CSUM 1
#define F_MAC        5
#define F_GUEST_TSO4 7
#define F_GUEST_TSO6 8
#define F_GUEST_ECN  9
#define F_HOST_TSO4  11
#define F_HOST_TSO6  12
#define F_HOST_ECN   13
#define F_MRG_RXBUF  15
#define F_STATUS     16

/* Configuration (5.1.4) */
#define CFG_MAC    0
#define CFG_STATUS 6
#define CFG_LEN    8
#define S_LINK_UP  1

#define HDR_LEN         12 /* struct virtio_net_hdr, 5.1.6 */
#define HDR_NUM_BUFFERS 10

#define QUEUE_SIZE  256
#define TX_BATCH    256
#define RX_CHAINS   64 /* that one frame may be spread over */
#define IOV_MAX_ALL (2 * VIRTQ_MAX_CHAIN)

struct virtio_net {
	struct virtio_dev v;
	struct netdev *nd;
	struct iovec iov[IOV_MAX_ALL]; /* [io]: of the frame in hand */
	struct virtq_elem rx[RX_CHAINS];
};

static struct virtio_net *net_of(struct virtio_dev *v)
{
	return container_of(v, struct virtio_net, v);
}

/* Give chains [0, n) back to the ring, the last first. */
static void give_back(struct virtio_net *net, struct virtq *q, unsigned n)
{
	while (n > 0)
		virtq_unpop(q, &net->rx[--n]);
}

/*
 * Take chains for need bytes into net->rx. Returns how many; 0 when the ring
 * has not enough (nothing is taken then), -EMSGSIZE when the frame fits no
 * number of chains that we allow.
 */
static int take_chains(struct virtio_net *net, struct virtq *q, size_t need)
{
	bool merge = virtio_has(&net->v, F_MRG_RXBUF);
	unsigned n = 0, pieces = 0;
	size_t room = 0;

	while (room < need) {
		struct virtq_elem *el = &net->rx[n];

		if (n == RX_CHAINS || (n == 1 && !merge)) {
			give_back(net, q, n);
			return -EMSGSIZE;
		}
		el->iov = net->iov + pieces;
		el->iov_max = IOV_MAX_ALL - pieces;
		if (virtq_pop(q, el) != 1) {
			give_back(net, q, n);
			return 0;
		}
		n++;
		pieces += el->nout + el->nin;
		room += el->in_bytes;
	}
	return (int)n;
}

/* Position in a scattered frame. */
struct cursor {
	const struct iovec *iov;
	int niov;
	size_t off;
};

/* Copy up to len bytes of the frame into el from off on. */
static uint32_t copy_in(const struct virtq_elem *el, uint32_t off,
	struct cursor *c)
{
	uint32_t start = off;

	while (c->niov > 0 && off < el->in_bytes) {
		const struct iovec *p = c->iov;
		uint32_t got = virtq_elem_write(el, off,
			(const char *)p->iov_base + c->off,
			(uint32_t)(p->iov_len - c->off));

		off += got;
		c->off += got;
		if (c->off == p->iov_len) {
			c->iov++;
			c->niov--;
			c->off = 0;
		}
	}
	return off - start;
}

/* A frame from the back end. False = no buffer, try again later. */
static bool receive(void *arg, const struct iovec *iov, int niov, size_t len)
{
	struct virtio_net *net = arg;
	struct virtq *q = virtio_queue(&net->v, Q_RX);
	size_t own_hdr = netdev_vnet_hdr(net->nd) ? 0 : HDR_LEN;
	uint8_t hdr[HDR_LEN] = { 0 };
	struct cursor c = { iov, niov, 0 };
	int n;

	if (!virtio_active(&net->v))
		return true; /* link is there, nobody listens: dropped */
	n = take_chains(net, q, own_hdr + len);
	if (n == 0 && virtq_enable_kicks(q)) /* look again, then wait */
		n = take_chains(net, q, own_hdr + len);
	if (n == 0)
		return !virtio_active(&net->v);
	if (n < 0)
		return true; /* larger than the driver can take */
	for (int i = 0; i < n; i++) {
		uint32_t off = 0;

		if (i == 0 && own_hdr)
			off = virtq_elem_write(&net->rx[0], 0, hdr, HDR_LEN);
		off += copy_in(&net->rx[i], off, &c);
		if (i == 0) {
			put_le16(hdr + HDR_NUM_BUFFERS, (uint16_t)n);
			virtq_elem_write(&net->rx[0], HDR_NUM_BUFFERS,
				hdr + HDR_NUM_BUFFERS, 2);
		}
		virtq_push(q, &net->rx[i], off);
	}
	virtq_notify(q);
	return true;
}

/* One frame from the driver. */
static void transmit(struct virtio_net *net, struct virtq_elem *el)
{
	struct iovec *iov = el->iov;
	int niov = (int)el->nout, first = 0;
	size_t len = el->out_bytes;

	if (len <= HDR_LEN)
		return; /* no frame in it: dropped */
	if (!netdev_vnet_hdr(net->nd)) {
		len -= HDR_LEN;
		niov = virtq_iov_cut(iov, niov, HDR_LEN, len, &first);
	}
	if (len <= NET_FRAME_MAX)
		netdev_send(net->nd, iov + first, niov, len);
}

static void transmit_all(struct virtio_net *net, struct virtq *q)
{
	unsigned n = 0;

	do {
		virtq_disable_kicks(q);
		for (;;) {
			struct virtq_elem el = { .iov = net->iov,
				.iov_max = IOV_MAX_ALL };

			if (n == TX_BATCH || virtq_pop(q, &el) != 1)
				break;
			n++;
			transmit(net, &el);
			virtq_push(q, &el, 0);
		}
		virtq_notify(q);
		if (n == TX_BATCH) {
			virtq_again(q);
			return;
		}
	} while (virtq_enable_kicks(q));
}

static void net_queue(struct virtio_dev *v, struct virtq *q)
{
	struct virtio_net *net = net_of(v);

	if (virtq_index(q) == Q_TX)
		transmit_all(net, q);
	else
		netdev_resume(net->nd);
}

/* Tell the back end what the driver takes (bits as TUN_F_*). */
static void net_start(struct virtio_dev *v)
{
	static const struct {
		unsigned bit, tun;
	} map[] = {
		{ F_GUEST_CSUM, TUN_F_CSUM },
		{ F_GUEST_TSO4, TUN_F_TSO4 },
		{ F_GUEST_TSO6, TUN_F_TSO6 },
		{ F_GUEST_ECN, TUN_F_TSO_ECN },
	};
	struct virtio_net *net = net_of(v);
	unsigned tun_f = 0;

	if (!netdev_vnet_hdr(net->nd))
		return;
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (virtio_has(v, map[i].bit))
			tun_f |= map[i].tun;
	netdev_set_offload(net->nd, true, tun_f);
}

/* TSO and ECN need the checksum bit they stand on (5.1.3.1). */
static bool net_features_ok(struct virtio_dev *v, uint64_t f)
{
	const uint64_t guest_tso =
		VIRTIO_BIT(F_GUEST_TSO4) | VIRTIO_BIT(F_GUEST_TSO6);
	const uint64_t host_tso =
		VIRTIO_BIT(F_HOST_TSO4) | VIRTIO_BIT(F_HOST_TSO6);

	(void)v;
	if ((f & guest_tso) && !(f & VIRTIO_BIT(F_GUEST_CSUM)))
		return false;
	if ((f & host_tso) && !(f & VIRTIO_BIT(F_CSUM)))
		return false;
	if ((f & VIRTIO_BIT(F_GUEST_ECN)) && !(f & guest_tso))
		return false;
	return !(f & VIRTIO_BIT(F_HOST_ECN)) || (f & host_tso);
}

static void net_free(struct virtio_dev *v)
{
	struct virtio_net *net = net_of(v);

	netdev_set_sink(net->nd, NULL);
	virtio_dev_fini(v);
	free(net);
}

static const struct virtio_ops net_ops = {
	.features_ok = net_features_ok,
	.start = net_start,
	.queue = net_queue,
	.free = net_free,
};

static uint64_t offload_features(const struct netdev *nd)
{
	if (!netdev_vnet_hdr(nd))
		return 0;
	return VIRTIO_BIT(F_CSUM) | VIRTIO_BIT(F_GUEST_CSUM) |
	       VIRTIO_BIT(F_GUEST_TSO4) | VIRTIO_BIT(F_GUEST_TSO6) |
	       VIRTIO_BIT(F_GUEST_ECN) | VIRTIO_BIT(F_HOST_TSO4) |
	       VIRTIO_BIT(F_HOST_TSO6) | VIRTIO_BIT(F_HOST_ECN);
}

int virtio_net_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct netdev *nd, const uint8_t *mac, struct device **out,
	struct err *e)
{
	const struct virtio_info info = {
		.name = "virtio-net",
		.type = VIRTIO_TYPE_NET,
		.class_code = 0x020000,
		.nqueues = NQUEUES,
		.queue_size = QUEUE_SIZE,
		.features = VIRTIO_BIT(F_MAC) | VIRTIO_BIT(F_STATUS) |
			    VIRTIO_BIT(F_MRG_RXBUF) | offload_features(nd),
		.config_len = CFG_LEN,
	};
	struct virtio_net *net = calloc(1, sizeof(*net));
	int r;

	if (!net)
		return err_set(e, ENOMEM, "no memory for virtio-net");
	net->nd = nd;
	r = virtio_dev_init(&net->v, core, &info, &net_ops, e);
	if (r < 0) {
		free(net);
		return r;
	}
	memcpy(net->v.config + CFG_MAC, mac, 6);
	put_le16(net->v.config + CFG_STATUS, S_LINK_UP);
	r = virtio_pci_add(&net->v, bus, devfn, e);
	if (r < 0) {
		virtio_dev_fini(&net->v);
		free(net);
		return r;
	}
	netdev_set_sink(nd, &(struct net_sink){ receive, net });
	*out = &net->v.dev;
	return 0;
}
