// SPDX-License-Identifier: GPL-3.0-or-later
/* Interrupts into a running guest. */
#include "tests/kvm/rig.h"

#define MSI_ADDR UINT64_C(0xfee00000) /* APIC 0, physical */
#define MSI_DATA 0x40u                /* vector, fixed, edge */

START_TEST (a_line_reaches_the_guest_by_the_pic) {
	struct rig r;

	rig_up(&r, "line", MiB, 1);
	rig_start(&r);
	rig_wait_seen(&r, 1);
	ck_assert(!irq_level(r.core.irqs, 3));
	irq_pulse(r.core.irqs, 3);
	rig_wait_done(&r, 1);
	ck_assert_uint_eq(r.seen[1], 0x2b);
	rig_down(&r);
}
END_TEST

START_TEST (a_message_reaches_the_guest) {
	struct rig r;
	struct irq_msi m;

	rig_up(&r, "msi", MiB, 1);
	irq_msi_init(&m, r.core.irqs);
	irq_msi_set(&m, MSI_ADDR, MSI_DATA);
	rig_start(&r);
	rig_wait_seen(&r, 1);
	irq_msi_fire(&m);
	rig_wait_seen(&r, 2);
	ck_assert_uint_eq(r.seen[1], 0x40);
	irq_msi_fini(&m);
	rig_down(&r);
}
END_TEST

START_TEST (a_busy_message_gets_a_route_and_still_arrives) {
	struct rig r;
	struct irq_msi m;

	rig_up(&r, "msi", MiB, 1);
	irq_msi_init(&m, r.core.irqs);
	irq_msi_set(&m, MSI_ADDR, MSI_DATA);
	rig_start(&r);
	rig_wait_seen(&r, 1);
	for (unsigned i = 0; i < 300; i++) {
		irq_msi_fire(&m);
		rig_wait_seen(&r, 2 + i);
		ck_assert_int_eq(m.routed, i >= 255);
	}
	ck_assert_int_ge(m.gsi, IRQ_GSIS);
	ck_assert_int_ge(m.fd, 0);
	/* elsewhere now: the old route is not used, the new data is */
	irq_msi_set(&m, MSI_ADDR, 0x0100u);
	irq_msi_set(&m, MSI_ADDR, MSI_DATA);
	ck_assert(!m.routed);
	for (unsigned i = 0; i < 300; i++) {
		irq_msi_fire(&m);
		rig_wait_seen(&r, 302 + i);
		ck_assert_int_eq(m.routed, i >= 255);
	}
	irq_msi_fini(&m);
	ck_assert_int_eq(m.gsi, -1);
	ck_assert_int_eq(m.fd, -1);
	rig_down(&r);
}
END_TEST

START_TEST (a_route_table_holds_its_limit) {
	struct kvm_vm *vm;
	struct err e = ERR_NONE;
	int n = 0, gsi;

	ck_assert_int_eq(kvm_vm_new(&vm, &e), 0);
	while ((gsi = kvm_route_add(vm, MSI_ADDR, 0x40)) >= 0 && n < 200)
		ck_assert_int_eq(gsi, IRQ_GSIS + n++);
	ck_assert_int_eq(n, 200);
	ck_assert_int_eq(kvm_route_set(vm, IRQ_GSIS + 7, MSI_ADDR, 0x41), 0);
	kvm_route_del(vm, IRQ_GSIS + 7);
	ck_assert_int_lt(kvm_route_set(vm, IRQ_GSIS + 7, MSI_ADDR, 0x42), 0);
	ck_assert_int_lt(kvm_route_set(vm, 3, MSI_ADDR, 0x42), 0);
	/* the free number is used again */
	ck_assert_int_eq(kvm_route_add(vm, MSI_ADDR, 0x43), IRQ_GSIS + 7);
	kvm_vm_free(vm);
}
END_TEST

START_TEST (senseless_messages_harm_nobody) {
	struct rig r;
	struct irq_msi m;

	rig_up(&r, "msi", MiB, 1);
	irq_msi_init(&m, r.core.irqs);
	rig_start(&r);
	rig_wait_seen(&r, 1);
	irq_msi_fire(&m); /* never set */
	for (unsigned i = 0; i < 600; i++) {
		irq_msi_set(&m, UINT64_C(0x123456789) * (i / 280),
			UINT32_MAX - i / 280);
		irq_msi_fire(&m);
	}
	irq_msi_set(&m, MSI_ADDR, MSI_DATA);
	irq_msi_fire(&m);
	rig_wait_seen(&r, 2);
	irq_msi_fini(&m);
	rig_down(&r);
}
END_TEST

KVM_SUITE("irq", a_line_reaches_the_guest_by_the_pic,
	a_message_reaches_the_guest,
	a_busy_message_gets_a_route_and_still_arrives,
	a_route_table_holds_its_limit, senseless_messages_harm_nobody)
