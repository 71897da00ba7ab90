/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An error that a person reads: a code for programs and one line of text
 * that names the thing, the cause and the mend. Filled where the error is
 * met, widened by callers with err_prefix(). Plain data, caller-owned, no
 * allocation. Thread: the caller's.
 */
#ifndef VM_BASE_ERR_H
#define VM_BASE_ERR_H

#include <stdarg.h>

struct err {
	int code;      /* positive errno value, 0 = no error */
	char msg[496]; /* one line, no newline at the end */
};

#define ERR_NONE                                                               \
	{                                                                      \
		0,                                                             \
		{                                                              \
			0                                                      \
		}                                                              \
	}

/*
 * Fill e (may be NULL) with code (positive errno) and a formatted line.
 * A line that is too long is cut. Returns -code, so that a caller can write
 * "return err_set(e, ENOENT, ...)".
 */
int err_set(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int err_vset(struct err *e, int code, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

/* As err_set(), with ": " and strerror(code) at the end. */
int err_sys(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Put "text: " before the message that is there. Returns -e->code, and 0 for
 * e = NULL: who may be called with NULL returns the code it has.
 */
int err_prefix(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
