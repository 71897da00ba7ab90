/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firmware's debug port 0x402: text that it prints for people. */
#ifndef VM_DEV_DEBUGCON_H
#define VM_DEV_DEBUGCON_H

#include "vm/core/console.h"
#include "vm/core/device.h"

/*
 * What firmware prints goes to con (borrowed, outlives the device), or with
 * con NULL line by line to the guest's log at LOG_DEBUG. 0 or -errno with e
 * filled; the device ends by (*out)->ops->free.
 */
int debugcon_new(struct core *core, struct console *con, struct device **out,
	struct err *e);

#endif
