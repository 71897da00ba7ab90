/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening and closing qcow2 images, and what the header says meanwhile: the
 * dirty, corrupt and autoclear bits, data file and backing file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/header.h"

#include "tests/unit/storage/qcow2/qtest.h"

#define CLUSTER (64 * KiB)

static uint64_t word(struct node *file, uint64_t at)
{
	return get_be64(memnode_bytes(file, NULL) + at);
}

static void set_word(struct node *file, uint64_t at, uint64_t v)
{
	put_be64(memnode_bytes(file, NULL) + at, v);
}

static int write_at(struct node *n, uint64_t off, unsigned seed)
{
	uint8_t buf[4096];

	qt_fill(buf, sizeof(buf), seed);
	return qt_io(n, BLK_WRITE, 0, off, buf, sizeof(buf));
}

static bool reads(struct node *n, uint64_t off, unsigned seed)
{
	uint8_t buf[4096];

	ck_assert_int_eq(qt_io(n, BLK_READ, 0, off, buf, sizeof(buf)), 0);
	return qt_is_filled(buf, sizeof(buf), seed);
}

static struct node *new_image(void)
{
	struct qcow2_create o = { .size = 4 * MiB };

	return qt_new(&o);
}

static void refused(struct node *file, const struct qcow2_opts *o, int code,
	const char *has)
{
	struct err e = ERR_NONE;
	struct node *n;

	ck_assert_int_eq(qt_open(file, o, &n, &e), -code);
	ck_assert_err(e, code, has);
}

/* --- open and close ------------------------------------------------------- */

START_TEST (what_is_not_written_changes_nothing) {
	static const char *const options[] = { "compat=1.1",
		"lazy_refcounts=on", "compat=0.10" };
	uint8_t buf[8192];

	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		struct node *file, *n;

		qt_sh_ok("qemu-img create -q -f qcow2 -o %s a.qcow2 10M",
			options[i]);
		file = qt_load(rig_path("a.qcow2"));
		set_word(file, QH_AUTOCLEAR, i ? 0 : 0x100);
		n = qt_opened(file);
		ck_assert_int_eq(qt_io(n, BLK_READ, 0, MiB, buf, 8192), 0);
		ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
		ck_assert_int_eq(qt_close(n), 0);
		ck_assert_uint_eq(memnode_count(file, BLK_WRITE), 0);
		ck_assert(memnode_is_closed(file));
	}
}
END_TEST

START_TEST (refused_file_stays_the_callers) {
	struct qcow2_opts o = { 0 };
	struct node *file = new_image();

	memnode_bytes(file, NULL)[0] = 0;
	refused(file, &o, EINVAL, "mem.qcow2: not a qcow2 image");
	ck_assert(!memnode_is_closed(file));
}
END_TEST

START_TEST (tables_that_cannot_be_read_are_told) {
	struct qcow2_opts o = { 0 };
	struct node *file = new_image();

	/* two reads are the header's */
	for (unsigned i = 2; i < 10; i++) {
		struct err e = ERR_NONE;
		struct node *n;
		int rc;

		memnode_fail(file, BLK_READ, i, EIO);
		rc = qt_open(file, &o, &n, &e);
		memnode_fail(file, BLK_READ, 0, 0);
		if (!rc) {
			ck_assert_uint_ge(i, 3);
			ck_assert_int_eq(qt_close(n), 0);
			return;
		}
		ck_assert_int_eq(rc, -EIO);
		ck_assert_err(e, EIO, "mem.qcow2: ");
		ck_assert(memnode_is_closed(file));
	}
	ck_abort_msg("it never opened");
}
END_TEST

START_TEST (node_tells_what_it_is) {
	struct qcow2_create o = { .size = 4 * MiB,
		.extended_l2 = true,
		.lazy_refcounts = true,
		.zstd = true,
		.refcount_bits = 8,
		.cluster_size = 128 << 10,
		.backing_file = "base",
		.backing_format = "raw" };
	struct node *n = qt_opened(qt_new(&o));
	const char *format;
	struct qcow2_info q;
	struct blk_info i;

	n->ops->info(n, &i);
	ck_assert_uint_eq(i.size, 4 * MiB);
	ck_assert_uint_eq(i.block_size, 512);
	ck_assert_uint_eq(i.cluster_size, 128 << 10);
	ck_assert_uint_eq(i.discard_align, 4096);
	ck_assert_str_eq(i.format, "qcow2");
	ck_assert_str_eq(i.aio, "memory");
	ck_assert(i.can_discard && i.can_write_zeroes && !i.readonly);
	qcow2_info(n, &q);
	ck_assert_uint_eq(q.version, 3);
	ck_assert_uint_eq(q.refcount_bits, 8);
	ck_assert_uint_eq(q.cluster_size, 128 << 10);
	ck_assert(q.extended_l2 && q.lazy_refcounts && q.zstd);
	ck_assert(!q.dirty && !q.corrupt && !q.data_file);
	ck_assert_str_eq(q.backing_file, "base");
	ck_assert_str_eq(q.backing_format, "raw");
	ck_assert_str_eq(qcow2_backing_file(n, &format), "base");
	ck_assert_str_eq(format, "raw");
	ck_assert_ptr_null(qcow2_data_file(n));
	ck_assert_int_eq(qt_close(n), 0);
}
END_TEST

START_TEST (readonly_image_takes_no_changes) {
	struct qcow2_opts o = { .readonly = true };
	struct node *file = new_image(), *n;
	struct err e = ERR_NONE;
	struct blk_info i;

	ck_assert_int_eq(qt_open(file, &o, &n, &e), 0);
	ck_assert_int_eq(write_at(n, 0, 1), -EROFS);
	ck_assert_int_eq(qt_io(n, BLK_DISCARD, 0, 0, NULL, CLUSTER), -EROFS);
	ck_assert_int_eq(qt_io(n, BLK_WRITE_ZEROES, 0, 0, NULL, 512), -EROFS);
	n->ops->info(n, &i);
	ck_assert(i.readonly && !i.can_discard && !i.can_write_zeroes);
	ck_assert_int_eq(qt_close(n), 0);
}
END_TEST

START_TEST (failing_close_is_told_and_closes) {
	struct node *file = new_image(), *n = qt_opened(file);
	struct node *base = memnode_new(qt_ctx, "base", MiB);

	memnode_hold(base);
	qcow2_set_backing(n, base);
	ck_assert_ptr_eq(qcow2_backing(n), base);
	ck_assert_int_eq(write_at(n, 0, 1), 0);
	memnode_fail(file, BLK_WRITE, 0, EIO);
	ck_assert_int_eq(qt_close(n), -EIO);
	ck_assert(memnode_is_closed(file));
	ck_assert(memnode_is_closed(base));
	/* what was not flushed may be lost, the image is whole */
	memnode_fail(file, BLK_WRITE, 0, 0);
	qt_sh("true");
	n = qt_opened(file);
	ck_assert_int_eq(qt_close(n), 0);
	memnode_free(base);
}
END_TEST

START_TEST (backing_can_be_taken_back) {
	struct node *n = qt_opened(new_image());
	struct node *base = memnode_new(qt_ctx, "base", MiB);

	memnode_hold(base);
	memset(memnode_bytes(base, NULL), 0x77, MiB);
	qcow2_set_backing(n, base);
	ck_assert(!reads(n, 0, 1));
	ck_assert_ptr_eq(qcow2_take_backing(n), base);
	ck_assert_ptr_null(qcow2_backing(n));
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert(!memnode_is_closed(base));
	memnode_free(base);
}
END_TEST

/* --- bits ----------------------------------------------------------------- */

START_TEST (autoclear_bits_go_with_the_first_write) {
	struct node *file = new_image(), *n;

	set_word(file, QH_AUTOCLEAR, 0xff01);
	set_word(file, QH_COMPATIBLE, 0xff00);
	n = qt_opened(file);
	ck_assert_uint_eq(word(file, QH_AUTOCLEAR), 0xff01);
	ck_assert_int_eq(write_at(n, 0, 1), 0);
	ck_assert_uint_eq(word(file, QH_AUTOCLEAR), 0);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(file, QH_COMPATIBLE), 0xff00);
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), 0);
}
END_TEST

START_TEST (bitmaps_of_qemu_img_stay_but_are_not_trusted) {
	struct node *file, *n;
	uint64_t size;

	qt_sh_ok("qemu-img create -q -f qcow2 a.qcow2 10M && "
		 "qemu-img bitmap --add a.qcow2 one");
	file = qt_load(rig_path("a.qcow2"));
	ck_assert_uint_eq(word(file, QH_AUTOCLEAR), QAUTOCLEAR_BITMAPS);
	n = qt_opened(file);
	ck_assert_int_eq(write_at(n, 0, 1), 0);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(file, QH_AUTOCLEAR), 0);
	ck_assert_ptr_nonnull(memmem(memnode_bytes(file, &size), 1024,
		"\x23\x85\x28\x75", 4));
	/* the bitmap's clusters leak, nothing worse */
	memnode_save(file, rig_path("b.qcow2"));
	ck_assert_int_eq(qt_sh("qemu-img check -q b.qcow2 >/dev/null 2>&1"), 3);
	qt_sh_ok("qemu-img check -q -r leaks b.qcow2 >/dev/null 2>&1");
}
END_TEST

START_TEST (lazy_image_is_dirty_while_it_is_written) {
	struct qcow2_create o = { .size = 4 * MiB, .lazy_refcounts = true };
	struct node *file = qt_new(&o), *n = qt_opened(file);
	struct qcow2_info i;

	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), 0);
	ck_assert_int_eq(write_at(n, 0, 1), 0);
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), QINCOMPAT_DIRTY);
	qcow2_info(n, &i);
	ck_assert(i.dirty);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), 0);
	qt_check(file);
}
END_TEST

/* A copy of a file as a power loss would leave it after a flush. */
static struct node *crashed(struct node *file)
{
	memnode_save(file, rig_path("crash.qcow2"));
	return qt_load(rig_path("crash.qcow2"));
}

START_TEST (lazy_image_is_repaired_after_a_crash) {
	struct qcow2_create o = { .size = 4 * MiB, .lazy_refcounts = true };
	struct node *file = qt_new(&o), *n = qt_opened(file), *left;

	ck_assert_int_eq(write_at(n, MiB, 7), 0);
	ck_assert_int_eq(write_at(n, 3 * MiB, 8), 0);
	ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	left = crashed(file);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(left, QH_INCOMPATIBLE), QINCOMPAT_DIRTY);

	n = qt_opened(left);
	ck_assert_uint_eq(word(left, QH_INCOMPATIBLE), 0);
	ck_assert(reads(n, MiB, 7));
	ck_assert(reads(n, 3 * MiB, 8));
	/* and it is dirty again with the next write */
	ck_assert_int_eq(write_at(n, 2 * MiB, 9), 0);
	ck_assert_uint_eq(word(left, QH_INCOMPATIBLE), QINCOMPAT_DIRTY);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(left, QH_INCOMPATIBLE), 0);
	qt_check(left);
}
END_TEST

START_TEST (image_that_qemu_left_dirty_is_repaired) {
	struct node *file, *n;
	uint8_t buf[64];

	qt_sh("qemu-img create -q -f qcow2 -o lazy_refcounts=on a.qcow2 10M; "
	      "qemu-io -f qcow2 -c 'write -P 65 1M 1M' -c flush -c abort "
	      "a.qcow2 >/dev/null 2>&1");
	file = qt_load(rig_path("a.qcow2"));
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), QINCOMPAT_DIRTY);
	n = qt_opened(file);
	ck_assert_int_eq(qt_io(n, BLK_READ, 0, 2 * MiB - 64, buf, 64), 0);
	ck_assert_uint_eq(buf[0], 65);
	ck_assert_uint_eq(buf[63], 65);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), 0);
	qt_check(file);
}
END_TEST

START_TEST (dirty_image_is_read_without_repair) {
	struct qcow2_opts ro = { .readonly = true };
	struct qcow2_opts check = { .for_check = true };
	struct node *file = new_image(), *n;
	struct err e = ERR_NONE;

	set_word(file, QH_INCOMPATIBLE, QINCOMPAT_DIRTY);
	ck_assert_int_eq(qt_open(file, &ro, &n, &e), 0);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_int_eq(qt_open(file, &check, &n, &e), 0);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), QINCOMPAT_DIRTY);
	ck_assert_uint_eq(memnode_count(file, BLK_WRITE), 3);
}
END_TEST

START_TEST (repair_that_fails_is_told) {
	struct qcow2_opts o = { 0 };
	struct node *file = new_image();
	uint64_t rt = word(file, QH_RT_OFFSET);

	set_word(file, QH_INCOMPATIBLE, QINCOMPAT_DIRTY);
	/* a count that is wrong, so that there is something to write */
	memnode_bytes(file, NULL)[word(file, rt) + 1] = 2;
	memnode_fail(file, BLK_WRITE, 0, EIO);
	refused(file, &o, EIO, "mem.qcow2: ");
	ck_assert(memnode_is_closed(file));
	memnode_fail(file, BLK_WRITE, 0, 0);
	ck_assert_int_eq(qt_close(qt_opened(file)), 0);
	qt_check(file);
}
END_TEST

START_TEST (corrupt_image_is_only_read) {
	struct qcow2_opts rw = { 0 }, ro = { .readonly = true };
	struct qcow2_opts check = { .for_check = true };
	struct node *file = new_image(), *n;
	struct err e = ERR_NONE;
	struct qcow2_info i;

	set_word(file, QH_INCOMPATIBLE, QINCOMPAT_CORRUPT);
	refused(file, &rw, EACCES, "marked corrupt");
	ck_assert_int_eq(qt_open(file, &ro, &n, &e), 0);
	qcow2_info(n, &i);
	ck_assert(i.corrupt);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_int_eq(qt_open(file, &check, &n, &e), 0);
	ck_assert_int_eq(qt_close(n), 0);
}
END_TEST

/* An image with data at 0, whose L2 entry then says that it is at host. */
static struct node *with_wrong_entry(unsigned version, uint64_t host)
{
	struct qcow2_create o = { .size = 4 * MiB, .version = version };
	struct node *file = qt_new(&o), *n = qt_opened(file);
	uint64_t l1, l2;

	ck_assert_int_eq(write_at(n, 0, 1), 0);
	ck_assert_int_eq(write_at(n, MiB, 2), 0);
	ck_assert_int_eq(qt_close(n), 0);
	l1 = word(file, QH_L1_OFFSET);
	l2 = word(file, l1) & QL1_OFFSET;
	set_word(file, l2, host | QL2_COPIED);
	return file;
}

static bool log_has(const char *text)
{
	return qt_sh("grep -q '%s' log", text) == 0;
}

START_TEST (damage_that_is_met_stops_writing_for_good) {
	struct qcow2_opts rw = { 0 };
	struct node *file = with_wrong_entry(3, 0x1200), *n = qt_opened(file);

	ck_assert_int_eq(write_at(n, 0, 3), -EIO);
	ck_assert_int_eq(write_at(n, 2 * MiB, 3), -EIO);
	ck_assert(reads(n, MiB, 2));
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), QINCOMPAT_CORRUPT);
	ck_assert(log_has("mem.qcow2: the image is damaged: "));
	refused(file, &rw, EACCES, "marked corrupt");
}
END_TEST

START_TEST (write_into_a_table_is_stopped) {
	struct node *file = with_wrong_entry(3, CLUSTER), *n = qt_opened(file);
	uint64_t rt = word(file, CLUSTER);

	ck_assert_int_eq(write_at(n, 0, 3), -EIO);
	ck_assert_uint_eq(word(file, CLUSTER), rt);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), QINCOMPAT_CORRUPT);
}
END_TEST

START_TEST (version_2_cannot_be_marked) {
	struct node *file = with_wrong_entry(2, 0x1200), *n = qt_opened(file);
	uint64_t before = word(file, QH_INCOMPATIBLE);

	ck_assert_int_eq(write_at(n, 0, 3), -EIO);
	ck_assert_int_eq(write_at(n, 2 * MiB, 3), -EIO);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), before);
}
END_TEST

START_TEST (mark_that_cannot_be_written_is_logged) {
	struct node *file = with_wrong_entry(3, 0x1200), *n = qt_opened(file);

	memnode_fail(file, BLK_WRITE, 0, EIO);
	ck_assert_int_eq(write_at(n, 0, 3), -EIO);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert(log_has("cannot mark the image corrupt"));
}
END_TEST

START_TEST (write_that_could_not_begin_can_be_repeated) {
	struct qcow2_create o = { .size = 4 * MiB, .lazy_refcounts = true };
	struct node *file = qt_new(&o), *n = qt_opened(file);

	memnode_fail_once(file, BLK_WRITE, 0, EIO);
	ck_assert_int_eq(write_at(n, 0, 3), -EIO);
	ck_assert_uint_eq(word(file, QH_INCOMPATIBLE), 0);
	ck_assert_int_eq(write_at(n, 0, 3), 0);
	ck_assert(reads(n, 0, 3));
	ck_assert_int_eq(qt_close(n), 0);
	qt_check(file);
}
END_TEST

/* --- check ---------------------------------------------------------------- */

struct check {
	struct node *n;
	struct qcow2_check found;
	struct err *e;
};

static int check_fn(void *arg)
{
	struct check *c = arg;

	return qcow2_check(c->n, QCOW2_REPAIR_ALL, NULL, &c->found, c->e);
}

/* The refcount table is somewhere else, or nowhere: only a check opens it,
 * and makes it good again. */
static void lost_table(struct node *file, uint64_t offset, uint32_t clusters)
{
	struct qcow2_opts rw = { 0 }, check = { .for_check = true };
	struct err e = ERR_NONE;
	struct check c = { .e = &e };
	uint8_t *b = memnode_bytes(file, NULL);

	put_be64(b + QH_RT_OFFSET, offset);
	put_be32(b + QH_RT_CLUSTERS, clusters);
	refused(file, &rw, EINVAL, "refcount table");
	ck_assert_int_eq(qt_open(file, &check, &c.n, &e), 0);
	ck_assert_int_eq(qt_run(check_fn, &c), 0);
	ck_assert_uint_eq(c.found.corruptions, 0);
	ck_assert_uint_gt(c.found.corruptions_fixed, 0);
	ck_assert_int_eq(qt_close(c.n), 0);
	qt_check(file);
}

START_TEST (lost_refcount_table_is_made_anew_by_a_check) {
	struct node *file = new_image(), *n = qt_opened(file);

	ck_assert_int_eq(write_at(n, MiB, 6), 0);
	ck_assert_int_eq(qt_close(n), 0);
	lost_table(file, CLUSTER, 0);
	lost_table(file, CLUSTER, UINT32_MAX);
	lost_table(file, 0, 1);
	lost_table(file, 512, 1);
	lost_table(file, UINT64_MAX - 65535, 1);
	lost_table(file, word(file, QH_L1_OFFSET), 1);
	n = qt_opened(file);
	ck_assert(reads(n, MiB, 6));
	ck_assert_int_eq(write_at(n, 2 * MiB, 7), 0);
	ck_assert_int_eq(qt_close(n), 0);
	qt_check(file);
}
END_TEST

/* --- data file ------------------------------------------------------------ */

struct with_data {
	struct node *file, *data, *out;
	struct err *e;
};

static int open_data_fn(void *arg)
{
	struct qcow2_opts o = { 0 };
	struct with_data *w = arg;
	int rc = qcow2_open(w->file, &o, &w->out, w->e);

	if (rc < 0)
		return rc;
	if (w->data)
		qcow2_set_data(w->out, w->data);
	rc = qcow2_activate(w->out, w->e);
	if (rc < 0)
		node_close(w->out);
	return rc;
}

START_TEST (data_file_must_be_there) {
	struct qcow2_create o = { .size = 4 * MiB, .data_file = "data" };
	struct err e = ERR_NONE;
	struct with_data w = { .file = qt_mem(), .data = qt_mem(), .e = &e };
	struct node *data = w.data;

	ck_assert_int_eq(qt_create(w.file, data, &o, &e), 0);
	w.data = NULL;
	ck_assert_int_eq(qt_run(open_data_fn, &w), -EINVAL);
	ck_assert_err(e, EINVAL, "its data file is missing");
	memnode_hold(w.file);
	w.data = data;
	ck_assert_int_eq(qt_run(open_data_fn, &w), 0);
	ck_assert_str_eq(qcow2_data_file(w.out), "data");
	ck_assert(!qcow2_data_file_raw(w.out));
	ck_assert_int_eq(write_at(w.out, MiB, 5), 0);
	ck_assert(reads(w.out, MiB, 5));
	ck_assert_int_eq(qt_close(w.out), 0);
	ck_assert(memnode_is_closed(data));
	ck_assert(qt_is_filled(memnode_bytes(data, NULL) + MiB, 4096, 5));
	memnode_save(data, rig_path("data"));
	qt_check(w.file);
	qt_sh_ok("qemu-img compare -q -f raw -F qcow2 data check.qcow2");
}
END_TEST

START_TEST (raw_data_file_bit_stays_when_it_is_written) {
	struct qcow2_create o = { .size = 4 * MiB,
		.data_file = "data",
		.data_file_raw = true };
	struct err e = ERR_NONE;
	struct with_data w = { .file = qt_mem(), .data = qt_mem(), .e = &e };

	ck_assert_int_eq(qt_create(w.file, w.data, &o, &e), 0);
	set_word(w.file, QH_AUTOCLEAR, 0x100 | QAUTOCLEAR_DATA_RAW);
	ck_assert_int_eq(qt_run(open_data_fn, &w), 0);
	ck_assert(qcow2_data_file_raw(w.out));
	ck_assert_int_eq(write_at(w.out, MiB, 5), 0);
	ck_assert_int_eq(write_at(w.out, 2 * MiB, 6), 0);
	ck_assert_int_eq(qt_io(w.out, BLK_WRITE_ZEROES, BLK_UNMAP, MiB, NULL,
				 4096),
		0);
	ck_assert_int_eq(qt_close(w.out), 0);
	ck_assert_uint_eq(word(w.file, QH_AUTOCLEAR), QAUTOCLEAR_DATA_RAW);
	memnode_save(w.data, rig_path("data"));
	qt_check(w.file);
	qt_sh_ok("qemu-img compare -q -f raw -F qcow2 data check.qcow2");
}
END_TEST

/* --- name of the backing file --------------------------------------------- */

struct rename {
	struct node *n;
	const char *file, *format;
	struct err *e;
};

static int rename_fn(void *arg)
{
	struct rename *r = arg;

	return qcow2_set_backing_name(r->n, r->file, r->format, r->e);
}

static int rename_to(struct node *n, const char *file, const char *format,
	struct err *e)
{
	struct rename r = { n, file, format, e };

	return qt_run(rename_fn, &r);
}

START_TEST (backing_file_can_be_renamed) {
	struct node *file = new_image(), *n = qt_opened(file);
	struct err e = ERR_NONE;
	const char *format;
	json_t *info;

	ck_assert_int_eq(write_at(n, MiB, 4), 0);
	ck_assert_int_eq(rename_to(n, "other", "raw", &e), 0);
	ck_assert_str_eq(qcow2_backing_file(n, &format), "other");
	ck_assert_str_eq(format, "raw");
	ck_assert(reads(n, MiB, 4));
	ck_assert_int_eq(qt_close(n), 0);
	qt_sh_ok("truncate -s 1M other");
	qt_check(file);
	info = qt_info("check.qcow2");
	ck_assert_str_eq(json_string_value(
				 json_object_get(info, "backing-filename")),
		"other");
	json_decref(info);

	n = qt_opened(file);
	ck_assert_int_eq(rename_to(n, "next", NULL, &e), 0);
	ck_assert_str_eq(qcow2_backing_file(n, &format), "next");
	ck_assert_ptr_null(format);
	ck_assert_int_eq(rename_to(n, NULL, "raw", &e), 0);
	ck_assert_ptr_null(qcow2_backing_file(n, NULL));
	ck_assert_int_eq(qt_close(n), 0);
	n = qt_opened(file);
	ck_assert_ptr_null(qcow2_backing_file(n, NULL));
	ck_assert(reads(n, MiB, 4));
	ck_assert_int_eq(qt_close(n), 0);
	qt_check(file);
}
END_TEST

START_TEST (wrong_backing_names_are_refused) {
	struct qcow2_create small = { .size = MiB, .cluster_size = 512 };
	struct node *n = qt_opened(qt_new(&small)), *file = new_image();
	struct qcow2_opts ro = { .readonly = true };
	struct err e = ERR_NONE;
	char name[1025];

	memset(name, 'n', sizeof(name));
	name[1024] = '\0';
	ck_assert_int_eq(rename_to(n, name, NULL, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "1 to 1023 bytes");
	ck_assert_int_eq(rename_to(n, "", NULL, &e), -EINVAL);
	ck_assert_int_eq(rename_to(n, "a", name, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "at most 63");
	name[500] = '\0';
	ck_assert_int_eq(rename_to(n, name, NULL, &e), -ENOSPC);
	ck_assert_err(e, ENOSPC, "does not fit in a cluster of 512");
	ck_assert_ptr_null(qcow2_backing_file(n, NULL));
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_int_eq(qt_open(file, &ro, &n, &e), 0);
	ck_assert_int_eq(rename_to(n, "a", NULL, &e), -EROFS);
	ck_assert_err(e, EROFS, "opened for reading only");
	ck_assert_int_eq(qt_close(n), 0);
}
END_TEST

START_TEST (rename_that_fails_leaves_the_old_name) {
	static const enum blk_op ops[] = { BLK_READ, BLK_WRITE, BLK_FLUSH };
	struct qcow2_create o = { .size = 4 * MiB, .backing_file = "old" };
	struct node *file = qt_new(&o), *n = qt_opened(file);

	for (unsigned k = 0; k < ARRAY_LEN(ops); k++) {
		for (unsigned i = 0;; i++) {
			struct err e = ERR_NONE;
			int rc;

			memnode_fail(file, ops[k], i, EIO);
			rc = rename_to(n, "new", NULL, &e);
			memnode_fail(file, ops[k], 0, 0);
			if (!rc)
				break;
			ck_assert_int_eq(rc, -EIO);
			ck_assert_err(e, EIO, "mem.qcow2: ");
			ck_assert_str_eq(qcow2_backing_file(n, NULL), "old");
		}
		ck_assert_int_eq(rename_to(n, "old", NULL, NULL), 0);
	}
	ck_assert_int_eq(qt_close(n), 0);
}
END_TEST

QT_SUITE("qcow2 open", what_is_not_written_changes_nothing,
	refused_file_stays_the_callers, tables_that_cannot_be_read_are_told,
	node_tells_what_it_is, readonly_image_takes_no_changes,
	failing_close_is_told_and_closes, backing_can_be_taken_back,
	autoclear_bits_go_with_the_first_write,
	bitmaps_of_qemu_img_stay_but_are_not_trusted,
	lazy_image_is_dirty_while_it_is_written,
	lazy_image_is_repaired_after_a_crash,
	image_that_qemu_left_dirty_is_repaired,
	dirty_image_is_read_without_repair, repair_that_fails_is_told,
	corrupt_image_is_only_read, damage_that_is_met_stops_writing_for_good,
	write_into_a_table_is_stopped, version_2_cannot_be_marked,
	mark_that_cannot_be_written_is_logged,
	write_that_could_not_begin_can_be_repeated,
	lost_refcount_table_is_made_anew_by_a_check, data_file_must_be_there,
	raw_data_file_bit_stays_when_it_is_written, backing_file_can_be_renamed,
	wrong_backing_names_are_refused, rename_that_fails_leaves_the_old_name)
