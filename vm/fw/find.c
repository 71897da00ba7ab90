/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Firmware files by name. $GUESTDECK_FIRMWARE (folders split by ':') comes
 * first, then Debian's places.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "vm/fw/fw.h"

#define IMAGE_MAX (16 * MiB)

static const char *const places[] = {
	"/usr/share/seabios",
	"/usr/share/qemu",
	"/usr/share/OVMF",
	"/usr/share/ovmf",
	"/usr/lib/ipxe/qemu",
};

/* Debian's packages by how their files' names begin. */
static const struct {
	const char *prefix, *package;
} packages[] = {
	{ "bios", "seabios" },
	{ "vgabios", "seabios" },
	{ "OVMF", "ovmf" },
	{ "efi-", "ipxe-qemu" },
	{ "pxe-", "ipxe-qemu" },
};

static const char *package_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(packages); i++)
		if (!strncmp(name, packages[i].prefix,
			    strlen(packages[i].prefix)))
			return packages[i].package;
	return NULL;
}

/* -ENOENT = look on; anything else is the answer. */
static int try_folder(const char *dir, int dir_len, const char *name,
	uint8_t **out, size_t *len, struct err *e)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%.*s/%s", dir_len, dir, name);
	int rc;

	if (!dir_len || n < 0 || (size_t)n >= sizeof(path))
		return -ENOENT;
	rc = io_read_file(path, IMAGE_MAX, out, len, e);
	return rc == -ENOTDIR ? -ENOENT : rc;
}

static int try_environment(const char *name, uint8_t **out, size_t *len,
	struct err *e)
{
	const char *s = getenv("GUESTDECK_FIRMWARE");
	int rc = -ENOENT;

	while (s && *s && rc == -ENOENT) {
		size_t n = strcspn(s, ":");

		rc = try_folder(s, n < 4096 ? (int)n : 0, name, out, len, e);
		s += n + (s[n] == ':');
	}
	return rc;
}

int fw_find(const char *name, uint8_t **out, size_t *len, struct err *e)
{
	const char *package = package_of(name);
	int rc;

	if (!*name || *name == '.' || strchr(name, '/'))
		return err_set(e, EINVAL, "\"%s\" is no firmware file name",
			name);
	rc = try_environment(name, out, len, e);
	for (size_t i = 0; i < ARRAY_LEN(places) && rc == -ENOENT; i++)
		rc = try_folder(places[i], (int)strlen(places[i]), name, out,
			len, e);
	if (rc != -ENOENT)
		return rc;
	if (package)
		return err_set(e, ENOENT,
			"firmware file %s not found: install the package %s "
			"or set GUESTDECK_FIRMWARE to its folder",
			name, package);
	return err_set(e, ENOENT,
		"firmware file %s not found in %s, %s nor in the folders of "
		"GUESTDECK_FIRMWARE",
		name, places[0], places[1]);
}
