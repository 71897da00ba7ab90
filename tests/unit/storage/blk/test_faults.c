/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * No room under images in real files: on the file system, below a limit on
 * file sizes, on a thin device. Requests end with the right errno, the image
 * stays sound, what was flushed is there, and when there is room work goes on
 * without opening anything anew. Other faults are in test_faults_lost.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/storage/blk/faults.h"

/* --- no room --- */

/* A file system of bytes in folder fs; false = not to be had. */
static bool small_fs(uint64_t bytes)
{
	if (rig_mount_tmpfs("fs", bytes))
		return true;
	puts("skip no_room may not mount a tmpfs");
	return false;
}

/* A file that takes bytes of the room, to be removed. */
static void take_room(const char *name, uint64_t bytes)
{
	rig_file(name, 0);
	ck_assert_int_eq(truncate(rig_path(name), 0), 0);
	ck_assert_int_eq(rig_sh("head -c %llu /dev/zero >%s",
				 (unsigned long long)bytes, rig_path(name)),
		0);
}

/* Write clusters from first on until there is no room; the one that failed. */
static unsigned fill_up(struct disk *d, unsigned first)
{
	int r = 0;
	unsigned i = first;

	while (!r && i < BLOCKS) {
		r = disk_write(d, i, (uint8_t)(1 + i));
		i++;
	}
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_uint_gt(i - 1, first);
	return i - 1;
}

static void full_then_room(const char *options, bool backing, enum blk_aio aio)
{
	struct disk *d = disk_new(rig_path("fs/disk.qcow2"));
	unsigned failed;

	take_room("fs/filler", 2 * MiB);
	if (backing)
		ck_assert_int_eq(rig_sh("head -c %llu /dev/zero | tr '\\0' g "
					">%s",
					 (unsigned long long)SIZE,
					 rig_path("base.raw")),
			0);
	if (backing)
		memset(d->fill, 'g', sizeof(d->fill));
	disk_create(d->path, options, backing ? "../base.raw" : NULL);
	disk_open(d, BLK_QCOW2, aio, BLK_WRITEBACK);
	failed = fill_up(d, 0);
	disk_has(d);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_sound(d);
	/* in place there is room; elsewhere not */
	ck_assert_int_eq(disk_write(d, 0, 200), 0);
	ck_assert_int_eq(disk_write(d, BLOCKS - 4, 1), -ENOSPC);
	ck_assert_int_eq(disk_flush(d), 0);
	ck_assert_int_eq(unlink(rig_path("fs/filler")), 0);
	for (unsigned i = failed; i < failed + 8; i++)
		ck_assert_int_eq(disk_write(d, i, 99), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_has(d);
	disk_end(d, 0);
	disk_sound(d);
	disk_open(d, BLK_QCOW2, aio, BLK_WRITEBACK);
	disk_has(d);
	disk_end(d, 0);
	disk_free(d);
	ck_assert_int_eq(unlink(rig_path("fs/disk.qcow2")), 0);
}

START_TEST (a_full_file_system_fails_writes_until_there_is_room) {
	static const char *const options[] = { "compat=1.1", "compat=0.10",
		"lazy_refcounts=on", "extended_l2=on", "cluster_size=4k",
		"cluster_size=256k", "refcount_bits=64,cluster_size=512" };

	if (!small_fs(6 * MiB))
		return;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		full_then_room(options[i], false, BLK_AIO_AUTO);
		full_then_room(options[i], true, BLK_AIO_THREADS);
	}
	rig_umount("fs");
}
END_TEST

/* Many writes at once, many of which fail. */
START_TEST (writes_at_once_that_find_no_room_harm_no_other) {
	enum { N = 96 };
	static struct rig_req q[N];
	static uint8_t bufs[N][CLUSTER];
	struct disk *d;
	unsigned failed = 0;

	if (!small_fs(4 * MiB))
		return;
	d = disk_new(rig_path("fs/disk.qcow2"));
	disk_create(d->path, "cluster_size=64k", NULL);
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	for (unsigned i = 0; i < N; i++) {
		memset(bufs[i], (int)(i + 1), CLUSTER);
		rig_init_req(&q[i], BLK_WRITE, i * CLUSTER, bufs[i], CLUSTER);
		rig_submit(d->b, &q[i]);
	}
	for (unsigned i = 0; i < N; i++) {
		int r = rig_wait(&q[i]);

		ck_assert(r == 0 || r == -ENOSPC);
		failed += r != 0;
		d->fill[i] = r ? 0 : (uint8_t)(i + 1);
	}
	ck_assert_uint_gt(failed, 0);
	ck_assert_uint_lt(failed, N);
	disk_has(d);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_end(d, 0);
	disk_sound(d);
	rig_umount("fs");
	disk_free(d);
}
END_TEST

/* --- a limit on file sizes --- */

static void file_limit(uint64_t bytes)
{
	struct rlimit l;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void limit_then_none(const char *options, enum blk_aio aio)
{
	struct disk *d = disk_new(rig_path("disk.qcow2"));
	unsigned failed;

	disk_create(d->path, options, NULL);
	disk_open(d, BLK_QCOW2, aio, BLK_WRITEBACK);
	file_limit(2 * MiB + 1536);
	failed = fill_up(d, 0);
	disk_has(d);
	ck_assert_int_eq(disk_flush(d), 0);
	file_limit(RLIM_INFINITY);
	disk_sound(d);
	ck_assert_int_eq(disk_write(d, failed, 7), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_end(d, 0);
	disk_sound(d);
	disk_open(d, BLK_QCOW2, aio, BLK_WRITEBACK);
	disk_has(d);
	disk_end(d, 0);
	disk_free(d);
	ck_assert_int_eq(unlink(rig_path("disk.qcow2")), 0);
}

START_TEST (a_limit_of_file_sizes_fails_writes_until_it_is_raised) {
	limit_then_none("cluster_size=64k", BLK_AIO_AUTO);
	limit_then_none("cluster_size=64k", BLK_AIO_THREADS);
	limit_then_none("cluster_size=512", BLK_AIO_AUTO);
	limit_then_none("lazy_refcounts=on", BLK_AIO_AUTO);
}
END_TEST

/* The kernel writes what is below the limit: a short write. */
static void short_writes(enum blk_aio aio, enum blk_cache cache)
{
	struct disk *d = disk_new(rig_file("disk.raw", SIZE));

	disk_open(d, BLK_RAW, aio, cache);
	file_limit(5 * CLUSTER + CLUSTER / 2);
	ck_assert_int_eq(disk_write(d, 4, 1), 0);
	ck_assert_int_eq(disk_write(d, 5, 2), -ENOSPC);
	ck_assert_int_eq(disk_write(d, 6, 3), -ENOSPC);
	ck_assert_int_eq(disk_flush(d), 0);
	file_limit(RLIM_INFINITY);
	ck_assert_int_eq(disk_write(d, 5, 4), 0);
	ck_assert_int_eq(disk_write(d, 6, 5), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_has(d);
	disk_end(d, 0);
	disk_free(d);
}

START_TEST (a_short_write_is_finished_or_fails) {
	short_writes(BLK_AIO_AUTO, BLK_WRITEBACK);
	short_writes(BLK_AIO_THREADS, BLK_WRITEBACK);
	short_writes(BLK_AIO_AUTO, BLK_WRITETHROUGH);
	if (rig_has_direct())
		short_writes(BLK_AIO_AUTO, BLK_NONE);
	else
		puts("skip direct_io /var/tmp does not take it");
}
END_TEST

/* The tables cannot be written any more: close says so. */
static void close_fails(const char *options)
{
	struct disk *d = disk_new(rig_path("disk.qcow2"));
	int flushed, closed;

	disk_create(d->path, options, NULL);
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(disk_write(d, i, 8), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	for (unsigned i = 8; i < 16; i++)
		ck_assert_int_eq(blk_rw(d->b, BLK_WRITE, 0, i * CLUSTER, 512,
					 d->buf),
			0);
	/* no checks below the limit: they are written to a file, too */
	file_limit(1);
	flushed = disk_flush(d);
	closed = blk_close(d->b);
	file_limit(RLIM_INFINITY);
	ck_assert_int_eq(flushed, -ENOSPC);
	ck_assert_int_eq(closed, -ENOSPC);
	disk_sound(d);
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_WRITEBACK);
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_int_eq(disk_read(d, i), 0);
		ck_assert(d->buf[0] == 8 && d->buf[CLUSTER - 1] == 8);
	}
	disk_end(d, 0);
	disk_sound(d);
	disk_free(d);
	ck_assert_int_eq(unlink(rig_path("disk.qcow2")), 0);
}

START_TEST (a_close_that_cannot_write_says_so_and_loses_nothing_flushed) {
	close_fails("cluster_size=64k");
	close_fails("compat=0.10");
	close_fails("lazy_refcounts=on");
	close_fails("extended_l2=on");
}
END_TEST

/* --- a device that fails --- */

/* Bytes of a file that a block device stands on, in a small file system. */
static const char *thin_device(uint64_t fs_bytes, uint64_t bytes)
{
	const char *dev;

	if (!small_fs(fs_bytes))
		return NULL;
	dev = rig_loopdev("fs/dev.img", bytes, 512);
	if (!dev) {
		rig_umount("fs");
		puts("skip thin_device no loop device");
	}
	return dev;
}

static void thin_end(struct disk *d)
{
	rig_loopdev_end(d->path);
	rig_umount("fs");
	disk_free(d);
}

/* Nothing of the page cache is in between: the write itself fails. */
START_TEST (a_device_without_room_fails_direct_writes_until_there_is_some) {
	const char *dev = thin_device(4 * MiB, SIZE);
	struct disk *d;
	unsigned i = 0;
	int r = 0;

	if (!dev)
		return;
	d = disk_new(dev);
	take_room("fs/filler", MiB);
	disk_open(d, BLK_RAW, BLK_AIO_AUTO, BLK_NONE);
	while (!r && i < BLOCKS) {
		r = disk_write(d, i, (uint8_t)(i + 1));
		i++;
	}
	ck_assert(r == -EIO || r == -ENOSPC);
	ck_assert_int_eq(unlink(rig_path("fs/filler")), 0);
	ck_assert_int_eq(disk_write(d, i - 1, 77), 0);
	ck_assert_int_eq(disk_write(d, i, 78), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_has(d);
	disk_end(d, 0);
	thin_end(d);
}
END_TEST

/* The same under a format, whose tables must have their room. */
START_TEST (an_image_on_a_device_without_room_stays_sound_and_goes_on) {
	const char *dev = thin_device(4 * MiB, SIZE);
	struct img_create o = { .format = BLK_QCOW2, .force = true };
	struct err e = ERR_NONE;
	struct disk *d;
	unsigned i = 0;
	int r = 0;

	if (!dev)
		return;
	d = disk_new(dev);
	o.path = d->path;
	o.options.size = SIZE;
	o.options.has_size = true;
	ck_assert_msg(!img_create(&o, NULL, &e), "%s", e.msg);
	take_room("fs/filler", MiB);
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_NONE);
	for (; !r && i < BLOCKS; i++)
		r = disk_write(d, i, (uint8_t)(i + 1));
	ck_assert(r == -EIO || r == -ENOSPC);
	disk_has(d);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_sound(d);
	ck_assert_int_eq(unlink(rig_path("fs/filler")), 0);
	ck_assert_int_eq(disk_write(d, i - 1, 77), 0);
	ck_assert_int_eq(disk_write(d, i, 78), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_end(d, 0);
	disk_sound(d);
	disk_open(d, BLK_QCOW2, BLK_AIO_AUTO, BLK_NONE);
	disk_has(d);
	disk_end(d, 0);
	thin_end(d);
}
END_TEST

/* What the kernel took and could not write is lost: no flush hides that. */
START_TEST (a_flush_that_failed_in_the_page_cache_fails_until_opened_anew) {
	const char *dev = thin_device(4 * MiB, SIZE);
	struct disk *d;
	int r;

	if (!dev)
		return;
	d = disk_new(dev);
	take_room("fs/filler", MiB);
	disk_open(d, BLK_RAW, BLK_AIO_AUTO, BLK_WRITEBACK);
	for (unsigned i = 0; i < BLOCKS; i++)
		ck_assert_int_eq(disk_write(d, i, 1), 0);
	r = disk_flush(d);
	ck_assert(r == -EIO || r == -ENOSPC);
	disk_logged("all flushes fail until it is opened anew");
	ck_assert_int_eq(unlink(rig_path("fs/filler")), 0);
	ck_assert_int_eq(disk_write(d, 0, 2), 0);
	ck_assert_int_eq(disk_flush(d), r);
	disk_end(d, 0);
	disk_open(d, BLK_RAW, BLK_AIO_AUTO, BLK_WRITEBACK);
	ck_assert_int_eq(disk_write(d, 0, 2), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	disk_end(d, 0);
	thin_end(d);
}
END_TEST

/* A device that ends early gives real read errors. */
START_TEST (read_errors_of_a_device_reach_the_request) {
	const char *dev = thin_device(16 * MiB, SIZE);
	struct disk *d;

	if (!dev)
		return;
	d = disk_new(dev);
	disk_open(d, BLK_RAW, BLK_AIO_AUTO, BLK_NONE);
	for (unsigned i = 0; i < BLOCKS; i++)
		ck_assert_int_eq(disk_write(d, i, 1), 0);
	ck_assert_int_eq(disk_flush(d), 0);
	ck_assert_int_eq(truncate(rig_path("fs/dev.img"), 10 * CLUSTER), 0);
	ck_assert_int_eq(disk_read(d, 5), 0);
	ck_assert_int_eq(disk_read(d, 30), -EIO);
	ck_assert_int_eq(truncate(rig_path("fs/dev.img"), SIZE), 0);
	ck_assert_int_eq(disk_read(d, 30), 0);
	disk_end(d, 0);
	thin_end(d);
}
END_TEST

RIG_SUITE("storage/faults", a_full_file_system_fails_writes_until_there_is_room,
	writes_at_once_that_find_no_room_harm_no_other,
	a_limit_of_file_sizes_fails_writes_until_it_is_raised,
	a_short_write_is_finished_or_fails,
	a_close_that_cannot_write_says_so_and_loses_nothing_flushed,
	a_device_without_room_fails_direct_writes_until_there_is_some,
	an_image_on_a_device_without_room_stays_sound_and_goes_on,
	a_flush_that_failed_in_the_page_cache_fails_until_opened_anew,
	read_errors_of_a_device_reach_the_request)
