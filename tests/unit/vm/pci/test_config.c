/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Config space: both ways in, masks, capabilities, the host bridge. */
#include <errno.h>

#include "vm/pci/pci.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/pci/rig.h"

static const struct pci_ids some_ids = { 0x1234, 0x5678, 0x9abc, 0xdef0,
	0x02000003 };

static struct rig r;

static void add(struct pci_dev *d, unsigned devfn)
{
	struct err e = ERR_NONE;

	memset(d, 0, sizeof(*d));
	ck_assert_int_eq(pci_dev_add(r.pci, d, "some", devfn, &some_ids, &e),
		0);
}

START_TEST (host_bridge_is_what_seabios_looks_for) {
	rig_init(&r, 4 * MiB, false);
	ck_assert_uint_eq(cfg_in(&r, 0, 0x00, 4), 0x29c08086);
	ck_assert_uint_eq(cfg_in(&r, 0, 0x08, 4), 0x06000000);
	ck_assert_uint_eq(cfg_in(&r, 0, 0x2c, 4), 0x11001af4);
	rig_fini(&r);
}
END_TEST

START_TEST (any_size_and_odd_offsets_read_the_same_bytes) {
	struct pci_dev d;

	rig_init(&r, 4 * MiB, false);
	add(&d, PCI_DEVFN(3, 0));
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(3, 0), 0, 4), 0x56781234);
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(3, 0), 1, 1), 0x12);
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(3, 0), 1, 2), 0x7812);
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(3, 0), 2, 2), 0x5678);
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(3, 0), 3, 1), 0x56);
	/* across the data port's end: what is past it is nothing */
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(3, 0), 3, 2), 0xff56);
	pci_dev_del(&d);
	rig_fini(&r);
}
END_TEST

START_TEST (absent_functions_read_all_ones) {
	rig_init(&r, 4 * MiB, true);
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(7, 0), 0, 4), 0xffffffff);
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(7, 0), 0, 2), 0xffff);
	cfg_out(&r, PCI_DEVFN(7, 0), 4, 7, 2);
	/* bus 1 */
	bus_write(r.core.pio, 0xcf8, 0x80010000, 4);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xcfc, 4), 0xffffffff);
	ck_assert_uint_eq(mmio_in(&r, GMEM_ECAM_BASE + (1 << 20), 4),
		0xffffffff);
	/* not enabled */
	bus_write(r.core.pio, 0xcf8, 0, 4);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xcfc, 4), 0xffffffff);
	rig_fini(&r);
}
END_TEST

START_TEST (address_register_takes_dwords_only) {
	rig_init(&r, 4 * MiB, false);
	bus_write(r.core.pio, 0xcf8, 0x80001234, 4);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xcf8, 4), 0x80001234);
	bus_write(r.core.pio, 0xcf8, 0, 1);
	bus_write(r.core.pio, 0xcf8, 0, 2);
	bus_write(r.core.pio, 0xcfb, 0, 1);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xcf8, 4), 0x80001234);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xcf9, 1), 0xff);
	rig_fini(&r);
}
END_TEST

static unsigned cf9_val;

static uint64_t cf9_read(void *opaque, uint64_t off, unsigned size)
{
	ck_assert_ptr_eq(opaque, &cf9_val);
	ck_assert_uint_eq(off, 0);
	ck_assert_uint_eq(size, 1);
	return cf9_val;
}

static void cf9_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	cf9_read(opaque, off, size);
	cf9_val = (unsigned)val;
}

START_TEST (port_cf9_reaches_its_owner_beside_the_address_register) {
	static const struct bus_ops ops = { cf9_read, cf9_write };

	rig_init(&r, 4 * MiB, false);
	pci_bus_set_cf9(r.pci, &ops, &cf9_val);
	bus_write(r.core.pio, 0xcf9, 6, 1);
	ck_assert_uint_eq(cf9_val, 6);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xcf9, 1), 6);
	bus_write(r.core.pio, 0xcf8, 0x80000e00, 4);
	ck_assert_uint_eq(cf9_val, 6);
	rig_fini(&r);
}
END_TEST

START_TEST (writes_change_what_the_masks_allow) {
	const unsigned fn = PCI_DEVFN(2, 0);
	struct pci_dev d;

	rig_init(&r, 4 * MiB, false);
	add(&d, fn);
	cfg_out(&r, fn, 0x00, 0, 4);
	ck_assert_uint_eq(cfg_in(&r, fn, 0x00, 4), 0x56781234);
	cfg_out(&r, fn, 0x04, 0xffff, 2);
	ck_assert_uint_eq(cfg_in(&r, fn, 0x04, 2), 0x0547);
	cfg_out(&r, fn, 0x3c, 0xffff, 2);
	ck_assert_uint_eq(cfg_in(&r, fn, 0x3c, 2), 0x00ff);
	/* a one clears an error bit */
	d.cfg[7] = 0xa0;
	cfg_out(&r, fn, 0x07, 0x20, 1);
	ck_assert_uint_eq(cfg_in(&r, fn, 0x07, 1), 0x80);
	pci_dev_del(&d);
	rig_fini(&r);
}
END_TEST

START_TEST (ecam_shows_the_same_function) {
	const unsigned fn = PCI_DEVFN(31, 2);
	const uint64_t at = GMEM_ECAM_BASE + ((uint64_t)fn << 12);
	struct pci_dev d;

	rig_init(&r, 4 * MiB, true);
	add(&d, fn);
	ck_assert_uint_eq(mmio_in(&r, at, 4), 0x56781234);
	ck_assert_uint_eq(mmio_in(&r, at + 1, 2), 0x7812);
	mmio_out(&r, at + 0x3c, 0x0b, 1);
	ck_assert_uint_eq(cfg_in(&r, fn, 0x3c, 1), 0x0b);
	ck_assert_uint_eq(mmio_in(&r, at + 0x100, 4), 0);
	ck_assert_uint_eq(mmio_in(&r, at + 0xffc, 4), 0);
	/* over the function's end into the next, which is absent */
	ck_assert_uint_eq(mmio_in(&r, at + 0xffe, 4), 0xffffffff);
	mmio_out(&r, at + 0xffe, 0, 8);
	pci_dev_del(&d);
	rig_fini(&r);
}
END_TEST

START_TEST (firmware_places_and_takes_away_the_ecam_window) {
	rig_init(&r, 4 * MiB, false);
	ck_assert_uint_eq(mmio_in(&r, GMEM_ECAM_BASE, 4), 0xffffffff);
	cfg_out(&r, 0, 0x64, 0, 4);
	cfg_out(&r, 0, 0x60, 0xb0000001, 4);
	ck_assert_uint_eq(mmio_in(&r, GMEM_ECAM_BASE, 4), 0x29c08086);
	ck_assert_uint_eq(cfg_in(&r, 0, 0x60, 4), 0xb0000001);
	/* moved through itself, 64 MiB long */
	mmio_out(&r, GMEM_ECAM_BASE + 0x60, 0xe0000005, 4);
	ck_assert_uint_eq(mmio_in(&r, GMEM_ECAM_BASE, 4), 0xffffffff);
	ck_assert_uint_eq(mmio_in(&r, 0xe0000000, 4), 0x29c08086);
	/* a size that is reserved: off */
	cfg_out(&r, 0, 0x60, 0xb0000007, 4);
	ck_assert_uint_eq(mmio_in(&r, 0xe0000000, 4), 0xffffffff);
	pci_bus_reset(r.pci);
	ck_assert_uint_eq(mmio_in(&r, GMEM_ECAM_BASE, 4), 0xffffffff);
	rig_fini(&r);
}
END_TEST

START_TEST (pam_and_smram_store_what_firmware_writes) {
	rig_init(&r, 4 * MiB, false);
	cfg_out(&r, 0, 0x90, 0x33333330, 4);
	cfg_out(&r, 0, 0x9d, 0x4a, 1);
	ck_assert_uint_eq(cfg_in(&r, 0, 0x90, 4), 0x33333330);
	ck_assert_uint_eq(cfg_in(&r, 0, 0x9d, 1), 0x4a);
	pci_bus_reset(r.pci);
	ck_assert_uint_eq(cfg_in(&r, 0, 0x90, 4), 0);
	ck_assert_uint_eq(cfg_in(&r, 0, 0x9d, 1), 2);
	rig_fini(&r);
}
END_TEST

START_TEST (second_function_makes_the_first_multifunction) {
	struct pci_dev a, b;

	rig_init(&r, 4 * MiB, false);
	add(&b, PCI_DEVFN(5, 1));
	add(&a, PCI_DEVFN(5, 0));
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(5, 0), 0x0e, 1), 0x80);
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(5, 1), 0x0e, 1), 0);
	pci_dev_del(&a);
	pci_dev_del(&b);
	rig_fini(&r);
}
END_TEST

START_TEST (a_place_is_given_once) {
	struct pci_dev a, b = { 0 };
	struct err e = ERR_NONE;

	rig_init(&r, 4 * MiB, false);
	add(&a, PCI_DEVFN(5, 0));
	ck_assert_int_eq(pci_dev_add(r.pci, &b, "other", PCI_DEVFN(5, 0),
				 &some_ids, &e),
		-EEXIST);
	ck_assert_err(e, EEXIST, "slot 5.0 is taken by some");
	ck_assert_int_eq(pci_dev_add(r.pci, &b, "other", 256, &some_ids, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "no slot 32");
	pci_dev_del(&a);
	ck_assert_uint_eq(cfg_in(&r, PCI_DEVFN(5, 0), 0, 4), 0xffffffff);
	pci_dev_del(&b); /* never added: nothing happens */
	rig_fini(&r);
}
END_TEST

START_TEST (capabilities_form_a_list_and_end_with_the_space) {
	const unsigned fn = PCI_DEVFN(4, 0);
	struct pci_dev d;
	unsigned exp, n = 0;

	rig_init(&r, 4 * MiB, false);
	add(&d, fn);
	ck_assert_uint_eq(cfg_in(&r, fn, 6, 2) & 0x10, 0);
	ck_assert_uint_eq(pci_cap_add(&d, 0x09, 17), 0x40);
	pci_express_add(&d);
	exp = cfg_cap(&r, fn, 0x10, 0);
	ck_assert_uint_eq(exp, 0x54);
	ck_assert_uint_eq(cfg_in(&r, fn, 6, 2) & 0x10, 0x10);
	/* version 2, root complex integrated endpoint */
	ck_assert_uint_eq(cfg_in(&r, fn, exp + 2, 2), 0x92);
	while (pci_cap_add(&d, 0x09, 16))
		n++;
	ck_assert_uint_eq(n, (0x100 - 0x90) / 16);
	ck_assert_uint_ne(cfg_cap(&r, fn, 0x09, n), 0);
	ck_assert_uint_eq(cfg_cap(&r, fn, 0x09, n + 1), 0);
	pci_dev_del(&d);
	rig_fini(&r);
}
END_TEST

static unsigned seen_written, seen_reading;

static void on_written(struct pci_dev *d, unsigned off, unsigned len)
{
	ck_assert_uint_eq(len, 2);
	ck_assert_uint_eq(d->cfg[off], 0x55);
	seen_written = off;
}

static void on_reading(struct pci_dev *d, unsigned off, unsigned len)
{
	(void)len;
	seen_reading = off;
	d->cfg[off] = 0x77;
}

START_TEST (device_hears_of_writes_and_may_answer_reads) {
	const unsigned fn = PCI_DEVFN(4, 0);
	struct pci_dev d;

	rig_init(&r, 4 * MiB, false);
	add(&d, fn);
	d.cfg_written = on_written;
	d.cfg_reading = on_reading;
	memset(d.wmask + 0x80, 0xff, 4);
	cfg_out(&r, fn, 0x82, 0x5555, 2);
	ck_assert_uint_eq(seen_written, 0x82);
	ck_assert_uint_eq(cfg_in(&r, fn, 0x83, 1), 0x77);
	ck_assert_uint_eq(seen_reading, 0x83);
	pci_dev_del(&d);
	rig_fini(&r);
}
END_TEST

START_TEST (reset_brings_power_on_values_back) {
	const unsigned fn = PCI_DEVFN(4, 0);
	struct pci_dev d;

	rig_init(&r, 4 * MiB, false);
	add(&d, fn);
	memset(d.wmask + 0x80, 0xff, 4);
	d.cfg[0x80] = 0x11;
	cfg_out(&r, fn, 0x80, 0xffffffff, 4);
	cfg_out(&r, fn, 0x04, 6, 2);
	pci_bus_reset(r.pci);
	ck_assert_uint_eq(cfg_in(&r, fn, 0x80, 4), 0x11);
	ck_assert_uint_eq(cfg_in(&r, fn, 0x04, 2), 0);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xcf8, 4),
		0x80000000u | fn << 8 | 4);
	pci_bus_reset(r.pci);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xcf8, 4), 0);
	pci_dev_del(&d);
	rig_fini(&r);
}
END_TEST

SUITE("pci config", host_bridge_is_what_seabios_looks_for,
	any_size_and_odd_offsets_read_the_same_bytes,
	absent_functions_read_all_ones, address_register_takes_dwords_only,
	port_cf9_reaches_its_owner_beside_the_address_register,
	writes_change_what_the_masks_allow, ecam_shows_the_same_function,
	firmware_places_and_takes_away_the_ecam_window,
	pam_and_smram_store_what_firmware_writes,
	second_function_makes_the_first_multifunction, a_place_is_given_once,
	capabilities_form_a_list_and_end_with_the_space,
	device_hears_of_writes_and_may_answer_reads,
	reset_brings_power_on_values_back)
