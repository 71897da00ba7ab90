/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory map, MACHINE.md 1 and 2. With firmware only RAM is told: SeaBIOS
 * and OVMF add what they and the chipset hold. For direct boot the map must
 * also reserve ECAM, which Linux otherwise does not use.
 */
#include "vm/fw/e820.h"

#include <string.h>

#include "vm/fw/buf.h"
#include "vm/fw/layout.h"

static void add(struct e820_map *map, uint64_t from, uint64_t to,
	enum e820_type type)
{
	if (from >= to || map->n == E820_MAX)
		return;
	map->entry[map->n++] = (struct e820_entry){ from, to - from, type };
}

void e820_fill(const struct fw_machine *m, struct e820_map *out)
{
	uint64_t low = m->low_end;

	memset(out, 0, sizeof(*out));
	if (!m->direct_boot) {
		add(out, 0, low, E820_RAM);
		add(out, GMEM_HIGH_BASE, m->high_end, E820_RAM);
		return;
	}
	add(out, 0, FW_EBDA, E820_RAM);
	add(out, FW_EBDA, GMEM_VGA_BASE, E820_RESERVED);
	add(out, FW_RSDP, FW_BIOS_END, E820_RESERVED);
	add(out, FW_BIOS_END, low, E820_RAM);
	add(out, GMEM_ECAM_BASE, GMEM_ECAM_BASE + GMEM_ECAM_SIZE,
		E820_RESERVED);
	add(out, FW_KVM_PAGES, FW_KVM_PAGES + (uint64_t)FW_KVM_PAGES_LEN,
		E820_RESERVED);
	add(out, GMEM_HIGH_BASE, m->high_end, E820_RAM);
}

int fw_e820_build(const struct fw_machine *m, struct fw_blob *out,
	struct err *e)
{
	struct fw_buf b = { 0 };
	struct e820_map map;

	e820_fill(m, &map);
	for (unsigned i = 0; i < map.n; i++) {
		fw_buf_int(&b, map.entry[i].addr, 8);
		fw_buf_int(&b, map.entry[i].len, 8);
		fw_buf_int(&b, map.entry[i].type, 4);
	}
	return fw_buf_take(&b, "etc/e820", out, e);
}
