/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The fw_cfg file "bootorder": one Open Firmware path a line, first to boot
 * first. SeaBIOS matches by slot numbers only; OVMF wants the names too.
 */
#ifndef VM_FW_BOOTORDER_H
#define VM_FW_BOOTORDER_H

#include "vm/fw/fw.h"

enum fw_boot_kind {
	FW_BOOT_AHCI, /* port = the HBA's port; disk or CD */
	FW_BOOT_VIRTIO_BLK,
	FW_BOOT_VIRTIO_SCSI, /* port = target, and lun */
	FW_BOOT_NVME,
	FW_BOOT_NET,
	FW_BOOT_USB, /* storage; port = xHCI root port, from 1; lun */
};

struct fw_boot_dev {
	enum fw_boot_kind kind;
	uint8_t slot, fn;
	uint16_t port, lun;
	/* Behind a root port: its slot and function on the root bus. */
	bool bridged;
	uint8_t bridge_slot, bridge_fn;
};

/*
 * Lines for devs[0, n) in that order; halt adds HALT, after which SeaBIOS
 * tries nothing that is not listed. *out is a string with *len bytes, the
 * closing zero counted, as firmware expects; the caller frees it. No line at
 * all gives NULL and 0. 0 or -ENOMEM. Thread: any, no state.
 */
int fw_bootorder_build(const struct fw_boot_dev *devs, size_t n, bool halt,
	char **out, size_t *len);

#endif
