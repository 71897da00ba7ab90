/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Figures as people read them, and UTF-8 by columns. All write into the
 * caller's buffer and return it. Thread: any.
 */
#ifndef UI_TEXT_H
#define UI_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* At most 5 columns: "0", "999", "1.5K", "23M", "512M", "1.9T". */
char *text_bytes(double v, char *buf, size_t len);
/* "0", "3.1", "42", "180": a percentage without its sign. */
char *text_percent(double v, char *buf, size_t len);
/* At most 6 columns: "12s", "3m05s", "2h11m", "5d03h", "210d". */
char *text_duration(uint64_t ns, char *buf, size_t len);
/* "850us", "1.2ms", "3.4s", "-" for 0. */
char *text_us(uint64_t us, char *buf, size_t len);
/* 1234567 as "1.2M" without a unit of bytes: powers of 1000. */
char *text_count(double v, char *buf, size_t len);

/*
 * Read one UTF-8 sequence of at most len bytes at s: its code point, or
 * 0xfffd for what is none. *used gets the bytes to skip (>= 1 for len > 0).
 */
uint32_t text_utf8_get(const char *s, size_t len, size_t *used);
/* Write c as UTF-8 to out (at least 4 bytes); returns how many. */
size_t text_utf8_put(uint32_t c, char *out);
/* Columns that code point c takes: 0, 1 or 2; controls take 1 (as '?'). */
int text_width_of(uint32_t c);
/* Columns of s. */
int text_width(const char *s);

#endif
