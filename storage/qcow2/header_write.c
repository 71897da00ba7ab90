/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing a qcow2 header: all of it, or single fields in place. A whole one
 * goes out as the whole first cluster in one request, from one buffer, so
 * that names and the fields that point at them change together. In a fiber
 * on the loop's thread, but for packing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/header.h"

/* What we call the features that we know, for programs that do not. */
static const struct {
	uint8_t type, bit; /* type: 0 incompatible, 1 compatible, 2 autoclear */
	char name[QEXT_FEATURE_LEN - 2];
} features[] = {
	{ 0, 0, "dirty bit" },
	{ 0, 1, "corrupt bit" },
	{ 0, 2, "external data file" },
	{ 0, 3, "compression type" },
	{ 0, 4, "extended L2 entries" },
	{ 1, 0, "lazy refcounts" },
	{ 2, 0, "bitmaps" },
	{ 2, 1, "raw external data" },
};

#define FEATURES_LEN (ARRAY_LEN(features) * QEXT_FEATURE_LEN)
#define END_LEN      8u /* of the extension that ends them */

/* --- packing -------------------------------------------------------------- */

/* A buffer that is filled from the front; the room was counted before. */
struct packer {
	uint8_t *buf;
	uint64_t at;
};

static void pack_ext(struct packer *p, uint32_t type, const void *data,
	uint32_t len)
{
	put_be32(p->buf + p->at, type);
	put_be32(p->buf + p->at + 4, len);
	memcpy(p->buf + p->at + 8, data, len);
	memset(p->buf + p->at + 8 + len, 0, size_up(len, 8) - len);
	p->at += 8 + size_up(len, 8);
}

static void pack_features(struct packer *p)
{
	uint8_t table[FEATURES_LEN] = { 0 };

	for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
		uint8_t *entry = table + i * QEXT_FEATURE_LEN;

		entry[0] = features[i].type;
		entry[1] = features[i].bit;
		memcpy(entry + 2, features[i].name, sizeof(features[i].name));
	}
	pack_ext(p, QEXT_FEATURES, table, sizeof(table));
}

static void pack_fields(const struct qheader *h, uint8_t *buf, uint64_t len)
{
	memset(buf, 0, len);
	put_be32(buf + QH_MAGIC, QCOW2_MAGIC);
	put_be32(buf + QH_VERSION, h->version);
	put_be32(buf + QH_CLUSTER_BITS, h->cluster_bits);
	put_be64(buf + QH_SIZE, h->size);
	put_be32(buf + QH_L1_ENTRIES, h->l1_entries);
	put_be64(buf + QH_L1_OFFSET, h->l1_offset);
	put_be64(buf + QH_RT_OFFSET, h->rt_offset);
	put_be32(buf + QH_RT_CLUSTERS, h->rt_clusters);
	put_be32(buf + QH_NSNAPSHOTS, h->nsnapshots);
	put_be64(buf + QH_SNAPSHOTS_OFFSET, h->snapshots_offset);
	if (h->version == 2)
		return;
	put_be64(buf + QH_INCOMPATIBLE, h->incompatible);
	put_be64(buf + QH_COMPATIBLE, h->compatible);
	put_be64(buf + QH_AUTOCLEAR, h->autoclear);
	put_be32(buf + QH_REFCOUNT_ORDER, h->refcount_order);
	put_be32(buf + QH_HEADER_LEN, (uint32_t)len);
	buf[QH_COMPRESSION] = (uint8_t)h->compression;
	if (h->more_len)
		memcpy(buf + QH_OUR_LEN, h->more, h->more_len);
}

static uint64_t ext_bytes(const char *s)
{
	return s ? 8 + size_up(strlen(s), 8) : 0;
}

int qheader_pack(const struct qheader *h, uint8_t *buf, uint64_t cluster,
	uint64_t *end)
{
	struct packer p = { .buf = buf };
	const char *format = h->backing_file ? h->backing_format : NULL;
	uint64_t name = h->backing_file ? strlen(h->backing_file) : 0;
	uint64_t need;

	p.at = h->version == 2 ? QH_V2_LEN : QH_OUR_LEN + h->more_len;
	need = p.at + ext_bytes(format) + ext_bytes(h->data_file) + h->ext_len +
	       END_LEN + name;
	if (need > cluster)
		return -ENOSPC;
	pack_fields(h, buf, p.at);
	if (format)
		pack_ext(&p, (uint32_t)QEXT_BACKING_FORMAT, format,
			(uint32_t)strlen(format));
	if (h->data_file)
		pack_ext(&p, QEXT_DATA_FILE, h->data_file,
			(uint32_t)strlen(h->data_file));
	/* names of features are nice to have: not in a small cluster */
	if (h->version == 3 && 8 + FEATURES_LEN <= cluster - need)
		pack_features(&p);
	if (h->ext_len)
		memcpy(buf + p.at, h->ext, h->ext_len);
	p.at += h->ext_len;
	memset(buf + p.at, 0, END_LEN);
	p.at += END_LEN;
	if (name) {
		memcpy(buf + p.at, h->backing_file, name);
		put_be64(buf + QH_BACKING_OFFSET, p.at);
		put_be32(buf + QH_BACKING_LEN, (uint32_t)name);
	}
	*end = p.at + name;
	return 0;
}

/* --- writing -------------------------------------------------------------- */

/* Where the header that is in buf ends with its extensions and its name; the
 * cluster when it is no header. */
static uint64_t old_end(const uint8_t *buf, uint64_t cluster)
{
	struct qext_area a = { .buf = buf, .end = cluster };
	uint64_t pos, name = get_be64(buf + QH_BACKING_OFFSET), name_end;
	struct qext x;

	if (!qcow2_probe(buf, cluster))
		return cluster;
	a.begin = get_be32(buf + QH_VERSION) == 2
			  ? QH_V2_LEN
			  : get_be32(buf + QH_HEADER_LEN);
	pos = a.begin;
	if (name && name < a.end)
		a.end = name;
	while (qext_next(&a, &pos, &x) > 0)
		continue;
	name_end = name ? name + get_be32(buf + QH_BACKING_LEN) : 0;
	if (name_end > pos && name_end <= cluster)
		pos = name_end;
	return pos < cluster ? pos : cluster;
}

int qheader_write(struct node *file, const struct qheader *h, struct err *e)
{
	uint64_t cluster = UINT64_C(1) << h->cluster_bits, end, old;
	uint8_t *buf = malloc(cluster);
	int rc;

	if (!buf)
		return err_sys(e, ENOMEM, "%s: writing the header", file->path);
	rc = node_read(file, 0, buf, cluster);
	if (rc < 0) {
		err_sys(e, -rc, "%s: reading the header", file->path);
		goto out;
	}
	old = old_end(buf, cluster);
	rc = qheader_pack(h, buf, cluster, &end);
	if (rc < 0) {
		err_set(e, -rc,
			"%s: the header with its names does not fit "
			"in a cluster of %llu bytes; use shorter names or "
			"larger clusters",
			file->path, (unsigned long long)cluster);
		goto out;
	}
	if (old > end)
		memset(buf + end, 0, old - end);
	rc = node_write(file, 0, buf, cluster, 0);
	if (rc < 0)
		err_sys(e, -rc, "%s: writing the header", file->path);
out:
	free(buf);
	return rc;
}

int qheader_write_features(struct node *file, const struct qheader *h)
{
	uint8_t b[24];

	if (h->version == 2)
		return 0;
	put_be64(b, h->incompatible);
	put_be64(b + 8, h->compatible);
	put_be64(b + 16, h->autoclear);
	return node_write(file, QH_INCOMPATIBLE, b, sizeof(b), 0);
}

int qheader_write_rt(struct node *file, const struct qheader *h)
{
	uint8_t b[12];

	put_be64(b, h->rt_offset);
	put_be32(b + 8, h->rt_clusters);
	return node_write(file, QH_RT_OFFSET, b, sizeof(b), 0);
}

int qheader_write_snapshots(struct node *file, const struct qheader *h)
{
	uint8_t b[12];

	put_be32(b, h->nsnapshots);
	put_be64(b + 4, h->snapshots_offset);
	return node_write(file, QH_NSNAPSHOTS, b, sizeof(b), 0);
}

int qheader_write_tables(struct node *file, const struct qheader *h)
{
	uint8_t b[QH_V2_LEN - QH_SIZE];

	/* all fields from the size on, which is within the first sector */
	put_be64(b, h->size);
	put_be32(b + (QH_CRYPT - QH_SIZE), 0);
	put_be32(b + (QH_L1_ENTRIES - QH_SIZE), h->l1_entries);
	put_be64(b + (QH_L1_OFFSET - QH_SIZE), h->l1_offset);
	put_be64(b + (QH_RT_OFFSET - QH_SIZE), h->rt_offset);
	put_be32(b + (QH_RT_CLUSTERS - QH_SIZE), h->rt_clusters);
	put_be32(b + (QH_NSNAPSHOTS - QH_SIZE), h->nsnapshots);
	put_be64(b + (QH_SNAPSHOTS_OFFSET - QH_SIZE), h->snapshots_offset);
	return node_write(file, QH_SIZE, b, sizeof(b), 0);
}
