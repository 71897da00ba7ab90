/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The header of a qcow2 image ("Header" of the format's description): taken
 * apart and checked here, once, so that the rest of the room can trust each
 * field: tables lie in the file, do not meet the header or each other, and
 * are no larger than the format's limits. Parsing needs no thread; reading
 * runs in a fiber.
 */
#include "storage/qcow2/header.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#define SNAPSHOT_MIN_BYTES 40u /* of an entry of the snapshot table */

bool qcow2_probe(const void *head, uint64_t len)
{
	/* version 1 has the same magic and nothing else in common */
	return len >= 8 && get_be32(head) == QCOW2_MAGIC &&
	       get_be32((const uint8_t *)head + 4) >= 2;
}

int qheader_bad(struct err *e, const char *path, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(e, EINVAL,
		"%s: damaged qcow2 header: %s; take the "
		"image from a copy or a backup",
		path, what);
}

void qheader_fini(struct qheader *h)
{
	free(h->more);
	free(h->backing_file);
	free(h->backing_format);
	free(h->data_file);
	free(h->ext);
	memset(h, 0, sizeof(*h));
}

/* --- the fields ----------------------------------------------------------- */

static int parse_version(struct qheader *h, const uint8_t *buf, uint64_t len,
	const char *path, struct err *e)
{
	if (len < QH_V2_LEN || get_be32(buf + QH_MAGIC) != QCOW2_MAGIC)
		return err_set(e, EINVAL,
			"%s: not a qcow2 image; check the "
			"format that is given for it",
			path);
	h->version = get_be32(buf + QH_VERSION);
	if (h->version < 2 || h->version > 3)
		return err_set(e, ENOTSUP,
			"%s: qcow version %u; 2 and 3 are "
			"known here: use `qemu-img convert -O qcow2`",
			path, h->version);
	if (h->version == 3 && len < QH_V3_LEN)
		return qheader_bad(e, path, "it ends after %llu bytes",
			(unsigned long long)len);
	h->cluster_bits = get_be32(buf + QH_CLUSTER_BITS);
	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return qheader_bad(e, path, "cluster_bits is %u (9 to 21)",
			h->cluster_bits);
	return 0;
}

static void parse_fields(struct qheader *h, const uint8_t *buf)
{
	/* as QEMU has it: a disk has whole sectors */
	h->size = size_down(get_be64(buf + QH_SIZE), 512);
	h->l1_entries = get_be32(buf + QH_L1_ENTRIES);
	h->l1_offset = get_be64(buf + QH_L1_OFFSET);
	h->rt_offset = get_be64(buf + QH_RT_OFFSET);
	h->rt_clusters = get_be32(buf + QH_RT_CLUSTERS);
	h->nsnapshots = get_be32(buf + QH_NSNAPSHOTS);
	h->snapshots_offset = get_be64(buf + QH_SNAPSHOTS_OFFSET);
	h->refcount_order = 4;
	h->header_len = QH_V2_LEN;
	if (h->version == 2)
		return;
	h->incompatible = get_be64(buf + QH_INCOMPATIBLE);
	h->compatible = get_be64(buf + QH_COMPATIBLE);
	h->autoclear = get_be64(buf + QH_AUTOCLEAR);
	h->refcount_order = get_be32(buf + QH_REFCOUNT_ORDER);
	h->header_len = get_be32(buf + QH_HEADER_LEN);
}

/* header_length and what it adds to the fields of version 3. */
static int parse_more(struct qheader *h, const uint8_t *buf, uint64_t len,
	const char *path, struct err *e)
{
	uint64_t room = UINT64_C(1) << h->cluster_bits;

	if (room > len)
		room = len;
	if (h->version == 3 &&
		(h->header_len < QH_V3_LEN || h->header_len % 8 ||
			h->header_len > room))
		return qheader_bad(e, path, "header_length is %u",
			h->header_len);
	if (h->header_len > QH_COMPRESSION)
		h->compression = buf[QH_COMPRESSION];
	if (h->header_len <= QH_OUR_LEN)
		return 0;
	h->more_len = h->header_len - QH_OUR_LEN;
	h->more = malloc(h->more_len);
	if (!h->more)
		return err_sys(e, ENOMEM, "%s: reading the header", path);
	memcpy(h->more, buf + QH_OUR_LEN, h->more_len);
	return 0;
}

static int parse_backing(struct qheader *h, const uint8_t *buf, uint64_t len,
	struct qext_area *a, const char *path, struct err *e)
{
	uint64_t at = get_be64(buf + QH_BACKING_OFFSET);
	uint32_t n = get_be32(buf + QH_BACKING_LEN);
	uint64_t room = UINT64_C(1) << h->cluster_bits;

	if (room > len)
		room = len;
	a->begin = h->header_len;
	a->end = room;
	a->buf = buf;
	if (!at)
		return 0;
	if (at < h->header_len || at > room)
		return qheader_bad(e, path,
			"the backing file's name is at "
			"%llu, outside of the first cluster",
			(unsigned long long)at);
	a->end = at;
	if (!n)
		return 0;
	if (n > QH_MAX_BACKING_LEN)
		return qheader_bad(e, path,
			"the backing file's name has %u "
			"bytes (at most %u)",
			n, QH_MAX_BACKING_LEN);
	if (n > room - at)
		return qheader_bad(e, path,
			"the backing file's name goes "
			"past the first cluster");
	h->backing_file = qheader_string(buf + at, n);
	if (!h->backing_file)
		return err_sys(e, ENOMEM, "%s: reading the header", path);
	if (h->backing_file[0])
		return 0;
	free(h->backing_file);
	h->backing_file = NULL;
	return 0;
}

/* --- does it go together? ------------------------------------------------- */

static int check_features(const struct qheader *h, const char *path,
	struct err *e)
{
	bool typed = h->incompatible & QINCOMPAT_COMPRESSION;

	if (h->refcount_order > 6)
		return qheader_bad(e, path, "refcount_order is %u (0 to 6)",
			h->refcount_order);
	if (typed != (h->compression != QCOMPRESS_ZLIB))
		return qheader_bad(e, path,
			"compression_type is %u, its "
			"feature bit is %u",
			h->compression, typed);
	if (h->compression > QCOMPRESS_ZSTD)
		return err_set(e, ENOTSUP,
			"%s: compression type %u is not "
			"known here; convert it with the program that made it",
			path, h->compression);
	if (h->incompatible & QINCOMPAT_EXTENDED_L2 && h->cluster_bits < 14)
		return qheader_bad(e, path,
			"extended L2 entries with "
			"clusters of %u bytes (at least 16 KiB)",
			1u << h->cluster_bits);
	if (!(h->incompatible & QINCOMPAT_DATA_FILE))
		return 0;
	if (h->nsnapshots)
		return qheader_bad(e, path,
			"%u snapshots with a data file, which has none",
			h->nsnapshots);
	if (h->autoclear & QAUTOCLEAR_DATA_RAW && h->backing_file)
		return qheader_bad(e, path,
			"a raw data file with a backing file");
	return 0;
}

struct qtable {
	const char *name;
	uint64_t offset, bytes;
};

/* A table that is there (bytes > 0) is aligned and in the file; the file may
 * end inside of its last cluster. */
static int check_table(const struct qheader *h, const struct qtable *t,
	uint64_t file_bytes, const char *path, struct err *e)
{
	uint64_t cluster = UINT64_C(1) << h->cluster_bits;
	uint64_t end;

	if (!t->bytes)
		return 0;
	if (t->offset & (cluster - 1))
		return qheader_bad(e, path,
			"the %s is at 0x%llx, which is "
			"not where a cluster begins",
			t->name, (unsigned long long)t->offset);
	if (t->offset < cluster)
		return qheader_bad(e, path, "the %s overlaps the header",
			t->name);
	if (!size_add(t->offset, t->bytes, &end) || t->offset >= file_bytes ||
		end > size_up(file_bytes, cluster))
		return err_set(e, EINVAL,
			"%s: the %s (%llu bytes at 0x%llx) "
			"goes past the file's end (%llu bytes): it was cut "
			"short; copy it again or take it from a backup",
			path, t->name, (unsigned long long)t->bytes,
			(unsigned long long)t->offset,
			(unsigned long long)file_bytes);
	return 0;
}

static int check_apart(const struct qtable *a, const struct qtable *b,
	const char *path, struct err *e)
{
	if (!a->bytes || !b->bytes || a->offset + a->bytes <= b->offset ||
		b->offset + b->bytes <= a->offset)
		return 0;
	return qheader_bad(e, path, "the %s and the %s overlap", a->name,
		b->name);
}

static int check_l1(const struct qheader *h, const char *path, struct err *e)
{
	bool wide = h->incompatible & QINCOMPAT_EXTENDED_L2;
	unsigned shift = 2 * h->cluster_bits - (wide ? 4 : 3);
	uint64_t need =
		(h->size >> shift) + !!(h->size & ((UINT64_C(1) << shift) - 1));

	if (h->l1_entries > QCOW2_MAX_L1_BYTES / 8)
		return qheader_bad(e, path,
			"the L1 table has %u entries "
			"(at most %llu)",
			h->l1_entries,
			(unsigned long long)(QCOW2_MAX_L1_BYTES / 8));
	if (h->l1_entries < need)
		return qheader_bad(e, path,
			"the L1 table has %u entries, a "
			"disk of %llu bytes needs %llu",
			h->l1_entries, (unsigned long long)h->size,
			(unsigned long long)need);
	return 0;
}

/* In the order in which they are told. */
enum { T_RT, T_L1, T_SNAPSHOTS, T_ALL };

static void list_tables(const struct qheader *h, struct qtable *t)
{
	t[T_RT] = (struct qtable){ "refcount table", h->rt_offset,
		(uint64_t)h->rt_clusters << h->cluster_bits };
	t[T_L1] = (struct qtable){ "L1 table", h->l1_offset,
		(uint64_t)h->l1_entries * 8 };
	t[T_SNAPSHOTS] = (struct qtable){ "snapshot table", h->snapshots_offset,
		(uint64_t)h->nsnapshots * SNAPSHOT_MIN_BYTES };
}

static int check_rt(const struct qheader *h, uint64_t file_bytes,
	const char *path, struct err *e)
{
	struct qtable t[T_ALL];
	int rc;

	list_tables(h, t);
	if (!h->rt_clusters)
		return qheader_bad(e, path, "it has no refcount table");
	if (t[T_RT].bytes > QCOW2_MAX_RT_BYTES)
		return qheader_bad(e, path,
			"the refcount table has %u clusters (at most %llu)",
			h->rt_clusters,
			(unsigned long long)(QCOW2_MAX_RT_BYTES >>
					     h->cluster_bits));
	rc = check_table(h, &t[T_RT], file_bytes, path, e);
	if (!rc)
		rc = check_apart(&t[T_RT], &t[T_L1], path, e);
	if (!rc)
		rc = check_apart(&t[T_RT], &t[T_SNAPSHOTS], path, e);
	return rc;
}

/* All but the refcount table: without them nobody knows what the image has. */
static int check_tables(const struct qheader *h, uint64_t file_bytes,
	const char *path, struct err *e)
{
	struct qtable t[T_ALL];
	int rc;

	list_tables(h, t);
	if (h->nsnapshots > QCOW2_MAX_SNAPSHOTS)
		return qheader_bad(e, path, "it has %u snapshots (at most %u)",
			h->nsnapshots, QCOW2_MAX_SNAPSHOTS);
	rc = check_l1(h, path, e);
	if (!rc)
		rc = check_table(h, &t[T_L1], file_bytes, path, e);
	if (!rc)
		rc = check_table(h, &t[T_SNAPSHOTS], file_bytes, path, e);
	if (!rc)
		rc = check_apart(&t[T_L1], &t[T_SNAPSHOTS], path, e);
	return rc;
}

/* --- all of it ------------------------------------------------------------ */

static int parse(struct qheader *h, const uint8_t *buf, uint64_t len,
	uint64_t file_bytes, const char *path, struct err *e)
{
	struct qext_area a;
	int rc = parse_version(h, buf, len, path, e);

	if (rc < 0)
		return rc;
	if (get_be32(buf + QH_CRYPT))
		return err_set(e, ENOTSUP,
			"%s: the image is encrypted (%s), which is not read "
			"here; decrypt it with `qemu-img convert`",
			path, get_be32(buf + QH_CRYPT) == 2 ? "LUKS" : "AES");
	parse_fields(h, buf);
	rc = parse_more(h, buf, len, path, e);
	if (!rc)
		rc = parse_backing(h, buf, len, &a, path, e);
	if (!rc)
		rc = qext_check_features(h->incompatible, &a, path, e);
	if (!rc)
		rc = qext_parse(h, &a, path, e);
	if (!rc)
		rc = check_features(h, path, e);
	if (!rc)
		rc = check_tables(h, file_bytes, path, e);
	return rc;
}

int qheader_parse(struct qheader *h, const uint8_t *buf, uint64_t len,
	uint64_t file_bytes, const char *path, struct err *e)
{
	int rc;

	memset(h, 0, sizeof(*h));
	rc = parse(h, buf, len, file_bytes, path, e);
	if (!rc)
		rc = check_rt(h, file_bytes, path, e);
	if (rc < 0)
		qheader_fini(h);
	return rc;
}

int qheader_parse_damaged(struct qheader *h, const uint8_t *buf, uint64_t len,
	uint64_t file_bytes, const char *path, struct err *e)
{
	uint64_t cluster;
	int rc;

	memset(h, 0, sizeof(*h));
	rc = parse(h, buf, len, file_bytes, path, e);
	if (rc < 0) {
		qheader_fini(h);
		return rc;
	}
	if (!check_rt(h, file_bytes, path, e))
		return 0;
	cluster = UINT64_C(1) << h->cluster_bits;
	h->rt_offset = size_up(file_bytes, cluster) + cluster;
	h->rt_clusters = 1;
	return 1;
}

/* How much of the file's begin is the first cluster, as far as the first
 * bytes say: enough of it for the parser to say what is wrong. */
static uint64_t first_cluster(const uint8_t *head, uint64_t file_bytes)
{
	uint32_t bits = get_be32(head + QH_CLUSTER_BITS);
	uint64_t len = bits >= 9 && bits <= 21 ? UINT64_C(1) << bits : 512;

	return len < file_bytes ? len : file_bytes;
}

typedef int (*parse_fn)(struct qheader *h, const uint8_t *buf, uint64_t len,
	uint64_t file_bytes, const char *path, struct err *e);

static int read_and_parse(struct node *file, struct qheader *h, parse_fn fn,
	struct err *e)
{
	uint64_t file_bytes = node_size(file), len;
	uint8_t head[QH_V3_LEN] = { 0 }, *buf;
	int rc;

	memset(h, 0, sizeof(*h));
	rc = node_read(file, 0, head, sizeof(head));
	if (rc < 0)
		return err_sys(e, -rc, "%s: reading the header", file->path);
	if (!qcow2_probe(head, file_bytes))
		return fn(h, head, 0, file_bytes, file->path, e);
	len = first_cluster(head, file_bytes);
	buf = malloc(len);
	if (!buf)
		return err_sys(e, ENOMEM, "%s: reading the header", file->path);
	rc = node_read(file, 0, buf, len);
	if (rc < 0)
		err_sys(e, -rc, "%s: reading the header", file->path);
	else
		rc = fn(h, buf, len, file_bytes, file->path, e);
	free(buf);
	return rc;
}

int qheader_read(struct node *file, struct qheader *h, struct err *e)
{
	return read_and_parse(file, h, qheader_parse, e);
}

int qheader_read_damaged(struct node *file, struct qheader *h, struct err *e)
{
	return read_and_parse(file, h, qheader_parse_damaged, e);
}
