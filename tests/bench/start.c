/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * start ROUNDS MARK KERNEL [INITRD [CMDLINE]]: what a start costs. An engine
 * of its own starts a guest of 256 MiB from KERNEL, waits until it has said
 * MARK on its serial port, and cuts its power; then the next guest. One line
 * a round: microseconds of CPU time of the whole process (all threads,
 * kernel time too) from the command to the mark, and of wall time. There is
 * no other guest, so each time KVM comes up on the host's CPUs too.
 */
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "vm/vm.h"

#define WAIT_MS 60000

static char dir[256]; /* state: in $TMPDIR, which should be in memory */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static int take(const char *path, char *field, size_t len, struct err *e)
{
	if (path && snprintf(field, len, "%s", path) >= (int)len)
		return err_set(e, ENAMETOOLONG, "%s is too long", path);
	return 0;
}

struct bench {
	int rounds;
	const char *mark;
	struct engine *en;
	struct conf conf;
};

static int describe(struct conf *c, char **argv, struct err *e)
{
	int r;

	conf_init(c);
	c->memory_bytes = 256 * MiB;
	c->firmware = CONF_FW_NONE;
	c->display.vnc = CONF_VNC_OFF;
	c->display.vga = false;
	c->rng = false;
	r = take(argv[0], c->kernel, sizeof(c->kernel), e);
	if (r >= 0 && argv[1])
		r = take(argv[1], c->initrd, sizeof(c->initrd), e);
	if (r >= 0 && argv[1] && argv[2])
		r = take(argv[2], c->cmdline, sizeof(c->cmdline), e);
	return r;
}

/* Read until the mark has come. */
static int read_mark(struct console *c, int fd, const char *mark, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[4096];
	uint64_t pos = 0;
	size_t have = 0;
	eventfd_t ignored;

	for (;;) {
		have += console_read(c, &pos, text + have,
			sizeof(text) - 1 - have);
		text[have] = 0;
		if (strstr(text, mark))
			return 0;
		if (have == sizeof(text) - 1 || poll(&p, 1, WAIT_MS) != 1)
			return err_set(e, ETIMEDOUT, "no \"%s\" from the guest",
				mark);
		eventfd_read(fd, &ignored);
	}
}

static int wait_mark(struct bench *b, struct err *e)
{
	struct console *c = engine_console_get(b->en, b->conf.name);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), r;

	if (!c || fd < 0)
		return err_set(e, EIO, "no serial console");
	r = console_watch(c, fd);
	if (r >= 0)
		r = read_mark(c, fd, b->mark, e);
	console_unwatch(c, fd);
	close(fd);
	engine_console_put(b->en, c);
	return r;
}

static int one_round(struct bench *b, int i, struct err *e)
{
	uint64_t cpu, wall;
	int r;

	snprintf(b->conf.name, sizeof(b->conf.name), "bench%d", i);
	r = engine_define(b->en, &b->conf, false, e);
	if (r < 0)
		return r;
	cpu = cpu_ns();
	wall = clock_now_ns();
	r = engine_command_wait(b->en, b->conf.name, ENGINE_START, 0, e);
	if (r >= 0)
		r = wait_mark(b, e);
	cpu = cpu_ns() - cpu;
	wall = clock_now_ns() - wall;
	if (r < 0)
		return r;
	printf("%llu %llu\n", (unsigned long long)(cpu / NS_PER_US),
		(unsigned long long)(wall / NS_PER_US));
	return engine_command_wait(b->en, b->conf.name, ENGINE_KILL, 0, e);
}

static int run(struct bench *b, char **argv, struct err *e)
{
	const struct engine_opts o = { .dir = dir, .ephemeral = true };
	int r = describe(&b->conf, argv, e);

	if (r >= 0)
		r = engine_new(&o, &b->en, e);
	for (int i = 0; i < b->rounds && r >= 0; i++)
		r = one_round(b, i, e);
	if (b->en)
		engine_free(b->en);
	return r;
}

static int drop(const char *path, const struct stat *st, int type,
	struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct err e = ERR_NONE;
	int r;

	if (argc < 4) {
		fprintf(stderr,
			"start ROUNDS MARK KERNEL [INITRD [CMDLINE]]\n");
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s/guestdeck-bench-XXXXXX",
		getenv("TMPDIR") ? getenv("TMPDIR") : "/dev/shm");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	b.rounds = atoi(argv[1]);
	b.mark = argv[2];
	r = run(&b, argv + 3, &e);
	nftw(dir, drop, 16, FTW_DEPTH | FTW_PHYS);
	if (r < 0)
		fprintf(stderr, "start: %s\n", e.msg);
	return r < 0;
}
