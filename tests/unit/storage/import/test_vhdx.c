/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/import/crc32c.h"

#include "tests/unit/storage/import/vx.h"

static void round_trip(const char *options, uint64_t size, bool sparse)
{
	uint64_t zeros = imp_round_trip(BLK_VHDX, "vhdx", options, size);

	ck_assert(!sparse || zeros > 0);
}

START_TEST (a_dynamic_image_reads_as_its_source) {
	round_trip("block_size=1M", 30 * MiB + 512, true);
	round_trip("subformat=dynamic", 40 * MiB, false);
	round_trip("block_size=2M,log_size=2M", 9 * MiB + 7 * 512, false);
}
END_TEST

START_TEST (a_fixed_image_reads_as_its_source) {
	round_trip("subformat=fixed,block_size=1M", 20 * MiB + 512, false);
}
END_TEST

START_TEST (reads_wait_for_the_file) {
	imp_async = true;
	round_trip("block_size=1M", 20 * MiB + 512, true);
}
END_TEST

/* Chunks of 4096 blocks of 1 MiB: the entry behind them is a bitmap's. */
START_TEST (bitmap_entries_are_skipped) {
	static uint8_t buf[4096], want[4096];
	struct node *n;

	rig_file("raw", 5 * GiB);
	for (uint64_t at = 4 * GiB - MiB; at <= 4 * GiB + MiB; at += MiB) {
		memset(want, (int)(at / MiB % 100), sizeof(want));
		rig_write_file(rig_path("raw"), at, want, sizeof(want));
	}
	imp_convert("raw", "vhdx", "block_size=1M", "a.vhdx");
	n = imp_open(BLK_VHDX, imp_load("a.vhdx"));
	for (uint64_t at = 4 * GiB - MiB; at <= 4 * GiB + MiB; at += MiB) {
		memset(want, (int)(at / MiB % 100), sizeof(want));
		ck_assert_int_eq(imp_rw(n, BLK_READ, at, buf, 4096), 0);
		ck_assert_mem_eq(buf, want, 4096);
	}
	imp_close(n);
}
END_TEST

/* --- a small image, changed --- */

#define SMALL_SIZE (4 * MiB)

static void small_vhdx(struct vx *v)
{
	if (access(rig_path("a.vhdx"), R_OK) < 0) { /* once a test */
		imp_raw("raw", SMALL_SIZE, 5);
		imp_convert("raw", "vhdx", "block_size=1M,log_size=1M",
			"a.vhdx");
	}
	vx_load(v, "a.vhdx");
}

/* The raw file changed as f(buf). */
static void raw_zeros(uint64_t at, uint64_t len)
{
	uint8_t *zeros = calloc(1, len);

	rig_write_file(rig_path("raw"), at, zeros, len);
	free(zeros);
}

static void small_same(struct vx *v)
{
	struct node *n = imp_open(BLK_VHDX, v->f);

	imp_same(n, "raw");
	imp_close(n);
}

START_TEST (blocks_that_are_not_there_are_zeros) {
	struct blk_extent x;
	struct node *n;
	struct vx v;

	for (unsigned state = 0; state < 6; state++) {
		if (state == 4)
			continue; /* there is none */
		small_vhdx(&v);
		put_le64(v.b + v.bat_at + 8, UINT64_C(0x7f00000) | state);
		raw_zeros(MiB, MiB);
		n = imp_open(BLK_VHDX, v.f);
		imp_same(n, "raw");
		ck_assert_int_eq(imp_status(n, MiB, MiB, &x), 0);
		ck_assert(x.zero && !x.data && x.len == MiB);
		ck_assert_int_eq(x.present, state != 0);
		imp_close(n);
	}
}
END_TEST

static void block_fails(uint64_t entry)
{
	static uint8_t buf[MiB];
	struct node *n;
	struct vx v;

	small_vhdx(&v);
	put_le64(v.b + v.bat_at + 8, entry);
	n = imp_open(BLK_VHDX, v.f);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, MiB), 0);
	ck_assert_int_eq(imp_rw(n, BLK_READ, MiB, buf, 512), -EIO);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, 2 * MiB - MiB), 0);
	imp_close(n);
}

START_TEST (blocks_that_cannot_be_fail) {
	block_fails(4);              /* no such state */
	block_fails(7 | 4 * MiB);    /* partial: only with a parent */
	block_fails(6);              /* in the header */
	block_fails(6 | 1000 * MiB); /* past the end */
	block_fails(UINT64_MAX - 1); /* state 6, far away */
}
END_TEST

START_TEST (the_newer_header_counts) {
	struct vx v;

	/* the older one says that there is a log, at a mad place */
	small_vhdx(&v);
	put_le64(v.b + VX_HEADER(0) + 8, 100);
	put_le64(v.b + VX_HEADER(1) + 8, 99);
	put_le64(v.b + VX_HEADER(1) + 48, 1);
	put_le64(v.b + VX_HEADER(1) + 72, UINT64_MAX);
	vx_sum_headers(&v);
	small_same(&v);
	small_vhdx(&v);
	put_le64(v.b + VX_HEADER(0) + 8, 100);
	put_le64(v.b + VX_HEADER(1) + 8, 101);
	put_le64(v.b + VX_HEADER(1) + 48, 1);
	put_le64(v.b + VX_HEADER(1) + 72, UINT64_MAX);
	vx_sum_headers(&v);
	imp_fails(BLK_VHDX, v.f, EINVAL, "log's place");
}
END_TEST

START_TEST (one_good_header_is_enough) {
	for (int i = 0; i < 2; i++) {
		struct vx v;

		small_vhdx(&v);
		v.b[VX_HEADER(i) + 4000] ^= 1;
		small_same(&v);
		small_vhdx(&v);
		v.b[VX_HEADER(i)] ^= 1;
		small_same(&v);
	}
}
END_TEST

START_TEST (no_good_header_is_refused) {
	struct vx v;

	small_vhdx(&v);
	v.b[VX_HEADER(0) + 100] ^= 1;
	v.b[VX_HEADER(1) + 100] ^= 1;
	imp_fails(BLK_VHDX, v.f, EINVAL, "neither of its headers");
	small_vhdx(&v); /* of one number, but not the same */
	put_le64(v.b + VX_HEADER(0) + 8, 7);
	put_le64(v.b + VX_HEADER(1) + 8, 7);
	v.b[VX_HEADER(1) + 16] ^= 1;
	vx_sum_headers(&v);
	imp_fails(BLK_VHDX, v.f, EINVAL, "neither of its headers");
}
END_TEST

/* With v in the field of both headers the image is refused. */
static void header_refused(unsigned at, unsigned width, uint64_t value,
	int code, const char *has)
{
	struct vx v;

	small_vhdx(&v);
	vx_use_log(&v);
	for (int i = 0; i < 2; i++)
		put_le(v.b + VX_HEADER(i) + at, value, width);
	vx_sum_headers(&v);
	imp_fails(BLK_VHDX, v.f, code, has);
}

START_TEST (headers_that_make_no_sense_are_refused) {
	header_refused(66, 2, 2, ENOTSUP, "version 2");
	header_refused(66, 2, 0, ENOTSUP, "version 0");
	header_refused(64, 2, 1, ENOTSUP, "log version 1");
	header_refused(68, 4, 0, EINVAL, "log's place");
	header_refused(68, 4, 4096, EINVAL, "log's place");
	header_refused(68, 4, 0xfff00000, EINVAL, "log's place");
	header_refused(72, 8, 0, EINVAL, "log's place");
	header_refused(72, 8, MiB + 4096, EINVAL, "log's place");
	header_refused(72, 8, 1000 * MiB, EINVAL, "log's place");
	header_refused(72, 8, UINT64_MAX - MiB + 1, EINVAL, "log's place");
}
END_TEST

START_TEST (one_good_region_table_is_enough) {
	struct vx v;

	for (int i = 0; i < 2; i++) {
		small_vhdx(&v);
		v.b[VX_REGIONS(i) + 60000] ^= 1;
		small_same(&v);
	}
	small_vhdx(&v);
	v.b[VX_REGIONS(0)] ^= 1;
	v.b[VX_REGIONS(1) + 4] ^= 1;
	imp_fails(BLK_VHDX, v.f, EINVAL, "neither of its region tables");
}
END_TEST

/* entry -1: the table's head */
static void region_refused(int entry, unsigned at, unsigned width,
	uint64_t value, int code, const char *has)
{
	struct vx v;

	small_vhdx(&v);
	for (int i = 0; i < 2; i++) {
		uint8_t *t = v.b + VX_REGIONS(i);

		put_le32(t + 16 + 28, 1); /* both are required: */
		put_le32(t + 48 + 28, 1); /* qemu-img does not say so */
		put_le(t + at + (entry < 0 ? 0 : 16 + 32 * entry), value,
			width);
	}
	vx_sum_regions(&v);
	imp_fails(BLK_VHDX, v.f, code, has);
}

START_TEST (regions_that_make_no_sense_are_refused) {
	region_refused(-1, 8, 4, 2048, EINVAL, "too many regions");
	region_refused(-1, 8, 4, 0, EINVAL, "no table of blocks");
	region_refused(-1, 8, 4, 1, EINVAL, "no table of blocks");
	for (int i = 0; i < 2; i++) {
		region_refused(i, 0, 4, 0xabcd1234, ENOTSUP,
			"not known here (abcd1234-");
		region_refused(i, 16, 8, 0, EINVAL, "region's place");
		region_refused(i, 16, 8, 3 * MiB + 512, EINVAL,
			"region's place");
		region_refused(i, 16, 8, 1000 * MiB, EINVAL, "region's place");
		region_refused(i, 16, 8, UINT64_MAX - MiB + 1, EINVAL,
			"region's place");
		region_refused(i, 24, 4, 0, EINVAL, "region's place");
		region_refused(i, 24, 4, 4096, EINVAL, "region's place");
		region_refused(i, 24, 4, 0xfff00000, EINVAL, "region's place");
	}
}
END_TEST

START_TEST (regions_that_are_not_required_may_be_unknown) {
	struct vx v;

	small_vhdx(&v);
	for (int i = 0; i < 2; i++) {
		put_le32(v.b + VX_REGIONS(i) + 8, 3);
		memset(v.b + VX_REGIONS(i) + 16 + 64, 0xee, 28);
	}
	vx_sum_regions(&v);
	small_same(&v);
	small_vhdx(&v);
	for (int i = 0; i < 2; i++) { /* one that is twice there */
		put_le32(v.b + VX_REGIONS(i) + 8, 3);
		memcpy(v.b + VX_REGIONS(i) + 16 + 64, v.b + VX_REGIONS(i) + 16,
			32);
	}
	vx_sum_regions(&v);
	imp_fails(BLK_VHDX, v.f, EINVAL, "region is there twice");
}
END_TEST

static void value_refused(uint32_t item, unsigned at, unsigned width,
	uint64_t value, int code, const char *has)
{
	struct vx v;

	small_vhdx(&v);
	put_le(vx_value(&v, item) + at, value, width);
	imp_fails(BLK_VHDX, v.f, code, has);
}

START_TEST (metadata_that_makes_no_sense_is_refused) {
	value_refused(VX_PARAMS, 0, 4, 0, EINVAL, "block size");
	value_refused(VX_PARAMS, 0, 4, 512 * KiB, EINVAL, "block size");
	value_refused(VX_PARAMS, 0, 4, 3 * MiB, EINVAL, "block size");
	value_refused(VX_PARAMS, 0, 4, 512 * MiB, EINVAL, "block size");
	value_refused(VX_SIZE, 0, 8, 513, EINVAL, "disk's size");
	value_refused(VX_SIZE, 0, 8, 64 * TiB + 512, EINVAL, "disk's size");
	value_refused(VX_SIZE, 0, 8, 64 * TiB, EINVAL, "too short");
	value_refused(VX_LOGICAL, 0, 4, 0, EINVAL, "sector size");
	value_refused(VX_LOGICAL, 0, 4, 1024, EINVAL, "sector size");
	value_refused(VX_PHYS, 0, 4, 0, EINVAL, "sector size");
}
END_TEST

START_TEST (differencing_images_are_refused_by_name) {
	value_refused(VX_PARAMS, 4, 4, 2, ENOTSUP, "differencing VHDX");
}
END_TEST

START_TEST (metadata_tables_that_make_no_sense_are_refused) {
	struct vx v;

	small_vhdx(&v);
	v.b[v.meta_at] ^= 1;
	imp_fails(BLK_VHDX, v.f, EINVAL, "no metadata table");
	small_vhdx(&v);
	put_le16(v.b + v.meta_at + 10, 2048);
	imp_fails(BLK_VHDX, v.f, EINVAL, "no metadata table");
	small_vhdx(&v);
	put_le16(v.b + v.meta_at + 10, 0);
	imp_fails(BLK_VHDX, v.f, EINVAL, "item is missing");
	small_vhdx(&v);
	put_le32(vx_item(&v, VX_PHYS), 0x12345678);
	imp_fails(BLK_VHDX, v.f, ENOTSUP, "not known here (12345678-");
	small_vhdx(&v);
	put_le32(vx_item(&v, VX_PHYS) + 24, 2);
	put_le32(vx_item(&v, VX_PHYS), 0x12345678);
	imp_fails(BLK_VHDX, v.f, EINVAL, "item is missing");
	small_vhdx(&v);
	memcpy(vx_item(&v, VX_PHYS), vx_item(&v, VX_SIZE), 32);
	imp_fails(BLK_VHDX, v.f, EINVAL, "item is there twice");
	small_vhdx(&v);
	put_le32(vx_item(&v, VX_SIZE) + 16, 4096);
	imp_fails(BLK_VHDX, v.f, EINVAL, "item's place");
	small_vhdx(&v);
	put_le32(vx_item(&v, VX_SIZE) + 16, UINT32_MAX);
	imp_fails(BLK_VHDX, v.f, EINVAL, "item's place");
	small_vhdx(&v);
	put_le32(vx_item(&v, VX_SIZE) + 20, 4);
	imp_fails(BLK_VHDX, v.f, EINVAL, "item's place");
}
END_TEST

START_TEST (what_cannot_be_read_is_told) {
	struct vx v;

	imp_fails(BLK_VHDX, memnode_new(rig_ctx(), "e.vhdx", 0), EINVAL,
		"e.vhdx: not a VHDX");
	small_vhdx(&v);
	memnode_fail(v.f, BLK_READ, 0, EIO);
	imp_fails(BLK_VHDX, v.f, EIO, "a.vhdx: cannot read the VHDX header");
	small_vhdx(&v); /* one header of both is enough */
	memnode_fail_once(v.f, BLK_READ, 1, EIO);
	small_same(&v);
	small_vhdx(&v); /* one region table too */
	memnode_fail_once(v.f, BLK_READ, 3, EIO);
	small_same(&v);
	small_vhdx(&v);
	memnode_fail(v.f, BLK_READ, 4, EIO);
	imp_fails(BLK_VHDX, v.f, EIO, "cannot read the VHDX metadata");
	small_vhdx(&v);
	memnode_fail(v.f, BLK_READ, 5, EIO);
	imp_fails(BLK_VHDX, v.f, EIO, "cannot read ");
}
END_TEST

START_TEST (a_guests_sectors_of_4096_are_read_by_512) {
	uint8_t buf[512];
	struct blk_info info;
	struct node *n;
	struct vx v;

	small_vhdx(&v);
	put_le32(vx_value(&v, VX_LOGICAL), 4096);
	put_le32(vx_value(&v, VX_PHYS), 4096);
	n = imp_open(BLK_VHDX, v.f);
	n->ops->info(n, &info);
	ck_assert_uint_eq(info.block_size, 512);
	ck_assert_uint_eq(info.phys_size, 4096);
	ck_assert_uint_eq(info.cluster_size, MiB);
	ck_assert(info.readonly && !strcmp(info.format, "vhdx"));
	ck_assert_int_eq(imp_rw(n, BLK_READ, 512, buf, 512), 0);
	imp_same(n, "raw");
	imp_close(n);
}
END_TEST

START_TEST (the_checksum_is_castagnolis) {
	uint8_t bytes[77];
	uint32_t want;

	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c_plain(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(i * 37 + 11);
		ck_assert_uint_eq(crc32c(i, bytes, i + 1),
			crc32c_plain(i, bytes, i + 1));
	}
	memset(bytes + 3, 0, 4);
	want = crc32c(0, bytes, 10);
	memset(bytes + 3, 0xff, 4);
	ck_assert_uint_eq(crc32c_without(bytes, 10, 3), want);
}
END_TEST

START_TEST (the_signature_is_the_probe) {
	ck_assert(vhdx_probe("vhdxfileQ", 9));
	ck_assert(!vhdx_probe("vhdxfil", 7));
	ck_assert(!vhdx_probe("vhdxfolder", 10));
}
END_TEST

RIG_SUITE("import_vhdx", a_dynamic_image_reads_as_its_source,
	a_fixed_image_reads_as_its_source, reads_wait_for_the_file,
	bitmap_entries_are_skipped, blocks_that_are_not_there_are_zeros,
	blocks_that_cannot_be_fail, the_newer_header_counts,
	one_good_header_is_enough, no_good_header_is_refused,
	headers_that_make_no_sense_are_refused, one_good_region_table_is_enough,
	regions_that_make_no_sense_are_refused,
	regions_that_are_not_required_may_be_unknown,
	metadata_that_makes_no_sense_is_refused,
	differencing_images_are_refused_by_name,
	metadata_tables_that_make_no_sense_are_refused,
	what_cannot_be_read_is_told, a_guests_sectors_of_4096_are_read_by_512,
	the_checksum_is_castagnolis, the_signature_is_the_probe)
