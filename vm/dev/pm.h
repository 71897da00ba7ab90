/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ACPI power management block of the ICH9: PM1 event and control, PM timer,
 * GPE0, SMI_EN. A part of the LPC device (lpc.c), embedded there.
 */
#ifndef VM_DEV_PM_H
#define VM_DEV_PM_H

#include "vm/base/lock.h"

#include "vm/core/device.h"

#define PM_LEN      0x80
#define PM_GPE_BITS 64

struct pm {
	struct core *core;
	struct bus_region region;
	struct loop_timer timer;
	uint64_t base_ns; /* time of PM timer tick 0; constant */
	void (*sci)(void *arg, bool level);
	void *arg;

	struct lock lock; /* LOCK_DEVICE; guards all that follows */
	uint16_t sts, en, cnt;
	uint64_t gpe_sts, gpe_en;
	uint64_t toggles; /* changes of the timer's bit 23 seen */
};

/* sci(arg, level) drives the SCI; it is called with the pm's lock held. */
void pm_init(struct pm *p, struct core *core,
	void (*sci)(void *arg, bool level), void *arg);
/* Mapped regions are gone, vCPUs and the I/O thread have stopped. */
void pm_fini(struct pm *p);
void pm_reset(struct pm *p);

/* Show the block at this port, or hide it (base 0). 0 or -errno. */
int pm_map(struct pm *p, unsigned base);

/* The power button was pressed. Thread: any. */
void pm_power_button(struct pm *p);
/* Set a bit (0..63) of GPE0_STS. Thread: any. */
void pm_gpe(struct pm *p, unsigned bit);

#endif
