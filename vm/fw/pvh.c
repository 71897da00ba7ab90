/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ELF kernels with a PVH entry (Xen's docs/misc/pvh.pandoc and
 * include/public/arch-x86/hvm/start_info.h, version 1). An uncompressed
 * vmlinux starts fastest: nothing is unpacked, its segments are read into
 * place and its zeroes cost nothing.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/fw/e820.h"
#include "vm/fw/elfgap.h"
#include "vm/fw/layout.h"
#include "vm/fw/load.h"

#define PHDRS_MAX     64
#define NOTES_MAX     (64 * KiB) /* bytes of one note segment looked at */
#define NOTE_ENTRY32  18         /* XEN_ELFNOTE_PHYS32_ENTRY */
#define LINUX_CMDLINE 2047       /* COMMAND_LINE_SIZE - 1 on x86 */
#define INFO_MAGIC    0x336EC578
#define INFO_LEN      56
#define MODULE_LEN    32
#define MEMMAP_LEN    24

/* A program header of either class, copied and widened. */
struct segment {
	uint32_t type;
	uint64_t off, paddr, filesz, memsz, align;
};

struct elf {
	struct load *l;
	bool is64;
	struct segment seg[PHDRS_MAX];
	unsigned n;
	uint64_t end; /* of what is loaded */
	uint64_t entry;
	bool has_entry;
	struct elf_gap gap[ELF_GAPS]; /* zeroes in the file */
	unsigned gaps;
};

static void read_phdr(struct elf *x, const uint8_t *raw, struct segment *s)
{
	if (x->is64) {
		Elf64_Phdr p;

		memcpy(&p, raw, sizeof(p));
		*s = (struct segment){ p.p_type, p.p_offset, p.p_paddr,
			p.p_filesz, p.p_memsz, p.p_align };
	} else {
		Elf32_Phdr p;

		memcpy(&p, raw, sizeof(p));
		*s = (struct segment){ p.p_type, p.p_offset, p.p_paddr,
			p.p_filesz, p.p_memsz, p.p_align };
	}
}

static int read_phdrs(struct elf *x, uint64_t off, unsigned entsize, unsigned n)
{
	size_t want = x->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	uint8_t raw[PHDRS_MAX * sizeof(Elf64_Phdr)];
	int rc;

	if (entsize != want)
		return load_bad(x->l, "ELF program headers of %u bytes",
			entsize);
	if (!n || n > PHDRS_MAX)
		return load_bad(x->l, "ELF file with %u program headers", n);
	rc = load_read(&x->l->kernel, off, raw, n * want, x->l->e);
	if (rc)
		return rc;
	for (unsigned i = 0; i < n; i++)
		read_phdr(x, raw + i * want, &x->seg[i]);
	x->n = n;
	return 0;
}

/* Section headers only save work: with odd ones nothing is saved. */
static void find_gaps(struct elf *x, const Elf64_Ehdr *h)
{
	uint8_t raw[ELF_SECTIONS * sizeof(Elf64_Shdr)];

	if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum > ELF_SECTIONS)
		return;
	if (!load_read(&x->l->kernel, h->e_shoff, raw,
		    h->e_shnum * sizeof(Elf64_Shdr), NULL))
		x->gaps = elf_gaps(raw, h->e_shnum, x->l->kernel.size, x->gap);
}

static int read_header(struct elf *x)
{
	struct load *l = x->l;
	const uint8_t *id = l->head;
	Elf64_Ehdr h64;
	Elf32_Ehdr h32;

	if (l->head_len < sizeof(h64))
		return load_bad(l, "file is cut short");
	memcpy(&h64, l->head, sizeof(h64));
	memcpy(&h32, l->head, sizeof(h32));
	if (id[EI_DATA] != ELFDATA2LSB ||
		(id[EI_CLASS] != ELFCLASS64 && id[EI_CLASS] != ELFCLASS32))
		return load_bad(l, "is no little-endian ELF file");
	x->is64 = id[EI_CLASS] == ELFCLASS64;
	/* type and machine stand at the same place in both classes */
	if (h64.e_machine != EM_X86_64 && h64.e_machine != EM_386)
		return load_bad(l, "ELF file is for machine %u, not x86",
			h64.e_machine);
	if (h64.e_type != ET_EXEC && h64.e_type != ET_DYN)
		return load_bad(l, "ELF file is no executable");
	if (x->is64) {
		find_gaps(x, &h64);
		return read_phdrs(x, h64.e_phoff, h64.e_phentsize, h64.e_phnum);
	}
	return read_phdrs(x, h32.e_phoff, h32.e_phentsize, h32.e_phnum);
}

/* Is s inside the file and inside RAM that is free for it? */
static int check_segment(struct elf *x, const struct segment *s)
{
	struct load *l = x->l;
	uint64_t end;

	if (s->filesz > s->memsz)
		return load_bad(l, "ELF segment is larger in file than memory");
	if (!size_in(s->off, s->filesz, l->kernel.size))
		return load_bad(l,
			"file is cut short: ELF segment of 0x%llx bytes at "
			"0x%llx, the file has 0x%llx",
			(unsigned long long)s->filesz,
			(unsigned long long)s->off,
			(unsigned long long)l->kernel.size);
	if (s->paddr < FW_KERNEL_MIN)
		return load_bad(l, "ELF segment at 0x%llx lies below 1 MiB",
			(unsigned long long)s->paddr);
	if (!size_add(s->paddr, s->memsz, &end) || end > GMEM_HIGH_BASE)
		return load_bad(l, "ELF segment at 0x%llx ends above 4 GiB",
			(unsigned long long)s->paddr);
	if (end > l->ram_end)
		return load_no_room(l, end);
	return 0;
}

static bool overlap(const struct segment *a, const struct segment *b)
{
	return a->paddr < b->paddr + b->memsz && b->paddr < a->paddr + a->memsz;
}

static bool is_loaded(const struct segment *s)
{
	return s->type == PT_LOAD && s->memsz;
}

static int check_segments(struct elf *x)
{
	for (unsigned i = 0; i < x->n; i++) {
		struct segment *s = &x->seg[i];
		int rc;

		if (!is_loaded(s))
			continue;
		rc = check_segment(x, s);
		if (rc)
			return rc;
		for (unsigned j = 0; j < i; j++)
			if (is_loaded(&x->seg[j]) && overlap(s, &x->seg[j]))
				return load_bad(x->l,
					"ELF segments at 0x%llx and 0x%llx "
					"overlap",
					(unsigned long long)x->seg[j].paddr,
					(unsigned long long)s->paddr);
		if (s->paddr + s->memsz > x->end)
			x->end = s->paddr + s->memsz;
	}
	if (!x->end)
		return load_bad(x->l, "ELF file has nothing to load");
	return 0;
}

/* Look for the entry among the notes in buf[0, len). */
static void scan_notes(struct elf *x, const uint8_t *buf, size_t len,
	uint64_t align)
{
	size_t at = 0;

	align = align == 8 ? 8 : 4;
	while (size_in(at, 12, len)) {
		uint64_t namesz = get_le32(buf + at);
		uint64_t descsz = get_le32(buf + at + 4);
		uint32_t type = get_le32(buf + at + 8);
		uint64_t desc = size_up(at + 12 + namesz, align);

		if (!size_in(desc, descsz, len))
			return;
		if (type == NOTE_ENTRY32 && namesz == 4 &&
			!memcmp(buf + at + 12, "Xen", 4) &&
			(descsz == 4 || descsz == 8)) {
			x->entry = get_le(buf + desc, (unsigned)descsz);
			x->has_entry = true;
			return;
		}
		at = size_up(desc + descsz, align);
	}
}

static int find_entry(struct elf *x)
{
	uint8_t *buf = NULL;
	int rc = 0;

	for (unsigned i = 0; i < x->n && !rc && !x->has_entry; i++) {
		struct segment *s = &x->seg[i];
		size_t len =
			s->filesz < NOTES_MAX ? (size_t)s->filesz : NOTES_MAX;

		if (s->type != PT_NOTE || !len)
			continue;
		if (!buf)
			buf = malloc(NOTES_MAX);
		if (!buf)
			return err_set(x->l->e, ENOMEM,
				"no memory for ELF notes");
		rc = load_read(&x->l->kernel, s->off, buf, len, x->l->e);
		if (!rc)
			scan_notes(x, buf, len, s->align);
	}
	free(buf);
	if (!rc && !x->has_entry)
		rc = load_bad(x->l, "ELF file has no PVH entry (a kernel "
				    "needs CONFIG_PVH=y; or take its bzImage)");
	return rc;
}

/* The entry must be in the file's bytes of some segment. */
static int check_entry(struct elf *x)
{
	for (unsigned i = 0; i < x->n; i++)
		if (is_loaded(&x->seg[i]) && x->entry >= x->seg[i].paddr &&
			x->entry - x->seg[i].paddr < x->seg[i].filesz)
			return 0;
	return load_bad(x->l, "PVH entry 0x%llx lies in no ELF segment",
		(unsigned long long)x->entry);
}

/* Put bytes [off, end) of the file to gpa, or zeroes there. */
static int load_part(struct elf *x, uint64_t off, uint64_t end, uint64_t gpa,
	bool zero)
{
	if (off >= end)
		return 0;
	if (zero)
		return load_zero(x->l, gpa, end - off);
	return load_to_guest(x->l, &x->l->kernel, off, end - off, gpa);
}

static int load_segment(struct elf *x, const struct segment *s)
{
	uint64_t at = s->off, end = s->off + s->filesz;
	int rc = 0;

	for (unsigned i = 0; i < x->gaps && !rc; i++) {
		struct elf_gap g = x->gap[i];

		if (g.end <= at || g.off >= end)
			continue;
		g.off = g.off > at ? g.off : at;
		g.end = g.end < end ? g.end : end;
		rc = load_part(x, at, g.off, s->paddr + (at - s->off), false);
		if (!rc)
			rc = load_part(x, g.off, g.end,
				s->paddr + (g.off - s->off), true);
		at = g.end;
	}
	if (!rc)
		rc = load_part(x, at, end, s->paddr + (at - s->off), false);
	if (rc)
		return rc;
	return load_zero(x->l, s->paddr + s->filesz, s->memsz - s->filesz);
}

static int load_segments(struct elf *x)
{
	int rc = 0;

	for (unsigned i = 0; i < x->n && !rc; i++)
		if (is_loaded(&x->seg[i]))
			rc = load_segment(x, &x->seg[i]);
	return rc;
}

/* hvm_start_info, the list of modules and the memory map behind it. */
static int write_info(struct elf *x, uint64_t initrd, uint64_t initrd_len)
{
	uint8_t page[FW_BOOT_PARAMS - FW_PVH_INFO] = { 0 };
	uint8_t *modules = page + 64, *mem = page + 128;
	struct fw_machine m = *x->l->m;
	struct e820_map map;
	int rc;

	m.direct_boot = true;
	e820_fill(&m, &map);
	for (unsigned i = 0; i < map.n; i++, mem += MEMMAP_LEN) {
		put_le64(mem, map.entry[i].addr);
		put_le64(mem + 8, map.entry[i].len);
		put_le32(mem + 16, map.entry[i].type);
	}
	put_le32(page, INFO_MAGIC);
	put_le32(page + 4, 1); /* version */
	if (initrd_len) {
		put_le64(modules, initrd);
		put_le64(modules + 8, initrd_len);
		put_le32(page + 12, 1);
		put_le64(page + 16, FW_PVH_INFO + 64);
	}
	put_le64(page + 24, FW_CMDLINE);
	put_le64(page + 32, x->l->rsdp);
	put_le64(page + 40, FW_PVH_INFO + 128);
	put_le32(page + 48, map.n);
	rc = gmem_write(x->l->g, FW_PVH_INFO, page, sizeof(page));
	if (rc)
		return err_sys(x->l->e, -rc, "cannot write PVH start info");
	return 0;
}

_Static_assert(INFO_LEN <= 64 && MODULE_LEN <= 64, "parts must not overlap");
_Static_assert(128 + E820_MAX * MEMMAP_LEN <= FW_BOOT_PARAMS - FW_PVH_INFO,
	"the memory map must fit behind the start info");

int pvh_load(struct load *l, struct fw_entry *out)
{
	struct elf x = { .l = l };
	uint64_t initrd, initrd_len;
	int rc = read_header(&x);

	if (!rc)
		rc = check_segments(&x);
	if (!rc)
		rc = find_entry(&x);
	if (!rc)
		rc = check_entry(&x);
	if (!rc)
		rc = load_cmdline(l, LINUX_CMDLINE);
	if (!rc)
		rc = load_segments(&x);
	if (!rc)
		rc = load_initrd(l, x.end, GMEM_HIGH_BASE - 1, &initrd,
			&initrd_len);
	if (!rc)
		rc = write_info(&x, initrd, initrd_len);
	if (!rc)
		rc = load_cpu_tables(l, false, out);
	if (rc)
		return rc;
	out->mode = FW_ENTRY_PVH32;
	out->rip = x.entry;
	out->rbx = FW_PVH_INFO;
	return 0;
}
