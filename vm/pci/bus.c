/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The root bus: who sits where, made, reset and freed. MACHINE.md 1.
 * Threads: new, add, del and free while no vCPU runs; reset from the engine.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/bytes.h"

#include "vm/pci/pci.h"
#include "vm/pci/pci_impl.h"

#define PCI_CONF1_PORT 0xcf8

int pci_dev_add(struct pci_bus *b, struct pci_dev *d, const char *name,
	unsigned devfn, const struct pci_ids *ids, struct err *e)
{
	struct pci_dev *first;

	if (devfn >= PCI_DEVFNS)
		return err_set(e, EINVAL, "%s: PCI has no slot %u", name,
			PCI_SLOT(devfn));
	if (b->dev[devfn])
		return err_set(e, EEXIST, "%s: PCI slot %u.%u is taken by %s",
			name, PCI_SLOT(devfn), PCI_FUNC(devfn),
			b->dev[devfn]->name);
	d->name = name;
	d->bus = b;
	d->devfn = devfn;
	put_le16(d->cfg + PCI_VENDOR, ids->vendor);
	put_le16(d->cfg + PCI_VENDOR + 2, ids->device);
	put_le32(d->cfg + PCI_CLASS_REV, ids->class_rev);
	put_le16(d->cfg + PCI_SUBSYSTEM, ids->subvendor);
	put_le16(d->cfg + PCI_SUBSYSTEM + 2, ids->subdevice);
	put_le16(d->wmask + PCI_COMMAND, 0x0547);
	d->w1c[PCI_STATUS + 1] = 0xf9;
	d->wmask[PCI_CACHE_LINE] = 0xff;
	d->wmask[PCI_LATENCY] = 0xff;
	d->wmask[PCI_INT_LINE] = 0xff;
	d->cap_next = 0x40;
	for (unsigned i = 0; i < PCI_BARS; i++)
		d->bar[i].addr = GPA_NONE;
	b->dev[devfn] = d;
	/* guests look at functions 1..7 only when function 0 says so */
	first = b->dev[PCI_DEVFN(PCI_SLOT(devfn), 0)];
	for (unsigned fn = 1; first && fn < 8; fn++)
		if (b->dev[PCI_DEVFN(PCI_SLOT(devfn), fn)])
			first->cfg[PCI_HEADER_TYPE] |= PCI_MULTIFUNC;
	return 0;
}

void pci_dev_del(struct pci_dev *d)
{
	if (!d->bus)
		return;
	pci_intx_set(d, false);
	lock_take(&d->bus->lock);
	pci_bars_unmap(d);
	d->bus->dev[d->devfn] = NULL;
	lock_drop(&d->bus->lock);
	pci_msix_free(d);
	d->bus = NULL;
}

int pci_bus_new(struct core *core, bool ecam, struct pci_bus **out,
	struct err *e)
{
	struct pci_bus *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return err_set(e, ENOMEM, "PCI bus: out of memory");
	b->core = core;
	b->ecam_at_reset = ecam;
	lock_init(&b->lock, "pci", LOCK_PCI);
	lock_init(&b->intx, "pci intx", LOCK_INTX);
	b->conf1 = (struct bus_region){ .name = "pci conf1",
		.ops = &pci_conf1_ops,
		.opaque = b,
		.len = 8,
		.prio = BUS_FIXED };
	b->ecam = (struct bus_region){ .name = "pci ecam",
		.ops = &pci_ecam_ops,
		.opaque = b,
		.prio = BUS_FIXED };
	r = bus_map(core->pio, &b->conf1, PCI_CONF1_PORT);
	if (r < 0)
		err_sys(e, -r, "PCI bus: ports 0xcf8-0xcff");
	else
		r = pci_host_init(b, e);
	if (r < 0) {
		pci_bus_free(b);
		return r;
	}
	*out = b;
	return 0;
}

void pci_bus_set_cf9(struct pci_bus *b, const struct bus_ops *ops, void *opaque)
{
	b->cf9 = ops;
	b->cf9_arg = opaque;
}

void pci_bus_free(struct pci_bus *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < PCI_DEVFNS; i++)
		if (b->dev[i])
			pci_dev_del(b->dev[i]);
	bus_unmap(b->core->mmio, &b->ecam);
	bus_unmap(b->core->pio, &b->conf1);
	lock_fini(&b->intx);
	lock_fini(&b->lock);
	free(b);
}

void pci_bus_reset(struct pci_bus *b)
{
	LOCK_GUARD(&b->lock);
	b->conf1_addr = 0;
	for (unsigned i = 0; i < PCI_DEVFNS; i++)
		if (b->dev[i])
			pci_cfg_reset(b->dev[i]);
	pci_host_ecam_update(b);
}

bool pci_is_master(const struct pci_dev *d)
{
	return pci_command(d) & PCI_CMD_MASTER;
}
