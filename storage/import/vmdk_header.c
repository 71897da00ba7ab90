// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Opening a sparse extent: its header (one sector, little endian), the
 * footer that replaces it in a file that was written as a stream, and the
 * grain directories. Every offset is checked here to be inside the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/import/vmdk_desc.h"
#include "storage/import/vmdk_sparse.h"
#include "storage/import/vmdk_sparse_priv.h"

#define MAGIC_SPARSE 0x564d444b /* "KDMV" */
#define MAGIC_COWD   0x44574f43 /* "COWD", of ESX before VMFS 3 */
#define GD_AT_END    UINT64_MAX
#define FOOTER_SCAN  65536 /* bytes at the end: some tools pad the file */

#define FLAG_NEWLINES    1u /* the four bytes to detect text transfers */
#define FLAG_SECOND_DIR  2u
#define FLAG_ZERO_GRAINS 4u
#define FLAG_COMPRESSED  0x10000u
#define FLAG_MARKERS     0x20000u
#define FLAGS_KNOWN                                                            \
	(FLAG_NEWLINES | FLAG_SECOND_DIR | FLAG_ZERO_GRAINS |                  \
		FLAG_COMPRESSED | FLAG_MARKERS)

#define GRAIN_MAX_SECTORS  0x10000 /* 32 MiB */
#define PACKED_MAX_SECTORS 4096    /* 2 MiB: one is unpacked in memory */
#define TABLE_MAX_ENTRIES  512

enum marker { MARKER_END, MARKER_TABLE, MARKER_DIR, MARKER_FOOTER };

struct header {
	uint32_t version, flags;
	uint64_t capacity, grain; /* sectors, as all that follow */
	uint64_t desc_at, desc_len;
	uint32_t table_entries;
	uint64_t dir2_at, dir_at;
	bool unclean;
	uint8_t newlines[4];
	uint16_t compression;
};

static int damaged(struct err *e, const char *path, const char *what)
{
	return err_set(e, EINVAL,
		"%s: damaged VMDK: %s; get the image from its source again",
		path, what);
}

bool vmdk_sparse_probe(const void *head, uint64_t len)
{
	return len >= 4 &&
	       (get_le32(head) == MAGIC_SPARSE || get_le32(head) == MAGIC_COWD);
}

static void header_decode(const uint8_t *b, struct header *h)
{
	h->version = get_le32(b + 4);
	h->flags = get_le32(b + 8);
	h->capacity = get_le64(b + 12);
	h->grain = get_le64(b + 20);
	h->desc_at = get_le64(b + 28);
	h->desc_len = get_le64(b + 36);
	h->table_entries = get_le32(b + 44);
	h->dir2_at = get_le64(b + 48);
	h->dir_at = get_le64(b + 56);
	h->unclean = b[72] != 0;
	memcpy(h->newlines, b + 73, 4);
	h->compression = get_le16(b + 77);
}

/* --- what we can read at all --- */

static int check_features(const struct header *h, const char *path,
	struct err *e)
{
	bool packed = h->flags & FLAG_COMPRESSED;

	if (h->version < 1 || h->version > 3)
		return err_set(e, ENOTSUP,
			"%s: VMDK version %u is not supported, only 1 to 3",
			path, h->version);
	if (h->flags & ~FLAGS_KNOWN)
		return err_set(e, ENOTSUP,
			"%s: the VMDK has features that are not known here "
			"(flags 0x%x)",
			path, h->flags & ~FLAGS_KNOWN);
	if (packed != !!(h->flags & FLAG_MARKERS))
		return err_set(e, ENOTSUP,
			"%s: a VMDK with compressed grains but no markers (or "
			"the other way) is not supported",
			path);
	if (h->compression > 1 || (packed && h->compression != 1))
		return err_set(e, ENOTSUP,
			"%s: VMDK compression method %u is not supported", path,
			h->compression);
	if ((h->flags & FLAG_NEWLINES) &&
		memcmp(h->newlines, "\n \r\n", 4) != 0)
		return damaged(e, path,
			"it was copied as text, not as binary data");
	return 0;
}

static int check_layout(struct vmdk_sparse *s, const struct header *h,
	const char *path, struct err *e)
{
	uint64_t grain_max = s->packed ? PACKED_MAX_SECTORS : GRAIN_MAX_SECTORS;
	uint64_t per_table;

	if (!size_mul(h->capacity, VMDK_SECTOR, &s->size) ||
		s->size > MAPPED_SIZE_MAX)
		return damaged(e, path, "its capacity is too large");
	if (!size_is_pow2(h->grain) || h->grain > grain_max)
		return damaged(e, path, "the grain size makes no sense");
	if (!h->table_entries || h->table_entries > TABLE_MAX_ENTRIES)
		return damaged(e, path, "the grain table size makes no sense");
	s->grain_bytes = h->grain * VMDK_SECTOR;
	s->table_entries = h->table_entries;
	per_table = s->grain_bytes * s->table_entries;
	s->ntables = s->size / per_table + (s->size % per_table != 0);
	return 0;
}

static int take_desc(struct vmdk_sparse *s, const struct header *h,
	const char *path, struct err *e)
{
	if (!h->desc_at)
		return 0;
	if (!h->desc_len ||
		!size_mul(h->desc_at, VMDK_SECTOR, &s->desc_offset) ||
		!size_mul(h->desc_len, VMDK_SECTOR, &s->desc_len) ||
		s->desc_len > VMDK_DESC_MAX ||
		!size_in(s->desc_offset, s->desc_len, s->file_size))
		return damaged(e, path,
			"the descriptor's place makes no sense");
	return 0;
}

/* --- the footer of a stream --- */

static bool marker_is(const uint8_t *b, uint64_t sectors, enum marker type)
{
	return get_le64(b) == sectors && !get_le32(b + 8) &&
	       get_le32(b + 12) == (uint32_t)type;
}

/*
 * The header is there a second time in the end, with the directory's place:
 * a marker, the footer, the end marker.
 */
static int read_footer(struct vmdk_sparse *s, const struct header *first,
	struct header *out, struct err *e)
{
	uint64_t len = s->file_size < FOOTER_SCAN ? s->file_size : FOOTER_SCAN;
	const char *path = s->file->path;
	uint8_t *buf = malloc(len);
	int rc;

	if (!buf)
		return err_set(e, ENOMEM, "out of memory");
	rc = node_read(s->file, s->file_size - len, buf, len);
	if (rc < 0) {
		free(buf);
		return err_sys(e, -rc, "%s: cannot read the VMDK footer", path);
	}
	rc = damaged(e, path, "the footer is missing: it is not complete");
	for (uint64_t at = len - VMDK_SECTOR; at >= 2 * VMDK_SECTOR;
		at -= VMDK_SECTOR) {
		const uint8_t *b = buf + at - VMDK_SECTOR;

		if (!marker_is(buf + at, 0, MARKER_END) ||
			get_le32(b) != MAGIC_SPARSE ||
			!marker_is(b - VMDK_SECTOR, 1, MARKER_FOOTER))
			continue;
		header_decode(b, out);
		rc = 0;
		break;
	}
	free(buf);
	if (!rc && (out->flags != first->flags ||
			   out->capacity != first->capacity ||
			   out->grain != first->grain ||
			   out->table_entries != first->table_entries ||
			   out->dir_at == GD_AT_END))
		return damaged(e, path, "the footer does not fit the header");
	return rc;
}

/* --- directories --- */

static bool table_in_file(const struct vmdk_sparse *s, uint32_t sector)
{
	return sector != VMDK_BAD_TABLE &&
	       size_in(sector * VMDK_SECTOR, s->table_entries * 4u,
		       s->file_size);
}

/*
 * The directory at sector into *out (malloc), entries that cannot be right
 * as VMDK_BAD_TABLE. 0 (*out is NULL when it cannot be read), or -ENOMEM.
 */
static int read_dir(struct vmdk_sparse *s, uint64_t sector, uint32_t **out)
{
	uint64_t len = s->ntables * 4, at;
	uint32_t *dir;

	*out = NULL;
	if (!sector || !size_mul(sector, VMDK_SECTOR, &at) ||
		!size_in(at, len, s->file_size))
		return 0;
	dir = malloc(len ? len : 1);
	if (!dir)
		return -ENOMEM;
	if (node_read(s->file, at, dir, len) < 0) {
		free(dir);
		return 0;
	}
	for (uint64_t i = 0; i < s->ntables; i++) {
		dir[i] = get_le32(&dir[i]);
		if (!table_in_file(s, dir[i]))
			dir[i] = VMDK_BAD_TABLE;
	}
	*out = dir;
	return 0;
}

/* Is there for each table one copy at least? Tells when not both. */
static int check_dirs(struct vmdk_sparse *s, struct err *e)
{
	const char *path = s->file->path;
	uint64_t bad = 0;

	if (!s->dir) {
		s->dir = s->dir2;
		s->dir2 = NULL;
		bad = s->dir ? s->ntables : 0;
	}
	if (!s->dir)
		return damaged(e, path, "it has no readable grain directory");
	for (uint64_t i = 0; i < s->ntables; i++) {
		if (s->dir[i] != VMDK_BAD_TABLE)
			continue;
		bad++;
		if (!s->dir2 || s->dir2[i] == VMDK_BAD_TABLE)
			return damaged(e, path,
				"the grain directory names tables past the end "
				"of the file (is it cut off?)");
	}
	if (bad)
		log_msg(s->file->log, LOG_WARN,
			"%s: the VMDK's grain directory is damaged; its second "
			"copy serves",
			path);
	return 0;
}

static int read_dirs(struct vmdk_sparse *s, const struct header *h,
	uint64_t *dir_bytes, struct err *e)
{
	bool two = h->flags & FLAG_SECOND_DIR;
	uint64_t need = s->ntables * 4 * (two ? 2 : 1);
	int rc;

	/* before the sum is trusted: ntables is below 2^62 / 2^9 */
	if (need > *dir_bytes)
		return err_set(e, ENOTSUP,
			"%s: the VMDK's grain directories take more than %llu "
			"MiB; that is not supported",
			s->file->path,
			(unsigned long long)(MAPPED_TABLES_MAX >> 20));
	rc = read_dir(s, h->dir_at, &s->dir);
	if (!rc && two)
		rc = read_dir(s, h->dir2_at, &s->dir2);
	if (rc < 0)
		return err_set(e, -rc, "out of memory");
	rc = check_dirs(s, e);
	if (!rc)
		*dir_bytes -= need;
	return rc;
}

/* --- open --- */

static int open_header(struct vmdk_sparse *s, const uint8_t *b,
	struct header *h, struct err *e)
{
	const char *path = s->file->path;
	struct header first;
	int rc;

	if (get_le32(b) == MAGIC_COWD)
		return err_set(e, ENOTSUP,
			"%s: sparse extents of ESX (COWD) are not supported; "
			"clone the disk with vmkfstools -i",
			path);
	if (get_le32(b) != MAGIC_SPARSE)
		return err_set(e, EINVAL, "%s: not a sparse VMDK extent", path);
	header_decode(b, h);
	rc = check_features(h, path, e);
	if (rc < 0)
		return rc;
	s->packed = h->flags & FLAG_COMPRESSED;
	s->zero_grains = h->flags & FLAG_ZERO_GRAINS;
	rc = check_layout(s, h, path, e);
	if (!rc)
		rc = take_desc(s, h, path, e);
	if (rc < 0 || h->dir_at != GD_AT_END)
		return rc;
	first = *h;
	return read_footer(s, &first, h, e);
}

int vmdk_sparse_open(struct vmdk_sparse *s, struct node *file,
	uint64_t *dir_bytes, struct err *e)
{
	uint8_t b[VMDK_SECTOR] = { 0 };
	struct header h = { 0 };
	int rc;

	memset(s, 0, sizeof(*s));
	s->file = file;
	s->file_size = size_up(node_size(file), VMDK_SECTOR);
	rc = node_read(file, 0, b, sizeof(b));
	if (rc < 0)
		return err_sys(e, -rc, "%s: cannot read the VMDK header",
			file->path);
	rc = open_header(s, b, &h, e);
	if (!rc)
		rc = read_dirs(s, &h, dir_bytes, e);
	if (rc) {
		vmdk_sparse_fini(s);
		return rc;
	}
	if (h.unclean)
		log_msg(file->log, LOG_WARN,
			"%s: the VMDK was not closed cleanly by the program "
			"that wrote it; its last writes may be missing",
			file->path);
	return 0;
}

void vmdk_sparse_fini(struct vmdk_sparse *s)
{
	free(s->dir);
	free(s->dir2);
	s->dir = s->dir2 = NULL;
}
