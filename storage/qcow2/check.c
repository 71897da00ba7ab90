/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checking an image: what a run is, and the verb. See check.h for the way it
 * works, repair.c for what follows when something is to be mended.
 */
#include "storage/qcow2/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#define QCHECK_LINES 1000u /* told in all */

/* --- findings ------------------------------------------------------------- */

static void tell(struct qcheck *c, const char *kind, const char *fmt,
	va_list ap)
{
	char text[200], line[232];

	if (c->quiet || !c->fns || !c->fns->tell || c->told >= QCHECK_LINES)
		return;
	c->told++;
	vsnprintf(text, sizeof(text), fmt, ap);
	/* names of the image are among it: a line stays a line */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	snprintf(line, sizeof(line), "%s%s", kind, text);
	c->fns->tell(c->fns->arg, line);
}

void qcheck_tell(struct qcheck *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(c, "", fmt, ap);
	va_end(ap);
}

void qcheck_bad(struct qcheck *c, const char *fmt, ...)
{
	va_list ap;

	c->r.corruptions++;
	c->damaged = true;
	va_start(ap, fmt);
	tell(c, "ERROR: ", fmt, ap);
	va_end(ap);
}

void qcheck_unread(struct qcheck *c, int err, const char *what, uint64_t offset)
{
	c->r.errors++;
	qcheck_tell(c, "ERROR: cannot read %s at %#" PRIx64 ": %s", what,
		offset, strerror(-err));
}

bool qcheck_step(struct qcheck *c)
{
	c->done++;
	if (c->total < c->done)
		c->total = c->done;
	return c->fns && c->fns->progress &&
	       c->fns->progress(c->fns->arg, c->done, c->total);
}

/* --- references ----------------------------------------------------------- */

bool qcheck_is_beyond(const struct qcheck *c, uint64_t host, uint64_t len)
{
	uint64_t end;

	/* the last cluster need not be there to its end */
	return !size_add(host, len, &end) ||
	       (end > c->file_bytes && end - c->file_bytes >= c->cluster);
}

enum qref qcheck_ref(struct qcheck *c, uint64_t host, uint64_t len,
	uint32_t uses, bool table)
{
	enum qref r = QREF_OK;
	uint64_t last;

	if (!len)
		return QREF_OK;
	if (qcheck_is_beyond(c, host, len))
		return QREF_BEYOND;
	last = (host + len - 1) >> c->bits;
	for (uint64_t i = host >> c->bits; i <= last; i++) {
		uint32_t *v = qcounts_get(&c->counts, i);

		if (!v)
			continue;
		if (*v & QCOUNT_TABLE || (table && *v & QCOUNT_REFS))
			r = QREF_OVERLAP;
		if (uses > QCOUNT_REFS - (*v & QCOUNT_REFS))
			*v |= QCOUNT_REFS;
		else
			*v += uses;
		if (table)
			*v |= QCOUNT_TABLE;
	}
	return r;
}

/* --- a run ---------------------------------------------------------------- */

int qcheck_init(struct qcheck *c, struct qcow2 *q,
	const struct qcow2_check_fns *fns, struct err *e)
{
	memset(c, 0, sizeof(*c));
	c->q = q;
	c->fns = fns;
	c->max_pieces = QCHUNK_MAX;
	c->bits = q->cluster_bits;
	c->cluster = q->cluster_size;
	c->l2_entry = q->l2_entry_bytes;
	c->l2_bits = q->l2_bits;
	c->rb_bits = q->rb_bits;
	c->has_data_file = q->h.incompatible & QINCOMPAT_DATA_FILE;
	c->buf = malloc(c->cluster);
	if (c->buf)
		return 0;
	return err_sys(e, ENOMEM, "%s: check", q->node.path);
}

/* What a run found and read, so that another can begin. */
static void forget(struct qcheck *c)
{
	qcounts_fini(&c->counts);
	free(c->l1);
	qsnaps_free(c->snaps.list, c->snaps.n);
	free(c->snap_bad);
	free(c->l2s);
	free(c->rt);
	memset(&c->snaps, 0, sizeof(c->snaps));
	c->l1 = NULL;
	c->snap_bad = NULL;
	c->l2s = NULL;
	c->nl2s = c->max_l2s = 0;
	c->rt = NULL;
	c->rt_entries = 0;
	memset(&c->r, 0, sizeof(c->r));
	c->damaged = c->rebuild = c->bad_bitmaps = c->bad_snaps = false;
	c->bad_copied = c->highest = 0;
	c->done = c->total = 0;
}

void qcheck_fini(struct qcheck *c)
{
	forget(c);
	free(c->buf);
	c->buf = NULL;
}

/* All that is to be done for the clusters of one round. */
static int run_round(struct qcheck *c)
{
	int r = 0;

	if (c->first && c->fix & QFIX_ENTRIES)
		r = qcheck_judge_l2s(c);
	if (!r)
		r = qcheck_count_tables(c);
	if (!r && c->fix & QFIX_ENTRIES)
		r = qcheck_drop_l1_entries(c);
	if (!r)
		r = qcheck_walk(c);
	if (!r)
		r = qcheck_bitmaps(c, false);
	if (r || c->fix & QFIX_ENTRIES)
		return r;
	if (c->r.errors) /* what refers to a cluster may not be known */
		c->fix = 0;
	r = qcheck_count_refs(c);
	if (!r)
		r = qcheck_compare(c);
	if (!r)
		r = qcheck_copied(c);
	return r;
}

static int run_rounds(struct qcheck *c, struct err *e)
{
	int r = qcheck_load(c, e);

	if (!r)
		r = qcheck_load_rt(c, e);
	if (r)
		return r;
	r = qcounts_init(&c->counts, c->file_clusters);
	c->counts.max = c->max_pieces;
	c->first = true;
	if (!r)
		r = qcheck_find_l2s(c);
	/* each table is seen some times: see who calls qcheck_step() */
	c->total = 3 * c->nl2s + c->rt_entries;
	while (!r && c->counts.lo < c->file_clusters) {
		r = run_round(c);
		if (!r && c->counts.failed)
			r = -ENOMEM;
		c->first = false;
		if (!r)
			qcounts_begin(&c->counts, c->counts.hi,
				c->file_clusters);
	}
	if (r == -ECANCELED)
		return err_set(e, ECANCELED, "%s: check was stopped",
			c->q->node.path);
	return r ? err_sys(e, -r, "%s: check", c->q->node.path) : 0;
}

int qcheck_run(struct qcheck *c, unsigned fix, struct err *e)
{
	struct qcow2 *q = c->q;
	int r;

	forget(c);
	c->fix = fix;
	c->quiet = c->ran;
	c->file_bytes = node_size(q->file);
	/* and one more: compressed data may go on into it, see
	 * qcheck_is_beyond() */
	c->file_clusters =
		c->file_bytes / c->cluster + !!(c->file_bytes % c->cluster) + 1;
	r = run_rounds(c, e);
	c->ran = true;
	c->quiet = false;
	c->r.total = q->h.size / c->cluster + !!(q->h.size % c->cluster);
	c->r.image_end = (c->highest + 1) * c->cluster;
	return r;
}

/* --- the verb ------------------------------------------------------------- */

/* The tables in memory are no longer those of the image. */
static int reload(struct qcow2 *q, struct err *e)
{
	int r;

	qsnap_fini(q);
	qmap_close(q);
	qref_close(q);
	free(q->metaset);
	q->metaset = NULL;
	q->metaset_mask = q->metaset_count = 0;
	r = qref_open(q, e);
	if (!r)
		r = qmap_read_l1(q, e);
	if (!r)
		r = qsnap_read(q, e);
	if (r) {
		/* nothing of it may be used now, nor be written at close */
		q->active = false;
		q->corrupt = true;
	}
	return r;
}

static int check(struct qcow2 *q, enum qcow2_repair how,
	const struct qcow2_check_fns *fns, struct qcow2_check *out,
	struct err *e)
{
	struct qcow2_check found;
	struct qcheck *c = malloc(sizeof(*c));
	int r;

	if (!c)
		return err_sys(e, ENOMEM, "%s: check", q->node.path);
	r = qcheck_init(c, q, fns, e);
	if (r) {
		free(c);
		return r;
	}
	r = qcheck_run(c, 0, e);
	found = c->r;
	if (!r && how != QCOW2_REPAIR_NONE) {
		int back;

		r = qrepair(c, how, e);
		back = q->active ? reload(q, r ? NULL : e) : 0;
		r = r ? r : back;
	}
	*out = c->r;
	if (found.corruptions > c->r.corruptions)
		out->corruptions_fixed = found.corruptions - c->r.corruptions;
	if (found.leaks > c->r.leaks)
		out->leaks_fixed = found.leaks - c->r.leaks;
	qcheck_fini(c);
	free(c);
	return r;
}

int qcow2_check(struct node *n, enum qcow2_repair how,
	const struct qcow2_check_fns *fns, struct qcow2_check *out,
	struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	int r = 0;

	memset(out, 0, sizeof(*out));
	if (how != QCOW2_REPAIR_NONE && n->readonly)
		return err_set(e, EROFS,
			"%s: cannot be repaired: opened for "
			"reading only",
			n->path);
	fiber_lock_take(&q->meta);
	if (q->active && !n->readonly && !q->corrupt)
		r = qcommit_all(q);
	if (r)
		err_sys(e, -r, "%s: writing what is in memory before a check",
			n->path);
	else
		r = check(q, how, fns, out, e);
	fiber_lock_drop(&q->meta);
	return r;
}
