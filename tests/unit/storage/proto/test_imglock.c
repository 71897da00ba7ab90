/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Locks against ourselves and against QEMU's tools, in both directions: who
 * may read, write, resize or make anew what somebody else has open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "storage/core/node.h"
#include "storage/proto/imglock.h"
#include "storage/proto/proto.h"

#include "tests/unit/storage/rig.h"

#define NEEDS_QEMU()                                                           \
	do {                                                                   \
		if (!rig_has("qemu-img") || !rig_has("qemu-io")) {             \
			printf("skip %s no qemu-img\n", __func__);             \
			return;                                                \
		}                                                              \
	} while (0)

static int opened(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST (each_use_lets_in_whom_it_may) {
	static const int want[3][3] = {
		/* second:       READ    WRITE   GROW */
		{ 0, -EBUSY, -EBUSY },      /* first reads */
		{ -EBUSY, -EBUSY, -EBUSY }, /* writes */
		{ -EBUSY, -EBUSY, -EBUSY }, /* grows */
	};
	const char *path = rig_file("a.img", 4096);

	for (int i = 0; i < 9; i++) {
		struct err e = ERR_NONE;
		int a = opened(path), b = opened(path), r;

		ck_assert_int_eq(imglock_take(a, path,
					 (enum imglock_use)(i / 3), NULL, &e),
			0);
		r = imglock_take(b, path, (enum imglock_use)(i % 3), NULL, &e);
		ck_assert_msg(r == want[i / 3][i % 3], "%d: %d", i, r);
		if (r)
			ck_assert_ptr_nonnull(
				strstr(e.msg, "stop that first, or "));
		close(a);
		imglock_drop(b);
		close(b);
	}
}
END_TEST

START_TEST (growing_for_a_while_asks_who_minds) {
	const char *path = rig_file("a.img", 4096);
	struct err e = ERR_NONE;
	int a = opened(path), b = opened(path);
	/* somebody who lets others write but not resize: byte 203 */
	struct flock fl = { .l_type = F_RDLCK, .l_start = 203, .l_len = 1 };

	ck_assert_int_eq(imglock_take(a, path, IMGLOCK_WRITE, NULL, &e), 0);
	ck_assert_int_eq(imglock_grow(a, path, &e), 0);
	imglock_grown(a);
	ck_assert_int_eq(fcntl(b, F_OFD_SETLK, &fl), 0);
	ck_assert_int_eq(imglock_grow(a, path, &e), -EBUSY);
	ck_assert_ptr_nonnull(strstr(e.msg, "a.img: in use"));
	close(a);
	close(b);
}
END_TEST

START_TEST (an_exclusive_lock_is_busy_and_no_locks_are_told) {
	const char *path = rig_file("a.img", 4096);
	struct err e = ERR_NONE;
	int a = opened(path), b = opened(path);
	struct flock fl = { .l_type = F_WRLCK, .l_start = 100, .l_len = 200 };
	struct log *log;
	uint8_t *text;
	size_t len;

	ck_assert_int_eq(fcntl(b, F_OFD_SETLK, &fl), 0);
	ck_assert_int_eq(imglock_take(a, path, IMGLOCK_READ, NULL, &e), -EBUSY);
	ck_assert_int_eq(log_open(rig_path("log"), &log, &e), 0);
	rig_refuse(SYS_fcntl, ENOLCK);
	ck_assert_int_eq(imglock_take(a, path, IMGLOCK_WRITE, log, &e), 0);
	ck_assert_int_eq(imglock_grow(a, path, &e), 0);
	log_close(log);
	ck_assert_int_eq(io_read_file(rig_path("log"), 4096, &text, &len, &e),
		0);
	ck_assert_ptr_nonnull(strstr((char *)text,
		"a.img: its file system has no locks (No locks available)"));
	free(text);
}
END_TEST

/* QEMU's tools while we have an image open. */

static int qemu(const char *cmd)
{
	return rig_sh("cd %s && %s", rig_dir, cmd);
}

static struct blk *ours(const char *name, enum blk_format format, bool readonly)
{
	struct blk_opts o = rig_opts(rig_path(name));

	o.format = format;
	o.readonly = readonly;
	return rig_open(&o);
}

START_TEST (qemu_keeps_off_a_format_that_we_write) {
	struct blk *b;

	NEEDS_QEMU();
	ck_assert_int_eq(qemu("qemu-img create -f qcow2 a.qcow2 1M"), 0);
	b = ours("a.qcow2", BLK_QCOW2, false);
	ck_assert_int_ne(qemu("qemu-img info a.qcow2"), 0);
	ck_assert_int_eq(qemu("qemu-img info -U a.qcow2"), 0);
	ck_assert_int_ne(qemu("qemu-img resize a.qcow2 2M"), 0);
	ck_assert_int_ne(qemu("qemu-img create -f qcow2 a.qcow2 1M"), 0);
	ck_assert_int_ne(qemu("qemu-img create -f raw a.qcow2 1M"), 0);
	ck_assert_int_ne(qemu("qemu-img snapshot -c x a.qcow2"), 0);
	ck_assert_int_ne(qemu("qemu-img rebase -u -b x -F raw a.qcow2"), 0);
	blk_close(b);
	ck_assert_int_eq(qemu("qemu-img info a.qcow2"), 0);
	b = ours("a.qcow2", BLK_QCOW2, true);
	ck_assert_int_eq(qemu("qemu-img info a.qcow2"), 0);
	ck_assert_int_eq(qemu("qemu-io -r -c 'read 0 4k' a.qcow2"), 0);
	ck_assert_int_ne(qemu("qemu-img resize a.qcow2 2M"), 0);
	ck_assert_int_ne(qemu("qemu-img create -f raw a.qcow2 1M"), 0);
	blk_close(b);
	ck_assert_int_eq(qemu("qemu-img resize a.qcow2 2M"), 0);
}
END_TEST

START_TEST (qemu_reads_a_backing_file_with_us_and_does_not_write_it) {
	struct blk *b;

	NEEDS_QEMU();
	ck_assert_int_eq(qemu("qemu-img create -f raw base.raw 1M"), 0);
	ck_assert_int_eq(qemu("qemu-img create -f qcow2 -b base.raw -F raw "
			      "a.qcow2"),
		0);
	ck_assert_int_eq(qemu("qemu-img create -f qcow2 -b base.raw -F raw "
			      "b.qcow2"),
		0);
	b = ours("a.qcow2", BLK_QCOW2, false);
	ck_assert_int_eq(qemu("qemu-io -c 'write 0 4k' b.qcow2"), 0);
	ck_assert_int_eq(qemu("qemu-io -r -f raw -c 'read 0 4k' base.raw"), 0);
	ck_assert_int_ne(qemu("qemu-io -f raw -c 'write 0 4k' base.raw"), 0);
	ck_assert_int_ne(qemu("qemu-img commit b.qcow2"), 0);
	ck_assert_int_ne(qemu("qemu-img resize -f raw base.raw 2M"), 0);
	blk_close(b);
	ck_assert_int_eq(qemu("qemu-img commit b.qcow2"), 0);
}
END_TEST

/* We while QEMU has an image open. */

static void refused(const char *name, enum blk_format format, bool readonly,
	const char *has)
{
	struct blk_opts o = rig_opts(rig_path(name));

	o.format = format;
	o.readonly = readonly;
	rig_open_fails(&o, EBUSY, has);
}

START_TEST (we_keep_off_what_qemu_has_open) {
	struct err e = ERR_NONE;
	FILE *f;

	NEEDS_QEMU();
	ck_assert_int_eq(qemu("qemu-img create -f qcow2 base.qcow2 1M"), 0);
	ck_assert_int_eq(qemu("qemu-img create -f qcow2 -b base.qcow2 -F qcow2 "
			      "top.qcow2"),
		0);
	f = rig_qemu_hold("top.qcow2");
	refused("top.qcow2", BLK_QCOW2, false, "has it open for writing");
	refused("top.qcow2", BLK_QCOW2, true, "has it open for writing");
	refused("base.qcow2", BLK_QCOW2, false, "reads it and wants no writer");
	blk_close(ours("base.qcow2", BLK_QCOW2, true));
	ck_assert_int_eq(proto_create(rig_path("top.qcow2"), 0,
				 NODE_PREALLOC_OFF, &e),
		-EBUSY);
	ck_assert_int_eq(proto_create(rig_path("base.qcow2"), 0,
				 NODE_PREALLOC_OFF, &e),
		-EBUSY);
	pclose(f);
	ck_assert_int_eq(qemu("qemu-img check base.qcow2"), 0); /* whole */
	blk_close(ours("top.qcow2", BLK_QCOW2, false));
	f = rig_qemu_hold("-r top.qcow2");
	refused("top.qcow2", BLK_QCOW2, false, "reads it and wants no writer");
	blk_close(ours("top.qcow2", BLK_QCOW2, true));
	pclose(f);
	f = rig_qemu_hold("-f raw base.qcow2");
	refused("top.qcow2", BLK_QCOW2, false, "its backing file: ");
	refused("top.qcow2", BLK_QCOW2, true, "has it open for writing");
	pclose(f);
}
END_TEST

START_TEST (no_lock_passes_by_all_of_it) {
	struct blk_opts o = rig_opts(rig_file("a.img", 65536));
	struct blk *b = rig_open(&o), *c;

	o.no_lock = true;
	c = rig_open(&o);
	blk_close(c); /* and does not drop the other's */
	o.no_lock = false;
	rig_open_fails(&o, EBUSY, "in use");
	blk_close(b);
}
END_TEST

RIG_SUITE("storage/imglock", each_use_lets_in_whom_it_may,
	growing_for_a_while_asks_who_minds,
	an_exclusive_lock_is_busy_and_no_locks_are_told,
	qemu_keeps_off_a_format_that_we_write,
	qemu_reads_a_backing_file_with_us_and_does_not_write_it,
	we_keep_off_what_qemu_has_open, no_lock_passes_by_all_of_it)
