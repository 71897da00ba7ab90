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

QT_SUITE("qcow2 check", statistics_are_those_of_qemu, snapshots_are_counted,
	bitmaps_are_counted)
