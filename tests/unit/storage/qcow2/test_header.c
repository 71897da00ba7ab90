/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The qcow2 header: each field that is wrong is refused by name, what is not
 * known is kept, and what is written is what QEMU reads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/header.h"

#include "tests/unit/storage/qcow2/qtest.h"

#define CLUSTER (64 * KiB)

/* An image of 1 GiB to change bytes of. */
static uint8_t *image(uint64_t *size)
{
	struct qcow2_create o = { .size = GiB };

	return memnode_bytes(qt_new(&o), size);
}

static int parse(const uint8_t *b, uint64_t size, struct qheader *h,
	struct err *e)
{
	*e = (struct err)ERR_NONE;
	return qheader_parse(h, b, size < CLUSTER ? size : CLUSTER, size,
		"a.qcow2", e);
}

static void refused(const uint8_t *b, uint64_t size, int code, const char *has)
{
	struct qheader h;
	struct err e;

	ck_assert_int_eq(parse(b, size, &h, &e), -code);
	ck_assert_err(e, code, has);
	ck_assert_err(e, code, "a.qcow2: ");
	/* nothing is left to free */
	ck_assert_ptr_null(h.backing_file);
	ck_assert_ptr_null(h.ext);
}

/* Add an extension at *at. */
static void put_ext(uint8_t *b, uint64_t *at, uint32_t type, const void *data,
	uint32_t len)
{
	put_be32(b + *at, type);
	put_be32(b + *at + 4, len);
	memcpy(b + *at + 8, data, len);
	*at += 8 + size_up(len, 8);
	memset(b + *at, 0, 8);
}

/* --- fields --------------------------------------------------------------- */

START_TEST (probe_wants_magic_and_version) {
	const uint8_t v1[] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 1 };
	const uint8_t v3[] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };

	ck_assert(qcow2_probe(v3, 8));
	ck_assert(!qcow2_probe(v3, 7));
	ck_assert(!qcow2_probe(v1, 8));
	ck_assert(!qcow2_probe("0123456789", 10));
}
END_TEST

START_TEST (good_header_is_taken_apart) {
	struct qheader h;
	struct err e;
	uint64_t size;
	uint8_t *b = image(&size);

	ck_assert_int_eq(parse(b, size, &h, &e), 0);
	ck_assert_uint_eq(h.version, 3);
	ck_assert_uint_eq(h.cluster_bits, 16);
	ck_assert_uint_eq(h.size, GiB);
	ck_assert_uint_eq(h.l1_entries, 2);
	ck_assert_uint_eq(h.rt_offset, CLUSTER);
	ck_assert_uint_eq(h.rt_clusters, 1);
	ck_assert_uint_eq(h.refcount_order, 4);
	ck_assert_uint_eq(h.header_len, 112);
	ck_assert_uint_eq(h.incompatible | h.compatible | h.autoclear, 0);
	ck_assert_ptr_null(h.backing_file);
	qheader_fini(&h);
}
END_TEST

struct wrong {
	unsigned at, bytes;
	uint64_t value;
	int code;
	const char *has;
};

static const struct wrong wrong[] = {
	{ QH_MAGIC, 4, 0, EINVAL, "not a qcow2 image" },
	{ QH_VERSION, 4, 1, ENOTSUP, "version 1" },
	{ QH_VERSION, 4, 4, ENOTSUP, "version 4" },
	{ QH_CLUSTER_BITS, 4, 8, EINVAL, "cluster_bits is 8" },
	{ QH_CLUSTER_BITS, 4, 22, EINVAL, "cluster_bits is 22" },
	{ QH_CLUSTER_BITS, 4, UINT32_MAX, EINVAL, "cluster_bits" },
	{ QH_CRYPT, 4, 1, ENOTSUP, "encrypted (AES)" },
	{ QH_CRYPT, 4, 2, ENOTSUP, "encrypted (LUKS)" },
	{ QH_HEADER_LEN, 4, 96, EINVAL, "header_length is 96" },
	{ QH_HEADER_LEN, 4, 108, EINVAL, "header_length is 108" },
	{ QH_HEADER_LEN, 4, 65544, EINVAL, "header_length is 65544" },
	{ QH_REFCOUNT_ORDER, 4, 7, EINVAL, "refcount_order is 7" },
	{ QH_REFCOUNT_ORDER, 4, UINT32_MAX, EINVAL, "refcount_order" },
	{ QH_COMPRESSION, 1, 1, EINVAL, "compression_type is 1" },
	{ QH_INCOMPATIBLE, 8, 8, EINVAL, "compression_type is 0" },
	{ QH_RT_CLUSTERS, 4, 0, EINVAL, "no refcount table" },
	{ QH_RT_CLUSTERS, 4, 129, EINVAL, "129 clusters (at most 128)" },
	{ QH_RT_CLUSTERS, 4, UINT32_MAX, EINVAL, "clusters (at most 128)" },
	{ QH_RT_OFFSET, 8, 0, EINVAL, "refcount table overlaps the header" },
	{ QH_RT_OFFSET, 8, 65536 + 512, EINVAL, "not where a cluster begins" },
	{ QH_RT_OFFSET, 8, 65536 * 3, EINVAL, "overlap" },
	{ QH_RT_OFFSET, 8, 1 << 30, EINVAL, "past the file's end" },
	{ QH_RT_OFFSET, 8, UINT64_MAX - 65535, EINVAL, "past the file's end" },
	{ QH_RT_CLUSTERS, 4, 64, EINVAL, "past the file's end" },
	{ QH_L1_OFFSET, 8, 0, EINVAL, "L1 table overlaps the header" },
	{ QH_L1_OFFSET, 8, 3 * 65536 + 8, EINVAL, "not where a cluster" },
	{ QH_L1_OFFSET, 8, 4 * 65536, EINVAL, "past the file's end" },
	{ QH_L1_OFFSET, 8, UINT64_C(1) << 63, EINVAL, "past the file's end" },
	{ QH_L1_ENTRIES, 4, 1, EINVAL, "L1 table has 1 entries" },
	{ QH_L1_ENTRIES, 4, 0, EINVAL, "L1 table has 0 entries" },
	{ QH_L1_ENTRIES, 4, (4 << 20) + 1, EINVAL, "at most 4194304" },
	{ QH_L1_ENTRIES, 4, UINT32_MAX, EINVAL, "at most 4194304" },
	{ QH_L1_ENTRIES, 4, 4 << 20, EINVAL, "past the file's end" },
	{ QH_SIZE, 8, UINT64_MAX, EINVAL, "L1 table has 2 entries" },
	{ QH_NSNAPSHOTS, 4, 65537, EINVAL, "65537 snapshots" },
	{ QH_NSNAPSHOTS, 4, 1, EINVAL, "snapshot table overlaps the header" },
	{ QH_BACKING_OFFSET, 8, 64, EINVAL, "backing file's name is at 64" },
	{ QH_BACKING_OFFSET, 8, 65537, EINVAL, "outside of the first cluster" },
	{ QH_BACKING_OFFSET, 8, UINT64_MAX, EINVAL, "outside of the first" },
};

START_TEST (wrong_fields_are_refused_by_name) {
	uint64_t size;
	uint8_t *b = image(&size), *bad = malloc(size);

	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		const struct wrong *w = &wrong[i];

		memcpy(bad, b, size);
		if (w->bytes == 8)
			put_be64(bad + w->at, w->value);
		else if (w->bytes == 4)
			put_be32(bad + w->at, (uint32_t)w->value);
		else
			bad[w->at] = (uint8_t)w->value;
		refused(bad, size, w->code, w->has);
	}
	free(bad);
}
END_TEST

START_TEST (backing_name_must_end_in_the_first_cluster) {
	struct qheader h;
	struct err e;
	uint64_t size;
	uint8_t *b = image(&size);

	memset(b + 1024, 'x', 2048);
	put_be64(b + QH_BACKING_OFFSET, 1024);
	put_be32(b + QH_BACKING_LEN, 1024);
	refused(b, size, EINVAL, "1024 bytes (at most 1023)");
	put_be32(b + QH_BACKING_LEN, 1023);
	ck_assert_int_eq(parse(b, size, &h, &e), 0);
	ck_assert_uint_eq(strlen(h.backing_file), 1023);
	qheader_fini(&h);
	put_be64(b + QH_BACKING_OFFSET, CLUSTER - 1000);
	refused(b, size, EINVAL, "goes past the first cluster");
}
END_TEST

START_TEST (backing_name_of_no_bytes_is_none) {
	struct qheader h;
	struct err e;
	uint64_t size;
	uint8_t *b = image(&size);

	put_be64(b + QH_BACKING_OFFSET, 1024);
	put_be32(b + QH_BACKING_LEN, 0);
	ck_assert_int_eq(parse(b, size, &h, &e), 0);
	ck_assert_ptr_null(h.backing_file);
	put_be32(b + QH_BACKING_LEN, 5); /* NULs */
	qheader_fini(&h);
	ck_assert_int_eq(parse(b, size, &h, &e), 0);
	ck_assert_ptr_null(h.backing_file);
	qheader_fini(&h);
}
END_TEST

START_TEST (cut_files_are_refused) {
	uint64_t size;
	uint8_t *b = image(&size);

	refused(b, 0, EINVAL, "not a qcow2 image");
	refused(b, 71, EINVAL, "not a qcow2 image");
	refused(b, 103, EINVAL, "ends after 103 bytes");
	refused(b, 2 * CLUSTER, EINVAL, "cut short");
	for (uint64_t len = 0; len < 3 * CLUSTER; len += 97) {
		struct qheader h;
		struct err e;

		ck_assert_int_lt(parse(b, len, &h, &e), 0);
	}
}
END_TEST

START_TEST (file_may_end_inside_a_tables_last_cluster) {
	struct qheader h;
	struct err e;
	uint64_t size;
	uint8_t *b = image(&size);

	/* as qemu-img leaves it */
	ck_assert_int_eq(parse(b, 3 * CLUSTER + 16, &h, &e), 0);
	qheader_fini(&h);
}
END_TEST

START_TEST (odd_size_is_cut_to_sectors) {
	struct qheader h;
	struct err e;
	uint64_t size;
	uint8_t *b = image(&size);

	put_be64(b + QH_SIZE, MiB + 511);
	ck_assert_int_eq(parse(b, size, &h, &e), 0);
	ck_assert_uint_eq(h.size, MiB);
	qheader_fini(&h);
}
END_TEST

START_TEST (version_2_ends_at_72) {
	struct qcow2_create o = { .size = MiB,
		.version = 2,
		.backing_file = "base.raw",
		.backing_format = "raw" };
	struct qheader h;
	struct err e;
	uint64_t size;
	uint8_t *b = memnode_bytes(qt_new(&o), &size);

	ck_assert_uint_eq(get_be32(b + QH_V2_LEN), 0xe2792aca);
	ck_assert_int_eq(parse(b, size, &h, &e), 0);
	ck_assert_uint_eq(h.version, 2);
	ck_assert_uint_eq(h.refcount_order, 4);
	ck_assert_uint_eq(h.incompatible, 0);
	ck_assert_str_eq(h.backing_file, "base.raw");
	ck_assert_str_eq(h.backing_format, "raw");
	qheader_fini(&h);
}
END_TEST

/* --- features ------------------------------------------------------------- */

START_TEST (unknown_feature_is_refused_by_the_images_name) {
	uint8_t entry[QEXT_FEATURE_LEN] = { 0, 40, 't', 'i', 'm', 'e', '\n' };
	uint64_t size, at = QH_OUR_LEN;
	uint8_t *b = image(&size);

	put_be64(b + QH_INCOMPATIBLE, UINT64_C(1) << 40 | 1 << 5);
	put_ext(b, &at, QEXT_FEATURES, entry, sizeof(entry));
	refused(b, size, ENOTSUP, "(bit 5, time?)");
	entry[0] = 1; /* the name of another kind of bit */
	at = QH_OUR_LEN;
	put_ext(b, &at, QEXT_FEATURES, entry, sizeof(entry));
	refused(b, size, ENOTSUP, "(bit 5, bit 40)");
	put_be64(b + QH_INCOMPATIBLE, UINT64_MAX);
	refused(b, size, ENOTSUP, "bit 5, bit 6");
}
END_TEST

START_TEST (unknown_compatible_and_autoclear_bits_are_kept) {
	struct qheader h;
	struct err e;
	uint64_t size;
	uint8_t *b = image(&size);

	put_be64(b + QH_COMPATIBLE, UINT64_C(0xf0f0));
	put_be64(b + QH_AUTOCLEAR, UINT64_C(0xf00));
	ck_assert_int_eq(parse(b, size, &h, &e), 0);
	ck_assert_uint_eq(h.compatible, 0xf0f0);
	ck_assert_uint_eq(h.autoclear, 0xf00);
	qheader_fini(&h);
}
END_TEST

START_TEST (features_that_exclude_each_other_are_refused) {
	struct qcow2_create small = { .size = MiB, .cluster_size = 4096 };
	uint64_t size;
	uint8_t *b = memnode_bytes(qt_new(&small), &size);

	put_be64(b + QH_INCOMPATIBLE, QINCOMPAT_EXTENDED_L2);
	refused(b, size, EINVAL, "clusters of 4096 bytes (at least 16 KiB)");
	b = image(&size);
	put_be64(b + QH_INCOMPATIBLE, QINCOMPAT_COMPRESSION);
	b[QH_COMPRESSION] = 2;
	refused(b, size, ENOTSUP, "compression type 2");
	b[QH_COMPRESSION] = 0;
	put_be64(b + QH_INCOMPATIBLE, QINCOMPAT_DATA_FILE);
	put_be32(b + QH_NSNAPSHOTS, 1);
	refused(b, size, EINVAL, "1 snapshots with a data file");
	put_be32(b + QH_NSNAPSHOTS, 0);
	put_be64(b + QH_AUTOCLEAR, QAUTOCLEAR_DATA_RAW);
	put_be64(b + QH_BACKING_OFFSET, 1024);
	put_be32(b + QH_BACKING_LEN, 1);
	b[1024] = 'x';
	refused(b, size, EINVAL, "a raw data file with a backing file");
}
END_TEST

/* --- extensions ----------------------------------------------------------- */

START_TEST (extension_past_its_room_is_refused) {
	uint64_t size, at = QH_OUR_LEN;
	uint8_t *b = image(&size);

	put_ext(b, &at, 0x12345678, "", 0);
	put_be32(b + QH_OUR_LEN + 4, CLUSTER - QH_OUR_LEN - 7);
	refused(b, size, EINVAL, "extension 0x12345678 is longer");
	put_be32(b + QH_OUR_LEN + 4, UINT32_MAX);
	refused(b, size, EINVAL, "extension 0x12345678 is longer");
	/* the backing file's name ends the room, too */
	put_be64(b + QH_BACKING_OFFSET, 256);
	put_be32(b + QH_BACKING_LEN, 4);
	put_be32(b + QH_OUR_LEN + 4, 256 - QH_OUR_LEN - 7);
	refused(b, size, EINVAL, "extension 0x12345678 is longer");
}
END_TEST

START_TEST (encryption_header_is_refused) {
	uint64_t size, at = QH_OUR_LEN;
	uint8_t *b = image(&size), data[16] = { 0 };

	put_ext(b, &at, QEXT_CRYPTO, data, sizeof(data));
	refused(b, size, ENOTSUP, "encrypted");
}
END_TEST

START_TEST (strings_come_once_and_are_not_too_long) {
	uint64_t size, at = QH_OUR_LEN;
	uint8_t *b = image(&size);
	char name[4097];

	put_ext(b, &at, (uint32_t)QEXT_BACKING_FORMAT, "raw", 3);
	put_ext(b, &at, (uint32_t)QEXT_BACKING_FORMAT, "raw", 3);
	refused(b, size, EINVAL, "two extensions with the backing file's");
	memset(name, 'x', sizeof(name));
	at = QH_OUR_LEN;
	put_ext(b, &at, (uint32_t)QEXT_BACKING_FORMAT, name, 64);
	refused(b, size, EINVAL, "64 bytes (at most 63)");
	at = QH_OUR_LEN;
	put_ext(b, &at, QEXT_DATA_FILE, name, 4096);
	refused(b, size, EINVAL, "4096 bytes (at most 4095)");
}
END_TEST

static void put_bitmaps(uint8_t *data, uint64_t offset)
{
	memset(data, 0, 24);
	put_be32(data, 2);
	put_be64(data + 8, 96);
	put_be64(data + 16, offset);
}

START_TEST (bitmaps_count_with_their_bit_only) {
	struct qheader h;
	struct err e;
	uint64_t size, at = QH_OUR_LEN;
	uint8_t *b = image(&size), data[24];

	put_bitmaps(data, 5 * CLUSTER);
	put_ext(b, &at, QEXT_BITMAPS, data, sizeof(data));
	ck_assert_int_eq(parse(b, size, &h, &e), 0);
	ck_assert_uint_eq(h.bitmaps_offset, 0);
	ck_assert_uint_eq(h.ext_len, 32);
	qheader_fini(&h);
	put_be64(b + QH_AUTOCLEAR, QAUTOCLEAR_BITMAPS);
	ck_assert_int_eq(parse(b, size, &h, &e), 0);
	ck_assert_uint_eq(h.bitmaps_offset, 5 * CLUSTER);
	ck_assert_uint_eq(h.bitmaps_bytes, 96);
	ck_assert_uint_eq(h.nbitmaps, 2);
	qheader_fini(&h);
}
END_TEST

/* --- writing -------------------------------------------------------------- */

struct rw {
	struct node *file;
	struct qheader *h;
	struct err *e;
};

static int read_fn(void *arg)
{
	struct rw *w = arg;

	return qheader_read(w->file, w->h, w->e);
}

static int write_fn(void *arg)
{
	struct rw *w = arg;

	return qheader_write(w->file, w->h, w->e);
}

START_TEST (unknown_things_survive_a_rewrite_byte_for_byte) {
	struct qcow2_create o = { .size = GiB };
	struct node *n = qt_new(&o);
	struct err e = ERR_NONE;
	struct qheader h;
	struct rw w = { n, &h, &e };
	uint8_t *b = memnode_bytes(n, NULL), bitmaps[24];
	uint64_t at = 136;

	/* a header of 136 bytes and two unknown extensions of odd length */
	put_be32(b + QH_HEADER_LEN, 136);
	memset(b + QH_OUR_LEN, 0xa5, 24);
	put_ext(b, &at, 0x11112222, "abcde", 5);
	put_bitmaps(bitmaps, 4 * CLUSTER);
	put_ext(b, &at, QEXT_BITMAPS, bitmaps, 24);
	put_ext(b, &at, 0x33334444, "0123456789", 10);
	ck_assert_int_eq(qt_run(read_fn, &w), 0);
	ck_assert_uint_eq(h.more_len, 24);
	ck_assert_uint_eq(h.ext_len, 16 + 32 + 24);
	h.backing_file = strdup("base");
	h.backing_format = strdup("qcow2");
	ck_assert_int_eq(qt_run(write_fn, &w), 0);
	qheader_fini(&h);

	ck_assert_int_eq(qt_run(read_fn, &w), 0);
	ck_assert_uint_eq(h.header_len, 136);
	ck_assert_uint_eq(h.more_len, 24);
	ck_assert_uint_eq(h.more[23], 0xa5);
	ck_assert_str_eq(h.backing_file, "base");
	ck_assert_str_eq(h.backing_format, "qcow2");
	ck_assert_uint_eq(h.ext_len, 72);
	ck_assert_uint_eq(get_be32(h.ext), 0x11112222);
	ck_assert_mem_eq(h.ext + 8, "abcde\0\0", 8);
	ck_assert_mem_eq(h.ext + 16 + 8, bitmaps, 24);
	ck_assert_uint_eq(get_be32(h.ext + 48 + 4), 10);
	ck_assert_mem_eq(h.ext + 48 + 8, "0123456789\0\0\0\0\0", 16);
	qheader_fini(&h);
}
END_TEST

START_TEST (header_goes_out_in_one_request) {
	struct qcow2_create o = { .size = GiB, .backing_file = "long-name" };
	struct node *n = qt_new(&o);
	struct err e = ERR_NONE;
	struct qheader h;
	struct rw w = { n, &h, &e };
	uint8_t *b = memnode_bytes(n, NULL);
	uint64_t writes = memnode_count(n, BLK_WRITE);
	uint64_t name = get_be64(b + QH_BACKING_OFFSET);

	/* what lies behind is kept, the old name is not */
	memset(b + 8192, 0x5a, 100);
	ck_assert_int_eq(qt_run(read_fn, &w), 0);
	free(h.backing_file);
	h.backing_file = NULL;
	ck_assert_int_eq(qt_run(write_fn, &w), 0);
	ck_assert_uint_eq(memnode_count(n, BLK_WRITE), writes + 1);
	ck_assert_uint_eq(b[8192 + 99], 0x5a);
	ck_assert(qt_is_zero(b + name, 9));
	ck_assert_uint_eq(get_be64(b + QH_BACKING_OFFSET), 0);
	qheader_fini(&h);
}
END_TEST

START_TEST (header_that_does_not_fit_is_refused) {
	struct qcow2_create o = { .size = MiB, .cluster_size = 512 };
	struct node *n = qt_new(&o);
	struct err e = ERR_NONE;
	struct qheader h;
	struct rw w = { n, &h, &e };
	uint8_t before[512];

	memcpy(before, memnode_bytes(n, NULL), sizeof(before));
	ck_assert_int_eq(qt_run(read_fn, &w), 0);
	h.backing_file = malloc(400);
	memset(h.backing_file, 'x', 399);
	h.backing_file[399] = '\0';
	ck_assert_int_eq(qt_run(write_fn, &w), -ENOSPC);
	ck_assert_err(e, ENOSPC, "does not fit in a cluster of 512 bytes");
	ck_assert_mem_eq(before, memnode_bytes(n, NULL), sizeof(before));
	/* names of features give way */
	h.backing_file[390] = '\0';
	ck_assert_int_eq(qt_run(write_fn, &w), 0);
	qheader_fini(&h);
	ck_assert_int_eq(qt_run(read_fn, &w), 0);
	ck_assert_uint_eq(strlen(h.backing_file), 390);
	qheader_fini(&h);
}
END_TEST

START_TEST (errors_of_the_file_are_told) {
	struct qcow2_create o = { .size = MiB };
	struct node *n = qt_new(&o);
	struct err e = ERR_NONE;
	struct qheader h;
	struct rw w = { n, &h, &e };

	memnode_fail(n, BLK_READ, 0, EIO);
	ck_assert_int_eq(qt_run(read_fn, &w), -EIO);
	ck_assert_err(e, EIO, "mem.qcow2: reading the header");
	memnode_fail(n, BLK_READ, 1, EIO);
	ck_assert_int_eq(qt_run(read_fn, &w), -EIO);
	memnode_fail(n, BLK_READ, 0, 0);
	ck_assert_int_eq(qt_run(read_fn, &w), 0);
	memnode_fail(n, BLK_READ, 0, EIO);
	ck_assert_int_eq(qt_run(write_fn, &w), -EIO);
	ck_assert_err(e, EIO, "mem.qcow2: reading the header");
	memnode_fail(n, BLK_READ, 0, 0);
	memnode_fail(n, BLK_WRITE, 0, ENOSPC);
	ck_assert_int_eq(qt_run(write_fn, &w), -ENOSPC);
	ck_assert_err(e, ENOSPC, "mem.qcow2: writing the header");
	qheader_fini(&h);
}
END_TEST

static int fields_fn(void *arg)
{
	struct rw *w = arg;
	int rc = qheader_write_features(w->file, w->h);

	if (!rc)
		rc = qheader_write_rt(w->file, w->h);
	if (!rc)
		rc = qheader_write_snapshots(w->file, w->h);
	return rc;
}

static int tables_fn(void *arg)
{
	struct rw *w = arg;

	return qheader_write_tables(w->file, w->h);
}

static const struct qheader fields = { .version = 3,
	.size = 1,
	.l1_entries = 2,
	.l1_offset = 3,
	.rt_offset = 4,
	.rt_clusters = 5,
	.nsnapshots = 6,
	.snapshots_offset = 7,
	.incompatible = 8,
	.compatible = 9,
	.autoclear = 10 };

START_TEST (single_fields_are_written_where_they_are) {
	struct node *n = qt_mem();
	struct qheader h = fields;
	struct rw w = { .file = n, .h = &h };
	uint8_t *b = memnode_bytes(n, NULL);

	ck_assert_int_eq(qt_run(fields_fn, &w), 0);
	ck_assert_uint_eq(get_be64(b + 48), 4);
	ck_assert_uint_eq(get_be32(b + 56), 5);
	ck_assert_uint_eq(get_be32(b + 60), 6);
	ck_assert_uint_eq(get_be64(b + 64), 7);
	ck_assert_uint_eq(get_be64(b + 72), 8);
	ck_assert_uint_eq(get_be64(b + 80), 9);
	ck_assert_uint_eq(get_be64(b + 88), 10);
	ck_assert(qt_is_zero(b, 48));
	/* version 2 has no features */
	memset(b + 72, 0xff, 24);
	h.version = 2;
	ck_assert_int_eq(qt_run(fields_fn, &w), 0);
	ck_assert_uint_eq(b[72], 0xff);
}
END_TEST

START_TEST (where_tables_are_is_written_at_once) {
	struct node *n = qt_mem();
	struct qheader h = fields;
	struct rw w = { .file = n, .h = &h };
	uint8_t *b = memnode_bytes(n, NULL);

	ck_assert_int_eq(qt_run(tables_fn, &w), 0);
	ck_assert_uint_eq(memnode_count(n, BLK_WRITE), 1);
	ck_assert_uint_eq(get_be64(b + 24), 1);
	ck_assert_uint_eq(get_be32(b + 32), 0);
	ck_assert_uint_eq(get_be32(b + 36), 2);
	ck_assert_uint_eq(get_be64(b + 40), 3);
	ck_assert_uint_eq(get_be64(b + 48), 4);
	ck_assert_uint_eq(get_be32(b + 56), 5);
	ck_assert_uint_eq(get_be32(b + 60), 6);
	ck_assert_uint_eq(get_be64(b + 64), 7);
	ck_assert(qt_is_zero(b, 24));
}
END_TEST

QT_SUITE("qcow2 header", probe_wants_magic_and_version,
	good_header_is_taken_apart, wrong_fields_are_refused_by_name,
	backing_name_must_end_in_the_first_cluster,
	backing_name_of_no_bytes_is_none, cut_files_are_refused,
	file_may_end_inside_a_tables_last_cluster, odd_size_is_cut_to_sectors,
	version_2_ends_at_72, unknown_feature_is_refused_by_the_images_name,
	unknown_compatible_and_autoclear_bits_are_kept,
	features_that_exclude_each_other_are_refused,
	extension_past_its_room_is_refused, encryption_header_is_refused,
	strings_come_once_and_are_not_too_long,
	bitmaps_count_with_their_bit_only,
	unknown_things_survive_a_rewrite_byte_for_byte,
	header_goes_out_in_one_request, header_that_does_not_fit_is_refused,
	errors_of_the_file_are_told, single_fields_are_written_where_they_are,
	where_tables_are_is_written_at_once)
