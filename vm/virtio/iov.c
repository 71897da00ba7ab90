/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes of a popped chain, wherever the driver split it. Pure functions on
 * iovecs that virtq_pop() has checked. Thread: any.
 */
#include <string.h>

#include "vm/virtio/virtio.h"

typedef void (*iov_copy_fn)(void *piece, void *buf, size_t n);

/* Call fn for each part of [off, off+len) in iov; returns bytes covered. */
static uint32_t iov_each(const struct iovec *iov, unsigned n, uint64_t off,
	uint8_t *buf, uint32_t len, iov_copy_fn fn)
{
	uint32_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - off;
		if (part > len - done)
			part = len - done;
		fn((uint8_t *)iov[i].iov_base + off, buf + done, part);
		done += (uint32_t)part;
		off = 0;
	}
	return done;
}

static void copy_out(void *piece, void *buf, size_t n)
{
	memcpy(buf, piece, n);
}

static void copy_in(void *piece, void *buf, size_t n)
{
	memcpy(piece, buf, n);
}

uint32_t virtq_elem_read(const struct virtq_elem *el, uint32_t off, void *buf,
	uint32_t len)
{
	return iov_each(el->iov, el->nout, off, buf, len, copy_out);
}

uint32_t virtq_elem_write(const struct virtq_elem *el, uint32_t off,
	const void *buf, uint32_t len)
{
	/* copy_in only reads buf */
	return iov_each(el->iov + el->nout, el->nin, off,
		(uint8_t *)(uintptr_t)buf, len, copy_in);
}

int virtq_iov_cut(struct iovec *src, int n, uint64_t off, uint64_t len,
	int *first)
{
	int i = 0, end;

	while (i < n && off >= src[i].iov_len)
		off -= src[i++].iov_len;
	*first = i;
	if (i == n || len == 0)
		return 0;
	src[i].iov_base = (uint8_t *)src[i].iov_base + off;
	src[i].iov_len -= off;
	for (end = i; end < n && len > 0; end++) {
		if (src[end].iov_len > len)
			src[end].iov_len = len;
		len -= src[end].iov_len;
	}
	return end - i;
}
