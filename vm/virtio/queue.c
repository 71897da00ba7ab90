/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Virtqueues: the split ring (virtio 1.2, 2.7), what both ring formats share,
 * and the choice between them. The rings are looked up once, at start; every
 * buffer address goes through gmem with its length. Whatever the driver put
 * there is loaded once and checked before use; a broken rule breaks the
 * device until it is reset. Thread: I/O.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "vm/virtio/impl.h"
#include "vm/virtio/virtio.h"

/* Parts of the rings, 2.7.6 and 2.7.8 */
#define AVAIL_FLAGS   0
#define AVAIL_IDX     2
#define AVAIL_RING    4
#define USED_FLAGS    0
#define USED_IDX      2
#define USED_RING     4
#define USED_ELEM     8
#define NO_INTERRUPT  1
#define USED_NO_KICKS 1

/* --- made, started -------------------------------------------------------- */

int virtq_init(struct virtq *q, struct virtio_dev *v, unsigned index,
	struct err *e)
{
	q->v = v;
	q->index = index;
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->kick_fd < 0)
		return err_sys(e, errno, "%s: eventfd", v->info.name);
	return 0;
}

void virtq_fini(struct virtq *q)
{
	if (q->kick_fd >= 0)
		close(q->kick_fd);
	q->kick_fd = -1;
}

/* One part of a ring, in one piece of RAM and aligned. */
static uint8_t *ring_part(struct virtq *q, uint64_t gpa, uint64_t len,
	unsigned align)
{
	if (gpa & (align - 1))
		return NULL;
	return gmem_host(q->v->core->gmem, gpa, len);
}

static void ring_map_split(struct virtq *q, const struct virtio_queue_regs *r)
{
	q->desc = ring_part(q, r->desc, 16U * q->size, 16);
	q->driver = ring_part(q, r->driver, 6 + 2U * q->size, 2);
	q->device = ring_part(q, r->device, 6 + 8U * q->size, 4);
}

static void ring_map_packed(struct virtq *q, const struct virtio_queue_regs *r)
{
	q->desc = ring_part(q, r->desc, 16U * q->size, 16);
	q->driver = ring_part(q, r->driver, 4, 4);
	q->device = ring_part(q, r->device, 4, 4);
}

int virtq_start(struct virtq *q, const struct virtio_queue_regs *r,
	const char **why)
{
	struct virtio_dev *v = q->v;

	q->packed = virtio_has(v, VIRTIO_F_RING_PACKED);
	q->event_idx = virtio_has(v, VIRTIO_F_EVENT_IDX);
	q->indirect = virtio_has(v, VIRTIO_F_INDIRECT_DESC);
	q->size = r->size;
	q->last_avail = q->shadow_avail = q->used = q->signalled = 0;
	q->news_avail = 0;
	q->avail_wrap = q->used_wrap = true;
	q->unsignalled = 0;
	*why = "queue size";
	if (q->size == 0 || q->size > v->info.queue_size ||
		(!q->packed && !size_is_pow2(q->size)))
		return -EINVAL;
	if (q->packed)
		ring_map_packed(q, r);
	else
		ring_map_split(q, r);
	*why = "queue address is misaligned or not RAM";
	if (!q->desc || !q->driver || !q->device)
		return -EFAULT;
	q->ready = true;
	return 0;
}

void virtq_stop(struct virtq *q)
{
	q->ready = false;
	q->desc = q->driver = q->device = NULL;
}

unsigned virtq_index(const struct virtq *q)
{
	return q->index;
}

struct virtio_dev *virtq_dev(const struct virtq *q)
{
	return q->v;
}

bool virtq_ready(const struct virtq *q)
{
	return q->ready;
}

/* --- descriptors -----------------------------------------------------------
 */

struct vring_desc vring_desc_load(const uint8_t *table, unsigned i)
{
	const uint64_t *p = (const uint64_t *)(const void *)(table + 16 * i);
	uint64_t hi = le64toh(__atomic_load_n(p + 1, __ATOMIC_RELAXED));

	return (struct vring_desc){
		.addr = le64toh(__atomic_load_n(p, __ATOMIC_RELAXED)),
		.len = (uint32_t)hi,
		.flags = (uint16_t)(hi >> 32),
		.next = (uint16_t)(hi >> 48),
	};
}

static int virtq_fail(struct virtq *q, const char *why)
{
	virtio_broken(q->v, why);
	return -EIO;
}

int virtq_add_piece(struct virtq *q, struct virtq_elem *el, uint64_t addr,
	uint32_t len, bool write)
{
	uint32_t *bytes = write ? &el->in_bytes : &el->out_bytes;
	unsigned have = el->nout + el->nin;
	int n;

	if (!write && el->nin)
		return virtq_fail(q, "a readable buffer after a writable one");
	if (len == 0)
		return 0;
	if (len > VIRTQ_MAX_BYTES - *bytes)
		return virtq_fail(q, "a request is too long");
	n = gmem_iov(q->v->core->gmem, addr, len, el->iov + have,
		(int)(el->iov_max - have));
	if (n == -E2BIG || n == -EINVAL)
		return virtq_fail(q, "a request has too many buffers");
	if (n < 0)
		return virtq_fail(q, "a buffer is not in RAM");
	*bytes += len;
	*(write ? &el->nin : &el->nout) += (unsigned)n;
	return 0;
}

const uint8_t *virtq_indirect(struct virtq *q, uint64_t addr, uint32_t len,
	unsigned *n)
{
	const uint8_t *table;

	*n = len / 16;
	if (!q->indirect || len % 16 || *n == 0 || *n > VIRTQ_MAX_CHAIN) {
		virtq_fail(q, "bad length of an indirect table");
		return NULL;
	}
	/* 8 is enough for our loads; drivers align to 16 */
	table = addr & 7 ? NULL : gmem_host(q->v->core->gmem, addr, len);
	if (!table)
		virtq_fail(q, "an indirect table is not in RAM");
	return table;
}

/* --- the split ring ---------------------------------------------------------
 */

/*
 * Walk a chain from table[i]. It has at most n descriptors, or it is a loop.
 * The last one of the ring's own table may lead to an indirect table, and
 * that to no other. Returns 1 or -EIO.
 */
static int split_walk(struct virtq *q, struct virtq_elem *el,
	const uint8_t *table, unsigned n, unsigned i, bool indirect)
{
	for (unsigned steps = 0; steps < n; steps++) {
		struct vring_desc d = vring_desc_load(table, i);

		if (d.flags & VRING_DESC_INDIRECT) {
			if (indirect || d.flags & VRING_DESC_NEXT)
				return virtq_fail(q, "bad indirect descriptor");
			table = virtq_indirect(q, d.addr, d.len, &n);
			return table ? split_walk(q, el, table, n, 0, true)
				     : -EIO;
		}
		if (virtq_add_piece(q, el, d.addr, d.len,
			    d.flags & VRING_DESC_WRITE) < 0)
			return -EIO;
		if (!(d.flags & VRING_DESC_NEXT))
			return 1;
		i = d.next;
		if (i >= n)
			return virtq_fail(q, "a descriptor leads nowhere");
	}
	return virtq_fail(q, "descriptors form a loop");
}

static int split_pop(struct virtq *q, struct virtq_elem *el)
{
	uint16_t mask = q->size - 1, head;
	int r;

	if (q->shadow_avail == q->last_avail) {
		/* pairs with the driver's barrier before it moves idx */
		q->shadow_avail = ring_load16_acquire(q->driver + AVAIL_IDX);
		if (q->shadow_avail == q->last_avail)
			return 0;
		if ((uint16_t)(q->shadow_avail - q->last_avail) > q->size)
			return virtq_fail(q, "avail index jumped");
	}
	head = ring_load16(q->driver + AVAIL_RING + 2 * (q->last_avail & mask));
	if (head >= q->size)
		return virtq_fail(q, "avail ring leads nowhere");
	el->id = head;
	el->ndesc = 1;
	r = split_walk(q, el, q->desc, q->size, head, false);
	if (r == 1)
		q->last_avail++;
	return r;
}

static void split_push(struct virtq *q, const struct virtq_elem *el,
	uint32_t written)
{
	uint8_t *p = q->device + USED_RING +
		     USED_ELEM * (unsigned)(q->used & (q->size - 1));

	ring_store32(p, el->id);
	ring_store32(p + 4, written);
	q->used++;
}

static bool split_need_notify(struct virtq *q)
{
	uint16_t old = q->signalled, event;

	if (old == q->used)
		return false;
	ring_store16_release(q->device + USED_IDX, q->used);
	q->signalled = q->used;
	/* the driver may just now have asked for an interrupt */
	ring_full_barrier();
	if (!q->event_idx)
		return !(ring_load16(q->driver + AVAIL_FLAGS) & NO_INTERRUPT);
	event = ring_load16(q->driver + AVAIL_RING + 2 * q->size);
	return ring_need_event(event, q->used, old);
}

static void split_disable_kicks(struct virtq *q)
{
	/* with an event index, not moving it is asking for no kicks */
	if (!q->event_idx)
		ring_store16(q->device + USED_FLAGS, USED_NO_KICKS);
}

/* The event is what comes next, also when chains that we left are there. */
static bool split_enable_kicks(struct virtq *q)
{
	if (q->event_idx)
		ring_store16(q->device + USED_RING + USED_ELEM * q->size,
			ring_load16(q->driver + AVAIL_IDX));
	else
		ring_store16(q->device + USED_FLAGS, 0);
	ring_full_barrier();
	return ring_load16(q->driver + AVAIL_IDX) != q->last_avail;
}

static bool split_has_news(struct virtq *q)
{
	uint16_t was = q->news_avail;

	q->news_avail = ring_load16(q->driver + AVAIL_IDX);
	return q->news_avail != was;
}

/* --- either ring ------------------------------------------------------------
 */

int virtq_pop(struct virtq *q, struct virtq_elem *el)
{
	el->nout = el->nin = 0;
	el->out_bytes = el->in_bytes = 0;
	if (!q->ready || !virtio_active(q->v))
		return -EAGAIN;
	return q->packed ? packed_pop(q, el) : split_pop(q, el);
}

void virtq_unpop(struct virtq *q, const struct virtq_elem *el)
{
	if (!q->ready)
		return;
	if (q->packed)
		packed_unpop(q, el);
	else
		q->last_avail--;
}

void virtq_push(struct virtq *q, const struct virtq_elem *el, uint32_t written)
{
	if (!q->ready)
		return;
	if (q->packed)
		packed_push(q, el, written);
	else
		split_push(q, el, written);
}

void virtq_notify(struct virtq *q)
{
	if (!q->ready)
		return;
	if (q->packed ? packed_need_notify(q) : split_need_notify(q))
		q->v->transport->notify_queue(q->v, q->index);
}

bool virtq_has_news(struct virtq *q)
{
	if (!q->ready)
		return false;
	return q->packed ? packed_has_news(q) : split_has_news(q);
}

void virtq_disable_kicks(struct virtq *q)
{
	if (!q->ready)
		return;
	if (q->packed)
		packed_disable_kicks(q);
	else
		split_disable_kicks(q);
}

bool virtq_enable_kicks(struct virtq *q)
{
	/* an inactive device pops nothing, whatever lies in the ring */
	if (!q->ready || !virtio_active(q->v))
		return false;
	return q->packed ? packed_enable_kicks(q) : split_enable_kicks(q);
}
