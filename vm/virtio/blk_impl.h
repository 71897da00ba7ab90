/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of virtio-blk: blk.c (device, batches) and blk_req.c (one request).
 * Thread: I/O, but for the atomics.
 */
#ifndef VM_VIRTIO_BLK_IMPL_H
#define VM_VIRTIO_BLK_IMPL_H

#include <stdatomic.h>

#include "storage/storage.h"

#include "vm/virtio/virtio.h"

#define VBLK_MAX_QUEUES 8
#define VBLK_QUEUE      256
#define VBLK_SEGS       254 /* data pieces; with header and status 256 */
#define VBLK_SLACK      16  /* headers in pieces, RAM boundaries */
#define VBLK_RANGES     16  /* of one discard or write-zeroes */
#define VBLK_SECTOR     512
/*
 * When so much is in flight no more is begun. Who ends or pauses the guest
 * waits for what is, so a guest must not have terabytes of it.
 */
#define VBLK_MAX_BYTES_OUT (UINT64_C(64) << 20)
#define VBLK_MAX_SECTORS   ((uint32_t)(BLK_MAX_BYTES / VBLK_SECTOR))
#define VBLK_ID_LEN        20

/* Features, 5.2.3 */
#define VBLK_F_SEG_MAX      2
#define VBLK_F_RO           5
#define VBLK_F_BLK_SIZE     6
#define VBLK_F_FLUSH        9
#define VBLK_F_TOPOLOGY     10
#define VBLK_F_CONFIG_WCE   11
#define VBLK_F_MQ           12
#define VBLK_F_DISCARD      13
#define VBLK_F_WRITE_ZEROES 14

/* Request types and status, 5.2.6 */
#define VBLK_T_IN           0
#define VBLK_T_OUT          1
#define VBLK_T_FLUSH        4
#define VBLK_T_GET_ID       8
#define VBLK_T_DISCARD      11
#define VBLK_T_WRITE_ZEROES 13
#define VBLK_S_OK           0
#define VBLK_S_IOERR        1
#define VBLK_S_UNSUPP       2

struct virtio_blk;
struct vblk_queue;

struct vblk_range {
	uint64_t offset, len; /* bytes */
	bool unmap;
};

struct vblk_req {
	struct vblk_req *next; /* in the pool */
	struct virtio_blk *b;
	struct vblk_queue *bq;
	uint8_t *status;         /* the guest's status byte */
	uint32_t written;        /* data bytes given to the guest */
	uint64_t bytes;          /* what it counts in virtio_blk.bytes */
	unsigned nranges, range; /* discard, write-zeroes: next to submit */
	struct vblk_range ranges[VBLK_RANGES];
	struct blk_req r;
	struct virtq_elem el;
	struct iovec iov[VBLK_SEGS + 2 + VBLK_SLACK];
};

struct vblk_queue {
	unsigned index;
	struct vblk_req *pool; /* VBLK_QUEUE of them */
	unsigned fresh;        /* pool[fresh..] were never used */
	struct vblk_req *spare;
	bool replied; /* pushed, not notified yet */
	bool starved; /* the pool ran out with chains in the ring */
};

struct virtio_blk {
	struct virtio_dev v; /* first */
	struct blk *blk;
	unsigned nqueues;
	bool readonly;
	char serial[VBLK_ID_LEN]; /* padded with zeroes, maybe none */
	_Atomic uint64_t sectors;
	_Atomic bool writeback; /* false: a write is done when it is on disk */
	unsigned in_flight;
	uint64_t bytes; /* of requests in flight */
	bool popping;   /* inside blk_queue(), which notifies at its end */
	bool reply_due; /* `reply` is scheduled */
	struct loop_call reply;
	struct log_limit log_limit;
	struct vblk_queue queue[VBLK_MAX_QUEUES];
};

/*
 * Begin the request that was popped into rq->el. It ends by vblk_finish(),
 * maybe before this returns. False when the chain has no place for a status:
 * the device is broken then and rq is the caller's again.
 */
bool vblk_start(struct vblk_req *rq);

/* rq is so many bytes of work, until it is finished. */
static inline void vblk_charge(struct vblk_req *rq, uint64_t bytes)
{
	rq->bytes += bytes;
	rq->b->bytes += bytes;
}

/* Give the status to the driver, and rq back to the pool. */
void vblk_finish(struct vblk_req *rq, uint8_t status);

#endif
