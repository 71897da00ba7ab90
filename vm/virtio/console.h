/* SPDX-License-Identifier: GPL-3.0-or-later */
/* virtio-console (virtio 1.2, 5.3): one port, hvc0 in a Linux guest. */
#ifndef VM_VIRTIO_CONSOLE_H
#define VM_VIRTIO_CONSOLE_H

#include "vm/core/console.h"
#include "vm/virtio/virtio.h"

/* c (borrowed) gets the output and gives the input. 0 or -errno, e filled. */
int virtio_console_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct console *c, struct device **out, struct err *e);

#endif
