/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A node whose bytes lie in memory: what a format is tested on. It grows as a
 * file does, and each request can be counted, watched, held back or made to
 * fail. A failed reservation of memory ends the test. Thread: the loop's.
 */
#ifndef TESTS_UNIT_STORAGE_MEMNODE_H
#define TESTS_UNIT_STORAGE_MEMNODE_H

#include "storage/core/node.h"

#define MEMNODE_MAX (UINT64_C(16) << 30) /* bytes, then -EFBIG */

/* Zeroed, size bytes. Freed by its close, unless held. */
struct node *memnode_new(struct ctx *c, const char *name, uint64_t size);
struct node *memnode_new_from(struct ctx *c, const char *name,
	const void *bytes, uint64_t size);

/* After this close frees nothing: node and bytes stay until memnode_free(),
 * and the node can be opened again. */
void memnode_hold(struct node *n);
void memnode_free(struct node *n);
bool memnode_is_closed(const struct node *n);

/* The bytes (may be changed; stay at their place) and how many. */
uint8_t *memnode_bytes(struct node *n, uint64_t *size);
/* Write them to a file, with holes for zeros; ends the test on failure. */
void memnode_save(struct node *n, const char *path);

/*
 * Of op the next after_n requests work, all that follow end with -err (a
 * positive errno; 0 = work again). A failed write changes nothing.
 */
void memnode_fail(struct node *n, enum blk_op op, unsigned after_n, int err);
/* The same, only for the one request behind after_n. */
void memnode_fail_once(struct node *n, enum blk_op op, unsigned after_n,
	int err);
/* Resizes fail with -err from now on (0 = work again). */
void memnode_fail_resize(struct node *n, int err);
/* Writes past max bytes end with -ENOSPC (UINT64_MAX = none do). */
void memnode_limit(struct node *n, uint64_t max);

/* Called before each request; what it returns (0 or -errno) but 0 ends the
 * request, which then does nothing. NULL = none. */
void memnode_watch(struct node *n, int (*fn)(void *arg, const struct blk_req *),
	void *arg);

/* Requests end in a later round (default: inside submit). */
void memnode_set_async(struct node *n, bool async);

/* How many of op came so far. */
uint64_t memnode_count(const struct node *n, enum blk_op op);

#endif
