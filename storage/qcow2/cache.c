/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Slices of L2 tables and refcount blocks in memory; see impl.h. A table is
 * not read whole, but 4 KiB of it, found by their offset in a hash.
 *
 * Room is taken as slices come, up to c->max, then the least used clean slice
 * that nobody holds makes place; where there is none (all dirty or held) the
 * cache grows past max and comes back later. What is dirty is not in the LRU
 * list, and leaves only by qcache_write() or qcache_forget(). A look costs a
 * mark and no change of the list: the list gives marked ones a second round.
 *
 * Thread: the loop's. Between two waits a fiber is alone, so there are no
 * locks; a slice that is being loaded is in the hash, and who wants it waits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/impl.h"

#define QSLICE_BYTES 4096u
#define QSLAB_BYTES  65536u
#define QHASH_FIRST  64u

/* Slices are allocated some at a time, aligned for O_DIRECT. */
struct qslab {
	struct qslab *next;
	uint8_t *data;
	struct qslice slices[];
};

/* --- hash --- */

static uint32_t qcache_slot(const struct qcache *c, uint64_t offset)
{
	uint64_t key = offset >> c->slice_bits;

	return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) &
	       c->hash_mask;
}

static struct qslice *qcache_find(const struct qcache *c, uint64_t offset)
{
	struct qslice *s = c->hash[qcache_slot(c, offset)];

	while (s && s->offset != offset)
		s = s->hash_next;
	return s;
}

/* Twice the places; when there is no memory chains just get longer. */
static void qcache_grow_hash(struct qcache *c)
{
	uint32_t old = c->hash_mask + 1;
	struct qslice **was = c->hash;
	struct qslice **now = calloc(2 * (size_t)old, sizeof(struct qslice *));

	if (!now)
		return;
	c->hash = now;
	c->hash_mask = 2 * old - 1;
	for (uint32_t i = 0; i < old; i++) {
		struct qslice *s = was[i], *next;

		for (; s; s = next) {
			struct qslice **slot = &now[qcache_slot(c, s->offset)];

			next = s->hash_next;
			s->hash_next = *slot;
			*slot = s;
		}
	}
	free(was);
}

static void qcache_hash(struct qcache *c, struct qslice *s)
{
	struct qslice **slot;

	if (c->count > c->hash_mask)
		qcache_grow_hash(c);
	slot = &c->hash[qcache_slot(c, s->offset)];
	s->hash_next = *slot;
	*slot = s;
	s->hashed = true;
	c->count++;
}

/* Who holds nothing may hold anything. */
static void qcache_spare(struct qcache *c, struct qslice *s)
{
	s->hash_next = c->spare;
	c->spare = s;
}

/* Out of the hash and of every list. Without pins it holds nothing now. */
static void qcache_unhash(struct qcache *c, struct qslice *s)
{
	struct qslice **p = &c->hash[qcache_slot(c, s->offset)];

	while (*p != s)
		p = &(*p)->hash_next;
	*p = s->hash_next;
	s->hash_next = NULL;
	s->hashed = false;
	c->count--;
	if (s->dirty)
		c->ndirty--;
	s->dirty = false;
	list_del(&s->lru);
	if (!s->pins)
		qcache_spare(c, s);
}

/* --- room --- */

static struct qslice *qslab_slice(const struct qcache *c, struct qslab *slab,
	uint32_t i)
{
	struct qslice *s = &slab->slices[i];

	s->data = slab->data + (size_t)i * c->slice_bytes;
	list_init(&s->lru);
	fiber_queue_init(&s->waiters);
	return s;
}

/* Make some spare slices and take one of them. NULL = no memory. */
static struct qslice *qcache_add_slab(struct qcache *c)
{
	uint32_t n = QSLAB_BYTES / c->slice_bytes;
	struct qslab *slab;
	void *data;

	slab = calloc(1, sizeof(*slab) + n * sizeof(slab->slices[0]));
	if (!slab)
		return NULL;
	if (posix_memalign(&data, QSLICE_BYTES, QSLAB_BYTES)) {
		free(slab);
		return NULL;
	}
	slab->data = data;
	slab->next = c->slabs;
	c->slabs = slab;
	for (uint32_t i = n; --i;)
		qcache_spare(c, qslab_slice(c, slab, i));
	return qslab_slice(c, slab, 0);
}

/* Give up slices that nobody needs until there are fewer than max. */
static void qcache_make_room(struct qcache *c)
{
	while (c->count >= c->max && !list_empty(&c->lru)) {
		struct qslice *s = list_entry(c->lru.next, struct qslice, lru);

		if (s->used) {
			s->used = false;
			list_del(&s->lru);
			list_add_tail(&c->lru, &s->lru);
		} else {
			qcache_unhash(c, s);
		}
	}
}

/* A slice for offset, pinned, in the hash, not valid. NULL = no memory. */
static struct qslice *qcache_take(struct qcache *c, uint64_t offset)
{
	struct qslice *s;

	qcache_make_room(c);
	s = c->spare;
	if (s)
		c->spare = s->hash_next;
	else
		s = qcache_add_slab(c);
	if (!s)
		return NULL;
	s->offset = offset;
	s->pins = 1;
	s->err = 0;
	s->dirty = s->valid = s->loading = s->used = false;
	qcache_hash(c, s);
	return s;
}

int qcache_init(struct qcache *c, struct qcow2 *q, uint64_t max_bytes)
{
	uint64_t max;

	memset(c, 0, sizeof(*c));
	c->q = q;
	c->slice_bytes =
		q->cluster_size < QSLICE_BYTES ? q->cluster_size : QSLICE_BYTES;
	c->slice_bits = (unsigned)__builtin_ctz(c->slice_bytes);
	/* a slice costs its bytes, its struct, and up to two places in hash */
	max = max_bytes / (c->slice_bytes + sizeof(struct qslice) + 16);
	c->max = max < 16 ? 16 : max > UINT32_MAX ? UINT32_MAX : (uint32_t)max;
	c->hash_mask = QHASH_FIRST - 1;
	list_init(&c->lru);
	list_init(&c->dirty);
	c->hash = calloc(QHASH_FIRST, sizeof(struct qslice *));
	return c->hash ? 0 : -ENOMEM;
}

void qcache_fini(struct qcache *c)
{
	while (c->slabs) {
		struct qslab *slab = c->slabs;

		c->slabs = slab->next;
		free(slab->data);
		free(slab);
	}
	free(c->hash);
	memset(c, 0, sizeof(*c));
}

/* --- looking up and loading --- */

struct qslice *qcache_peek(struct qcache *c, uint64_t offset)
{
	struct qslice *s = qcache_find(c, offset);

	if (!s || !s->valid)
		return NULL;
	s->used = true;
	return s;
}

static void qcache_pin(struct qslice *s)
{
	s->used = true;
	if (!s->pins++ && !s->dirty)
		list_del(&s->lru);
}

void qcache_put(struct qcache *c, struct qslice *s)
{
	if (--s->pins)
		return;
	if (!s->hashed)
		qcache_spare(c, s);
	else if (!s->dirty)
		list_add_tail(&c->lru, &s->lru);
}

/* Read s, which the caller has pinned, and tell who waits for it. */
static int qcache_load(struct qcache *c, struct qslice *s)
{
	s->loading = true;
	s->err = node_read(c->q->file, s->offset, s->data, c->slice_bytes);
	s->loading = false;
	s->valid = !s->err;
	if (s->err && s->hashed)
		qcache_unhash(c, s);
	fiber_queue_wake_all(&s->waiters);
	return s->err;
}

int qcache_get(struct qcache *c, uint64_t offset, struct qslice **out)
{
	struct qslice *s = qcache_find(c, offset);
	int r = 0;

	if (s) {
		qcache_pin(s);
		while (s->loading)
			fiber_queue_wait(&s->waiters);
		r = s->err;
	} else {
		s = qcache_take(c, offset);
		if (!s)
			return -ENOMEM;
		r = qcache_load(c, s);
	}
	if (r) {
		qcache_put(c, s);
		return r;
	}
	*out = s;
	return 0;
}

int qcache_get_new(struct qcache *c, uint64_t offset, struct qslice **out)
{
	struct qslice *s = qcache_find(c, offset);

	if (s)
		qcache_unhash(c, s); /* of a table that was here before */
	s = qcache_take(c, offset);
	if (!s)
		return -ENOMEM;
	memset(s->data, 0, c->slice_bytes);
	s->valid = true;
	*out = s;
	return 0;
}

void qcache_mark_dirty(struct qcache *c, struct qslice *s)
{
	if (s->dirty || !s->hashed)
		return;
	s->dirty = true;
	c->ndirty++;
	list_del(&s->lru);
	list_add_tail(&c->dirty, &s->lru);
}

void qcache_mark_clean(struct qcache *c, struct qslice *s)
{
	if (!s->dirty)
		return;
	s->dirty = false;
	c->ndirty--;
	list_del(&s->lru);
	if (!s->pins)
		list_add_tail(&c->lru, &s->lru);
}

void qcache_forget(struct qcache *c, uint64_t offset, uint64_t len)
{
	uint64_t n = (len >> c->slice_bits) + !!(len & (c->slice_bytes - 1));

	if (!c->hash)
		return;
	if (n <= c->count) {
		for (uint64_t i = 0; i < n; i++) {
			struct qslice *s =
				qcache_find(c, offset + (i << c->slice_bits));

			if (s)
				qcache_unhash(c, s);
		}
		return;
	}
	for (uint32_t i = 0; i <= c->hash_mask; i++) {
		struct qslice *s = c->hash[i], *next;

		for (; s; s = next) {
			next = s->hash_next;
			if (s->offset - offset < len)
				qcache_unhash(c, s);
		}
	}
}
