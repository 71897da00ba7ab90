// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Looking up and unpacking grains. The directories are in memory, the tables
 * in the cache. An entry of the first table that cannot be right (its grain
 * is not in the file), or a table that cannot be read, sends us to the second
 * one; only when that is no better the read fails.
 */
#include "storage/import/vmdk_sparse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/core/ctx.h"
#include "storage/core/sync.h"
#include "storage/import/vmdk_sparse_priv.h"

#define GRAIN_NONE   0  /* never written */
#define GRAIN_ZERO   1  /* reads as zeros, with zero_grains */
#define MARKER_BYTES 12 /* sector of disk, bytes of packed data */

/* Bytes of the grain of offset that are part of the disk. */
static uint64_t grain_len(const struct vmdk_sparse *s, uint64_t offset)
{
	uint64_t left = s->size - size_down(offset, s->grain_bytes);

	return left < s->grain_bytes ? left : s->grain_bytes;
}

static bool grain_is_good(const struct vmdk_sparse *s, uint64_t offset,
	uint32_t entry)
{
	uint64_t need = s->packed ? MARKER_BYTES + 1 : grain_len(s, offset);

	if (entry == GRAIN_NONE || (entry == GRAIN_ZERO && s->zero_grains))
		return true;
	return size_in(entry * VMDK_SECTOR, need, s->file_size);
}

/* Where the table entry of offset is in the file, by directory dir. False =
 * that directory has no good table there. *at = 0: has none, zeros. */
static bool entry_place(const struct vmdk_sparse *s, const uint32_t *dir,
	uint64_t offset, uint64_t *at)
{
	uint64_t grain = offset / s->grain_bytes;
	uint32_t table;

	if (!dir)
		return false;
	table = dir[grain / s->table_entries];
	if (table == VMDK_BAD_TABLE)
		return false;
	*at = table ? table * VMDK_SECTOR + grain % s->table_entries * 4 : 0;
	return true;
}

/* 0 with *entry, -EAGAIN with *at (what to load), -EIO: no good. */
static int entry_get(const struct vmdk_sparse *s, struct tcache *c,
	const uint32_t *dir, uint64_t offset, uint32_t *entry, uint64_t *at)
{
	const uint8_t *p;

	if (!entry_place(s, dir, offset, at))
		return -EIO;
	*entry = GRAIN_NONE;
	if (!*at)
		return 0;
	p = tcache_find(c, s->file, *at);
	if (!p)
		return -EAGAIN;
	*entry = get_le32(p);
	return grain_is_good(s, offset, *entry) ? 0 : -EIO;
}

/* By the first directory, else by the second; *used is the one. */
static int entry_find(const struct vmdk_sparse *s, struct tcache *c,
	uint64_t offset, uint32_t *entry, uint64_t *at, uint32_t **used)
{
	int rc;

	*used = s->dir;
	rc = entry_get(s, c, s->dir, offset, entry, at);
	if (rc != -EIO || !s->dir2)
		return rc;
	*used = s->dir2;
	return entry_get(s, c, s->dir2, offset, entry, at);
}

int vmdk_sparse_map(struct vmdk_sparse *s, struct mapped *m, struct tcache *c,
	uint64_t offset, uint64_t len, struct mapped_piece *out)
{
	uint64_t in = offset % s->grain_bytes, at = 0;
	uint32_t entry = 0, *used;
	int rc = entry_find(s, c, offset, &entry, &at, &used);

	if (rc == -EIO)
		return mapped_damaged(m,
			"%s: no good grain table entry for offset %llu (is it "
			"cut off?)",
			s->file->path, (unsigned long long)offset);
	if (rc < 0)
		return rc;
	out->len = grain_len(s, offset) - in;
	if (out->len > len)
		out->len = len;
	out->present = entry != GRAIN_NONE;
	out->kind = MAPPED_ZERO;
	if (entry == GRAIN_NONE || (entry == GRAIN_ZERO && s->zero_grains))
		return 0;
	out->file = s->file;
	out->host = entry * VMDK_SECTOR;
	out->compressed = s->packed;
	out->kind = s->packed ? MAPPED_PACKED : MAPPED_DATA;
	if (!s->packed)
		out->host += in;
	return 0;
}

int vmdk_sparse_load(struct vmdk_sparse *s, struct tcache *c, uint64_t offset)
{
	uint32_t entry, *used;
	uint64_t at = 0;
	int rc = entry_find(s, c, offset, &entry, &at, &used);

	if (rc != -EAGAIN)
		return 0; /* another fiber was quicker; map() looks again */
	rc = tcache_load(c, s->file, at);
	if (rc < 0 && rc != -ENOMEM && used == s->dir && s->dir2) {
		/* from now on the second one serves */
		used[offset / s->grain_bytes / s->table_entries] =
			VMDK_BAD_TABLE;
		return 0;
	}
	return rc;
}

/* --- packed grains --- */

struct unpack {
	uint8_t *out;
	uLongf out_len;
	const uint8_t *in;
	uint64_t in_len;
};

/* On a thread of the pool. */
static int unpack_run(void *arg)
{
	struct unpack *u = arg;
	int rc = uncompress(u->out, &u->out_len, u->in, u->in_len);

	return rc == Z_OK ? 0 : rc == Z_MEM_ERROR ? -ENOMEM : -EIO;
}

/*
 * Marker and packed data at host into *buf (malloc), the length of the data
 * into *len. Mostly one read: as much as the grain before took.
 */
static int read_packed(struct vmdk_sparse *s, struct mapped *m, uint64_t host,
	uint8_t **buf, uint64_t *len)
{
	uint64_t left = s->file_size - host;
	uint64_t room = MARKER_BYTES + 2 * s->grain_bytes;
	uint64_t got = size_up(s->packed_guess + VMDK_SECTOR, 4096);
	int rc;

	room = room < left ? room : left;
	got = got < room ? got : room;
	*buf = malloc(room);
	if (!*buf)
		return -ENOMEM;
	rc = node_read(s->file, host, *buf, got);
	if (rc < 0)
		return rc;
	*len = get_le32(*buf + 8);
	if (!*len || *len > room - MARKER_BYTES)
		return mapped_damaged(m,
			"%s: the packed grain at %llu has a length of %llu",
			s->file->path, (unsigned long long)host,
			(unsigned long long)*len);
	s->packed_guess = *len;
	if (MARKER_BYTES + *len > got)
		rc = node_read(s->file, host + got, *buf + got,
			MARKER_BYTES + *len - got);
	return rc;
}

int vmdk_sparse_unpack(struct vmdk_sparse *s, struct mapped *m, uint64_t offset,
	uint64_t host, uint8_t *buf)
{
	uint64_t first = size_down(offset, s->grain_bytes);
	struct unpack u = { .out = buf, .out_len = s->grain_bytes };
	uint8_t *packed = NULL;
	int rc = read_packed(s, m, host, &packed, &u.in_len);

	if (rc < 0)
		goto out;
	if (get_le64(packed) != first / VMDK_SECTOR) {
		rc = mapped_damaged(m,
			"%s: the packed grain at %llu is not that of offset "
			"%llu",
			s->file->path, (unsigned long long)host,
			(unsigned long long)first);
		goto out;
	}
	u.in = packed + MARKER_BYTES;
	rc = ctx_work(s->file->ctx, unpack_run, &u);
	if (rc == -ENOMEM)
		goto out;
	if (rc < 0 || u.out_len < grain_len(s, offset))
		rc = mapped_damaged(m,
			"%s: the packed grain at %llu cannot be unpacked",
			s->file->path, (unsigned long long)host);
	else /* what is behind the disk's end may be left out */
		memset(buf + u.out_len, 0, s->grain_bytes - u.out_len);
out:
	free(packed);
	return rc;
}
