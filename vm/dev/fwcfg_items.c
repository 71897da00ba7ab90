/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The items that SeaBIOS and OVMF look for, MACHINE.md 2. Numbers are little
 * endian. "etc/system-states" is left out: without it there is no S3.
 */
#include <errno.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/dev/fwcfg.h"

static int add_u16(struct fwcfg *f, unsigned key, unsigned v)
{
	uint8_t le[2];

	put_le16(le, (uint16_t)v);
	return fwcfg_add_key(f, key, le, sizeof(le));
}

static int add_numbers(struct fwcfg *f, const struct fwcfg_standard *s)
{
	static const uint8_t one = 1, no_numa[16];
	int rc = add_u16(f, FWCFG_NB_CPUS, s->machine->cpus);

	if (!rc)
		rc = add_u16(f, FWCFG_MAX_CPUS, s->machine->cpus);
	if (!rc)
		rc = add_u16(f, FWCFG_NOGRAPHIC, s->serial_screen);
	if (!rc)
		rc = add_u16(f, FWCFG_BOOT_MENU, s->boot_menu);
	if (!rc)
		rc = fwcfg_add_key(f, FWCFG_NUMA, no_numa, sizeof(no_numa));
	if (!rc) /* timer interrupt 0 comes in at input 2 */
		rc = fwcfg_add_key(f, FWCFG_IRQ0_OVERRIDE, &one, 1);
	return rc;
}

static int add_int_file(struct fwcfg *f, const char *name, uint32_t v,
	unsigned size)
{
	uint8_t le[4];

	put_le32(le, v);
	return fwcfg_add_file(f, name, le, size, false);
}

static int add_boot(struct fwcfg *f, const struct fwcfg_standard *s)
{
	uint32_t retry =
		s->boot_retry_ms ? s->boot_retry_ms : FWCFG_BOOT_RETRY_MS;
	int rc = add_int_file(f, "etc/boot-fail-wait", retry, 4);

	if (!rc && s->boot_menu_wait_ms)
		rc = add_int_file(f, "etc/boot-menu-wait",
			s->boot_menu_wait_ms > UINT16_MAX
				? UINT16_MAX
				: s->boot_menu_wait_ms,
			2);
	if (!rc && s->bootorder)
		rc = fwcfg_add_file(f, "bootorder", (void *)s->bootorder,
			s->bootorder_len, false);
	return rc;
}

static int add_blob(struct fwcfg *f, const struct fw_blob *b)
{
	if (!b || !b->data)
		return 0;
	return fwcfg_add_file(f, b->name, b->data, b->len, false);
}

int fwcfg_add_standard(struct fwcfg *f, const struct fwcfg_standard *s,
	struct err *e)
{
	const struct fw_blob *blobs[] = {
		s->e820,
		s->acpi ? &s->acpi->tables : NULL,
		s->acpi ? &s->acpi->rsdp : NULL,
		s->acpi ? &s->acpi->loader : NULL,
		s->smbios_anchor,
		s->smbios_tables,
	};
	int rc = add_numbers(f, s);

	for (size_t i = 0; i < ARRAY_LEN(blobs) && !rc; i++)
		rc = add_blob(f, blobs[i]);
	if (!rc)
		rc = add_boot(f, s);
	return rc ? err_sys(e, -rc, "cannot fill fw_cfg") : 0;
}
