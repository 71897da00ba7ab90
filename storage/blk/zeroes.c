/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is a write nothing but zeros? */
#include <string.h>

#include "storage/blk/impl.h"

#define ZERO_PROBE 64u

/* A comparison with itself, shifted by one: memcmp() uses wide registers. */
static bool mem_is_zero(const uint8_t *p, size_t len)
{
	size_t n = len < ZERO_PROBE ? len : ZERO_PROBE;

	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return len == n || !memcmp(p, p + n, len - n);
}

bool iov_is_zero(const struct iovec *iov, int niov)
{
	/* most data shows at one of the ends that it is some */
	for (int i = 0; i < niov; i++) {
		const uint8_t *p = iov[i].iov_base;

		if (iov[i].iov_len && (p[0] || p[iov[i].iov_len - 1]))
			return false;
	}
	for (int i = 0; i < niov; i++)
		if (!mem_is_zero(iov[i].iov_base, iov[i].iov_len))
			return false;
	return true;
}
