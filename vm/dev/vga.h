/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Standard VGA as QEMU's "stdvga" (1234:1111): VGA registers and memory,
 * Bochs dispi modes, 16 MiB of video memory in BAR 0, the same registers and
 * an EDID in BAR 2.
 */
#ifndef VM_DEV_VGA_H
#define VM_DEV_VGA_H

#include <stddef.h>

#include "vm/core/device.h"

struct display;
struct pci_bus;

#define VGA_VRAM_BYTES 0x1000000u

/*
 * Put a VGA on bus b at devfn with option ROM rom (copied; NULL = none) and
 * show it on display (borrowed; outlives the device; NULL = nobody looks).
 * Maps the legacy ports and the window at 0xA0000. 0 or -errno with e
 * filled; the device ends by (*out)->ops->free.
 */
int vga_new(struct core *core, struct pci_bus *b, unsigned devfn,
	const void *rom, size_t rom_len, struct display *display,
	struct device **out, struct err *e);

#endif
