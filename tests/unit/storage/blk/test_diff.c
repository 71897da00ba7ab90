/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The same random requests to an image and to a buffer in memory, for each
 * way of I/O and each cache mode, with memory that is aligned or not, in one
 * piece or many, several at once. A discard may leave what was or zeros.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/rig.h"

#define DISK      (256 * KiB + 512)
#define MAX_LEN   (64 * KiB)
#define AT_ONCE   8
#define MAX_PARTS 5
#define ROUNDS    150

struct job {
	struct rig_req q;
	struct iovec parts[MAX_PARTS];
	uint8_t *mem;
	uint8_t want[MAX_LEN];
};

struct diff {
	struct blk *b;
	uint32_t block;
	uint64_t size;
	uint8_t model[DISK];
	bool maybe_zero[DISK / 512]; /* discarded, not written since */
	struct job jobs[AT_ONCE];
	unsigned seed;
};

static unsigned pick(struct diff *d, unsigned n)
{
	return (unsigned)rand_r(&d->seed) % n;
}

/* Cut mem into pieces of any alignment. */
static void job_cut(struct diff *d, struct job *j, uint64_t len)
{
	unsigned n = 1 + pick(d, MAX_PARTS);
	uint8_t *p = j->mem + (pick(d, 2) ? pick(d, 512) : 0);
	uint64_t left = len;
	int k = 0;

	while (left) {
		uint64_t part = left;

		if (--n && left > 1)
			part = 1 + pick(d, (unsigned)left - 1);
		j->parts[k++] = (struct iovec){ p, part };
		p += part;
		left -= part;
		if (n == 0)
			break;
	}
	j->q.r.iov = j->parts;
	j->q.r.niov = k;
}

static void job_fill(struct diff *d, struct job *j)
{
	for (int i = 0; i < j->q.r.niov; i++) {
		uint8_t *p = j->parts[i].iov_base;

		for (size_t k = 0; k < j->parts[i].iov_len; k++)
			p[k] = (uint8_t)rand_r(&d->seed);
	}
}

static void job_gather(const struct job *j, uint8_t *out)
{
	for (int i = 0; i < j->q.r.niov; i++) {
		memcpy(out, j->parts[i].iov_base, j->parts[i].iov_len);
		out += j->parts[i].iov_len;
	}
}

/* The parallel requests touch ranges of their own. */
static void job_begin(struct diff *d, unsigned i)
{
	static const enum blk_op ops[] = { BLK_READ, BLK_READ, BLK_WRITE,
		BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };
	struct job *j = &d->jobs[i];
	uint64_t slice = size_down(d->size / AT_ONCE, d->block);
	uint64_t blocks = slice / d->block, off, len;
	enum blk_op op = ops[pick(d, ARRAY_LEN(ops))];

	off = pick(d, (unsigned)blocks) * d->block;
	len = (1 + pick(d, (unsigned)(blocks - off / d->block))) * d->block;
	off += i * slice;
	rig_init_req(&j->q, op, off, j->mem, len);
	if (op == BLK_WRITE || op == BLK_WRITE_ZEROES)
		j->q.r.flags = pick(d, 4) ? 0 : BLK_FUA;
	if (op == BLK_WRITE_ZEROES && pick(d, 2))
		j->q.r.flags |= BLK_UNMAP;
	if (op == BLK_READ || op == BLK_WRITE)
		job_cut(d, j, len);
	if (op == BLK_WRITE)
		job_fill(d, j);
	rig_submit(d->b, &j->q);
}

static void diff_mark(struct diff *d, const struct blk_req *r, bool maybe)
{
	for (uint64_t s = r->offset; s < r->offset + r->len; s += 512)
		d->maybe_zero[s / 512] = maybe;
}

static void diff_compare(struct diff *d, uint64_t off, const uint8_t *got,
	uint64_t len)
{
	static const uint8_t zeros[512];

	for (uint64_t k = 0; k < len; k += 512) {
		uint8_t *want = d->model + off + k;

		if (d->maybe_zero[(off + k) / 512] &&
			!memcmp(got + k, zeros, 512))
			memset(want, 0, 512);
		ck_assert_msg(!memcmp(got + k, want, 512),
			"differs at %llu (of %llu+%llu)",
			(unsigned long long)(off + k), (unsigned long long)off,
			(unsigned long long)len);
	}
}

static void job_end(struct diff *d, struct job *j)
{
	struct blk_req *r = &j->q.r;

	ck_assert_int_eq(j->q.calls, 1);
	ck_assert_int_eq(j->q.err, 0);
	switch (r->op) {
	case BLK_READ:
		job_gather(j, j->want);
		diff_compare(d, r->offset, j->want, r->len);
		break;
	case BLK_WRITE:
		job_gather(j, d->model + r->offset);
		diff_mark(d, r, false);
		break;
	case BLK_WRITE_ZEROES:
		memset(d->model + r->offset, 0, r->len);
		diff_mark(d, r, false);
		break;
	case BLK_DISCARD:
		diff_mark(d, r, true);
		break;
	case BLK_FLUSH:
	case BLK_STATUS:
		break;
	}
}

static void diff_round(struct diff *d)
{
	bool plug = pick(d, 2), drain = !pick(d, 8);
	unsigned done = 0;

	if (plug)
		blk_plug(d->b);
	for (unsigned i = 0; i < AT_ONCE; i++)
		job_begin(d, i);
	if (plug)
		blk_unplug(d->b);
	if (drain)
		blk_drain(d->b);
	while (done < AT_ONCE) {
		done = 0;
		for (unsigned i = 0; i < AT_ONCE; i++)
			done += d->jobs[i].q.calls != 0;
		if (done < AT_ONCE)
			loop_run_once(rig_loop, -1);
	}
	for (unsigned i = 0; i < AT_ONCE; i++)
		job_end(d, &d->jobs[i]);
}

static void diff_file(struct diff *d, const char *path)
{
	uint8_t *all = malloc(DISK);

	ck_assert_ptr_nonnull(all);
	rig_read_file(path, 0, all, d->size);
	diff_compare(d, 0, all, d->size);
	free(all);
}

static void diff_run(const char *path, enum blk_aio aio, enum blk_cache cache,
	bool no_discard)
{
	struct blk_opts o = rig_opts(path);
	struct diff *d = calloc(1, sizeof(*d));
	struct blk_info info;

	ck_assert_ptr_nonnull(d);
	o.aio = aio;
	o.cache = cache;
	o.no_discard = no_discard;
	d->b = rig_open(&o);
	blk_info(d->b, &info);
	d->block = info.block_size;
	d->size = info.size;
	d->seed = 1 + (unsigned)aio * 10 + (unsigned)cache;
	for (unsigned i = 0; i < AT_ONCE; i++) {
		d->jobs[i].mem = aligned_alloc(4096, MAX_LEN + 4096);
		ck_assert_ptr_nonnull(d->jobs[i].mem);
	}
	for (int i = 0; i < ROUNDS; i++)
		diff_round(d);
	blk_drain(d->b);
	blk_close(d->b);
	diff_file(d, o.path);
	for (unsigned i = 0; i < AT_ONCE; i++)
		free(d->jobs[i].mem);
	free(d);
}

static void diff_caches(enum blk_aio aio)
{
	static const enum blk_cache caches[] = { BLK_WRITEBACK, BLK_NONE,
		BLK_WRITETHROUGH, BLK_DIRECTSYNC, BLK_UNSAFE };
	bool direct = rig_has_direct();

	for (size_t i = 0; i < ARRAY_LEN(caches); i++) {
		bool wants =
			caches[i] == BLK_NONE || caches[i] == BLK_DIRECTSYNC;

		if (direct || !wants)
			diff_run(rig_file("disk", DISK), aio, caches[i],
				i == 2);
		else
			puts("skip direct_io /var/tmp does not take it");
	}
}

START_TEST (io_uring_reads_back_what_was_written_in_all_cache_modes) {
	struct blk_opts o = rig_opts(rig_file("probe", 4096));
	struct err e = ERR_NONE;
	struct blk *b;

	o.aio = BLK_AIO_URING;
	if (blk_open(&o, rig_loop, NULL, &b, &e)) {
		printf("skip io_uring %s\n", e.msg);
		return;
	}
	blk_close(b);
	diff_caches(BLK_AIO_URING);
}
END_TEST

START_TEST (threads_read_back_what_was_written_in_all_cache_modes) {
	diff_caches(BLK_AIO_THREADS);
}
END_TEST

/* A block device on a new file; "" when there are none to have. */
static void loop_device(char *dev, size_t len)
{
	char cmd[256];
	FILE *f;

	snprintf(cmd, sizeof(cmd), "losetup -f --show %s 2>/dev/null",
		rig_file("disk", DISK));
	f = popen(cmd, "r");
	ck_assert_ptr_nonnull(f);
	if (!fgets(dev, (int)len, f))
		dev[0] = 0;
	dev[strcspn(dev, "\n")] = 0;
	pclose(f);
}

START_TEST (block_device_reads_back_what_was_written) {
	static const enum blk_cache caches[] = { BLK_WRITEBACK, BLK_NONE };
	char dev[64], cmd[128];

	for (size_t i = 0; i < 4; i++) {
		loop_device(dev, sizeof(dev));
		if (!dev[0]) {
			puts("skip block_device no loop device");
			return;
		}
		diff_run(dev, i < 2 ? BLK_AIO_AUTO : BLK_AIO_THREADS,
			caches[i % 2], false);
		snprintf(cmd, sizeof(cmd), "losetup -d %s", dev);
		ck_assert_int_eq(system(cmd), 0);
	}
}
END_TEST

RIG_SUITE("storage/diff",
	io_uring_reads_back_what_was_written_in_all_cache_modes,
	threads_read_back_what_was_written_in_all_cache_modes,
	block_device_reads_back_what_was_written)
