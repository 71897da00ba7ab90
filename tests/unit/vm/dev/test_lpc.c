// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include "vm/base/clock.h"

#include "vm/dev/lpc.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/devrig.h"

#define LPC PCI_DEVFN(31, 0)
#define PM  0x600

static struct devrig rig;
static struct device *dev;

/* Two functions with INTx: slot 1 is on PIRQ F (5), slot 31 on A (0). */
static struct pci_dev nic, sata;

static void up(void)
{
	static const struct pci_ids ids = { .vendor = 0x1af4,
		.device = 0x1041 };
	struct err e = ERR_NONE;

	memset(&nic, 0, sizeof(nic));
	memset(&sata, 0, sizeof(sata));
	devrig_init(&rig, MiB);
	ck_assert_int_eq(lpc_new(&rig.core, rig.pci, &dev, &e), 0);
	ck_assert_int_eq(pci_dev_add(rig.pci, &nic, "nic", PCI_DEVFN(1, 0),
				 &ids, &e),
		0);
	ck_assert_int_eq(pci_dev_add(rig.pci, &sata, "sata", PCI_DEVFN(31, 2),
				 &ids, &e),
		0);
	pci_intx_pin(&nic, 1);
	pci_intx_pin(&sata, 1);
}

static void down(void)
{
	pci_dev_del(&nic);
	pci_dev_del(&sata);
	dev->ops->free(dev);
	devrig_fini(&rig);
}

START_TEST (is_an_ich9_bridge) {
	up();
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0x00, 4), 0x29188086);
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0x08, 4), 0x06010002);
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0x0e, 1), 0x80);
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0x40, 4), 0x601);
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0x44, 1), 0x80);
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0x60, 4), 0x80808080);
	down();
}
END_TEST

START_TEST (pirq_drives_its_gsi_always_and_isa_when_routed) {
	up();
	pci_intx_set(&nic, true);
	ck_assert(irq(&rig, 16 + 5));
	ck_assert(!irq(&rig, 11));
	cfg_out(&rig, LPC, 0x69, 11, 1);
	ck_assert(irq(&rig, 11));
	cfg_out(&rig, LPC, 0x69, 0x8b, 1);
	ck_assert(!irq(&rig, 11));
	ck_assert(irq(&rig, 16 + 5));
	pci_intx_set(&nic, false);
	ck_assert(!irq(&rig, 16 + 5));
	down();
}
END_TEST

START_TEST (shared_isa_line_is_the_or) {
	up();
	cfg_out(&rig, LPC, 0x60, 10, 1);
	cfg_out(&rig, LPC, 0x69, 10, 1);
	pci_intx_set(&nic, true);
	pci_intx_set(&sata, true);
	ck_assert(irq(&rig, 10));
	pci_intx_set(&nic, false);
	ck_assert(irq(&rig, 10));
	pci_intx_set(&sata, false);
	ck_assert(!irq(&rig, 10));
	down();
}
END_TEST

START_TEST (sci_shares_irq_9) {
	up();
	cfg_out(&rig, LPC, 0x69, 9, 1);
	out16(&rig, PM + 2, 0x100);
	lpc_power_button(dev);
	pci_intx_set(&nic, true);
	out16(&rig, PM, 0x100);
	ck_assert(irq(&rig, 9));
	pci_intx_set(&nic, false);
	ck_assert(!irq(&rig, 9));
	down();
}
END_TEST

START_TEST (timer_and_keyboard_lines_are_not_routable) {
	up();
	pci_intx_set(&nic, true);
	for (uint8_t n = 0; n < 16; n++) {
		bool ok = 0xdef8 >> n & 1;

		cfg_out(&rig, LPC, 0x69, n, 1);
		ck_assert_int_eq(irq(&rig, n), ok);
	}
	cfg_out(&rig, LPC, 0x69, 0x80, 1);
	for (unsigned n = 0; n < 16; n++)
		ck_assert(!irq(&rig, n));
	down();
}
END_TEST

START_TEST (power_button_raises_sci_when_enabled) {
	up();
	lpc_power_button(dev);
	ck_assert(!irq(&rig, 9));
	ck_assert_uint_eq(bus_read(rig.core.pio, PM, 2) & 0x100, 0x100);
	out16(&rig, PM + 2, 0x120);
	ck_assert(irq(&rig, 9));
	out16(&rig, PM, 0x100);
	ck_assert(!irq(&rig, 9));
	ck_assert_uint_eq(bus_read(rig.core.pio, PM + 2, 2), 0x120);
	down();
}
END_TEST

START_TEST (gpe_raises_sci_when_enabled) {
	up();
	lpc_gpe(dev, 2);
	ck_assert(!irq(&rig, 9));
	ck_assert_uint_eq(in8(&rig, PM + 0x20), 4);
	out8(&rig, PM + 0x28, 4);
	ck_assert(irq(&rig, 9));
	out8(&rig, PM + 0x20, 4);
	ck_assert(!irq(&rig, 9));
	lpc_gpe(dev, 63);
	ck_assert_uint_eq(in32(&rig, PM + 0x24), 0x80000000);
	out8(&rig, PM + 0x2f, 0x80);
	ck_assert(irq(&rig, 9));
	down();
}
END_TEST

START_TEST (always_in_acpi_mode_without_smm) {
	up();
	ck_assert_uint_eq(bus_read(rig.core.pio, PM + 4, 2), 1);
	out16(&rig, PM + 4, 0);
	ck_assert_uint_eq(bus_read(rig.core.pio, PM + 4, 2), 1);
	ck_assert_uint_eq(in32(&rig, PM + 0x30), 0x20);
	out32(&rig, PM + 0x30, 0);
	ck_assert_uint_eq(in32(&rig, PM + 0x30), 0x20);
	down();
}
END_TEST

START_TEST (s5_powers_off_and_other_states_do_not) {
	up();
	out16(&rig, PM + 4, 0x2400);
	ck_assert_uint_eq(rig.requests[CORE_POWEROFF], 0);
	out16(&rig, PM + 4, 0x2000);
	ck_assert_uint_eq(rig.requests[CORE_POWEROFF], 1);
	ck_assert_uint_eq(bus_read(rig.core.pio, PM + 4, 2), 1);
	down();
}
END_TEST

START_TEST (timer_runs_at_its_rate) {
	uint64_t start, ns;
	uint32_t t0, t1;

	up();
	start = clock_now_ns();
	t0 = in32(&rig, PM + 8);
	while (clock_now_ns() - start < 10 * NS_PER_MS)
		;
	t1 = in32(&rig, PM + 8);
	ns = clock_now_ns() - start;
	ck_assert_uint_eq(t1 >> 24, 0);
	ck_assert_uint_ge((t1 - t0) & 0xffffff, 35700);
	ck_assert_uint_le((t1 - t0) & 0xffffff, ns * 36 / 10000 + 2);
	down();
}
END_TEST

START_TEST (timer_overflow_raises_sci) {
	up();
	out16(&rig, PM + 2, 1);
	devrig_until(&rig, irq(&rig, 9));
	ck_assert_uint_eq(bus_read(rig.core.pio, PM, 2) & 1, 1);
	out16(&rig, PM, 1);
	ck_assert(!irq(&rig, 9));
	down();
}
END_TEST

START_TEST (pm_block_moves_and_hides) {
	up();
	cfg_out(&rig, LPC, 0x40, 0xb001, 4);
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0x40, 4), 0xb001);
	ck_assert_uint_eq(in32(&rig, 0xb030), 0x20);
	ck_assert_uint_eq(in32(&rig, PM + 0x30), 0xffffffff);
	cfg_out(&rig, LPC, 0x44, 0, 1);
	ck_assert_uint_eq(in32(&rig, 0xb030), 0xffffffff);
	cfg_out(&rig, LPC, 0x44, 0x80, 1);
	ck_assert_uint_eq(in32(&rig, 0xb030), 0x20);
	dev->ops->reset(dev);
	ck_assert_uint_eq(in32(&rig, PM + 0x30), 0x20);
	ck_assert_uint_eq(in32(&rig, 0xb030), 0xffffffff);
	down();
}
END_TEST

START_TEST (root_complex_block_is_where_rcba_says) {
	const uint64_t at = 0xfed1c000;

	up();
	ck_assert_uint_eq(bus_read(rig.core.mmio, at, 4), 0xffffffff);
	cfg_out(&rig, LPC, 0xf0, 0xfed1c001, 4);
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0xf0, 4), 0xfed1c001);
	ck_assert_uint_eq(bus_read(rig.core.mmio, at, 4), 0);
	ck_assert_uint_eq(bus_read(rig.core.mmio, at + 0x3410, 4), 0x20);
	bus_write(rig.core.mmio, at, 1, 4);
	cfg_out(&rig, LPC, 0xf0, 0, 4);
	ck_assert_uint_eq(bus_read(rig.core.mmio, at, 4), 0xffffffff);
	down();
}
END_TEST

START_TEST (cf9_resets_on_the_rising_bit) {
	up();
	out8(&rig, 0xcf9, 0x02);
	ck_assert_uint_eq(rig.requests[CORE_RESET], 0);
	out8(&rig, 0xcf9, 0x06);
	ck_assert_uint_eq(rig.requests[CORE_RESET], 1);
	out8(&rig, 0xcf9, 0x0e);
	ck_assert_uint_eq(rig.requests[CORE_RESET], 1);
	ck_assert_uint_eq(in8(&rig, 0xcf9), 0x0e);
	dev->ops->reset(dev);
	ck_assert_uint_eq(in8(&rig, 0xcf9), 0);
	out8(&rig, 0xcf9, 0x0f); /* FADT */
	ck_assert_uint_eq(rig.requests[CORE_RESET], 2);
	/* the address register beside it is as it was */
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0, 4), 0x29188086);
	down();
}
END_TEST

START_TEST (port_92_stores_a20_and_resets) {
	up();
	ck_assert_uint_eq(in8(&rig, 0x92), 2);
	out8(&rig, 0x92, 0);
	ck_assert_uint_eq(in8(&rig, 0x92), 0);
	out8(&rig, 0x92, 3);
	ck_assert_uint_eq(rig.requests[CORE_RESET], 1);
	down();
}
END_TEST

START_TEST (apm_and_post_ports_are_storage) {
	up();
	out8(&rig, 0xb2, 0xb5);
	out8(&rig, 0xb3, 0x12);
	ck_assert_uint_eq(in8(&rig, 0xb2), 0xb5);
	ck_assert_uint_eq(bus_read(rig.core.pio, 0xb2, 2), 0x12b5);
	out16(&rig, 0xb2, 0x3456);
	ck_assert_uint_eq(in8(&rig, 0xb3), 0x34);
	out8(&rig, 0x80, 0x77);
	ck_assert_uint_eq(in8(&rig, 0x80), 0x77);
	out8(&rig, 0xed, 1);
	ck_assert_uint_eq(in8(&rig, 0x80), 0x77);
	down();
}
END_TEST

START_TEST (reset_drops_events_and_lines) {
	up();
	out16(&rig, PM + 2, 0x100);
	lpc_power_button(dev);
	lpc_gpe(dev, 1);
	ck_assert(irq(&rig, 9));
	pci_bus_reset(rig.pci);
	dev->ops->reset(dev);
	ck_assert(!irq(&rig, 9));
	ck_assert_uint_eq(bus_read(rig.core.pio, PM, 4), 0);
	ck_assert_uint_eq(in32(&rig, PM + 0x20), 0);
	ck_assert_uint_eq(cfg_in(&rig, LPC, 0x40, 4), 0x601);
	down();
}
END_TEST

START_TEST (place_that_is_taken_is_refused) {
	struct err e = ERR_NONE;
	struct device *other = NULL;

	up();
	ck_assert_int_eq(lpc_new(&rig.core, rig.pci, &other, &e), -EEXIST);
	ck_assert_int_eq(e.code, EEXIST);
	ck_assert_uint_eq(in32(&rig, PM + 0x30), 0x20);
	down();
}
END_TEST

SUITE("lpc", is_an_ich9_bridge, pirq_drives_its_gsi_always_and_isa_when_routed,
	shared_isa_line_is_the_or, sci_shares_irq_9,
	timer_and_keyboard_lines_are_not_routable,
	power_button_raises_sci_when_enabled, gpe_raises_sci_when_enabled,
	always_in_acpi_mode_without_smm, s5_powers_off_and_other_states_do_not,
	timer_runs_at_its_rate, timer_overflow_raises_sci,
	pm_block_moves_and_hides, root_complex_block_is_where_rcba_says,
	cf9_resets_on_the_rising_bit, port_92_stores_a20_and_resets,
	apm_and_post_ports_are_storage, reset_drops_events_and_lines,
	place_that_is_taken_is_refused)
