/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mending what a check found. Each step leaves an image that is no worse than
 * before, whenever it ends: single entries are replaced in place, tables are
 * written where nothing is and then entered in the header by one sector, and
 * counts and COPIED flags follow what is referred to. Data that is referred
 * to rightly is never written. See check.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "storage/qcow2/check.h"

#define QREPAIR_ROUNDS 4 /* mending one thing may bring another to light */

static int write_failed(struct qcheck *c, int r, struct err *e)
{
	return err_sys(e, -r, "%s: writing its repair", c->q->node.path);
}

static int flush(struct qcheck *c, struct err *e)
{
	int r = node_flush(c->q->file);

	return r ? write_failed(c, r, e) : 0;
}

/* Bits of the header that shall go. */
static int clear_bits(struct qcheck *c, uint64_t incompatible,
	uint64_t autoclear, struct err *e)
{
	struct qcow2 *q = c->q;
	struct qheader h = q->h;
	int r;

	h.incompatible &= ~incompatible;
	h.autoclear &= ~autoclear;
	if (h.incompatible == q->h.incompatible &&
		h.autoclear == q->h.autoclear)
		return 0;
	r = qheader_write_features(q->file, &h);
	if (r)
		return write_failed(c, r, e);
	r = flush(c, e);
	if (r)
		return r;
	q->h.incompatible = h.incompatible;
	q->h.autoclear = h.autoclear;
	/* the next change of an image in use sets what it needs again */
	q->written = false;
	return 0;
}

/* Whoever has data changed cannot keep bitmaps of its changes. */
static int drop_bitmaps(struct qcheck *c, struct err *e)
{
	struct qheader *h = &c->q->h;
	int r = clear_bits(c, 0, QAUTOCLEAR_BITMAPS, e);

	if (r || !h->nbitmaps)
		return r;
	h->nbitmaps = 0;
	h->bitmaps_offset = h->bitmaps_bytes = 0;
	qcheck_tell(c, "dropped the bitmaps, which are no longer true");
	return 0;
}

/* --- the snapshot table --------------------------------------------------- */

/* Those that can be read, in a table from cluster *at on. */
static int write_snaps(struct qcheck *c, const struct qsnap *list, uint32_t n,
	uint64_t *at, struct err *e)
{
	struct qcow2 *q = c->q;
	struct qheader h = q->h;
	uint8_t *buf;
	uint64_t len;
	int r = qsnaps_pack(list, n, &buf, &len);

	if (r)
		return err_sys(e, -r, "%s: its snapshot table", q->node.path);
	h.nsnapshots = n;
	h.snapshots_offset = n ? *at << c->bits : 0;
	if (n)
		r = node_write(q->file, h.snapshots_offset, buf, len, 0);
	free(buf);
	if (!r)
		r = node_flush(q->file);
	if (!r)
		r = qheader_write_snapshots(q->file, &h);
	if (!r)
		r = node_flush(q->file);
	if (r)
		return write_failed(c, r, e);
	q->h.nsnapshots = h.nsnapshots;
	q->h.snapshots_offset = h.snapshots_offset;
	*at += (len >> c->bits) + !!(len & (c->cluster - 1));
	return 0;
}

static int mend_snaps(struct qcheck *c, uint64_t *at, struct err *e)
{
	struct qsnap *list = calloc((size_t)c->snaps.n + 1, sizeof(*list));
	uint32_t n = 0;
	int r;

	if (!list)
		return write_failed(c, -ENOMEM, e);
	for (uint32_t i = 0; i < c->snaps.n; i++)
		if (!c->snap_bad[i])
			list[n++] = c->snaps.list[i];
	r = write_snaps(c, list, n, at, e);
	free(list);
	if (!r)
		qcheck_tell(c,
			"wrote the snapshot table anew with %u of %u "
			"snapshots",
			n, c->snaps.n + c->snaps.missing);
	return r;
}

/* --- steps ---------------------------------------------------------------- */

/* Entries that cannot be right, bitmaps, the snapshot table. */
static int mend_tables(struct qcheck *c, struct err *e)
{
	uint64_t at = c->highest + 1;
	int r = drop_bitmaps(c, e);

	if (!r)
		r = qcheck_run(c, QFIX_ENTRIES, e);
	if (!r && c->bad_snaps)
		r = mend_snaps(c, &at, e);
	if (!r)
		r = flush(c, e);
	return r ? r : qcheck_run(c, 0, e);
}

static int rebuild(struct qcheck *c, struct err *e)
{
	int r = qrepair_rebuild(c, c->highest + 1, e);

	return r ? r : qcheck_run(c, 0, e);
}

static int mend_counts(struct qcheck *c, unsigned fix, struct err *e)
{
	int r = qcheck_run(c, fix, e);

	if (!r)
		r = flush(c, e);
	return r ? r : qcheck_run(c, 0, e);
}

static int repair_leaks(struct qcheck *c, struct err *e)
{
	unsigned fix = QFIX_LEAKS;

	if (!c->r.leaks)
		return 0;
	if (c->damaged || c->rebuild) {
		/* what is lost may be what the damage hides */
		qcheck_tell(c, "leaked clusters are kept, as tables are "
			       "damaged: repair all");
		return 0;
	}
	/* where nothing but leaks made the flags wrong */
	if (c->r.corruptions == c->bad_copied)
		fix |= QFIX_COPIED;
	return mend_counts(c, fix, e);
}

static int repair_all(struct qcheck *c, struct err *e)
{
	int r = 0;

	for (int i = 0; i < QREPAIR_ROUNDS && !r; i++) {
		if (c->r.errors || !(c->r.corruptions || c->r.leaks))
			break;
		if (c->damaged)
			r = mend_tables(c, e);
		if (!r && c->rebuild && !c->r.errors)
			r = rebuild(c, e);
		if (!r && !c->r.errors && !c->rebuild &&
			(c->r.corruptions || c->r.leaks))
			r = mend_counts(c,
				QFIX_COUNTS | QFIX_LEAKS | QFIX_COPIED, e);
	}
	if (r || c->r.errors || c->r.corruptions)
		return r;
	return clear_bits(c, QINCOMPAT_DIRTY | QINCOMPAT_CORRUPT, 0, e);
}

int qrepair(struct qcheck *c, enum qcow2_repair how, struct err *e)
{
	uint64_t known = QAUTOCLEAR_BITMAPS;
	int r;

	if (c->r.errors) {
		qcheck_tell(c, "nothing is repaired as long as a part of the "
			       "image cannot be read");
		return 0;
	}
	if (c->has_data_file)
		known |= QAUTOCLEAR_DATA_RAW;
	r = clear_bits(c, 0, ~known, e);
	if (r)
		return r;
	if (how == QCOW2_REPAIR_LEAKS)
		r = repair_leaks(c, e);
	else if (how != QCOW2_REPAIR_COUNTS || !c->damaged)
		r = repair_all(c, e);
	if (!r && c->r.corruptions)
		qcheck_tell(c, "%" PRIu64 " errors could not be repaired",
			c->r.corruptions);
	return r;
}
