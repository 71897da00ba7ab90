/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Guest writes that need no exit: eventfds on addresses, and the ring of
 * gathered (coalesced) MMIO writes that all vCPUs of a VM share. No locks:
 * the kernel serialises ioeventfds, the caller serialises the ring's reader.
 */
#include <errno.h>
#include <string.h>

#include "vm/kvm/kvm_impl.h"

/* Entries fill the page behind the ring's head. */
#define KVM_RING_ENTRIES                                                       \
	((4096 - sizeof(struct kvm_coalesced_mmio_ring)) /                     \
		sizeof(struct kvm_coalesced_mmio))

int kvm_ioeventfd(struct kvm_vm *vm, bool port, uint64_t addr, unsigned size,
	bool match, uint64_t val, int fd, bool on)
{
	struct kvm_ioeventfd f = {
		.datamatch = match ? val : 0,
		.addr = addr,
		.len = size,
		.fd = fd,
	};
	int r;

	if (port)
		f.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (match)
		f.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	if (!on)
		f.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	r = kvm_ioctl(vm->fd, KVM_IOEVENTFD, &f);
	return r < 0 ? r : 0;
}

int kvm_coalesce(struct kvm_vm *vm, uint64_t addr, uint64_t len, bool on)
{
	struct kvm_coalesced_mmio_zone z = { .addr = addr };
	int r;

	if (!vm->coalesced_page)
		return -ENOTSUP;
	if (len == 0 || len > UINT32_MAX)
		return -EINVAL;
	z.size = (uint32_t)len;
	r = kvm_ioctl(vm->fd,
		on ? KVM_REGISTER_COALESCED_MMIO
		   : KVM_UNREGISTER_COALESCED_MMIO,
		&z);
	return r < 0 ? r : 0;
}

bool kvm_coalesced_any(struct kvm_vm *vm)
{
	struct kvm_coalesced_mmio_ring *r =
		atomic_load_explicit(&vm->ring, memory_order_acquire);

	return r && __atomic_load_n(&r->first, __ATOMIC_ACQUIRE) !=
			    __atomic_load_n(&r->last, __ATOMIC_ACQUIRE);
}

bool kvm_coalesced_pop(struct kvm_vm *vm, struct kvm_write *out)
{
	struct kvm_coalesced_mmio_ring *r = atomic_load(&vm->ring);
	const struct kvm_coalesced_mmio *m;
	uint32_t first;

	if (!r)
		return false;
	first = __atomic_load_n(&r->first, __ATOMIC_RELAXED);
	/* pairs with the kernel's barrier before it moves last */
	if (first == __atomic_load_n(&r->last, __ATOMIC_ACQUIRE))
		return false;
	m = &r->coalesced_mmio[first % KVM_RING_ENTRIES];
	out->addr = m->phys_addr;
	out->len = m->len < sizeof(out->data) ? m->len : sizeof(out->data);
	memcpy(out->data, m->data, sizeof(out->data));
	/* the kernel reuses the entry from here on */
	__atomic_store_n(&r->first, (uint32_t)((first + 1) % KVM_RING_ENTRIES),
		__ATOMIC_RELEASE);
	return true;
}
