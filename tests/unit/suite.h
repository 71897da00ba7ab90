/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The main() of a Check program, and a scratch folder. At the end of a test
 * file: SUITE("loop", timer_runs_once, timer_can_be_disarmed, ...)
 */
#ifndef TESTS_UNIT_SUITE_H
#define TESTS_UNIT_SUITE_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* An error must have this code and hold this text. */
#define ck_assert_err(e, want_code, text)                                      \
	do {                                                                   \
		ck_assert_int_eq((e).code, (want_code));                       \
		ck_assert_msg(strstr((e).msg, (text)) != NULL,                 \
			"\"%s\" holds no \"%s\"", (e).msg,                     \
			(const char *)(text));                                 \
	} while (0)

/* Each test between setup and teardown (or NULL), and no longer than this
 * (0 = as usual). */
static inline int suite_run_with(const char *name, const TTest **tests,
	size_t n, double timeout_s, void (*setup)(void), void (*teardown)(void))
{
	Suite *s = suite_create(name);
	TCase *t = tcase_create(name);
	SRunner *r;
	int failed;

	if (timeout_s > 0)
		tcase_set_timeout(t, timeout_s);
	tcase_add_checked_fixture(t, setup, teardown);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline int suite_run(const char *name, const TTest **tests, size_t n)
{
	return suite_run_with(name, tests, n, 0, NULL, NULL);
}

#define SUITE(name, ...)                                                       \
	int main(void)                                                         \
	{                                                                      \
		const TTest *tests[] = { __VA_ARGS__ };                        \
		return suite_run(name, tests,                                  \
			sizeof(tests) / sizeof(tests[0]));                     \
	}

/* A new folder; its path is good to the end of the process. */
static inline char *suite_tmp(void)
{
	static char path[256];
	const char *top = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%s/guestdeck-XXXXXX",
		top && *top && strlen(top) < 64 ? top : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(path));
	return path;
}

static inline int suite_rm_one(const char *path, const struct stat *st,
	int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void suite_rm(const char *path)
{
	nftw(path, suite_rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* No descriptor of this number or above from now on; -1 = as before. */
static inline void suite_limit_fds(int limit)
{
	struct rlimit now;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
	now.rlim_cur = limit < 0 ? now.rlim_max : (rlim_t)limit;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
}

/* "folder/name", in one of a few static buffers. */
static inline const char *suite_path(const char *folder, const char *name)
{
	static char paths[8][512];
	static unsigned next;
	char *p = paths[next++ % 8];

	snprintf(p, sizeof(paths[0]), "%s/%s", folder, name);
	return p;
}

#endif
