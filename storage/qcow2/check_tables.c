/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tables of an image but those of refcounts: which there are, where they
 * lie, and that nothing else lies there. L1 tables are read once, at the
 * begin of a run, into a list of the L2 tables that they use. See check.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/check.h"

#define L2S_FIRST 64u

/* --- L1 table and snapshots ----------------------------------------------- */

struct span {
	uint64_t begin, end;
	uint32_t snap; /* UINT32_MAX = of the image itself */
};

static int by_begin(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	/* the image's own comes first, so that it is not at fault */
	return x->snap > y->snap ? -1 : x->snap < y->snap;
}

static void bad_snap(struct qcheck *c, uint32_t i, const char *what)
{
	const struct qsnap *s = &c->snaps.list[i];

	if (c->snap_bad[i])
		return;
	c->snap_bad[i] = true;
	c->bad_snaps = true;
	qcheck_bad(c, "snapshot %s (%s): its L1 table at %#" PRIx64 " %s",
		s->s.id, s->s.name, s->l1_offset, what);
}

/* Can this snapshot's L1 table be read as one? */
static void check_snap(struct qcheck *c, uint32_t i)
{
	const struct qsnap *s = &c->snaps.list[i];
	uint64_t bytes = (uint64_t)s->l1_entries * 8;

	if (s->l1_offset & (c->cluster - 1))
		bad_snap(c, i, "is not aligned to a cluster");
	else if (bytes > QCOW2_MAX_L1_BYTES)
		bad_snap(c, i, "is too large");
	else if (bytes && (s->l1_offset >> 56 ||
				  qcheck_is_beyond(c, s->l1_offset, bytes)))
		bad_snap(c, i, "lies behind the end of the file");
}

/* Spans of whole clusters, sorted; who meets one before it is bad. */
static void check_apart(struct qcheck *c, struct span *s, uint32_t n)
{
	uint64_t end = 0;

	qsort(s, n, sizeof(*s), by_begin);
	for (uint32_t i = 0; i < n; i++) {
		if (s[i].begin < end && s[i].snap != UINT32_MAX)
			bad_snap(c, s[i].snap, "overlaps another table");
		else if (s[i].end > end)
			end = s[i].end;
	}
}

static struct span span_of(const struct qcheck *c, uint64_t at, uint64_t len,
	uint32_t snap)
{
	return (struct span){ at, size_up(at + len, c->cluster), snap };
}

static int check_snaps(struct qcheck *c)
{
	const struct qheader *h = &c->q->h;
	struct span *s = calloc((size_t)c->snaps.n + 3, sizeof(*s));
	uint32_t n = 0;

	c->snap_bad = calloc((size_t)c->snaps.n + 1, sizeof(bool));
	if (!s || !c->snap_bad) {
		free(s);
		return -ENOMEM;
	}
	s[n++] = span_of(c, 0, c->cluster, UINT32_MAX);
	if (h->l1_entries)
		s[n++] = span_of(c, h->l1_offset, (uint64_t)h->l1_entries * 8,
			UINT32_MAX);
	if (c->snaps.bytes)
		s[n++] = span_of(c, h->snapshots_offset, c->snaps.bytes,
			UINT32_MAX);
	for (uint32_t i = 0; i < c->snaps.n; i++) {
		const struct qsnap *k = &c->snaps.list[i];

		check_snap(c, i);
		if (!c->snap_bad[i] && k->l1_entries)
			s[n++] = span_of(c, k->l1_offset,
				(uint64_t)k->l1_entries * 8, i);
	}
	check_apart(c, s, n);
	free(s);
	return 0;
}

static int load_snaps(struct qcheck *c)
{
	int r = qsnaps_read(c->q, &c->snaps);

	if (r == -ENOMEM)
		return r;
	if (r) {
		qcheck_unread(c, r, "the snapshot table",
			c->q->h.snapshots_offset);
		return check_snaps(c);
	}
	if (c->snaps.missing)
		qcheck_bad(c,
			"the snapshot table ends before the last %u of "
			"%u snapshots",
			c->snaps.missing, c->q->h.nsnapshots);
	if (c->snaps.incomplete)
		qcheck_bad(c,
			"%u entries of the snapshot table lack the "
			"disk's size",
			c->snaps.incomplete);
	if (c->snaps.too_long)
		qcheck_bad(c,
			"%u entries of the snapshot table have more "
			"than %u bytes of extra data",
			c->snaps.too_long, QSNAP_MAX_EXTRA);
	if (c->snaps.n && c->has_data_file)
		qcheck_bad(c, "%u snapshots in an image with a data file",
			c->snaps.n);
	c->bad_snaps =
		c->snaps.missing || c->snaps.incomplete || c->snaps.too_long;
	return check_snaps(c);
}

int qcheck_load(struct qcheck *c, struct err *e)
{
	const struct qheader *h = &c->q->h;
	uint64_t bytes = (uint64_t)h->l1_entries * 8;
	int r;

	/* the header was checked, but the file may have shrunk since */
	if (bytes > QCOW2_MAX_L1_BYTES ||
		qcheck_is_beyond(c, h->l1_offset, bytes))
		return err_set(e, EINVAL,
			"%s: its L1 table lies behind the "
			"end of the file: restore it from a copy",
			c->q->node.path);
	c->l1 = calloc((size_t)h->l1_entries + 1, sizeof(c->l1[0]));
	if (!c->l1)
		return err_sys(e, ENOMEM, "%s: check", c->q->node.path);
	r = node_read(c->q->file, h->l1_offset, c->l1, bytes);
	if (r)
		return err_sys(e, -r, "%s: cannot read its L1 table",
			c->q->node.path);
	for (uint32_t i = 0; i < h->l1_entries; i++)
		c->l1[i] = be64toh(c->l1[i]);
	r = load_snaps(c);
	return r ? err_sys(e, -r, "%s: check", c->q->node.path) : 0;
}

/* --- the list of L2 tables ------------------------------------------------ */

static int by_offset(const void *a, const void *b)
{
	const struct ql2 *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Sort, and make one of those that are the same. */
static void merge_l2s(struct qcheck *c)
{
	size_t n = 0;

	if (!c->nl2s)
		return;
	qsort(c->l2s, c->nl2s, sizeof(*c->l2s), by_offset);
	for (size_t i = 1; i < c->nl2s; i++) {
		if (c->l2s[i].offset != c->l2s[n].offset) {
			c->l2s[++n] = c->l2s[i];
			continue;
		}
		/* above that nothing is counted anyway */
		if (c->l2s[n].uses < QCOUNT_REFS)
			c->l2s[n].uses += c->l2s[i].uses;
		c->l2s[n].active |= c->l2s[i].active;
	}
	c->nl2s = n + 1;
}

/* For one more: twice the list, unless merging makes half of it free. */
static int make_room(struct qcheck *c)
{
	size_t max = c->max_l2s ? 2 * c->max_l2s : L2S_FIRST;
	struct ql2 *l2s;

	merge_l2s(c);
	if (c->l2s && c->nl2s <= c->max_l2s / 2)
		return 0;
	l2s = realloc(c->l2s, max * sizeof(*l2s));
	if (!l2s)
		return -ENOMEM;
	c->l2s = l2s;
	c->max_l2s = max;
	return 0;
}

static int add_l2(struct qcheck *c, uint64_t offset, bool active)
{
	if (c->nl2s == c->max_l2s) {
		int r = make_room(c);

		if (r)
			return r;
	}
	c->l2s[c->nl2s++] = (struct ql2){
		.offset = offset,
		.uses = 1,
		.active = active,
	};
	return 0;
}

struct ql2 *qcheck_l2(struct qcheck *c, uint64_t offset)
{
	struct ql2 key = { .offset = offset };

	if (!c->nl2s)
		return NULL;
	return bsearch(&key, c->l2s, c->nl2s, sizeof(key), by_offset);
}

/* --- all L1 tables -------------------------------------------------------- */

/* What is done with each entry that is not 0: what it shall be, or itself. */
typedef uint64_t (*l1_fn)(struct qcheck *c, uint64_t entry, bool active,
	uint64_t index, int *err);

static int write_entry(struct qcheck *c, uint64_t table, uint64_t i,
	uint64_t entry)
{
	uint8_t b[8];

	put_be64(b, entry);
	return node_write(c->q->file, table + i * 8, b, sizeof(b), 0);
}

static int each_active(struct qcheck *c, l1_fn fn)
{
	int r = 0;

	for (uint32_t i = 0; i < c->q->h.l1_entries && !r; i++) {
		uint64_t entry = c->l1[i];

		if (!entry)
			continue;
		c->l1[i] = fn(c, entry, true, i, &r);
		if (!r && c->l1[i] != entry)
			r = write_entry(c, c->q->h.l1_offset, i, c->l1[i]);
	}
	return r;
}

static int each_snap(struct qcheck *c, uint32_t k, l1_fn fn)
{
	const struct qsnap *s = &c->snaps.list[k];
	uint64_t per = c->cluster / 8;
	int r = 0;

	for (uint64_t i = 0; i < s->l1_entries && !r; i++) {
		uint64_t entry, now;

		if (i % per == 0) {
			uint64_t n = s->l1_entries - i;

			n = n < per ? n : per;
			r = node_read(c->q->file, s->l1_offset + i * 8, c->buf,
				n * 8);
			if (r) {
				qcheck_unread(c, r, "a snapshot's L1 table",
					s->l1_offset + i * 8);
				return 0;
			}
			if (qcheck_step(c))
				return -ECANCELED;
		}
		entry = get_be64(c->buf + i % per * 8);
		now = entry ? fn(c, entry, false, i, &r) : 0;
		if (!r && now != entry)
			r = write_entry(c, s->l1_offset, i, now);
	}
	return r;
}

static int each_l1(struct qcheck *c, l1_fn fn)
{
	int r = each_active(c, fn);

	for (uint32_t k = 0; k < c->snaps.n && !r; k++)
		if (!c->snap_bad[k])
			r = each_snap(c, k, fn);
	return r;
}

/* Take note of the table, if the entry can be right. */
static uint64_t find_l2(struct qcheck *c, uint64_t entry, bool active,
	uint64_t index, int *err)
{
	uint64_t offset = entry & QL1_OFFSET;
	const char *of = active ? "active" : "a snapshot's";

	if (entry & QL1_RESERVED) {
		qcheck_bad(c,
			"entry %" PRIu64 " of the L1 table (%s) has "
			"reserved bits set: %#" PRIx64,
			index, of, entry);
		if (c->fix & QFIX_ENTRIES)
			entry &= ~QL1_RESERVED;
	}
	if (!offset)
		return entry;
	if (offset & (c->cluster - 1))
		qcheck_bad(c,
			"entry %" PRIu64 " of the L1 table (%s) is not "
			"aligned to a cluster: %#" PRIx64,
			index, of, entry);
	else if (qcheck_is_beyond(c, offset, c->cluster))
		qcheck_bad(c,
			"entry %" PRIu64 " of the L1 table (%s) lies "
			"behind the end of the file: %#" PRIx64,
			index, of, entry);
	else {
		*err = add_l2(c, offset, active);
		return entry;
	}
	return c->fix & QFIX_ENTRIES ? 0 : entry;
}

int qcheck_find_l2s(struct qcheck *c)
{
	int r = each_l1(c, find_l2);

	merge_l2s(c);
	return r;
}

static uint64_t drop_bad(struct qcheck *c, uint64_t entry, bool active,
	uint64_t index, int *err)
{
	const struct ql2 *t = qcheck_l2(c, entry & QL1_OFFSET);

	(void)active;
	(void)index;
	(void)err;
	return t && t->bad ? 0 : entry;
}

int qcheck_drop_l1_entries(struct qcheck *c)
{
	for (size_t i = 0; i < c->nl2s; i++)
		if (c->l2s[i].bad)
			return each_l1(c, drop_bad);
	return 0;
}

/* --- counting them -------------------------------------------------------- */

int qcheck_count_tables(struct qcheck *c)
{
	const struct qheader *h = &c->q->h;
	int r;

	/* these were found to lie apart in the file: check_apart() */
	qcheck_ref(c, 0, c->cluster, 1, true);
	qcheck_ref(c, h->l1_offset, (uint64_t)h->l1_entries * 8, 1, true);
	qcheck_ref(c, h->snapshots_offset, c->snaps.bytes, 1, true);
	for (uint32_t i = 0; i < c->snaps.n; i++) {
		const struct qsnap *s = &c->snaps.list[i];

		if (!c->snap_bad[i])
			qcheck_ref(c, s->l1_offset, (uint64_t)s->l1_entries * 8,
				1, true);
	}
	for (size_t i = 0; i < c->nl2s; i++) {
		struct ql2 *t = &c->l2s[i];

		if (t->bad || qcheck_ref(c, t->offset, c->cluster, t->uses,
				      true) == QREF_OK)
			continue;
		t->bad = true;
		qcheck_bad(c,
			"the L2 table at %#" PRIx64 " overlaps another "
			"table",
			t->offset);
	}
	r = qcheck_bitmaps(c, true);
	return r;
}
