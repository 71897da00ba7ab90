// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Opening a VHDX, in the order that the format asks for: the newer of the two
 * headers, the log, and with what it changed the region table, the metadata.
 * Little endian; all parts have a CRC-32C or lie in a region that has one.
 */
#include "storage/import/vhdx_meta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/core/sync.h"
#include "storage/import/crc32c.h"
#include "storage/import/mapped.h"
#include "storage/import/vhdx_log.h"

#define HEADER_BYTES   4096
#define TABLE_BYTES    65536 /* region table and metadata table */
#define TABLE_ENTRIES  2047
#define ENTRY_BYTES    32
#define ALIGN          MiB
#define SIZE_LIMIT     (64 * TiB)
#define BLOCK_SIZE_MAX (256 * MiB)

#define REGION_REQUIRED  1u
#define ITEM_REQUIRED    4u
#define PARAM_HAS_PARENT 2u

static const uint64_t header_at[2] = { 64 * KiB, 128 * KiB };
static const uint64_t regions_at[2] = { 192 * KiB, 256 * KiB };

struct region {
	uint64_t offset, len; /* len 0: was not there */
};

/* 16 bytes as they lie in the file. */
#define GUID_BYTES 16
static const uint8_t guid_bat[GUID_BYTES] = { 0x66, 0x77, 0xc2, 0x2d, 0x23,
	0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08 };
static const uint8_t guid_metadata[GUID_BYTES] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90,
	0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e };

enum item {
	ITEM_PARAMS,
	ITEM_SIZE,
	ITEM_LOGICAL,
	ITEM_PHYS,
	ITEM_ID,
	ITEM_PARENT,
	ITEMS
};

static const struct {
	uint8_t guid[GUID_BYTES];
	uint32_t len; /* 0: is not read */
	const char *name;
} items[ITEMS] = {
	[ITEM_PARAMS] = { { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
				  0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7,
				  0x6b },
		8, "file parameters" },
	[ITEM_SIZE] = { { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2,
				0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 },
		8, "the disk's size" },
	[ITEM_LOGICAL] = { { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
				   0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab,
				   0x5f },
		4, "the logical sector size" },
	[ITEM_PHYS] = { { 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c,
				0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56 },
		4, "the physical sector size" },
	[ITEM_ID] = { { 0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93,
			      0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46 },
		0, "the id" },
	[ITEM_PARENT] = { { 0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
				  0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab,
				  0x0c },
		0, "the parent" },
};

static int damaged(struct err *e, const struct node *file, const char *what)
{
	return err_set(e, EINVAL,
		"%s: damaged VHDX: %s; get the image from its source again",
		file->path, what);
}

bool vhdx_meta_probe(const void *head, uint64_t len)
{
	return len >= 8 && !memcmp(head, "vhdxfile", 8);
}

int vhdx_meta_pread(struct node *file, const struct vhdx_overlay *overlay,
	uint64_t offset, void *buf, uint64_t len)
{
	int rc = node_read(file, offset, buf, len);

	if (!rc)
		vhdx_overlay_apply(overlay, offset, buf, len);
	return rc;
}

/* --- headers --- */

static bool header_is_good(const uint8_t *h)
{
	return !memcmp(h, "head", 4) &&
	       crc32c_without(h, HEADER_BYTES, 4) == get_le32(h + 4);
}

/* The current one of both at h (two of HEADER_BYTES), NULL = none. */
static const uint8_t *header_current(const uint8_t *h)
{
	const uint8_t *a = h, *b = h + HEADER_BYTES;
	bool a_good = header_is_good(a), b_good = header_is_good(b);

	if (a_good && b_good) {
		uint64_t x = get_le64(a + 8), y = get_le64(b + 8);

		if (x == y)
			return memcmp(a, b, HEADER_BYTES) ? NULL : a;
		return x > y ? a : b;
	}
	return a_good ? a : b_good ? b : NULL;
}

/* What the header h says of the log; len 0 = nothing is in it. */
static int header_log(const struct node *file, const uint8_t *h,
	uint64_t file_size, struct vhdx_log *log, struct err *e)
{
	memset(log, 0, sizeof(*log));
	if (get_le16(h + 66) != 1)
		return err_set(e, ENOTSUP,
			"%s: VHDX version %u is not supported, only 1",
			file->path, get_le16(h + 66));
	if (mem_is_zero(h + 48, GUID_BYTES))
		return 0;
	if (get_le16(h + 64) != 0)
		return err_set(e, ENOTSUP,
			"%s: VHDX log version %u is not supported, only 0",
			file->path, get_le16(h + 64));
	memcpy(log->guid, h + 48, GUID_BYTES);
	log->len = get_le32(h + 68);
	log->offset = get_le64(h + 72);
	if (!log->len || log->len % ALIGN || log->offset % ALIGN ||
		log->offset < ALIGN ||
		!size_in(log->offset, log->len, file_size))
		return damaged(e, file, "the log's place makes no sense");
	return 0;
}

static int read_headers(struct node *file, uint64_t file_size,
	struct vhdx_log *log, struct err *e)
{
	uint8_t *h = malloc(2 * HEADER_BYTES);
	const uint8_t *current;
	int rc;

	if (!h)
		return err_set(e, ENOMEM, "out of memory");
	rc = node_read(file, header_at[0], h, HEADER_BYTES);
	if (rc < 0) /* the other one may do */
		memset(h, 0, HEADER_BYTES);
	rc = node_read(file, header_at[1], h + HEADER_BYTES, HEADER_BYTES);
	if (rc < 0)
		memset(h + HEADER_BYTES, 0, HEADER_BYTES);
	current = header_current(h);
	if (!current)
		rc = damaged(e, file, "neither of its headers is good");
	else
		rc = header_log(file, current, file_size, log, e);
	free(h);
	return rc;
}

/* --- regions --- */

static int take_region(struct node *file, const uint8_t *b, uint64_t file_size,
	struct region *r, struct err *e)
{
	if (r->len)
		return damaged(e, file, "a region is there twice");
	r->offset = get_le64(b + 16);
	r->len = get_le32(b + 24);
	if (!r->len || r->len % ALIGN || r->offset % ALIGN ||
		r->offset < ALIGN || !size_in(r->offset, r->len, file_size))
		return damaged(e, file, "a region's place makes no sense");
	return 0;
}

static int parse_regions(struct node *file, const uint8_t *t,
	uint64_t file_size, struct region *bat, struct region *meta,
	struct err *e)
{
	uint32_t n = get_le32(t + 8);
	int rc = 0;

	if (n > TABLE_ENTRIES)
		return damaged(e, file, "too many regions");
	for (uint32_t i = 0; i < n && !rc; i++) {
		const uint8_t *b = t + 16 + i * ENTRY_BYTES;

		if (!memcmp(b, guid_bat, GUID_BYTES))
			rc = take_region(file, b, file_size, bat, e);
		else if (!memcmp(b, guid_metadata, GUID_BYTES))
			rc = take_region(file, b, file_size, meta, e);
		else if (get_le32(b + 28) & REGION_REQUIRED)
			rc = err_set(e, ENOTSUP,
				"%s: the VHDX has a region that is required "
				"and not known here (%08x-%04x-%04x...)",
				file->path, get_le32(b), get_le16(b + 4),
				get_le16(b + 6));
	}
	if (!rc && (!bat->len || !meta->len))
		rc = damaged(e, file, "no table of blocks, or no metadata");
	return rc;
}

static bool regions_are_good(const uint8_t *t)
{
	return !memcmp(t, "regi", 4) &&
	       crc32c_without(t, TABLE_BYTES, 4) == get_le32(t + 4);
}

/* buf: of TABLE_BYTES. */
static int read_regions(struct node *file, const struct vhdx_overlay *ov,
	uint64_t file_size, uint8_t *buf, struct region *bat,
	struct region *meta, struct err *e)
{
	for (int i = 0; i < 2; i++) {
		int rc = vhdx_meta_pread(file, ov, regions_at[i], buf,
			TABLE_BYTES);

		if (!rc && regions_are_good(buf))
			return parse_regions(file, buf, file_size, bat, meta,
				e);
	}
	return damaged(e, file, "neither of its region tables is good");
}

/* --- metadata --- */

static int read_item(struct node *file, const struct vhdx_overlay *ov,
	const struct region *meta, const uint8_t *b, enum item i,
	uint64_t *value, struct err *e)
{
	uint32_t at = get_le32(b + 16), len = get_le32(b + 20);
	uint8_t v[8] = { 0 };
	int rc;

	if (at < TABLE_BYTES || !size_in(at, len, meta->len) ||
		len < items[i].len)
		return damaged(e, file,
			"a metadata item's place makes no sense");
	rc = vhdx_meta_pread(file, ov, meta->offset + at, v, items[i].len);
	if (rc < 0)
		return err_sys(e, -rc, "%s: cannot read %s", file->path,
			items[i].name);
	*value = get_le64(v);
	return 0;
}

static int take_item(struct node *file, const struct vhdx_overlay *ov,
	const struct region *meta, const uint8_t *b, uint64_t *values,
	bool *seen, struct err *e)
{
	for (int i = 0; i < ITEMS; i++) {
		if (memcmp(b, items[i].guid, GUID_BYTES) != 0)
			continue;
		if (seen[i])
			return damaged(e, file,
				"a metadata item is there twice");
		seen[i] = true;
		if (!items[i].len)
			return 0;
		return read_item(file, ov, meta, b, (enum item)i, &values[i],
			e);
	}
	if (get_le32(b + 24) & ITEM_REQUIRED)
		return err_set(e, ENOTSUP,
			"%s: the VHDX has a metadata item that is required and "
			"not known here (%08x-%04x-%04x...)",
			file->path, get_le32(b), get_le16(b + 4),
			get_le16(b + 6));
	return 0;
}

static int check_values(struct node *file, const uint64_t *v,
	struct vhdx_meta *out, struct err *e)
{
	uint64_t block = v[ITEM_PARAMS] & UINT32_MAX;
	uint64_t logical = v[ITEM_LOGICAL], phys = v[ITEM_PHYS];

	if ((v[ITEM_PARAMS] >> 32) & PARAM_HAS_PARENT)
		return err_set(e, ENOTSUP,
			"%s: it is a differencing VHDX (a checkpoint), which "
			"holds only changes to another image; merge it with "
			"Merge-VHD, or Convert-VHD it to a full one",
			file->path);
	if (!size_is_pow2(block) || block < MiB || block > BLOCK_SIZE_MAX)
		return damaged(e, file, "the block size makes no sense");
	if ((logical != 512 && logical != 4096) ||
		(phys != 512 && phys != 4096))
		return damaged(e, file, "the sector size makes no sense");
	if (v[ITEM_SIZE] % logical || v[ITEM_SIZE] > SIZE_LIMIT)
		return damaged(e, file, "the disk's size makes no sense");
	out->size = v[ITEM_SIZE];
	out->block_size = (uint32_t)block;
	out->logical_size = (uint32_t)logical;
	out->phys_size = (uint32_t)phys;
	return 0;
}

/* buf: of TABLE_BYTES. */
static int read_metadata(struct node *file, const struct vhdx_overlay *ov,
	const struct region *meta, uint8_t *buf, struct vhdx_meta *out,
	struct err *e)
{
	uint64_t values[ITEMS] = { 0 };
	bool seen[ITEMS] = { false };
	int rc = vhdx_meta_pread(file, ov, meta->offset, buf, TABLE_BYTES);
	unsigned n;

	if (rc < 0)
		return err_sys(e, -rc, "%s: cannot read the VHDX metadata",
			file->path);
	n = get_le16(buf + 10);
	if (memcmp(buf, "metadata", 8) != 0 || n > TABLE_ENTRIES)
		return damaged(e, file, "there is no metadata table");
	for (unsigned i = 0; i < n && !rc; i++)
		rc = take_item(file, ov, meta, buf + (i + 1) * ENTRY_BYTES,
			values, seen, e);
	for (int i = 0; i < ITEMS && !rc; i++)
		if (items[i].len && !seen[i])
			rc = damaged(e, file, "a metadata item is missing");
	return rc ? rc : check_values(file, values, out, e);
}

/* --- all of it --- */

/* Is the table of blocks as long as the disk needs? */
static int check_bat(struct node *file, const struct vhdx_meta *m,
	const struct region *bat, struct err *e)
{
	uint64_t blocks = (m->size + m->block_size - 1) / m->block_size;
	uint64_t entries = blocks;

	if (blocks)
		entries += (blocks - 1) / vhdx_chunk_ratio(m);
	if (entries * 8 > bat->len)
		return damaged(e, file,
			"the table of blocks is too short for the disk");
	return 0;
}

static int read_tables(struct node *file, const struct vhdx_overlay *ov,
	struct vhdx_meta *out, struct err *e)
{
	struct region bat = { 0 }, meta = { 0 };
	uint8_t *buf = malloc(TABLE_BYTES);
	int rc;

	if (!buf)
		return err_set(e, ENOMEM, "out of memory");
	rc = read_regions(file, ov, out->file_size, buf, &bat, &meta, e);
	if (!rc)
		rc = read_metadata(file, ov, &meta, buf, out, e);
	if (!rc)
		rc = check_bat(file, out, &bat, e);
	out->bat_at = bat.offset;
	free(buf);
	return rc;
}

int vhdx_meta_read(struct node *file, struct vhdx_meta *out,
	struct vhdx_overlay *overlay, struct err *e)
{
	uint8_t head[8] = { 0 };
	struct vhdx_log log = { 0 };
	int rc = node_read(file, 0, head, sizeof(head));

	if (rc < 0)
		return err_sys(e, -rc, "%s: cannot read the VHDX header",
			file->path);
	if (!vhdx_meta_probe(head, sizeof(head)))
		return err_set(e, EINVAL, "%s: not a VHDX image", file->path);
	memset(out, 0, sizeof(*out));
	out->file_size = size_up(node_size(file), 512);
	rc = read_headers(file, out->file_size, &log, e);
	if (!rc && log.len)
		rc = vhdx_log_read(file, &log, &out->file_size, overlay, e);
	if (!rc)
		rc = read_tables(file, overlay, out, e);
	if (rc < 0)
		vhdx_overlay_fini(overlay);
	return rc;
}
