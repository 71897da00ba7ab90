/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests of imported formats share: raw files of random content, images
 * that qemu-img makes of them, and comparing what is read with what is right.
 * All files lie in rig_dir. What fails ends the test.
 */
#ifndef TESTS_UNIT_STORAGE_IMPORT_IMP_H
#define TESTS_UNIT_STORAGE_IMPORT_IMP_H

#include "storage/core/ctx.h"
#include "storage/core/sync.h"
#include "storage/import/import.h"

#include "tests/unit/storage/memnode.h"
#include "tests/unit/storage/rig.h"
#include "tests/unit/suite.h"

/* Make raw file name of size bytes: data, zeros and holes by seed. */
void imp_raw(const char *name, uint64_t size, unsigned seed);

/* Read all of file name; *size its bytes. The caller frees. */
uint8_t *imp_slurp(const char *name, uint64_t *size);

/* qemu-img convert raw to name with options ("" = none). */
void imp_convert(const char *raw, const char *format, const char *options,
	const char *name);

/* A node in memory with the content of file name. */
struct node *imp_load(const char *name);

/*
 * Open file (taken, also on failure) as format. Extents are loaded from
 * rig_dir. 0 with *out, or -errno with e filled.
 */
int imp_try(enum blk_format format, struct node *file, struct node **out,
	struct err *e);
struct node *imp_open(enum blk_format format, struct node *file);
/* The extents that imp_try() loads complete their requests later. */
extern bool imp_async;
void imp_close(struct node *n);

/* Opening file (taken) must fail with code and a text that has `has`. */
void imp_fails(enum blk_format format, struct node *file, int code,
	const char *has);

/* A field of an image, a value that it must not have, and what is told. */
struct imp_field {
	unsigned at, width; /* bytes; little endian */
	uint64_t v;
	int code;
	const char *has;
};

/* The image that make() gives must fail with each of n fields. */
void imp_fields_fail(enum blk_format format,
	struct node *(*make)(uint8_t **bytes), const struct imp_field *f,
	size_t n);

/* One request, waited for; returns its error. */
int imp_rw(struct node *n, enum blk_op op, uint64_t offset, void *buf,
	uint64_t len);
int imp_status(struct node *n, uint64_t offset, uint64_t len,
	struct blk_extent *x);

/*
 * n must read as the raw file does: in order, in random pieces with random
 * iovecs, many in flight; and its status must say zero only where that is so.
 * Returns how many bytes the status said are zero.
 */
uint64_t imp_same(struct node *n, const char *raw);

/* imp_raw() of size as "raw", imp_convert() to "a." and qemu-img's name of
 * format, loaded and opened: imp_same(). */
uint64_t imp_round_trip(enum blk_format format, const char *name,
	const char *options, uint64_t size);

#endif
