/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fixed-width loads and stores in little and big endian at any alignment.
 * All guest and wire data goes through these. No bounds: the caller has
 * checked the length.
 */
#ifndef VM_BASE_BYTES_H
#define VM_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BYTES_DEFINE(bits, end)                                                \
	static inline uint##bits##_t get_##end##bits(const void *p)            \
	{                                                                      \
		uint##bits##_t v;                                              \
		memcpy(&v, p, sizeof(v));                                      \
		return end##bits##toh(v);                                      \
	}                                                                      \
	static inline void put_##end##bits(void *p, uint##bits##_t v)          \
	{                                                                      \
		v = hto##end##bits(v);                                         \
		memcpy(p, &v, sizeof(v));                                      \
	}

BYTES_DEFINE(16, le)
BYTES_DEFINE(32, le)
BYTES_DEFINE(64, le)
BYTES_DEFINE(16, be)
BYTES_DEFINE(32, be)
BYTES_DEFINE(64, be)

/* Load or store `size` (1, 2, 4, 8) bytes little endian. */
static inline uint64_t get_le(const void *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size <= 8 ? size : 8);
	return le64toh(v);
}

static inline void put_le(void *p, uint64_t v, unsigned size)
{
	v = htole64(v);
	memcpy(p, &v, size <= 8 ? size : 8);
}

#endif
