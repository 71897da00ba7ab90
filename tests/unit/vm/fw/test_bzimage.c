/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/fw/bzimage, load, linux: 64-bit entry, and every file that is refused. */
#include <errno.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/bytes.h"

#include "vm/fw/layout.h"

#include "tests/unit/vm/fw/rig.h"

#define RAM (16 * MiB)

static const char *bz_file(const struct rig_bz *b)
{
	return rig_file("bz", b->bytes, sizeof(b->bytes));
}

/* The header change must make the load fail like that. */
static void refuse(const struct rig_bz *b, size_t len, int code,
	const char *text)
{
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	const char *path = rig_file("bz", b->bytes, len);

	ck_assert_int_eq(rig_load(g, path, NULL, NULL, 0, &en, &e), -code);
	ck_assert_err(e, code, text);
	ck_assert_err(e, code, path);
	gmem_free(g);
}

START_TEST (kernel_lies_where_it_wants_and_is_entered_64_bit) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;
	uint8_t got[RIG_BZ_LEN];

	rig_bz_make(&b);
	rig_bz_header(&b)->pref_address = 3 * MiB;
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, "quiet", 0xE0000, &en,
				 &e),
		0);
	ck_assert_int_eq(en.mode, FW_ENTRY_LONG64);
	ck_assert_uint_eq(en.rip, 3 * MiB + 0x200);
	ck_assert_uint_eq(en.rsi, FW_BOOT_PARAMS);
	ck_assert_int_eq(gmem_read(g, 3 * MiB, got, sizeof(got)), 0);
	ck_assert_mem_eq(got, b.bytes + RIG_BZ_SETUP, sizeof(got));
	gmem_free(g);
}
END_TEST

START_TEST (boot_params_tell_all_that_the_kernel_asks) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct boot_params bp;
	struct fw_entry en;
	struct rig_bz b;
	char line[6];

	rig_bz_make(&b);
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, "quiet", 0xE0000, &en,
				 &e),
		0);
	ck_assert_int_eq(gmem_read(g, en.rsi, &bp, sizeof(bp)), 0);
	ck_assert_uint_eq(bp.hdr.header, 0x53726448);
	ck_assert_uint_eq(bp.hdr.type_of_loader, 0xFF);
	ck_assert_uint_eq(bp.hdr.cmd_line_ptr, FW_CMDLINE);
	ck_assert_uint_eq(bp.hdr.code32_start, MiB);
	ck_assert_uint_eq(bp.hdr.ramdisk_size, 0);
	ck_assert_uint_eq(bp.acpi_rsdp_addr, 0xE0000);
	ck_assert_int_eq(gmem_read(g, FW_CMDLINE, line, sizeof(line)), 0);
	ck_assert_str_eq(line, "quiet");
	/* RAM, EBDA, BIOS, RAM, ECAM, KVM */
	ck_assert_uint_eq(bp.e820_entries, 6);
	ck_assert_uint_eq(bp.e820_table[0].size, FW_EBDA);
	ck_assert_uint_eq(bp.e820_table[3].addr, MiB);
	ck_assert_uint_eq(bp.e820_table[3].size, RAM - MiB);
	ck_assert_uint_eq(bp.e820_table[4].addr, GMEM_ECAM_BASE);
	ck_assert_uint_eq(bp.e820_table[4].type, 2);
	gmem_free(g);
}
END_TEST

START_TEST (an_old_kernel_gets_no_rsdp_field) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;

	rig_bz_make(&b);
	rig_bz_header(&b)->version = 0x020C;
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, NULL, 0xE0000, &en, &e),
		0);
	ck_assert_uint_eq(rig_get(g, FW_BOOT_PARAMS + 0x70, 8), 0);
	gmem_free(g);
}
END_TEST

START_TEST (without_acpi_all_low_ram_is_the_kernels) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct boot_params bp;
	struct fw_entry en;
	struct rig_bz b;

	rig_bz_make(&b);
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, NULL, 0, &en, &e), 0);
	ck_assert_int_eq(gmem_read(g, en.rsi, &bp, sizeof(bp)), 0);
	ck_assert_uint_eq(bp.e820_entries, 6);
	ck_assert_uint_eq(bp.e820_table[3].size, RAM - MiB);
	gmem_free(g);
}
END_TEST

/* Where the page tables lead an address to, walked as a CPU would. */
static uint64_t walk(struct gmem *g, uint64_t cr3, uint64_t va)
{
	uint64_t e = rig_get(g, cr3 + (va >> 39 & 511) * 8, 8);

	ck_assert_uint_eq(e & 3, 3);
	e = rig_get(g, (e & ~UINT64_C(0xFFF)) + (va >> 30 & 511) * 8, 8);
	ck_assert_uint_eq(e & 0x83, 3);
	e = rig_get(g, (e & ~UINT64_C(0xFFF)) + (va >> 21 & 511) * 8, 8);
	ck_assert_uint_eq(e & 0x83, 0x83);
	return (e & ~UINT64_C(0x1FFFFF)) | (va & 0x1FFFFF);
}

START_TEST (page_tables_map_4_gib_onto_themselves) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;

	rig_bz_make(&b);
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, NULL, 0, &en, &e), 0);
	for (uint64_t va = 0; va < 4 * GiB; va += 2 * MiB)
		ck_assert_uint_eq(walk(g, en.cr3, va + 5), va + 5);
	ck_assert_uint_eq(en.gdt_limit, 31);
	ck_assert_uint_eq(rig_get(g, en.gdt_base + 0x10, 8),
		UINT64_C(0xAF9B000000FFFF));
	ck_assert_uint_eq(rig_get(g, en.gdt_base + 0x18, 8),
		UINT64_C(0xCF93000000FFFF));
	ck_assert_uint_lt(en.rsp, FW_PAGE_TABLES);
	gmem_free(g);
}
END_TEST

START_TEST (initrd_lies_high_below_its_limit_and_the_tables) {
	static uint8_t rd[10000];
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;
	const char *initrd;
	uint8_t got[sizeof(rd)];
	uint64_t at;

	for (size_t i = 0; i < sizeof(rd); i++)
		rd[i] = (uint8_t)(i * 3);
	initrd = rig_file("rd", rd, sizeof(rd));
	rig_bz_make(&b);
	ck_assert_int_eq(rig_load(g, bz_file(&b), initrd, NULL, 0xE0000, &en,
				 &e),
		0);
	at = rig_get(g, FW_BOOT_PARAMS + 0x218, 4);
	ck_assert_uint_eq(rig_get(g, FW_BOOT_PARAMS + 0x21C, 4), sizeof(rd));
	ck_assert_uint_eq(at, RAM - 3 * 4096);
	ck_assert_int_eq(gmem_read(g, at, got, sizeof(got)), 0);
	ck_assert_mem_eq(got, rd, sizeof(rd));

	rig_bz_header(&b)->initrd_addr_max = 0x3FFFFF;
	ck_assert_int_eq(rig_load(g, bz_file(&b), initrd, NULL, 0xE0000, &en,
				 &e),
		0);
	ck_assert_uint_eq(rig_get(g, FW_BOOT_PARAMS + 0x218, 4),
		4 * MiB - 3 * 4096);
	gmem_free(g);
}
END_TEST

START_TEST (an_initrd_that_does_not_fit_is_told) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;
	const char *initrd = rig_file("rd", "x", 1);

	rig_bz_make(&b);
	ck_assert_int_eq(truncate(initrd, 16 * MiB), 0);
	ck_assert_int_eq(rig_load(g, bz_file(&b), initrd, NULL, 0, &en, &e),
		-ENOMEM);
	ck_assert_err(e, ENOMEM, "need at least 18 MiB of memory");
	ck_assert_err(e, ENOMEM, "has 16 MiB");
	ck_assert_int_eq(truncate(initrd, (off_t)(2 * TiB)), 0);
	ck_assert_int_eq(rig_load(g, bz_file(&b), initrd, NULL, 0, &en, &e),
		-ENOMEM);
	ck_assert_err(e, ENOMEM, "initrd is too large");
	ck_assert_int_eq(truncate(initrd, MiB), 0);
	rig_bz_header(&b)->initrd_addr_max = 0x17FFFF;
	ck_assert_int_eq(rig_load(g, bz_file(&b), initrd, NULL, 0, &en, &e),
		-ENOMEM);
	ck_assert_err(e, ENOMEM, "does not fit below 0x180000");
	rig_bz_header(&b)->initrd_addr_max = 0;
	ck_assert_int_eq(rig_load(g, bz_file(&b), initrd, NULL, 0, &en, &e),
		-ENOMEM);
	ck_assert_int_eq(truncate(initrd, 0), 0);
	ck_assert_int_eq(rig_load(g, bz_file(&b), initrd, NULL, 0, &en, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "initrd is empty");
	ck_assert_int_eq(rig_load(g, bz_file(&b), "/nonexistent/rd", NULL, 0,
				 &en, &e),
		-ENOENT);
	ck_assert_err(e, ENOENT, "cannot open /nonexistent/rd");
	gmem_free(g);
}
END_TEST

START_TEST (a_command_line_has_the_length_the_kernel_takes) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;

	rig_bz_make(&b);
	rig_bz_header(&b)->cmdline_size = 5;
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, "12345", 0, &en, &e),
		0);
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, "123456", 0, &en, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "has 6 characters");
	ck_assert_err(e, EINVAL, "takes 5");
	gmem_free(g);
}
END_TEST

START_TEST (our_room_bounds_a_command_line_too) {
	static char line[70000];
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;

	memset(line, 'a', sizeof(line) - 1);
	rig_bz_make(&b);
	rig_bz_header(&b)->cmdline_size = UINT32_MAX;
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, line, 0, &en, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "takes 65535");
	line[65535] = 0;
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, line, 0, &en, &e), 0);
	gmem_free(g);
}
END_TEST

START_TEST (damaged_headers_are_refused_with_file_and_reason) {
	struct rig_bz b;

	rig_bz_make(&b);
	rig_bz_header(&b)->version = 0x020B;
	refuse(&b, sizeof(b), ENOEXEC, "boot protocol 2.11 is too old");
	rig_bz_make(&b);
	rig_bz_header(&b)->jump = 0x20EB;
	refuse(&b, sizeof(b), ENOEXEC, "setup header of 49 bytes is too short");
	rig_bz_make(&b);
	rig_bz_header(&b)->loadflags = 0;
	refuse(&b, sizeof(b), ENOEXEC, "is a zImage");
	rig_bz_make(&b);
	rig_bz_header(&b)->xloadflags = 0;
	refuse(&b, sizeof(b), ENOEXEC, "no 64-bit entry");
	rig_bz_make(&b);
	rig_bz_header(&b)->syssize = 0x20;
	refuse(&b, sizeof(b), ENOEXEC, "tells no kernel size");
	rig_bz_make(&b);
	rig_bz_header(&b)->pref_address = 0x9000;
	refuse(&b, sizeof(b), ENOEXEC, "wants to be loaded at 0x9000");
	rig_bz_header(&b)->pref_address = UINT64_MAX;
	refuse(&b, sizeof(b), ENOEXEC, "wants to be loaded at 0xffff");
	rig_bz_make(&b);
	rig_bz_header(&b)->init_size = RIG_BZ_LEN - 1;
	refuse(&b, sizeof(b), ENOEXEC, "asks for 8191 bytes");
}
END_TEST

START_TEST (cut_files_are_refused) {
	struct rig_bz b;

	rig_bz_make(&b);
	refuse(&b, sizeof(b) - 16, ENOEXEC, "cut short: kernel of 8192");
	refuse(&b, RIG_BZ_SETUP, ENOEXEC, "the setup code alone has 1536");
	refuse(&b, 0x28F, ENOEXEC, "cut short");
	refuse(&b, 0x206, ENOEXEC, "cut short");
	refuse(&b, 0x205, ENOEXEC, "neither a bzImage nor an ELF");
	refuse(&b, 0, ENOEXEC, "neither a bzImage nor an ELF");
	rig_bz_header(&b)->setup_sects = 255;
	refuse(&b, sizeof(b), ENOEXEC, "the setup code alone has 131072");
}
END_TEST

START_TEST (the_last_paragraph_may_be_a_part) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;

	rig_bz_make(&b);
	ck_assert_int_eq(rig_load(g, rig_file("bz", &b, sizeof(b) - 15), NULL,
				 NULL, 0, &en, &e),
		0);
	gmem_free(g);
}
END_TEST

START_TEST (no_setup_sectors_means_four) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;

	rig_bz_make(&b);
	rig_bz_header(&b)->setup_sects = 0;
	rig_bz_header(&b)->syssize -= 2 * 512 / 16;
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, NULL, 0, &en, &e), 0);
	ck_assert_uint_eq(rig_get(g, MiB, 1), b.bytes[RIG_BZ_SETUP + 1024]);
	gmem_free(g);
}
END_TEST

START_TEST (a_kernel_too_large_for_the_guest_says_what_it_needs) {
	struct rig_bz b;

	rig_bz_make(&b);
	rig_bz_header(&b)->init_size = 0x3F98000;
	refuse(&b, sizeof(b), ENOMEM,
		"need at least 65 MiB of memory, the guest has 16 MiB");
	rig_bz_header(&b)->init_size = UINT32_MAX;
	refuse(&b, sizeof(b), ENOMEM, "need at least 4097 MiB");
}
END_TEST

START_TEST (other_files_are_called_by_name) {
	static const struct {
		const char *magic, *text;
	} files[] = {
		{ "\x1F\x8B\x08\x00", "packed with gzip" },
		{ "\xFD"
		  "7zXZ",
			"packed with xz" },
		{ "\x28\xB5\x2F\xFD", "packed with zstd" },
		{ "\x02\x21\x4C\x18", "packed with lz4" },
		{ "BZh9", "packed with bzip2" },
		{ "hello", "neither a bzImage nor an ELF kernel" },
	};
	struct gmem *g = rig_gmem(RAM);
	struct fw_entry en;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct err e = ERR_NONE;
		char bytes[64] = { 0 };
		const char *path;

		strcpy(bytes, files[i].magic);
		if (i == 0)
			bytes[3] = 0;
		path = rig_file("other", bytes, sizeof(bytes));
		ck_assert_int_eq(rig_load(g, path, NULL, NULL, 0, &en, &e),
			-ENOEXEC);
		ck_assert_err(e, ENOEXEC, files[i].text);
	}
	gmem_free(g);
}
END_TEST

START_TEST (what_is_no_regular_file_does_not_hang) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	const char *path = rig_file("fifo", "", 0);

	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(rig_load(g, path, NULL, NULL, 0, &en, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "not a regular file");
	ck_assert_int_eq(rig_load(g, "/", NULL, NULL, 0, &en, &e), -EINVAL);
	ck_assert_int_eq(rig_load(g, "/nonexistent", NULL, NULL, 0, &en, &e),
		-ENOENT);
	ck_assert_err(e, ENOENT, "cannot open /nonexistent");
	gmem_free(g);
}
END_TEST

START_TEST (a_guest_of_one_mib_is_too_small) {
	struct gmem *g = rig_gmem(MiB);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_bz b;

	rig_bz_make(&b);
	ck_assert_int_eq(rig_load(g, bz_file(&b), NULL, NULL, 0, &en, &e),
		-ENOMEM);
	ck_assert_err(e, ENOMEM, "at least 2 MiB");
	gmem_free(g);
}
END_TEST

/* The installed kernel, with the initrd beside it. */
START_TEST (debians_kernel_loads) {
	struct gmem *g;
	struct err e = ERR_NONE;
	struct boot_params bp;
	struct fw_entry en;
	glob_t k;

	if (glob("/boot/vmlinuz-*", 0, NULL, &k) || !k.gl_pathc) {
		printf("no /boot/vmlinuz-*: not checked\n");
		return;
	}
	g = rig_gmem(512 * MiB);
	ck_assert_msg(!rig_load(g, k.gl_pathv[0], k.gl_pathv[0],
			      "console=ttyS0", 0xE0000, &en, &e),
		"%s", e.msg);
	ck_assert_int_eq(gmem_read(g, en.rsi, &bp, sizeof(bp)), 0);
	ck_assert_uint_eq(en.rip, bp.hdr.pref_address + 0x200);
	ck_assert_uint_ge(bp.hdr.ramdisk_image,
		bp.hdr.pref_address + bp.hdr.init_size);
	ck_assert_uint_eq(rig_get(g, bp.hdr.ramdisk_image + 0x202, 4),
		0x53726448);
	globfree(&k);
	gmem_free(g);
}
END_TEST

SUITE("bzimage", kernel_lies_where_it_wants_and_is_entered_64_bit,
	boot_params_tell_all_that_the_kernel_asks,
	an_old_kernel_gets_no_rsdp_field,
	without_acpi_all_low_ram_is_the_kernels,
	page_tables_map_4_gib_onto_themselves,
	initrd_lies_high_below_its_limit_and_the_tables,
	an_initrd_that_does_not_fit_is_told,
	a_command_line_has_the_length_the_kernel_takes,
	our_room_bounds_a_command_line_too,
	damaged_headers_are_refused_with_file_and_reason, cut_files_are_refused,
	the_last_paragraph_may_be_a_part, no_setup_sectors_means_four,
	a_kernel_too_large_for_the_guest_says_what_it_needs,
	other_files_are_called_by_name, what_is_no_regular_file_does_not_hang,
	a_guest_of_one_mib_is_too_small, debians_kernel_loads)
