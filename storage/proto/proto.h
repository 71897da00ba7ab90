/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Protocols: where an image's bytes lie. A raw image is its protocol's node
 * and nothing more. Open functions run in a fiber on the loop's thread; what
 * they are given is borrowed until they return, ctx and log until close.
 * 0 and *out, or -errno with e filled as blk_open() promises.
 */
#ifndef STORAGE_PROTO_PROTO_H
#define STORAGE_PROTO_PROTO_H

#include "storage/core/node.h"

struct proto_open {
	const char *path;
	struct ctx *ctx;
	struct log *log;
	enum blk_cache cache;
	enum blk_aio aio;
	bool readonly, no_lock;
	bool no_discard; /* keep allocated: discards and unmaps punch nothing */
	bool is_format;  /* a format lies in it: it may grow, be empty, and
			    its size is not rounded; else it is the guest's */
	const char *tls_dir;
};

/* A regular file or a block device. */
int file_node_open(const struct proto_open *o, struct node **out,
	struct err *e);

/*
 * Copy the first *len bytes of a file or block device to head; *len becomes
 * fewer when it has fewer. Takes no lock. No fiber; any thread. 0 or -errno
 * with e filled as above.
 */
int file_read_head(const char *path, void *head, uint64_t *len, struct err *e);

/* nbd://, nbds://, nbd+unix://, nbds+unix:// through libnbd. */
int nbd_node_open(const struct proto_open *o, struct node **out, struct err *e);

/* Is path a URI that nbd_node_open() takes? */
bool nbd_is_uri(const char *path);

/*
 * Make an empty file (or take a block device, or an NBD export, as it is)
 * for an image of size bytes, replacing what was there; locked against
 * others while it is done. -EBUSY when somebody uses it, -EEXIST is not an
 * error. In no fiber; blocks. 0 or -errno with e filled.
 */
int proto_create(const char *path, uint64_t size, enum node_prealloc how,
	struct err *e);

#endif
