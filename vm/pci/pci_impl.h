/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of vm/pci: the bus, and what its files call of each other.
 *
 * Locks of a bus: lock (LOCK_PCI) guards config spaces and where BARs are;
 * intx (LOCK_INTX) guards the wires. A function's MSI-X has a lock of rank
 * LOCK_INTX too; the two are never held together. dev[] is written while no
 * vCPU runs.
 */
#ifndef VM_PCI_PCI_IMPL_H
#define VM_PCI_PCI_IMPL_H

#include "vm/base/lock.h"
#include "vm/base/log.h"

#include "vm/pci/pci.h"

#define PCI_DEVFNS 256
#define PCI_PIRQS  8

/* Registers, PCI 3.0 section 6.1 */
#define PCI_VENDOR      0x00
#define PCI_COMMAND     0x04
#define PCI_STATUS      0x06
#define PCI_CLASS_REV   0x08
#define PCI_CACHE_LINE  0x0c
#define PCI_LATENCY     0x0d
#define PCI_HEADER_TYPE 0x0e
#define PCI_BAR0        0x10
#define PCI_SUBSYSTEM   0x2c
#define PCI_ROM_REG     0x30
#define PCI_CAP_PTR     0x34
#define PCI_INT_LINE    0x3c
#define PCI_INT_PIN     0x3d

#define PCI_CMD_IO       0x0001
#define PCI_CMD_MEM      0x0002
#define PCI_CMD_MASTER   0x0004
#define PCI_CMD_INTX_OFF 0x0400
#define PCI_STATUS_INTX  0x08
#define PCI_STATUS_CAPS  0x10
#define PCI_MULTIFUNC    0x80

#define PCI_CAP_MSIX 0x11
#define PCI_CAP_EXP  0x10

struct pci_bus {
	struct core *core;
	struct lock lock;
	struct pci_dev *dev[PCI_DEVFNS];

	/* 0xcf8; guarded by lock */
	uint32_t conf1_addr;
	struct bus_region conf1;
	const struct bus_ops *cf9; /* constant while vCPUs run; may be NULL */
	void *cf9_arg;

	struct pci_dev host;
	struct bus_region ecam;
	bool ecam_at_reset; /* constant */
	struct log_limit log_limit;

	struct lock intx;
	unsigned pirq_count[PCI_PIRQS]; /* guarded by intx: asserted wires */
	void (*route)(void *arg, unsigned pirq, bool level);
	void *route_arg;
};

/* Do [off, off+len) and [reg, reg+reg_len) share a byte? */
static inline bool pci_overlaps(unsigned off, unsigned len, unsigned reg,
	unsigned reg_len)
{
	return off < reg + reg_len && reg < off + len;
}

/*
 * Config bytes are written under the bus's lock and also read without it
 * (command register on data paths): relaxed atomics.
 */
static inline uint8_t pci_byte(const struct pci_dev *d, unsigned off)
{
	return __atomic_load_n(&d->cfg[off], __ATOMIC_RELAXED);
}

static inline void pci_byte_set(struct pci_dev *d, unsigned off, uint8_t v)
{
	__atomic_store_n(&d->cfg[off], v, __ATOMIC_RELAXED);
}

static inline unsigned pci_command(const struct pci_dev *d)
{
	return (unsigned)(pci_byte(d, PCI_COMMAND) |
			  pci_byte(d, PCI_COMMAND + 1) << 8);
}

/* config.c: one function's config space; off + size <= PCI_CFG_SIZE */
uint64_t pci_cfg_read(struct pci_dev *d, unsigned off, unsigned size);
void pci_cfg_write(struct pci_dev *d, unsigned off, uint64_t val,
	unsigned size);
/* Keep the power-on values, before the first thing that changes them. */
void pci_cfg_freeze(struct pci_dev *d);
/* Back to power-on: config space, BARs, INTx, MSI-X. */
void pci_cfg_reset(struct pci_dev *d);

/* host.c: put the host bridge on b; the ECAM window follows PCIEXBAR. */
int pci_host_init(struct pci_bus *b, struct err *e);
void pci_host_ecam_update(struct pci_bus *b);

/* ecam.c: both ways into config space */
extern const struct bus_ops pci_conf1_ops;
extern const struct bus_ops pci_ecam_ops;

/* bar.c: (un)map BARs as command and base registers say. Under lock. */
void pci_bars_update(struct pci_dev *d);
void pci_bars_unmap(struct pci_dev *d);
/* Register offset of a BAR. */
unsigned pci_bar_reg(unsigned bar);

/* intx.c: recompute the wire after level or command changed. */
void pci_intx_update(struct pci_dev *d);

/* msix.c */
struct pci_msix {
	struct lock lock;
	unsigned n;
	unsigned cap;     /* offset in config space */
	uint64_t pba_off; /* in the BAR */
	uint8_t *table;   /* guarded by lock; n entries */
	uint8_t *pending; /* guarded by lock; bit a vector */
	uint64_t pba_len;
	struct irq_msi *vec; /* guarded by lock */
	bool enabled;        /* written under lock, read by any (atomic) */
	bool masked;         /* guarded by lock */
};

void pci_msix_ctrl_written(struct pci_dev *d, unsigned off, unsigned len);
void pci_msix_reset(struct pci_dev *d);
void pci_msix_free(struct pci_dev *d);

#endif
