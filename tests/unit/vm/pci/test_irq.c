/* SPDX-License-Identifier: GPL-3.0-or-later */
/* INTx wires and MSI-X. */
#include <errno.h>

#include "vm/pci/pci_impl.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/pci/rig.h"

#define FN PCI_DEVFN(1, 0)

static const struct pci_ids ids = { 0x1234, 1, 0x1234, 2, 0x02000000 };

static struct rig r;
static struct pci_dev dev;

static void add(struct pci_dev *d, unsigned devfn, unsigned pin)
{
	struct err e = ERR_NONE;

	memset(d, 0, sizeof(*d));
	ck_assert_int_eq(pci_dev_add(r.pci, d, "some", devfn, &ids, &e), 0);
	pci_intx_pin(d, pin);
}

START_TEST (slots_rotate_over_the_pirqs) {
	ck_assert_uint_eq(pci_pirq(0, 1), 4);
	ck_assert_uint_eq(pci_pirq(1, 1), 5);
	ck_assert_uint_eq(pci_pirq(1, 4), 4);
	ck_assert_uint_eq(pci_pirq(24, 2), 5);
	ck_assert_uint_eq(pci_pirq(25, 2), 1);
	ck_assert_uint_eq(pci_pirq(30, 1), 4);
	ck_assert_uint_eq(pci_pirq(31, 3), 2);
}
END_TEST

START_TEST (a_shared_wire_is_high_while_anyone_asserts) {
	struct pci_dev a, b;

	rig_init(&r, 4 * MiB, false);
	add(&a, PCI_DEVFN(1, 0), 1);
	add(&b, PCI_DEVFN(5, 0), 1); /* both on PIRQF */
	pci_intx_set(&a, true);
	ck_assert(r.pirq[5]);
	pci_intx_set(&b, true);
	pci_intx_set(&b, true);
	pci_intx_set(&a, false);
	ck_assert(r.pirq[5]);
	pci_intx_set(&b, false);
	ck_assert(!r.pirq[5]);
	ck_assert_uint_eq(r.routed, 2);
	pci_intx_set(&b, true);
	pci_bus_reroute(r.pci);
	ck_assert_uint_eq(r.routed, 11);
	ck_assert(r.pirq[5]);
	pci_dev_del(&b); /* lets go of the wire */
	ck_assert(!r.pirq[5]);
	pci_dev_del(&a);
	rig_fini(&r);
}
END_TEST

START_TEST (the_disable_bit_gates_the_wire_but_not_the_status) {
	rig_init(&r, 4 * MiB, false);
	add(&dev, FN, 1);
	cfg_out(&r, FN, 4, 0x400, 2);
	pci_intx_set(&dev, true);
	ck_assert(!r.pirq[5]);
	ck_assert_uint_eq(cfg_in(&r, FN, 6, 2) & 8, 8);
	cfg_out(&r, FN, 4, 0, 2);
	ck_assert(r.pirq[5]);
	pci_bus_reset(r.pci);
	ck_assert(!r.pirq[5]);
	ck_assert_uint_eq(cfg_in(&r, FN, 6, 2) & 8, 0);
	pci_dev_del(&dev);
	rig_fini(&r);
}
END_TEST

START_TEST (a_device_without_a_pin_drives_no_wire) {
	rig_init(&r, 4 * MiB, false);
	add(&dev, FN, 0);
	pci_intx_set(&dev, true);
	ck_assert_uint_eq(r.routed, 0);
	pci_dev_del(&dev);
	rig_fini(&r);
}
END_TEST

#define TABLE UINT64_C(0xe0000000)

static void msix_start(unsigned n)
{
	struct err e = ERR_NONE;

	rig_init(&r, 4 * MiB, false);
	add(&dev, FN, 1);
	ck_assert_int_eq(pci_msix_add(&dev, n, 1, &e), 0);
	cfg_out(&r, FN, 0x14, (uint32_t)TABLE, 4);
	cfg_out(&r, FN, 4, 2, 2);
}

static void msix_stop(void)
{
	pci_dev_del(&dev);
	rig_fini(&r);
}

static void entry(unsigned i, uint32_t data, bool masked)
{
	mmio_out(&r, TABLE + i * 16, 0xfee00000, 4);
	mmio_out(&r, TABLE + i * 16 + 4, 0, 4);
	mmio_out(&r, TABLE + i * 16 + 8, data, 4);
	mmio_out(&r, TABLE + i * 16 + 12, masked, 4);
}

static unsigned fired(unsigned i)
{
	return dev.msix->vec[i].fired;
}

START_TEST (msix_registers_tell_table_and_pba) {
	unsigned cap;

	msix_start(3);
	cap = cfg_cap(&r, FN, 0x11, 0);
	ck_assert_uint_ne(cap, 0);
	ck_assert_uint_eq(cfg_in(&r, FN, cap + 2, 2), 2);
	ck_assert_uint_eq(cfg_in(&r, FN, cap + 4, 4), 1);
	ck_assert_uint_eq(cfg_in(&r, FN, cap + 8, 4), 0x801);
	/* all masked at first */
	ck_assert_uint_eq(mmio_in(&r, TABLE + 12, 4), 1);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 2 * 16 + 12, 4), 1);
	/* only the mask bit of a vector's control exists */
	mmio_out(&r, TABLE + 12, 0xfffffffe, 4);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 12, 4), 0);
	mmio_out(&r, TABLE, UINT64_C(0x1122334455667788), 8);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 4, 4), 0x11223344);
	/* past the table: nothing */
	mmio_out(&r, TABLE + 48, 0xffffffff, 4);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 48, 4), 0);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 0xffc, 4), 0);
	msix_stop();
}
END_TEST

START_TEST (a_vector_fires_when_enabled_and_unmasked) {
	unsigned cap;

	msix_start(3);
	cap = cfg_cap(&r, FN, 0x11, 0);
	entry(1, 0x41, false);
	pci_msix_fire(&dev, 1);
	ck_assert(!pci_msix_enabled(&dev));
	ck_assert_uint_eq(fired(1), 0);
	cfg_out(&r, FN, cap + 2, 0x8000, 2);
	ck_assert(pci_msix_enabled(&dev));
	ck_assert_uint_eq(fired(1), 0); /* nothing was kept while disabled */
	pci_msix_fire(&dev, 1);
	ck_assert_uint_eq(fired(1), 1);
	ck_assert_uint_eq(dev.msix->vec[1].data, 0x41);
	ck_assert_uint_eq(dev.msix->vec[1].addr, 0xfee00000);
	pci_msix_fire(&dev, 3);      /* no such vector */
	pci_msix_fire(&dev, 0xffff); /* none chosen */
	msix_stop();
}
END_TEST

START_TEST (a_masked_vector_waits_as_pending) {
	unsigned cap;

	msix_start(3);
	cap = cfg_cap(&r, FN, 0x11, 0);
	cfg_out(&r, FN, cap + 2, 0x8000, 2);
	entry(2, 0x42, true);
	pci_msix_fire(&dev, 2);
	pci_msix_fire(&dev, 2);
	ck_assert_uint_eq(fired(2), 0);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 0x800, 8), 4);
	mmio_out(&r, TABLE + 0x800, 0, 8); /* read-only */
	ck_assert_uint_eq(mmio_in(&r, TABLE + 0x800, 1), 4);
	mmio_out(&r, TABLE + 2 * 16 + 12, 0, 4);
	ck_assert_uint_eq(fired(2), 1);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 0x800, 8), 0);
	msix_stop();
}
END_TEST

START_TEST (the_function_mask_holds_all_vectors_back) {
	unsigned cap;

	msix_start(3);
	cap = cfg_cap(&r, FN, 0x11, 0);
	cfg_out(&r, FN, cap + 2, 0xc000, 2);
	entry(0, 0x40, false);
	entry(1, 0x41, true);
	pci_msix_fire(&dev, 0);
	pci_msix_fire(&dev, 1);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 0x800, 4), 3);
	cfg_out(&r, FN, cap + 2, 0x8000, 2);
	ck_assert_uint_eq(fired(0), 1);
	ck_assert_uint_eq(fired(1), 0);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 0x800, 4), 2);
	pci_bus_reset(r.pci);
	ck_assert(!pci_msix_enabled(&dev));
	cfg_out(&r, FN, 0x14, (uint32_t)TABLE, 4);
	cfg_out(&r, FN, 4, 2, 2);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 0x800, 4), 0);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 12, 4), 1);
	msix_stop();
}
END_TEST

START_TEST (many_vectors_get_a_larger_bar) {
	unsigned cap;

	msix_start(2048);
	cap = cfg_cap(&r, FN, 0x11, 0);
	ck_assert_uint_eq(cfg_in(&r, FN, cap + 8, 4), 0x8001);
	cfg_out(&r, FN, cap + 2, 0x8000, 2);
	pci_msix_fire(&dev, 2047);
	ck_assert_uint_eq(mmio_in(&r, TABLE + 0x8000 + 255, 1), 0x80);
	msix_stop();
}
END_TEST

START_TEST (msix_refuses_what_the_format_cannot_hold) {
	struct err e = ERR_NONE;

	rig_init(&r, 4 * MiB, false);
	add(&dev, FN, 1);
	ck_assert_int_eq(pci_msix_add(&dev, 0, 1, &e), -EINVAL);
	ck_assert_int_eq(pci_msix_add(&dev, 2049, 1, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "2049 MSI-X vectors");
	while (pci_cap_add(&dev, 9, 16))
		;
	ck_assert_int_eq(pci_msix_add(&dev, 1, 1, &e), -ENOSPC);
	ck_assert_err(e, ENOSPC, "config space is full");
	ck_assert(!pci_msix_enabled(&dev));
	pci_msix_fire(&dev, 0);
	pci_dev_del(&dev);
	rig_fini(&r);
}
END_TEST

SUITE("pci irq", slots_rotate_over_the_pirqs,
	a_shared_wire_is_high_while_anyone_asserts,
	the_disable_bit_gates_the_wire_but_not_the_status,
	a_device_without_a_pin_drives_no_wire,
	msix_registers_tell_table_and_pba,
	a_vector_fires_when_enabled_and_unmasked,
	a_masked_vector_waits_as_pending,
	the_function_mask_holds_all_vectors_back, many_vectors_get_a_larger_bar,
	msix_refuses_what_the_format_cannot_hold)
