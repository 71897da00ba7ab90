/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The memory map as numbers; e820.c and the kernel loaders put it in form. */
#ifndef VM_FW_E820_H
#define VM_FW_E820_H

#include "vm/fw/fw.h"

enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

#define E820_MAX 10

struct e820_map {
	struct e820_entry {
		uint64_t addr, len;
		enum e820_type type;
	} entry[E820_MAX];
	unsigned n;
};

/*
 * m->direct_boot false: RAM only, the firmware knows the rest. True: what
 * firmware would say, sorted.
 */
void e820_fill(const struct fw_machine *m, struct e820_map *out);

#endif
