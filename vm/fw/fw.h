/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the guest finds at power-on: ACPI and SMBIOS tables, memory map,
 * firmware image, or a kernel loaded directly. Pure construction: bytes from
 * a description; the only effect on the guest is through gmem.
 * Specs: ACPI 6.4, SMBIOS 3.0, QEMU docs/specs/fw_cfg and linker-loader as
 * SeaBIOS reads them, Documentation/arch/x86/boot.rst, Xen PVH.
 */
#ifndef VM_FW_FW_H
#define VM_FW_FW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/err.h"

#include "vm/core/gmem.h"

/* What the tables describe. */
struct fw_machine {
	const char *name; /* SMBIOS system serial / product text */
	uint8_t uuid[16]; /* in the order people write it */
	unsigned cpus;
	uint64_t low_end;   /* end of RAM below 4 GiB */
	uint64_t high_end;  /* end of RAM above, or 4 GiB */
	unsigned phys_bits; /* guest physical address width */
	bool i8042, serial, rtc;
	bool direct_boot; /* no firmware: e820 gets the reserved ranges */
};

struct fw_blob {
	char name[56]; /* fw_cfg file name */
	uint8_t *data;
	size_t len;
};

/*
 * ACPI as fw_cfg files: etc/acpi/tables, etc/acpi/rsdp, etc/table-loader.
 * The caller frees each data. 0 or -ENOMEM.
 */
struct fw_acpi {
	struct fw_blob tables, rsdp, loader;
};
int fw_acpi_build(const struct fw_machine *m, struct fw_acpi *out,
	struct err *e);
void fw_acpi_free(struct fw_acpi *a);

/* etc/smbios/smbios-anchor and etc/smbios/smbios-tables. */
int fw_smbios_build(const struct fw_machine *m, struct fw_blob *anchor,
	struct fw_blob *tables, struct err *e);

/* etc/e820 for firmware (RAM only), packed {u64 addr, u64 len, u32 type}. */
int fw_e820_build(const struct fw_machine *m, struct fw_blob *out,
	struct err *e);

/*
 * Run the linker script ourselves for direct boot: all of it below 1 MiB.
 * *rsdp gets its address.
 */
int fw_acpi_install(const struct fw_acpi *a, struct gmem *g, uint64_t *rsdp,
	struct err *e);
int fw_smbios_install(const struct fw_machine *m, struct gmem *g,
	struct err *e);

/* Register state that a boot CPU starts with. */
struct fw_entry {
	enum { FW_ENTRY_RESET, FW_ENTRY_LONG64, FW_ENTRY_PVH32 } mode;
	uint64_t rip;
	uint64_t rsi; /* LONG64: boot_params */
	uint64_t rbx; /* PVH32: hvm_start_info */
	uint64_t rsp;
	uint64_t cr3; /* LONG64: identity map built in guest RAM */
	uint64_t gdt_base;
	uint16_t gdt_limit;
};

/*
 * Load kernel (bzImage by its 64-bit entry, or an ELF with a PVH note),
 * initrd ("" = none) and command line into guest RAM, write the page tables,
 * GDT, memory map and boot parameters, and say how to enter. Large files are
 * read straight into guest RAM. The loaded bytes are checked against file and
 * RAM size: a damaged kernel gives -ENOEXEC with e naming file and reason;
 * too little memory gives -ENOMEM and how much is needed.
 */
int fw_linux_load(const struct fw_machine *m, struct gmem *g,
	const char *kernel, const char *initrd, const char *cmdline,
	uint64_t rsdp, struct fw_entry *out, struct err *e);

/*
 * Find a firmware file by name ("bios-256k.bin", "vgabios-stdvga.bin") in
 * Debian's places (/usr/share/seabios, /usr/share/qemu, $GUESTDECK_FIRMWARE).
 * -ENOENT names the package to install. Caller frees *out.
 */
int fw_find(const char *name, uint8_t **out, size_t *len, struct err *e);

/*
 * Map a BIOS image of len bytes (64 KiB to 16 MiB, multiple of 64 KiB) below
 * 4 GiB as ROM, once; fw_bios_reset() copies its last 128 KiB to 0xE0000, as
 * a chipset's reset state shows it.
 */
struct fw_bios;
int fw_bios_map(struct gmem *g, const uint8_t *image, size_t len,
	struct fw_bios **out, struct err *e);
int fw_bios_reset(struct fw_bios *b, struct gmem *g);
void fw_bios_free(struct fw_bios *b);

#endif
