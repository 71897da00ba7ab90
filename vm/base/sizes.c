/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sizes as people write and read them. Integers only, so that "1.5T" is
 * exact and no locale changes the decimal point.
 */
#include "vm/base/sizes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char size_units[] = "KMGTP";

/* Power of 1024 that the suffix s means, -1 when it is none. */
static int size_suffix(const char *s)
{
	const char *unit;
	unsigned char c = (unsigned char)*s;

	if (!c || !strcasecmp(s, "B"))
		return 0;
	unit = strchr(size_units, c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
	if (!unit)
		return -1;
	s++;
	if (*s && strcasecmp(s, "B") && strcasecmp(s, "iB"))
		return -1;
	return (int)(unit - size_units) + 1;
}

static bool size_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Read the digits after the point: *num / *den, at most 9 of them count.
 * Returns the first character behind, NULL when there is no digit.
 */
static const char *size_fraction(const char *s, uint64_t *num, uint64_t *den)
{
	if (!size_is_digit(*s))
		return NULL;
	for (; size_is_digit(*s); s++) {
		if (*den >= 1000000000)
			continue;
		*num = *num * 10 + (uint64_t)(*s - '0');
		*den *= 10;
	}
	return s;
}

int size_parse(const char *s, uint64_t *out)
{
	uint64_t v = 0, num = 0, den = 1, part;
	bool fits = true;
	int power;

	if (!size_is_digit(*s))
		return -EINVAL;
	for (; size_is_digit(*s); s++) {
		fits = fits && size_mul(v, 10, &v) &&
		       size_add(v, (uint64_t)(*s - '0'), &v);
	}
	if (*s == '.')
		s = size_fraction(s + 1, &num, &den);
	power = s ? size_suffix(s) : -1;
	if (power < 0 || (power == 0 && den > 1))
		return -EINVAL;
	/* num < 2^30 and the unit is at most 2^50: needs more than 64 bits */
	part = (uint64_t)(((unsigned __int128)num << (10 * power)) / den);
	if (!fits || !size_mul(v, UINT64_C(1) << (10 * power), &v) ||
		!size_add(v, part, &v))
		return -ERANGE;
	*out = v;
	return 0;
}

char *size_format(uint64_t v, char *buf, size_t len)
{
	uint64_t unit = 1, tenths;
	int power = 0;

	while (power < 5 && v / unit >= 1024) {
		unit <<= 10;
		power++;
	}
	tenths = (uint64_t)((unsigned __int128)(v % unit) * 10 / unit);
	if (!power)
		snprintf(buf, len, "%llu", (unsigned long long)v);
	else if (!tenths)
		snprintf(buf, len, "%llu%c", (unsigned long long)(v / unit),
			size_units[power - 1]);
	else
		snprintf(buf, len, "%llu.%llu%c",
			(unsigned long long)(v / unit),
			(unsigned long long)tenths, size_units[power - 1]);
	return buf;
}
