/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file protocol: where data is, sizes and their change, new files. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/proto/proto.h"

#include "tests/unit/storage/rig.h"

static struct proto_open opts;
static struct node *node;
static struct err why;

static int open_fiber(void *arg)
{
	return file_node_open(arg, &node, &why);
}

static int close_fiber(void *arg)
{
	return node_close(arg);
}

static int open_node(const char *path, bool is_format)
{
	opts.path = path;
	opts.ctx = rig_ctx();
	opts.is_format = is_format;
	memset(&why, 0, sizeof(why));
	return rig_run(open_fiber, &opts);
}

static void must_open(const char *path, bool is_format)
{
	int r = open_node(path, is_format);

	ck_assert_msg(r == 0, "%s", why.msg);
}

static void close_node(void)
{
	ck_assert_int_eq(rig_run(close_fiber, node), 0);
}

struct call {
	uint64_t offset, len;
	void *buf;
	enum node_prealloc how;
	struct blk_extent x;
};

static int read_fiber(void *arg)
{
	struct call *c = arg;

	return node_read(node, c->offset, c->buf, c->len);
}

static int write_fiber(void *arg)
{
	struct call *c = arg;

	return node_write(node, c->offset, c->buf, c->len, 0);
}

static int zero_fiber(void *arg)
{
	struct call *c = arg;

	return node_zero(node, c->offset, c->len, 0);
}

static int status_fiber(void *arg)
{
	struct call *c = arg;

	return node_status(node, c->offset, c->len, 0, &c->x);
}

static int resize_fiber(void *arg)
{
	struct call *c = arg;

	memset(&why, 0, sizeof(why));
	return node_resize(node, c->len, c->how, &why);
}

static int resize(uint64_t size, enum node_prealloc how)
{
	struct call c = { .len = size, .how = how };

	return rig_run(resize_fiber, &c);
}

static void writes(uint64_t offset, uint64_t len)
{
	struct call c = { offset, len, malloc(len), 0, { 0 } };

	memset(c.buf, 1, len);
	ck_assert_int_eq(rig_run(write_fiber, &c), 0);
	free(c.buf);
}

/* "d"ata, "h"ole or "e"nd of the image, for len bytes. */
static void is_status(uint64_t offset, uint64_t ask, char kind, uint64_t len)
{
	struct call c = { .offset = offset, .len = ask };

	ck_assert_int_eq(rig_run(status_fiber, &c), 0);
	ck_assert_uint_eq(c.x.len, len);
	ck_assert_int_eq(c.x.data, kind == 'd');
	ck_assert_int_eq(c.x.zero, kind != 'd');
	ck_assert_int_eq(c.x.present, kind != 'e');
	if (kind == 'e')
		return;
	ck_assert(c.x.has_host);
	ck_assert_uint_eq(c.x.host, offset);
	ck_assert_str_eq(c.x.file, opts.path);
	ck_assert_uint_eq(c.x.depth, 0);
}

START_TEST (status_tells_data_holes_and_the_end) {
	must_open(rig_file("a.img", MiB), true);
	is_status(0, MiB, 'h', MiB);
	writes(256 * KiB, 64 * KiB);
	is_status(0, MiB, 'h', 256 * KiB);
	is_status(0, 4096, 'h', 4096);
	is_status(100 * KiB, MiB, 'h', 156 * KiB); /* from what it knows */
	is_status(256 * KiB, MiB, 'd', 64 * KiB);
	is_status(256 * KiB + 512, 1024, 'd', 1024);
	is_status(320 * KiB, 2 * MiB, 'h', MiB - 320 * KiB);
	is_status(MiB, 4096, 'e', 4096);
	is_status(MiB + 77, GiB, 'e', GiB);
	close_node();
}
END_TEST

START_TEST (status_of_a_guests_file_is_of_whole_blocks) {
	must_open(rig_file("a.img", MiB + 1000), false);
	is_status(0, MiB + 1024, 'h', MiB + 1024);
	is_status(MiB + 512, 512, 'h', 512);
	close_node();
	rig_write_file(opts.path, MiB, "x", 1);
	must_open(opts.path, false);
	is_status(MiB, 1024, 'd', 1024);
	is_status(MiB + 512, 512, 'd', 512);
	close_node();
	must_open(opts.path, true);
	is_status(MiB, 1024, 'd', 1000);
	is_status(MiB + 1000, 24, 'e', 24);
	close_node();
}
END_TEST

START_TEST (status_does_not_remember_what_was_written_over) {
	must_open(rig_file("a.img", MiB), true);
	is_status(0, MiB, 'h', MiB);
	writes(0, 64 * KiB);
	is_status(0, MiB, 'd', 64 * KiB);
	writes(MiB, 64 * KiB);
	is_status(64 * KiB, 2 * MiB, 'h', MiB - 64 * KiB);
	is_status(MiB, 2 * MiB, 'd', 64 * KiB);
	ck_assert_int_eq(resize(2 * MiB, NODE_PREALLOC_OFF), 0);
	is_status(MiB + 64 * KiB, 2 * MiB, 'h', MiB - 64 * KiB);
	close_node();
}
END_TEST

START_TEST (where_holes_cannot_be_found_all_is_data) {
	must_open(rig_file("a.img", MiB), true);
	/* in this thread and those that it starts: the workers */
	rig_refuse(SYS_lseek, EINVAL);
	is_status(4096, GiB, 'd', MiB - 4096);
	is_status(0, 512, 'd', 512);
	close_node();
}
END_TEST

START_TEST (status_of_a_block_device_is_data) {
	const char *dev = rig_loopdev("dev.img", MiB, 512);

	if (!dev) {
		puts("skip status_of_a_block_device no loop device");
		return;
	}
	must_open(dev, true);
	is_status(0, 2 * MiB, 'd', MiB);
	is_status(MiB, 2 * MiB, 'e', 2 * MiB);
	close_node();
}
END_TEST

START_TEST (a_format_may_begin_with_an_empty_file_and_grow_it) {
	uint8_t buf[1000], zeros[1000] = { 0 };
	struct call c = { 0, 1000, buf, 0, { 0 } };

	must_open(rig_file("a.img", 0), true);
	ck_assert_uint_eq(node_size(node), 0);
	memset(buf, 1, sizeof(buf));
	ck_assert_int_eq(rig_run(read_fiber, &c), 0);
	ck_assert_mem_eq(buf, zeros, 1000);
	writes(12345, 777);
	ck_assert_uint_eq(node_size(node), 12345 + 777);
	c.offset = 100 * KiB;
	ck_assert_int_eq(rig_run(zero_fiber, &c), 0);
	ck_assert_uint_eq(node_size(node), 100 * KiB + 1000);
	close_node();
	must_open(rig_path("a.img"), true);
	ck_assert_uint_eq(node_size(node), 100 * KiB + 1000);
	close_node();
}
END_TEST

static uint64_t blocks(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

START_TEST (a_file_grows_with_and_without_room_and_shrinks) {
	static const bool format[] = { false, true };

	for (int i = 0; i < 2; i++) {
		opts.cache = i && rig_has_direct() ? BLK_NONE : BLK_WRITEBACK;
		must_open(rig_file("a.img", MiB), format[i]);
		ck_assert_int_eq(resize(2 * MiB, NODE_PREALLOC_OFF), 0);
		ck_assert_uint_eq(node_size(node), 2 * MiB);
		ck_assert_uint_lt(blocks(opts.path), MiB);
		ck_assert_int_eq(resize(3 * MiB, NODE_PREALLOC_FALLOC), 0);
		ck_assert_uint_ge(blocks(opts.path), MiB);
		ck_assert_uint_lt(blocks(opts.path), 2 * MiB);
		ck_assert_int_eq(resize(4 * MiB, NODE_PREALLOC_FULL), 0);
		ck_assert_uint_ge(blocks(opts.path), 2 * MiB);
		is_status(3 * MiB, GiB, 'd', MiB);
		ck_assert_int_eq(resize(64 * KiB, NODE_PREALLOC_OFF), 0);
		ck_assert_uint_eq(node_size(node), 64 * KiB);
		is_status(64 * KiB, 512, 'e', 512);
		close_node();
	}
}
END_TEST

START_TEST (sizes_that_cannot_be_are_refused) {
	struct rlimit old, half;

	must_open(rig_file("a.img", MiB), false);
	ck_assert_int_eq(resize(1000, NODE_PREALLOC_OFF), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.msg, "must be a multiple of 512"));
	ck_assert_int_eq(resize(0, NODE_PREALLOC_OFF), -EINVAL);
	ck_assert_int_eq(resize(UINT64_MAX - 511, NODE_PREALLOC_OFF), -EFBIG);
	ck_assert_ptr_nonnull(strstr(why.msg, "a.img: cannot give it"));
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	half = old;
	half.rlim_cur = 2 * MiB;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &half), 0);
	ck_assert_int_eq(resize(3 * MiB, NODE_PREALLOC_FULL), -EFBIG);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	ck_assert_uint_eq(node_size(node), MiB);
	close_node();
	opts.readonly = true;
	must_open(rig_path("a.img"), false);
	ck_assert_int_eq(resize(2 * MiB, NODE_PREALLOC_OFF), -EROFS);
	ck_assert_ptr_nonnull(strstr(why.msg, "opened read-only"));
	close_node();
}
END_TEST

/* Room that is not there is given back: nothing half done stays. */
START_TEST (a_full_disk_leaves_the_size_as_it_was) {
	const char *dir = rig_path("mnt");
	struct stat st;

	ck_assert_int_eq(mkdir(dir, 0700), 0);
	if (mount("t", dir, "tmpfs", 0, "size=1m")) {
		puts("skip full_disk no right to mount");
		return;
	}
	must_open(rig_file("mnt/a.img", 4096), true);
	ck_assert_int_eq(resize(4 * MiB, NODE_PREALLOC_FALLOC), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(why.msg, "No space left"));
	ck_assert_int_eq(resize(4 * MiB, NODE_PREALLOC_FULL), -ENOSPC);
	ck_assert_uint_eq(node_size(node), 4096);
	close_node();
	ck_assert_int_eq(stat(rig_path("mnt/a.img"), &st), 0);
	ck_assert_int_eq(st.st_size, 4096);
	ck_assert_int_eq(proto_create(rig_path("mnt/b.img"), 4 * MiB,
				 NODE_PREALLOC_FULL, &why),
		-ENOSPC);
	ck_assert_ptr_nonnull(strstr(why.msg, "mnt/b.img: cannot give it"));
	ck_assert_int_ne(stat(rig_path("mnt/b.img"), &st), 0); /* taken away */
	ck_assert_int_eq(umount(rig_path("mnt")), 0);
}
END_TEST

START_TEST (a_device_keeps_its_size) {
	const char *dev = rig_loopdev("dev.img", MiB, 512);

	if (!dev) {
		puts("skip a_device_keeps_its_size no loop device");
		return;
	}
	must_open(dev, true);
	ck_assert_int_eq(resize(64 * KiB, NODE_PREALLOC_OFF), 0);
	ck_assert_uint_eq(node_size(node), MiB);
	ck_assert_int_eq(resize(2 * MiB, NODE_PREALLOC_OFF), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(why.msg, "has 1048576 bytes, not"));
	ck_assert_ptr_nonnull(strstr(why.msg, "lvextend"));
	close_node();
	must_open(dev, false);
	ck_assert_int_eq(resize(64 * KiB, NODE_PREALLOC_OFF), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(why.msg, "lvreduce"));
	/* made larger outside */
	ck_assert_int_eq(truncate(rig_path("dev.img"), 2 * MiB), 0);
	ck_assert_int_eq(rig_sh("losetup -c %s", dev), 0);
	ck_assert_int_eq(resize(2 * MiB, NODE_PREALLOC_OFF), 0);
	ck_assert_uint_eq(node_size(node), 2 * MiB);
	close_node();
}
END_TEST

START_TEST (writes_past_a_device_are_enospc_and_no_refusal_of_zeroes) {
	const char *dev = rig_loopdev("dev.img", MiB, 512);
	struct call c = { MiB - 512, 1024, NULL, 0, { 0 } };
	uint8_t buf[1024];

	if (!dev) {
		puts("skip writes_past_a_device no loop device");
		return;
	}
	must_open(dev, true);
	ck_assert_int_eq(rig_run(zero_fiber, &c), -ENOSPC);
	c.buf = buf;
	memset(buf, 1, sizeof(buf));
	ck_assert_int_eq(rig_run(write_fiber, &c), -ENOSPC);
	ck_assert_int_eq(rig_run(read_fiber, &c), 0);
	ck_assert_uint_eq(buf[1023], 0);
	close_node();
}
END_TEST

START_TEST (a_mounted_device_is_not_written_to) {
	const char *dev = rig_loopdev("dev.img", 32 * MiB, 512);
	const char *dir = rig_path("mnt");
	struct blk_opts o = rig_opts(dev);

	if (!dev || mkdir(dir, 0700) || rig_sh("mkfs.ext4 -q %s", dev) ||
		mount(dev, dir, "ext4", 0, NULL)) {
		puts("skip a_mounted_device no right to mount");
		return;
	}
	rig_open_fails(&o, EBUSY, "the host has it mounted");
	ck_assert_int_eq(proto_create(o.path, 0, NODE_PREALLOC_OFF, &why),
		-EBUSY);
	o.readonly = true;
	blk_close(rig_open(&o));
	ck_assert_int_eq(umount(dir), 0);
	o.readonly = false;
	blk_close(rig_open(&o));
}
END_TEST

START_TEST (what_a_file_that_shrank_lost_cannot_be_read) {
	struct blk_opts o = rig_opts(rig_file("a.img", MiB));
	struct err e = ERR_NONE;
	uint8_t buf[4096], *text;
	struct log *log;
	struct blk *b;
	char *line;
	size_t len;

	ck_assert_int_eq(log_open(rig_path("log"), &log, &e), 0);
	ck_assert_int_eq(blk_open(&o, rig_loop, log, &b, &e), 0);
	ck_assert_int_eq(truncate(o.path, 4096), 0);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 4096), 0);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 8192, buf, 4096), -EIO);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 4096, buf, 4096), -EIO);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 8192, buf, 4096), 0);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 8192, buf, 4096), 0);
	blk_close(b);
	log_close(log);
	ck_assert_int_eq(io_read_file(rig_path("log"), 8192, &text, &len, &e),
		0);
	line = strstr((char *)text,
		"the file has become shorter: byte 8192 of 1048576 is gone");
	ck_assert_ptr_nonnull(line);
	ck_assert_ptr_null(strstr(line + 1, "the file has become shorter"));
	free(text);
}
END_TEST

/* proto_create() */

START_TEST (create_makes_a_file_that_only_its_owner_reads) {
	const char *path = rig_path("new.img");
	struct stat st;

	umask(0);
	ck_assert_int_eq(proto_create(path, MiB, NODE_PREALLOC_OFF, &why), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, MiB);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(st.st_blocks, 0);
}
END_TEST

START_TEST (create_replaces_what_was_there) {
	static const enum node_prealloc how[] = { NODE_PREALLOC_FALLOC,
		NODE_PREALLOC_FULL };
	static uint8_t buf[4096], zeros[4096];

	for (int i = 0; i < 2; i++) {
		const char *path = rig_file("a.img", 8 * MiB);

		memset(buf, 1, sizeof(buf));
		rig_write_file(path, 0, buf, sizeof(buf));
		ck_assert_int_eq(proto_create(path, MiB, how[i], &why), 0);
		rig_read_file(path, 0, buf, sizeof(buf));
		ck_assert_mem_eq(buf, zeros, sizeof(buf));
		ck_assert_uint_ge(blocks(path), MiB);
		ck_assert_uint_lt(blocks(path), 2 * MiB);
	}
}
END_TEST

START_TEST (create_leaves_an_image_that_is_in_use) {
	struct blk_opts o = rig_opts(rig_file("a.img", MiB));
	uint8_t buf[512];
	struct blk *b;

	memset(buf, 5, sizeof(buf));
	rig_write_file(o.path, 0, buf, sizeof(buf));
	for (int i = 0; i < 2; i++) {
		o.readonly = i;
		b = rig_open(&o);
		ck_assert_int_eq(proto_create(o.path, MiB, NODE_PREALLOC_OFF,
					 &why),
			-EBUSY);
		ck_assert_ptr_nonnull(strstr(why.msg, "a.img: in use"));
		blk_close(b);
		rig_read_file(o.path, 0, buf, sizeof(buf));
		ck_assert_uint_eq(buf[511], 5);
	}
	ck_assert_int_eq(proto_create(o.path, 0, NODE_PREALLOC_OFF, &why), 0);
}
END_TEST

START_TEST (create_says_what_is_in_its_way) {
	const char *dev = rig_loopdev("dev.img", MiB, 512);

	ck_assert_int_eq(proto_create(rig_path("no/a.img"), MiB,
				 NODE_PREALLOC_OFF, &why),
		-ENOENT);
	ck_assert_ptr_nonnull(strstr(why.msg, "its folder is not there"));
	ck_assert_int_eq(proto_create(rig_dir, MiB, NODE_PREALLOC_OFF, &why),
		-EISDIR);
	ck_assert_int_eq(mkfifo(rig_path("fifo"), 0600), 0);
	ck_assert_int_eq(proto_create(rig_path("fifo"), MiB, NODE_PREALLOC_OFF,
				 &why),
		-EINVAL);
	ck_assert_int_eq(proto_create(rig_path("a.img"), UINT64_MAX,
				 NODE_PREALLOC_OFF, &why),
		-EFBIG);
	ck_assert_int_ne(access(rig_path("a.img"), F_OK), 0);
	if (!dev) {
		puts("skip create_on_a_device no loop device");
		return;
	}
	ck_assert_int_eq(proto_create(dev, 2 * MiB, NODE_PREALLOC_OFF, &why),
		-ENOSPC);
	ck_assert_ptr_nonnull(strstr(why.msg, "take a larger device"));
	ck_assert_int_eq(proto_create(dev, MiB, NODE_PREALLOC_FULL, &why), 0);
}
END_TEST

START_TEST (head_of_a_file_is_read_without_its_locks) {
	struct blk_opts o = rig_opts(rig_file("a.img", 700));
	struct blk *b = rig_open(&o);
	uint8_t head[1024];
	uint64_t len = sizeof(head);

	ck_assert_int_eq(file_read_head(o.path, head, &len, &why), 0);
	ck_assert_uint_eq(len, 700);
	blk_close(b);
	ck_assert_int_eq(file_read_head(rig_path("none"), head, &len, &why),
		-ENOENT);
	ck_assert_int_eq(file_read_head("/dev/null", head, &len, &why),
		-EINVAL);
}
END_TEST

RIG_SUITE("storage/file", status_tells_data_holes_and_the_end,
	status_of_a_guests_file_is_of_whole_blocks,
	status_does_not_remember_what_was_written_over,
	where_holes_cannot_be_found_all_is_data,
	status_of_a_block_device_is_data,
	a_format_may_begin_with_an_empty_file_and_grow_it,
	a_file_grows_with_and_without_room_and_shrinks,
	sizes_that_cannot_be_are_refused, a_full_disk_leaves_the_size_as_it_was,
	a_device_keeps_its_size,
	writes_past_a_device_are_enospc_and_no_refusal_of_zeroes,
	a_mounted_device_is_not_written_to,
	what_a_file_that_shrank_lost_cannot_be_read,
	create_makes_a_file_that_only_its_owner_reads,
	create_replaces_what_was_there, create_leaves_an_image_that_is_in_use,
	create_says_what_is_in_its_way,
	head_of_a_file_is_read_without_its_locks)
