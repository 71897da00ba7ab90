/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What all imported formats have in common: a read-only node whose bytes are
 * found by a map. The format says what lies at an offset; this turns requests
 * into requests to the files below, many at once and without a fiber as long
 * as the tables are in memory. Thread: the loop's.
 */
#ifndef STORAGE_IMPORT_MAPPED_H
#define STORAGE_IMPORT_MAPPED_H

#include "storage/core/fiber.h"
#include "storage/core/node.h"

/* All of an image's tables in memory, in bytes. */
#define MAPPED_TABLES_MAX (UINT64_C(32) << 20)

/* Of unpack_bytes each, so many are unpacked at the same time, in bytes. */
#define MAPPED_UNPACK_MAX (UINT64_C(8) << 20)

/* No image is larger, in bytes: no sum of offsets leaves 64 bits. */
#define MAPPED_SIZE_MAX (UINT64_C(1) << 62)

enum mapped_kind {
	MAPPED_ZERO,
	MAPPED_DATA,   /* len bytes at host of file */
	MAPPED_MEM,    /* len bytes at mem, good until the next wait */
	MAPPED_PACKED, /* what unpack() makes of host of file */
};

struct mapped_piece {
	enum mapped_kind kind;
	bool present;    /* the image has an entry for it */
	bool compressed; /* it lies compressed in file */
	uint64_t len;    /* bytes */
	struct node *file;
	uint64_t host;
	const uint8_t *mem;
};

struct mapped;

struct mapped_ops {
	const char *format;

	/*
	 * Fill *out with what lies at offset: at least one byte, at most len.
	 * Never waits. 0, -EAGAIN = load() has to fetch a table first, -EIO =
	 * the image is damaged there, and the log has it.
	 */
	int (*map)(struct mapped *m, uint64_t offset, uint64_t len,
		struct mapped_piece *out);

	/* Fetch what map() misses at offset, or a part of it. 0 or -errno.
	 * In a fiber. */
	int (*load)(struct mapped *m, uint64_t offset);

	/* The p->len bytes at offset, p being what map() said of them, into
	 * buf. 0 or -errno. In a fiber. May be NULL: makes no such pieces. */
	int (*unpack)(struct mapped *m, uint64_t offset,
		const struct mapped_piece *p, uint8_t *buf);

	/* Close the files, free all but m->node.path, and m. In a fiber. */
	void (*free)(struct mapped *m);
};

struct mapped {
	struct node node;
	const struct mapped_ops *ops;
	struct node *file;     /* for what info says of the host */
	uint64_t size;         /* bytes, a multiple of 512 */
	uint32_t cluster_size; /* 0 = has none */
	uint32_t unpack_bytes; /* of the largest packed piece; 0 = has none */
	uint32_t phys_size;
	struct log_limit limit;
	struct fiber_room unpacking; /* in ops->unpack() */
};

/* m is zeroed; the format fills in size, cluster_size, phys_size, unpack_bytes.
 * 0 or -ENOMEM with e filled. After it m->node can be closed. */
int mapped_init(struct mapped *m, const struct mapped_ops *ops,
	struct node *file, struct err *e);

/* For who did not get as far as a node that can be closed. */
void mapped_fini(struct mapped *m);

/* Tell of damage in the log, rate-limited; returns -EIO. */
int mapped_damaged(struct mapped *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
