/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Slices of tables in memory, over a file in memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/impl.h"

#include "tests/unit/storage/memnode.h"
#include "tests/unit/storage/rig.h"

#define SLICE 4096u
#define AT(i) ((uint64_t)(i)*SLICE)

static struct ctx *ctx;
static struct node *file;
static struct qcow2 img;
static struct qcache *cache = &img.l2;

/* A file of n slices that each are full of their number; max are cached. */
static void begin(unsigned n, uint32_t cluster_size, uint32_t max)
{
	struct err e = ERR_NONE;
	uint8_t *bytes;
	uint64_t size;

	ck_assert_int_eq(ctx_get(rig_loop, &ctx, &e), 0);
	file = memnode_new(ctx, "file", AT(n));
	bytes = memnode_bytes(file, &size);
	for (uint64_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i / SLICE);
	memset(&img, 0, sizeof(img));
	img.file = img.data = file;
	img.cluster_size = cluster_size;
	img.cluster_bits = (uint32_t)__builtin_ctz(cluster_size);
	ck_assert_int_eq(qcache_init(cache, &img, MiB), 0);
	/* what a slice costs besides is counted too */
	ck_assert_uint_gt(cache->max, MiB / cache->slice_bytes * 3 / 4);
	ck_assert_uint_lt(cache->max, MiB / cache->slice_bytes);
	cache->max = max;
}

static int end_fiber(void *arg)
{
	(void)arg;
	return node_close(file);
}

static void end(void)
{
	qcache_fini(cache);
	qcache_fini(cache); /* harmless */
	ck_assert_int_eq(ctx_run(ctx, end_fiber, NULL), 0);
	ctx_put(ctx);
}

static void run(int (*fn)(void *arg))
{
	ck_assert_int_eq(ctx_run(ctx, fn, NULL), 0);
}

static struct qslice *get(uint64_t offset)
{
	struct qslice *s = NULL;

	ck_assert_int_eq(qcache_get(cache, offset, &s), 0);
	ck_assert(s->valid);
	ck_assert_uint_eq(s->offset, offset);
	return s;
}

static void touch(uint64_t offset)
{
	qcache_put(cache, get(offset));
}

/* Get slice i, fill it with byte, mark it dirty. */
static void change(unsigned i, uint8_t byte)
{
	struct qslice *s = get(AT(i));

	memset(s->data, byte, cache->slice_bytes);
	qcache_mark_dirty(cache, s);
	qcache_put(cache, s);
}

static uint8_t on_disk(unsigned i)
{
	uint64_t size;

	return memnode_bytes(file, &size)[AT(i)];
}

static int read_once(void *arg)
{
	struct qslice *s;

	(void)arg;
	ck_assert_ptr_null(qcache_peek(cache, AT(3)));
	s = get(AT(3));
	ck_assert_uint_eq(s->data[0], 3);
	ck_assert_uint_eq(s->data[SLICE - 1], 3);
	ck_assert_ptr_eq(qcache_peek(cache, AT(3)), s);
	qcache_put(cache, s);
	ck_assert_ptr_eq(qcache_peek(cache, AT(3)), s);
	ck_assert_ptr_eq(get(AT(3)), s);
	qcache_put(cache, s);
	ck_assert_uint_eq(memnode_count(file, BLK_READ), 1);
	return 0;
}

START_TEST (a_slice_is_read_once) {
	begin(8, 65536, 256);
	run(read_once);
	end();
}
END_TEST

/* Fibers that want the same slice. */
struct wanting {
	int *left;
	struct fiber *boss;
	int want;
};

static void want_slice(void *arg)
{
	struct wanting *w = arg;
	struct qslice *s = NULL;

	ck_assert_int_eq(qcache_get(cache, AT(5), &s), w->want);
	if (!w->want) {
		ck_assert_uint_eq(s->data[0], 5);
		qcache_put(cache, s);
	}
	if (!--*w->left)
		fiber_wake(w->boss);
}

static void want_many(int result)
{
	int left = 8;
	struct wanting w = { &left, fiber_self(), result };

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(fiber_start(ctx, want_slice, &w), 0);
	while (left)
		fiber_wait();
}

static int share_load(void *arg)
{
	(void)arg;
	want_many(0);
	ck_assert_uint_eq(memnode_count(file, BLK_READ), 1);
	ck_assert_uint_eq(cache->count, 1);
	return 0;
}

START_TEST (those_who_want_a_slice_at_once_share_the_read) {
	begin(8, 65536, 256);
	memnode_set_async(file, true);
	run(share_load);
	end();
}
END_TEST

static int fail_load(void *arg)
{
	(void)arg;
	memnode_fail(file, BLK_READ, 0, EIO);
	want_many(-EIO);
	ck_assert_uint_eq(memnode_count(file, BLK_READ), 1);
	ck_assert_uint_eq(cache->count, 0);
	ck_assert_ptr_null(qcache_peek(cache, AT(5)));
	memnode_fail(file, BLK_READ, 0, 0);
	want_many(0); /* it is tried anew */
	ck_assert_uint_eq(memnode_count(file, BLK_READ), 2);
	return 0;
}

START_TEST (a_failed_read_is_told_to_all_who_wait) {
	begin(8, 65536, 256);
	memnode_set_async(file, true);
	run(fail_load);
	end();
}
END_TEST

static int fill_it(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 200; i++) {
		touch(AT(i));
		touch(AT(0)); /* stays for being used */
	}
	ck_assert_uint_eq(cache->count, cache->max);
	ck_assert_ptr_nonnull(qcache_peek(cache, AT(0)));
	ck_assert_ptr_nonnull(qcache_peek(cache, AT(199)));
	ck_assert_ptr_null(qcache_peek(cache, AT(1)));
	ck_assert_uint_eq(memnode_count(file, BLK_READ), 200);
	return 0;
}

START_TEST (it_stays_in_its_bounds_and_keeps_what_is_used) {
	begin(200, 65536, 32);
	run(fill_it);
	end();
}
END_TEST

static int hold_some(void *arg)
{
	struct qslice *held[20];

	(void)arg;
	for (unsigned i = 0; i < 20; i++)
		held[i] = get(AT(i));
	for (unsigned i = 20; i < 100; i++)
		touch(AT(i));
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_ptr_eq(qcache_peek(cache, AT(i)), held[i]);
		ck_assert_uint_eq(held[i]->data[0], i);
		qcache_put(cache, held[i]);
	}
	touch(AT(100)); /* back in its bounds */
	ck_assert_uint_eq(cache->count, 16);
	return 0;
}

START_TEST (what_is_held_stays_even_past_the_bounds) {
	begin(101, 65536, 16);
	run(hold_some);
	end();
}
END_TEST

static int dirty_stays(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 40; i++)
		change(i, (uint8_t)(100 + i));
	ck_assert_uint_eq(cache->ndirty, 40);
	for (unsigned i = 50; i < 100; i++)
		touch(AT(i));
	ck_assert_uint_eq(cache->ndirty, 40);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_uint_eq(qcache_peek(cache, AT(i))->data[7], 100 + i);
	ck_assert_uint_eq(on_disk(0), 0);
	ck_assert_int_eq(qcache_write(cache), 0);
	ck_assert_uint_eq(cache->ndirty, 0);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_uint_eq(on_disk(i), 100 + i);
	touch(AT(49));
	ck_assert_uint_eq(cache->count, 16);
	return 0;
}

START_TEST (what_is_dirty_stays_until_it_is_written) {
	begin(101, 65536, 16);
	run(dirty_stays);
	end();
}
END_TEST

static int write_rows(void *arg)
{
	static const unsigned order[] = { 7, 3, 30, 5, 4, 6, 31, 60 };

	(void)arg;
	ck_assert_int_eq(qcache_write(cache), 0);
	ck_assert_uint_eq(memnode_count(file, BLK_WRITE), 0);
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		change(order[i], (uint8_t)(200 + order[i] % 50));
	ck_assert_int_eq(qcache_write(cache), 0);
	/* 3 to 7, 30 and 31, 60 */
	ck_assert_uint_eq(memnode_count(file, BLK_WRITE), 3);
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		ck_assert_uint_eq(on_disk(order[i]), 200 + order[i] % 50);
	ck_assert_uint_eq(on_disk(8), 8);
	ck_assert_uint_eq(on_disk(2), 2);
	return 0;
}

START_TEST (neighbours_are_written_in_one_request) {
	begin(64, 65536, 256);
	memnode_set_async(file, true);
	run(write_rows);
	end();
}
END_TEST

static int write_many(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 100; i++)
		change(2 * i, 99);
	for (unsigned i = 300; i < 900; i++)
		change(i, 98);
	ck_assert_int_eq(qcache_write(cache), 0);
	/* single ones, and a long row in pieces */
	ck_assert_uint_eq(memnode_count(file, BLK_WRITE), 103);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_uint_eq(on_disk(2 * i), 99);
		ck_assert_uint_eq(on_disk(2 * i + 1), 2 * i + 1);
	}
	for (unsigned i = 300; i < 900; i++)
		ck_assert_uint_eq(on_disk(i), 98);
	return 0;
}

START_TEST (more_is_written_than_fits_in_flight) {
	begin(1000, 65536, 2048);
	memnode_set_async(file, true);
	run(write_many);
	end();
}
END_TEST

static int write_fails(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 60; i += 2)
		change(i, 77);
	memnode_fail(file, BLK_WRITE, 10, ENOSPC);
	ck_assert_int_eq(qcache_write(cache), -ENOSPC);
	ck_assert_uint_eq(cache->ndirty, 20);
	for (unsigned i = 0; i < 60; i += 2)
		ck_assert_uint_eq(qcache_peek(cache, AT(i))->data[0], 77);
	memnode_fail(file, BLK_WRITE, 0, 0);
	ck_assert_int_eq(qcache_write(cache), 0);
	ck_assert_uint_eq(cache->ndirty, 0);
	for (unsigned i = 0; i < 60; i += 2)
		ck_assert_uint_eq(on_disk(i), 77);
	return 0;
}

START_TEST (what_could_not_be_written_stays_dirty) {
	begin(64, 65536, 256);
	memnode_set_async(file, true);
	run(write_fails);
	end();
}
END_TEST

static int forget_some(void *arg)
{
	struct qslice *held;

	(void)arg;
	change(4, 44);
	touch(AT(5));
	touch(AT(20));
	held = get(AT(6));
	qcache_forget(cache, AT(4), 16 * SLICE);
	ck_assert_uint_eq(cache->ndirty, 0);
	ck_assert_uint_eq(cache->count, 1);
	ck_assert_ptr_null(qcache_peek(cache, AT(4)));
	ck_assert_ptr_null(qcache_peek(cache, AT(6)));
	ck_assert_ptr_nonnull(qcache_peek(cache, AT(20)));
	ck_assert_uint_eq(held->data[0], 6); /* good until it is put */
	qcache_mark_dirty(cache, held);      /* means nothing now */
	ck_assert_uint_eq(cache->ndirty, 0);
	qcache_put(cache, held);
	ck_assert_int_eq(qcache_write(cache), 0);
	ck_assert_uint_eq(on_disk(4), 4);
	touch(AT(4));
	ck_assert_uint_eq(qcache_peek(cache, AT(4))->data[0], 4);
	qcache_forget(cache, 0, UINT64_C(1) << 40); /* all, by the hash */
	ck_assert_uint_eq(cache->count, 0);
	touch(AT(4));
	qcache_forget(cache, 0, UINT64_MAX);
	ck_assert_uint_eq(cache->count, 0);
	return 0;
}

START_TEST (what_is_forgotten_is_not_written_and_read_anew) {
	begin(64, 65536, 256);
	run(forget_some);
	end();
}
END_TEST

/* Holds slice 9 while it is read; it is forgotten meanwhile. */
static void load_nine(void *arg)
{
	struct wanting *w = arg;
	struct qslice *s = get(AT(9));

	ck_assert_uint_eq(s->data[0], 9);
	ck_assert(!s->hashed);
	qcache_put(cache, s);
	--*w->left;
	fiber_wake(w->boss);
}

static int forget_loading(void *arg)
{
	int left = 1;
	struct wanting w = { &left, fiber_self(), 0 };
	struct qslice *s;

	(void)arg;
	ck_assert_int_eq(fiber_start(ctx, load_nine, &w), 0);
	touch(AT(1)); /* the other one begins */
	s = get(AT(2));
	if (left) {
		qcache_forget(cache, AT(9), SLICE);
		ck_assert_uint_eq(cache->count, 2);
	}
	while (left)
		fiber_wait();
	qcache_put(cache, s);
	return 0;
}

static int hold_back(void *arg, const struct blk_req *r)
{
	(void)arg;
	(void)r;
	qcache_forget(cache, AT(9), SLICE);
	return 0;
}

START_TEST (a_slice_may_be_forgotten_while_it_is_read) {
	begin(64, 65536, 256);
	memnode_set_async(file, true);
	memnode_watch(file, hold_back, NULL);
	run(forget_loading);
	ck_assert_uint_eq(cache->count, 2);
	end();
}
END_TEST

static int make_new(void *arg)
{
	struct qslice *s, *held;

	(void)arg;
	ck_assert_int_eq(qcache_get_new(cache, AT(8), &s), 0);
	ck_assert_uint_eq(memnode_count(file, BLK_READ), 0);
	for (unsigned i = 0; i < SLICE; i++)
		ck_assert_uint_eq(s->data[i], 0);
	qcache_mark_dirty(cache, s);
	qcache_put(cache, s);
	held = get(AT(8));
	ck_assert_ptr_eq(held, s);
	/* another table at the same place */
	ck_assert_int_eq(qcache_get_new(cache, AT(8), &s), 0);
	ck_assert_ptr_ne(held, s);
	ck_assert_uint_eq(cache->ndirty, 0);
	qcache_put(cache, held);
	ck_assert_ptr_eq(qcache_peek(cache, AT(8)), s);
	qcache_put(cache, s);
	return 0;
}

START_TEST (a_new_slice_is_zeros_and_not_read) {
	begin(64, 65536, 256);
	run(make_new);
	end();
}
END_TEST

static int many(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 3000; i++)
		qcache_put(cache, get(AT(i)));
	for (unsigned i = 0; i < 3000; i++)
		ck_assert_uint_eq(qcache_peek(cache, AT(i))->data[0], i & 255);
	ck_assert_uint_ge(cache->hash_mask, 2047);
	return 0;
}

START_TEST (the_hash_grows_with_what_is_in_it) {
	begin(3000, 65536, 16384);
	ck_assert_uint_lt(cache->hash_mask, 256); /* nothing in advance */
	ck_assert_ptr_null(cache->slabs);
	run(many);
	end();
}
END_TEST

static int small_slices(void *arg)
{
	struct qslice *s;

	(void)arg;
	for (unsigned i = 0; i < 16; i++) {
		s = get(i * 512);
		ck_assert_uint_eq(s->data[511], i / 8);
		memset(s->data, (int)i, 512);
		qcache_mark_dirty(cache, s);
		qcache_put(cache, s);
	}
	ck_assert_int_eq(qcache_write(cache), 0);
	ck_assert_uint_eq(memnode_count(file, BLK_WRITE), 1);
	for (unsigned i = 0; i < 16; i++) {
		uint64_t size;

		ck_assert_uint_eq(memnode_bytes(file, &size)[i * 512 + 3], i);
	}
	return 0;
}

START_TEST (small_clusters_are_slices_themselves) {
	begin(4, 512, 2048);
	ck_assert_uint_eq(cache->slice_bytes, 512);
	run(small_slices);
	end();
}
END_TEST

RIG_SUITE("qcow2 cache", a_slice_is_read_once,
	those_who_want_a_slice_at_once_share_the_read,
	a_failed_read_is_told_to_all_who_wait,
	it_stays_in_its_bounds_and_keeps_what_is_used,
	what_is_held_stays_even_past_the_bounds,
	what_is_dirty_stays_until_it_is_written,
	neighbours_are_written_in_one_request,
	more_is_written_than_fits_in_flight,
	what_could_not_be_written_stays_dirty,
	what_is_forgotten_is_not_written_and_read_anew,
	a_slice_may_be_forgotten_while_it_is_read,
	a_new_slice_is_zeros_and_not_read, the_hash_grows_with_what_is_in_it,
	small_clusters_are_slices_themselves)
