/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/fw/aml and buf: encodings of ACPI 6.4 chapter 20, byte by byte. */
#include <errno.h>

#include "vm/fw/aml.h"

#include "tests/unit/vm/fw/rig.h"

static void is(struct fw_buf *b, const void *want, size_t len)
{
	ck_assert_uint_eq(b->len, len);
	ck_assert_mem_eq(b->p, want, len);
	fw_buf_fini(b);
}

#define IS(b, ...)                                                             \
	do {                                                                   \
		static const uint8_t want[] = { __VA_ARGS__ };                 \
		is(b, want, sizeof(want));                                     \
	} while (0)

START_TEST (integers_take_as_few_bytes_as_they_can) {
	struct fw_buf b = { 0 };

	aml_int(&b, 0);
	aml_int(&b, 1);
	aml_int(&b, 2);
	aml_int(&b, 0xFF);
	aml_int(&b, 0x100);
	IS(&b, 0, 1, 0x0A, 2, 0x0A, 0xFF, 0x0B, 0, 1);
	aml_int(&b, 0x10000);
	aml_int(&b, UINT64_C(0x100000000));
	IS(&b, 0x0C, 0, 0, 1, 0, 0x0E, 0, 0, 0, 0, 1, 0, 0, 0);
}
END_TEST

START_TEST (paths_have_one_two_or_many_segments) {
	struct fw_buf b = { 0 };

	aml_path(&b, "A");
	IS(&b, 'A', '_', '_', '_');
	aml_path(&b, "\\_SB.PCI0");
	IS(&b, '\\', 0x2E, '_', 'S', 'B', '_', 'P', 'C', 'I', '0');
	aml_path(&b, "^A.B.C");
	IS(&b, '^', 0x2F, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_',
		'_', '_');
	aml_path(&b, "\\");
	IS(&b, '\\', 0);
}
END_TEST

START_TEST (eisa_ids_are_packed_big_endian) {
	struct fw_buf b = { 0 };

	aml_eisaid(&b, "PNP0A08");
	IS(&b, 0x0C, 0x41, 0xD0, 0x0A, 0x08);
}
END_TEST

START_TEST (uuids_are_mixed_endian) {
	struct fw_buf b = { 0 };

	aml_uuid(&b, "33db4d5b-1ff7-401c-9657-7441c03dd766");
	IS(&b, 0x11, 0x13, 0x0A, 0x10, 0x5B, 0x4D, 0xDB, 0x33, 0xF7, 0x1F, 0x1C,
		0x40, 0x96, 0x57, 0x74, 0x41, 0xC0, 0x3D, 0xD7, 0x66);
}
END_TEST

/* A package length for n bytes of content, read back. */
static size_t length_of(size_t n, size_t *bytes)
{
	struct fw_buf b = { 0 };
	size_t at = aml_else(&b), v;

	fw_buf_zero(&b, n);
	aml_end(&b, at);
	*bytes = b.len - 1 - n;
	v = b.p[1] & (*bytes == 1 ? 0x3F : 0x0F);
	ck_assert_uint_eq(b.p[1] >> 6, *bytes - 1);
	for (size_t i = 1; i < *bytes; i++)
		v |= (size_t)b.p[1 + i] << (8 * i - 4);
	fw_buf_fini(&b);
	return v;
}

START_TEST (package_lengths_count_themselves) {
	static const struct {
		size_t n, bytes;
	} all[] = { { 0, 1 }, { 62, 1 }, { 63, 2 }, { 4093, 2 }, { 4094, 3 },
		{ 1048572, 3 }, { 1048573, 4 } };
	size_t bytes;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		ck_assert_uint_eq(length_of(all[i].n, &bytes),
			all[i].n + all[i].bytes);
		ck_assert_uint_eq(bytes, all[i].bytes);
	}
}
END_TEST

START_TEST (a_resource_buffer_has_its_size_and_an_end_tag) {
	struct fw_buf b = { 0 };
	size_t at = aml_resources(&b);

	aml_res_irq(&b, 4);
	aml_resources_end(&b, at);
	IS(&b, 0x11, 0x08, 0x0A, 0x05, 0x22, 0x10, 0x00, 0x79, 0x00);
}
END_TEST

START_TEST (a_full_buffer_fails_once_and_for_all) {
	struct fw_buf b = { 0 };
	struct err e = ERR_NONE;
	struct fw_blob out;
	size_t at;

	at = aml_resources(&b);
	fw_buf_zero(&b, FW_BUF_MAX + 1);
	ck_assert(b.failed);
	aml_int(&b, 7);
	aml_resources_end(&b, at);
	fw_buf_put(&b, 1, 1, 8);
	fw_buf_insert(&b, 0, "x", 1);
	ck_assert_int_eq(fw_buf_take(&b, "etc/x", &out, &e), -ENOMEM);
	ck_assert_err(e, ENOMEM, "no memory to build etc/x");
	ck_assert_ptr_null(out.data);
	ck_assert_ptr_null(b.p);
}
END_TEST

SUITE("aml", integers_take_as_few_bytes_as_they_can,
	paths_have_one_two_or_many_segments, eisa_ids_are_packed_big_endian,
	uuids_are_mixed_endian, package_lengths_count_themselves,
	a_resource_buffer_has_its_size_and_an_end_tag,
	a_full_buffer_fails_once_and_for_all)
