/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Iovec arithmetic; see iov.h. */
#include "storage/core/iov.h"

#include <string.h>

#include "vm/base/sizes.h"

bool iov_sum(const struct iovec *iov, int niov, uint64_t *sum)
{
	uint64_t n = 0;

	for (int i = 0; i < niov; i++)
		if (!size_add(n, iov[i].iov_len, &n))
			return false;
	*sum = n;
	return true;
}

bool iov_aligned(const struct iovec *iov, int niov, uint32_t addr_align,
	uint32_t len_align)
{
	for (int i = 0; i < niov; i++)
		if (((uintptr_t)iov[i].iov_base & (addr_align - 1)) ||
			(iov[i].iov_len & (len_align - 1)))
			return false;
	return true;
}

int iov_part(const struct iovec *iov, int niov, uint64_t skip, uint64_t len,
	struct iovec *out)
{
	int n = 0;

	for (int i = 0; i < niov && len; i++) {
		uint64_t have = iov[i].iov_len;

		if (skip >= have) {
			skip -= have;
			continue;
		}
		have -= skip;
		out[n].iov_base = (char *)iov[i].iov_base + skip;
		out[n].iov_len = have < len ? have : len;
		len -= out[n++].iov_len;
		skip = 0;
	}
	return n;
}

enum iov_way { IOV_TO_BUF, IOV_FROM_BUF, IOV_ZERO };

static void iov_walk(const struct iovec *iov, int niov, uint64_t skip,
	char *buf, uint64_t len, enum iov_way way)
{
	for (int i = 0; i < niov && len; i++) {
		char *p = iov[i].iov_base;
		uint64_t n = iov[i].iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		p += skip;
		n -= skip;
		skip = 0;
		if (n > len)
			n = len;
		if (way == IOV_TO_BUF)
			memcpy(buf, p, n);
		else if (way == IOV_FROM_BUF)
			memcpy(p, buf, n);
		else
			memset(p, 0, n);
		if (buf)
			buf += n;
		len -= n;
	}
}

void iov_to_buf(const struct iovec *iov, int niov, uint64_t skip, void *buf,
	uint64_t len)
{
	iov_walk(iov, niov, skip, buf, len, IOV_TO_BUF);
}

void iov_from_buf(const struct iovec *iov, int niov, uint64_t skip,
	const void *buf, uint64_t len)
{
	iov_walk(iov, niov, skip, (char *)(uintptr_t)buf, len, IOV_FROM_BUF);
}

void iov_zero(const struct iovec *iov, int niov, uint64_t skip, uint64_t len)
{
	iov_walk(iov, niov, skip, NULL, len, IOV_ZERO);
}

#define ZERO_PROBE 64u

/* A comparison with itself, shifted: memcmp() uses wide registers. */
bool mem_is_zero(const void *mem, size_t len)
{
	const uint8_t *p = mem;
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
