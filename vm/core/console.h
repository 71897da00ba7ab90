/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A byte stream between a guest's serial device and people: the last 64 KiB
 * of output in a ring, a log file, and input that waits for the device. Any
 * number of readers each keep a position of their own, so a slow reader
 * loses old bytes but never holds the guest.
 * Locks: one of rank LOCK_CONSOLE, never held over callbacks. Thread: any.
 */
#ifndef VM_CORE_CONSOLE_H
#define VM_CORE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vm/base/err.h"

#define CONSOLE_RING  65536
#define CONSOLE_INPUT 4096

struct console;

/*
 * log_path may be NULL. The file is appended to; at 16 MiB it becomes PATH.1
 * and a new one is begun. It is written a little later, by a thread: all of
 * it when console_free() returns.
 */
int console_new(const char *log_path, struct console **out, struct err *e);
void console_free(struct console *c);

/* Device side. */
void console_output(struct console *c, const void *buf, size_t len);
/* Take up to len input bytes; returns how many. */
size_t console_input_take(struct console *c, void *buf, size_t len);
/*
 * fn is called (any thread, no lock) when input arrives; one sink, NULL takes
 * it away. The old sink is not running any more on return, so call this
 * neither from the sink nor with a lock that the sink takes.
 */
void console_set_sink(struct console *c, void (*fn)(void *arg), void *arg);

/* People's side. Returns bytes accepted (the input queue is bounded). */
size_t console_input(struct console *c, const void *buf, size_t len);
/*
 * Copy output from position *pos on (0 = from the oldest byte kept); moves
 * *pos, skipping what is gone. Returns bytes copied, 0 when nothing is new.
 */
size_t console_read(struct console *c, uint64_t *pos, void *buf, size_t len);
uint64_t console_end(struct console *c); /* position after the newest byte */
/*
 * Signal eventfd fd (nonblocking) whenever there is output; drop it again. At
 * most 16. 0 or -ENOSPC. The descriptor stays the caller's, who drops it
 * before closing it.
 */
int console_watch(struct console *c, int fd);
void console_unwatch(struct console *c, int fd);

#endif
