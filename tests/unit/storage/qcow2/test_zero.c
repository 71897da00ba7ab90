/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Write-zeroes and discard, in all that the format can say of zeros. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/inner.h"

#define CLUSTER (64 * KiB)

static const struct qcow2_create usual = { .size = 64 * MiB + 512 };
static const struct qcow2_create old = { .size = 64 * MiB + 512, .version = 2 };
static const struct qcow2_create wide = { .size = 64 * MiB + 512,
	.extended_l2 = true };

static int zero(struct inner *in, unsigned flags, uint64_t off, uint64_t len)
{
	return qt_io(in->n, BLK_WRITE_ZEROES, flags, off, NULL, len);
}

static int discard(struct inner *in, uint64_t off, uint64_t len)
{
	return qt_io(in->n, BLK_DISCARD, 0, off, NULL, len);
}

/* --- write-zeroes --- */

START_TEST (zeros_are_a_flag_and_keep_the_place) {
	const struct qcow2_create *kinds[] = { &usual, &wide };

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		struct inner in;
		uint64_t host, writes;

		inner_begin(&in, kinds[k], NULL, NULL);
		ck_assert_int_eq(inner_write(&in, 0, 3 * CLUSTER, 1), 0);
		host = inner_map(&in, 0).host;
		writes = memnode_count(in.file, BLK_WRITE);
		ck_assert_int_eq(zero(&in, 0, 0, 2 * CLUSTER), 0);
		ck_assert_uint_eq(memnode_count(in.file, BLK_WRITE), writes);
		ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_ZERO);
		ck_assert(inner_map(&in, 0).has_host);
		ck_assert_uint_eq(inner_map(&in, 0).host, host);
		ck_assert(inner_is_zero(&in, 0, 2 * CLUSTER));
		ck_assert_int_eq(inner_map(&in, 2 * CLUSTER).kind, QMAP_DATA);
		/* unmap gives it up all the same */
		ck_assert_int_eq(zero(&in, BLK_UNMAP, 0, CLUSTER), 0);
		ck_assert(!inner_map(&in, 0).has_host);
		ck_assert_int_eq(inner_commit(&in), 0);
		ck_assert_uint_eq(inner_count(&in, host / CLUSTER), 0);
		inner_end(&in);
	}
}
END_TEST

START_TEST (nothing_is_made_where_nothing_is) {
	const struct qcow2_create *kinds[] = { &usual, &wide, &old };

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		struct inner in;

		inner_begin(&in, kinds[k], NULL, NULL);
		ck_assert_int_eq(zero(&in, 0, 512, 63 * MiB), 0);
		ck_assert_int_eq(discard(&in, 0, in.q->h.size), 0);
		ck_assert_uint_eq(in.q->l1[0], 0);
		ck_assert_uint_eq(in.q->l2.ndirty, 0);
		inner_end(&in);
	}
}
END_TEST

START_TEST (parts_of_clusters_are_written) {
	const struct qcow2_create *kinds[] = { &usual, &wide, &old };

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		struct inner in;

		inner_begin(&in, kinds[k], NULL, NULL);
		ck_assert_int_eq(inner_write(&in, 0, 512, 1), 0);
		ck_assert_int_eq(inner_write(&in, 512, 3 * CLUSTER, 2), 0);
		ck_assert_int_eq(inner_write(&in, 512 + 3 * CLUSTER, 512, 3),
			0);
		ck_assert_int_eq(zero(&in, 0, 512, 3 * CLUSTER), 0);
		ck_assert(inner_is(&in, 0, 512, 1));
		ck_assert(inner_is_zero(&in, 512, 3 * CLUSTER));
		ck_assert(inner_is(&in, 512 + 3 * CLUSTER, 512, 3));
		inner_end(&in);
	}
}
END_TEST

START_TEST (the_last_part_of_a_disk_is_a_whole_cluster) {
	const struct qcow2_create *kinds[] = { &usual, &wide };

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		struct inner in;

		inner_begin(&in, kinds[k], NULL, NULL);
		ck_assert_int_eq(inner_write(&in, 64 * MiB, 512, 1), 0);
		ck_assert_int_eq(zero(&in, BLK_UNMAP, 64 * MiB, 512), 0);
		ck_assert_int_eq(inner_map(&in, 64 * MiB).kind, QMAP_ZERO);
		ck_assert(!inner_map(&in, 64 * MiB).has_host);
		ck_assert_int_eq(inner_write(&in, 64 * MiB, 512, 1), 0);
		ck_assert_int_eq(discard(&in, 64 * MiB, 512), 0);
		ck_assert_int_eq(inner_map(&in, 64 * MiB).kind, QMAP_NONE);
		inner_end(&in);
	}
}
END_TEST

START_TEST (subclusters_become_zero_alone) {
	struct qcow2_create o;
	struct node *backing = inner_backing(&wide, &o, MiB);
	struct inner in;

	inner_begin(&in, &o, NULL, backing);
	ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
	ck_assert_int_eq(zero(&in, 0, 4096, 4096), 0);
	ck_assert_int_eq(inner_map(&in, 4096).kind, QMAP_ZERO);
	ck_assert_uint_eq(inner_map(&in, 4096).len, 4096);
	ck_assert_int_eq(inner_map(&in, 8192).kind, QMAP_DATA);
	/* where there was nothing but what backs it */
	ck_assert_int_eq(zero(&in, 0, CLUSTER + 2048, 2048), 0);
	ck_assert_int_eq(inner_map(&in, CLUSTER).kind, QMAP_NONE);
	ck_assert_int_eq(inner_map(&in, CLUSTER + 2048).kind, QMAP_ZERO);
	ck_assert_int_eq(inner_map(&in, CLUSTER + 4096).kind, QMAP_NONE);
	/* with its last data a cluster is given up */
	ck_assert_int_eq(zero(&in, BLK_UNMAP, 0, 32 * KiB), 0);
	ck_assert(inner_map(&in, 0).has_host);
	ck_assert_int_eq(zero(&in, BLK_UNMAP, 32 * KiB, 32 * KiB), 0);
	ck_assert(!inner_map(&in, 0).has_host);
	inner_end(&in);
}
END_TEST

START_TEST (version_2_has_holes_or_written_zeros) {
	struct qcow2_create o;
	struct node *backing = inner_backing(&old, &o, MiB);
	struct inner in;

	inner_begin(&in, &old, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 2 * CLUSTER, 1), 0);
	ck_assert_int_eq(zero(&in, 0, 0, CLUSTER), 0);
	ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_DATA);
	ck_assert(inner_is_zero(&in, 0, CLUSTER));
	ck_assert_int_eq(zero(&in, BLK_UNMAP, CLUSTER, CLUSTER), 0);
	ck_assert_int_eq(inner_map(&in, CLUSTER).kind, QMAP_NONE);
	ck_assert_int_eq(discard(&in, 0, CLUSTER), 0);
	ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_NONE);
	inner_end(&in);

	inner_begin(&in, &o, NULL, backing);
	ck_assert_int_eq(zero(&in, BLK_UNMAP, 0, 2 * CLUSTER), 0);
	ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_DATA);
	ck_assert(inner_is_zero(&in, 0, 2 * CLUSTER));
	/* nothing to say it with: a discard does nothing */
	ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
	ck_assert_int_eq(discard(&in, 0, CLUSTER), 0);
	ck_assert(inner_is(&in, 0, CLUSTER, 1));
	inner_end(&in);
}
END_TEST

START_TEST (compressed_clusters_become_zero) {
	static uint8_t buf[CLUSTER];
	const struct qcow2_create *kinds[] = { &usual, &wide };

	memset(buf, 3, sizeof(buf));
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		struct inner in;

		inner_begin(&in, kinds[k], NULL, NULL);
		for (uint64_t i = 0; i < 3; i++)
			ck_assert_int_eq(qt_io(in.n, BLK_WRITE, BLK_COMPRESS,
						 i * CLUSTER, buf, CLUSTER),
				0);
		ck_assert_int_eq(zero(&in, 0, 4096, 2 * CLUSTER), 0);
		ck_assert(inner_is_zero(&in, 4096, 2 * CLUSTER));
		ck_assert_int_eq(inner_map(&in, CLUSTER).kind, QMAP_ZERO);
		ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_DATA);
		inner_end(&in);
	}
}
END_TEST

/* --- discard --- */

START_TEST (a_discard_is_of_whole_clusters) {
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 4 * CLUSTER, 1), 0);
	ck_assert_int_eq(discard(&in, 512, CLUSTER), 0);
	ck_assert(inner_is(&in, 0, 4 * CLUSTER, 1));
	ck_assert_int_eq(discard(&in, 512, 2 * CLUSTER), 0);
	ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_DATA);
	ck_assert_int_eq(inner_map(&in, CLUSTER).kind, QMAP_NONE);
	ck_assert_int_eq(inner_map(&in, 2 * CLUSTER).kind, QMAP_DATA);
	inner_end(&in);
}
END_TEST

START_TEST (a_discard_never_shows_what_backs_it) {
	const struct qcow2_create *kinds[] = { &usual, &wide };

	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		struct qcow2_create o;
		struct node *backing = inner_backing(kinds[k], &o, MiB);
		struct inner in;

		inner_begin(&in, &o, NULL, backing);
		ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
		ck_assert_int_eq(discard(&in, 0, 2 * CLUSTER), 0);
		ck_assert_int_eq(inner_map(&in, 0).kind, QMAP_ZERO);
		ck_assert(!inner_map(&in, 0).has_host);
		ck_assert(inner_is_zero(&in, 0, 2 * CLUSTER));
		inner_end(&in);
	}
}
END_TEST

START_TEST (space_is_given_back_once_and_after_the_commit) {
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 8 * CLUSTER, 1), 0);
	ck_assert_int_eq(discard(&in, 0, 8 * CLUSTER), 0);
	ck_assert_uint_eq(memnode_count(in.file, BLK_DISCARD), 0);
	ck_assert_int_eq(inner_commit(&in), 0);
	/* neighbours together */
	ck_assert_uint_eq(memnode_count(in.file, BLK_DISCARD), 1);
	ck_assert_int_eq(inner_commit(&in), 0);
	ck_assert_uint_eq(memnode_count(in.file, BLK_DISCARD), 1);
	inner_end(&in);
}
END_TEST

/* --- data files --- */

START_TEST (a_data_file_gets_holes) {
	struct qcow2_create o = { .size = MiB, .data_file = "data.raw" };
	struct node *data = qt_mem();
	struct inner in;

	inner_begin(&in, &o, data, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 2 * CLUSTER, 1), 0);
	ck_assert_int_eq(discard(&in, 0, CLUSTER), 0);
	ck_assert_uint_eq(memnode_count(data, BLK_DISCARD), 1);
	ck_assert_uint_eq(memnode_count(in.file, BLK_DISCARD), 0);
	ck_assert(inner_is_zero(&in, 0, CLUSTER));
	ck_assert_int_eq(zero(&in, 0, CLUSTER, CLUSTER), 0);
	ck_assert(inner_is_zero(&in, CLUSTER, CLUSTER));
	/* the old data is still there, and must not show */
	ck_assert_int_eq(inner_write(&in, CLUSTER + 512, 512, 2), 0);
	ck_assert(inner_is_zero(&in, CLUSTER, 512));
	ck_assert(inner_is_zero(&in, CLUSTER + 1024, CLUSTER - 1024));
	inner_end(&in);
}
END_TEST

START_TEST (a_raw_data_file_is_zeroed_itself) {
	struct qcow2_create o = { .size = MiB,
		.data_file = "data.raw",
		.data_file_raw = true };
	struct node *data = qt_mem();
	struct inner in;

	inner_begin(&in, &o, data, NULL);
	ck_assert_int_eq(inner_write(&in, 0, 4 * CLUSTER, 1), 0);
	ck_assert_int_eq(zero(&in, 0, 0, CLUSTER), 0);
	ck_assert_int_eq(zero(&in, BLK_UNMAP, CLUSTER, CLUSTER), 0);
	ck_assert_int_eq(discard(&in, 2 * CLUSTER, CLUSTER), 0);
	ck_assert(inner_is_zero(&in, 0, 3 * CLUSTER));
	ck_assert(qt_is_zero(memnode_bytes(data, NULL), 3 * CLUSTER));
	/* what fails there fails here, and changes nothing */
	memnode_fail_once(data, BLK_WRITE_ZEROES, 0, EIO);
	ck_assert_int_eq(zero(&in, 0, 3 * CLUSTER, CLUSTER), -EIO);
	ck_assert_int_eq(inner_map(&in, 3 * CLUSTER).kind, QMAP_DATA);
	inner_end(&in);
}
END_TEST

/* --- errors --- */

START_TEST (a_failed_table_leaves_what_was) {
	struct qcow2_create o;
	struct node *backing = inner_backing(&usual, &o, MiB);
	struct inner in;

	inner_begin(&in, &o, NULL, backing);
	memnode_fail_once(in.file, BLK_WRITE_ZEROES, 0, ENOSPC);
	ck_assert_int_eq(zero(&in, 0, 0, CLUSTER), -ENOSPC);
	ck_assert(!inner_is_zero(&in, 0, CLUSTER));
	ck_assert_int_eq(zero(&in, 0, 0, CLUSTER), 0);
	ck_assert(inner_is_zero(&in, 0, CLUSTER));
	inner_end(&in);
}
END_TEST

START_TEST (a_corrupt_image_is_not_changed) {
	struct inner in;

	inner_begin(&in, &usual, NULL, NULL);
	in.q->corrupt = true;
	ck_assert_int_eq(zero(&in, 0, 0, CLUSTER), -EIO);
	ck_assert_int_eq(discard(&in, 0, CLUSTER), -EIO);
	ck_assert_int_eq(qt_close(in.n), 0);
}
END_TEST

START_TEST (a_table_is_not_given_up) {
	for (unsigned how = 0; how < 2; how++) {
		struct inner in;
		uint64_t l2, l1;
		uint8_t *bytes;

		inner_begin(&in, &usual, NULL, NULL);
		ck_assert_int_eq(inner_write(&in, 0, CLUSTER, 1), 0);
		ck_assert_int_eq(inner_commit(&in), 0);
		l2 = in.q->l1[0] & QL1_OFFSET;
		l1 = in.q->h.l1_offset;
		ck_assert_int_eq(qt_close(in.n), 0);
		bytes = memnode_bytes(in.file, NULL);
		put_be64(bytes + l2, l1 | QL2_COPIED);
		inner_open(&in);
		ck_assert_int_eq(how ? discard(&in, 0, CLUSTER)
				     : zero(&in, BLK_UNMAP, 0, CLUSTER),
			-EIO);
		ck_assert(in.q->corrupt);
		ck_assert_int_eq(qt_io(in.n, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
		ck_assert_int_eq(qt_close(in.n), 0);
		ck_assert_uint_eq(get_be64(bytes + l1), l2 | QL1_COPIED);
	}
}
END_TEST

QT_SUITE("qcow2-zero", zeros_are_a_flag_and_keep_the_place,
	nothing_is_made_where_nothing_is, parts_of_clusters_are_written,
	the_last_part_of_a_disk_is_a_whole_cluster,
	subclusters_become_zero_alone, version_2_has_holes_or_written_zeros,
	compressed_clusters_become_zero, a_discard_is_of_whole_clusters,
	a_discard_never_shows_what_backs_it,
	space_is_given_back_once_and_after_the_commit, a_data_file_gets_holes,
	a_raw_data_file_is_zeroed_itself, a_failed_table_leaves_what_was,
	a_corrupt_image_is_not_changed, a_table_is_not_given_up)
