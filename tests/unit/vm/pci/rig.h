/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A machine without KVM for tests of the PCI bus and what sits on it: guest
 * RAM, buses, interrupts, an I/O loop that the test runs itself, and the
 * config space accesses that a guest would make.
 */
#ifndef TESTS_UNIT_VM_PCI_RIG_H
#define TESTS_UNIT_VM_PCI_RIG_H

#include <check.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/pci/pci.h"

struct rig {
	struct core core;
	struct pci_bus *pci;
	unsigned requests;
	/* what the router was told */
	bool pirq[8];
	unsigned routed;
};

static inline void rig_request(void *arg, enum core_request what,
	const char *why)
{
	struct rig *r = arg;

	(void)what;
	(void)why;
	r->requests++;
}

static inline void rig_route(void *arg, unsigned pirq, bool level)
{
	struct rig *r = arg;

	r->pirq[pirq] = level;
	r->routed++;
}

static inline void rig_init(struct rig *r, uint64_t ram, bool ecam)
{
	struct err e = ERR_NONE;
	struct core *c = &r->core;

	memset(r, 0, sizeof(*r));
	c->request = rig_request;
	c->request_arg = r;
	ck_assert_int_eq(log_open("/dev/null", &c->log, &e), 0);
	ck_assert_int_eq(gmem_new(NULL, ram, false, &c->gmem, &e), 0);
	ck_assert_int_eq(bus_new(NULL, true, 0x10000, &c->pio, &e), 0);
	ck_assert_int_eq(bus_new(NULL, false, UINT64_C(1) << 46, &c->mmio, &e),
		0);
	ck_assert_int_eq(irqs_new(NULL, &c->irqs, &e), 0);
	ck_assert_int_eq(loop_new(&c->io, &e), 0);
	ck_assert_int_eq(pci_bus_new(c, ecam, &r->pci, &e), 0);
	pci_bus_set_router(r->pci, rig_route, r);
}

static inline void rig_fini(struct rig *r)
{
	pci_bus_free(r->pci);
	gmem_free(r->core.gmem);
	bus_free(r->core.pio);
	bus_free(r->core.mmio);
	irqs_free(r->core.irqs);
	loop_free(r->core.io);
	log_close(r->core.log);
}

/* Config space of a function through 0xcf8/0xcfc, as a guest does it. */
static inline uint32_t cfg_in(struct rig *r, unsigned devfn, unsigned reg,
	unsigned size)
{
	bus_write(r->core.pio, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc),
		4);
	return (uint32_t)bus_read(r->core.pio, 0xcfc + (reg & 3), size);
}

static inline void cfg_out(struct rig *r, unsigned devfn, unsigned reg,
	uint32_t val, unsigned size)
{
	bus_write(r->core.pio, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc),
		4);
	bus_write(r->core.pio, 0xcfc + (reg & 3), val, size);
}

/* Offset of the nth capability (from 0) with this id, 0 = none. */
static inline unsigned cfg_cap(struct rig *r, unsigned devfn, uint8_t id,
	unsigned nth)
{
	unsigned at = cfg_in(r, devfn, 0x34, 1);

	for (unsigned i = 0; at && i < 48; i++) {
		if (cfg_in(r, devfn, at, 1) == id && nth-- == 0)
			return at;
		at = cfg_in(r, devfn, at + 1, 1);
	}
	return 0;
}

static inline uint64_t mmio_in(struct rig *r, uint64_t addr, unsigned size)
{
	return bus_read(r->core.mmio, addr, size);
}

static inline void mmio_out(struct rig *r, uint64_t addr, uint64_t val,
	unsigned size)
{
	bus_write(r->core.mmio, addr, val, size);
}

#endif
