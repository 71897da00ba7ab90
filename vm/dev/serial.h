/* SPDX-License-Identifier: GPL-3.0-or-later */
/* 16550A serial port between a guest and a console. */
#ifndef VM_DEV_SERIAL_H
#define VM_DEV_SERIAL_H

#include "vm/core/console.h"
#include "vm/core/device.h"

#define SERIAL_COM1_BASE 0x3f8
#define SERIAL_COM1_IRQ  4
#define SERIAL_COM2_BASE 0x2f8
#define SERIAL_COM2_IRQ  3

/*
 * Map a 16550A at ports base..base+7 with ISA interrupt irq. What the guest
 * sends goes to con, what people type at con goes to the guest; con is
 * borrowed and outlives the device. 0 or -errno with e filled; the device
 * ends by (*out)->ops->free.
 */
int serial_new(struct core *core, struct console *con, uint16_t base,
	unsigned irq, struct device **out, struct err *e);

#endif
