/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest that writes anything anywhere in config space, the MSI-X table and
 * the ECAM window, moves BARs over RAM, the chipset and each other, while
 * devices raise interrupts. After a reset all must be as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/pci/pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FN1 PCI_DEVFN(2, 0)
#define FN2 PCI_DEVFN(31, 2)

static struct core core;
static struct pci_bus *bus;
static struct pci_dev dev[2];
static uint8_t fresh[2][PCI_CFG_SIZE];
static unsigned wires[8];

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void route(void *arg, unsigned pirq, bool level)
{
	(void)arg;
	must(pirq < 8);
	wires[pirq] = level;
}

static uint64_t trap_read(void *opaque, uint64_t off, unsigned size)
{
	const struct pci_bar *b = opaque;

	must(size_in(off, size, b->size));
	return off;
}

static void trap_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	(void)val;
	trap_read(opaque, off, size);
}

static const struct bus_ops ops = { trap_read, trap_write };

static void moved(struct pci_dev *d, unsigned bar, uint64_t addr)
{
	must(addr == GPA_NONE || addr % d->bar[bar].size == 0);
}

static void trap(struct pci_dev *d, unsigned bar, enum pci_bar_kind kind,
	uint64_t size)
{
	pci_bar_trap(d, bar, kind, size, &ops, &d->bar[bar]);
}

static void make_devices(void)
{
	static const struct pci_ids ids = { 1, 2, 3, 4, 0x02000000 };
	static const uint8_t rom[3000];
	struct gmem_block *block;
	struct gmem_view *view;

	must(!pci_dev_add(bus, &dev[0], "one", FN1, &ids, NULL));
	must(!pci_dev_add(bus, &dev[1], "two", FN2, &ids, NULL));
	must(!gmem_block_new(core.gmem, "vram", MiB, &block, NULL));
	must(!gmem_view_new(block, 0, MiB, GMEM_DIRTY, &view, NULL));
	trap(&dev[0], 0, PCI_BAR_IO, 4);
	trap(&dev[0], 2, PCI_BAR_MEM64, 16 * KiB);
	trap(&dev[1], 0, PCI_BAR_MEM32, 4 * KiB);
	trap(&dev[1], 3, PCI_BAR_IO, 256);
	pci_bar_view(&dev[1], 1, PCI_BAR_MEM32, MiB, view);
	must(!pci_rom_add(&dev[1], rom, sizeof(rom), NULL));
	must(!pci_msix_add(&dev[0], 5, 1, NULL));
	pci_intx_pin(&dev[0], 1);
	pci_intx_pin(&dev[1], 3);
	pci_express_add(&dev[0]);
	for (int i = 0; i < 2; i++) {
		dev[i].bar_moved = moved;
		memcpy(fresh[i], dev[i].cfg, PCI_CFG_SIZE);
	}
}

static void setup(void)
{
	must(!log_open("/dev/null", &core.log, NULL));
	must(!gmem_new(NULL, 2 * MiB, false, &core.gmem, NULL));
	must(!bus_new(NULL, true, 0x10000, &core.pio, NULL));
	must(!bus_new(NULL, false, UINT64_C(1) << 46, &core.mmio, NULL));
	must(!irqs_new(NULL, &core.irqs, NULL));
	must(!loop_new(&core.io, NULL));
	must(!pci_bus_new(&core, true, &bus, NULL));
	pci_bus_set_router(bus, route, NULL);
	make_devices();
}

/* Where a guest would look: the functions, what the BARs say, anything. */
static uint64_t pick_address(uint8_t how, uint32_t v)
{
	struct pci_dev *d = &dev[how & 1];
	unsigned fn = how & 1 ? FN2 : FN1;

	switch (how >> 1 & 3) {
	case 0:
		return GMEM_ECAM_BASE + ((uint64_t)fn << 12) + (v & 0xfff);
	case 1:
		return d->bar[v % PCI_BARS].addr + (v >> 8 & 0xffff);
	case 2:
		return GMEM_ECAM_BASE + (v & 0xfffffff);
	default:
		return v;
	}
}

static void access(struct bus *b, uint8_t op, uint64_t addr, uint64_t val)
{
	unsigned size = 1U << (op >> 6);

	if (op & 0x20)
		bus_read(b, addr, size);
	else
		bus_write(b, addr, val, size);
}

static void config(uint8_t op, uint8_t how, uint32_t v)
{
	unsigned fn = how & 2 ? 0 : how & 1 ? FN2 : FN1;

	bus_write(core.pio, 0xcf8, 0x80000000u | fn << 8 | (how & 0xfc), 4);
	access(core.pio, op, 0xcfc + (op >> 4 & 1), v);
}

/* op, how, le32: one step */
static void step(const uint8_t *s)
{
	uint8_t op = s[0], how = s[1];
	uint32_t v = get_le32(s + 2);
	struct pci_dev *d = &dev[how & 1];

	switch (op & 0xf) {
	case 0 ... 5:
		config(op, how, v);
		break;
	case 6 ... 8:
		access(core.mmio, op, pick_address(how, v), v);
		break;
	case 9:
		access(core.pio, op, v & 0xffff, v >> 8);
		break;
	case 10:
		pci_msix_fire(&dev[0], how);
		break;
	case 11:
		pci_intx_set(d, v & 1);
		break;
	case 12:
		must(pci_is_master(d) == !!(d->cfg[4] & 4));
		pci_bus_reroute(bus);
		break;
	case 13:
		pci_bus_assign(bus);
		break;
	default:
		pci_bus_reset(bus);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!bus)
		setup();
	pci_bus_assign(bus);
	for (; size >= 6; data += 6, size -= 6)
		step(data);
	pci_bus_reset(bus);
	for (int i = 0; i < 2; i++) {
		must(!memcmp(fresh[i], dev[i].cfg, PCI_CFG_SIZE));
		for (int n = 0; n < PCI_BARS; n++)
			must(dev[i].bar[n].addr == GPA_NONE);
	}
	for (int i = 0; i < 8; i++)
		must(!wires[i]);
	return 0;
}
