/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table linker's list: what must be done to the table files once their
 * addresses are known. Entries are the 128 bytes of etc/table-loader, which
 * SeaBIOS and OVMF carry out; fw_acpi_install() carries out the same list
 * for direct boot. QEMU's linker-loader as SeaBIOS's romfile_loader reads it.
 */
#ifndef VM_FW_LINKER_H
#define VM_FW_LINKER_H

#include "vm/fw/buf.h"

#define LINKER_ENTRY 128
#define LINKER_FILE  56

enum linker_command {
	LINKER_ALLOCATE = 1,
	LINKER_ADD_POINTER = 2,
	LINKER_ADD_CHECKSUM = 3,
};

enum linker_zone { LINKER_HIGH = 1, LINKER_FSEG = 2 };

void linker_allocate(struct fw_buf *l, const char *file, uint32_t align,
	enum linker_zone zone);
/* Add src's address to the size bytes at off of dest. */
void linker_pointer(struct fw_buf *l, const char *dest, const char *src,
	uint32_t off, uint8_t size);
/* Make [start, start+len) of file sum to zero by its byte at off. */
void linker_checksum(struct fw_buf *l, const char *file, uint32_t off,
	uint32_t start, uint32_t len);

#endif
