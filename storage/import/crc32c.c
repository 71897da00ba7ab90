// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Polynomial 0x1EDC6F41, reflected: by the processor's instruction (SSE 4.2),
 * else by half bytes, so that the table is 16 words.
 */
#include "storage/import/crc32c.h"

#include "vm/base/bytes.h"

static const uint32_t half[16] = { 0x00000000, 0x105ec76f, 0x20bd8ede,
	0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78,
	0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a,
	0xf36e6f75 };

uint32_t crc32c_plain(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	crc = ~crc;
	while (len--) {
		crc ^= *p++;
		crc = crc >> 4 ^ half[crc & 15];
		crc = crc >> 4 ^ half[crc & 15];
	}
	return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse(uint32_t crc,
	const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint64_t c = ~crc;

	for (; len >= 8; len -= 8, p += 8)
		c = __builtin_ia32_crc32di(c, get_le64(p));
	for (; len; len--, p++)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p);
	return ~(uint32_t)c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *buf, size_t len)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse(crc, buf, len);
#endif
	return crc32c_plain(crc, buf, len);
}

uint32_t crc32c_without(const void *buf, size_t len, size_t at)
{
	static const uint8_t zeros[4];
	const uint8_t *p = buf;
	uint32_t crc = crc32c(0, p, at);

	crc = crc32c(crc, zeros, sizeof(zeros));
	return crc32c(crc, p + at + 4, len - at - 4);
}
