/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's bytes before libvterm sees them. Version 0.1.4 hangs or crashes
 * on ill-formed sequences (found by fuzzing), so only whole, known, bounded
 * ones go on: ECMA-48 and DEC control functions, valid UTF-8, a few C0
 * controls. Titles, strings and everything unknown are left out. Thread: the
 * caller's.
 */
#ifndef UI_VTFILTER_H
#define UI_VTFILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VTFILTER_PARAMS 16
#define VTFILTER_VALUE  9999
#define VTFILTER_REPEAT 1000
/* Bytes that one byte in may become at most. */
#define VTFILTER_OUT_MAX (4 * VTFILTER_REPEAT + 64)

struct vtfilter {
	int state; /* enum in vtfilter.c */
	uint8_t utf8[4];
	size_t nutf8, want;
	char last[4]; /* character, for repeating */
	uint8_t nlast;
	char leader, inter;
	unsigned param[VTFILTER_PARAMS];
	unsigned nparam;
	bool given, bad; /* a parameter was; the sequence is dropped */
};

/*
 * Take byte c. Returns how many bytes were put into out (which has
 * VTFILTER_OUT_MAX); they are whole characters or sequences.
 */
size_t vtfilter_byte(struct vtfilter *f, uint8_t c, char *out);

#endif
