/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the aio engines do when the kernel does not play along. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/core/aio.h"
#include "storage/core/iov.h"

#include "tests/unit/storage/rig.h"

#define MANY 200

struct call {
	struct aio_req q;
	struct iovec iov;
	uint8_t buf[512];
	int calls;
};

static void call_done(struct aio_req *q)
{
	container_of(q, struct call, q)->calls++;
}

static void call_read(struct aio *a, struct call *c)
{
	memset(c, 0, sizeof(*c));
	c->iov = (struct iovec){ c->buf, sizeof(c->buf) };
	c->q.op = AIO_READ;
	c->q.iov = &c->iov;
	c->q.niov = 1;
	c->q.len = sizeof(c->buf);
	c->q.done = call_done;
	a->ops->submit(a, &c->q);
}

START_TEST (ring_that_fails_hands_over_to_threads) {
	int fd = open(rig_file("disk", 4096), O_RDWR), null;
	struct call *c = calloc(MANY, sizeof(*c));
	struct aio *a;

	if (aio_uring_new(fd, rig_loop, NULL, &a)) {
		puts("skip ring_that_fails_hands_over_to_threads no io_uring");
		return;
	}
	ck_assert_str_eq(a->name, "io_uring");
	null = open("/dev/null", O_RDWR);
	ck_assert_int_ge(dup2(null, a->wait_fd), 0); /* no ring any more */
	close(null);
	for (int i = 0; i < MANY; i++) /* more than the ring holds */
		call_read(a, &c[i]);
	a->ops->kick(a);
	ck_assert_str_eq(a->name, "threads");
	for (int i = 0; i < MANY; i++) {
		while (!c[i].calls)
			loop_run_once(rig_loop, -1);
		ck_assert_int_eq(c[i].calls, 1);
		ck_assert_int_eq(c[i].q.res, 512);
	}
	call_read(a, &c[0]);
	a->ops->kick(a);
	while (!c[0].calls)
		a->ops->wait(a);
	ck_assert_int_eq(c[0].q.res, 512);
	a->ops->free(a);
	close(fd);
	free(c);
}
END_TEST

/* An ioctl on a regular file goes through the helper and is refused. */
START_TEST (ioctls_go_to_a_thread) {
	static const enum aio_op ops[] = { AIO_DISCARD, AIO_ZEROOUT };
	int fd = open(rig_file("disk", 4096), O_RDWR);
	struct call c;
	struct aio *a;

	if (aio_uring_new(fd, rig_loop, NULL, &a)) {
		puts("skip ioctls_go_to_a_thread no io_uring");
		return;
	}
	for (int i = 0; i < 4; i++) {
		memset(&c, 0, sizeof(c));
		c.q.op = ops[i % 2];
		c.q.len = 512;
		c.q.done = call_done;
		a->ops->submit(a, &c.q);
		a->ops->kick(a);
		ck_assert_int_eq(c.calls, 0);
		while (!c.calls && i < 2)
			a->ops->wait(a);
		while (!c.calls)
			loop_run_once(rig_loop, -1);
		ck_assert_int_eq(c.q.res, -ENOTTY);
	}
	a->ops->free(a);
	close(fd);
}
END_TEST

START_TEST (iov_sum_refuses_overflow) {
	struct iovec iov[2] = { { NULL, SIZE_MAX }, { NULL, 1 } };
	uint64_t sum;

	ck_assert(!iov_sum(iov, 2, &sum));
	ck_assert(iov_sum(iov, 1, &sum));
	ck_assert_uint_eq(sum, SIZE_MAX);
}
END_TEST

START_TEST (iov_pieces_copy_zero_and_cut) {
	char a[4] = "abc", b[6] = "defgh", out[16] = { 0 };
	struct iovec iov[3] = { { a, 3 }, { NULL, 0 }, { b, 5 } }, rest[3];

	iov_to_buf(iov, 3, 1, out, 5);
	ck_assert_str_eq(out, "bcdef");
	ck_assert_int_eq(iov_behind(iov, 3, 4, rest), 1);
	ck_assert_ptr_eq(rest[0].iov_base, b + 1);
	ck_assert_uint_eq(rest[0].iov_len, 4);
	ck_assert_int_eq(iov_behind(iov, 3, 2, rest), 2);
	iov_from_buf(iov, 3, 2, "XYZ", 3);
	ck_assert_str_eq(a, "abX");
	ck_assert_str_eq(b, "YZfgh");
	iov_zero(iov, 3, 1, 3);
	ck_assert_mem_eq(a, "a\0\0", 3);
	ck_assert_mem_eq(b, "\0Zfgh", 5);
	ck_assert(!iov_aligned(iov, 3, 1, 2));
	ck_assert(iov_aligned(iov, 3, 1, 1));
}
END_TEST

RIG_SUITE("storage/aio", ring_that_fails_hands_over_to_threads,
	ioctls_go_to_a_thread, iov_sum_refuses_overflow,
	iov_pieces_copy_zero_and_cut)
