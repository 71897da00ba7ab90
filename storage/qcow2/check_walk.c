/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The walk over L2 tables: what their entries refer to is counted, and each
 * entry is judged; then, when the image's counts are known, the COPIED flags
 * of the active ones. See check.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/check.h"

#define NO_GUEST UINT64_MAX

/* An L2 table as it is walked. */
struct walk {
	const struct ql2 *table;
	uint64_t guest; /* offset of what it maps, NO_GUEST = of a snapshot */
	uint64_t next;  /* host cluster that would go on, 0 = none */
	bool dirty;
};

/* An entry, and what it shall be when it is mended. */
struct entry {
	unsigned index;
	uint64_t v, map; /* map = subclusters */
	uint64_t new_v, new_map;
};

/* --- judging entries ------------------------------------------------------ */

static void bad_entry(struct qcheck *c, const struct walk *w,
	const struct entry *n, const char *what)
{
	if (w->guest == NO_GUEST)
		qcheck_bad(c,
			"entry %u of a snapshot's L2 table at %#" PRIx64
			" %s: %#" PRIx64,
			n->index, w->table->offset, what, n->v);
	else
		qcheck_bad(c,
			"guest offset %#" PRIx64 ": its L2 entry %s: "
			"%#" PRIx64,
			w->guest + n->index * (uint64_t)c->cluster, what, n->v);
}

/* Nothing of it can be kept: it reads as zeros, where there is a flag. */
static void drop(const struct qcheck *c, struct entry *n)
{
	if (c->l2_entry == 16) {
		n->new_v = 0;
		n->new_map = UINT64_C(0xffffffff) << 32;
	} else {
		n->new_v = c->q->h.version > 2 ? QL2_ZERO : 0;
	}
}

/* True = what it refers to is counted (or cannot be). */
static bool count_data(struct qcheck *c, const struct walk *w, struct entry *n,
	uint64_t host, uint64_t len)
{
	switch (qcheck_ref(c, host, len, w->table->uses, false)) {
	case QREF_OK:
		return true;
	case QREF_BEYOND:
		if (c->first)
			bad_entry(c, w, n, "lies behind the end of the file");
		break;
	case QREF_OVERLAP:
		bad_entry(c, w, n, "lies where a table is");
		break;
	}
	drop(c, n);
	return false;
}

static void look_compressed(struct qcheck *c, struct walk *w, struct entry *n)
{
	uint64_t host;
	uint32_t len;
	bool good = qmap_compressed(c->q, n->v, &host, &len);

	if (n->v & QL2_COPIED) {
		if (c->first)
			bad_entry(c, w, n, "is compressed and says COPIED");
		n->new_v &= ~QL2_COPIED;
	}
	if (n->map) {
		if (c->first)
			bad_entry(c, w, n, "is compressed with subclusters");
		n->new_map = 0;
	}
	if (!good) {
		if (c->first)
			bad_entry(c, w, n, "is compressed, where none can be");
		drop(c, n);
		return;
	}
	if (!count_data(c, w, n, host, len) || !c->first)
		return;
	if (w->guest != NO_GUEST) {
		c->r.allocated++;
		c->r.compressed++;
		c->r.fragmented++;
	}
}

/* What is wrong with a standard entry and can be mended in it. */
static void look_bits(struct qcheck *c, struct walk *w, struct entry *n,
	bool has_host)
{
	bool no_flag = c->l2_entry == 16 || c->q->h.version < 3;
	uint64_t both = n->map >> 32 & n->map;

	if (n->v & QL2_RESERVED || (n->v & QL2_ZERO && no_flag)) {
		if (c->first)
			bad_entry(c, w, n, "has reserved bits set");
		n->new_v &= ~QL2_RESERVED;
		if (no_flag)
			n->new_v &= ~QL2_ZERO;
		if (n->v & QL2_ZERO && c->q->h.version < 3)
			drop(c, n); /* zeros were meant */
	}
	if (both) {
		if (c->first)
			bad_entry(c, w, n, "has subclusters of zeros and data");
		n->new_map &= ~(both << 32);
	}
	if (n->map & UINT32_MAX && !has_host) {
		if (c->first)
			bad_entry(c, w, n, "has data without a place");
		n->new_map = (n->map & UINT32_MAX) << 32 |
			     (n->map & (UINT64_C(0xffffffff) << 32));
	}
}

/* Clusters of a data file are not counted, but have one place each. */
static void look_data_file(struct qcheck *c, struct walk *w, struct entry *n,
	uint64_t host)
{
	uint64_t guest = w->guest + n->index * (uint64_t)c->cluster;

	if (w->guest == NO_GUEST || host == guest)
		return;
	if (c->first)
		bad_entry(c, w, n, "is not at its place in the data file");
	n->new_v = (n->new_v & ~QL2_OFFSET) | guest | QL2_COPIED;
}

static void look_standard(struct qcheck *c, struct walk *w, struct entry *n)
{
	uint64_t host = n->v & QL2_OFFSET;
	bool has_host = host || (n->v & QL2_COPIED && c->has_data_file);

	look_bits(c, w, n, has_host);
	if (!has_host)
		return;
	if (c->first && w->guest != NO_GUEST) {
		c->r.allocated++;
		if (w->next && host != w->next)
			c->r.fragmented++;
		w->next = host + c->cluster;
	}
	if (host & (c->cluster - 1)) {
		if (c->first)
			bad_entry(c, w, n, "is not aligned to a cluster");
		drop(c, n);
	} else if (c->has_data_file) {
		look_data_file(c, w, n, host);
	} else {
		(void)count_data(c, w, n, host, c->cluster);
	}
}

static void look(struct qcheck *c, struct walk *w, unsigned i)
{
	uint8_t *p = c->buf + (size_t)i * c->l2_entry;
	struct entry n = { .index = i, .v = get_be64(p) };

	if (c->l2_entry == 16)
		n.map = get_be64(p + 8);
	if (!n.v && !n.map)
		return;
	n.new_v = n.v;
	n.new_map = n.map;
	if (n.v & QL2_COMPRESSED)
		look_compressed(c, w, &n);
	else
		look_standard(c, w, &n);
	if (!(c->fix & QFIX_ENTRIES) || (n.new_v == n.v && n.new_map == n.map))
		return;
	put_be64(p, n.new_v);
	if (c->l2_entry == 16)
		put_be64(p + 8, n.new_map);
	w->dirty = true;
}

/* --- judging tables ------------------------------------------------------- */

/* Could an L2 table have this entry? */
static bool is_likely(const struct qcheck *c, uint64_t v)
{
	uint64_t host = v & QL2_OFFSET;
	uint32_t len;

	if (v & QL2_COMPRESSED)
		return qmap_compressed(c->q, v, &host, &len) &&
		       !qcheck_is_beyond(c, host, len);
	if (v & QL2_RESERVED || host & (c->cluster - 1))
		return false;
	return c->has_data_file || !qcheck_is_beyond(c, host, 1);
}

/*
 * An L1 entry that was overwritten leads anywhere. What is there is taken for
 * a table only when at least half of it makes sense; else data that lies
 * there would be dropped for its sake.
 */
int qcheck_judge_l2s(struct qcheck *c)
{
	for (size_t i = 0; i < c->nl2s; i++) {
		struct ql2 *t = &c->l2s[i];
		unsigned likely = 0, used = 0;

		if (node_read(c->q->file, t->offset, c->buf, c->cluster))
			continue; /* told by the walk */
		for (unsigned k = 0; k < c->cluster; k += c->l2_entry) {
			uint64_t v = get_be64(c->buf + k);

			used += v != 0;
			likely += v != 0 && is_likely(c, v);
		}
		t->bad = likely < used / 2 + used % 2;
		if (qcheck_step(c))
			return -ECANCELED;
	}
	return 0;
}

/* --- tables --------------------------------------------------------------- */

static int walk_table(struct qcheck *c, struct ql2 *t, uint64_t guest)
{
	struct walk w = { .table = t, .guest = guest };
	int r;

	t->seen = true;
	if (t->bad)
		return 0;
	r = node_read(c->q->file, t->offset, c->buf, c->cluster);
	if (r) {
		qcheck_unread(c, r, "the L2 table", t->offset);
		return 0;
	}
	for (unsigned i = 0; i < c->cluster / c->l2_entry; i++)
		look(c, &w, i);
	if (w.dirty)
		r = node_write(c->q->file, t->offset, c->buf, c->cluster, 0);
	return r ? r : qcheck_step(c) ? -ECANCELED : 0;
}

static void see_none(struct qcheck *c)
{
	for (size_t i = 0; i < c->nl2s; i++)
		c->l2s[i].seen = false;
}

/* Each table of the active L1 table once, in the guest's order. */
static int each_active_l2(struct qcheck *c,
	int (*fn)(struct qcheck *c, struct ql2 *t, uint64_t guest))
{
	int r = 0;

	for (uint32_t i = 0; i < c->q->h.l1_entries && !r; i++) {
		uint64_t offset = c->l1[i] & QL1_OFFSET;
		struct ql2 *t = offset ? qcheck_l2(c, offset) : NULL;

		if (t && !t->seen)
			r = fn(c, t, (uint64_t)i << (c->l2_bits + c->bits));
	}
	return r;
}

int qcheck_walk(struct qcheck *c)
{
	int r;

	see_none(c);
	r = each_active_l2(c, walk_table);
	for (size_t i = 0; i < c->nl2s && !r; i++)
		if (!c->l2s[i].seen)
			r = walk_table(c, &c->l2s[i], NO_GUEST);
	return r;
}

/* --- COPIED flags --------------------------------------------------------- */

/*
 * Is the flag of an entry wrong that refers to a cluster? Not known: no. What
 * is counted too low or too high is told as that.
 */
static bool is_wrong(const struct qcheck *c, uint64_t host, bool copied)
{
	const uint32_t *v = qcounts_peek(&c->counts, host >> c->bits);

	return v && *v & QCOUNT_KNOWN && !(*v & QCOUNT_ONE) == copied;
}

/* True = the entry is to be changed. */
static bool wrong_flag(struct qcheck *c, const char *what, uint64_t at,
	uint64_t entry)
{
	bool mend = c->fix & QFIX_COPIED;

	c->bad_copied++;
	c->r.corruptions++;
	qcheck_tell(c,
		"ERROR: the COPIED flag of %s %#" PRIx64 " is wrong: "
		"%#" PRIx64,
		what, at, entry);
	return mend;
}

static int copied_in_table(struct qcheck *c, struct ql2 *t, uint64_t guest)
{
	bool dirty = false;
	int r;

	t->seen = true;
	if (t->bad)
		return 0;
	r = node_read(c->q->file, t->offset, c->buf, c->cluster);
	if (r && !c->r.errors) /* else the walk has told it */
		qcheck_unread(c, r, "the L2 table", t->offset);
	if (r)
		return 0;
	for (unsigned i = 0; i < c->cluster / c->l2_entry; i++) {
		uint8_t *p = c->buf + (size_t)i * c->l2_entry;
		uint64_t v = get_be64(p), host = v & QL2_OFFSET;
		bool copied = v & QL2_COPIED, wrong;

		if (v & QL2_COMPRESSED || host & (c->cluster - 1) || !host)
			continue;
		wrong = c->has_data_file ? !copied : is_wrong(c, host, copied);
		if (wrong && c->has_data_file && !c->first)
			continue;
		if (!wrong || !wrong_flag(c, "guest offset",
				      guest + i * (uint64_t)c->cluster, v))
			continue;
		put_be64(p, v ^ QL2_COPIED);
		dirty = true;
	}
	if (dirty)
		r = node_write(c->q->file, t->offset, c->buf, c->cluster, 0);
	return r ? r : qcheck_step(c) ? -ECANCELED : 0;
}

static int copied_in_l1(struct qcheck *c)
{
	int r = 0;

	for (uint32_t i = 0; i < c->q->h.l1_entries && !r; i++) {
		uint64_t v = c->l1[i], host = v & QL1_OFFSET;
		uint8_t b[8];

		if (!host || !is_wrong(c, host, v & QL1_COPIED) ||
			!wrong_flag(c, "entry of the L1 table for",
				(uint64_t)i << (c->l2_bits + c->bits), v))
			continue;
		c->l1[i] = v ^ QL1_COPIED;
		put_be64(b, c->l1[i]);
		r = node_write(c->q->file, c->q->h.l1_offset + (uint64_t)i * 8,
			b, sizeof(b), 0);
	}
	return r;
}

int qcheck_copied(struct qcheck *c)
{
	int r = copied_in_l1(c);

	see_none(c);
	return r ? r : each_active_l2(c, copied_in_table);
}
