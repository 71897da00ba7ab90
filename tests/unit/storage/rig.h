/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What storage tests share: a folder and a loop of their own, files in it,
 * and requests that are waited for.
 */
#ifndef TESTS_UNIT_STORAGE_RIG_H
#define TESTS_UNIT_STORAGE_RIG_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "storage/core/ctx.h"
#include "storage/storage.h"

/*
 * main() of a test file: as SUITE() of tests/unit/suite.h, each test between
 * rig_setup() and rig_teardown().
 */
#define RIG_SUITE(name, ...)                                                   \
	int main(void)                                                         \
	{                                                                      \
		const TTest *tests[] = { __VA_ARGS__ };                        \
		return rig_main(name, tests,                                   \
			sizeof(tests) / sizeof(tests[0]));                     \
	}

int rig_main(const char *name, const TTest **tests, size_t n);
/* Folder and loop; for those who have more around a test. */
void rig_setup(void);
void rig_teardown(void);

extern struct loop *rig_loop;
extern char rig_dir[64];

/* PATH of name in the folder (a static buffer, one of four in turn). */
const char *rig_path(const char *name);

/* Make a sparse file of size bytes; returns its path as rig_path(). */
const char *rig_file(const char *name, uint64_t size);
void rig_write_file(const char *path, uint64_t off, const void *buf,
	size_t len);
void rig_read_file(const char *path, uint64_t off, void *buf, size_t len);

/* Options for path: raw, writeback, auto aio, writable. */
struct blk_opts rig_opts(const char *path);

/* Open, which must work. */
struct blk *rig_open(const struct blk_opts *o);

/* Open, which must fail with code and text that has each of has in it. */
void rig_open_fails(const struct blk_opts *o, int code, const char *has);

/* A request that counts its completions. */
struct rig_req {
	struct blk_req r;
	struct iovec iov;
	int calls;
	int err;
	bool inside; /* set around blk_submit(): done must not see it */
};

void rig_init_req(struct rig_req *q, enum blk_op op, uint64_t off, void *buf,
	uint64_t len);
void rig_submit(struct blk *b, struct rig_req *q);

/* Run the loop until q is done, which must be once; returns its error. */
int rig_wait(struct rig_req *q);

/* Submit and run the loop until it is done; returns its error. */
int rig_do(struct blk *b, enum blk_op op, unsigned flags, uint64_t off,
	void *buf, uint64_t len);

/* The loop's ctx, held from here to the end of the test. */
struct ctx *rig_ctx(void);

/* Run fn(arg) in a fiber to its end; returns what it returned. */
int rig_run(int (*fn)(void *arg), void *arg);

/*
 * A block device of sector_size bytes on file name of the folder (size
 * bytes, made): its path as rig_path(), NULL when there are none to have.
 * Gone by rig_loopdev_end(), or at the end of the test.
 */
const char *rig_loopdev(const char *name, uint64_t size, unsigned sector_size);
void rig_loopdev_end(const char *dev);

/*
 * An ext4 of blocks of 4096 bytes on such a device of 4096, mounted on
 * folder name: O_DIRECT then asks for 4096. False: not to be had.
 */
bool rig_mount_4k(const char *name);

/*
 * A tmpfs of bytes on folder name, until rig_umount() or the end of the test.
 * False: not to be had.
 */
bool rig_mount_tmpfs(const char *name, uint64_t bytes);
void rig_umount(const char *name);

/* Is a program in the path? */
bool rig_has(const char *tool);

/* Run a shell command made as by printf(), its output dropped; its exit. */
int rig_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A qemu-io with args, in the folder, that holds an image until pclose(). It
 * prompts once it has its locks; to try them before would be in its way.
 */
FILE *rig_qemu_hold(const char *args);

/* Does the file system of the folder take O_DIRECT? */
bool rig_has_direct(void);

/*
 * From here on a system call fails with code, in this thread and those that
 * it starts, for good (tests are processes of their own).
 */
void rig_refuse(int syscall_number, int code);

#endif
