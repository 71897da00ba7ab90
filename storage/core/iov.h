/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Arithmetic and copies on iovecs that were checked before: the sum of the
 * lengths fits and covers [skip, skip + len). Thread: any, no state.
 */
#ifndef STORAGE_IOV_H
#define STORAGE_IOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* *sum = all lengths together; false when that does not fit. */
bool iov_sum(const struct iovec *iov, int niov, uint64_t *sum);

/* Are all addresses multiples of addr_align and lengths of len_align? */
bool iov_aligned(const struct iovec *iov, int niov, uint32_t addr_align,
	uint32_t len_align);

/* Copy len bytes that begin skip bytes into iov to or from buf. */
void iov_to_buf(const struct iovec *iov, int niov, uint64_t skip, void *buf,
	uint64_t len);
void iov_from_buf(const struct iovec *iov, int niov, uint64_t skip,
	const void *buf, uint64_t len);

/* Zero len bytes that begin skip bytes into iov. */
void iov_zero(const struct iovec *iov, int niov, uint64_t skip, uint64_t len);

/* The pieces of [skip, skip + len) of iov into out (niov places): how many. */
int iov_part(const struct iovec *iov, int niov, uint64_t skip, uint64_t len,
	struct iovec *out);

/* Is all of it zero? Quick to see what is not. */
bool mem_is_zero(const void *mem, size_t len);
bool iov_is_zero(const struct iovec *iov, int niov);

#endif
