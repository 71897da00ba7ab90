/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compressed clusters: raw deflate with a window of 4 KiB, as QEMU makes and
 * takes it, or a zstd frame. The work runs on a thread of the pool and sees
 * only its own struct; the fiber on the loop's thread waits for it.
 */
#include <errno.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "storage/qcow2/impl.h"

/* What a frame may ask us to allocate: 8 MiB, four of the largest clusters. */
#define ZSTD_WINDOW_LOG 23

struct qcomp {
	enum qcompression type;
	void *dst;
	const void *src;
	uint64_t dst_len, src_len;
	int64_t packed;
};

/* --- packing -------------------------------------------------------------- */

/*
 * Do the bytes come as often as those of a dice would? Then they are packed
 * or encrypted already, and deflate would only take its time to find out. The
 * measure is Pearson's chi-squared of the 256 counts: 255 on average with a
 * deviation of 22.6 for random bytes; repeats within the window raise it, a
 * pattern lowers it. Where less than a third of a cluster is such and the rest
 * is random it may pass for random: that much is then not saved.
 */
#define RANDOM_MIN 4096u /* bytes, fewer tell nothing */

static bool looks_random(const uint8_t *p, uint64_t len)
{
	uint32_t n[4][256] = { 0 };
	double want = (double)len / 256, sum = 0;

	if (len < RANDOM_MIN)
		return false;
	for (uint64_t i = 0; i + 4 <= len; i += 4)
		for (unsigned k = 0; k < 4; k++)
			n[k][p[i + k]]++;
	for (unsigned i = 0; i < 256; i++) {
		double d =
			(double)(n[0][i] + n[1][i] + n[2][i] + n[3][i]) - want;

		sum += d * d / want;
	}
	return sum > 180 && sum < 310;
}

static int64_t zlib_pack(const struct qcomp *w)
{
	z_stream z = { 0 };
	int64_t rc = -ENOSPC;

	if (looks_random(w->src, w->src_len))
		return -ENOSPC;
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	z.next_in = (Bytef *)(uintptr_t)w->src;
	z.avail_in = (uInt)w->src_len;
	z.next_out = w->dst;
	z.avail_out = (uInt)w->dst_len;
	if (deflate(&z, Z_FINISH) == Z_STREAM_END)
		rc = (int64_t)(w->dst_len - z.avail_out);
	deflateEnd(&z);
	return rc;
}

static int64_t zstd_pack(const struct qcomp *w)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t n;

	if (!c)
		return -ENOMEM;
	n = ZSTD_compress2(c, w->dst, w->dst_len, w->src, w->src_len);
	ZSTD_freeCCtx(c);
	if (!ZSTD_isError(n))
		return (int64_t)n;
	/* what can fail besides is memory */
	return ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall ? -ENOSPC
								   : -ENOMEM;
}

static int pack(void *arg)
{
	struct qcomp *w = arg;

	w->packed = w->type == QCOMPRESS_ZSTD ? zstd_pack(w) : zlib_pack(w);
	return 0;
}

int64_t qcomp_pack(struct qcow2 *q, void *dst, uint64_t max, const void *src,
	uint64_t len)
{
	struct qcomp w = { .type = (enum qcompression)q->h.compression,
		.dst = dst,
		.dst_len = max,
		.src = src,
		.src_len = len };
	int rc = ctx_work(q->node.ctx, pack, &w);

	return rc < 0 ? rc : w.packed;
}

/* --- unpacking ------------------------------------------------------------ */

/*
 * The length of the data is known in sectors only, so that what is left of
 * the source does not matter. The window is the largest there is: other
 * programs may have used more than QEMU takes.
 */
static int zlib_unpack(const struct qcomp *w)
{
	z_stream z = { 0 };
	int rc;

	if (inflateInit2(&z, -15) != Z_OK)
		return -ENOMEM;
	z.next_in = (Bytef *)(uintptr_t)w->src;
	z.avail_in = (uInt)w->src_len;
	z.next_out = w->dst;
	z.avail_out = (uInt)w->dst_len;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (rc == Z_MEM_ERROR)
		return -ENOMEM;
	if ((rc != Z_STREAM_END && rc != Z_BUF_ERROR) || z.avail_out)
		return -EIO;
	return 0;
}

/* In steps, for the end of the frame in the source is not known. */
static int zstd_steps(ZSTD_DCtx *c, const struct qcomp *w)
{
	ZSTD_outBuffer out = { w->dst, w->dst_len, 0 };
	ZSTD_inBuffer in = { w->src, w->src_len, 0 };
	size_t left = 0;

	while (out.pos < out.size) {
		size_t in_was = in.pos, out_was = out.pos;

		left = ZSTD_decompressStream(c, &out, &in);
		if (ZSTD_isError(left))
			return ZSTD_getErrorCode(left) ==
					       ZSTD_error_memory_allocation
				       ? -ENOMEM
				       : -EIO;
		if (in.pos == in_was && out.pos == out_was)
			return -EIO; /* the data ends too early */
	}
	return left ? -EIO : 0; /* the frame holds more than a cluster */
}

static int zstd_unpack(const struct qcomp *w)
{
	ZSTD_DCtx *c = ZSTD_createDCtx();
	int rc;

	if (!c)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(c, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	rc = zstd_steps(c, w);
	ZSTD_freeDCtx(c);
	return rc;
}

static int unpack(void *arg)
{
	const struct qcomp *w = arg;

	return w->type == QCOMPRESS_ZSTD ? zstd_unpack(w) : zlib_unpack(w);
}

int qcomp_unpack(struct qcow2 *q, void *dst, uint64_t len, const void *src,
	uint64_t src_len)
{
	struct qcomp w = { .type = (enum qcompression)q->h.compression,
		.dst = dst,
		.dst_len = len,
		.src = src,
		.src_len = src_len };

	return ctx_work(q->node.ctx, unpack, &w);
}
