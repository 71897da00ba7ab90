// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Pieces hang in a hash by file and number, and in a list by use. A piece is
 * read into memory of its own and put in when it is whole, so a fiber that
 * waits for the disk leaves nothing half made behind.
 */
#include "storage/import/tcache.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/core/sync.h"

struct piece {
	struct list hash, lru;
	const struct node *file;
	uint64_t key; /* offset of its first byte */
	uint8_t *buf;
};

void tcache_init(struct tcache *c, uint32_t piece_bytes, uint64_t max_bytes,
	tcache_read_fn read, void *arg)
{
	uint64_t max = max_bytes / piece_bytes;

	c->piece_bytes = piece_bytes;
	c->count = 0;
	c->max = max < 2 ? 2 : (unsigned)max;
	c->read = read;
	c->arg = arg;
	list_init(&c->lru);
	for (int i = 0; i < TCACHE_BUCKETS; i++)
		list_init(&c->buckets[i]);
}

void tcache_fini(struct tcache *c)
{
	struct list *l;

	/* out of one list only: the other one goes too */
	while ((l = list_pop(&c->lru))) {
		struct piece *p = list_entry(l, struct piece, lru);

		free(p->buf);
		free(p);
	}
}

static void evict_oldest(struct tcache *c)
{
	struct piece *p = list_entry(list_pop(&c->lru), struct piece, lru);

	list_del(&p->hash);
	free(p->buf);
	free(p);
	c->count--;
}

static struct list *bucket_of(struct tcache *c, const struct node *file,
	uint64_t key)
{
	uint64_t h = key / c->piece_bytes + (uintptr_t)file / 16;

	h *= UINT64_C(0x9e3779b97f4a7c15); /* spreads to the top */
	return &c->buckets[(h >> 32) % TCACHE_BUCKETS];
}

static struct piece *piece_find(struct tcache *c, const struct node *file,
	uint64_t key)
{
	struct list *b = bucket_of(c, file, key);

	list_each (it, b) {
		struct piece *p = list_entry(it, struct piece, hash);

		if (p->key == key && p->file == file)
			return p;
	}
	return NULL;
}

const uint8_t *tcache_find(struct tcache *c, const struct node *file,
	uint64_t offset)
{
	uint64_t in = offset % c->piece_bytes;
	struct piece *p = piece_find(c, file, offset - in);

	if (!p)
		return NULL;
	list_del(&p->lru);
	list_add_tail(&c->lru, &p->lru);
	return p->buf + in;
}

void tcache_add(struct tcache *c, const struct node *file, uint64_t offset,
	uint8_t *buf)
{
	struct piece *p;

	if (piece_find(c, file, offset)) {
		free(buf);
		return;
	}
	p = malloc(sizeof(*p));
	if (!p) { /* it is only a cache: do without */
		free(buf);
		return;
	}
	if (c->count == c->max)
		evict_oldest(c);
	p->file = file;
	p->key = offset;
	p->buf = buf;
	list_add_head(bucket_of(c, file, offset), &p->hash);
	list_add_tail(&c->lru, &p->lru);
	c->count++;
}

int tcache_load(struct tcache *c, struct node *file, uint64_t offset)
{
	uint64_t key = offset - offset % c->piece_bytes;
	uint8_t *buf;
	int rc;

	if (piece_find(c, file, key))
		return 0;
	buf = malloc(c->piece_bytes);
	if (!buf)
		return -ENOMEM;
	if (c->read)
		rc = c->read(c->arg, file, key, buf, c->piece_bytes);
	else
		rc = node_read(file, key, buf, c->piece_bytes);
	if (rc < 0) {
		free(buf);
		return rc;
	}
	tcache_add(c, file, key, buf);
	/* the only way for it not to be here now is want of memory */
	return piece_find(c, file, key) ? 0 : -ENOMEM;
}
