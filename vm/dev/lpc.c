// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * ICH9 LPC bridge (datasheet 316972, chapter 13). A PIRQ that is asserted
 * drives GSI 16 + n for guests in APIC mode and, where its route register
 * says so, an ISA interrupt for those in PIC mode; that one is the OR of all
 * that share it, the SCI on 9 among them.
 *
 * Threads: any. Locks: config writes come under the PCI bus's lock; INTx
 * changes may come with LOCK_INTX held, so the router's state has a lock of
 * its own between that and LOCK_IRQ.
 */
#include "vm/dev/lpc.h"

#include <errno.h>
#include <stdlib.h>

#include "vm/base/bytes.h"
#include "vm/base/list.h"
#include "vm/base/lock.h"
#include "vm/base/sizes.h"

#include "vm/dev/pm.h"

#define LOCK_PIRQ ((enum lock_rank)(LOCK_INTX + 1))

enum { /* config space */
	C_HEADER = 0x0e,
	C_PMBASE = 0x40,
	C_ACPI_CNTL = 0x44,
	C_PIRQ_AD = 0x60,
	C_SIRQ = 0x64,
	C_PIRQ_EH = 0x68,
	C_DECODE = 0x80, /* LPC decode ranges */
	C_DECODE_END = 0x94,
	C_GEN_PMCON = 0xa0,
	C_GEN_PMCON_END = 0xb0,
	C_FWH = 0xd0, /* firmware hub decode, BIOS_CNTL at 0xdc */
	C_FWH_END = 0xe0,
	C_RCBA = 0xf0,
};

#define ACPI_EN       0x80
#define PMBASE_MASK   0xff80
#define PIRQ_OFF      0x80
#define PIRQ_MASK     0x8f
#define PIRQS         8
#define PIRQ_GSI      16
#define ISA_ROUTABLE  0xdef8 /* 3-7, 9-12, 14, 15 */
#define RCBA_ON       1
#define RCBA_MASK     0xffffc001
#define RCBA_LEN      0x4000
#define RCBA_GCS      0x3410
#define GCS_NO_REBOOT 0x20 /* the TCO watchdog does not exist */

#define RST_CPU    0x04
#define RST_STORED 0x0e
#define P92_RESET  0x01
#define P92_A20    0x02

enum { PORT_POST, PORT_92, PORT_APM, PORT_ED, PORTS };

struct lpc {
	struct device dev;
	struct pci_dev pci;
	struct pci_bus *bus;
	struct core *core;
	struct pm pm;
	struct bus_region port[PORTS];
	struct bus_region rcba;
	uint8_t p92, cf9; /* guarded by lock */
	uint8_t apm[2];   /* likewise */
	uint8_t post[2];  /* likewise: 0x80, 0xed */
	struct lock lock; /* LOCK_DEVICE: the ports */

	struct lock pirq_lock; /* LOCK_PIRQ; guards all that follows */
	uint8_t route[PIRQS];
	uint8_t pirq_levels; /* bit n: PIRQ n is asserted */
	bool sci;
	uint16_t isa_levels; /* what the ISA lines were last set to */
};

/* Bring the ISA lines to what PIRQs, routes and SCI say. */
static void isa_update_locked(struct lpc *l)
{
	uint16_t levels = l->sci ? 1 << LPC_SCI_IRQ : 0, diff;

	for (unsigned n = 0; n < PIRQS; n++)
		if (l->pirq_levels >> n & 1 && !(l->route[n] & PIRQ_OFF))
			levels |= (uint16_t)((1 << (l->route[n] & 15)) &
					     ISA_ROUTABLE);
	diff = levels ^ l->isa_levels;
	l->isa_levels = levels;
	for (unsigned irq = 0; diff >> irq; irq++)
		if (diff >> irq & 1)
			irq_set(l->core->irqs, irq, levels >> irq & 1);
}

static void lpc_route(void *arg, unsigned pirq, bool level)
{
	struct lpc *l = arg;
	uint8_t bit = (uint8_t)(1 << (pirq % PIRQS));

	LOCK_GUARD(&l->pirq_lock);
	if (!!(l->pirq_levels & bit) == level)
		return;
	l->pirq_levels ^= bit;
	irq_set(l->core->irqs, PIRQ_GSI + pirq % PIRQS, level);
	isa_update_locked(l);
}

static void lpc_sci(void *arg, bool level)
{
	struct lpc *l = arg;

	LOCK_GUARD(&l->pirq_lock);
	if (l->sci == level)
		return;
	l->sci = level;
	isa_update_locked(l);
}

static void routes_changed(struct lpc *l)
{
	LOCK_GUARD(&l->pirq_lock);
	for (unsigned n = 0; n < 4; n++) {
		l->route[n] = l->pci.cfg[C_PIRQ_AD + n];
		l->route[n + 4] = l->pci.cfg[C_PIRQ_EH + n];
	}
	isa_update_locked(l);
}

/* A place that the bus refuses decodes nothing: the guest chose it. */
static void pm_moved(struct lpc *l)
{
	unsigned base = get_le16(&l->pci.cfg[C_PMBASE]) & PMBASE_MASK;

	pm_map(&l->pm, l->pci.cfg[C_ACPI_CNTL] & ACPI_EN ? base : 0);
}

static void rcba_moved(struct lpc *l)
{
	uint32_t rcba = get_le32(&l->pci.cfg[C_RCBA]);

	bus_unmap(l->core->mmio, &l->rcba);
	if (rcba & RCBA_ON)
		bus_map(l->core->mmio, &l->rcba, rcba & ~(RCBA_LEN - 1u));
}

static bool touches(unsigned off, unsigned len, unsigned reg, unsigned n)
{
	return off < reg + n && reg < off + len;
}

static void lpc_cfg_written(struct pci_dev *d, unsigned off, unsigned len)
{
	struct lpc *l = container_of(d, struct lpc, pci);

	if (touches(off, len, C_PMBASE, 5))
		pm_moved(l);
	if (touches(off, len, C_PIRQ_AD, 4) || touches(off, len, C_PIRQ_EH, 4))
		routes_changed(l);
	if (touches(off, len, C_RCBA, 4))
		rcba_moved(l);
}

static uint64_t p92_read(void *opaque, uint64_t off, unsigned size)
{
	struct lpc *l = opaque;

	(void)off;
	(void)size;
	LOCK_GUARD(&l->lock);
	return l->p92;
}

static void p92_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct lpc *l = opaque;
	bool rise;

	(void)off;
	(void)size;
	lock_take(&l->lock);
	rise = val & ~l->p92 & P92_RESET;
	l->p92 = val & (P92_RESET | P92_A20);
	lock_drop(&l->lock);
	if (rise)
		core_request(l->core, CORE_RESET, "port 0x92");
}

static uint64_t cf9_read(void *opaque, uint64_t off, unsigned size)
{
	struct lpc *l = opaque;

	(void)off;
	(void)size;
	LOCK_GUARD(&l->lock);
	return l->cf9;
}

static void cf9_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct lpc *l = opaque;
	bool rise;

	(void)off;
	(void)size;
	lock_take(&l->lock);
	rise = val & ~l->cf9 & RST_CPU;
	l->cf9 = val & RST_STORED;
	lock_drop(&l->lock);
	if (rise)
		core_request(l->core, CORE_RESET, "port 0xcf9");
}

/* Advanced power management: without SMM two bytes of storage. */
static uint64_t apm_read(void *opaque, uint64_t off, unsigned size)
{
	struct lpc *l = opaque;

	LOCK_GUARD(&l->lock);
	if (size > 1 && !off)
		return get_le16(l->apm);
	return l->apm[off & 1];
}

static void apm_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct lpc *l = opaque;

	LOCK_GUARD(&l->lock);
	if (size > 1 && !off)
		put_le16(l->apm, (uint16_t)val);
	else
		l->apm[off & 1] = (uint8_t)val;
}

/* POST codes and delays: kept for who reads them back, else nothing. */
static uint64_t post_read(void *opaque, uint64_t off, unsigned size)
{
	uint8_t *byte = opaque;

	(void)off;
	(void)size;
	return __atomic_load_n(byte, __ATOMIC_RELAXED);
}

static void post_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	uint8_t *byte = opaque;

	(void)off;
	(void)size;
	__atomic_store_n(byte, (uint8_t)val, __ATOMIC_RELAXED);
}

static uint64_t rcba_read(void *opaque, uint64_t off, unsigned size)
{
	(void)opaque;
	return off == RCBA_GCS && size == 4 ? GCS_NO_REBOOT : 0;
}

static void rcba_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	(void)opaque;
	(void)off;
	(void)val;
	(void)size;
}

static const struct bus_ops p92_ops = { p92_read, p92_write };
static const struct bus_ops cf9_ops = { cf9_read, cf9_write };
static const struct bus_ops apm_ops = { apm_read, apm_write };
static const struct bus_ops post_ops = { post_read, post_write };
static const struct bus_ops rcba_ops = { rcba_read, rcba_write };

static const struct {
	const char *name;
	uint16_t base, len;
	const struct bus_ops *ops;
} ports[PORTS] = {
	[PORT_POST] = { "post", 0x80, 1, &post_ops },
	[PORT_92] = { "port92", 0x92, 1, &p92_ops },
	[PORT_APM] = { "apm", 0xb2, 2, &apm_ops },
	[PORT_ED] = { "iodelay", 0xed, 1, &post_ops },
};

static void lpc_regions_init(struct lpc *l)
{
	for (unsigned i = 0; i < PORTS; i++)
		l->port[i] = (struct bus_region){
			.name = ports[i].name,
			.ops = ports[i].ops,
			.opaque = l,
			.len = ports[i].len,
			.prio = BUS_FIXED,
		};
	l->port[PORT_POST].opaque = &l->post[0];
	l->port[PORT_ED].opaque = &l->post[1];
	l->rcba = (struct bus_region){
		.name = "rcba",
		.ops = &rcba_ops,
		.opaque = l,
		.len = RCBA_LEN,
		.prio = BUS_FIXED,
	};
}

static void lpc_unmap(struct lpc *l)
{
	for (unsigned i = 0; i < PORTS; i++)
		bus_unmap(l->core->pio, &l->port[i]);
	bus_unmap(l->core->mmio, &l->rcba);
}

static int lpc_map(struct lpc *l, struct err *e)
{
	for (unsigned i = 0; i < PORTS; i++) {
		int r = bus_map(l->core->pio, &l->port[i], ports[i].base);

		if (r)
			return err_sys(e, -r, "LPC bridge: port 0x%x",
				ports[i].base);
	}
	return 0;
}

static void set_storage(struct lpc *l, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		l->pci.wmask[i] = 0xff;
}

static void cfg_init(struct lpc *l)
{
	l->pci.cfg[C_HEADER] = 0x80; /* multifunction */
	put_le16(&l->pci.wmask[C_PMBASE], PMBASE_MASK);
	l->pci.wmask[C_ACPI_CNTL] = ACPI_EN;
	for (unsigned n = 0; n < 4; n++) {
		l->pci.wmask[C_PIRQ_AD + n] = PIRQ_MASK;
		l->pci.wmask[C_PIRQ_EH + n] = PIRQ_MASK;
	}
	set_storage(l, C_SIRQ, C_SIRQ + 1);
	set_storage(l, C_DECODE, C_DECODE_END);
	set_storage(l, C_GEN_PMCON, C_GEN_PMCON_END);
	set_storage(l, C_FWH, C_FWH_END);
	put_le32(&l->pci.wmask[C_RCBA], RCBA_MASK);
}

static void cfg_reset(struct lpc *l)
{
	uint8_t *cfg = l->pci.cfg;

	put_le32(&cfg[C_PMBASE], LPC_PMBASE | 1); /* 1: an I/O address */
	cfg[C_ACPI_CNTL] = ACPI_EN;
	for (unsigned n = 0; n < 4; n++)
		cfg[C_PIRQ_AD + n] = cfg[C_PIRQ_EH + n] = PIRQ_OFF;
	cfg[C_SIRQ] = 0x10;
	for (unsigned i = C_DECODE; i < C_DECODE_END; i++)
		cfg[i] = 0;
	for (unsigned i = C_GEN_PMCON; i < C_GEN_PMCON_END; i++)
		cfg[i] = 0;
	put_le32(&cfg[C_RCBA], 0);
}

static void lpc_reset(struct device *d)
{
	struct lpc *l = container_of(d, struct lpc, dev);

	lock_take(&l->lock);
	l->p92 = P92_A20;
	l->cf9 = 0;
	l->apm[0] = l->apm[1] = 0;
	lock_drop(&l->lock);
	pm_reset(&l->pm);
	cfg_reset(l);
	pm_moved(l);
	rcba_moved(l);
	routes_changed(l);
}

static void lpc_free(struct device *d)
{
	struct lpc *l = container_of(d, struct lpc, dev);

	pci_bus_set_router(l->bus, NULL, NULL);
	pci_bus_set_cf9(l->bus, NULL, NULL);
	pci_dev_del(&l->pci);
	lpc_unmap(l);
	pm_fini(&l->pm);
	lock_fini(&l->pirq_lock);
	lock_fini(&l->lock);
	free(l);
}

static const struct device_ops lpc_ops = {
	.reset = lpc_reset,
	.free = lpc_free,
};

void lpc_power_button(struct device *d)
{
	pm_power_button(&container_of(d, struct lpc, dev)->pm);
}

void lpc_gpe(struct device *d, unsigned n)
{
	pm_gpe(&container_of(d, struct lpc, dev)->pm, n);
}

static const struct pci_ids lpc_ids = {
	.vendor = 0x8086,
	.device = 0x2918,
	.subvendor = 0x1af4,
	.subdevice = 0x1100,
	.class_rev = 0x06010002,
};

int lpc_new(struct core *core, struct pci_bus *bus, struct device **out,
	struct err *e)
{
	struct lpc *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_sys(e, ENOMEM, "LPC bridge");
	l->dev = (struct device){ .name = "lpc", .ops = &lpc_ops };
	l->core = core;
	l->bus = bus;
	lpc_regions_init(l);
	lock_init(&l->lock, "lpc", LOCK_DEVICE);
	lock_init(&l->pirq_lock, "pirq", LOCK_PIRQ);
	pm_init(&l->pm, core, lpc_sci, l);
	r = lpc_map(l, e);
	if (!r)
		r = pci_dev_add(bus, &l->pci, "lpc", PCI_DEVFN(31, 0), &lpc_ids,
			e);
	if (r) {
		lpc_unmap(l);
		pm_fini(&l->pm);
		lock_fini(&l->pirq_lock);
		lock_fini(&l->lock);
		free(l);
		return r;
	}
	cfg_init(l);
	l->pci.cfg_written = lpc_cfg_written;
	pci_bus_set_router(bus, lpc_route, l);
	pci_bus_set_cf9(bus, &cf9_ops, l);
	lpc_reset(&l->dev);
	*out = &l->dev;
	return 0;
}
