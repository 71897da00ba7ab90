/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The packed ring (virtio 1.2, 2.8): one ring of descriptors that driver and
 * device mark in turn; a wrap counter each tells this round's marks from the
 * last one's. Checks and threads as in queue.c.
 */
#include <errno.h>

#include "vm/virtio/impl.h"
#include "vm/virtio/virtio.h"

/* A descriptor's parts */
#define DESC_LEN   8
#define DESC_ID    12
#define DESC_FLAGS 14

/* Event suppression structures, 2.8.10 */
#define EVENT_OFF_WRAP 0
#define EVENT_FLAGS    2
#define EVENT_ENABLE   0
#define EVENT_DISABLE  1
#define EVENT_DESC     2

/* Is the descriptor at the next place to pop the device's to take? */
static bool packed_available(const struct virtq *q)
{
	/* acquire: the rest of the descriptor is loaded after its flags */
	uint16_t flags =
		ring_load16_acquire(q->desc + 16U * q->last_avail + DESC_FLAGS);
	bool avail = flags & VRING_PACKED_AVAIL;
	bool used = flags & VRING_PACKED_USED;

	return avail == q->avail_wrap && used != q->avail_wrap;
}

bool packed_has_news(const struct virtq *q)
{
	return packed_available(q);
}

static int packed_fail(struct virtq *q, const char *why)
{
	virtio_broken(q->v, why);
	return -EIO;
}

static int packed_indirect(struct virtq *q, struct virtq_elem *el,
	const struct vring_desc *d)
{
	unsigned n;
	const uint8_t *table = virtq_indirect(q, d->addr, d->len, &n);

	if (!table)
		return -EIO;
	for (unsigned i = 0; i < n; i++) {
		struct vring_desc t = vring_desc_load(table, i);

		/* .next holds the flags; only WRITE counts here (2.8.7) */
		if (virtq_add_piece(q, el, t.addr, t.len,
			    t.next & VRING_DESC_WRITE) < 0)
			return -EIO;
	}
	return 0;
}

static void packed_advance(const struct virtq *q, uint16_t *idx, bool *wrap,
	unsigned n)
{
	unsigned to = *idx + n;

	if (to >= q->size) {
		to -= q->size;
		*wrap = !*wrap;
	}
	*idx = (uint16_t)to;
}

int packed_pop(struct virtq *q, struct virtq_elem *el)
{
	unsigned n = 0;

	if (!packed_available(q))
		return 0;
	for (;;) {
		unsigned at = (q->last_avail + n) % q->size;
		struct vring_desc d = vring_desc_load(q->desc, at);
		uint16_t flags = d.next;

		if (flags & VRING_DESC_INDIRECT) {
			if (n || flags & VRING_DESC_NEXT)
				return packed_fail(q,
					"bad indirect descriptor");
			if (packed_indirect(q, el, &d) < 0)
				return -EIO;
		} else if (virtq_add_piece(q, el, d.addr, d.len,
				   flags & VRING_DESC_WRITE) < 0) {
			return -EIO;
		}
		n++;
		if (!(flags & VRING_DESC_NEXT)) {
			el->id = d.flags; /* the id's place */
			break;
		}
		if (n == q->size)
			return packed_fail(q, "a chain fills the whole ring");
	}
	el->ndesc = (uint16_t)n;
	packed_advance(q, &q->last_avail, &q->avail_wrap, n);
	return 1;
}

void packed_unpop(struct virtq *q, const struct virtq_elem *el)
{
	unsigned back = el->ndesc;

	if (back > q->last_avail) {
		back -= q->size; /* wraps round: adds in the end */
		q->avail_wrap = !q->avail_wrap;
	}
	q->last_avail = (uint16_t)(q->last_avail - back);
}

void packed_push(struct virtq *q, const struct virtq_elem *el, uint32_t len)
{
	uint8_t *d = q->desc + 16U * q->used;
	uint16_t flags =
		q->used_wrap ? VRING_PACKED_AVAIL | VRING_PACKED_USED : 0;

	if (len)
		flags |= VRING_DESC_WRITE;
	ring_store32(d + DESC_LEN, len);
	ring_store16(d + DESC_ID, el->id);
	/* release: the driver trusts the rest once it sees the flags */
	ring_store16_release(d + DESC_FLAGS, flags);
	packed_advance(q, &q->used, &q->used_wrap, el->ndesc);
	q->unsignalled += el->ndesc;
}

bool packed_need_notify(struct virtq *q)
{
	uint16_t off_wrap, flags, event, old;
	uint32_t n = q->unsignalled;

	if (n == 0)
		return false;
	q->unsignalled = 0;
	ring_full_barrier();
	/* acquire: the driver stores off_wrap before flags */
	flags = ring_load16_acquire(q->driver + EVENT_FLAGS);
	if (flags == EVENT_DISABLE)
		return false;
	if (flags != EVENT_DESC || !q->event_idx || n > q->size)
		return true;
	off_wrap = ring_load16(q->driver + EVENT_OFF_WRAP);
	event = off_wrap & 0x7fff;
	/* an event of the other round lies a ring's length behind */
	if (!!(off_wrap & 0x8000) != q->used_wrap)
		event = (uint16_t)(event - q->size);
	old = (uint16_t)(q->used - n);
	return ring_need_event(event, q->used, old);
}

void packed_disable_kicks(struct virtq *q)
{
	ring_store16(q->device + EVENT_FLAGS, EVENT_DISABLE);
}

bool packed_enable_kicks(struct virtq *q)
{
	/* behind a chain that we left nobody knows where the next one begins */
	if (q->event_idx && !packed_available(q)) {
		ring_store16(q->device + EVENT_OFF_WRAP,
			(uint16_t)(q->last_avail |
				   (q->avail_wrap ? 0x8000 : 0)));
		ring_store16_release(q->device + EVENT_FLAGS, EVENT_DESC);
	} else {
		ring_store16(q->device + EVENT_FLAGS, EVENT_ENABLE);
	}
	ring_full_barrier();
	return packed_available(q);
}
