/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a repair goes: when an image is opened or in use, stopped, with a file
 * that fails, cut off by a power loss, and of damage at random. What it mends:
 * test_repair.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/crash.h"
#include "tests/unit/storage/qcow2/damage.h"

#define COPIED (UINT64_C(1) << 63)

/* --- the header's bits ---------------------------------------------------- */

START_TEST (a_good_image_loses_its_corrupt_bit) {
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=4096");
	struct qcow2_check found;

	damage_put(file, 72, 8, 3);
	damage_put(file, 88, 8, UINT64_C(1) << 33); /* unknown autoclear */
	damage_check(file, QCOW2_REPAIR_ALL, &found);
	ck_assert_uint_eq(found.corruptions, 0);
	ck_assert_uint_eq(damage_get(file, 72, 8), 0);
	ck_assert_uint_eq(damage_get(file, 88, 8), 0);
	damage_is(file, CLEAN);
}
END_TEST

START_TEST (a_dirty_image_is_repaired_when_it_is_opened) {
	struct damage_map m;
	struct node *file =
		damage_image(&m, "cluster_size=4096,lazy_refcounts=on");
	struct node *n;
	uint64_t size;
	uint8_t *before = damage_content(file, &size);

	damage_put_count(file, &m, m.data, 0);
	damage_put_count(file, &m, m.l2, 0);
	damage_put(file, 72, 8, 1);
	n = qt_opened(file);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(damage_get(file, 72, 8), 0);
	damage_is(file, CLEAN);
	ck_assert_uint_eq(damage_changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (opening_a_dirty_image_drops_nothing) {
	struct damage_map m;
	struct node *file =
		damage_image(&m, "cluster_size=4096,lazy_refcounts=on");
	uint64_t wrong = UINT64_C(1) << 40 | COPIED;
	struct err e = ERR_NONE;
	struct node *n;

	damage_put(file, 72, 8, 1);
	damage_put(file, damage_l2_at(&m), 8, wrong);
	ck_assert_int_eq(qt_open(file, &(struct qcow2_opts){ 0 }, &n, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "could not be repaired");
	ck_assert_uint_eq(damage_get(file, damage_l2_at(&m), 8), wrong);
	ck_assert_uint_eq(damage_get(file, 72, 8), 1);
	damage_mend(file);
}
END_TEST

/* --- errors --------------------------------------------------------------- */

struct stop {
	unsigned calls, at;
};

static bool stop_at(void *arg, uint64_t done, uint64_t total)
{
	struct stop *s = arg;

	ck_assert_uint_le(done, total);
	return ++s->calls > s->at;
}

struct stop_call {
	struct node *n;
	struct stop s;
	struct err e;
};

static int stop_fn(void *arg)
{
	struct stop_call *c = arg;
	struct qcow2_check_fns fns = { .progress = stop_at, .arg = &c->s };
	struct qcow2_check out;

	return qcow2_check(c->n, QCOW2_REPAIR_ALL, &fns, &out, &c->e);
}

START_TEST (a_check_can_be_stopped_anywhere) {
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=512");
	struct stop_call c = { 0 };
	int r = -ECANCELED;

	damage_put_count(file, &m, damage_grow(file, &m), 1);
	c.n = qt_opened(file);
	for (unsigned at = 0; r; at += 1 + at / 4) {
		c.s = (struct stop){ .at = at };
		r = qt_run(stop_fn, &c);
		if (!r)
			break;
		ck_assert_int_eq(r, -ECANCELED);
		ck_assert_err(c.e, ECANCELED, "was stopped");
	}
	ck_assert_int_eq(qt_close(c.n), 0);
	damage_is(file, CLEAN);
}
END_TEST

START_TEST (what_cannot_be_read_is_no_damage) {
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=512");
	uint64_t size, now_size;
	uint8_t *before, *now;

	damage_put_count(file, &m, m.data, 0);
	before = memnode_bytes(file, &size);
	before = memcpy(malloc(size), before, size);
	for (unsigned k = 3; k < 60; k++) {
		struct qcow2_check found = { 0 };
		struct err e = ERR_NONE;
		int r;

		memnode_fail_once(file, BLK_READ, k, EIO);
		r = damage_try_check(file, QCOW2_REPAIR_ALL, &found, &e);
		memnode_fail_once(file, BLK_READ, 0, 0);
		if (r) {
			ck_assert_int_eq(r, -EIO);
			ck_assert_ptr_nonnull(strstr(e.msg, file->path));
		}
		if (!r && found.errors)
			ck_assert_ptr_nonnull(
				strstr(damage_told, "cannot read"));
		now = memnode_bytes(file, &now_size);
		if (!r && !found.errors)
			break; /* the error came later: it is mended */
		ck_assert_uint_eq(size, now_size);
		ck_assert(!memcmp(now, before, size));
	}
	free(before);
	damage_try_check(file, QCOW2_REPAIR_ALL, &(struct qcow2_check){ 0 },
		NULL);
	damage_is(file, CLEAN);
}
END_TEST

/* A table that can be read n times, and no more. */
struct dying {
	uint64_t at;
	unsigned n;
};

static int dying_read(void *arg, const struct blk_req *r)
{
	struct dying *d = arg;

	if (r->op != BLK_READ || r->offset != d->at)
		return 0;
	return d->n && d->n-- ? 0 : -EIO;
}

/* What an L2 table refers to that went bad after the first look. */
static void dies_meanwhile(unsigned n, bool lost_block)
{
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=4096");
	struct dying d = { m.l2, n };
	struct qcow2_check found;
	struct err e = ERR_NONE;
	uint64_t rt = damage_get(file, 48, 8);

	damage_put_count(file, &m, damage_grow(file, &m), 1);
	if (lost_block)
		damage_put(file, m.rt, 8, 0);
	memnode_watch(file, dying_read, &d);
	damage_try_check(file, QCOW2_REPAIR_ALL, &found, &e);
	memnode_watch(file, NULL, NULL);
	if (lost_block && damage_get(file, 48, 8) == rt)
		return; /* as damaged as it was */
	damage_check(file, QCOW2_REPAIR_NONE, &found);
	ck_assert_msg(!found.corruptions, "%u: %.500s", n, damage_told);
}

START_TEST (a_table_that_dies_meanwhile_keeps_its_clusters) {
	for (unsigned n = 0; n < 9; n++) {
		dies_meanwhile(n, false);
		dies_meanwhile(n, true);
	}
}
END_TEST

START_TEST (repair_of_a_read_only_image_is_refused) {
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=4096");
	struct qcow2_opts o = { .readonly = true };
	struct stop_call c = { .s.at = UINT32_MAX };

	ck_assert_int_eq(qt_open(file, &o, &c.n, &c.e), 0);
	ck_assert_int_eq(qt_run(stop_fn, &c), -EROFS);
	ck_assert_err(c.e, EROFS, "reading only");
	ck_assert_int_eq(qt_close(c.n), 0);
}
END_TEST

START_TEST (an_image_in_use_goes_on_after_repair) {
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=4096");
	struct stop_call c = { .s.at = UINT32_MAX };
	uint8_t buf[4096];

	c.n = qt_opened(file);
	for (unsigned i = 0; i < 100; i++) {
		qt_fill(buf, sizeof(buf), i);
		ck_assert_int_eq(qt_io(c.n, BLK_WRITE, 0, (uint64_t)i * 40960,
					 buf, sizeof(buf)),
			0);
		if (i == 40)
			damage_put(file, m.rt, 8, 0);
		damage_find(file, &m);
		if (i == 60)
			damage_put_count(file, &m, m.data, 0);
		if (i % 20 == 0)
			ck_assert_int_eq(qt_run(stop_fn, &c), 0);
	}
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(qt_io(c.n, BLK_READ, 0, (uint64_t)i * 40960,
					 buf, sizeof(buf)),
			0);
		ck_assert(qt_is_filled(buf, sizeof(buf), i));
	}
	ck_assert_int_eq(qt_close(c.n), 0);
	damage_is(file, CLEAN);
}
END_TEST

/* --- power loss ----------------------------------------------------------- */

struct outcome {
	const uint8_t *before;
};

static void after_crash(void *arg, struct node *image)
{
	struct outcome *o = arg;
	struct qcow2_check found;
	uint64_t size;
	uint8_t *now;

	/* whatever it is, the next repair mends it, and nothing is lost */
	damage_check(image, QCOW2_REPAIR_ALL, &found);
	ck_assert_msg(!found.corruptions && !found.leaks && !found.errors, "%s",
		damage_told);
	now = damage_content(image, &size);
	ck_assert(!memcmp(now, o->before, size));
	free(now);
}

START_TEST (a_repair_can_be_cut_off_anywhere) {
	static const char *const options[] = { "cluster_size=512",
		"cluster_size=512,refcount_bits=64" };

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct damage_map m;
		struct node *file = damage_image(&m, options[i]);
		struct qcow2_check found;
		struct outcome o;
		struct crash *c;
		uint64_t size, entry;
		uint8_t *before = damage_content(file, &size);

		entry = damage_get(file, damage_l2_at(&m), 8);
		damage_put(file, damage_l2_at(&m), 8, entry ^ COPIED);
		damage_put(file, m.rt, 8, 0);
		o.before = before;
		c = crash_begin(file);
		damage_check(file, QCOW2_REPAIR_ALL, &found);
		ck_assert_uint_gt(crash_each(c, 60, after_crash, &o), 5);
		crash_end(c);
		damage_is(file, CLEAN);
		free(before);
	}
}
END_TEST

/* --- at random ------------------------------------------------------------ */

START_TEST (random_damage_is_mended_or_told) {
	static const char *const options[] = { "cluster_size=512",
		"cluster_size=4096", "cluster_size=16384,extended_l2=on",
		"compat=0.10,cluster_size=1024",
		"cluster_size=512,refcount_bits=2" };
	unsigned mended = 0;

	for (unsigned k = 0; k < 60; k++) {
		struct node *file;
		struct qcow2_check found;
		struct err e = ERR_NONE;
		uint64_t size;
		uint8_t *p;
		int r;

		if (k % 2)
			file = damage_make(options[k % 5], 1 * MiB, 20, k);
		else {
			damage_make_file(options[k % 5], 1 * MiB, 10, k);
			qt_sh("qemu-img snapshot -c one img.qcow2 2>&1");
			damage_scribble(1 * MiB, 10, k + 1);
			file = qt_load(rig_path("img.qcow2"));
		}
		p = memnode_bytes(file, &size);
		srandom(k);
		for (unsigned i = 0; i < 1 + k % 8; i++) {
			uint64_t at = 104 + (uint64_t)random() % (64 * KiB);

			if (at < size)
				p[at] = (uint8_t)random();
		}
		r = damage_try_check(file, QCOW2_REPAIR_ALL, &found, &e);
		if (r)
			continue; /* the header is bad */
		ck_assert_uint_eq(found.errors, 0);
		if (found.corruptions)
			continue;
		damage_is(file, CLEAN);
		mended++;
	}
	ck_assert_uint_gt(mended, 40);
}
END_TEST

QT_SUITE("qcow2 repair run", a_good_image_loses_its_corrupt_bit,
	a_dirty_image_is_repaired_when_it_is_opened,
	opening_a_dirty_image_drops_nothing, a_check_can_be_stopped_anywhere,
	what_cannot_be_read_is_no_damage,
	a_table_that_dies_meanwhile_keeps_its_clusters,
	repair_of_a_read_only_image_is_refused,
	an_image_in_use_goes_on_after_repair, a_repair_can_be_cut_off_anywhere,
	random_damage_is_mended_or_told)
