/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A read-only look at an internal snapshot. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/qcow2/impl.h"

/* By name, else by id; NULL = none, or with *two more than one. */
static const struct qsnap *view_find(const struct qcow2 *q, const char *name,
	bool *two)
{
	const struct qsnap *found = NULL;

	*two = false;
	for (uint32_t i = 0; i < q->nsnaps; i++)
		if (!strcmp(q->snaps[i].s.name, name)) {
			*two = found != NULL;
			found = &q->snaps[i];
		}
	for (uint32_t i = 0; !found && i < q->nsnaps; i++)
		if (!strcmp(q->snaps[i].s.id, name))
			found = &q->snaps[i];
	return *two ? NULL : found;
}

int qcow2_snapshot_load(struct node *n, const char *name, struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	const struct qsnap *s;
	bool two;

	if (!n->readonly)
		return err_set(e, EINVAL,
			"%s: a snapshot can be opened for reading only",
			n->path);
	s = view_find(q, name, &two);
	if (!s)
		return err_set(e, two ? EINVAL : ENOENT,
			two ? "%s: more than one snapshot is called '%s': use "
			      "its id"
			    : "%s: has no snapshot '%s'",
			n->path, name);
	q->h.l1_offset = s->l1_offset;
	q->h.l1_entries = s->l1_entries;
	q->h.size = s->s.size;
	free(q->l1);
	q->l1 = NULL;
	return qmap_read_l1(q, e);
}
