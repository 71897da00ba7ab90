/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Growing byte buffer of the table builders; see buf.h. */
#include "vm/fw/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

void fw_buf_fini(struct fw_buf *b)
{
	free(b->p);
	memset(b, 0, sizeof(*b));
}

static bool grow(struct fw_buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 4096;
	uint8_t *p;

	if (b->failed || more > FW_BUF_MAX - b->len)
		goto fail;
	if (b->len + more <= b->cap)
		return true;
	while (cap < b->len + more)
		cap *= 2;
	p = realloc(b->p, cap);
	if (!p)
		goto fail;
	b->p = p;
	b->cap = cap;
	return true;
fail:
	b->failed = true;
	return false;
}

void fw_buf_add(struct fw_buf *b, const void *src, size_t len)
{
	if (!len || !grow(b, len))
		return;
	memcpy(b->p + b->len, src, len);
	b->len += len;
}

void fw_buf_zero(struct fw_buf *b, size_t len)
{
	if (!len || !grow(b, len))
		return;
	memset(b->p + b->len, 0, len);
	b->len += len;
}

void fw_buf_int(struct fw_buf *b, uint64_t v, unsigned size)
{
	uint8_t le[8];

	put_le(le, v, size);
	fw_buf_add(b, le, size <= 8 ? size : 8);
}

void fw_buf_text(struct fw_buf *b, const char *s, size_t len, char pad)
{
	size_t n = strnlen(s, len);

	fw_buf_add(b, s, n);
	for (; n < len; n++)
		fw_buf_add(b, &pad, 1);
}

void fw_buf_align(struct fw_buf *b, size_t align)
{
	fw_buf_zero(b, size_up(b->len, align) - b->len);
}

void fw_buf_insert(struct fw_buf *b, size_t off, const void *src, size_t len)
{
	if (off > b->len || !len || !grow(b, len))
		return;
	memmove(b->p + off + len, b->p + off, b->len - off);
	memcpy(b->p + off, src, len);
	b->len += len;
}

void fw_buf_put(struct fw_buf *b, size_t off, uint64_t v, unsigned size)
{
	if (size_in(off, size, b->len))
		put_le(b->p + off, v, size);
}

int fw_buf_take(struct fw_buf *b, const char *name, struct fw_blob *out,
	struct err *e)
{
	memset(out, 0, sizeof(*out));
	if (b->failed) {
		fw_buf_fini(b);
		return err_set(e, ENOMEM, "no memory to build %s", name);
	}
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->data = b->p;
	out->len = b->len;
	memset(b, 0, sizeof(*b));
	return 0;
}

uint8_t fw_checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += p[i];
	return (uint8_t)-sum;
}
