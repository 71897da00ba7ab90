/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests of check and repair share: images by qemu-img in the folder
 * (img.qcow2) and in memory, damage to them, and both checks. See qtest.h.
 */
#ifndef TESTS_UNIT_STORAGE_QCOW2_DAMAGE_H
#define TESTS_UNIT_STORAGE_QCOW2_DAMAGE_H

#include "tests/unit/storage/qcow2/qtest.h"

/* img.qcow2 by qemu-img with random writes by qemu-io; and in memory. */
void damage_make_file(const char *options, uint64_t size, unsigned writes,
	unsigned seed);
struct node *damage_make(const char *options, uint64_t size, unsigned writes,
	unsigned seed);
/* More of them. */
void damage_scribble(uint64_t size, unsigned writes, unsigned seed);

/* Ours, opened for checking (or repair). What it told is in damage_told. */
void damage_check(struct node *file, enum qcow2_repair how,
	struct qcow2_check *out);
int damage_try_check(struct node *file, enum qcow2_repair how,
	struct qcow2_check *out, struct err *e);
extern char damage_told[65536];
/* qemu-img's. The exit status agrees with the numbers. */
void damage_qemu_check(struct node *file, struct qcow2_check *out);

/* A number in the image, big-endian; and change it. */
uint64_t damage_get(struct node *file, uint64_t at, unsigned bytes);
void damage_put(struct node *file, uint64_t at, unsigned bytes, uint64_t v);

/* Where tables of the image are. */
struct damage_map {
	uint32_t cluster;
	uint64_t l1, l2, rt, block; /* of the first entry that there is */
	uint64_t l2_index, data;    /* first data cluster, entry in l2 */
	unsigned refcount_bits;
};

void damage_find(struct node *file, struct damage_map *m);

/* Where the entry of the first data cluster is, and the L1 entry to it. */
uint64_t damage_l2_at(const struct damage_map *m);
uint64_t damage_l1_at(struct node *file, const struct damage_map *m);
/* Change the count of a cluster, of 16 bits. */
void damage_put_count(struct node *file, const struct damage_map *m,
	uint64_t host, uint64_t count);
/* A cluster at the end that nobody uses. */
uint64_t damage_grow(struct node *file, const struct damage_map *m);

/* The whole disk's content by our driver; freed by the caller. */
uint8_t *damage_content(struct node *file, uint64_t *size);
/* Differences of it now, in clusters; before is freed. */
unsigned damage_changed(struct node *file, uint8_t *before, uint32_t cluster);

/* Both checks find the image to be so. */
enum damage_class { CLEAN, LEAKS, CORRUPT };
void damage_is(struct node *file, enum damage_class want);
/* Repair all, after which nothing is wrong. */
void damage_mend(struct node *file);

#define DAMAGE_SIZE (UINT64_C(4) << 20)

/* damage_make() and damage_find() of DAMAGE_SIZE after 40 writes. */
struct node *damage_image(struct damage_map *m, const char *options);

/* Such an image, and what it was before a test damaged it. */
struct damaged {
	struct node *file;
	struct damage_map m;
	uint8_t *before; /* its content */
};

void damaged_begin(struct damaged *t, const char *options);
/* It is corrupt; damage_mend(), and at most `most` clusters are not as
 * before. */
void damaged_end(struct damaged *t, unsigned most);

#endif
