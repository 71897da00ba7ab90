/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * start ROUNDS KERNEL [INITRD [CMDLINE]]: what a start costs. An engine of
 * its own starts a guest of 256 MiB from KERNEL and waits for the first byte
 * on its serial port, again and again. One line a round: microseconds of CPU
 * time of the whole process (all threads, kernel time too) from the command
 * to the byte, and of wall time.
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

static char dir[] = "/tmp/guestdeck-bench-XXXXXX";

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

static int describe(struct conf *c, char **argv, struct err *e)
{
	int r;

	conf_init(c);
	strcpy(c->name, "bench");
	c->memory_bytes = 256 * MiB;
	c->firmware = CONF_FW_NONE;
	c->display.vnc = CONF_VNC_OFF;
	c->display.vga = false;
	c->rng = false;
	r = take(argv[0], c->kernel, sizeof(c->kernel), e);
	if (r >= 0 && argv[0] && argv[1])
		r = take(argv[1], c->initrd, sizeof(c->initrd), e);
	if (r >= 0 && argv[1] && argv[2])
		r = take(argv[2], c->cmdline, sizeof(c->cmdline), e);
	return r;
}

/* Wait for the guest's first byte. */
static int first_byte(struct engine *en, struct err *e)
{
	struct console *c = engine_console_get(en, "bench");
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), r;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (!c || fd < 0)
		return err_set(e, EIO, "no serial console");
	r = console_watch(c, fd);
	/* it may have come before the watch */
	if (r >= 0 && console_end(c) == 0 && poll(&p, 1, WAIT_MS) != 1)
		r = err_set(e, ETIMEDOUT, "the guest does not say a word");
	console_unwatch(c, fd);
	close(fd);
	engine_console_put(en, c);
	return r;
}

static int one_round(struct engine *en, struct err *e)
{
	uint64_t cpu = cpu_ns(), wall = clock_now_ns();
	int r = engine_command_wait(en, "bench", ENGINE_START, 0, e);

	if (r >= 0)
		r = first_byte(en, e);
	cpu = cpu_ns() - cpu;
	wall = clock_now_ns() - wall;
	if (r < 0)
		return r;
	printf("%llu %llu\n", (unsigned long long)(cpu / NS_PER_US),
		(unsigned long long)(wall / NS_PER_US));
	return engine_command_wait(en, "bench", ENGINE_KILL, 0, e);
}

static int run(int rounds, char **argv, struct err *e)
{
	const struct engine_opts o = { .dir = dir, .ephemeral = true };
	struct conf *c = malloc(sizeof(*c));
	struct engine *en = NULL;
	int r = c ? describe(c, argv, e) : err_set(e, ENOMEM, "no memory");

	if (r >= 0)
		r = engine_new(&o, &en, e);
	if (r >= 0)
		r = engine_define(en, c, false, e);
	for (int i = 0; i < rounds && r >= 0; i++)
		r = one_round(en, e);
	if (en)
		engine_free(en);
	free(c);
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
	struct err e = ERR_NONE;
	int r;

	if (argc < 3) {
		fprintf(stderr, "start ROUNDS KERNEL [INITRD [CMDLINE]]\n");
		return 2;
	}
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	r = run(atoi(argv[1]), argv + 2, &e);
	nftw(dir, drop, 16, FTW_DEPTH | FTW_PHYS);
	if (r < 0)
		fprintf(stderr, "start: %s\n", e.msg);
	return r < 0;
}
