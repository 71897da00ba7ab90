/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A byte buffer that grows while tables are built. Running out of memory is
 * remembered: later additions do nothing, and the taker of the buffer gets
 * -ENOMEM once at the end, so that builders need no error path a line.
 * Thread: the caller's.
 */
#ifndef VM_FW_BUF_H
#define VM_FW_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/fw/fw.h"

#define FW_BUF_MAX ((size_t)16 << 20)

struct fw_buf {
	uint8_t *p;
	size_t len, cap;
	bool failed;
};

void fw_buf_fini(struct fw_buf *b);

/* Add at the end: bytes, zeroes, an integer of size 1..8 little endian. */
void fw_buf_add(struct fw_buf *b, const void *src, size_t len);
void fw_buf_zero(struct fw_buf *b, size_t len);
void fw_buf_int(struct fw_buf *b, uint64_t v, unsigned size);
/* A string without its end, cut or zero-padded to len. */
void fw_buf_text(struct fw_buf *b, const char *s, size_t len, char pad);
/* Zeroes up to a multiple of align (a power of two). */
void fw_buf_align(struct fw_buf *b, size_t align);

/* Put bytes in at off, moving what follows; off must be inside or the end. */
void fw_buf_insert(struct fw_buf *b, size_t off, const void *src, size_t len);
/* Overwrite an integer that is there; nothing when it does not fit. */
void fw_buf_put(struct fw_buf *b, size_t off, uint64_t v, unsigned size);

/*
 * Move the bytes into out under that fw_cfg name; b is empty afterwards.
 * 0, or -ENOMEM when any addition had failed (out is then empty).
 */
int fw_buf_take(struct fw_buf *b, const char *name, struct fw_blob *out,
	struct err *e);

/* The byte that makes p[0, len) sum to zero when added. */
uint8_t fw_checksum(const uint8_t *p, size_t len);

#endif
