/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clipped painting with curses' wide cells. */
#include "ui/draw.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "ui/text.h"

#define DRAW_LINE_MAX 2048

uint32_t draw_plain(uint32_t c)
{
	static const char levels[] = ".:-=+*##"; /* lower blocks, 1/8 to 8/8 */

	if (c < 0x7f)
		return c;
	if (c >= 0x2581 && c <= 0x2588)
		return (uint32_t)levels[c - 0x2581];
	if (c >= 0x2500 && c <= 0x257f) {
		if (c == 0x2500 || c == 0x2501 || c == 0x2550)
			return '-';
		if (c == 0x2502 || c == 0x2503 || c == 0x2551)
			return '|';
		return '+';
	}
	switch (c) {
	case 0xa0:
		return ' ';
	case 0xb7:
		return '.';
	case 0x2022:
		return '*';
	case 0x2026:
		return '~';
	case 0x2190:
	case 0x25c0:
		return '<';
	case 0x2192:
	case 0x25b6:
		return '>';
	case 0x2191:
	case 0x25b2:
		return '^';
	case 0x2193:
	case 0x25bc:
		return 'v';
	case 0x2591:
	case 0x2592:
	case 0x2593:
		return '#';
	default:
		return '?';
	}
}

int draw_cell(struct canvas *cv, int y, int x, uint32_t c, attr_t attr,
	short pair)
{
	wchar_t w[2] = { 0 };
	int cols;
	cchar_t cc;

	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		c = c ? '?' : ' ';
	if (!cv->utf8)
		c = draw_plain(c);
	cols = text_width_of(c);
	if (cols < 1) {
		c = '?';
		cols = 1;
	}
	if (y < 0 || y >= cv->rows || x < 0 || x + cols > cv->cols)
		return cols;
	w[0] = (wchar_t)c;
	if (setcchar(&cc, w, attr, pair, NULL) == OK)
		mvadd_wch(y, x, &cc);
	return cols;
}

static enum role draw_role(const struct canvas *cv, enum role role)
{
	return cv->over ? cv->over : role;
}

int draw_char(struct canvas *cv, int y, int x, enum role role, uint32_t c)
{
	role = draw_role(cv, role);
	return draw_cell(cv, y, x, c, cv->theme->attr[role],
		cv->theme->pair[role]);
}

int draw_text(struct canvas *cv, int y, int x, int w, enum role role,
	const char *s)
{
	size_t len = strlen(s), used;
	bool cut = text_width(s) > w;
	int at = 0;

	if (w <= 0)
		return 0;
	while (len) {
		uint32_t c = text_utf8_get(s, len, &used);
		int cols = text_width_of(c);

		if (at + cols > w - (cut ? 1 : 0))
			break;
		at += draw_char(cv, y, x + at, role, c);
		s += used;
		len -= used;
	}
	if (cut)
		at += draw_char(cv, y, x + at, role, 0x2026);
	return at;
}

int draw_textf(struct canvas *cv, int y, int x, int w, enum role role,
	const char *fmt, ...)
{
	char line[DRAW_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return draw_text(cv, y, x, w, role, line);
}

void draw_right(struct canvas *cv, int y, int x, int w, enum role role,
	const char *s)
{
	int n = text_width(s);

	if (n >= w)
		draw_text(cv, y, x, w, role, s);
	else
		draw_text(cv, y, x + w - n, n, role, s);
}

void draw_fill(struct canvas *cv, int y, int x, int w, enum role role)
{
	for (int i = 0; i < w; i++)
		draw_char(cv, y, x + i, role, ' ');
}

void draw_meter(struct canvas *cv, int y, int x, int w, double part,
	enum role role)
{
	int eighths, full;

	if (!(part > 0))
		part = 0;
	if (part > 1)
		part = 1;
	eighths = (int)(part * w * 8 + 0.5);
	full = eighths / 8;
	for (int i = 0; i < w; i++) {
		if (i < full)
			draw_char(cv, y, x + i, role, cv->utf8 ? 0x2588 : '|');
		else if (i == full && eighths % 8 && cv->utf8)
			/* left blocks: 7/8 is U+2589, 1/8 U+258F */
			draw_char(cv, y, x + i, role,
				0x2590u - (uint32_t)(eighths % 8));
		else
			draw_char(cv, y, x + i, ROLE_METER_OFF,
				cv->utf8 ? 0xb7 : '.');
	}
}

void draw_spark(struct canvas *cv, int y, int x, int w, const float *v,
	unsigned n, double max, enum role role)
{
	unsigned show = w < 0 ? 0 : n < (unsigned)w ? n : (unsigned)w;

	for (int i = 0; i < w - (int)show; i++)
		draw_char(cv, y, x + i, ROLE_METER_OFF, ' ');
	for (unsigned i = 0; i < show; i++) {
		double part = max > 0 ? (double)v[n - show + i] / max : 0;
		int level = (int)(part * 7 + 0.5);

		level = level > 7 ? 7 : level < 0 ? 0 : level;
		draw_char(cv, y, x + w - (int)show + (int)i, role,
			0x2581u + (uint32_t)level);
	}
}

void draw_box(struct canvas *cv, int y, int x, int h, int w, enum role role)
{
	for (int r = 0; r < h; r++) {
		bool edge = r == 0 || r == h - 1;

		for (int c = 0; c < w; c++) {
			bool side = c == 0 || c == w - 1;
			uint32_t sign = edge ? 0x2500 : side ? 0x2502 : ' ';

			if (edge && side)
				sign = r == 0 ? (c == 0 ? 0x250c : 0x2510)
					      : (c == 0 ? 0x2514 : 0x2518);
			draw_char(cv, y + r, x + c, role, sign);
		}
	}
}
