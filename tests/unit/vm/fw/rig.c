/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/vm/fw/rig.h"

#include "vm/base/bytes.h"
#include "vm/base/io.h"

struct gmem *rig_gmem(uint64_t size)
{
	struct err e = ERR_NONE;
	struct gmem *g = NULL;

	ck_assert_msg(!gmem_new(NULL, size, false, &g, &e), "%s", e.msg);
	return g;
}

struct fw_machine rig_machine(struct gmem *g)
{
	return (struct fw_machine){
		.name = "test guest",
		.uuid = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
			15 },
		.cpus = 2,
		.low_end = g ? gmem_low_end(g) : 256 * MiB,
		.high_end = g ? gmem_high_end(g) : GMEM_HIGH_BASE,
		.phys_bits = 40,
		.i8042 = true,
		.serial = true,
		.rtc = true,
	};
}

uint64_t rig_get(struct gmem *g, uint64_t gpa, unsigned size)
{
	uint8_t raw[8] = { 0 };

	ck_assert_int_eq(gmem_read(g, gpa, raw, size), 0);
	return get_le(raw, size);
}

static char *folder;

static void remove_folder(void)
{
	suite_rm(folder);
}

const char *rig_file(const char *name, const void *data, size_t len)
{
	struct err e = ERR_NONE;
	const char *path;

	if (!folder) {
		folder = suite_tmp();
		atexit(remove_folder); /* of the test's own process */
	}
	path = suite_path(folder, name);
	ck_assert_msg(!io_write_file(path, data, len, 0600, &e), "%s", e.msg);
	return path;
}

struct setup_header *rig_bz_header(struct rig_bz *b)
{
	return (struct setup_header *)(void *)(b->bytes + 0x1F1);
}

void rig_bz_make(struct rig_bz *b)
{
	struct setup_header *h = rig_bz_header(b);

	memset(b, 0, sizeof(*b));
	h->setup_sects = 2;
	h->syssize = RIG_BZ_LEN / 16;
	h->boot_flag = 0xAA55;
	h->jump = 0x6AEB;
	h->header = 0x53726448;
	h->version = 0x020F;
	h->loadflags = LOADED_HIGH;
	h->initrd_addr_max = 0x7FFFFFFF;
	h->kernel_alignment = 0x200000;
	h->relocatable_kernel = 1;
	h->xloadflags = XLF_KERNEL_64;
	h->cmdline_size = 2047;
	h->pref_address = MiB;
	h->init_size = 0x10000;
	for (size_t i = 0; i < RIG_BZ_LEN; i++)
		b->bytes[RIG_BZ_SETUP + i] = (uint8_t)(i * 7);
}

void rig_elf_make(struct rig_elf *x)
{
	memset(x, 0, sizeof(*x));
	memcpy(x->eh.e_ident, ELFMAG, SELFMAG);
	x->eh.e_ident[EI_CLASS] = ELFCLASS64;
	x->eh.e_ident[EI_DATA] = ELFDATA2LSB;
	x->eh.e_type = ET_EXEC;
	x->eh.e_machine = EM_X86_64;
	x->eh.e_phoff = offsetof(struct rig_elf, ph);
	x->eh.e_phentsize = sizeof(x->ph[0]);
	x->eh.e_phnum = 3;
	x->ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_offset = offsetof(struct rig_elf, seg0),
		.p_paddr = MiB,
		.p_filesz = sizeof(x->seg0),
		.p_memsz = 0x3000 };
	x->ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_offset = offsetof(struct rig_elf, seg1),
		.p_paddr = 2 * MiB,
		.p_filesz = sizeof(x->seg1),
		.p_memsz = sizeof(x->seg1) };
	x->ph[2] = (Elf64_Phdr){ .p_type = PT_NOTE,
		.p_offset = offsetof(struct rig_elf, note),
		.p_filesz = 24,
		.p_align = 4 };
	put_le32(x->note, 4);
	put_le32(x->note + 4, 8);
	put_le32(x->note + 8, 18);
	memcpy(x->note + 12, "Xen", 4);
	put_le64(x->note + 16, 0x100040);
	for (size_t i = 0; i < sizeof(x->seg0); i++)
		x->seg0[i] = (uint8_t)(i * 5);
	memset(x->seg1, 0xC3, sizeof(x->seg1));
}

int rig_load(struct gmem *g, const char *kernel, const char *initrd,
	const char *cmdline, uint64_t rsdp, struct fw_entry *out, struct err *e)
{
	struct fw_machine m = rig_machine(g);

	m.direct_boot = true;
	return fw_linux_load(&m, g, kernel, initrd ? initrd : "",
		cmdline ? cmdline : "", rsdp, out, e);
}
