/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fw_cfg: how firmware (and Linux) read files and numbers that the machine
 * has for them. Ports 0x510 (select), 0x511 (data), 0x514/0x518 (DMA).
 * QEMU docs/specs/fw_cfg, MACHINE.md 2.
 *
 * Everything is added before the guest first looks at the list of files, or
 * after a reset before it looks again; other additions are -EBUSY.
 */
#ifndef VM_DEV_FWCFG_H
#define VM_DEV_FWCFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/core/device.h"
#include "vm/fw/fw.h"

struct fwcfg;

#define FWCFG_NAME_MAX 55 /* bytes of a file's name */

enum fwcfg_key { /* numbers that firmware knows */
	FWCFG_SIGNATURE = 0x00,
	FWCFG_ID = 0x01,
	FWCFG_NOGRAPHIC = 0x04,
	FWCFG_NB_CPUS = 0x05,
	FWCFG_NUMA = 0x0D,
	FWCFG_BOOT_MENU = 0x0E,
	FWCFG_MAX_CPUS = 0x0F,
	FWCFG_FILE_DIR = 0x19,
	FWCFG_FILE_FIRST = 0x20,
	FWCFG_IRQ0_OVERRIDE = 0x8002,
};

/* 0 or -errno with e filled. Freed through fwcfg_device()'s ops. */
int fwcfg_new(struct core *core, struct fwcfg **out, struct err *e);
struct device *fwcfg_device(struct fwcfg *f);

/*
 * Add a file or a numbered item of len bytes. take: data is malloc'd and the
 * device's from now on, also when this fails; else it is copied. -EEXIST
 * when it is there, -EINVAL for a bad name or length, -EBUSY when the guest
 * has seen the list, -ENOMEM. Thread: engine, before vCPUs run.
 */
int fwcfg_add_file(struct fwcfg *f, const char *name, void *data, size_t len,
	bool take);
int fwcfg_add_key(struct fwcfg *f, unsigned key, const void *data, size_t len);

/*
 * A file that the guest may write by DMA (it cannot grow). written(arg, data,
 * len) is called after each write with the whole content, on the vCPU's
 * thread with the device's lock not held; data is a copy that lives only
 * through the call. A reset puts the first content back.
 */
int fwcfg_add_writable(struct fwcfg *f, const char *name, const void *data,
	size_t len, void (*written)(void *arg, const void *data, size_t len),
	void *arg);

/* What every machine with firmware has; all borrowed, NULL or 0 = none. */
struct fwcfg_standard {
	const struct fw_machine *machine;
	const struct fw_acpi *acpi;
	const struct fw_blob *smbios_anchor, *smbios_tables;
	const struct fw_blob *e820;
	const char *bootorder; /* from fw_bootorder_build() */
	size_t bootorder_len;
	bool serial_screen;         /* SeaBIOS shows its text on COM1 too */
	bool boot_menu;             /* "Press ESC for boot menu" */
	unsigned boot_menu_wait_ms; /* 0 = SeaBIOS's 2.5 s */
	/*
	 * What SeaBIOS does when nothing boots: 0 = FWCFG_BOOT_RETRY_MS.
	 * FWCFG_BOOT_NO_RETRY = stay there.
	 */
	uint32_t boot_retry_ms;
};

/*
 * A guest that finds nothing to boot tries again after half a minute (by a
 * reboot), and says so on its screen: one that waits for a PXE server or for
 * a disk to be attached comes up by itself, and the host is not kept busy.
 */
#define FWCFG_BOOT_RETRY_MS 30000
#define FWCFG_BOOT_NO_RETRY UINT32_MAX

int fwcfg_add_standard(struct fwcfg *f, const struct fwcfg_standard *s,
	struct err *e);

#endif
