/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of the boot order, MACHINE.md 2; see bootorder.h. */
#include "vm/fw/bootorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/fw/buf.h"

/* "SLOT" or "SLOT,FN" in hex. */
static void unit(char out[16], unsigned slot, unsigned fn)
{
	if (fn)
		snprintf(out, 16, "%x,%x", slot, fn);
	else
		snprintf(out, 16, "%x", slot);
}

static int device_path(char *out, size_t len, const struct fw_boot_dev *d)
{
	char at[16];

	unit(at, d->slot, d->fn);
	switch (d->kind) {
	case FW_BOOT_AHCI: /* OVMF knows no other HBA by name */
		return snprintf(out, len, "pci8086,2922@%s/drive@%x/disk@0", at,
			d->port);
	case FW_BOOT_VIRTIO_BLK:
		return snprintf(out, len, "scsi@%s/disk@0,0", at);
	case FW_BOOT_VIRTIO_SCSI:
		return snprintf(out, len, "scsi@%s/channel@0/disk@%x,%x", at,
			d->port, d->lun);
	case FW_BOOT_NVME:
		return snprintf(out, len, "nvme@%s/namespace@1,0", at);
	case FW_BOOT_NET:
		return snprintf(out, len, "ethernet@%s/ethernet-phy@0", at);
	case FW_BOOT_USB:
		return snprintf(out, len,
			"usb@%s/storage@%x/channel@0/disk@0,%x", at, d->port,
			d->lun);
	}
	return 0;
}

static void add_line(struct fw_buf *b, const struct fw_boot_dev *d)
{
	char bridge[32] = "", at[16], path[96], line[160];
	int n;

	if (d->bridged) {
		unit(at, d->bridge_slot, d->bridge_fn);
		snprintf(bridge, sizeof(bridge), "pci-bridge@%s/", at);
	}
	if (device_path(path, sizeof(path), d) <= 0)
		return;
	n = snprintf(line, sizeof(line), "%s/pci@i0cf8/%s%s",
		b->len ? "\n" : "", bridge, path);
	fw_buf_add(b, line, (size_t)n);
}

int fw_bootorder_build(const struct fw_boot_dev *devs, size_t n, bool halt,
	char **out, size_t *len)
{
	struct fw_buf b = { 0 };
	struct fw_blob blob;
	int rc;

	*out = NULL;
	*len = 0;
	for (size_t i = 0; i < n; i++)
		add_line(&b, &devs[i]);
	if (halt)
		fw_buf_add(&b, b.len ? "\nHALT" : "HALT", b.len ? 5 : 4);
	if (!b.len && !b.failed)
		return 0;
	fw_buf_zero(&b, 1);
	rc = fw_buf_take(&b, "bootorder", &blob, NULL);
	if (rc)
		return rc;
	*out = (char *)blob.data;
	*len = blob.len;
	return 0;
}
