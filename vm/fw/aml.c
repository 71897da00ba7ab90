/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * AML emitter, ACPI 6.4 chapter 20. PkgLength has one to four bytes depending
 * on what it counts, so it is put in when the end is known.
 */
#include "vm/fw/aml.h"

#include <ctype.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#define EXT_OP 0x5B

static void byte(struct fw_buf *b, unsigned v)
{
	fw_buf_int(b, v, 1);
}

void aml_op(struct fw_buf *b, enum aml_op op)
{
	byte(b, op);
}

/* Bytes that v takes in AML, as a power of two. */
static unsigned int_size(uint64_t v)
{
	if (v > UINT32_MAX)
		return 8;
	if (v > UINT16_MAX)
		return 4;
	return v > 0xFF ? 2 : 1;
}

/* Encode v as AML stores a constant; returns the bytes used (1..9). */
static unsigned encode_int(uint8_t out[9], uint64_t v)
{
	static const uint8_t
		prefix[] = { [1] = 0x0A, [2] = 0x0B, [4] = 0x0C, [8] = 0x0E };
	unsigned size = int_size(v);

	if (v <= 1) { /* ZeroOp, OneOp */
		out[0] = (uint8_t)v;
		return 1;
	}
	out[0] = prefix[size];
	put_le(out + 1, v, size);
	return 1 + size;
}

void aml_int(struct fw_buf *b, uint64_t v)
{
	uint8_t enc[9];

	fw_buf_add(b, enc, encode_int(enc, v));
}

void aml_string(struct fw_buf *b, const char *s)
{
	byte(b, 0x0D);
	fw_buf_add(b, s, strlen(s) + 1);
}

void aml_eisaid(struct fw_buf *b, const char *id)
{
	uint32_t v = 0;
	uint8_t be[4];

	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | ((unsigned)(id[i] - 0x40) & 0x1F);
	for (unsigned i = 3; i < 7; i++) {
		unsigned c = (unsigned char)id[i];

		v = v << 4 | (isdigit((int)c) ? c - '0' : c - 'A' + 10);
	}
	put_be32(be, v);
	byte(b, 0x0C); /* a DWord also when it is small: as iasl writes it */
	fw_buf_add(b, be, sizeof(be));
}

static unsigned nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) & 0xF;
}

void aml_uuid(struct fw_buf *b, const char *text)
{
	/* where byte i of the buffer stands in the text */
	static const uint8_t at[16] = { 6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24,
		26, 28, 30, 32, 34 };
	uint8_t raw[16];

	for (unsigned i = 0; i < 16; i++)
		raw[i] = (uint8_t)(nibble(text[at[i]]) << 4 |
				   nibble(text[at[i] + 1]));
	byte(b, 0x11);
	byte(b, 1 + 2 + 16); /* PkgLength */
	byte(b, 0x0A);
	byte(b, 16);
	fw_buf_add(b, raw, sizeof(raw));
}

/* One NameSeg of a path, padded; returns where the next one begins. */
static const char *add_seg(struct fw_buf *b, const char *path)
{
	char seg[4] = { '_', '_', '_', '_' };
	size_t n;

	for (n = 0; path[n] && path[n] != '.'; n++)
		if (n < sizeof(seg))
			seg[n] = path[n];
	fw_buf_add(b, seg, sizeof(seg));
	return path + n + (path[n] == '.');
}

void aml_path(struct fw_buf *b, const char *path)
{
	unsigned segs = 1;

	for (; *path == '\\' || *path == '^'; path++)
		byte(b, (uint8_t)*path);
	for (const char *s = path; *s; s++)
		segs += *s == '.';
	if (!*path) { /* NullName: the root itself */
		byte(b, 0);
		return;
	}
	if (segs == 2)
		byte(b, 0x2E);
	if (segs > 2) {
		byte(b, 0x2F);
		byte(b, segs);
	}
	while (*path)
		path = add_seg(b, path);
}

/* Write n in the form of PkgLength, in size bytes. */
static void put_length(uint8_t out[4], size_t n, unsigned size)
{
	if (size == 1) {
		out[0] = (uint8_t)n;
		return;
	}
	out[0] = (uint8_t)((size - 1) << 6 | (n & 0xF));
	for (unsigned i = 1; i < size; i++)
		out[i] = (uint8_t)(n >> (8 * i - 4));
}

/* PkgLength for n bytes that follow it; it counts itself. */
static unsigned encode_length(uint8_t out[4], size_t n)
{
	static const size_t end[] = { 0, 1u << 6, 1u << 12, 1u << 20 };
	unsigned size = 1;

	while (size < 4 && n + size >= end[size])
		size++;
	put_length(out, n + size, size);
	return size;
}

void aml_end(struct fw_buf *b, size_t at)
{
	uint8_t enc[4];

	if (!b->failed && at <= b->len)
		fw_buf_insert(b, at, enc, encode_length(enc, b->len - at));
}

void aml_name(struct fw_buf *b, const char *path)
{
	byte(b, 0x08);
	aml_path(b, path);
}

void aml_name_int(struct fw_buf *b, const char *path, uint64_t v)
{
	aml_name(b, path);
	aml_int(b, v);
}

void aml_name_eisaid(struct fw_buf *b, const char *path, const char *id)
{
	aml_name(b, path);
	aml_eisaid(b, id);
}

size_t aml_scope(struct fw_buf *b, const char *path)
{
	size_t at;

	byte(b, 0x10);
	at = b->len;
	aml_path(b, path);
	return at;
}

size_t aml_device(struct fw_buf *b, const char *path)
{
	size_t at;

	byte(b, EXT_OP);
	byte(b, 0x82);
	at = b->len;
	aml_path(b, path);
	return at;
}

size_t aml_method(struct fw_buf *b, const char *path, unsigned args,
	bool serialized)
{
	size_t at;

	byte(b, 0x14);
	at = b->len;
	aml_path(b, path);
	byte(b, (args & 7) | (serialized ? 8 : 0));
	return at;
}

size_t aml_package(struct fw_buf *b, unsigned elements)
{
	size_t at;

	byte(b, 0x12);
	at = b->len;
	byte(b, elements & 0xFF);
	return at;
}

size_t aml_if(struct fw_buf *b)
{
	byte(b, 0xA0);
	return b->len;
}

size_t aml_else(struct fw_buf *b)
{
	byte(b, 0xA1);
	return b->len;
}

void aml_method_int(struct fw_buf *b, const char *path, uint64_t v)
{
	size_t m = aml_method(b, path, 0, false);

	aml_op(b, AML_RETURN);
	aml_int(b, v);
	aml_end(b, m);
}

void aml_region(struct fw_buf *b, const char *name, enum aml_space space,
	uint64_t off, uint64_t len)
{
	byte(b, EXT_OP);
	byte(b, 0x80);
	aml_path(b, name);
	byte(b, space);
	aml_int(b, off);
	aml_int(b, len);
}

size_t aml_field(struct fw_buf *b, const char *region)
{
	size_t at;

	byte(b, EXT_OP);
	byte(b, 0x81);
	at = b->len;
	aml_path(b, region);
	byte(b, 0x01); /* ByteAcc, NoLock, Preserve */
	return at;
}

/* The length of a field unit counts bits, not itself. */
static void field_length(struct fw_buf *b, unsigned bits)
{
	unsigned size = bits < 0x40 ? 1 : 2;
	uint8_t enc[4];

	put_length(enc, bits & 0xFFF, size);
	fw_buf_add(b, enc, size);
}

void aml_field_bits(struct fw_buf *b, const char *name, unsigned bits)
{
	aml_path(b, name);
	field_length(b, bits);
}

void aml_field_skip(struct fw_buf *b, unsigned bits)
{
	byte(b, 0x00);
	field_length(b, bits);
}

size_t aml_resources(struct fw_buf *b)
{
	byte(b, 0x11);
	return b->len;
}

void aml_resources_end(struct fw_buf *b, size_t at)
{
	uint8_t enc[9];

	byte(b, 0x79); /* end tag; checksum 0 = not checked */
	byte(b, 0x00);
	if (b->failed)
		return;
	fw_buf_insert(b, at, enc, encode_int(enc, b->len - at));
	aml_end(b, at);
}

void aml_res_io(struct fw_buf *b, uint16_t base, uint8_t align, uint8_t len)
{
	byte(b, 0x47);
	byte(b, 0x01); /* decodes 16 bits */
	fw_buf_int(b, base, 2);
	fw_buf_int(b, base, 2);
	byte(b, align);
	byte(b, len);
}

void aml_res_irq(struct fw_buf *b, unsigned irq)
{
	byte(b, 0x22);
	fw_buf_int(b, 1u << (irq & 15), 2);
}

void aml_res_mem32(struct fw_buf *b, uint32_t base, uint32_t len)
{
	byte(b, 0x86);
	fw_buf_int(b, 9, 2);
	byte(b, 0x01); /* read and write */
	fw_buf_int(b, base, 4);
	fw_buf_int(b, len, 4);
}

void aml_res_interrupt(struct fw_buf *b, const uint32_t *irq, unsigned n)
{
	byte(b, 0x89);
	fw_buf_int(b, 2 + 4 * n, 2);
	byte(b, 0x09); /* consumer, level, active high, shared */
	byte(b, n);
	for (unsigned i = 0; i < n; i++)
		fw_buf_int(b, irq[i], 4);
}

void aml_res_window(struct fw_buf *b, enum aml_window kind, unsigned size,
	uint64_t min, uint64_t max, bool cacheable)
{
	static const uint8_t tag[] = { [2] = 0x88, [4] = 0x87, [8] = 0x8A };
	unsigned flags = 0;

	if (kind == AML_WINDOW_IO)
		flags = 0x03; /* ISA and non-ISA ranges */
	if (kind == AML_WINDOW_MEM)
		flags = 0x01 | (cacheable ? 0x02 : 0);
	byte(b, tag[size]);
	fw_buf_int(b, 3 + 5 * size, 2);
	byte(b, kind);
	byte(b, 0x0C); /* producer, both ends fixed */
	byte(b, flags);
	fw_buf_int(b, 0, size); /* granularity */
	fw_buf_int(b, min, size);
	fw_buf_int(b, max, size);
	fw_buf_int(b, 0, size); /* translation */
	fw_buf_int(b, max - min + 1, size);
}
