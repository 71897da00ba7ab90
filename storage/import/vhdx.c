// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * VHDX, Hyper-V's disk image ([MS-VHDX]): a table of 64-bit entries (the BAT)
 * says where each block is; behind every chunk of blocks stands an entry for
 * a bitmap that only differencing images use, which are refused. What the log
 * still has to say is laid over every read.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/import/import.h"
#include "storage/import/mapped.h"
#include "storage/import/tcache.h"
#include "storage/import/vhdx_meta.h"

#define TABLE_PIECE 65536

/* Bits 0-2 of an entry; 20-63 are the block's offset in MiB. */
enum bat_state {
	BAT_NOT_PRESENT,
	BAT_UNDEFINED,
	BAT_ZERO,
	BAT_UNMAPPED,
	BAT_UNMAPPED_095 = 5, /* of drafts of the format */
	BAT_FULL = 6,
	BAT_PARTIAL,
};

struct vhdx {
	struct mapped m;
	struct vhdx_meta meta;
	struct vhdx_overlay overlay;
	struct tcache tables;
};

static struct vhdx *vhdx_of(struct mapped *m)
{
	return container_of(m, struct vhdx, m);
}

bool vhdx_probe(const void *head, uint64_t len)
{
	return vhdx_meta_probe(head, len);
}

static uint64_t bat_entry_at(const struct vhdx *v, uint64_t offset)
{
	uint64_t block = offset / v->meta.block_size;

	return v->meta.bat_at +
	       (block + block / vhdx_chunk_ratio(&v->meta)) * 8;
}

/* out->len bytes at host of the file, as the log has them. */
static void map_data(struct vhdx *v, uint64_t host, struct mapped_piece *out)
{
	const struct vhdx_write *w =
		vhdx_overlay_find(&v->overlay, host, &out->len);

	out->present = true;
	if (!w) {
		out->kind = MAPPED_DATA;
		out->file = v->m.file;
		out->host = host;
	} else if (w->data) {
		out->kind = MAPPED_MEM;
		out->mem = w->data + (host - w->start);
	} else {
		out->kind = MAPPED_ZERO;
	}
}

static int vhdx_map(struct mapped *m, uint64_t offset, uint64_t len,
	struct mapped_piece *out)
{
	struct vhdx *v = vhdx_of(m);
	uint64_t in = offset % v->meta.block_size, host, entry;
	const uint8_t *p =
		tcache_find(&v->tables, m->file, bat_entry_at(v, offset));

	if (!p)
		return -EAGAIN;
	entry = get_le64(p);
	out->len = v->meta.block_size - in;
	if (out->len > len)
		out->len = len;
	switch (entry & 7) {
	case BAT_NOT_PRESENT:
	case BAT_UNDEFINED:
	case BAT_ZERO:
	case BAT_UNMAPPED:
	case BAT_UNMAPPED_095:
		out->kind = MAPPED_ZERO;
		out->present = (entry & 7) != BAT_NOT_PRESENT;
		return 0;
	case BAT_FULL:
		break;
	default:
		return mapped_damaged(m, "block %llu is in state %u",
			(unsigned long long)(offset / v->meta.block_size),
			(unsigned)(entry & 7));
	}
	host = size_down(entry, MiB);
	if (host < MiB || !size_in(host, in + out->len, v->meta.file_size))
		return mapped_damaged(m,
			"block %llu lies at %llu, not in the file (is it cut "
			"off?)",
			(unsigned long long)(offset / v->meta.block_size),
			(unsigned long long)host);
	map_data(v, host + in, out);
	return 0;
}

static int vhdx_load(struct mapped *m, uint64_t offset)
{
	struct vhdx *v = vhdx_of(m);

	return tcache_load(&v->tables, m->file, bat_entry_at(v, offset));
}

static int read_table(void *arg, struct node *file, uint64_t offset, void *buf,
	uint64_t len)
{
	struct vhdx *v = arg;

	return vhdx_meta_pread(file, &v->overlay, offset, buf, len);
}

static void vhdx_free(struct mapped *m)
{
	struct vhdx *v = vhdx_of(m);

	tcache_fini(&v->tables);
	vhdx_overlay_fini(&v->overlay);
	node_close(m->file);
	free(v);
}

static const struct mapped_ops vhdx_mapped_ops = {
	.format = "vhdx",
	.map = vhdx_map,
	.load = vhdx_load,
	.free = vhdx_free,
};

int vhdx_open(const struct import_open *o, struct node **out, struct err *e)
{
	struct vhdx *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return err_set(e, ENOMEM, "out of memory");
	rc = vhdx_meta_read(o->file, &v->meta, &v->overlay, e);
	if (rc < 0)
		goto fail;
	v->m.size = v->meta.size;
	v->m.cluster_size = v->meta.block_size;
	v->m.phys_size = v->meta.phys_size;
	rc = mapped_init(&v->m, &vhdx_mapped_ops, o->file, e);
	if (rc < 0)
		goto fail;
	tcache_init(&v->tables, TABLE_PIECE, MAPPED_TABLES_MAX, read_table, v);
	*out = &v->m.node;
	return 0;
fail:
	vhdx_overlay_fini(&v->overlay);
	free(v);
	return rc;
}
