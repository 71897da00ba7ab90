/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compressed writes: whole clusters, each in a fiber, so that several are
 * compressed at a time (compress.c, on threads); they lie packed, byte by
 * byte. What gets no smaller, or is no whole cluster, is written as it is.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/qcow2/write.h"

#define QPACK_FIBERS 16u /* of one request at a time */

/* One cluster at guest offset offset, len bytes of it inside the disk. */
struct qpack {
	struct qcow2 *q;
	uint64_t offset, len;
	const struct iovec *iov;
	int niov;
	uint64_t skip; /* bytes of iov */
	struct qpack_group *group;
};

struct qpack_group {
	unsigned running;
	struct fiber *fiber; /* waits */
	int err;
};

/* Specification: "Compressed Clusters Descriptor". */
static uint64_t qpack_entry(const struct qcow2 *q, uint64_t host, uint64_t len)
{
	uint64_t sectors = ((host + len - 1) >> 9) - (host >> 9);

	return QL2_COMPRESSED | sectors << (70 - q->cluster_bits) | host;
}

/* With meta held and nobody else there: write it and change the map. */
static int qpack_place(struct qcow2 *q, uint64_t offset, const void *buf,
	uint64_t len)
{
	struct qinflight flight;
	struct qslice *s;
	uint64_t host, old, bitmap;
	struct qmap m;
	unsigned index;
	int r = qmap_get(q, offset, 1, &m); /* checks the entry */

	if (!r)
		r = qmap_l2_for_write(q, offset, &s, &index);
	if (r)
		return r;
	r = qalloc_bytes(q, len, &host);
	if (r) {
		qcache_put(&q->l2, s);
		return r;
	}
	qinflight_begin(q, &flight, offset, offset + q->cluster_size);
	fiber_lock_drop(&q->meta);
	r = node_write(q->file, host, buf, len, 0);
	fiber_lock_take(&q->meta);
	if (!r && q->corrupt)
		r = -EIO;
	if (!r) {
		old = qmap_entry(q, s, index, &bitmap);
		qfree_entry(q, old);
		qmap_set_entry(q, s, index, qpack_entry(q, host, len), 0);
	} else {
		(void)qfree_now(q, host, len);
	}
	qinflight_end(&flight);
	qcache_put(&q->l2, s);
	return r;
}

/* -ENOSPC, with *plain set, when it does not get smaller. */
static int qpack_cluster(struct qpack *w, bool *plain)
{
	struct qcow2 *q = w->q;
	uint32_t size = q->cluster_size;
	uint8_t *src = malloc(2 * (size_t)size), *dst;
	int64_t n;
	int r;

	if (!src)
		return -ENOMEM;
	dst = src + size;
	iov_to_buf(w->iov, w->niov, w->skip, src, w->len);
	for (uint64_t i = w->len; i < size; i++)
		src[i] = 0; /* behind the end of the disk */
	n = qcomp_pack(q, dst, size - 1, src, size);
	*plain = n == -ENOSPC;
	r = n < 0 ? (int)n
		  : qwrite_enter(q, w->offset, w->offset + q->cluster_size);
	if (!r) {
		r = qpack_place(q, w->offset, dst, (uint64_t)n);
		fiber_lock_drop(&q->meta);
	}
	free(src);
	return r;
}

static int qpack_one(struct qpack *w)
{
	bool plain = false;
	struct iovec *iov;
	int r = qpack_cluster(w, &plain);
	int n;

	if (!plain)
		return r;
	iov = calloc((size_t)w->niov, sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	n = iov_part(w->iov, w->niov, w->skip, w->len, iov);
	r = qwrite(w->q, w->offset, iov, n, w->len);
	free(iov);
	return r;
}

static void qpack_fiber(void *arg)
{
	struct qpack *w = arg;
	struct qpack_group *g = w->group;
	int r = qpack_one(w);

	if (r && !g->err)
		g->err = r;
	free(w);
	g->running--;
	if (g->fiber)
		fiber_wake(g->fiber);
}

/* Until fewer than n run. */
static void qpack_wait(struct qpack_group *g, unsigned n)
{
	g->fiber = fiber_self();
	while (g->running >= n)
		fiber_wait();
	g->fiber = NULL;
}

static int qpack_start(struct qpack *w)
{
	struct qpack *copy = malloc(sizeof(*copy));
	int r;

	if (!copy)
		return -ENOMEM;
	*copy = *w;
	w->group->running++;
	r = fiber_start(w->q->node.ctx, qpack_fiber, copy);
	if (r) {
		w->group->running--;
		free(copy);
	}
	return r;
}

int qpack_write(struct qcow2 *q, uint64_t offset, const struct iovec *iov,
	int niov, uint64_t len)
{
	struct qpack_group g = { 0 };
	struct qpack w = { q, offset, 0, iov, niov, 0, &g };
	uint32_t size = q->cluster_size;
	uint64_t end = offset + len;

	if (q->data != q->file || (offset & (size - 1)) ||
		((end & (size - 1)) && end != q->h.size))
		return qwrite(q, offset, iov, niov, len);
	while (w.offset < end && !g.err) {
		int r;

		w.len = end - w.offset < size ? end - w.offset : size;
		if (len <= size)
			return qpack_one(&w);
		qpack_wait(&g, QPACK_FIBERS);
		r = qpack_start(&w);
		if (r && !g.err)
			g.err = r;
		w.skip += w.len;
		w.offset += w.len;
	}
	qpack_wait(&g, 1);
	return g.err;
}
