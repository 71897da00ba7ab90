/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One layer of an image: a format, a filter or a protocol. storage/blk.c
 * sits on top of the chain and has checked every request (range, alignment,
 * read-only, the iovec's sum), so a node checks nothing of that again.
 *
 * A filter has the same ops as a format and hands a request on to its child
 * as it is. A format that has to make requests of its own (metadata, parts)
 * fills a struct blk_req with blk = NULL and its own done. All of it runs on
 * the loop's thread; no node takes a lock that another thread holds long.
 */
#ifndef STORAGE_NODE_H
#define STORAGE_NODE_H

#include "storage/storage.h"

struct node;

/* What a node is opened with; all of it borrowed until open returns but loop
 * and log, which outlive the node. */
struct node_open {
	const struct blk_opts *opts;
	struct loop *loop;
	struct log *log;
};

struct node_ops {
	const char *format;

	/* 0 and *out, or -errno with e filled. */
	int (*open)(const struct node_open *o, struct node **out,
		struct err *e);

	/* No request is in flight. */
	void (*close)(struct node *n);

	/*
	 * Begin r. Ends with node_done(r), once, at any time: from inside
	 * submit too.
	 */
	void (*submit)(struct node *n, struct blk_req *r);

	/* Hand what was queued since plug to the kernel. plug may be NULL. */
	void (*plug)(struct node *n);
	void (*unplug)(struct node *n);

	/* Block until a request made progress; complete what is complete. */
	void (*wait)(struct node *n);

	/* Fill all of out. Thread: any; what it reads never changes. */
	void (*info)(const struct node *n, struct blk_info *out);
};

struct node {
	const struct node_ops *ops;
};

extern const struct node_ops raw_ops;

/* r is complete with err (0 or -errno). The only way to complete one. */
void node_done(struct blk_req *r, int err);

#endif
