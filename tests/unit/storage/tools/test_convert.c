/* SPDX-License-Identifier: GPL-3.0-or-later */
/* convert: the same bytes, whatever the way; what is refused; what is left. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/storage/tools/img.h"

static struct img_convert convert(const char *src, const char *dst,
	const char *options)
{
	struct img_ref to = img_ref(img_path(dst));
	struct img_convert c = {
		.src = img_ref(src),
		.dst = to.path,
		.dst_format = to.format,
	};
	struct err e = ERR_NONE;

	ck_assert_msg(!img_options_parse(&c.options, c.dst_format, options, &e),
		"%s", e.msg);
	return c;
}

static void convert_works(const struct img_convert *c)
{
	struct err e = ERR_NONE;

	ck_assert_msg(!img_convert(c, NULL, &e), "%s", e.msg);
}

static void convert_fails(const struct img_convert *c, int code,
	const char *says)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(img_convert(c, NULL, &e), -code);
	ck_assert_err(e, code, says);
}

START_TEST (all_ways_there_and_back_give_the_same_bytes) {
	static const char *const options[] = { "", "cluster_size=512",
		"cluster_size=2M", "compat=0.10", "extended_l2=on",
		"lazy_refcounts=on", "refcount_bits=1",
		"preallocation=metadata", "preallocation=full",
		"data_file=d.data", "data_file=d.data,data_file_raw=on" };
	const char *src = img_raw("src.raw", 1);
	uint64_t sum = img_sum(src);

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct img_convert c = convert(src, "a.qcow2", options[i]);

		c.force = true;
		convert_works(&c);
		img_sound(c.dst);
		c = convert(c.dst, "b.raw", "");
		c.force = true;
		convert_works(&c);
		ck_assert_msg(img_sum(c.dst) == sum, "%s", options[i]);
	}
	ck_assert_uint_eq(img_sum(src), sum);
}
END_TEST

START_TEST (compressed_images_read_the_same_and_are_smaller) {
	static const char *const options[] = { "compression_type=zlib",
		"compression_type=zstd", "cluster_size=2M" };
	const char *src = img_raw("src.raw", 1);

	for (size_t i = 0; i < 3; i++) {
		struct img_convert c = convert(src, "a.qcow2", options[i]);

		c.force = c.compress = true;
		convert_works(&c);
		img_sound(c.dst);
		ck_assert(img_same(c.dst, src));
	}
}
END_TEST

START_TEST (zeros_become_holes_unless_told_otherwise) {
	const char *src = img_raw("src.raw", 1);
	struct img_convert c = convert(src, "thin.raw", "");
	struct stat thin, full;

	convert_works(&c);
	ck_assert_int_eq(stat(c.dst, &thin), 0);
	c = convert(src, "full.raw", "");
	c.sparse_bytes = UINT64_MAX;
	convert_works(&c);
	ck_assert_int_eq(stat(c.dst, &full), 0);
	ck_assert_int_lt(thin.st_blocks * 512, 1 << 20);
	ck_assert_int_ge(full.st_blocks * 512, 4 << 20);
}
END_TEST

START_TEST (with_a_backing_file_only_what_differs_is_written) {
	const char *base = img_qcow2("base.qcow2", 1, "");
	struct img_convert c;
	struct stat st;

	img_raw("src.raw", 1);
	img_put(img_path("src.raw"), 3 << 20, 4096, 7);
	c = convert(img_path("src.raw"), "a.qcow2",
		"backing_file=base.qcow2,backing_fmt=qcow2");
	convert_works(&c);
	img_sound(c.dst);
	ck_assert(img_same(c.dst, c.src.path));
	ck_assert_int_eq(stat(c.dst, &st), 0);
	ck_assert_int_lt(st.st_blocks * 512, 600000);
	ck_assert(!img_same(c.dst, base));
}
END_TEST

START_TEST (into_what_is_there_all_is_overwritten) {
	const char *src = img_raw("src.raw", 1);
	struct img_convert c;

	img_raw("there.raw", 2);
	img_put(img_path("there.raw"), 0, 4 << 20, 0xee);
	c = convert(src, "there.raw", "");
	c.no_create = true;
	convert_works(&c);
	ck_assert(img_same(c.dst, src));
	c = convert(src, "small.raw", "");
	rig_file("small.raw", 1 << 20);
	c.no_create = true;
	convert_fails(&c, ENOSPC, "make it larger");
	ck_assert(img_is_there(c.dst));
}
END_TEST

START_TEST (a_snapshot_is_converted_by_name) {
	struct img_ref ref = img_ref(img_qcow2("a.qcow2", 1, ""));
	const char *was = img_raw("was.raw", 1);
	struct img_convert c;
	struct err e = ERR_NONE;

	ck_assert_int_eq(img_snapshot_create(&ref, "then", &e), 0);
	img_put(ref.path, 0, 1 << 20, 9);
	c = convert(ref.path, "then.raw", "");
	c.src.snapshot = "then";
	convert_works(&c);
	ck_assert_uint_eq(img_sum(c.dst), img_sum(was));
	c = convert(ref.path, "never.raw", "");
	c.src.snapshot = "never";
	convert_fails(&c, ENOENT, "never");
	ck_assert(!img_is_there(c.dst));
}
END_TEST

START_TEST (what_makes_no_sense_is_refused_by_name) {
	const char *src = img_raw("src.raw", 1);
	struct img_convert c = convert(src, "a.raw", "");

	c.dst_format = BLK_VDI;
	convert_fails(&c, ENOTSUP, "vdi images are only read");
	c = convert(src, "a.raw", "");
	c.compress = true;
	convert_fails(&c, ENOTSUP, "use -O qcow2");
	c = convert(src, "a.qcow2", "data_file=d.data");
	c.compress = true;
	convert_fails(&c, ENOTSUP, "data file cannot be compressed");
	c = convert(src, "a.qcow2", "backing_file=src.raw");
	convert_fails(&c, EINVAL, "-F for its format");
	strcpy(c.options.backing_format, "auto");
	convert_fails(&c, EINVAL, "-F for its format");
	c = convert(src, "a.raw", "");
	c.parallel = 65;
	convert_fails(&c, EINVAL, "-m 65: at most 64");
	c = convert(src, "a.raw", "");
	c.sparse_bytes = 1000;
	convert_fails(&c, EINVAL, "-S: a power of two");
	c = convert(src, "a.raw", "");
	c.target_is_zero = true;
	convert_fails(&c, EINVAL, "-n");
	c = convert(src, "a.raw", "size=1M");
	convert_fails(&c, EINVAL, "-o size: smaller than");
	c = convert(img_path("gone.raw"), "a.raw", "");
	convert_fails(&c, ENOENT, "gone.raw");
	ck_assert(!img_is_there(img_path("a.raw")));
	ck_assert(!img_is_there(img_path("a.qcow2")));
}
END_TEST

START_TEST (the_source_is_never_the_target) {
	const char *src = img_raw("src.raw", 1);
	uint64_t sum = img_sum(src);
	struct img_convert c = convert(src, "src.raw", "");

	c.force = true;
	convert_fails(&c, EINVAL, "name another target");
	c.no_create = true;
	convert_fails(&c, EINVAL, "name another target");
	ck_assert_int_eq(link(src, img_path("hard.raw")), 0);
	c = convert(src, "hard.raw", "");
	c.force = true;
	convert_fails(&c, EINVAL, "name another target");
	c = convert(src, "a.qcow2", "data_file=src.raw");
	c.force = true;
	convert_fails(&c, EINVAL, "name another target");
	ck_assert_uint_eq(img_sum(src), sum);
	ck_assert(!img_is_there(img_path("a.qcow2")));
}
END_TEST

START_TEST (what_cannot_be_written_is_taken_away) {
	const char *src = img_raw("src.raw", 1);
	struct rlimit l = { 1 << 20, RLIM_INFINITY };
	struct img_convert c = convert(src, "a.qcow2", "");

	signal(SIGXFSZ, SIG_IGN);
	img_put(src, 0, 3 << 20, 5);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
	convert_fails(&c, ENOSPC, "a.qcow2: no space left on its disk");
	ck_assert(!img_is_there(c.dst));
}
END_TEST

START_TEST (what_cannot_be_read_is_named_and_the_target_taken_away) {
	uint8_t rubbish[2048];
	struct img_convert c;

	img_put(img_raw("src.raw", 1), 0, 4 << 20, 5);
	c = convert(img_path("src.raw"), "bad.qcow2", "");
	c.compress = true;
	convert_works(&c);
	/* the packed clusters begin behind five of metadata */
	memset(rubbish, 0xff, sizeof(rubbish));
	rig_write_file(c.dst, 5 * 65536, rubbish, sizeof(rubbish));
	c = convert(c.dst, "out.raw", "");
	convert_fails(&c, EIO, "bad.qcow2: cannot read it");
	ck_assert(!img_is_there(c.dst));
}
END_TEST

START_TEST (how_far_it_is_is_told_to_the_end) {
	const char *src = img_raw("src.raw", 1);
	struct img_convert c = convert(src, "a.qcow2", "");
	struct img_stop s;
	struct err e = ERR_NONE;

	ck_assert_int_eq(img_convert(&c, img_stop(&s, 1000000), &e), 0);
	ck_assert_uint_eq(s.total, IMG_SIZE);
	ck_assert_int_gt(s.calls, 1);
}
END_TEST

RIG_SUITE("tools/convert", all_ways_there_and_back_give_the_same_bytes,
	compressed_images_read_the_same_and_are_smaller,
	zeros_become_holes_unless_told_otherwise,
	with_a_backing_file_only_what_differs_is_written,
	into_what_is_there_all_is_overwritten, a_snapshot_is_converted_by_name,
	what_makes_no_sense_is_refused_by_name, the_source_is_never_the_target,
	what_cannot_be_written_is_taken_away,
	what_cannot_be_read_is_named_and_the_target_taken_away,
	how_far_it_is_is_told_to_the_end)
