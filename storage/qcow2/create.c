/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making a new qcow2 image. All tables are laid out before (layout.c) and
 * written one behind the other; the header comes last, so that what is not
 * ready is no image. Thread: the loop's, in a fiber; checking: any.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/header.h"
#include "storage/qcow2/layout.h"

#define STEP_MAX MiB /* bytes of a table that are made and written at once */

/* --- options -------------------------------------------------------------- */

static int check_sizes(const struct qcow2_create *o, struct err *e)
{
	uint32_t cluster = o->cluster_size;
	unsigned bits = o->refcount_bits;

	if (o->size % 512)
		return err_set(e, EINVAL, "size %llu is not a multiple of 512",
			(unsigned long long)o->size);
	if (cluster &&
		(!size_is_pow2(cluster) || cluster < 512 || cluster > 2 * MiB))
		return err_set(e, EINVAL,
			"cluster_size %u is not a power of "
			"two from 512 to 2M",
			cluster);
	if (bits && (!size_is_pow2(bits) || bits > 64))
		return err_set(e, EINVAL,
			"refcount_bits %u is not a power of "
			"two from 1 to 64",
			bits);
	if (o->extended_l2 && cluster && cluster < 16 * KiB)
		return err_set(e, EINVAL,
			"extended_l2 needs a cluster_size "
			"of at least 16K");
	return 0;
}

static int check_version(const struct qcow2_create *o, struct err *e)
{
	const char *what = NULL;

	if (o->version > 3 || o->version == 1)
		return err_set(e, EINVAL,
			"qcow2 has versions 2 (compat=0.10) "
			"and 3 (compat=1.1), not %u",
			o->version);
	if (o->version != 2)
		return 0;
	if (o->refcount_bits && o->refcount_bits != 16)
		what = "refcount_bits other than 16";
	else if (o->lazy_refcounts)
		what = "lazy_refcounts";
	else if (o->extended_l2)
		what = "extended_l2";
	else if (o->zstd)
		what = "compression_type=zstd";
	else if (o->data_file)
		what = "data_file";
	if (!what)
		return 0;
	return err_set(e, EINVAL, "%s needs compat=1.1", what);
}

static int check_files(const struct qcow2_create *o, struct err *e)
{
	bool prealloc = o->prealloc != QCOW2_PREALLOC_OFF;

	if (o->backing_format && !o->backing_file)
		return err_set(e, EINVAL,
			"a backing format needs a backing "
			"file");
	if (o->backing_file &&
		(!o->backing_file[0] ||
			strlen(o->backing_file) > QH_MAX_BACKING_LEN))
		return err_set(e, EINVAL,
			"the backing file's name has 1 to "
			"%u bytes",
			QH_MAX_BACKING_LEN);
	if (o->backing_format && strlen(o->backing_format) > QH_MAX_FORMAT_LEN)
		return err_set(e, EINVAL,
			"the backing format's name has at "
			"most %u bytes",
			QH_MAX_FORMAT_LEN);
	if (o->data_file && strlen(o->data_file) > QH_MAX_DATA_LEN)
		return err_set(e, EINVAL,
			"the data file's name has at most "
			"%u bytes",
			QH_MAX_DATA_LEN);
	if (o->data_file_raw && !o->data_file)
		return err_set(e, EINVAL, "data_file_raw needs a data_file");
	if (o->data_file_raw && o->backing_file)
		return err_set(e, EINVAL,
			"a raw data file and a backing file "
			"exclude each other");
	if (prealloc && o->backing_file && !o->extended_l2)
		return err_set(e, EINVAL,
			"preallocation with a backing file "
			"needs extended_l2=on");
	return 0;
}

/* The header of a new image; its strings are o's. */
static void make_header(struct qheader *h, const struct qcow2_create *o,
	const struct qlayout *l)
{
	memset(h, 0, sizeof(*h));
	h->version = o->version ? o->version : 3;
	h->cluster_bits = l->cluster_bits;
	h->size = o->size;
	h->l1_entries = (uint32_t)l->l1_entries;
	h->l1_offset = l->l1;
	h->rt_offset = l->rt;
	h->rt_clusters = (uint32_t)l->rt_clusters;
	h->refcount_order = l->refcount_order;
	if (o->lazy_refcounts)
		h->compatible |= QCOMPAT_LAZY;
	if (o->extended_l2)
		h->incompatible |= QINCOMPAT_EXTENDED_L2;
	if (o->zstd) {
		h->incompatible |= QINCOMPAT_COMPRESSION;
		h->compression = QCOMPRESS_ZSTD;
	}
	if (o->data_file)
		h->incompatible |= QINCOMPAT_DATA_FILE;
	if (o->data_file_raw)
		h->autoclear |= QAUTOCLEAR_DATA_RAW;
	h->backing_file = (char *)(uintptr_t)o->backing_file;
	h->backing_format = (char *)(uintptr_t)o->backing_format;
	h->data_file = (char *)(uintptr_t)o->data_file;
}

/* Do the names go into the first cluster? */
static int check_fit(const struct qcow2_create *o, const struct qlayout *l,
	struct err *e)
{
	struct qheader h;
	uint64_t end;
	uint8_t *buf = malloc(l->cluster);
	int rc;

	if (!buf)
		return err_sys(e, ENOMEM, "checking the options");
	make_header(&h, o, l);
	rc = qheader_pack(&h, buf, l->cluster, &end);
	free(buf);
	if (rc < 0)
		return err_set(e, EINVAL,
			"the names of the backing file and "
			"the data file do not fit in a cluster of %llu bytes; "
			"use shorter ones or a larger cluster_size",
			(unsigned long long)l->cluster);
	return 0;
}

static int check_all(const struct qcow2_create *o, struct qlayout *l,
	struct err *e)
{
	int rc = check_sizes(o, e);

	if (!rc)
		rc = check_version(o, e);
	if (!rc)
		rc = check_files(o, e);
	if (rc < 0)
		return rc;
	if (qlayout_make(l, o) < 0)
		return err_set(e, EFBIG,
			"%llu bytes are more than a qcow2 "
			"image with clusters of %llu bytes can hold; use a "
			"larger cluster_size",
			(unsigned long long)o->size,
			(unsigned long long)l->cluster);
	return check_fit(o, l, e);
}

int qcow2_create_check(const struct qcow2_create *o, struct err *e)
{
	struct qlayout l;

	return check_all(o, &l, e);
}

/* --- writing -------------------------------------------------------------- */

struct creation {
	struct node *file;
	struct node *data; /* or NULL */
	const struct qcow2_create *o;
	struct qlayout l;
	bool fresh; /* file was empty: what is not written reads as zeros */
	uint64_t bitmap; /* of subclusters, in each L2 entry */
	uint8_t *buf;    /* STEP_MAX */
};

typedef void (*fill_fn)(const struct creation *c, uint64_t at, uint8_t *buf,
	uint64_t len);

static void fill_rt(const struct creation *c, uint64_t at, uint8_t *buf,
	uint64_t len)
{
	qlayout_fill_rt(&c->l, at, buf, len);
}

static void fill_blocks(const struct creation *c, uint64_t at, uint8_t *buf,
	uint64_t len)
{
	qlayout_fill_blocks(&c->l, at, buf, len);
}

static void fill_l1(const struct creation *c, uint64_t at, uint8_t *buf,
	uint64_t len)
{
	qlayout_fill_l1(&c->l, at, buf, len);
}

static void fill_l2(const struct creation *c, uint64_t at, uint8_t *buf,
	uint64_t len)
{
	qlayout_fill_l2(&c->l, c->bitmap, at, buf, len);
}

/* len bytes (a multiple of 16) of a table at host. */
static int write_table(struct creation *c, uint64_t host, uint64_t len,
	fill_fn fill)
{
	for (uint64_t at = 0; at < len; at += STEP_MAX) {
		uint64_t step = len - at < STEP_MAX ? len - at : STEP_MAX;
		int rc;

		fill(c, at, c->buf, step);
		rc = node_write(c->file, host + at, c->buf, step, 0);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Zeros where the file has room already; a grown file has them. */
static int clear_range(struct creation *c, uint64_t host, uint64_t len,
	unsigned flags)
{
	int rc;

	if (c->fresh || !len)
		return 0;
	rc = node_zero(c->file, host, len, flags);
	if (rc != -ENOTSUP)
		return rc;
	memset(c->buf, 0, STEP_MAX);
	rc = 0;
	for (uint64_t at = 0; at < len && !rc; at += STEP_MAX)
		rc = node_write(c->file, host + at, c->buf,
			len - at < STEP_MAX ? len - at : STEP_MAX, 0);
	return rc;
}

/* What is on a device already must not look like an image, or like counts. */
static int clear_old(struct creation *c)
{
	int rc = clear_range(c, 0, c->l.data, 0);

	if (!rc && !c->fresh)
		rc = node_flush(c->file);
	return rc;
}

/*
 * What metadata will be written to gets its room in a new file now: a lack of
 * it fails the creation, not a flush later on. Where there is no such call it
 * does without.
 */
static int reserve_tables(struct creation *c)
{
	const struct qlayout *l = &c->l;
	int rc;

	if (!c->fresh)
		return 0;
	rc = node_zero(c->file, l->block, l->blocks * l->cluster, 0);
	if (!rc && l->l1_entries)
		rc = node_zero(c->file, l->l1, size_up(l->l1_entries * 8, 4096),
			0);
	return rc == -ENOTSUP ? 0 : rc;
}

static int write_tables(struct creation *c)
{
	const struct qlayout *l = &c->l;
	uint64_t counts = ((l->used << l->refcount_order) + 7) / 8;
	int rc;

	/* only what is not zero */
	rc = write_table(c, l->rt, size_up(l->blocks * 8, 512), fill_rt);
	if (!rc)
		rc = write_table(c, l->block, size_up(counts, 512),
			fill_blocks);
	if (rc < 0 || !l->prealloc)
		return rc;
	rc = write_table(c, l->l1, size_up(l->l1_entries * 8, 512), fill_l1);
	if (!rc)
		rc = write_table(c, l->l2, l->l2_tables * l->cluster, fill_l2);
	return rc;
}

static enum node_prealloc node_prealloc_of(enum qcow2_prealloc how)
{
	if (how == QCOW2_PREALLOC_FALLOC)
		return NODE_PREALLOC_FALLOC;
	return how == QCOW2_PREALLOC_FULL ? NODE_PREALLOC_FULL
					  : NODE_PREALLOC_OFF;
}

/* The file as long as the image is, its data clusters zero. */
static int make_room(struct creation *c, struct err *e)
{
	const struct qlayout *l = &c->l;
	enum node_prealloc how = node_prealloc_of(c->o->prealloc);
	uint64_t len = l->data_clusters * l->cluster;
	int rc;

	if (!c->fresh) {
		/* with a bitmap of 0 nobody reads what is there */
		bool read = l->l2_entry_bytes == 8 || c->bitmap;

		rc = clear_range(c, l->data, read ? len : 0,
			how == NODE_PREALLOC_OFF ? BLK_UNMAP : 0);
		if (rc < 0)
			return err_sys(e, -rc, "%s: clearing it",
				c->file->path);
		return 0;
	}
	rc = node_resize(c->file, l->data, NODE_PREALLOC_OFF, e);
	if (!rc && len)
		rc = node_resize(c->file, l->data + len, how, e);
	return rc;
}

/* A data file that is longer keeps what it has. */
static int make_data_room(struct creation *c, struct err *e)
{
	if (!c->data || node_size(c->data) >= c->o->size)
		return 0;
	return node_resize(c->data, c->o->size,
		node_prealloc_of(c->o->prealloc), e);
}

static int create(struct creation *c, struct err *e)
{
	struct qheader h;
	int rc = clear_old(c);

	if (!rc)
		rc = reserve_tables(c);
	if (!rc)
		rc = write_tables(c);
	if (rc < 0)
		return err_sys(e, -rc, "%s: writing a new image",
			c->file->path);
	rc = make_room(c, e);
	if (!rc)
		rc = make_data_room(c, e);
	if (rc < 0)
		return rc;
	/* nobody was told yet that there is an image, but the one that a
	 * device had must not come back with our tables */
	rc = c->fresh ? 0 : node_flush(c->file);
	if (rc < 0)
		return err_sys(e, -rc, "%s: writing a new image",
			c->file->path);
	make_header(&h, c->o, &c->l);
	rc = qheader_write(c->file, &h, e);
	if (rc < 0)
		return rc;
	rc = node_flush(c->file);
	if (!rc && c->data)
		rc = node_flush(c->data);
	if (rc < 0)
		return err_sys(e, -rc, "%s: writing a new image",
			c->file->path);
	return 0;
}

int qcow2_create(struct node *file, struct node *data,
	const struct qcow2_create *o, struct err *e)
{
	struct creation c = { .file = file, .data = data, .o = o };
	uint64_t room = node_size(file), need;
	int rc = check_all(o, &c.l, e);

	if (rc < 0) {
		err_prefix(e, "%s", file->path);
		return rc;
	}
	if (o->data_file && !data)
		return err_set(e, EINVAL, "%s: its data file is missing",
			file->path);
	c.fresh = !room;
	need = c.l.used * c.l.cluster;
	if (!c.fresh && room < need)
		return err_set(e, ENOSPC,
			"%s: has %llu bytes, the image needs %llu", file->path,
			(unsigned long long)room, (unsigned long long)need);
	c.bitmap = o->backing_file ? 0 : UINT32_MAX;
	c.buf = malloc(STEP_MAX);
	if (!c.buf)
		return err_sys(e, ENOMEM, "%s", file->path);
	rc = create(&c, e);
	free(c.buf);
	return rc;
}
