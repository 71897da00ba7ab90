/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bounded cache of an image's tables (and of unpacked grains): pieces of
 * one size by file and offset, the least recently used dropped first. One
 * serves all files of an image. Thread: the loop's.
 */
#ifndef STORAGE_IMPORT_TCACHE_H
#define STORAGE_IMPORT_TCACHE_H

#include "storage/core/node.h"

#define TCACHE_BUCKETS 1024

/* Fill buf from file; as node_read(), which is what NULL means. */
typedef int (*tcache_read_fn)(void *arg, struct node *file, uint64_t offset,
	void *buf, uint64_t len);

struct tcache {
	uint32_t piece_bytes; /* a power of two */
	unsigned count, max;
	tcache_read_fn read;
	void *arg;
	struct list lru; /* the oldest first */
	struct list buckets[TCACHE_BUCKETS];
};

/* max_bytes: of all pieces together; at least two are held. */
void tcache_init(struct tcache *c, uint32_t piece_bytes, uint64_t max_bytes,
	tcache_read_fn read, void *arg);
void tcache_fini(struct tcache *c);

/*
 * The byte at offset of file, with what follows in its piece, or NULL when it
 * is not here. Good until the next wait of the caller's.
 */
const uint8_t *tcache_find(struct tcache *c, const struct node *file,
	uint64_t offset);

/*
 * Read the piece around offset, unless it is here: then tcache_find() has it
 * until the fiber waits. Bytes past the file's end are zeros. 0 or -errno.
 * In a fiber.
 */
int tcache_load(struct tcache *c, struct node *file, uint64_t offset);

/* Keep a piece made elsewhere; takes buf (malloc, piece_bytes), which is
 * freed when one is here already. offset: its key. */
void tcache_add(struct tcache *c, const struct node *file, uint64_t offset,
	uint8_t *buf);

#endif
