/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/storage/crashnode.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/core/sync.h"

#include "tests/unit/storage/memnode.h"

#define SECTOR 512u

struct crash_event {
	enum blk_op op;
	uint64_t offset, len;
	uint8_t *data;        /* of a write */
	uint64_t begun, done; /* 0 = not yet */
	uint64_t durable;     /* from then on; UINT64_MAX = never */
	bool failed, fua;
};

struct crashnode {
	struct node node;
	struct node *child;
	uint64_t *clock;
	uint8_t *base; /* durable at the begin */
	uint64_t base_size;
	struct crash_event *events;
	size_t n, cap;
	bool settled; /* `durable` is known */
};

struct crash_req {
	struct blk_req r;
	struct blk_req *outer;
	struct crashnode *c;
	size_t event;
};

static struct crashnode *crash_of(const struct node *n)
{
	return container_of(n, struct crashnode, node);
}

static size_t crash_log(struct crashnode *c, const struct blk_req *r)
{
	struct crash_event *ev;

	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 256;
		c->events = reallocarray(c->events, c->cap, sizeof(*c->events));
		ck_assert_ptr_nonnull(c->events);
	}
	ev = &c->events[c->n];
	*ev = (struct crash_event){
		.op = r->op,
		.offset = r->offset,
		.len = r->len,
		.begun = ++*c->clock,
		.durable = UINT64_MAX,
		.fua = r->flags & BLK_FUA,
	};
	if (r->op == BLK_WRITE) {
		ev->data = malloc(r->len + 1);
		ck_assert_ptr_nonnull(ev->data);
		iov_to_buf(r->iov, r->niov, 0, ev->data, r->len);
	}
	return c->n++;
}

static void crash_done(struct blk_req *r, int err)
{
	struct crash_req *q = container_of(r, struct crash_req, r);
	struct crash_event *ev = &q->c->events[q->event];
	struct blk_req *outer = q->outer;

	ev->done = ++*q->c->clock;
	ev->failed = err != 0;
	free(q);
	node_done(outer, err);
}

static void crash_submit(struct node *n, struct blk_req *r)
{
	struct crashnode *c = crash_of(n);
	struct crash_req *q;

	if (r->op == BLK_READ || r->op == BLK_STATUS) {
		node_submit(c->child, r);
		return;
	}
	q = calloc(1, sizeof(*q));
	ck_assert_ptr_nonnull(q);
	q->c = c;
	q->outer = r;
	q->event = crash_log(c, r);
	q->r.op = r->op;
	q->r.flags = r->flags;
	q->r.offset = r->offset;
	q->r.len = r->len;
	q->r.iov = r->iov;
	q->r.niov = r->niov;
	q->r.done = crash_done;
	node_submit(c->child, &q->r);
}

static int crash_close(struct node *n)
{
	(void)n;
	return 0;
}

static void crash_info(const struct node *n, struct blk_info *out)
{
	crash_of(n)->child->ops->info(crash_of(n)->child, out);
}

/* A new size is durable at once: no test of ours depends on its order. */
static int crash_resize(struct node *n, uint64_t size, enum node_prealloc how,
	struct err *e)
{
	return node_resize(crash_of(n)->child, size, how, e);
}

static const struct node_ops crash_ops = {
	.name = "crash",
	.close = crash_close,
	.submit = crash_submit,
	.info = crash_info,
	.resize = crash_resize,
};

struct node *crashnode_new(struct node *child, uint64_t *clock)
{
	struct crashnode *c = calloc(1, sizeof(*c));

	ck_assert_ptr_nonnull(c);
	c->node.ops = &crash_ops;
	c->node.ctx = child->ctx;
	c->node.log = child->log;
	c->node.path = child->path;
	c->child = child;
	c->clock = clock;
	return &c->node;
}

void crashnode_free(struct node *n)
{
	struct crashnode *c = crash_of(n);

	for (size_t i = 0; i < c->n; i++)
		free(c->events[i].data);
	free(c->events);
	free(c->base);
	free(c);
}

void crashnode_begin(struct node *n)
{
	struct crashnode *c = crash_of(n);
	const uint8_t *bytes = memnode_bytes(c->child, &c->base_size);

	c->base = malloc(c->base_size + 1);
	ck_assert_ptr_nonnull(c->base);
	memcpy(c->base, bytes, c->base_size);
}

/* From when on is each event sure to outlive a crash? */
static void crash_settle(struct crashnode *c)
{
	for (size_t i = 0; !c->settled && i < c->n; i++) {
		struct crash_event *ev = &c->events[i];

		if (!ev->done || ev->failed)
			continue;
		if (ev->fua)
			ev->durable = ev->done;
		for (size_t k = i + 1; k < c->n; k++) {
			const struct crash_event *f = &c->events[k];

			if (f->op == BLK_FLUSH && !f->failed && f->done &&
				f->begun > ev->done && f->done < ev->durable)
				ev->durable = f->done;
		}
	}
	c->settled = true;
}

static unsigned crash_chance(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

static void crash_apply(const struct crash_event *ev, uint8_t *to,
	uint64_t from, uint64_t len)
{
	if (ev->op == BLK_WRITE)
		memcpy(to + ev->offset + from, ev->data + from, len);
	else
		memset(to + ev->offset + from, 0, len);
}

/* Each sector or not. */
static void crash_tear(const struct crash_event *ev, uint8_t *to,
	unsigned *seed)
{
	for (uint64_t n, at = 0; at < ev->len; at += n) {
		n = SECTOR - ((ev->offset + at) & (SECTOR - 1));
		if (n > ev->len - at)
			n = ev->len - at;
		if (crash_chance(seed) & 1)
			crash_apply(ev, to, at, n);
	}
}

static uint64_t crash_size(const struct crashnode *c, uint64_t t)
{
	uint64_t size = c->base_size;

	for (size_t i = 0; i < c->n; i++) {
		const struct crash_event *ev = &c->events[i];

		if (ev->begun <= t && ev->op != BLK_FLUSH &&
			ev->op != BLK_DISCARD && ev->offset + ev->len > size)
			size = ev->offset + ev->len;
	}
	return size;
}

uint8_t *crashnode_at(struct node *n, uint64_t t, enum crash_rest rest,
	unsigned seed, uint64_t *size)
{
	struct crashnode *c = crash_of(n);
	uint8_t *out;

	crash_settle(c);
	*size = crash_size(c, t);
	out = calloc(1, *size + 1);
	ck_assert_ptr_nonnull(out);
	memcpy(out, c->base, c->base_size);
	for (size_t i = 0; i < c->n && c->events[i].begun <= t; i++) {
		struct crash_event *ev = &c->events[i];

		if (ev->op == BLK_FLUSH || ev->failed)
			continue;
		if (ev->op == BLK_DISCARD && ev->offset + ev->len > *size)
			continue;
		if (rest == CRASH_ALL || ev->durable <= t)
			crash_apply(ev, out, 0, ev->len);
		else if (rest == CRASH_SOME && (crash_chance(&seed) & 1))
			crash_apply(ev, out, 0, ev->len);
		else if (rest == CRASH_SECTORS)
			crash_tear(ev, out, &seed);
	}
	return out;
}
