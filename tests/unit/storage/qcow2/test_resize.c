/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Another size of the disk, and make_empty: what was there stays, what is new
 * reads as zeros, qemu-img finds nothing, and no power loss shows anything
 * else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/impl.h"

#include "tests/unit/storage/qcow2/crash.h"
#include "tests/unit/storage/qcow2/damage.h"

/* --- calls ---------------------------------------------------------------- */

struct resize_call {
	struct node *n;
	uint64_t size;
	enum qcow2_prealloc how;
	struct err e;
};

static int resize_fn(void *arg)
{
	struct resize_call *c = arg;

	return qcow2_resize(c->n, c->size, c->how, &c->e);
}

static int empty_fn(void *arg)
{
	struct resize_call *c = arg;

	return qcow2_make_empty(c->n, &c->e);
}

static void resize(struct node *n, uint64_t size, enum qcow2_prealloc how)
{
	struct resize_call c = { n, size, how, ERR_NONE };
	int r = qt_run(resize_fn, &c);

	ck_assert_msg(r == 0, "%s", c.e.msg);
	ck_assert_uint_eq(qcow2_of(n)->h.size, size);
}

static void refused(struct node *n, uint64_t size, enum qcow2_prealloc how,
	int code, const char *text)
{
	struct resize_call c = { n, size, how, ERR_NONE };
	uint64_t was = qcow2_of(n)->h.size;

	ck_assert_int_eq(qt_run(resize_fn, &c), -code);
	ck_assert_err(c.e, code, text);
	ck_assert_ptr_nonnull(strstr(c.e.msg, n->path));
	ck_assert_uint_eq(qcow2_of(n)->h.size, was);
}

static void empty(struct node *n)
{
	struct resize_call c = { .n = n };
	int r = qt_run(empty_fn, &c);

	ck_assert_msg(r == 0, "%s", c.e.msg);
}

static void put(struct node *n, uint64_t at, uint64_t len, unsigned seed)
{
	uint8_t *buf = malloc(len);

	ck_assert_ptr_nonnull(buf);
	qt_fill(buf, len, seed);
	ck_assert_int_eq(qt_io(n, BLK_WRITE, 0, at, buf, len), 0);
	free(buf);
}

static bool has(struct node *n, uint64_t at, uint64_t len, unsigned seed)
{
	uint8_t *buf = malloc(len + 1);
	bool ok;

	ck_assert_ptr_nonnull(buf);
	ck_assert_int_eq(qt_io(n, BLK_READ, 0, at, buf, len), 0);
	ok = seed ? qt_is_filled(buf, len, seed) : qt_is_zero(buf, len);
	free(buf);
	return ok;
}

static void sound(struct node *n, struct node *file)
{
	struct qcow2_check found;

	ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	damage_qemu_check(file, &found);
	ck_assert_uint_eq(found.errors, 0);
	ck_assert_uint_eq(found.corruptions, 0);
}

static uint64_t file_size(struct node *file)
{
	uint64_t size;

	memnode_bytes(file, &size);
	return size;
}

static const char *const options[] = {
	"cluster_size=512",
	"cluster_size=4096,refcount_bits=1",
	"compat=0.10",
	"cluster_size=16384,extended_l2=on",
	"cluster_size=2M",
};

/* --- growing -------------------------------------------------------------- */

START_TEST (what_is_new_reads_as_zeros) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file =
			damage_make(options[i], 1 * MiB + 1536, 0, 1);
		struct node *n = qt_opened(file);

		put(n, 0, 64 * KiB, 1);
		put(n, 1 * MiB - 512, 2048, 2);
		resize(n, 1 * MiB + 2048, QCOW2_PREALLOC_OFF);
		sound(n, file);
		ck_assert(has(n, 1 * MiB + 1536, 512, 0));
		resize(n, 64 * MiB, QCOW2_PREALLOC_OFF);
		sound(n, file);
		ck_assert(has(n, 0, 64 * KiB, 1));
		ck_assert(has(n, 1 * MiB - 512, 2048, 2));
		ck_assert(has(n, 1 * MiB + 1536, 63 * MiB - 1536, 0));
		put(n, 64 * MiB - 4096, 4096, 3);
		ck_assert_int_eq(qt_close(n), 0);
		qt_check(file);
		n = qt_opened(file);
		ck_assert(has(n, 64 * MiB - 4096, 4096, 3));
		ck_assert_int_eq(qt_close(n), 0);
	}
}
END_TEST

START_TEST (what_was_cut_off_does_not_come_back) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file = damage_make(options[i], 8 * MiB, 0, 1);
		struct node *n = qt_opened(file);

		put(n, 0, 8 * MiB, 1);
		resize(n, 1 * MiB + 512, QCOW2_PREALLOC_OFF);
		sound(n, file);
		/* but not where tables lie at the end */
		if (!strstr(options[i], "=2M") && !strstr(options[i], "=512"))
			ck_assert_uint_lt(file_size(file), 3 * MiB);
		ck_assert(has(n, 0, 1 * MiB + 512, 1));
		resize(n, 8 * MiB, QCOW2_PREALLOC_OFF);
		sound(n, file);
		ck_assert(has(n, 0, 1 * MiB + 512, 1));
		ck_assert(has(n, 1 * MiB + 512, 7 * MiB - 512, 0));
		resize(n, 0, QCOW2_PREALLOC_OFF);
		sound(n, file);
		resize(n, 1 * MiB, QCOW2_PREALLOC_OFF);
		ck_assert(has(n, 0, 1 * MiB, 0));
		ck_assert_int_eq(qt_close(n), 0);
		qt_check(file);
	}
}
END_TEST

START_TEST (what_backs_the_image_does_not_show_behind_it) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file, *back = qt_mem(), *n;

		damage_make_file(options[i], 1 * MiB + 1536, 0, 1);
		file = qt_load(rig_path("img.qcow2"));
		put(back, 0, 3 * MiB, 9);
		n = qt_opened(file);
		qcow2_set_backing(n, back);
		ck_assert(has(n, 0, 1 * MiB + 1536, 9));
		resize(n, 4 * MiB, QCOW2_PREALLOC_OFF);
		sound(n, file);
		ck_assert(has(n, 0, 1 * MiB + 1536, 9));
		ck_assert(has(n, 1 * MiB + 1536, 3 * MiB - 1536, 0));
		/* smaller and larger again */
		resize(n, 512 * KiB, QCOW2_PREALLOC_OFF);
		resize(n, 2 * MiB, QCOW2_PREALLOC_OFF);
		sound(n, file);
		ck_assert(has(n, 0, 512 * KiB, 9));
		ck_assert(has(n, 512 * KiB, 1536 * KiB, 0));
		ck_assert_int_eq(qt_close(n), 0);
		qt_check(file);
	}
}
END_TEST

START_TEST (preallocated_clusters_have_places) {
	static const enum qcow2_prealloc how[] = { QCOW2_PREALLOC_METADATA,
		QCOW2_PREALLOC_FALLOC, QCOW2_PREALLOC_FULL };

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		for (size_t k = 0; k < ARRAY_LEN(how); k++) {
			struct node *file =
				damage_make(options[i], 1 * MiB, 0, 1);
			struct node *n = qt_opened(file);
			struct qcow2_check found;

			put(n, 0, 1 * MiB, 1);
			/* so that used clusters are free again */
			resize(n, 512 * KiB, QCOW2_PREALLOC_OFF);
			resize(n, 6 * MiB, how[k]);
			sound(n, file);
			ck_assert(has(n, 0, 512 * KiB, 1));
			ck_assert(has(n, 512 * KiB, 5632 * KiB, 0));
			damage_check(file, QCOW2_REPAIR_NONE, &found);
			ck_assert_uint_eq(found.allocated, found.total);
			ck_assert_uint_ge(file_size(file), 6 * MiB);
			put(n, 1 * MiB + 512, 4096, 2);
			ck_assert(has(n, 1 * MiB, 512, 0));
			ck_assert(has(n, 1 * MiB + 512, 4096, 2));
			ck_assert(has(n, 1 * MiB + 4608, 64 * KiB, 0));
			ck_assert_int_eq(qt_close(n), 0);
			qt_check(file);
		}
}
END_TEST

START_TEST (snapshots_keep_their_size) {
	struct node *file = damage_make("cluster_size=4096", 2 * MiB, 0, 1);
	struct node *n = qt_opened(file);

	put(n, 0, 2 * MiB, 1);
	ck_assert_int_eq(qt_close(n), 0);
	memnode_save(file, rig_path("s.qcow2"));
	qt_sh_ok("qemu-img snapshot -c big s.qcow2");
	file = qt_load(rig_path("s.qcow2"));
	n = qt_opened(file);
	resize(n, 1 * MiB, QCOW2_PREALLOC_OFF);
	sound(n, file);
	put(n, 0, 4096, 2);
	ck_assert_int_eq(qt_close(n), 0);
	qt_check(file);
	memnode_save(file, rig_path("s.qcow2"));
	qt_sh_ok("qemu-img snapshot -a big s.qcow2");
	qt_check_file(rig_path("s.qcow2"));
	n = qt_opened(qt_load(rig_path("s.qcow2")));
	ck_assert_uint_eq(qcow2_of(n)->h.size, 2 * MiB);
	ck_assert(has(n, 0, 2 * MiB, 1));
	ck_assert_int_eq(qt_close(n), 0);
}
END_TEST

/* --- what is refused ------------------------------------------------------ */

START_TEST (what_cannot_be_is_refused) {
	struct node *file = damage_make("cluster_size=512", 1 * MiB, 0, 1);
	struct node *n = qt_opened(file);

	refused(n, 1 * MiB + 1, QCOW2_PREALLOC_OFF, EINVAL, "multiple of 512");
	refused(n, 512, QCOW2_PREALLOC_FULL, EINVAL, "preallocate");
	refused(n, UINT64_C(1) << 40, QCOW2_PREALLOC_OFF, EFBIG, "too large");
	refused(n, UINT64_MAX - 511, QCOW2_PREALLOC_OFF, EFBIG, "too large");
	ck_assert_int_eq(qt_close(n), 0);

	damage_make_file("compat=0.10", 1 * MiB, 0, 1);
	qt_sh_ok("qemu-img snapshot -c one img.qcow2");
	n = qt_opened(qt_load(rig_path("img.qcow2")));
	refused(n, 2 * MiB, QCOW2_PREALLOC_OFF, ENOTSUP, "version 2");
	ck_assert_int_eq(qt_close(n), 0);
}
END_TEST

START_TEST (a_lack_of_space_leaves_the_size) {
	struct node *file = damage_make("cluster_size=512", 1 * MiB, 0, 1);
	struct node *n = qt_opened(file);
	struct resize_call c = { n, 8 * MiB, QCOW2_PREALLOC_FULL, ERR_NONE };

	put(n, 0, 64 * KiB, 1);
	memnode_limit(file, 2 * MiB);
	ck_assert_int_eq(qt_run(resize_fn, &c), -ENOSPC);
	ck_assert_err(c.e, ENOSPC, "changing its size");
	ck_assert_uint_eq(qcow2_of(n)->h.size, 1 * MiB);
	memnode_limit(file, UINT64_MAX);
	sound(n, file);
	ck_assert(has(n, 0, 64 * KiB, 1));
	resize(n, 2 * MiB, QCOW2_PREALLOC_OFF);
	ck_assert(has(n, 64 * KiB, 2 * MiB - 64 * KiB, 0));
	ck_assert_int_eq(qt_close(n), 0);
	qt_check(file);
}
END_TEST

/* --- make_empty ----------------------------------------------------------- */

/* The k-th sync while it shrinks fails. False = there were fewer. */
static bool shrink_fails_at(unsigned k)
{
	struct qcow2_create o = { .size = 1 * MiB, .cluster_size = 512 };
	struct node *file = qt_new(&o), *n = qt_opened(file);
	struct resize_call c = { n, 64 * KiB, QCOW2_PREALLOC_OFF, ERR_NONE };
	uint64_t syncs;

	put(n, 0, 1 * MiB, 1);
	ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	syncs = memnode_count(file, BLK_FLUSH);
	memnode_fail_once(file, BLK_FLUSH, k, EIO);
	(void)qt_run(resize_fn, &c);
	syncs = memnode_count(file, BLK_FLUSH) - syncs;
	memnode_fail(file, BLK_FLUSH, 0, 0);
	/* some of the refcount blocks are needed again, no new ones */
	resize(n, 640 * KiB, QCOW2_PREALLOC_OFF);
	put(n, 64 * KiB, 576 * KiB, 2);
	sound(n, file);
	ck_assert(has(n, 0, 64 * KiB, 1));
	ck_assert(has(n, 64 * KiB, 576 * KiB, 2));
	ck_assert_int_eq(qt_close(n), 0);
	qt_check(file);
	return syncs > k;
}

START_TEST (a_failed_sync_while_it_shrinks_is_no_corruption) {
	unsigned k = 0;

	while (shrink_fails_at(k))
		k++;
	ck_assert_uint_gt(k, 5);
}
END_TEST

START_TEST (an_emptied_image_shows_what_backs_it) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file = damage_make(options[i], 4 * MiB, 20, 1);
		struct node *back = qt_mem(), *n;
		struct qcow2_check found;

		put(back, 0, 4 * MiB, 9);
		n = qt_opened(file);
		qcow2_set_backing(n, back);
		put(n, 1 * MiB, 1 * MiB, 2);
		empty(n);
		sound(n, file);
		ck_assert(has(n, 0, 4 * MiB, 9));
		damage_check(file, QCOW2_REPAIR_NONE, &found);
		ck_assert_uint_eq(found.allocated, 0);
		put(n, 512, 4096, 3);
		ck_assert(has(n, 512, 4096, 3));
		ck_assert_int_eq(qt_close(n), 0);
		qt_check(file);
	}
}
END_TEST

START_TEST (snapshots_outlive_emptying) {
	struct node *file, *n;
	uint8_t *was, *now;
	uint64_t size;

	damage_make_file("cluster_size=4096", 2 * MiB, 20, 1);
	was = damage_content(qt_load(rig_path("img.qcow2")), &size);
	qt_sh_ok("qemu-img snapshot -c one img.qcow2");
	damage_scribble(2 * MiB, 10, 2);
	file = qt_load(rig_path("img.qcow2"));
	n = qt_opened(file);
	empty(n);
	sound(n, file);
	ck_assert_int_eq(qt_close(n), 0);
	qt_check(file);
	memnode_save(file, rig_path("img.qcow2"));
	qt_sh_ok("qemu-img snapshot -a one img.qcow2");
	now = damage_content(qt_load(rig_path("img.qcow2")), &size);
	ck_assert(!memcmp(was, now, size));
	free(was);
	free(now);
}
END_TEST

/* --- data files ----------------------------------------------------------- */

struct open_call {
	struct node *file, *data, *n;
	struct err e;
};

static int open_fn(void *arg)
{
	struct open_call *c = arg;
	struct qcow2_opts o = { 0 };
	int r = qcow2_open(c->file, &o, &c->n, &c->e);

	if (r)
		return r;
	qcow2_set_data(c->n, c->data);
	return qcow2_activate(c->n, &c->e);
}

static struct node *with_data(struct node *file, struct node *data)
{
	struct open_call c = { .file = file, .data = data };
	int r = qt_run(open_fn, &c);

	ck_assert_msg(!r, "%s", c.e.msg);
	return c.n;
}

/* qemu-img finds nothing; a raw data file is the disk itself. */
static void sound_data(struct node *n, struct node *file, struct node *data,
	bool raw)
{
	uint64_t size = qcow2_of(n)->h.size, len;
	uint8_t *buf = malloc(size + 1), *p = memnode_bytes(data, &len);

	ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	memnode_save(data, rig_path("data"));
	qt_check(file);
	ck_assert_uint_eq(len, size);
	ck_assert_int_eq(qt_io(n, BLK_READ, 0, 0, buf, size), 0);
	ck_assert(!raw || !memcmp(buf, p, size));
	free(buf);
}

START_TEST (a_data_file_is_as_long_as_the_disk) {
	for (int raw = 0; raw < 2; raw++) {
		struct qcow2_create o = { .size = 1 * MiB,
			.cluster_size = 4096,
			.data_file = "data",
			.data_file_raw = raw };
		struct node *file = qt_mem(), *data = qt_mem(), *n;
		struct err e = ERR_NONE;

		ck_assert_int_eq(qt_create(file, data, &o, &e), 0);
		n = with_data(file, data);
		put(n, 0, 1 * MiB, 1);
		sound_data(n, file, data, raw);
		resize(n, 3 * MiB, QCOW2_PREALLOC_OFF);
		sound_data(n, file, data, raw);
		ck_assert(has(n, 0, 1 * MiB, 1));
		ck_assert(has(n, 1 * MiB, 2 * MiB, 0));
		put(n, 2 * MiB, 64 * KiB, 2);
		sound_data(n, file, data, raw);
		resize(n, 512 * KiB, QCOW2_PREALLOC_OFF);
		sound_data(n, file, data, raw);
		ck_assert(has(n, 0, 512 * KiB, 1));
		resize(n, 4 * MiB, QCOW2_PREALLOC_METADATA);
		sound_data(n, file, data, raw);
		ck_assert(has(n, 512 * KiB, 3584 * KiB, 0));
		ck_assert_int_eq(qt_close(n), 0);

		n = with_data(file, data);
		empty(n);
		ck_assert(has(n, 0, 4 * MiB, 0));
		sound_data(n, file, data, raw);
		put(n, 4096, 8192, 3);
		sound_data(n, file, data, raw);
		ck_assert_int_eq(qt_close(n), 0);
	}
}
END_TEST

START_TEST (a_longer_data_file_does_not_show) {
	static const enum qcow2_prealloc hows[] = { QCOW2_PREALLOC_OFF,
		QCOW2_PREALLOC_METADATA, QCOW2_PREALLOC_FALLOC };

	for (unsigned i = 0; i < 2 * ARRAY_LEN(hows); i++) {
		struct qcow2_create o = { .size = 1 * MiB,
			.cluster_size = 4096,
			.data_file = "data",
			.data_file_raw = i & 1 };
		struct node *file = qt_mem(), *data = qt_mem(), *n;
		struct err e = ERR_NONE;

		put(data, 0, 4 * MiB, 1);
		ck_assert_int_eq(qt_create(file, data, &o, &e), 0);
		n = with_data(file, data);
		resize(n, 2 * MiB, hows[i / 2]);
		ck_assert(has(n, 1 * MiB, 1 * MiB, 0));
		sound_data(n, file, data, i & 1);
		ck_assert_int_eq(qt_close(n), 0);
	}
}
END_TEST

/* --- power loss ----------------------------------------------------------- */

struct outcome {
	struct node *back;
	uint64_t small, large;
	bool emptied;
};

/* The content is right for the size that it has. */
static void after_crash(void *arg, struct node *image)
{
	struct outcome *o = arg;
	struct qcow2_check found;
	struct node *n;
	uint64_t size;

	damage_check(image, QCOW2_REPAIR_NONE, &found);
	ck_assert_msg(!found.corruptions && !found.errors, "%s", damage_told);
	n = qt_opened(image);
	memnode_hold(o->back);
	qcow2_set_backing(n, o->back);
	size = qcow2_of(n)->h.size;
	ck_assert(size == o->small || size == o->large);
	if (!o->emptied || !has(n, 0, o->small, 9))
		ck_assert(has(n, 0, o->small, 1));
	if (size == o->large && o->large > o->small)
		ck_assert(has(n, o->small, o->large - o->small, 0) ||
			  has(n, o->small, o->large - o->small, 2));
	ck_assert_int_eq(qt_close(n), 0);
}

static void crash_in(struct node *n, struct node *file, struct outcome *o,
	uint64_t size)
{
	struct crash *c;

	ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	c = crash_begin(file);
	if (o->emptied)
		empty(n);
	else
		resize(n, size, QCOW2_PREALLOC_OFF);
	ck_assert_uint_gt(crash_each(c, 80, after_crash, o), 3);
	crash_end(c);
}

START_TEST (no_crash_shows_what_must_not_be_seen) {
	for (size_t i = 0; i < 4; i++) {
		struct node *file =
			damage_make(options[i], 256 * KiB + 512, 0, 1);
		struct node *n = qt_opened(file);
		struct outcome o = { .small = 256 * KiB + 512,
			.large = 640 * KiB };

		o.back = qt_mem();
		put(o.back, 0, 512 * KiB, 9);
		qcow2_set_backing(n, o.back);
		put(n, 0, 256 * KiB + 512, 1);
		crash_in(n, file, &o, 640 * KiB);
		put(n, o.small, o.large - o.small, 2);
		crash_in(n, file, &o, 256 * KiB + 512);
		o.large = o.small;
		o.emptied = true;
		crash_in(n, file, &o, 0);
		ck_assert(has(n, 0, o.small, 9));
		ck_assert_int_eq(qt_close(n), 0);
		qt_check(file);
	}
}
END_TEST

QT_SUITE("qcow2 resize", what_is_new_reads_as_zeros,
	what_was_cut_off_does_not_come_back,
	what_backs_the_image_does_not_show_behind_it,
	preallocated_clusters_have_places, snapshots_keep_their_size,
	what_cannot_be_is_refused, a_lack_of_space_leaves_the_size,
	a_failed_sync_while_it_shrinks_is_no_corruption,
	an_emptied_image_shows_what_backs_it, snapshots_outlive_emptying,
	a_data_file_is_as_long_as_the_disk, a_longer_data_file_does_not_show,
	no_crash_shows_what_must_not_be_seen)
