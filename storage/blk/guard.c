/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The first sector of an image that was found to be raw by what it begins
 * with. Were a guest to write the header of another format there, the next
 * one to look would read what the guest wants as that format: the name of
 * any file of the host.
 */
#include <errno.h>
#include <stdlib.h>

#include "storage/blk/impl.h"
#include "storage/blk/probe.h"
#include "storage/core/iov.h"

/* A write of that sector, as the layers below see it. */
struct guarded {
	struct blk_req inner;
	struct blk_req *r;
	struct iovec iov[]; /* the copy, which lies behind, and r's rest */
};

static void guard_done(struct blk_req *inner, int err)
{
	struct guarded *g = inner->arg;
	struct blk_req *r = g->r;

	free(g);
	node_done(r, err);
}

/* Bytes to copy: the sector; more where that would be a piece too many. */
static size_t guard_bytes(const struct blk_req *r)
{
	if (r->niov == BLK_MAX_IOV && r->iov->iov_len > PROBE_BYTES)
		return r->iov->iov_len;
	return PROBE_BYTES;
}

/*
 * Copy first, then look, then write what was looked at: the guest may change
 * its memory at any time.
 */
void guard_submit(struct blk *b, struct blk_req *r)
{
	size_t places = (size_t)r->niov + 1, bytes = guard_bytes(r);
	struct guarded *g =
		malloc(sizeof(*g) + places * sizeof(*g->iov) + bytes);
	const char *what;
	int n;

	if (!g) {
		node_done(r, -EIO);
		return;
	}
	g->iov[0] = (struct iovec){ g->iov + places, bytes };
	iov_to_buf(r->iov, r->niov, 0, g->iov[0].iov_base, bytes);
	what = probe_head(g->iov[0].iov_base, bytes).name;
	if (what) {
		log_limited(b->log, &b->limit, LOG_WARN,
			"%s: the guest writes the header of a %s image to its "
			"first sector: refused, for the disk's format is "
			"guessed: set format = raw if that is what it is",
			b->top->path, what);
		free(g);
		node_done(r, -EIO);
		return;
	}
	n = iov_part(r->iov, r->niov, bytes, r->len - bytes, g->iov + 1);
	g->r = r;
	g->inner = (struct blk_req){ .op = BLK_WRITE,
		.flags = r->flags,
		.len = r->len,
		.iov = g->iov,
		.niov = n + 1,
		.done = guard_done,
		.arg = g };
	list_init(&g->inner.node);
	node_submit(b->top, &g->inner);
}
