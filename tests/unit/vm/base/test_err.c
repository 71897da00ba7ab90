/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/err: codes and lines of text. */
#include <errno.h>

#include "vm/base/err.h"

#include "tests/unit/suite.h"

START_TEST (set_gives_code_and_text) {
	struct err e = ERR_NONE;

	ck_assert_int_eq(err_set(&e, EINVAL, "bad %d", 7), -EINVAL);
	ck_assert_int_eq(e.code, EINVAL);
	ck_assert_str_eq(e.msg, "bad 7");
}
END_TEST

START_TEST (sys_adds_the_cause) {
	struct err e = ERR_NONE;

	ck_assert_int_eq(err_sys(&e, ENOENT, "cannot open %s", "x"), -ENOENT);
	ck_assert_str_eq(e.msg, "cannot open x: No such file or directory");
}
END_TEST

START_TEST (prefix_goes_before_and_keeps_the_code) {
	struct err e = ERR_NONE;

	err_set(&e, EIO, "disk broke");
	ck_assert_int_eq(err_prefix(&e, "guest %s", "web"), -EIO);
	ck_assert_str_eq(e.msg, "guest web: disk broke");
	ck_assert_int_eq(e.code, EIO);
}
END_TEST

START_TEST (nobody_has_to_want_the_text) {
	ck_assert_int_eq(err_set(NULL, EIO, "x"), -EIO);
	ck_assert_int_eq(err_sys(NULL, EIO, "x"), -EIO);
	ck_assert_int_eq(err_prefix(NULL, "x"), 0);
}
END_TEST

START_TEST (a_message_may_quote_the_one_it_replaces) {
	struct err e = ERR_NONE;

	err_set(&e, EIO, "inner");
	err_set(&e, EINVAL, "outer (%s)", e.msg);
	ck_assert_str_eq(e.msg, "outer (inner)");
}
END_TEST

START_TEST (a_long_line_is_cut) {
	struct err e = ERR_NONE;
	char text[2000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	err_set(&e, EINVAL, "%s", text);
	ck_assert_uint_eq(strlen(e.msg), sizeof(e.msg) - 1);
	err_sys(&e, EINVAL, "%s", text);
	ck_assert_uint_eq(strlen(e.msg), sizeof(e.msg) - 1);
	err_prefix(&e, "%s", text);
	ck_assert_uint_eq(strlen(e.msg), sizeof(e.msg) - 1);
}
END_TEST

START_TEST (a_cut_leaves_no_half_character) {
	struct err e = ERR_NONE;
	char text[600] = "";

	for (int i = 0; i < 166; i++)
		strcat(text, "\xe2\x82\xac"); /* 498 bytes, 495 fit */
	err_set(&e, EINVAL, "a%s", text);
	ck_assert_uint_eq(strlen(e.msg), 1 + 3 * 164);
}
END_TEST

START_TEST (a_line_stays_a_line) {
	struct err e = ERR_NONE;

	err_set(&e, EINVAL, "a\nb\x1b[2J\x7f");
	ck_assert_str_eq(e.msg, "a?b?[2J?");
}
END_TEST

SUITE("err", set_gives_code_and_text, sys_adds_the_cause,
	prefix_goes_before_and_keeps_the_code, nobody_has_to_want_the_text,
	a_message_may_quote_the_one_it_replaces, a_long_line_is_cut,
	a_cut_leaves_no_half_character, a_line_stays_a_line)
