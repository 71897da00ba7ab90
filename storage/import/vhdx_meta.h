/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a VHDX says of itself: headers, log, region table, metadata
 * ([MS-VHDX] 2.2 to 2.6). Thread: the loop's.
 */
#ifndef STORAGE_IMPORT_VHDX_META_H
#define STORAGE_IMPORT_VHDX_META_H

#include "storage/core/node.h"
#include "storage/import/vhdx_overlay.h"

struct vhdx_meta {
	uint64_t file_size; /* bytes, in whole sectors; after the log */
	uint64_t bat_at;    /* offset of the block allocation table */
	uint64_t size;      /* bytes of disk */
	uint32_t block_size;
	uint32_t logical_size, phys_size; /* bytes of a sector */
};

/*
 * Read and check it all; *overlay (zeroed before) becomes what the log says.
 * 0, or -errno with e filled and nothing held. In a fiber.
 */
int vhdx_meta_read(struct node *file, struct vhdx_meta *out,
	struct vhdx_overlay *overlay, struct err *e);

/* Read from file as the log has it. 0 or -errno. In a fiber. */
int vhdx_meta_pread(struct node *file, const struct vhdx_overlay *overlay,
	uint64_t offset, void *buf, uint64_t len);

/* Is there the signature? head holds len bytes. */
bool vhdx_meta_probe(const void *head, uint64_t len);

/* Entries of the BAT between two sector bitmaps' (the chunk ratio). */
static inline uint64_t vhdx_chunk_ratio(const struct vhdx_meta *m)
{
	return (UINT64_C(1) << 23) * m->logical_size / m->block_size;
}

#endif
