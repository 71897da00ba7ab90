/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of the board: what its stages have made so far. Each stage fills
 * its part in `up` and empties it in `down`; down is called for every stage
 * whose up was called, also when that up failed half-way.
 */
#ifndef VM_MACHINE_BOARD_IMPL_H
#define VM_MACHINE_BOARD_IMPL_H

#include "vm/base/thread.h"

#include "storage/storage.h"

#include "vm/core/vcpu.h"
#include "vm/fw/fw.h"
#include "vm/kvm/kvm.h"
#include "vm/machine/board.h"
#include "vm/net/net.h"
#include "vm/pci/pci.h"

#define BOARD_MAX_DEVICES 48

struct fwcfg;

struct board {
	struct board_opts o;
	struct kvm_vm *kvm;
	struct core core;
	struct loop *io;
	struct thread io_thread;
	bool io_runs;
	struct pci_bus *pci;
	struct device *devices[BOARD_MAX_DEVICES];
	unsigned ndevices;
	struct device *lpc, *rtc, *ahci;
	struct fwcfg *fwcfg;
	struct blk *blks[CONF_MAX_DISKS];
	struct netdev *nets[CONF_MAX_NETS];
	struct fw_machine fwm;
	struct fw_acpi acpi;
	struct fw_bios *bios;
	struct fw_entry entry;
	struct vcpus *vcpus;
	bool dirty_on;
	unsigned stages_up;
};

struct board_stage {
	const char *name;
	int (*up)(struct board *b, struct err *e);
	void (*down)(struct board *b);
};

/* PCI slots, fixed so that a guest finds its devices where they were. */
enum {
	SLOT_VGA = 1,
	SLOT_RNG = 2,
	SLOT_TABLET = 3,
	SLOT_KEYBOARD = 4,
	SLOT_CONSOLE = 5,
	SLOT_NET = 6,   /* .. 13, one a [net] */
	SLOT_DISK = 14, /* .. 29, one a [disk] on virtio */
	SLOT_LPC = 31,
	FN_AHCI = 2,
};

/* board_core.c */
int board_core_up(struct board *b, struct err *e);
void board_core_down(struct board *b);
int board_io_up(struct board *b, struct err *e);
void board_io_down(struct board *b);
int board_vcpus_up(struct board *b, struct err *e);
void board_vcpus_down(struct board *b);
int board_vcpus_reset(struct board *b, struct err *e);

/* board_storage.c */
int board_storage_up(struct board *b, struct err *e);
void board_storage_down(struct board *b);

/* board_devices.c */
int board_devices_up(struct board *b, struct err *e);
void board_devices_down(struct board *b);
int board_nets_up(struct board *b, struct err *e);
void board_nets_down(struct board *b);

/* board_boot.c: tables, firmware or kernel, entry state */
int board_boot_up(struct board *b, struct err *e);
void board_boot_down(struct board *b);
int board_boot_reset(struct board *b, struct err *e);

#endif
