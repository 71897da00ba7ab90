/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The driver's side of virtio for tests, written from the specification: a
 * function found by its capabilities, negotiation, split and packed rings.
 */
#ifndef TESTS_UNIT_VM_VIRTIO_VDRIVER_H
#define TESTS_UNIT_VM_VIRTIO_VDRIVER_H

#include "vm/base/bytes.h"

#include "vm/virtio/virtio.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/pci/rig.h"

#define VD_FN   PCI_DEVFN(2, 0)
#define VD_RAM  (8 * MiB)
#define VD_V1   VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define VD_PKD  VIRTIO_BIT(VIRTIO_F_RING_PACKED)
#define VD_EVT  VIRTIO_BIT(VIRTIO_F_EVENT_IDX)
#define VD_IND  VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)
#define VD_RING UINT64_C(0x100000) /* rings: 64 KiB a queue */
#define VD_DATA UINT64_C(0x400000) /* free for buffers */

/* Every sort of ring. */
#define VD_KINDS                                                               \
	{                                                                      \
		0, VD_PKD, VD_EVT, VD_PKD | VD_EVT                             \
	}

struct vd {
	struct rig r;
	uint64_t common, isr, config, notify;
	uint32_t notify_mul;
	uint64_t features;
};

struct vd_buf {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

struct vd_ring {
	struct vd *vd;
	unsigned index;
	uint16_t size;
	bool packed;
	uint64_t desc, drv, dev;
	uint8_t *d, *a, *u; /* the same as host pointers */
	uint16_t next;      /* next free descriptor (tests do not overrun) */
	uint16_t avail, seen;
	bool avail_wrap, used_wrap;
	uint16_t ids;       /* packed: next buffer id */
	uint16_t slots[64]; /* packed: slots of each id & 63 */
};

static inline void vd_run(struct vd *d)
{
	for (int i = 0; i < 6; i++)
		loop_run_once(d->r.core.io, 0);
}

static inline void *vd_ptr(struct vd *d, uint64_t gpa, uint64_t len)
{
	void *p = gmem_host(d->r.core.gmem, gpa, len);

	ck_assert_ptr_nonnull(p);
	return p;
}

static inline uint64_t vd_bar(struct vd *d, unsigned bar)
{
	uint32_t lo = cfg_in(&d->r, VD_FN, 0x10 + 4 * bar, 4);
	uint64_t addr = lo & ~0xfu;

	if ((lo & 6) == 4)
		addr |= (uint64_t)cfg_in(&d->r, VD_FN, 0x14 + 4 * bar, 4) << 32;
	return addr;
}

/* Offset in config space of the virtio capability of this type. */
static inline unsigned vd_cap(struct vd *d, uint8_t type)
{
	unsigned at;

	for (unsigned i = 0; (at = cfg_cap(&d->r, VD_FN, 9, i)); i++)
		if (cfg_in(&d->r, VD_FN, at + 3, 1) == type)
			return at;
	return 0;
}

static inline uint64_t vd_cap_addr(struct vd *d, uint8_t type)
{
	unsigned at = vd_cap(d, type);

	if (!at)
		return 0;
	return vd_bar(d, cfg_in(&d->r, VD_FN, at + 4, 1)) +
	       cfg_in(&d->r, VD_FN, at + 8, 4);
}

/* After the device was made: give it addresses and find its parts. */
static inline void vd_probe(struct vd *d)
{
	pci_bus_assign(d->r.pci);
	cfg_out(&d->r, VD_FN, 4, 6, 2);
	d->common = vd_cap_addr(d, 1);
	d->notify = vd_cap_addr(d, 2);
	d->isr = vd_cap_addr(d, 3);
	d->config = vd_cap_addr(d, 4);
	d->notify_mul = cfg_in(&d->r, VD_FN, vd_cap(d, 2) + 16, 4);
	ck_assert_uint_ne(d->common, 0);
	ck_assert_uint_ne(d->notify, 0);
	ck_assert_uint_ne(d->isr, 0);
}

static inline uint32_t vd_in(struct vd *d, unsigned reg, unsigned size)
{
	return (uint32_t)mmio_in(&d->r, d->common + reg, size);
}

static inline void vd_out(struct vd *d, unsigned reg, uint32_t val,
	unsigned size)
{
	mmio_out(&d->r, d->common + reg, val, size);
}

static inline uint8_t vd_status(struct vd *d)
{
	return (uint8_t)vd_in(d, 20, 1);
}

static inline uint64_t vd_offered(struct vd *d)
{
	uint64_t f;

	vd_out(d, 0, 0, 4);
	f = vd_in(d, 4, 4);
	vd_out(d, 0, 1, 4);
	return f | (uint64_t)vd_in(d, 4, 4) << 32;
}

/* Reset, and wait for its end. */
static inline void vd_reset(struct vd *d)
{
	vd_out(d, 20, 0, 1);
	vd_run(d);
	ck_assert_uint_eq(vd_status(d), 0);
}

/* Up to FEATURES_OK; is it set? */
static inline bool vd_negotiate(struct vd *d, uint64_t features)
{
	vd_reset(d);
	vd_out(d, 20, 1, 1);
	vd_out(d, 20, 3, 1);
	vd_out(d, 8, 0, 4);
	vd_out(d, 12, (uint32_t)features, 4);
	vd_out(d, 8, 1, 4);
	vd_out(d, 12, (uint32_t)(features >> 32), 4);
	vd_out(d, 20, 11, 1);
	d->features = features;
	return vd_status(d) & VIRTIO_S_FEATURES_OK;
}

static inline void vd_driver_ok(struct vd *d)
{
	vd_out(d, 20, 15, 1);
	vd_run(d);
}

static inline void vd_out64(struct vd *d, unsigned reg, uint64_t v)
{
	vd_out(d, reg, (uint32_t)v, 4);
	vd_out(d, reg + 4, (uint32_t)(v >> 32), 4);
}

/* Lay a ring out in RAM and tell the device. */
static inline void vd_ring(struct vd *d, struct vd_ring *q, unsigned index,
	uint16_t size)
{
	memset(q, 0, sizeof(*q));
	q->vd = d;
	q->index = index;
	q->size = size;
	q->packed = d->features & VD_PKD;
	q->avail_wrap = q->used_wrap = true;
	q->ids = 1000;
	q->desc = VD_RING + index * 65536;
	q->drv = q->desc + 0x8000;
	q->dev = q->desc + 0xc000;
	q->d = vd_ptr(d, q->desc, 16 * size);
	q->a = vd_ptr(d, q->drv, 8 + 2 * size);
	q->u = vd_ptr(d, q->dev, 8 + 8 * size);
	memset(q->d, 0, 16 * size);
	memset(q->a, 0, 8 + 2 * size);
	memset(q->u, 0, 8 + 8 * size);
	vd_out(d, 22, index, 2);
	vd_out(d, 24, size, 2);
	vd_out64(d, 32, q->desc);
	vd_out64(d, 40, q->drv);
	vd_out64(d, 48, q->dev);
	vd_out(d, 28, 1, 2);
}

static inline void vd_put_desc(uint8_t *p, uint64_t addr, uint32_t len,
	uint16_t w12, uint16_t w14)
{
	put_le64(p, addr);
	put_le32(p + 8, len);
	put_le16(p + 12, w12);
	put_le16(p + 14, w14);
}

/* Write n buffers as an indirect table at gpa. */
static inline void vd_table(struct vd_ring *q, uint64_t gpa,
	const struct vd_buf *b, unsigned n)
{
	uint8_t *t = vd_ptr(q->vd, gpa, 16 * n);

	for (unsigned i = 0; i < n; i++) {
		uint16_t w = b[i].write ? 2 : 0;

		if (q->packed)
			vd_put_desc(t + 16 * i, b[i].gpa, b[i].len, 0, w);
		else
			vd_put_desc(t + 16 * i, b[i].gpa, b[i].len,
				w | (i + 1 < n ? 1 : 0), (uint16_t)(i + 1));
	}
}

static inline uint16_t vd_avail_split(struct vd_ring *q, uint16_t head)
{
	put_le16(q->a + 4 + 2 * (q->avail % q->size), head);
	put_le16(q->a + 2, ++q->avail);
	return head;
}

static inline uint16_t vd_add_split(struct vd_ring *q, const struct vd_buf *b,
	unsigned n, uint16_t extra)
{
	uint16_t head = q->next;

	for (unsigned i = 0; i < n; i++) {
		uint16_t flags = (b[i].write ? 2 : 0) | extra;
		uint16_t at = q->next;

		q->next = (uint16_t)((q->next + 1) % q->size);
		if (i + 1 < n)
			flags |= 1;
		vd_put_desc(q->d + 16 * at, b[i].gpa, b[i].len, flags, q->next);
	}
	return vd_avail_split(q, head);
}

static inline uint16_t vd_add_packed(struct vd_ring *q, const struct vd_buf *b,
	unsigned n, uint16_t extra)
{
	uint16_t id = q->ids++, first_flags = 0, first = q->next;

	q->slots[id & 63] = (uint16_t)n;
	for (unsigned i = 0; i < n; i++) {
		uint16_t flags = (b[i].write ? 2 : 0) | extra |
				 (i + 1 < n ? 1 : 0) |
				 (q->avail_wrap ? 0x80 : 0x8000);
		uint8_t *p = q->d + 16 * q->next;

		if (i == 0) {
			first_flags = flags;
			vd_put_desc(p, b[i].gpa, b[i].len, id,
				get_le16(p + 14));
		} else {
			vd_put_desc(p, b[i].gpa, b[i].len, id, flags);
		}
		if (++q->next == q->size) {
			q->next = 0;
			q->avail_wrap = !q->avail_wrap;
		}
	}
	put_le16(q->d + 16 * first + 14, first_flags);
	return id;
}

/* Make a chain available; returns its id. */
static inline uint16_t vd_add(struct vd_ring *q, const struct vd_buf *b,
	unsigned n)
{
	return q->packed ? vd_add_packed(q, b, n, 0) : vd_add_split(q, b, n, 0);
}

/* The same through an indirect table at gpa. */
static inline uint16_t vd_add_indirect(struct vd_ring *q,
	const struct vd_buf *b, unsigned n, uint64_t gpa)
{
	struct vd_buf t = { gpa, 16 * n, false };

	vd_table(q, gpa, b, n);
	return q->packed ? vd_add_packed(q, &t, 1, 4)
			 : vd_add_split(q, &t, 1, 4);
}

static inline void vd_doorbell(struct vd_ring *q)
{
	mmio_out(&q->vd->r,
		q->vd->notify + (uint64_t)q->index * q->vd->notify_mul,
		q->index, 2);
}

static inline void vd_kick(struct vd_ring *q)
{
	vd_doorbell(q);
	vd_run(q->vd);
}

/*
 * A driver that obeys event suppression: does it kick after making available
 * what came since its index was old?
 */
static inline bool vd_wants_kick(struct vd_ring *q, uint16_t old)
{
	uint16_t now = q->packed ? q->next : q->avail, event, off_wrap;

	if (!q->packed && !(q->vd->features & VD_EVT))
		return !(get_le16(q->u) & 1);
	if (!q->packed) {
		event = get_le16(q->u + 4 + 8 * q->size);
		return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
	}
	if (get_le16(q->u + 2) != 2)
		return get_le16(q->u + 2) == 0;
	off_wrap = get_le16(q->u);
	event = off_wrap & 0x7fff;
	if (!!(off_wrap & 0x8000) != q->avail_wrap)
		event = (uint16_t)(event - q->size);
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* Kick if the device wants it; fails when it does not. */
#define vd_kick_wanted(q, old)                                                 \
	do {                                                                   \
		ck_assert(vd_wants_kick(q, old));                              \
		vd_kick(q);                                                    \
	} while (0)

/* Where the ring is, for vd_wants_kick(). */
static inline uint16_t vd_at(const struct vd_ring *q)
{
	return q->packed ? q->next : q->avail;
}

/* Next used buffer, if any. */
static inline bool vd_used(struct vd_ring *q, uint16_t *id, uint32_t *len)
{
	uint8_t *p;
	uint16_t flags;

	if (!q->packed) {
		if (get_le16(q->u + 2) == q->seen)
			return false;
		p = q->u + 4 + 8 * (q->seen++ % q->size);
		*id = (uint16_t)get_le32(p);
		*len = get_le32(p + 4);
		return true;
	}
	p = q->d + 16 * q->seen;
	flags = get_le16(p + 14);
	if (!!(flags & 0x80) != q->used_wrap ||
		!!(flags & 0x8000) != q->used_wrap)
		return false;
	*id = get_le16(p + 12);
	*len = get_le32(p + 8);
	q->seen = (uint16_t)(q->seen + q->slots[*id & 63]);
	if (q->seen >= q->size) {
		q->seen = (uint16_t)(q->seen - q->size);
		q->used_wrap = !q->used_wrap;
	}
	return true;
}

/* Exactly this buffer was used next. */
#define vd_expect_used(q, want_id, want_len)                                   \
	do {                                                                   \
		uint16_t id_;                                                  \
		uint32_t len_;                                                 \
		ck_assert(vd_used(q, &id_, &len_));                            \
		ck_assert_uint_eq(id_, want_id);                               \
		ck_assert_uint_eq(len_, want_len);                             \
	} while (0)
#define vd_expect_none(q)                                                      \
	do {                                                                   \
		uint16_t id_;                                                  \
		uint32_t len_;                                                 \
		ck_assert(!vd_used(q, &id_, &len_));                           \
	} while (0)

/* Read and so clear the interrupt status. */
static inline unsigned vd_isr(struct vd *d)
{
	return (unsigned)mmio_in(&d->r, d->isr, 1);
}

#endif
