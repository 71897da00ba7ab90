/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What firmware does and a directly booted kernel expects done: every BAR
 * has an address, largest first so that natural alignment wastes nothing.
 * Thread: engine, before the vCPUs run.
 */
#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/pci/pci.h"
#include "vm/pci/pci_impl.h"

#define ASSIGN_IO_BASE 0xc000

struct window {
	uint64_t next, end;
};

/* Naturally aligned place of size bytes, 0 when the window is full. */
static uint64_t window_take(struct window *w, uint64_t size)
{
	uint64_t at = size_up(w->next, size);

	if (at < w->next || at > w->end || size > w->end - at)
		return 0;
	w->next = at + size;
	return at;
}

struct windows {
	struct window io, mem, high;
};

static void assign_bar(struct windows *w, struct pci_dev *d, unsigned bar)
{
	struct pci_bar *r = &d->bar[bar];
	uint8_t *reg = d->cfg + pci_bar_reg(bar);
	uint8_t low = reg[0] & 0xf;
	uint64_t at;

	if (bar == PCI_ROM_BAR)
		low = 0; /* an address, but not enabled */
	at = window_take(r->kind == PCI_BAR_IO ? &w->io : &w->mem, r->size);
	if (!at && r->kind == PCI_BAR_MEM64)
		at = window_take(&w->high, r->size);
	if (!at) {
		log_msg(d->bus->core->log, LOG_WARN,
			"%s: no room for BAR %u of %llu bytes", d->name, bar,
			(unsigned long long)r->size);
		return;
	}
	if (r->kind == PCI_BAR_IO) {
		low &= 3;
		d->cfg[PCI_COMMAND] |= PCI_CMD_IO;
	} else {
		d->cfg[PCI_COMMAND] |= PCI_CMD_MEM;
	}
	if (r->kind == PCI_BAR_MEM64)
		put_le64(reg, at | low);
	else
		put_le32(reg, (uint32_t)at | low);
}

/* The largest size below `below` that any BAR has, 0 = none. */
static uint64_t next_size(const struct pci_bus *b, uint64_t below)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < PCI_DEVFNS; i++)
		for (unsigned n = 0; b->dev[i] && n < PCI_BARS; n++) {
			uint64_t size = b->dev[i]->bar[n].size;

			if (size > best && size < below)
				best = size;
		}
	return best;
}

static void assign_size(struct pci_bus *b, struct windows *w, uint64_t size)
{
	for (unsigned i = 0; i < PCI_DEVFNS; i++)
		for (unsigned n = 0; b->dev[i] && n < PCI_BARS; n++)
			if (b->dev[i]->bar[n].kind != PCI_BAR_NONE &&
				b->dev[i]->bar[n].size == size)
				assign_bar(w, b->dev[i], n);
}

void pci_bus_assign(struct pci_bus *b)
{
	static const uint8_t lines[4] = { 10, 10, 11, 11 }; /* as SeaBIOS */
	uint64_t high = size_up(gmem_high_end(b->core->gmem), GiB);
	struct windows w = {
		.io = { ASSIGN_IO_BASE, 0x10000 },
		.mem = { GMEM_PCI32_BASE, GMEM_PCI32_END },
		.high = { high, high + 64 * GiB },
	};

	LOCK_GUARD(&b->lock);
	for (unsigned i = 0; i < PCI_DEVFNS; i++)
		if (b->dev[i])
			pci_cfg_freeze(b->dev[i]);
	for (uint64_t s = UINT64_MAX; (s = next_size(b, s));)
		assign_size(b, &w, s);
	for (unsigned i = 0; i < PCI_DEVFNS; i++) {
		struct pci_dev *d = b->dev[i];

		if (!d)
			continue;
		if (d->cfg[PCI_INT_PIN])
			d->cfg[PCI_INT_LINE] =
				lines[pci_pirq(PCI_SLOT(i),
					      d->cfg[PCI_INT_PIN]) &
					3];
		pci_bars_update(d);
	}
}
