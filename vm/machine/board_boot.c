// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What the guest finds at power-on: tables, and firmware that reads them
 * through fw_cfg or a kernel that is put into its memory. The same is laid
 * out anew at every reset, as the guest may have written over all of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/dev/fwcfg.h"
#include "vm/fw/bootorder.h"
#include "vm/machine/board_impl.h"

/* FNV-1a, 64 bit */
static uint64_t hash(const char *s, uint64_t h)
{
	while (*s) {
		h ^= (uint8_t)*s++;
		h *= UINT64_C(0x100000001b3);
	}
	return h;
}

/* A UUID (version 8, RFC 9562) that stays the guest's wherever it runs. */
static void uuid_of(const char *name, uint8_t uuid[16])
{
	put_le64(uuid, hash(name, UINT64_C(0xcbf29ce484222325)));
	put_le64(uuid + 8, hash(name, UINT64_C(0x9e3779b97f4a7c15)));
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

static void describe(struct board *b)
{
	const struct conf *c = b->o.conf;
	struct fw_machine *m = &b->fwm;

	m->name = c->name;
	uuid_of(c->name, m->uuid);
	m->cpus = c->cpus;
	m->low_end = gmem_low_end(b->core.gmem);
	m->high_end = gmem_high_end(b->core.gmem);
	m->phys_bits = kvm_phys_bits(b->kvm);
	m->i8042 = true;
	m->serial = true;
	m->rtc = true;
	m->direct_boot = c->firmware == CONF_FW_NONE;
}

/* Disks with boot = N first, by N; then the others as the file has them. */
static size_t boot_devices(const struct conf *c, struct fw_boot_dev *out)
{
	size_t n = 0;

	for (int want = 1; want <= CONF_MAX_DISKS + 1; want++) {
		unsigned port = 0;

		for (unsigned i = 0; i < c->ndisks; i++) {
			const struct conf_disk *d = &c->disks[i];
			bool sata = d->bus == CONF_BUS_SATA;
			unsigned at = sata ? port++ : 0;
			int boot = d->boot > 0 && d->boot <= CONF_MAX_DISKS
					   ? d->boot
					   : CONF_MAX_DISKS + 1;

			if (boot != want)
				continue;
			out[n++] = (struct fw_boot_dev){
				.kind = sata ? FW_BOOT_AHCI
					     : FW_BOOT_VIRTIO_BLK,
				.slot = (uint8_t)(sata ? SLOT_LPC
						       : SLOT_DISK + i),
				.fn = sata ? FN_AHCI : 0,
				.port = (uint16_t)at,
			};
		}
	}
	return n;
}

static int fill_fwcfg(struct board *b, struct err *e)
{
	struct fw_boot_dev devs[CONF_MAX_DISKS];
	struct fw_blob anchor = { 0 }, tables = { 0 }, e820 = { 0 };
	struct fwcfg_standard s = { .machine = &b->fwm, .acpi = &b->acpi };
	char *order = NULL;
	int r;

	r = fw_bootorder_build(devs, boot_devices(b->o.conf, devs), false,
		&order, &s.bootorder_len);
	if (r < 0)
		err_set(e, -r, "no memory for the boot order");
	if (r >= 0)
		r = fw_smbios_build(&b->fwm, &anchor, &tables, e);
	if (r >= 0)
		r = fw_e820_build(&b->fwm, &e820, e);
	if (r >= 0) {
		s.smbios_anchor = &anchor;
		s.smbios_tables = &tables;
		s.e820 = &e820;
		s.bootorder = order;
		s.boot_menu = true;
		r = fwcfg_add_standard(b->fwcfg, &s, e);
	}
	free(order);
	free(anchor.data);
	free(tables.data);
	free(e820.data);
	return r;
}

static int map_bios(struct board *b, struct err *e)
{
	uint8_t *image = NULL;
	size_t len;
	int r = fw_find("bios-256k.bin", &image, &len, e);

	if (r >= 0)
		r = fw_bios_map(b->core.gmem, image, len, &b->bios, e);
	free(image);
	return r;
}

/* Direct boot: what firmware would have done, then the kernel. */
static int load_kernel(struct board *b, struct err *e)
{
	const struct conf *c = b->o.conf;
	uint64_t rsdp = 0;
	int r;

	pci_bus_assign(b->pci);
	r = fw_acpi_install(&b->acpi, b->core.gmem, &rsdp, e);
	if (r >= 0)
		r = fw_smbios_install(&b->fwm, b->core.gmem, e);
	if (r >= 0)
		r = fw_linux_load(&b->fwm, b->core.gmem, c->kernel, c->initrd,
			c->cmdline, rsdp, &b->entry, e);
	return r;
}

int board_boot_up(struct board *b, struct err *e)
{
	int r;

	if (b->o.conf->firmware == CONF_FW_UEFI)
		return err_set(e, ENOTSUP,
			"firmware = uefi is not there yet: use seabios, or "
			"none with a kernel");
	describe(b);
	r = fw_acpi_build(&b->fwm, &b->acpi, e);
	if (r < 0)
		return r;
	if (b->fwm.direct_boot)
		return load_kernel(b, e);
	b->entry.mode = FW_ENTRY_RESET;
	r = fill_fwcfg(b, e);
	if (r >= 0)
		r = map_bios(b, e);
	if (r >= 0)
		r = fw_bios_reset(b->bios, b->core.gmem);
	return r;
}

int board_boot_reset(struct board *b, struct err *e)
{
	if (b->fwm.direct_boot)
		return load_kernel(b, e);
	return fw_bios_reset(b->bios, b->core.gmem);
}

void board_boot_down(struct board *b)
{
	fw_bios_free(b->bios);
	fw_acpi_free(&b->acpi);
}
