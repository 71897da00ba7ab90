/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Short figures and UTF-8. No state; any thread. */
#include "ui/text.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

static char *text_scaled(double v, double step, char *buf, size_t len)
{
	static const char units[] = " KMGTPE";
	int u = 0;

	if (!(v > 0))
		v = 0;
	/* 999.5 would be written as 1000 */
	while (v >= 999.5 && units[u + 1]) {
		v /= step;
		u++;
	}
	if (u == 0)
		snprintf(buf, len, "%.0f", v);
	else if (v < 9.95)
		snprintf(buf, len, "%.1f%c", v, units[u]);
	else
		snprintf(buf, len, "%.0f%c", v, units[u]);
	return buf;
}

char *text_bytes(double v, char *buf, size_t len)
{
	return text_scaled(v, 1024, buf, len);
}

char *text_count(double v, char *buf, size_t len)
{
	return text_scaled(v, 1000, buf, len);
}

char *text_percent(double v, char *buf, size_t len)
{
	if (v > 0 && v < 9.95)
		snprintf(buf, len, "%.1f", v);
	else
		snprintf(buf, len, "%.0f", v > 0 ? v : 0);
	return buf;
}

char *text_duration(uint64_t ns, char *buf, size_t len)
{
	unsigned long long s = ns / 1000000000;

	if (s < 60)
		snprintf(buf, len, "%llus", s);
	else if (s < 3600)
		snprintf(buf, len, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, len, "%lluh%02llum", s / 3600, s / 60 % 60);
	else if (s < 100 * 86400)
		snprintf(buf, len, "%llud%02lluh", s / 86400, s / 3600 % 24);
	else
		snprintf(buf, len, "%llud", s / 86400);
	return buf;
}

char *text_us(uint64_t us, char *buf, size_t len)
{
	if (!us)
		snprintf(buf, len, "-");
	else if (us < 1000)
		snprintf(buf, len, "%uus", (unsigned)us);
	else if (us < 1000000)
		snprintf(buf, len, "%.1fms", (double)us / 1e3);
	else
		snprintf(buf, len, "%.1fs", (double)us / 1e6);
	return buf;
}

uint32_t text_utf8_get(const char *s, size_t len, size_t *used)
{
	const unsigned char *p = (const unsigned char *)s;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n;
	uint32_t c;

	*used = len ? 1 : 0;
	if (!len)
		return 0xfffd;
	if (p[0] < 0x80)
		return p[0];
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n > len)
		return 0xfffd;
	c = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0xfffd;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0xfffd;
	*used = n;
	return c;
}

size_t text_utf8_put(uint32_t c, char *out)
{
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		c = 0xfffd;
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

int text_width_of(uint32_t c)
{
	int w;

	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return 1;
	if (c < 0x7f)
		return 1;
	w = wcwidth((wchar_t)c);
	return w < 0 ? 1 : w;
}

int text_width(const char *s)
{
	size_t len = strlen(s), used;
	int w = 0;

	while (len) {
		w += text_width_of(text_utf8_get(s, len, &used));
		s += used;
		len -= used;
	}
	return w;
}
