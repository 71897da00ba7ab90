/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's serial stream. Output goes into a ring whose positions count from
 * the guest's start, so each reader finds out by itself what it missed. The
 * log file is written by a thread of its own that is a reader like any other:
 * a full or slow host disk loses lines of the log (and says so in it) but
 * never holds a vCPU. It gathers for LOG_LINGER_MS, as guests print one byte
 * at a time. It starts with the first output, as many consoles have none.
 *
 * Lock: lock (rank CONSOLE) guards all but what the log thread alone uses.
 * The sink is called without it; calls counts those under way, so that
 * console_set_sink() can wait until the old one is not used any more.
 */
#include "vm/core/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vm/base/io.h"
#include "vm/base/lock.h"
#include "vm/base/sizes.h"
#include "vm/base/thread.h"

#define CONSOLE_WATCHES 16
#define LOG_FILE_MAX    (16 * MiB)
#define LOG_LINGER_MS   50
#define LOG_CHUNK       8192

struct console {
	struct lock lock;
	uint8_t ring[CONSOLE_RING];
	uint64_t end; /* position after the newest byte */
	uint8_t input[CONSOLE_INPUT];
	size_t in_at, in_len;
	int watch[CONSOLE_WATCHES]; /* -1 = free */
	void (*sink)(void *arg);
	void *sink_arg;
	unsigned calls;        /* of the sink, under way */
	pthread_cond_t idle;   /* calls got 0 */
	pthread_cond_t output; /* for the log thread: output, or quit */
	bool quit;
	bool logging; /* the log thread runs */

	/* the log thread's, constant or its own */
	char *log_path; /* NULL = no log */
	int log_fd;
	uint64_t log_size;
	struct thread log_thread;
};

static int console_log_open(struct console *c)
{
	struct stat st;
	int fd = open(c->log_path,
		O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

	if (fd < 0)
		return -errno;
	c->log_fd = fd;
	c->log_size = fstat(fd, &st) ? 0 : (uint64_t)st.st_size;
	return 0;
}

/* The old file becomes PATH.1; if that fails the log goes on growing. */
static void console_log_turn(struct console *c)
{
	struct stat st;
	char *old;
	int fd = c->log_fd;

	/* a device or a pipe is nobody's to rename */
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		c->log_size = 0;
		return;
	}
	if (asprintf(&old, "%s.1", c->log_path) < 0)
		return;
	if (rename(c->log_path, old) == 0 && console_log_open(c) == 0)
		close(fd);
	free(old);
}

static void console_log_write(struct console *c, const void *buf, size_t len)
{
	if (c->log_size + len > LOG_FILE_MAX)
		console_log_turn(c);
	/* a full disk: what does not fit is lost, the guest goes on */
	if (io_write_full(c->log_fd, buf, len) == 0)
		c->log_size += len;
}

/* Write what there is from *pos on. */
static void console_log_drain(struct console *c, uint64_t *pos)
{
	uint8_t buf[LOG_CHUNK];
	uint64_t was;
	size_t n;

	for (;;) {
		was = *pos;
		n = console_read(c, pos, buf, sizeof(buf));
		if (*pos - n > was) {
			char text[64];
			int len = snprintf(text, sizeof(text),
				"\r\n[%llu bytes lost]\r\n",
				(unsigned long long)(*pos - n - was));

			console_log_write(c, text, (size_t)len);
		}
		if (!n)
			return;
		console_log_write(c, buf, n);
	}
}

/* Gather a while, unless the ring fills up or it is time to go. */
static void console_log_linger_locked(struct console *c, uint64_t pos)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOG_LINGER_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	while (!c->quit && c->end - pos < CONSOLE_RING / 2)
		if (pthread_cond_timedwait(&c->output, &c->lock.mutex,
			    &until) == ETIMEDOUT)
			break;
}

static void console_log_main(void *arg)
{
	struct console *c = arg;
	uint64_t pos = 0;
	bool quit = false;

	while (!quit) {
		lock_take(&c->lock);
		while (!c->quit && c->end == pos)
			lock_wait(&c->lock, &c->output);
		console_log_linger_locked(c, pos);
		quit = c->quit;
		lock_drop(&c->lock);
		console_log_drain(c, &pos);
	}
}

static int console_log_new(struct console *c, const char *path, struct err *e)
{
	int r;

	c->log_path = strdup(path);
	if (!c->log_path)
		return err_set(e, ENOMEM, "no memory for a console");
	r = console_log_open(c);
	if (r < 0)
		return err_sys(e, -r, "cannot open console log %s", path);
	return 0;
}

/* Have the log written. Where no thread can be had, the next output tries. */
static void console_log_poke_locked(struct console *c)
{
	if (c->logging)
		pthread_cond_signal(&c->output);
	else if (c->log_fd >= 0)
		c->logging = thread_start(&c->log_thread, "conlog",
				     console_log_main, c, NULL) == 0;
}

int console_new(const char *log_path, struct console **out, struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return err_set(e, ENOMEM, "no memory for a console");
	lock_init(&c->lock, "console", LOCK_CONSOLE);
	lock_cond_init(&c->idle);
	lock_cond_init(&c->output);
	for (int i = 0; i < CONSOLE_WATCHES; i++)
		c->watch[i] = -1;
	c->log_fd = -1;
	if (log_path)
		r = console_log_new(c, log_path, e);
	if (r < 0) {
		console_free(c);
		return r;
	}
	*out = c;
	return 0;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	if (c->logging) {
		lock_take(&c->lock);
		c->quit = true;
		pthread_cond_signal(&c->output);
		lock_drop(&c->lock);
		thread_join(&c->log_thread);
	}
	if (c->log_fd >= 0)
		close(c->log_fd);
	free(c->log_path);
	pthread_cond_destroy(&c->output);
	pthread_cond_destroy(&c->idle);
	lock_fini(&c->lock);
	free(c);
}

static void console_ring_put_locked(struct console *c, const uint8_t *buf,
	size_t len)
{
	size_t at, part;

	if (len > CONSOLE_RING) { /* only the newest will be seen */
		c->end += len - CONSOLE_RING;
		buf += len - CONSOLE_RING;
		len = CONSOLE_RING;
	}
	at = c->end % CONSOLE_RING;
	part = len < CONSOLE_RING - at ? len : CONSOLE_RING - at;
	memcpy(c->ring + at, buf, part);
	memcpy(c->ring, buf + part, len - part);
	c->end += len;
}

void console_output(struct console *c, const void *buf, size_t len)
{
	uint64_t one = 1;

	if (!len)
		return;
	LOCK_GUARD(&c->lock);
	console_ring_put_locked(c, buf, len);
	for (int i = 0; i < CONSOLE_WATCHES; i++)
		/* full = signalled already; a bad one is its owner's affair */
		if (c->watch[i] >= 0 &&
			write(c->watch[i], &one, sizeof(one)) < 0)
			continue;
	console_log_poke_locked(c);
}

size_t console_input_take(struct console *c, void *buf, size_t len)
{
	uint8_t *out = buf;
	size_t n = 0;

	LOCK_GUARD(&c->lock);
	while (n < len && c->in_len) {
		out[n++] = c->input[c->in_at];
		c->in_at = (c->in_at + 1) % CONSOLE_INPUT;
		c->in_len--;
	}
	return n;
}

void console_set_sink(struct console *c, void (*fn)(void *arg), void *arg)
{
	LOCK_GUARD(&c->lock);
	c->sink = fn;
	c->sink_arg = arg;
	while (c->calls)
		lock_wait(&c->lock, &c->idle);
}

size_t console_input(struct console *c, const void *buf, size_t len)
{
	const uint8_t *in = buf;
	void (*sink)(void *arg) = NULL;
	void *arg;
	size_t n = 0;

	lock_take(&c->lock);
	while (n < len && c->in_len < CONSOLE_INPUT) {
		c->input[(c->in_at + c->in_len) % CONSOLE_INPUT] = in[n++];
		c->in_len++;
	}
	if (n)
		sink = c->sink;
	arg = c->sink_arg;
	if (sink)
		c->calls++;
	lock_drop(&c->lock);
	if (!sink)
		return n;
	sink(arg);
	lock_take(&c->lock);
	if (!--c->calls)
		pthread_cond_broadcast(&c->idle);
	lock_drop(&c->lock);
	return n;
}

size_t console_read(struct console *c, uint64_t *pos, void *buf, size_t len)
{
	uint64_t oldest, at = *pos;
	size_t part, n;

	LOCK_GUARD(&c->lock);
	oldest = c->end > CONSOLE_RING ? c->end - CONSOLE_RING : 0;
	if (at < oldest)
		at = oldest;
	if (at > c->end) /* not a position of this console */
		at = c->end;
	n = len < c->end - at ? len : (size_t)(c->end - at);
	part = CONSOLE_RING - at % CONSOLE_RING;
	if (part > n)
		part = n;
	memcpy(buf, c->ring + at % CONSOLE_RING, part);
	memcpy((uint8_t *)buf + part, c->ring, n - part);
	*pos = at + n;
	return n;
}

uint64_t console_end(struct console *c)
{
	LOCK_GUARD(&c->lock);
	return c->end;
}

int console_watch(struct console *c, int fd)
{
	LOCK_GUARD(&c->lock);
	for (int i = 0; i < CONSOLE_WATCHES; i++) {
		if (c->watch[i] >= 0)
			continue;
		c->watch[i] = fd;
		return 0;
	}
	return -ENOSPC;
}

void console_unwatch(struct console *c, int fd)
{
	LOCK_GUARD(&c->lock);
	for (int i = 0; i < CONSOLE_WATCHES; i++)
		if (c->watch[i] == fd)
			c->watch[i] = -1;
}
