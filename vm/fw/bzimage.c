/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bzImage by its 64-bit entry (Documentation/arch/x86/boot.rst, protocol
 * 2.12 and later). The kernel's compressed image is entered as it is: it
 * unpacks itself. It goes to the address it prefers; a relocatable kernel
 * would move itself there anyway when loaded lower.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "vm/fw/e820.h"
#include "vm/fw/layout.h"
#include "vm/fw/load.h"

#define HEADER_AT    offsetof(struct boot_params, hdr)
#define HEADER_MAX   0x290 /* what follows the header in boot_params */
#define HEADER_MIN   (HEADER_AT + offsetof(struct setup_header, handover_offset))
#define VERSION_MIN  0x020C
#define VERSION_RSDP 0x020E
#define ENTRY_64     0x200

_Static_assert(HEADER_AT == 0x1F1, "boot.rst, The real-mode kernel header");
_Static_assert(sizeof(struct boot_params) == 4096, "boot.rst, zero page");
_Static_assert(offsetof(struct boot_params, acpi_rsdp_addr) == 0x70,
	"Documentation/arch/x86/zero-page.rst");
_Static_assert(offsetof(struct boot_params, e820_table) == 0x2D0,
	"Documentation/arch/x86/zero-page.rst");

struct bzimage {
	struct load *l;
	struct setup_header hdr; /* the host is little endian: x86 only */
	uint64_t payload_at;     /* in the file */
	uint64_t payload_len;
	uint64_t load_at;  /* in the guest */
	uint64_t load_end; /* with what it needs to unpack */
};

/* Copy the header out of the head and say whether it makes sense. */
static int read_header(struct bzimage *b)
{
	struct load *l = b->l;
	size_t end;

	if (l->head_len < HEADER_MAX)
		return load_bad(l, "file is cut short");
	/* The header's length is the jump over it. */
	end = 0x202 + (size_t)l->head[0x201];
	if (end > HEADER_AT + sizeof(b->hdr))
		end = HEADER_AT + sizeof(b->hdr);
	memset(&b->hdr, 0, sizeof(b->hdr));
	memcpy(&b->hdr, l->head + HEADER_AT, end - HEADER_AT);
	if (b->hdr.version < VERSION_MIN)
		return load_bad(l,
			"boot protocol %u.%u is too old, 2.12 is needed",
			b->hdr.version >> 8, b->hdr.version & 0xFF);
	if (end < HEADER_MIN)
		return load_bad(l, "setup header of %zu bytes is too short",
			end - HEADER_AT);
	if (!(b->hdr.loadflags & LOADED_HIGH))
		return load_bad(l, "is a zImage, not a bzImage");
	if (!(b->hdr.xloadflags & XLF_KERNEL_64))
		return load_bad(l, "has no 64-bit entry: not an x86-64 kernel");
	return 0;
}

/* Where the kernel proper lies in the file. */
static int find_payload(struct bzimage *b)
{
	struct load *l = b->l;
	unsigned sects = b->hdr.setup_sects ? b->hdr.setup_sects : 4;
	uint64_t rest;

	b->payload_at = (sects + UINT64_C(1)) * 512;
	if (b->payload_at >= l->kernel.size)
		return load_bad(l,
			"file is cut short: %llu bytes, the setup code alone "
			"has %llu",
			(unsigned long long)l->kernel.size,
			(unsigned long long)b->payload_at);
	rest = l->kernel.size - b->payload_at;
	/* In paragraphs of 16 bytes; the last one may be a part. */
	b->payload_len = (uint64_t)b->hdr.syssize * 16;
	if (b->payload_len <= ENTRY_64)
		return load_bad(l, "setup header tells no kernel size");
	if (b->payload_len >= rest + 16)
		return load_bad(l,
			"file is cut short: kernel of %llu bytes, %llu are "
			"there",
			(unsigned long long)b->payload_len,
			(unsigned long long)rest);
	if (b->payload_len > rest)
		b->payload_len = rest;
	return 0;
}

static int choose_place(struct bzimage *b)
{
	struct load *l = b->l;
	uint64_t need = b->hdr.init_size;

	b->load_at = b->hdr.pref_address;
	if (b->load_at < FW_KERNEL_MIN || b->load_at >= GMEM_HIGH_BASE)
		return load_bad(l, "wants to be loaded at 0x%llx",
			(unsigned long long)b->load_at);
	if (need < b->payload_len)
		return load_bad(l,
			"setup header asks for %llu bytes, the kernel has %llu",
			(unsigned long long)need,
			(unsigned long long)b->payload_len);
	b->load_end = b->load_at + need;
	if (b->load_end > l->ram_end)
		return load_no_room(l, b->load_end);
	return 0;
}

static void fill_memory_map(struct load *l, struct boot_params *bp)
{
	struct fw_machine m = *l->m;
	struct e820_map map;

	m.direct_boot = true;
	e820_fill(&m, &map);
	for (unsigned i = 0; i < map.n; i++) {
		bp->e820_table[i].addr = map.entry[i].addr;
		bp->e820_table[i].size = map.entry[i].len;
		bp->e820_table[i].type = map.entry[i].type;
	}
	bp->e820_entries = (uint8_t)map.n;
}

static int write_params(struct bzimage *b, uint64_t initrd, uint64_t initrd_len)
{
	struct boot_params bp = { .hdr = b->hdr };
	int rc;

	bp.hdr.type_of_loader = 0xFF; /* no number of its own */
	bp.hdr.vid_mode = 0xFFFF;     /* normal */
	bp.hdr.setup_data = 0;
	bp.hdr.code32_start = (uint32_t)b->load_at;
	bp.hdr.cmd_line_ptr = FW_CMDLINE;
	bp.hdr.ramdisk_image = (uint32_t)initrd;
	bp.hdr.ramdisk_size = (uint32_t)initrd_len;
	bp.ext_ramdisk_size = (uint32_t)(initrd_len >> 32);
	if (b->hdr.version >= VERSION_RSDP)
		bp.acpi_rsdp_addr = b->l->rsdp;
	fill_memory_map(b->l, &bp);
	rc = gmem_write(b->l->g, FW_BOOT_PARAMS, &bp, sizeof(bp));
	if (rc)
		return err_sys(b->l->e, -rc, "cannot write boot parameters");
	return 0;
}

int bzimage_load(struct load *l, struct fw_entry *out)
{
	struct bzimage b = { .l = l };
	uint64_t initrd, initrd_len;
	int rc = read_header(&b);

	if (!rc)
		rc = find_payload(&b);
	if (!rc)
		rc = choose_place(&b);
	if (!rc)
		rc = load_cmdline(l, b.hdr.cmdline_size);
	if (!rc)
		rc = load_to_guest(l, &l->kernel, b.payload_at, b.payload_len,
			b.load_at);
	if (!rc)
		rc = load_initrd(l, b.load_end, b.hdr.initrd_addr_max, &initrd,
			&initrd_len);
	if (!rc)
		rc = write_params(&b, initrd, initrd_len);
	if (!rc)
		rc = load_cpu_tables(l, true, out);
	if (rc)
		return rc;
	out->mode = FW_ENTRY_LONG64;
	out->rip = b.load_at + ENTRY_64;
	out->rsi = FW_BOOT_PARAMS;
	return 0;
}
