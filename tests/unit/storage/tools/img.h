/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of the image tools share: images, sums, jobs that stop. */
#ifndef TESTS_UNIT_STORAGE_TOOLS_IMG_H
#define TESTS_UNIT_STORAGE_TOOLS_IMG_H

#include "storage/storage.h"

#include "tests/unit/storage/rig.h"
#include "tests/unit/suite.h"

/* As rig_path(), but it stays good for a whole test. */
const char *img_path(const char *name);

/* A raw file of 4 MiB and a sector: data, holes and written zeros. */
#define IMG_SIZE ((UINT64_C(4) << 20) + 512)
const char *img_raw(const char *name, unsigned seed);

/* The same as qcow2, or an empty overlay on base. options as for -o. */
const char *img_qcow2(const char *name, unsigned seed, const char *options);
const char *img_overlay(const char *name, const char *base);

/* Write bytes of value to an image, or zeros by write-zeroes. */
void img_put(const char *path, uint64_t off, uint64_t len, int value);
void img_zero(const char *path, uint64_t off, uint64_t len);

/* A reference to it; qcow2 by its name's ending, else raw. */
struct img_ref img_ref(const char *path);

bool img_is_there(const char *path);
/* A sum of the file's bytes; 0 = it is not there. */
uint64_t img_sum(const char *path);
/* Do both read the same? */
bool img_same(const char *a, const char *b);
/* No damage, no leaks. */
void img_sound(const char *path);

/* A job that says stop from the call number `after` on. */
struct img_stop {
	struct img_job job;
	int calls, after;
	uint64_t done, total; /* the last ones with a total */
	char warned[256];
};
struct img_job *img_stop(struct img_stop *s, int after);

#endif
