/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * storage.h over an array of bytes, for tests that want requests to wait or
 * to fail. It takes the place of the storage archive: include it in one
 * file of a program.
 */
#ifndef TESTS_UNIT_VM_DEV_FAKE_BLK_H
#define TESTS_UNIT_VM_DEV_FAKE_BLK_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/storage.h"

struct blk {
	struct blk_info info;
	struct loop_call call;
	struct list queue;
	uint8_t *data;
	bool hold; /* requests wait */
	int fail;  /* -errno for all that follow */
	unsigned ops[BLK_OPS];
	unsigned fua;
	int max_niov;
};

static void fake_do(struct blk *b, struct blk_req *r)
{
	uint64_t at = r->offset;
	int err = b->fail;

	b->ops[r->op]++;
	b->fua += r->flags & BLK_FUA ? 1 : 0;
	if (r->niov > b->max_niov)
		b->max_niov = r->niov;
	if (r->offset > b->info.size || r->len > b->info.size - r->offset)
		abort();
	for (int i = 0; !err && i < r->niov; i++) {
		if (r->op == BLK_READ)
			memcpy(r->iov[i].iov_base, b->data + at,
				r->iov[i].iov_len);
		else if (r->op == BLK_WRITE)
			memcpy(b->data + at, r->iov[i].iov_base,
				r->iov[i].iov_len);
		at += r->iov[i].iov_len;
	}
	if (!err && (r->op == BLK_READ || r->op == BLK_WRITE) &&
		at - r->offset != r->len)
		abort();
	if (!err && r->op == BLK_DISCARD)
		memset(b->data + r->offset, 0, r->len);
	r->done(r, err);
}

static void fake_run(void *arg)
{
	struct blk *b = arg;
	struct list *n;

	while (!b->hold && (n = list_pop(&b->queue)))
		fake_do(b, list_entry(n, struct blk_req, node));
}

static inline struct blk *fake_blk(struct loop *l, uint64_t size)
{
	struct blk *b = calloc(1, sizeof(*b));

	if (!b || !(b->data = malloc(size)))
		abort();
	for (uint64_t i = 0; i < size; i++)
		b->data[i] = (uint8_t)(i / 512 + i % 251);
	b->info = (struct blk_info){ .size = size,
		.block_size = 512,
		.phys_size = 4096,
		.can_discard = true };
	list_init(&b->queue);
	loop_call_init(&b->call, l, fake_run, b);
	return b;
}

static inline void fake_release(struct blk *b)
{
	b->hold = false;
	loop_call_schedule(&b->call);
}

int blk_close(struct blk *b)
{
	if (!b)
		return 0;
	loop_call_cancel(&b->call);
	free(b->data);
	free(b);
	return 0;
}

void blk_info(const struct blk *b, struct blk_info *out)
{
	*out = b->info;
}

void blk_submit(struct blk *b, struct blk_req *r)
{
	list_add_tail(&b->queue, &r->node);
	loop_call_schedule(&b->call);
}

void blk_plug(struct blk *b)
{
	(void)b;
}

void blk_unplug(struct blk *b)
{
	(void)b;
}

void blk_drain(struct blk *b)
{
	bool hold = b->hold;

	b->hold = false;
	fake_run(b);
	b->hold = hold;
}

#endif
