/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Interrupts into the guest. A line is an ioctl only when its level changes.
 *
 * A message goes out by KVM_SIGNAL_MSI. After MSI_PROMOTE firings with one
 * address and data the vector gets a GSI route and an irqfd, which carry
 * cheaper and can be handed to who signals without us (io_uring, vhost).
 * When the guest moves the vector to another CPU the route is stale: it goes
 * back to KVM_SIGNAL_MSI and earns its route anew, so a guest that rewrites
 * its table all the time does not make KVM swap its routing table each time.
 *
 * Locks, both of rank IRQ and never together: lines (levels, held over the
 * ioctl so that levels reach KVM in order), msi (all fields of all vectors).
 */
#include "vm/core/irq.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vm/base/lock.h"

#include "vm/kvm/kvm.h"

#define MSI_PROMOTE 256u
/* After a failed try: not before these many more. */
#define MSI_RETRY UINT32_C(1000000)

struct irqs {
	struct kvm_vm *vm; /* NULL in unit tests */
	struct lock lines;
	uint32_t levels; /* guarded by lines, bit a GSI */
	struct lock msi;
};

int irqs_new(struct kvm_vm *vm, struct irqs **out, struct err *e)
{
	struct irqs *q = calloc(1, sizeof(*q));

	if (!q)
		return err_set(e, ENOMEM, "no memory for interrupts");
	q->vm = vm;
	lock_init(&q->lines, "irq lines", LOCK_IRQ);
	lock_init(&q->msi, "msi", LOCK_IRQ);
	*out = q;
	return 0;
}

void irqs_free(struct irqs *q)
{
	if (!q)
		return;
	lock_fini(&q->msi);
	lock_fini(&q->lines);
	free(q);
}

void irq_set(struct irqs *q, unsigned gsi, bool level)
{
	uint32_t bit;

	if (gsi >= IRQ_GSIS)
		return;
	bit = UINT32_C(1) << gsi;
	LOCK_GUARD(&q->lines);
	if (!(q->levels & bit) == !level)
		return;
	q->levels ^= bit;
	if (q->vm)
		kvm_irq_line(q->vm, gsi, level);
}

bool irq_level(struct irqs *q, unsigned gsi)
{
	if (gsi >= IRQ_GSIS)
		return false;
	LOCK_GUARD(&q->lines);
	return q->levels >> gsi & 1;
}

void irq_msi_init(struct irq_msi *m, struct irqs *q)
{
	*m = (struct irq_msi){
		.irqs = q,
		.promote_at = MSI_PROMOTE,
		.gsi = -1,
		.fd = -1,
	};
}

void irq_msi_set(struct irq_msi *m, uint64_t addr, uint32_t data)
{
	LOCK_GUARD(&m->irqs->msi);
	if (m->addr == addr && m->data == data)
		return;
	m->addr = addr;
	m->data = data;
	m->routed = false;
	m->promote_at = m->fired + MSI_PROMOTE;
}

/* Give m a route and an irqfd, or bring its stale route up to date. */
static int msi_promote_locked(struct irq_msi *m)
{
	struct kvm_vm *vm = m->irqs->vm;
	int gsi, fd, r;

	if (m->gsi >= 0)
		return kvm_route_set(vm, m->gsi, m->addr, m->data);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	gsi = r = kvm_route_add(vm, m->addr, m->data);
	if (r >= 0) {
		r = kvm_irqfd(vm, gsi, fd, true);
		if (r < 0)
			kvm_route_del(vm, gsi);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	m->gsi = gsi;
	m->fd = fd;
	return 0;
}

void irq_msi_fire(struct irq_msi *m)
{
	struct irqs *q = m->irqs;
	uint64_t addr, one = 1;
	uint32_t data;
	int fd = -1;

	lock_take(&q->msi);
	m->fired++;
	if (q->vm && !m->routed && m->fired == m->promote_at) {
		m->routed = msi_promote_locked(m) >= 0;
		m->promote_at += MSI_RETRY;
	}
	addr = m->addr;
	data = m->data;
	if (m->routed)
		fd = m->fd;
	lock_drop(&q->msi);
	if (!q->vm)
		return;
	/* a full counter means that it is signalled already */
	if (fd >= 0 && (write(fd, &one, sizeof(one)) > 0 || errno == EAGAIN))
		return;
	kvm_signal_msi(q->vm, addr, data);
}

void irq_msi_fini(struct irq_msi *m)
{
	struct irqs *q = m->irqs;

	if (!q) /* never initialised */
		return;
	lock_take(&q->msi);
	if (m->fd >= 0) {
		kvm_irqfd(q->vm, m->gsi, m->fd, false);
		kvm_route_del(q->vm, m->gsi);
		close(m->fd);
	}
	lock_drop(&q->msi);
	irq_msi_init(m, q);
}
