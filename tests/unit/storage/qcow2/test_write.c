/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes: in place, to clusters that are made, compressed; and errors. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/inner.h"

#define CLUSTER (64 * KiB)

static const struct qcow2_create usual = { .size = 64 * MiB };
static const struct qcow2_create wide = { .size = 64 * MiB,
	.extended_l2 = true };

/* How many writes, and of how many bytes, did the file see? */
struct tally {
	unsigned n;
	uint64_t bytes;
};

static int count_writes(void *arg, const struct blk_req *r)
{
	struct tally *t = arg;

	if (r->op == BLK_WRITE) {
		t->n++;
		t->bytes += r->len;
	}
	return 0;
}

/* Bytes [off, off + len) of the backing file are seen. */
static bool is_backing(struct inner *in, uint64_t off, uint64_t len)
{
	uint8_t *a = malloc(len), *b = malloc(len);
	bool same;

	ck_assert(a && b);
	ck_assert_int_eq(qt_io(in->n, BLK_READ, 0, off, a, len), 0);
	ck_assert_int_eq(qt_io(in->backing, BLK_READ, 0, off, b, len), 0);
	same = !memcmp(a, b, len);
	free(a);
	free(b);
	return same;
}

/* --- where it goes --- */

START_TEST (what_is_there_is_written_in_one_request) {
	struct tally t = { 0 };
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, MiB, 1), 0);
	memnode_watch(in.file, count_writes, &t);
	ck_assert_int_eq(inner_write(&in, 4096, MiB - 8192, 2), 0);
	ck_assert_uint_eq(t.n, 1);
	ck_assert_uint_eq(t.bytes, MiB - 8192);
	memnode_watch(in.file, NULL, NULL);
	ck_assert(inner_is(&in, 4096, MiB - 8192, 2));
	inner_end(&in);
}
END_TEST

START_TEST (new_clusters_get_one_request_without_zeros) {
	struct tally t = { 0 };
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 512, 1), 0);
	memnode_watch(in.file, count_writes, &t);
	ck_assert_int_eq(inner_write(&in, MiB + 512, 10 * CLUSTER, 2), 0);
	ck_assert_uint_eq(t.n, 1);
	ck_assert_uint_eq(t.bytes, 10 * CLUSTER);
	memnode_watch(in.file, NULL, NULL);
	ck_assert(inner_is_zero(&in, MiB, 512));
	ck_assert(inner_is(&in, MiB + 512, 10 * CLUSTER, 2));
	ck_assert(inner_is_zero(&in, MiB + 512 + 10 * CLUSTER, CLUSTER - 512));
	inner_end(&in);
}
END_TEST

START_TEST (used_clusters_are_filled_up_in_the_same_request) {
	struct tally t = { 0 };
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, MiB, 1), 0);
	ck_assert_int_eq(qt_io(in.n, BLK_DISCARD, 0, 0, NULL, MiB), 0);
	ck_assert_int_eq(inner_commit(&in), 0);
	/* the cluster is not what it was: nobody makes holes in this one */
	memset(memnode_bytes(in.file, NULL) + in.q->free_hint * CLUSTER, 0xff,
		2 * CLUSTER);
	memnode_watch(in.file, count_writes, &t);
	ck_assert_int_eq(inner_write(&in, 512, CLUSTER, 2), 0);
	ck_assert_uint_eq(t.n, 1);
	ck_assert_uint_eq(t.bytes, 2 * CLUSTER);
	memnode_watch(in.file, NULL, NULL);
	ck_assert(inner_is_zero(&in, 0, 512));
	ck_assert(inner_is(&in, 512, CLUSTER, 2));
	ck_assert(inner_is_zero(&in, 512 + CLUSTER, CLUSTER - 512));
	inner_end(&in);
}
END_TEST

START_TEST (what_backs_it_fills_up) {
	struct tally t = { 0 };
	struct qcow2_create o;
	struct node *backing = inner_backing(&usual, &o, MiB + 512);
	struct inner in;

	inner_begin(&in, &o, NULL, backing);
	memnode_watch(in.file, count_writes, &t);
	ck_assert_int_eq(inner_write(&in, 512, CLUSTER, 2), 0);
	ck_assert_uint_eq(t.bytes, 2 * CLUSTER);
	memnode_watch(in.file, NULL, NULL);
	ck_assert(is_backing(&in, 0, 512));
	ck_assert(is_backing(&in, 512 + CLUSTER, CLUSTER - 512));
	/* where the backing file ends */
	ck_assert_int_eq(inner_write(&in, MiB + 1024, 512, 3), 0);
	ck_assert(is_backing(&in, MiB, 512));
	ck_assert(inner_is_zero(&in, MiB + 512, 512));
	ck_assert(inner_is(&in, MiB + 1024, 512, 3));
	inner_end(&in);
}
END_TEST

START_TEST (subclusters_fill_up_only_to_their_borders) {
	struct tally t = { 0 };
	struct qcow2_create o;
	struct node *backing = inner_backing(&wide, &o, MiB);
	struct inner in;

	inner_begin(&in, &o, NULL, backing);
	ck_assert_int_eq(inner_write(&in, 32 * MiB, 512, 1), 0);
	memnode_watch(in.file, count_writes, &t);
	ck_assert_int_eq(inner_write(&in, 2560, 512, 2), 0);
	ck_assert_uint_eq(t.n, 1);
	ck_assert_uint_eq(t.bytes, 2048);
	ck_assert_int_eq(inner_write(&in, 4608, 2048, 3), 0);
	ck_assert_uint_eq(t.n, 2);
	ck_assert_uint_eq(t.bytes, 2048 + 4096);
	memnode_watch(in.file, NULL, NULL);
	ck_assert(is_backing(&in, 0, 2560));
	ck_assert(inner_is(&in, 2560, 512, 2));
	ck_assert(is_backing(&in, 3072, 1536));
	ck_assert(inner_is(&in, 4608, 2048, 3));
	ck_assert(is_backing(&in, 6656, CLUSTER));
	inner_end(&in);
}
END_TEST

static void end_cow(struct inner *in, uint64_t was, unsigned with)
{
	ck_assert(inner_is(in, 512, 512, with));
	ck_assert_uint_ne(inner_map(in, 0).host, was);
	ck_assert(inner_map(in, 0).copied);
	inner_end(in);
}

START_TEST (a_cluster_that_is_not_ours_alone_moves) {
	const struct qcow2_create *kinds[] = { &usual, &wide };

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		struct inner in;
		uint64_t host, l2;
		uint8_t *bytes;

		inner_begin(&in, kinds[k], NULL, NULL);
		ck_assert_int_eq(inner_write(&in, 0, 4096, 1), 0);
		ck_assert_int_eq(inner_write(&in, 8192, 4096, 2), 0);
		host = inner_map(&in, 0).host;
		ck_assert_int_eq(inner_commit(&in), 0);
		/* without the flag, as if a snapshot had it too */
		l2 = in.q->l1[0] & QL1_OFFSET;
		ck_assert_int_eq(qt_close(in.n), 0);
		bytes = memnode_bytes(in.file, NULL);
		put_be64(bytes + l2, get_be64(bytes + l2) & ~QL2_COPIED);
		inner_open(&in);
		ck_assert(!inner_map(&in, 0).copied);
		ck_assert_int_eq(inner_write(&in, 512, 512, 3), 0);
		ck_assert(!inner_is_zero(&in, 0, 512));
		ck_assert(inner_is_zero(&in, 4096, 4096));
		ck_assert(inner_is(&in, 8192, 4096, 2));
		end_cow(&in, host, 3);
	}
}
END_TEST

START_TEST (a_compressed_cluster_is_taken_apart) {
	struct inner in;
	uint8_t *buf = malloc(CLUSTER);
	uint64_t host;

	ck_assert_ptr_nonnull(buf);
	memset(buf, 7, CLUSTER);
	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(qt_io(in.n, BLK_WRITE, BLK_COMPRESS, 0, buf, CLUSTER),
		0);
	ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_COMPRESSED);
	host = inner_map(&in, 0).host;
	ck_assert_int_eq(inner_write(&in, 512, 512, 3), 0);
	ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_DATA);
	ck_assert_int_eq(qt_io(in.n, BLK_READ, 0, 0, buf, CLUSTER), 0);
	ck_assert_int_eq(buf[511], 7);
	ck_assert_int_eq(buf[CLUSTER - 1], 7);
	free(buf);
	end_cow(&in, host, 3);
}
END_TEST

START_TEST (zero_clusters_that_kept_their_place_are_filled_up) {
	const struct qcow2_create *kinds[] = { &usual, &wide };

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		struct inner in;
		uint64_t host;

		inner_begin(&in, kinds[k], NULL, NULL);
		ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
		host = inner_map(&in, 0).host;
		ck_assert_int_eq(qt_io(in.n, BLK_WRITE_ZEROES, 0, 0, NULL,
					 CLUSTER),
			0);
		ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_ZERO);
		ck_assert_int_eq(inner_write(&in, 1024, 512, 3), 0);
		ck_assert_uint_eq(inner_map(&in, 0).host, host);
		ck_assert(inner_is_zero(&in, 0, 1024));
		ck_assert(inner_is(&in, 1024, 512, 3));
		ck_assert(inner_is_zero(&in, 1536, CLUSTER - 1536));
		inner_end(&in);
	}
}
END_TEST

START_TEST (a_request_of_many_pieces_is_filled_up_too) {
	static struct iovec iov[BLK_MAX_IOV];
	struct qcow2_create o;
	struct node *backing = inner_backing(&usual, &o, 2 * MiB);
	uint64_t len = BLK_MAX_IOV * UINT64_C(512);
	struct inner_req r;
	struct inner in;
	uint8_t *buf = malloc(len);

	ck_assert_ptr_nonnull(buf);
	qt_fill(buf, len, 4);
	for (int i = 0; i < BLK_MAX_IOV; i++)
		iov[i] = (struct iovec){ buf + 512 * (size_t)i, 512 };
	inner_begin(&in, &o, NULL, backing);
	inner_submit(&in, &r, BLK_FLUSH, 0, 0, NULL, 0);
	ck_assert_int_eq(inner_wait(&r), 0);
	r.done = false;
	r.r.op = BLK_WRITE;
	r.r.offset = 512;
	r.r.len = len;
	r.r.iov = iov;
	r.r.niov = BLK_MAX_IOV;
	node_submit(in.n, &r.r);
	ck_assert_int_eq(inner_wait(&r), 0);
	ck_assert(is_backing(&in, 0, 512));
	ck_assert(inner_is(&in, 512, len, 4));
	ck_assert(is_backing(&in, 512 + len, CLUSTER));
	free(buf);
	inner_end(&in);
}
END_TEST

/* --- at the same time --- */

START_TEST (writes_to_one_new_cluster_wait_for_each_other) {
	static uint8_t buf[16][4096];
	struct inner_req r[16];
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	memnode_set_async(in.file, true);
	for (unsigned i = 0; i < 16; i++) {
		qt_fill(buf[i], 4096, i);
		inner_submit(&in, &r[i], BLK_WRITE, 0, i * 4096, buf[i], 4096);
	}
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(inner_wait(&r[i]), 0);
	for (unsigned i = 0; i < 16; i++)
		ck_assert(inner_is(&in, i * 4096, 4096, i));
	ck_assert_uint_eq(inner_count(&in, inner_map(&in, 0).host / CLUSTER),
		1);
	inner_end(&in);
}
END_TEST

START_TEST (new_clusters_are_written_side_by_side) {
	static uint8_t buf[8][CLUSTER];
	struct inner_req r[8];
	struct inner in;
	unsigned n = 0;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 16 * MiB, 512, 1), 0);
	memnode_set_async(in.file, true);
	for (unsigned i = 0; i < 8; i++) {
		qt_fill(buf[i], CLUSTER, i);
		inner_submit(&in, &r[i], BLK_WRITE, 0, i * CLUSTER, buf[i],
			CLUSTER);
	}
	/* all are on their way before one is done, one after the other */
	list_each (it, &in.q->inflight)
		n++;
	ck_assert_uint_eq(n, 8);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(inner_wait(&r[i]), 0);
	ck_assert_uint_eq(inner_map(&in, 0).len, 8 * CLUSTER);
	for (unsigned i = 0; i < 8; i++)
		ck_assert(inner_is(&in, i * CLUSTER, CLUSTER, i));
	inner_end(&in);
}
END_TEST

START_TEST (few_large_clusters_are_filled_up_at_once) {
	static uint8_t buf[24][512];
	struct qcow2_create o,
		large = { .size = 64 * MiB, .cluster_size = 2 * MiB };
	struct node *backing = inner_backing(&large, &o, 64 * MiB);
	struct inner_req r[24];
	struct inner in;
	uint64_t was;

	inner_begin(&in, &o, NULL, backing);
	ck_assert_int_eq(inner_write(&in, 60 * MiB, 512, 1), 0);
	memnode_set_async(backing, true);
	was = memnode_count(backing, BLK_READ);
	for (unsigned i = 0; i < 24; i++) {
		qt_fill(buf[i], 512, i);
		inner_submit(&in, &r[i], BLK_WRITE, 0, i * 2 * MiB + 4096,
			buf[i], 512);
	}
	ck_assert_uint_eq(memnode_count(backing, BLK_READ) - was, 8);
	for (unsigned i = 0; i < 24; i++)
		ck_assert_int_eq(inner_wait(&r[i]), 0);
	for (unsigned i = 0; i < 24; i++) {
		ck_assert(inner_is(&in, i * 2 * MiB + 4096, 512, i));
		ck_assert(is_backing(&in, i * 2 * MiB, 4096));
		ck_assert(is_backing(&in, i * 2 * MiB + 4608, 2 * MiB - 4608));
	}
	inner_end(&in);
}
END_TEST

/* --- FUA --- */

START_TEST (fua_makes_the_map_durable) {
	uint8_t buf[512] = { 1 };
	struct inner in;
	uint64_t flushes;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(qt_io(in.n, BLK_WRITE, BLK_FUA, 512, buf, 512), 0);
	ck_assert_uint_eq(in.q->l2.ndirty, 0);
	/* what the disk has now is enough */
	memnode_save(in.file, rig_path("copy.qcow2"));
	qt_sh_ok("qemu-io -f qcow2 -c 'read -P 1 512 1' copy.qcow2 >/dev/null");
	/* with nothing to be written of it: no flush */
	flushes = memnode_count(in.file, BLK_FLUSH);
	ck_assert_int_eq(qt_io(in.n, BLK_WRITE, BLK_FUA, 512, buf, 512), 0);
	ck_assert_uint_eq(memnode_count(in.file, BLK_FLUSH), flushes);
	inner_end(&in);
}
END_TEST

/* --- compressed --- */

START_TEST (clusters_are_compressed_side_by_side) {
	struct inner in;
	uint8_t *buf = malloc(40 * CLUSTER + 512);
	const uint64_t n = 40 * CLUSTER + 512;
	struct qcow2_create o = { .size = n };

	ck_assert_ptr_nonnull(buf);
	for (uint64_t i = 0; i < n; i++)
		buf[i] = (uint8_t)(i >> 12);
	/* one that gets no smaller */
	qt_fill(buf + 3 * CLUSTER, CLUSTER, 3);
	inner_begin(&in, &o, NULL, NULL);
	memnode_set_async(in.file, true);
	ck_assert_int_eq(qt_io(in.n, BLK_WRITE, BLK_COMPRESS, 0, buf, n), 0);
	for (uint64_t i = 0; i <= 40; i++)
		ck_assert_int_eq(inner_map(&in, i * CLUSTER).kind,
			i == 3 ? QMAP_DATA : QMAP_COMPRESSED);
	inner_reopen(&in);
	ck_assert(inner_is(&in, 3 * CLUSTER, CLUSTER, 3));
	for (uint64_t i = 0; i < n; i += 4096) {
		uint8_t got;

		ck_assert_int_eq(qt_io(in.n, BLK_READ, 0, i, &got, 1), 0);
		ck_assert_int_eq(got, buf[i]);
	}
	free(buf);
	inner_end(&in);
}
END_TEST

START_TEST (what_is_no_whole_cluster_is_not_compressed) {
	static uint8_t buf[2 * CLUSTER];
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(qt_io(in.n, BLK_WRITE, BLK_COMPRESS, 512, buf,
				 CLUSTER),
		0);
	ck_assert_int_eq(qt_io(in.n, BLK_WRITE, BLK_COMPRESS, MiB, buf,
				 CLUSTER - 512),
		0);
	ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_DATA);
	ck_assert_int_eq(inner_map(&in, MiB).kind, QMAP_DATA);
	inner_end(&in);
}
END_TEST

START_TEST (a_cluster_with_data_can_be_compressed_over) {
	static uint8_t buf[CLUSTER];
	struct inner in;
	uint64_t host;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
	host = inner_map(&in, 0).host / CLUSTER;
	ck_assert_int_eq(qt_io(in.n, BLK_WRITE, BLK_COMPRESS, 0, buf, CLUSTER),
		0);
	ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_COMPRESSED);
	ck_assert_int_eq(inner_commit(&in), 0);
	ck_assert_uint_eq(inner_count(&in, host), 0);
	inner_end(&in);
}
END_TEST

START_TEST (a_failed_compressed_write_leaves_what_was) {
	static uint8_t buf[CLUSTER];
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
	memnode_fail_once(in.file, BLK_WRITE, 0, ENOSPC);
	ck_assert_int_eq(qt_io(in.n, BLK_WRITE, BLK_COMPRESS, 0, buf, CLUSTER),
		-ENOSPC);
	ck_assert(inner_is(&in, 0, CLUSTER, 1));
	inner_end(&in);
}
END_TEST

/* --- errors --- */

START_TEST (a_failed_write_leaves_what_was) {
	static const int codes[] = { ENOSPC, EIO };
	const struct qcow2_create *kinds[] = { &usual, &wide };

	for (unsigned k = 0; k < 4; k++) {
		struct inner in;
		uint64_t hint;

		inner_begin(&in, kinds[k / 2], NULL, NULL);
		ck_assert_int_eq(inner_write(&in, 0, 512, 1), 0);
		hint = in.q->free_hint;
		memnode_fail_once(in.file, BLK_WRITE, 0, codes[k % 2]);
		ck_assert_int_eq(inner_write(&in, MiB, 4 * CLUSTER, 2),
			-codes[k % 2]);
		ck_assert(inner_is_zero(&in, MiB, 4 * CLUSTER));
		/* its clusters are free again, and work goes on */
		ck_assert_uint_eq(in.q->free_hint, hint);
		ck_assert_int_eq(inner_write(&in, MiB, 4 * CLUSTER, 3), 0);
		ck_assert(inner_is(&in, MiB, 4 * CLUSTER, 3));
		inner_end(&in);
	}
}
END_TEST

START_TEST (a_full_disk_is_enospc_until_there_is_room) {
	struct inner in;
	uint64_t off = 0;
	int r = 0;

	inner_begin(&in, &usual, NULL, NULL);
	memnode_limit(in.file, 3 * MiB);
	while (!r && off < 8 * MiB) {
		r = inner_write(&in, off, 128 * KiB, (unsigned)off);
		off += r ? 0 : 128 * KiB;
	}
	ck_assert_int_eq(r, -ENOSPC);
	/* what there is can be written and made durable */
	ck_assert_int_eq(inner_write(&in, 0, 128 * KiB, 0), 0);
	ck_assert_int_eq(qt_io(in.n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	memnode_limit(in.file, UINT64_MAX);
	ck_assert_int_eq(inner_write(&in, off, 128 * KiB, (unsigned)off), 0);
	for (uint64_t i = 0; i <= off; i += 128 * KiB)
		ck_assert(inner_is(&in, i, 128 * KiB, (unsigned)i));
	inner_end(&in);
}
END_TEST

START_TEST (a_failed_read_of_what_fills_up_fails_the_write) {
	struct qcow2_create o;
	struct node *backing = inner_backing(&usual, &o, MiB);
	struct inner in;

	inner_begin(&in, &o, NULL, backing);
	memnode_fail(backing, BLK_READ, 0, EIO);
	ck_assert_int_eq(inner_write(&in, 512, 512, 1), -EIO);
	memnode_fail(backing, BLK_READ, 0, 0);
	ck_assert(is_backing(&in, 0, CLUSTER));
	inner_end(&in);
}
END_TEST

START_TEST (data_never_goes_to_a_table) {
	for (unsigned fresh = 0; fresh < 3; fresh++) {
		struct inner in;
		uint64_t l2, to;
		uint8_t *bytes;

		inner_begin(&in, &usual, NULL, NULL);
		ck_assert_int_eq(inner_write(&in, 0, 512, 1), 0);
		ck_assert_int_eq(inner_commit(&in), 0);
		l2 = in.q->l1[0] & QL1_OFFSET;
		to = fresh == 2 ? in.q->h.l1_offset : in.q->rt[0];
		ck_assert_int_eq(qt_close(in.n), 0);
		bytes = memnode_bytes(in.file, NULL);
		put_be64(bytes + l2, to | QL2_COPIED | (fresh == 1));
		inner_open(&in);
		if (fresh != 1) /* a write before: then there is no fiber */
			ck_assert_int_eq(inner_write(&in, MiB, 512, 1), 0);
		ck_assert_int_eq(inner_write(&in, 0, 512, 2), -EIO);
		ck_assert(in.q->corrupt);
		ck_assert_int_eq(inner_write(&in, MiB, 512, 2), -EIO);
		ck_assert_int_eq(qt_io(in.n, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
		ck_assert_int_eq(qt_close(in.n), 0);
	}
}
END_TEST

START_TEST (a_place_behind_the_file_draws_no_data_there) {
	struct inner in;
	uint64_t l2, size;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 512, 1), 0);
	ck_assert_int_eq(inner_commit(&in), 0);
	l2 = in.q->l1[0] & QL1_OFFSET;
	ck_assert_int_eq(qt_close(in.n), 0);
	put_be64(memnode_bytes(in.file, NULL) + l2, (4 * GiB) | QL2_COPIED);
	inner_open(&in);
	ck_assert_int_eq(inner_write(&in, CLUSTER, CLUSTER, 2), 0);
	ck_assert_int_eq(qt_close(in.n), 0);
	memnode_bytes(in.file, &size);
	ck_assert_uint_lt(size, MiB);
}
END_TEST

START_TEST (an_image_for_reading_is_not_written) {
	struct qcow2_opts o = { .readonly = true };
	struct node *file = qt_new(&usual), *n;
	uint8_t buf[512] = { 1 };
	struct err e = ERR_NONE;

	ck_assert_int_eq(qt_open(file, &o, &n, &e), 0);
	ck_assert_int_eq(qt_io(n, BLK_WRITE, 0, 0, buf, 512), -EROFS);
	ck_assert_int_eq(qt_io(n, BLK_WRITE_ZEROES, 0, 0, NULL, 512), -EROFS);
	ck_assert_int_eq(qt_io(n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(qt_close(n), 0);
	ck_assert_uint_eq(memnode_count(file, BLK_DISCARD), 0);
}
END_TEST

START_TEST (a_flush_reaches_the_data_file_first) {
	struct qcow2_create o = { .size = MiB, .data_file = "data.raw" };
	struct node *data = qt_mem();
	struct inner in;

	inner_begin(&in, &o, data, NULL);
	ck_assert_int_eq(inner_write(&in, CLUSTER, 512, 1), 0);
	ck_assert_uint_eq(inner_map(&in, CLUSTER).host, CLUSTER);
	memnode_fail_once(data, BLK_FLUSH, 0, EIO);
	ck_assert_int_eq(qt_io(in.n, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
	ck_assert_uint_eq(in.q->l2.ndirty, 1);
	ck_assert_int_eq(qt_io(in.n, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_uint_eq(in.q->l2.ndirty, 0);
	ck_assert_uint_ge(memnode_count(data, BLK_FLUSH), 2);
	inner_end(&in);
}
END_TEST

QT_SUITE("qcow2-write", what_is_there_is_written_in_one_request,
	new_clusters_get_one_request_without_zeros,
	used_clusters_are_filled_up_in_the_same_request, what_backs_it_fills_up,
	subclusters_fill_up_only_to_their_borders,
	a_cluster_that_is_not_ours_alone_moves,
	a_compressed_cluster_is_taken_apart,
	zero_clusters_that_kept_their_place_are_filled_up,
	a_request_of_many_pieces_is_filled_up_too,
	writes_to_one_new_cluster_wait_for_each_other,
	new_clusters_are_written_side_by_side,
	few_large_clusters_are_filled_up_at_once, fua_makes_the_map_durable,
	clusters_are_compressed_side_by_side,
	what_is_no_whole_cluster_is_not_compressed,
	a_cluster_with_data_can_be_compressed_over,
	a_failed_compressed_write_leaves_what_was,
	a_failed_write_leaves_what_was,
	a_full_disk_is_enospc_until_there_is_room,
	a_failed_read_of_what_fills_up_fails_the_write,
	data_never_goes_to_a_table, a_place_behind_the_file_draws_no_data_there,
	an_image_for_reading_is_not_written,
	a_flush_reaches_the_data_file_first)
