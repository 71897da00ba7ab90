/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compressed clusters come back as they were, what is no cluster's data is
 * refused; and the set of table clusters against an array of flags.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/impl.h"

#include "tests/unit/storage/qcow2/qtest.h"

#define CLUSTER 65536u

/* --- compression ---------------------------------------------------------- */

struct comp {
	struct qcow2 q;
	uint8_t *dst;
	const uint8_t *src;
	uint64_t dst_len, src_len;
	int64_t packed;
};

static int pack_fn(void *arg)
{
	struct comp *c = arg;

	c->packed = qcomp_pack(&c->q, c->dst, c->dst_len, c->src, c->src_len);
	return 0;
}

static int unpack_fn(void *arg)
{
	struct comp *c = arg;

	return qcomp_unpack(&c->q, c->dst, c->dst_len, c->src, c->src_len);
}

static int64_t pack(unsigned type, uint8_t *dst, uint64_t max,
	const uint8_t *src)
{
	struct comp c = { .dst = dst,
		.dst_len = max,
		.src = src,
		.src_len = CLUSTER };

	c.q.node.ctx = qt_ctx;
	c.q.h.compression = type;
	ck_assert_int_eq(qt_run(pack_fn, &c), 0);
	return c.packed;
}

static int unpack(unsigned type, uint8_t *dst, uint64_t len, const uint8_t *src,
	uint64_t src_len)
{
	struct comp c = { .dst = dst,
		.dst_len = len,
		.src = src,
		.src_len = src_len };

	c.q.node.ctx = qt_ctx;
	c.q.h.compression = type;
	return qt_run(unpack_fn, &c);
}

static void text(uint8_t *p)
{
	for (unsigned i = 0; i < CLUSTER; i++)
		p[i] = (uint8_t) "one two three four "[i % 19] ^ (i >> 12);
}

START_TEST (clusters_come_back) {
	static uint8_t in[CLUSTER], out[CLUSTER], z[CLUSTER + 512];

	text(in);
	for (unsigned type = 0; type < 2; type++) {
		int64_t n = pack(type, z, CLUSTER, in);

		ck_assert_int_gt(n, 0);
		ck_assert_int_lt(n, 8192);
		/* as it is read: to the end of a sector */
		memset(z + n, 0xee, 512);
		memset(out, 0, CLUSTER);
		ck_assert_int_eq(unpack(type, out, CLUSTER, z,
					 (uint64_t)n + 500),
			0);
		ck_assert_mem_eq(in, out, CLUSTER);
	}
}
END_TEST

START_TEST (what_does_not_get_smaller_is_told) {
	static uint8_t in[CLUSTER], z[CLUSTER];

	qt_fill(in, CLUSTER, 5);
	for (unsigned type = 0; type < 2; type++) {
		ck_assert_int_eq(pack(type, z, CLUSTER - 1, in), -ENOSPC);
		text(in);
		ck_assert_int_eq(pack(type, z, 16, in), -ENOSPC);
		qt_fill(in, CLUSTER, 5);
	}
}
END_TEST

START_TEST (data_that_is_cut_or_wrong_is_refused) {
	static uint8_t in[CLUSTER], out[CLUSTER], z[CLUSTER];

	text(in);
	for (unsigned type = 0; type < 2; type++) {
		int64_t n = pack(type, z, CLUSTER, in);

		ck_assert_int_eq(unpack(type, out, CLUSTER, z, (uint64_t)n / 2),
			-EIO);
		ck_assert_int_eq(unpack(type, out, CLUSTER, z, 0), -EIO);
		memset(z, 0xff, CLUSTER);
		ck_assert_int_eq(unpack(type, out, CLUSTER, z, CLUSTER), -EIO);
	}
	/* a frame with more than the cluster in it */
	ck_assert_int_eq(unpack(QCOMPRESS_ZSTD, out, CLUSTER / 2, z,
				 ZSTD_compress(z, CLUSTER, in, CLUSTER, 3)),
		-EIO);
}
END_TEST

START_TEST (frame_with_a_huge_window_is_refused) {
	static uint8_t in[CLUSTER], out[CLUSTER], z[CLUSTER];
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_outBuffer to = { z, sizeof(z), 0 };
	ZSTD_inBuffer from = { in, sizeof(in), 0 };

	/* streamed, so that the size is not known and the window is kept */
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 27);
	while (from.pos < from.size)
		ck_assert(!ZSTD_isError(
			ZSTD_compressStream2(c, &to, &from, ZSTD_e_continue)));
	ck_assert_uint_eq(ZSTD_compressStream2(c, &to, &from, ZSTD_e_end), 0);
	ZSTD_freeCCtx(c);
	ck_assert_int_eq(unpack(QCOMPRESS_ZSTD, out, CLUSTER, z, to.pos), -EIO);
}
END_TEST

/* --- table clusters ------------------------------------------------------- */

#define CLUSTERS 4096u

static bool any(const bool *set, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++)
		if (set[i])
			return true;
	return false;
}

START_TEST (table_clusters_are_known) {
	static bool set[CLUSTERS + 64];
	struct qcow2 *q = calloc(1, sizeof(*q));
	unsigned seed = 1;

	q->cluster_bits = 9;
	ck_assert(!qmeta_hits(q, 512, 512)); /* nothing yet */
	qmeta_del(q, 512, 512);
	set[0] = true;
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t first, n;

		seed = seed * 1103515245u + 12345u;
		first = 1 + (seed >> 8) % (CLUSTERS - 1);
		n = 1 + (seed >> 24) % 8;
		if (i % 3 == 0) {
			ck_assert_int_eq(qmeta_add(q, first * 512,
						 n * 512 - 100),
				0);
			memset(set + first, true, n);
		} else if (i % 3 == 1) {
			qmeta_del(q, first * 512, n * 512);
			memset(set + first, false, n);
		} else if (qmeta_hits(q, first * 512 + 511, n * 512) !=
			   any(set, first, n + 1)) {
			ck_abort_msg("cluster %llu", (unsigned long long)first);
		}
	}
	ck_assert(qmeta_hits(q, 0, 1));
	ck_assert(!qmeta_hits(q, 0, 0));
	/* more than there are places in the set */
	ck_assert(qmeta_hits(q, 512, UINT64_C(1) << 40));
	ck_assert(!qmeta_hits(q, UINT64_C(1) << 40, UINT64_C(1) << 40));
	free(q->metaset);
	free(q);
}
END_TEST

QT_SUITE("qcow2 compression", clusters_come_back,
	what_does_not_get_smaller_is_told, data_that_is_cut_or_wrong_is_refused,
	frame_with_a_huge_window_is_refused, table_clusters_are_known)
