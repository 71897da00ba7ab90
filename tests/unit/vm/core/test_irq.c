// SPDX-License-Identifier: GPL-3.0-or-later
/* Interrupts without KVM: levels are remembered. */
#include "vm/core/irq.h"

#include "tests/unit/suite.h"

static struct irqs *new_irqs(void)
{
	struct irqs *q;
	struct err e = ERR_NONE;

	ck_assert_int_eq(irqs_new(NULL, &q, &e), 0);
	return q;
}

START_TEST (a_line_keeps_its_level) {
	struct irqs *q = new_irqs();

	for (unsigned i = 0; i < IRQ_GSIS; i++) {
		ck_assert(!irq_level(q, i));
		irq_set(q, i, true);
		irq_set(q, i, true);
		ck_assert(irq_level(q, i));
	}
	irq_set(q, 5, false);
	ck_assert(!irq_level(q, 5));
	ck_assert(irq_level(q, 4));
	ck_assert(irq_level(q, 6));
	irq_pulse(q, 5);
	ck_assert(!irq_level(q, 5));
	irqs_free(q);
	irqs_free(NULL);
}
END_TEST

START_TEST (a_line_that_is_none_is_ignored) {
	struct irqs *q = new_irqs();

	irq_set(q, IRQ_GSIS, true);
	irq_set(q, 31, true);
	irq_set(q, 1000, true);
	ck_assert(!irq_level(q, IRQ_GSIS));
	ck_assert(!irq_level(q, 1000));
	for (unsigned i = 0; i < IRQ_GSIS; i++)
		ck_assert(!irq_level(q, i));
	irqs_free(q);
}
END_TEST

START_TEST (a_message_counts_its_firings) {
	struct irqs *q = new_irqs();
	struct irq_msi m;

	irq_msi_init(&m, q);
	irq_msi_fire(&m);
	irq_msi_set(&m, 0xfee00000, 0x41);
	for (int i = 0; i < 1000; i++)
		irq_msi_fire(&m);
	ck_assert_uint_eq(m.fired, 1001);
	ck_assert_uint_eq(m.addr, 0xfee00000);
	ck_assert_uint_eq(m.data, 0x41);
	ck_assert_int_eq(m.gsi, -1);
	ck_assert_int_eq(m.fd, -1);
	irq_msi_fini(&m);
	ck_assert_uint_eq(m.fired, 0);
	irq_msi_fini(&m);
	irqs_free(q);
}
END_TEST

START_TEST (what_was_never_made_can_be_ended) {
	struct irq_msi m = { 0 };

	irq_msi_fini(&m);
}
END_TEST

SUITE("irq", a_line_keeps_its_level, a_line_that_is_none_is_ignored,
	a_message_counts_its_firings, what_was_never_made_can_be_ended)
