// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * VMDK, VMware's disk image: a descriptor (a text file, or embedded in the
 * one sparse file that is the disk) and extents in a row, each a sparse or
 * flat file or nothing but zeros. Extents are opened all at once, so that
 * what is missing is told before anything is read.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/import/import.h"
#include "storage/import/mapped.h"
#include "storage/import/tcache.h"
#include "storage/import/vmdk_desc.h"
#include "storage/import/vmdk_sparse.h"

/* Small: in streams tables lie between grains, and a bad sector should not
 * take the second copy of a table with it. */
#define TABLE_PIECE 4096
#define GRAINS_MAX  (UINT64_C(4) << 20)

struct extent {
	enum vmdk_extent_kind kind;
	uint64_t start, len; /* bytes of disk */
	struct node *file;   /* NULL: is the image's own, or zeros */
	uint64_t offset;     /* VMDK_FLAT: of its first byte in file */
	struct vmdk_sparse sparse;
};

struct vmdk {
	struct mapped m;
	unsigned nextents;
	struct extent *extents;
	uint64_t dir_bytes; /* what directories may still take */
	struct tcache tables;
	struct tcache grains;  /* unpacked, for reads of less than one */
	uint64_t grains_bytes; /* of one there; 0 = nothing is packed */
};

static struct vmdk *vmdk_of(struct mapped *m)
{
	return container_of(m, struct vmdk, m);
}

bool vmdk_probe(const void *head, uint64_t len)
{
	return vmdk_sparse_probe(head, len) || vmdk_desc_probe(head, len);
}

/* --- the map --- */

static struct extent *extent_of(struct vmdk *v, uint64_t offset)
{
	unsigned lo = 0, hi = v->nextents - 1;

	while (lo < hi) { /* the last one that begins at or before offset */
		unsigned mid = lo + (hi - lo + 1) / 2;

		if (v->extents[mid].start <= offset)
			lo = mid;
		else
			hi = mid - 1;
	}
	return &v->extents[lo];
}

static int sparse_map(struct vmdk *v, struct extent *x, uint64_t in,
	uint64_t len, struct mapped_piece *out)
{
	const uint8_t *p;
	int rc = vmdk_sparse_map(&x->sparse, &v->m, &v->tables, in, len, out);

	if (rc < 0 || out->kind != MAPPED_PACKED ||
		x->sparse.grain_bytes != v->grains_bytes)
		return rc;
	p = tcache_find(&v->grains, x->sparse.file, in);
	if (p) {
		out->kind = MAPPED_MEM;
		out->mem = p;
	}
	return 0;
}

static int vmdk_map(struct mapped *m, uint64_t offset, uint64_t len,
	struct mapped_piece *out)
{
	struct vmdk *v = vmdk_of(m);
	struct extent *x = extent_of(v, offset);
	uint64_t in = offset - x->start;

	if (len > x->len - in)
		len = x->len - in;
	if (x->kind == VMDK_SPARSE)
		return sparse_map(v, x, in, len, out);
	out->len = len;
	out->present = true;
	out->kind = MAPPED_ZERO;
	if (x->kind == VMDK_FLAT) {
		out->kind = MAPPED_DATA;
		out->file = x->file;
		out->host = x->offset + in;
	}
	return 0;
}

static int vmdk_load(struct mapped *m, uint64_t offset)
{
	struct vmdk *v = vmdk_of(m);
	struct extent *x = extent_of(v, offset);

	return vmdk_sparse_load(&x->sparse, &v->tables, offset - x->start);
}

static int vmdk_unpack(struct mapped *m, uint64_t offset,
	const struct mapped_piece *p, uint8_t *buf)
{
	struct vmdk *v = vmdk_of(m);
	struct extent *x = extent_of(v, offset);
	uint64_t in = offset - x->start, grain = x->sparse.grain_bytes;
	uint8_t *whole;
	int rc;

	if (p->len == grain)
		return vmdk_sparse_unpack(&x->sparse, m, in, p->host, buf);
	whole = malloc(grain);
	if (!whole)
		return -ENOMEM;
	rc = vmdk_sparse_unpack(&x->sparse, m, in, p->host, whole);
	if (!rc)
		memcpy(buf, whole + in % grain, p->len);
	if (!rc && grain == v->grains_bytes)
		tcache_add(&v->grains, x->sparse.file, in - in % grain, whole);
	else
		free(whole);
	return rc;
}

/* All but v->m.file, which is the caller's until open has succeeded. */
static void extents_free(struct vmdk *v)
{
	for (unsigned i = 0; i < v->nextents; i++) {
		struct extent *x = &v->extents[i];

		if (x->kind == VMDK_SPARSE)
			vmdk_sparse_fini(&x->sparse);
		node_close(x->file);
	}
	free(v->extents);
}

static void vmdk_free(struct mapped *m)
{
	struct vmdk *v = vmdk_of(m);

	tcache_fini(&v->tables);
	tcache_fini(&v->grains);
	extents_free(v);
	node_close(m->file);
	free(v);
}

static const struct mapped_ops vmdk_mapped_ops = {
	.format = "vmdk",
	.map = vmdk_map,
	.load = vmdk_load,
	.unpack = vmdk_unpack,
	.free = vmdk_free,
};

/* --- open: the descriptor --- */

/* len bytes of text at offset of file. */
static int read_desc(struct node *file, uint64_t offset, uint64_t len,
	struct vmdk_desc *out, struct err *e)
{
	char *text = malloc(len);
	int rc;

	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	rc = node_read(file, offset, text, len);
	if (rc < 0)
		err_sys(e, -rc, "%s: cannot read the VMDK descriptor",
			file->path);
	else
		rc = vmdk_desc_parse(text, len, file->path, out, e);
	free(text);
	return rc;
}

/* --- open: extents --- */

static int flat_open(struct extent *x, const struct vmdk_desc_extent *d,
	struct err *e)
{
	uint64_t size = size_up(node_size(x->file), VMDK_SECTOR);

	x->offset = d->offset;
	if (size_in(d->offset, d->len, size))
		return 0;
	return err_set(e, EINVAL,
		"%s: it is shorter than the VMDK's descriptor says (%llu "
		"bytes, not %llu): it is not complete; get it again",
		x->file->path, (unsigned long long)size,
		(unsigned long long)d->offset + d->len);
}

/* Too little in header against len of the descriptor? */
static int sparse_fits(const struct vmdk_sparse *s, uint64_t len, struct err *e)
{
	if (len <= s->size)
		return 0;
	return err_set(e, EINVAL,
		"%s: damaged VMDK: the descriptor says %llu bytes, the extent "
		"has %llu; is it that of another image?",
		s->file->path, (unsigned long long)len,
		(unsigned long long)s->size);
}

static int extent_open(struct vmdk *v, const struct import_open *o,
	const struct vmdk_desc_extent *d, struct extent *x, struct err *e)
{
	int rc;

	x->len = d->len;
	if (d->kind == VMDK_ZERO) {
		x->kind = VMDK_ZERO;
		return 0;
	}
	rc = o->open_extent(o->arg, d->name, &x->file, e);
	if (rc < 0) {
		x->file = NULL;
		return err_prefix(e, "extent \"%s\" of %s", d->name,
			o->file->path);
	}
	if (d->kind == VMDK_FLAT) {
		x->kind = VMDK_FLAT;
		return flat_open(x, d, e);
	}
	rc = vmdk_sparse_open(&x->sparse, x->file, &v->dir_bytes, e);
	if (rc < 0)
		return rc;
	x->kind = VMDK_SPARSE;
	return sparse_fits(&x->sparse, d->len, e);
}

/* An image that begins with text: all of it is in other files. */
static int open_text(struct vmdk *v, const struct import_open *o, struct err *e)
{
	uint64_t size = node_size(o->file);
	struct vmdk_desc d = { 0 };
	int rc;

	if (size > VMDK_DESC_MAX)
		return err_set(e, EINVAL,
			"%s: not a VMDK: a descriptor has at most 1 MiB",
			o->file->path);
	if (!o->open_extent)
		return err_set(e, ENOTSUP,
			"%s: the VMDK names other files; say that it is one "
			"(-f vmdk) to let it",
			o->file->path);
	rc = read_desc(o->file, 0, size, &d, e);
	if (rc < 0)
		return rc;
	assert(d.nextents); /* the parser's promise */
	v->extents = calloc(d.nextents, sizeof(v->extents[0]));
	if (!v->extents) {
		vmdk_desc_fini(&d);
		return err_set(e, ENOMEM, "out of memory");
	}
	for (unsigned i = 0; i < d.nextents && !rc; i++) {
		/* ZERO: nothing to free yet */
		v->extents[i].kind = VMDK_ZERO;
		v->extents[i].start = v->m.size;
		v->nextents++;
		rc = extent_open(v, o, &d.extents[i], &v->extents[i], e);
		v->m.size += d.extents[i].len;
	}
	vmdk_desc_fini(&d);
	return rc;
}

/* Does the embedded descriptor say that s is all of the disk? */
static int check_embedded(struct vmdk_sparse *s, const struct vmdk_desc *d,
	struct err *e)
{
	if (d->nextents != 1 || d->extents[0].kind != VMDK_SPARSE)
		return err_set(e, EINVAL,
			"%s: damaged VMDK: the descriptor in a sparse file "
			"names %u extents, not one sparse",
			s->file->path, d->nextents);
	return sparse_fits(s, d->extents[0].len, e);
}

/* An image that begins as a sparse extent: the disk is that one file. */
static int open_single(struct vmdk *v, const struct import_open *o,
	struct err *e)
{
	struct extent *x = calloc(1, sizeof(*x));
	struct vmdk_desc d = { 0 };
	int rc;

	if (!x)
		return err_set(e, ENOMEM, "out of memory");
	v->extents = x;
	rc = vmdk_sparse_open(&x->sparse, o->file, &v->dir_bytes, e);
	if (rc < 0)
		return rc;
	v->nextents = 1;
	x->kind = VMDK_SPARSE;
	x->len = v->m.size = x->sparse.size;
	if (!x->sparse.desc_len)
		return err_set(e, EINVAL,
			"%s: it has no descriptor: it is one of the extents of "
			"a split VMDK; give the small .vmdk file that names "
			"them",
			o->file->path);
	rc = read_desc(o->file, x->sparse.desc_offset, x->sparse.desc_len, &d,
		e);
	if (rc < 0)
		return rc;
	rc = check_embedded(&x->sparse, &d, e);
	vmdk_desc_fini(&d);
	return rc;
}

/* --- open --- */

static void caches_init(struct vmdk *v)
{
	for (unsigned i = 0; i < v->nextents; i++) {
		const struct vmdk_sparse *s = &v->extents[i].sparse;

		if (v->extents[i].kind != VMDK_SPARSE)
			continue;
		if (!v->m.cluster_size)
			v->m.cluster_size = (uint32_t)s->grain_bytes;
		if (s->packed && !v->grains_bytes)
			v->grains_bytes = s->grain_bytes;
		if (s->packed && v->m.unpack_bytes < s->grain_bytes)
			v->m.unpack_bytes = (uint32_t)s->grain_bytes;
	}
	tcache_init(&v->tables, TABLE_PIECE, MAPPED_TABLES_MAX, NULL, NULL);
	tcache_init(&v->grains,
		v->grains_bytes ? (uint32_t)v->grains_bytes : TABLE_PIECE,
		GRAINS_MAX, NULL, NULL);
}

int vmdk_open(const struct import_open *o, struct node **out, struct err *e)
{
	struct vmdk *v = calloc(1, sizeof(*v));
	uint8_t head[VMDK_SECTOR] = { 0 };
	int rc;

	if (!v)
		return err_set(e, ENOMEM, "out of memory");
	v->dir_bytes = MAPPED_TABLES_MAX;
	rc = node_read(o->file, 0, head, sizeof(head));
	if (rc < 0)
		err_sys(e, -rc, "%s: cannot read the VMDK header",
			o->file->path);
	else if (vmdk_sparse_probe(head, sizeof(head)))
		rc = open_single(v, o, e);
	else if (vmdk_desc_probe((char *)head, sizeof(head)))
		rc = open_text(v, o, e);
	else
		rc = err_set(e, EINVAL, "%s: not a VMDK image", o->file->path);
	if (!rc)
		rc = mapped_init(&v->m, &vmdk_mapped_ops, o->file, e);
	if (rc < 0) {
		extents_free(v);
		free(v);
		return rc;
	}
	caches_init(v);
	*out = &v->m.node;
	return 0;
}
