/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guest RAM without KVM, machines, and made-up kernel files. */
#ifndef TESTS_UNIT_VM_FW_RIG_H
#define TESTS_UNIT_VM_FW_RIG_H

#include <asm/bootparam.h>
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/sizes.h"

#include "vm/fw/fw.h"

#include "tests/unit/suite.h"

struct gmem *rig_gmem(uint64_t size);
/* A machine with all devices and the RAM of g. */
struct fw_machine rig_machine(struct gmem *g);

uint64_t rig_get(struct gmem *g, uint64_t gpa, unsigned size);

/* Write a file into the scratch folder; returns its path. */
const char *rig_file(const char *name, const void *data, size_t len);

/*
 * A bzImage: setup of 2 sectors and 8 KiB of kernel whose byte i is
 * (uint8_t)(i * 7), wanted at 1 MiB with 64 KiB to unpack.
 */
#define RIG_BZ_SETUP 1536
#define RIG_BZ_LEN   8192
struct rig_bz {
	uint8_t bytes[RIG_BZ_SETUP + RIG_BZ_LEN];
};
void rig_bz_make(struct rig_bz *b);
struct setup_header *rig_bz_header(struct rig_bz *b);

/*
 * An ELF64 kernel: segment 0 at 1 MiB, 0x1000 bytes (i * 5) in file and
 * 0x3000 in memory; segment 1 at 2 MiB, 0x200 bytes; a note with the PVH
 * entry 0x100040.
 */
struct rig_elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	uint8_t note[32];
	uint8_t seg0[0x1000];
	uint8_t seg1[0x200];
};
void rig_elf_make(struct rig_elf *x);

/* Load with no initrd and "" unless given; checks nothing. */
int rig_load(struct gmem *g, const char *kernel, const char *initrd,
	const char *cmdline, uint64_t rsdp, struct fw_entry *out,
	struct err *e);

#endif
