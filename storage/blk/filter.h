/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Filters: nodes that stand on another one and hand its requests on. Open
 * takes child when it succeeds; in a fiber on the loop's thread.
 */
#ifndef STORAGE_BLK_FILTER_H
#define STORAGE_BLK_FILTER_H

#include "storage/core/node.h"

/*
 * Hold requests back to the limits t (NULL = none yet). group: the name of
 * disks that share their limits, of any loop in the process, or NULL.
 * -EINVAL with e filled for limits that make no sense.
 */
int throttle_open(struct node *child, const char *group,
	const struct blk_throttle *t, struct node **out, struct err *e);

/* Change them for all of the group, at once. NULL = none. */
int throttle_set(struct node *n, const struct blk_throttle *t, struct err *e);

/*
 * From on to off all that waits or comes passes at once (and is not
 * counted): for who has to wait until nothing is in flight. Does not end a
 * request from inside.
 */
void throttle_drain(struct node *n, bool on);

#endif
