/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ACPI tables as fw_cfg files (ACPI 6.4 chapter 5, MACHINE.md 2). One
 * file holds them all, FACS first because it wants 64-byte alignment. Every
 * address in them is an offset into that file until the linker adds where
 * the file came to lie. OVMF takes no RSDT or XSDT from us but finds tables
 * by following the linker's pointers, so each table has one that leads to it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/fw/dsdt.h"
#include "vm/fw/layout.h"
#include "vm/fw/linker.h"

#define TABLES "etc/acpi/tables"
#define RSDP   "etc/acpi/rsdp"
#define LOADER "etc/table-loader"

#define OEM_ID       "GDECK "
#define OEM_TABLE_ID "GUESTDCK"
#define CREATOR      "GDCK"

/* Table header, ACPI 6.4 table 5.4. */
#define HEADER_LEN      36
#define HEADER_LENGTH   4
#define HEADER_CHECKSUM 9

#define MAX_CPUS 1024

/* Port addresses of the ICH9's power management, MACHINE.md 1. */
#define PM_BASE 0x600
#define GPE0    (PM_BASE + 0x20)
#define SCI_IRQ 9

struct acpi_build {
	const struct fw_machine *m;
	struct fw_buf t, rsdp, l;
	/* offsets of tables, for RSDT and XSDT */
	uint32_t listed[8];
	unsigned n;
};

static size_t table_begin(struct acpi_build *a, const char *sig, uint8_t rev)
{
	struct fw_buf *t = &a->t;
	size_t at;

	fw_buf_align(t, 16);
	at = t->len;
	fw_buf_text(t, sig, 4, ' ');
	fw_buf_int(t, 0, 4); /* length, by table_end() */
	fw_buf_int(t, rev, 1);
	fw_buf_int(t, 0, 1); /* checksum, by the linker */
	fw_buf_text(t, OEM_ID, 6, ' ');
	fw_buf_text(t, OEM_TABLE_ID, 8, ' ');
	fw_buf_int(t, 1, 4);
	fw_buf_text(t, CREATOR, 4, ' ');
	fw_buf_int(t, 1, 4);
	return at;
}

/* After all pointers of the table, so that its checksum covers them. */
static void table_end(struct acpi_build *a, size_t at)
{
	fw_buf_put(&a->t, at + HEADER_LENGTH, a->t.len - at, 4);
	linker_checksum(&a->l, TABLES, (uint32_t)at + HEADER_CHECKSUM,
		(uint32_t)at, (uint32_t)(a->t.len - at));
}

static void list_table(struct acpi_build *a, size_t at)
{
	if (a->n < ARRAY_LEN(a->listed))
		a->listed[a->n++] = (uint32_t)at;
}

/* A pointer of size bytes at off of the tables to their offset target. */
static void point(struct acpi_build *a, size_t off, uint64_t target,
	uint8_t size)
{
	fw_buf_put(&a->t, off, target, size);
	linker_pointer(&a->l, TABLES, TABLES, (uint32_t)off, size);
}

static size_t build_facs(struct acpi_build *a)
{
	struct fw_buf *t = &a->t;
	size_t at = t->len;

	fw_buf_text(t, "FACS", 4, ' ');
	fw_buf_int(t, 64, 4);
	fw_buf_zero(t, 56);
	return at;
}

static size_t build_dsdt(struct acpi_build *a)
{
	size_t at = table_begin(a, "DSDT", 2); /* 2: integers have 64 bits */

	fw_dsdt_body(&a->t, a->m);
	table_end(a, at);
	return at;
}

enum access { ACCESS_BYTE = 1, ACCESS_WORD, ACCESS_DWORD };

/* Generic address of a range of ports and how wide to access it. */
static void port_address(struct fw_buf *t, size_t off, uint16_t port,
	unsigned bytes, enum access access)
{
	fw_buf_put(t, off, 1, 1); /* system I/O */
	fw_buf_put(t, off + 1, bytes * 8, 1);
	fw_buf_put(t, off + 3, access, 1);
	fw_buf_put(t, off + 4, port, 8);
}

static uint32_t fadt_flags(const struct fw_machine *m)
{
	uint32_t flags = 1u << 0 |  /* WBINVD works */
			 1u << 2 |  /* C1 on all CPUs */
			 1u << 5 |  /* no fixed sleep button */
			 1u << 7 |  /* RTC alarm works in S4 */
			 1u << 10 | /* reset register */
			 1u << 15;  /* time by ACPI timer, not RTC */

	/* Flat logical destinations reach 8 CPUs only: use clusters. */
	if (m->cpus > 8)
		flags |= 1u << 18;
	return flags;
}

static void fadt_blocks(struct fw_buf *t, size_t at)
{
	fw_buf_put(t, at + 56, PM_BASE, 4);     /* PM1a event */
	fw_buf_put(t, at + 64, PM_BASE + 4, 4); /* PM1a control */
	fw_buf_put(t, at + 76, PM_BASE + 8, 4); /* timer */
	fw_buf_put(t, at + 80, GPE0, 4);
	fw_buf_put(t, at + 88, 4, 1);
	fw_buf_put(t, at + 89, 2, 1);
	fw_buf_put(t, at + 91, 4, 1);
	fw_buf_put(t, at + 92, 16, 1);
	port_address(t, at + 116, 0xCF9, 1, ACCESS_BYTE); /* reset register */
	fw_buf_put(t, at + 128, 0x0F, 1); /* and what to write there */
	port_address(t, at + 148, PM_BASE, 4, ACCESS_WORD);
	port_address(t, at + 172, PM_BASE + 4, 2, ACCESS_WORD);
	port_address(t, at + 208, PM_BASE + 8, 4, ACCESS_DWORD);
	port_address(t, at + 220, GPE0, 16, ACCESS_BYTE);
}

/*
 * FADT revision 3, 244 bytes. SMI_CMD is 0: the board has no SMM and is in
 * ACPI mode from reset on, so no OS asks for it.
 */
static void build_fadt(struct acpi_build *a, size_t facs, size_t dsdt)
{
	const struct fw_machine *m = a->m;
	size_t at = table_begin(a, "FACP", 3);
	struct fw_buf *t = &a->t;
	unsigned arch = (m->i8042 ? 1u << 1 : 0) | (m->rtc ? 0 : 1u << 5);

	fw_buf_zero(t, 244 - HEADER_LEN);
	fw_buf_put(t, at + 46, SCI_IRQ, 2);
	fadt_blocks(t, at);
	fw_buf_put(t, at + 96, 0xFFF, 2); /* C2 and C3: not there */
	fw_buf_put(t, at + 98, 0xFFF, 2);
	fw_buf_put(t, at + 108, m->rtc ? 0x32 : 0, 1); /* century */
	fw_buf_put(t, at + 109, arch, 2);
	fw_buf_put(t, at + 112, fadt_flags(m), 4);
	point(a, at + 36, facs, 4);
	point(a, at + 40, dsdt, 4);
	point(a, at + 140, dsdt, 8);
	table_end(a, at);
	list_table(a, at);
}

static void madt_cpu(struct fw_buf *t, uint32_t id)
{
	if (id < 255) {
		fw_buf_int(t, 0, 1); /* processor local APIC */
		fw_buf_int(t, 8, 1);
		fw_buf_int(t, id, 1); /* _UID */
		fw_buf_int(t, id, 1); /* APIC id */
		fw_buf_int(t, 1, 4);  /* enabled */
		return;
	}
	fw_buf_int(t, 9, 1); /* processor local x2APIC */
	fw_buf_int(t, 16, 1);
	fw_buf_int(t, 0, 2);
	fw_buf_int(t, id, 4);
	fw_buf_int(t, 1, 4);
	fw_buf_int(t, id, 4); /* _UID */
}

/* Interrupt source override: ISA interrupt irq comes in at gsi. */
static void madt_override(struct fw_buf *t, uint8_t irq, uint32_t gsi,
	uint16_t flags)
{
	fw_buf_int(t, 2, 1);
	fw_buf_int(t, 10, 1);
	fw_buf_int(t, 0, 1);
	fw_buf_int(t, irq, 1);
	fw_buf_int(t, gsi, 4);
	fw_buf_int(t, flags, 2);
}

/* NMI of all CPUs is LINT1. */
static void madt_nmi(struct fw_buf *t, bool x2apic)
{
	fw_buf_int(t, 4, 1);
	fw_buf_int(t, 6, 1);
	fw_buf_int(t, 0xFF, 1);
	fw_buf_int(t, 0, 2);
	fw_buf_int(t, 1, 1);
	if (!x2apic)
		return;
	fw_buf_int(t, 0x0A, 1);
	fw_buf_int(t, 12, 1);
	fw_buf_int(t, 0, 2);
	fw_buf_int(t, UINT32_MAX, 4);
	fw_buf_int(t, 1, 1);
	fw_buf_zero(t, 3);
}

static void build_madt(struct acpi_build *a)
{
	static const uint8_t level_irqs[] = { 5, 9, 10, 11 };
	size_t at = table_begin(a, "APIC", 1);
	struct fw_buf *t = &a->t;

	fw_buf_int(t, 0xFEE00000, 4);
	fw_buf_int(t, 1, 4); /* a PIC pair is there too */
	for (unsigned i = 0; i < a->m->cpus; i++)
		madt_cpu(t, i);
	fw_buf_int(t, 1, 1); /* I/O APIC 0 with inputs from 0 */
	fw_buf_int(t, 12, 1);
	fw_buf_int(t, 0, 2);
	fw_buf_int(t, 0xFEC00000, 4);
	fw_buf_int(t, 0, 4);
	madt_override(t, 0, 2, 0);
	for (unsigned i = 0; i < ARRAY_LEN(level_irqs); i++)
		madt_override(t, level_irqs[i], level_irqs[i], 0x0D);
	madt_nmi(t, a->m->cpus > 255);
	table_end(a, at);
	list_table(a, at);
}

static void build_mcfg(struct acpi_build *a)
{
	size_t at = table_begin(a, "MCFG", 1);
	struct fw_buf *t = &a->t;

	fw_buf_zero(t, 8);
	fw_buf_int(t, GMEM_ECAM_BASE, 8);
	fw_buf_int(t, 0, 2); /* segment */
	fw_buf_int(t, 0, 1); /* buses 0.. */
	fw_buf_int(t, FW_LAST_BUS, 1);
	fw_buf_zero(t, 4);
	table_end(a, at);
	list_table(a, at);
}

/* Tells Windows that RTC and ACPI timer need no second read. */
static void build_waet(struct acpi_build *a)
{
	size_t at = table_begin(a, "WAET", 1);

	fw_buf_int(&a->t, 3, 4);
	table_end(a, at);
	list_table(a, at);
}

static size_t build_root(struct acpi_build *a, const char *sig, uint8_t size)
{
	size_t at = table_begin(a, sig, 1);

	fw_buf_zero(&a->t, (size_t)a->n * size);
	for (unsigned i = 0; i < a->n; i++)
		point(a, at + HEADER_LEN + (size_t)i * size, a->listed[i],
			size);
	table_end(a, at);
	return at;
}

/* Revision 2 with both lists: SeaBIOS looks into the RSDT, OSes the XSDT. */
static void build_rsdp(struct acpi_build *a, size_t rsdt, size_t xsdt)
{
	struct fw_buf *r = &a->rsdp;

	fw_buf_text(r, "RSD PTR ", 8, ' ');
	fw_buf_int(r, 0, 1);
	fw_buf_text(r, OEM_ID, 6, ' ');
	fw_buf_int(r, 2, 1);
	fw_buf_int(r, rsdt, 4);
	fw_buf_int(r, 36, 4);
	fw_buf_int(r, xsdt, 8);
	fw_buf_zero(r, 4);
	linker_allocate(&a->l, RSDP, 16, LINKER_FSEG);
	linker_pointer(&a->l, RSDP, TABLES, 16, 4);
	linker_pointer(&a->l, RSDP, TABLES, 24, 8);
	linker_checksum(&a->l, RSDP, 8, 0, 20);
	linker_checksum(&a->l, RSDP, 32, 0, 36);
}

static int take_all(struct acpi_build *a, struct fw_acpi *out, struct err *e)
{
	int rc = fw_buf_take(&a->t, TABLES, &out->tables, e);

	if (!rc)
		rc = fw_buf_take(&a->rsdp, RSDP, &out->rsdp, e);
	if (!rc)
		rc = fw_buf_take(&a->l, LOADER, &out->loader, e);
	return rc;
}

int fw_acpi_build(const struct fw_machine *m, struct fw_acpi *out,
	struct err *e)
{
	struct acpi_build a = { .m = m };
	size_t facs, dsdt, rsdt, xsdt;
	int rc;

	memset(out, 0, sizeof(*out));
	if (!m->cpus || m->cpus > MAX_CPUS)
		return err_set(e, EINVAL,
			"ACPI tables hold 1 to %d CPUs, not %u", MAX_CPUS,
			m->cpus);
	linker_allocate(&a.l, TABLES, 64, LINKER_HIGH);
	facs = build_facs(&a);
	dsdt = build_dsdt(&a);
	build_fadt(&a, facs, dsdt);
	build_madt(&a);
	build_mcfg(&a);
	build_waet(&a);
	rsdt = build_root(&a, "RSDT", 4);
	xsdt = build_root(&a, "XSDT", 8);
	build_rsdp(&a, rsdt, xsdt);
	rc = take_all(&a, out, e);
	if (rc)
		fw_acpi_free(out);
	fw_buf_fini(&a.t);
	fw_buf_fini(&a.rsdp);
	fw_buf_fini(&a.l);
	return rc;
}

void fw_acpi_free(struct fw_acpi *a)
{
	free(a->tables.data);
	free(a->rsdp.data);
	free(a->loader.data);
	memset(a, 0, sizeof(*a));
}
