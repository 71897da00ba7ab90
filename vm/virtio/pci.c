/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Virtio over PCI, modern only (virtio 1.2, 4.1). BAR4 holds the common
 * registers, ISR status, the device's config and one doorbell a queue; BAR1
 * the MSI-X table; a capability gives a window into BAR4 for those who cannot
 * map it. While rings are live each doorbell is an ioeventfd, so a kick goes
 * from KVM straight to the I/O thread.
 *
 * Lock: the device's (v->lock) guards the registers here too.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/virtio/impl.h"
#include "vm/virtio/virtio.h"

#define BAR_REGS 4
#define BAR_MSIX 1
#define BAR_LEN  0x4000

/* Where things are in BAR4 */
#define AT_COMMON  0x0000
#define AT_ISR     0x1000
#define AT_CONFIG  0x2000
#define AT_NOTIFY  0x3000
#define COMMON_LEN 64
#define NOTIFY_MUL 4

/* Capabilities, 4.1.4 */
#define CAP_VENDOR    0x09
#define CAP_LEN       16
#define CAP_COMMON    1
#define CAP_NOTIFY    2
#define CAP_ISR       3
#define CAP_DEVICE    4
#define CAP_PCI_CFG   5
#define CAP_AT_BAR    4
#define CAP_AT_OFFSET 8
#define CAP_AT_LENGTH 12
#define CAP_AT_DATA   16

/* struct virtio_pci_common_cfg, 4.1.4.3 */
#define R_DEV_FEATURE_SEL 0
#define R_DEV_FEATURE     4
#define R_DRV_FEATURE_SEL 8
#define R_DRV_FEATURE     12
#define R_CONFIG_VECTOR   16
#define R_NUM_QUEUES      18
#define R_STATUS          20
#define R_GENERATION      21
#define R_QUEUE_SEL       22
#define R_QUEUE_SIZE      24
#define R_QUEUE_VECTOR    26
#define R_QUEUE_ENABLE    28
#define R_QUEUE_NOTIFY    30
#define R_QUEUE_DESC      32
#define R_QUEUE_DRIVER    40
#define R_QUEUE_DEVICE    48

#define ISR_QUEUE  1
#define ISR_CONFIG 2

struct virtio_pci {
	struct pci_dev pci;
	struct virtio_dev *v;
	unsigned window; /* offset of the PCI_CFG capability, constant */

	/* guarded by v->lock */
	uint32_t dev_feature_sel, drv_feature_sel;
	uint16_t queue_sel;
	uint16_t config_vector;
	uint8_t isr;
	uint64_t bar_addr; /* GPA_NONE = BAR4 is not mapped */
	bool live;         /* rings are: kicks are wanted */
	uint64_t hooked_at;
	uint64_t hooked; /* queues with an ioeventfd, bit each */
};

static struct virtio_pci *pci_of(struct virtio_dev *v)
{
	return v->transport_data;
}

/* --- interrupts ------------------------------------------------------------
 */

static void isr_raise_locked(struct virtio_pci *p, uint8_t bits)
{
	p->isr |= bits;
	pci_intx_set(&p->pci, true);
}

static void notify_queue(struct virtio_dev *v, unsigned n)
{
	struct virtio_pci *p = pci_of(v);

	if (pci_msix_enabled(&p->pci)) {
		/* VIRTIO_NO_VECTOR is past any table */
		pci_msix_fire(&p->pci,
			__atomic_load_n(&v->regs[n].vector, __ATOMIC_RELAXED));
		return;
	}
	LOCK_GUARD(&v->lock);
	isr_raise_locked(p, ISR_QUEUE);
}

static void notify_config(struct virtio_dev *v)
{
	struct virtio_pci *p = pci_of(v);

	if (pci_msix_enabled(&p->pci))
		pci_msix_fire(&p->pci, p->config_vector);
	else
		isr_raise_locked(p, ISR_QUEUE | ISR_CONFIG);
}

static uint8_t isr_take_locked(struct virtio_pci *p)
{
	uint8_t isr = p->isr;

	p->isr = 0;
	pci_intx_set(&p->pci, false);
	return isr;
}

/* --- kicks -------------------------------------------------------------------
 */

static uint64_t doorbell(uint64_t bar, unsigned n)
{
	return bar + AT_NOTIFY + n * NOTIFY_MUL;
}

/* Make the ioeventfds what live and bar_addr say. */
static void hooks_update_locked(struct virtio_pci *p)
{
	struct virtio_dev *v = p->v;
	uint64_t want = p->live ? p->bar_addr : GPA_NONE;

	if (want == p->hooked_at)
		return;
	for (unsigned i = 0; i < v->info.nqueues; i++)
		if (p->hooked >> i & 1)
			bus_ioeventfd_del(v->core->mmio,
				doorbell(p->hooked_at, i), 0, false, 0,
				v->vq[i]->kick_fd);
	p->hooked = 0;
	p->hooked_at = want;
	/* one that cannot be had comes as a trapped write instead */
	for (unsigned i = 0; want != GPA_NONE && i < v->info.nqueues; i++)
		if (v->regs[i].enabled &&
			bus_ioeventfd_add(v->core->mmio, doorbell(want, i), 0,
				false, 0, v->vq[i]->kick_fd) == 0)
			p->hooked |= UINT64_C(1) << i;
}

static void bar_moved(struct pci_dev *d, unsigned bar, uint64_t addr)
{
	struct virtio_pci *p = container_of(d, struct virtio_pci, pci);

	if (bar != BAR_REGS)
		return;
	LOCK_GUARD(&p->v->lock);
	p->bar_addr = addr;
	hooks_update_locked(p);
}

static void transport_live(struct virtio_dev *v, bool on)
{
	struct virtio_pci *p = pci_of(v);

	LOCK_GUARD(&v->lock);
	p->live = on;
	hooks_update_locked(p);
}

/* --- common registers
 * --------------------------------------------------------- */

static void put_queue_regs(struct virtio_pci *p, uint8_t *r)
{
	struct virtio_dev *v = p->v;
	const struct virtio_queue_regs *q;

	if (p->queue_sel >= v->info.nqueues)
		return; /* all zero: no such queue */
	q = &v->regs[p->queue_sel];
	put_le16(r + R_QUEUE_SIZE, q->size);
	put_le16(r + R_QUEUE_VECTOR, q->vector);
	put_le16(r + R_QUEUE_ENABLE, q->enabled);
	put_le16(r + R_QUEUE_NOTIFY, p->queue_sel);
	put_le64(r + R_QUEUE_DESC, q->desc);
	put_le64(r + R_QUEUE_DRIVER, q->driver);
	put_le64(r + R_QUEUE_DEVICE, q->device);
}

static uint64_t common_read(struct virtio_pci *p, unsigned off, unsigned size)
{
	struct virtio_dev *v = p->v;
	uint8_t r[COMMON_LEN + 8] = { 0 };
	uint64_t offered = virtio_offered(v);

	if (off > COMMON_LEN)
		return 0;
	put_le32(r + R_DEV_FEATURE_SEL, p->dev_feature_sel);
	if (p->dev_feature_sel < 2)
		put_le32(r + R_DEV_FEATURE,
			(uint32_t)(offered >> 32 * p->dev_feature_sel));
	put_le32(r + R_DRV_FEATURE_SEL, p->drv_feature_sel);
	if (p->drv_feature_sel < 2)
		put_le32(r + R_DRV_FEATURE,
			(uint32_t)(v->driver_features >>
				   32 * p->drv_feature_sel));
	put_le16(r + R_CONFIG_VECTOR, p->config_vector);
	put_le16(r + R_NUM_QUEUES, (uint16_t)v->info.nqueues);
	r[R_STATUS] = v->status;
	r[R_GENERATION] = v->generation;
	put_le16(r + R_QUEUE_SEL, p->queue_sel);
	put_queue_regs(p, r);
	return get_le(r + off, size);
}

/* A vector that does not exist reads back as none (4.1.5.1.2). */
static uint16_t vector_checked(const struct virtio_dev *v, uint64_t val)
{
	return val <= v->info.nqueues ? (uint16_t)val : VIRTIO_NO_VECTOR;
}

/* One 64-bit address, written whole or by halves. */
static void addr_write(uint64_t *addr, unsigned off, uint64_t val,
	unsigned size)
{
	if (size == 8)
		*addr = val;
	else if (size == 4 && off == 0)
		*addr = (*addr & ~(uint64_t)UINT32_MAX) | (uint32_t)val;
	else if (size == 4)
		*addr = (*addr & UINT32_MAX) | val << 32;
}

static void queue_write(struct virtio_pci *p, unsigned off, uint64_t val,
	unsigned size)
{
	struct virtio_dev *v = p->v;
	struct virtio_queue_regs *q;

	if (p->queue_sel >= v->info.nqueues)
		return;
	q = &v->regs[p->queue_sel];
	if (off == R_QUEUE_VECTOR && size == 2)
		__atomic_store_n(&q->vector, vector_checked(v, val),
			__ATOMIC_RELAXED);
	/* rings are looked at once, at DRIVER_OK */
	if (v->started)
		return;
	if (off == R_QUEUE_SIZE && size == 2) {
		if (val >= 1 && val <= v->info.queue_size)
			q->size = (uint16_t)val;
	} else if (off == R_QUEUE_ENABLE && size == 2) {
		q->enabled |= val == 1;
	} else if (off >= R_QUEUE_DESC && off < R_QUEUE_DRIVER) {
		addr_write(&q->desc, off & 7, val, size);
	} else if (off >= R_QUEUE_DRIVER && off < R_QUEUE_DEVICE) {
		addr_write(&q->driver, off & 7, val, size);
	} else if (off >= R_QUEUE_DEVICE && off < R_QUEUE_DEVICE + 8) {
		addr_write(&q->device, off & 7, val, size);
	}
}

static void common_write(struct virtio_pci *p, unsigned off, uint64_t val,
	unsigned size)
{
	struct virtio_dev *v = p->v;

	/* drivers access each field by its own width (4.1.3.1) */
	if (off == R_DEV_FEATURE_SEL && size == 4)
		p->dev_feature_sel = (uint32_t)val;
	else if (off == R_DRV_FEATURE_SEL && size == 4)
		p->drv_feature_sel = (uint32_t)val;
	else if (off == R_DRV_FEATURE && size == 4)
		virtio_features_write_locked(v, p->drv_feature_sel,
			(uint32_t)val);
	else if (off == R_CONFIG_VECTOR && size == 2)
		p->config_vector = vector_checked(v, val);
	else if (off == R_STATUS && size == 1)
		virtio_status_write_locked(v, (uint8_t)val);
	else if (off == R_QUEUE_SEL && size == 2)
		p->queue_sel = (uint16_t)val;
	else if (off >= R_QUEUE_SIZE)
		queue_write(p, off, val, size);
}

/* --- BAR4 -------------------------------------------------------------------
 */

/* wait: the caller may block for a reset that is going on (no PCI lock). */
static uint64_t regs_read(struct virtio_pci *p, uint64_t off, unsigned size,
	bool wait)
{
	struct virtio_dev *v = p->v;

	LOCK_GUARD(&v->lock);
	if (off < AT_ISR) {
		if (wait && v->resetting && off != R_STATUS)
			virtio_settle_locked(v);
		return common_read(p, (unsigned)off, size);
	}
	if (off < AT_CONFIG)
		return off == AT_ISR ? isr_take_locked(p) : 0;
	if (off < AT_NOTIFY)
		return virtio_config_read_locked(v, (unsigned)(off - AT_CONFIG),
			size);
	return 0;
}

static void regs_write(struct virtio_pci *p, uint64_t off, uint64_t val,
	unsigned size, bool wait)
{
	struct virtio_dev *v = p->v;

	if (off >= AT_NOTIFY) {
		unsigned n = (unsigned)(off - AT_NOTIFY) / NOTIFY_MUL;

		if (n < v->info.nqueues)
			virtio_kick(v, n);
		return;
	}
	LOCK_GUARD(&v->lock);
	if (v->resetting && !(wait && virtio_settle_locked(v)))
		return;
	if (off < AT_ISR)
		common_write(p, (unsigned)off, val, size);
	else if (off >= AT_CONFIG)
		virtio_config_write_locked(v, (unsigned)(off - AT_CONFIG), val,
			size);
}

static uint64_t bar_read(void *opaque, uint64_t off, unsigned size)
{
	return regs_read(opaque, off, size, true);
}

static void bar_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	regs_write(opaque, off, val, size, true);
}

static const struct bus_ops bar_ops = { bar_read, bar_write };

/* --- config space
 * -------------------------------------------------------------- */

/* What the window shows: offset in BAR4, 0 = access is not legal (4.1.4.9). */
static unsigned window_target(const struct virtio_pci *p, uint32_t *off)
{
	const uint8_t *c = p->pci.cfg + p->window;
	uint32_t len = get_le32(c + CAP_AT_LENGTH);

	*off = get_le32(c + CAP_AT_OFFSET);
	if (c[CAP_AT_BAR] != BAR_REGS || (len != 1 && len != 2 && len != 4))
		return 0;
	if (*off % len || !size_in(*off, len, BAR_LEN))
		return 0;
	return len;
}

static bool window_touched(const struct virtio_pci *p, unsigned off,
	unsigned len)
{
	unsigned data = p->window + CAP_AT_DATA;

	return off < data + 4 && data < off + len;
}

static void cfg_reading(struct pci_dev *d, unsigned off, unsigned len)
{
	struct virtio_pci *p = container_of(d, struct virtio_pci, pci);
	uint32_t at;
	unsigned n;

	if (!window_touched(p, off, len))
		return;
	n = window_target(p, &at);
	if (n)
		put_le(d->cfg + p->window + CAP_AT_DATA,
			regs_read(p, at, n, false), n);
}

static void cfg_written(struct pci_dev *d, unsigned off, unsigned len)
{
	struct virtio_pci *p = container_of(d, struct virtio_pci, pci);
	uint32_t at;
	unsigned n;

	/* bus mastering may have come back: kicks were not served meanwhile */
	if (off < 6 && off + len > 4)
		virtio_recheck(p->v);
	if (!window_touched(p, off, len))
		return;
	n = window_target(p, &at);
	if (n)
		regs_write(p, at, get_le(d->cfg + p->window + CAP_AT_DATA, n),
			n, false);
}

static unsigned cap_add(struct pci_dev *d, uint8_t type, uint32_t off,
	uint32_t len, unsigned extra)
{
	unsigned at = pci_cap_add(d, CAP_VENDOR, CAP_LEN + extra);

	if (!at)
		return 0;
	d->cfg[at + 2] = (uint8_t)(CAP_LEN + extra);
	d->cfg[at + 3] = type;
	d->cfg[at + CAP_AT_BAR] = BAR_REGS;
	put_le32(d->cfg + at + CAP_AT_OFFSET, off);
	put_le32(d->cfg + at + CAP_AT_LENGTH, len);
	return at;
}

static int caps_add(struct virtio_pci *p, struct err *e)
{
	struct virtio_dev *v = p->v;
	struct pci_dev *d = &p->pci;
	unsigned common, isr, config = 1, notify;

	common = cap_add(d, CAP_COMMON, AT_COMMON, COMMON_LEN, 0);
	isr = cap_add(d, CAP_ISR, AT_ISR, 1, 0);
	if (v->info.config_len)
		config = cap_add(d, CAP_DEVICE, AT_CONFIG, v->info.config_len,
			0);
	notify = cap_add(d, CAP_NOTIFY, AT_NOTIFY, v->info.nqueues * NOTIFY_MUL,
		4);
	p->window = cap_add(d, CAP_PCI_CFG, 0, 0, 4);
	if (!common || !isr || !config || !notify || !p->window)
		return err_set(e, ENOSPC, "%s: PCI config space is full",
			v->info.name);
	put_le32(d->cfg + notify + CAP_LEN, NOTIFY_MUL);
	d->wmask[p->window + CAP_AT_BAR] = 0xff;
	put_le32(d->wmask + p->window + CAP_AT_OFFSET, UINT32_MAX);
	put_le32(d->wmask + p->window + CAP_AT_LENGTH, UINT32_MAX);
	put_le32(d->wmask + p->window + CAP_AT_DATA, UINT32_MAX);
	return 0;
}

/* --- made, reset, freed
 * --------------------------------------------------------- */

static void transport_reset(struct virtio_dev *v)
{
	struct virtio_pci *p = pci_of(v);

	p->dev_feature_sel = p->drv_feature_sel = 0;
	p->queue_sel = 0;
	p->config_vector = VIRTIO_NO_VECTOR;
	isr_take_locked(p);
}

static bool transport_may_dma(struct virtio_dev *v)
{
	return pci_is_master(&pci_of(v)->pci);
}

static void transport_remove(struct virtio_dev *v)
{
	struct virtio_pci *p = pci_of(v);

	pci_dev_del(&p->pci);
	v->transport = NULL;
	v->transport_data = NULL;
	free(p);
}

static const struct virtio_transport_ops pci_transport = {
	.notify_queue = notify_queue,
	.notify_config = notify_config,
	.live = transport_live,
	.reset = transport_reset,
	.may_dma = transport_may_dma,
	.remove = transport_remove,
};

int virtio_pci_add(struct virtio_dev *v, struct pci_bus *bus, unsigned devfn,
	struct err *e)
{
	const struct pci_ids ids = { 0x1af4, (uint16_t)(0x1040 + v->info.type),
		0x1af4, 0x1100, v->info.class_code << 8 | 1 };
	struct virtio_pci *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(e, ENOMEM, "%s: out of memory", v->info.name);
	p->v = v;
	p->bar_addr = p->hooked_at = GPA_NONE;
	p->config_vector = VIRTIO_NO_VECTOR;
	r = pci_dev_add(bus, &p->pci, v->info.name, devfn, &ids, e);
	if (r < 0) {
		free(p);
		return r;
	}
	v->transport = &pci_transport;
	v->transport_data = p;
	pci_intx_pin(&p->pci, 1);
	pci_bar_trap(&p->pci, BAR_REGS, PCI_BAR_MEM64, BAR_LEN, &bar_ops, p);
	r = pci_msix_add(&p->pci, v->info.nqueues + 1, BAR_MSIX, e);
	if (r == 0)
		r = caps_add(p, e);
	if (r < 0) {
		transport_remove(v);
		return r;
	}
	pci_express_add(&p->pci); /* last: it does not matter if it fits */
	p->pci.cfg_reading = cfg_reading;
	p->pci.cfg_written = cfg_written;
	p->pci.bar_moved = bar_moved;
	return 0;
}
