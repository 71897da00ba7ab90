/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checked arithmetic for sizes that come from outside, and sizes as people
 * write them. Thread: any, no state.
 */
#ifndef VM_BASE_SIZES_H
#define VM_BASE_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KiB (UINT64_C(1) << 10)
#define MiB (UINT64_C(1) << 20)
#define GiB (UINT64_C(1) << 30)
#define TiB (UINT64_C(1) << 40)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* *out = a + b (a * b); false when it does not fit, *out is then unset. */
static inline bool size_add(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool size_mul(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

/* Is [off, off + len) inside [0, size)? A len of 0 at off == size is. */
static inline bool size_in(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/* Round up or down to a power of two; the caller knows that it fits. */
static inline uint64_t size_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

static inline uint64_t size_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline bool size_is_pow2(uint64_t v)
{
	return v && !(v & (v - 1));
}

/*
 * Read "512M", "2G", "1.5T", "4096" (bytes), suffixes K M G T P with
 * optional "iB" or "B", all powers of 1024, any case. 0, -EINVAL when it is
 * not a size, -ERANGE when it does not fit 64 bits.
 */
int size_parse(const char *s, uint64_t *out);

/* Write v as people read it ("1.5G", "512M", "0") into buf; returns buf. */
char *size_format(uint64_t v, char *buf, size_t len);

#endif
