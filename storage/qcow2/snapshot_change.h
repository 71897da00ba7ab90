/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A change of the snapshots, on its way: what create, delete and revert have
 * in common. All of it is made beside the image's tables, see whole.h. meta
 * held, in a fiber; 0 or -errno.
 */
#ifndef STORAGE_QCOW2_SNAPSHOT_CHANGE_H
#define STORAGE_QCOW2_SNAPSHOT_CHANGE_H

#include "storage/qcow2/snapshot.h"
#include "storage/qcow2/whole.h"

struct qsnap_change {
	struct qcow2 *q;
	struct qshadow s;
	struct qheader h;     /* as it shall be; strings are q->h's */
	uint64_t *l1;         /* the active one that shall be */
	uint8_t *buf;         /* of a cluster */
	uint64_t snaps_bytes; /* of the table that shall be */
};

/* Snapshots can be, and all is on disk. With e filled. */
int qchange_begin(struct qsnap_change *c, struct qcow2 *q, struct err *e);
/* It ends with r, which is not 0: everything is given back. Returns r. */
int qchange_fail(struct qsnap_change *c, int r, const char *what,
	struct err *e);

/* One reference more to whatever the table in c->buf refers to. */
int qchange_add_data(struct qsnap_change *c);
/* No entry of the table in c->buf says COPIED. True = one did. */
bool qchange_clear_copied(struct qsnap_change *c);
/* Write the table in c->buf to a new place. */
int qchange_write_l2(struct qsnap_change *c, uint64_t *host);
/* A place for an L1 table, and the table there. 0 entries have none. */
int qchange_write_l1(struct qsnap_change *c, const uint64_t *l1, uint32_t n,
	uint64_t *host);
/* The whole clusters of a table end with the switch. */
int qchange_end_table(struct qsnap_change *c, uint64_t host, uint64_t len);
/* The active L1 table is c->l1, of n entries. */
int qchange_active(struct qsnap_change *c, uint32_t n);
/* The snapshot table has these. */
int qchange_list(struct qsnap_change *c, const struct qsnap *list, uint32_t n);

/*
 * The switch, and what memory has of it but the list of snapshots. The image
 * is as it was when this fails, with e filled.
 */
int qchange_commit(struct qsnap_change *c, struct err *e);
/* What was replaced is given up. A failure leaves leaks, which is no error of
 * what was to be done. */
void qchange_finish(struct qcow2 *q);

/* --- snapshot_undo.c: with e filled --- */

int qsnap_delete_at(struct qcow2 *q, uint32_t at, struct err *e);
int qsnap_revert_to(struct qcow2 *q, const struct qsnap *s, struct err *e);

#endif
