// SPDX-License-Identifier: GPL-3.0-or-later
/* One-vector MSI capability with 64-bit address, without masking. */
#include "vm/dev/msi.h"

#include <errno.h>
#include <stdatomic.h>

#include "vm/base/bytes.h"

#define CAP_MSI    5
#define CAP_LEN    14
#define MSI_CTRL   2
#define MSI_ADDR   4
#define MSI_DATA   12
#define CTRL_ON    0x01
#define CTRL_64BIT 0x80

int msi_init(struct msi *m, struct pci_dev *pci, struct irqs *irqs)
{
	m->pci = pci;
	atomic_init(&m->on, false);
	irq_msi_init(&m->vec, irqs);
	m->cap = pci_cap_add(pci, CAP_MSI, CAP_LEN);
	if (!m->cap)
		return -ENOSPC;
	pci->cfg[m->cap + MSI_CTRL] = CTRL_64BIT;
	pci->wmask[m->cap + MSI_CTRL] = CTRL_ON;
	put_le64(&pci->wmask[m->cap + MSI_ADDR], ~UINT64_C(3));
	put_le16(&pci->wmask[m->cap + MSI_DATA], 0xffff);
	return 0;
}

void msi_fini(struct msi *m)
{
	atomic_store(&m->on, false);
	irq_msi_fini(&m->vec);
}

static void load(struct msi *m)
{
	const uint8_t *cap = &m->pci->cfg[m->cap];
	bool on = cap[MSI_CTRL] & CTRL_ON;

	if (on)
		irq_msi_set(&m->vec, get_le64(cap + MSI_ADDR),
			get_le16(cap + MSI_DATA));
	atomic_store(&m->on, on);
}

void msi_cfg_written(struct msi *m, unsigned off, unsigned len)
{
	if (off < m->cap + CAP_LEN && m->cap < off + len)
		load(m);
}

void msi_reset(struct msi *m)
{
	load(m);
}

bool msi_enabled(const struct msi *m)
{
	return atomic_load(&m->on);
}

void msi_fire(struct msi *m)
{
	if (msi_enabled(m))
		irq_msi_fire(&m->vec);
}
