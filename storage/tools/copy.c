/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine under convert, commit and rebase: fibers that each take the
 * next run of the source from a cursor, read it, look for zeros and write
 * the rest. They share nothing but the cursor, so that chunks are read,
 * compressed and written at the same time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/tools/tools.h"

#define COPY_ALIGN         4096u
#define COPY_INTO_CHUNK    (1 * MiB)
#define COPY_INTO_PARALLEL 4
#define COPY_ZERO_MAX      (UINT64_C(256) << 20) /* zeroed by one request */

struct copy_fiber {
	struct copy *c;
	uint8_t *buf;  /* c->chunk bytes */
	uint8_t *base; /* the same, with c->base */
	bool reading;  /* what it did last */
};

enum copy_kind { COPY_SKIP, COPY_ZERO, COPY_DATA };

/* Of b from the cursor on; past its end there are zeros. */
static int copy_status(struct copy *c, struct blk *b, uint64_t len,
	struct blk_extent *x)
{
	uint64_t size = tool_size(b);

	if (c->pos >= size) {
		*x = (struct blk_extent){ .len = len, .zero = true };
		return 0;
	}
	return blk_status(b, b == c->src ? c->src_flags : 0, c->pos,
		tool_min(len, size - c->pos), x);
}

/* Do both lie in the same bytes of one file? So it is where two chains have
 * a layer in common. */
static bool copy_is_shared(const struct blk_extent *x,
	const struct blk_extent *y)
{
	return x->data && y->data && x->has_host && y->has_host &&
	       !x->compressed && !y->compressed && x->host == y->host &&
	       x->file && y->file && !strcmp(x->file, y->file);
}

/*
 * Where something is compared with base: is it known without reading that
 * the next bytes are alike? *len becomes how far that is true.
 */
static int copy_next_base(struct copy *c, const struct blk_extent *x,
	uint64_t *len, enum copy_kind *kind)
{
	struct blk_extent y;
	int r = copy_status(c, c->base, *len, &y);

	if (r)
		return r;
	*kind = COPY_DATA; /* only reading tells */
	if ((x->zero && y.zero) || copy_is_shared(x, &y))
		*kind = COPY_SKIP;
	*len = tool_min(*len, y.len);
	return 0;
}

/* Runs begin and end between pieces: what is not alike in all of one is
 * data. With a mask dst would show nothing in the rest of a piece. */
static uint64_t copy_align(const struct copy *c, uint64_t n,
	enum copy_kind *kind)
{
	uint64_t end = c->pos + n;

	if (*kind != COPY_DATA && end < c->size)
		end = size_down(end, c->piece);
	if (end <= c->pos)
		*kind = COPY_DATA;
	if (*kind == COPY_DATA)
		end = size_up(c->pos + n, c->piece);
	return tool_min(end, c->size) - c->pos;
}

/* What is to be done with the next bytes, at most *n, which becomes how many
 * of them are meant. */
static int copy_kind_of(struct copy *c, uint64_t *n, enum copy_kind *kind)
{
	struct blk_extent x;
	int r = copy_status(c, c->src, *n, &x);

	if (r)
		return r;
	*n = x.len;
	*kind = x.zero ? COPY_ZERO : COPY_DATA;
	if ((c->src_flags & BLK_TOP) && !x.present)
		*kind = COPY_SKIP;
	if (c->base && *kind != COPY_SKIP) {
		r = copy_next_base(c, &x, n, kind);
		if (r)
			return r;
	}
	if (*kind == COPY_ZERO && c->no_sparse)
		*kind = COPY_DATA;
	if (!(c->src_flags & BLK_TOP))
		*n = copy_align(c, *n, kind);
	return 0;
}

/* The next run: what is to be done with [*off, *off + *len). */
static int copy_next(struct copy *c, uint64_t *off, uint64_t *len,
	enum copy_kind *kind)
{
	uint64_t n = tool_min(c->size - c->pos, COPY_ZERO_MAX);
	struct blk_extent m = { .len = n };
	int r = 0;

	*off = c->pos;
	*kind = COPY_SKIP;
	if (c->mask)
		r = blk_status(c->mask, BLK_TOP, c->pos, n, &m);
	n = m.len;
	if (!r && !m.present)
		r = copy_kind_of(c, &n, kind);
	if (r)
		return r;
	if (*kind == COPY_DATA)
		n = tool_min(n, c->chunk - (c->pos & (c->chunk - 1)));
	*len = n;
	c->pos += n;
	return 0;
}

/* How is the piece at p? */
static enum copy_kind copy_judge(const struct copy *c, const uint8_t *p,
	const uint8_t *base, uint64_t len)
{
	if (base && !memcmp(p, base, len))
		return COPY_SKIP;
	if (c->no_sparse || !mem_is_zero(p, len))
		return COPY_DATA;
	return c->dst_zero && !base ? COPY_SKIP : COPY_ZERO;
}

static int copy_put(struct copy *c, enum copy_kind kind, uint64_t off,
	uint64_t len, uint8_t *p)
{
	switch (kind) {
	case COPY_SKIP:
		return 0;
	case COPY_ZERO:
		return blk_rw(c->dst, BLK_WRITE_ZEROES, BLK_UNMAP, off, len,
			NULL);
	case COPY_DATA:
		break;
	}
	return blk_rw(c->dst, BLK_WRITE, c->compress ? BLK_COMPRESS : 0, off,
		len, p);
}

/* Write a chunk that was read, alike pieces together. */
static int copy_pieces(struct copy_fiber *f, uint64_t off, uint64_t len)
{
	struct copy *c = f->c;
	uint64_t from = 0, at = 0, n;
	enum copy_kind kind = COPY_SKIP, k;
	int r = 0;

	while (!r && at < len) {
		n = tool_min(len - at,
			c->piece - ((off + at) & (c->piece - 1)));
		k = copy_judge(c, f->buf + at, f->base ? f->base + at : NULL,
			n);
		/* a cluster is compressed by one request */
		if (k != kind || (c->compress && k == COPY_DATA)) {
			r = copy_put(c, kind, off + from, at - from,
				f->buf + from);
			from = at;
			kind = k;
		}
		at += n;
	}
	return r ? r : copy_put(c, kind, off + from, at - from, f->buf + from);
}

/* Read from b, which may be shorter: zeros from there on. */
static int copy_read(struct blk *b, uint64_t off, uint64_t len, uint8_t *buf)
{
	uint64_t size = tool_size(b), n = 0;

	if (off < size)
		n = tool_min(len, size - off);
	memset(buf + n, 0, len - n);
	return n ? blk_rw(b, BLK_READ, 0, off, n, buf) : 0;
}

static int copy_chunk(struct copy_fiber *f, uint64_t off, uint64_t len,
	enum copy_kind kind)
{
	struct copy *c = f->c;
	int r;

	if (kind == COPY_SKIP || (kind == COPY_ZERO && c->dst_zero))
		return 0;
	f->reading = kind == COPY_DATA;
	if (kind == COPY_ZERO)
		return copy_put(c, COPY_ZERO, off, len, NULL);
	r = copy_read(c->src, off, len, f->buf);
	if (!r && f->base)
		r = copy_read(c->base, off, len, f->base);
	if (r)
		return r;
	f->reading = false;
	return copy_pieces(f, off, len);
}

/* Bytes of buffer that one fiber needs. */
static uint64_t copy_mem_each(const struct copy *c)
{
	return c->chunk * (c->base ? 2 : 1);
}

static int copy_loop(struct copy_fiber *f)
{
	struct copy *c = f->c;
	uint64_t off, len;
	enum copy_kind kind;
	int r = 0;

	while (!r && !c->err) {
		fiber_lock_take(&c->cursor);
		f->reading = true;
		if (c->t->stop)
			r = -ECANCELED;
		len = 0;
		if (!r && c->pos < c->size)
			r = copy_next(c, &off, &len, &kind);
		fiber_lock_drop(&c->cursor);
		if (r || !len)
			break;
		r = copy_chunk(f, off, len, kind);
		c->t->done += len;
	}
	return r;
}

static void copy_fiber(void *arg)
{
	struct copy *c = arg;
	struct copy_fiber f = { .c = c };
	uint64_t each = copy_mem_each(c);
	int r;

	f.buf = c->mem + c->begun++ * each;
	if (c->base)
		f.base = f.buf + c->chunk;
	r = copy_loop(&f);
	if (r && !c->err) {
		c->err = r;
		c->read_failed = f.reading;
	}
	if (!--c->running)
		fiber_wake(c->boss);
}

static void copy_start(struct copy *c)
{
	c->running = 1; /* ours, until all are begun */
	for (unsigned i = 0; i < c->parallel; i++) {
		int r;

		c->running++;
		r = fiber_start(c->t->ctx, copy_fiber, c);
		if (r) {
			c->running--;
			if (!i)
				c->err = r;
			break;
		}
	}
	c->running--;
	while (c->running)
		fiber_wait();
}

int copy_run(struct copy *c)
{
	uint64_t bytes, chunks = size_up(c->size, c->chunk) / c->chunk;
	void *mem;

	if (c->parallel > chunks)
		c->parallel = chunks ? (unsigned)chunks : 1;
	bytes = c->parallel * copy_mem_each(c);
	if (posix_memalign(&mem, COPY_ALIGN, bytes))
		return -ENOMEM;
	c->mem = mem;
	c->boss = fiber_self();
	c->pos = 0;
	c->err = 0;
	c->begun = 0;
	c->read_failed = false;
	fiber_lock_init(&c->cursor);
	ctx_buffer_add(c->t->ctx, mem, bytes);
	copy_start(c);
	ctx_buffer_del(c->t->ctx, mem);
	free(mem);
	return c->err;
}

static int copy_into_fiber(void *arg)
{
	struct copy *c = arg;
	int r = copy_run(c);

	return r ? r : blk_rw(c->dst, BLK_FLUSH, 0, 0, 0, NULL);
}

int copy_into(struct copy *c, const char *path, struct err *e)
{
	struct blk_info info;
	int r;

	blk_info(c->dst, &info);
	/* what dst has or has not by itself, be it of a cluster */
	c->piece = info.cluster_size ? info.discard_align : COPY_ALIGN;
	c->chunk = c->piece > COPY_INTO_CHUNK ? c->piece : COPY_INTO_CHUNK;
	c->parallel = COPY_INTO_PARALLEL;
	c->t->total = c->size;
	c->t->done = 0;
	r = tool_run(c->t, copy_into_fiber, c);
	if (r == -ECANCELED)
		return err_set(e, ECANCELED, "%s: stopped: it reads as before",
			path);
	if (r && c->read_failed)
		return err_sys(e, -r, "%s: cannot read what it needs", path);
	if (r)
		return err_sys(e, -r, "%s: cannot copy into it", path);
	return 0;
}
