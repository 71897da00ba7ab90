/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Base address registers (PCI 3.0, 6.2.5): sizing falls out of the write
 * mask; after each write that matters the wanted place of every BAR is
 * computed anew and the mapping follows. A place the map refuses (over RAM,
 * past the address width, no room) is logged and the BAR is then nowhere.
 * Lock: the bus's.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/pci/pci.h"
#include "vm/pci/pci_impl.h"

#define BAR_IO       1
#define BAR_MEM64    4
#define BAR_PREFETCH 8
#define ROM_ENABLE   1

unsigned pci_bar_reg(unsigned bar)
{
	return bar == PCI_ROM_BAR ? PCI_ROM_REG : PCI_BAR0 + 4 * bar;
}

/* Where the guest wants the BAR now, GPA_NONE for nowhere. */
static uint64_t bar_wanted(const struct pci_dev *d, unsigned bar)
{
	const struct pci_bar *r = &d->bar[bar];
	const uint8_t *reg = d->cfg + pci_bar_reg(bar);
	unsigned cmd = pci_command(d);
	bool io = r->kind == PCI_BAR_IO;
	uint64_t limit = io                         ? 0xffff
			 : r->kind == PCI_BAR_MEM64 ? UINT64_C(1) << 52
						    : UINT32_MAX;
	uint64_t addr;

	if (r->kind == PCI_BAR_NONE)
		return GPA_NONE;
	if (!(cmd & (io ? PCI_CMD_IO : PCI_CMD_MEM)))
		return GPA_NONE;
	if (bar == PCI_ROM_BAR && !(reg[0] & ROM_ENABLE))
		return GPA_NONE;
	addr = r->kind == PCI_BAR_MEM64 ? get_le64(reg) : get_le32(reg);
	addr = size_down(addr, r->size);
	/* the topmost place is what sizing writes, 0 is "not set" */
	if (addr == 0 || addr >= limit || r->size > limit - addr)
		return GPA_NONE;
	return addr;
}

static struct bus *bar_bus(const struct pci_dev *d, unsigned bar)
{
	struct core *c = d->bus->core;

	return d->bar[bar].kind == PCI_BAR_IO ? c->pio : c->mmio;
}

static void bar_unmap(struct pci_dev *d, unsigned bar)
{
	struct pci_bar *r = &d->bar[bar];

	if (r->addr == GPA_NONE)
		return;
	r->addr = GPA_NONE;
	if (d->bar_moved)
		d->bar_moved(d, bar, GPA_NONE);
	if (r->view)
		gmem_view_unmap(r->view);
	else
		bus_unmap(bar_bus(d, bar), &r->region);
}

static void bar_map(struct pci_dev *d, unsigned bar, uint64_t addr)
{
	struct pci_bar *r = &d->bar[bar];
	int err = r->view ? gmem_view_map(r->view, addr)
			  : bus_map(bar_bus(d, bar), &r->region, addr);

	if (err < 0) {
		log_limited(d->bus->core->log, &d->bus->log_limit, LOG_WARN,
			"%s: BAR %u cannot be at %#llx: %s", d->name, bar,
			(unsigned long long)addr, strerror(-err));
		return;
	}
	r->addr = addr;
	if (d->bar_moved)
		d->bar_moved(d, bar, addr);
}

/*
 * All that leave a place go first, so that BARs which swap places do not
 * stand in each other's way.
 */
void pci_bars_update(struct pci_dev *d)
{
	uint64_t wanted[PCI_BARS];

	for (unsigned i = 0; i < PCI_BARS; i++) {
		wanted[i] = bar_wanted(d, i);
		if (wanted[i] != d->bar[i].addr)
			bar_unmap(d, i);
	}
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (wanted[i] != d->bar[i].addr)
			bar_map(d, i, wanted[i]);
}

void pci_bars_unmap(struct pci_dev *d)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		bar_unmap(d, i);
}

/* Registers of a BAR: constant low bits, and the mask that tells its size. */
static void bar_init(struct pci_dev *d, unsigned bar, enum pci_bar_kind kind,
	uint64_t size, uint8_t low)
{
	unsigned reg = pci_bar_reg(bar);
	uint64_t mask = ~(size - 1);

	assert(bar < PCI_BARS && size_is_pow2(size));
	assert(kind != PCI_BAR_MEM64 || bar < 5);
	d->bar[bar].kind = kind;
	d->bar[bar].size = size;
	d->cfg[reg] = low;
	if (kind == PCI_BAR_MEM64)
		put_le64(d->wmask + reg, mask);
	else
		put_le32(d->wmask + reg, (uint32_t)mask);
}

static uint8_t bar_low_bits(enum pci_bar_kind kind)
{
	return kind == PCI_BAR_IO      ? BAR_IO
	       : kind == PCI_BAR_MEM64 ? BAR_MEM64
				       : 0;
}

void pci_bar_trap(struct pci_dev *d, unsigned bar, enum pci_bar_kind kind,
	uint64_t size, const struct bus_ops *ops, void *opaque)
{
	bar_init(d, bar, kind, size, bar_low_bits(kind));
	d->bar[bar].region = (struct bus_region){ .name = d->name,
		.ops = ops,
		.opaque = opaque,
		.len = size,
		.prio = BUS_BAR };
}

void pci_bar_view(struct pci_dev *d, unsigned bar, enum pci_bar_kind kind,
	uint64_t size, struct gmem_view *view)
{
	bar_init(d, bar, kind, size, bar_low_bits(kind) | BAR_PREFETCH);
	d->bar[bar].view = view;
}

int pci_rom_add(struct pci_dev *d, const void *image, uint64_t len,
	struct err *e)
{
	uint64_t size = 4 * KiB;
	struct gmem_block *block;
	struct gmem_view *view;
	int r;

	if (len == 0 || len > 16 * MiB)
		return err_set(e, EINVAL,
			"%s: option ROM of %llu bytes; 1 byte to 16 MiB "
			"can be shown",
			d->name, (unsigned long long)len);
	while (size < len)
		size *= 2;
	r = gmem_block_new(d->bus->core->gmem, d->name, size, &block, e);
	if (r < 0)
		return r;
	memcpy(gmem_block_ptr(block), image, len);
	r = gmem_view_new(block, 0, size, GMEM_ROM, &view, e);
	if (r < 0)
		return r;
	bar_init(d, PCI_ROM_BAR, PCI_BAR_MEM32, size, 0);
	d->wmask[PCI_ROM_REG] |= ROM_ENABLE;
	d->bar[PCI_ROM_BAR].view = view;
	return 0;
}
