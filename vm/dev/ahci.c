// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * ICH9 AHCI controller: creation, drives, media, reset and pause. What the
 * parts do and who owns what state stands in ahci_impl.h.
 */
#include "vm/dev/ahci.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/list.h"

#include "vm/dev/ahci_impl.h"

#define ABAR          5
#define ABAR_LEN      4096
#define CFG_IDE       0x90 /* address map: AHCI mode */
#define EVENT_NEW     2
#define EVENT_REMOVED 3

/* Run fn(port) on all ports that have a medium. */
static void drain_all(struct ahci *a)
{
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		if (a->port[i].drive.blk)
			blk_drain(a->port[i].drive.blk);
}

/* On the I/O thread: nothing of before the reset runs after it. */
static void reset_io(void *arg)
{
	struct ahci *a = arg;
	bool paused = a->paused;

	lock_take(&a->lock);
	ahci_reset_locked(a);
	lock_drop(&a->lock);
	a->paused = true;
	drain_all(a);
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_unpark(&a->port[i], -ECANCELED);
	a->paused = paused;
	lock_take(&a->lock);
	msi_reset(&a->msi);
	ahci_reset_locked(a);
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		a->port[i].drive.tray_open = false;
	lock_drop(&a->lock);
}

static void ahci_reset(struct device *d)
{
	struct ahci *a = container_of(d, struct ahci, dev);

	loop_sync(a->core->io, reset_io, a);
}

static void ahci_hold(struct device *d)
{
	struct ahci *a = container_of(d, struct ahci, dev);

	a->paused = a->parking = true;
}

static void ahci_quiesce(struct device *d)
{
	ahci_hold(d);
	drain_all(container_of(d, struct ahci, dev));
}

static void ahci_resume(struct device *d)
{
	struct ahci *a = container_of(d, struct ahci, dev);

	a->paused = a->parking = false;
	loop_call_schedule(&a->kick);
}

static void ahci_free(struct device *d)
{
	struct ahci *a = container_of(d, struct ahci, dev);

	a->paused = a->parking = true;
	drain_all(a);
	loop_call_cancel(&a->kick);
	pci_dev_del(&a->pci);
	msi_fini(&a->msi);
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		free(a->port[i].cmd);
	lock_fini(&a->lock);
	free(a);
}

static const struct device_ops ahci_ops = {
	.reset = ahci_reset,
	.hold = ahci_hold,
	.quiesce = ahci_quiesce,
	.resume = ahci_resume,
	.free = ahci_free,
};

/* Bus mastering may have come on: commands may wait for it. */
static void ahci_cfg_written(struct pci_dev *d, unsigned off, unsigned len)
{
	struct ahci *a = container_of(d, struct ahci, pci);

	msi_cfg_written(&a->msi, off, len);
	loop_call_schedule(&a->kick);
}

static const struct pci_ids ahci_ids = {
	.vendor = 0x8086,
	.device = 0x2922,
	.subvendor = 0x1af4,
	.subdevice = 0x1100,
	.class_rev = 0x01060102,
};

static int add_function(struct ahci *a, struct pci_bus *bus, unsigned devfn,
	struct err *e)
{
	int r = pci_dev_add(bus, &a->pci, "ahci", devfn, &ahci_ids, e);

	if (r)
		return r;
	pci_bar_trap(&a->pci, ABAR, PCI_BAR_MEM32, ABAR_LEN, &ahci_bus_ops, a);
	pci_intx_pin(&a->pci, 1);
	a->pci.cfg[CFG_IDE] = 0x40;
	r = msi_init(&a->msi, &a->pci, a->core->irqs);
	if (r) {
		pci_dev_del(&a->pci);
		return err_sys(e, -r, "AHCI controller: MSI capability");
	}
	a->pci.cfg_written = ahci_cfg_written;
	return 0;
}

int ahci_new(struct core *core, struct pci_bus *bus, unsigned devfn,
	struct device **out, struct err *e)
{
	struct ahci *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_sys(e, ENOMEM, "AHCI controller");
	a->dev = (struct device){ .name = "ahci", .ops = &ahci_ops };
	a->core = core;
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		a->port[i].ahci = a;
		a->port[i].n = i;
	}
	r = add_function(a, bus, devfn, e);
	if (r) {
		free(a);
		return r;
	}
	lock_init(&a->lock, "ahci", LOCK_DEVICE);
	loop_call_init(&a->kick, core->io, ahci_kick, a);
	lock_take(&a->lock);
	ahci_reset_locked(a);
	lock_drop(&a->lock);
	*out = &a->dev;
	return 0;
}

static int check_medium(const struct blk_info *info, bool cdrom, unsigned port,
	struct err *e)
{
	if (cdrom && info->block_size > CD_SECTOR)
		return err_set(e, EINVAL,
			"SATA port %u: a CD-ROM has sectors of %d bytes, the "
			"image needs %u: use cache = writeback for it",
			port, CD_SECTOR, info->block_size);
	if (info->size < (cdrom ? CD_SECTOR : info->block_size))
		return err_set(e, EINVAL,
			"SATA port %u: the image has less than one sector",
			port);
	return 0;
}

/* Take over a medium's figures. info NULL = no medium. */
static void set_medium(struct ahci_drive *d, struct blk *blk,
	const struct blk_info *info)
{
	d->blk = blk;
	d->sectors = 0;
	if (!blk)
		return;
	if (d->cdrom)
		d->sector = CD_SECTOR;
	else
		d->sector = info->block_size > 512 ? info->block_size : 512;
	d->sectors = info->size / d->sector;
	d->phys_sector = info->phys_size;
	d->readonly = info->readonly || d->cdrom;
	d->can_discard = info->can_discard;
}

int ahci_attach(struct device *dev, unsigned port, struct blk *blk, bool cdrom,
	const char *serial, struct err *e)
{
	struct ahci *a = container_of(dev, struct ahci, dev);
	struct blk_info info;
	struct ahci_port *p;
	int r;

	if (port >= AHCI_PORTS)
		return err_set(e, EINVAL, "SATA port %u: there are 0 to %d",
			port, AHCI_PORTS - 1);
	p = &a->port[port];
	if (p->drive.present)
		return err_set(e, EBUSY, "SATA port %u is taken", port);
	if (!blk && !cdrom)
		return err_set(e, EINVAL, "SATA port %u: a disk needs an image",
			port);
	if (blk) {
		blk_info(blk, &info);
		r = check_medium(&info, cdrom, port, e);
		if (r)
			return r;
	}
	p->cmd = calloc(AHCI_SLOTS, sizeof(*p->cmd));
	if (!p->cmd)
		return err_sys(e, ENOMEM, "SATA port %u", port);
	for (unsigned i = 0; i < AHCI_SLOTS; i++) {
		p->cmd[i].port = p;
		p->cmd[i].tag = i;
	}
	p->drive.present = true;
	p->drive.cdrom = cdrom;
	if (serial && *serial)
		snprintf(p->drive.serial, sizeof(p->drive.serial), "%s",
			serial);
	else
		snprintf(p->drive.serial, sizeof(p->drive.serial), "GD%05u",
			port + 1);
	set_medium(&p->drive, blk, blk ? &info : NULL);
	lock_take(&a->lock);
	ahci_reset_locked(a);
	lock_drop(&a->lock);
	return 0;
}

struct media_change {
	struct ahci *ahci;
	struct ahci_port *port;
	struct blk *blk;
	struct blk_info info;
	bool force;
	int result;
};

static void change_io(void *arg)
{
	struct media_change *m = arg;
	struct ahci *a = m->ahci;
	struct ahci_drive *d = &m->port->drive;
	bool paused = a->paused, locked;

	lock_take(&a->lock);
	locked = d->locked;
	lock_drop(&a->lock);
	if (locked && d->blk && !m->force) {
		m->result = -EBUSY;
		return;
	}
	a->paused = true;
	if (d->blk)
		blk_drain(d->blk);
	ahci_unpark(m->port, -EIO); /* its medium is gone */
	a->paused = paused;
	lock_take(&a->lock);
	set_medium(d, m->blk, &m->info);
	d->tray_open = false;
	d->locked = false;
	d->attention = m->blk != NULL;
	d->event = m->blk ? EVENT_NEW : EVENT_REMOVED;
	lock_drop(&a->lock);
	loop_call_schedule(&a->kick);
}

int ahci_set_media(struct device *dev, unsigned port, struct blk *blk,
	bool force, struct err *e)
{
	struct ahci *a = container_of(dev, struct ahci, dev);
	struct media_change m = { .ahci = a, .blk = blk, .force = force };
	int r;

	if (port >= AHCI_PORTS || !a->port[port].drive.present ||
		!a->port[port].drive.cdrom)
		return err_set(e, EINVAL, "SATA port %u has no CD-ROM drive",
			port);
	if (blk) {
		blk_info(blk, &m.info);
		r = check_medium(&m.info, true, port, e);
		if (r)
			return r;
	}
	m.port = &a->port[port];
	loop_sync(a->core->io, change_io, &m);
	if (m.result)
		return err_set(e, EBUSY,
			"SATA port %u: the guest has locked the tray: eject "
			"it there, or force it",
			port);
	return 0;
}
