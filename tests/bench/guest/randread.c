/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * randread DEVICE SECONDS: 4 KiB random reads with 32 in flight, by Linux'
 * native AIO with O_DIRECT. Prints "IOPS N", or what went wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEPTH 32
#define BLOCK 4096

static int fail(const char *what)
{
	printf("FAIL %s: %s\n", what, strerror(errno));
	return 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t xorshift(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void aim(struct iocb *cb, uint64_t blocks)
{
	cb->aio_offset = (int64_t)(xorshift() % blocks * BLOCK);
}

/* Reads done in that time, or -1 with errno. */
static long run(aio_context_t ctx, struct iocb *cb, uint64_t blocks, double end)
{
	struct io_event ev[DEPTH];
	struct iocb *again[DEPTH];
	long done = 0, n = DEPTH;

	for (long i = 0; i < n; i++)
		again[i] = &cb[i];
	while (now() < end) {
		if (syscall(SYS_io_submit, ctx, n, again) != n)
			return -1;
		n = syscall(SYS_io_getevents, ctx, 1, DEPTH, ev, NULL);
		if (n < 0)
			return -1;
		for (long i = 0; i < n; i++) {
			if (ev[i].res != BLOCK) {
				errno = EIO;
				return -1;
			}
			again[i] = (struct iocb *)(uintptr_t)ev[i].obj;
			aim(again[i], blocks);
		}
		done += n;
	}
	return done;
}

int main(int argc, char **argv)
{
	static struct iocb cb[DEPTH];
	aio_context_t ctx = 0;
	double begin, seconds = argc > 2 ? atof(argv[2]) : 0;
	uint64_t size;
	void *buf;
	long done;
	int fd;

	if (seconds <= 0) {
		printf("FAIL usage: randread DEVICE SECONDS\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_DIRECT);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size))
		return fail(argv[1]);
	if (syscall(SYS_io_setup, DEPTH, &ctx))
		return fail("io_setup");
	if (posix_memalign(&buf, BLOCK, DEPTH * BLOCK))
		return fail("memory");
	for (int i = 0; i < DEPTH; i++) {
		cb[i].aio_fildes = (uint32_t)fd;
		cb[i].aio_lio_opcode = IOCB_CMD_PREAD;
		cb[i].aio_buf = (uintptr_t)buf + (uintptr_t)i * BLOCK;
		cb[i].aio_nbytes = BLOCK;
		aim(&cb[i], size / BLOCK);
	}
	begin = now();
	done = run(ctx, cb, size / BLOCK, begin + seconds);
	if (done < 0)
		return fail("reads");
	printf("IOPS %.0f\n", (double)done / (now() - begin));
	return 0;
}
