/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The chain's insides: chain.c has the layers, layer.c opens one of them. */
#ifndef STORAGE_BLK_CHAIN_IMPL_H
#define STORAGE_BLK_CHAIN_IMPL_H

#include "storage/blk/chain.h"

struct chain {
	struct blk_opts opts; /* path and the like: borrowed */
	struct ctx *ctx;
	struct log *log;
	struct node *filter; /* on top of layers[0], or NULL */
	unsigned n;
	struct chain_layer *layers; /* n of them, [0] = top */
};

/*
 * Open l, whose path, format (BLK_AUTO: look), probed and readonly are set:
 * fills node, file and what identifies it, and with it the data file that it
 * may have. Not yet activated. In a fiber. -errno with e filled, and nothing
 * stays open.
 */
int layer_open(struct chain *ch, struct chain_layer *l, struct err *e);

/*
 * What backs l, by name: *name NULL = nothing does. Its format, and what is
 * returned, as of chain_format().
 */
int layer_backing(const struct chain_layer *l, const char **name,
	enum blk_format *format, struct err *e);

/* Is it the file that path names? Fills dev, ino, is_uri of l first. */
void layer_identify(struct chain_layer *l);
bool layer_is_same(const struct chain_layer *a, const struct chain_layer *b);

#endif
