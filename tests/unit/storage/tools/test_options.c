/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What -o and sizes say, and what is told of mistakes. */
#include <errno.h>

#include "tests/unit/storage/tools/img.h"

START_TEST (formats_have_names_and_an_unknown_one_is_refused) {
	static const char *const names[] = { "raw", "qcow2", "vmdk", "vdi",
		"vhdx", "auto" };
	struct err e = ERR_NONE;
	enum blk_format f;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_int_eq(img_format_parse(names[i], &f, &e), 0);
		ck_assert_str_eq(img_format_name(f), names[i]);
	}
	ck_assert_int_eq(img_format_parse("qcow", &f, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "'qcow' is no image format");
	ck_assert_str_eq(img_format_name((enum blk_format)99), "?");
}
END_TEST

START_TEST (sizes_are_by_powers_of_1024) {
	static const struct {
		const char *text;
		uint64_t n;
	} good[] = { { "4096", 4096 }, { "1K", 1024 }, { "1.5M", 3 << 19 },
		{ "10G", UINT64_C(10) << 30 }, { "2T", UINT64_C(2) << 40 } };
	static const char *const bad[] = { "", "much", "-1", "1X", "1KK" };
	struct err e = ERR_NONE;
	uint64_t n;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(img_size_parse(good[i].text, &n, &e), 0);
		ck_assert_uint_eq(n, good[i].n);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(img_size_parse(bad[i], &n, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "is no size: 10G");
	ck_assert_int_eq(img_size_parse("99999999T", &n, &e), -ERANGE);
	ck_assert_err(e, ERANGE, "too large a size");
}
END_TEST

START_TEST (every_key_of_qcow2_is_taken) {
	struct img_options o = { 0 };
	struct err e = ERR_NONE;

	ck_assert_int_eq(
		img_options_parse(&o, BLK_QCOW2,
			"size=1G,compat=0.10,cluster_size=4k,refcount_bits=64,"
			"lazy_refcounts=on,extended_l2=off,"
			"compression_type=zstd,preallocation=falloc,"
			"data_file=a,,b,data_file_raw,backing_file=../c,"
			"backing_fmt=raw",
			&e),
		0);
	ck_assert(o.has_size && o.size == UINT64_C(1) << 30);
	ck_assert_uint_eq(o.compat, 2);
	ck_assert_uint_eq(o.cluster_size, 4096);
	ck_assert_uint_eq(o.refcount_bits, 64);
	ck_assert(o.lazy_refcounts && !o.extended_l2 && o.zstd);
	ck_assert(o.data_file_raw); /* a key alone is on */
	ck_assert_int_eq(o.prealloc, IMG_PREALLOC_FALLOC);
	ck_assert_str_eq(o.data_file, "a,b");
	ck_assert_str_eq(o.backing_file, "../c");
	ck_assert_str_eq(o.backing_format, "raw");
}
END_TEST

START_TEST (a_mistake_names_the_key_and_what_it_takes) {
	static const struct {
		enum blk_format format;
		const char *text, *says;
	} bad[] = {
		{ BLK_QCOW2, "colour=red", "no such option: size," },
		{ BLK_RAW, "compat=1.1", "a raw image has no such option" },
		{ BLK_RAW, "preallocation=metadata", "has no metadata" },
		{ BLK_QCOW2, "compat=3", "-o compat=3: it must be 1.1" },
		{ BLK_QCOW2, "size=big", "-o size=big: it must be" },
		{ BLK_QCOW2, "cluster_size=0", "512 to 2M" },
		{ BLK_QCOW2, "refcount_bits=3", "1, 2, 4, 8" },
		{ BLK_QCOW2, "refcount_bits=128", "1, 2, 4, 8" },
		{ BLK_QCOW2, "lazy_refcounts=perhaps", "on or off" },
		{ BLK_QCOW2, "compression_type=lzma", "zlib or zstd" },
		{ BLK_QCOW2, "preallocation=some", "off, metadata" },
		{ BLK_QCOW2, "backing_fmt=auto", "its format" },
	};
	static char longest[1400];
	struct img_options o = { 0 };
	struct err e = ERR_NONE;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(img_options_parse(&o, bad[i].format,
					 bad[i].text, &e),
			-EINVAL);
		ck_assert_err(e, EINVAL, bad[i].says);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	ck_assert_int_eq(img_options_parse(&o, BLK_QCOW2, longest, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "too long");
}
END_TEST

START_TEST (help_lists_what_the_format_has) {
	ck_assert_ptr_nonnull(
		strstr(img_options_help(BLK_QCOW2), "lazy_refcounts"));
	ck_assert_ptr_null(strstr(img_options_help(BLK_RAW), "lazy_refcounts"));
	ck_assert_ptr_nonnull(strstr(img_options_help(BLK_RAW), "size"));
}
END_TEST

RIG_SUITE("tools/options", formats_have_names_and_an_unknown_one_is_refused,
	sizes_are_by_powers_of_1024, every_key_of_qcow2_is_taken,
	a_mistake_names_the_key_and_what_it_takes,
	help_lists_what_the_format_has)
