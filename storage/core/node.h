/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One layer of an image: a protocol (file, NBD), a format or a filter.
 * storage/blk sits on top of the chain and has checked every request (range,
 * alignment, read-only, the iovec's sum), so a node checks nothing of that
 * again. A format that has to make requests of its own (metadata, parts)
 * fills a struct blk_req with blk = NULL and its own done, or calls
 * node_read() and its like from a fiber (sync.h).
 *
 * All of it runs on the loop's thread; no lock is shared with another.
 */
#ifndef STORAGE_CORE_NODE_H
#define STORAGE_CORE_NODE_H

#include "storage/storage.h"

struct ctx;
struct node;

enum node_prealloc {
	NODE_PREALLOC_OFF,
	NODE_PREALLOC_FALLOC,
	NODE_PREALLOC_FULL
};

struct node_ops {
	const char *name; /* "file", "nbd", "qcow2", ... */

	/*
	 * Nothing is in flight. Writes out what is held, closes the children,
	 * frees n. 0 or -errno of the writing; n is gone all the same.
	 * In a fiber.
	 */
	int (*close)(struct node *n);

	/*
	 * Begin r. Never blocks. Ends with node_done(r), once, at any time:
	 * from inside submit too. A protocol takes any offset and length and
	 * writes past its end where it can grow; reads past the end give
	 * zeros (of what a file lost behind our back: -EIO). r->flags: a node
	 * that cannot do FUA itself flushes.
	 */
	void (*submit)(struct node *n, struct blk_req *r);

	/* Fill all of out. Thread: the loop's. */
	void (*info)(const struct node *n, struct blk_info *out);

	/*
	 * Change the size; grown room reads as zeros. In a fiber. 0 or
	 * -errno with e filled; NULL = cannot.
	 */
	int (*resize)(struct node *n, uint64_t size, enum node_prealloc how,
		struct err *e);

	/*
	 * From now on hold no request for a server that is gone, nor for long
	 * for one that is silent: they end with -EIO. Of n itself and a data
	 * file; may be called again. NULL = holds none.
	 */
	void (*give_up)(struct node *n);
};

/* The head of every node; the node fills it in its open. */
struct node {
	const struct node_ops *ops;
	struct ctx *ctx;  /* borrowed */
	struct log *log;  /* borrowed, may be NULL */
	const char *path; /* owned by the node: for messages */
	bool readonly;
};

/* r is complete with err (0 or -errno). The only way to complete one. */
void node_done(struct blk_req *r, int err);

/* NULL is fine. */
static inline void node_give_up(struct node *n)
{
	if (n && n->ops->give_up)
		n->ops->give_up(n);
}

static inline void node_submit(struct node *n, struct blk_req *r)
{
	n->ops->submit(n, r);
}

#endif
