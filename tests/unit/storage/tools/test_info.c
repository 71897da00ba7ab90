/* SPDX-License-Identifier: GPL-3.0-or-later */
/* info and map: what an image is and where its data lies. */
#include <errno.h>
#include <unistd.h>

#include "tests/unit/storage/tools/img.h"

static void info_fails(const char *path, int code, const char *says)
{
	struct img_ref ref = img_ref(path);
	struct err e = ERR_NONE;
	struct img_info i;

	ck_assert_int_eq(img_info(&ref, true, &i, &e), -code);
	ck_assert_err(e, code, says);
	img_info_free(&i);
}

START_TEST (a_raw_file_is_its_size) {
	struct img_ref ref = { .path = img_raw("a.raw", 1),
		.format = BLK_AUTO };
	struct err e = ERR_NONE;
	struct img_info i;

	ck_assert_int_eq(img_info(&ref, true, &i, &e), 0);
	ck_assert_uint_eq(i.nlayers, 1);
	ck_assert_str_eq(i.layers->format, "raw");
	ck_assert_uint_eq(i.layers->size, IMG_SIZE);
	ck_assert(!i.layers->qcow2 && !i.layers->backing_file);
	img_info_free(&i);
}
END_TEST

START_TEST (a_chain_is_told_layer_by_layer) {
	const char *base =
		img_qcow2("base.qcow2", 1, "compat=0.10,cluster_size=4096");
	const char *mid = img_overlay("mid.qcow2", base);
	struct img_ref ref = img_ref(img_overlay("top.qcow2", mid));
	struct err e = ERR_NONE;
	struct img_info i;

	ref.format = BLK_AUTO;
	ck_assert_int_eq(img_info(&ref, true, &i, &e), 0);
	ck_assert_uint_eq(i.nlayers, 3);
	ck_assert_str_eq(i.layers[0].backing_file, "mid.qcow2");
	ck_assert_str_eq(i.layers[1].path, mid);
	ck_assert_uint_eq(i.layers[2].compat, 2);
	ck_assert_uint_eq(i.layers[2].cluster_size, 4096);
	ck_assert_ptr_null(i.layers[2].backing_file);
	img_info_free(&i);
	ck_assert_int_eq(img_info(&ref, false, &i, &e), 0);
	ck_assert_uint_eq(i.nlayers, 1);
	img_info_free(&i);
}
END_TEST

START_TEST (snapshots_are_listed) {
	struct img_ref ref = img_ref(img_qcow2("a.qcow2", 1, ""));
	struct err e = ERR_NONE;
	struct img_info i;

	ck_assert_int_eq(img_snapshot_create(&ref, "one", &e), 0);
	ck_assert_int_eq(img_snapshot_create(&ref, "two", &e), 0);
	ck_assert_int_eq(img_info(&ref, false, &i, &e), 0);
	ck_assert_uint_eq(i.layers->nsnapshots, 2);
	ck_assert_str_eq(i.layers->snapshots[1].name, "two");
	ck_assert_uint_eq(i.layers->snapshots[1].size_bytes, IMG_SIZE);
	img_info_free(&i);
}
END_TEST

START_TEST (snapshots_come_back_and_go) {
	struct img_ref ref = img_ref(img_qcow2("a.qcow2", 1, ""));
	struct img_ref raw = img_ref(img_raw("was.raw", 1));
	struct err e = ERR_NONE;

	ck_assert_int_eq(img_snapshot_create(&ref, "one", &e), 0);
	img_put(ref.path, 0, 1 << 20, 4);
	ck_assert(!img_same(ref.path, raw.path));
	ck_assert_int_eq(img_snapshot_revert(&ref, "one", &e), 0);
	ck_assert(img_same(ref.path, raw.path));
	ck_assert_int_eq(img_snapshot_delete(&ref, "one", &e), 0);
	img_sound(ref.path);
	ck_assert_int_eq(img_snapshot_delete(&ref, "one", &e), -ENOENT);
	ck_assert_err(e, ENOENT, "one");
	ck_assert_int_eq(img_snapshot_create(&raw, "one", &e), -ENOTSUP);
	ck_assert_err(e, ENOTSUP, "convert it to qcow2 first");
}
END_TEST

START_TEST (what_is_wrong_with_a_chain_is_told) {
	const char *base = img_qcow2("base.qcow2", 1, "");
	const char *top = img_overlay("top.qcow2", base);
	struct img_ref ref = img_ref(base);
	struct err e = ERR_NONE;
	struct img_info i;

	info_fails(img_path("gone.raw"), ENOENT, "gone.raw");
	ck_assert_int_eq(img_rebase(&ref, "top.qcow2", "qcow2", true, NULL, &e),
		0);
	info_fails(top, ELOOP, "round in a circle");
	ck_assert_int_eq(unlink(base), 0);
	info_fails(top, ENOENT, "base.qcow2");
	/* the header alone can be looked at */
	ref = img_ref(top);
	ck_assert_int_eq(img_info(&ref, false, &i, &e), 0);
	ck_assert_str_eq(i.layers->backing_path, base);
	img_info_free(&i);
}
END_TEST

/* map */

struct run {
	uint64_t at, len;
	unsigned depth;
	bool data, zero, present;
};

struct runs {
	struct run r[64];
	int n, most;
};

static bool map_run(void *arg, uint64_t offset, const struct blk_extent *x)
{
	struct runs *m = arg;

	m->r[m->n++] = (struct run){ offset, x->len, x->depth, x->data, x->zero,
		x->present };
	return m->n < m->most;
}

START_TEST (map_gives_whole_runs_in_order) {
	const char *top =
		img_overlay("top.qcow2", img_qcow2("base.qcow2", 1, ""));
	struct img_ref ref = img_ref(top);
	struct runs m = { .most = 64 };
	struct err e = ERR_NONE;
	uint64_t at = 0;

	img_put(top, 65536, 2 * 65536, 9);
	img_zero(top, 3 << 20, 65536);
	ck_assert_int_eq(img_map(&ref, 0, UINT64_MAX, map_run, &m, NULL, &e),
		0);
	for (int i = 0; i < m.n; at += m.r[i++].len)
		ck_assert_uint_eq(m.r[i].at, at);
	ck_assert_uint_eq(at, IMG_SIZE);
	ck_assert(m.r[0].data && m.r[0].depth == 1 && m.r[0].len == 65536);
	ck_assert(m.r[1].data && m.r[1].depth == 0 && m.r[1].len == 131072);
	m.n = 0;
	ck_assert_int_eq(img_map(&ref, 3 << 20, 4096, map_run, &m, NULL, &e),
		0);
	ck_assert_int_eq(m.n, 1);
	ck_assert(m.r[0].zero && m.r[0].present && !m.r[0].depth);
	ck_assert_uint_eq(m.r[0].len, 4096);
}
END_TEST

static bool map_adds_up(void *arg, uint64_t offset, const struct blk_extent *x)
{
	uint64_t *end = arg;

	ck_assert_uint_eq(offset, *end);
	*end += x->len;
	return true;
}

START_TEST (a_file_that_ends_within_a_sector_is_mapped_and_compared) {
	const char *odd = img_raw("odd.raw", 1);
	struct img_ref a = img_ref(odd), b;
	struct err e = ERR_NONE;
	struct img_compare c;
	uint64_t end = 0;

	ck_assert_int_eq(truncate(odd, 70000), 0);
	ck_assert_msg(!img_map(&a, 0, UINT64_MAX, map_adds_up, &end, NULL, &e),
		"%s", e.msg);
	ck_assert_uint_eq(end, 70144);
	b = img_ref(img_overlay("over.qcow2", odd));
	end = 0;
	ck_assert_msg(!img_map(&b, 0, UINT64_MAX, map_adds_up, &end, NULL, &e),
		"%s", e.msg);
	ck_assert_uint_eq(end, 70144);
	ck_assert_msg(!img_compare(&a, &b, false, NULL, &c, &e), "%s", e.msg);
	ck_assert(c.equal && !c.sizes_differ);
	/* and copied out of */
	ck_assert_msg(!img_rebase(&b, "", "", false, NULL, &e), "%s", e.msg);
	ck_assert(img_same(odd, b.path));
}
END_TEST

START_TEST (map_ends_when_told_and_says_when_it_cannot) {
	struct img_ref ref = img_ref(img_raw("a.raw", 1));
	struct runs m = { .most = 1 };
	struct err e = ERR_NONE;
	struct img_stop s;

	ck_assert_int_eq(img_map(&ref, 0, UINT64_MAX, map_run, &m, NULL, &e),
		0);
	ck_assert_int_eq(m.n, 1);
	ck_assert_int_eq(img_map(&ref, IMG_SIZE + 1, 1, map_run, &m, NULL, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "has only 4194816 bytes");
	ck_assert_int_eq(img_map(&ref, 512, 100, map_run, &m, NULL, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "must be multiples of 512");
	ck_assert_int_eq(img_map(&ref, 0, 512, map_run, &m, img_stop(&s, 0),
				 &e),
		-ECANCELED);
	ck_assert_err(e, ECANCELED, "stopped");
}
END_TEST

RIG_SUITE("tools/info", a_raw_file_is_its_size, a_chain_is_told_layer_by_layer,
	snapshots_are_listed, snapshots_come_back_and_go,
	what_is_wrong_with_a_chain_is_told, map_gives_whole_runs_in_order,
	map_ends_when_told_and_says_when_it_cannot,
	a_file_that_ends_within_a_sector_is_mapped_and_compared)
