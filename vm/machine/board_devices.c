// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Every device that a board may have, as one list in the order in which they
 * come up. An entry makes none, one or several devices, as the config says;
 * they are kept in b->devices and freed in reverse.
 */
#include <errno.h>
#include <stdlib.h>

#include "vm/base/sizes.h"

#include "vm/dev/ahci.h"
#include "vm/dev/debugcon.h"
#include "vm/dev/fwcfg.h"
#include "vm/dev/i8042.h"
#include "vm/dev/lpc.h"
#include "vm/dev/rtc.h"
#include "vm/dev/serial.h"
#include "vm/dev/vga.h"
#include "vm/machine/board_impl.h"
#include "vm/virtio/console.h"
#include "vm/virtio/input.h"
#include "vm/virtio/net.h"
#include "vm/virtio/virtio.h"

#define COM1_BASE 0x3f8
#define COM1_IRQ  4

static int keep(struct board *b, struct device *d, int r, struct err *e)
{
	if (r < 0)
		return r;
	if (b->ndevices == BOARD_MAX_DEVICES) {
		d->ops->free(d);
		return err_set(e, ENOSPC, "too many devices");
	}
	b->devices[b->ndevices++] = d;
	return 0;
}

static int make_pci(struct board *b, struct err *e)
{
	bool direct = b->o.conf->firmware == CONF_FW_NONE;
	int r = pci_bus_new(&b->core, direct, &b->pci, e);

	if (r < 0)
		return r;
	r = lpc_new(&b->core, b->pci, &b->lpc, e);
	return keep(b, b->lpc, r, e);
}

static int make_rtc(struct board *b, struct err *e)
{
	const struct rtc_conf rc = {
		.cpus = b->o.conf->cpus,
		.offset_s = b->o.rtc_offset_s,
		.boot = { RTC_BOOT_DISK, RTC_BOOT_CDROM, RTC_BOOT_NET },
	};
	int r = rtc_new(&b->core, &rc, &b->rtc, e);

	return keep(b, b->rtc, r, e);
}

static int make_serial(struct board *b, struct err *e)
{
	struct device *d = NULL;
	int r = serial_new(&b->core, b->o.serial, COM1_BASE, COM1_IRQ, &d, e);

	return keep(b, d, r, e);
}

static int make_i8042(struct board *b, struct err *e)
{
	struct device *d = NULL;
	int r = i8042_new(&b->core, b->o.display, &d, e);

	return keep(b, d, r, e);
}

static int make_debugcon(struct board *b, struct err *e)
{
	struct device *d = NULL;
	int r = debugcon_new(&b->core, b->o.firmware, &d, e);

	return keep(b, d, r, e);
}

static int make_fwcfg(struct board *b, struct err *e)
{
	int r;

	if (b->o.conf->firmware == CONF_FW_NONE)
		return 0;
	r = fwcfg_new(&b->core, &b->fwcfg, e);
	return keep(b, r < 0 ? NULL : fwcfg_device(b->fwcfg), r, e);
}

static int make_vga(struct board *b, struct err *e)
{
	struct device *d = NULL;
	uint8_t *rom = NULL;
	size_t len = 0;
	int r = 0;

	if (!b->o.display)
		return 0;
	if (b->o.conf->firmware != CONF_FW_NONE)
		r = fw_find("vgabios-stdvga.bin", &rom, &len, e);
	if (r >= 0)
		r = vga_new(&b->core, b->pci, PCI_DEVFN(SLOT_VGA, 0), rom, len,
			b->o.display, &d, e);
	free(rom);
	return keep(b, d, r, e);
}

static int make_rng(struct board *b, struct err *e)
{
	struct device *d = NULL;
	int r;

	if (!b->o.conf->rng)
		return 0;
	r = virtio_rng_new(&b->core, b->pci, PCI_DEVFN(SLOT_RNG, 0), &d, e);
	return keep(b, d, r, e);
}

static int make_input(struct board *b, struct err *e)
{
	static const struct {
		enum virtio_input_kind kind;
		unsigned slot;
	} inputs[] = {
		{ VIRTIO_INPUT_TABLET, SLOT_TABLET },
		{ VIRTIO_INPUT_KEYBOARD, SLOT_KEYBOARD },
	};

	if (!b->o.conf->tablet || !b->o.display)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
		struct device *d = NULL;
		int r = virtio_input_new(&b->core, b->pci,
			PCI_DEVFN(inputs[i].slot, 0), inputs[i].kind,
			b->o.display, &d, e);

		r = keep(b, d, r, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_virtcon(struct board *b, struct err *e)
{
	struct device *d = NULL;
	int r;

	if (!b->o.virtcon)
		return 0;
	r = virtio_console_new(&b->core, b->pci, PCI_DEVFN(SLOT_CONSOLE, 0),
		b->o.virtcon, &d, e);
	return keep(b, d, r, e);
}

static int make_nets(struct board *b, struct err *e)
{
	const struct conf *c = b->o.conf;

	for (unsigned i = 0; i < c->nnets; i++) {
		struct device *d = NULL;
		int r = virtio_net_new(&b->core, b->pci,
			PCI_DEVFN(SLOT_NET + i, 0), b->nets[i], c->nets[i].mac,
			&d, e);

		r = keep(b, d, r, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_virtio_disk(struct board *b, unsigned i, struct err *e)
{
	const struct conf_disk *cd = &b->o.conf->disks[i];
	unsigned queues = cd->queues ? cd->queues : b->o.conf->cpus;
	struct device *d = NULL;
	int r = virtio_blk_new(&b->core, b->pci, PCI_DEVFN(SLOT_DISK + i, 0),
		b->blks[i], queues > 8 ? 8 : queues, cd->name, &d, e);

	return keep(b, d, r, e);
}

/* The SATA controller is there when a disk needs it. */
static int attach_sata_disk(struct board *b, unsigned i, unsigned port,
	struct err *e)
{
	const struct conf_disk *cd = &b->o.conf->disks[i];
	int r = 0;

	if (!b->ahci) {
		r = ahci_new(&b->core, b->pci, PCI_DEVFN(SLOT_LPC, FN_AHCI),
			&b->ahci, e);
		r = keep(b, b->ahci, r, e);
		if (r < 0)
			return r;
	}
	r = ahci_attach(b->ahci, port, b->blks[i], cd->cdrom, cd->name, e);
	return r < 0 ? err_prefix(e, "disk %s", cd->name) : 0;
}

static int make_disks(struct board *b, struct err *e)
{
	const struct conf *c = b->o.conf;
	unsigned port = 0;

	for (unsigned i = 0; i < c->ndisks; i++) {
		int r = c->disks[i].bus == CONF_BUS_SATA
				? attach_sata_disk(b, i, port++, e)
				: make_virtio_disk(b, i, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int (*const makers[])(struct board *b, struct err *e) = {
	make_pci,
	make_rtc,
	make_serial,
	make_i8042,
	make_debugcon,
	make_fwcfg,
	make_vga,
	make_rng,
	make_input,
	make_virtcon,
	make_nets,
	make_disks,
};

int board_devices_up(struct board *b, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		int r = makers[i](b, e);

		if (r < 0)
			return r;
	}
	return 0;
}

void board_devices_down(struct board *b)
{
	while (b->ndevices > 0) {
		struct device *d = b->devices[--b->ndevices];

		d->ops->free(d);
	}
	pci_bus_free(b->pci);
}
