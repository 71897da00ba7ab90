/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/fw/pvh: ELF kernels with a PVH note, and every file that is refused. */
#include <errno.h>
#include <unistd.h>

#include "vm/base/bytes.h"

#include "vm/fw/elfgap.h"
#include "vm/fw/layout.h"

#include "tests/unit/vm/fw/rig.h"

#define RAM (16 * MiB)

static const char *elf_file(const struct rig_elf *x)
{
	return rig_file("elf", x, sizeof(*x));
}

static void refuse_len(const struct rig_elf *x, size_t len, int code,
	const char *text)
{
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	const char *path = rig_file("elf", x, len);

	ck_assert_int_eq(rig_load(g, path, NULL, NULL, 0, &en, &e), -code);
	ck_assert_err(e, code, text);
	ck_assert_err(e, code, path);
	gmem_free(g);
}

static void refuse(const struct rig_elf *x, int code, const char *text)
{
	refuse_len(x, sizeof(*x), code, text);
}

START_TEST (segments_lie_in_place_and_the_rest_is_zero) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_elf x;
	uint8_t got[0x3000], zero[0x2000] = { 0 };

	/* as after a reboot: what was there is in the way */
	memset(got, 0xEE, sizeof(got));
	ck_assert_int_eq(gmem_write(g, MiB, got, sizeof(got)), 0);
	rig_elf_make(&x);
	ck_assert_int_eq(rig_load(g, elf_file(&x), NULL, "quiet", 0, &en, &e),
		0);
	ck_assert_int_eq(en.mode, FW_ENTRY_PVH32);
	ck_assert_uint_eq(en.rip, 0x100040);
	ck_assert_uint_eq(en.rbx, FW_PVH_INFO);
	ck_assert_int_eq(gmem_read(g, MiB, got, sizeof(got)), 0);
	ck_assert_mem_eq(got, x.seg0, sizeof(x.seg0));
	ck_assert_mem_eq(got + 0x1000, zero, sizeof(zero));
	ck_assert_uint_eq(rig_get(g, 2 * MiB, 1), 0xC3);
	ck_assert_uint_eq(rig_get(g, en.gdt_base + 0x10, 8),
		UINT64_C(0xCF9B000000FFFF));
	gmem_free(g);
}
END_TEST

START_TEST (zeroes_that_begin_inside_a_page_spare_the_file_part) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_elf x;
	uint8_t dirty[0x4000];

	memset(dirty, 0xEE, sizeof(dirty));
	ck_assert_int_eq(gmem_write(g, MiB, dirty, sizeof(dirty)), 0);
	rig_elf_make(&x);
	x.ph[0].p_filesz = 0xF80;
	x.ph[0].p_memsz = 0x3F81;
	ck_assert_int_eq(rig_load(g, elf_file(&x), NULL, NULL, 0, &en, &e), 0);
	ck_assert_uint_eq(rig_get(g, MiB + 0xF7F, 1), x.seg0[0xF7F]);
	for (uint64_t i = 0xF80; i < 0x3F81; i++)
		ck_assert_uint_eq(rig_get(g, MiB + i, 1), 0);
	ck_assert_uint_eq(rig_get(g, MiB + 0x3F81, 1), 0xEE);
	gmem_free(g);
}
END_TEST

START_TEST (start_info_has_map_module_and_rsdp) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_elf x;
	uint64_t mod, map, b = FW_PVH_INFO;
	const char *initrd = rig_file("rd", "initrd!", 7);
	char got[8] = "";

	rig_elf_make(&x);
	ck_assert_int_eq(rig_load(g, elf_file(&x), initrd, "a b", 0xE0000, &en,
				 &e),
		0);
	ck_assert_uint_eq(rig_get(g, b, 4), 0x336EC578);
	ck_assert_uint_eq(rig_get(g, b + 4, 4), 1);
	ck_assert_uint_eq(rig_get(g, b + 12, 4), 1);
	mod = rig_get(g, b + 16, 8);
	ck_assert_uint_eq(rig_get(g, mod + 8, 8), 7);
	ck_assert_int_eq(gmem_read(g, rig_get(g, mod, 8), got, 7), 0);
	ck_assert_str_eq(got, "initrd!");
	ck_assert_int_eq(gmem_read(g, rig_get(g, b + 24, 8), got, 4), 0);
	ck_assert_str_eq(got, "a b");
	ck_assert_uint_eq(rig_get(g, b + 32, 8), 0xE0000);
	map = rig_get(g, b + 40, 8);
	ck_assert_uint_eq(rig_get(g, b + 48, 4), 6);
	ck_assert_uint_eq(rig_get(g, map + 8, 8), FW_EBDA);
	ck_assert_uint_eq(rig_get(g, map + 16, 4), 1);
	ck_assert_uint_eq(rig_get(g, map + 4 * 24, 8), GMEM_ECAM_BASE);
	gmem_free(g);
}
END_TEST

START_TEST (without_initrd_there_is_no_module) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_elf x;

	rig_elf_make(&x);
	ck_assert_int_eq(rig_load(g, elf_file(&x), NULL, NULL, 0, &en, &e), 0);
	ck_assert_uint_eq(rig_get(g, FW_PVH_INFO + 12, 4), 0);
	ck_assert_uint_eq(rig_get(g, FW_PVH_INFO + 16, 8), 0);
	gmem_free(g);
}
END_TEST

START_TEST (elf32_loads_too) {
	struct {
		Elf32_Ehdr eh;
		Elf32_Phdr ph[2];
		uint8_t note[20];
		uint8_t code[64];
	} x = {
		.eh = { .e_ident = ELFMAG "\1\1",
			.e_type = ET_EXEC,
			.e_machine = EM_386,
			.e_phentsize = 32,
			.e_phnum = 2 },
	};
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;

	x.eh.e_phoff = offsetof(__typeof__(x), ph);
	x.ph[0] = (Elf32_Phdr){ .p_type = PT_NOTE,
		.p_offset = offsetof(__typeof__(x), note),
		.p_filesz = sizeof(x.note) };
	x.ph[1] = (Elf32_Phdr){ .p_type = PT_LOAD,
		.p_offset = offsetof(__typeof__(x), code),
		.p_paddr = 4 * MiB,
		.p_filesz = 64,
		.p_memsz = 64 };
	put_le32(x.note, 4);
	put_le32(x.note + 4, 4);
	put_le32(x.note + 8, 18);
	memcpy(x.note + 12, "Xen", 4);
	put_le32(x.note + 16, 4 * MiB + 16);
	memset(x.code, 0x90, sizeof(x.code));
	ck_assert_msg(!rig_load(g, rig_file("elf32", &x, sizeof(x)), NULL, NULL,
			      0, &en, &e),
		"%s", e.msg);
	ck_assert_uint_eq(en.rip, 4 * MiB + 16);
	ck_assert_uint_eq(rig_get(g, 4 * MiB + 63, 1), 0x90);
	gmem_free(g);
}
END_TEST

START_TEST (damaged_headers_are_refused_with_file_and_reason) {
	struct rig_elf x;

	rig_elf_make(&x);
	x.eh.e_ident[EI_DATA] = ELFDATA2MSB;
	refuse(&x, ENOEXEC, "no little-endian ELF");
	rig_elf_make(&x);
	x.eh.e_ident[EI_CLASS] = 3;
	refuse(&x, ENOEXEC, "no little-endian ELF");
	rig_elf_make(&x);
	x.eh.e_machine = EM_AARCH64;
	refuse(&x, ENOEXEC, "machine 183, not x86");
	rig_elf_make(&x);
	x.eh.e_type = ET_REL;
	refuse(&x, ENOEXEC, "no executable");
	rig_elf_make(&x);
	x.eh.e_phentsize = 55;
	refuse(&x, ENOEXEC, "program headers of 55 bytes");
	rig_elf_make(&x);
	x.eh.e_phnum = 0;
	refuse(&x, ENOEXEC, "with 0 program headers");
	x.eh.e_phnum = PN_XNUM;
	refuse(&x, ENOEXEC, "with 65535 program headers");
	rig_elf_make(&x);
	x.eh.e_phoff = UINT64_MAX - 8;
	refuse(&x, ENOEXEC, "cut short");
	refuse_len(&x, 63, ENOEXEC, "cut short");
}
END_TEST

START_TEST (segments_outside_file_or_ram_are_refused) {
	struct rig_elf x;

	rig_elf_make(&x);
	x.ph[0].p_filesz = 0x3001;
	refuse(&x, ENOEXEC, "larger in file than memory");
	rig_elf_make(&x);
	x.ph[0].p_offset = UINT64_MAX - 3;
	refuse(&x, ENOEXEC, "cut short: ELF segment");
	rig_elf_make(&x);
	refuse_len(&x, sizeof(x) - 1, ENOEXEC, "cut short: ELF segment");
	rig_elf_make(&x);
	x.ph[0].p_paddr = FW_BOOT_PARAMS;
	refuse(&x, ENOEXEC, "at 0x7000 lies below 1 MiB");
	rig_elf_make(&x);
	x.ph[0].p_paddr = UINT64_MAX - 5;
	refuse(&x, ENOEXEC, "ends above 4 GiB");
	x.ph[0].p_paddr = GMEM_HIGH_BASE;
	refuse(&x, ENOEXEC, "ends above 4 GiB");
	rig_elf_make(&x);
	x.ph[0].p_paddr = 64 * MiB;
	refuse(&x, ENOMEM, "need at least 65 MiB of memory");
	rig_elf_make(&x);
	x.ph[0].p_memsz = 15 * MiB + 1;
	x.ph[1].p_type = PT_NULL;
	refuse(&x, ENOMEM, "need at least 17 MiB");
	x.ph[0].p_type = x.ph[1].p_type = PT_NULL;
	refuse(&x, ENOEXEC, "nothing to load");
}
END_TEST

START_TEST (overlapping_segments_are_refused) {
	struct rig_elf x;

	rig_elf_make(&x);
	x.ph[1].p_paddr = MiB + 0x2FFF;
	refuse(&x, ENOEXEC, "segments at 0x100000 and 0x102fff overlap");
	rig_elf_make(&x);
	x.ph[0].p_memsz = 2 * MiB;
	refuse(&x, ENOEXEC, "overlap");
}
END_TEST

START_TEST (a_kernel_without_pvh_entry_is_told_what_to_do) {
	struct rig_elf x;

	rig_elf_make(&x);
	put_le32(x.note + 8, 17);
	refuse(&x, ENOEXEC, "no PVH entry");
	rig_elf_make(&x);
	memcpy(x.note + 12, "Zen", 4);
	refuse(&x, ENOEXEC, "CONFIG_PVH=y");
	rig_elf_make(&x);
	put_le32(x.note + 4, 2);
	refuse(&x, ENOEXEC, "no PVH entry");
	rig_elf_make(&x);
	put_le32(x.note + 4, UINT32_MAX);
	refuse(&x, ENOEXEC, "no PVH entry");
	rig_elf_make(&x);
	put_le32(x.note, UINT32_MAX);
	refuse(&x, ENOEXEC, "no PVH entry");
	rig_elf_make(&x);
	x.ph[2].p_filesz = 15;
	refuse(&x, ENOEXEC, "no PVH entry");
	x.ph[2].p_filesz = 0;
	refuse(&x, ENOEXEC, "no PVH entry");
	x.ph[2].p_filesz = 24;
	x.ph[2].p_offset = UINT64_MAX / 2;
	refuse(&x, ENOEXEC, "cut short");
}
END_TEST

START_TEST (the_entry_is_found_behind_other_notes) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_elf x;

	rig_elf_make(&x);
	/* an empty note of 12 bytes, then ours with a 32-bit entry */
	memset(x.note, 0, sizeof(x.note));
	put_le32(x.note + 12, 4);
	put_le32(x.note + 16, 4);
	put_le32(x.note + 20, 18);
	memcpy(x.note + 24, "Xen", 4);
	put_le32(x.note + 28, 0x100080);
	x.ph[2].p_filesz = 32;
	ck_assert_int_eq(rig_load(g, elf_file(&x), NULL, NULL, 0, &en, &e), 0);
	ck_assert_uint_eq(en.rip, 0x100080);
	gmem_free(g);
}
END_TEST

START_TEST (an_entry_outside_the_segments_is_refused) {
	struct rig_elf x;

	rig_elf_make(&x);
	put_le64(x.note + 16, MiB - 1);
	refuse(&x, ENOEXEC, "PVH entry 0xfffff lies in no ELF segment");
	put_le64(x.note + 16, MiB + 0x1000); /* in the zeroes */
	refuse(&x, ENOEXEC, "lies in no ELF segment");
	put_le64(x.note + 16, UINT64_MAX);
	refuse(&x, ENOEXEC, "lies in no ELF segment");
}
END_TEST

START_TEST (linux_would_cut_a_long_command_line_so_it_is_refused) {
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	struct rig_elf x;
	char line[2049];

	memset(line, 'a', 2048);
	line[2048] = 0;
	rig_elf_make(&x);
	ck_assert_int_eq(rig_load(g, elf_file(&x), NULL, line, 0, &en, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "has 2048 characters");
	line[2047] = 0;
	ck_assert_int_eq(rig_load(g, elf_file(&x), NULL, line, 0, &en, &e), 0);
	gmem_free(g);
}
END_TEST

/* --- zeroes in the file --------------------------------------------------- */

static void put_section(Elf64_Shdr *s, uint32_t type, uint64_t off,
	uint64_t size)
{
	*s = (Elf64_Shdr){ .sh_type = type,
		.sh_flags = SHF_ALLOC,
		.sh_offset = off,
		.sh_size = size };
}

static unsigned gaps(const Elf64_Shdr *s, unsigned n, struct elf_gap *out)
{
	return elf_gaps((const uint8_t *)s, n, 0x100000, out);
}

START_TEST (a_gap_goes_from_nobits_to_the_next_bytes) {
	struct elf_gap g[ELF_GAPS];
	Elf64_Shdr s[4];

	put_section(&s[0], SHT_PROGBITS, 0x1000, 0x1000);
	put_section(&s[1], SHT_NOBITS, 0x2000, 0x5000);
	put_section(&s[2], SHT_PROGBITS, 0x40000, 0x10);
	put_section(&s[3], SHT_NOBITS, 0x40010, 1);
	ck_assert_uint_eq(gaps(s, 4, g), 2);
	ck_assert_uint_eq(g[0].off, 0x2000);
	ck_assert_uint_eq(g[0].end, 0x40000);
	ck_assert_uint_eq(g[1].off, 0x40010);
	ck_assert_uint_eq(g[1].end, 0x100000);
	/* small ones are not worth it */
	s[2].sh_offset = 0x2000 + ELF_GAP_MIN - 1;
	s[3].sh_type = SHT_NULL;
	ck_assert_uint_eq(gaps(s, 4, g), 0);
	/* nor is there one where another section has bytes */
	put_section(&s[3], SHT_PROGBITS, 0, 0x3000);
	s[2].sh_offset = 0x80000;
	ck_assert_uint_eq(gaps(s, 4, g), 0);
}
END_TEST

START_TEST (odd_section_headers_save_nothing) {
	struct elf_gap g[ELF_GAPS];
	Elf64_Shdr s[ELF_SECTIONS];

	put_section(&s[0], SHT_NOBITS, 0x2000, 1);
	put_section(&s[1], SHT_PROGBITS, UINT64_MAX - 1, 2);
	ck_assert_uint_eq(gaps(s, 2, g), 0);
	put_section(&s[1], SHT_NOBITS, UINT64_MAX, UINT64_MAX);
	ck_assert_uint_eq(gaps(s, 2, g), 1);
	/* the same gap many times is one gap */
	for (unsigned i = 0; i < ELF_SECTIONS; i++)
		put_section(&s[i], SHT_NOBITS, 0x2000 + i, 1);
	ck_assert_uint_eq(gaps(s, ELF_SECTIONS, g), 1);
	s[0].sh_flags = 0; /* not of the program */
	ck_assert_uint_eq(gaps(s, 1, g), 0);
	ck_assert_uint_eq(gaps(s, 0, g), 0);
}
END_TEST

START_TEST (many_gaps_stay_within_their_room_and_sorted) {
	struct elf_gap g[ELF_GAPS];
	Elf64_Shdr s[2 * (ELF_GAPS + 2)];
	unsigned n = ELF_GAPS + 2;

	for (unsigned i = 0; i < n; i++) { /* last one first */
		uint64_t at = (uint64_t)(n - 1 - i) * 0x20000;

		put_section(&s[2 * i], SHT_PROGBITS, at, 0x100);
		put_section(&s[2 * i + 1], SHT_NOBITS, at + 0x100, 1);
	}
	ck_assert_uint_eq(elf_gaps((const uint8_t *)s, 2 * n, n * 0x20000, g),
		ELF_GAPS);
	for (unsigned i = 1; i < ELF_GAPS; i++)
		ck_assert_uint_ge(g[i].off, g[i - 1].end);
}
END_TEST

START_TEST (a_gap_inside_a_segment_loads_as_zeroes) {
	enum { SEG = 0x40000, GAP = 0x1234, GAP_END = 0x30000 };
	static struct {
		struct rig_elf x;
		uint8_t seg[SEG];
		Elf64_Shdr sh[2];
	} f;
	static uint8_t got[SEG];
	struct gmem *g = rig_gmem(RAM);
	struct err e = ERR_NONE;
	struct fw_entry en;
	uint64_t at = offsetof(__typeof__(f), seg);

	rig_elf_make(&f.x);
	for (size_t i = 0; i < SEG; i++)
		f.seg[i] = i >= GAP && i < GAP_END ? 0 : (uint8_t)(i | 1);
	f.x.ph[1].p_offset = at;
	f.x.ph[1].p_filesz = f.x.ph[1].p_memsz = SEG;
	f.x.eh.e_shoff = offsetof(__typeof__(f), sh);
	f.x.eh.e_shentsize = sizeof(f.sh[0]);
	f.x.eh.e_shnum = 2;
	put_section(&f.sh[0], SHT_NOBITS, at + GAP, 1);
	put_section(&f.sh[1], SHT_PROGBITS, at + GAP_END, SEG - GAP_END);
	memset(got, 0xEE, sizeof(got));
	ck_assert_int_eq(gmem_write(g, 2 * MiB, got, SEG), 0);
	ck_assert_msg(!rig_load(g, rig_file("gap", &f, sizeof(f)), NULL, NULL,
			      0, &en, &e),
		"%s", e.msg);
	ck_assert_int_eq(gmem_read(g, 2 * MiB, got, SEG), 0);
	ck_assert_mem_eq(got, f.seg, SEG);
	/* where a gap overhangs the segment on both sides, it is clipped */
	f.x.ph[1].p_offset = at + 0x2000;
	f.x.ph[1].p_filesz = f.x.ph[1].p_memsz = 0x1000;
	ck_assert_int_eq(rig_load(g, rig_file("gap", &f, sizeof(f)), NULL, NULL,
				 0, &en, &e),
		0);
	ck_assert_int_eq(gmem_read(g, 2 * MiB, got, 0x1001), 0);
	ck_assert_mem_eq(got, f.seg + 0x2000, 0x1000);
	ck_assert_uint_eq(got[0x1000], 0x01); /* of the load before */
	gmem_free(g);
}
END_TEST

SUITE("pvh", segments_lie_in_place_and_the_rest_is_zero,
	zeroes_that_begin_inside_a_page_spare_the_file_part,
	start_info_has_map_module_and_rsdp, without_initrd_there_is_no_module,
	elf32_loads_too, damaged_headers_are_refused_with_file_and_reason,
	segments_outside_file_or_ram_are_refused,
	overlapping_segments_are_refused,
	a_kernel_without_pvh_entry_is_told_what_to_do,
	the_entry_is_found_behind_other_notes,
	an_entry_outside_the_segments_is_refused,
	linux_would_cut_a_long_command_line_so_it_is_refused,
	a_gap_goes_from_nobits_to_the_next_bytes,
	odd_section_headers_save_nothing,
	many_gaps_stay_within_their_room_and_sorted,
	a_gap_inside_a_segment_loads_as_zeroes)
