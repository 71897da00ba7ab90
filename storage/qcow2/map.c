/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From guest offsets to places in the image, by way of the L1 table, which is
 * in memory, and slices of L2 tables (cache.c). Specification: "Cluster
 * mapping" and "Extended L2 Entries".
 *
 * Every entry is checked when it is used, never trusted for having been read:
 * a wrong one marks the image corrupt and is -EIO. A run is as many clusters
 * (or subclusters) as are alike and follow each other in the image, at most
 * to the end of what is wanted, of QMAP_SLICES slices, or of what is cached.
 */
#include <errno.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/impl.h"

#define QMAP_SLICES 64u /* a look goes through no more */

/* --- entries --- */

/* An entry's bytes as a shift: a division is felt here. */
static unsigned qmap_entry_bits(const struct qcow2 *q)
{
	return q->l2_entry_bytes == 16 ? 4 : 3;
}

uint64_t qmap_entry(const struct qcow2 *q, const struct qslice *s,
	unsigned index, uint64_t *bitmap)
{
	const uint8_t *p = s->data + (size_t)index * q->l2_entry_bytes;

	*bitmap = q->l2_entry_bytes == 16 ? get_be64(p + 8) : 0;
	return get_be64(p);
}

void qmap_set_entry(struct qcow2 *q, struct qslice *s, unsigned index,
	uint64_t entry, uint64_t bitmap)
{
	uint8_t *p = s->data + (size_t)index * q->l2_entry_bytes;

	put_be64(p, entry);
	if (q->l2_entry_bytes == 16)
		put_be64(p + 8, bitmap);
	qcache_mark_dirty(&q->l2, s);
}

bool qmap_compressed(const struct qcow2 *q, uint64_t entry, uint64_t *host,
	uint32_t *len)
{
	unsigned sector_bits = q->cluster_bits - 8;
	unsigned x = 62 - sector_bits;
	uint64_t sectors = (entry >> x) & ((UINT64_C(1) << sector_bits) - 1);

	*host = entry & ((UINT64_C(1) << x) - 1);
	*len = (uint32_t)((sectors + 1) * 512 - (*host & 511));
	/* bits 56 and up are no part of an offset; the header is no data */
	return !(*host >> 56) && *host >= q->cluster_size && q->data == q->file;
}

/* What subclusters from sub on are like: the run's length in subclusters. */
static unsigned qmap_subclusters(uint64_t bitmap, unsigned sub, struct qmap *m)
{
	uint64_t data = (bitmap & UINT32_MAX) >> sub;
	uint64_t zero = (bitmap >> 32) >> sub;
	uint64_t not ; /* in its lowest set bit the run ends */

	if (zero & 1) {
		m->kind = QMAP_ZERO;
		not = ~zero;
	} else if (data & 1) {
		m->kind = QMAP_DATA;
		not = ~data;
	} else {
		m->kind = QMAP_NONE;
		not = zero | data;
	}
	not |= UINT64_C(1) << (32 - sub); /* the cluster ends */
	return (unsigned)__builtin_ctzll(not );
}

/* A standard entry with offset host that has a cluster of its own, or not. */
static void qmap_set_host(const struct qcow2 *q, struct qmap *m, bool has,
	uint64_t host, bool copied)
{
	m->has_host = has;
	if (!has)
		return;
	m->host = host;
	/* Nobody else can have a cluster of a data file. Behind the end of the
	 * file nothing is written in place: it would grow to anywhere. */
	m->copied = q->data != q->file ||
		    (copied && host >> q->cluster_bits < q->file_end);
}

/* What is wrong with a standard entry for guest cluster `guest`, or NULL. */
static const char *qmap_wrong(const struct qcow2 *q, uint64_t entry,
	uint64_t bitmap, uint64_t guest, bool has_host)
{
	uint64_t host = entry & QL2_OFFSET;
	bool zero = entry & QL2_ZERO;

	if (entry & QL2_RESERVED)
		return "sets reserved bits";
	if (zero && (q->h.version < 3 || q->subclusters > 1))
		return "has a zero flag, which this image cannot have";
	if ((bitmap >> 32) & bitmap)
		return "says that a subcluster is zero and data";
	if ((bitmap & UINT32_MAX) && !has_host)
		return "has data without a place";
	if (host & (q->cluster_size - 1))
		return "is not aligned to a cluster";
	if (has_host && q->data != q->file && host != guest)
		return "is not at its place in the data file";
	return NULL;
}

/*
 * Take the entry of the cluster at guest offset `guest` apart, from `in`
 * bytes inside the cluster on. NULL or what is wrong.
 */
static const char *qmap_decode(const struct qcow2 *q, uint64_t entry,
	uint64_t bitmap, uint64_t guest, uint32_t in, bool table_copied,
	struct qmap *m)
{
	bool copied = entry & QL2_COPIED;
	uint64_t host = entry & QL2_OFFSET;
	const char *wrong;
	bool has_host;

	*m = (struct qmap){ .len = q->cluster_size - in };
	if (entry & QL2_COMPRESSED) {
		m->kind = QMAP_COMPRESSED;
		return qmap_compressed(q, entry, &m->host, &m->host_len)
			       ? NULL
			       : "is compressed, to a place that cannot be";
	}
	/* only in a data file a cluster may be at 0 */
	has_host = host || (copied && q->data != q->file);
	wrong = qmap_wrong(q, entry, bitmap, guest, has_host);
	if (wrong)
		return wrong;
	qmap_set_host(q, m, has_host, host + in, copied && table_copied);
	if (q->subclusters > 1) {
		unsigned sub = in / q->subcluster_size;
		unsigned n = qmap_subclusters(bitmap, sub, m);

		m->len = (uint64_t)(sub + n) * q->subcluster_size - in;
	} else if (entry & QL2_ZERO) {
		m->kind = QMAP_ZERO;
	} else {
		m->kind = has_host ? QMAP_DATA : QMAP_NONE;
	}
	return NULL;
}

/* Does b go on where a ends, in the guest and in the image? */
static bool qmap_follows(const struct qmap *a, const struct qmap *b)
{
	return a->kind == b->kind && a->kind != QMAP_COMPRESSED &&
	       a->has_host == b->has_host && a->copied == b->copied &&
	       (!a->has_host || a->host + a->len == b->host);
}

/* --- tables --- */

static int qmap_bad_l1(struct qcow2 *q, uint64_t i, uint64_t entry)
{
	qcow2_mark_corrupt(q,
		"L1 entry %llu is %#llx: no place where an L2 table can be",
		(unsigned long long)i, (unsigned long long)entry);
	return -EIO;
}

int qmap_place(struct qcow2 *q, uint64_t offset, struct qplace *p)
{
	uint64_t cluster = offset >> q->cluster_bits;
	uint64_t in_table, entry;

	p->l1_index = cluster >> q->l2_bits;
	if (p->l1_index >= q->h.l1_entries)
		return -EIO;
	entry = q->l1[p->l1_index];
	p->table = entry & QL1_OFFSET;
	p->copied = entry & QL1_COPIED;
	if ((entry & QL1_RESERVED) || (p->table & (q->cluster_size - 1)) ||
		p->table >> q->cluster_bits >= q->file_end)
		return qmap_bad_l1(q, p->l1_index, entry);
	in_table = (cluster & ((UINT64_C(1) << q->l2_bits) - 1)) *
		   q->l2_entry_bytes;
	p->slice = p->table + (in_table & ~(uint64_t)(q->l2.slice_bytes - 1));
	p->index = (unsigned)(in_table & (q->l2.slice_bytes - 1)) /
		   q->l2_entry_bytes;
	return 0;
}

/* Guest bytes from offset to the end of what one L1 entry covers. */
static uint64_t qmap_to_table_end(const struct qcow2 *q, uint64_t offset)
{
	uint64_t span = UINT64_C(1) << (q->cluster_bits + q->l2_bits);

	return span - (offset & (span - 1));
}

static int qmap_bad_l2(struct qcow2 *q, const struct qslice *s, unsigned i,
	uint64_t guest, const char *wrong)
{
	uint64_t bitmap, entry = qmap_entry(q, s, i, &bitmap);

	qcow2_mark_corrupt(q, "L2 entry %#llx (%#llx) of guest offset %#llx %s",
		(unsigned long long)entry, (unsigned long long)bitmap,
		(unsigned long long)guest, wrong);
	return -EIO;
}

/*
 * The run at offset as far as slice s goes, or NULL: no table. 0 or -EIO;
 * report = say so when an entry is wrong.
 */
static int qmap_in_slice(struct qcow2 *q, const struct qplace *p,
	const struct qslice *s, uint64_t offset, uint64_t len, bool report,
	struct qmap *out)
{
	unsigned n = q->l2.slice_bytes >> qmap_entry_bits(q);
	uint64_t guest = size_down(offset, q->cluster_size);
	uint32_t in = (uint32_t)(offset - guest);
	uint64_t bitmap, entry;
	const char *wrong;

	if (!s) {
		*out = (struct qmap){ .kind = QMAP_NONE,
			.len = qmap_to_table_end(q, offset) };
		return 0;
	}
	entry = qmap_entry(q, s, p->index, &bitmap);
	wrong = qmap_decode(q, entry, bitmap, guest, in, p->copied, out);
	if (wrong)
		return report ? qmap_bad_l2(q, s, p->index, guest, wrong)
			      : -EIO;
	if (out->len != q->cluster_size - in)
		return 0; /* subclusters: the run ends in the cluster */
	for (unsigned i = p->index + 1; i < n && out->len < len; i++) {
		struct qmap m;

		guest += q->cluster_size;
		entry = qmap_entry(q, s, i, &bitmap);
		if (qmap_decode(q, entry, bitmap, guest, 0, p->copied, &m) ||
			!qmap_follows(out, &m))
			return 0;
		out->len += m.len;
		if (m.len != q->cluster_size)
			return 0;
	}
	return 0;
}

/* Make the run in out longer by what is cached behind it. */
static void qmap_extend(struct qcow2 *q, uint64_t offset, uint64_t len,
	struct qmap *out)
{
	for (unsigned i = 0; i < QMAP_SLICES && out->len < len; i++) {
		struct qslice *s = NULL;
		struct qplace p;
		struct qmap m;

		if (qmap_place(q, offset + out->len, &p))
			return;
		if (p.table) {
			s = qcache_peek(&q->l2, p.slice);
			if (!s)
				return;
		}
		if (qmap_in_slice(q, &p, s, offset + out->len, len - out->len,
			    false, &m) ||
			!qmap_follows(out, &m))
			return;
		out->len += m.len;
	}
}

/* The run is known as far as slice s goes: the rest of it. */
static int qmap_run(struct qcow2 *q, const struct qplace *p,
	const struct qslice *s, uint64_t offset, uint64_t len, struct qmap *out)
{
	int r = qmap_in_slice(q, p, s, offset, len, true, out);

	if (r)
		return r;
	if (out->len < len && out->kind != QMAP_COMPRESSED)
		qmap_extend(q, offset, len, out);
	if (out->len > len)
		out->len = len;
	return 0;
}

int qmap_peek(struct qcow2 *q, uint64_t offset, uint64_t len, struct qmap *out)
{
	struct qslice *s = NULL;
	struct qplace p;
	int r = qmap_place(q, offset, &p);

	if (r)
		return r;
	if (p.table) {
		s = qcache_peek(&q->l2, p.slice);
		if (!s)
			return -EAGAIN;
	}
	return qmap_run(q, &p, s, offset, len, out);
}

int qmap_get(struct qcow2 *q, uint64_t offset, uint64_t len, struct qmap *out)
{
	struct qslice *s;
	struct qplace p;
	uint64_t entry;
	int r;

	/* while the slice is read another fiber may move the table */
	do {
		r = qmap_place(q, offset, &p);
		if (r)
			return r;
		if (!p.table)
			return qmap_run(q, &p, NULL, offset, len, out);
		entry = q->l1[p.l1_index];
		r = qcache_get(&q->l2, p.slice, &s);
		if (r)
			return r;
		if (p.l1_index < q->h.l1_entries && entry == q->l1[p.l1_index])
			break;
		qcache_put(&q->l2, s);
	} while (true);
	r = qmap_run(q, &p, s, offset, len, out);
	qcache_put(&q->l2, s);
	return r;
}
