/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes. Where the L2 entries are cached and the request lies in one run of
 * clusters that are the image's own it becomes one request to the file: no
 * fiber, no lock. Else a fiber goes through it run by run: in place, or by
 * way of cow.c where clusters are made. Compressed writes are pack.c's.
 */
#include "storage/qcow2/write.h"

#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"

/* --- memory of a request --- */

void qbytes_advance(struct qbytes *b, uint64_t len)
{
	b->skip += len;
	while (b->niov && b->skip >= b->iov->iov_len) {
		b->skip -= b->iov->iov_len;
		b->iov++;
		b->niov--;
	}
}

int qbytes_write(const struct qbytes *b, struct node *child, uint64_t offset,
	uint64_t len)
{
	struct iovec *iov, one;
	int n, r;

	if (b->niov <= 0)
		return -EINVAL; /* there are always len bytes */
	if (b->iov->iov_len - b->skip >= len) {
		one.iov_base = (char *)b->iov->iov_base + b->skip;
		one.iov_len = len;
		return node_writev(child, offset, &one, 1, len, 0);
	}
	iov = calloc((size_t)b->niov, sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	n = iov_part(b->iov, b->niov, b->skip, len, iov);
	r = node_writev(child, offset, iov, n, len, 0);
	free(iov);
	return r;
}

/* --- fibers --- */

struct qjob {
	struct qcow2 *q;
	struct blk_req *r;
	int (*fn)(struct qcow2 *q, struct blk_req *r);
};

static void qjob_run(void *arg)
{
	struct qjob job = *(struct qjob *)arg;
	int err;

	free(arg);
	err = job.fn(job.q, job.r);
	if (!err && (job.r->flags & BLK_FUA))
		err = qflush(job.q);
	node_done(job.r, err);
}

void qjob_start(struct qcow2 *q, struct blk_req *r,
	int (*fn)(struct qcow2 *q, struct blk_req *r))
{
	struct qjob *job = malloc(sizeof(*job));
	int err = -ENOMEM;

	if (job) {
		*job = (struct qjob){ q, r, fn };
		err = fiber_start(q->node.ctx, qjob_run, job);
	}
	if (err) {
		free(job);
		node_done(r, err);
	}
}

/* --- who writes where --- */

void qinflight_begin(struct qcow2 *q, struct qinflight *f, uint64_t start,
	uint64_t end)
{
	f->start = start;
	f->end = end;
	fiber_queue_init(&f->waiters);
	list_add_tail(&q->inflight, &f->node);
}

void qinflight_end(struct qinflight *f)
{
	list_del(&f->node);
	fiber_queue_wake_all(&f->waiters);
}

bool qwrite_wait_overlap(struct qcow2 *q, uint64_t start, uint64_t end)
{
	list_each (it, &q->inflight) {
		struct qinflight *f = list_entry(it, struct qinflight, node);

		if (f->start >= end || start >= f->end)
			continue;
		fiber_lock_drop(&q->meta);
		fiber_queue_wait(&f->waiters);
		fiber_lock_take(&q->meta);
		return true;
	}
	return false;
}

int qwrite_enter(struct qcow2 *q, uint64_t start, uint64_t end)
{
	int r = 0;

	fiber_lock_take(&q->meta);
	do {
		if (q->corrupt)
			r = -EIO;
		if (!r)
			r = qcow2_begin_writing(q);
		if (!r)
			r = qcommit_if_full(q);
	} while (!r && qwrite_wait_overlap(q, start, end));
	if (r)
		fiber_lock_drop(&q->meta);
	return r;
}

uint64_t qwrite_slice_end(const struct qcow2 *q, uint64_t offset)
{
	uint64_t span = (uint64_t)(q->l2.slice_bytes / q->l2_entry_bytes)
			<< q->cluster_bits;

	return size_down(offset, span) + span;
}

bool qwrite_unbacked(const struct qcow2 *q, uint64_t offset)
{
	return !q->keep_zeroes &&
	       (!q->backing || offset >= node_size(q->backing));
}

/* --- in place --- */

/* Is it sure that no table lies there? Else the image is corrupt. */
static bool qwrite_may(struct qcow2 *q, uint64_t host, uint64_t len)
{
	if (q->data != q->file || !qmeta_hits(q, host, len))
		return true;
	qcow2_mark_corrupt(q, "data at %#llx would overwrite a table",
		(unsigned long long)host);
	return false;
}

/* All of r to one place. */
static void qwrite_direct(struct qcow2 *q, struct blk_req *r, uint64_t host)
{
	if (qwrite_may(q, host, r->len))
		qdirect_submit(q, r, q->data, host, qdirect_begin(q));
	else
		node_done(r, -EIO);
}

/* Does the disk know all about what is mapped? */
static bool qwrite_map_is_durable(const struct qcow2 *q)
{
	return !q->l2.ndirty && !q->l1_any_dirty &&
	       !fiber_lock_is_taken(&q->meta);
}

static int qwrite_job(struct qcow2 *q, struct blk_req *r)
{
	if (r->flags & BLK_COMPRESS)
		return qpack_write(q, r->offset, r->iov, r->niov, r->len);
	return qwrite(q, r->offset, r->iov, r->niov, r->len);
}

void qwrite_submit(struct qcow2 *q, struct blk_req *r)
{
	bool fua = r->flags & BLK_FUA;
	struct qmap m;

	if (q->corrupt) {
		node_done(r, -EIO);
		return;
	}
	if (q->written && !(r->flags & BLK_COMPRESS) &&
		!qmap_peek(q, r->offset, r->len, &m) && m.kind == QMAP_DATA &&
		m.copied && m.len == r->len &&
		(!fua || qwrite_map_is_durable(q)))
		qwrite_direct(q, r, m.host);
	else
		qjob_start(q, r, qwrite_job);
}

static int qwrite_in_place(struct qcow2 *q, const struct qmap *m,
	const struct qbytes *b)
{
	unsigned slot;
	int r;

	if (!qwrite_may(q, m->host, m->len))
		return -EIO;
	slot = qdirect_begin(q);
	r = qbytes_write(b, q->data, m->host, m->len);
	qdirect_end(q, slot);
	return r;
}

int qwrite(struct qcow2 *q, uint64_t offset, const struct iovec *iov, int niov,
	uint64_t len)
{
	struct qbytes b = { iov, niov, 0 };

	while (len) {
		struct qmap m;
		int64_t n;
		int r;

		if (q->corrupt)
			return -EIO;
		r = qmap_get(q, offset, len, &m);
		if (r)
			return r;
		n = (int64_t)m.len;
		if (m.kind == QMAP_DATA && m.copied && q->written) {
			r = qwrite_in_place(q, &m, &b);
			if (r)
				return r;
		} else {
			n = qcow_write(q, offset, &b, len);
			if (n < 0)
				return (int)n;
		}
		offset += (uint64_t)n;
		len -= (uint64_t)n;
		qbytes_advance(&b, (uint64_t)n);
	}
	return 0;
}

/* --- flush --- */

int qflush(struct qcow2 *q)
{
	/* one that has begun may have missed what was done since */
	uint64_t need = q->commits_begun + 1;
	int r = 0;

	fiber_lock_take(&q->meta);
	if (q->commits_ok < need)
		r = qcommit(q);
	fiber_lock_drop(&q->meta);
	return r;
}

static int qflush_job(struct qcow2 *q, struct blk_req *r)
{
	(void)r;
	return qflush(q);
}

void qflush_submit(struct qcow2 *q, struct blk_req *r)
{
	if (q->data != q->file || !qwrite_map_is_durable(q) || q->corrupt)
		qjob_start(q, r, qflush_job);
	else
		qdirect_submit(q, r, q->file, 0, qdirect_begin(q));
}
