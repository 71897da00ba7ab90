/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The world goes wrong under images in real files: no room on the file
 * system, a limit on file sizes, a device that fails, files that shrink,
 * tables overwritten by another process. Requests end with the right errno,
 * the image stays sound, what was flushed is there, and when the cause is
 * gone work goes on without opening anything anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/rig.h"

#define CLUSTER (64 * KiB)
#define SIZE    (8 * MiB)
#define BLOCKS  (SIZE / CLUSTER)

/* An image, and what each of its clusters must be filled with. */
struct disk {
	char *path;
	struct blk *b;
	uint8_t fill[BLOCKS];
	bool torn[BLOCKS]; /* a write failed: sectors are old or new */
	uint8_t tried[BLOCKS];
	uint8_t buf[CLUSTER];
	struct log *log;
};

/* --- an image --- */

static void disk_create(const char *path, const char *options,
	const char *backing)
{
	struct img_create o = { .path = path, .format = BLK_QCOW2 };
	struct err e = ERR_NONE;

	ck_assert_msg(!img_options_parse(&o.options, BLK_QCOW2, options, &e),
		"%s", e.msg);
	o.options.size = SIZE;
	o.options.has_size = true;
	if (backing) {
		strcpy(o.options.backing_file, backing);
		strcpy(o.options.backing_format, "raw");
	}
	ck_assert_msg(!img_create(&o, NULL, &e), "%s", e.msg);
}

static void disk_open(struct disk *d, enum blk_format format, enum blk_aio aio,
	enum blk_cache cache)
{
	struct blk_opts o = rig_opts(d->path);
	struct err e = ERR_NONE;

	o.format = format;
	o.aio = aio;
	o.cache = cache;
	if (!d->log)
		ck_assert_int_eq(log_open(rig_path("log"), &d->log, &e), 0);
	ck_assert_msg(!blk_open(&o, rig_loop, d->log, &d->b, &e), "%s", e.msg);
}

/* The log has this text. */
static void disk_logged(const char *text)
{
	struct err e = ERR_NONE;
	uint8_t *all;
	size_t len;

	ck_assert_int_eq(io_read_file(rig_path("log"), 16 * MiB, &all, &len,
				 &e),
		0);
	ck_assert_msg(strstr((char *)all, text), "no '%s' in: %s", text,
		(char *)all);
	free(all);
}

/* Write cluster i full of fill. */
static int disk_write(struct disk *d, unsigned i, uint8_t fill)
{
	int r;

	memset(d->buf, fill, CLUSTER);
	r = blk_rw(d->b, BLK_WRITE, 0, i * CLUSTER, CLUSTER, d->buf);
	d->torn[i] = r != 0;
	d->tried[i] = fill;
	if (!r)
		d->fill[i] = fill;
	return r;
}

static int disk_read(struct disk *d, unsigned i)
{
	return blk_rw(d->b, BLK_READ, 0, i * CLUSTER, CLUSTER, d->buf);
}

static int disk_flush(struct disk *d)
{
	return blk_rw(d->b, BLK_FLUSH, 0, 0, 0, NULL);
}

static bool all_is(const uint8_t *buf, size_t len, uint8_t fill)
{
	return buf[0] == fill && !memcmp(buf, buf + 1, len - 1);
}

static void is_torn(const struct disk *d, unsigned i)
{
	bool ok = true;

	for (size_t k = 0; k < CLUSTER; k += 512)
		ok = ok && (all_is(d->buf + k, 512, d->fill[i]) ||
				   all_is(d->buf + k, 512, d->tried[i]));
	ck_assert(ok);
}

static void disk_has(struct disk *d)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		ck_assert_int_eq(disk_read(d, i), 0);
		if (d->torn[i]) {
			is_torn(d, i);
			continue;
		}
		ck_assert_msg(all_is(d->buf, CLUSTER, d->fill[i]),
			"cluster %u begins with %u and is not all %u", i,
			d->buf[0], d->fill[i]);
	}
}

/* An incompatible bit of the header; version 2 has none. */
static bool has_bit(const char *path, unsigned bit)
{
	uint8_t head[80];

	rig_read_file(path, 0, head, sizeof(head));
	return head[7] > 2 && (head[79] & bit);
}

/*
 * At most leaks, says QEMU. The image may be open. One that is dirty has
 * counts that are to be made anew, at the next opening.
 */
static void disk_sound(struct disk *d)
{
	int r;

	ck_assert(!has_bit(d->path, 2));
	if (has_bit(d->path, 1))
		return;
	r = rig_sh("qemu-img check -U -f qcow2 %s", d->path);
	ck_assert_msg(r == 0 || r == 3, "qemu-img check: %d", r);
}

static void disk_end(struct disk *d, int want)
{
	ck_assert_int_eq(blk_close(d->b), want);
	d->b = NULL;
}

static void disk_free(struct disk *d)
{
	log_close(d->log);
	free(d->path);
	free(d);
}

static struct disk *disk_new(const char *path)
{
	struct disk *d = calloc(1, sizeof(*d));

	ck_assert_ptr_nonnull(d);
	d->path = strdup(path);
	ck_assert_ptr_nonnull(d->path);
	return d;
}

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
	return has_bit(path, 2);
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

RIG_SUITE("storage/faults", a_full_file_system_fails_writes_until_there_is_room,
	writes_at_once_that_find_no_room_harm_no_other,
	a_limit_of_file_sizes_fails_writes_until_it_is_raised,
	a_short_write_is_finished_or_fails,
	a_close_that_cannot_write_says_so_and_loses_nothing_flushed,
	what_a_raw_file_lost_is_an_error_until_it_is_written,
	a_copy_of_a_file_that_lost_its_end_fails,
	read_errors_of_a_backing_file_reach_the_request,
	an_image_whose_file_was_cut_reads_right_or_fails,
	a_device_without_room_fails_direct_writes_until_there_is_some,
	an_image_on_a_device_without_room_stays_sound_and_goes_on,
	a_flush_that_failed_in_the_page_cache_fails_until_opened_anew,
	read_errors_of_a_device_reach_the_request,
	nonsense_in_an_l2_table_fails_what_uses_it_and_marks_the_image,
	a_hole_in_a_refcount_block_never_gives_away_a_table,
	a_hole_in_an_l2_table_reads_as_zeros_and_check_tells,
	a_table_that_cannot_be_read_fails_requests_and_no_more)
