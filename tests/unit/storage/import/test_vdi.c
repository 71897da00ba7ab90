/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/import/imp.h"

static void round_trip(const char *options, uint64_t size, bool sparse)
{
	uint64_t zeros = imp_round_trip(BLK_VDI, "vdi", options, size);

	ck_assert(!sparse || zeros > 0);
}

START_TEST (a_dynamic_image_reads_as_its_source) {
	round_trip("", 20 * MiB + 512, true);
	round_trip("", 15 * MiB, true);
	round_trip("", 512, false);
}
END_TEST

START_TEST (a_static_image_reads_as_its_source) {
	round_trip("static=on", 11 * MiB + 3 * 512, false);
}
END_TEST

START_TEST (reads_wait_for_the_file) {
	imp_async = true;
	round_trip("", 12 * MiB + 512, true);
}
END_TEST

/* An image made by hand: four blocks of 4 KiB at 8192: 2, zero, free, 0. */
static struct node *small_vdi(uint8_t **bytes)
{
	struct node *n = memnode_new(rig_ctx(), "small.vdi", 8192 + 3 * 4096);
	uint8_t *b = memnode_bytes(n, NULL);

	put_le32(b + 0x40, 0xbeda107f);
	put_le32(b + 0x44, 0x00010001);
	put_le32(b + 0x48, 0x190);
	put_le32(b + 0x4c, 1);
	put_le32(b + 0x154, 512);
	put_le32(b + 0x158, 8192);
	put_le32(b + 0x168, 512);
	put_le64(b + 0x170, 4 * 4096 - 100);
	put_le32(b + 0x178, 4096);
	put_le32(b + 0x180, 4);
	put_le32(b + 0x184, 3);
	put_le32(b + 512, 2);
	put_le32(b + 516, 0xfffffffe);
	put_le32(b + 520, 0xffffffff);
	put_le32(b + 524, 0);
	memset(b + 8192, 'a', 4096);
	memset(b + 8192 + 2 * 4096, 'c', 4096);
	*bytes = b;
	return n;
}

START_TEST (blocks_are_found_by_the_table) {
	uint8_t *b, buf[4 * 4096], *want = calloc(1, sizeof(buf));
	struct node *n = imp_open(BLK_VDI, small_vdi(&b));
	struct blk_extent x;

	memset(want, 'c', 4096);
	memset(want + 3 * 4096, 'a', 4096);
	ck_assert_uint_eq(node_size(n), sizeof(buf)); /* rounded up */
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, sizeof(buf)), 0);
	ck_assert_mem_eq(buf, want, sizeof(buf));
	ck_assert_int_eq(imp_status(n, 0, sizeof(buf), &x), 0);
	ck_assert(x.data && x.present && x.has_host && x.len == 4096);
	ck_assert_uint_eq(x.host, 8192 + 2 * 4096);
	ck_assert_int_eq(imp_status(n, 4096, 8192, &x), 0);
	ck_assert(x.zero && !x.data && x.present && x.len == 4096);
	ck_assert_int_eq(imp_status(n, 8192, 4096, &x), 0);
	ck_assert(x.zero && !x.data && !x.present && x.len == 4096);
	imp_close(n);
	free(want);
}
END_TEST

START_TEST (an_image_is_never_written) {
	uint8_t *b, buf[512] = { 0 };
	struct node *n = imp_open(BLK_VDI, small_vdi(&b));

	ck_assert_int_eq(imp_rw(n, BLK_WRITE, 0, buf, 512), -EROFS);
	ck_assert_int_eq(imp_rw(n, BLK_WRITE_ZEROES, 0, NULL, 512), -EROFS);
	ck_assert_int_eq(imp_rw(n, BLK_DISCARD, 0, NULL, 512), -EROFS);
	ck_assert_int_eq(imp_rw(n, BLK_FLUSH, 0, NULL, 0), 0);
	imp_close(n);
}
END_TEST

START_TEST (a_block_past_the_end_is_an_error) {
	uint8_t *b, buf[4096];
	struct node *n;
	struct blk_extent x;
	struct node *f = small_vdi(&b);

	put_le32(b + 524, 3);
	n = imp_open(BLK_VDI, f);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, 4096), 0);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 3 * 4096, buf, 4096), -EIO);
	ck_assert_int_eq(imp_status(n, 3 * 4096, 4096, &x), -EIO);
	imp_close(n);
}
END_TEST

START_TEST (an_error_of_the_file_reaches_the_request) {
	uint8_t *b, buf[4096];
	struct node *f = small_vdi(&b), *n = imp_open(BLK_VDI, f);

	memnode_fail_once(f, BLK_READ, 0, EIO); /* the table */
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, 4096), -EIO);
	memnode_fail_once(f, BLK_READ, 1, EIO); /* the data */
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, 4096), -EIO);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, 4096), 0);
	ck_assert_int_eq(buf[0], 'c');
	imp_close(n);
}
END_TEST

START_TEST (damaged_headers_are_refused) {
	static const struct imp_field wrong[] = {
		{ 0x40, 4, 0xbeda107e, EINVAL, "not a VDI" },
		{ 0x44, 4, 0x00010002, ENOTSUP, "version 1.2" },
		{ 0x44, 4, 0x00000001, ENOTSUP, "version 0.1" },
		{ 0x48, 4, 0x17f, EINVAL, "its size" },
		{ 0x4c, 4, 0, ENOTSUP, "type 0" },
		{ 0x4c, 4, 5, ENOTSUP, "type 5" },
		{ 0x154, 4, 508, EINVAL, "wrong place" },
		{ 0x154, 4, 514, EINVAL, "wrong place" },
		{ 0x154, 4, 0xfffffffc, EINVAL, "past the end" },
		{ 0x158, 4, 524, EINVAL, "overlaps" },
		{ 0x168, 4, 4096, EINVAL, "sector size" },
		{ 0x170, 8, 4 * 4096 + 1, EINVAL, "larger than the table" },
		{ 0x170, 8, UINT64_MAX, EINVAL, "larger than the table" },
		{ 0x178, 4, 0, EINVAL, "block size" },
		{ 0x178, 4, 2048, EINVAL, "block size" },
		{ 0x178, 4, 5000, EINVAL, "block size" },
		{ 0x178, 4, 0x20000000, EINVAL, "block size" },
		{ 0x17c, 4, 512, ENOTSUP, "before each block" },
		{ 0x180, 4, 3, EINVAL, "larger than the table" },
		{ 0x180, 4, UINT32_MAX, EINVAL, "past the end" },
	};

	imp_fields_fail(BLK_VDI, small_vdi, wrong, ARRAY_LEN(wrong));
}
END_TEST

START_TEST (differencing_images_are_refused_by_name) {
	static const struct imp_field wrong[] = {
		{ 0x4c, 4, 4, ENOTSUP, "differencing VDI" },
		{ 0x4c, 4, 3, ENOTSUP, "differencing VDI" },
		{ 0x1a8, 4, 1, ENOTSUP, "differencing VDI" },
		{ 0x1c7, 1, 1, ENOTSUP, "differencing VDI" },
	};

	imp_fields_fail(BLK_VDI, small_vdi, wrong, ARRAY_LEN(wrong));
}
END_TEST

START_TEST (short_files_and_read_errors_are_refused) {
	struct node *f = memnode_new(rig_ctx(), "empty.vdi", 0);
	uint8_t *b;

	imp_fails(BLK_VDI, f, EINVAL, "empty.vdi: not a VDI");
	f = small_vdi(&b);
	memnode_fail(f, BLK_READ, 0, EIO);
	imp_fails(BLK_VDI, f, EIO, "small.vdi: cannot read");
}
END_TEST

START_TEST (the_signature_is_the_probe) {
	uint8_t head[512] = { 0 };

	ck_assert(!vdi_probe(head, sizeof(head)));
	put_le32(head + 0x40, 0xbeda107f);
	ck_assert(vdi_probe(head, sizeof(head)));
	ck_assert(!vdi_probe(head, 0x47));
}
END_TEST

RIG_SUITE("import_vdi", a_dynamic_image_reads_as_its_source,
	a_static_image_reads_as_its_source, reads_wait_for_the_file,
	blocks_are_found_by_the_table, an_image_is_never_written,
	a_block_past_the_end_is_an_error,
	an_error_of_the_file_reaches_the_request, damaged_headers_are_refused,
	differencing_images_are_refused_by_name,
	short_files_and_read_errors_are_refused, the_signature_is_the_probe)
