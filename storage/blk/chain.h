/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image with all that backs it: opening the layers one after the other,
 * from the top down, and closing them. For blk_open() and the image tools.
 *
 * A name that an image records is relative to the folder of that image.
 * "file:" before it is taken off, NBD URIs are taken, every other protocol
 * and "json:" are refused by name. How far an image's content is trusted:
 * see blk_open(). A chain that comes back to an image that it has, or has
 * more than CHAIN_MAX layers, is refused.
 */
#ifndef STORAGE_BLK_CHAIN_H
#define STORAGE_BLK_CHAIN_H

#include "storage/core/ctx.h"
#include "storage/core/node.h"

#define CHAIN_MAX 200u /* layers */

struct chain;

/* An opened layer; all of it the chain's, until chain_close(). */
struct chain_layer {
	struct node *node; /* the format's; of a raw image the protocol's */
	struct node *file; /* the protocol's (belongs to node) */
	char *path;        /* as it was opened: to be used from here */
	char *name;        /* as the layer above records it; NULL = the top */
	enum blk_format format;
	bool probed; /* the format was found, not told or recorded */
	bool readonly;
	/* What tells one file from another. */
	bool is_uri;
	uint64_t dev, ino;
};

/*
 * Open o's image and what backs it (o->no_backing: alone), all but the top
 * read-only. o and what it points to stay until chain_close(). In a fiber. 0
 * with *out, or -errno with e filled as blk_open() promises.
 */
int chain_open(const struct blk_opts *o, struct ctx *c, struct log *log,
	struct chain **out, struct err *e);

/* The filter on top of the chain's top: closed in its place, closes it. */
void chain_set_filter(struct chain *ch, struct node *filter);

/* NULL is fine. Nothing is in flight. 0 or -errno of what was still to be
 * written. In a fiber. */
int chain_close(struct chain *ch);

unsigned chain_layers(const struct chain *ch);                /* 1 or more */
const struct chain_layer *chain_layer(const struct chain *ch, /* 0 = top */
	unsigned i);

/*
 * Open layer i anew, to write to it or only to read. Nothing is in flight
 * in the whole chain. -errno with e filled: the chain then reads as zeros
 * from there on, and can only be closed. In a fiber.
 */
int chain_reopen(struct chain *ch, unsigned i, bool readonly, struct err *e);

/*
 * The path of the file that the image at path calls name: *out is the
 * caller's to free. 0 or -errno with e filled. No fiber; any thread.
 */
int chain_resolve(const char *path, const char *name, char **out,
	struct err *e);

/*
 * The format that the image at path records for its backing file name;
 * BLK_AUTO for recorded NULL. 0, or -ENOTSUP with e filled. Any thread.
 */
int chain_format(const char *path, const char *name, const char *recorded,
	enum blk_format *out, struct err *e);

/* Of an open image: the top layer's node (without throttle) and its chain. */
struct node *blk_node(struct blk *b);
struct chain *blk_chain(struct blk *b);
struct ctx *blk_ctx(struct blk *b);

#endif
