/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base/log: lines, levels, escapes, limits, files that grow full. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/io.h"
#include "vm/base/log.h"
#include "vm/base/sizes.h"

#include "tests/unit/suite.h"

static struct log *logfile;
static const char *folder, *path;

static void log_setup(void)
{
	folder = suite_tmp();
	path = suite_path(folder, "web.log");
	ck_assert_int_eq(log_open(path, &logfile, NULL), 0);
}

static void log_teardown(void)
{
	log_close(logfile);
	suite_rm(folder);
}

static char *log_text(const char *file)
{
	uint8_t *text;
	size_t len;

	ck_assert_int_eq(io_read_file(file, 1 << 20, &text, &len, NULL), 0);
	return (char *)text;
}

static unsigned log_count_lines(const char *text)
{
	unsigned n = 0;

	while ((text = strchr(text, '\n'))) {
		text++;
		n++;
	}
	return n;
}

START_TEST (a_line_has_time_level_and_text) {
	char *text, *end;
	unsigned y, ms;
	int n = 0;

	log_setup();
	log_msg(logfile, LOG_WARN, "disk %d", 3);
	text = log_text(path);
	ck_assert_int_eq(sscanf(text, "%4u-%*2u-%*2u %*2u:%*2u:%*2u.%3u %n", &y,
				 &ms, &n),
		2);
	ck_assert_uint_ge(y, 2020);
	end = text + n;
	ck_assert_str_eq(end, "warn  disk 3\n");
	free(text);
	log_teardown();
}
END_TEST

START_TEST (the_file_is_for_its_owner_only) {
	struct stat st;

	log_setup();
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	log_teardown();
}
END_TEST

START_TEST (lines_below_the_level_are_dropped) {
	char *text;

	log_setup();
	log_msg(logfile, LOG_DEBUG, "one");
	log_set_level(logfile, LOG_DEBUG);
	log_msg(logfile, LOG_DEBUG, "two");
	log_set_level(logfile, LOG_ERROR);
	log_msg(logfile, LOG_WARN, "three");
	log_msg(logfile, LOG_ERROR, "four");
	text = log_text(path);
	ck_assert_ptr_null(strstr(text, "one"));
	ck_assert_ptr_nonnull(strstr(text, "debug two\n"));
	ck_assert_ptr_null(strstr(text, "three"));
	ck_assert_ptr_nonnull(strstr(text, "error four\n"));
	free(text);
	log_teardown();
}
END_TEST

START_TEST (what_comes_from_outside_is_escaped) {
	char *text;

	log_setup();
	log_msg(logfile, LOG_INFO, "%s",
		"a\nb\x1b[2J \x7f \xc2\x9b \xff \xe2\x82 gr\xc3\xbc\xc3\x9f "
		"\xe2\x82\xac \xf0\x9f\x90\xa7 \xc3");
	text = log_text(path);
	ck_assert_ptr_nonnull(strstr(text,
		"a\\x0ab\\x1b[2J \\x7f \\xc2\\x9b \\xff \\xe2\\x82 "
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa7 \\xc3\n"));
	ck_assert_uint_eq(log_count_lines(text), 1);
	free(text);
	log_teardown();
}
END_TEST

START_TEST (a_long_line_is_cut) {
	char big[3000], *text;

	log_setup();
	memset(big, '\n', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	log_msg(logfile, LOG_INFO, "%s", big);
	text = log_text(path);
	ck_assert_uint_eq(log_count_lines(text), 1);
	ck_assert_uint_ge(strlen(text), 4000);
	free(text);
	log_teardown();
}
END_TEST

START_TEST (a_limiter_writes_a_burst_and_counts_the_rest) {
	struct log_limit lim = { 0 };
	char *text;

	log_setup();
	for (int i = 0; i < LOG_BURST + 5; i++)
		log_limited(logfile, &lim, LOG_WARN, "bad request %d", i);
	text = log_text(path);
	ck_assert_uint_eq(log_count_lines(text), LOG_BURST + 1);
	ck_assert_ptr_nonnull(strstr(text,
		"(more lines like this in 10 s are only counted)"));
	free(text);
	ck_assert_uint_eq(lim.seen, LOG_BURST + 5);
	lim.window_start_ns -= 11 * NS_PER_S;
	log_limited(logfile, &lim, LOG_WARN, "again");
	text = log_text(path);
	ck_assert_ptr_nonnull(strstr(text, "(5 lines like the next dropped)"));
	ck_assert_uint_eq(log_count_lines(text), LOG_BURST + 3);
	free(text);
	log_teardown();
}
END_TEST

START_TEST (limiters_do_not_count_what_the_level_drops) {
	struct log_limit lim = { 0 };

	log_setup();
	log_limited(logfile, &lim, LOG_DEBUG, "quiet");
	ck_assert_uint_eq(lim.seen, 0);
	log_teardown();
}
END_TEST

/* Make the log full and open it anew, as its size is read then. */
static void log_fill(void)
{
	log_msg(logfile, LOG_INFO, "old");
	log_close(logfile);
	ck_assert_int_eq(truncate(path, 16 * (off_t)MiB), 0);
	ck_assert_int_eq(log_open(path, &logfile, NULL), 0);
}

START_TEST (a_full_file_is_renamed_and_begun_anew) {
	struct stat st;
	char *text;

	log_setup();
	log_fill();
	log_msg(logfile, LOG_INFO, "new");
	text = log_text(path);
	ck_assert_uint_eq(log_count_lines(text), 1);
	ck_assert_ptr_nonnull(strstr(text, "new"));
	free(text);
	ck_assert_int_eq(stat(suite_path(folder, "web.log.1"), &st), 0);
	ck_assert_int_eq(st.st_size, 16 * (off_t)MiB);
	log_teardown();
}
END_TEST

START_TEST (a_full_file_that_cannot_be_renamed_goes_on) {
	struct stat st;

	log_setup();
	ck_assert_int_eq(mkdir(suite_path(folder, "web.log.1"), 0700), 0);
	log_fill();
	log_msg(logfile, LOG_INFO, "new");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_gt(st.st_size, 16 * (off_t)MiB);
	log_teardown();
}
END_TEST

START_TEST (opening_in_no_folder_fails_with_text) {
	struct log *l;
	struct err e = ERR_NONE;

	ck_assert_int_eq(log_open("/nonexistent/x.log", &l, &e), -ENOENT);
	ck_assert_err(e, ENOENT, "cannot open log /nonexistent/x.log: No such");
}
END_TEST

START_TEST (no_log_is_standard_error) {
	const char *file;
	char *text;
	int fd;

	folder = suite_tmp();
	file = suite_path(folder, "stderr");
	fd = open(file, O_RDWR | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	fflush(stderr);
	dup2(fd, STDERR_FILENO);
	log_msg(NULL, LOG_INFO, "to all");
	log_set_level(NULL, LOG_WARN);
	log_msg(NULL, LOG_INFO, "to nobody");
	log_close(NULL);
	text = log_text(file);
	ck_assert_ptr_nonnull(strstr(text, "info  to all\n"));
	ck_assert_ptr_null(strstr(text, "nobody"));
	free(text);
	close(fd);
	suite_rm(folder);
}
END_TEST

START_TEST (a_log_does_not_change_errno) {
	log_setup();
	errno = EXDEV;
	log_msg(logfile, LOG_INFO, "x");
	ck_assert_int_eq(errno, EXDEV);
	log_teardown();
}
END_TEST

START_TEST (a_full_device_is_not_renamed) {
	static char text[1000];
	struct err e = ERR_NONE;
	char link[300];
	struct stat st;
	struct log *l;

	/* by a link, so that no device is lost when this fails */
	snprintf(link, sizeof(link), "%s/device", suite_tmp());
	ck_assert_int_eq(symlink("/dev/null", link), 0);
	ck_assert_int_eq(log_open(link, &l, &e), 0);
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 18000; i++)
		log_msg(l, LOG_INFO, "%s", text);
	log_close(l);
	ck_assert_int_eq(lstat(link, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
}
END_TEST

static void log_keep(void *arg, enum log_level level, const char *text)
{
	snprintf(arg, 64, "%d %s", (int)level, text);
}

START_TEST (a_log_can_go_to_a_function) {
	static struct log_limit lim;
	char got[64] = "";
	struct log *l = log_new(log_keep, got);

	ck_assert_ptr_nonnull(l);
	log_msg(l, LOG_WARN, "a %d", 7);
	ck_assert_str_eq(got, "2 a 7");
	log_set_level(l, LOG_ERROR);
	log_msg(l, LOG_WARN, "b");
	ck_assert_str_eq(got, "2 a 7");
	for (int i = 0; i < LOG_BURST + 5; i++)
		log_limited(l, &lim, LOG_ERROR, "n %d", i);
	ck_assert_str_eq(got, "3 n 9");
	log_close(l);
}
END_TEST

SUITE("log", a_line_has_time_level_and_text, the_file_is_for_its_owner_only,
	lines_below_the_level_are_dropped, what_comes_from_outside_is_escaped,
	a_long_line_is_cut, a_limiter_writes_a_burst_and_counts_the_rest,
	limiters_do_not_count_what_the_level_drops,
	a_full_file_is_renamed_and_begun_anew,
	a_full_file_that_cannot_be_renamed_goes_on,
	opening_in_no_folder_fails_with_text, no_log_is_standard_error,
	a_log_does_not_change_errno, a_full_device_is_not_renamed,
	a_log_can_go_to_a_function)
