/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Disk (virtio 1.2, 5.2) over storage/. Requests come out of a pool made
 * beforehand, reads and writes go to the image with the guest's own pieces,
 * nothing is copied. All on the I/O thread.
 *
 * Speed: a kick takes all that is in the ring with kicks off and hands it to
 * the image as one batch (plug); what completes in one round of the loop
 * goes back with one interrupt (the `reply` call runs at the round's end).
 *
 * A bad request ends with a status of its own and harms no other. blk_req.c
 * has the request's inside.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/storage.h"

#include "vm/virtio/blk_impl.h"
#include "vm/virtio/virtio.h"

/* Offsets in the config space, 5.2.4 */
#define C_CAPACITY      0
#define C_SEG_MAX       12
#define C_BLK_SIZE      20
#define C_PHYS_EXP      24
#define C_MIN_IO        26
#define C_OPT_IO        28
#define C_WRITEBACK     32
#define C_NUM_QUEUES    34
#define C_DISCARD_MAX   36
#define C_DISCARD_SEGS  40
#define C_DISCARD_ALIGN 44
#define C_ZEROES_MAX    48
#define C_ZEROES_SEGS   52
#define C_ZEROES_UNMAP  56
#define C_LEN           60

#define BLK_ROUNDS 16 /* of a driver that fills as we empty */

static struct virtio_blk *blk_of(struct virtio_dev *v)
{
	return (struct virtio_blk *)v;
}

/* --- pool ------------------------------------------------------------------
 */

/*
 * Used ones first, so that a shallow queue touches few pages; a fresh one
 * only when all those are out.
 */
static struct vblk_req *pool_take(struct vblk_queue *bq)
{
	struct vblk_req *rq = bq->spare;

	if (rq) {
		bq->spare = rq->next;
		return rq;
	}
	if (bq->fresh == VBLK_QUEUE)
		return NULL;
	return &bq->pool[bq->fresh++];
}

static void pool_give(struct vblk_queue *bq, struct vblk_req *rq)
{
	rq->next = bq->spare;
	bq->spare = rq;
}

/* --- requests ----------------------------------------------------------------
 */

/* Replies of this round, one interrupt a queue, and who waited for the pool. */
static void blk_reply(void *arg)
{
	struct virtio_blk *b = arg;

	b->reply_due = false;
	for (unsigned i = 0; i < b->nqueues; i++) {
		struct vblk_queue *bq = &b->queue[i];
		struct virtq *q = virtio_queue(&b->v, i);

		if (bq->replied) {
			bq->replied = false;
			virtq_notify(q);
		}
		if (bq->starved) {
			bq->starved = false;
			virtq_again(q);
		}
	}
}

void vblk_finish(struct vblk_req *rq, uint8_t status)
{
	struct virtio_blk *b = rq->b;
	struct virtq *q = virtio_queue(&b->v, rq->bq->index);

	/* after a reset began the guest's memory is not ours any more */
	if (virtq_ready(q)) {
		*rq->status = status;
		virtq_push(q, &rq->el, rq->written + 1);
		rq->bq->replied = true;
		if (!b->popping && !b->reply_due) {
			b->reply_due = true;
			loop_call_schedule(&b->reply);
		}
	}
	b->bytes -= rq->bytes;
	pool_give(rq->bq, rq);
	b->in_flight--;
	if (b->in_flight == 0)
		virtio_stopped(&b->v); /* does nothing unless stopping */
}

/* Take what is there, one ring's length at most. True when the ring is empty */
static bool blk_take(struct virtio_blk *b, struct virtq *q)
{
	struct vblk_queue *bq = &b->queue[virtq_index(q)];

	for (unsigned i = 0; i < VBLK_QUEUE; i++) {
		struct vblk_req *rq =
			b->bytes < VBLK_MAX_BYTES_OUT ? pool_take(bq) : NULL;

		if (!rq) {
			bq->starved = true; /* the next reply goes on */
			return false;
		}
		rq->b = b;
		rq->bq = bq;
		rq->el.iov = rq->iov;
		rq->el.iov_max = ARRAY_LEN(rq->iov);
		if (virtq_pop(q, &rq->el) != 1) {
			pool_give(bq, rq);
			return true;
		}
		b->in_flight++;
		rq->bytes = 0;
		vblk_charge(rq, rq->el.out_bytes + (uint64_t)rq->el.in_bytes);
		if (!vblk_start(rq)) {
			b->bytes -= rq->bytes;
			pool_give(bq, rq);
			b->in_flight--;
			return true;
		}
	}
	virtq_again(q);
	return false;
}

static void blk_queue(struct virtio_dev *v, struct virtq *q)
{
	struct virtio_blk *b = blk_of(v);
	struct vblk_queue *bq = &b->queue[virtq_index(q)];
	unsigned rounds = 0;

	b->popping = true;
	blk_plug(b->blk);
	do
		virtq_disable_kicks(q);
	while (blk_take(b, q) && virtq_enable_kicks(q) &&
		++rounds < BLK_ROUNDS);
	if (rounds == BLK_ROUNDS)
		virtq_again(q);
	blk_unplug(b->blk);
	b->popping = false;
	/* what ended without the image: identity, refused requests */
	if (bq->replied) {
		bq->replied = false;
		virtq_notify(q);
	}
}

static bool blk_stop(struct virtio_dev *v)
{
	return blk_of(v)->in_flight == 0;
}

static void blk_drain_all(struct virtio_dev *v)
{
	struct virtio_blk *b = blk_of(v);

	/* a request of many segments submits the next from done() */
	while (b->in_flight)
		blk_drain(b->blk);
	blk_reply(b);
}

/* --- config
 * -------------------------------------------------------------------- */

static void blk_update_cache(struct virtio_blk *b, uint64_t features)
{
	bool writeback = features & VIRTIO_BIT(VBLK_F_CONFIG_WCE)
				 ? b->v.config[C_WRITEBACK] & 1
				 : !!(features & VIRTIO_BIT(VBLK_F_FLUSH));

	atomic_store_explicit(&b->writeback, writeback, memory_order_relaxed);
}

static void blk_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
	if (off <= C_WRITEBACK && C_WRITEBACK < off + len)
		blk_update_cache(blk_of(v), v->driver_features);
}

static void blk_config_reset(struct virtio_dev *v)
{
	v->config[C_WRITEBACK] = 1;
}

static void blk_start(struct virtio_dev *v)
{
	LOCK_GUARD(&v->lock);
	blk_update_cache(blk_of(v), v->features);
}

static void blk_set_capacity(struct virtio_blk *b, const struct blk_info *i)
{
	atomic_store(&b->sectors, i->size / VBLK_SECTOR);
}

static uint8_t log2_of(uint32_t v)
{
	return v ? (uint8_t)(31 - __builtin_clz(v)) : 0;
}

/* A format gives back whole clusters: less is not worth a guest's asking. */
static uint32_t discard_sectors(const struct blk_info *i)
{
	uint32_t align = i->discard_align > i->cluster_size ? i->discard_align
							    : i->cluster_size;

	return align > VBLK_SECTOR ? align / VBLK_SECTOR : 1;
}

static void blk_fill_config(struct virtio_blk *b, const struct blk_info *i)
{
	uint8_t *c = b->v.config;
	uint32_t ratio = i->block_size ? i->phys_size / i->block_size : 1;

	put_le64(c + C_CAPACITY, i->size / VBLK_SECTOR);
	put_le32(c + C_SEG_MAX, VBLK_SEGS);
	put_le32(c + C_BLK_SIZE, i->block_size);
	c[C_PHYS_EXP] = log2_of(ratio);
	put_le16(c + C_MIN_IO, (uint16_t)(ratio ? ratio : 1));
	/* whole clusters need nothing of what was there before */
	if (i->cluster_size > i->block_size && i->block_size)
		put_le32(c + C_OPT_IO, i->cluster_size / i->block_size);
	c[C_WRITEBACK] = 1;
	b->v.config_wmask[C_WRITEBACK] = 1;
	put_le16(c + C_NUM_QUEUES, (uint16_t)b->nqueues);
	put_le32(c + C_DISCARD_MAX, VBLK_MAX_SECTORS);
	put_le32(c + C_DISCARD_SEGS, VBLK_RANGES);
	put_le32(c + C_DISCARD_ALIGN, discard_sectors(i));
	put_le32(c + C_ZEROES_MAX, VBLK_MAX_SECTORS);
	put_le32(c + C_ZEROES_SEGS, 1);
	c[C_ZEROES_UNMAP] = i->can_discard;
}

static uint64_t blk_features(const struct virtio_blk *b,
	const struct blk_info *i)
{
	uint64_t f = VIRTIO_BIT(VBLK_F_SEG_MAX) | VIRTIO_BIT(VBLK_F_BLK_SIZE) |
		     VIRTIO_BIT(VBLK_F_TOPOLOGY) | VIRTIO_BIT(VBLK_F_FLUSH) |
		     VIRTIO_BIT(VBLK_F_CONFIG_WCE);

	if (b->nqueues > 1)
		f |= VIRTIO_BIT(VBLK_F_MQ);
	if (i->readonly)
		return f | VIRTIO_BIT(VBLK_F_RO);
	if (i->can_discard)
		f |= VIRTIO_BIT(VBLK_F_DISCARD);
	if (i->can_write_zeroes)
		f |= VIRTIO_BIT(VBLK_F_WRITE_ZEROES);
	return f;
}

void virtio_blk_resized(struct device *d)
{
	struct virtio_blk *b = (struct virtio_blk *)(void *)container_of(d,
		struct virtio_dev, dev);
	struct blk_info info;
	uint8_t le[8];

	blk_info(b->blk, &info);
	blk_set_capacity(b, &info);
	put_le64(le, info.size / VBLK_SECTOR);
	virtio_config_set(&b->v, C_CAPACITY, le, sizeof(le));
}

/* --- made, freed
 * ------------------------------------------------------------------ */

static void blk_free_pools(struct virtio_blk *b)
{
	for (unsigned i = 0; i < b->nqueues; i++)
		free(b->queue[i].pool);
	free(b);
}

static void blk_free(struct virtio_dev *v)
{
	struct virtio_blk *b = blk_of(v);

	loop_call_cancel(&b->reply);
	virtio_dev_fini(v);
	blk_free_pools(b);
}

static const struct virtio_ops blk_ops = {
	.config_written = blk_config_written,
	.reset = blk_config_reset,
	.start = blk_start,
	.queue = blk_queue,
	.stop = blk_stop,
	.drain = blk_drain_all,
	.free = blk_free,
};

static struct virtio_blk *blk_alloc(struct core *core, struct blk *blk,
	unsigned queues)
{
	struct virtio_blk *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->blk = blk;
	b->nqueues = queues;
	for (unsigned i = 0; i < queues; i++) {
		struct vblk_queue *bq = &b->queue[i];

		bq->index = i;
		bq->pool = calloc(VBLK_QUEUE, sizeof(*bq->pool));
		if (!bq->pool) {
			blk_free_pools(b);
			return NULL;
		}
	}
	loop_call_init(&b->reply, core->io, blk_reply, b);
	return b;
}

int virtio_blk_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct blk *blk, unsigned queues, const char *serial,
	struct device **out, struct err *e)
{
	struct virtio_info info = {
		.name = "virtio-blk",
		.type = VIRTIO_TYPE_BLK,
		.class_code = 0x010000,
		.nqueues = queues,
		.queue_size = VBLK_QUEUE,
		.config_len = C_LEN,
	};
	struct virtio_blk *b;
	struct blk_info image;
	int r;

	if (queues < 1 || queues > VBLK_MAX_QUEUES)
		return err_set(e, EINVAL, "virtio-blk: %u queues; 1 to %u work",
			queues, VBLK_MAX_QUEUES);
	b = blk_alloc(core, blk, queues);
	if (!b)
		return err_set(e, ENOMEM, "virtio-blk: out of memory");
	blk_info(blk, &image);
	info.features = blk_features(b, &image);
	r = virtio_dev_init(&b->v, core, &info, &blk_ops, e);
	if (r < 0) {
		blk_free_pools(b);
		return r;
	}
	b->readonly = image.readonly;
	blk_set_capacity(b, &image);
	blk_fill_config(b, &image);
	memcpy(b->serial, serial, strnlen(serial, sizeof(b->serial)));
	r = virtio_pci_add(&b->v, bus, devfn, e);
	if (r < 0) {
		blk_free(&b->v);
		return r;
	}
	*out = &b->v.dev;
	return 0;
}
