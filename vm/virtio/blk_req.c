/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One virtio-blk request (virtio 1.2, 5.2.6): header out of the driver's
 * pieces, data left where it is, status into the last byte. Thread: I/O.
 */
#include <errno.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/storage.h"

#include "vm/virtio/blk_impl.h"
#include "vm/virtio/virtio.h"

#define HDR_LEN     16
#define RANGE_LEN   16
#define RANGE_UNMAP 1

static void refuse(struct vblk_req *rq, uint8_t status, const char *why)
{
	log_limited(rq->b->v.core->log, &rq->b->log_limit, LOG_WARN,
		"virtio-blk: refused a request: %s", why);
	vblk_finish(rq, status);
}

/* Is [sector, sector + len/512) inside the disk? */
static bool in_disk(struct vblk_req *rq, uint64_t sector, uint64_t len)
{
	return size_in(sector, len / VBLK_SECTOR, atomic_load(&rq->b->sectors));
}

static void io_done(struct blk_req *r, int err)
{
	struct vblk_req *rq = r->arg;

	if (err == 0 && r->op == BLK_READ)
		rq->written = (uint32_t)r->len;
	vblk_finish(rq, err == 0          ? VBLK_S_OK
			: err == -ENOTSUP ? VBLK_S_UNSUPP
					  : VBLK_S_IOERR);
}

static bool write_through(const struct vblk_req *rq)
{
	return !atomic_load_explicit(&rq->b->writeback, memory_order_relaxed);
}

/* Data is what follows the header, or what precedes the status byte. */
static void start_io(struct vblk_req *rq, bool write, uint64_t sector)
{
	struct virtq_elem *el = &rq->el;
	uint64_t len = write ? el->out_bytes - HDR_LEN : el->in_bytes - 1;
	struct iovec *iov = write ? el->iov : el->iov + el->nout;
	unsigned n = write ? el->nout : el->nin;
	struct blk_req *r = &rq->r;
	int first;

	if (len == 0 || len % VBLK_SECTOR || len > BLK_MAX_BYTES) {
		refuse(rq, VBLK_S_IOERR, "length is not whole sectors");
		return;
	}
	if (!in_disk(rq, sector, len)) {
		refuse(rq, VBLK_S_IOERR, "past the end of the disk");
		return;
	}
	if (write && rq->b->readonly) {
		refuse(rq, VBLK_S_IOERR, "write to a read-only disk");
		return;
	}
	r->op = write ? BLK_WRITE : BLK_READ;
	r->flags = write && write_through(rq) ? BLK_FUA : 0;
	r->offset = sector * VBLK_SECTOR;
	r->len = len;
	r->niov = virtq_iov_cut(iov, (int)n, write ? HDR_LEN : 0, len, &first);
	r->iov = iov + first;
	r->done = io_done;
	blk_submit(rq->b->blk, r);
}

static void start_flush(struct vblk_req *rq)
{
	struct blk_req *r = &rq->r;

	r->op = BLK_FLUSH;
	r->flags = 0;
	r->offset = r->len = 0;
	r->iov = NULL;
	r->niov = 0;
	r->done = io_done;
	blk_submit(rq->b->blk, r);
}

static void start_get_id(struct vblk_req *rq)
{
	uint32_t n = rq->el.in_bytes - 1;

	if (n > VBLK_ID_LEN)
		n = VBLK_ID_LEN;
	rq->written = virtq_elem_write(&rq->el, 0, rq->b->serial, n);
	vblk_finish(rq, VBLK_S_OK);
}

/* --- discard and write-zeroes: up to VBLK_RANGES ranges, one by one ----------
 */

static void range_submit(struct vblk_req *rq);

static void range_done(struct blk_req *r, int err)
{
	struct vblk_req *rq = r->arg;

	rq->range++;
	if (err == 0 && rq->range < rq->nranges)
		range_submit(rq);
	else
		io_done(r, err);
}

static void range_submit(struct vblk_req *rq)
{
	const struct vblk_range *g = &rq->ranges[rq->range];
	struct blk_req *r = &rq->r;

	r->flags = 0;
	if (r->op == BLK_WRITE_ZEROES && g->unmap)
		r->flags |= BLK_UNMAP;
	if (r->op == BLK_WRITE_ZEROES && write_through(rq))
		r->flags |= BLK_FUA;
	r->offset = g->offset;
	r->len = g->len;
	r->iov = NULL;
	r->niov = 0;
	r->done = range_done;
	blk_submit(rq->b->blk, r);
}

/* Copy one range in and check it: 0, or the status to end with. */
static uint8_t range_parse(struct vblk_req *rq, unsigned i)
{
	struct vblk_range *g = &rq->ranges[i];
	uint8_t raw[RANGE_LEN];
	uint64_t sector;
	uint32_t count, flags;

	virtq_elem_read(&rq->el, HDR_LEN + i * RANGE_LEN, raw, sizeof(raw));
	sector = get_le64(raw);
	count = get_le32(raw + 8);
	flags = get_le32(raw + 12);
	/* 5.2.6.2: unknown bits, and unmap in a discard, are unsupported */
	if (flags & ~(uint32_t)RANGE_UNMAP ||
		(flags && rq->r.op == BLK_DISCARD))
		return VBLK_S_UNSUPP;
	if (count == 0 || count > VBLK_MAX_SECTORS ||
		!in_disk(rq, sector, (uint64_t)count * VBLK_SECTOR))
		return VBLK_S_IOERR;
	g->offset = sector * VBLK_SECTOR;
	g->len = (uint64_t)count * VBLK_SECTOR;
	g->unmap = flags & RANGE_UNMAP;
	return 0;
}

static void start_ranges(struct vblk_req *rq, enum blk_op op, unsigned feature)
{
	uint32_t len = rq->el.out_bytes - HDR_LEN;

	rq->r.op = op;
	if (!virtio_has(&rq->b->v, feature)) {
		refuse(rq, VBLK_S_UNSUPP, "discard was not negotiated");
		return;
	}
	if (len == 0 || len % RANGE_LEN || len / RANGE_LEN > VBLK_RANGES) {
		refuse(rq, VBLK_S_IOERR, "bad number of ranges");
		return;
	}
	/* zeroes may have to be written: one range, as the config says */
	if (op == BLK_WRITE_ZEROES && len > RANGE_LEN) {
		refuse(rq, VBLK_S_IOERR, "too many ranges of zeroes");
		return;
	}
	rq->nranges = len / RANGE_LEN;
	rq->range = 0;
	for (unsigned i = 0; i < rq->nranges; i++) {
		uint8_t status = range_parse(rq, i);

		if (status) {
			refuse(rq, status, "bad range");
			return;
		}
		if (op == BLK_WRITE_ZEROES)
			vblk_charge(rq, rq->ranges[i].len);
	}
	range_submit(rq);
}

/* --- one request
 * ---------------------------------------------------------------- */

/* Where the status goes: the last byte that the device may write. */
static uint8_t *status_byte(const struct virtq_elem *el)
{
	const struct iovec *last = &el->iov[el->nout + el->nin - 1];

	return (uint8_t *)last->iov_base + last->iov_len - 1;
}

bool vblk_start(struct vblk_req *rq)
{
	uint8_t hdr[HDR_LEN];
	uint64_t sector;

	if (rq->el.in_bytes == 0) {
		virtio_broken(&rq->b->v, "a request has no status byte");
		return false;
	}
	rq->status = status_byte(&rq->el);
	rq->written = 0;
	rq->r.arg = rq;
	if (virtq_elem_read(&rq->el, 0, hdr, HDR_LEN) != HDR_LEN) {
		refuse(rq, VBLK_S_IOERR, "short header");
		return true;
	}
	sector = get_le64(hdr + 8);
	switch (get_le32(hdr)) {
	case VBLK_T_IN:
		start_io(rq, false, sector);
		break;
	case VBLK_T_OUT:
		start_io(rq, true, sector);
		break;
	case VBLK_T_FLUSH:
		start_flush(rq);
		break;
	case VBLK_T_GET_ID:
		start_get_id(rq);
		break;
	case VBLK_T_DISCARD:
		start_ranges(rq, BLK_DISCARD, VBLK_F_DISCARD);
		break;
	case VBLK_T_WRITE_ZEROES:
		start_ranges(rq, BLK_WRITE_ZEROES, VBLK_F_WRITE_ZEROES);
		break;
	default:
		refuse(rq, VBLK_S_UNSUPP, "unknown type");
		break;
	}
	return true;
}
