/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a VHDX's log says has to be written into the file, laid over it in
 * memory: sorted ranges that do not overlap. Empty for a clean image.
 * Thread: any, one at a time.
 */
#ifndef STORAGE_IMPORT_VHDX_OVERLAY_H
#define STORAGE_IMPORT_VHDX_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes [start, end) of the file; data NULL = zeros. */
struct vhdx_write {
	uint64_t start, end;
	const uint8_t *data;
};

struct vhdx_overlay {
	uint8_t *log; /* what data points into; owned */
	size_t n;
	struct vhdx_write *writes;
};

/* Lay n writes, the oldest first, into o, which is zeroed. 0 or -ENOMEM. */
int vhdx_overlay_build(struct vhdx_overlay *o, const struct vhdx_write *writes,
	size_t n);
void vhdx_overlay_fini(struct vhdx_overlay *o);

/*
 * What is at offset: the write that covers it, or NULL = the file's own.
 * *len (bytes wanted) becomes how far that holds.
 */
const struct vhdx_write *vhdx_overlay_find(const struct vhdx_overlay *o,
	uint64_t offset, uint64_t *len);

/* Change buf, which was read from the file at offset. */
void vhdx_overlay_apply(const struct vhdx_overlay *o, uint64_t offset,
	uint8_t *buf, uint64_t len);

#endif
