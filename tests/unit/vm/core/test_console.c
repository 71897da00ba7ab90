// SPDX-License-Identifier: GPL-3.0-or-later
/* The serial stream: ring, input, watchers, sink, log. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "vm/core/console.h"

#include "tests/unit/suite.h"

static struct console *new_console(const char *log)
{
	struct console *c;
	struct err e = ERR_NONE;

	ck_assert_msg(console_new(log, &c, &e) == 0, "%s", e.msg);
	return c;
}

START_TEST (output_is_read_from_where_a_reader_is) {
	struct console *c = new_console(NULL);
	uint64_t a = 0, b = 0;
	char buf[32] = "";

	ck_assert_uint_eq(console_read(c, &a, buf, sizeof(buf)), 0);
	console_output(c, "hello", 5);
	console_output(c, "", 0);
	ck_assert_uint_eq(console_end(c), 5);
	ck_assert_uint_eq(console_read(c, &a, buf, 2), 2);
	ck_assert_mem_eq(buf, "he", 2);
	ck_assert_uint_eq(console_read(c, &b, buf, sizeof(buf)), 5);
	ck_assert_mem_eq(buf, "hello", 5);
	ck_assert_uint_eq(console_read(c, &a, buf, sizeof(buf)), 3);
	ck_assert_mem_eq(buf, "llo", 3);
	ck_assert_uint_eq(a, 5);
	ck_assert_uint_eq(console_read(c, &a, buf, sizeof(buf)), 0);
	console_free(c);
	console_free(NULL);
}
END_TEST

START_TEST (a_slow_reader_loses_the_oldest) {
	struct console *c = new_console(NULL);
	uint8_t *big = malloc(3 * CONSOLE_RING), buf[16];
	uint64_t pos = 0;

	for (size_t i = 0; i < 3 * CONSOLE_RING; i++)
		big[i] = (uint8_t)(i / 256);
	console_output(c, "0123456789", 10);
	console_output(c, big, CONSOLE_RING);
	ck_assert_uint_eq(console_read(c, &pos, buf, 4), 4);
	ck_assert_uint_eq(pos, 14);
	ck_assert_mem_eq(buf, big, 4);
	/* more than the ring at once */
	console_output(c, big, 3 * CONSOLE_RING);
	ck_assert_uint_eq(console_end(c), 10 + 4 * CONSOLE_RING);
	ck_assert_uint_eq(console_read(c, &pos, buf, 16), 16);
	ck_assert_uint_eq(pos, 10 + 3 * CONSOLE_RING + 16);
	ck_assert_mem_eq(buf, big + 2 * CONSOLE_RING, 16);
	/* over the ring's edge */
	pos = console_end(c) - 16;
	ck_assert_uint_eq(console_read(c, &pos, buf, 16), 16);
	ck_assert_mem_eq(buf, big + 3 * CONSOLE_RING - 16, 16);
	free(big);
	console_free(c);
}
END_TEST

START_TEST (a_position_past_the_end_is_taken_as_the_end) {
	struct console *c = new_console(NULL);
	uint64_t pos = 1000;
	char buf[4];

	console_output(c, "ab", 2);
	ck_assert_uint_eq(console_read(c, &pos, buf, 4), 0);
	ck_assert_uint_eq(pos, 2);
	pos = UINT64_MAX;
	ck_assert_uint_eq(console_read(c, &pos, buf, 4), 0);
	ck_assert_uint_eq(pos, 2);
	console_free(c);
}
END_TEST

START_TEST (input_is_bounded_and_in_order) {
	struct console *c = new_console(NULL);
	uint8_t in[CONSOLE_INPUT + 100], out[CONSOLE_INPUT];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	ck_assert_uint_eq(console_input(c, in, 100), 100);
	ck_assert_uint_eq(console_input_take(c, out, 60), 60);
	ck_assert_uint_eq(console_input(c, in, sizeof(in)), CONSOLE_INPUT - 40);
	ck_assert_uint_eq(console_input(c, in, 1), 0);
	ck_assert_uint_eq(console_input_take(c, out, 40), 40);
	ck_assert_mem_eq(out, in + 60, 40);
	ck_assert_uint_eq(console_input_take(c, out, sizeof(out)),
		CONSOLE_INPUT - 40);
	ck_assert_mem_eq(out, in, CONSOLE_INPUT - 40);
	ck_assert_uint_eq(console_input_take(c, out, sizeof(out)), 0);
	console_free(c);
}
END_TEST

static void count_call(void *arg)
{
	++*(int *)arg;
}

START_TEST (the_sink_hears_of_input_that_was_taken) {
	struct console *c = new_console(NULL);
	uint8_t fill[CONSOLE_INPUT] = { 0 };
	int calls = 0;

	console_input(c, "x", 1);
	console_set_sink(c, count_call, &calls);
	console_input(c, "x", 1);
	ck_assert_int_eq(calls, 1);
	console_input(c, fill, sizeof(fill));
	ck_assert_int_eq(calls, 2);
	console_input(c, "x", 1); /* full: nothing new to hear of */
	console_input(c, "", 0);
	ck_assert_int_eq(calls, 2);
	console_set_sink(c, NULL, NULL);
	console_input_take(c, fill, 1);
	console_input(c, "x", 1);
	ck_assert_int_eq(calls, 2);
	console_free(c);
}
END_TEST

struct slow_sink {
	struct console *c;
	pthread_mutex_t m;
	pthread_cond_t cond;
	bool inside, go;
	_Atomic bool over;
};

static void slow_sink(void *arg)
{
	struct slow_sink *s = arg;

	pthread_mutex_lock(&s->m);
	s->inside = true;
	pthread_cond_broadcast(&s->cond);
	while (!s->go)
		pthread_cond_wait(&s->cond, &s->m);
	pthread_mutex_unlock(&s->m);
	atomic_store(&s->over, true);
}

static void *slow_input(void *arg)
{
	struct slow_sink *s = arg;

	console_input(s->c, "x", 1);
	return NULL;
}

static void *let_go(void *arg)
{
	struct slow_sink *s = arg;

	pthread_mutex_lock(&s->m);
	s->go = true;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->m);
	return NULL;
}

START_TEST (an_old_sink_has_ended_when_a_new_one_is_set) {
	struct slow_sink s = { .c = new_console(NULL),
		.m = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER };
	pthread_t t, u;

	console_set_sink(s.c, slow_sink, &s);
	pthread_create(&t, NULL, slow_input, &s);
	pthread_mutex_lock(&s.m);
	while (!s.inside)
		pthread_cond_wait(&s.cond, &s.m);
	pthread_mutex_unlock(&s.m);
	pthread_create(&u, NULL, let_go, &s);
	console_set_sink(s.c, NULL, NULL);
	ck_assert(atomic_load(&s.over));
	pthread_join(t, NULL);
	pthread_join(u, NULL);
	console_free(s.c);
}
END_TEST

START_TEST (watchers_are_signalled_and_bounded) {
	struct console *c = new_console(NULL);
	int fd[17];
	uint64_t n;

	for (int i = 0; i < 17; i++) {
		fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		ck_assert_int_eq(console_watch(c, fd[i]), i < 16 ? 0 : -ENOSPC);
	}
	console_output(c, "x", 1);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(read(fd[i], &n, 8), 8);
	ck_assert_int_eq(read(fd[16], &n, 8), -1);
	console_unwatch(c, fd[3]);
	ck_assert_int_eq(console_watch(c, fd[16]), 0);
	console_output(c, "x", 1);
	ck_assert_int_eq(read(fd[3], &n, 8), -1);
	ck_assert_int_eq(read(fd[16], &n, 8), 8);
	/* a full counter does not hold the guest */
	n = UINT64_MAX - 1;
	ck_assert_int_eq(read(fd[0], &n, 8), 8);
	n = UINT64_MAX - 1;
	ck_assert_int_eq(write(fd[0], &n, 8), 8);
	console_output(c, "x", 1);
	console_free(c);
	for (int i = 0; i < 17; i++)
		close(fd[i]);
}
END_TEST

START_TEST (the_log_holds_all_output_at_the_end) {
	char *dir = suite_tmp();
	const char *path = suite_path(dir, "console.log");
	struct console *c = new_console(path);
	struct err e = ERR_NONE;
	uint8_t *text;
	size_t len;

	for (int i = 0; i < 1000; i++)
		console_output(c, "line of text\r\n", 14);
	console_free(c);
	ck_assert_int_eq(io_read_file(path, MiB, &text, &len, &e), 0);
	ck_assert_uint_eq(len, 14000);
	ck_assert_mem_eq(text + 13986, "line of text\r\n", 14);
	free(text);
	/* the next start appends */
	c = new_console(path);
	console_output(c, "again", 5);
	console_free(c);
	ck_assert_int_eq(io_read_file(path, MiB, &text, &len, &e), 0);
	ck_assert_uint_eq(len, 14005);
	free(text);
	suite_rm(dir);
}
END_TEST

START_TEST (a_log_is_begun_anew_at_16_mib) {
	char *dir = suite_tmp();
	const char *path = suite_path(dir, "console.log");
	const char *old = suite_path(dir, "console.log.1");
	struct console *c;
	struct stat st;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_eq(ftruncate(fd, 16 * MiB - 2), 0);
	close(fd);
	c = new_console(path);
	console_output(c, "hello", 5);
	console_free(c);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 5);
	ck_assert_int_eq(stat(old, &st), 0);
	ck_assert_int_eq(st.st_size, 16 * MiB - 2);
	suite_rm(dir);
}
END_TEST

START_TEST (a_log_that_cannot_be_opened_is_told) {
	struct console *c = NULL;
	struct err e = ERR_NONE;

	ck_assert_int_eq(console_new("/nonexistent/console.log", &c, &e),
		-ENOENT);
	ck_assert_err(e, ENOENT, "/nonexistent/console.log");
	ck_assert_ptr_null(c);
}
END_TEST

START_TEST (a_full_disk_does_not_hold_the_guest) {
	struct console *c = new_console("/dev/full");
	uint64_t pos = 0;
	char buf[8];

	for (int i = 0; i < 10000; i++)
		console_output(c, "line of text\r\n", 14);
	ck_assert_uint_eq(console_read(c, &pos, buf, 8), 8);
	console_free(c);
}
END_TEST

SUITE("console", output_is_read_from_where_a_reader_is,
	a_slow_reader_loses_the_oldest,
	a_position_past_the_end_is_taken_as_the_end,
	input_is_bounded_and_in_order, the_sink_hears_of_input_that_was_taken,
	an_old_sink_has_ended_when_a_new_one_is_set,
	watchers_are_signalled_and_bounded, the_log_holds_all_output_at_the_end,
	a_log_is_begun_anew_at_16_mib, a_log_that_cannot_be_opened_is_told,
	a_full_disk_does_not_hold_the_guest)
