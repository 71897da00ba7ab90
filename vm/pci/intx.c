/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * INTx: four wires a slot, shared into the eight PIRQs of the ICH9 by
 * counting who asserts. Lock: intx; the router is called under it, so levels
 * reach it in order. Thread: any.
 */
#include "vm/pci/pci.h"
#include "vm/pci/pci_impl.h"

/*
 * Reset values of the ICH9's interrupt route registers, as QEMU's _PRT and
 * SeaBIOS expect: slots up to 24 rotate over E..H, 25..31 are fixed on A..D,
 * but 30 on E..H.
 */
unsigned pci_pirq(unsigned slot, unsigned pin)
{
	unsigned p = (pin - 1) & 3;

	if (slot <= 24)
		return 4 + ((slot + p) & 3);
	return slot == 30 ? 4 + p : p;
}

void pci_bus_set_router(struct pci_bus *b,
	void (*route)(void *arg, unsigned pirq, bool level), void *arg)
{
	LOCK_GUARD(&b->intx);
	b->route = route;
	b->route_arg = arg;
}

void pci_bus_reroute(struct pci_bus *b)
{
	LOCK_GUARD(&b->intx);
	for (unsigned i = 0; b->route && i < PCI_PIRQS; i++)
		b->route(b->route_arg, i, b->pirq_count[i] > 0);
}

static void intx_update_locked(struct pci_dev *d)
{
	struct pci_bus *b = d->bus;
	unsigned pin = d->cfg[PCI_INT_PIN], pirq;
	bool level = d->intx_level && !(pci_command(d) & PCI_CMD_INTX_OFF);

	if (level == d->intx_driven || pin < 1 || pin > 4)
		return;
	d->intx_driven = level;
	pirq = pci_pirq(PCI_SLOT(d->devfn), pin);
	b->pirq_count[pirq] += level ? 1 : -1U;
	if (b->route && b->pirq_count[pirq] == level)
		b->route(b->route_arg, pirq, level);
}

void pci_intx_update(struct pci_dev *d)
{
	LOCK_GUARD(&d->bus->intx);
	intx_update_locked(d);
}

void pci_intx_set(struct pci_dev *d, bool level)
{
	LOCK_GUARD(&d->bus->intx);
	__atomic_store_n(&d->intx_level, level, __ATOMIC_RELAXED);
	intx_update_locked(d);
}

void pci_intx_pin(struct pci_dev *d, unsigned pin)
{
	d->cfg[PCI_INT_PIN] = (uint8_t)pin;
}
