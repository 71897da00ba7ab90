// SPDX-License-Identifier: GPL-3.0-or-later
/* See kernel.h: ELF files with a PVH entry, 32-bit flat code at 1 MiB. */
#include "tests/kvm/kernel.h"

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/suite.h"

#define LOAD_AT 0x100000

static const struct {
	const char *name;
	uint8_t code[64];
} kernels[] = {
	[KERNEL_REBOOTS] = { "reboots",
		{
			0xba, 0xf9, 0x0c, 0x00, 0x00, /* mov edx, 0xcf9 */
			0xb0, 0x06,                   /* mov al, 6 */
			0xee,                         /* out dx, al */
			0xf4, 0xeb, 0xfd,             /* hlt, for ever */
		} },
	[KERNEL_OFF] = { "off",
		{
			0xba, 0xf8, 0x03, 0x00, 0x00, /* mov edx, 0x3f8 */
			0xb0, 0x50,                   /* mov al, 'P' */
			0xee,                         /* out dx, al */
			0xba, 0x04, 0x06, 0x00, 0x00, /* mov edx, 0x604 */
			0x66, 0xb8, 0x00, 0x20,       /* mov ax, 0x2000 */
			0x66, 0xef,                   /* out dx, ax */
			0xeb, 0xe9,                   /* again */
		} },
	[KERNEL_VGA] = { "vga",
		{
			0xba, 0xce, 0x03, 0x00, 0x00,       /* mov edx, 0x3ce */
			0xb8, 0x05, 0x10, 0x00, 0x00,       /* ax: odd/even */
			0x66, 0xef,                         /* out dx, ax */
			0x66, 0xb8, 0x08, 0xff, 0x66, 0xef, /* bit mask 0xff */
			0xba, 0xc4, 0x03, 0x00, 0x00,       /* mov edx, 0x3c4 */
			0x66, 0xb8, 0x02, 0x03, 0x66, 0xef, /* planes 0 and 1 */
			0xba, 0xce, 0x03, 0x00, 0x00,       /* mov edx, 0x3ce */
			0x66, 0xb8, 0x06, 0x0e, 0x66, 0xef, /* text at B8000 */
			0x66, 0xb8, 0x06, 0x0a, 0x66, 0xef, /* text at B0000 */
			0xeb, 0xf2,                         /* and so on */
		} },
};

/* Header, two segments, note, code. */
struct file {
	Elf32_Ehdr head;
	Elf32_Phdr load, notes;
	Elf32_Nhdr note;
	char owner[4];
	uint32_t entry;
	uint8_t code[64];
};

const char *make_kernel(const char *dir, enum kernel what)
{
	struct file k = {
		.head = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
				ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_386,
			.e_version = EV_CURRENT,
			.e_phoff = offsetof(struct file, load),
			.e_ehsize = sizeof(Elf32_Ehdr),
			.e_phentsize = sizeof(Elf32_Phdr),
			.e_phnum = 2,
		},
		.load = {
			.p_type = PT_LOAD,
			.p_offset = offsetof(struct file, code),
			.p_paddr = LOAD_AT,
			.p_filesz = sizeof(k.code),
			.p_memsz = sizeof(k.code),
		},
		.notes = {
			.p_type = PT_NOTE,
			.p_offset = offsetof(struct file, note),
			.p_filesz = offsetof(struct file, code) -
				    offsetof(struct file, note),
			.p_align = 4,
		},
		.note = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 },
		.owner = "Xen",
		.entry = LOAD_AT,
	};
	const char *path = suite_path(dir, kernels[what].name);
	FILE *f = fopen(path, "w");

	memcpy(k.code, kernels[what].code, sizeof(k.code));
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(&k, sizeof(k), 1, f), 1);
	fclose(f);
	return path;
}
