/* SPDX-License-Identifier: GPL-3.0-or-later */
/* virtio-net (virtio 1.2, 5.1) on a netdev. */
#ifndef VM_VIRTIO_NET_H
#define VM_VIRTIO_NET_H

#include "vm/net/net.h"
#include "vm/virtio/virtio.h"

/*
 * A NIC with one receive and one transmit queue on nd (borrowed; its loop is
 * core->io). mac: 6 bytes. 0 or -errno with e filled.
 */
int virtio_net_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct netdev *nd, const uint8_t *mac, struct device **out,
	struct err *e);

#endif
