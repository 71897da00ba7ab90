/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PC keyboard controller at 0x60/0x64 with PS/2 keyboard and mouse. */
#ifndef VM_DEV_I8042_H
#define VM_DEV_I8042_H

#include "display/display.h"

#include "vm/core/device.h"

/*
 * Keyboard on IRQ 1, mouse on IRQ 12. With a display (may be NULL; borrowed,
 * outlives the device) its key and relative pointer events come here. 0 or
 * -errno with e filled; the device ends by (*out)->ops->free.
 */
int i8042_new(struct core *core, struct display *display, struct device **out,
	struct err *e);

/* Keyboard lamps as the guest set them: 1 scroll, 2 num, 4 caps. */
unsigned i8042_leds(struct device *d);

/* What a sink gets; for tests and for who has no display. Thread: any. */
void i8042_input(struct device *d, const struct input_event *ev);

#endif
