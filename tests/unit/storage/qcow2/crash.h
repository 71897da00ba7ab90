/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a power loss leaves: all writes to a node in memory are recorded, and
 * every state that the disk may then have is made: up to the last sync all,
 * then the next ones in order up to the n-th, or some of them in any order.
 */
#ifndef TESTS_UNIT_STORAGE_QCOW2_CRASH_H
#define TESTS_UNIT_STORAGE_QCOW2_CRASH_H

#include "tests/unit/storage/qcow2/qtest.h"

struct crash;

/* Record from now on what is done to file. */
struct crash *crash_begin(struct node *file);
void crash_end(struct crash *c); /* frees it */
/*
 * fn(arg, image) for each state: an image in memory that fn may open and
 * change. At most `most` states, spread over all of them. How many there were.
 */
unsigned crash_each(struct crash *c, unsigned most,
	void (*fn)(void *arg, struct node *image), void *arg);

#endif
