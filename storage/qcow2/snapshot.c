/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Internal snapshots ("Snapshots" of the format's description): create,
 * revert, delete. Each makes all that changes (counts, L2 tables whose COPIED
 * flags change, L1 tables, the snapshot table) beside what the image has and
 * switches by one sector of the header; see whole.h. A crash leaves the image
 * as it was before or as it is after, and leaks at most.
 */
#include "storage/qcow2/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/whole.h"

#define EXTRA_LEN 24u /* vm state size, disk size, instruction count */

/* A change of the snapshots, on its way. */
struct change {
	struct qcow2 *q;
	struct qshadow s;
	struct qheader h;     /* as it shall be; strings are q->h's */
	uint64_t *l1;         /* the active one that shall be */
	uint8_t *buf;         /* of a cluster */
	uint64_t snaps_bytes; /* of the table that shall be */
};

/* --- finding -------------------------------------------------------------- */

int qcow2_snapshot_get(const struct node *n, unsigned i,
	struct qcow2_snapshot *out)
{
	const struct qcow2 *q = qcow2_of(n);

	if (i >= q->nsnaps)
		return -ENOENT;
	*out = q->snaps[i].s;
	return 0;
}

int qsnap_find(const struct qcow2 *q, const char *name, uint32_t *out)
{
	unsigned found = 0;

	for (uint32_t i = 0; i < q->nsnaps; i++) {
		if (strcmp(q->snaps[i].s.name, name) != 0)
			continue;
		*out = i;
		found++;
	}
	for (uint32_t i = 0; i < q->nsnaps && !found; i++) {
		if (strcmp(q->snaps[i].s.id, name) != 0)
			continue;
		*out = i;
		found = 1;
	}
	return found == 1 ? 0 : found ? -EINVAL : -ENOENT;
}

static int find(const struct qcow2 *q, const char *name, uint32_t *out,
	struct err *e)
{
	int r = qsnap_find(q, name, out);

	if (r == -EINVAL)
		return err_set(e, EINVAL,
			"%s: more than one snapshot is "
			"called '%s': use its id",
			q->node.path, name);
	if (r)
		return err_set(e, ENOENT, "%s: has no snapshot '%s'",
			q->node.path, name);
	return 0;
}

/* --- steps that all take -------------------------------------------------- */

static int begin(struct change *c, struct qcow2 *q, struct err *e)
{
	int r;

	memset(c, 0, sizeof(*c));
	c->q = q;
	if (q->h.incompatible & QINCOMPAT_DATA_FILE)
		return err_set(e, ENOTSUP,
			"%s: an image with a data file "
			"cannot have snapshots",
			q->node.path);
	r = qwhole_begin(q, e);
	if (r)
		return r;
	c->h = q->h;
	c->snaps_bytes = q->snaps_bytes;
	c->buf = malloc(q->cluster_size);
	r = c->buf ? qshadow_begin(&c->s, q) : -ENOMEM;
	if (!r)
		return 0;
	free(c->buf);
	return err_sys(e, -r, "%s", q->node.path);
}

/* Nothing is changed: everything is given back. */
static int fail(struct change *c, int r, const char *what, struct err *e)
{
	qshadow_abort(&c->s);
	free(c->l1);
	free(c->buf);
	if (r == -ERANGE)
		return err_set(e, ERANGE,
			"%s: its refcounts of %u bits cannot "
			"count one more user of a cluster: delete snapshots, "
			"or convert the image with wider refcounts",
			c->q->node.path, 1u << c->q->h.refcount_order);
	if (r == -EIO && c->q->corrupt)
		return err_set(e, EIO,
			"%s: the image is damaged: repair it "
			"with `disk check --repair all`",
			c->q->node.path);
	return err_sys(e, -r, "%s: %s", c->q->node.path, what);
}

/* One reference more to whatever the table in c->buf refers to. */
static int add_data(struct change *c)
{
	uint64_t first = 0, n = 0;
	int r = 0;

	for (unsigned i = 0; i < qtree_entries(c->q) && !r; i++) {
		uint64_t at, k;

		r = qtree_data(c->q, qtree_entry(c->q, c->buf, i), &at, &k);
		if (r || !k)
			continue;
		if (n && first + n == at) {
			n += k;
			continue;
		}
		r = qshadow_add(&c->s, first, n);
		first = at;
		n = k;
	}
	return r ? r : qshadow_add(&c->s, first, n);
}

/* No entry of the table in c->buf says COPIED. True = one did. */
static bool clear_copied(struct change *c)
{
	bool was = false;

	for (unsigned i = 0; i < qtree_entries(c->q); i++) {
		uint64_t v = qtree_entry(c->q, c->buf, i);

		if (!(v & QL2_COPIED))
			continue;
		was = true;
		put_be64(c->buf + (size_t)i * c->q->l2_entry_bytes,
			v & ~QL2_COPIED);
	}
	return was;
}

/* Write the table in c->buf to a new place. */
static int write_l2(struct change *c, uint64_t *host)
{
	int r = qshadow_table(&c->s, 1, host);

	if (r)
		return r;
	return node_write(c->q->file, *host, c->buf, c->q->cluster_size, 0);
}

/* A place for an L1 table, and the table there. 0 entries have none. */
static int write_l1(struct change *c, const uint64_t *l1, uint32_t n,
	uint64_t *host)
{
	int r;

	*host = 0;
	if (!n)
		return 0;
	r = qshadow_table(&c->s, qtree_l1_clusters(c->q, n), host);
	return r ? r : qtree_write_l1(c->q, *host, l1, n);
}

/* The whole clusters of a table end with the switch. */
static int end_table(struct change *c, uint64_t host, uint64_t len)
{
	unsigned bits = c->q->cluster_bits;

	if (!len)
		return 0;
	return qranges_add(&c->s.old, host >> bits,
		(len + c->q->cluster_size - 1) >> bits);
}

/* The active L1 table is c->l1, of n entries. */
static int new_active(struct change *c, uint32_t n)
{
	int r = write_l1(c, c->l1, n, &c->h.l1_offset);

	c->h.l1_entries = n;
	if (!r)
		r = end_table(c, c->q->h.l1_offset,
			(uint64_t)c->q->h.l1_entries * 8);
	return r;
}

/* The snapshot table has these. */
static int new_list(struct change *c, const struct qsnap *list, uint32_t n)
{
	struct qcow2 *q = c->q;
	uint64_t len, host = 0;
	uint8_t *buf;
	int r = qsnaps_pack(list, n, &buf, &len);

	if (!r && n)
		r = qshadow_table(&c->s,
			(len + q->cluster_size - 1) >> q->cluster_bits, &host);
	if (!r && n)
		r = node_write(q->file, host, buf, len, 0);
	free(buf);
	c->h.snapshots_offset = host;
	c->h.nsnapshots = n;
	c->snaps_bytes = len;
	return r ? r : end_table(c, q->h.snapshots_offset, q->snaps_bytes);
}

/* The switch, and what memory has of it. The list of snapshots is not among
 * that. The image is as it was when this fails. */
static int commit(struct change *c, struct err *e)
{
	struct qcow2 *q = c->q;
	uint8_t *dirty = NULL;
	int r = 0;

	if (c->l1) {
		dirty = calloc(1, qmap_l1_dirty_bytes(c->h.l1_entries));
		if (!dirty)
			return fail(c, -ENOMEM, "snapshots", e);
	}
	r = qshadow_commit(&c->s, &c->h);
	if (r) {
		free(dirty);
		return fail(c, r, "writing its snapshots", e);
	}
	if (c->l1) {
		free(q->l1);
		free(q->l1_dirty);
		q->l1 = c->l1;
		q->l1_dirty = dirty;
		q->l1_any_dirty = false;
	}
	q->snaps_bytes = c->snaps_bytes;
	free(c->buf);
	return 0;
}

/* What was replaced is given up. A failure leaves leaks, which is no error of
 * what was to be done. */
static void finish(struct qcow2 *q)
{
	static struct log_limit limit;
	int r = qcommit_all(q);

	if (r)
		log_limited(q->node.log, &limit, LOG_WARN,
			"%s: giving up what is no longer needed: %s; see `disk "
			"check --repair leaks`",
			q->node.path, strerror(-r));
}

/* --- create --------------------------------------------------------------- */

static int check_name(const struct qcow2 *q, const char *name, struct err *e)
{
	if (!name[0] || strlen(name) >= sizeof(q->snaps[0].s.name))
		return err_set(e, EINVAL,
			"%s: a snapshot's name has 1 to %zu "
			"bytes",
			q->node.path, sizeof(q->snaps[0].s.name) - 1);
	for (uint32_t i = 0; i < q->nsnaps; i++)
		if (!strcmp(q->snaps[i].s.name, name))
			return err_set(e, EEXIST, "%s: has a snapshot '%s'",
				q->node.path, name);
	if (q->nsnaps >= QCOW2_MAX_SNAPSHOTS)
		return err_set(e, EFBIG,
			"%s: has %u snapshots, the most that "
			"it can have",
			q->node.path, q->nsnaps);
	return 0;
}

/* One more than the greatest number that is an id. */
static void new_id(const struct qcow2 *q, char *id, size_t len)
{
	unsigned long long most = 0;

	for (uint32_t i = 0; i < q->nsnaps; i++) {
		unsigned long long v = strtoull(q->snaps[i].s.id, NULL, 10);

		if (v > most && v < UINT64_MAX)
			most = v;
	}
	snprintf(id, len, "%llu", most + 1);
}

/* What the table will say of the snapshot that is made now. */
static int describe(const struct qcow2 *q, const char *name, struct qsnap *s)
{
	struct timespec now;
	size_t id, len = strlen(name);

	memset(s, 0, sizeof(*s));
	clock_gettime(CLOCK_REALTIME, &now);
	new_id(q, s->s.id, sizeof(s->s.id));
	memcpy(s->s.name, name, len + 1);
	s->s.size = q->h.size;
	s->s.date_s = (uint64_t)now.tv_sec;
	s->s.date_ns = (uint32_t)now.tv_nsec;
	s->s.icount = UINT64_MAX;
	id = strlen(s->s.id);
	s->raw = calloc(1, EXTRA_LEN + id + len);
	if (!s->raw)
		return -ENOMEM;
	put_be64(s->raw + 8, s->s.size);
	put_be64(s->raw + 16, s->s.icount);
	memcpy(s->raw + EXTRA_LEN, s->s.id, id);
	memcpy(s->raw + EXTRA_LEN + id, name, len);
	s->extra_len = EXTRA_LEN;
	s->id_len = (uint16_t)id;
	s->name_len = (uint16_t)len;
	return 0;
}

/*
 * L1 entry i of the image and of the snapshot that is made: the table as it
 * is if nothing in it says COPIED, else a copy of it where nothing does. Both
 * use it then, and all that it refers to has one more user.
 */
static int share_table(struct change *c, uint32_t i)
{
	uint64_t table, copy;
	int r = qtree_read(c->q, c->q->l1[i], c->buf, &table);

	c->l1[i] = table;
	if (r || !table)
		return r;
	if (clear_copied(c)) {
		r = write_l2(c, &copy);
		if (!r)
			r = qshadow_drop(&c->s, table >> c->q->cluster_bits, 1);
		c->l1[i] = table = copy;
	}
	if (!r)
		r = qshadow_add(&c->s, table >> c->q->cluster_bits, 1);
	return r ? r : add_data(c);
}

static int create_tables(struct change *c, struct qsnap *s)
{
	uint32_t n = c->q->h.l1_entries;
	int r = 0;

	c->l1 = calloc((size_t)n + 1, sizeof(*c->l1));
	if (!c->l1)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !r; i++)
		r = share_table(c, i);
	s->l1_entries = n;
	if (!r)
		r = write_l1(c, c->l1, n, &s->l1_offset);
	return r ? r : new_active(c, n);
}

static int create(struct qcow2 *q, const char *name, struct err *e)
{
	struct qsnap *list;
	struct change c;
	int r = begin(&c, q, e);

	if (r)
		return r;
	r = check_name(q, name, e);
	if (r) {
		(void)fail(&c, r, "", NULL);
		return r;
	}
	list = calloc((size_t)q->nsnaps + 1, sizeof(*list));
	r = list ? describe(q, name, &list[q->nsnaps]) : -ENOMEM;
	if (!r)
		r = create_tables(&c, &list[q->nsnaps]);
	if (!r && q->nsnaps)
		memcpy(list, q->snaps, q->nsnaps * sizeof(*list));
	if (!r)
		r = new_list(&c, list, q->nsnaps + 1);
	r = r ? fail(&c, r, "making a snapshot", e) : commit(&c, e);
	if (r) {
		if (list)
			free(list[q->nsnaps].raw);
		free(list);
		return r;
	}
	free(q->snaps);
	q->snaps = list;
	q->nsnaps++;
	return 0;
}

/* --- delete --------------------------------------------------------------- */

/* One reference less to the table of a snapshot's L1 entry and to its data. */
static int drop_table(struct change *c, uint64_t l1_entry)
{
	uint64_t table;
	int r = qtree_read(c->q, l1_entry, c->buf, &table);

	for (unsigned i = 0; i < qtree_entries(c->q) && table && !r; i++) {
		uint64_t at, n;

		r = qtree_data(c->q, qtree_entry(c->q, c->buf, i), &at, &n);
		if (!r)
			r = qshadow_drop(&c->s, at, n);
	}
	if (!r && table)
		r = qshadow_drop(&c->s, table >> c->q->cluster_bits, 1);
	return r;
}

/* Do the COPIED flags of the table in c->buf follow the counts? They do then;
 * *changed = they did not. */
static int mend_copied(struct change *c, bool *changed)
{
	for (unsigned i = 0; i < qtree_entries(c->q); i++) {
		uint64_t v = qtree_entry(c->q, c->buf, i), at, n, count;
		int r;

		if (v & QL2_COMPRESSED)
			continue;
		r = qtree_data(c->q, v, &at, &n);
		if (!r && n)
			r = qshadow_get(&c->s, at, &count);
		if (r)
			return r;
		if (!n || (count == 1) == !!(v & QL2_COPIED))
			continue;
		*changed = true;
		put_be64(c->buf + (size_t)i * c->q->l2_entry_bytes,
			v ^ QL2_COPIED);
	}
	return 0;
}

/* Active L1 entry i, now that there are fewer users of what it refers to. */
static int mend_table(struct change *c, uint32_t i)
{
	bool changed = false;
	uint64_t table, copy, count;
	int r = qtree_read(c->q, c->q->l1[i], c->buf, &table);

	c->l1[i] = c->q->l1[i];
	if (r || !table)
		return r;
	r = qshadow_get(&c->s, table >> c->q->cluster_bits, &count);
	if (r)
		return r;
	c->l1[i] = count == 1 ? table | QL1_COPIED : table;
	/* who shares a table shares what it refers to */
	if (count != 1)
		return 0;
	r = mend_copied(c, &changed);
	if (r || !changed)
		return r;
	r = write_l2(c, &copy);
	if (!r)
		r = qshadow_drop(&c->s, table >> c->q->cluster_bits, 1);
	c->l1[i] = copy | QL1_COPIED;
	return r;
}

static int mend_active(struct change *c)
{
	uint32_t n = c->q->h.l1_entries;
	int r = 0;

	c->l1 = calloc((size_t)n + 1, sizeof(*c->l1));
	if (!c->l1)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !r; i++)
		r = mend_table(c, i);
	if (r)
		return r;
	if (memcmp(c->l1, c->q->l1, (size_t)n * 8) != 0)
		return new_active(c, n);
	free(c->l1);
	c->l1 = NULL;
	return 0;
}

static int drop_tree(struct change *c, const struct qsnap *s)
{
	uint64_t *l1;
	int r = qtree_read_l1(c->q, s->l1_offset, s->l1_entries, &l1);

	if (r)
		return r;
	for (uint32_t i = 0; i < s->l1_entries && !r; i++)
		r = drop_table(c, l1[i]);
	free(l1);
	return r ? r : end_table(c, s->l1_offset, (uint64_t)s->l1_entries * 8);
}

static int delete_at(struct qcow2 *q, uint32_t at, struct err *e)
{
	struct qsnap gone, *list = q->snaps;
	struct change c;
	int r = begin(&c, q, e);

	if (r)
		return r;
	gone = list[at];
	/* the table without it; it comes back when this fails */
	memmove(list + at, list + at + 1, (q->nsnaps - at - 1) * sizeof(*list));
	r = drop_tree(&c, &gone);
	if (!r)
		r = mend_active(&c);
	if (!r)
		r = new_list(&c, list, q->nsnaps - 1);
	r = r ? fail(&c, r, "deleting a snapshot", e) : commit(&c, e);
	if (r) {
		memmove(list + at + 1, list + at,
			(q->nsnaps - at - 1) * sizeof(*list));
		list[at] = gone;
		return r;
	}
	free(gone.raw);
	q->nsnaps--;
	return 0;
}

/* --- revert --------------------------------------------------------------- */

/* Active L1 entry i is to be what the snapshot has. */
static int take_table(struct change *c, uint32_t i, uint64_t l1_entry)
{
	uint64_t table, copy;
	int r = qtree_read(c->q, l1_entry, c->buf, &table);

	c->l1[i] = table;
	if (r || !table)
		return r;
	if (clear_copied(c)) {
		/* flags of inactive tables mean nothing: a table of its own */
		r = write_l2(c, &copy);
		c->l1[i] = copy | QL1_COPIED;
	} else {
		r = qshadow_add(&c->s, table >> c->q->cluster_bits, 1);
	}
	return r ? r : add_data(c);
}

static int revert_tables(struct change *c, const struct qsnap *s)
{
	uint64_t need = qtree_l1_need(c->q, c->h.size), *l1;
	uint32_t n = s->l1_entries;
	int r;

	if (need > QCOW2_MAX_L1_BYTES / 8)
		return -EFBIG;
	n = n < need ? (uint32_t)need : n;
	r = qtree_read_l1(c->q, s->l1_offset, s->l1_entries, &l1);
	if (r)
		return r;
	c->l1 = calloc((size_t)n + 1, sizeof(*c->l1));
	r = c->l1 ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < s->l1_entries && !r; i++)
		r = take_table(c, i, l1[i]);
	free(l1);
	return r ? r : new_active(c, n);
}

static int revert(struct qcow2 *q, const struct qsnap *s, struct err *e)
{
	struct change c;
	int r = begin(&c, q, e);

	if (r)
		return r;
	c.h.size = size_down(s->s.size, 512);
	/* down before up, so that narrow counts do */
	for (uint32_t i = 0; i < q->h.l1_entries && !r; i++)
		r = drop_table(&c, q->l1[i]);
	if (!r)
		r = revert_tables(&c, s);
	return r ? fail(&c, r, "reverting to a snapshot", e) : commit(&c, e);
}

/* --- verbs ---------------------------------------------------------------- */

int qcow2_snapshot_create(struct node *n, const char *name, struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	int r;

	fiber_lock_take(&q->meta);
	r = create(q, name, e);
	if (!r)
		finish(q);
	fiber_lock_drop(&q->meta);
	return r;
}

int qcow2_snapshot_revert(struct node *n, const char *name, struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	uint32_t at;
	int r;

	fiber_lock_take(&q->meta);
	r = find(q, name, &at, e);
	if (!r)
		r = revert(q, &q->snaps[at], e);
	if (!r)
		finish(q);
	fiber_lock_drop(&q->meta);
	return r;
}

int qcow2_snapshot_delete(struct node *n, const char *name, struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	uint32_t at;
	int r;

	fiber_lock_take(&q->meta);
	r = find(q, name, &at, e);
	if (!r)
		r = delete_at(q, at, e);
	if (!r)
		finish(q);
	fiber_lock_drop(&q->meta);
	return r;
}
