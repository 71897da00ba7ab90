/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rebase and commit: what an image reads as does not change. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/storage/tools/img.h"

/* What path reads as, kept as a raw image. */
static const char *keep(const char *path, const char *name)
{
	struct img_convert c = {
		.src = img_ref(path),
		.dst = img_path(name),
		.dst_format = BLK_RAW,
		.force = true,
	};
	struct err e = ERR_NONE;

	ck_assert_msg(!img_convert(&c, NULL, &e), "%s", e.msg);
	return c.dst;
}

static char *backing(const char *path)
{
	static char name[200];
	struct img_ref ref = img_ref(path);
	struct err e = ERR_NONE;
	struct img_info i;

	ck_assert_msg(!img_info(&ref, false, &i, &e), "%s", e.msg);
	snprintf(name, sizeof(name), "%s%s%s",
		i.layers->backing_file ? i.layers->backing_file : "",
		i.layers->backing_format ? ":" : "",
		i.layers->backing_format ? i.layers->backing_format : "");
	img_info_free(&i);
	return name;
}

/* top over base.qcow2 with writes, zeros and holes of its own. */
static const char *make_top(void)
{
	const char *top =
		img_overlay("top.qcow2", img_qcow2("base.qcow2", 1, ""));

	img_put(top, 1 << 20, 100000 / 512 * 512, 0x61);
	img_zero(top, 0, 65536);
	return top;
}

START_TEST (rebase_keeps_what_is_read) {
	const char *top = make_top(), *was;
	struct img_ref ref = img_ref(top);
	struct err e = ERR_NONE;

	img_qcow2("other.qcow2", 2, "");
	was = keep(top, "was.raw");
	ck_assert_msg(!img_rebase(&ref, "other.qcow2", "qcow2", false, NULL,
			      &e),
		"%s", e.msg);
	ck_assert_str_eq(backing(top), "other.qcow2:qcow2");
	ck_assert(img_same(top, was));
	ck_assert_msg(!img_rebase(&ref, "", "", false, NULL, &e), "%s", e.msg);
	ck_assert_str_eq(backing(top), "");
	ck_assert(img_same(top, was));
	/* the format is found out */
	ck_assert_msg(!img_rebase(&ref, "base.qcow2", "", false, NULL, &e),
		"%s", e.msg);
	ck_assert_str_eq(backing(top), "base.qcow2:qcow2");
	ck_assert(img_same(top, was));
	img_sound(top);
}
END_TEST

/* An image over another, both by name, as o (with backing_fmt) has it. */
static const char *make_over(const char *name, const char *o)
{
	struct img_create c = { .path = img_path(name),
		.format = BLK_QCOW2,
		.force = true };
	struct err e = ERR_NONE;

	ck_assert_int_eq(img_options_parse(&c.options, BLK_QCOW2, o, &e), 0);
	ck_assert_msg(!img_create(&c, NULL, &e), "%s", e.msg);
	return c.path;
}

/* Chains that have a layer in common differ in less than a cluster. */
START_TEST (rebase_keeps_what_is_read_within_clusters) {
	static const char *const tops[] = { "", "cluster_size=512,",
		"extended_l2=on,cluster_size=64k,", "compat=0.10,",
		"cluster_size=1M," };
	static const struct {
		const char *file, *format;
	} news[] = { { "base.raw", "raw" }, { "other.qcow2", "qcow2" },
		{ "", "" } };
	const char *mid, *top, *was;
	struct err e = ERR_NONE;
	char o[200];

	img_raw("base.raw", 1);
	for (size_t i = 0; i < 15; i++) {
		snprintf(o, sizeof(o),
			"%sbacking_file=mid.qcow2,backing_fmt=qcow2",
			tops[i % 5]);
		mid = make_over("mid.qcow2",
			"cluster_size=4k,backing_file=base.raw,"
			"backing_fmt=raw");
		img_put(mid, 8192, 4096, 0x61);
		img_put(mid, (1 << 20) + 50 * 1024, 8192, 0x62);
		img_zero(mid, 32768, 4096);
		img_put(make_over("other.qcow2",
				"cluster_size=512,backing_file=base.raw,"
				"backing_fmt=raw"),
			61440 + 512, 1024, 0x63);
		top = make_over("top.qcow2", o);
		img_put(top, (1 << 20) + 66 * 1024, 512, 0x64);
		img_put(top, 40960, 1024, 0x65);
		was = keep(top, "was.raw");
		ck_assert_msg(!img_rebase(&(struct img_ref){ .path = top,
						  .format = BLK_QCOW2 },
				      news[i / 5].file, news[i / 5].format,
				      false, NULL, &e),
			"%s", e.msg);
		ck_assert_msg(img_same(top, was), "%zu: %s %s", i, o,
			news[i / 5].file);
		img_sound(top);
	}
}
END_TEST

START_TEST (rebase_past_a_layer_copies_only_what_that_had) {
	const char *mid = make_top(), *top, *was;
	struct img_ref ref;
	struct err e = ERR_NONE;
	struct img_info i;

	top = img_overlay("high.qcow2", mid);
	was = keep(top, "was.raw");
	ref = img_ref(top);
	ck_assert_msg(!img_rebase(&ref, "base.qcow2", "qcow2", false, NULL, &e),
		"%s", e.msg);
	ck_assert(img_same(top, was));
	ck_assert_int_eq(img_info(&ref, false, &i, &e), 0);
	ck_assert_uint_lt(i.layers->actual_size, 600000);
	img_info_free(&i);
	img_sound(top);
}
END_TEST

START_TEST (rebase_by_name_only_looks_at_nothing) {
	const char *top = make_top();
	struct img_ref ref = img_ref(top);
	struct err e = ERR_NONE;

	ck_assert_msg(!img_rebase(&ref, "gone.raw", "raw", true, NULL, &e),
		"%s", e.msg);
	ck_assert_str_eq(backing(top), "gone.raw:raw");
	ck_assert_int_eq(img_rebase(&ref, "gone.raw", "", true, NULL, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "with -F");
	ck_assert_int_eq(img_rebase(&ref, "gone.raw", "auto", true, NULL, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "with -F");
	ck_assert_str_eq(backing(top), "gone.raw:raw");
	ck_assert_int_eq(img_rebase(&ref, "top.qcow2", "qcow2", true, NULL, &e),
		-ELOOP);
	ck_assert_err(e, ELOOP, "cannot be backed by itself");
}
END_TEST

START_TEST (rebase_says_what_it_misses) {
	const char *top = make_top();
	struct img_ref ref = img_ref(top), raw = img_ref(img_raw("r.raw", 1));
	struct err e = ERR_NONE;

	ck_assert_int_eq(img_rebase(&raw, "", "", false, NULL, &e), -ENOTSUP);
	ck_assert_err(e, ENOTSUP, "a raw image has no backing file");
	ck_assert_int_eq(img_rebase(&ref, "gone.qcow2", "qcow2", false, NULL,
				 &e),
		-ENOENT);
	ck_assert_int_eq(img_rebase(&ref, "r.raw", "bmp", false, NULL, &e),
		-EINVAL);
	ck_assert_int_eq(unlink(img_path("base.qcow2")), 0);
	ck_assert_int_eq(img_rebase(&ref, "r.raw", "raw", false, NULL, &e),
		-ENOENT);
	ck_assert_err(e, ENOENT, "its present backing file (-u goes without");
	ck_assert_str_eq(backing(top), "base.qcow2:qcow2");
}
END_TEST

START_TEST (a_guessed_backing_file_may_name_no_other) {
	const char *top = make_top();
	struct img_ref ref = img_ref(top);
	struct err e = ERR_NONE;

	/* perhaps a raw disk whose guest wrote a header with a secret's name */
	img_overlay("evil.raw", img_path("base.qcow2"));
	ck_assert_int_eq(img_rebase(&ref, "evil.raw", "", false, NULL, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "names another file");
	ck_assert_str_eq(backing(top), "base.qcow2:qcow2");
}
END_TEST

START_TEST (a_stopped_rebase_changes_nothing_that_is_read) {
	const char *top = make_top(), *was = keep(top, "was.raw");
	struct img_ref ref = img_ref(top);
	struct err e = ERR_NONE;
	struct img_stop s;

	img_qcow2("other.qcow2", 2, "");
	for (int after = 0; after < 2; after++) {
		ck_assert_int_eq(img_rebase(&ref, "other.qcow2", "qcow2", false,
					 img_stop(&s, after), &e),
			-ECANCELED);
		ck_assert_err(e, ECANCELED, "stopped");
		ck_assert_str_eq(backing(top), "base.qcow2:qcow2");
		ck_assert(img_same(top, was));
		img_sound(top);
	}
}
END_TEST

/* commit */

START_TEST (commit_writes_down_and_empties) {
	const char *top = make_top(), *was = keep(top, "was.raw");
	struct img_ref ref = img_ref(top);
	struct err e = ERR_NONE;

	ck_assert_msg(!img_commit(&ref, NULL, false, NULL, &e), "%s", e.msg);
	ck_assert(img_same(img_path("base.qcow2"), was));
	ck_assert(img_same(top, was));
	img_sound(top);
	img_sound(img_path("base.qcow2"));
}
END_TEST

START_TEST (commit_past_a_layer_keeps_the_image_which_reads_the_same) {
	const char *mid = make_top(), *top = img_overlay("high.qcow2", mid);
	struct img_ref ref = img_ref(top);
	const char *was;
	struct err e = ERR_NONE;

	img_put(top, 1 << 20, 4096, 0x62); /* over what mid has too */
	was = keep(top, "was.raw");
	ck_assert_msg(!img_commit(&ref, img_path("base.qcow2"), false, NULL,
			      &e),
		"%s", e.msg);
	ck_assert(img_same(img_path("base.qcow2"), was));
	ck_assert(img_same(top, was));
}
END_TEST

START_TEST (commit_makes_a_short_base_longer_and_hides_what_it_has_behind) {
	const char *base = img_raw("b.raw", 1), *top, *was;
	struct img_resize z = { .size = IMG_SIZE * 2 };
	struct img_ref ref;
	struct err e = ERR_NONE;
	uint64_t now;

	top = img_overlay("top.qcow2", base);
	z.ref = ref = img_ref(top);
	ck_assert_msg(!img_resize(&z, NULL, &now, &e), "%s", e.msg);
	img_put(top, IMG_SIZE + 1024 * 1024, 4096, 3);
	was = keep(top, "was.raw");
	ck_assert_msg(!img_commit(&ref, NULL, false, NULL, &e), "%s", e.msg);
	ck_assert(img_same(base, was));
	/* and the other way round: mid is short, base is not */
	z.ref = img_ref(img_overlay("mid.qcow2", base));
	z.size = 1 << 20;
	z.shrink = true;
	ck_assert_msg(!img_resize(&z, NULL, &now, &e), "%s", e.msg);
	top = img_overlay("top.qcow2", z.ref.path);
	z.ref = ref = img_ref(top);
	z.size = 4 << 20;
	ck_assert_msg(!img_resize(&z, NULL, &now, &e), "%s", e.msg);
	was = keep(top, "was.raw");
	ck_assert_msg(!img_commit(&ref, base, false, NULL, &e), "%s", e.msg);
	ck_assert(img_same(top, was));
	{
		struct img_resize cut = { .ref = img_ref(base),
			.size = 4 << 20,
			.shrink = true };

		ck_assert_int_eq(img_resize(&cut, NULL, &now, &e), 0);
	}
	ck_assert(img_same(base, was));
}
END_TEST

START_TEST (commit_says_when_there_is_nothing_to_commit_to) {
	struct img_ref ref = img_ref(img_qcow2("a.qcow2", 1, ""));
	struct img_ref top;
	struct err e = ERR_NONE;

	ck_assert_int_eq(img_commit(&ref, NULL, false, NULL, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "no backing file to commit to");
	top = img_ref(img_overlay("top.qcow2", ref.path));
	top.format = BLK_AUTO;
	ck_assert_int_eq(img_commit(&top, NULL, false, NULL, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "not written to on a guess");
	top.format = BLK_QCOW2;
	img_raw("r.raw", 1);
	ck_assert_int_eq(img_commit(&top, img_path("r.raw"), false, NULL, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "does not back");
	/* by another name it is the same file */
	ck_assert_int_eq(link(ref.path, img_path("hard.qcow2")), 0);
	ck_assert_msg(!img_commit(&top, img_path("hard.qcow2"), false, NULL,
			      &e),
		"%s", e.msg);
}
END_TEST

START_TEST (a_stopped_commit_leaves_the_image_reading_as_before) {
	const char *top = make_top(), *was = keep(top, "was.raw");
	struct img_ref ref = img_ref(top);
	struct err e = ERR_NONE;
	struct img_stop s;

	for (int after = 0; after < 2; after++) {
		ck_assert_int_eq(img_commit(&ref, NULL, false,
					 img_stop(&s, after), &e),
			-ECANCELED);
		ck_assert_err(e, ECANCELED, "stopped: it reads as before");
		ck_assert(img_same(top, was));
		img_sound(top);
		img_sound(img_path("base.qcow2"));
	}
}
END_TEST

/* As qemu-img create -F file makes it: a protocol's name, for a raw image. */
static void record_file(const char *path)
{
	static const char raw[] = "\xe2\x79\x2a\xca\0\0\0\3raw",
			  file[] = "\xe2\x79\x2a\xca\0\0\0\4file";
	char head[512], *at;

	rig_read_file(path, 0, head, sizeof(head));
	at = memmem(head, sizeof(head), raw, sizeof(raw));
	ck_assert_ptr_nonnull(at);
	memcpy(at, file, sizeof(file) - 1);
	rig_write_file(path, 0, head, sizeof(head));
}

START_TEST (a_protocol_that_is_recorded_as_format_means_raw) {
	const char *base = img_raw("base.raw", 1);
	const char *top = img_overlay("top.qcow2", base), *was;
	struct img_ref ref = img_ref(top);
	struct err e = ERR_NONE;
	struct img_info i;

	record_file(top);
	ck_assert_str_eq(strchr(backing(top), ':'), ":file");
	img_put(top, 1 << 20, 4096, 0x62);
	was = keep(top, "was.raw");
	ck_assert_msg(!img_info(&ref, true, &i, &e), "%s", e.msg);
	ck_assert_str_eq(i.layers[1].format, "raw");
	img_info_free(&i);
	ck_assert_msg(!img_commit(&ref, NULL, false, NULL, &e), "%s", e.msg);
	ck_assert(img_same(base, was));
	ck_assert_msg(!img_rebase(&ref, "", "", false, NULL, &e), "%s", e.msg);
	ck_assert(img_same(top, was));
}
END_TEST

RIG_SUITE("tools/rebase", rebase_keeps_what_is_read,
	rebase_keeps_what_is_read_within_clusters,
	rebase_past_a_layer_copies_only_what_that_had,
	rebase_by_name_only_looks_at_nothing, rebase_says_what_it_misses,
	a_guessed_backing_file_may_name_no_other,
	a_stopped_rebase_changes_nothing_that_is_read,
	commit_writes_down_and_empties,
	commit_past_a_layer_keeps_the_image_which_reads_the_same,
	commit_makes_a_short_base_longer_and_hides_what_it_has_behind,
	commit_says_when_there_is_nothing_to_commit_to,
	a_stopped_commit_leaves_the_image_reading_as_before,
	a_protocol_that_is_recorded_as_format_means_raw)
