/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk that can lose its power: a node that remembers every write, zeroing
 * and flush with the times at which it was begun and done, and can tell what
 * a crash at any time may leave: all that a flush covered, and of the rest
 * any part, in any order, torn at sectors. Two nodes may share one clock.
 * Requests go to a memnode below it; a discard may lose or keep its data.
 */
#ifndef TESTS_UNIT_STORAGE_CRASHNODE_H
#define TESTS_UNIT_STORAGE_CRASHNODE_H

#include "storage/core/node.h"

/* What is left of what no flush covered. */
enum crash_rest {
	CRASH_NONE,    /* nothing */
	CRASH_ALL,     /* all: the machine stopped, the disk did not */
	CRASH_SOME,    /* each write or not, by chance */
	CRASH_SECTORS, /* each sector or not, by chance */
};

/* Stands on child, which must be held; freed by crashnode_free(). */
struct node *crashnode_new(struct node *child, uint64_t *clock);
void crashnode_free(struct node *n);

/* After open and before the first request: what is there is durable. */
void crashnode_begin(struct node *n);

/*
 * The bytes after a crash at time t: caller frees; *size of them. seed is of
 * the chance.
 */
uint8_t *crashnode_at(struct node *n, uint64_t t, enum crash_rest rest,
	unsigned seed, uint64_t *size);

#endif
