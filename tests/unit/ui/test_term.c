/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a guest's bytes become before a terminal sees them. */
#include "vm/base/sizes.h"

#include "ui/term.h"
#include "ui/theme.h"
#include "ui/vtfilter.h"

#include "tests/unit/suite.h"

static const char *filtered(const char *in, size_t len)
{
	static char out[1 << 16];
	struct vtfilter f = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		size_t got = vtfilter_byte(&f, (uint8_t)in[i], out + n);

		ck_assert_uint_le(got, VTFILTER_OUT_MAX);
		n += got;
		ck_assert_uint_lt(n, sizeof(out) - VTFILTER_OUT_MAX);
	}
	out[n] = 0;
	return out;
}

#define ck_assert_filtered(in, want)                                           \
	ck_assert_str_eq(filtered(in, sizeof(in) - 1), want)

START_TEST (what_is_well_formed_goes_on) {
	ck_assert_filtered("plain\r\n\tx\b", "plain\r\n\tx\b");
	ck_assert_filtered("\033[1;31mred\033[0m", "\033[1;31mred\033[0m");
	ck_assert_filtered("\033[H\033[2J\033[?25l", "\033[H\033[2J\033[?25l");
	ck_assert_filtered("\033[;5H", "\033[0;5H");
	ck_assert_filtered("\033(0qq\033(B", "\033(0qq\033(B");
	ck_assert_filtered("\0337\0338\033c\033M", "\0337\0338\033c\033M");
	ck_assert_filtered("gr\xc3\xbc\xc3\x9f \xe4\xb8\xad",
		"gr\xc3\xbc\xc3\x9f \xe4\xb8\xad");
	ck_assert_filtered("\033[38;2;1;2;3m", "\033[38;2;1;2;3m");
	ck_assert_filtered("\033[>c\033[6n\033[!p\033[2 q",
		"\033[>c\033[6n\033[!p\033[2 q");
}
END_TEST

START_TEST (strings_titles_and_the_unknown_are_left_out) {
	ck_assert_filtered("a\033]0;title\007b", "ab");
	ck_assert_filtered("a\033]0;title\033\\b", "ab");
	ck_assert_filtered("a\033Pq#0;1~\033\\b\033_x\033\\c", "abc");
	ck_assert_filtered("a\033[3;4;5tb\033[?1337;xc", "abc");
	ck_assert_filtered("a\033[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17mb",
		"ab");
	ck_assert_filtered("a\033[1$rb\033%Gc\033(Xd", "abcd");
	ck_assert_filtered("bell\007 nul\0 del\177 so", "bell nul del so");
}
END_TEST

START_TEST (numbers_are_bounded_and_bad_utf8_is_replaced) {
	ck_assert_filtered("\033[99999999999999999999A", "\033[9999A");
	ck_assert_filtered("\xff", "\xef\xbf\xbd");
	ck_assert_filtered("\xc3x", "\xef\xbf\xbdx");
	ck_assert_filtered("\xe4\xb8\rx", "\xef\xbf\xbd\rx");
	ck_assert_filtered("\xc2\x9b"
			   "31m",
		"31m"); /* C1 CSI */
}
END_TEST

START_TEST (controls_inside_a_sequence_act_as_on_a_terminal) {
	ck_assert_filtered("\033[3\r1mx", "\r\033[31mx");
	ck_assert_filtered("\033[3\0301mx", "1mx");
	ck_assert_filtered("\033[3\033[1mx", "\033[1mx");
}
END_TEST

START_TEST (repeat_is_done_here_and_bounded) {
	ck_assert_filtered("\033[5b", ""); /* nothing to repeat */
	ck_assert_filtered("x\033[3b", "xxxx");
	ck_assert_filtered("x\033[b", "xx");
	ck_assert_uint_eq(strlen(filtered("x\033[9999b", 8)),
		1 + VTFILTER_REPEAT);
}
END_TEST

static char answered[256];

static void answer(void *arg, const char *data, size_t len)
{
	(void)arg;
	strncat(answered, data, len);
}

START_TEST (a_terminal_answers_unless_it_is_muted) {
	struct term *t = term_new(24, 80, answer, NULL);

	term_mute(t, true);
	term_write(t, "\033[5n", 4);
	ck_assert_str_eq(answered, "");
	term_mute(t, false);
	term_write(t, "abc\033[6n", 7);
	ck_assert_str_eq(answered, "\033[1;4R");
	term_free(t);
}
END_TEST

START_TEST (history_is_bounded) {
	struct term *t = term_new(2, 10, answer, NULL);

	for (int i = 0; i < TERM_SCROLLBACK + 500; i++)
		term_write(t, "line\r\n", 6);
	ck_assert_int_eq(term_history(t), TERM_SCROLLBACK);
	term_free(t);
}
END_TEST

START_TEST (rgb_goes_to_the_nearest_of_256) {
	ck_assert_int_eq(theme_from_rgb(255, 0, 0), 196);
	ck_assert_int_eq(theme_from_rgb(0, 0, 0), 16);
	ck_assert_int_eq(theme_from_rgb(255, 255, 255), 231);
	for (int v = 0; v < 256; v++) {
		int c = theme_from_rgb((uint8_t)v, (uint8_t)v, (uint8_t)v);

		ck_assert(c >= 16 && c < 256);
	}
}
END_TEST

SUITE("ui/term", what_is_well_formed_goes_on,
	strings_titles_and_the_unknown_are_left_out,
	numbers_are_bounded_and_bad_utf8_is_replaced,
	controls_inside_a_sequence_act_as_on_a_terminal,
	repeat_is_done_here_and_bounded, a_terminal_answers_unless_it_is_muted,
	history_is_bounded, rgb_goes_to_the_nearest_of_256)
