/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The contract of storage.h: what is refused, and when and how often done. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"
#include "vm/base/thread.h"

#include "tests/unit/storage/rig.h"

#define SIZE (1 * MiB)
#define MANY 3000

static const enum blk_aio engines[] = { BLK_AIO_AUTO, BLK_AIO_THREADS };

static struct blk *open_with(enum blk_aio aio)
{
	struct blk_opts o = rig_opts(rig_file("disk", SIZE));

	o.aio = aio;
	return rig_open(&o);
}

START_TEST (wrong_requests_are_refused) {
	static const struct {
		enum blk_op op;
		unsigned flags;
		uint64_t offset, len;
		int err;
	} rows[] = {
		{ BLK_READ, 0, 0, SIZE + 512, -EINVAL },
		{ BLK_READ, 0, SIZE, 512, -EINVAL },
		{ BLK_READ, 0, UINT64_MAX - 511, 512, -EINVAL },
		{ BLK_READ, 0, 1, 512, -EINVAL },
		{ BLK_READ, 0, 0, 511, -EINVAL },
		{ BLK_WRITE, 0, SIZE - 512, 1024, -EINVAL },
		{ BLK_WRITE, BLK_TOP, 0, 512, -EINVAL },
		{ BLK_WRITE, BLK_COMPRESS, 0, 512, -ENOTSUP },
		{ BLK_READ, BLK_COMPRESS, 0, 512, -EINVAL },
		{ BLK_WRITE, 1 << 30, 0, 512, -EINVAL },
		{ BLK_STATUS, BLK_TOP, 0, SIZE + 512, -EINVAL },
		{ BLK_STATUS, 0, 0, 512, -EINVAL }, /* no extent */
		{ BLK_DISCARD, 0, 0, SIZE + 512, -EINVAL },
		{ BLK_DISCARD, 0, 100, 512, -EINVAL },
		{ BLK_WRITE_ZEROES, 0, 0, BLK_MAX_BYTES + 512, -EINVAL },
		{ BLK_WRITE_ZEROES, 8, 0, 512, -EINVAL },
		{ BLK_FLUSH, 16, 0, 0, -EINVAL },
		{ (enum blk_op)BLK_OPS, 0, 0, 512, -ENOTSUP },
		{ (enum blk_op) - 1, 0, 0, 512, -ENOTSUP },
	};
	struct blk *b = open_with(BLK_AIO_AUTO);
	uint8_t buf[2048];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = rig_do(b, rows[i].op, rows[i].flags, rows[i].offset,
			buf, rows[i].len);

		ck_assert_msg(err == rows[i].err, "row %zu: %d", i, err);
	}
	blk_close(b);
}
END_TEST

START_TEST (iovec_must_sum_up_to_the_length) {
	struct blk *b = open_with(BLK_AIO_AUTO);
	struct iovec *iov = calloc(BLK_MAX_IOV + 1, sizeof(*iov));
	struct rig_req q;
	uint8_t buf[1024];

	rig_init_req(&q, BLK_READ, 0, buf, 1024);
	q.iov.iov_len = 512;
	rig_submit(b, &q);
	ck_assert_int_eq(rig_wait(&q), -EINVAL);

	rig_init_req(&q, BLK_READ, 0, buf, 512);
	for (int i = 0; i <= BLK_MAX_IOV; i++)
		iov[i] = (struct iovec){ buf, i ? 0 : 512 };
	q.r.iov = iov;
	q.r.niov = BLK_MAX_IOV + 1;
	rig_submit(b, &q);
	ck_assert_int_eq(rig_wait(&q), -EINVAL);

	rig_init_req(&q, BLK_READ, 0, buf, 512);
	q.r.niov = -1;
	rig_submit(b, &q);
	ck_assert_int_eq(rig_wait(&q), -EINVAL);

	rig_init_req(&q, BLK_READ, 0, buf, 512);
	iov[0] = (struct iovec){ buf, SIZE_MAX };
	iov[1] = (struct iovec){ buf, 513 };
	q.r.iov = iov;
	q.r.niov = 2;
	rig_submit(b, &q);
	ck_assert_int_eq(rig_wait(&q), -EINVAL);

	/* the most that is allowed */
	for (int i = 0; i < BLK_MAX_IOV; i++)
		iov[i] = (struct iovec){ buf, 1 };
	rig_init_req(&q, BLK_READ, 0, buf, BLK_MAX_IOV);
	q.r.iov = iov;
	q.r.niov = BLK_MAX_IOV;
	rig_submit(b, &q);
	ck_assert_int_eq(rig_wait(&q), 0);
	blk_close(b);
	free(iov);
}
END_TEST

START_TEST (read_only_image_takes_reads_and_flushes) {
	struct blk_opts o = rig_opts(rig_file("disk", SIZE));
	uint8_t buf[512] = { 0 };
	struct blk *b;

	o.readonly = true;
	b = rig_open(&o);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 512), 0);
	ck_assert_int_eq(rig_do(b, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, 512), -EROFS);
	ck_assert_int_eq(rig_do(b, BLK_DISCARD, 0, 0, NULL, 512), -EROFS);
	ck_assert_int_eq(rig_do(b, BLK_WRITE_ZEROES, 0, 0, NULL, 512), -EROFS);
	blk_close(b);
}
END_TEST

START_TEST (request_of_nothing_succeeds) {
	struct blk *b = open_with(BLK_AIO_AUTO);

	ck_assert_int_eq(rig_do(b, BLK_READ, 0, SIZE, NULL, 0), 0);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, BLK_FUA, 0, NULL, 0), 0);
	ck_assert_int_eq(rig_do(b, BLK_DISCARD, 0, 0, NULL, 0), 0);
	blk_close(b);
}
END_TEST

START_TEST (file_that_shrank_lost_what_it_had) {
	for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
		struct blk *b = open_with(engines[i]);
		uint8_t buf[4096], want[512];

		memset(buf, 7, sizeof(buf));
		memset(want, 7, sizeof(want));
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, 4096), 0);
		ck_assert_int_eq(truncate(rig_path("disk"), 600), 0);
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 512), 0);
		ck_assert_mem_eq(buf, want, 512);
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 4096), -EIO);
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 8192, buf, 4096), -EIO);
		blk_close(b);
	}
}
END_TEST

START_TEST (discard_can_be_switched_off) {
	struct blk_opts o = rig_opts(rig_file("disk", SIZE));
	uint8_t buf[4096], want[4096];
	struct stat st;
	struct blk *b;

	o.no_discard = true;
	memset(want, 9, sizeof(want));
	b = rig_open(&o);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, want, 4096), 0);
	ck_assert_int_eq(rig_do(b, BLK_DISCARD, 0, 0, NULL, 4096), 0);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 4096), 0);
	ck_assert_mem_eq(buf, want, 4096);
	memset(want, 0, sizeof(want));
	ck_assert_int_eq(rig_do(b, BLK_WRITE_ZEROES, BLK_UNMAP, 0, NULL, 4096),
		0);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 4096), 0);
	ck_assert_mem_eq(buf, want, 4096);
	ck_assert_int_eq(rig_do(b, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(stat(o.path, &st), 0);
	ck_assert_int_ge(st.st_blocks, 8); /* no hole */
	blk_close(b);
}
END_TEST

START_TEST (discard_gives_space_back) {
	struct blk *b = open_with(BLK_AIO_AUTO);
	uint8_t *buf = calloc(1, SIZE);
	struct stat before, after;

	memset(buf, 1, SIZE);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, BLK_FUA, 0, buf, SIZE), 0);
	ck_assert_int_eq(stat(rig_path("disk"), &before), 0);
	ck_assert_int_eq(rig_do(b, BLK_DISCARD, 0, 0, NULL, SIZE), 0);
	ck_assert_int_eq(stat(rig_path("disk"), &after), 0);
	ck_assert_int_lt(after.st_blocks, before.st_blocks);
	ck_assert_int_eq(after.st_size, SIZE);
	blk_close(b);
	free(buf);
}
END_TEST

START_TEST (more_requests_than_any_queue_holds_complete_once_each) {
	for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
		struct blk *b = open_with(engines[e]);
		struct rig_req *q = calloc(MANY, sizeof(*q));
		uint8_t *buf = calloc(MANY, 512);
		struct blk_stats st;

		blk_plug(b);
		blk_plug(b); /* nests */
		for (int i = 0; i < MANY; i++) {
			rig_init_req(&q[i], i % 3 ? BLK_READ : BLK_WRITE,
				(uint64_t)(i % 2048) * 512,
				buf + (size_t)i * 512, 512);
			rig_submit(b, &q[i]);
		}
		blk_unplug(b);
		blk_unplug(b);
		blk_stats_get(b, &st);
		ck_assert_uint_eq(st.in_flight, MANY);
		for (int i = 0; i < MANY; i++)
			ck_assert_int_eq(rig_wait(&q[i]), 0);
		blk_stats_get(b, &st);
		ck_assert_uint_eq(st.in_flight, 0);
		ck_assert_uint_eq(st.op[BLK_WRITE].ops, MANY / 3);
		ck_assert_uint_eq(st.op[BLK_READ].ops, MANY - MANY / 3);
		blk_close(b);
		free(buf);
		free(q);
	}
}
END_TEST

START_TEST (drain_completes_all_without_the_loop) {
	for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
		struct blk *b = open_with(engines[e]);
		struct rig_req q[64];
		static uint8_t buf[64][512];

		blk_drain(b); /* of nothing */
		for (int i = 0; i < 64; i++) {
			/* flushes, zeroes, errors and data */
			rig_init_req(&q[i],
				i % 6 == 5 ? (enum blk_op)BLK_OPS
					   : (enum blk_op)(i % 6),
				(uint64_t)i * 512, buf[i], 512);
			rig_submit(b, &q[i]);
		}
		blk_drain(b);
		for (int i = 0; i < 64; i++) {
			ck_assert_int_eq(q[i].calls, 1);
			ck_assert_int_eq(q[i].err, i % 6 == 5 ? -ENOTSUP : 0);
		}
		loop_run_once(rig_loop, 0); /* nothing comes twice */
		ck_assert_int_eq(q[0].calls, 1);
		blk_close(b);
	}
}
END_TEST

/* A chain: each done submits the next. */
struct chain {
	struct blk *b;
	struct blk_req r;
	struct iovec iov;
	uint8_t buf[512];
	int left;
};

static void chain_next(struct blk_req *r, int err)
{
	struct chain *c = r->arg;

	ck_assert_int_eq(err, 0);
	if (--c->left)
		blk_submit(c->b, r);
}

START_TEST (done_may_submit_again) {
	static const enum blk_op ops[] = { BLK_READ, BLK_WRITE, BLK_FLUSH };

	for (size_t i = 0; i < ARRAY_LEN(engines) * ARRAY_LEN(ops); i++) {
		struct chain c = { .left = 300 };

		c.b = open_with(engines[i % 2]);
		c.iov = (struct iovec){ c.buf, 512 };
		c.r.op = ops[i / 2];
		c.r.len = c.r.op == BLK_FLUSH ? 0 : 512;
		c.r.iov = &c.iov;
		c.r.niov = 1;
		c.r.done = chain_next;
		c.r.arg = &c;
		blk_submit(c.b, &c.r);
		if (i % 2)
			blk_drain(c.b);
		while (c.left)
			loop_run_once(rig_loop, -1);
		blk_close(c.b);
	}
}
END_TEST

START_TEST (counters_tell_operations_bytes_errors_and_latency) {
	struct blk *b = open_with(BLK_AIO_AUTO);
	struct blk_stats st;
	uint8_t buf[4096] = { 0 };
	uint64_t n = 0;

	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, 4096), 0);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, SIZE, buf, 512), -EINVAL);
	ck_assert_int_eq(rig_do(b, BLK_FLUSH, 0, 0, NULL, 0), 0);
	blk_stats_get(b, &st);
	ck_assert_uint_eq(st.op[BLK_WRITE].ops, 6);
	ck_assert_uint_eq(st.op[BLK_WRITE].errors, 1);
	ck_assert_uint_eq(st.op[BLK_WRITE].bytes, 5 * 4096);
	ck_assert_uint_eq(st.op[BLK_FLUSH].ops, 1);
	ck_assert_uint_eq(st.op[BLK_FLUSH].bytes, 0);
	ck_assert_uint_eq(st.op[BLK_READ].ops, 0);
	for (int i = 0; i < HIST_BUCKETS; i++)
		n += st.op[BLK_WRITE].latency.n[i];
	ck_assert_uint_eq(n, 6);
	ck_assert_uint_gt(st.op[BLK_WRITE].time_ns, 0);
	blk_close(b);
}
END_TEST

START_TEST (unsafe_cache_never_syncs_and_still_completes) {
	struct blk_opts o = rig_opts(rig_file("disk", SIZE));
	uint8_t buf[512] = { 0 };
	struct blk *b;

	o.cache = BLK_UNSAFE;
	b = rig_open(&o);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, BLK_FUA, 0, buf, 512), 0);
	ck_assert_int_eq(rig_do(b, BLK_FLUSH, 0, 0, NULL, 0), 0);
	blk_close(b);
}
END_TEST

/* No more room in the middle of a write: RLIMIT_FSIZE stands for ENOSPC. */
START_TEST (full_disk_is_enospc) {
	for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
		struct rlimit old, half;
		struct blk *b = open_with(engines[e]);
		static uint8_t buf[64 * KiB];

		signal(SIGXFSZ, SIG_IGN);
		ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
		half = old;
		half.rlim_cur = SIZE / 2;
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &half), 0);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, SIZE / 2, buf,
					 sizeof(buf)),
			-ENOSPC);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, SIZE / 2 - 32 * KiB,
					 buf, sizeof(buf)),
			-ENOSPC);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, sizeof(buf)),
			0);
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, SIZE / 2, buf,
					 sizeof(buf)),
			0);
		blk_close(b);
	}
}
END_TEST

START_TEST (full_file_system_is_enospc_until_there_is_room) {
	const char *dir = rig_path("mnt");
	struct blk_opts o = rig_opts(rig_path("mnt/disk"));
	static uint8_t buf[MiB];
	struct blk *b;

	ck_assert_int_eq(mkdir(dir, 0700), 0);
	if (mount("t", dir, "tmpfs", 0, "size=512k")) {
		puts("skip full_file_system_is_enospc no right to mount");
		return;
	}
	rig_file("mnt/disk", MiB);
	for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
		o.aio = engines[e];
		b = rig_open(&o);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, MiB), -ENOSPC);
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, MiB), 0);
		ck_assert_int_eq(rig_do(b, BLK_DISCARD, 0, 0, NULL, MiB), 0);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, 4096), 0);
		/* tmpfs has no ZERO_RANGE: zeros are written */
		ck_assert_int_eq(rig_do(b, BLK_WRITE_ZEROES, 0, 0, NULL, 8192),
			0);
		ck_assert_int_eq(rig_do(b, BLK_WRITE_ZEROES, 0, 0, NULL, MiB),
			-ENOSPC);
		ck_assert_int_eq(rig_do(b, BLK_WRITE_ZEROES, BLK_UNMAP, 0, NULL,
					 MiB),
			0);
		blk_close(b);
	}
	ck_assert_int_eq(umount(dir), 0); /* nothing holds it */
}
END_TEST

/* Zeros are written where the file system cannot make them, 1 MiB at a time. */
START_TEST (long_zeroes_are_written_in_steps) {
	const char *dir = rig_path("mnt");
	struct blk_opts o = rig_opts(rig_path("mnt/disk"));
	uint64_t size = 3 * MiB + 512;
	uint8_t *buf = malloc(size), *want = calloc(1, size);
	struct blk *b;

	ck_assert_int_eq(mkdir(dir, 0700), 0);
	if (mount("t", dir, "tmpfs", 0, "size=8m")) {
		puts("skip long_zeroes_are_written_in_steps no right to mount");
		free(want);
		free(buf);
		return;
	}
	rig_file("mnt/disk", size);
	memset(want, 5, 512);
	memset(want + size - 512, 5, 512);
	for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
		o.aio = engines[e];
		b = rig_open(&o);
		memset(buf, 5, size);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, size), 0);
		ck_assert_int_eq(rig_do(b, BLK_WRITE_ZEROES, 0, 512, NULL,
					 size - 1024),
			0);
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, size), 0);
		ck_assert_mem_eq(buf, want, size);
		blk_close(b);
	}
	free(want);
	free(buf);
	ck_assert_int_eq(umount(dir), 0);
}
END_TEST

START_TEST (zeroes_without_fallocate_are_written) {
	static uint8_t buf[8192], zeros[8192];
	struct blk *b;

	rig_refuse(SYS_fallocate, EOPNOTSUPP);
	b = open_with(BLK_AIO_THREADS);
	memset(buf, 3, sizeof(buf));
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, 8192), 0);
	ck_assert_int_eq(rig_do(b, BLK_WRITE_ZEROES, BLK_UNMAP, 0, NULL, 8192),
		0);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 8192), 0);
	ck_assert_mem_eq(buf, zeros, 8192);
	/* a hint that cannot be taken is no error */
	ck_assert_int_eq(rig_do(b, BLK_DISCARD, 0, 0, NULL, 8192), 0);
	ck_assert_int_eq(rig_do(b, BLK_DISCARD, 0, 0, NULL, 8192), 0);
	blk_close(b);
}
END_TEST

static void failed_sync(const char *path, enum blk_cache cache)
{
	struct blk_opts o = rig_opts(path);
	uint8_t buf[512] = { 0 }, *text;
	struct err e = ERR_NONE;
	struct log *log;
	struct blk *b;
	char *line;
	size_t len;

	rig_refuse(SYS_fdatasync, EIO);
	ck_assert_int_eq(log_open(rig_path("log"), &log, &e), 0);
	o.aio = BLK_AIO_THREADS;
	o.cache = cache;
	ck_assert_int_eq(blk_open(&o, rig_loop, log, &b, &e), 0);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, 512), 0);
	ck_assert_int_eq(rig_do(b, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
	ck_assert_int_eq(rig_do(b, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, BLK_FUA, 0, buf, 512), -EIO);
	blk_close(b);
	log_close(log);
	ck_assert_int_eq(io_read_file(rig_path("log"), 8192, &text, &len, &e),
		0);
	line = strstr((char *)text, "all flushes fail until it is opened anew");
	ck_assert_ptr_nonnull(line); /* told once: the rest did not try */
	ck_assert_ptr_null(strstr(line + 1, "all flushes fail"));
	free(text);
}

START_TEST (failed_sync_is_never_forgotten) {
	failed_sync(rig_file("disk", SIZE), BLK_WRITEBACK);
}
END_TEST

/* Its last 512 bytes go through the page cache. */
START_TEST (failed_sync_of_an_odd_end_is_never_forgotten) {
	if (!rig_mount_4k("mnt")) {
		puts("skip failed_sync_of_an_odd_end no right to mount");
		return;
	}
	failed_sync(rig_file("mnt/disk", SIZE + 512), BLK_NONE);
}
END_TEST

/* Zeros written become a hole, or what is zero without being one. */
START_TEST (zeroes_are_detected_as_asked) {
	static const enum blk_zeroes modes[] = { BLK_ZEROES_OFF, BLK_ZEROES_ON,
		BLK_ZEROES_UNMAP };
	uint8_t *buf = calloc(1, SIZE);

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		struct blk_opts o = rig_opts(rig_file("disk", SIZE));
		struct iovec iov[3] = { { buf, 1000 }, { buf + 1000, 24 },
			{ buf + 1024, SIZE - 1024 } };
		struct blk_stats st;
		struct rig_req q;
		struct stat s;
		struct blk *b;

		o.detect_zeroes = modes[i];
		b = rig_open(&o);
		memset(buf, 1, SIZE);
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, SIZE), 0);
		memset(buf, 0, SIZE);
		rig_init_req(&q, BLK_WRITE, 0, buf, SIZE);
		q.r.iov = iov;
		q.r.niov = 3;
		q.r.flags = BLK_FUA;
		rig_submit(b, &q);
		ck_assert_int_eq(rig_wait(&q), 0);
		ck_assert_int_eq(q.r.op, BLK_WRITE); /* as it was */
		ck_assert_uint_eq(q.r.flags, BLK_FUA);
		blk_stats_get(b, &st);
		ck_assert_uint_eq(st.op[BLK_WRITE].ops, 2);
		ck_assert_uint_eq(st.op[BLK_WRITE_ZEROES].ops, 0);
		ck_assert_int_eq(stat(o.path, &s), 0);
		if (modes[i] == BLK_ZEROES_UNMAP)
			ck_assert_int_lt(s.st_blocks, 64);
		else
			ck_assert_int_ge(s.st_blocks, (int)(SIZE / 512));
		/* one byte somewhere is data */
		buf[SIZE / 2 + 77] = 9;
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, SIZE), 0);
		buf[SIZE / 2 + 77] = 0;
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, SIZE), 0);
		ck_assert_uint_eq(buf[SIZE / 2 + 77], 9);
		blk_close(b);
	}
	free(buf);
}
END_TEST

START_TEST (a_byte_that_is_not_zero_is_seen_wherever_it_is) {
	struct blk_opts o = rig_opts(rig_file("disk", SIZE));
	uint8_t buf[1024] = { 0 }, got[1024];
	struct blk *b;

	o.detect_zeroes = BLK_ZEROES_UNMAP;
	b = rig_open(&o);
	for (size_t i = 0; i < sizeof(buf); i++) {
		buf[i] = 1;
		ck_assert_int_eq(rig_do(b, BLK_WRITE, 0, 0, buf, 1024), 0);
		ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, got, 1024), 0);
		ck_assert_mem_eq(buf, got, 1024);
		buf[i] = 0;
	}
	blk_close(b);
}
END_TEST

START_TEST (requests_can_be_made_and_waited_for) {
	struct blk *b = open_with(BLK_AIO_AUTO);
	uint8_t buf[4096], got[4096];
	struct blk_extent x;

	memset(buf, 3, sizeof(buf));
	ck_assert_int_eq(blk_rw(b, BLK_WRITE, 0, 64 * KiB, 4096, buf), 0);
	ck_assert_int_eq(blk_rw(b, BLK_READ, 0, 64 * KiB, 4096, got), 0);
	ck_assert_mem_eq(buf, got, 4096);
	ck_assert_int_eq(blk_rw(b, BLK_FLUSH, 0, 0, 0, NULL), 0);
	ck_assert_int_eq(blk_rw(b, BLK_READ, 0, SIZE, 4096, got), -EINVAL);
	ck_assert_int_eq(blk_status(b, 0, 0, SIZE, &x), 0);
	ck_assert_uint_eq(x.len, 64 * KiB);
	ck_assert(x.zero && !x.data);
	ck_assert_int_eq(blk_status(b, BLK_TOP, 64 * KiB, SIZE - 64 * KiB, &x),
		0);
	ck_assert_uint_eq(x.len, 4096);
	ck_assert(x.data && !x.zero);
	memset(&x, 1, sizeof(x));
	ck_assert_int_eq(blk_status(b, 0, SIZE, 0, &x), 0);
	ck_assert_uint_eq(x.len, 0);
	blk_wait(b); /* of nothing: at once */
	blk_close(b);
}
END_TEST

START_TEST (size_changes_while_nothing_is_in_flight) {
	struct blk *b = open_with(BLK_AIO_AUTO);
	struct err e = ERR_NONE;
	struct blk_opts o;
	struct blk_info info;
	uint8_t buf[512];
	struct rig_req q;

	ck_assert_int_eq(rig_do(b, BLK_READ, 0, SIZE, buf, 512), -EINVAL);
	ck_assert_int_eq(blk_resize(b, 2 * SIZE, &e), 0);
	blk_info(b, &info);
	ck_assert_uint_eq(info.size, 2 * SIZE);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, SIZE, buf, 512), 0);
	ck_assert_int_eq(blk_resize(b, 1000, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "must be a multiple of 512"));
	rig_init_req(&q, BLK_READ, 0, buf, 512);
	rig_submit(b, &q);
	ck_assert_int_eq(blk_resize(b, SIZE, &e), -EBUSY);
	ck_assert_ptr_nonnull(strstr(e.msg, "in flight"));
	ck_assert_int_eq(rig_wait(&q), 0);
	blk_close(b);
	o = rig_opts(rig_path("disk"));
	o.readonly = true;
	b = rig_open(&o);
	ck_assert_int_eq(blk_resize(b, SIZE, &e), -EROFS);
	blk_close(b);
}
END_TEST

START_TEST (limits_come_go_and_hold_back) {
	struct blk_throttle t = { .iops = { { .rate = 1 } } };
	struct blk_throttle slow = { .bytes = { { .rate = 1 } } };
	struct blk_throttle bad = { .iops = {
					    { .rate = 5, .burst_rate = 2 } } };
	struct blk *b = open_with(BLK_AIO_AUTO);
	static uint8_t buf[16][512];
	struct err e = ERR_NONE;
	struct rig_req q[16];
	struct blk_opts o;
	struct blk_stats st;

	ck_assert_int_eq(blk_set_throttle(b, NULL, &e), 0);
	ck_assert_int_eq(blk_set_throttle(b, &bad, &e), -EINVAL);
	ck_assert_int_eq(blk_set_throttle(b, &t, &e), 0);
	for (int i = 0; i < 16; i++) {
		rig_init_req(&q[i], BLK_READ, 0, buf[i], 512);
		rig_submit(b, &q[i]);
	}
	while (!q[0].calls)
		loop_run_once(rig_loop, -1);
	blk_stats_get(b, &st);
	ck_assert_uint_gt(st.in_flight, 0); /* 16 seconds of them */
	ck_assert_int_eq(blk_set_throttle(b, NULL, &e), 0);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(rig_wait(&q[i]), 0);
	/* draining does not wait for limits */
	ck_assert_int_eq(blk_set_throttle(b, &t, &e), 0);
	for (int i = 0; i < 16; i++) {
		rig_init_req(&q[i], BLK_READ, 0, buf[i], 512);
		rig_submit(b, &q[i]);
	}
	blk_drain(b);
	/* nor does who may not block for them: two hours of them */
	ck_assert_int_eq(blk_set_throttle(b, &slow, &e), 0);
	for (int i = 0; i < 16; i++) {
		rig_init_req(&q[i], BLK_READ, 0, buf[i], 512);
		rig_submit(b, &q[i]);
	}
	blk_settle(b, true);
	do {
		loop_run_once(rig_loop, -1);
		blk_stats_get(b, &st);
	} while (st.in_flight);
	blk_settle(b, false);
	for (int i = 0; i < 2; i++) {
		rig_init_req(&q[i], BLK_READ, 0, buf[i], 512);
		rig_submit(b, &q[i]);
	}
	ck_assert_int_eq(q[1].calls, 0);
	blk_drain(b);
	blk_close(b);
	/* from the start */
	o = rig_opts(rig_path("disk"));
	o.throttle = &bad;
	rig_open_fails(&o, EINVAL, "disk: ");
	o.throttle = &t;
	o.throttle_group = "g";
	b = rig_open(&o);
	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 512), 0);
	ck_assert_int_eq(blk_close(b), 0);
}
END_TEST

START_TEST (extents_of_a_file_of_odd_size_can_be_read) {
	static const uint64_t sizes[] = { 1000, 9000 };
	uint8_t buf[16384];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct blk_opts o = rig_opts(rig_file("odd", sizes[i]));
		struct blk_extent x = { 0 };
		struct blk_info info;
		struct blk *b;

		memset(buf, 1, 600);
		rig_write_file(o.path, 0, buf, 600);
		b = rig_open(&o);
		blk_info(b, &info);
		for (uint64_t at = 0; at < info.size; at += x.len) {
			ck_assert_int_eq(blk_status(b, 0, at, info.size - at,
						 &x),
				0);
			ck_assert_uint_gt(x.len, 0);
			ck_assert_int_eq(blk_rw(b, BLK_READ, 0, at, x.len, buf),
				0);
			if (!at)
				ck_assert(buf[0] == 1 && x.data && !x.zero);
		}
		blk_close(b);
	}
}
END_TEST

/* A loop moves to another thread between runs. */
static void other_thread(void *arg)
{
	struct blk *b = arg;
	uint8_t buf[512] = { 0 };

	ck_assert_int_eq(rig_do(b, BLK_READ, 0, 0, buf, 512), 0);
	ck_assert_int_eq(rig_do(b, BLK_WRITE, BLK_FUA, 0, buf, 512), 0);
}

START_TEST (loop_may_change_its_thread) {
	struct blk *b = open_with(BLK_AIO_AUTO);
	struct thread t;
	struct err e = ERR_NONE;

	other_thread(b);
	ck_assert_int_eq(thread_start(&t, "other", other_thread, b, &e), 0);
	thread_join(&t);
	other_thread(b);
	blk_close(b);
}
END_TEST

RIG_SUITE("storage/blk", wrong_requests_are_refused,
	iovec_must_sum_up_to_the_length,
	read_only_image_takes_reads_and_flushes, request_of_nothing_succeeds,
	file_that_shrank_lost_what_it_had, discard_can_be_switched_off,
	discard_gives_space_back,
	more_requests_than_any_queue_holds_complete_once_each,
	drain_completes_all_without_the_loop, done_may_submit_again,
	counters_tell_operations_bytes_errors_and_latency,
	unsafe_cache_never_syncs_and_still_completes, full_disk_is_enospc,
	full_file_system_is_enospc_until_there_is_room,
	long_zeroes_are_written_in_steps, zeroes_without_fallocate_are_written,
	failed_sync_is_never_forgotten,
	failed_sync_of_an_odd_end_is_never_forgotten,
	zeroes_are_detected_as_asked,
	a_byte_that_is_not_zero_is_seen_wherever_it_is,
	requests_can_be_made_and_waited_for,
	size_changes_while_nothing_is_in_flight, limits_come_go_and_hold_back,
	extents_of_a_file_of_odd_size_can_be_read, loop_may_change_its_thread)
