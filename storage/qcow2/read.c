/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads. Where the L2 entries are cached and the request lies in one run it
 * becomes one request to the file (or to what backs the image): no memory is
 * allocated, nothing waits. Else it is taken apart: a part for each run, many
 * at once; a fiber goes on where a slice must be read first or too many parts
 * are on their way, and one does each compressed cluster that is not kept.
 *
 * From the look at the map to the end the clusters are held by
 * qdirect_begin(), so that nobody gets them for something else.
 */
#include "storage/qcow2/read.h"

#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"

#define QREAD_PARTS  32u /* of one request on their way */
#define QREAD_POOLED 256u
#define QREAD_IOV    4 /* pieces that a part has room for */

/* A request that is taken apart. */
struct qread {
	struct qcow2 *q;
	struct blk_req *whole;
	uint64_t pos, end;       /* guest bytes that are not yet begun */
	const struct iovec *iov; /* pieces from pos on ... */
	uint64_t skip;           /* ... from this byte of the first */
	int niov;
	unsigned pending;    /* parts, and one until all are begun */
	unsigned slot;       /* of qdirect_begin() */
	struct fiber *fiber; /* waits for a part to end */
	int err;             /* the first */
};

/* A run of it, or all of it. */
struct qread_part {
	struct blk_req r;
	struct qcow2 *q;
	union {
		struct blk_req *whole; /* when there is only this part */
		struct qread *rd;
	};
	unsigned slot;
	struct qunpack_at at; /* of a compressed cluster ... */
	uint32_t in;          /* ... from this byte on */
	struct iovec *more;   /* allocated, when small is too small */
	struct iovec small[QREAD_IOV];
	struct qread_part *next;
};

/* --- parts --- */

static struct qread_part *qread_part_get(struct qcow2 *q)
{
	struct qread_part *p = q->read_pool;

	if (p) {
		q->read_pool = p->next;
		q->read_pooled--;
	} else {
		p = malloc(sizeof(*p));
		if (!p)
			return NULL;
	}
	p->q = q;
	p->more = NULL;
	return p;
}

static void qread_part_put(struct qread_part *p)
{
	struct qcow2 *q = p->q;

	if (p->more)
		free(p->more); /* seldom: not even the call */
	if (q->read_pooled == QREAD_POOLED) {
		free(p);
		return;
	}
	p->next = q->read_pool;
	q->read_pool = p;
	q->read_pooled++;
}

void qread_close(struct qcow2 *q)
{
	while (q->read_pool) {
		struct qread_part *p = q->read_pool;

		q->read_pool = p->next;
		free(p);
	}
	q->read_pooled = 0;
	qunpack_close(q);
}

static void qread_part_fill(struct qread_part *p, uint64_t offset, uint64_t len,
	const struct iovec *iov, int niov,
	void (*done)(struct blk_req *r, int err))
{
	struct blk_req *r = &p->r;

	/* one by one: there is much in it that nobody looks at */
	r->offset = offset;
	r->len = len;
	r->iov = iov;
	r->niov = niov;
	r->extent = NULL;
	r->done = done;
	r->arg = p;
	r->blk = NULL;
	r->complete = NULL;
	list_init(&r->node);
}

/* --- in one piece --- */

static void qdirect_done(struct blk_req *r, int err)
{
	struct qread_part *p = r->arg;
	struct blk_req *whole = p->whole;

	qdirect_end(p->q, p->slot);
	qread_part_put(p);
	node_done(whole, err);
}

void qdirect_submit(struct qcow2 *q, struct blk_req *r, struct node *child,
	uint64_t offset, unsigned slot)
{
	struct qread_part *p = qread_part_get(q);

	if (!p) {
		qdirect_end(q, slot);
		node_done(r, -ENOMEM);
		return;
	}
	p->whole = r;
	p->slot = slot;
	p->r.op = r->op;
	p->r.flags = r->flags & BLK_FUA;
	qread_part_fill(p, offset, r->len, r->iov, r->niov, qdirect_done);
	node_submit(child, &p->r);
}

static void qread_zeros(struct qcow2 *q, struct blk_req *r, unsigned slot)
{
	qdirect_end(q, slot);
	iov_zero(r->iov, r->niov, 0, r->len);
	node_done(r, 0);
}

/* --- taken apart --- */

/* A part, or the beginning of them, is through. */
static void qread_drop(struct qread *rd, int err)
{
	struct blk_req *whole = rd->whole;

	if (err && !rd->err)
		rd->err = err;
	if (--rd->pending) {
		if (rd->fiber)
			fiber_wake(rd->fiber);
		return;
	}
	err = rd->err;
	qdirect_end(rd->q, rd->slot);
	free(rd);
	node_done(whole, err);
}

static void qread_part_done(struct blk_req *r, int err)
{
	struct qread_part *p = r->arg;
	struct qread *rd = p->rd;

	qread_part_put(p);
	qread_drop(rd, err);
}

/* The next len bytes of the guest are dealt with. */
static void qread_advance(struct qread *rd, uint64_t len)
{
	rd->pos += len;
	len += rd->skip;
	while (rd->niov && len >= rd->iov->iov_len) {
		len -= rd->iov->iov_len;
		rd->iov++;
		rd->niov--;
	}
	rd->skip = len;
}

/* The pieces of the next len bytes into p. Their number or -ENOMEM. */
static int qread_part_iov(const struct qread *rd, struct qread_part *p,
	uint64_t len, struct iovec **out)
{
	uint64_t skip = rd->skip;
	int n = 0;

	for (uint64_t have = 0; have < skip + len; n++)
		have += rd->iov[n].iov_len;
	*out = p->small;
	if (n > QREAD_IOV) {
		p->more = calloc((size_t)n, sizeof(struct iovec));
		*out = p->more;
	}
	if (!*out)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		uint64_t have = rd->iov[i].iov_len - skip;

		(*out)[i] = (struct iovec){
			(char *)rd->iov[i].iov_base + skip,
			have < len ? have : len,
		};
		len -= (*out)[i].iov_len;
		skip = 0;
	}
	return n;
}

/* A part for the next len bytes, not yet submitted. NULL = no memory. */
static struct qread_part *qread_part_new(struct qread *rd, uint64_t offset,
	uint64_t len)
{
	struct qread_part *p = qread_part_get(rd->q);
	struct iovec *iov;
	int n;

	if (!p)
		return NULL;
	n = qread_part_iov(rd, p, len, &iov);
	if (n < 0) {
		qread_part_put(p);
		return NULL;
	}
	p->rd = rd;
	p->r.op = BLK_READ;
	p->r.flags = 0;
	qread_part_fill(p, offset, len, iov, n, qread_part_done);
	rd->pending++;
	qread_advance(rd, len);
	return p;
}

static int qread_child(struct qread *rd, struct node *child, uint64_t offset,
	uint64_t len)
{
	struct qread_part *p = qread_part_new(rd, offset, len);

	if (!p)
		return -ENOMEM;
	node_submit(child, &p->r);
	return 0;
}

static void qread_zero(struct qread *rd, uint64_t len)
{
	iov_zero(rd->iov, rd->niov, rd->skip, len);
	qread_advance(rd, len);
}

/* Not in the image: what backs it, which may be shorter, or zeros. */
static int qread_backing(struct qread *rd, uint64_t len)
{
	struct node *backing = rd->q->backing;
	uint64_t size = backing ? node_size(backing) : 0;

	if (rd->pos >= size) {
		qread_zero(rd, len);
		return 0;
	}
	if (len > size - rd->pos)
		len = size - rd->pos;
	return qread_child(rd, backing, rd->pos, len);
}

static void qread_unpack_fiber(void *arg)
{
	struct qread_part *p = arg;

	qread_part_done(&p->r, qunpack(p->q, &p->at, p->in, (uint32_t)p->r.len,
				       p->r.iov, p->r.niov));
}

static int qread_compressed(struct qread *rd, const struct qmap *m,
	uint64_t len)
{
	struct qcow2 *q = rd->q;
	uint32_t in = (uint32_t)(rd->pos & (q->cluster_size - 1));
	struct qunpack_at at = { m->host, m->host_len, q->epoch };
	const uint8_t *bytes = qunpack_peek(q, &at);
	struct qread_part *p;
	int r;

	if (bytes) {
		iov_from_buf(rd->iov, rd->niov, rd->skip, bytes + in, len);
		qread_advance(rd, len);
		return 0;
	}
	p = qread_part_new(rd, rd->pos, len);
	if (!p)
		return -ENOMEM;
	p->at = at;
	p->in = in;
	r = fiber_start(q->node.ctx, qread_unpack_fiber, p);
	if (r)
		qread_part_done(&p->r, r);
	return 0;
}

/* Begin the next run, which is as the map says. */
static int qread_run(struct qread *rd, const struct qmap *m)
{
	uint64_t len = m->len;

	switch (m->kind) {
	case QMAP_NONE:
		return qread_backing(rd, len);
	case QMAP_DATA:
		return qread_child(rd, rd->q->data, m->host, len);
	case QMAP_COMPRESSED:
		return qread_compressed(rd, m, len);
	case QMAP_ZERO:
		break;
	}
	qread_zero(rd, len);
	return 0;
}

/* What cannot be done without waiting. */
static void qread_rest(void *arg)
{
	struct qread *rd = arg;
	struct qmap m;
	int r = 0;

	while (rd->pos < rd->end && !rd->err && !r) {
		if (rd->pending > QREAD_PARTS) {
			rd->fiber = fiber_self();
			fiber_wait();
			rd->fiber = NULL;
			continue;
		}
		r = qmap_get(rd->q, rd->pos, rd->end - rd->pos, &m);
		if (!r)
			r = qread_run(rd, &m);
	}
	qread_drop(rd, r);
}

static void qread_apart(struct qcow2 *q, struct blk_req *whole, unsigned slot)
{
	struct qread *rd = malloc(sizeof(*rd));
	struct qmap m;
	int r = 0;

	if (!rd) {
		qdirect_end(q, slot);
		node_done(whole, -ENOMEM);
		return;
	}
	*rd = (struct qread){ .q = q,
		.whole = whole,
		.pos = whole->offset,
		.end = whole->offset + whole->len,
		.iov = whole->iov,
		.niov = whole->niov,
		.pending = 1,
		.slot = slot };
	while (rd->pos < rd->end && !rd->err && !r) {
		r = rd->pending > QREAD_PARTS
			    ? -EAGAIN
			    : qmap_peek(q, rd->pos, rd->end - rd->pos, &m);
		if (!r)
			r = qread_run(rd, &m);
	}
	if (r == -EAGAIN) {
		r = fiber_start(q->node.ctx, qread_rest, rd);
		if (!r)
			return;
	}
	qread_drop(rd, r);
}

/* The one that has all of run m, which is r's; NULL = it reads as zeros, or
 * only some of it does: *apart. */
static struct node *qread_child_of(struct qcow2 *q, const struct blk_req *r,
	const struct qmap *m, bool *apart)
{
	*apart = m->kind == QMAP_COMPRESSED;
	if (m->kind == QMAP_DATA)
		return q->data;
	if (m->kind != QMAP_NONE || !q->backing)
		return NULL;
	*apart = !size_in(r->offset, r->len, node_size(q->backing));
	return q->backing;
}

void qread_submit(struct qcow2 *q, struct blk_req *r)
{
	unsigned slot = qdirect_begin(q);
	struct node *child = NULL;
	struct qmap m;
	bool apart = qmap_peek(q, r->offset, r->len, &m) || m.len != r->len;

	if (!apart)
		child = qread_child_of(q, r, &m, &apart);
	if (apart)
		qread_apart(q, r, slot);
	else if (child)
		qdirect_submit(q, r, child,
			m.kind == QMAP_DATA ? m.host : r->offset, slot);
	else
		qread_zeros(q, r, slot);
}

int qread(struct qcow2 *q, uint64_t offset, void *buf, uint64_t len)
{
	return node_read(&q->node, offset, buf, len);
}
