/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Logs: one file a guest and one for the server; each line has wall-clock
 * time, level and text. What comes from outside is escaped so that a line
 * stays a line. log_limited() is for what a guest or viewer can trigger: at
 * most LOG_BURST lines in ten seconds a limiter, the rest counted and told.
 * Thread: any. A NULL log writes to standard error.
 */
#ifndef VM_BASE_LOG_H
#define VM_BASE_LOG_H

#include <stdint.h>

#include "vm/base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

#define LOG_BURST 10

struct log;

struct log_limit {
	uint64_t window_start_ns; /* guarded by the log's lock */
	unsigned seen;
};

/*
 * Open (append, create 0600) the log file at path. At 16 MiB it is renamed
 * to PATH.1 (replacing that) and begun anew. 0 or -errno with e filled.
 * The caller owns *out and ends it with log_close() (NULL is fine).
 */
int log_open(const char *path, struct log **out, struct err *e);

/*
 * A log whose lines go to fn(arg, level, text), bare: without time, with
 * nothing escaped. Called on the thread that logs, without a lock. NULL when
 * memory is short.
 */
typedef void (*log_fn)(void *arg, enum log_level level, const char *text);
struct log *log_new(log_fn fn, void *arg);
void log_close(struct log *l);

/* Lines below level are dropped. Default LOG_INFO. */
void log_set_level(struct log *l, enum log_level level);

void log_msg(struct log *l, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void log_limited(struct log *l, struct log_limit *lim, enum log_level level,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
