// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * VDI, VirtualBox's disk image, version 1.1 (facts: VDICore.h of VirtualBox).
 * A header of 512 bytes, a table of one 32-bit number a block, the blocks.
 * Dynamic and static ones are the same to a reader. Little endian. What is a
 * child of another image (a snapshot) is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/core/sync.h"
#include "storage/import/import.h"
#include "storage/import/mapped.h"
#include "storage/import/tcache.h"

#define VDI_SIGNATURE_AT 0x40
#define VDI_SIGNATURE    0xbeda107f
#define VDI_VERSION      0x00010001
#define VDI_HEADER_BYTES 512
#define VDI_HEADER_SIZE  0x180 /* as the field says it, at least */
#define VDI_BLOCK_MIN    4096
#define VDI_BLOCK_MAX    (UINT64_C(256) << 20)

#define VDI_FREE    0xffffffff /* never written */
#define VDI_ZERO    0xfffffffe /* discarded: reads as zeros */
#define TABLE_PIECE 65536

enum vdi_type { VDI_DYNAMIC = 1, VDI_STATIC, VDI_UNDO, VDI_DIFFERENCING };

struct vdi {
	struct mapped m;
	struct tcache tables;
	uint64_t file_size; /* in whole sectors */
	uint64_t map_at;    /* offset of the table */
	uint64_t data_at;   /* offset of block 0 */
	uint64_t block_size;
};

static struct vdi *vdi_of(struct mapped *m)
{
	return container_of(m, struct vdi, m);
}

bool vdi_probe(const void *head, uint64_t len)
{
	return len >= VDI_SIGNATURE_AT + 8 &&
	       get_le32((const char *)head + VDI_SIGNATURE_AT) == VDI_SIGNATURE;
}

/* --- the map --- */

static uint64_t vdi_entry_at(const struct vdi *v, uint64_t offset)
{
	return v->map_at + offset / v->block_size * 4;
}

static int vdi_map(struct mapped *m, uint64_t offset, uint64_t len,
	struct mapped_piece *out)
{
	struct vdi *v = vdi_of(m);
	uint64_t in = offset % v->block_size, at;
	const uint8_t *p =
		tcache_find(&v->tables, m->file, vdi_entry_at(v, offset));
	uint32_t entry;

	if (!p)
		return -EAGAIN;
	entry = get_le32(p);
	out->len = v->block_size - in;
	if (out->len > len)
		out->len = len;
	out->kind = MAPPED_ZERO;
	out->present = entry != VDI_FREE;
	if (entry == VDI_FREE || entry == VDI_ZERO)
		return 0;

	/* below 2^32 * 2^28 + 2^32 + 2^28: it fits */
	at = v->data_at + entry * v->block_size + in;
	if (!size_in(at, out->len, v->file_size))
		return mapped_damaged(m,
			"block %llu lies at %llu, past the end of the file",
			(unsigned long long)(offset / v->block_size),
			(unsigned long long)at);
	out->kind = MAPPED_DATA;
	out->file = m->file;
	out->host = at;
	return 0;
}

static int vdi_load(struct mapped *m, uint64_t offset)
{
	struct vdi *v = vdi_of(m);

	return tcache_load(&v->tables, m->file, vdi_entry_at(v, offset));
}

static void vdi_free(struct mapped *m)
{
	struct vdi *v = vdi_of(m);

	tcache_fini(&v->tables);
	node_close(m->file);
	free(v);
}

static const struct mapped_ops vdi_mapped_ops = {
	.format = "vdi",
	.map = vdi_map,
	.load = vdi_load,
	.free = vdi_free,
};

/* --- open --- */

/* Is it a kind of image that stands for itself? */
static int vdi_check_kind(const uint8_t *h, const char *path, struct err *e)
{
	uint32_t version = get_le32(h + 0x44), type = get_le32(h + 0x4c);

	if (version != VDI_VERSION)
		return err_set(e, ENOTSUP,
			"%s: VDI version %u.%u is not supported, only 1.1",
			path, version >> 16, version & 0xffff);
	if (type == VDI_DIFFERENCING || type == VDI_UNDO ||
		!mem_is_zero(h + 0x1a8, 32))
		return err_set(e, ENOTSUP,
			"%s: it is a differencing VDI (a snapshot), which "
			"holds only changes to another image; make a full "
			"one with VBoxManage clonemedium",
			path);
	if (type != VDI_DYNAMIC && type != VDI_STATIC)
		return err_set(e, ENOTSUP, "%s: unknown VDI image type %u",
			path, type);
	if (get_le32(h + 0x17c))
		return err_set(e, ENOTSUP,
			"%s: VDI with %u bytes before each block is not "
			"supported",
			path, get_le32(h + 0x17c));
	return 0;
}

static int vdi_bad(struct err *e, const char *path, const char *what)
{
	return err_set(e, EINVAL,
		"%s: damaged VDI header: %s; get the image from its source "
		"again",
		path, what);
}

/* Take the layout from header h and check that all of it is in the file. */
static int vdi_read_layout(struct vdi *v, const uint8_t *h, const char *path,
	struct err *e)
{
	uint64_t size = get_le64(h + 0x170);
	uint64_t blocks = get_le32(h + 0x180);

	v->map_at = get_le32(h + 0x154);
	v->data_at = get_le32(h + 0x158);
	v->block_size = get_le32(h + 0x178);
	if (get_le32(h + 0x48) < VDI_HEADER_SIZE)
		return vdi_bad(e, path, "its size is too small");
	if (get_le32(h + 0x168) != 512)
		return vdi_bad(e, path, "the sector size is not 512");
	if (!size_is_pow2(v->block_size) || v->block_size < VDI_BLOCK_MIN ||
		v->block_size > VDI_BLOCK_MAX)
		return vdi_bad(e, path,
			"the block size is no power of 2 from 4 KiB to "
			"256 MiB");
	if (v->map_at < VDI_HEADER_BYTES || v->map_at % 4)
		return vdi_bad(e, path, "the table is at a wrong place");
	if (!size_in(v->map_at, blocks * 4, v->file_size))
		return vdi_bad(e, path,
			"the table ends past the end of the file");
	if (v->data_at < v->map_at + blocks * 4)
		return vdi_bad(e, path, "the data overlaps the table");
	if (size > blocks * v->block_size)
		return vdi_bad(e, path,
			"the disk is larger than the table covers");
	/* VBoxManage makes odd sizes; that is what it rounds them to */
	v->m.size = size_up(size, 512);
	v->m.cluster_size = (uint32_t)v->block_size;
	return 0;
}

int vdi_open(const struct import_open *o, struct node **out, struct err *e)
{
	uint8_t h[VDI_HEADER_BYTES] = { 0 };
	const char *path = o->file->path;
	struct vdi *v;
	int rc;

	rc = node_read(o->file, 0, h, sizeof(h));
	if (rc < 0)
		return err_sys(e, -rc, "%s: cannot read the VDI header", path);
	if (!vdi_probe(h, sizeof(h)))
		return err_set(e, EINVAL, "%s: not a VDI image", path);
	rc = vdi_check_kind(h, path, e);
	if (rc < 0)
		return rc;
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, ENOMEM, "out of memory");
	v->file_size = size_up(node_size(o->file), 512);
	rc = vdi_read_layout(v, h, path, e);
	if (!rc)
		rc = mapped_init(&v->m, &vdi_mapped_ops, o->file, e);
	if (rc < 0) {
		free(v);
		return rc;
	}
	tcache_init(&v->tables, TABLE_PIECE, MAPPED_TABLES_MAX, NULL, NULL);
	*out = &v->m.node;
	return 0;
}
