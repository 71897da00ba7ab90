/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * DSDT of the board (MACHINE.md 1 and 2): PCIe root with _OSC and _CRS,
 * interrupt routing for PIC and APIC mode, the ISA devices, fw_cfg, CPUs and
 * soft-off. All fixed: devices come and go by native PCIe means only, so no
 * general-purpose event has a method.
 */
#include "vm/fw/dsdt.h"

#include <stdio.h>

#include "vm/base/sizes.h"

#include "vm/fw/aml.h"
#include "vm/fw/layout.h"

/* _OSC control the guest may have: hotplug, SHPC, PME, AER, capabilities. */
#define OSC_GRANTED 0x1F

uint64_t fw_pci64_window(const struct fw_machine *m, uint64_t *last)
{
	unsigned bits = m->phys_bits > 52 ? 52 : m->phys_bits;
	uint64_t first = m->high_end, end;

	if (bits < 33)
		return 0;
	end = UINT64_C(1) << bits;
	if (first < GMEM_HIGH_BASE)
		first = GMEM_HIGH_BASE;
	first = size_up(first, GiB);
	if (first >= end)
		return 0;
	*last = end - 1;
	return first;
}

static void root_crs(struct fw_buf *b, const struct fw_machine *m)
{
	uint64_t last, first = fw_pci64_window(m, &last);
	size_t r;

	aml_name(b, "_CRS");
	r = aml_resources(b);
	aml_res_window(b, AML_WINDOW_BUS, 2, 0, FW_LAST_BUS, false);
	aml_res_io(b, 0xCF8, 1, 8);
	aml_res_window(b, AML_WINDOW_IO, 2, 0, 0xCF7, false);
	aml_res_window(b, AML_WINDOW_IO, 2, 0xD00, 0xFFFF, false);
	aml_res_window(b, AML_WINDOW_MEM, 4, GMEM_VGA_BASE, GMEM_VGA_END - 1,
		true);
	aml_res_window(b, AML_WINDOW_MEM, 4, GMEM_PCI32_BASE,
		GMEM_PCI32_END - 1, false);
	if (first)
		aml_res_window(b, AML_WINDOW_MEM, 8, first, last, true);
	aml_resources_end(b, r);
}

static void or_into(struct fw_buf *b, const char *name, uint64_t bits)
{
	aml_op(b, AML_OR);
	aml_path(b, name);
	aml_int(b, bits);
	aml_path(b, name);
}

static void dword_of_arg3(struct fw_buf *b, unsigned off, const char *name)
{
	aml_op(b, AML_DWORD_FIELD);
	aml_op(b, AML_ARG0 + 3);
	aml_int(b, off);
	aml_path(b, name);
}

/* _OSC: what of PCIe the guest's kernel may drive itself. */
static void root_osc(struct fw_buf *b)
{
	size_t method = aml_method(b, "_OSC", 4, true), cond, inner;

	dword_of_arg3(b, 0, "CDW1");
	cond = aml_if(b);
	aml_op(b, AML_EQUAL);
	aml_op(b, AML_ARG0);
	aml_uuid(b, "33db4d5b-1ff7-401c-9657-7441c03dd766");
	dword_of_arg3(b, 8, "CDW3");
	aml_op(b, AML_AND);
	aml_path(b, "CDW3");
	aml_int(b, OSC_GRANTED);
	aml_op(b, AML_LOCAL0);
	inner = aml_if(b); /* revision unknown */
	aml_op(b, AML_NOT);
	aml_op(b, AML_EQUAL);
	aml_op(b, AML_ARG0 + 1);
	aml_int(b, 1);
	or_into(b, "CDW1", 0x08);
	aml_end(b, inner);
	inner = aml_if(b); /* some bits were not granted */
	aml_op(b, AML_NOT);
	aml_op(b, AML_EQUAL);
	aml_path(b, "CDW3");
	aml_op(b, AML_LOCAL0);
	or_into(b, "CDW1", 0x10);
	aml_end(b, inner);
	aml_op(b, AML_STORE);
	aml_op(b, AML_LOCAL0);
	aml_path(b, "CDW3");
	aml_end(b, cond);
	cond = aml_else(b); /* UUID unknown */
	or_into(b, "CDW1", 0x04);
	aml_end(b, cond);
	aml_op(b, AML_RETURN);
	aml_op(b, AML_ARG0 + 3);
	aml_end(b, method);
}

/* Which PIRQ (0..7 = A..H) INTx pin 0..3 of a slot of the root bus drives. */
static unsigned pirq_of(unsigned slot, unsigned pin)
{
	if (slot <= 24 || slot == 30)
		return 4 + ((slot == 30 ? pin : slot + pin) & 3);
	return pin;
}

/* One routing table: of links (PIC mode) or of fixed inputs (APIC mode). */
static void routes(struct fw_buf *b, const char *name, const char *links)
{
	char link[16];
	size_t all, one;
	int n = snprintf(link, sizeof(link), "\\_SB.%s?", links);

	aml_name(b, name);
	all = aml_package(b, 32 * 4);
	for (unsigned i = 0; i < 32 * 4; i++) {
		link[n - 1] = (char)('A' + pirq_of(i / 4, i % 4));
		one = aml_package(b, 4);
		aml_int(b, (uint64_t)(i / 4) << 16 | 0xFFFF);
		aml_int(b, i % 4);
		aml_path(b, link);
		aml_int(b, 0);
		aml_end(b, one);
	}
	aml_end(b, all);
}

static void root_prt(struct fw_buf *b)
{
	size_t method, cond;

	routes(b, "PRTP", "LNK");
	routes(b, "PRTA", "GSI");
	method = aml_method(b, "_PRT", 0, false);
	cond = aml_if(b);
	aml_path(b, "\\PICF");
	aml_op(b, AML_RETURN);
	aml_path(b, "PRTA");
	aml_end(b, cond);
	aml_op(b, AML_RETURN);
	aml_path(b, "PRTP");
	aml_end(b, method);
}

static void keyboard_and_mouse(struct fw_buf *b)
{
	size_t d = aml_device(b, "KBD"), r;

	aml_name_eisaid(b, "_HID", "PNP0303");
	aml_name_int(b, "_STA", 0x0F);
	aml_name(b, "_CRS");
	r = aml_resources(b);
	aml_res_io(b, 0x60, 1, 1);
	aml_res_io(b, 0x64, 1, 1);
	aml_res_irq(b, 1);
	aml_resources_end(b, r);
	aml_end(b, d);

	d = aml_device(b, "MOU");
	aml_name_eisaid(b, "_HID", "PNP0F13");
	aml_name_int(b, "_STA", 0x0F);
	aml_name(b, "_CRS");
	r = aml_resources(b);
	aml_res_irq(b, 12);
	aml_resources_end(b, r);
	aml_end(b, d);
}

/* A device with one port range and one interrupt. */
static void isa_device(struct fw_buf *b, const char *name, const char *hid,
	uint16_t io, uint8_t len, unsigned irq)
{
	size_t d = aml_device(b, name), r;

	aml_name_eisaid(b, "_HID", hid);
	aml_name_int(b, "_UID", 1);
	aml_name_int(b, "_STA", 0x0F);
	aml_name(b, "_CRS");
	r = aml_resources(b);
	aml_res_io(b, io, 1, len);
	aml_res_irq(b, irq);
	aml_resources_end(b, r);
	aml_end(b, d);
}

/* LPC bridge with the PIRQ route bytes, and what sits behind it. */
static void isa_bridge(struct fw_buf *b, const struct fw_machine *m)
{
	size_t d = aml_device(b, "ISA"), f;
	char name[8];

	aml_name_int(b, "_ADR", 0x001F0000);
	aml_region(b, "PIRQ", AML_PCI_CONFIG, 0x60, 0x0C);
	f = aml_field(b, "PIRQ");
	for (unsigned i = 0; i < 8; i++) {
		if (i == 4)
			aml_field_skip(b, 4 * 8);
		snprintf(name, sizeof(name), "PRQ%c", (char)('A' + i));
		aml_field_bits(b, name, 8);
	}
	aml_end(b, f);
	if (m->i8042)
		keyboard_and_mouse(b);
	if (m->serial)
		isa_device(b, "COM1", "PNP0501", 0x3F8, 8, 4);
	if (m->rtc)
		isa_device(b, "RTC", "PNP0B00", 0x70, 8, 8);
	aml_end(b, d);
}

static void pci_root(struct fw_buf *b, const struct fw_machine *m)
{
	size_t d = aml_device(b, "PCI0");

	aml_name_eisaid(b, "_HID", "PNP0A08");
	aml_name_eisaid(b, "_CID", "PNP0A03");
	aml_name_int(b, "_UID", 0);
	aml_name_int(b, "_SEG", 0);
	aml_name_int(b, "_BBN", 0);
	root_osc(b);
	root_crs(b, m);
	root_prt(b);
	isa_bridge(b, m);
	aml_end(b, d);
}

static void return_path(struct fw_buf *b, const char *name)
{
	aml_op(b, AML_RETURN);
	aml_path(b, name);
}

static void link_crs(struct fw_buf *b, const char *reg)
{
	static const uint32_t none = 0;
	size_t method, r;

	aml_name(b, "CURR");
	r = aml_resources(b);
	aml_res_interrupt(b, &none, 1);
	aml_resources_end(b, r);
	method = aml_method(b, "_CRS", 0, true);
	aml_op(b, AML_DWORD_FIELD);
	aml_path(b, "CURR");
	aml_int(b, 5);
	aml_path(b, "CURI");
	aml_op(b, AML_AND);
	aml_path(b, reg);
	aml_int(b, 0x0F);
	aml_path(b, "CURI");
	return_path(b, "CURR");
	aml_end(b, method);
}

/* LNKA..LNKH: a PIRQ as the OS routes it in PIC mode. Bit 7 = off. */
static void link_device(struct fw_buf *b, unsigned n)
{
	static const uint32_t possible[] = { 5, 10, 11 };
	char name[8], reg[32];
	size_t d, r, method, cond;

	snprintf(name, sizeof(name), "LNK%c", (char)('A' + n));
	snprintf(reg, sizeof(reg), "\\_SB.PCI0.ISA.PRQ%c", (char)('A' + n));
	d = aml_device(b, name);
	aml_name_eisaid(b, "_HID", "PNP0C0F");
	aml_name_int(b, "_UID", n);
	aml_name(b, "_PRS");
	r = aml_resources(b);
	aml_res_interrupt(b, possible, ARRAY_LEN(possible));
	aml_resources_end(b, r);

	method = aml_method(b, "_STA", 0, false);
	cond = aml_if(b);
	aml_op(b, AML_AND);
	aml_path(b, reg);
	aml_int(b, 0x80);
	aml_op(b, AML_NO_TARGET);
	aml_op(b, AML_RETURN);
	aml_int(b, 0x09);
	aml_end(b, cond);
	aml_op(b, AML_RETURN);
	aml_int(b, 0x0B);
	aml_end(b, method);

	method = aml_method(b, "_DIS", 0, false);
	or_into(b, reg, 0x80);
	aml_end(b, method);

	link_crs(b, reg);

	method = aml_method(b, "_SRS", 1, true);
	aml_op(b, AML_DWORD_FIELD);
	aml_op(b, AML_ARG0);
	aml_int(b, 5);
	aml_path(b, "NEWI");
	aml_op(b, AML_STORE);
	aml_path(b, "NEWI");
	aml_path(b, reg);
	aml_end(b, method);
	aml_end(b, d);
}

/* GSIA..GSIH: the same wires as the I/O APIC sees them, inputs 16..23. */
static void gsi_device(struct fw_buf *b, unsigned n)
{
	static const char *const names[] = { "_PRS", "_CRS" };
	uint32_t gsi = 16 + n;
	char name[8];
	size_t d, r;

	snprintf(name, sizeof(name), "GSI%c", (char)('A' + n));
	d = aml_device(b, name);
	aml_name_eisaid(b, "_HID", "PNP0C0F");
	aml_name_int(b, "_UID", gsi);
	for (unsigned i = 0; i < 2; i++) {
		aml_name(b, names[i]);
		r = aml_resources(b);
		aml_res_interrupt(b, &gsi, 1);
		aml_resources_end(b, r);
	}
	aml_end(b, aml_method(b, "_SRS", 1, false));
	aml_end(b, d);
}

/* The ECAM window, which Linux wants to see reserved before it uses it. */
static void ecam_reservation(struct fw_buf *b)
{
	size_t d = aml_device(b, "DRAC"), r;

	aml_name_eisaid(b, "_HID", "PNP0C01");
	aml_name(b, "_CRS");
	r = aml_resources(b);
	aml_res_mem32(b, GMEM_ECAM_BASE, GMEM_ECAM_SIZE);
	aml_resources_end(b, r);
	aml_end(b, d);
}

static void fw_cfg_device(struct fw_buf *b)
{
	size_t d = aml_device(b, "FWCF"), r;

	aml_name(b, "_HID");
	aml_string(b, "QEMU0002");
	aml_name_int(b, "_STA", 0x0B);
	aml_name(b, "_CRS");
	r = aml_resources(b);
	aml_res_io(b, 0x510, 1, 0x0C);
	aml_resources_end(b, r);
	aml_end(b, d);
}

static void processors(struct fw_buf *b, unsigned cpus)
{
	char name[8];
	size_t d;

	for (unsigned i = 0; i < cpus; i++) {
		snprintf(name, sizeof(name), "C%03X", i & 0xFFF);
		d = aml_device(b, name);
		aml_name(b, "_HID");
		aml_string(b, "ACPI0007");
		aml_name_int(b, "_UID", i);
		aml_end(b, d);
	}
}

void fw_dsdt_body(struct fw_buf *b, const struct fw_machine *m)
{
	size_t s, p;

	/* \_PIC(1) says that the OS uses the I/O APIC. */
	aml_name_int(b, "\\PICF", 0);
	s = aml_method(b, "\\_PIC", 1, false);
	aml_op(b, AML_STORE);
	aml_op(b, AML_ARG0);
	aml_path(b, "\\PICF");
	aml_end(b, s);

	s = aml_scope(b, "\\_SB");
	pci_root(b, m);
	for (unsigned i = 0; i < 8; i++)
		link_device(b, i);
	for (unsigned i = 0; i < 8; i++)
		gsi_device(b, i);
	ecam_reservation(b);
	fw_cfg_device(b);
	processors(b, m->cpus);
	aml_end(b, s);

	aml_name(b, "\\_S5");
	p = aml_package(b, 4);
	for (unsigned i = 0; i < 4; i++)
		aml_int(b, 0);
	aml_end(b, p);
}
