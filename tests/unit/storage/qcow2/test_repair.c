/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a repair mends: each kind of damage, made by hand, is found by us as
 * by qemu-img, is mended so that both find nothing more, and what was whole
 * stays as it was. How a repair goes: test_repair_run.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/damage.h"

#define COPIED (UINT64_C(1) << 63)

/* --- counts --------------------------------------------------------------- */

START_TEST (leaked_clusters_are_given_back) {
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=4096");
	struct qcow2_check found;
	uint64_t size;
	uint8_t *before = damage_content(file, &size);

	damage_put_count(file, &m, damage_grow(file, &m), 1);
	damage_put_count(file, &m, damage_grow(file, &m), 7);
	damage_is(file, LEAKS);
	damage_check(file, QCOW2_REPAIR_LEAKS, &found);
	ck_assert_uint_eq(found.leaks_fixed, 2);
	ck_assert_uint_eq(found.leaks, 0);
	damage_is(file, CLEAN);
	ck_assert_uint_eq(damage_changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (a_count_too_high_is_lowered_with_its_flags) {
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=4096");
	struct qcow2_check found;

	damage_put_count(file, &m, m.data, 3);
	damage_is(file, CORRUPT); /* COPIED and a count of 3 */
	damage_check(file, QCOW2_REPAIR_LEAKS, &found);
	ck_assert_uint_eq(found.leaks, 0);
	ck_assert_uint_eq(found.corruptions, 0);
	damage_is(file, CLEAN);

	/* as a crash of others leaves it: the flag is off too */
	damage_put_count(file, &m, m.data, 2);
	damage_put(file, damage_l2_at(&m), 8,
		damage_get(file, damage_l2_at(&m), 8) & ~COPIED);
	damage_is(file, LEAKS);
	damage_check(file, QCOW2_REPAIR_LEAKS, &found);
	damage_is(file, CLEAN);
	ck_assert_uint_eq(damage_get(file, damage_l2_at(&m), 8) & COPIED,
		COPIED);
}
END_TEST

START_TEST (a_count_too_low_is_raised) {
	struct damaged t;

	damaged_begin(&t, "cluster_size=4096");
	damage_put_count(t.file, &t.m, t.m.data, 0);
	damage_put_count(t.file, &t.m, t.m.l2, 0);
	damage_put_count(t.file, &t.m, t.m.l1, 0);
	damage_put_count(t.file, &t.m, 0, 0);
	damaged_end(&t, 0);
}
END_TEST

START_TEST (leaks_alone_leave_damage_alone) {
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=4096");
	struct qcow2_check found;

	damage_put(file, damage_l2_at(&m), 8, UINT64_C(1) << 40 | COPIED);
	damage_is(file, CORRUPT);
	damage_check(file, QCOW2_REPAIR_LEAKS, &found);
	/* m.data is leaked, but may be what the entry meant */
	ck_assert_uint_eq(found.leaks, 1);
	ck_assert_uint_eq(found.leaks_fixed, 0);
	ck_assert_ptr_nonnull(strstr(damage_told, "are kept"));
	ck_assert_uint_eq(damage_get(file, damage_l2_at(&m), 8),
		UINT64_C(1) << 40 | COPIED);
}
END_TEST

START_TEST (wrong_copied_flags_are_set_right) {
	struct damaged t;
	uint64_t l1;

	damaged_begin(&t, "cluster_size=4096");
	l1 = damage_l1_at(t.file, &t.m);
	damage_put(t.file, damage_l2_at(&t.m), 8,
		damage_get(t.file, damage_l2_at(&t.m), 8) ^ COPIED);
	damage_put(t.file, l1, 8, damage_get(t.file, l1, 8) ^ COPIED);
	damaged_end(&t, 0);
}
END_TEST

START_TEST (a_lost_refcount_block_is_made_anew) {
	static const char *const options[] = { "cluster_size=512",
		"cluster_size=4096,refcount_bits=1",
		"cluster_size=512,refcount_bits=64", "compat=0.10",
		"cluster_size=2M", "cluster_size=16384,extended_l2=on" };

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct damaged t;

		damaged_begin(&t, options[i]);
		damage_put(t.file, t.m.rt, 8, 0);
		damaged_end(&t, 0);
	}
}
END_TEST

START_TEST (a_wrong_refcount_table_is_made_anew) {
	static const uint64_t wrong[] = { 0x200, 1, UINT64_C(1) << 50,
		UINT64_MAX, 0x1000 /* the header's neighbour */ };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct damaged t;

		damaged_begin(&t, "cluster_size=4096");
		damage_put(t.file, t.m.rt, 8, wrong[i]);
		damaged_end(&t, 0);
	}
}
END_TEST

START_TEST (a_refcount_block_used_for_data_is_moved) {
	struct damaged t;

	damaged_begin(&t, "cluster_size=4096");
	damage_put(t.file, t.m.rt, 8, t.m.data);
	damaged_end(&t, 0);

	/* and one that is in the table twice */
	damage_find(t.file, &t.m);
	damage_put(t.file, t.m.rt + 8, 8, t.m.block);
	damage_is(t.file, CORRUPT);
	damage_mend(t.file);
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
		struct damaged t;

		damaged_begin(&t, "cluster_size=4096");
		damage_put(t.file, damage_l2_at(&t.m), 8, wrong[i]);
		damaged_end(&t, 1);
	}
}
END_TEST

START_TEST (reserved_bits_are_taken_off) {
	static const uint64_t bits[] = { 0x100, 0x2, UINT64_C(1) << 61,
		UINT64_C(1) << 56 };

	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		struct damaged t;
		uint64_t l1;

		damaged_begin(&t, "cluster_size=4096");
		l1 = damage_l1_at(t.file, &t.m);
		damage_put(t.file, damage_l2_at(&t.m), 8,
			damage_get(t.file, damage_l2_at(&t.m), 8) | bits[i]);
		damage_put(t.file, l1, 8, damage_get(t.file, l1, 8) | bits[i]);
		damaged_end(&t, 0);
	}
}
END_TEST

START_TEST (an_l1_entry_that_cannot_be_is_dropped) {
	static const uint64_t wrong[] = { UINT64_C(1) << 40, 0x200, 0x200000,
		UINT64_C(0x00fffffffffff000) };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct damage_map m;
		struct node *file = damage_image(&m, "cluster_size=4096");

		damage_put(file, damage_l1_at(file, &m), 8, wrong[i] | COPIED);
		damage_mend(file);
	}
}
END_TEST

START_TEST (data_is_kept_when_an_l1_entry_leads_to_it) {
	struct damage_map m;
	struct node *file = damage_make("cluster_size=512", DAMAGE_SIZE, 40, 7);
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
	damage_is(file, CORRUPT);
	damage_mend(file);
	/* 64 clusters have lost their table, others nothing */
	memset(before + lost, 0, 64 * 512);
	ck_assert_uint_eq(damage_changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (data_never_lies_in_a_table) {
	struct damaged t;

	damaged_begin(&t, "cluster_size=4096");
	damage_put(t.file, damage_l2_at(&t.m), 8, t.m.l1 | COPIED);
	damaged_end(&t, 1);
}
END_TEST

START_TEST (a_cluster_used_twice_is_counted_twice) {
	struct damage_map m;
	struct node *file = damage_image(&m, "cluster_size=4096");
	uint64_t at, size;
	uint8_t *before;

	at = damage_l2_at(&m) + 8;
	ck_assert_uint_lt(at, m.l2 + m.cluster);
	damage_put(file, at, 8, m.data | COPIED);
	damage_is(file, CORRUPT);
	before = damage_content(file, &size);
	damage_mend(file);
	ck_assert_uint_eq(damage_get(file, at, 8), m.data);
	ck_assert_uint_eq(damage_get(file, damage_l2_at(&m), 8), m.data);
	ck_assert_uint_eq(damage_changed(file, before, m.cluster), 0);
}
END_TEST

START_TEST (compressed_entries_are_mended) {
	struct damaged t;
	uint64_t at, end;

	damaged_begin(&t, "cluster_size=4096");
	end = t.m.l2 + t.m.cluster;
	for (at = t.m.l2; at < end; at += 8)
		if (damage_get(t.file, at, 8) >> 62 == 1)
			break;
	ck_assert_uint_lt(at, end);
	damage_put(t.file, at, 8, damage_get(t.file, at, 8) | COPIED);
	damaged_end(&t, 0);
}
END_TEST

START_TEST (subclusters_are_zeros_or_data) {
	struct damaged t;
	uint64_t at, map;

	damaged_begin(&t, "cluster_size=16384,extended_l2=on");
	at = t.m.l2 + t.m.l2_index * 16;
	map = damage_get(t.file, at + 8, 8);
	ck_assert_uint_ne(map & UINT32_MAX, 0);
	damage_put(t.file, at + 8, 8, map | map << 32);
	damaged_end(&t, 0);

	at += 16;
	ck_assert_uint_lt(at, t.m.l2 + t.m.cluster);
	damage_put(t.file, at, 8, 0);
	damage_put(t.file, at + 8, 8, 0xff);
	damage_is(t.file, CORRUPT);
	damage_mend(t.file);
}
END_TEST

/* --- snapshots, bitmaps -------------------------------------------------- */

static struct node *with_snapshots(struct damage_map *m, uint64_t *table)
{
	struct node *file;

	damage_make_file("cluster_size=4096", DAMAGE_SIZE, 40, 7);
	qt_sh_ok("qemu-img snapshot -c one img.qcow2");
	damage_scribble(DAMAGE_SIZE, 5, 8);
	qt_sh_ok("qemu-img snapshot -c two img.qcow2");
	damage_scribble(DAMAGE_SIZE, 5, 9);
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
		damage_mend(file);
		ck_assert_uint_eq(snapshots_of(file), 1);
		ck_assert_uint_eq(damage_changed(file, before, m.cluster), 0);
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
	damage_mend(file);
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
	damage_is(file, CORRUPT);
	damage_mend(file);
	ck_assert_uint_eq(snapshots_of(file), 2);
	table = damage_get(file, 64, 8);
	ck_assert_uint_eq(damage_get(file, table + 36, 4), 16);
	ck_assert_uint_eq(damage_get(file, table + 48, 8), DAMAGE_SIZE);
}
END_TEST

START_TEST (broken_bitmaps_are_dropped) {
	struct damage_map m;
	struct node *file;
	uint64_t dir, at = 104, size;
	struct qcow2_check found;
	uint8_t *before;

	damage_make_file("cluster_size=4096", DAMAGE_SIZE, 20, 7);
	qt_sh_ok("qemu-img bitmap --add -g 512 img.qcow2 b0");
	damage_scribble(DAMAGE_SIZE, 10, 8);
	file = qt_load(rig_path("img.qcow2"));
	damage_is(file, CLEAN);
	damage_find(file, &m);
	before = damage_content(file, &size);
	while (damage_get(file, at, 4) != 0x23852875)
		at += 8;
	dir = damage_get(file, at + 8 + 16, 8);
	damage_put(file, dir, 8, 0x123);
	damage_check(file, QCOW2_REPAIR_NONE, &found);
	ck_assert_uint_gt(found.corruptions, 0);
	ck_assert_ptr_nonnull(strstr(damage_told, "bitmaps"));
	damage_mend(file);
	ck_assert_uint_eq(damage_get(file, 88, 8), 0);
	ck_assert_uint_eq(damage_changed(file, before, m.cluster), 0);
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
	broken_bitmaps_are_dropped)
