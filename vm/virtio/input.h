/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * virtio-input (virtio 1.2, 5.8): a tablet with an absolute pointer, buttons
 * and wheel, and a keyboard.
 */
#ifndef VM_VIRTIO_INPUT_H
#define VM_VIRTIO_INPUT_H

#include "display/display.h"

#include "vm/virtio/virtio.h"

enum virtio_input_kind { VIRTIO_INPUT_TABLET, VIRTIO_INPUT_KEYBOARD };

/*
 * Registers a sink with d (borrowed, may be NULL) that is active while the
 * guest's driver runs. 0 or -errno with e filled.
 */
int virtio_input_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	enum virtio_input_kind kind, struct display *d, struct device **out,
	struct err *e);

/*
 * Linux key code (linux/input-event-codes.h) of an XT set-1 scancode as
 * struct input_event has it, 0 = none.
 */
uint16_t virtio_input_keycode(uint16_t scancode);

#endif
