/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Interrupts: lines of the in-kernel PIC and IOAPIC by GSI (0-15 ISA, 16-23
 * PCI) and message-signalled ones. Thread: any; takes only LOCK_IRQ.
 */
#ifndef VM_CORE_IRQ_H
#define VM_CORE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/base/err.h"

struct irqs;
struct kvm_vm;

#define IRQ_GSIS 24

/* vm may be NULL in unit tests: levels are then only remembered. */
int irqs_new(struct kvm_vm *vm, struct irqs **out, struct err *e);
void irqs_free(struct irqs *q);

/*
 * Drive a line. Each caller owns its line; who shares one ORs before. A gsi
 * past IRQ_GSIS is ignored.
 */
void irq_set(struct irqs *q, unsigned gsi, bool level);
bool irq_level(struct irqs *q, unsigned gsi); /* last level set */
/* Edge: up and down again. */
static inline void irq_pulse(struct irqs *q, unsigned gsi)
{
	irq_set(q, gsi, true);
	irq_set(q, gsi, false);
}

/*
 * One MSI or MSI-X vector. Delivered with KVM_SIGNAL_MSI; a vector that
 * fires often gets a GSI route and an irqfd of its own (see irq.c).
 * Embedded in its owner; guarded by the owner's lock, but irq_msi_fire() is
 * safe from any thread between set and fini.
 */
struct irq_msi {
	struct irqs *irqs;
	uint64_t addr;
	uint32_t data;
	uint32_t fired;      /* since init */
	uint32_t promote_at; /* value of fired at which it gets a route */
	int gsi;             /* -1 = no route */
	int fd;              /* irqfd, -1 = none */
	bool routed;         /* the route has the present addr and data */
};

void irq_msi_init(struct irq_msi *m, struct irqs *q);
/* What the guest wrote; any value is safe, a senseless one reaches no CPU. */
void irq_msi_set(struct irq_msi *m, uint64_t addr, uint32_t data);
void irq_msi_fire(struct irq_msi *m);
/* Give route and irqfd back; init may follow. */
void irq_msi_fini(struct irq_msi *m);

#endif
