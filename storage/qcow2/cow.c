/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes to clusters that are not there, not only ours, zero or compressed:
 * plan (with meta), write the data and what of the clusters has to be filled
 * up around it (without), link (with). What is needed for linking is got in
 * the plan, so that only the data itself can still fail then; the entries
 * change when all is written, so that a failure leaves the map as it was.
 *
 * With subclusters (extended L2 entries) only the first and last subcluster
 * that are written have to be filled up, unless the cluster moves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/qcow2/write.h"

#define QCOW_ALIGN     4096u       /* of memory, for O_DIRECT */
#define QCOW_ZERO_MOST (128 * KiB) /* more zeros are no data */
/* What fills up at the same time: up to two clusters each, and a guest asks
 * for as many as it likes. */
#define QCOW_FILLS (32 * MiB)

/* Some clusters in a row, here and in the image. */
struct qpiece {
	struct qcow2 *q;
	uint64_t offset, end; /* guest bytes of the request */
	uint64_t from, to;    /* the same, filled up */
	uint64_t start;       /* of the first cluster, guest */
	uint64_t n;           /* clusters */
	uint64_t host;        /* of start */
	bool is_new;          /* the clusters are, not only their content */
	bool fresh;           /* and what is there reads as zeros */
	bool zero_head, zero_tail; /* what fills up is zeros */
	struct qslice *slice;      /* pinned */
	unsigned index;            /* of start's entry in it */
	struct qinflight flight;
};

/* --- plan --- */

/* Does all of [from, to), inside the cluster at guest offset cluster, which
 * has this entry, read as zeros? Not sure = no. */
static bool qcow_reads_zero(const struct qcow2 *q, uint64_t entry,
	uint64_t bitmap, uint64_t cluster, uint64_t from, uint64_t to)
{
	bool unbacked = qwrite_unbacked(q, from);

	if (entry & QL2_COMPRESSED)
		return false;
	if (q->subclusters == 1)
		return (entry & QL2_ZERO) ||
		       (unbacked && !(entry & (QL2_OFFSET | QL2_COPIED)));
	for (uint64_t at = size_down(from, q->subcluster_size); at < to;
		at += q->subcluster_size) {
		unsigned i = (unsigned)((at - cluster) / q->subcluster_size);
		bool zero = bitmap >> (32 + i) & 1, data = bitmap >> i & 1;

		if (data || !(zero || unbacked))
			return false;
	}
	return true;
}

/*
 * How far [*from, *to), inside one cluster with this entry, has to be filled
 * up: a whole cluster; or subclusters, which need nothing where the data are
 * in place already; and when the cluster moves all that has data goes along.
 */
static void qcow_widen(const struct qpiece *p, uint64_t entry, uint64_t bitmap,
	uint64_t cluster, uint64_t *from, uint64_t *to)
{
	const struct qcow2 *q = p->q;
	uint32_t sub = q->subcluster_size, data = (uint32_t)bitmap;
	uint64_t first, last;

	if (q->subclusters == 1 || (entry & QL2_COMPRESSED)) {
		*from = cluster;
		*to = cluster + q->cluster_size;
		return;
	}
	first = (*from - cluster) / sub;
	last = (*to - 1 - cluster) / sub;
	if (p->is_new || !(data >> first & 1))
		*from = cluster + first * sub;
	if (p->is_new || !(data >> last & 1))
		*to = cluster + (last + 1) * sub;
	if (!p->is_new || !data)
		return;
	first = (uint64_t)__builtin_ctz(data);
	last = 31 - (uint64_t)__builtin_clz(data);
	if (*from > cluster + first * sub)
		*from = cluster + first * sub;
	if (*to < cluster + (last + 1) * sub)
		*to = cluster + (last + 1) * sub;
}

/* What has to be filled up at both ends, and with what. */
static void qcow_plan_ends(struct qpiece *p)
{
	const struct qcow2 *q = p->q;
	uint64_t last = p->start + ((p->n - 1) << q->cluster_bits);
	uint64_t entry, bitmap, from, to;

	from = p->offset;
	to = p->n == 1 ? p->end : p->start + q->cluster_size;
	entry = qmap_entry(q, p->slice, p->index, &bitmap);
	qcow_widen(p, entry, bitmap, p->start, &from, &to);
	p->from = from;
	p->zero_head =
		qcow_reads_zero(q, entry, bitmap, p->start, p->from, p->offset);
	from = p->n == 1 ? p->offset : last;
	to = p->end;
	entry = qmap_entry(q, p->slice, p->index + (unsigned)p->n - 1, &bitmap);
	qcow_widen(p, entry, bitmap, last, &from, &to);
	p->to = to;
	p->zero_tail = qcow_reads_zero(q, entry, bitmap, last, p->end, p->to);
}

/* Where the clusters would go on from the one before, if that is a place in
 * the file. 0 = anywhere. */
static uint64_t qcow_near(const struct qpiece *p)
{
	const struct qcow2 *q = p->q;
	uint64_t entry, bitmap;

	if (!p->index)
		return 0;
	entry = qmap_entry(q, p->slice, p->index - 1, &bitmap);
	if ((entry & QL2_COMPRESSED) || !(entry & QL2_OFFSET) ||
		(entry & QL2_OFFSET) >> q->cluster_bits >= q->file_end)
		return 0;
	return (entry & QL2_OFFSET) + q->cluster_size;
}

/* Find places for p's clusters; fewer when they are not in a row. */
static int qcow_alloc(struct qpiece *p)
{
	struct qcow2 *q = p->q;
	uint64_t got, end;
	int r;

	if (q->data != q->file) {
		p->host = p->start;
		return 0;
	}
	r = qalloc_clusters(q, p->n, qcow_near(p), &p->host, &got);
	if (r)
		return r;
	p->fresh = qalloc_is_fresh(q, p->host);
	p->n = got;
	end = p->start + (got << q->cluster_bits);
	if (p->end > end)
		p->end = end;
	return 0;
}

/* The run at p->offset is m. meta held. */
static int qcow_plan(struct qpiece *p, const struct qmap *m, uint64_t len)
{
	struct qcow2 *q = p->q;
	uint64_t in = p->offset & (q->cluster_size - 1);
	uint64_t run = m->len;
	int r;

	/* the subclusters of a cluster stay together, whatever they are */
	if (q->subclusters > 1 && run < q->cluster_size - in)
		run = q->cluster_size - in;
	p->start = p->offset - in;
	p->end = p->offset + (run < len ? run : len);
	p->n = (size_up(p->end, q->cluster_size) - p->start) >> q->cluster_bits;
	p->is_new = !(m->has_host && m->copied);
	r = qmap_l2_for_write(q, p->start, &p->slice, &p->index);
	if (r)
		return r;
	if (p->is_new) {
		r = qcow_alloc(p);
	} else {
		p->host = m->host - in;
		if (q->data == q->file &&
			qmeta_hits(q, p->host, p->n << q->cluster_bits)) {
			qcow2_mark_corrupt(q,
				"data at %#llx would overwrite a table",
				(unsigned long long)p->host);
			r = -EIO;
		}
	}
	if (r) {
		qcache_put(&q->l2, p->slice);
		return r;
	}
	qcow_plan_ends(p);
	qinflight_begin(q, &p->flight, p->start,
		p->start + (p->n << q->cluster_bits));
	return 0;
}

/* --- data --- */

/* What the guest sees at [from, to), and zeros behind its disk. */
static int qcow_read(struct qcow2 *q, uint64_t from, uint64_t to, uint8_t *buf)
{
	uint64_t end = q->h.size < to ? q->h.size : to;

	if (end < from)
		end = from;
	memset(buf + (end - from), 0, to - end);
	return end > from ? qread(q, from, buf, end - from) : 0;
}

/*
 * What fills up [from, to), in *out, to be freed; NULL when nothing has to be
 * written there (any more).
 */
static int qcow_fill(struct qpiece *p, uint64_t from, uint64_t to, bool zero,
	void **out)
{
	struct qcow2 *q = p->q;
	uint64_t len = to - from;
	void *buf;
	int r;

	*out = NULL;
	if (!len || (zero && p->fresh))
		return 0;
	if (zero && len > QCOW_ZERO_MOST)
		return node_zero(q->data, p->host + (from - p->start), len, 0);
	if (posix_memalign(&buf, QCOW_ALIGN, len))
		return -ENOMEM;
	if (zero)
		memset(buf, 0, len);
	r = zero ? 0 : qcow_read(q, from, to, buf);
	if (r || (p->fresh && mem_is_zero(buf, len)))
		free(buf);
	else
		*out = buf;
	return r;
}

/* Head, data and tail in one request. */
static int qcow_write_merged(struct qpiece *p, const struct qbytes *b,
	void *head, void *tail)
{
	struct iovec *iov = calloc((size_t)b->niov + 2, sizeof(*iov));
	uint64_t from = head ? p->from : p->offset;
	uint64_t to = tail ? p->to : p->end;
	int n = 0, r;

	if (!iov)
		return -ENOMEM;
	if (head)
		iov[n++] = (struct iovec){ head, p->offset - p->from };
	n += iov_part(b->iov, b->niov, b->skip, p->end - p->offset, iov + n);
	if (tail)
		iov[n++] = (struct iovec){ tail, p->to - p->end };
	r = node_writev(p->q->data, p->host + (from - p->start), iov, n,
		to - from, 0);
	free(iov);
	return r;
}

static int qcow_write_apart(struct qpiece *p, const struct qbytes *b,
	void *head, void *tail)
{
	struct node *data = p->q->data;
	int r = 0;

	if (head)
		r = node_write(data, p->host + (p->from - p->start), head,
			p->offset - p->from, 0);
	if (!r)
		r = qbytes_write(b, data, p->host + (p->offset - p->start),
			p->end - p->offset);
	if (!r && tail)
		r = node_write(data, p->host + (p->end - p->start), tail,
			p->to - p->end, 0);
	return r;
}

/* Is more than zeros to fill up? */
static bool qcow_reads(const struct qpiece *p)
{
	return (p->from < p->offset && !p->zero_head) ||
	       (p->end < p->to && !p->zero_tail);
}

static int qcow_data(struct qpiece *p, const struct qbytes *b)
{
	void *head = NULL, *tail = NULL;
	int r = qcow_fill(p, p->from, p->offset, p->zero_head, &head);

	if (!r)
		r = qcow_fill(p, p->end, p->to, p->zero_tail, &tail);
	if (!r && (head || tail) && b->niov + 2 <= BLK_MAX_IOV)
		r = qcow_write_merged(p, b, head, tail);
	else if (!r)
		r = qcow_write_apart(p, b, head, tail);
	free(head);
	free(tail);
	return r;
}

/* --- link --- */

/* The bits of the subclusters of the cluster at `cluster` that now have data.
 */
static uint64_t qcow_bits(const struct qpiece *p, uint64_t cluster)
{
	const struct qcow2 *q = p->q;
	uint64_t from = p->from > cluster ? p->from - cluster : 0;
	uint64_t to = p->to - cluster;
	unsigned first, end;

	if (q->subclusters == 1)
		return 0;
	if (to > q->cluster_size)
		to = q->cluster_size;
	first = (unsigned)(from / q->subcluster_size);
	end = (unsigned)((to - 1) / q->subcluster_size) + 1;
	return ((UINT64_C(1) << end) - 1) & ~((UINT64_C(1) << first) - 1);
}

static void qcow_link(struct qpiece *p)
{
	struct qcow2 *q = p->q;

	for (uint64_t i = 0; i < p->n; i++) {
		uint64_t at = i << q->cluster_bits, bitmap;
		unsigned index = p->index + (unsigned)i;
		uint64_t old = qmap_entry(q, p->slice, index, &bitmap);
		uint64_t bits = qcow_bits(p, p->start + at);

		if (old & QL2_COMPRESSED)
			bitmap = 0;
		bitmap = (bitmap & ~(bits << 32)) | bits;
		if (p->is_new)
			qfree_entry(q, old);
		qmap_set_entry(q, p->slice, index, (p->host + at) | QL2_COPIED,
			bitmap);
	}
}

int64_t qcow_write(struct qcow2 *q, uint64_t offset, const struct qbytes *b,
	uint64_t len)
{
	uint64_t most = qwrite_slice_end(q, offset) - offset;
	struct qpiece p = { .q = q, .offset = offset };
	struct qmap m;
	bool reads;
	int r;

	if (len > most)
		len = most;
	r = qwrite_enter(q, size_down(offset, q->cluster_size),
		size_up(offset + len, q->cluster_size));
	if (r)
		return r;
	r = qmap_get(q, offset, len, &m);
	if (r || (m.kind == QMAP_DATA && m.copied)) {
		fiber_lock_drop(&q->meta);
		return r; /* in place: somebody was here before us */
	}
	r = qcow_plan(&p, &m, len);
	fiber_lock_drop(&q->meta);
	if (r)
		return r;
	reads = qcow_reads(&p);
	if (reads)
		fiber_room_enter(&q->fills,
			QCOW_FILLS >> (q->cluster_bits + 1));
	r = qcow_data(&p, b);
	if (reads)
		fiber_room_leave(&q->fills);
	fiber_lock_take(&q->meta);
	if (!r && q->corrupt)
		r = -EIO;
	if (!r)
		qcow_link(&p);
	else if (p.is_new && q->data == q->file)
		(void)qfree_now(q, p.host, p.n << q->cluster_bits);
	qinflight_end(&p.flight);
	qcache_put(&q->l2, p.slice);
	fiber_lock_drop(&q->meta);
	return r ? r : (int64_t)(p.end - p.offset);
}
