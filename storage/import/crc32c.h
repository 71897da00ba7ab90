/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CRC-32C (Castagnoli), as VHDX has it over its headers. Thread: any. */
#ifndef STORAGE_IMPORT_CRC32C_H
#define STORAGE_IMPORT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Begin with 0; what is returned goes in again for the next bytes. */
uint32_t crc32c(uint32_t crc, const void *buf, size_t len);

/* Of len bytes (>= at + 4) with the four at `at` taken as zeros. */
uint32_t crc32c_without(const void *buf, size_t len, size_t at);

/* What crc32c() does on a processor without an instruction for it. */
uint32_t crc32c_plain(uint32_t crc, const void *buf, size_t len);

#endif
