/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files that another process cuts off, and tables that it overwrites, under
 * open images: what is lost is an error and never zeros, what cannot be right
 * marks the image corrupt, and the rest works.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/storage/blk/faults.h"

/* --- files that shrink --- */

static void shrunk_raw(enum blk_aio aio, enum blk_cache cache)
{
	struct disk *d = disk_new(rig_file("disk.raw", SIZE));

	disk_open(d, BLK_RAW, aio, cache);
	for (unsigned i = 0; i < BLOCKS; i++)
		ck_assert_int_eq(disk_write(d, i, 5), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	ck_assert_int_eq(truncate(d->path, 4 * CLUSTER + 512), 0);
	ck_assert_int_eq(disk_read(d, 3), 0);
	ck_assert_int_eq(disk_read(d, 4), -EIO);
	ck_assert_int_eq(disk_read(d, 5), -EIO);
	disk_logged("the file has become shorter: byte 262656 of 8388608 is "
		    "gone, and reads of what it lost fail");
	/* written, it is there again */
	for (unsigned i = 4; i < BLOCKS; i++)
		ck_assert_int_eq(disk_write(d, i, 6), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_has(d);
	disk_end(d, 0);
	disk_free(d);
}

START_TEST (what_a_raw_file_lost_is_an_error_until_it_is_written) {
	shrunk_raw(BLK_AIO_AUTO, BLK_WRITEBACK);
	shrunk_raw(BLK_AIO_THREADS, BLK_WRITEBACK);
	if (rig_has_direct())
		shrunk_raw(BLK_AIO_AUTO, BLK_NONE);
}
END_TEST

/* A status that says "zeros" of what is gone would make a copy of nothing. */
START_TEST (a_copy_of_a_file_that_lost_its_end_fails) {
	struct disk *d = disk_new(rig_file("disk.raw", SIZE));
	struct blk_extent x;

	disk_open(d, BLK_RAW, BLK_AIO_AUTO, BLK_WRITEBACK);
	ck_assert_int_eq(blk_status(d->b, 0, 0, SIZE, &x), 0);
	ck_assert(x.zero && x.len == SIZE);
	ck_assert_int_eq(disk_write(d, 0, 1), 0);
	ck_assert_int_eq(truncate(d->path, 4 * CLUSTER), 0);
	ck_assert_int_eq(blk_status(d->b, 0, CLUSTER, SIZE - CLUSTER, &x), 0);
	ck_assert(x.zero && x.len == 3 * CLUSTER);
	ck_assert_int_eq(blk_status(d->b, 0, 4 * CLUSTER, SIZE - 4 * CLUSTER,
				 &x),
		0);
	ck_assert(x.data && !x.zero);
	disk_end(d, 0);
	disk_free(d);
}
END_TEST

START_TEST (read_errors_of_a_backing_file_reach_the_request) {
	const char *base = rig_file("base.raw", SIZE);
	struct disk *d = disk_new(rig_path("disk.qcow2"));

	disk_create(d->path, "cluster_size=64k", "base.raw");
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	ck_assert_int_eq(disk_write(d, 20, 9), 0);
	ck_assert_int_eq(truncate(base, 10 * CLUSTER), 0);
	ck_assert_int_eq(disk_read(d, 9), 0);
	ck_assert_int_eq(disk_read(d, 10), -EIO);
	ck_assert_int_eq(disk_read(d, 20), 0);
	/* what would have to be copied up cannot be, a whole cluster can */
	ck_assert_int_eq(blk_rw(d->b, BLK_WRITE, 0, 11 * CLUSTER, 512, d->buf),
		-EIO);
	ck_assert_int_eq(disk_write(d, 11, 4), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	/* the base is back */
	ck_assert_int_eq(truncate(base, SIZE), 0);
	ck_assert_int_eq(blk_rw(d->b, BLK_WRITE, 0, 12 * CLUSTER, 512, d->buf),
		0);
	ck_assert_int_eq(disk_read(d, 10), 0);
	ck_assert_int_eq(disk_read(d, 11), 0);
	ck_assert_uint_eq(d->buf[CLUSTER - 1], 4);
	disk_end(d, 0);
	disk_sound(d);
	disk_free(d);
}
END_TEST

/* The image's own file is cut under us: errors, no crash, no nonsense. */
START_TEST (an_image_whose_file_was_cut_reads_right_or_fails) {
	struct disk *d = disk_new(rig_path("disk.qcow2"));
	unsigned bad = 0;

	disk_create(d->path, "cluster_size=64k", NULL);
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	for (unsigned i = 0; i < BLOCKS; i++)
		ck_assert_int_eq(disk_write(d, i, (uint8_t)(i + 1)), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	ck_assert_int_eq(truncate(d->path, 3 * MiB), 0);
	for (unsigned i = 0; i < BLOCKS; i++) {
		int r = disk_read(d, i);

		ck_assert(r == 0 || r == -EIO);
		bad += r != 0;
		ck_assert(r ||
			  (d->buf[0] == i + 1 && d->buf[CLUSTER - 1] == i + 1));
	}
	ck_assert_uint_gt(bad, BLOCKS / 2);
	ck_assert_int_eq(disk_write(d, BLOCKS - 1, 3), 0);
	ck_assert_int_eq(disk_read(d, BLOCKS - 1), 0);
	ck_assert_uint_eq(d->buf[0], 3);
	disk_end(d, 0);
	disk_free(d);
}
END_TEST

/* --- tables that somebody overwrote --- */

static uint64_t be64_at(const char *path, uint64_t at)
{
	uint8_t b[8];
	uint64_t v = 0;

	rig_read_file(path, at, b, sizeof(b));
	for (int i = 0; i < 8; i++)
		v = v << 8 | b[i];
	return v;
}

#define OFFSET UINT64_C(0x00fffffffffffe00)

/* Bytes at: of the active L1 table, of what its first entry refers to, of the
 * first refcount block. See qcow2.txt. */
static uint64_t l2_at(const char *path)
{
	return be64_at(path, be64_at(path, 40)) & OFFSET;
}

static uint64_t refs_at(const char *path)
{
	return be64_at(path, be64_at(path, 48));
}

/* An image with a table in the file and in no cache. */
static struct disk *disk_closed(void)
{
	struct disk *d = disk_new(rig_path("disk.qcow2"));

	disk_create(d->path, "cluster_size=64k", NULL);
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(disk_write(d, i, (uint8_t)(i + 1)), 0);
	disk_end(d, 0);
	return d;
}

static bool marked_corrupt(const char *path)
{
	return disk_has_bit(path, 2);
}

/* Opened again it is refused to write; a check says what is wrong. */
static void refused_to_write(struct disk *d)
{
	struct blk_opts o = rig_opts(d->path);
	struct img_ref ref = { .path = d->path, .format = BLK_QCOW2 };
	struct img_check found;
	struct err e = ERR_NONE;

	ck_assert(marked_corrupt(d->path));
	o.format = BLK_QCOW2;
	rig_open_fails(&o, EACCES, "marked corrupt");
	ck_assert_int_eq(img_check(&ref, IMG_REPAIR_NONE, NULL, NULL, NULL,
				 &found, &e),
		0);
	ck_assert_uint_gt(found.corruptions, 0);
}

START_TEST (nonsense_in_an_l2_table_fails_what_uses_it_and_marks_the_image) {
	static const uint8_t nonsense[8] = { 0x80, 0, 0, 0, 0, 1, 0x23, 0x45 };
	struct disk *d = disk_closed();

	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	rig_write_file(d->path, l2_at(d->path) + 8 * 3, nonsense, 8);
	ck_assert_int_eq(disk_read(d, 2), 0);
	ck_assert_int_eq(disk_read(d, 3), -EIO);
	ck_assert_int_eq(disk_read(d, 4), 0);
	ck_assert_uint_eq(d->buf[0], 5);
	ck_assert_int_eq(disk_write(d, 40, 1), -EIO);
	ck_assert_int_ne(disk_flush(d), 0);
	(void)blk_close(d->b);
	disk_logged("the image is damaged: ");
	refused_to_write(d);
	disk_free(d);
}
END_TEST

/* A hole where the counts were: nothing of what is in use may be taken. */
START_TEST (a_hole_in_a_refcount_block_never_gives_away_a_table) {
	struct disk *d = disk_closed();
	uint8_t head[512], after[512];
	int fd;

	rig_read_file(d->path, 0, head, sizeof(head));
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	fd = open(d->path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fallocate(fd, 3, (off_t)refs_at(d->path), CLUSTER), 0);
	close(fd);
	ck_assert_int_eq(disk_write(d, 40, 1), -EIO);
	for (unsigned i = 0; i < 16; i++) {
		ck_assert_int_eq(disk_read(d, i), 0);
		ck_assert_uint_eq(d->buf[0], i + 1);
	}
	(void)blk_close(d->b);
	disk_logged("the image is damaged: ");
	rig_read_file(d->path, 0, after, sizeof(after));
	after[79] &= (uint8_t)~2; /* the corrupt bit */
	ck_assert(!memcmp(head, after, 104));
	refused_to_write(d);
	disk_free(d);
}
END_TEST

/* A hole in an L2 table is no data: what is there is not to be told apart. */
START_TEST (a_hole_in_an_l2_table_reads_as_zeros_and_check_tells) {
	struct disk *d = disk_closed();
	struct img_ref ref = { .path = d->path, .format = BLK_QCOW2 };
	struct img_check found;
	struct err e = ERR_NONE;
	int fd;

	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	fd = open(d->path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fallocate(fd, 3, (off_t)l2_at(d->path), CLUSTER), 0);
	close(fd);
	memset(d->fill, 0, sizeof(d->fill));
	disk_has(d);
	ck_assert_int_eq(disk_write(d, 3, 9), 0);
	disk_has(d);
	disk_end(d, 0);
	ck_assert_int_eq(img_check(&ref, IMG_REPAIR_NONE, NULL, NULL, NULL,
				 &found, &e),
		0);
	ck_assert_uint_eq(found.corruptions, 0);
	ck_assert_uint_eq(found.leaks, 16);
	disk_free(d);
}
END_TEST

/* The table is cut off: its reads fail, and it works when it is back. */
START_TEST (a_table_that_cannot_be_read_fails_requests_and_no_more) {
	struct disk *d = disk_closed();
	char *copy = strdup(rig_path("copy"));
	struct stat st;

	ck_assert_ptr_nonnull(copy);
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	ck_assert_int_eq(stat(d->path, &st), 0);
	ck_assert_int_eq(rig_sh("cp %s %s", d->path, copy), 0);
	ck_assert_int_eq(truncate(d->path, (off_t)l2_at(d->path)), 0);
	ck_assert_int_eq(disk_read(d, 0), -EIO);
	ck_assert_int_eq(disk_write(d, 0, 1), -EIO);
	ck_assert_int_eq(disk_flush(d), 0);
	ck_assert_int_eq(rig_sh("cat %s >%s", copy, d->path), 0);
	disk_has(d);
	ck_assert_int_eq(disk_write(d, 0, 50), 0);
	ck_assert_int_eq(disk_write(d, 50, 50), 0);
	disk_end(d, 0);
	ck_assert(!marked_corrupt(d->path));
	disk_sound(d);
	free(copy);
	disk_free(d);
}
END_TEST

RIG_SUITE("storage/faults-lost",
	what_a_raw_file_lost_is_an_error_until_it_is_written,
	a_copy_of_a_file_that_lost_its_end_fails,
	read_errors_of_a_backing_file_reach_the_request,
	an_image_whose_file_was_cut_reads_right_or_fails,
	nonsense_in_an_l2_table_fails_what_uses_it_and_marks_the_image,
	a_hole_in_a_refcount_block_never_gives_away_a_table,
	a_hole_in_an_l2_table_reads_as_zeros_and_check_tells,
	a_table_that_cannot_be_read_fails_requests_and_no_more)
