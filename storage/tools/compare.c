/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare and map: looking at what images hold. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/tools/tools.h"

#define COMPARE_CHUNK (1 * MiB)
#define STATUS_MAX    (UINT64_C(1) << 30)

struct compare {
	struct tool *t;
	struct blk *b[2];
	uint64_t size[2];
	uint8_t *buf[2];
	bool strict;
	struct img_compare *out;
	const char *path[2];
	struct err *e;
};

static int compare_fail(struct compare *c, int which, int err)
{
	if (err == -ECANCELED)
		return err_set(c->e, ECANCELED, "the comparison was stopped");
	return err_sys(c->e, -err, "%s: cannot read it", c->path[which]);
}

static void compare_differ(struct compare *c, uint64_t at)
{
	c->out->equal = false;
	c->out->offset = at;
}

/* The first byte of len at which they differ, len when none. */
static uint64_t compare_bytes(const uint8_t *a, const uint8_t *b, uint64_t len)
{
	uint64_t i = 0;

	if (!memcmp(a, b, len))
		return len;
	while (a[i] == b[i])
		i++;
	return i;
}

/* The status of image w at at, of at most len; past its end: zeros. */
static int compare_status(struct compare *c, int w, uint64_t at, uint64_t len,
	struct blk_extent *x)
{
	int r;

	if (at >= c->size[w]) {
		*x = (struct blk_extent){ .len = len, .zero = true };
		return 0;
	}
	r = blk_status(c->b[w], 0, at, tool_min(len, c->size[w] - at), x);
	return r ? compare_fail(c, w, r) : 0;
}

static int compare_read(struct compare *c, int w, uint64_t at, uint64_t len)
{
	int r = blk_rw(c->b[w], BLK_READ, 0, at, len, c->buf[w]);

	return r ? compare_fail(c, w, r) : 0;
}

/* One run that is alike in each of the two. *len: what was dealt with. */
static int compare_run(struct compare *c, uint64_t at, uint64_t end,
	uint64_t *len)
{
	struct blk_extent x[2];
	uint64_t n = tool_min(end - at, STATUS_MAX), same;
	int r = 0;

	for (int w = 0; !r && w < 2; w++) {
		r = compare_status(c, w, at, n, &x[w]);
		n = tool_min(n, x[w].len);
	}
	*len = n;
	if (r)
		return r;
	if (c->strict && at < tool_min(c->size[0], c->size[1]) &&
		x[0].present != x[1].present) {
		compare_differ(c, at);
		return 0;
	}
	if (x[0].zero && x[1].zero)
		return 0;
	*len = n = tool_min(n, COMPARE_CHUNK);
	for (int w = 0; !r && w < 2; w++) {
		if (x[w].zero)
			memset(c->buf[w], 0, n);
		else
			r = compare_read(c, w, at, n);
	}
	if (r)
		return r;
	same = compare_bytes(c->buf[0], c->buf[1], n);
	if (same < n)
		compare_differ(c, at + same);
	return 0;
}

static int compare_fiber(void *arg)
{
	struct compare *c = arg;
	uint64_t end = c->size[0] > c->size[1] ? c->size[0] : c->size[1];
	uint64_t n;
	int r = 0;

	for (uint64_t at = 0; !r && at < end && c->out->equal; at += n) {
		r = compare_run(c, at, end, &n);
		c->t->done += n;
		c->out->total = at + n;
		if (!r && c->t->stop)
			r = compare_fail(c, 0, -ECANCELED);
	}
	return r;
}

static int compare_do(struct compare *c)
{
	for (int w = 0; w < 2; w++) {
		c->buf[w] = aligned_alloc(4096, COMPARE_CHUNK);
		if (!c->buf[w])
			return err_sys(c->e, ENOMEM, "cannot compare");
		ctx_buffer_add(c->t->ctx, c->buf[w], COMPARE_CHUNK);
		c->size[w] = tool_size(c->b[w]);
		if (c->size[w] > c->t->total)
			c->t->total = c->size[w];
	}
	c->out->equal = true;
	c->out->sizes_differ = c->size[0] != c->size[1];
	if (c->strict && c->out->sizes_differ) {
		compare_differ(c, tool_min(c->size[0], c->size[1]));
		return 0;
	}
	return tool_run(c->t, compare_fiber, c);
}

int img_compare(const struct img_ref *a, const struct img_ref *b, bool strict,
	struct img_job *j, struct img_compare *out, struct err *e)
{
	struct compare c = {
		.strict = strict,
		.out = out,
		.path = { a->path, b->path },
		.e = e,
	};
	struct tool t;
	int r = tool_init(&t, j, e);

	memset(out, 0, sizeof(*out));
	if (r)
		return r;
	c.t = &t;
	r = tool_open(&t, a, 0, &c.b[0], e);
	if (!r)
		r = tool_open(&t, b, 0, &c.b[1], e);
	if (!r)
		r = compare_do(&c);
	for (int w = 0; w < 2; w++) {
		ctx_buffer_del(t.ctx, c.buf[w]);
		r = tool_close(&c.b[w], c.path[w], r, e);
		free(c.buf[w]);
	}
	tool_fini(&t);
	return r;
}

/* map */

struct map {
	struct tool *t;
	struct blk *b;
	uint64_t at, end;
	bool (*fn)(void *arg, uint64_t offset, const struct blk_extent *x);
	void *arg;
};

/* Is y the continuation of x, which ends where it begins? */
static bool map_continues(const struct blk_extent *x,
	const struct blk_extent *y)
{
	return x->data == y->data && x->zero == y->zero &&
	       x->present == y->present && x->compressed == y->compressed &&
	       x->depth == y->depth && x->has_host == y->has_host &&
	       (!x->has_host ||
		       (x->host + x->len == y->host && !x->compressed)) &&
	       x->file == y->file;
}

static int map_fiber(void *arg)
{
	struct map *m = arg;
	struct blk_extent x = { 0 }, y;
	uint64_t start = m->at;
	int r;

	while (m->at < m->end) {
		r = blk_status(m->b, 0, m->at,
			tool_min(m->end - m->at, STATUS_MAX), &y);
		if (!r && m->t->stop)
			r = -ECANCELED;
		if (r)
			return r;
		m->at += y.len;
		m->t->done += y.len;
		if (x.len && map_continues(&x, &y)) {
			x.len += y.len;
			continue;
		}
		if (x.len && !m->fn(m->arg, start, &x))
			return 0;
		start = m->at - y.len;
		x = y;
	}
	if (x.len)
		m->fn(m->arg, start, &x);
	return 0;
}

/* What of the image is asked for: whole blocks. */
static int map_range(struct map *m, uint64_t len, const char *path,
	struct err *e)
{
	struct blk_info info;

	blk_info(m->b, &info);
	if (m->at > info.size)
		return err_set(e, EINVAL, "%s: has only %llu bytes", path,
			(unsigned long long)info.size);
	m->end = m->at + tool_min(len, info.size - m->at);
	if ((m->at | m->end) & (info.block_size - 1))
		return err_set(e, EINVAL,
			"%s: -s and -l must be multiples of %u", path,
			info.block_size);
	m->t->total = m->end - m->at;
	return 0;
}

int img_map(const struct img_ref *ref, uint64_t start, uint64_t len,
	bool (*fn)(void *arg, uint64_t offset, const struct blk_extent *x),
	void *arg, struct img_job *j, struct err *e)
{
	struct map m = { .at = start, .fn = fn, .arg = arg };
	struct tool t;
	int r = tool_init(&t, j, e);

	if (r)
		return r;
	m.t = &t;
	r = tool_open(&t, ref, 0, &m.b, e);
	if (!r)
		r = map_range(&m, len, ref->path, e);
	if (!r) {
		r = tool_run(&t, map_fiber, &m);
		if (r == -ECANCELED)
			err_set(e, ECANCELED, "%s: stopped", ref->path);
		else if (r)
			err_sys(e, -r, "%s: cannot read its map", ref->path);
	}
	r = tool_close(&m.b, ref->path, r, e);
	tool_fini(&t);
	return r;
}
