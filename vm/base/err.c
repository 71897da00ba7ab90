/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Errors as one line of text. The text is made in a buffer of its own, so
 * that a message may quote the message it replaces. Control characters in it
 * (a file name can hold anything) become '?': a line stays a line.
 */
#include "vm/base/err.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Cut at no more than the bytes of msg, and not inside a UTF-8 sequence. */
static void err_store(struct err *e, int code, const char *text)
{
	size_t len = strlen(text);

	if (len >= sizeof(e->msg)) {
		len = sizeof(e->msg) - 1;
		while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		e->msg[i] = (c < 0x20 || c == 0x7f) ? '?' : text[i];
	}
	e->msg[len] = 0;
	e->code = code;
}

/* text is twice as long as msg, so that what is cut is seen by err_store(). */
#define ERR_TEXT_MAX (2 * sizeof(((struct err *)0)->msg))

int err_vset(struct err *e, int code, const char *fmt, va_list ap)
{
	char text[ERR_TEXT_MAX];

	assert(code > 0);
	if (!e)
		return -code;
	vsnprintf(text, sizeof(text), fmt, ap);
	err_store(e, code, text);
	return -code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, code, fmt, ap);
	va_end(ap);
	return -code;
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
	char cause[128], text[ERR_TEXT_MAX];
	va_list ap;
	int n;

	assert(code > 0);
	if (!e)
		return -code;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, ": %s",
			strerror_r(code, cause, sizeof(cause)));
	err_store(e, code, text);
	return -code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;
	int n;

	if (!e)
		return 0;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, ": %s", e->msg);
	err_store(e, e->code, text);
	return -e->code;
}
