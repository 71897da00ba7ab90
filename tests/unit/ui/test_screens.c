/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a person sees and what keys do, on terminals of several kinds. */
#include <errno.h>

#include "vm/base/sizes.h"

#include "rig.h"

START_TEST (the_table_of_guests_at_80x24) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_golden(&s, "guests-80x24");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (the_table_of_guests_at_200x50) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 50, 200, true);
	seat_golden(&s, "guests-200x50");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (a_vt100_without_utf8_gets_plain_signs) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "vt100", 24, 80, false);
	seat_golden(&s, "guests-vt100");
	for (const char *p = seat_dump(&s); *p; p++)
		ck_assert_int_lt((unsigned char)*p, 0x80);
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (a_page_at_80x24_and_its_parts) {
	static const char *const parts[] = { "1", "2", "3", "4", "5", "6" };
	struct rig r;
	struct seat s;
	char name[32];

	rig_init(&r);
	fake_event(r.en, ENGINE_EV_STATE, "web");
	rig_pump(&r);
	r.app.events[0].wall_ns = UINT64_C(1795270500) * 1000000000;
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "G\r");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		seat_type(&s, parts[i]);
		snprintf(name, sizeof(name), "page-%s-80x24", parts[i]);
		seat_golden(&s, name);
	}
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (a_page_at_200x50_shows_the_parts_beside_each_other) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 50, 200, true);
	seat_type(&s, "j\r");
	seat_golden(&s, "page-200x50");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (help_is_made_of_the_tables) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm", 50, 100, true);
	seat_type(&s, "?");
	seat_golden(&s, "help-100x50");
	seat_type(&s, "q");
	ck_assert_shows(&s, "NAME");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (killing_asks_first_and_enter_means_no) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "G K");
	ck_assert_shows(&s, "Cut the power of web?");
	seat_golden(&s, "question-80x24");
	seat_type(&s, "\r");
	ck_assert(!seat_shows(&s, "Cut the power"));
	ck_assert_uint_eq(r.en->commands, 0);
	seat_type(&s, "Kn");
	ck_assert_uint_eq(r.en->commands, 0);
	seat_type(&s, "Ky");
	ck_assert_uint_eq(r.en->commands, 1);
	ck_assert_int_eq(fake_find(r.en, "web")->info.state, GUEST_OFF);
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (no_single_key_changes_what_runs_for_the_worse) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "G");
	for (int c = 33; c < 127; c++) {
		char key[2] = { (char)c, 0 };

		if (c == 'p' || c == 's' || c == 'q')
			continue; /* pause, start: nothing is lost; detach */
		seat_type(&s, key);
		seat_type(&s, "\033");
		for (int i = 0; i < 3; i++) {
			seat_type(&s, "\x1d");
			if (s.view->top->below)
				seat_type(&s, "q");
		}
		seat_type(&s, "\x03");
		ck_assert_msg(r.en->commands == 0, "key '%c' did something", c);
	}
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (tagged_guests_are_what_a_verb_acts_on) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "  "); /* build and db */
	seat_type(&s, "K");
	ck_assert_shows(&s, "Cut the power of build and db?");
	seat_type(&s, "y");
	ck_assert_int_eq(fake_find(r.en, "build")->info.state, GUEST_OFF);
	ck_assert_int_eq(fake_find(r.en, "db")->info.state, GUEST_OFF);
	ck_assert_int_eq(fake_find(r.en, "web")->info.state, GUEST_RUNNING);
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (a_tag_stays_on_its_guest_when_the_order_changes) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "j o"); /* tag db, turn the order round */
	for (int y = 0; y < 24; y++)
		if (strstr(seat_row(&s, y), " running "))
			ck_assert_msg((strchr(seat_row(&s, y), '*') != NULL) ==
					      (strstr(seat_row(&s, y), "db ") !=
						      NULL),
				"%s", seat_row(&s, y));
	ck_assert_shows(&s, "1 tagged");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (a_filter_hides_the_others_and_escape_shows_all) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "/B");
	ck_assert_shows(&s, "build");
	ck_assert_shows(&s, "db");
	ck_assert(!seat_shows(&s, "legacy"));
	seat_type(&s, "UI\r");
	ck_assert_shows(&s, "filter: BUI");
	ck_assert(!seat_shows(&s, " db "));
	seat_type(&s, "/\x03");
	ck_assert_shows(&s, "legacy");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (sorting_by_cpu_puts_the_busiest_first) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, ">>");
	ck_assert_ptr_nonnull(strstr(seat_row(&s, 4), "db"));
	ck_assert_ptr_nonnull(strstr(seat_row(&s, 5), "web"));
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (a_typed_line_runs_the_same_verb_and_tells_its_error) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, ":pau\t");
	ck_assert_str_eq(seat_row(&s, 23), ":pause");
	seat_type(&s, "we\t\r");
	ck_assert_int_eq(fake_find(r.en, "web")->info.state, GUEST_PAUSED);
	seat_type(&s, ":start build\r");
	ck_assert_shows(&s, "build:");
	seat_type(&s, ":stert web\r");
	ck_assert_shows(&s, "did you mean 'start'");
	seat_type(&s, ":kill nobody\r");
	ck_assert_shows(&s, "there is no guest 'nobody'");
	seat_type(&s, ":\033[A\r"); /* Up recalls the last line */
	ck_assert_shows(&s, "there is no guest 'nobody'");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (long_output_becomes_a_page_to_read) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, ":list --json\r");
	ck_assert_shows(&s, "list --json");
	ck_assert_shows(&s, "\"cpu_percent\"");
	seat_type(&s, "/uptime\r");
	ck_assert_shows(&s, "\"uptime_s\"");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (the_serial_console_shows_and_types) {
	struct rig r;
	struct seat s;
	char buf[64] = { 0 };

	rig_init(&r);
	fake_say(r.en, "web", "\033[31mred\033[0m login: ");
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "Gc");
	ck_assert_str_eq(seat_row(&s, 0), "red login:");
	ck_assert_shows(&s, "web serial  running");
	seat_type(&s, "root\r\033[A\033OA\003q:?");
	console_input_take(fake_find(r.en, "web")->console, buf, sizeof(buf));
	ck_assert_str_eq(buf, "root\r\033[A\033[A\003q:?");
	fake_say(r.en, "web", "\r\n\033[?1happlication\033[5n");
	rig_pump(&r);
	ck_assert_shows(&s, "application");
	seat_type(&s, "\033[A");
	memset(buf, 0, sizeof(buf));
	console_input_take(fake_find(r.en, "web")->console, buf, sizeof(buf));
	ck_assert_str_eq(buf, "\033[0n\033OA");
	seat_type(&s, "\x1d");
	ck_assert_shows(&s, "NAME");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (old_questions_of_a_guest_are_not_answered_again) {
	struct rig r;
	struct seat s;
	char buf[64];

	rig_init(&r);
	fake_say(r.en, "web", "\033[5n\033[6n\033[c");
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "Gc");
	ck_assert_uint_eq(console_input_take(fake_find(r.en, "web")->console,
				  buf, sizeof(buf)),
		0);
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (serial_output_can_be_scrolled_back) {
	struct rig r;
	struct seat s;
	char line[32];

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "Gc");
	for (int i = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "line %d\r\n", i);
		fake_say(r.en, "web", line);
	}
	rig_pump(&r);
	ck_assert_str_eq(seat_row(&s, 0), "line 78");
	seat_type(&s, "\033[5;2~");
	ck_assert_str_eq(seat_row(&s, 0), "line 56");
	ck_assert_shows(&s, "22 lines back");
	fake_say(r.en, "web", "one more\r\n");
	rig_pump(&r);
	ck_assert_str_eq(seat_row(&s, 0), "line 56");
	seat_type(&s, "x");
	ck_assert_shows(&s, "one more");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (a_guest_that_is_started_anew_gets_a_fresh_console) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	fake_say(r.en, "web", "first life");
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "Gc");
	ck_assert_shows(&s, "first life");
	fake_state(r.en, "web", GUEST_OFF, 0);
	fake_event(r.en, ENGINE_EV_STATE, "web");
	rig_pump(&r);
	ck_assert_shows(&s, "first life");
	fake_state(r.en, "web", GUEST_RUNNING, 1);
	fake_say(r.en, "web", "second life");
	fake_event(r.en, ENGINE_EV_STATE, "web");
	rig_pump(&r);
	ck_assert_shows(&s, "second life");
	ck_assert(!seat_shows(&s, "first life"));
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (the_text_screen_shows_cells_and_sends_keys) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	fake_screen(r.en, "\xc9\xcd\xcd\xbb\n\xba\x01 \xba\n\nBoot: ");
	seat_open(&s, &r, "xterm-256color", 26, 80, true);
	seat_type(&s, "Gt");
	ck_assert_str_eq(seat_row(&s, 0), "\u2554\u2550\u2550\u2557");
	ck_assert_str_eq(seat_row(&s, 1), "\u2551\u263a \u2551");
	seat_type(&s, "aB \r\033[A\x03|");
	ck_assert_str_eq(r.en->keys,
		"a shift-b spc ret up ctrl-c shift-backslash");
	r.en->text.cols = 0;
	seat_type(&s, "\x1d");
	seat_type(&s, "t");
	ck_assert_shows(&s, "web shows graphics, 720x400.");
	ck_assert_shows(&s, "127.0.0.1:5905");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (every_screen_survives_every_size) {
	static const char *const keys[] = { "", "\r", "G\r", "?", "Gc", "Gt",
		"K", ":list\r", ":", "/x" };
	static const int sizes[][2] = { { 1, 1 }, { 2, 3 }, { 5, 20 },
		{ 1, 200 }, { 100, 4 }, { 7, 41 }, { 300, 800 }, { 3, 3 },
		{ 24, 80 } };
	struct rig r;
	struct seat s;

	rig_init(&r);
	fake_screen(r.en, "x");
	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		seat_open(&s, &r, "xterm-256color", 24, 80, true);
		seat_type(&s, keys[k]);
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			view_resize(s.view, sizes[i][0], sizes[i][1]);
			view_input(s.view, "\033[B\033[6~\033[F", 11);
			rig_pump(&r);
		}
		seat_close(&s);
	}
	rig_fini(&r);
}
END_TEST

START_TEST (a_terminal_that_stops_gets_no_more_frames_and_then_the_newest) {
	struct rig r;
	struct seat s;
	size_t before;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	s.queued = 100000;
	before = s.bytes;
	for (int i = 0; i < 20; i++) {
		seat_type(&s, "j");
		rig_second(&r);
	}
	ck_assert_uint_eq(s.bytes, before);
	s.queued = 0;
	view_writable(s.view);
	rig_pump(&r);
	ck_assert_uint_gt(s.bytes, before);
	seat_golden(&s, "guests-after-stop");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (two_terminals_of_different_kind_have_views_of_their_own) {
	struct rig r;
	struct seat a, b;

	rig_init(&r);
	seat_open(&a, &r, "xterm-256color", 24, 80, true);
	seat_open(&b, &r, "vt100", 30, 132, false);
	seat_type(&a, "G\r");
	seat_type(&b, "jj");
	ck_assert_shows(&a, "Overview");
	ck_assert_shows(&b, "NAME");
	seat_resize(&a, 40, 100);
	seat_type(&b, "\r");
	ck_assert_shows(&b, "Overview");
	seat_type(&a, "q");
	ck_assert_shows(&a, "NAME");
	view_free(a.view, false); /* its line dropped */
	a.view = NULL;
	seat_type(&b, "q");
	ck_assert_shows(&b, "NAME");
	seat_close(&a);
	seat_close(&b);
	rig_fini(&r);
}
END_TEST

START_TEST (hundreds_of_resizes_beside_another_view_do_no_harm) {
	struct rig r;
	struct seat a, b, c;

	rig_init(&r);
	seat_open(&a, &r, "xterm-256color", 24, 80, true);
	seat_open(&b, &r, "vt100", 24, 80, false);
	for (int i = 0; i < 200; i++)
		view_resize(a.view, 10 + i % 30, 40 + i % 50);
	seat_resize(&a, 24, 80);
	rig_pump(&r);
	ck_assert_shows(&a, "NAME");
	ck_assert_shows(&b, "NAME");
	for (int i = 0; i < 100; i++) {
		seat_open(&c, &r, "linux", 25, 80, true);
		seat_close(&c);
	}
	seat_type(&b, "G\r");
	ck_assert_shows(&b, "Overview");
	seat_close(&b);
	seat_type(&a, "G\r");
	ck_assert_shows(&a, "Overview");
	seat_close(&a);
	rig_fini(&r);
}
END_TEST

START_TEST (q_on_the_table_detaches_and_leaves_the_guests_alone) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "q");
	ck_assert_ptr_null(s.view);
	ck_assert_uint_eq(r.en->commands, 0);
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (an_unknown_terminal_is_refused_with_the_mend) {
	static const char *const bad[] = { "", "nosuchterm", "../xterm",
		"/etc/passwd", "xterm\n", "." };
	struct rig r;
	struct view *v;

	rig_init(&r);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct view_opts o = { .term = bad[i], .rows = 24, .cols = 80 };
		struct err e = ERR_NONE;

		ck_assert_int_eq(view_new(&r.app, &o, &v, &e), -ENOTTY);
		ck_assert_err(e, ENOTTY, "TERM=xterm");
	}
	rig_fini(&r);
}
END_TEST

START_TEST (a_terminal_without_a_cursor_is_refused) {
	struct view_opts o = { .term = "dumb", .rows = 24, .cols = 80 };
	struct err e = ERR_NONE;
	struct view *v;
	struct rig r;

	rig_init(&r);
	ck_assert_int_eq(view_new(&r.app, &o, &v, &e), -ENOTTY);
	ck_assert_err(e, ENOTTY, "cannot place its cursor");
	ck_assert(list_empty(&r.app.views));
	rig_fini(&r);
}
END_TEST

START_TEST (a_crash_is_told_at_once) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	fake_state(r.en, "web", GUEST_CRASHED, 0);
	strcpy(fake_find(r.en, "web")->info.why, "triple fault\033[2J\n!");
	fake_event(r.en, ENGINE_EV_STATE, "web");
	rig_pump(&r);
	ck_assert_shows(&s, "web crashed: triple fault?[2J?!");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (a_guest_that_is_undefined_under_its_page_does_no_harm) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	seat_type(&s, "jjj\r"); /* legacy, which crashed */
	ck_assert_shows(&s, "triple fault");
	seat_type(&s, ":undefine legacy\r");
	ck_assert_shows(&s, "legacy is not defined any more");
	seat_type(&s, "Kny");
	seat_type(&s, "q");
	ck_assert_shows(&s, "4 guests");
	seat_close(&s);
	rig_fini(&r);
}
END_TEST

START_TEST (no_guests_at_all_tells_how_to_define_one) {
	struct rig r;
	struct seat s;

	rig_init(&r);
	r.en->n = 0;
	seat_open(&s, &r, "xterm-256color", 24, 80, true);
	rig_second(&r);
	ck_assert_shows(&s, "No guest is defined.");
	seat_type(&s, "K\rct *>jkG");
	ck_assert_shows(&s, "No guest is defined.");
	seat_close(&s);
	for (size_t i = 0; i < FAKE_GUESTS; i++)
		console_free(r.en->guest[i].console);
	rig_fini(&r);
}
END_TEST

SUITE("ui/screens", the_table_of_guests_at_80x24, the_table_of_guests_at_200x50,
	a_vt100_without_utf8_gets_plain_signs, a_page_at_80x24_and_its_parts,
	a_page_at_200x50_shows_the_parts_beside_each_other,
	help_is_made_of_the_tables, killing_asks_first_and_enter_means_no,
	no_single_key_changes_what_runs_for_the_worse,
	tagged_guests_are_what_a_verb_acts_on,
	a_tag_stays_on_its_guest_when_the_order_changes,
	a_filter_hides_the_others_and_escape_shows_all,
	sorting_by_cpu_puts_the_busiest_first,
	a_typed_line_runs_the_same_verb_and_tells_its_error,
	long_output_becomes_a_page_to_read, the_serial_console_shows_and_types,
	old_questions_of_a_guest_are_not_answered_again,
	serial_output_can_be_scrolled_back,
	a_guest_that_is_started_anew_gets_a_fresh_console,
	the_text_screen_shows_cells_and_sends_keys,
	every_screen_survives_every_size,
	a_terminal_that_stops_gets_no_more_frames_and_then_the_newest,
	two_terminals_of_different_kind_have_views_of_their_own,
	hundreds_of_resizes_beside_another_view_do_no_harm,
	q_on_the_table_detaches_and_leaves_the_guests_alone,
	an_unknown_terminal_is_refused_with_the_mend,
	a_terminal_without_a_cursor_is_refused, a_crash_is_told_at_once,
	a_guest_that_is_undefined_under_its_page_does_no_harm,
	no_guests_at_all_tells_how_to_define_one)
