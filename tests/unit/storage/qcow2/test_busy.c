/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Many at once on one image: each fiber has a part of the disk of its own,
 * whose borders are inside clusters, and must always read what it wrote there
 * last, while tables come and go in a cache that is too small, clusters are
 * given up and used anew, and others flush.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/memnode.h"
#include "tests/unit/storage/qcow2/images.h"
#include "tests/unit/storage/rig.h"

#define PARTS 16u
#define PART  (256 * KiB)
#define SHIFT 1536u
#define SIZE  (PARTS * PART + 64 * KiB)

struct part {
	uint64_t seed, at;
	unsigned ops, *left;
	struct fiber *boss;
	uint8_t want[PART];
};

static struct node *file, *node;
static uint8_t want[SIZE];

static void check_part(struct part *p, uint64_t at, uint64_t len)
{
	uint8_t *got = malloc(len);

	ck_assert_ptr_nonnull(got);
	ck_assert_int_eq(node_read(node, p->at + at, got, len), 0);
	for (uint64_t i = 0; i < len; i++)
		if (got[i] != p->want[at + i])
			ck_abort_msg("byte %llu is %02x, not %02x",
				(unsigned long long)(p->at + at + i), got[i],
				p->want[at + i]);
	free(got);
}

/* Whole clusters, compressed. */
static void pack(struct part *p)
{
	uint32_t cluster = qcow2_of(node)->cluster_size;
	uint64_t at = p->at + images_dice(&p->seed, PART / 2);
	uint64_t n = 1 + images_dice(&p->seed, 4);

	at = size_up(at, cluster) - p->at;
	if (n > (PART - at) / cluster)
		n = (PART - at) / cluster;
	memset(p->want + at, (int)images_dice(&p->seed, 256), n * cluster);
	ck_assert_int_eq(node_write(node, p->at + at, p->want + at, n * cluster,
				 BLK_COMPRESS),
		0);
}

static void change_part(struct part *p)
{
	uint64_t at = images_dice(&p->seed, PART / 512) * 512;
	uint64_t len = (1 + images_dice(&p->seed, 64)) * 512;
	unsigned what = (unsigned)images_dice(&p->seed, 16);
	int r = 0;

	if (len > PART - at)
		len = PART - at;
	if (what < 6) {
		images_random(&p->seed, p->want + at, len);
		r = node_write(node, p->at + at, p->want + at, len, 0);
	} else if (what < 8) {
		memset(p->want + at, 0, len);
		r = node_zero(node, p->at + at, len, what == 6 ? BLK_UNMAP : 0);
	} else if (what == 8) {
		pack(p);
	} else if (what == 9) {
		r = node_flush(node);
	} else {
		check_part(p, at, len);
	}
	ck_assert_int_eq(r, 0);
}

static void part_fiber(void *arg)
{
	struct part *p = arg;

	for (unsigned i = 0; i < p->ops; i++)
		change_part(p);
	check_part(p, 0, PART);
	memcpy(want + p->at, p->want, PART);
	if (!--*p->left)
		fiber_wake(p->boss);
}

static int busy(void *arg)
{
	struct part *p = calloc(PARTS, sizeof(*p));
	unsigned left = PARTS;
	uint8_t *got = malloc(SIZE);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(got);
	node = images_in_memory("image", false, &file);
	memnode_set_async(file, true);
	qcow2_of(node)->l2.max = 4;
	qcow2_of(node)->rb.max = 4;
	for (unsigned i = 0; i < PARTS; i++) {
		p[i].seed = 1000 + i + *(uint64_t *)arg;
		p[i].at = i * PART + SHIFT;
		p[i].ops = 250;
		p[i].left = &left;
		p[i].boss = fiber_self();
		ck_assert_int_eq(fiber_start(images_ctx, part_fiber, &p[i]), 0);
	}
	while (left)
		fiber_wait();
	ck_assert_int_eq(node_read(node, 0, got, SIZE), 0);
	ck_assert_int_eq(memcmp(got, want, SIZE), 0);
	ck_assert_uint_eq(qcow2_of(node)->direct[0], 0);
	ck_assert_uint_eq(qcow2_of(node)->direct[1], 0);
	ck_assert(!qcow2_of(node)->corrupt);
	memnode_hold(file);
	ck_assert_int_eq(node_close(node), 0);
	memnode_save(file, rig_path("after"));
	memnode_free(file);
	free(p);
	free(got);
	return 0;
}

static void try_busy(const char *options)
{
	uint8_t *bytes;

	for (uint64_t seed = 1; seed < 4; seed++) {
		images_begin();
		images_create("image", options, SIZE);
		memset(want, 0, SIZE);
		images_run(busy, &seed);
		images_sh("qemu-img check -q -f qcow2 after");
		images_sh("cp after image");
		bytes = images_content("image", SIZE);
		ck_assert_int_eq(memcmp(bytes, want, SIZE), 0);
		free(bytes);
		images_end();
	}
}

START_TEST (clusters_of_512) {
	try_busy("cluster_size=512");
}
END_TEST

START_TEST (clusters_of_4k) {
	try_busy("cluster_size=4k");
}
END_TEST

START_TEST (clusters_of_64k) {
	try_busy("lazy_refcounts=on");
}
END_TEST

START_TEST (subclusters) {
	try_busy("extended_l2=on,cluster_size=16k");
}
END_TEST

START_TEST (zstd) {
	try_busy("compression_type=zstd,cluster_size=8k");
}
END_TEST

RIG_SUITE("qcow2 busy", clusters_of_512, clusters_of_4k, clusters_of_64k,
	subclusters, zstd)
