/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/io: whole reads and writes, files, folders. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/io.h"

#include "tests/unit/suite.h"

static const char *folder;

static void *write_in_pieces(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(write(fd, &"abcd"[i], 1), 1);
	close(fd);
	return NULL;
}

START_TEST (read_puts_pieces_together) {
	char buf[5] = "";
	pthread_t t;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	pthread_create(&t, NULL, write_in_pieces, &fds[1]);
	ck_assert_int_eq(io_read_full(fds[0], buf, 4), 0);
	ck_assert_str_eq(buf, "abcd");
	ck_assert_int_eq(io_read_full(fds[0], buf, 1), -ENODATA);
	ck_assert_int_eq(io_read_full(fds[0], buf, 0), 0);
	pthread_join(t, NULL);
	close(fds[0]);
}
END_TEST

START_TEST (write_tells_why_it_failed) {
	int full = open("/dev/full", O_WRONLY), fds[2];

	ck_assert_int_eq(io_write_full(full, "x", 1), -ENOSPC);
	ck_assert_int_eq(io_pwrite_full(full, "x", 1, 0), -ENOSPC);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe(fds), 0);
	close(fds[0]);
	ck_assert_int_eq(io_write_full(fds[1], "x", 1), -EPIPE);
	ck_assert_int_eq(io_write_full(-1, "x", 1), -EBADF);
	ck_assert_int_eq(io_read_full(-1, &(char){ 0 }, 1), -EBADF);
	ck_assert_int_eq(io_pread_full(-1, &(char){ 0 }, 1, 0), -EBADF);
	close(fds[1]);
	close(full);
}
END_TEST

START_TEST (pread_and_pwrite_use_the_offset) {
	const char *path;
	char buf[4] = "";
	int fd;

	folder = suite_tmp();
	path = suite_path(folder, "f");
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(io_pwrite_full(fd, "xyz", 3, 5), 0);
	ck_assert_int_eq(io_pread_full(fd, buf, 3, 5), 0);
	ck_assert_str_eq(buf, "xyz");
	ck_assert_int_eq(io_pread_full(fd, buf, 3, 6), -ENODATA);
	close(fd);
	suite_rm(folder);
}
END_TEST

static void make_file(const char *path, size_t len)
{
	char *text = calloc(1, len + 1);

	memset(text, 'x', len);
	ck_assert_int_eq(io_write_file(path, text, len, 0600, NULL), 0);
	free(text);
}

START_TEST (read_file_gives_all_and_a_zero) {
	static const size_t lens[] = { 0, 1, 4095, 4096, 4097, 100000 };
	const char *path;
	uint8_t *text;
	size_t len;

	folder = suite_tmp();
	path = suite_path(folder, "f");
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		make_file(path, lens[i]);
		ck_assert_int_eq(io_read_file(path, lens[i], &text, &len, NULL),
			0);
		ck_assert_uint_eq(len, lens[i]);
		ck_assert_uint_eq(text[len], 0);
		free(text);
		ck_assert_int_eq(io_read_file(path, SIZE_MAX, &text, &len,
					 NULL),
			0);
		ck_assert_uint_eq(len, lens[i]);
		free(text);
	}
	suite_rm(folder);
}
END_TEST

START_TEST (read_file_refuses_more_than_max) {
	struct err e = ERR_NONE;
	const char *path;
	uint8_t *text;
	size_t len;

	folder = suite_tmp();
	path = suite_path(folder, "f");
	make_file(path, 101);
	ck_assert_int_eq(io_read_file(path, 100, &text, &len, &e), -EFBIG);
	ck_assert_err(e, EFBIG, "f is larger than 100 bytes");
	make_file(path, 10000);
	ck_assert_int_eq(io_read_file(path, 9999, &text, &len, &e), -EFBIG);
	ck_assert_int_eq(io_read_file("/dev/zero", 1 << 20, &text, &len, &e),
		-EFBIG);
	suite_rm(folder);
}
END_TEST

START_TEST (read_file_names_path_and_cause) {
	struct err e = ERR_NONE;
	uint8_t *text;
	size_t len;

	ck_assert_int_eq(io_read_file("/nonexistent", 1, &text, &len, &e),
		-ENOENT);
	ck_assert_err(e, ENOENT, "cannot open /nonexistent: No such file");
	ck_assert_int_eq(io_read_file("/", 1, &text, &len, &e), -EISDIR);
	ck_assert_err(e, EISDIR, "cannot read /: Is a directory");
}
END_TEST

START_TEST (read_file_waits_for_no_pipe_for_ever) {
	struct err e = ERR_NONE;
	const char *path;
	uint8_t *text;
	pthread_t t;
	size_t len;
	int fd, keep;

	folder = suite_tmp();
	path = suite_path(folder, "fifo");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	alarm(20);
	ck_assert_int_eq(io_read_file(path, 9, &text, &len, &e), 0);
	ck_assert_uint_eq(len, 0); /* nobody writes */
	free(text);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(io_read_file(path, 9, &text, &len, &e), -ETIMEDOUT);
	ck_assert_err(e, ETIMEDOUT, "fifo: Connection timed out");
	/* what was written stays there while somebody could read it */
	keep = open(path, O_RDONLY | O_NONBLOCK);
	pthread_create(&t, NULL, write_in_pieces, &fd);
	ck_assert_int_eq(io_read_file(path, 9, &text, &len, &e), 0);
	ck_assert_str_eq((char *)text, "abcd");
	free(text);
	pthread_join(t, NULL);
	close(keep);
	suite_rm(folder);
}
END_TEST

START_TEST (write_file_replaces_with_the_new_mode) {
	const char *path;
	struct stat st;
	uint8_t *text;
	size_t len;

	umask(022);
	folder = suite_tmp();
	path = suite_path(folder, "f");
	ck_assert_int_eq(io_write_file(path, "old old", 7, 0644, NULL), 0);
	/* a crash left this, readable by all */
	close(open(suite_path(folder, "f.tmp"), O_CREAT | O_WRONLY, 0666));
	ck_assert_int_eq(io_write_file(path, "new", 3, 0600, NULL), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(io_read_file(path, 9, &text, &len, NULL), 0);
	ck_assert_str_eq((char *)text, "new");
	ck_assert_int_ne(access(suite_path(folder, "f.tmp"), F_OK), 0);
	free(text);
	suite_rm(folder);
}
END_TEST

START_TEST (write_file_works_in_the_present_folder) {
	folder = suite_tmp();
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(io_write_file("f", "x", 1, 0600, NULL), 0);
	ck_assert_int_eq(access(suite_path(folder, "f"), F_OK), 0);
	ck_assert_int_eq(chdir("/"), 0);
	suite_rm(folder);
}
END_TEST

START_TEST (write_file_tells_why_it_failed) {
	struct err e = ERR_NONE;
	char longpath[5000];
	const char *dir;

	ck_assert_int_eq(io_write_file("/nonexistent/f", "x", 1, 0600, &e),
		-ENOENT);
	ck_assert_err(e, ENOENT, "cannot write /nonexistent/f.tmp: No such");
	memset(longpath, 'a', sizeof(longpath) - 1);
	longpath[sizeof(longpath) - 1] = 0;
	ck_assert_int_eq(io_write_file(longpath, "x", 1, 0600, &e),
		-ENAMETOOLONG);
	ck_assert_err(e, ENAMETOOLONG, "cannot write aaaa");

	folder = suite_tmp();
	dir = suite_path(folder, "d");
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	ck_assert_int_eq(io_write_file(dir, "x", 1, 0600, &e), -EISDIR);
	ck_assert_err(e, EISDIR, "cannot replace ");
	ck_assert_int_ne(access(suite_path(folder, "d.tmp"), F_OK), 0);
	/* a folder in the place of the new file */
	ck_assert_int_eq(mkdir(suite_path(folder, "g.tmp"), 0700), 0);
	ck_assert_int_eq(io_write_file(suite_path(folder, "g"), "x", 1, 0600,
				 &e),
		-EEXIST);
	suite_rm(folder);
}
END_TEST

START_TEST (a_write_that_does_not_fit_leaves_the_old_file) {
	static const char big[8192];
	struct rlimit small = { 4096, RLIM_INFINITY };
	struct err e = ERR_NONE;
	const char *path;
	uint8_t *text;
	size_t len;

	folder = suite_tmp();
	path = suite_path(folder, "f");
	make_file(path, 10);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_int_eq(io_write_file(path, big, sizeof(big), 0600, &e),
		-EFBIG);
	small.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_err(e, EFBIG, "f.tmp: File too large");
	ck_assert_int_ne(access(suite_path(folder, "f.tmp"), F_OK), 0);
	ck_assert_int_eq(io_read_file(path, 99, &text, &len, NULL), 0);
	ck_assert_uint_eq(len, 10);
	free(text);
	suite_rm(folder);
}
END_TEST

START_TEST (mkdirs_makes_all_that_is_missing) {
	const char *deep;
	struct stat st;

	umask(0);
	folder = suite_tmp();
	deep = suite_path(folder, "a//b/c/");
	ck_assert_int_eq(io_mkdirs(deep, NULL), 0);
	ck_assert_int_eq(io_mkdirs(deep, NULL), 0);
	ck_assert_int_eq(stat(deep, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(io_mkdirs("/", NULL), 0);
	suite_rm(folder);
}
END_TEST

START_TEST (mkdirs_tells_why_it_failed) {
	struct err e = ERR_NONE;
	char longpath[5000];

	folder = suite_tmp();
	make_file(suite_path(folder, "f"), 1);
	ck_assert_int_eq(io_mkdirs(suite_path(folder, "f"), &e), -ENOTDIR);
	ck_assert_err(e, ENOTDIR, "f: Not a directory");
	ck_assert_int_eq(io_mkdirs(suite_path(folder, "f/g"), &e), -ENOTDIR);
	ck_assert_err(e, ENOTDIR, "cannot make folder ");
	ck_assert_int_eq(symlink("nowhere", suite_path(folder, "l")), 0);
	ck_assert_int_eq(io_mkdirs(suite_path(folder, "l"), &e), -ENOENT);
	ck_assert_int_eq(io_mkdirs("", &e), -ENOENT);
	memset(longpath, 'a', sizeof(longpath) - 1);
	longpath[sizeof(longpath) - 1] = 0;
	ck_assert_int_eq(io_mkdirs(longpath, &e), -ENAMETOOLONG);
	suite_rm(folder);
}
END_TEST

START_TEST (flags_are_added) {
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(io_cloexec(fds[0]), 0);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(io_nonblock(fds[1]), 0);
	ck_assert_int_eq(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fds[1], F_GETFL), O_WRONLY | O_NONBLOCK);
	ck_assert_int_eq(io_cloexec(-1), -EBADF);
	ck_assert_int_eq(io_nonblock(-1), -EBADF);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

SUITE("io", read_puts_pieces_together, write_tells_why_it_failed,
	pread_and_pwrite_use_the_offset, read_file_gives_all_and_a_zero,
	read_file_refuses_more_than_max, read_file_names_path_and_cause,
	read_file_waits_for_no_pipe_for_ever,
	write_file_replaces_with_the_new_mode,
	write_file_works_in_the_present_folder, write_file_tells_why_it_failed,
	a_write_that_does_not_fit_leaves_the_old_file,
	mkdirs_makes_all_that_is_missing, mkdirs_tells_why_it_failed,
	flags_are_added)
