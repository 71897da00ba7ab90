/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/io: Unix sockets and descriptors beside bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/io.h"

#include "tests/unit/suite.h"

START_TEST (listen_makes_a_private_socket_that_answers) {
	const char *folder = suite_tmp(), *path = suite_path(folder, "s");
	struct stat st;
	int l, c, s;
	char got;

	umask(0);
	l = io_unix_listen(path, 4, NULL);
	ck_assert_int_ge(l, 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(fcntl(l, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(l, F_GETFL) & O_NONBLOCK, 0);
	c = io_unix_connect(path, NULL);
	ck_assert_int_ge(c, 0);
	ck_assert_int_eq(fcntl(c, F_GETFD), FD_CLOEXEC);
	s = accept(l, NULL, NULL);
	ck_assert_int_eq(io_write_full(c, "x", 1), 0);
	ck_assert_int_eq(io_read_full(s, &got, 1), 0);
	ck_assert_int_eq(got, 'x');
	close(s);
	close(c);
	close(l);
	suite_rm(folder);
}
END_TEST

START_TEST (a_stale_socket_is_replaced) {
	const char *folder = suite_tmp(), *path = suite_path(folder, "s");
	int l = io_unix_listen(path, 4, NULL);

	close(l);
	ck_assert_int_eq(access(path, F_OK), 0);
	l = io_unix_listen(path, 4, NULL);
	ck_assert_int_ge(l, 0);
	close(l);
	suite_rm(folder);
}
END_TEST

START_TEST (a_socket_that_answers_is_left_alone) {
	const char *folder = suite_tmp(), *path = suite_path(folder, "s");
	int l = io_unix_listen(path, 4, NULL), c;
	struct err e = ERR_NONE;

	ck_assert_int_eq(io_unix_listen(path, 4, &e), -EADDRINUSE);
	ck_assert_err(e, EADDRINUSE, "/s: Address already in use");
	c = io_unix_connect(path, NULL);
	ck_assert_int_ge(c, 0);
	close(c);
	close(l);
	suite_rm(folder);
}
END_TEST

START_TEST (a_file_that_is_no_socket_is_left_alone) {
	const char *folder = suite_tmp(), *path = suite_path(folder, "f");
	struct err e = ERR_NONE;

	close(open(path, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(io_unix_listen(path, 4, &e), -EADDRINUSE);
	ck_assert_err(e, EADDRINUSE, "a file that is no socket");
	ck_assert_int_eq(access(path, F_OK), 0);
	suite_rm(folder);
}
END_TEST

START_TEST (a_long_path_is_told_as_such) {
	struct err e = ERR_NONE;
	char path[200];

	memset(path, 'a', sizeof(path));
	path[108] = 0;
	ck_assert_int_eq(io_unix_listen(path, 4, &e), -ENAMETOOLONG);
	ck_assert_err(e, ENAMETOOLONG, "has 108 bytes, at most 107");
	ck_assert_int_eq(io_unix_connect(path, &e), -ENAMETOOLONG);
	ck_assert_int_eq(io_unix_connect("", &e), -EINVAL);
	ck_assert_err(e, EINVAL, "a socket needs a path");
}
END_TEST

START_TEST (failures_name_path_and_cause) {
	const char *folder = suite_tmp(), *path = suite_path(folder, "s");
	struct err e = ERR_NONE;
	int l = io_unix_listen(path, 4, NULL);

	close(l);
	ck_assert_int_eq(io_unix_connect(path, &e), -ECONNREFUSED);
	ck_assert_err(e, ECONNREFUSED, "/s: Connection refused");
	ck_assert_int_eq(io_unix_listen("/nonexistent/s", 4, &e), -ENOENT);
	ck_assert_err(e, ENOENT, "cannot listen on /nonexistent/s: No such");
	ck_assert_int_eq(io_unix_connect("/nonexistent/s", &e), -ENOENT);
	ck_assert_int_lt(io_unix_listen("/proc/s", 4, &e), 0);
	ck_assert_err(e, e.code, "cannot listen on /proc/s: ");
	suite_rm(folder);
}
END_TEST

START_TEST (no_descriptor_left_is_an_error) {
	struct err e = ERR_NONE;

	suite_limit_fds(0);
	ck_assert_int_eq(io_unix_connect("/tmp/x", &e), -EMFILE);
	ck_assert_err(e, EMFILE, "cannot make a socket");
	ck_assert_int_eq(io_unix_listen("/tmp/x", 1, &e), -EMFILE);
	suite_limit_fds(-1);
}
END_TEST

/* Are a and b the same open file? */
static bool same_file(int a, int b)
{
	struct stat sa, sb;

	ck_assert_int_eq(fstat(a, &sa), 0);
	ck_assert_int_eq(fstat(b, &sb), 0);
	return sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}

START_TEST (descriptors_go_beside_bytes) {
	int pair[2], p[2], got[8], n = -1;
	char buf[8];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(io_send_fds(pair[0], "hi", 2, p, 2), 2);
	ck_assert_int_eq(io_recv_fds(pair[1], buf, 8, got, 8, &n), 2);
	ck_assert_int_eq(n, 2);
	ck_assert(same_file(got[0], p[0]) && same_file(got[1], p[1]));
	ck_assert_int_eq(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(io_send_fds(pair[0], "x", 1, NULL, 0), 1);
	ck_assert_int_eq(io_recv_fds(pair[1], buf, 8, got, 8, &n), 1);
	ck_assert_int_eq(n, 0);
}
END_TEST

START_TEST (descriptors_beyond_max_are_closed) {
	int pair[2], fds[8], got[2], n, before, after;
	char buf[8];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (int i = 0; i < 8; i++)
		fds[i] = pair[0];
	ck_assert_int_eq(io_send_fds(pair[0], "x", 1, fds, 8), 1);
	before = dup(0);
	close(before);
	ck_assert_int_eq(io_recv_fds(pair[1], buf, 8, got, 2, &n), 1);
	ck_assert_int_eq(n, 2);
	after = dup(0);
	ck_assert_int_eq(after, before + 2); /* two and no more are open */
}
END_TEST

START_TEST (sending_checks_its_arguments) {
	int pair[2], fds[9] = { 0 };

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(io_send_fds(pair[0], "x", 1, fds, 9), -EINVAL);
	ck_assert_int_eq(io_send_fds(pair[0], "x", 1, fds, -1), -EINVAL);
	ck_assert_int_eq(io_send_fds(pair[0], "", 0, fds, 1), -EINVAL);
}
END_TEST

START_TEST (the_end_and_errors_are_told) {
	int pair[2], got[1], n = 9;
	char buf[1];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[1]);
	ck_assert_int_eq(io_recv_fds(pair[0], buf, 1, got, 1, &n), 0);
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(io_send_fds(pair[0], "x", 1, NULL, 0), -EPIPE);
	ck_assert_int_eq(io_recv_fds(-1, buf, 1, got, 1, &n), -EBADF);
}
END_TEST

SUITE("io_unix", listen_makes_a_private_socket_that_answers,
	a_stale_socket_is_replaced, a_socket_that_answers_is_left_alone,
	a_file_that_is_no_socket_is_left_alone, a_long_path_is_told_as_such,
	failures_name_path_and_cause, no_descriptor_left_is_an_error,
	descriptors_go_beside_bytes, descriptors_beyond_max_are_closed,
	sending_checks_its_arguments, the_end_and_errors_are_told)
