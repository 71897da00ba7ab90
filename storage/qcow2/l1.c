/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The L1 table, which is wholly in memory, and L2 tables that are made or
 * copied before they change; see impl.h. An L2 table is written to the image
 * before the L1 table refers to it, even in memory, so that whoever looks
 * reads the right thing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/impl.h"

#define QL1_PIECE 512u /* bytes that are written at a time */
#define QL1_SMALL (64 * KiB)
#define QL1_ROW   128u /* pieces in one request */
/* of the 32 MiB that an image may take the refcounts have the rest */
#define QMAP_CACHE_MAX (28 * MiB)
#define QMAP_CACHE_MIN (256 * KiB)

/* --- reading it --- */

/* Enough for the L2 tables of the whole disk, in bounds. */
static uint64_t qmap_cache_bytes(const struct qcow2 *q)
{
	uint64_t entries = (q->h.size >> q->cluster_bits) + 1;
	uint64_t bytes;

	if (!size_mul(entries, q->l2_entry_bytes, &bytes) ||
		bytes > QMAP_CACHE_MAX)
		return QMAP_CACHE_MAX;
	return bytes < QMAP_CACHE_MIN ? QMAP_CACHE_MIN : bytes;
}

static int qmap_check_l1(const struct qcow2 *q, struct err *e)
{
	uint64_t bytes = (uint64_t)q->h.l1_entries * 8;
	uint64_t file = node_size(q->file);
	unsigned shift = q->cluster_bits + q->l2_bits;
	uint64_t need = q->h.size ? ((q->h.size - 1) >> shift) + 1 : 0;

	if (q->h.l1_entries < need)
		return err_set(e, EINVAL,
			"%s: its L1 table has %u entries and its size needs "
			"%llu: the header is damaged, restore it from a copy",
			q->node.path, q->h.l1_entries,
			(unsigned long long)need);
	if (bytes > QCOW2_MAX_L1_BYTES ||
		(q->h.l1_offset & (q->cluster_size - 1)) ||
		q->h.l1_offset >> 56)
		return err_set(e, EINVAL,
			"%s: an L1 table of %u entries at %#llx cannot be: "
			"the header is damaged, restore it from a copy",
			q->node.path, q->h.l1_entries,
			(unsigned long long)q->h.l1_offset);
	if (bytes > QL1_SMALL && !size_in(q->h.l1_offset, bytes, file))
		return err_set(e, EINVAL,
			"%s: its L1 table lies behind the end of the file: "
			"the file was cut off, restore it from a copy",
			q->node.path);
	return 0;
}

/* To host order, and known as tables where the entries can be right. */
static int qmap_take_l1(struct qcow2 *q)
{
	uint64_t bytes = (uint64_t)q->h.l1_entries * 8;
	int r;

	r = bytes ? qmeta_add(q, q->h.l1_offset, bytes) : 0;
	for (uint32_t i = 0; i < q->h.l1_entries && !r; i++) {
		uint64_t entry = be64toh(q->l1[i]);
		uint64_t table = entry & QL1_OFFSET;

		q->l1[i] = entry;
		if (table && !(table & (q->cluster_size - 1)))
			r = qmeta_add(q, table, q->cluster_size);
	}
	return r;
}

int qmap_read_l1(struct qcow2 *q, struct err *e)
{
	uint64_t bytes = (uint64_t)q->h.l1_entries * 8;
	int r = qmap_check_l1(q, e);

	if (r)
		return r;
	free(q->l1);
	free(q->l1_dirty);
	q->l1_any_dirty = false;
	/* one more, so that there is a table even without entries */
	q->l1 = calloc((size_t)q->h.l1_entries + 1, sizeof(q->l1[0]));
	q->l1_dirty = calloc(1, qmap_l1_dirty_bytes(q->h.l1_entries));
	r = q->l1 && q->l1_dirty ? 0 : -ENOMEM;
	if (!r && !q->l2.hash)
		r = qcache_init(&q->l2, q, qmap_cache_bytes(q));
	if (!r)
		r = node_read(q->file, q->h.l1_offset, q->l1, bytes);
	if (!r)
		r = qmap_take_l1(q);
	if (r) {
		qmap_close(q);
		return err_sys(e, -r, "%s: cannot read its L1 table",
			q->node.path);
	}
	return 0;
}

void qmap_close(struct qcow2 *q)
{
	qcache_fini(&q->l2);
	free(q->l1);
	free(q->l1_dirty);
	q->l1 = NULL;
	q->l1_dirty = NULL;
	q->l1_any_dirty = false;
}

/* --- writing it --- */

static bool qmap_piece_dirty(const struct qcow2 *q, uint32_t i)
{
	return q->l1_dirty[i / 8] & (1u << (i % 8));
}

void qmap_set_l1(struct qcow2 *q, uint64_t i, uint64_t entry)
{
	uint64_t piece = i / (QL1_PIECE / 8);

	q->l1[i] = entry;
	q->l1_dirty[piece / 8] |= (uint8_t)(1u << (piece % 8));
	q->l1_any_dirty = true;
}

/*
 * Write pieces [first, first + n) through buf. The table's clusters are its
 * own, so the last piece is filled with zeros.
 */
static int qmap_write_pieces(struct qcow2 *q, uint32_t first, uint32_t n,
	uint8_t *buf)
{
	uint32_t entry = first * (QL1_PIECE / 8);

	memset(buf, 0, (size_t)n * QL1_PIECE);
	for (uint32_t i = 0; i < n * (QL1_PIECE / 8); i++, entry++)
		if (entry < q->h.l1_entries)
			put_be64(buf + (size_t)i * 8, q->l1[entry]);
	return node_write(q->file, q->h.l1_offset + (uint64_t)first * QL1_PIECE,
		buf, (uint64_t)n * QL1_PIECE, 0);
}

int qmap_write_l1(struct qcow2 *q)
{
	uint32_t pieces = (uint32_t)qmap_l1_pieces(q->h.l1_entries);
	uint8_t *buf;
	int r = 0;

	if (!q->l1_any_dirty)
		return 0;
	buf = malloc((size_t)QL1_ROW * QL1_PIECE);
	if (!buf)
		return -ENOMEM;
	for (uint32_t i = 0, n; i < pieces && !r; i += n) {
		for (n = 0; n < QL1_ROW && i + n < pieces; n++)
			if (!qmap_piece_dirty(q, i + n))
				break;
		if (n)
			r = qmap_write_pieces(q, i, n, buf);
		else
			n = 1;
	}
	if (!r) {
		memset(q->l1_dirty, 0, qmap_l1_dirty_bytes(q->h.l1_entries));
		q->l1_any_dirty = false;
	}
	free(buf);
	return r;
}

/* --- L2 tables that may be changed --- */

/*
 * Zeros for the table at host. All of it gets its room on the disk now: a
 * lack of it fails the write that needs the table, not a flush later on.
 */
static int qmap_write_empty(struct qcow2 *q, uint64_t host)
{
	return node_zero(q->file, host, q->cluster_size, 0);
}

/* Copy the table at from, as it is in memory where it is there. */
static int qmap_write_copy(struct qcow2 *q, uint64_t from, uint64_t host)
{
	uint8_t *buf = malloc(q->cluster_size);
	int r;

	if (!buf)
		return -ENOMEM;
	r = node_read(q->file, from, buf, q->cluster_size);
	for (uint32_t i = 0; !r && i < q->cluster_size;
		i += q->l2.slice_bytes) {
		const struct qslice *s = qcache_peek(&q->l2, from + i);

		if (s)
			memcpy(buf + i, s->data, q->l2.slice_bytes);
	}
	if (!r)
		r = node_write(q->file, host, buf, q->cluster_size, 0);
	free(buf);
	return r;
}

/* A table of its own for L1 entry i: empty, or a copy of the one it has. */
static int qmap_own_l2(struct qcow2 *q, uint64_t i)
{
	uint64_t old = q->l1[i] & QL1_OFFSET;
	uint64_t host;
	int r = qalloc_table(q, 1, &host);

	if (r)
		return r;
	/* what was cached of this place is of another time */
	qcache_forget(&q->l2, host, q->cluster_size);
	r = old ? qmap_write_copy(q, old, host) : qmap_write_empty(q, host);
	if (r) {
		qmeta_del(q, host, q->cluster_size);
		(void)qfree_now(q, host, q->cluster_size);
		return r;
	}
	qmap_set_l1(q, i, host | QL1_COPIED);
	if (old) {
		qmeta_del(q, old, q->cluster_size);
		qcache_forget(&q->l2, old, q->cluster_size);
		qfree_later(q, old, q->cluster_size);
	}
	return 0;
}

int qmap_l2_for_write(struct qcow2 *q, uint64_t offset, struct qslice **out,
	unsigned *index)
{
	struct qplace p;
	int r = qmap_place(q, offset, &p);

	if (r)
		return r;
	if (!p.table || !p.copied) {
		r = qmap_own_l2(q, p.l1_index);
		if (!r)
			r = qmap_place(q, offset, &p);
		if (r)
			return r;
	}
	*index = p.index;
	return qcache_get(&q->l2, p.slice, out);
}
