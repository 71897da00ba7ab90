/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ICH9 AHCI controller, 8086:2922, with SATA disks and CD-ROM drives. */
#ifndef VM_DEV_AHCI_H
#define VM_DEV_AHCI_H

#include "storage/storage.h"

#include "vm/core/device.h"
#include "vm/pci/pci.h"

#define AHCI_PORTS 6

/*
 * Put the controller on bus at devfn (q35: 00:1f.2), no drives. 0 or -errno
 * with e filled; the device ends by (*out)->ops->free.
 */
int ahci_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct device **out, struct err *e);

/*
 * Attach a drive to port 0..5 before the guest starts: a disk on blk, or a
 * CD-ROM drive with blk as its medium (NULL = empty). blk is borrowed, was
 * opened on core->io and outlives the device. serial may be NULL. -EINVAL
 * (no such port, disk without blk), -EBUSY (port is taken) with e filled.
 */
int ahci_attach(struct device *ahci, unsigned port, struct blk *blk, bool cdrom,
	const char *serial, struct err *e);

/*
 * Change the medium of a CD-ROM drive (NULL = take it out). When it returns
 * 0 the old blk is no longer used. -EINVAL when port has no CD-ROM drive,
 * -EBUSY when the guest has locked the tray and force is false. Thread: any
 * but a vCPU's; waits for the I/O thread.
 */
int ahci_set_media(struct device *ahci, unsigned port, struct blk *blk,
	bool force, struct err *e);

#endif
