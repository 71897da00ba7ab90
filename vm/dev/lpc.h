/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ICH9 LPC bridge 00:1f.0: PIRQ router, ACPI power management at port 0x600,
 * resets by 0x92 and 0xcf9, APM ports.
 */
#ifndef VM_DEV_LPC_H
#define VM_DEV_LPC_H

#include "vm/core/device.h"
#include "vm/pci/pci.h"

#define LPC_PMBASE  0x600
#define LPC_SCI_IRQ 9

/*
 * Put the bridge on bus and become its INTx router. PMBASE is decoded from
 * the start, for guests without firmware. 0 or -errno with e filled; the
 * device ends by (*out)->ops->free.
 */
int lpc_new(struct core *core, struct pci_bus *bus, struct device **out,
	struct err *e);

/* Press the power button: an ACPI event the guest may act on. Thread: any. */
void lpc_power_button(struct device *d);

/* Raise general purpose event n (0..63) of GPE0. Thread: any. */
void lpc_gpe(struct device *d, unsigned n);

#endif
