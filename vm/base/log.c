/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Log files. A line is made outside the lock and written with one write(2),
 * so that lines of several threads do not mix. A log that cannot be written
 * loses lines and nothing else: there is nobody left to tell. Lock: of each
 * log, rank LOCK_LOG, guards fd, size and every limiter used with that log.
 */
#include "vm/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/io.h"
#include "vm/base/lock.h"
#include "vm/base/sizes.h"

#define LOG_FILE_MAX  (16 * MiB)
#define LOG_TEXT_MAX  1024
#define LOG_LINE_MAX  (64 + 4 * LOG_TEXT_MAX)
#define LOG_WINDOW_NS (10 * NS_PER_S)

struct log {
	struct lock lock;
	int fd;        /* guarded by lock */
	uint64_t size; /* guarded by lock */
	char *path;    /* NULL = standard error, never renamed */
	_Atomic int level;
	log_fn fn; /* instead of a file; fd is -1 then */
	void *arg;
};

static struct log log_stderr = {
	.lock = { PTHREAD_MUTEX_INITIALIZER, "stderr log", LOCK_LOG },
	.fd = STDERR_FILENO,
	.level = LOG_INFO,
};

static int log_open_file(const char *path, uint64_t *size, struct err *e)
{
	struct stat st;
	int fd;

	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
		0600);
	if (fd < 0)
		return err_sys(e, errno, "cannot open log %s", path);
	*size = fstat(fd, &st) ? 0 : (uint64_t)st.st_size;
	return fd;
}

int log_open(const char *path, struct log **out, struct err *e)
{
	struct log *l = calloc(1, sizeof(*l));
	int r = -ENOMEM;

	if (l)
		l->path = strdup(path);
	if (!l || !l->path) {
		err_sys(e, ENOMEM, "cannot open log %s", path);
		goto out;
	}
	r = log_open_file(path, &l->size, e);
	if (r < 0)
		goto out;
	l->fd = r;
	lock_init(&l->lock, "log", LOCK_LOG);
	atomic_init(&l->level, LOG_INFO);
	*out = l;
	return 0;
out:
	if (l)
		free(l->path);
	free(l);
	return r;
}

struct log *log_new(log_fn fn, void *arg)
{
	struct log *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	lock_init(&l->lock, "log", LOCK_LOG);
	atomic_init(&l->level, LOG_INFO);
	l->fd = -1;
	l->fn = fn;
	l->arg = arg;
	return l;
}

void log_close(struct log *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		close(l->fd);
	lock_fini(&l->lock);
	free(l->path);
	free(l);
}

void log_set_level(struct log *l, enum log_level level)
{
	atomic_store(l ? &l->level : &log_stderr.level, (int)level);
}

/*
 * Bytes of the UTF-8 sequence at s when it is valid, shorter than left and
 * no C1 control (a terminal acts on those), else 0.
 */
static size_t log_utf8(const unsigned char *s, size_t left)
{
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (s[0] < 0xc2 || s[0] > 0xf4 || n > left)
		return 0;
	if (s[0] == 0xc2 && s[1] < 0xa0)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* Write text to line with everything escaped that is not plain to read. */
static size_t log_escape(const char *text, char *line)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t left = strlen(text), out = 0;

	while (left) {
		size_t n = *s >= 0x20 && *s < 0x7f ? 1 : 0;

		if (*s >= 0x80)
			n = log_utf8(s, left);
		if (n) {
			memcpy(line + out, s, n);
			out += n;
		} else {
			n = 1;
			out += (size_t)snprintf(line + out, 5, "\\x%02x", *s);
		}
		s += n;
		left -= n;
	}
	return out;
}

/* "2031-05-09 12:00:00.123 warn  text\n"; returns its length. */
static size_t log_line(enum log_level level, const char *text, char *line)
{
	static const char *const names[] = { "debug", "info ", "warn ",
		"error" };
	uint64_t now = clock_wall_ns();
	time_t s = (time_t)(now / NS_PER_S);
	struct tm tm;
	size_t n;

	localtime_r(&s, &tm);
	n = strftime(line, 32, "%Y-%m-%d %H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, 24, ".%03u %s ",
		(unsigned)(now % NS_PER_S / NS_PER_MS), names[level & 3]);
	n += log_escape(text, line + n);
	line[n++] = '\n';
	return n;
}

/* Rename the full file to PATH.1 and begin anew; on failure go on in it. */
static void log_rotate_locked(struct log *l)
{
	char old[4096];
	uint64_t size = 0;
	struct stat st;
	int fd;

	/* a device or a pipe (/dev/null, a journal) is nobody's to rename */
	if (fstat(l->fd, &st) || !S_ISREG(st.st_mode)) {
		l->size = 0;
		return;
	}
	if (snprintf(old, sizeof(old), "%s.1", l->path) >= (int)sizeof(old) ||
		rename(l->path, old)) {
		l->size = 0; /* try again 16 MiB later */
		return;
	}
	fd = log_open_file(l->path, &size, NULL);
	l->size = 0;
	if (fd < 0)
		return;
	close(l->fd);
	l->fd = fd;
	l->size = size;
}

static void log_write_locked(struct log *l, const char *line, size_t len)
{
	if (l->path && l->size >= LOG_FILE_MAX)
		log_rotate_locked(l);
	if (!io_write_full(l->fd, line, len))
		l->size += len;
}

/*
 * May a line of this limiter be written now? *missed is what the window
 * before this one dropped, *last whether this is the last of this window.
 */
static bool log_limit_locked(struct log_limit *lim, unsigned *missed,
	bool *last)
{
	uint64_t now = clock_now_ns();

	if (!lim->window_start_ns ||
		now - lim->window_start_ns >= LOG_WINDOW_NS) {
		if (lim->seen > LOG_BURST)
			*missed = lim->seen - LOG_BURST;
		lim->window_start_ns = now;
		lim->seen = 0;
	}
	if (lim->seen < UINT32_MAX)
		lim->seen++;
	*last = lim->seen == LOG_BURST;
	return lim->seen <= LOG_BURST;
}

/* A line of our own beside a limited one. */
static void log_note_locked(struct log *l, enum log_level level,
	const char *text)
{
	char line[256];

	log_write_locked(l, line, log_line(level, text, line));
}

static void log_limited_locked(struct log *l, struct log_limit *lim,
	enum log_level level, const char *line, size_t len)
{
	unsigned missed = 0;
	char note[48];
	bool last;

	if (!log_limit_locked(lim, &missed, &last))
		return;
	if (missed) {
		snprintf(note, sizeof(note), "(%u lines like the next dropped)",
			missed);
		log_note_locked(l, level, note);
	}
	log_write_locked(l, line, len);
	if (last)
		log_note_locked(l, level,
			"(more lines like this in 10 s are only counted)");
}

/* To the function: what a limiter drops is not counted out loud there. */
static void log_call(struct log *l, struct log_limit *lim, enum log_level level,
	const char *text)
{
	unsigned missed = 0;
	bool last, pass = true;

	if (lim) {
		lock_take(&l->lock);
		pass = log_limit_locked(lim, &missed, &last);
		lock_drop(&l->lock);
	}
	if (pass)
		l->fn(l->arg, level, text);
}

static void log_put(struct log *l, struct log_limit *lim, enum log_level level,
	const char *fmt, va_list ap) __attribute__((format(printf, 4, 0)));

static void log_put(struct log *l, struct log_limit *lim, enum log_level level,
	const char *fmt, va_list ap)
{
	char text[LOG_TEXT_MAX], line[LOG_LINE_MAX];
	int saved = errno;
	size_t len;

	if (!l)
		l = &log_stderr;
	if ((int)level < atomic_load(&l->level))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	if (l->fn) {
		log_call(l, lim, level, text);
		errno = saved;
		return;
	}
	len = log_line(level, text, line);
	lock_take(&l->lock);
	if (lim)
		log_limited_locked(l, lim, level, line, len);
	else
		log_write_locked(l, line, len);
	lock_drop(&l->lock);
	errno = saved;
}

void log_msg(struct log *l, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_put(l, NULL, level, fmt, ap);
	va_end(ap);
}

void log_limited(struct log *l, struct log_limit *lim, enum log_level level,
	const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_put(l, lim, level, fmt, ap);
	va_end(ap);
}
