/* SPDX-License-Identifier: GPL-3.0-or-later */
/* create and clone: what is made, what is refused, what stays as it was. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/storage/tools/img.h"

static struct img_create create(const char *name, enum blk_format format,
	const char *options)
{
	struct img_create c = { .path = img_path(name), .format = format };
	struct err e = ERR_NONE;

	ck_assert_msg(!img_options_parse(&c.options, format, options, &e), "%s",
		e.msg);
	return c;
}

static void create_fails(struct img_create *c, int code, const char *says)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(img_create(c, NULL, &e), -code);
	ck_assert_err(e, code, says);
}

static void create_works(struct img_create *c)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!img_create(c, NULL, &e), "%s", e.msg);
}

START_TEST (every_preallocation_is_sound_and_as_large_as_it_says) {
	static const char *const how[] = { "off", "metadata", "falloc",
		"full" };
	char options[64];
	struct stat st;

	for (int i = 0; i < 4; i++) {
		struct img_create c;

		snprintf(options, sizeof(options), "size=3M,preallocation=%s",
			how[i]);
		c = create("a.qcow2", BLK_QCOW2, options);
		c.force = true;
		create_works(&c);
		img_sound(c.path);
		ck_assert_int_eq(stat(c.path, &st), 0);
		ck_assert(i < 2 || st.st_blocks * 512 >= 3 << 20);
		if (i == 1)
			continue;
		c = create("a.raw", BLK_RAW, options);
		c.force = true;
		create_works(&c);
		ck_assert_int_eq(stat(c.path, &st), 0);
		ck_assert_uint_eq((uint64_t)st.st_size, 3 << 20);
		ck_assert(i < 2 || st.st_blocks * 512 >= 3 << 20);
	}
}
END_TEST

START_TEST (an_odd_size_is_rounded_up_to_sectors) {
	struct img_create c = create("a.raw", BLK_RAW, "size=1000");
	struct stat st;

	create_works(&c);
	ck_assert_int_eq(stat(c.path, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, 1024);
}
END_TEST

START_TEST (what_cannot_be_made_is_told_before_anything_is_touched) {
	const char *base = img_raw("base.raw", 1);
	struct img_create c = create("a.qcow2", BLK_QCOW2, "");

	create_fails(&c, EINVAL, "give it a size");
	c = create("a.vmdk", BLK_RAW, "size=1M");
	c.format = BLK_VMDK;
	create_fails(&c, ENOTSUP, "only read");
	c = create("a.raw", BLK_RAW, "size=1M");
	strcpy(c.options.backing_file, "base.raw");
	create_fails(&c, ENOTSUP, "use -f qcow2");
	c = create("a.qcow2", BLK_QCOW2, "backing_file=base.raw");
	create_fails(&c, EINVAL, "name the format of base.raw with -F");
	strcpy(c.options.backing_format, "auto");
	create_fails(&c, EINVAL, "name the format of base.raw with -F");
	c = create("a.qcow2", BLK_QCOW2,
		"backing_file=gone.raw,backing_fmt=raw");
	create_fails(&c, ENOENT, "what shall back it");
	c = create("a.qcow2", BLK_QCOW2, "size=1M,cluster_size=1000");
	create_fails(&c, EINVAL, "a.qcow2");
	c = create("no/a.qcow2", BLK_QCOW2, "size=1M");
	create_fails(&c, ENOENT, "folder is not there");
	ck_assert(!img_is_there(img_path("a.qcow2")));
	ck_assert(!img_is_there(img_path("a.raw")));
	(void)base;
}
END_TEST

START_TEST (what_is_there_is_only_replaced_by_force) {
	const char *path = img_raw("a.qcow2", 1);
	uint64_t sum = img_sum(path);
	struct img_create c = create("a.qcow2", BLK_QCOW2, "size=1M");

	create_fails(&c, EEXIST, "--force");
	ck_assert_uint_eq(img_sum(path), sum);
	/* nor by force, when it is wrong in itself */
	c = create("a.qcow2", BLK_QCOW2, "size=1M,cluster_size=1000");
	c.force = true;
	create_fails(&c, EINVAL, "luster");
	ck_assert_uint_eq(img_sum(path), sum);
	c = create("a.qcow2", BLK_QCOW2, "size=1M");
	c.force = true;
	create_works(&c);
	img_sound(path);
}
END_TEST

START_TEST (what_is_read_is_never_the_target) {
	const char *base = img_raw("base.raw", 1);
	struct img_ref ref = img_ref(base);
	uint64_t sum = img_sum(base);
	struct err e = ERR_NONE;
	struct img_create c = create("base.raw", BLK_QCOW2,
		"backing_file=base.raw,backing_fmt=raw");

	c.force = true;
	create_fails(&c, EINVAL, "name another target");
	c.unsafe = c.options.has_size = true;
	c.options.size = 1 << 20;
	create_fails(&c, EINVAL, "name another target");
	c = create("a.qcow2", BLK_QCOW2,
		"backing_file=base.raw,backing_fmt=raw,data_file=base.raw");
	c.force = true;
	create_fails(&c, EINVAL, "name another target");
	c = create("a.qcow2", BLK_QCOW2, "size=1M,data_file=a.qcow2");
	create_fails(&c, EINVAL, "its own data file");
	ck_assert_int_eq(symlink("base.raw", img_path("link")), 0);
	ck_assert_int_eq(img_clone(&ref, img_path("link"), true, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "name another target");
	ck_assert_uint_eq(img_sum(base), sum);
	ck_assert(!img_is_there(img_path("a.qcow2")));
}
END_TEST

START_TEST (what_backs_the_source_is_never_the_target) {
	const char *base = img_raw("base.raw", 1);
	const char *top = img_overlay("top.qcow2", base);
	struct img_ref ref = img_ref(top);
	uint64_t sum = img_sum(base);
	struct err e = ERR_NONE;

	ck_assert_int_eq(img_clone(&ref, base, true, &e), -EBUSY);
	ck_assert_uint_eq(img_sum(base), sum);
	ck_assert(img_same(top, base));
}
END_TEST

/* From here on files end at so many bytes. */
static void limit_files(uint64_t bytes)
{
	struct rlimit l = { bytes, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
}

START_TEST (a_failure_leaves_nothing_new_behind) {
	struct img_create c =
		create("a.qcow2", BLK_QCOW2, "size=8M,preallocation=full");
	struct err e = ERR_NONE;

	limit_files(1 << 20);
	ck_assert_int_ne(img_create(&c, NULL, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "a.qcow2"));
	ck_assert(!img_is_there(c.path));
	c = create("b.qcow2", BLK_QCOW2,
		"size=8M,preallocation=full,data_file=b.data");
	ck_assert_int_ne(img_create(&c, NULL, &e), 0);
	ck_assert(!img_is_there(c.path));
	ck_assert(!img_is_there(img_path("b.data")));
	c = create("c.raw", BLK_RAW, "size=8M");
	ck_assert_int_ne(img_create(&c, NULL, &e), 0);
	ck_assert(!img_is_there(c.path));
}
END_TEST

START_TEST (a_file_that_was_there_is_emptied_not_removed) {
	const char *path = img_raw("a.qcow2", 1), *data = img_raw("a.data", 2);
	struct img_create c = create("a.qcow2", BLK_QCOW2,
		"size=8M,preallocation=full,data_file=a.data");
	struct img_stop s;
	struct err e = ERR_NONE;
	struct stat st;

	c.force = true;
	ck_assert_int_eq(img_create(&c, img_stop(&s, 1), &e), -ECANCELED);
	ck_assert_err(e, ECANCELED, "a.qcow2 is empty now");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	ck_assert_int_eq(stat(data, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
}
END_TEST

START_TEST (a_link_to_nowhere_is_refused) {
	struct img_create c = create("link", BLK_RAW, "size=8M");

	ck_assert_int_eq(symlink("real.raw", c.path), 0);
	create_fails(&c, EEXIST, "link");
	ck_assert(!img_is_there(img_path("real.raw")));
}
END_TEST

START_TEST (a_clone_names_its_source_as_seen_from_it) {
	const char *base = img_qcow2("base.qcow2", 1, "");
	struct img_ref ref = img_ref(base), sub;
	struct err e = ERR_NONE;
	struct img_info i;

	ck_assert_int_eq(mkdir(img_path("sub"), 0700), 0);
	sub = img_ref(img_overlay("sub/c.qcow2", base));
	ck_assert_int_eq(img_info(&sub, true, &i, &e), 0);
	ck_assert_uint_eq(i.nlayers, 2);
	ck_assert_str_eq(i.layers[0].backing_file, base); /* absolute */
	img_info_free(&i);
	sub = img_ref(img_overlay("c.qcow2", base));
	ck_assert_int_eq(img_info(&sub, true, &i, &e), 0);
	ck_assert_str_eq(i.layers[0].backing_file, "base.qcow2");
	ck_assert_str_eq(i.layers[0].backing_format, "qcow2");
	img_info_free(&i);
	ck_assert(img_same(sub.path, base));
	ck_assert_int_eq(img_clone(&ref, sub.path, false, &e), -EEXIST);
	ck_assert_err(e, EEXIST, "--force");
	ref.path = img_path("gone.qcow2");
	ck_assert_int_eq(img_clone(&ref, img_path("d.qcow2"), false, &e),
		-ENOENT);
	ck_assert(!img_is_there(img_path("d.qcow2")));
}
END_TEST

RIG_SUITE("tools/create", every_preallocation_is_sound_and_as_large_as_it_says,
	an_odd_size_is_rounded_up_to_sectors,
	what_cannot_be_made_is_told_before_anything_is_touched,
	what_is_there_is_only_replaced_by_force,
	what_is_read_is_never_the_target,
	what_backs_the_source_is_never_the_target,
	a_failure_leaves_nothing_new_behind,
	a_file_that_was_there_is_emptied_not_removed,
	a_link_to_nowhere_is_refused, a_clone_names_its_source_as_seen_from_it)
