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

/* "file" and the like: old QEMUs record them for raw images. */
static const struct {
	const char *name;
	enum blk_format format;
} names[] = {
	{ "raw", BLK_RAW },
	{ "qcow2", BLK_QCOW2 },
	{ "vmdk", BLK_VMDK },
	{ "vdi", BLK_VDI },
	{ "vhdx", BLK_VHDX },
	{ "file", BLK_RAW },
	{ "host_device", BLK_RAW },
	{ "nbd", BLK_RAW },
};

bool probe_format_of(const char *name, enum blk_format *out)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i].name))
			continue;
		*out = names[i].format;
		return true;
	}
	return false;
}

const char *probe_format_name(enum blk_format format)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].format == format)
			return names[i].name;
	return "auto";
}
