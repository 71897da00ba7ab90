/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memslots and their dirty logs. With manual protection a log is read first
 * and only pages that were found written are write-protected again, so
 * reading a quiet screen costs one ioctl and no fault.
 */
#include <errno.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/kvm/kvm_impl.h"

int kvm_slot_new(struct kvm_vm *vm)
{
	LOCK_GUARD(&vm->lock);
	for (unsigned i = 0; i < KVM_SLOTS_MAX && i < vm->max_slots; i++) {
		if (vm->slot_used[i])
			continue;
		vm->slot_used[i] = true;
		return (int)i;
	}
	return -ENOSPC;
}

void kvm_slot_free(struct kvm_vm *vm, int slot)
{
	if (slot < 0)
		return;
	kvm_slot_hide(vm, slot);
	LOCK_GUARD(&vm->lock);
	vm->slot_used[slot] = false;
}

int kvm_slot_show(struct kvm_vm *vm, int slot, uint64_t gpa, uint64_t len,
	void *host, unsigned flags)
{
	struct kvm_userspace_memory_region m = {
		.slot = (uint32_t)slot,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uint64_t)(uintptr_t)host,
	};
	int r;

	if (flags & KVM_SLOT_ROM && vm->readonly_mem)
		m.flags |= KVM_MEM_READONLY;
	if (flags & KVM_SLOT_DIRTY)
		m.flags |= KVM_MEM_LOG_DIRTY_PAGES;
	r = kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &m);
	return r < 0 ? r : 0;
}

int kvm_slot_hide(struct kvm_vm *vm, int slot)
{
	struct kvm_userspace_memory_region m = { .slot = (uint32_t)slot };
	int r = kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &m);

	/* a slot that is not shown: KVM says EINVAL, which is what we want */
	return r < 0 && r != -EINVAL ? r : 0;
}

/* Write-protect what words [first, last] of scratch say was written. */
static int kvm_dirty_clear(struct kvm_vm *vm, int slot, uint64_t pages,
	uint64_t *scratch, size_t first, size_t last)
{
	uint64_t start = first * UINT64_C(64);
	uint64_t end = (last + 1) * UINT64_C(64);
	struct kvm_clear_dirty_log c = {
		.slot = (uint32_t)slot,
		.first_page = start,
		.num_pages = (uint32_t)((end < pages ? end : pages) - start),
		.dirty_bitmap = scratch + first,
	};

	return kvm_ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &c);
}

int kvm_slot_dirty(struct kvm_vm *vm, int slot, uint64_t len, uint64_t *bitmap,
	uint64_t *scratch)
{
	uint64_t pages = len / 4096;
	size_t words = (size_t)((pages + 63) / 64), first = words, last = 0;
	struct kvm_dirty_log log = {
		.slot = (uint32_t)slot,
		.dirty_bitmap = scratch,
	};
	int r;

	memset(scratch, 0, words * sizeof(*scratch));
	r = kvm_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
	if (r < 0)
		return r;
	for (size_t i = 0; i < words; i++) {
		if (!scratch[i])
			continue;
		if (first == words)
			first = i;
		last = i;
		bitmap[i] |= scratch[i];
	}
	if (first == words)
		return 0;
	if (vm->dirty_protect) {
		r = kvm_dirty_clear(vm, slot, pages, scratch, first, last);
		if (r < 0)
			return r;
	}
	return 1;
}
