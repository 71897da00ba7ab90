/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an image has where (BLK_STATUS): runs of the map, put together as far
 * as they look alike from outside, and where this layer has nothing what its
 * backing image says, one deeper. In a fiber only when a slice must be read.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/impl.h"

/* Put together at most, so that others get their turn. */
#define QSTATUS_RUNS     1024u
#define QSTATUS_CLUSTERS (UINT64_C(1) << 18)

struct qstatus {
	struct blk_req r; /* to the backing image */
	struct qcow2 *q;
	struct blk_req *whole;
};

/* Does b go on where a ends, as far as people see? */
static bool qstatus_follows(const struct qmap *a, const struct qmap *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == QMAP_NONE || a->kind == QMAP_COMPRESSED)
		return true;
	return a->has_host == b->has_host &&
	       (!a->has_host || a->host + a->len == b->host);
}

/* Make m, which begins at offset, longer by runs that are cached. */
static void qstatus_merge(struct qcow2 *q, uint64_t offset, uint64_t len,
	struct qmap *m)
{
	uint64_t most = QSTATUS_CLUSTERS << q->cluster_bits;

	if (len > most)
		len = most;
	for (unsigned i = 0; i < QSTATUS_RUNS && m->len < len; i++) {
		struct qmap next;

		if (qmap_peek(q, offset + m->len, len - m->len, &next) ||
			!qstatus_follows(m, &next))
			return;
		m->len += next.len;
	}
}

static void qstatus_backing_done(struct blk_req *r, int err)
{
	struct qstatus *s = r->arg;
	struct blk_req *whole = s->whole;

	if (!err)
		whole->extent->depth++;
	free(s);
	node_done(whole, err);
}

static void qstatus_ask_backing(struct qcow2 *q, struct blk_req *whole,
	uint64_t len)
{
	struct qstatus *s = calloc(1, sizeof(*s));

	if (!s) {
		node_done(whole, -ENOMEM);
		return;
	}
	s->q = q;
	s->whole = whole;
	s->r.op = BLK_STATUS;
	s->r.flags = whole->flags;
	s->r.offset = whole->offset;
	s->r.len = len;
	s->r.extent = whole->extent;
	s->r.done = qstatus_backing_done;
	s->r.arg = s;
	list_init(&s->r.node);
	node_submit(q->backing, &s->r);
}

/* Not in this image. */
static void qstatus_none(struct qcow2 *q, struct blk_req *whole, uint64_t len)
{
	uint64_t size = q->backing ? node_size(q->backing) : 0;
	bool top = whole->flags & BLK_TOP;

	if (!top && whole->offset < size) {
		if (len > size - whole->offset)
			len = size - whole->offset;
		qstatus_ask_backing(q, whole, len);
		return;
	}
	*whole->extent = (struct blk_extent){
		.len = len,
		.zero = !top || !q->backing,
		.file = q->node.path,
	};
	node_done(whole, 0);
}

/* The map says m of where whole begins. */
static void qstatus_answer(struct qcow2 *q, struct blk_req *whole,
	struct qmap *m)
{
	qstatus_merge(q, whole->offset, whole->len, m);
	if (m->kind == QMAP_NONE) {
		qstatus_none(q, whole, m->len);
		return;
	}
	*whole->extent = (struct blk_extent){
		.len = m->len,
		.data = m->kind != QMAP_ZERO,
		.zero = m->kind == QMAP_ZERO,
		.present = true,
		.compressed = m->kind == QMAP_COMPRESSED,
		.has_host = m->has_host,
		.host = m->has_host ? m->host : 0,
		.file = m->has_host ? q->data->path : q->node.path,
	};
	node_done(whole, 0);
}

static void qstatus_fiber(void *arg)
{
	struct qstatus *s = arg;
	struct qcow2 *q = s->q;
	struct blk_req *whole = s->whole;
	struct qmap m;
	int r;

	free(s);
	r = qmap_get(q, whole->offset, whole->len, &m);
	if (r)
		node_done(whole, r);
	else
		qstatus_answer(q, whole, &m);
}

void qstatus_submit(struct qcow2 *q, struct blk_req *r)
{
	struct qstatus *s;
	struct qmap m;
	int err = qmap_peek(q, r->offset, r->len, &m);

	if (!err) {
		qstatus_answer(q, r, &m);
		return;
	}
	if (err == -EAGAIN) {
		s = calloc(1, sizeof(*s));
		err = s ? 0 : -ENOMEM;
	}
	if (!err) {
		s->q = q;
		s->whole = r;
		err = fiber_start(q->node.ctx, qstatus_fiber, s);
		if (!err)
			return;
		free(s);
	}
	node_done(r, err);
}
