/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A job that says stop, at every question it is asked until the work comes to
 * its end before: the target is gone then, the source as it was.
 */
#include <errno.h>

#include "tests/unit/storage/tools/img.h"

#define MANY 50 /* questions; what takes longer is not gone on with */

static void convert_at_each_question(const char *dst, const char *options,
	bool compress)
{
	const char *src = img_raw("src.raw", 1);
	uint64_t sum = img_sum(src);
	struct img_ref to = img_ref(img_path(dst));
	struct img_convert c = { .src = img_ref(src),
		.dst = to.path,
		.dst_format = to.format,
		.compress = compress };
	int r = -ECANCELED;

	ck_assert_int_eq(img_options_parse(&c.options, c.dst_format, options,
				 NULL),
		0);
	for (int after = 0; r && after < MANY; after++) {
		struct err e = ERR_NONE;
		struct img_stop s;

		r = img_convert(&c, img_stop(&s, after), &e);
		if (!r)
			break;
		ck_assert_int_eq(r, -ECANCELED);
		ck_assert_err(e, ECANCELED, "is removed");
		ck_assert(!img_is_there(c.dst));
		ck_assert(!img_is_there(img_path("d.data")));
	}
	ck_assert_uint_eq(img_sum(src), sum);
	if (!r)
		ck_assert(img_same(c.dst, src));
}

START_TEST (a_stopped_convert_leaves_no_target) {
	convert_at_each_question("a.raw", "", false);
	convert_at_each_question("b.raw", "preallocation=full", false);
	convert_at_each_question("a.qcow2", "", false);
	convert_at_each_question("b.qcow2", "", true);
	convert_at_each_question("c.qcow2", "preallocation=full", false);
	convert_at_each_question("d.qcow2", "data_file=d.data", false);
}
END_TEST

START_TEST (a_stopped_create_leaves_no_target) {
	static const char *const options[] = { "preallocation=full",
		"preallocation=metadata",
		"preallocation=full,data_file=d.data" };

	for (int i = 0; i < 3; i++) {
		struct img_create c = { .path = img_path("a.qcow2"),
			.format = BLK_QCOW2,
			.force = true };
		int r = -ECANCELED;

		img_options_parse(&c.options, BLK_QCOW2, options[i], NULL);
		c.options.size = 8 << 20;
		c.options.has_size = true;
		for (int after = 0; r && after < MANY; after++) {
			struct err e = ERR_NONE;
			struct img_stop s;

			r = img_create(&c, img_stop(&s, after), &e);
			if (!r)
				break;
			ck_assert_err(e, ECANCELED, "a.qcow2 is removed");
			ck_assert(!img_is_there(c.path));
			ck_assert(!img_is_there(img_path("d.data")));
		}
		ck_assert_int_eq(r, 0);
		img_sound(c.path);
		ck_assert_int_eq(remove(c.path), 0);
	}
}
END_TEST

START_TEST (into_what_is_there_it_is_said_that_it_is_not_whole) {
	const char *src = img_raw("src.raw", 1);
	struct img_convert c = { .src = img_ref(src),
		.dst = img_raw("there.raw", 2),
		.no_create = true };
	struct err e = ERR_NONE;
	struct img_stop s;

	ck_assert_int_eq(img_convert(&c, img_stop(&s, 0), &e), -ECANCELED);
	ck_assert_err(e, ECANCELED, "is not whole");
	ck_assert(img_is_there(c.dst));
}
END_TEST

RIG_SUITE("tools/cancel", a_stopped_convert_leaves_no_target,
	a_stopped_create_leaves_no_target,
	into_what_is_there_it_is_said_that_it_is_not_whole)
