/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Check: what it finds in good and in damaged images, and that qemu-img finds
 * the same. Damage is made by hand in an image in memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/check.h"

#include "tests/unit/storage/qcow2/damage.h"

/* Ours and qemu-img's must say the same. */
static void same_as_qemu(struct node *file)
{
	struct qcow2_check mine, theirs;

	damage_check(file, QCOW2_REPAIR_NONE, &mine);
	damage_qemu_check(file, &theirs);
	ck_assert_uint_eq(mine.errors, theirs.errors);
	ck_assert_uint_eq(mine.corruptions, theirs.corruptions);
	ck_assert_uint_eq(mine.leaks, theirs.leaks);
	ck_assert_uint_eq(mine.total, theirs.total);
	ck_assert_uint_eq(mine.allocated, theirs.allocated);
	ck_assert_uint_eq(mine.compressed, theirs.compressed);
	ck_assert_uint_eq(mine.fragmented, theirs.fragmented);
	ck_assert_uint_eq(mine.image_end, theirs.image_end);
}

static const char *const options[] = {
	"compat=0.10",
	"cluster_size=512",
	"cluster_size=512,refcount_bits=1",
	"cluster_size=1024,refcount_bits=2",
	"cluster_size=4096,refcount_bits=4",
	"cluster_size=512,refcount_bits=8",
	"cluster_size=65536,refcount_bits=32",
	"cluster_size=4096,refcount_bits=64",
	"cluster_size=2M",
	"cluster_size=16384,extended_l2=on",
	"cluster_size=65536,extended_l2=on,preallocation=metadata",
	"compression_type=zstd",
	"lazy_refcounts=on",
	"preallocation=metadata",
	"preallocation=falloc,cluster_size=4096",
};

START_TEST (statistics_are_those_of_qemu) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file =
			damage_make(options[i], 8 * MiB, 30, (unsigned)i);

		same_as_qemu(file);
	}
}
END_TEST

START_TEST (snapshots_are_counted) {
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file;

		damage_make_file(options[i], 4 * MiB, 20, (unsigned)i);
		/* narrow refcounts refuse it */
		qt_sh("qemu-img snapshot -c one img.qcow2 2>/dev/null");
		damage_scribble(4 * MiB, 10, 100 + (unsigned)i);
		qt_sh("qemu-img snapshot -c two img.qcow2 2>/dev/null");
		damage_scribble(4 * MiB, 10, 200 + (unsigned)i);
		file = qt_load(rig_path("img.qcow2"));
		same_as_qemu(file);
	}
}
END_TEST

START_TEST (bitmaps_are_counted) {
	struct node *file;

	damage_make_file("cluster_size=4096", 8 * MiB, 10, 3);
	qt_sh_ok("qemu-img bitmap --add img.qcow2 b0");
	qt_sh_ok("qemu-img bitmap --add -g 512 img.qcow2 a_second_one");
	damage_scribble(8 * MiB, 10, 4);
	file = qt_load(rig_path("img.qcow2"));
	same_as_qemu(file);
}
END_TEST

/* --- in bounds ------------------------------------------------------------ */

struct rounds {
	struct node *n;
	uint32_t max;
	enum qcow2_repair how;
	struct qcow2_check r;
};

static int rounds_fn(void *arg)
{
	struct rounds *t = arg;
	struct qcheck c;
	struct err e = ERR_NONE;
	int r = qcheck_init(&c, qcow2_of(t->n), NULL, &e);

	ck_assert_int_eq(r, 0);
	c.max_pieces = t->max;
	r = qcheck_run(&c, 0, &e);
	ck_assert_msg(!r, "%s", e.msg);
	if (t->how)
		r = qrepair(&c, t->how, &e);
	ck_assert_msg(!r, "%s", e.msg);
	t->r = c.r;
	qcheck_fini(&c);
	return 0;
}

static void in_rounds(struct node *file, uint32_t max, enum qcow2_repair how,
	struct qcow2_check *out)
{
	struct qcow2_opts o = { .for_check = true };
	struct rounds t = { .max = max, .how = how };
	struct err e = ERR_NONE;

	ck_assert_int_eq(qt_open(file, &o, &t.n, &e), 0);
	ck_assert_int_eq(qt_run(rounds_fn, &t), 0);
	/* what it has in memory is of before the repair */
	qcow2_of(t.n)->active = false;
	ck_assert_int_eq(qt_close(t.n), 0);
	*out = t.r;
}

START_TEST (little_memory_makes_rounds_and_no_difference) {
	struct damage_map m;
	struct node *file;
	struct qcow2_check all, some;
	uint64_t size, was;
	uint8_t *before, *now;

	damage_make_file("cluster_size=512", 4 * MiB, 40, 5);
	qt_sh_ok("qemu-img snapshot -c one img.qcow2");
	damage_scribble(4 * MiB, 20, 6);
	file = qt_load(rig_path("img.qcow2"));
	before = damage_content(file, &size);
	in_rounds(file, 1000, QCOW2_REPAIR_NONE, &all);
	ck_assert_uint_eq(all.corruptions + all.leaks, 0);
	for (uint32_t max = 2; max < 6; max++) {
		in_rounds(file, max, QCOW2_REPAIR_NONE, &some);
		ck_assert(!memcmp(&all, &some, sizeof(all)));
	}
	/* the blocks of the second half are lost */
	damage_find(file, &m);
	was = damage_get(file, m.rt, 8);
	memset(memnode_bytes(file, NULL) + m.rt + 64, 0, 512 - 64);
	in_rounds(file, 1000, QCOW2_REPAIR_NONE, &all);
	ck_assert_uint_gt(all.corruptions, 100);
	in_rounds(file, 2, QCOW2_REPAIR_NONE, &some);
	ck_assert(!memcmp(&all, &some, sizeof(all)));
	in_rounds(file, 2, QCOW2_REPAIR_ALL, &some);
	ck_assert_uint_eq(some.corruptions + some.leaks + some.errors, 0);
	damage_find(file, &m);
	ck_assert_uint_ne(was, damage_get(file, m.rt, 8));
	same_as_qemu(file);
	now = damage_content(file, &size);
	ck_assert(!memcmp(now, before, size));
	free(before);
	free(now);
}
END_TEST

START_TEST (a_table_used_often_is_walked_once) {
	struct damage_map m;
	struct node *file;
	struct qcow2_check found;
	uint32_t n = 1u << 20;
	uint64_t l1, size;

	/* 8 MiB of L1 entries that all lead to one table of 256 Ki entries */
	file = damage_make("cluster_size=2M", 2 * MiB, 10, 1);
	damage_find(file, &m);
	memnode_bytes(file, &size);
	l1 = size_up(size, 2 * MiB);
	ck_assert_int_eq(qt_io(file, BLK_WRITE_ZEROES, 0, l1, NULL,
				 (uint64_t)n * 8),
		0);
	for (uint32_t i = 0; i < n; i++)
		damage_put(file, l1 + i * 8, 8, m.l2);
	damage_put(file, 36, 4, n);
	damage_put(file, 40, 8, l1);
	damage_check(file, QCOW2_REPAIR_NONE, &found);
	ck_assert_uint_gt(found.corruptions, 0);
	ck_assert_ptr_nonnull(strstr(damage_told, "1048576 times"));
}
END_TEST

QT_SUITE("qcow2 check", little_memory_makes_rounds_and_no_difference,
	a_table_used_often_is_walked_once, statistics_are_those_of_qemu,
	snapshots_are_counted, bitmaps_are_counted)
