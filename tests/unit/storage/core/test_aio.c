/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One ring for all images of a loop, and what is done where there is none. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/core/aio.h"
#include "storage/core/ctx_impl.h"
#include "storage/core/fiber.h"
#include "storage/core/iov.h"
#include "storage/core/uring.h"

#include "tests/unit/storage/rig.h"
#include "tests/unit/suite.h"

#define MANY 200

struct call {
	struct aio_req q;
	struct aio *a;
	struct iovec iov;
	uint8_t buf[512];
	int calls;
	int more; /* submit it again so often, from done */
};

static struct ctx *ctx;

static void call_done(struct aio_req *q)
{
	struct call *c = container_of(q, struct call, q);

	c->calls++;
	if (c->more-- > 0)
		c->a->ops->submit(c->a, q);
}

static void call_init(struct aio *a, struct call *c, enum aio_op op)
{
	memset(c, 0, sizeof(*c));
	c->a = a;
	c->iov = (struct iovec){ c->buf, sizeof(c->buf) };
	c->q.op = op;
	c->q.iov = &c->iov;
	c->q.niov = 1;
	c->q.len = sizeof(c->buf);
	c->q.done = call_done;
}

static void call_read(struct aio *a, struct call *c)
{
	call_init(a, c, AIO_READ);
	a->ops->submit(a, &c->q);
}

static int64_t call_wait(struct call *c)
{
	while (!c->calls)
		ctx_wait(ctx);
	ck_assert_int_eq(c->calls, 1);
	return c->q.res;
}

static void begin(void)
{
	ck_assert_int_eq(ctx_get(rig_loop, &ctx, NULL), 0);
}

/* An image with the byte fill everywhere. */
static int disk(const char *name, uint8_t fill)
{
	uint8_t buf[4096];
	const char *path = rig_file(name, sizeof(buf));
	int fd;

	memset(buf, fill, sizeof(buf));
	rig_write_file(path, 0, buf, sizeof(buf));
	fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* False, with a message, where the kernel has no io_uring. */
static bool new_uring(int fd, struct aio **out, const char *test)
{
	int r = aio_uring_new(fd, ctx, NULL, out);

	if (r)
		printf("skip %s no io_uring (%s)\n", test, strerror(-r));
	return !r;
}

#define NEEDS_URING(fd, out)                                                   \
	do {                                                                   \
		if (!new_uring(fd, out, __func__))                             \
			return;                                                \
	} while (0)

START_TEST (images_of_a_loop_share_one_system_call) {
	struct aio *a[3];
	struct call c[3];
	int fd[3];

	begin();
	for (int i = 0; i < 3; i++) {
		fd[i] = disk(i ? i > 1 ? "2" : "1" : "0", (uint8_t)(i + 1));
		NEEDS_URING(fd[i], &a[i]);
	}
	for (int i = 0; i < 3; i++)
		call_read(a[i], &c[i]);
	ck_assert_uint_eq(ctx->ring->enters, 0);
	ctx_wait(ctx);
	ck_assert_uint_eq(ctx->ring->enters, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(call_wait(&c[i]), 512);
		ck_assert_uint_eq(c[i].buf[511], (unsigned)i + 1);
		a[i]->ops->free(a[i]);
		close(fd[i]);
	}
	ctx_put(ctx);
}
END_TEST

START_TEST (plugged_requests_go_at_the_last_unplug) {
	struct call c[4];
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	NEEDS_URING(fd, &a);
	ctx_plug(ctx);
	ctx_plug(ctx);
	for (int i = 0; i < 4; i++) {
		call_read(a, &c[i]);
		ctx_kick(ctx);
	}
	ctx_unplug(ctx);
	ck_assert_uint_eq(ctx->ring->enters, 0);
	ctx_unplug(ctx);
	ck_assert_uint_eq(ctx->ring->enters, 1);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(c[i].calls, 0); /* not from inside */
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(call_wait(&c[i]), 512);
	ck_assert_uint_eq(ctx->ring->enters, 1);
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
}
END_TEST

START_TEST (round_of_the_loop_ends_with_the_submit_and_what_is_there) {
	struct call c[2];
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	NEEDS_URING(fd, &a);
	call_read(a, &c[0]);
	call_read(a, &c[1]);
	while (!c[0].calls || !c[1].calls)
		loop_run_once(rig_loop, -1);
	ck_assert_uint_eq(ctx->ring->enters, 1);
	call_read(a, &c[0]);
	ctx_kick(ctx);
	ck_assert_uint_eq(ctx->ring->enters, 2);
	ck_assert_int_eq(call_wait(&c[0]), 512);
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
}
END_TEST

/* What benchmarks count: a request at a time costs one system call. */
START_TEST (waiting_costs_one_system_call_a_request) {
	struct aio *a;
	struct call c;
	int fd;

	begin();
	fd = disk("disk", 7);
	NEEDS_URING(fd, &a);
	call_init(a, &c, AIO_READ);
	c.more = MANY - 1;
	a->ops->submit(a, &c.q);
	while (c.calls < MANY)
		ctx_wait(ctx);
	ck_assert_uint_le(ctx->ring->enters, MANY);
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
}
END_TEST

START_TEST (what_a_wait_brought_goes_on_by_the_loop) {
	struct aio *a;
	struct call c;
	int fd;

	begin();
	fd = disk("disk", 7);
	NEEDS_URING(fd, &a);
	call_init(a, &c, AIO_READ);
	c.more = 1;
	a->ops->submit(a, &c.q);
	while (!c.calls)
		ctx_wait(ctx);
	while (c.calls < 2)
		loop_run_once(rig_loop, -1);
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
}
END_TEST

static void more_than_the_ring_holds(enum blk_aio kind)
{
	struct call *c = calloc(16 * MANY, sizeof(*c));
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	if (aio_new(kind, fd, "disk", ctx, NULL, &a, NULL)) {
		puts("skip more_than_the_ring_holds no io_uring");
		return;
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 16 * MANY; i++)
			call_read(a, &c[i]);
		if (round)
			ctx_kick(ctx);
		for (int i = 0; i < 16 * MANY; i++) {
			while (!c[i].calls)
				loop_run_once(rig_loop, -1);
			ck_assert_int_eq(call_wait(&c[i]), 512);
			ck_assert_uint_eq(c[i].buf[100], 7);
		}
	}
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
	free(c);
}

START_TEST (ring_takes_more_than_it_holds) {
	more_than_the_ring_holds(BLK_AIO_URING);
}
END_TEST

START_TEST (threads_take_any_number) {
	more_than_the_ring_holds(BLK_AIO_THREADS);
}
END_TEST

static void all_calls(enum blk_aio kind)
{
	struct iovec two[2];
	struct call c;
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	if (aio_new(kind, fd, "disk", ctx, NULL, &a, NULL)) {
		puts("skip all_calls no io_uring");
		return;
	}
	call_init(a, &c, AIO_WRITE);
	c.q.offset = 512;
	memset(c.buf, 9, 512);
	a->ops->submit(a, &c.q);
	ck_assert_int_eq(call_wait(&c), 512);
	call_init(a, &c, AIO_WRITE);
	two[0] = (struct iovec){ c.buf, 256 };
	two[1] = (struct iovec){ c.buf + 256, 256 };
	c.q.offset = 1024;
	c.q.iov = two;
	c.q.niov = 2;
	a->ops->submit(a, &c.q);
	ck_assert_int_eq(call_wait(&c), 512);
	c.calls = 0;
	c.q.op = AIO_READ;
	c.q.offset = 768;
	a->ops->submit(a, &c.q);
	ck_assert_int_eq(call_wait(&c), 512);
	ck_assert_uint_eq(c.buf[0], 9);
	ck_assert_uint_eq(c.buf[256], 0);
	call_init(a, &c, AIO_SYNC);
	a->ops->submit(a, &c.q);
	ck_assert_int_eq(call_wait(&c), 0);
	call_init(a, &c, AIO_FALLOCATE);
	c.q.offset = 8192;
	a->ops->submit(a, &c.q);
	ck_assert_int_eq(call_wait(&c), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 8704);
	call_init(a, &c, AIO_READ);
	c.q.offset = 8300;
	a->ops->submit(a, &c.q);
	ck_assert_int_eq(call_wait(&c), 404); /* short, as it is */
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
}

START_TEST (ring_makes_all_calls) {
	all_calls(BLK_AIO_URING);
}
END_TEST

START_TEST (threads_make_all_calls) {
	all_calls(BLK_AIO_THREADS);
}
END_TEST

START_TEST (ring_that_fails_hands_over_to_threads) {
	struct call *c = calloc(MANY, sizeof(*c));
	struct aio *a, *b;
	int fd, null;
	struct err e = ERR_NONE;

	begin();
	fd = disk("disk", 7);
	NEEDS_URING(fd, &a);
	NEEDS_URING(fd, &b);
	ck_assert_str_eq(a->name, "io_uring");
	null = open("/dev/null", O_RDWR);
	ck_assert_int_ge(dup2(null, ctx->ring->ring.ring_fd), 0); /* no ring */
	close(null);
	for (int i = 0; i < MANY; i++) /* more than the ring holds */
		call_read(i % 2 ? b : a, &c[i]);
	ctx_kick(ctx);
	ck_assert_str_eq(a->name, "threads");
	ck_assert_str_eq(b->name, "threads");
	for (int i = 0; i < MANY; i++) {
		while (!c[i].calls)
			loop_run_once(rig_loop, -1);
		ck_assert_int_eq(call_wait(&c[i]), 512);
	}
	call_read(a, &c[0]);
	ck_assert_int_eq(call_wait(&c[0]), 512);
	b->ops->free(b);
	/* those that come now get threads, or hear why not */
	ck_assert_int_eq(aio_new(BLK_AIO_AUTO, fd, "disk", ctx, NULL, &b, &e),
		0);
	ck_assert_str_eq(b->name, "threads");
	b->ops->free(b);
	ck_assert_int_eq(aio_new(BLK_AIO_URING, fd, "disk", ctx, NULL, &b, &e),
		-EIO);
	ck_assert_err(e, EIO, "disk: the kernel refuses io_uring");
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
	free(c);
}
END_TEST

START_TEST (refused_io_uring_is_threads_or_an_error_that_says_so) {
	struct err e = ERR_NONE;
	struct call c;
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	rig_refuse(SYS_io_uring_setup, EPERM);
	ck_assert_int_eq(aio_new(BLK_AIO_URING, fd, "disk", ctx, NULL, &a, &e),
		-EPERM);
	ck_assert_err(e, EPERM, "kernel.io_uring_disabled");
	ck_assert_int_eq(aio_new(BLK_AIO_AUTO, fd, "disk", ctx, NULL, &a, &e),
		0);
	ck_assert_str_eq(a->name, "threads");
	call_read(a, &c);
	ck_assert_int_eq(call_wait(&c), 512);
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
}
END_TEST

START_TEST (image_is_an_error_without_ring_and_threads) {
	struct err e = ERR_NONE;
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	rig_refuse(SYS_io_uring_setup, EPERM);
	rig_refuse(SYS_clone3, EAGAIN);
	ck_assert_int_eq(aio_new(BLK_AIO_AUTO, fd, "disk", ctx, NULL, &a, &e),
		-EAGAIN);
	ck_assert_err(e, EAGAIN, "disk: cannot start I/O threads");
	close(fd);
	ctx_put(ctx);
}
END_TEST

START_TEST (busy_kernel_is_asked_again) {
	struct call c;
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	NEEDS_URING(fd, &a);
	rig_refuse(SYS_io_uring_enter, EAGAIN);
	call_read(a, &c);
	ctx_kick(ctx);
	ck_assert_uint_eq(ctx->ring->enters, 1);
	ck_assert(ctx->ring->retry.deadline_ns != 0);
	while (ctx->ring->enters < 4)
		ctx_wait(ctx); /* for the timer, not in a busy loop */
	while (ctx->ring->enters < 7)
		loop_run_once(rig_loop, -1);
	ck_assert_str_eq(a->name, "io_uring");
	ck_assert_int_eq(c.calls, 0);
}
END_TEST

/* An ioctl on a regular file goes through the helper and is refused. */
START_TEST (ioctls_go_to_a_thread) {
	static const enum aio_op ops[] = { AIO_DISCARD, AIO_ZEROOUT };
	struct call c;
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	NEEDS_URING(fd, &a);
	for (int i = 0; i < 4; i++) {
		call_init(a, &c, ops[i % 2]);
		a->ops->submit(a, &c.q);
		ctx_kick(ctx);
		ck_assert_int_eq(c.calls, 0);
		while (!c.calls && i > 1)
			loop_run_once(rig_loop, -1);
		ck_assert_int_eq(call_wait(&c), -ENOTTY);
	}
	ck_assert_uint_eq(ctx->ring->enters, 0);
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
}
END_TEST

START_TEST (ioctl_without_a_thread_fails_later) {
	struct call c;
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	NEEDS_URING(fd, &a);
	rig_refuse(SYS_clone3, EAGAIN);
	for (int i = 0; i < 2; i++) {
		call_init(a, &c, AIO_DISCARD);
		a->ops->submit(a, &c.q);
		ck_assert_int_eq(c.calls, 0);
		while (!c.calls && i)
			loop_run_once(rig_loop, -1);
		ck_assert_int_eq(call_wait(&c), -EIO);
	}
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
}
END_TEST

/*
 * A file that nobody else has open can be leased for writing: the kernel's
 * own word that the ring has let go of it.
 */
START_TEST (freed_image_is_not_held_open_by_the_ring) {
	struct aio *a, *other;
	struct call c;
	int fd, fd2;

	begin();
	fd2 = disk("other", 8);
	NEEDS_URING(fd2, &other);
	fd = disk("disk", 7);
	NEEDS_URING(fd, &a);
	call_read(a, &c);
	ck_assert_int_eq(call_wait(&c), 512);
	a->ops->free(a);
	close(fd);
	fd = open(rig_path("disk"), O_RDWR);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	close(fd);
	call_read(other, &c); /* the ring goes on */
	ck_assert_int_eq(call_wait(&c), 512);
	ck_assert_uint_eq(c.buf[0], 8);
	other->ops->free(other);
	close(fd2);
	ctx_put(ctx);
}
END_TEST

START_TEST (images_without_a_slot_go_by_descriptor) {
	struct aio *a[URING_SLOTS + 2];
	struct call c;
	int fd;

	begin();
	fd = disk("disk", 7);
	for (int i = 0; i < URING_SLOTS + 2; i++)
		NEEDS_URING(fd, &a[i]);
	call_read(a[0], &c);
	ck_assert_int_eq(call_wait(&c), 512);
	call_read(a[URING_SLOTS + 1], &c);
	ck_assert_int_eq(call_wait(&c), 512);
	ck_assert_int_eq(container_of(a[URING_SLOTS + 1], struct aio_uring, aio)
				 ->slot,
		-1);
	for (int i = 0; i < URING_SLOTS + 2; i++)
		a[i]->ops->free(a[i]);
	close(fd);
	ctx_put(ctx);
}
END_TEST

/*
 * Memory that was given to the ring, taken back and mapped anew: reads go to
 * the pages that are there now.
 */
START_TEST (buffers_go_registered_and_can_be_taken_back) {
	char *mem = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct call c;
	struct aio *a;
	int fd;

	begin();
	fd = disk("disk", 7);
	ctx_buffer_add(ctx, mem, 4096); /* before there is a ring */
	NEEDS_URING(fd, &a);
	ctx_buffer_add(ctx, mem + 4096, 4096);
	ck_assert_uint_eq(ctx->nbuffers, 2);
	if (!ctx->ring->has_buffers)
		puts("skip buffers_go_registered no table of buffers");
	for (int i = 0; i < 16; i++) { /* from 512 below to 512 above */
		call_init(a, &c, i % 2 ? AIO_READ : AIO_WRITE);
		c.iov.iov_base = mem + 512 * i;
		memset(c.iov.iov_base, i % 2 ? 0 : i, 512);
		c.q.offset = 512u * (unsigned)(i / 2);
		a->ops->submit(a, &c.q);
		ck_assert_int_eq(call_wait(&c), 512);
		ck_assert_int_eq(mem[512 * i], i & ~1);
		ck_assert_int_eq(uring_buffer_find(ctx, &c.iov),
			ctx->ring->has_buffers ? i / 8 : -1);
	}
	c.iov = (struct iovec){ mem + 4096 - 256, 512 }; /* over the seam */
	ck_assert_int_eq(uring_buffer_find(ctx, &c.iov), -1);
	c.iov = (struct iovec){ mem + 8192 - 256, 512 };
	ck_assert_int_eq(uring_buffer_find(ctx, &c.iov), -1);
	c.iov = (struct iovec){ mem, SIZE_MAX };
	ck_assert_int_eq(uring_buffer_find(ctx, &c.iov), -1);
	ctx_buffer_del(ctx, mem);
	ctx_buffer_del(ctx, mem); /* harmless */
	c.iov = (struct iovec){ mem, 512 };
	ck_assert_int_eq(uring_buffer_find(ctx, &c.iov), -1);
	mem = mmap(mem, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	call_init(a, &c, AIO_READ);
	c.iov.iov_base = mem;
	c.q.offset = 512;
	a->ops->submit(a, &c.q);
	ck_assert_int_eq(call_wait(&c), 512);
	ck_assert_int_eq(mem[0], 2);
	ctx_buffer_del(ctx, mem + 4096);
	ck_assert_uint_eq(ctx->nbuffers, 0);
	for (int i = 0; i < 2 * CTX_BUFFERS; i++) /* more than there is room */
		ctx_buffer_add(ctx, mem + i, 1);
	ck_assert_uint_eq(ctx->nbuffers, CTX_BUFFERS);
	a->ops->free(a);
	close(fd);
	ctx_put(ctx);
	munmap(mem, 8192);
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
	ck_assert_int_eq(iov_part(iov, 3, 4, 4, rest), 1);
	ck_assert_ptr_eq(rest[0].iov_base, b + 1);
	ck_assert_uint_eq(rest[0].iov_len, 4);
	ck_assert_int_eq(iov_part(iov, 3, 2, 6, rest), 2);
	ck_assert_int_eq(iov_part(iov, 3, 1, 3, rest), 2);
	ck_assert_ptr_eq(rest[0].iov_base, a + 1);
	ck_assert_uint_eq(rest[0].iov_len, 2);
	ck_assert_uint_eq(rest[1].iov_len, 1);
	ck_assert_int_eq(iov_part(iov, 3, 0, 3, rest), 1);
	ck_assert_int_eq(iov_part(iov, 3, 1, 0, rest), 0);
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

RIG_SUITE("storage/aio", images_of_a_loop_share_one_system_call,
	plugged_requests_go_at_the_last_unplug,
	round_of_the_loop_ends_with_the_submit_and_what_is_there,
	waiting_costs_one_system_call_a_request,
	what_a_wait_brought_goes_on_by_the_loop, ring_takes_more_than_it_holds,
	threads_take_any_number, ring_makes_all_calls, threads_make_all_calls,
	ring_that_fails_hands_over_to_threads,
	refused_io_uring_is_threads_or_an_error_that_says_so,
	image_is_an_error_without_ring_and_threads, busy_kernel_is_asked_again,
	ioctls_go_to_a_thread, ioctl_without_a_thread_fails_later,
	freed_image_is_not_held_open_by_the_ring,
	images_without_a_slot_go_by_descriptor,
	buffers_go_registered_and_can_be_taken_back, iov_sum_refuses_overflow,
	iov_pieces_copy_zero_and_cut)
