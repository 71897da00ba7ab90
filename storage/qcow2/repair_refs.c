/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * New counts for the whole image, from what it refers to: refcount blocks and
 * a table in clusters behind all that is in use, then one write to the header
 * that makes them the image's. Until that the image is as it was, behind it
 * the old ones are free. See check.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/check.h"

struct rebuild {
	struct qcheck *c;
	uint64_t at;     /* first cluster of what is made */
	uint64_t blocks; /* written so far, one after the other */
	uint64_t n;      /* clusters of all that is made */
	uint64_t table;  /* clusters of the table */
	uint64_t *rt;    /* host order */
	uint64_t rt_entries;
	uint8_t *last; /* the block that counts both old and new clusters */
	bool too_wide; /* a count does not fit */
};

/* Entries [0, i] are needed. 0, -ENOMEM or -EFBIG. */
static int reserve(struct rebuild *b, uint64_t i)
{
	uint64_t n = b->rt_entries ? b->rt_entries : 64;
	uint64_t *rt;

	if (i < b->rt_entries)
		return 0;
	if (i >= QCOW2_MAX_RT_BYTES / 8)
		return -EFBIG;
	while (n <= i)
		n *= 2;
	rt = realloc(b->rt, n * 8);
	if (!rt)
		return -ENOMEM;
	memset(rt + b->rt_entries, 0, (n - b->rt_entries) * 8);
	b->rt = rt;
	b->rt_entries = n;
	return 0;
}

/* Put what was counted of cluster into a block. */
static void put(struct rebuild *b, uint8_t *block, uint64_t cluster,
	uint64_t refs)
{
	unsigned order = b->c->q->h.refcount_order;
	uint64_t most = qcheck_max_count(order);

	if (refs > most) {
		b->too_wide = true;
		refs = most;
	}
	qref_store(block, order, cluster & ((UINT64_C(1) << b->c->rb_bits) - 1),
		refs);
}

/* Write block i as the next one. */
static int write_block(struct rebuild *b, uint64_t i, const uint8_t *block)
{
	uint64_t host = (b->at + b->blocks) << b->c->bits;
	int r = reserve(b, i);

	if (r)
		return r;
	b->rt[i] = host;
	b->blocks++;
	return node_write(b->c->q->file, host, block, b->c->cluster, 0);
}

/* --- of what is in use ---------------------------------------------------- */

/* The counts of one piece, split into blocks. *open is the index of the block
 * that is being filled in c->buf, UINT64_MAX = none. */
static int take_piece(struct rebuild *b, const struct qchunk *k, uint64_t *open)
{
	struct qcheck *c = b->c;
	uint64_t first = k->index << QCHUNK_BITS;

	for (unsigned i = 0; i < QCHUNK; i++) {
		uint64_t refs = k->v[i] & QCOUNT_REFS, cluster = first + i;
		uint64_t block = cluster >> c->rb_bits;
		int r = 0;

		if (!refs || cluster >= b->at)
			continue;
		if (block == b->at >> c->rb_bits) {
			put(b, b->last, cluster, refs);
			continue;
		}
		if (*open != block && *open != UINT64_MAX)
			r = write_block(b, *open, c->buf);
		if (r)
			return r;
		if (*open != block)
			memset(c->buf, 0, c->cluster);
		*open = block;
		put(b, c->buf, cluster, refs);
	}
	return 0;
}

/* The blocks of a round. A round ends where a block does, or inside of one,
 * whose rest the next round adds: so that is left open. */
static int take_round(struct rebuild *b, uint64_t *open, uint8_t *kept)
{
	struct qcheck *c = b->c;
	struct qchunk **all = qcounts_sorted(&c->counts);
	int r = 0;

	if (!all)
		return -ENOMEM;
	memcpy(c->buf, kept, c->cluster);
	for (uint32_t i = 0; i < c->counts.n && !r; i++)
		r = take_piece(b, all[i], open);
	free(all);
	memcpy(kept, c->buf, c->cluster);
	return r;
}

static int take_all(struct rebuild *b)
{
	struct qcheck *c = b->c;
	uint64_t open = UINT64_MAX;
	uint8_t *kept = calloc(1, c->cluster);
	int r = 0;

	if (!kept)
		return -ENOMEM;
	qcounts_begin(&c->counts, 0, c->file_clusters);
	while (!r && c->counts.lo < c->file_clusters) {
		r = qcheck_count_tables(c);
		if (!r)
			r = qcheck_walk(c);
		if (!r)
			r = qcheck_bitmaps(c, false);
		if (!r && c->counts.failed)
			r = -ENOMEM;
		if (!r && c->r.errors) /* in use, but not known by what */
			r = -EIO;
		if (!r)
			r = take_round(b, &open, kept);
		if (!r)
			qcounts_begin(&c->counts, c->counts.hi,
				c->file_clusters);
	}
	if (!r && open != UINT64_MAX)
		r = write_block(b, open, kept);
	free(kept);
	return r;
}

/* --- of what is made ------------------------------------------------------ */

/* How large it gets: blocks that count it, and the table, count too. */
static void measure(struct rebuild *b)
{
	unsigned bits = b->c->rb_bits;
	uint64_t per = b->c->cluster / 8, was = 0;

	b->n = 1;
	while (b->n != was) {
		uint64_t last = (b->at + b->n - 1) >> bits;
		uint64_t more = last - (b->at >> bits) + 1;

		was = b->n;
		b->table = last / per + 1;
		b->n = b->blocks + more + b->table;
	}
}

static int write_own_blocks(struct rebuild *b)
{
	struct qcheck *c = b->c;
	uint64_t end = b->at + b->n, i = b->at >> c->rb_bits;
	int r = 0;

	for (uint64_t from = b->at; from < end && !r; i++) {
		uint64_t to = (i + 1) << c->rb_bits;

		for (to = to < end ? to : end; from < to; from++)
			put(b, b->last, from, 1);
		r = write_block(b, i, b->last);
		memset(b->last, 0, c->cluster);
	}
	return r;
}

static int write_table(struct rebuild *b)
{
	struct qcheck *c = b->c;
	uint64_t n = b->table * c->cluster / 8;
	uint64_t host = (b->at + b->blocks) << c->bits;
	struct qheader h = c->q->h;
	int r = reserve(b, n - 1);

	if (r)
		return r;
	for (uint64_t i = 0; i < n; i++)
		put_be64(&b->rt[i], b->rt[i]);
	r = node_write(c->q->file, host, b->rt, n * 8, 0);
	if (!r)
		r = node_flush(c->q->file);
	if (r)
		return r;
	h.rt_offset = host;
	h.rt_clusters = (uint32_t)b->table;
	r = qheader_write_rt(c->q->file, &h);
	if (!r)
		r = node_flush(c->q->file);
	if (r)
		return r;
	c->q->h.rt_offset = h.rt_offset;
	c->q->h.rt_clusters = h.rt_clusters;
	return 0;
}

int qrepair_rebuild(struct qcheck *c, uint64_t at, struct err *e)
{
	struct rebuild b = { .c = c, .at = at };
	int r;

	b.last = calloc(1, c->cluster);
	c->quiet = true;
	r = b.last ? take_all(&b) : -ENOMEM;
	c->quiet = false;
	if (!r) {
		measure(&b);
		r = write_own_blocks(&b);
	}
	if (!r)
		r = write_table(&b);
	free(b.last);
	free(b.rt);
	if (r)
		return err_sys(e, -r, "%s: writing new refcounts",
			c->q->node.path);
	qcheck_tell(c, "made the refcounts anew");
	if (b.too_wide)
		qcheck_tell(c,
			"ERROR: refcounts of %u bits cannot count what "
			"is shared: convert the image",
			1u << c->q->h.refcount_order);
	return 0;
}
