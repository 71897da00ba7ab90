/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A VHDX in memory whose parts tests change, with its checksums put right,
 * and a log that they write. What fails ends the test.
 */
#ifndef TESTS_UNIT_STORAGE_IMPORT_VX_H
#define TESTS_UNIT_STORAGE_IMPORT_VX_H

#include "tests/unit/storage/import/imp.h"

#define VX_HEADER(i)  ((64 + 64 * (uint64_t)(i)) * 1024)
#define VX_REGIONS(i) ((192 + 64 * (uint64_t)(i)) * 1024)
#define VX_SECTOR     4096

struct vx {
	struct node *f;
	uint8_t *b; /* its bytes */
	uint64_t size;
	uint64_t bat_at, meta_at, log_at;
	uint32_t log_len;
};

/* The image in file name. */
void vx_load(struct vx *v, const char *name);

/* Put the checksums of both headers (region tables) right. */
void vx_sum_headers(struct vx *v);
void vx_sum_regions(struct vx *v);

/* Where the metadata item with this first word of a guid is in b: its entry
 * of the table, its value. */
uint8_t *vx_item(struct vx *v, uint32_t guid);
uint8_t *vx_value(struct vx *v, uint32_t guid);
#define VX_PARAMS  0xcaa16737
#define VX_SIZE    0x2fa54224
#define VX_LOGICAL 0x8141bf1d
#define VX_PHYS    0xcda348c7
#define VX_PARENT  0xa8d35f2d

/* Say in the headers that the log is in use. */
void vx_use_log(struct vx *v);

/* A change that the log holds: a page of VX_SECTOR bytes, or zeros. */
struct vx_change {
	uint64_t at, zeros; /* zeros: length, with data NULL */
	const uint8_t *data;
};

/*
 * Write the entry of number at a sector of the log; returns the sector behind
 * it. The file's ends are its size; the sum is right.
 */
uint32_t vx_entry(struct vx *v, uint32_t at, uint32_t tail, uint64_t number,
	const struct vx_change *c, uint32_t n);

/* The entry at a sector was changed: put its sum right. */
void vx_sum_entry(struct vx *v, uint32_t at);
uint8_t *vx_sector(struct vx *v, uint32_t at); /* of the log */

#endif
