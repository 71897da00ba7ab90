/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/sizes: checked arithmetic, reading and writing sizes. */
#include <errno.h>

#include "vm/base/sizes.h"

#include "tests/unit/suite.h"

START_TEST (add_and_mul_refuse_overflow) {
	uint64_t v;

	ck_assert(size_add(1, 2, &v));
	ck_assert_uint_eq(v, 3);
	ck_assert(!size_add(UINT64_MAX, 1, &v));
	ck_assert(size_mul(3, 4, &v));
	ck_assert_uint_eq(v, 12);
	ck_assert(!size_mul(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
}
END_TEST

START_TEST (in_holds_at_the_edges) {
	ck_assert(size_in(0, 0, 0));
	ck_assert(size_in(10, 0, 10));
	ck_assert(!size_in(11, 0, 10));
	ck_assert(size_in(0, 10, 10));
	ck_assert(!size_in(1, 10, 10));
	ck_assert(!size_in(1, UINT64_MAX, 10));
}
END_TEST

START_TEST (rounding_goes_to_powers_of_two) {
	ck_assert_uint_eq(size_up(1, 4096), 4096);
	ck_assert_uint_eq(size_up(4096, 4096), 4096);
	ck_assert_uint_eq(size_down(4097, 4096), 4096);
	ck_assert(size_is_pow2(1) && size_is_pow2(4096));
	ck_assert(!size_is_pow2(0) && !size_is_pow2(12));
}
END_TEST

START_TEST (parse_reads_sizes) {
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "12B", 12 },
		{ "512M", 512 * MiB },
		{ "512m", 512 * MiB },
		{ "2G", 2 * GiB },
		{ "2GiB", 2 * GiB },
		{ "2gb", 2 * GiB },
		{ "1.5T", TiB + TiB / 2 },
		{ "0.5K", 512 },
		{ "1.0000000000001K", 1024 },
		{ "3P", 3072 * TiB },
		{ "18446744073709551615", UINT64_MAX },
	};
	uint64_t v;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_int_eq(size_parse(good[i].text, &v), 0);
		ck_assert_uint_eq(v, good[i].value);
	}
}
END_TEST

START_TEST (parse_refuses_what_is_no_size) {
	static const char *const bad[] = { "", "M", "-1", "+1", " 1", "1 ",
		"1x", "1Mi", "1MM", "1iB", "1.", "1.K", "1.5", "1.5B", ".5M",
		"0x10", "1e3", "1,5G", "1M1" };
	uint64_t v = 7;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(size_parse(bad[i], &v) == -EINVAL, "%s", bad[i]);
	ck_assert_uint_eq(v, 7);
}
END_TEST

START_TEST (parse_refuses_more_than_64_bits) {
	static const char *const bad[] = { "18446744073709551616", "16384P",
		"1P1" };
	uint64_t v;

	ck_assert_int_eq(size_parse(bad[0], &v), -ERANGE);
	ck_assert_int_eq(size_parse(bad[1], &v), -ERANGE);
	ck_assert_int_eq(size_parse(bad[2], &v), -EINVAL);
	ck_assert_int_eq(size_parse("99999999999999999999999G", &v), -ERANGE);
	ck_assert_int_eq(size_parse("16383.5P", &v), 0);
}
END_TEST

START_TEST (format_writes_what_people_read) {
	static const struct {
		uint64_t value;
		const char *text;
	} rows[] = {
		{ 0, "0" },
		{ 1023, "1023" },
		{ 1024, "1K" },
		{ 1536, "1.5K" },
		{ 512 * MiB, "512M" },
		{ GiB + GiB / 2, "1.5G" },
		{ TiB, "1T" },
		{ TiB - 1, "1023.9G" },
		{ UINT64_MAX, "16383.9P" },
	};
	char buf[16];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_assert_str_eq(size_format(rows[i].value, buf, sizeof(buf)),
			rows[i].text);
}
END_TEST

START_TEST (format_cuts_at_a_short_buffer) {
	char buf[4] = "???";

	ck_assert_str_eq(size_format(1234, buf, sizeof(buf)), "1.2");
}
END_TEST

SUITE("sizes", add_and_mul_refuse_overflow, in_holds_at_the_edges,
	rounding_goes_to_powers_of_two, parse_reads_sizes,
	parse_refuses_what_is_no_size, parse_refuses_more_than_64_bits,
	format_writes_what_people_read, format_cuts_at_a_short_buffer)
