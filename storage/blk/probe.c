/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See probe.h. */
#include "storage/blk/probe.h"

#include <string.h>

#include "vm/base/sizes.h"

#include "storage/import/import.h"
#include "storage/qcow2/qcow2.h"

/* Formats that others have: an image of theirs is no raw one. */
static const struct {
	const char *name;
	const char *magic;
	size_t len;
} foreign[] = {
	{ "LUKS (encrypted)", "LUKS\xba\xbe", 6 },
	{ "qcow", "QFI\xfb", 4 }, /* version 1, and what qcow2 does not take */
	{ "QED", "QED\0", 4 },
	{ "VHD", "conectix", 8 },
	{ "Parallels", "WithoutFreeSpace", 16 },
	{ "Parallels", "WithouFreSpacExt", 16 },
	{ "Bochs", "Bochs Virtual HD Image", 22 },
};

struct probe probe_head(const void *head, uint64_t len)
{
	if (len > PROBE_BYTES)
		len = PROBE_BYTES;
	if (qcow2_probe(head, len))
		return (struct probe){ BLK_QCOW2, "qcow2" };
	if (vmdk_probe(head, len))
		return (struct probe){ BLK_VMDK, "VMDK" };
	if (vdi_probe(head, len))
		return (struct probe){ BLK_VDI, "VDI" };
	if (vhdx_probe(head, len))
		return (struct probe){ BLK_VHDX, "VHDX" };
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		if (len >= foreign[i].len &&
			!memcmp(head, foreign[i].magic, foreign[i].len))
			return (struct probe){ BLK_AUTO, foreign[i].name };
	return (struct probe){ BLK_RAW, NULL };
}

static const char *const names[] = {
	[BLK_RAW] = "raw",
	[BLK_QCOW2] = "qcow2",
	[BLK_AUTO] = "auto",
	[BLK_VMDK] = "vmdk",
	[BLK_VDI] = "vdi",
	[BLK_VHDX] = "vhdx",
};

bool probe_format_of(const char *name, enum blk_format *out)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]))
			continue;
		*out = (enum blk_format)i;
		return true;
	}
	return false;
}

const char *probe_format_name(enum blk_format format)
{
	return (size_t)format < ARRAY_LEN(names) ? names[format] : "?";
}
