/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file protocol takes any offset and length. The same random requests to
 * a file and to a buffer in memory, several at once, in ranges that touch one
 * another within a block: what O_DIRECT makes of one must not undo another.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/proto/proto.h"

#include "tests/unit/storage/rig.h"

#define AT_ONCE 12
#define SLICE   5003 /* bytes: no multiple of anything */
#define SPACE   (AT_ONCE * SLICE)
#define ROUNDS  120

struct job {
	struct blk_req r;
	struct iovec iov[2];
	uint8_t *mem;
	int calls, err;
};

struct rmw {
	struct proto_open o;
	struct node *n;
	uint8_t model[SPACE];
	bool maybe_zero[SPACE]; /* discarded, not written since */
	struct job jobs[AT_ONCE];
	unsigned seed, pending;
	uint64_t end; /* of what was written */
};

static unsigned pick(struct rmw *d, unsigned n)
{
	return (unsigned)rand_r(&d->seed) % n;
}

static void job_done(struct blk_req *r, int err)
{
	struct job *j = r->arg;

	j->calls++;
	j->err = err;
}

static void job_begin(struct rmw *d, unsigned i)
{
	static const enum blk_op ops[] = { BLK_READ, BLK_WRITE, BLK_WRITE,
		BLK_WRITE, BLK_WRITE_ZEROES, BLK_DISCARD, BLK_FLUSH };
	struct job *j = &d->jobs[i];
	uint64_t off = pick(d, SLICE);
	uint64_t len = 1 + pick(d, SLICE - (unsigned)off);
	uint8_t *p = j->mem + pick(d, 600);
	uint64_t cut = pick(d, (unsigned)len);

	j->calls = 0;
	j->iov[0] = (struct iovec){ p, cut };
	j->iov[1] = (struct iovec){ p + cut, len - cut };
	j->r = (struct blk_req){ .op = ops[pick(d, ARRAY_LEN(ops))],
		.flags = pick(d, 8) ? 0 : BLK_FUA,
		.offset = i * SLICE + off,
		.len = len,
		.done = job_done,
		.arg = j };
	if (j->r.op == BLK_READ || j->r.op == BLK_WRITE) {
		j->r.iov = j->iov;
		j->r.niov = 2;
	}
	if (j->r.op == BLK_WRITE_ZEROES && pick(d, 2))
		j->r.flags |= BLK_UNMAP;
	if (j->r.op == BLK_WRITE)
		for (uint64_t k = 0; k < len; k++)
			p[k] = (uint8_t)(1 + pick(d, 255));
	node_submit(d->n, &j->r);
}

static void compare(struct rmw *d, uint64_t off, const uint8_t *got,
	uint64_t len)
{
	for (uint64_t k = 0; k < len; k++) {
		if (d->maybe_zero[off + k] && !got[k])
			continue;
		ck_assert_msg(got[k] == d->model[off + k],
			"byte %llu is %u, not %u",
			(unsigned long long)(off + k), got[k],
			d->model[off + k]);
	}
}

static void job_end(struct rmw *d, struct job *j)
{
	const struct blk_req *r = &j->r;
	const uint8_t *p = j->iov[0].iov_base;

	ck_assert_int_eq(j->calls, 1);
	ck_assert_int_eq(j->err, 0);
	if (r->op == BLK_READ)
		compare(d, r->offset, p, r->len);
	if (r->op == BLK_WRITE)
		memcpy(d->model + r->offset, p, r->len);
	if (r->op == BLK_WRITE_ZEROES)
		memset(d->model + r->offset, 0, r->len);
	if (r->op == BLK_DISCARD)
		memset(d->maybe_zero + r->offset, 1, r->len);
	if (r->op != BLK_WRITE && r->op != BLK_WRITE_ZEROES)
		return;
	memset(d->maybe_zero + r->offset, 0, r->len);
	if (r->offset + r->len > d->end)
		d->end = r->offset + r->len;
}

static void rounds(struct rmw *d)
{
	for (int k = 0; k < ROUNDS; k++) {
		unsigned left = AT_ONCE;

		for (unsigned i = 0; i < AT_ONCE; i++)
			job_begin(d, i);
		while (left) {
			left = 0;
			for (unsigned i = 0; i < AT_ONCE; i++)
				left += !d->jobs[i].calls;
			if (left)
				ctx_wait(d->o.ctx);
		}
		for (unsigned i = 0; i < AT_ONCE; i++)
			job_end(d, &d->jobs[i]);
	}
}

static int open_fiber(void *arg)
{
	struct rmw *d = arg;
	struct err e = ERR_NONE;
	int r = file_node_open(&d->o, &d->n, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
	return r;
}

static int shut_fiber(void *arg)
{
	struct rmw *d = arg;

	return node_close(d->n);
}

static int close_fiber(void *arg)
{
	struct rmw *d = arg;
	uint64_t size = node_size(d->n);

	ck_assert_uint_ge(size, d->end);
	ck_assert_uint_le(size, SPACE + 8 * MiB);
	return shut_fiber(d);
}

static void run(const char *path, enum blk_aio aio, enum blk_cache cache)
{
	struct rmw *d = calloc(1, sizeof(*d));
	uint8_t *all = calloc(1, SPACE);

	d->o = (struct proto_open){ .path = path,
		.ctx = rig_ctx(),
		.cache = cache,
		.aio = aio,
		.is_format = true };
	d->seed = 7 + (unsigned)cache;
	for (unsigned i = 0; i < AT_ONCE; i++)
		d->jobs[i].mem = malloc(SLICE + 600);
	rig_run(open_fiber, d);
	rounds(d);
	rig_run(close_fiber, d);
	rig_read_file(path, 0, all, d->end);
	compare(d, 0, all, d->end);
	for (unsigned i = 0; i < AT_ONCE; i++)
		free(d->jobs[i].mem);
	free(all);
	free(d);
}

static void run_all(const char *path, bool direct)
{
	for (int aio = BLK_AIO_AUTO; aio <= BLK_AIO_THREADS; aio++) {
		if (aio == BLK_AIO_URING)
			continue;
		truncate(path, 0); /* a device stays as it is */
		run(path, (enum blk_aio)aio, BLK_WRITEBACK);
		if (!direct)
			continue;
		truncate(path, 0);
		run(path, (enum blk_aio)aio, BLK_NONE);
	}
}

START_TEST (a_file_takes_any_offset_and_length_and_grows) {
	run_all(rig_file("a.img", 0), rig_has_direct());
}
END_TEST

START_TEST (a_file_with_direct_blocks_of_4096_does_too) {
	if (!rig_mount_4k("mnt")) {
		puts("skip blocks_of_4096 no right to mount");
		return;
	}
	run_all(rig_file("mnt/a.img", 0), true);
}
END_TEST

static void pair_begin(struct rmw *d, uint64_t end, uint8_t *got, uint8_t *data)
{
	uint8_t *mem[] = { got, data };

	for (unsigned i = 0; i < 2; i++) {
		struct job *j = &d->jobs[i];

		j->calls = 0;
		j->iov[0] = (struct iovec){ mem[i], 4096 };
		j->r = (struct blk_req){ .op = i ? BLK_WRITE : BLK_READ,
			.offset = end + i * 4096,
			.len = 4096,
			.iov = j->iov,
			.niov = 1,
			.done = job_done,
			.arg = j };
		node_submit(d->n, &j->r);
	}
}

/*
 * A read finds the end of the file, and before that is known here a write
 * behind it has ended: the file has not shrunk. On threads, as there the two
 * meet in either order.
 */
START_TEST (a_read_at_the_end_of_a_file_that_grows_meanwhile_is_zeros) {
	static struct rmw d;
	static uint8_t data[4096] = { 1 }, got[4096];

	d.o = (struct proto_open){ .path = rig_file("a.img", 0),
		.ctx = rig_ctx(),
		.aio = BLK_AIO_THREADS,
		.is_format = true };
	rig_run(open_fiber, &d);
	for (uint64_t end = 0; end < 8192 * 2000; end += 8192) {
		got[0] = 1;
		pair_begin(&d, end, got, data);
		while (!d.jobs[0].calls || !d.jobs[1].calls)
			ctx_wait(d.o.ctx);
		ck_assert_int_eq(d.jobs[0].err, 0);
		ck_assert_int_eq(d.jobs[1].err, 0);
		ck_assert_int_eq(got[0], 0);
	}
	ck_assert_int_eq(rig_run(shut_fiber, &d), 0);
}
END_TEST

static void clean(const char *dev)
{
	static const uint8_t zeros[SPACE];

	rig_write_file(dev, 0, zeros, sizeof(zeros));
}

START_TEST (a_block_device_takes_any_offset_and_length) {
	static const unsigned sectors[] = { 512, 4096 };

	for (size_t i = 0; i < ARRAY_LEN(sectors) * 2; i++) {
		const char *dev = rig_loopdev("dev.img", MiB, sectors[i % 2]);

		if (!dev) {
			puts("skip block_device no loop device");
			return;
		}
		clean(dev);
		run(dev, i < 2 ? BLK_AIO_AUTO : BLK_AIO_THREADS, BLK_WRITEBACK);
		clean(dev);
		run(dev, i < 2 ? BLK_AIO_AUTO : BLK_AIO_THREADS, BLK_NONE);
		rig_loopdev_end(dev);
	}
}
END_TEST

/*
 * A guest's file of 5 sectors where O_DIRECT asks for 8: it sees all 5, and
 * none is added.
 */
START_TEST (guest_writes_the_last_sectors_of_a_file_that_stays_as_long) {
	uint8_t buf[5 * 512], want[5 * 512];
	struct blk_opts o;
	struct blk_info info;
	struct stat st;
	struct blk *b;

	if (!rig_mount_4k("mnt")) {
		puts("skip last_sectors no right to mount");
		return;
	}
	o = rig_opts(rig_file("mnt/g.img", 8192 + sizeof(buf)));
	o.cache = BLK_NONE;
	memset(want, 7, sizeof(want));
	b = rig_open(&o);
	blk_info(b, &info);
	ck_assert_uint_eq(info.block_size, 512);
	ck_assert_uint_eq(info.size, 8192 + 5 * 512);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 8192, want, sizeof(want)), 0);
	memset(want + 1024, 8, 512);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 8192 + 1024, want + 1024, 512),
		0);
	/* across the last whole block and the rest */
	memset(want, 9, 512);
	memset(buf, 9, sizeof(buf));
	ck_assert_int_eq(rig_do(b, BLK_WRITE, BLK_FUA, 8192 - 512, buf, 1024),
		0);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 8192, buf, sizeof(buf)), 0);
	ck_assert_mem_eq(buf, want, sizeof(want));
	memset(want + 2048, 0, 512);
	ck_assert_int_eq(rig_do(b, BLK_WRITE_ZEROES, 0, 8192 + 2048, NULL, 512),
		0);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 8192, buf, sizeof(buf)), 0);
	ck_assert_mem_eq(buf, want, sizeof(want));
	blk_close(b);
	ck_assert_int_eq(stat(o.path, &st), 0);
	ck_assert_int_eq(st.st_size, 8192 + 5 * 512);
	rig_read_file(o.path, 8192, buf, sizeof(buf));
	ck_assert_mem_eq(buf, want, sizeof(want));
}
END_TEST

RIG_SUITE("storage/file_rmw", a_file_takes_any_offset_and_length_and_grows,
	a_file_with_direct_blocks_of_4096_does_too,
	a_read_at_the_end_of_a_file_that_grows_meanwhile_is_zeros,
	a_block_device_takes_any_offset_and_length,
	guest_writes_the_last_sectors_of_a_file_that_stays_as_long)
