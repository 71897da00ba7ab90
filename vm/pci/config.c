/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One function's config space: bytes with a write mask and a clear mask, the
 * capability list, and what follows from a write. Lock: the bus's, held by
 * the caller of pci_cfg_*.
 */
#include <string.h>

#include "vm/base/bytes.h"

#include "vm/pci/pci.h"
#include "vm/pci/pci_impl.h"

uint64_t pci_cfg_read(struct pci_dev *d, unsigned off, unsigned size)
{
	uint64_t v = 0;

	if (d->cfg_reading)
		d->cfg_reading(d, off, size);
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = pci_byte(d, off + i);

		if (off + i == PCI_STATUS &&
			__atomic_load_n(&d->intx_level, __ATOMIC_RELAXED))
			byte |= PCI_STATUS_INTX;
		v |= (uint64_t)byte << i * 8;
	}
	return v;
}

void pci_cfg_freeze(struct pci_dev *d)
{
	if (d->frozen)
		return;
	memcpy(d->init, d->cfg, sizeof(d->init));
	d->frozen = true;
}

void pci_cfg_write(struct pci_dev *d, unsigned off, uint64_t val, unsigned size)
{
	pci_cfg_freeze(d);
	for (unsigned i = 0; i < size; i++) {
		unsigned at = off + i;
		uint8_t in = (uint8_t)(val >> i * 8), mask = d->wmask[at];
		uint8_t old = pci_byte(d, at);

		pci_byte_set(d, at,
			(uint8_t)(((old & ~mask) | (in & mask)) &
				  ~(in & d->w1c[at])));
	}
	if (d->msix)
		pci_msix_ctrl_written(d, off, size);
	if (d->cfg_written)
		d->cfg_written(d, off, size);
	if (pci_overlaps(off, size, PCI_COMMAND, 2))
		pci_intx_update(d);
	if (pci_overlaps(off, size, PCI_COMMAND, 2) ||
		pci_overlaps(off, size, PCI_BAR0, 24) ||
		pci_overlaps(off, size, PCI_ROM_REG, 4))
		pci_bars_update(d);
}

void pci_cfg_reset(struct pci_dev *d)
{
	pci_cfg_freeze(d);
	pci_intx_set(d, false);
	pci_bars_unmap(d);
	for (unsigned i = 0; i < PCI_CFG_SIZE; i++)
		if (d->cfg[i] != d->init[i])
			pci_byte_set(d, i, d->init[i]);
	if (d->msix)
		pci_msix_reset(d);
	pci_intx_update(d);
	pci_bars_update(d);
}

unsigned pci_cap_add(struct pci_dev *d, uint8_t id, unsigned len)
{
	unsigned at = d->cap_next;

	if (len < 2 || at + len > 0x100)
		return 0;
	d->cap_next = (at + len + 3) & ~3U;
	d->cfg[at] = id;
	d->cfg[at + 1] = 0;
	d->cfg[d->cap_last ? d->cap_last + 1 : PCI_CAP_PTR] = (uint8_t)at;
	d->cap_last = at;
	d->cfg[PCI_STATUS] |= PCI_STATUS_CAPS;
	return at;
}

/* PCIe 4.0 7.5.3: version 2 has 60 bytes; an integrated endpoint no link. */
void pci_express_add(struct pci_dev *d)
{
	unsigned at = pci_cap_add(d, PCI_CAP_EXP, 60);

	if (!at)
		return;
	put_le16(d->cfg + at + 2, 2 | 9 << 4); /* root complex integrated */
	put_le32(d->cfg + at + 4, 1 << 15);    /* role-based error reports */
	/* device control: error reporting, relaxed order, payload, no snoop */
	put_le16(d->wmask + at + 8, 0x78ef);
	put_le16(d->cfg + at + 8, 0x2810); /* as after reset */
	d->w1c[at + 10] = 0x0f;            /* device status */
}
