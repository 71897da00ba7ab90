/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A display without viewers: sources, screenshots, text, keys by name. */
#include <errno.h>
#include <png.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "display/display.h"

#include "tests/unit/suite.h"

static struct display_service *svc;
static struct display *disp;
static struct display_text text;
static uint8_t letter = 'a';
static int refreshes, fulls;

static void refresh(void *arg, struct surface *s, bool full,
	struct display_text *t)
{
	(void)arg;
	refreshes++;
	fulls += full;
	surface_resize(s, 100, 80);
	surface_pixels(s)[0] = 0x123456;
	t->cols = 2;
	t->rows = 1;
	t->cell[0].ch = letter;
	t->cell[2].ch = (uint8_t)refreshes; /* past the end: not shown */
}

static const struct display_source source = { refresh, NULL, NULL };

static void setup(void)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(display_service_new("/nowhere", NULL, &svc, &e), 0);
	ck_assert_int_eq(display_new(svc, "one", NULL, &disp, &e), 0);
}

static void teardown(void)
{
	display_free(disp);
	display_service_free(svc);
}

START_TEST (a_display_without_a_source_has_no_screen) {
	struct err e = ERR_NONE;

	ck_assert_int_eq(display_screenshot(disp, "/tmp/none.png", &e),
		-ENODATA);
	ck_assert_err(e, ENODATA, "one has no screen");
	display_text(disp, &text);
	ck_assert_uint_eq(text.cols, 0);
}
END_TEST

START_TEST (the_screenshot_has_the_pixels) {
	struct err e = ERR_NONE;
	png_image img = { .version = PNG_IMAGE_VERSION };
	char *dir = suite_tmp();
	const char *path = suite_path(dir, "s.png");
	static uint8_t rgb[100 * 80 * 3];

	display_set_source(disp, &source);
	ck_assert_int_eq(display_screenshot(disp, path, &e), 0);
	ck_assert_int_ne(png_image_begin_read_from_file(&img, path), 0);
	ck_assert_uint_eq(img.width, 100);
	ck_assert_uint_eq(img.height, 80);
	img.format = PNG_FORMAT_RGB;
	ck_assert_int_ne(png_image_finish_read(&img, NULL, rgb, 0, NULL), 0);
	ck_assert_mem_eq(rgb, "\x12\x34\x56\0\0\0", 6);
	ck_assert_int_ne(access(suite_path(dir, "s.png.tmp"), F_OK), 0);
	suite_rm(dir);
}
END_TEST

START_TEST (a_screenshot_that_cannot_be_written_says_why) {
	struct err e = ERR_NONE;
	char *dir = suite_tmp();
	const char *path = suite_path(dir, "there");

	display_set_source(disp, &source);
	ck_assert_int_eq(display_screenshot(disp, "/nonexistent/a.png", &e),
		-ENOENT);
	ck_assert_err(e, ENOENT, "/nonexistent/a.png");
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(display_screenshot(disp, path, &e), -EISDIR);
	ck_assert_err(e, EISDIR, "cannot rename");
	ck_assert_int_ne(access(suite_path(dir, "there.tmp"), F_OK), 0);
	suite_rm(dir);
}
END_TEST

START_TEST (text_has_a_generation) {
	uint64_t g, h;

	display_set_source(disp, &source);
	ck_assert_int_eq(fulls, 1);
	g = display_text(disp, &text);
	ck_assert_uint_eq(text.cols, 2);
	ck_assert_uint_eq(text.cell[0].ch, 'a');
	h = display_text(disp, &text);
	ck_assert_uint_eq(g, h);
	letter = 'b';
	h = display_text(disp, &text);
	ck_assert_uint_ne(g, h);
	ck_assert_uint_eq(text.cell[0].ch, 'b');
}
END_TEST

START_TEST (a_source_that_is_taken_away_is_not_called) {
	struct err e = ERR_NONE;
	int n;

	display_set_source(disp, &source);
	display_set_source(disp, NULL);
	n = refreshes;
	display_text(disp, &text);
	ck_assert_int_eq(refreshes, n);
	/* its last picture stays to be looked at */
	ck_assert_int_eq(display_screenshot(disp, "/dev/null/x", &e), -ENOTDIR);
	display_close(disp);
	ck_assert_str_eq(display_address(disp), "");
}
END_TEST

/* ---- keys ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static char keys[256];

static void key(void *arg, const struct input_event *ev)
{
	size_t n;

	(void)arg;
	pthread_mutex_lock(&lock);
	n = strlen(keys);
	snprintf(keys + n, sizeof(keys) - n, "%s%x ", ev->down ? "+" : "-",
		ev->scancode);
	pthread_cond_signal(&more);
	pthread_mutex_unlock(&lock);
}

START_TEST (keys_go_down_in_order_and_up_in_reverse) {
	const struct input_sink sink = { 1 << INPUT_KEY, key, &keys };
	const char *const combos[] = { "ctrl-alt-delete", "a" };
	const char *want = "+1d +38 +e053 -e053 -38 -1d +1e -1e ";
	struct err e = ERR_NONE;

	ck_assert_int_eq(display_add_sink(disp, &sink, true), 0);
	ck_assert_int_eq(display_sendkey(disp, combos, 2, &e), 0);
	pthread_mutex_lock(&lock);
	while (strlen(keys) < strlen(want))
		pthread_cond_wait(&more, &lock);
	ck_assert_str_eq(keys, want);
	pthread_mutex_unlock(&lock);
	display_del_sink(disp, &keys);
}
END_TEST

START_TEST (one_unknown_key_sends_none) {
	const struct input_sink sink = { 1 << INPUT_KEY, key, &keys };
	const char *const combos[] = { "a", "shitf-b" };
	struct err e = ERR_NONE;

	ck_assert_int_eq(display_add_sink(disp, &sink, true), 0);
	ck_assert_int_eq(display_sendkey(disp, combos, 2, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "nearest is 'shift'");
	display_text(disp, &text); /* the thread had its turn */
	ck_assert_str_eq(keys, "");
	display_del_sink(disp, &keys);
}
END_TEST

START_TEST (too_many_keys_are_not_swallowed_silently) {
	const char *combos[600];
	struct err e = ERR_NONE;

	for (int i = 0; i < 600; i++)
		combos[i] = "a";
	ck_assert_int_eq(display_sendkey(disp, combos, 600, &e), -EAGAIN);
	ck_assert_err(e, EAGAIN, "of 600 are sent");
}
END_TEST

int main(void)
{
	const TTest *tests[] = { a_display_without_a_source_has_no_screen,
		the_screenshot_has_the_pixels,
		a_screenshot_that_cannot_be_written_says_why,
		text_has_a_generation,
		a_source_that_is_taken_away_is_not_called,
		keys_go_down_in_order_and_up_in_reverse,
		one_unknown_key_sends_none,
		too_many_keys_are_not_swallowed_silently };
	Suite *su = suite_create("display");
	TCase *t = tcase_create("display");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(su, t);
	r = srunner_create(su);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
