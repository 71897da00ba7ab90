/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The body of the DSDT: devices of the q35 board in AML. */
#ifndef VM_FW_DSDT_H
#define VM_FW_DSDT_H

#include "vm/fw/buf.h"

/* Append the definition block's terms (what follows the table's header). */
void fw_dsdt_body(struct fw_buf *b, const struct fw_machine *m);

/*
 * First address of the 64-bit PCI window, a multiple of 1 GiB above RAM, and
 * *last; 0 when the guest's address width leaves no room.
 */
uint64_t fw_pci64_window(const struct fw_machine *m, uint64_t *last);

#endif
