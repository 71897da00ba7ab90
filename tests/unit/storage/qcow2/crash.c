/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See crash.h. */
#include "tests/unit/storage/qcow2/crash.h"

#include <stdlib.h>
#include <string.h>

struct write {
	uint64_t at, len; /* len 0 = a sync; UINT64_MAX = nothing to replay */
	uint8_t *data;
};

struct crash {
	struct node *file;
	uint8_t *base; /* as it was */
	uint64_t size;
	struct write *w;
	unsigned n, max;
};

static void add(struct crash *c, uint64_t at, uint64_t len, uint8_t *data)
{
	if (c->n == c->max) {
		c->max = c->max ? 2 * c->max : 64;
		c->w = realloc(c->w, c->max * sizeof(*c->w));
		ck_assert_ptr_nonnull(c->w);
	}
	c->w[c->n++] = (struct write){ at, len, data };
}

static int watch(void *arg, const struct blk_req *r)
{
	struct crash *c = arg;
	uint8_t *data;
	uint64_t pos = 0;

	if (r->op == BLK_FLUSH)
		add(c, 0, 0, NULL);
	/* a discard may or may not have zeroed: the worst is that it did */
	if ((r->op != BLK_WRITE && r->op != BLK_WRITE_ZEROES &&
		    r->op != BLK_DISCARD) ||
		!r->len)
		return 0;
	data = calloc(1, r->len);
	ck_assert_ptr_nonnull(data);
	for (int i = 0; r->op == BLK_WRITE && i < r->niov && pos < r->len;
		i++) {
		uint64_t n = r->iov[i].iov_len;

		n = n < r->len - pos ? n : r->len - pos;
		memcpy(data + pos, r->iov[i].iov_base, n);
		pos += n;
	}
	add(c, r->offset, r->len, data);
	return 0;
}

struct crash *crash_begin(struct node *file)
{
	struct crash *c = calloc(1, sizeof(*c));
	const uint8_t *p = memnode_bytes(file, NULL);

	ck_assert_ptr_nonnull(c);
	c->file = file;
	p = memnode_bytes(file, &c->size);
	c->base = malloc(c->size + 1);
	ck_assert_ptr_nonnull(c->base);
	memcpy(c->base, p, c->size);
	memnode_watch(file, watch, c);
	return c;
}

void crash_end(struct crash *c)
{
	memnode_watch(c->file, NULL, NULL);
	for (unsigned i = 0; i < c->n; i++)
		free(c->w[i].data);
	free(c->w);
	free(c->base);
	free(c);
}

/* An image being put together. */
struct state {
	uint8_t *p;
	uint64_t size, max;
};

static void apply(struct state *s, const struct write *w, uint64_t len)
{
	uint64_t end = w->at + len;

	if (!len)
		return;
	if (end > s->max) {
		s->p = realloc(s->p, 2 * end);
		ck_assert_ptr_nonnull(s->p);
		s->max = 2 * end;
	}
	if (end > s->size) {
		memset(s->p + s->size, 0, end - s->size);
		s->size = end;
	}
	memcpy(s->p + w->at, w->data, len);
}

/* The writes of [0, to), and of [from, to) only those that kind says. */
static struct node *make(const struct crash *c, unsigned from, unsigned to,
	unsigned kind)
{
	struct state s = { malloc(c->size + 1), c->size, c->size };
	struct node *n;

	ck_assert_ptr_nonnull(s.p);
	memcpy(s.p, c->base, c->size);
	srandom(kind);
	for (unsigned i = 0; i < to; i++) {
		uint64_t len = c->w[i].len;

		if (i >= from && kind && random() % 2)
			continue;
		/* the last one may have come only in part, by sectors */
		if (i == to - 1 && kind && len > 512)
			len = (uint64_t)random() % (len / 512) * 512;
		apply(&s, &c->w[i], len);
	}
	n = memnode_new_from(qt_ctx, "crashed.qcow2", s.p, s.size);
	memnode_hold(n);
	n->log = qt_log;
	free(s.p);
	return n;
}

unsigned crash_each(struct crash *c, unsigned most,
	void (*fn)(void *arg, struct node *image), void *arg)
{
	unsigned from = 0, done = 0, step = 2 * c->n / most + 1;

	for (unsigned to = 0; to <= c->n; to++) {
		if (to && !c->w[to - 1].len)
			from = to; /* synced */
		for (unsigned kind = 0; kind < 2; kind++) {
			struct node *n;

			if ((2 * to + kind) % step)
				continue;
			n = make(c, from, to, kind ? to + 1 : 0);
			fn(arg, n);
			memnode_free(n);
			done++;
		}
	}
	return done;
}
