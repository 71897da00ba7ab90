/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Interrupts into the guest. KVM's routing table is replaced as a whole at
 * each change, so it is kept here: the chips' own lines, then one entry a
 * route in use.
 *
 * Lock: route_lock (rank IRQ + 1), held over KVM_SET_GSI_ROUTING so that
 * tables reach the kernel in order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/kvm/kvm_impl.h"

int kvm_irq_line(struct kvm_vm *vm, unsigned gsi, bool level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };
	int r = kvm_ioctl(vm->fd, KVM_IRQ_LINE, &l);

	return r < 0 ? r : 0;
}

int kvm_signal_msi(struct kvm_vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi m = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
	};
	int r = kvm_ioctl(vm->fd, KVM_SIGNAL_MSI, &m);

	return r < 0 ? r : 0;
}

static void kvm_route_chip(struct kvm_irq_routing *t, unsigned gsi,
	unsigned chip, unsigned pin)
{
	t->entries[t->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/*
 * The chips' lines. KVM's own default differs in the timer: here GSI 0 goes
 * to pin 2 of the IOAPIC, as on a PC and as the MADT's override says; GSI 2
 * is the cascade between the PICs and goes nowhere.
 */
static void kvm_route_defaults(struct kvm_irq_routing *t)
{
	for (unsigned i = 0; i < 16; i++)
		if (i != 2)
			kvm_route_chip(t, i,
				i < 8 ? KVM_IRQCHIP_PIC_MASTER
				      : KVM_IRQCHIP_PIC_SLAVE,
				i & 7);
	for (unsigned i = 0; i < KVM_IOAPIC_PINS; i++)
		if (i != 2)
			kvm_route_chip(t, i, KVM_IRQCHIP_IOAPIC, i ? i : 2);
}

static void kvm_route_msi(struct kvm_irq_routing *t, unsigned gsi,
	const struct kvm_route *r)
{
	t->entries[t->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {
			.address_lo = (uint32_t)r->addr,
			.address_hi = (uint32_t)(r->addr >> 32),
			.data = r->data,
		},
	};
}

/* Send the whole table. */
static int kvm_routes_send_locked(struct kvm_vm *vm)
{
	size_t max = 16 + KVM_IOAPIC_PINS + vm->nroutes;
	struct kvm_irq_routing *t =
		calloc(1, sizeof(*t) + max * sizeof(t->entries[0]));
	int r;

	if (!t)
		return -ENOMEM;
	kvm_route_defaults(t);
	for (unsigned i = 0; i < vm->nroutes; i++)
		if (vm->routes[i].used)
			kvm_route_msi(t, KVM_IOAPIC_PINS + i, &vm->routes[i]);
	r = kvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, t);
	free(t);
	return r < 0 ? r : 0;
}

int kvm_routes_init(struct kvm_vm *vm)
{
	LOCK_GUARD(&vm->route_lock);
	return kvm_routes_send_locked(vm);
}

/* Index of an unused route, growing the table; or -errno. */
static int kvm_route_find_locked(struct kvm_vm *vm)
{
	unsigned n = vm->nroutes;
	struct kvm_route *routes;

	for (unsigned i = 0; i < n; i++)
		if (!vm->routes[i].used)
			return (int)i;
	if (16 + KVM_IOAPIC_PINS + n + 32 > vm->max_routes)
		return -ENOSPC;
	routes = realloc(vm->routes, (n + 32) * sizeof(*routes));
	if (!routes)
		return -ENOMEM;
	memset(routes + n, 0, 32 * sizeof(*routes));
	vm->routes = routes;
	vm->nroutes = n + 32;
	return (int)n;
}

int kvm_route_add(struct kvm_vm *vm, uint64_t addr, uint32_t data)
{
	int i, r;

	LOCK_GUARD(&vm->route_lock);
	i = kvm_route_find_locked(vm);
	if (i < 0)
		return i;
	vm->routes[i] = (struct kvm_route){ true, addr, data };
	r = kvm_routes_send_locked(vm);
	if (r < 0) {
		vm->routes[i].used = false;
		return r;
	}
	return KVM_IOAPIC_PINS + i;
}

int kvm_route_set(struct kvm_vm *vm, int gsi, uint64_t addr, uint32_t data)
{
	unsigned i = (unsigned)gsi - KVM_IOAPIC_PINS;
	struct kvm_route old;
	int r;

	LOCK_GUARD(&vm->route_lock);
	if (i >= vm->nroutes || !vm->routes[i].used)
		return -EINVAL;
	old = vm->routes[i];
	if (old.addr == addr && old.data == data)
		return 0;
	vm->routes[i] = (struct kvm_route){ true, addr, data };
	r = kvm_routes_send_locked(vm);
	if (r < 0)
		vm->routes[i] = old;
	return r;
}

void kvm_route_del(struct kvm_vm *vm, int gsi)
{
	unsigned i = (unsigned)gsi - KVM_IOAPIC_PINS;

	LOCK_GUARD(&vm->route_lock);
	/*
	 * Not sent: the entry does no harm without its irqfd, and the next
	 * change drops it. Freeing a guest then costs no table a vector.
	 */
	if (i < vm->nroutes)
		vm->routes[i].used = false;
}

int kvm_irqfd(struct kvm_vm *vm, int gsi, int fd, bool on)
{
	struct kvm_irqfd f = {
		.fd = (uint32_t)fd,
		.gsi = (uint32_t)gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};
	int r = kvm_ioctl(vm->fd, KVM_IRQFD, &f);

	return r < 0 ? r : 0;
}
