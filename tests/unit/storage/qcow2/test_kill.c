/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * kill -9 of a process that writes, again and again on one image: a child
 * opens it and writes sectors that carry a number, flushes, and tells the
 * number through a pipe; it is killed at any moment. Each time the image must
 * open and have no more than leaks, and each sector hold a number that is not
 * older than the last one told for it. GUESTDECK_LONG=1 goes on longer.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/rig.h"
#include "tests/unit/suite.h"

#define SECTOR  512u
#define SIZE    (4 * MiB)
#define SECTORS (SIZE / SECTOR)
#define FLUSH   8 /* writes between two flushes */

/* What the child tells: that all of these are on disk. */
struct told {
	uint64_t number[FLUSH];
	uint32_t sector[FLUSH], count[FLUSH];
};

struct kill_case {
	const char *create; /* arguments of qemu-img create */
	bool backed;
};

static struct log *quiet;
static uint64_t sure[SECTORS]; /* the last number told */

static void fill(uint8_t *p, uint64_t number, uint64_t sector)
{
	for (unsigned i = 0; i < SECTOR; i += 16) {
		memcpy(p + i, &number, 8);
		memcpy(p + i + 8, &sector, 8);
	}
}

static struct blk *open_image(struct loop *l, bool readonly)
{
	struct blk_opts o = rig_opts(rig_path("i.qcow2"));
	struct err e = ERR_NONE;
	struct blk *b = NULL;
	int r;

	o.format = BLK_QCOW2;
	o.readonly = readonly;
	if (!quiet)
		ck_assert_int_eq(log_open(rig_path("log"), &quiet, &e), 0);
	/* a killed child's locks may last a moment longer than it */
	do {
		r = blk_open(&o, l, quiet, &b, &e);
	} while (r == -EBUSY);
	ck_assert_msg(!r, "%s", e.msg);
	return b;
}

/* The child: never returns. */
static void write_for_ever(int fd, uint64_t number, unsigned seed)
{
	static uint8_t buf[64 * SECTOR];
	struct told t;
	struct loop *l;
	struct blk *b;

	if (loop_new(&l, NULL))
		_exit(2);
	b = open_image(l, false);
	for (;;) {
		for (int i = 0; i < FLUSH; i++) {
			seed = seed * 1103515245u + 12345u;
			t.count[i] = 1 + (seed >> 16) % 64;
			t.sector[i] = (seed >> 8) % (SECTORS - t.count[i]);
			t.number[i] = ++number;
			for (unsigned k = 0; k < t.count[i]; k++)
				fill(buf + k * SECTOR, number, t.sector[i] + k);
			if (blk_rw(b, BLK_WRITE, 0,
				    (uint64_t)t.sector[i] * SECTOR,
				    t.count[i] * SECTOR, buf))
				_exit(3);
		}
		if (blk_rw(b, BLK_FLUSH, 0, 0, 0, NULL))
			_exit(4);
		if (io_write_full(fd, &t, sizeof(t)))
			_exit(5);
	}
}

/* Take in what the child told; returns how many times. */
static unsigned hear(int fd, uint64_t *number)
{
	struct told t;
	unsigned n = 0;

	while (!io_read_full(fd, &t, sizeof(t))) {
		for (int i = 0; i < FLUSH; i++) {
			for (unsigned k = 0; k < t.count[i]; k++)
				sure[t.sector[i] + k] = t.number[i];
			*number = t.number[i];
		}
		n++;
	}
	return n;
}

static void check_data(void)
{
	uint8_t *buf = malloc(SIZE), want[SECTOR];
	struct blk *b = open_image(rig_loop, false);
	uint64_t number;

	ck_assert_int_eq(blk_rw(b, BLK_READ, 0, 0, SIZE, buf), 0);
	ck_assert_int_eq(blk_close(b), 0);
	for (uint64_t s = 0; s < SECTORS; s++) {
		memcpy(&number, buf + s * SECTOR, 8);
		ck_assert_msg(number >= sure[s],
			"sector %llu holds %llu, %llu was flushed",
			(unsigned long long)s, (unsigned long long)number,
			(unsigned long long)sure[s]);
		fill(want, number, number ? s : 0);
		ck_assert_msg(!memcmp(want, buf + s * SECTOR, SECTOR),
			"sector %llu is torn", (unsigned long long)s);
	}
	free(buf);
}

static void check_tables(void)
{
	struct img_ref ref = { .path = rig_path("i.qcow2"),
		.format = BLK_QCOW2 };
	struct img_check c;
	struct err e = ERR_NONE;

	int r;

	do {
		r = img_check(&ref, IMG_REPAIR_NONE, NULL, NULL, NULL, &c, &e);
	} while (r == -EBUSY);
	ck_assert_msg(!r, "%s", e.msg);
	ck_assert_uint_eq(c.corruptions, 0);
	ck_assert_uint_eq(c.errors, 0);
}

/* One life: it is killed after it told a few times and some more moments. */
static void one_life(uint64_t *number, unsigned seed)
{
	struct timespec more = { .tv_nsec = (long)(seed % 3000) * 1000 };
	struct pollfd p = { .events = POLLIN };
	int fds[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		close(fds[0]);
		write_for_ever(fds[1], *number + 1000, seed);
	}
	close(fds[1]);
	p.fd = fds[0];
	ck_assert_int_eq(poll(&p, 1, -1), 1);
	/* any moment will do: this is chance, not waiting for something */
	nanosleep(&more, NULL);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status), "the writer ended: %x", status);
	ck_assert_uint_gt(hear(fds[0], number), 0);
	close(fds[0]);
}

static void lives(const struct kill_case *k)
{
	unsigned n = getenv("GUESTDECK_LONG") ? 300 : 12;
	struct err e = ERR_NONE;
	struct img_create c = {
		.path = rig_path("i.qcow2"),
		.format = BLK_QCOW2,
	};
	uint64_t number = 0;

	memset(sure, 0, sizeof(sure));
	ck_assert_msg(!img_options_parse(&c.options, BLK_QCOW2, k->create, &e),
		"%s", e.msg);
	c.options.size = SIZE;
	c.options.has_size = true;
	if (k->backed) {
		rig_file("base.raw", SIZE);
		strcpy(c.options.backing_file, "base.raw");
		strcpy(c.options.backing_format, "raw");
	}
	ck_assert_msg(!img_create(&c, NULL, &e), "%s", e.msg);
	for (unsigned i = 0; i < n; i++) {
		one_life(&number, 7919u * (i + 1));
		if (i % 3 == 0)
			check_tables();
		check_data();
	}
	check_tables();
}

START_TEST (killing_the_writer_loses_nothing_flushed) {
	const struct kill_case k = { .create = "cluster_size=4096" };

	lives(&k);
}
END_TEST

START_TEST (killing_the_writer_of_an_overlay_loses_nothing) {
	const struct kill_case k = { "cluster_size=64K", true };

	lives(&k);
}
END_TEST

START_TEST (killing_the_writer_with_subclusters_loses_nothing) {
	const struct kill_case k = { "extended_l2=on,cluster_size=16K", true };

	lives(&k);
}
END_TEST

START_TEST (lazy_refcounts_are_mended_after_a_kill) {
	const struct kill_case k = { "cluster_size=512,lazy_refcounts=on",
		false };
	struct img_ref ref = { .path = rig_path("i.qcow2"),
		.format = BLK_QCOW2 };
	struct err e = ERR_NONE;
	struct img_check c;
	uint64_t number = 0;
	struct img_create cr = { .path = ref.path, .format = BLK_QCOW2 };

	memset(sure, 0, sizeof(sure));
	img_options_parse(&cr.options, BLK_QCOW2, k.create, &e);
	cr.options.size = SIZE;
	cr.options.has_size = true;
	ck_assert_msg(!img_create(&cr, NULL, &e), "%s", e.msg);
	for (unsigned i = 0; i < 8; i++) {
		one_life(&number, 104729u * (i + 1));
		check_data(); /* opens for writing: mends */
		ck_assert_int_eq(img_check(&ref, IMG_REPAIR_NONE, NULL, NULL,
					 NULL, &c, &e),
			0);
		ck_assert_uint_eq(c.corruptions + c.leaks, 0);
	}
}
END_TEST

RIG_SUITE("qcow2 kill", killing_the_writer_loses_nothing_flushed,
	killing_the_writer_of_an_overlay_loses_nothing,
	killing_the_writer_with_subclusters_loses_nothing,
	lazy_refcounts_are_mended_after_a_kill)
