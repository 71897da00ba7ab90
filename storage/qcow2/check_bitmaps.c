/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the bitmaps extension refers to ("Bitmaps" of the format's
 * description): a directory, a table a bitmap, clusters of data. Counted as
 * long as the autoclear bit says that they are kept; else nobody has them.
 * See check.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/check.h"

#define QBITMAP_RESERVED UINT64_C(0xff000000000001fe)
#define QBITMAP_ENTRY    24u /* of the directory, without its strings */
#define QBITMAP_MAX_DIR  (UINT64_C(128) << 20) /* more than QEMU writes */

static int bad(struct qcheck *c, const char *what, uint64_t at)
{
	/* in each round, but it is one finding */
	if (!c->bad_bitmaps)
		qcheck_bad(c, "bitmaps: the %s at %#" PRIx64 " cannot be right",
			what, at);
	c->bad_bitmaps = true;
	return 0;
}

/* The clusters that a table of n entries refers to. */
static int count_data(struct qcheck *c, uint64_t table, uint64_t n)
{
	uint64_t per = c->cluster / 8;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t entry, host;

		if (i % per == 0) {
			uint64_t k = n - i < per ? n - i : per;
			int r = node_read(c->q->file, table + i * 8, c->buf,
				k * 8);

			if (r) {
				qcheck_unread(c, r, "a bitmap's table",
					table + i * 8);
				return 0;
			}
			if (qcheck_step(c))
				return -ECANCELED;
		}
		entry = get_be64(c->buf + i % per * 8);
		host = entry & QL2_OFFSET;
		if (entry & QBITMAP_RESERVED || (host && entry & 1) ||
			host & (c->cluster - 1) ||
			(host && qcheck_ref(c, host, c->cluster, 1, false) !=
					 QREF_OK))
			return bad(c, "table entry", table + i * 8);
	}
	return 0;
}

/* A bitmap's table (tables = true), or its data. */
static int count_bitmap(struct qcheck *c, bool tables, uint64_t table,
	uint64_t n)
{
	if (!n)
		return 0;
	if (!tables)
		return count_data(c, table, n);
	if (!table || table & (c->cluster - 1) || table >> 56 ||
		qcheck_ref(c, table, n * 8, 1, true) != QREF_OK)
		return bad(c, "table", table);
	return 0;
}

static int each_bitmap(struct qcheck *c, const uint8_t *dir, uint64_t bytes,
	bool tables)
{
	uint64_t at = c->q->h.bitmaps_offset, pos = 0, sum = 0;

	for (uint32_t i = 0; i < c->q->h.nbitmaps && !c->bad_bitmaps; i++) {
		uint64_t table, n, len;
		int r;

		if (!size_in(pos, QBITMAP_ENTRY, bytes))
			return bad(c, "directory", at);
		table = get_be64(dir + pos);
		n = get_be32(dir + pos + 8);
		len = QBITMAP_ENTRY + (uint64_t)get_be16(dir + pos + 18) +
		      get_be32(dir + pos + 20);
		len = size_up(len, 8);
		/* all of the tables lie in the file, one beside the other */
		sum += n * 8;
		if (!size_in(pos, len, bytes) || sum > c->file_bytes)
			return bad(c, "directory entry", at + pos);
		r = count_bitmap(c, tables, table, n);
		if (r)
			return r;
		pos += len;
	}
	return 0;
}

int qcheck_bitmaps(struct qcheck *c, bool tables)
{
	const struct qheader *h = &c->q->h;
	uint8_t *dir;
	int r;

	if (!(h->autoclear & QAUTOCLEAR_BITMAPS) || !h->nbitmaps ||
		c->bad_bitmaps)
		return 0;
	if (h->bitmaps_offset & (c->cluster - 1) || h->bitmaps_offset >> 56 ||
		!h->bitmaps_bytes || h->bitmaps_bytes > QBITMAP_MAX_DIR ||
		!size_in(h->bitmaps_offset, h->bitmaps_bytes, c->file_bytes))
		return bad(c, "directory", h->bitmaps_offset);
	if (tables && qcheck_ref(c, h->bitmaps_offset, h->bitmaps_bytes, 1,
			      true) != QREF_OK)
		return bad(c, "directory", h->bitmaps_offset);
	dir = malloc(h->bitmaps_bytes);
	if (!dir)
		return -ENOMEM;
	r = node_read(c->q->file, h->bitmaps_offset, dir, h->bitmaps_bytes);
	if (r)
		qcheck_unread(c, r, "the directory of bitmaps",
			h->bitmaps_offset);
	r = r ? 0 : each_bitmap(c, dir, h->bitmaps_bytes, tables);
	free(dir);
	return r;
}
