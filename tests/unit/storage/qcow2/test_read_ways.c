/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ways that reads take, and what happens when one of them fails. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/memnode.h"
#include "tests/unit/storage/qcow2/images.h"
#include "tests/unit/storage/rig.h"

#define C UINT64_C(65536)

static struct node *file, *node;
static struct qcow2 *q;
static uint8_t buf[4 * MiB];

static void open_it(void)
{
	node = images_in_memory("image", true, &file);
	q = qcow2_of(node);
}

static int close_it(void)
{
	ck_assert_uint_eq(q->direct[0], 0);
	ck_assert_uint_eq(q->direct[1], 0);
	return node_close(node);
}

/* Make "image" by qemu-io's commands, and run fn. */
static void with_image(const char *options, const char *commands,
	int (*fn)(void *arg))
{
	images_begin();
	images_create("image", options, 4 * MiB);
	images_sh("qemu-io -f qcow2 %s image >said", commands);
	images_run(fn, NULL);
	images_end();
}

static uint8_t *entry_of(uint64_t i)
{
	uint64_t size;

	return memnode_bytes(file, &size) + (q->l1[0] & QL1_OFFSET) +
	       i * q->l2_entry_bytes;
}

static void is(uint64_t at, uint64_t len, uint8_t byte)
{
	memset(buf, ~byte, len);
	ck_assert_int_eq(node_read(node, at, buf, len), 0);
	for (uint64_t i = 0; i < len; i++)
		if (buf[i] != byte)
			ck_abort_msg("byte %llu is %02x, not %02x",
				(unsigned long long)(at + i), buf[i], byte);
}

static int one_request(void *arg)
{
	uint64_t before;

	(void)arg;
	open_it();
	is(0, 4096, 0xaa); /* reads the slice */
	ck_assert_uint_eq(q->read_pooled, 1);
	before = memnode_count(file, BLK_READ);
	is(8192, 4096, 0xaa);
	is(C - 512, C, 0xaa); /* two clusters that follow */
	ck_assert_uint_eq(memnode_count(file, BLK_READ), before + 2);
	ck_assert_uint_eq(q->read_pooled, 1);
	is(3 * C, 4096, 0); /* nothing is asked for zeros */
	is(2 * C, 4096, 0);
	ck_assert_uint_eq(memnode_count(file, BLK_READ), before + 2);
	return close_it();
}

START_TEST (a_run_is_one_request_and_zeros_are_none) {
	with_image("", "-c 'write -P 0xaa 0 128k' -c 'write -z 128k 64k'",
		one_request);
}
END_TEST

static int data_error(void *arg)
{
	(void)arg;
	open_it();
	is(0, 4096, 0xaa);
	memnode_fail_once(file, BLK_READ, 0, EIO);
	ck_assert_int_eq(node_read(node, 0, buf, 4096), -EIO);
	is(0, 4096, 0xaa);
	/* one of several parts, the second */
	memnode_fail_once(file, BLK_READ, 1, EIO);
	ck_assert_int_eq(node_read(node, 0, buf, 6 * C), -EIO);
	memnode_set_async(file, true);
	memnode_fail_once(file, BLK_READ, 1, ENOMEM);
	ck_assert_int_eq(node_read(node, 0, buf, 6 * C), -ENOMEM);
	is(4 * C, C, 0xbb);
	ck_assert(!q->corrupt);
	return close_it();
}

START_TEST (an_error_of_one_part_is_the_whole_requests) {
	with_image("",
		"-c 'write -P 0xaa 0 128k' -c 'write -P 0xbb 256k 64k' "
		"-c 'write -P 0xcc 384k 64k'",
		data_error);
}
END_TEST

static int map_error(void *arg)
{
	(void)arg;
	open_it();
	memnode_set_async(file, true);
	/* 512-byte slices of 64 entries of 512 bytes: 32 KiB each */
	memnode_fail_once(file, BLK_READ, 3, EIO);
	ck_assert_int_eq(node_read(node, 0, buf, 256 * KiB), -EIO);
	is(0, 256 * KiB, 0xaa);
	put_be64(entry_of(1), 2);
	qcache_forget(&q->l2, 0, GiB);
	ck_assert_int_eq(node_read(node, 0, buf, 256 * KiB), -EIO);
	ck_assert(q->corrupt);
	return close_it();
}

START_TEST (an_error_of_the_map_in_the_middle_ends_the_request) {
	with_image("cluster_size=512", "-c 'write -P 0xaa 0 256k'", map_error);
}
END_TEST

/* Every other cluster elsewhere: a part for each, more than fit in flight. */
static int many_parts(void *arg)
{
	uint64_t clusters = 2 * MiB / 512;

	(void)arg;
	open_it();
	is(0, 2 * MiB, 0xaa);
	for (uint64_t i = 0; i < clusters; i++) {
		uint64_t l1 = q->l1[i >> q->l2_bits] & QL1_OFFSET, size;
		uint8_t *bytes = memnode_bytes(file, &size);
		uint8_t *e = bytes + l1 + (i & 63) * 8;
		uint64_t host = get_be64(e) & QL2_OFFSET;

		memset(bytes + host, (int)(i % 251), 512);
		if (i % 3 == 2)
			put_be64(e, i % 2 ? QL2_ZERO : 0);
	}
	for (int async = 0; async < 2; async++) {
		memnode_set_async(file, async);
		qcache_forget(&q->l2, 0, GiB);
		for (int again = 0; again < 2; again++) {
			memset(buf, 0xff, 2 * MiB);
			ck_assert_int_eq(node_read(node, 0, buf, 2 * MiB), 0);
			for (uint64_t i = 0; i < 2 * MiB; i++)
				if (buf[i] !=
					(i / 512 % 3 == 2 ? 0 : i / 512 % 251))
					ck_abort_msg("byte %llu",
						(unsigned long long)i);
		}
	}
	return close_it();
}

START_TEST (a_request_of_thousands_of_runs_is_read) {
	with_image("cluster_size=512", "-c 'write -P 0xaa 0 2M'", many_parts);
}
END_TEST

static int unpacked_once(void *arg)
{
	uint64_t before;

	(void)arg;
	open_it();
	is(512, 512, 0xaa);
	before = memnode_count(file, BLK_READ);
	for (uint64_t at = 0; at < C; at += 4096)
		is(at, 4096, 0xaa);
	ck_assert_uint_eq(memnode_count(file, BLK_READ), before);
	is(0, C, 0xaa); /* kept, so that all of it is there too */
	ck_assert_uint_eq(memnode_count(file, BLK_READ), before);
	is(C, C, 0xbb); /* whole ones are not kept */
	is(C, C, 0xbb);
	ck_assert_uint_eq(memnode_count(file, BLK_READ), before + 2);
	/* after a commit other data may be there */
	q->epoch++;
	is(512, 512, 0xaa);
	ck_assert_uint_eq(memnode_count(file, BLK_READ), before + 3);
	return close_it();
}

START_TEST (a_compressed_cluster_is_kept_for_its_other_parts) {
	with_image("",
		"-c 'write -c -P 0xaa 0 64k' -c 'write -c -P 0xbb 64k 64k'",
		unpacked_once);
}
END_TEST

/* Clusters that are read and not yet told to their readers. */
static unsigned unpacking, most_unpacking;

/* Reads at once; each must end with want. */
struct reader {
	struct blk_req r;
	struct iovec iov;
	int want;
	unsigned *left;
	struct fiber *boss;
	uint8_t bytes[512];
};

static void reader_done(struct blk_req *r, int err)
{
	struct reader *x = r->arg;

	unpacking--;
	ck_assert_int_eq(err, x->want);
	if (!--*x->left)
		fiber_wake(x->boss);
}

static void read_at_once(unsigned n, uint64_t step, int want, uint8_t byte)
{
	struct reader *x = calloc(n, sizeof(*x));
	unsigned left = n + 1;

	ck_assert_ptr_nonnull(x);
	for (unsigned i = 0; i < n; i++) {
		x[i] = (struct reader){ .want = want,
			.left = &left,
			.boss = fiber_self(),
			.iov = { x[i].bytes, 512 } };
		x[i].r = (struct blk_req){ .op = BLK_READ,
			.offset = i * step,
			.len = 512,
			.iov = &x[i].iov,
			.niov = 1,
			.done = reader_done,
			.arg = &x[i] };
		node_submit(node, &x[i].r);
	}
	left--;
	while (left)
		fiber_wait();
	for (unsigned i = 0; i < n && !want; i++)
		ck_assert(x[i].bytes[0] == byte &&
			  !memcmp(x[i].bytes, x[i].bytes + 1, 511));
	free(x);
}

static int shared_unpack(void *arg)
{
	uint64_t before;

	(void)arg;
	open_it();
	memnode_set_async(file, true);
	is(4 * C, 512, 0);
	before = memnode_count(file, BLK_READ);
	read_at_once(64, 1024, 0, 0xaa);
	ck_assert_uint_eq(memnode_count(file, BLK_READ), before + 1);
	q->epoch++;
	memnode_fail_once(file, BLK_READ, 0, EIO);
	read_at_once(64, 1024, -EIO, 0);
	read_at_once(64, 1024, 0, 0xaa);
	return close_it();
}

START_TEST (those_who_want_a_compressed_cluster_at_once_share_it) {
	with_image("", "-c 'write -c -P 0xaa 0 64k'", shared_unpack);
}
END_TEST

/* More compressed clusters at once than are kept. */
static int many_packed(void *arg)
{
	(void)arg;
	open_it();
	memnode_set_async(file, true);
	for (int i = 0; i < 3; i++)
		read_at_once(60, C, 0, 0xaa);
	is(512, 2 * MiB, 0xaa);
	for (uint64_t i = 0; i < 60; i++)
		is(i * C + 1024, 512, 0xaa);
	return close_it();
}

START_TEST (more_compressed_clusters_than_are_kept_are_read) {
	with_image("", "-c 'write -c -P 0xaa 0 3840k'", many_packed);
}
END_TEST

static int unpack_begins(void *arg, const struct blk_req *r)
{
	(void)arg;
	if (r->op == BLK_READ && ++unpacking > most_unpacking)
		most_unpacking = unpacking;
	return 0;
}

static int bounded_unpack(void *arg)
{
	(void)arg;
	open_it();
	memnode_set_async(file, true);
	is(48 * MiB - 512, 512, 0); /* the tables */
	memnode_watch(file, unpack_begins, NULL);
	unpacking = 0;
	read_at_once(23, 2 * MiB, 0, 0xaa);
	memnode_watch(file, NULL, NULL);
	ck_assert_uint_eq(most_unpacking, 8); /* of 2 MiB */
	return close_it();
}

START_TEST (few_large_clusters_are_unpacked_at_once) {
	images_begin();
	images_create("image", "cluster_size=2M", 48 * MiB);
	images_sh("for i in `seq 0 2 44`; do echo write -c -P 0xaa ${i}M 2M; "
		  "done | qemu-io -f qcow2 image >said");
	images_run(bounded_unpack, NULL);
	images_end();
}
END_TEST

static int garbage(void *arg)
{
	uint64_t size, host;
	uint32_t len;

	(void)arg;
	open_it();
	is(4 * C, 512, 0);
	ck_assert(qmap_compressed(q, get_be64(entry_of(0)), &host, &len));
	memset(memnode_bytes(file, &size) + host, 0xff, 20);
	ck_assert_int_eq(node_read(node, 0, buf, 512), -EIO);
	ck_assert_int_eq(node_read(node, 0, buf, C), -EIO);
	ck_assert_int_eq(node_read(node, C - 512, buf, C), -EIO);
	is(C, C, 0xbb);
	/* behind the end of the file there are zeros, which are no data */
	put_be64(entry_of(0), QL2_COMPRESSED | UINT64_C(0x3ffffffffff00));
	qcache_forget(&q->l2, 0, GiB);
	ck_assert_int_eq(node_read(node, 0, buf, 512), -EIO);
	return close_it();
}

START_TEST (a_damaged_compressed_cluster_is_an_error) {
	with_image("",
		"-c 'write -c -P 0xaa 0 64k' -c 'write -c -P 0xbb 64k 64k'",
		garbage);
}
END_TEST

static int past_end(void *arg)
{
	(void)arg;
	open_it();
	is(4 * C, 512, 0);
	put_be64(entry_of(0), QL2_COPIED | UINT64_C(0x7fffffff0000));
	qcache_forget(&q->l2, 0, GiB);
	is(0, C, 0);
	is(C, C, 0xaa);
	return close_it();
}

START_TEST (data_behind_the_end_of_the_file_are_zeros) {
	with_image("", "-c 'write -P 0xaa 0 128k'", past_end);
}
END_TEST

#define LAYERS 100

static int deep(void *arg)
{
	static struct node *files[LAYERS];
	struct node *top = NULL;

	(void)arg;
	for (unsigned i = 0; i < LAYERS; i++) {
		struct node *n =
			images_in_memory(i ? "over" : "image", true, &files[i]);

		memnode_set_async(files[i], i % 2);
		qcow2_set_backing(n, top);
		top = n;
	}
	node = top;
	for (int i = 0; i < 2; i++) {
		struct blk_extent x;

		is(0, 4 * C, 0xaa);
		is(0, 4096, 0xaa);
		ck_assert_int_eq(node_status(node, 0, MiB, 0, &x), 0);
		ck_assert_uint_eq(x.depth, LAYERS - 1);
		ck_assert_uint_eq(x.len, 4 * C);
	}
	return node_close(top);
}

START_TEST (a_deep_chain_is_read) {
	images_begin();
	images_create("image", "", 4 * MiB);
	images_sh("qemu-io -f qcow2 -c 'write -P 0xaa 0 256k' image >said");
	images_create("over", "", 4 * MiB);
	images_run(deep, NULL);
	images_end();
}
END_TEST

static int backing_error(void *arg)
{
	struct node *below = images_in_memory("image", true, &file), *f;

	(void)arg;
	node = images_in_memory("over", true, &f);
	qcow2_set_backing(node, below);
	is(0, 4096, 0xaa);
	memnode_fail_once(file, BLK_READ, 0, EIO);
	ck_assert_int_eq(node_read(node, 0, buf, 4096), -EIO);
	/* over the end of what backs it */
	memset(buf, 0xff, MiB);
	ck_assert_int_eq(node_read(node, 3 * MiB + 4096, buf, 2 * MiB), 0);
	for (uint64_t i = 0; i < 2 * MiB; i++)
		if (buf[i] != (i >= MiB - 69632 && i < MiB - 4096 ? 0xbb : 0))
			ck_abort_msg("byte %llu", (unsigned long long)i);
	is(4 * MiB, MiB, 0);
	return node_close(node);
}

START_TEST (what_backs_an_image_may_fail_and_end_before_it) {
	images_begin();
	images_create("image", "", 4 * MiB);
	images_sh("qemu-io -f qcow2 -c 'write -P 0xaa 0 256k' "
		  "-c 'write -P 0xbb 4032k 64k' image >said");
	images_create("over", "", 8 * MiB);
	images_run(backing_error, NULL);
	images_end();
}
END_TEST

RIG_SUITE("qcow2 ways of reading", a_run_is_one_request_and_zeros_are_none,
	an_error_of_one_part_is_the_whole_requests,
	an_error_of_the_map_in_the_middle_ends_the_request,
	a_request_of_thousands_of_runs_is_read,
	a_compressed_cluster_is_kept_for_its_other_parts,
	those_who_want_a_compressed_cluster_at_once_share_it,
	more_compressed_clusters_than_are_kept_are_read,
	few_large_clusters_are_unpacked_at_once,
	a_damaged_compressed_cluster_is_an_error,
	data_behind_the_end_of_the_file_are_zeros, a_deep_chain_is_read,
	what_backs_an_image_may_fail_and_end_before_it)
