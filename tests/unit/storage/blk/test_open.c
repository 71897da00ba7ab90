/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be opened, what cannot and how that is told, and image locks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/rig.h"
#include "tests/unit/suite.h"

START_TEST (missing_file_is_named) {
	struct blk_opts o = rig_opts(rig_path("none.raw"));

	rig_open_fails(&o, ENOENT, "there is no such file: check the path");
}
END_TEST

START_TEST (folder_pipe_and_character_device_are_refused) {
	struct blk_opts o = rig_opts(rig_dir);
	const char *fifo = rig_path("fifo");

	rig_open_fails(&o, EISDIR, "is a folder");
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	o.path = fifo;
	rig_open_fails(&o, EINVAL, "is a pipe: a disk must be a file");
	o.readonly = true;
	rig_open_fails(&o, EINVAL, "is a pipe: a disk must be a file");
	o.path = "/dev/null";
	rig_open_fails(&o, EINVAL, "is a character device");
}
END_TEST

START_TEST (socket_is_refused) {
	struct err e = ERR_NONE;
	const char *path = rig_path("sock");
	struct blk_opts o = rig_opts(path);
	int fd = io_unix_listen(path, 1, &e);

	ck_assert_int_ge(fd, 0);
	rig_open_fails(&o, EINVAL, "is a socket");
	close(fd);
}
END_TEST

START_TEST (empty_file_is_refused) {
	struct blk_opts o = rig_opts(rig_file("empty", 0));

	rig_open_fails(&o, EINVAL, "is empty: give it a size");
}
END_TEST

START_TEST (file_without_permission_is_told) {
	struct blk_opts o = rig_opts(rig_file("mine", 4096));

	ck_assert_int_eq(chmod(o.path, 0400), 0);
	ck_assert_int_eq(chmod(rig_dir, 0755), 0);
	ck_assert_int_eq(chown(o.path, 65534, 65534), getuid() ? -1 : 0);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	rig_open_fails(&o, EACCES, "cannot open it for writing");
	rig_open_fails(&o, EACCES, "set readonly = yes");
	o.readonly = true;
	blk_close(rig_open(&o));
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST (auto_takes_all_else_as_raw) {
	struct blk_opts o = rig_opts(rig_file("x.img", 65536));
	struct blk_info info;
	struct blk *b;

	rig_write_file(o.path, 0, "VMDK", 4);
	o.format = BLK_AUTO;
	b = rig_open(&o);
	blk_info(b, &info);
	ck_assert_str_eq(info.format, "raw");
	blk_close(b);
}
END_TEST

START_TEST (the_last_bytes_of_an_odd_file_are_there) {
	const char *path = rig_file("odd", 512 + 7);
	struct blk_opts o = rig_opts(path);
	char buf[1024], want[1024] = { 0 };
	struct blk *b;

	for (int direct = 0; direct < 2; direct++) {
		rig_write_file(path, 512, "1234567", 7);
		memcpy(want + 512, "1234567", 7);
		o.cache = direct && rig_has_direct() ? BLK_NONE : BLK_WRITEBACK;
		b = rig_open(&o);
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 1024), 0);
		ck_assert_mem_eq(buf, want, 1024);
		memset(want + 512, 'x', 512);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 512, want + 512, 512),
			0);
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 1024), 0);
		ck_assert_mem_eq(buf, want, 1024);
		blk_close(b);
		rig_read_file(path, 0, buf, 1024);
		ck_assert_mem_eq(buf, want, 1024);
		ck_assert_int_eq(truncate(path, 512 + 7), 0);
		memset(want + 512, 0, 512);
	}
}
END_TEST

START_TEST (info_tells_size_blocks_and_access) {
	struct blk_opts o = rig_opts(rig_file("x.img", 65536 + 700));
	struct blk_info info;
	struct blk *b = rig_open(&o);

	blk_info(b, &info);
	ck_assert_uint_eq(info.size, 65536 + 1024); /* rounded up */
	ck_assert_uint_eq(info.block_size, 512);
	ck_assert(size_is_pow2(info.phys_size));
	ck_assert(size_is_pow2(info.discard_align));
	ck_assert(!info.readonly && info.can_discard && info.can_write_zeroes);
	blk_close(b);
	o.readonly = true;
	b = rig_open(&o);
	blk_info(b, &info);
	ck_assert(info.readonly && !info.can_discard);
	blk_close(b);
}
END_TEST

START_TEST (refused_io_uring_falls_back_to_threads_and_says_why) {
	struct blk_opts o = rig_opts(rig_file("x.img", 65536));
	struct err e = ERR_NONE;
	struct blk_info info;
	struct log *log;
	struct blk *b;
	uint8_t *text;
	size_t len;

	rig_refuse(SYS_io_uring_setup, EPERM);
	ck_assert_int_eq(log_open(rig_path("log"), &log, &e), 0);
	ck_assert_int_eq(blk_open(&o, rig_loop, log, &b, &e), 0);
	blk_info(b, &info);
	ck_assert_str_eq(info.aio, "threads");
	blk_close(b);
	log_close(log);
	ck_assert_int_eq(io_read_file(rig_path("log"), 4096, &text, &len, &e),
		0);
	ck_assert_ptr_nonnull(strstr((char *)text,
		"the kernel refuses io_uring (Operation not permitted), using "
		"threads"));
	free(text);
	o.aio = BLK_AIO_URING;
	rig_open_fails(&o, EPERM, "the kernel refuses io_uring");
}
END_TEST

START_TEST (no_descriptors_left_is_an_error) {
	struct blk_opts o = rig_opts(rig_file("x.img", 65536));
	int fd = open("/dev/null", O_RDONLY);

	close(fd);
	suite_limit_fds(fd + 1); /* for the image only */
	rig_open_fails(&o, EMFILE, "cannot start I/O threads");
	suite_limit_fds(fd);
	rig_open_fails(&o, EMFILE, "cannot open it");
	suite_limit_fds(-1);
	blk_close(rig_open(&o));
}
END_TEST

START_TEST (writers_lock_each_other_out) {
	struct blk_opts o = rig_opts(rig_file("x.img", 65536));
	struct blk *b = rig_open(&o);

	rig_open_fails(&o, EBUSY, "has it open for writing: stop that first");
	o.no_lock = true;
	blk_close(rig_open(&o));
	o.no_lock = false;
	blk_close(b);
	for (int i = 0; i < 20; i++) /* free as soon as it is closed */
		blk_close(rig_open(&o));
}
END_TEST

START_TEST (readers_share_and_keep_writers_out) {
	struct blk_opts o = rig_opts(rig_file("x.img", 65536));
	struct blk *first, *second;

	o.readonly = true;
	first = rig_open(&o);
	second = rig_open(&o);
	o.readonly = false;
	rig_open_fails(&o, EBUSY, "or set readonly = yes here");
	blk_close(first);
	rig_open_fails(&o, EBUSY, "or set readonly = yes here");
	blk_close(second);
	first = rig_open(&o);
	o.readonly = true;
	rig_open_fails(&o, EBUSY, "has it open for writing");
	blk_close(first);
}
END_TEST

static int qemu_io(const char *opts, const char *cmd, const char *path)
{
	return rig_sh("qemu-io %s -f raw -c '%s' %s", opts, cmd, path);
}

START_TEST (qemu_respects_our_locks) {
	struct blk_opts o = rig_opts(rig_file("x.img", 65536));
	struct blk *b;

	if (!rig_has("qemu-io")) {
		puts("skip qemu_respects_our_locks no qemu-io");
		return;
	}
	b = rig_open(&o);
	ck_assert_int_ne(qemu_io("", "write 0 512", o.path), 0);
	ck_assert_int_eq(qemu_io("-r -U", "read 0 512", o.path), 0);
	blk_close(b);
	ck_assert_int_eq(qemu_io("", "write 0 512", o.path), 0);
	o.readonly = true;
	b = rig_open(&o);
	ck_assert_int_ne(qemu_io("", "write 0 512", o.path), 0);
	ck_assert_int_eq(qemu_io("-r", "read 0 512", o.path), 0);
	blk_close(b);
}
END_TEST

START_TEST (we_respect_qemus_locks) {
	struct blk_opts o = rig_opts(rig_file("x.img", 65536));
	FILE *f;

	if (!rig_has("qemu-io")) {
		puts("skip we_respect_qemus_locks no qemu-io");
		return;
	}
	o.readonly = true;
	f = rig_qemu_hold("-f raw x.img");
	rig_open_fails(&o, EBUSY, "has it open for writing");
	o.readonly = false;
	rig_open_fails(&o, EBUSY, "has it open for writing");
	pclose(f);
	blk_close(rig_open(&o));
}
END_TEST

RIG_SUITE("storage/open", missing_file_is_named,
	folder_pipe_and_character_device_are_refused, socket_is_refused,
	empty_file_is_refused, file_without_permission_is_told,
	auto_takes_all_else_as_raw, the_last_bytes_of_an_odd_file_are_there,
	info_tells_size_blocks_and_access,
	refused_io_uring_falls_back_to_threads_and_says_why,
	no_descriptors_left_is_an_error, writers_lock_each_other_out,
	readers_share_and_keep_writers_out, qemu_respects_our_locks,
	we_respect_qemus_locks)
