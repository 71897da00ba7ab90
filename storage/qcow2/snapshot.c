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

#include "storage/qcow2/snapshot_change.h"

#define EXTRA_LEN 24u /* vm state size, disk size, instruction count */

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

int qsnap_find(const struct qcow2 *q, const char *name, uint32_t *out,
	struct err *e)
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
	if (!found)
		return err_set(e, ENOENT, "%s: has no snapshot '%s'",
			q->node.path, name);
	if (found > 1)
		return err_set(e, EINVAL,
			"%s: more than one snapshot is called '%s': use its id",
			q->node.path, name);
	return 0;
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
static int share_table(struct qsnap_change *c, uint32_t i)
{
	uint64_t table, copy = 0;
	int r = qtree_read(c->q, c->q->l1[i], c->buf, &table);

	c->l1[i] = table;
	if (r || !table)
		return r;
	if (qchange_clear_copied(c)) {
		r = qchange_write_l2(c, &copy);
		if (!r)
			r = qshadow_drop(&c->s, table >> c->q->cluster_bits, 1);
		c->l1[i] = table = copy;
	}
	if (!r)
		r = qshadow_add(&c->s, table >> c->q->cluster_bits, 1);
	return r ? r : qchange_add_data(c);
}

static int create_tables(struct qsnap_change *c, struct qsnap *s)
{
	uint32_t n = c->q->h.l1_entries;
	int r = 0;

	c->l1 = calloc((size_t)n + 1, sizeof(*c->l1));
	if (!c->l1)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !r; i++)
		r = share_table(c, i);
	s->l1_entries = n;
	if (!r)                                   /* c->l1 stays c's */
		r = qchange_write_l1(c, c->l1, n, // NOLINT(*-unix.Malloc)
			&s->l1_offset);
	return r ? r : qchange_active(c, n);
}

static int create(struct qcow2 *q, const char *name, struct err *e)
{
	struct qsnap *list;
	struct qsnap_change c;
	int r = qchange_begin(&c, q, e);

	if (r)
		return r;
	r = check_name(q, name, e);
	if (r) {
		(void)qchange_fail(&c, r, "", NULL);
		return r;
	}
	list = calloc((size_t)q->nsnaps + 1, sizeof(*list));
	r = list ? describe(q, name, &list[q->nsnaps]) : -ENOMEM;
	if (!r)
		r = create_tables(&c, &list[q->nsnaps]);
	if (!r && q->nsnaps)
		memcpy(list, q->snaps, q->nsnaps * sizeof(*list));
	if (!r)
		r = qchange_list(&c, list, q->nsnaps + 1);
	r = r ? qchange_fail(&c, r, "making a snapshot", e)
	      : qchange_commit(&c, e);
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

/* --- verbs ---------------------------------------------------------------- */

static int revert(struct qcow2 *q, const char *name, struct err *e)
{
	uint32_t at = 0;
	int r = qsnap_find(q, name, &at, e);

	return r ? r : qsnap_revert_to(q, &q->snaps[at], e);
}

static int drop(struct qcow2 *q, const char *name, struct err *e)
{
	uint32_t at = 0;
	int r = qsnap_find(q, name, &at, e);

	return r ? r : qsnap_delete_at(q, at, e);
}

static int change(struct node *n, const char *name, struct err *e,
	int (*fn)(struct qcow2 *q, const char *name, struct err *e))
{
	struct qcow2 *q = qcow2_of(n);
	int r;

	fiber_lock_take(&q->meta);
	r = fn(q, name, e);
	if (!r)
		qchange_finish(q);
	fiber_lock_drop(&q->meta);
	return r;
}

int qcow2_snapshot_create(struct node *n, const char *name, struct err *e)
{
	return change(n, name, e, create);
}

int qcow2_snapshot_revert(struct node *n, const char *name, struct err *e)
{
	return change(n, name, e, revert);
}

int qcow2_snapshot_delete(struct node *n, const char *name, struct err *e)
{
	return change(n, name, e, drop);
}
