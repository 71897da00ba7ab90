/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image in memory in place of storage/, for one test program: requests
 * wait until the test (or a drain) lets them end, in any order it likes.
 */
#ifndef TESTS_UNIT_VM_VIRTIO_FAKE_BLK_H
#define TESTS_UNIT_VM_VIRTIO_FAKE_BLK_H

#include <stdio.h>
#include <string.h>

#include "storage/storage.h"

#define FAKE_SIZE (1024 * 1024)

struct blk {
	struct blk_info info;
	struct list pending;
	unsigned npending, submits, drains, plugs;
	int fail; /* errno to end with, 0 = do it */
	struct blk_req last;
	uint8_t data[FAKE_SIZE];
};

static inline void fake_init(struct blk *b)
{
	memset(b, 0, sizeof(*b));
	list_init(&b->pending);
	b->info = (struct blk_info){ .size = FAKE_SIZE,
		.block_size = 512,
		.phys_size = 4096,
		.can_discard = true,
		.can_write_zeroes = true,
		.discard_align = 4096 };
}

void blk_info(const struct blk *b, struct blk_info *out)
{
	*out = b->info;
}

void blk_submit(struct blk *b, struct blk_req *r)
{
	b->submits++;
	b->npending++;
	b->last = *r;
	list_add_tail(&b->pending, &r->node);
}

void blk_plug(struct blk *b)
{
	b->plugs++;
}

void blk_unplug(struct blk *b)
{
	b->plugs--;
}

static inline void fake_copy(struct blk *b, struct blk_req *r)
{
	uint64_t at = r->offset;

	for (int i = 0; i < r->niov; i++) {
		uint8_t *p = b->data + at;

		at += r->iov[i].iov_len;
		if (at > FAKE_SIZE)
			return;
		if (r->op == BLK_READ)
			memcpy(r->iov[i].iov_base, p, r->iov[i].iov_len);
		else
			memcpy(p, r->iov[i].iov_base, r->iov[i].iov_len);
	}
}

/* End the oldest or the newest request. */
static inline void fake_end(struct blk *b, bool newest)
{
	struct list *n = newest ? b->pending.prev : b->pending.next;
	struct blk_req *r = list_entry(n, struct blk_req, node);

	list_del(n);
	b->npending--;
	if (!b->fail && (r->op == BLK_READ || r->op == BLK_WRITE))
		fake_copy(b, r);
	if (!b->fail && (r->op == BLK_DISCARD || r->op == BLK_WRITE_ZEROES))
		memset(b->data + r->offset, 0, r->len);
	r->done(r, -b->fail);
}

void blk_drain(struct blk *b)
{
	b->drains++;
	while (!list_empty(&b->pending))
		fake_end(b, false);
}

#endif
