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

int iov_behind(const struct iovec *iov, int niov, uint64_t skip,
	struct iovec *out)
{
	int n = 0;

	for (int i = 0; i < niov; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		out[n].iov_base = (char *)iov[i].iov_base + skip;
		out[n].iov_len = iov[i].iov_len - skip;
		skip = 0;
		n++;
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
