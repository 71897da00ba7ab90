/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Plain MSI with one vector for a PCI function (PCI 3.0, 6.8.1), for devices
 * whose drivers do not use MSI-X. The function's cfg_written calls
 * msi_cfg_written().
 */
#ifndef VM_DEV_MSI_H
#define VM_DEV_MSI_H

#include "vm/pci/pci.h"

struct msi {
	struct pci_dev *pci;
	unsigned cap;
	struct irq_msi vec; /* guarded by the PCI bus's lock */
	_Atomic bool on;
};

/* Add the capability. 0, or -ENOSPC when config space is full. */
int msi_init(struct msi *m, struct pci_dev *pci, struct irqs *irqs);
void msi_fini(struct msi *m);

/* Config space was written or reset. Under the bus's lock. */
void msi_cfg_written(struct msi *m, unsigned off, unsigned len);
/* The same after pci_bus_reset(). vCPUs are stopped. */
void msi_reset(struct msi *m);

/* Does the guest use it? Thread: any. */
bool msi_enabled(const struct msi *m);
/* Send the message, if enabled. Thread: any. */
void msi_fire(struct msi *m);

#endif
