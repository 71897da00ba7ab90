/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "storage/import/mapped.h"
#include "storage/import/tcache.h"

#include "tests/unit/storage/import/imp.h"

/* --- the cache of tables --- */

#define PIECE 512

struct cached {
	struct tcache c;
	struct node *f;
};

static int cache_run(void *arg)
{
	struct cached *t = arg;
	const uint8_t *p;

	/* three pieces, room for two: the one not used longest goes */
	ck_assert_ptr_null(tcache_find(&t->c, t->f, 0));
	ck_assert_int_eq(tcache_load(&t->c, t->f, 5), 0);
	ck_assert_int_eq(tcache_load(&t->c, t->f, PIECE), 0);
	p = tcache_find(&t->c, t->f, 7);
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(*p, 7);
	ck_assert_int_eq(tcache_load(&t->c, t->f, 2 * PIECE), 0);
	ck_assert_ptr_nonnull(tcache_find(&t->c, t->f, 0));
	ck_assert_ptr_null(tcache_find(&t->c, t->f, PIECE));
	ck_assert_ptr_nonnull(tcache_find(&t->c, t->f, 2 * PIECE));
	ck_assert_uint_eq(memnode_count(t->f, BLK_READ), 3);

	/* what is there is not read again */
	ck_assert_int_eq(tcache_load(&t->c, t->f, 2 * PIECE + 9), 0);
	ck_assert_uint_eq(memnode_count(t->f, BLK_READ), 3);

	/* what cannot be read leaves nothing behind */
	memnode_fail(t->f, BLK_READ, 0, EIO);
	ck_assert_int_eq(tcache_load(&t->c, t->f, PIECE), -EIO);
	ck_assert_ptr_null(tcache_find(&t->c, t->f, PIECE));
	ck_assert_ptr_nonnull(tcache_find(&t->c, t->f, 0));
	return 0;
}

START_TEST (the_cache_keeps_what_was_used_last) {
	struct cached t;
	uint8_t bytes[3 * PIECE];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	t.f = memnode_new_from(rig_ctx(), "f", bytes, sizeof(bytes));
	tcache_init(&t.c, PIECE, 1, NULL, NULL);
	ck_assert_int_eq(rig_run(cache_run, &t), 0);
	tcache_fini(&t.c);
	imp_close(t.f);
}
END_TEST

START_TEST (the_cache_knows_files_apart) {
	struct node *a = memnode_new(rig_ctx(), "a", PIECE);
	struct node *b = memnode_new(rig_ctx(), "b", PIECE);
	uint8_t *one = calloc(1, PIECE), *two = calloc(1, PIECE);
	struct tcache c;

	*one = 1;
	tcache_init(&c, PIECE, 10 * PIECE, NULL, NULL);
	tcache_add(&c, a, 0, one);
	ck_assert_ptr_null(tcache_find(&c, b, 0));
	tcache_add(&c, a, 0, two); /* freed: there is one */
	ck_assert_int_eq(*tcache_find(&c, a, 0), 1);
	tcache_fini(&c);
	imp_close(a);
	imp_close(b);
}
END_TEST

/* --- jobs --- */

/*
 * Blocks of 512: n % 4 = 0 zeros, 1 at n in the file, 2 the same as part of
 * what follows, 3 "packed": the block's number in each byte. Every eighth
 * wants a load first; 63 is damaged.
 */
struct toy {
	struct mapped m;
	bool loaded[64];
	unsigned loads, unpacks, unpacking, most;
	int load_error, unpack_error;
};

static int toy_map(struct mapped *m, uint64_t offset, uint64_t len,
	struct mapped_piece *out)
{
	struct toy *t = container_of(m, struct toy, m);
	uint64_t n = offset / 512, in = offset % 512;

	if (n % 8 == 5 && !t->loaded[n])
		return -EAGAIN;
	if (n == 63)
		return mapped_damaged(m, "block 63");
	out->len = 512 - in < len ? 512 - in : len;
	out->file = m->file;
	out->host = offset;
	out->kind = n % 4 == 0   ? MAPPED_ZERO
		    : n % 4 == 3 ? MAPPED_PACKED
				 : MAPPED_DATA;
	return 0;
}

static int toy_load(struct mapped *m, uint64_t offset)
{
	struct toy *t = container_of(m, struct toy, m);
	uint8_t b;
	int rc = node_read(m->file, offset, &b, 1); /* waits */

	t->loads++;
	t->loaded[offset / 512] = true;
	return rc ? rc : t->load_error;
}

static int toy_unpack(struct mapped *m, uint64_t offset,
	const struct mapped_piece *p, uint8_t *buf)
{
	struct toy *t = container_of(m, struct toy, m);
	uint8_t b;
	int rc;

	if (++t->unpacking > t->most)
		t->most = t->unpacking;
	rc = node_read(m->file, offset, &b, 1);
	t->unpacking--;
	t->unpacks++;
	memset(buf, (int)(offset / 512), p->len);
	return rc ? rc : t->unpack_error;
}

static void toy_free(struct mapped *m)
{
	node_close(m->file);
	free(container_of(m, struct toy, m));
}

static const struct mapped_ops toy_ops = {
	.format = "toy",
	.map = toy_map,
	.load = toy_load,
	.unpack = toy_unpack,
	.free = toy_free,
};

static struct toy *toy_new(bool async)
{
	struct toy *t = calloc(1, sizeof(*t));
	struct node *f = memnode_new(rig_ctx(), "toy", 64 * 512);
	uint8_t *b = memnode_bytes(f, NULL);
	struct err e = ERR_NONE;

	for (int i = 0; i < 64 * 512; i++)
		b[i] = (uint8_t)(i / 512);
	memnode_set_async(f, async);
	t->m.unpack_bytes = 512;
	t->m.size = 64 * 512;
	ck_assert_int_eq(mapped_init(&t->m, &toy_ops, f, &e), 0);
	return t;
}

static void toy_reads(struct toy *t, uint64_t at, uint64_t len)
{
	uint8_t *buf = malloc(len);

	memset(buf, 0xee, len);
	ck_assert_int_eq(imp_rw(&t->m.node, BLK_READ, at, buf, len), 0);
	for (uint64_t i = 0; i < len; i++) {
		uint64_t n = (at + i) / 512;

		if (buf[i] != (n % 4 ? n : 0))
			ck_abort_msg("byte %llu of block %llu is %u",
				(unsigned long long)i, (unsigned long long)n,
				buf[i]);
	}
	free(buf);
}

START_TEST (all_kinds_of_pieces_make_one_read) {
	for (int async = 0; async < 2; async++) {
		struct toy *t = toy_new(async);

		toy_reads(t, 0, 63 * 512);
		ck_assert_uint_eq(t->loads, 8);
		ck_assert_uint_eq(t->unpacks, 15);
		toy_reads(t, 100, 62 * 512);
		ck_assert_uint_eq(t->loads, 8);
		for (uint64_t at = 0; at < 40 * 512; at += 97)
			toy_reads(t, at, 300);
		imp_close(&t->m.node);
	}
}
END_TEST

START_TEST (so_much_is_unpacked_at_the_same_time) {
	static const struct {
		uint32_t size;
		unsigned most;
	} grains[] = { { 64 * KiB, 15 }, { 2 * MiB, 4 }, { 16 * MiB, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(grains); i++) {
		struct toy *t = toy_new(true);

		toy_reads(t, 0, 63 * 512); /* tables */
		t->most = 0;
		t->m.unpack_bytes = grains[i].size;
		toy_reads(t, 0, 63 * 512);
		ck_assert_uint_eq(t->unpacks, 30);
		ck_assert_uint_le(t->most, grains[i].most);
		ck_assert(t->most > 1 || grains[i].most == 1);
		imp_close(&t->m.node);
	}
}
END_TEST

START_TEST (an_error_ends_the_request_once) {
	uint8_t buf[64 * 512];

	for (int async = 0; async < 2; async++) {
		struct toy *t = toy_new(async);
		struct node *n = &t->m.node;

		ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, sizeof(buf)),
			-EIO);
		t->unpack_error = -ENOMEM;
		ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, 8 * 512), -ENOMEM);
		t->unpack_error = 0;
		t->loaded[5] = false;
		t->load_error = -EIO;
		ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, 8 * 512), -EIO);
		t->load_error = 0;
		memnode_fail_once(t->m.file, BLK_READ, 1, EIO);
		ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, 8 * 512), -EIO);
		toy_reads(t, 0, 8 * 512);
		imp_close(n);
	}
}
END_TEST

START_TEST (a_length_of_zero_is_done) {
	struct toy *t = toy_new(false);
	struct blk_extent x;

	ck_assert_int_eq(imp_rw(&t->m.node, BLK_READ, 512, NULL, 0), 0);
	ck_assert_int_eq(imp_status(&t->m.node, 512, 0, &x), 0);
	imp_close(&t->m.node);
}
END_TEST

START_TEST (status_goes_on_when_the_file_cannot_tell) {
	struct toy *t = toy_new(true);
	struct blk_extent x;

	memnode_fail(t->m.file, BLK_STATUS, 0, ENOTSUP);
	ck_assert_int_eq(imp_status(&t->m.node, 512, 10 * 512, &x), 0);
	ck_assert(x.data && x.has_host && x.host == 512);
	ck_assert_uint_eq(x.len, 2 * 512);
	ck_assert_str_eq(x.file, "toy");
	ck_assert_int_eq(imp_status(&t->m.node, 5 * 512, 512, &x), 0);
	ck_assert(x.data && x.len == 512);
	ck_assert_int_eq(imp_status(&t->m.node, 63 * 512, 512, &x), -EIO);
	imp_close(&t->m.node);
}
END_TEST

START_TEST (info_is_the_images_not_the_files) {
	struct toy *t = toy_new(false);
	struct blk_info i;

	t->m.node.ops->info(&t->m.node, &i);
	ck_assert_uint_eq(i.size, 64 * 512);
	ck_assert_uint_eq(i.block_size, 512);
	ck_assert(i.readonly && !i.can_discard && !i.can_write_zeroes);
	ck_assert_str_eq(i.format, "toy");
	ck_assert_ptr_nonnull(i.aio);
	imp_close(&t->m.node);
}
END_TEST

RIG_SUITE("import_mapped", the_cache_keeps_what_was_used_last,
	the_cache_knows_files_apart, all_kinds_of_pieces_make_one_read,
	so_much_is_unpacked_at_the_same_time, an_error_ends_the_request_once,
	a_length_of_zero_is_done, status_goes_on_when_the_file_cannot_tell,
	info_is_the_images_not_the_files)
