/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of terminals into keys, and keys of a guest's keyboard. */
#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "ui/cp437.h"
#include "ui/keys.h"
#include "ui/text.h"

#include "tests/unit/suite.h"

static struct key next(struct keys *k, const char *bytes)
{
	struct key out;

	memset(&out, 0, sizeof(out));
	ck_assert_uint_eq(keys_put(k, bytes, strlen(bytes)), strlen(bytes));
	ck_assert_msg(keys_next(k, false, &out), "no key in %s", bytes + 1);
	ck_assert(!keys_waiting(k));
	return out;
}

START_TEST (common_sequences_are_known_on_every_terminal) {
	static const struct {
		const char *bytes;
		int code;
		bool shift, alt, ctrl;
	} t[] = {
		{ "\033[A", K_UP, 0, 0, 0 },
		{ "\033OA", K_UP, 0, 0, 0 },
		{ "\033[1;5B", K_DOWN, 0, 0, 1 },
		{ "\033[5~", K_PGUP, 0, 0, 0 },
		{ "\033[5;2~", K_PGUP, 1, 0, 0 },
		{ "\033[6;3~", K_PGDN, 0, 1, 0 },
		{ "\033[H", K_HOME, 0, 0, 0 },
		{ "\033[1~", K_HOME, 0, 0, 0 },
		{ "\033[Z", K_BACKTAB, 0, 0, 0 },
		{ "\033OP", K_F1, 0, 0, 0 },
		{ "\033[15~", K_F5, 0, 0, 0 },
		{ "\033[24~", K_F12, 0, 0, 0 },
		{ "\033[[B", K_F2, 0, 0, 0 },
		{ "\033[3~", K_DEL, 0, 0, 0 },
		{ "\033x", 'x', 0, 1, 0 },
		{ "a", 'a', 0, 0, 0 },
		{ "\n", K_ENTER, 0, 0, 0 },
		{ "\r", K_ENTER, 0, 0, 0 },
		{ "\b", K_BACKSPACE, 0, 0, 0 },
		{ "\177", K_BACKSPACE, 0, 0, 0 },
		{ "\003", 3, 0, 0, 0 },
		{ "\xc3\xbc", 0xfc, 0, 0, 0 },
		{ "\xf0\x9f\x98\x80", 0x1f600, 0, 0, 0 },
		{ "\033[99~", K_UNKNOWN, 0, 0, 0 },
		{ "\033[?1;2c", K_UNKNOWN, 0, 0, 0 },
	};
	struct keys k = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct key got = next(&k, t[i].bytes);

		ck_assert_msg(got.code == t[i].code, "%zu: %x", i,
			(unsigned)got.code);
		ck_assert_int_eq(got.shift, t[i].shift);
		ck_assert_int_eq(got.alt, t[i].alt);
		ck_assert_int_eq(got.ctrl, t[i].ctrl);
		ck_assert_uint_eq(got.nraw, strlen(t[i].bytes));
		ck_assert(!memcmp(got.raw, t[i].bytes, got.nraw));
	}
}
END_TEST

START_TEST (a_lone_escape_waits_for_the_timer) {
	struct keys k = { 0 };
	struct key out;

	keys_put(&k, "\033", 1);
	ck_assert(!keys_next(&k, false, &out));
	ck_assert(keys_waiting(&k));
	ck_assert(keys_next(&k, true, &out));
	ck_assert_int_eq(out.code, K_ESC);
	keys_put(&k, "\033[", 2);
	ck_assert(!keys_next(&k, false, &out));
	ck_assert(keys_next(&k, true, &out)); /* Alt and [ */
	ck_assert_int_eq(out.code, '[');
	ck_assert(out.alt);
}
END_TEST

START_TEST (a_sequence_cut_in_two_is_one_key) {
	struct keys k = { 0 };
	struct key out;

	keys_put(&k, "\033[1;", 4);
	ck_assert(!keys_next(&k, false, &out));
	keys_put(&k, "5A\xc3", 3);
	ck_assert(keys_next(&k, false, &out));
	ck_assert_int_eq(out.code, K_UP);
	ck_assert(out.ctrl);
	ck_assert(!keys_next(&k, false, &out));
	keys_put(&k, "\xa4", 1);
	ck_assert(keys_next(&k, false, &out));
	ck_assert_int_eq(out.code, 0xe4);
}
END_TEST

START_TEST (rubbish_is_taken_apart_and_never_sticks) {
	struct keys k = { 0 };
	struct key out;
	unsigned seed = 1;

	for (int i = 0; i < 20000; i++) {
		uint8_t b[7];

		for (size_t n = 0; n < sizeof(b); n++) {
			seed = seed * 1103515245 + 12345;
			b[n] = seed >> 16 & 3
				       ? (uint8_t)(seed >> 20)
				       : (uint8_t) "\033[O;"[seed >> 18 & 3];
		}
		keys_put(&k, b, sizeof(b));
		while (keys_next(&k, false, &out))
			ck_assert_uint_gt(out.nraw, 0);
		while (i % 16 == 0 && keys_next(&k, true, &out))
			ck_assert_uint_gt(out.nraw, 0);
	}
	while (keys_waiting(&k))
		ck_assert(keys_next(&k, true, &out));
}
END_TEST

START_TEST (keys_become_names_of_a_us_keyboard) {
	static const struct {
		struct key k;
		const char *name;
	} t[] = {
		{ { .code = 'a' }, "a" },
		{ { .code = 'Z' }, "shift-z" },
		{ { .code = '%' }, "shift-5" },
		{ { .code = '-' }, "minus" },
		{ { .code = 3 }, "ctrl-c" },
		{ { .code = 'x', .alt = true }, "alt-x" },
		{ { .code = K_F2, .ctrl = true, .alt = true }, "ctrl-alt-f2" },
		{ { .code = K_BACKTAB }, "shift-tab" },
		{ { .code = K_DEL }, "delete" },
		{ { .code = ' ' }, "spc" },
	};
	struct key none = { .code = 0xfc };
	char buf[64];

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		ck_assert_str_eq(cp437_key_name(&t[i].k, buf, sizeof(buf)),
			t[i].name);
	ck_assert_ptr_null(cp437_key_name(&none, buf, sizeof(buf)));
}
END_TEST

START_TEST (code_page_437_is_whole) {
	ck_assert_uint_eq(cp437_to_unicode(0), ' ');
	ck_assert_uint_eq(cp437_to_unicode('A'), 'A');
	ck_assert_uint_eq(cp437_to_unicode(0xc4), 0x2500);
	ck_assert_uint_eq(cp437_to_unicode(0xdb), 0x2588);
	ck_assert_uint_eq(cp437_to_unicode(0xe1), 0xdf);
	for (int a = 1; a < 255; a++)
		for (int b = a + 1; b < 255; b++)
			ck_assert_msg(cp437_to_unicode((uint8_t)a) !=
					      cp437_to_unicode((uint8_t)b),
				"%d and %d", a, b);
}
END_TEST

START_TEST (figures_are_short_and_right) {
	static const struct {
		double v;
		const char *bytes, *count;
	} t[] = { { 0, "0", "0" }, { 999, "999", "999" },
		{ 1000, "1.0K", "1.0K" }, { 1536, "1.5K", "1.5K" },
		{ 1023.9 * 1024, "1.0M", "1.0M" }, { 5e9, "4.7G", "5.0G" },
		{ -5, "0", "0" }, { 1e20, "87E", "100E" } };
	char b[32];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		ck_assert_str_eq(text_bytes(t[i].v, b, sizeof(b)), t[i].bytes);
		ck_assert_str_eq(text_count(t[i].v, b, sizeof(b)), t[i].count);
	}
	ck_assert_str_eq(text_duration(59 * NS_PER_S, b, sizeof(b)), "59s");
	ck_assert_str_eq(text_duration(61 * NS_PER_S, b, sizeof(b)), "1m01s");
	ck_assert_str_eq(text_duration(90000 * NS_PER_S, b, sizeof(b)),
		"1d01h");
	ck_assert_str_eq(text_us(0, b, sizeof(b)), "-");
	ck_assert_str_eq(text_us(1500, b, sizeof(b)), "1.5ms");
	ck_assert_str_eq(text_percent(0.04, b, sizeof(b)), "0.0");
	ck_assert_str_eq(text_percent(99.6, b, sizeof(b)), "100");
}
END_TEST

START_TEST (bad_utf8_becomes_the_replacement) {
	static const char *const bad[] = { "\xff", "\xc0\x80", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xe2\x82", "\x80" };
	size_t used;
	char out[4];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_uint_eq(text_utf8_get(bad[i], strlen(bad[i]), &used),
			0xfffd);
		ck_assert_uint_eq(used, 1);
	}
	for (uint32_t c = 1; c < 0x11000; c += 7) {
		size_t n = text_utf8_put(c, out);

		if (c >= 0xd800 && c < 0xe000)
			continue;
		ck_assert_uint_eq(text_utf8_get(out, n, &used), c);
		ck_assert_uint_eq(used, n);
	}
}
END_TEST

SUITE("ui/keys", common_sequences_are_known_on_every_terminal,
	a_lone_escape_waits_for_the_timer, a_sequence_cut_in_two_is_one_key,
	rubbish_is_taken_apart_and_never_sticks,
	keys_become_names_of_a_us_keyboard, code_page_437_is_whole,
	figures_are_short_and_right, bad_utf8_becomes_the_replacement)
