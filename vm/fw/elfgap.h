/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where an ELF64 file holds nothing but zeroes: Linux's .bss lies in the
 * middle of a segment, so that the file is padded with megabytes of zeroes
 * there (Debian's vmlinux: 19 of 56 MiB). Whoever loads it saves reading
 * them, and the guest's memory for them.
 */
#ifndef VM_FW_ELFGAP_H
#define VM_FW_ELFGAP_H

#include <stddef.h>
#include <stdint.h>

#define ELF_GAPS     8
#define ELF_GAP_MIN  65536 /* bytes that are worth it */
#define ELF_SECTIONS 128

struct elf_gap {
	uint64_t off, end; /* in the file */
};

/*
 * Fill out, sorted and free of overlaps, from n (up to ELF_SECTIONS) section
 * headers as they stand in the file: each gap begins with a section that has
 * no bytes in the file (NOBITS) and ends where the next one with bytes
 * begins, at file_size at last. Returns how many. Pure; headers may hold
 * anything.
 */
unsigned elf_gaps(const uint8_t *headers, unsigned n, uint64_t file_size,
	struct elf_gap out[ELF_GAPS]);

#endif
