/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The viewer process, who is let in by it, and how it ends. */
#include <errno.h>
#include <signal.h>

#include "tests/unit/display/viewer/viewerrig.h"

START_TEST (a_client_of_each_version_gets_its_picture) {
	int fd;

	listen_plain();
	fd = join();
	ask(fd, false);
	ck_assert_uint_eq(hear_raw(fd), 0xff0000);
	close(fd);
	fd = dial();
	greet(fd, "RFB 003.007\n");
	ck_assert_uint_eq(hear_type(fd), 1);
	enter(fd);
	ask(fd, false);
	ck_assert_uint_eq(hear_raw(fd), 0xff0000);
	close(fd);
	fd = dial();
	greet(fd, "RFB 003.003\n");
	ck_assert_uint_eq(hear_u32(fd), 1);
	enter(fd);
	ask(fd, false);
	ck_assert_uint_eq(hear_raw(fd), 0xff0000);
	close(fd);
}
END_TEST

START_TEST (the_password_is_asked_and_checked) {
	int fd;

	listen_secret();
	fd = join_with("secret");
	key(fd, true, 'a');
	told("+1e ");
	close(fd);
	told("-1e "); /* what a leaving viewer holds is let go */
	/* version 3.3 has it, too */
	fd = dial();
	greet(fd, "RFB 003.003\n");
	ck_assert_uint_eq(hear_u32(fd), 2);
	answer(fd, "secret");
	ck_assert_uint_eq(hear_u32(fd), 0);
	enter(fd);
	close(fd);
}
END_TEST

START_TEST (a_wrong_password_is_refused_with_a_reason) {
	int fd;

	listen_secret();
	fd = dial();
	greet(fd, "RFB 003.008\n");
	ck_assert_uint_eq(hear_type(fd), 2);
	answer(fd, "Secret");
	ck_assert_uint_eq(hear_u32(fd), 1);
	refused(fd, "Wrong password");
	/* no way around: security "none", or straight to ClientInit */
	fd = dial();
	greet(fd, "RFB 003.008\n");
	must_hear(fd, (uint8_t[2]){ 0 }, 2);
	speak(fd, "\001\001", 2);
	must_close(fd);
}
END_TEST

START_TEST (too_many_wrong_passwords_must_wait) {
	int fd;

	listen_secret();
	for (int i = 0; i < 3; i++) {
		fd = dial();
		greet(fd, "RFB 003.007\n");
		hear_type(fd);
		answer(fd, "guess");
		ck_assert_uint_eq(hear_u32(fd), 1);
		must_close(fd);
	}
	fd = dial();
	greet(fd, "RFB 003.008\n");
	must_hear(fd, (uint8_t[1]){ 0 }, 1);
	refused(fd, "Too many wrong passwords");
}
END_TEST

START_TEST (a_half_handshake_holds_nobody_up) {
	int half[3], fd;

	listen_plain();
	for (int i = 0; i < 3; i++)
		half[i] = dial();
	speak(half[1], "RFB", 3);
	greet(half[2], "RFB 003.008\n");
	fd = join();
	speak(fd, "\003", 1); /* and half a request */
	close(join());
	for (int i = 0; i < 3; i++)
		close(half[i]);
	close(fd);
}
END_TEST

START_TEST (the_oldest_stranger_makes_room) {
	int fd[17];

	listen_plain();
	for (int i = 0; i < 17; i++) {
		fd[i] = dial();
		must_hear(fd[i], (char[12]){ 0 }, 12);
	}
	must_close(fd[0]);
	speak(fd[1], "RFB 003.008\n", 12);
	ck_assert_uint_eq(hear_type(fd[1]), 1);
	for (int i = 1; i < 17; i++)
		close(fd[i]);
}
END_TEST

START_TEST (a_ninth_viewer_is_refused) {
	int fd[8], nine;

	listen_plain();
	for (int i = 0; i < 8; i++)
		fd[i] = join();
	nine = dial();
	greet(nine, "RFB 003.008\n");
	must_hear(nine, (uint8_t[1]){ 0 }, 1);
	refused(nine, "Too many viewers");
	for (int i = 0; i < 8; i++) {
		ask(fd[i], false);
		hear_raw(fd[i]);
		close(fd[i]);
	}
}
END_TEST

START_TEST (after_its_death_a_new_one_is_started) {
	int fd, again = -1;
	uint8_t b[12];

	listen_plain();
	fd = join();
	key(fd, true, 'a');
	told("+1e ");
	kill(disp->viewers.pid, SIGKILL);
	must_close(fd);
	told("-1e "); /* the engine lets go for it */
	/* for a second connections are closed, then they work */
	for (int i = 0; i < 2000; i++) {
		again = dial();
		if (hear(again, b, 12) == 12)
			break;
		close(again);
		again = -1;
		poll(NULL, 0, 10);
	}
	ck_assert_int_ge(again, 0);
	ck_assert_mem_eq(b, "RFB 003.008\n", 12);
	close(again);
}
END_TEST

START_TEST (close_throws_viewers_out_and_frees_the_address) {
	struct err e = ERR_NONE;
	int fd;

	listen_plain();
	fd = join();
	display_close(disp);
	must_close(fd);
	ck_assert_int_eq(io_unix_connect(path, &e), -ENOENT);
}
END_TEST

START_TEST (tcp_is_loopback_only_without_a_password) {
	struct display_listen l = { .addr = "0.0.0.0", .port = 0 };
	struct err e = ERR_NONE;
	struct display *other;

	ck_assert_int_eq(display_listen(disp, &l, &e), -EACCES);
	ck_assert_err(e, EACCES, "without a password");
	l.addr = "::";
	ck_assert_int_eq(display_listen(disp, &l, &e), -EACCES);
	l.addr = "localhost";
	ck_assert_int_eq(display_listen(disp, &l, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "numeric address");
	ck_assert_str_eq(display_address(disp), "");
	l.addr = NULL;
	ck_assert_int_eq(display_listen(disp, &l, &e), 0);
	ck_assert_int_eq(strncmp(display_address(disp), "127.0.0.1:", 10), 0);
	ck_assert_int_eq(display_listen(disp, &l, &e), -EBUSY);
	l.port = (uint16_t)atoi(display_address(disp) + 10);
	ck_assert_int_eq(display_new(svc, "other", disp->log, &other, &e), 0);
	ck_assert_int_eq(display_listen(other, &l, &e), -EADDRINUSE);
	ck_assert_err(e, EADDRINUSE, display_address(disp));
	display_free(other);
}
END_TEST

START_TEST (password_files_are_checked_at_once) {
	struct display_listen l = { .unix_path = path };
	struct err e = ERR_NONE;

	l.password_file = "/nonexistent/p";
	ck_assert_int_eq(display_listen(disp, &l, &e), -ENOENT);
	ck_assert_err(e, ENOENT, "/nonexistent/p");
	l.password_file = password("long", "123456789\n");
	ck_assert_int_eq(display_listen(disp, &l, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "1 to 8 characters");
	l.password_file = password("empty", "\nx\n");
	ck_assert_int_eq(display_listen(disp, &l, &e), -EINVAL);
	l.password_file = NULL;
	l.viewonly_password_file = password("long", "123456789\n");
	ck_assert_int_eq(display_listen(disp, &l, &e), -EINVAL);
	l.off = true;
	ck_assert_int_eq(display_listen(disp, &l, &e), 0);
	ck_assert_str_eq(display_address(disp), "");
}
END_TEST

VIEWER_SUITE("viewer_door", a_client_of_each_version_gets_its_picture,
	the_password_is_asked_and_checked,
	a_wrong_password_is_refused_with_a_reason,
	too_many_wrong_passwords_must_wait, a_half_handshake_holds_nobody_up,
	the_oldest_stranger_makes_room, a_ninth_viewer_is_refused,
	after_its_death_a_new_one_is_started,
	close_throws_viewers_out_and_frees_the_address,
	tcp_is_loopback_only_without_a_password,
	password_files_are_checked_at_once)
