/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The formats through blk_open(), on files. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/import/imp.h"

static struct blk *open_as(const char *name, enum blk_format format,
	bool direct)
{
	struct blk_opts o = rig_opts(rig_path(name));

	o.format = format;
	o.readonly = true;
	o.cache = direct ? BLK_NONE : BLK_WRITEBACK;
	return rig_open(&o);
}

/* Reads as the raw file does; what has holes there has them here. */
static void same(struct blk *b, const char *raw, bool sparse)
{
	const uint64_t step = 777 * 512;
	uint64_t size, zeros = 0;
	uint8_t *want = imp_slurp(raw, &size), *buf = malloc(step);
	struct blk_info info;

	blk_info(b, &info);
	ck_assert_uint_eq(info.size, size);
	ck_assert(info.readonly);
	for (uint64_t at = 0; at < size; at += step) {
		uint64_t len = step < size - at ? step : size - at;

		ck_assert_int_eq(blk_rw(b, BLK_READ, 0, at, len, buf), 0);
		ck_assert(!memcmp(buf, want + at, len));
	}
	for (uint64_t at = 0; at < size;) {
		struct blk_extent x;

		ck_assert_int_eq(blk_status(b, 0, at, size - at, &x), 0);
		ck_assert_uint_gt(x.len, 0);
		zeros += x.zero ? x.len : 0;
		at += x.len;
	}
	ck_assert(!sparse || zeros > 0);
	free(want);
	free(buf);
}

static void round_trip(enum blk_format f, const char *format,
	const char *options)
{
	struct blk *b;

	imp_raw("raw", 24 * MiB + 512, 21);
	imp_convert("raw", format, options, "a.img");
	for (int direct = 0; direct < 2; direct++) {
		if (direct && !rig_has_direct())
			continue;
		b = open_as("a.img", f, direct);
		same(b, "raw", true);
		ck_assert_int_eq(blk_close(b), 0);
	}
}

START_TEST (images_are_read_through_the_wrapper) {
	round_trip(BLK_VMDK, "vmdk", "");
	round_trip(BLK_VMDK, "vmdk", "subformat=streamOptimized");
	round_trip(BLK_VMDK, "vmdk", "subformat=twoGbMaxExtentSparse");
	round_trip(BLK_VDI, "vdi", "");
	round_trip(BLK_VHDX, "vhdx", "block_size=1M");
}
END_TEST

START_TEST (holes_of_flat_images_are_told) {
	round_trip(BLK_VMDK, "vmdk", "subformat=monolithicFlat");
	round_trip(BLK_VMDK, "vmdk", "subformat=twoGbMaxExtentFlat");
	round_trip(BLK_VDI, "vdi", "static=on");
	round_trip(BLK_VHDX, "vhdx", "subformat=fixed,block_size=1M");
}
END_TEST

START_TEST (the_format_is_found_by_the_content) {
	struct blk_opts o;
	struct blk_info info;
	struct blk *b;

	imp_raw("raw", 3 * MiB, 22);
	imp_convert("raw", "vmdk", "", "a.vmdk");
	imp_convert("raw", "vdi", "", "a.vdi");
	imp_convert("raw", "vhdx", "", "a.vhdx");
	b = open_as("a.vmdk", BLK_AUTO, false);
	blk_info(b, &info);
	ck_assert_str_eq(info.format, "vmdk");
	blk_close(b);
	b = open_as("a.vdi", BLK_AUTO, false);
	same(b, "raw", false);
	blk_close(b);
	b = open_as("a.vhdx", BLK_AUTO, false);
	same(b, "raw", false);
	blk_close(b);

	/* a raw disk must not become one that names files */
	imp_convert("raw", "vmdk", "subformat=monolithicFlat", "t.vmdk");
	o = rig_opts(rig_path("t.vmdk"));
	o.format = BLK_AUTO;
	o.readonly = true;
	rig_open_fails(&o, EINVAL, "t-flat.vmdk");
}
END_TEST

START_TEST (writing_is_refused) {
	struct blk_opts o;

	imp_raw("raw", 3 * MiB, 23);
	imp_convert("raw", "vhdx", "", "a.vhdx");
	o = rig_opts(rig_path("a.vhdx"));
	o.format = BLK_VHDX;
	rig_open_fails(&o, EROFS, "a.vhdx");
}
END_TEST

START_TEST (a_missing_extent_is_named) {
	struct blk_opts o;

	imp_raw("raw", 3 * MiB, 24);
	imp_convert("raw", "vmdk", "subformat=monolithicFlat", "t.vmdk");
	ck_assert_int_eq(remove(rig_path("t-flat.vmdk")), 0);
	o = rig_opts(rig_path("t.vmdk"));
	o.format = BLK_VMDK;
	o.readonly = true;
	rig_open_fails(&o, ENOENT, "t-flat.vmdk");
	/* a FIFO does not hang us */
	ck_assert_int_eq(mkfifo(rig_path("t-flat.vmdk"), 0600), 0);
	rig_open_fails(&o, EINVAL, "t-flat.vmdk");
}
END_TEST

RIG_SUITE("import_open", images_are_read_through_the_wrapper,
	holes_of_flat_images_are_told, the_format_is_found_by_the_content,
	writing_is_refused, a_missing_extent_is_named)
