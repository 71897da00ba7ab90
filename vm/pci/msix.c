/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * MSI-X (PCI 3.0, 6.8.2): table and pending bits in a BAR, masks for each
 * vector and for the whole function. The table is kept as the bytes that the
 * guest sees; a vector is armed when its entry is unmasked.
 * Lock: its own, rank LOCK_INTX. Firing takes it: the mask bit must not
 * change between the look at it and the message.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/pci/pci.h"
#include "vm/pci/pci_impl.h"

#define MSIX_MAX         2048
#define MSIX_ENTRY       16
#define MSIX_CTRL        12 /* in an entry: bit 0 masks */
#define MSIX_CTRL_OFF    2  /* in the capability */
#define MSIX_FUNC_MASK   0x4000
#define MSIX_FUNC_ENABLE 0x8000

static bool entry_masked(const struct pci_msix *m, unsigned i)
{
	return m->table[i * MSIX_ENTRY + MSIX_CTRL] & 1;
}

static bool is_pending(const struct pci_msix *m, unsigned i)
{
	return m->pending[i / 8] >> i % 8 & 1;
}

static void fire_locked(struct pci_msix *m, unsigned i)
{
	if (!m->enabled)
		return;
	if (m->masked || entry_masked(m, i)) {
		m->pending[i / 8] |= (uint8_t)(1 << i % 8);
		return;
	}
	m->pending[i / 8] &= (uint8_t) ~(1 << i % 8);
	irq_msi_fire(&m->vec[i]);
}

/* The entry was written: arm it, and send what waited for the unmasking. */
static void entry_update_locked(struct pci_msix *m, unsigned i)
{
	const uint8_t *t = m->table + i * MSIX_ENTRY;

	if (entry_masked(m, i))
		return;
	irq_msi_set(&m->vec[i], get_le64(t), get_le32(t + 8));
	if (is_pending(m, i))
		fire_locked(m, i);
}

static uint64_t msix_read(void *opaque, uint64_t off, unsigned size)
{
	struct pci_msix *m = opaque;
	uint64_t table_len = m->n * MSIX_ENTRY;

	LOCK_GUARD(&m->lock);
	if (size_in(off, size, table_len))
		return get_le(m->table + off, size);
	if (off >= m->pba_off && size_in(off - m->pba_off, size, m->pba_len))
		return get_le(m->pending + (off - m->pba_off), size);
	return 0;
}

static void msix_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct pci_msix *m = opaque;

	LOCK_GUARD(&m->lock);
	if (!size_in(off, size, m->n * MSIX_ENTRY))
		return; /* pending bits are read-only */
	put_le(m->table + off, val, size);
	for (uint64_t i = off / MSIX_ENTRY; i <= (off + size - 1) / MSIX_ENTRY;
		i++) {
		/* only the mask bit of vector control exists */
		m->table[i * MSIX_ENTRY + MSIX_CTRL] &= 1;
		memset(m->table + i * MSIX_ENTRY + MSIX_CTRL + 1, 0, 3);
		entry_update_locked(m, (unsigned)i);
	}
}

static const struct bus_ops msix_ops = { msix_read, msix_write };

void pci_msix_ctrl_written(struct pci_dev *d, unsigned off, unsigned len)
{
	struct pci_msix *m = d->msix;
	unsigned at = m->cap + MSIX_CTRL_OFF;
	uint16_t ctrl;

	if (!pci_overlaps(off, len, at, 2))
		return;
	ctrl = get_le16(d->cfg + at);
	LOCK_GUARD(&m->lock);
	m->masked = ctrl & MSIX_FUNC_MASK;
	__atomic_store_n(&m->enabled, !!(ctrl & MSIX_FUNC_ENABLE),
		__ATOMIC_RELEASE);
	for (unsigned i = 0; i < m->n; i++)
		if (is_pending(m, i))
			fire_locked(m, i);
}

bool pci_msix_enabled(struct pci_dev *d)
{
	return d->msix && __atomic_load_n(&d->msix->enabled, __ATOMIC_ACQUIRE);
}

void pci_msix_fire(struct pci_dev *d, unsigned vector)
{
	struct pci_msix *m = d->msix;

	if (!m || vector >= m->n)
		return;
	LOCK_GUARD(&m->lock);
	fire_locked(m, vector);
}

void pci_msix_reset(struct pci_dev *d)
{
	struct pci_msix *m = d->msix;

	LOCK_GUARD(&m->lock);
	__atomic_store_n(&m->enabled, false, __ATOMIC_RELEASE);
	m->masked = false;
	memset(m->table, 0, m->n * MSIX_ENTRY);
	memset(m->pending, 0, m->pba_len);
	for (unsigned i = 0; i < m->n; i++)
		m->table[i * MSIX_ENTRY + MSIX_CTRL] = 1;
}

static struct pci_msix *msix_new(struct irqs *irqs, unsigned n)
{
	struct pci_msix *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->n = n;
	m->pba_len = size_up(n, 64) / 8;
	m->table = calloc(n, MSIX_ENTRY);
	m->pending = calloc(1, m->pba_len);
	m->vec = calloc(n, sizeof(*m->vec));
	if (!m->table || !m->pending || !m->vec) {
		free(m->table);
		free(m->pending);
		free(m->vec);
		free(m);
		return NULL;
	}
	lock_init(&m->lock, "msix", LOCK_INTX);
	for (unsigned i = 0; i < n; i++)
		irq_msi_init(&m->vec[i], irqs);
	return m;
}

int pci_msix_add(struct pci_dev *d, unsigned n, unsigned bar, struct err *e)
{
	uint64_t size = 4 * KiB;
	struct pci_msix *m;

	if (n < 1 || n > MSIX_MAX)
		return err_set(e, EINVAL, "%s: %u MSI-X vectors", d->name, n);
	m = msix_new(d->bus->core->irqs, n);
	if (!m)
		return err_set(e, ENOMEM, "%s: MSI-X: out of memory", d->name);
	m->cap = pci_cap_add(d, PCI_CAP_MSIX, 12);
	d->msix = m;
	if (!m->cap) {
		pci_msix_free(d);
		return err_set(e, ENOSPC, "%s: config space is full", d->name);
	}
	m->pba_off = n <= 128 ? 2 * KiB : size_up(n * MSIX_ENTRY, 4 * KiB);
	while (size < m->pba_off + m->pba_len)
		size *= 2;
	put_le16(d->cfg + m->cap + MSIX_CTRL_OFF, (uint16_t)(n - 1));
	put_le16(d->wmask + m->cap + MSIX_CTRL_OFF,
		MSIX_FUNC_MASK | MSIX_FUNC_ENABLE);
	put_le32(d->cfg + m->cap + 4, bar);
	put_le32(d->cfg + m->cap + 8, (uint32_t)m->pba_off | bar);
	pci_bar_trap(d, bar, PCI_BAR_MEM32, size, &msix_ops, m);
	pci_msix_reset(d);
	return 0;
}

void pci_msix_free(struct pci_dev *d)
{
	struct pci_msix *m = d->msix;

	if (!m)
		return;
	for (unsigned i = 0; i < m->n; i++)
		irq_msi_fini(&m->vec[i]);
	lock_fini(&m->lock);
	free(m->table);
	free(m->pending);
	free(m->vec);
	free(m);
	d->msix = NULL;
}
