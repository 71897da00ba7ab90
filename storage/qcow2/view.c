/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A read-only look at an internal snapshot. */
#include <errno.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/snapshot.h"

int qcow2_snapshot_load(struct node *n, const char *name, struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	const struct qsnap *s;
	uint32_t at = 0;
	int r;

	if (!n->readonly)
		return err_set(e, EINVAL,
			"%s: a snapshot can be opened for reading only",
			n->path);
	r = qsnap_find(q, name, &at, e);
	if (r)
		return r;
	s = &q->snaps[at];
	q->h.l1_offset = s->l1_offset;
	q->h.l1_entries = s->l1_entries;
	q->h.size = size_down(s->s.size, 512); /* as the header's */
	r = qmap_read_l1(q, e);
	q->active = !r;
	return r;
}
