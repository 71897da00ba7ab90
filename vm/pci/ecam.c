/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The two ways into config space: mechanism #1 at ports 0xcf8 and 0xcfc (PCI
 * 3.0, 3.2.2.3.2) and the memory window of PCI Express (ECAM, PCIe 4.0
 * 7.2.2). Absent functions are answered without a lock: a booting Linux asks
 * for thousands of them. Thread: vCPU.
 */
#include "vm/base/bytes.h"

#include "vm/pci/pci.h"
#include "vm/pci/pci_impl.h"

#define CONF1_ENABLE UINT32_C(0x80000000)
#define CONF1_RESET  1 /* offset of 0xcf9 in the region */
#define CONF1_DATA   4 /* offset of 0xcfc */

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
}

static uint64_t dev_read(struct pci_dev *d, unsigned off, unsigned size)
{
	LOCK_GUARD(&d->bus->lock);
	return pci_cfg_read(d, off, size);
}

static void dev_write(struct pci_dev *d, unsigned off, uint64_t val,
	unsigned size)
{
	LOCK_GUARD(&d->bus->lock);
	pci_cfg_write(d, off, val, size);
}

/* Function and register that 0xcf8 selects, NULL if there is none. */
static struct pci_dev *conf1_target(struct pci_bus *b, uint64_t off,
	unsigned *reg)
{
	uint32_t a = __atomic_load_n(&b->conf1_addr, __ATOMIC_RELAXED);

	if (!(a & CONF1_ENABLE) || (a >> 16 & 0xff) != 0)
		return NULL;
	*reg = (a & 0xfc) + (unsigned)(off - CONF1_DATA);
	return b->dev[a >> 8 & 0xff];
}

/* 0xcf8-0xcfb: the address register, but for the byte at 0xcf9. */
static uint64_t addr_read(struct pci_bus *b, uint64_t off, unsigned size)
{
	if (off == 0 && size == 4)
		return __atomic_load_n(&b->conf1_addr, __ATOMIC_RELAXED);
	if (off == CONF1_RESET && size == 1 && b->cf9)
		return b->cf9->read(b->cf9_arg, 0, 1);
	return ones(size);
}

static void addr_write(struct pci_bus *b, uint64_t off, uint64_t val,
	unsigned size)
{
	if (off == 0 && size == 4)
		__atomic_store_n(&b->conf1_addr, (uint32_t)val & ~UINT32_C(3),
			__ATOMIC_RELAXED);
	else if (off == CONF1_RESET && size == 1 && b->cf9)
		b->cf9->write(b->cf9_arg, 0, val, 1);
}

static uint64_t conf1_read(void *opaque, uint64_t off, unsigned size)
{
	struct pci_bus *b = opaque;
	struct pci_dev *d;
	unsigned reg;

	if (off < CONF1_DATA)
		return addr_read(b, off, size);
	d = conf1_target(b, off, &reg);
	return d ? dev_read(d, reg, size) : ones(size);
}

static void conf1_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct pci_bus *b = opaque;
	struct pci_dev *d;
	unsigned reg;

	if (off < CONF1_DATA) {
		addr_write(b, off, val, size);
		return;
	}
	d = conf1_target(b, off, &reg);
	if (d)
		dev_write(d, reg, val, size);
}

const struct bus_ops pci_conf1_ops = { conf1_read, conf1_write };

/* [27:20] bus, [19:12] function, [11:0] register */
static struct pci_dev *ecam_target(struct pci_bus *b, uint64_t off)
{
	return off >> 20 ? NULL : b->dev[off >> 12 & 0xff];
}

static uint64_t ecam_read(void *opaque, uint64_t off, unsigned size)
{
	struct pci_dev *d = ecam_target(opaque, off);
	unsigned reg = off & (PCI_CFG_SIZE - 1);

	if (!d || reg + size > PCI_CFG_SIZE)
		return ones(size);
	return dev_read(d, reg, size);
}

static void ecam_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct pci_dev *d = ecam_target(opaque, off);
	unsigned reg = off & (PCI_CFG_SIZE - 1);

	if (d && reg + size <= PCI_CFG_SIZE)
		dev_write(d, reg, val, size);
}

const struct bus_ops pci_ecam_ops = { ecam_read, ecam_write };
