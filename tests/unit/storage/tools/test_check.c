/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check and resize, compare and bench. */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/storage/tools/img.h"

struct told {
	int lines;
	char last[200];
};

static void tell(void *arg, const char *line)
{
	struct told *t = arg;

	t->lines++;
	snprintf(t->last, sizeof(t->last), "%s", line);
}

/* Entry i of the first refcount block, which is the third cluster. */
static void set_refcount(const char *path, unsigned i, uint8_t count)
{
	uint8_t be[2] = { 0, count };

	rig_write_file(path, 2 * 65536 + 2 * i, be, 2);
}

START_TEST (damage_is_told_and_mended_as_far_as_asked) {
	struct img_ref ref = img_ref(img_qcow2("a.qcow2", 1, ""));
	const char *was = img_raw("was.raw", 1);
	struct told t = { 0 };
	struct err e = ERR_NONE;
	struct img_check c;
	struct stat st;

	ck_assert_int_eq(stat(ref.path, &st), 0);
	set_refcount(ref.path, (unsigned)(st.st_size / 65536) - 1, 7);
	set_refcount(ref.path, 5, 0);
	ck_assert_int_eq(img_check(&ref, IMG_REPAIR_NONE, tell, &t, NULL, &c,
				 &e),
		0);
	ck_assert_uint_gt(c.corruptions, 0);
	ck_assert_uint_gt(c.leaks, 0);
	ck_assert_int_ge(t.lines, 2);
	ck_assert_int_eq(img_check(&ref, IMG_REPAIR_LEAKS, NULL, NULL, NULL, &c,
				 &e),
		0);
	ck_assert_uint_gt(c.leaks_fixed, 0);
	ck_assert_uint_gt(c.corruptions, 0);
	ck_assert_int_eq(img_check(&ref, IMG_REPAIR_ALL, NULL, NULL, NULL, &c,
				 &e),
		0);
	ck_assert_uint_gt(c.corruptions_fixed, 0);
	img_sound(ref.path);
	ck_assert(img_same(ref.path, was));
}
END_TEST

START_TEST (a_format_without_checks_says_so) {
	struct img_ref ref = img_ref(img_raw("a.raw", 1));
	struct err e = ERR_NONE;
	struct img_check c;

	ck_assert_int_eq(img_check(&ref, IMG_REPAIR_NONE, NULL, NULL, NULL, &c,
				 &e),
		-ENOTSUP);
	ck_assert_err(e, ENOTSUP, "a raw image has nothing to check");
}
END_TEST

START_TEST (a_stopped_check_changes_nothing) {
	struct img_ref ref = img_ref(img_qcow2("a.qcow2", 1, ""));
	uint64_t sum;
	struct err e = ERR_NONE;
	struct img_check c;
	struct img_stop s;

	set_refcount(ref.path, 5, 0);
	sum = img_sum(ref.path);
	ck_assert_int_eq(img_check(&ref, IMG_REPAIR_ALL, NULL, NULL,
				 img_stop(&s, 0), &c, &e),
		-ECANCELED);
	ck_assert_err(e, ECANCELED, "the check was stopped");
	ck_assert_uint_eq(img_sum(ref.path), sum);
}
END_TEST

/* resize */

static int resize(const char *path, int sign, uint64_t size, bool shrink,
	enum img_prealloc how, struct img_job *j, struct err *e)
{
	struct img_resize z = { img_ref(path), size, sign, shrink, how };
	uint64_t now = 0;
	int r = img_resize(&z, j, &now, e);

	return r ? r : (int)(now >> 10); /* in KiB */
}

static uint64_t size_of(const char *path)
{
	struct img_ref ref = img_ref(path);
	struct err e = ERR_NONE;
	struct img_info i;
	uint64_t size;

	ck_assert_int_eq(img_info(&ref, false, &i, &e), 0);
	size = i.layers->size;
	img_info_free(&i);
	return size;
}

START_TEST (resize_goes_up_and_down_and_warns_of_loss) {
	const char *paths[2];
	struct err e = ERR_NONE;

	paths[0] = img_raw("a.raw", 1);
	paths[1] = img_qcow2("a.qcow2", 1, "");
	for (int i = 0; i < 2; i++) {
		const char *p = paths[i];

		ck_assert_int_eq(resize(p, 0, 8 << 20, false, 0, NULL, &e),
			8192);
		ck_assert_int_eq(resize(p, 1, 1 << 20, false, 0, NULL, &e),
			9216);
		ck_assert_int_eq(resize(p, -1, 1 << 20, false, 0, NULL, &e),
			-EINVAL);
		ck_assert_err(e, EINVAL, "then give --shrink");
		ck_assert_int_eq(resize(p, -1, 1 << 20, true, 0, NULL, &e),
			8192);
		ck_assert_int_eq(resize(p, -1, 1 << 30, true, 0, NULL, &e),
			-EINVAL);
		ck_assert_err(e, EINVAL, "has no more than");
		ck_assert_int_eq(resize(p, 1, INT64_MAX, true, 0, NULL, &e),
			-ERANGE);
		ck_assert_uint_eq(size_of(p), 8 << 20);
	}
	ck_assert_int_eq(resize(paths[0], 1, 1 << 20, false,
				 IMG_PREALLOC_METADATA, NULL, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "has no metadata to preallocate");
	ck_assert_uint_eq(size_of(paths[0]), 8 << 20);
	img_sound(paths[1]);
	ck_assert(img_same(paths[0], paths[1]));
}
END_TEST

START_TEST (a_full_preallocation_writes_what_was_added) {
	const char *paths[2];
	struct err e = ERR_NONE;
	struct img_stop s;
	struct stat st;

	paths[0] = img_raw("a.raw", 1);
	paths[1] = img_qcow2("a.qcow2", 1, "");
	for (int i = 0; i < 2; i++) {
		const char *p = paths[i];

		ck_assert_int_eq(resize(p, 0, 8 << 20, false, IMG_PREALLOC_FULL,
					 img_stop(&s, 100000), &e),
			8192);
		ck_assert_uint_eq(s.total, (8 << 20) - IMG_SIZE);
		ck_assert_int_eq(stat(p, &st), 0);
		ck_assert_int_ge(st.st_blocks * 512, 4 << 20);
		/* stopped it is as large as before */
		ck_assert_int_eq(resize(p, 0, 16 << 20, false,
					 IMG_PREALLOC_FULL, img_stop(&s, 1),
					 &e),
			-ECANCELED);
		ck_assert_err(e, ECANCELED, "it has the size that it had");
		ck_assert_uint_eq(size_of(p), 8 << 20);
	}
	img_sound(paths[1]);
	ck_assert(img_same(paths[0], paths[1]));
}
END_TEST

/* compare */

START_TEST (compare_tells_the_first_byte_that_differs) {
	struct img_ref a = img_ref(img_raw("a.raw", 1));
	struct img_ref b = img_ref(img_qcow2("b.qcow2", 1, ""));
	struct err e = ERR_NONE;
	struct img_compare c;

	ck_assert_int_eq(img_compare(&a, &b, false, NULL, &c, &e), 0);
	ck_assert(c.equal && !c.sizes_differ && c.total == IMG_SIZE);
	rig_write_file(a.path, 3000001, "x", 1);
	ck_assert_int_eq(img_compare(&a, &b, false, NULL, &c, &e), 0);
	ck_assert(!c.equal);
	ck_assert_uint_eq(c.offset, 3000001);
}
END_TEST

START_TEST (a_longer_one_is_equal_when_zeros_follow_but_not_strictly) {
	struct img_ref a = img_ref(img_raw("a.raw", 1));
	struct img_ref b = img_ref(img_raw("b.raw", 1));
	struct err e = ERR_NONE;
	struct img_compare c;

	ck_assert_int_eq(resize(b.path, 0, 6 << 20, false, 0, NULL, &e), 6144);
	ck_assert_int_eq(img_compare(&a, &b, false, NULL, &c, &e), 0);
	ck_assert(c.equal && c.sizes_differ);
	ck_assert_int_eq(img_compare(&a, &b, true, NULL, &c, &e), 0);
	ck_assert(!c.equal && c.offset == IMG_SIZE);
	rig_write_file(b.path, 5 << 20, "x", 1);
	ck_assert_int_eq(img_compare(&a, &b, false, NULL, &c, &e), 0);
	ck_assert(!c.equal && c.offset == 5 << 20);
}
END_TEST

START_TEST (compare_names_what_it_cannot_open_and_stops) {
	struct img_ref a = img_ref(img_raw("a.raw", 1));
	struct img_ref b = img_ref(img_path("gone.raw"));
	struct err e = ERR_NONE;
	struct img_compare c;
	struct img_stop s;

	ck_assert_int_eq(img_compare(&a, &b, false, NULL, &c, &e), -ENOENT);
	ck_assert_err(e, ENOENT, "gone.raw");
	e = (struct err)ERR_NONE;
	ck_assert_int_eq(img_compare(&a, &a, false, img_stop(&s, 0), &c, &e),
		-ECANCELED);
	ck_assert_err(e, ECANCELED, "stopped");
}
END_TEST

/* bench */

START_TEST (bench_does_as_many_requests_as_asked) {
	struct img_bench b = {
		.ref = img_ref(img_raw("a.raw", 1)),
		.count = 1000,
		.depth = 8,
		.bytes = 4096,
		.random = true,
	};
	struct img_bench_result r;
	struct err e = ERR_NONE;
	uint8_t got[512];

	ck_assert_msg(!img_bench(&b, NULL, &r, &e), "%s", e.msg);
	ck_assert_uint_eq(r.stats.op[BLK_READ].ops, 1000);
	ck_assert_uint_eq(r.stats.op[BLK_READ].bytes, 4096000);
	b.random = false;
	b.write = true;
	b.pattern = 0x5a;
	b.flush_every = 10;
	b.count = 100;
	ck_assert_msg(!img_bench(&b, NULL, &r, &e), "%s", e.msg);
	ck_assert_uint_eq(r.stats.op[BLK_WRITE].ops, 100);
	ck_assert_uint_ge(r.stats.op[BLK_FLUSH].ops, 9);
	rig_read_file(b.ref.path, 99 * 4096, got, sizeof(got));
	ck_assert_uint_eq(got[511], 0x5a);
}
END_TEST

START_TEST (bench_refuses_what_it_cannot_measure) {
	static const struct {
		uint64_t count;
		unsigned depth;
		uint32_t bytes;
		uint64_t offset;
		const char *says;
	} bad[] = {
		{ 0, 1, 512, 0, "-c: at least one" },
		{ 1, 0, 512, 0, "-d: 1 to 1024" },
		{ 1, 1025, 512, 0, "-d: 1 to 1024" },
		{ 1, 1, 100, 0, "multiples of 512" },
		{ 1, 1, 512, 100, "multiples of 512" },
		{ 1, 1, 512, 1 << 30, "too small for that" },
		{ 1, 1024, 2 << 20, 0, "more than 1 GiB" },
	};
	struct img_bench b = { .ref = img_ref(img_raw("a.raw", 1)) };
	struct img_bench_result r;
	struct img_stop s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = ERR_NONE;

		b.count = bad[i].count;
		b.depth = bad[i].depth;
		b.bytes = bad[i].bytes;
		b.offset = bad[i].offset;
		ck_assert_int_eq(img_bench(&b, NULL, &r, &e), -EINVAL);
		ck_assert_err(e, EINVAL, bad[i].says);
	}
	{
		struct err e = ERR_NONE;

		b.count = UINT64_MAX;
		b.depth = 1;
		b.bytes = 512;
		b.offset = 0;
		ck_assert_int_eq(img_bench(&b, img_stop(&s, 1), &r, &e),
			-ECANCELED);
		ck_assert_err(e, ECANCELED, "stopped");
	}
}
END_TEST

RIG_SUITE("tools/check", damage_is_told_and_mended_as_far_as_asked,
	a_format_without_checks_says_so, a_stopped_check_changes_nothing,
	resize_goes_up_and_down_and_warns_of_loss,
	a_full_preallocation_writes_what_was_added,
	compare_tells_the_first_byte_that_differs,
	a_longer_one_is_equal_when_zeros_follow_but_not_strictly,
	compare_names_what_it_cannot_open_and_stops,
	bench_does_as_many_requests_as_asked,
	bench_refuses_what_it_cannot_measure)
