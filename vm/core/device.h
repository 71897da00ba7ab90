/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a device gets of the machine (struct core) and what the machine asks
 * of a device (struct device). Each device's create function takes the core
 * and what it needs besides, maps itself, and fills a struct device that is
 * embedded at its front. vm/machine/board.c makes devices in the order of
 * one table, resets them all, and frees them in reverse.
 */
#ifndef VM_CORE_DEVICE_H
#define VM_CORE_DEVICE_H

#include <stdint.h>

#include "vm/base/err.h"
#include "vm/base/log.h"
#include "vm/base/loop.h"

#include "vm/core/bus.h"
#include "vm/core/gmem.h"
#include "vm/core/irq.h"

/* What a guest's devices may ask the machine for. */
enum core_request {
	CORE_RESET,    /* guest reboot: all devices and vCPUs reset */
	CORE_POWEROFF, /* S5 */
	CORE_CRASH,    /* give up on this guest; why says the reason */
};

struct core {
	struct gmem *gmem;
	struct bus *pio;
	struct bus *mmio;
	struct irqs *irqs;
	struct loop *io; /* the guest's I/O thread: fds, timers, calls */
	struct log *log; /* the guest's log */
	/*
	 * Ask for a reset, power-off or crash. Returns at once; the engine's
	 * thread carries it out. After a reset or power-off request made from
	 * a vCPU thread that vCPU stops before its next instruction.
	 * why (may be NULL) is copied. Thread: any; a device's own lock may
	 * be held.
	 */
	void (*request)(void *arg, enum core_request what, const char *why);
	void *request_arg;
};

static inline void core_request(struct core *c, enum core_request what,
	const char *why)
{
	c->request(c->request_arg, what, why);
}

struct device;

struct device_ops {
	/*
	 * Back to power-on state. vCPUs are stopped, the I/O thread is not:
	 * the device takes its own lock. In-flight requests must have no
	 * effect on the guest after it returns (drained or cancelled).
	 * Thread: engine or the guest's I/O thread.
	 */
	void (*reset)(struct device *d);
	/*
	 * hold: start nothing more; what is in flight goes on, and touches
	 * guest memory. quiesce: the same, and wait for that (pause, before
	 * free). resume undoes both. Any may be NULL. Thread: I/O thread.
	 */
	void (*hold)(struct device *d);
	void (*quiesce)(struct device *d);
	void (*resume)(struct device *d);
	/* vCPUs and the I/O thread are stopped. */
	void (*free)(struct device *d);
};

struct device {
	const char *name;
	const struct device_ops *ops;
};

#endif
