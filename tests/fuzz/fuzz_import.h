/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the fuzzers of imported formats share: files in memory, and an image
 * that is opened, read and asked for its status in bounded steps. Inputs of
 * odd length have files that answer later, the others at once.
 */
#ifndef TESTS_FUZZ_FUZZ_IMPORT_H
#define TESTS_FUZZ_FUZZ_IMPORT_H

#include <stdlib.h>
#include <string.h>

#include "vm/base/log.h"
#include "vm/base/sizes.h"

#include "storage/core/ctx.h"
#include "storage/core/iov.h"
#include "storage/core/sync.h"
#include "storage/import/import.h"

#define FUZZ_STEPS 48
#define FUZZ_READ  (64 * 1024)

/* Bytes at a place of a file; what no chunk has is zero. */
struct fuzz_chunk {
	uint64_t at, len;
	const uint8_t *bytes;
};

struct fuzz_file {
	struct node node;
	uint64_t size;
	unsigned nchunks;
	struct fuzz_chunk *chunks;
	bool later;
	struct ctx_call call;
	struct list waiting;
};

static struct loop *fuzz_loop;
static struct ctx *fuzz_ctx;
static struct log *fuzz_log;

/* --- a file --- */

static void fuzz_chunk_read(const struct fuzz_chunk *c, const struct blk_req *r)
{
	uint64_t from = c->at > r->offset ? c->at : r->offset;
	uint64_t end = c->at + c->len;

	if (end > r->offset + r->len)
		end = r->offset + r->len;
	if (from < end)
		iov_from_buf(r->iov, r->niov, from - r->offset,
			c->bytes + (from - c->at), end - from);
}

static void fuzz_file_do(struct fuzz_file *f, struct blk_req *r)
{
	if (r->op == BLK_STATUS) {
		memset(r->extent, 0, sizeof(*r->extent));
		r->extent->len = r->len;
		r->extent->data = true;
		node_done(r, 0);
		return;
	}
	if (r->op != BLK_READ) /* nobody may write */
		abort();
	iov_zero(r->iov, r->niov, 0, r->len);
	for (unsigned i = 0; i < f->nchunks; i++)
		fuzz_chunk_read(&f->chunks[i], r);
	node_done(r, 0);
}

static void fuzz_file_later(void *arg)
{
	struct fuzz_file *f = arg;
	struct list *l = list_pop(&f->waiting);

	if (!list_empty(&f->waiting))
		ctx_call_schedule(&f->call);
	fuzz_file_do(f, list_entry(l, struct blk_req, node));
}

static void fuzz_file_submit(struct node *n, struct blk_req *r)
{
	struct fuzz_file *f = container_of(n, struct fuzz_file, node);

	if (!f->later) {
		fuzz_file_do(f, r);
		return;
	}
	list_add_tail(&f->waiting, &r->node);
	ctx_call_schedule(&f->call);
}

static int fuzz_file_close(struct node *n)
{
	struct fuzz_file *f = container_of(n, struct fuzz_file, node);

	ctx_call_cancel(&f->call);
	free(f->chunks);
	free(f);
	return 0;
}

static void fuzz_file_info(const struct node *n, struct blk_info *out)
{
	memset(out, 0, sizeof(*out));
	out->size = container_of(n, struct fuzz_file, node)->size;
	out->block_size = 1;
	out->format = "fuzz";
	out->aio = "none";
}

static const struct node_ops fuzz_file_ops = {
	.name = "fuzz",
	.close = fuzz_file_close,
	.submit = fuzz_file_submit,
	.info = fuzz_file_info,
};

/* With room for n chunks, none yet. */
static struct fuzz_file *fuzz_file_new(uint64_t size, unsigned n, bool later)
{
	struct fuzz_file *f = calloc(1, sizeof(*f));

	f->chunks = calloc(n ? n : 1, sizeof(f->chunks[0]));
	f->node.ops = &fuzz_file_ops;
	f->node.ctx = fuzz_ctx;
	f->node.log = fuzz_log;
	f->node.path = "fuzz.img";
	f->node.readonly = true;
	f->size = size;
	f->later = later;
	list_init(&f->waiting);
	ctx_call_init(&f->call, fuzz_ctx, fuzz_file_later, f);
	return f;
}

/* One that is just these bytes. */
__attribute__((unused)) static struct node *fuzz_file_bytes(const uint8_t
								    *bytes,
	size_t len, bool later)
{
	struct fuzz_file *f = fuzz_file_new(len, 1, later);

	f->chunks[0] = (struct fuzz_chunk){ 0, len, bytes };
	f->nchunks = 1;
	return &f->node;
}

/* --- an image --- */

struct fuzz_case {
	int (*open)(const struct import_open *o, struct node **out,
		struct err *e);
	struct import_open o;
};

static void fuzz_read(struct node *n, uint64_t at, uint64_t size)
{
	static uint8_t buf[FUZZ_READ];
	uint64_t len = sizeof(buf) < size - at ? sizeof(buf) : size - at;
	struct iovec iov[3] = { { buf, len / 3 }, { buf + len / 3, 0 },
		{ buf + len / 3, len - len / 3 } };

	(void)node_readv(n, at, iov, 3, len);
}

/* By the status from part to part, and what is there read. */
static void fuzz_walk(struct node *n, uint64_t from, uint64_t size)
{
	uint64_t at = from;

	for (int i = 0; i < FUZZ_STEPS && at < size; i++) {
		struct blk_extent x;

		if (node_status(n, at, size - at, 0, &x) < 0)
			x.len = 512;
		else if (!x.len || x.len > size - at)
			abort();
		if (x.data)
			fuzz_read(n, at, size);
		at += x.len;
	}
}

static int fuzz_case_run(void *arg)
{
	struct fuzz_case *c = arg;
	struct err e = ERR_NONE;
	struct node *n = NULL;
	struct blk_info info;
	uint64_t size;
	int rc = c->open(&c->o, &n, &e);

	if (rc < 0) {
		if (e.code != -rc || !e.msg[0])
			abort(); /* an error has its text */
		return node_close(c->o.file);
	}
	n->ops->info(n, &info);
	size = info.size;
	if (size % 512)
		abort();
	for (uint64_t at = 0; at < size && at < 4 * FUZZ_READ; at += FUZZ_READ)
		fuzz_read(n, at, size);
	fuzz_walk(n, 0, size);
	fuzz_walk(n, size / 1024 * 512, size);
	if (size)
		fuzz_read(n, size - 512, size);
	return node_close(n);
}

static void fuzz_start(void)
{
	struct err e = ERR_NONE;

	if (fuzz_ctx)
		return;
	if (log_open("/dev/null", &fuzz_log, &e) || loop_new(&fuzz_loop, &e) ||
		ctx_get(fuzz_loop, &fuzz_ctx, &e))
		abort();
}

#endif
