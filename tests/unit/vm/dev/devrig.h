/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A machine without KVM for tests and fuzzers of devices: guest RAM, buses,
 * interrupts, PCI, and an I/O loop that the test runs itself, so nothing
 * happens behind its back.
 */
#ifndef TESTS_UNIT_VM_DEV_DEVRIG_H
#define TESTS_UNIT_VM_DEV_DEVRIG_H

#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/core/device.h"
#include "vm/pci/pci.h"

struct devrig {
	struct core core;
	struct pci_bus *pci;
	unsigned requests[3]; /* by enum core_request */
};

static inline void devrig_request(void *arg, enum core_request what,
	const char *why)
{
	struct devrig *r = arg;

	(void)why;
	r->requests[what]++;
}

/* PIRQs as guests in APIC mode have them; the LPC bridge takes this over. */
static inline void devrig_route(void *arg, unsigned pirq, bool level)
{
	struct devrig *r = arg;

	irq_set(r->core.irqs, 16 + pirq, level);
}

/* Nothing can fail here but for want of memory. */
static inline void devrig_init(struct devrig *r, uint64_t ram)
{
	struct core *c = &r->core;
	struct err e = ERR_NONE;
	int bad = 0;

	memset(r, 0, sizeof(*r));
	c->request = devrig_request;
	c->request_arg = r;
	bad |= log_open("/dev/null", &c->log, &e);
	bad |= gmem_new(NULL, ram, false, &c->gmem, &e);
	bad |= bus_new(NULL, true, 0x10000, &c->pio, &e);
	bad |= bus_new(NULL, false, UINT64_C(1) << 46, &c->mmio, &e);
	bad |= irqs_new(NULL, &c->irqs, &e);
	bad |= loop_new(&c->io, &e);
	bad |= pci_bus_new(c, false, &r->pci, &e);
	if (bad)
		abort();
	pci_bus_set_router(r->pci, devrig_route, r);
}

static inline void devrig_fini(struct devrig *r)
{
	pci_bus_free(r->pci);
	irqs_free(r->core.irqs);
	bus_free(r->core.pio);
	bus_free(r->core.mmio);
	loop_free(r->core.io);
	gmem_free(r->core.gmem);
	log_close(r->core.log);
}

/* Let the I/O thread do what is due now. */
static inline void devrig_io(struct devrig *r)
{
	for (int i = 0; i < 4; i++)
		loop_run_once(r->core.io, 0);
}

/* Let it work until cond holds. */
#define devrig_until(r, cond)                                                  \
	do                                                                     \
		loop_run_once((r)->core.io, (cond) ? 0 : 100);                 \
	while (!(cond))

static inline uint8_t in8(struct devrig *r, unsigned port)
{
	return (uint8_t)bus_read(r->core.pio, port, 1);
}

static inline uint32_t in32(struct devrig *r, unsigned port)
{
	return (uint32_t)bus_read(r->core.pio, port, 4);
}

static inline void out8(struct devrig *r, unsigned port, uint8_t val)
{
	bus_write(r->core.pio, port, val, 1);
}

static inline void out16(struct devrig *r, unsigned port, uint16_t val)
{
	bus_write(r->core.pio, port, val, 2);
}

static inline void out32(struct devrig *r, unsigned port, uint32_t val)
{
	bus_write(r->core.pio, port, val, 4);
}

static inline uint32_t cfg_in(struct devrig *r, unsigned devfn, unsigned reg,
	unsigned size)
{
	out32(r, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	return (uint32_t)bus_read(r->core.pio, 0xcfc + (reg & 3), size);
}

static inline void cfg_out(struct devrig *r, unsigned devfn, unsigned reg,
	uint32_t val, unsigned size)
{
	out32(r, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	bus_write(r->core.pio, 0xcfc + (reg & 3), val, size);
}

static inline bool irq(struct devrig *r, unsigned gsi)
{
	return irq_level(r->core.irqs, gsi);
}

#endif
