/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image's own counts: refcount table and blocks, compared with what was
 * counted, and mended in place where that can be. See check.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/check.h"

#define QRT_RESERVED UINT64_C(0x1ff)

uint64_t qcheck_max_count(unsigned order)
{
	uint64_t most = UINT64_MAX >> (64 - (1u << order));

	return most < QCOUNT_REFS ? most : QCOUNT_REFS - 1;
}

/* --- the table ------------------------------------------------------------ */

static void bad_table(struct qcheck *c, const char *what)
{
	c->r.corruptions++;
	c->rebuild = true;
	qcheck_tell(c, "ERROR: the refcount table at %#" PRIx64 " %s",
		c->q->h.rt_offset, what);
}

static void bad_block(struct qcheck *c, uint64_t i, uint64_t entry,
	const char *what)
{
	c->r.corruptions++;
	c->rebuild = true;
	qcheck_tell(c, "ERROR: refcount block %" PRIu64 " at %#" PRIx64 " %s",
		i, entry, what);
}

static void check_entry(struct qcheck *c, uint64_t i)
{
	uint64_t entry = c->rt[i];
	const char *what = NULL;

	if (!entry)
		return;
	if (entry & QRT_RESERVED)
		what = "has reserved bits set";
	else if (entry & (c->cluster - 1))
		what = "is not aligned to a cluster";
	else if (qcheck_is_beyond(c, entry, c->cluster))
		what = "lies behind the end of the file";
	if (!what)
		return;
	bad_block(c, i, entry, what);
	c->rt[i] = QRT_BAD;
}

struct place {
	uint64_t offset, i;
};

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

/* No block is in the table twice; a hostile one could make work of that. */
static int check_twice(struct qcheck *c)
{
	struct place *p;
	uint64_t n = 0;

	for (uint64_t i = 0; i < c->rt_entries; i++)
		n += c->rt[i] > QRT_BAD;
	p = calloc(n + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	n = 0;
	for (uint64_t i = 0; i < c->rt_entries; i++)
		if (c->rt[i] > QRT_BAD)
			p[n++] = (struct place){ c->rt[i], i };
	qsort(p, n, sizeof(*p), by_place);
	for (uint64_t k = 1; k < n; k++) {
		if (p[k].offset != p[k - 1].offset)
			continue;
		bad_block(c, p[k].i, p[k].offset, "is in the table twice");
		c->rt[p[k].i] = QRT_BAD;
	}
	free(p);
	return 0;
}

int qcheck_load_rt(struct qcheck *c, struct err *e)
{
	const struct qheader *h = &c->q->h;
	uint64_t bytes = (uint64_t)h->rt_clusters << c->bits;
	int r;

	if (bytes > QCOW2_MAX_RT_BYTES ||
		qcheck_is_beyond(c, h->rt_offset, bytes)) {
		bad_table(c, "lies behind the end of the file");
		return 0;
	}
	c->rt = calloc(1, bytes + 8);
	if (!c->rt)
		return err_sys(e, ENOMEM, "%s: check", c->q->node.path);
	r = node_read(c->q->file, h->rt_offset, c->rt, bytes);
	if (r) {
		/* the counts may be made anew, but not because of this */
		qcheck_unread(c, r, "the refcount table", h->rt_offset);
		free(c->rt);
		c->rt = NULL;
		return 0;
	}
	c->rt_entries = bytes / 8;
	for (uint64_t i = 0; i < c->rt_entries; i++) {
		c->rt[i] = be64toh(c->rt[i]);
		check_entry(c, i);
	}
	r = check_twice(c);
	return r ? err_sys(e, -r, "%s: check", c->q->node.path) : 0;
}

int qcheck_count_refs(struct qcheck *c)
{
	const struct qheader *h = &c->q->h;

	if (qcheck_ref(c, h->rt_offset, (uint64_t)h->rt_clusters << c->bits, 1,
		    true) == QREF_OVERLAP)
		bad_table(c, "overlaps something else");
	for (uint64_t i = 0; i < c->rt_entries; i++) {
		if (c->rt[i] <= QRT_BAD ||
			qcheck_ref(c, c->rt[i], c->cluster, 1, true) == QREF_OK)
			continue;
		bad_block(c, i, c->rt[i], "overlaps something else");
		c->rt[i] = QRT_BAD;
	}
	return 0;
}

/* --- comparing ------------------------------------------------------------ */

/* Pieces in order, and how far we are in them. */
struct pieces {
	struct qchunk **all;
	uint32_t i, n;
};

/* The piece of cluster, or NULL with *next = where one begins or end. */
static struct qchunk *piece_at(struct pieces *p, uint64_t cluster, uint64_t end,
	uint64_t *next)
{
	uint64_t index = cluster >> QCHUNK_BITS;

	while (p->i < p->n && p->all[p->i]->index < index)
		p->i++;
	if (p->i == p->n) {
		*next = end;
		return NULL;
	}
	if (p->all[p->i]->index == index) {
		*next = (index + 1) << QCHUNK_BITS;
		*next = *next < end ? *next : end;
		return p->all[p->i];
	}
	*next = p->all[p->i]->index << QCHUNK_BITS;
	*next = *next < end ? *next : end;
	return NULL;
}

static void tell_count(struct qcheck *c, uint64_t cluster, uint64_t disk,
	uint64_t refs)
{
	const char *kind = disk > refs ? "Leaked" : "ERROR:";

	if (disk > refs)
		c->r.leaks++;
	else
		c->r.corruptions++;
	qcheck_tell(c,
		"%s cluster %" PRIu64 " is counted %" PRIu64
		" times and used %" PRIu64 " times",
		kind, cluster, disk, refs);
}

/*
 * The image's count of a cluster is `disk`, v what was found (NULL = nothing).
 * Returns what the count shall be.
 */
static uint64_t compare_one(struct qcheck *c, uint64_t cluster, uint64_t disk,
	uint32_t *v)
{
	uint64_t refs = v ? *v & QCOUNT_REFS : 0, now = disk;
	unsigned fix = disk > refs ? QFIX_LEAKS : QFIX_COUNTS;

	/* what is not in the file is nobody's loss */
	if (!refs && cluster >= c->file_bytes / c->cluster +
					!!(c->file_bytes % c->cluster))
		return disk;
	if (disk || refs)
		c->highest = cluster;
	if (disk != refs) {
		tell_count(c, cluster, disk, refs);
		if (c->fix & fix &&
			refs <= qcheck_max_count(c->q->h.refcount_order))
			now = refs;
	}
	/* whatever the image counts, who is one of many has no COPIED */
	if (v)
		*v |= QCOUNT_KNOWN | (now == 1 && refs < 2 ? QCOUNT_ONE : 0);
	return now;
}

/* Clusters [from, to) that a good block in c->buf counts. */
static bool compare_in_block(struct qcheck *c, struct pieces *p, uint64_t from,
	uint64_t to)
{
	unsigned order = c->q->h.refcount_order;
	uint64_t in = (UINT64_C(1) << c->rb_bits) - 1, next;
	bool dirty = false;

	for (; from < to; from = next) {
		struct qchunk *k = piece_at(p, from, to, &next);

		for (uint64_t i = from; i < next; i++) {
			uint32_t *v = k ? &k->v[i & (QCHUNK - 1)] : NULL;
			uint64_t disk = qref_load(c->buf, order, i & in);
			uint64_t now = disk;

			if (disk || v)
				now = compare_one(c, i, disk, v);
			if (now == disk)
				continue;
			qref_store(c->buf, order, i & in, now);
			dirty = true;
		}
	}
	return dirty;
}

/* Clusters [from, to) that no block counts. */
static void compare_uncounted(struct qcheck *c, struct pieces *p, uint64_t from,
	uint64_t to)
{
	uint64_t next;

	for (; from < to; from = next) {
		struct qchunk *k = piece_at(p, from, to, &next);

		for (uint64_t i = from; k && i < next; i++) {
			uint32_t *v = &k->v[i & (QCHUNK - 1)];

			if (!(*v & QCOUNT_REFS))
				continue;
			(void)compare_one(c, i, 0, v);
			c->rebuild = true;
		}
	}
}

/* Clusters [from, to) whose counts are not known: how far they are used. */
static void note_used(struct qcheck *c, struct pieces *p, uint64_t from,
	uint64_t to)
{
	uint64_t next;

	for (; from < to; from = next) {
		struct qchunk *k = piece_at(p, from, to, &next);

		for (uint64_t i = from; k && i < next; i++)
			if (k->v[i & (QCHUNK - 1)] & QCOUNT_REFS)
				c->highest = i;
	}
}

static int compare_block(struct qcheck *c, struct pieces *p, uint64_t i,
	uint64_t from, uint64_t to)
{
	uint64_t host = c->rt[i];
	int r;

	if (host == QRT_BAD) {
		note_used(c, p, from, to); /* the rest is told */
		return 0;
	}
	if (!host) {
		compare_uncounted(c, p, from, to);
		return 0;
	}
	r = node_read(c->q->file, host, c->buf, c->cluster);
	if (r) {
		qcheck_unread(c, r, "a refcount block", host);
		note_used(c, p, from, to);
		return 0;
	}
	if (compare_in_block(c, p, from, to))
		r = node_write(c->q->file, host, c->buf, c->cluster, 0);
	return r ? r : qcheck_step(c) ? -ECANCELED : 0;
}

int qcheck_compare(struct qcheck *c)
{
	struct pieces p = { .all = qcounts_sorted(&c->counts) };
	uint64_t from = c->counts.lo, to = c->counts.hi;
	int r = 0;

	if (!p.all)
		return -ENOMEM;
	p.n = c->counts.n;
	while (from < to && from >> c->rb_bits < c->rt_entries && !r) {
		uint64_t i = from >> c->rb_bits;
		uint64_t end = (i + 1) << c->rb_bits;

		end = end < to ? end : to;
		r = compare_block(c, &p, i, from, end);
		from = end;
	}
	if (!r && c->rt)
		compare_uncounted(c, &p, from, to);
	else if (!r)
		note_used(c, &p, from, to);
	free(p.all);
	return r;
}
