/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes to and fro with a viewer that was let in. */
#include "tests/unit/display/viewer/viewerrig.h"

START_TEST (changes_come_when_asked_for) {
	int fd;
	struct display_stats st;

	listen_plain();
	fd = join();
	ask(fd, false);
	hear_raw(fd);
	pthread_mutex_lock(&lock);
	animate = true;
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 5; i++) {
		ask(fd, true);
		hear_raw(fd);
	}
	display_stats(disp, &st);
	ck_assert_uint_eq(st.viewers, 1);
	ck_assert_uint_ge(st.frames, 5);
	ck_assert_uint_eq(st.width, 192);
	close(fd);
}
END_TEST

START_TEST (view_only_sees_and_does_nothing) {
	int looker, worker;

	listen_secret();
	looker = join_with("look");
	worker = join_with("secret");
	key(looker, true, 'b');
	speak(looker, "\005\001\0\0\0\0", 6);
	ask(looker, false);
	ck_assert_uint_eq(hear_raw(looker), 0xff0000); /* all was read */
	key(worker, true, 'a');
	told("+1e ");
	ck_assert_str_eq(events, "+1e ");
	close(looker);
	close(worker);
}
END_TEST

START_TEST (input_arrives) {
	int fd;

	listen_plain();
	fd = join();
	speak(fd, "\005\021\0\277\0\077", 6); /* last pixel, left and wheel */
	told("at 32767,32767,11;");
	speak(fd, "\005\0\0\0\0\0", 6);
	told("at 0,0,0;");
	speak(fd, "\377\0\0\001\0\0\0\0\0\0\0\310", 12);
	told("+e048 ");
	speak(fd, "\005\004\0\001\0\0", 6);
	told(",4;");
	close(fd);
	told("-e048 at 171,0,0;");
}
END_TEST

START_TEST (scancode_support_is_announced) {
	const int32_t enc[] = { 0, -258 };
	struct rect r;
	int fd;

	listen_plain();
	fd = join();
	set_encodings(fd, enc, 2);
	ck_assert_uint_eq(hear_update(fd), 1);
	hear_rect(fd, &r);
	ck_assert_int_eq(r.enc, -258);
	close(fd);
}
END_TEST

START_TEST (mode_changes_are_told) {
	const int32_t enc[] = { 0, -223 };
	struct rect r;
	int fd;

	listen_plain();
	fd = join();
	set_encodings(fd, enc, 2);
	ask(fd, false);
	hear_raw(fd);
	pthread_mutex_lock(&lock);
	want_w = 300;
	want_h = 100;
	pthread_mutex_unlock(&lock);
	ask(fd, true);
	ck_assert_uint_eq(hear_update(fd), 1);
	hear_rect(fd, &r);
	ck_assert_int_eq(r.enc, -223);
	ck_assert_uint_eq(r.w, 300);
	ck_assert_uint_eq(r.h, 100);
	ask(fd, false);
	ck_assert_uint_eq(hear_raw(fd), 0xff0000);
	close(fd);
}
END_TEST

START_TEST (a_wish_for_a_size_reaches_the_guest) {
	const int32_t enc[] = { 0, -308 };
	uint8_t m[24] = { 251, 0, 5, 0, 3, 0, 1 };
	uint8_t screen[20];
	struct rect r;
	int fd;

	listen_plain();
	fd = join();
	set_encodings(fd, enc, 2);
	ask(fd, false);
	ck_assert_uint_eq(hear_update(fd), 1); /* the layout comes first */
	hear_rect(fd, &r);
	ck_assert_int_eq(r.enc, -308);
	must_hear(fd, screen, 20);
	hear_raw(fd);
	speak(fd, m, sizeof(m));
	told("hint 1280x768;");
	ask(fd, true);
	ck_assert_uint_eq(hear_update(fd), 1);
	hear_rect(fd, &r);
	ck_assert_int_eq(r.enc, -308);
	ck_assert_uint_eq(r.x, 1); /* the answer to this client's wish */
	ck_assert_uint_eq(r.y, 4); /* forwarded */
	ck_assert_uint_eq(r.w, 192);
	close(fd);
}
END_TEST

START_TEST (rubbish_closes_only_its_connection) {
	static uint8_t junk[5000];
	int good, bad;

	listen_plain();
	good = join();
	for (int i = 0; i < 4; i++) {
		bad = i < 2 ? dial() : join();
		memset(junk, 0x80 + i * 16, sizeof(junk));
		if (i & 1) /* half a message is no harm, too */
			junk[0] = 4;
		send(bad, junk, sizeof(junk), MSG_NOSIGNAL);
		must_close(bad);
	}
	ask(good, false);
	ck_assert_uint_eq(hear_raw(good), 0xff0000);
	close(good);
}
END_TEST

START_TEST (who_does_not_read_stalls_nobody) {
	int slow, fd;

	want_w = 1024;
	want_h = 768;
	animate = true;
	listen_plain();
	slow = join();
	fd = join();
	for (int i = 0; i < 200; i++)
		ask(slow, false);
	for (int i = 0; i < 10; i++) {
		ask(fd, true);
		hear_raw(fd);
	}
	close(slow);
	ask(fd, true);
	hear_raw(fd);
	close(fd);
}
END_TEST

VIEWER_SUITE("viewer", changes_come_when_asked_for,
	view_only_sees_and_does_nothing, input_arrives,
	scancode_support_is_announced, mode_changes_are_told,
	a_wish_for_a_size_reaches_the_guest, rubbish_closes_only_its_connection,
	who_does_not_read_stalls_nobody)
