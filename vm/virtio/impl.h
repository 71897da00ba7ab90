/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of vm/virtio: what dev.c, the rings and the transport call of each
 * other. Devices need virtio.h only.
 */
#ifndef VM_VIRTIO_IMPL_H
#define VM_VIRTIO_IMPL_H

#include <endian.h>

#include "vm/virtio/virtio.h"

/* Descriptor flags, virtio 1.2 2.7.5 and 2.8.1 */
#define VRING_DESC_NEXT     1
#define VRING_DESC_WRITE    2
#define VRING_DESC_INDIRECT 4
#define VRING_PACKED_AVAIL  0x80
#define VRING_PACKED_USED   0x8000

struct vring_desc { /* split; a packed one has id, flags at the end */
	uint64_t addr;
	uint32_t len;
	uint16_t flags; /* packed: buffer id */
	uint16_t next;  /* packed: flags */
};
_Static_assert(sizeof(struct vring_desc) == 16, "2.7.5");

/*
 * One queue. I/O thread only, but kick_fd, which is constant.
 * Indices run freely (mod 2^16) in a split ring, 0..size-1 in a packed one.
 */
struct virtq {
	struct virtio_dev *v;
	unsigned index;
	int kick_fd; /* the driver's kicks: ioeventfd or the transport */
	struct loop_fd kick;
	unsigned for_nothing; /* kicks in a row that brought nothing */
	uint64_t hold_ns;     /* kicks are held back that long, 0 = not */
	struct loop_timer hold;
	uint16_t news_avail; /* split: driver's index when last asked */

	bool ready;
	bool packed, event_idx, indirect;
	uint16_t size;
	uint8_t *desc;   /* descriptor table or ring */
	uint8_t *driver; /* avail ring, or driver event suppression */
	uint8_t *device; /* used ring, or device event suppression */

	uint16_t last_avail;        /* next to pop */
	uint16_t shadow_avail;      /* split: driver's index when last read */
	uint16_t used;              /* next to push */
	uint16_t signalled;         /* split: `used` at the last notify */
	bool avail_wrap, used_wrap; /* packed */
	uint32_t unsignalled;       /* packed: slots used since notify */
};

/* Guest memory changes under us: each field is loaded once, as a whole. */
static inline uint16_t ring_load16(const uint8_t *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)p,
		__ATOMIC_RELAXED));
}

static inline uint16_t ring_load16_acquire(const uint8_t *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)p,
		__ATOMIC_ACQUIRE));
}

static inline void ring_store16(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, htole16(v), __ATOMIC_RELAXED);
}

static inline void ring_store16_release(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, htole16(v), __ATOMIC_RELEASE);
}

static inline void ring_store32(uint8_t *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)(void *)p, htole32(v), __ATOMIC_RELAXED);
}

/* Orders our store to one shared index before our load of another. */
static inline void ring_full_barrier(void)
{
#ifdef __SANITIZE_THREAD__
	/* knows no fences; the same instruction on x86 */
	int here = 0;

	__atomic_fetch_add(&here, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* 2.7.10: has the index gone past the event since it was old? */
static inline bool ring_need_event(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* queue.c */
int virtq_init(struct virtq *q, struct virtio_dev *v, unsigned index,
	struct err *e);
void virtq_fini(struct virtq *q);
/* Map the rings as the registers say. 0, or -errno with *why (static). */
int virtq_start(struct virtq *q, const struct virtio_queue_regs *r,
	const char **why);
void virtq_stop(struct virtq *q);
/* Read descriptor i of a table once. */
struct vring_desc vring_desc_load(const uint8_t *table, unsigned i);
/* Add [addr, addr+len) to el; 0, or -EIO after virtio_broken(). */
int virtq_add_piece(struct virtq *q, struct virtq_elem *el, uint64_t addr,
	uint32_t len, bool write);
/* An indirect table of len bytes: host pointer and *n entries, or NULL. */
const uint8_t *virtq_indirect(struct virtq *q, uint64_t addr, uint32_t len,
	unsigned *n);

/*
 * Did the driver add buffers since this was last asked (split), or are there
 * any that were not popped (packed)?
 */
bool virtq_has_news(struct virtq *q);

/* kick.c; all on the I/O thread. kick_start: the device comes up. */
int kick_init(struct virtq *q);
void kick_start(struct virtq *q);
void kick_fini(struct virtq *q);

/* packed.c */
bool packed_has_news(const struct virtq *q);
int packed_pop(struct virtq *q, struct virtq_elem *el);
void packed_unpop(struct virtq *q, const struct virtq_elem *el);
void packed_push(struct virtq *q, const struct virtq_elem *el, uint32_t len);
bool packed_need_notify(struct virtq *q);
void packed_disable_kicks(struct virtq *q);
bool packed_enable_kicks(struct virtq *q);

/*
 * dev.c, for the transport. _locked: v->lock is held.
 */
/* All feature bits that the device offers. */
uint64_t virtio_offered(const struct virtio_dev *v);
/* The driver's status write. 0 starts a reset. */
void virtio_status_write_locked(struct virtio_dev *v, uint8_t val);
/* The driver's accepted features, 32 bits of them (half 0 or 1). */
void virtio_features_write_locked(struct virtio_dev *v, unsigned half,
	uint32_t val);
/*
 * Wait, for a bounded time, for a reset that the driver asked for and did
 * not wait for itself. True when none is going on. Drops the lock meanwhile.
 */
bool virtio_settle_locked(struct virtio_dev *v);
uint64_t virtio_config_read_locked(struct virtio_dev *v, unsigned off,
	unsigned size);
void virtio_config_write_locked(struct virtio_dev *v, unsigned off,
	uint64_t val, unsigned size);
/* A kick from the vCPU's thread. n is checked. */
void virtio_kick(struct virtio_dev *v, unsigned n);
/* Let the device look at a queue, if both are ready. Thread: I/O. */
void virtio_queue_run(struct virtq *q);
/* What virtio_active() depends on changed: look again. Thread: any. */
void virtio_recheck(struct virtio_dev *v);

#endif
