/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A hosted sparse extent of a VMDK (VMware's Virtual Disk Format 5.0,
 * "Hosted Sparse Extents" and "Stream-Optimized Compressed Sparse Extents"):
 * a header, a grain directory that names grain tables, which name grains.
 * Both mostly exist twice; the second copy serves where the first is damaged.
 * Thread: the loop's.
 */
#ifndef STORAGE_IMPORT_VMDK_SPARSE_H
#define STORAGE_IMPORT_VMDK_SPARSE_H

#include "storage/core/node.h"
#include "storage/import/mapped.h"
#include "storage/import/tcache.h"

#define VMDK_SECTOR UINT64_C(512)

struct vmdk_sparse {
	struct node *file;    /* borrowed */
	uint64_t file_size;   /* bytes, in whole sectors */
	uint64_t size;        /* bytes of disk */
	uint64_t grain_bytes; /* a power of two */
	uint32_t table_entries;
	uint64_t ntables;
	bool packed;      /* grains are compressed, behind markers */
	bool zero_grains; /* entry 1 = reads as zeros */
	uint64_t desc_offset, desc_len; /* bytes; 0 = has no descriptor */
	uint32_t *dir, *dir2;           /* ntables sectors; dir2 may be NULL */
	size_t packed_guess;            /* bytes of the last grain as packed */
};

/* Is there the magic of a sparse extent? head holds len bytes. */
bool vmdk_sparse_probe(const void *head, uint64_t len);

/*
 * Read header and directories of file into s; *dir_bytes is what directories
 * may still take in memory, and becomes less. 0 or -errno with e filled and
 * nothing held. In a fiber.
 */
int vmdk_sparse_open(struct vmdk_sparse *s, struct node *file,
	uint64_t *dir_bytes, struct err *e);
void vmdk_sparse_fini(struct vmdk_sparse *s);

/*
 * What lies at offset of this extent; tables come from c. As ops->map() of
 * mapped.h, len too; damage is told by m.
 */
int vmdk_sparse_map(struct vmdk_sparse *s, struct mapped *m, struct tcache *c,
	uint64_t offset, uint64_t len, struct mapped_piece *out);

/* As ops->load(). In a fiber. */
int vmdk_sparse_load(struct vmdk_sparse *s, struct tcache *c, uint64_t offset);

/*
 * The whole grain of offset, which vmdk_sparse_map() found packed at host,
 * into buf (grain_bytes). 0 or -errno, damage told by m. In a fiber.
 */
int vmdk_sparse_unpack(struct vmdk_sparse *s, struct mapped *m, uint64_t offset,
	uint64_t host, uint8_t *buf);

#endif
