/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Repair: each kind of damage, made by hand, is found by us as by qemu-img,
 * is mended so that both find nothing more, and what was whole stays as it
 * was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/crash.h"
#include "tests/unit/storage/qcow2/damage.h"

#define SIZE   (4 * MiB)
#define COPIED (UINT64_C(1) << 63)

static struct node *image(struct damage_map *m, const char *options)
{
	struct node *file = damage_make(options, SIZE, 40, 7);

	damage_find(file, m);
	ck_assert_uint_gt(m->data, 0);
	return file;
}

enum class { CLEAN, LEAKS, CORRUPT };

static enum class class_of(const struct qcow2_check *c) {
	/* qemu-img has places it cannot look at for errors too */
	return c->corruptions || c->errors ? CORRUPT
	       : c->leaks                  ? LEAKS
					   : CLEAN;
}

/* Both find it to be so. */
static void is(struct node *file, enum class want)
{
	struct qcow2_check mine, theirs;

	damage_check(file, QCOW2_REPAIR_NONE, &mine);
	damage_qemu_check(file, &theirs);
	ck_assert_msg(class_of(&mine) == want, "ours: %s", damage_told);
	ck_assert_int_eq(class_of(&theirs), want);
}

/* Differences of the content, in clusters; before is freed. */
static unsigned changed(struct node *file, uint8_t *before, uint32_t cluster)
{
	uint64_t size;
	uint8_t *now = damage_content(file, &size);
	unsigned n = 0;

	for (uint64_t at = 0; at < size; at += cluster)
		n += memcmp(now + at, before + at, cluster) != 0;
	free(now);
	free(before);
	return n;
}

/* Repair all, after which nothing is wrong. */
static void mend(struct node *file)
{
	struct qcow2_check found;

	damage_check(file, QCOW2_REPAIR_ALL, &found);
	ck_assert_msg(!found.corruptions && !found.leaks && !found.errors, "%s",
		damage_told);
	ck_assert_uint_gt(found.corruptions_fixed + found.leaks_fixed, 0);
	is(file, CLEAN);
}

static void put_count(struct node *file, const struct damage_map *m,
	uint64_t host, uint64_t count)
{
	ck_assert_uint_eq(m->refcount_bits, 16);
	damage_put(file, m->block + host / m->cluster * 2, 2, count);
}

static uint64_t l2_at(const struct damage_map *m)
{
	return m->l2 + m->l2_index * 8;
}

static uint64_t l1_at(struct node *file, const struct damage_map *m)
{
	uint64_t at = m->l1;

	while ((damage_get(file, at, 8) & ~COPIED) != m->l2)
		at += 8;
	return at;
}

/* A cluster at the end that nobody uses. */
static uint64_t grow(struct node *file, const struct damage_map *m)
{
	uint64_t size, at;
	uint8_t *zeros = calloc(1, m->cluster);

	ck_assert_ptr_nonnull(zeros);
	memnode_bytes(file, &size);
	at = size_up(size, m->cluster);
	ck_assert_int_eq(qt_io(file, BLK_WRITE, 0, at, zeros, m->cluster), 0);
	free(zeros);
	return at;
}

/* --- counts --------------------------------------------------------------- */

START_TEST (leaked_clusters_are_given_back) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	struct qcow2_check found;
	uint64_t size;
	uint8_t *before = damage_content(file, &size);

	put_count(file, &m, grow(file, &m), 1);
	put_count(file, &m, grow(file, &m), 7);
	is(file, LEAKS);
	damage_check(file, QCOW2_REPAIR_LEAKS, &found);
	ck_assert_uint_eq(found.leaks_fixed, 2);
	ck_assert_uint_eq(found.leaks, 0);
	is(file, CLEAN);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (a_count_too_high_is_lowered_with_its_flags) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	struct qcow2_check found;

	put_count(file, &m, m.data, 3);
	is(file, CORRUPT); /* COPIED and a count of 3 */
	damage_check(file, QCOW2_REPAIR_LEAKS, &found);
	ck_assert_uint_eq(found.leaks, 0);
	ck_assert_uint_eq(found.corruptions, 0);
	is(file, CLEAN);

	/* as a crash of others leaves it: the flag is off too */
	put_count(file, &m, m.data, 2);
	damage_put(file, l2_at(&m), 8,
		damage_get(file, l2_at(&m), 8) & ~COPIED);
	is(file, LEAKS);
	damage_check(file, QCOW2_REPAIR_LEAKS, &found);
	is(file, CLEAN);
	ck_assert_uint_eq(damage_get(file, l2_at(&m), 8) & COPIED, COPIED);
}
END_TEST

START_TEST (a_count_too_low_is_raised) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	uint64_t size;
	uint8_t *before = damage_content(file, &size);

	put_count(file, &m, m.data, 0);
	put_count(file, &m, m.l2, 0);
	put_count(file, &m, m.l1, 0);
	put_count(file, &m, 0, 0);
	is(file, CORRUPT);
	mend(file);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (leaks_alone_leave_damage_alone) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	struct qcow2_check found;

	damage_put(file, l2_at(&m), 8, UINT64_C(1) << 40 | COPIED);
	is(file, CORRUPT);
	damage_check(file, QCOW2_REPAIR_LEAKS, &found);
	/* m.data is leaked, but may be what the entry meant */
	ck_assert_uint_eq(found.leaks, 1);
	ck_assert_uint_eq(found.leaks_fixed, 0);
	ck_assert_ptr_nonnull(strstr(damage_told, "are kept"));
	ck_assert_uint_eq(damage_get(file, l2_at(&m), 8),
		UINT64_C(1) << 40 | COPIED);
}
END_TEST

START_TEST (wrong_copied_flags_are_set_right) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	uint64_t size, l1 = l1_at(file, &m);
	uint8_t *before = damage_content(file, &size);

	damage_put(file, l2_at(&m), 8, damage_get(file, l2_at(&m), 8) ^ COPIED);
	damage_put(file, l1, 8, damage_get(file, l1, 8) ^ COPIED);
	is(file, CORRUPT);
	mend(file);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (a_lost_refcount_block_is_made_anew) {
	static const char *const options[] = { "cluster_size=512",
		"cluster_size=4096,refcount_bits=1",
		"cluster_size=512,refcount_bits=64", "compat=0.10",
		"cluster_size=2M", "cluster_size=16384,extended_l2=on" };

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct damage_map m;
		struct node *file = image(&m, options[i]);
		uint64_t size;
		uint8_t *before = damage_content(file, &size);

		damage_put(file, m.rt, 8, 0);
		is(file, CORRUPT);
		mend(file);
		ck_assert_uint_eq(changed(file, before, m.cluster), 0);
	}
}
END_TEST

START_TEST (a_wrong_refcount_table_is_made_anew) {
	static const uint64_t wrong[] = { 0x200, 1, UINT64_C(1) << 50,
		UINT64_MAX, 0x1000 /* the header's neighbour */ };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct damage_map m;
		struct node *file = image(&m, "cluster_size=4096");
		uint64_t size;
		uint8_t *before = damage_content(file, &size);

		damage_put(file, m.rt, 8, wrong[i]);
		is(file, CORRUPT);
		mend(file);
		ck_assert_uint_eq(changed(file, before, m.cluster), 0);
	}
}
END_TEST

START_TEST (a_refcount_block_used_for_data_is_moved) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	uint64_t size;
	uint8_t *before = damage_content(file, &size);

	damage_put(file, m.rt, 8, m.data);
	is(file, CORRUPT);
	mend(file);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);

	/* and one that is in the table twice */
	damage_find(file, &m);
	damage_put(file, m.rt + 8, 8, m.block);
	is(file, CORRUPT);
	mend(file);
}
END_TEST

/* --- entries -------------------------------------------------------------- */

START_TEST (entries_that_cannot_be_read_as_zeros) {
	static const uint64_t wrong[] = {
		UINT64_C(1) << 40,            /* behind the end */
		UINT64_C(0x00fffffffffff000), /* far behind it */
		0x200,                        /* not aligned */
		UINT64_C(0x4000000000000000), /* compressed, in the header */
		UINT64_C(0x40ffffffffffff00), /* compressed, behind the end */
		UINT64_C(0x7fffffffffffffff),
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct damage_map m;
		struct node *file = image(&m, "cluster_size=4096");
		uint64_t size;
		uint8_t *before = damage_content(file, &size);

		damage_put(file, l2_at(&m), 8, wrong[i]);
		is(file, CORRUPT);
		mend(file);
		ck_assert_uint_le(changed(file, before, m.cluster), 1);
	}
}
END_TEST

START_TEST (reserved_bits_are_taken_off) {
	static const uint64_t bits[] = { 0x100, 0x2, UINT64_C(1) << 61,
		UINT64_C(1) << 56 };

	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		struct damage_map m;
		struct node *file = image(&m, "cluster_size=4096");
		uint64_t size, l1 = l1_at(file, &m);
		uint8_t *before = damage_content(file, &size);

		damage_put(file, l2_at(&m), 8,
			damage_get(file, l2_at(&m), 8) | bits[i]);
		damage_put(file, l1, 8, damage_get(file, l1, 8) | bits[i]);
		is(file, CORRUPT);
		mend(file);
		ck_assert_uint_eq(changed(file, before, m.cluster), 0);
	}
}
END_TEST

START_TEST (an_l1_entry_that_cannot_be_is_dropped) {
	static const uint64_t wrong[] = { UINT64_C(1) << 40, 0x200, 0x200000,
		UINT64_C(0x00fffffffffff000) };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct damage_map m;
		struct node *file = image(&m, "cluster_size=4096");

		damage_put(file, l1_at(file, &m), 8, wrong[i] | COPIED);
		mend(file);
	}
}
END_TEST

START_TEST (data_is_kept_when_an_l1_entry_leads_to_it) {
	struct damage_map m;
	struct node *file = damage_make("cluster_size=512", SIZE, 40, 7);
	uint64_t size, l1, lost = 0;
	uint8_t *before = damage_content(file, &size), *data;

	damage_find(file, &m);
	/* no table at all, by its looks */
	data = memnode_bytes(file, NULL) + m.data;
	qt_fill(data, m.cluster, 3);
	free(before);
	before = damage_content(file, &size);
	l1 = m.l1;
	while (damage_get(file, l1, 8) == 0 ||
		(damage_get(file, l1, 8) & ~COPIED) == m.l2)
		l1 += 8;
	lost = (l1 - m.l1) / 8 * 64 * 512;
	damage_put(file, l1, 8, m.data | COPIED);
	is(file, CORRUPT);
	mend(file);
	/* 64 clusters have lost their table, others nothing */
	memset(before + lost, 0, 64 * 512);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (data_never_lies_in_a_table) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	uint64_t size;
	uint8_t *before = damage_content(file, &size);

	damage_put(file, l2_at(&m), 8, m.l1 | COPIED);
	is(file, CORRUPT);
	mend(file);
	ck_assert_uint_le(changed(file, before, m.cluster), 1);
}
END_TEST

START_TEST (a_cluster_used_twice_is_counted_twice) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	uint64_t at, size;
	uint8_t *before;

	at = l2_at(&m) + 8;
	ck_assert_uint_lt(at, m.l2 + m.cluster);
	damage_put(file, at, 8, m.data | COPIED);
	is(file, CORRUPT);
	before = damage_content(file, &size);
	mend(file);
	ck_assert_uint_eq(damage_get(file, at, 8), m.data);
	ck_assert_uint_eq(damage_get(file, l2_at(&m), 8), m.data);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (compressed_entries_are_mended) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	uint64_t at, end = m.l2 + m.cluster, size;
	uint8_t *before = damage_content(file, &size);

	for (at = m.l2; at < end; at += 8)
		if (damage_get(file, at, 8) >> 62 == 1)
			break;
	ck_assert_uint_lt(at, end);
	damage_put(file, at, 8, damage_get(file, at, 8) | COPIED);
	is(file, CORRUPT);
	mend(file);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (subclusters_are_zeros_or_data) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=16384,extended_l2=on");
	uint64_t at = m.l2 + m.l2_index * 16, map, size;
	uint8_t *before = damage_content(file, &size);

	map = damage_get(file, at + 8, 8);
	ck_assert_uint_ne(map & UINT32_MAX, 0);
	damage_put(file, at + 8, 8, map | map << 32);
	is(file, CORRUPT);
	mend(file);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);

	at += 16;
	ck_assert_uint_lt(at, m.l2 + m.cluster);
	damage_put(file, at, 8, 0);
	damage_put(file, at + 8, 8, 0xff);
	is(file, CORRUPT);
	mend(file);
}
END_TEST

/* --- snapshots, bitmaps, header ------------------------------------------- */

static struct node *with_snapshots(struct damage_map *m, uint64_t *table)
{
	struct node *file;

	damage_make_file("cluster_size=4096", SIZE, 40, 7);
	qt_sh_ok("qemu-img snapshot -c one img.qcow2");
	damage_scribble(SIZE, 5, 8);
	qt_sh_ok("qemu-img snapshot -c two img.qcow2");
	damage_scribble(SIZE, 5, 9);
	file = qt_load(rig_path("img.qcow2"));
	damage_find(file, m);
	*table = damage_get(file, 64, 8);
	return file;
}

static uint64_t snapshots_of(struct node *file)
{
	return damage_get(file, 60, 4);
}

START_TEST (snapshots_that_cannot_be_are_dropped) {
	static const uint64_t wrong[] = { 0x200, UINT64_C(1) << 40, 0 };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct damage_map m;
		uint64_t table, size;
		struct node *file = with_snapshots(&m, &table);
		uint8_t *before = damage_content(file, &size);
		struct qcow2_check found;

		damage_put(file, table, 8, wrong[i]);
		damage_check(file, QCOW2_REPAIR_NONE, &found);
		ck_assert_uint_gt(found.corruptions, 0);
		mend(file);
		ck_assert_uint_eq(snapshots_of(file), 1);
		ck_assert_uint_eq(changed(file, before, m.cluster), 0);
	}
}
END_TEST

START_TEST (a_snapshot_table_cut_off_is_mended) {
	struct damage_map m;
	uint64_t table;
	struct node *file = with_snapshots(&m, &table);
	struct qcow2_check found;
	struct node *n;
	struct err e = ERR_NONE;

	/* a length that leads out of the file */
	damage_put(file, table + 36, 4, 0x7fffffff);
	ck_assert_int_eq(qt_open(file, &(struct qcow2_opts){ 0 }, &n, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "disk check --repair all");
	damage_check(file, QCOW2_REPAIR_NONE, &found);
	ck_assert_uint_gt(found.corruptions, 0);
	mend(file);
	ck_assert_uint_eq(snapshots_of(file), 0);
}
END_TEST

START_TEST (short_extra_data_is_filled_up) {
	struct damage_map m;
	uint64_t table;
	struct node *file = with_snapshots(&m, &table);
	uint32_t extra = (uint32_t)damage_get(file, table + 36, 4);
	uint8_t *p = memnode_bytes(file, NULL) + table;

	/* the first entry without extra data; the second follows */
	memmove(p + 40, p + 40 + extra, 4096 - 40 - extra);
	damage_put(file, table + 36, 4, 0);
	is(file, CORRUPT);
	mend(file);
	ck_assert_uint_eq(snapshots_of(file), 2);
	table = damage_get(file, 64, 8);
	ck_assert_uint_eq(damage_get(file, table + 36, 4), 16);
	ck_assert_uint_eq(damage_get(file, table + 48, 8), SIZE);
}
END_TEST

START_TEST (broken_bitmaps_are_dropped) {
	struct damage_map m;
	struct node *file;
	uint64_t dir, at = 104, size;
	uint8_t *before;

	damage_make_file("cluster_size=4096", SIZE, 20, 7);
	qt_sh_ok("qemu-img bitmap --add -g 512 img.qcow2 b0");
	damage_scribble(SIZE, 10, 8);
	file = qt_load(rig_path("img.qcow2"));
	is(file, CLEAN);
	damage_find(file, &m);
	before = damage_content(file, &size);
	while (damage_get(file, at, 4) != 0x23852875)
		at += 8;
	dir = damage_get(file, at + 8 + 16, 8);
	damage_put(file, dir, 8, 0x123);
	{
		struct qcow2_check found;

		damage_check(file, QCOW2_REPAIR_NONE, &found);
		ck_assert_uint_gt(found.corruptions, 0);
		ck_assert_ptr_nonnull(strstr(damage_told, "bitmaps"));
	}
	mend(file);
	ck_assert_uint_eq(damage_get(file, 88, 8), 0);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (a_good_image_loses_its_corrupt_bit) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	struct qcow2_check found;

	damage_put(file, 72, 8, 3);
	damage_put(file, 88, 8, UINT64_C(1) << 33); /* unknown autoclear */
	damage_check(file, QCOW2_REPAIR_ALL, &found);
	ck_assert_uint_eq(found.corruptions, 0);
	ck_assert_uint_eq(damage_get(file, 72, 8), 0);
	ck_assert_uint_eq(damage_get(file, 88, 8), 0);
	is(file, CLEAN);
}
END_TEST

START_TEST (a_dirty_image_is_repaired_when_it_is_opened) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096,lazy_refcounts=on");
	struct node *n;
	uint64_t size;
	uint8_t *before = damage_content(file, &size);

	put_count(file, &m, m.data, 0);
	put_count(file, &m, m.l2, 0);
	damage_put(file, 72, 8, 1);
	n = qt_opened(file);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(damage_get(file, 72, 8), 0);
	is(file, CLEAN);
	ck_assert_uint_eq(changed(file, before, m.cluster), 0);
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
	struct node *file = image(&m, "cluster_size=512");
	struct stop_call c = { 0 };
	int r = -ECANCELED;

	put_count(file, &m, grow(file, &m), 1);
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
	is(file, CLEAN);
}
END_TEST

START_TEST (what_cannot_be_read_is_no_damage) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=512");
	uint64_t size, now_size;
	uint8_t *before, *now;

	put_count(file, &m, m.data, 0);
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
	is(file, CLEAN);
}
END_TEST

START_TEST (repair_of_a_read_only_image_is_refused) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
	struct qcow2_opts o = { .readonly = true };
	struct stop_call c = { .s.at = UINT32_MAX };

	ck_assert_int_eq(qt_open(file, &o, &c.n, &c.e), 0);
	ck_assert_int_eq(qt_run(stop_fn, &c), -EROFS);
	ck_assert_err(c.e, EROFS, "reading only");
	ck_assert_int_eq(qt_close(c.n), 0);
}
END_TEST

START_TEST (opening_a_dirty_image_drops_nothing) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096,lazy_refcounts=on");
	uint64_t wrong = UINT64_C(1) << 40 | COPIED;
	struct err e = ERR_NONE;
	struct node *n;

	damage_put(file, 72, 8, 1);
	damage_put(file, l2_at(&m), 8, wrong);
	ck_assert_int_eq(qt_open(file, &(struct qcow2_opts){ 0 }, &n, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "could not be repaired");
	ck_assert_uint_eq(damage_get(file, l2_at(&m), 8), wrong);
	ck_assert_uint_eq(damage_get(file, 72, 8), 1);
	mend(file);
}
END_TEST

START_TEST (an_image_in_use_goes_on_after_repair) {
	struct damage_map m;
	struct node *file = image(&m, "cluster_size=4096");
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
			put_count(file, &m, m.data, 0);
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
	is(file, CLEAN);
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
		struct node *file = image(&m, options[i]);
		struct qcow2_check found;
		struct outcome o;
		struct crash *c;
		uint64_t size, entry;
		uint8_t *before = damage_content(file, &size);

		entry = damage_get(file, l2_at(&m), 8);
		damage_put(file, l2_at(&m), 8, entry ^ COPIED);
		damage_put(file, m.rt, 8, 0);
		o.before = before;
		c = crash_begin(file);
		damage_check(file, QCOW2_REPAIR_ALL, &found);
		ck_assert_uint_gt(crash_each(c, 60, after_crash, &o), 5);
		crash_end(c);
		is(file, CLEAN);
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
		is(file, CLEAN);
		mended++;
	}
	ck_assert_uint_gt(mended, 40);
}
END_TEST

QT_SUITE("qcow2 repair", leaked_clusters_are_given_back,
	a_count_too_high_is_lowered_with_its_flags, a_count_too_low_is_raised,
	leaks_alone_leave_damage_alone, wrong_copied_flags_are_set_right,
	a_lost_refcount_block_is_made_anew, a_wrong_refcount_table_is_made_anew,
	a_refcount_block_used_for_data_is_moved,
	entries_that_cannot_be_read_as_zeros, reserved_bits_are_taken_off,
	an_l1_entry_that_cannot_be_is_dropped,
	data_is_kept_when_an_l1_entry_leads_to_it, data_never_lies_in_a_table,
	a_cluster_used_twice_is_counted_twice, compressed_entries_are_mended,
	subclusters_are_zeros_or_data, snapshots_that_cannot_be_are_dropped,
	a_snapshot_table_cut_off_is_mended, short_extra_data_is_filled_up,
	broken_bitmaps_are_dropped, a_good_image_loses_its_corrupt_bit,
	a_dirty_image_is_repaired_when_it_is_opened,
	opening_a_dirty_image_drops_nothing,
	an_image_in_use_goes_on_after_repair, a_check_can_be_stopped_anywhere,
	what_cannot_be_read_is_no_damage,
	repair_of_a_read_only_image_is_refused,
	a_repair_can_be_cut_off_anywhere, random_damage_is_mended_or_told)
