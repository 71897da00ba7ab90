/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests of qcow2 share: a ctx on the rig's loop, images in memory or
 * from files, calls that need a fiber, and qemu-img to compare with.
 */
#ifndef TESTS_UNIT_STORAGE_QCOW2_QTEST_H
#define TESTS_UNIT_STORAGE_QCOW2_QTEST_H

#include <check.h>
#include <jansson.h>

#include "storage/core/ctx.h"
#include "storage/core/sync.h"
#include "storage/qcow2/qcow2.h"

#include "tests/unit/storage/memnode.h"
#include "tests/unit/storage/rig.h"
#include "tests/unit/suite.h"

/* As RIG_SUITE(), with qt_ctx between them. */
#define QT_SUITE(name, ...)                                                    \
	int main(void)                                                         \
	{                                                                      \
		const TTest *tests[] = { __VA_ARGS__ };                        \
		return qt_main(name, tests, sizeof(tests) / sizeof(tests[0])); \
	}

int qt_main(const char *name, const TTest **tests, size_t n);

extern struct ctx *qt_ctx;
extern struct log *qt_log; /* a file in the folder: rig_path("log") */

/* A held node in memory, empty, or with what a file has. All that a test
 * makes are freed at its end. */
struct node *qt_mem(void);
struct node *qt_load(const char *path);

/* In a fiber: fn(arg). */
int qt_run(int (*fn)(void *arg), void *arg);
int qt_create(struct node *file, struct node *data,
	const struct qcow2_create *o, struct err *e);
/* The same, which must work, in a new node in memory. */
struct node *qt_new(const struct qcow2_create *o);
/* Open and activate; a node that did not become active is closed. */
int qt_open(struct node *file, const struct qcow2_opts *o, struct node **out,
	struct err *e);
/* The same for writing, which must work. */
struct node *qt_opened(struct node *file);
int qt_close(struct node *n);
int qt_io(struct node *n, enum blk_op op, unsigned flags, uint64_t off,
	void *buf, uint64_t len);
int qt_status(struct node *n, unsigned flags, uint64_t off, uint64_t len,
	struct blk_extent *x);

/* bytes of buf from a seed; and are they still? */
void qt_fill(void *buf, size_t len, unsigned seed);
bool qt_is_filled(const void *buf, size_t len, unsigned seed);
bool qt_is_zero(const void *buf, size_t len);

/* Run a shell command in the folder; its exit status. */
int qt_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* It must be 0. */
void qt_sh_ok(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* `qemu-img check` finds nothing. The image in memory is saved first. */
void qt_check_file(const char *path);
void qt_check(struct node *file);
/* `qemu-img info` of a file; freed by the caller. */
json_t *qt_info(const char *path);

#endif
