/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A virtual machine: its descriptor, the chips in the kernel and what was
 * learnt about the host once. Start cost matters, so each fact is asked for
 * once and nothing is set that is the default anyway.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/kvm/kvm_impl.h"

static int kvm_err_create(int code, struct err *e)
{
	if (code == EBUSY || code == EIO)
		return err_set(e, code,
			"KVM cannot switch the CPU's virtualisation on: "
			"another hypervisor (VirtualBox, VMware) holds it, or "
			"the BIOS locks it off");
	if (code == ENOMEM)
		return err_set(e, code,
			"no memory in the kernel for a virtual machine");
	return err_sys(e, code, "KVM cannot create a virtual machine");
}

static struct kvm_msr_list *kvm_msr_list_get(int kvm)
{
	struct kvm_msr_list *l =
		calloc(1, sizeof(*l) + KVM_MSRS_MAX * sizeof(l->indices[0]));

	if (!l)
		return NULL;
	l->nmsrs = KVM_MSRS_MAX;
	if (kvm_ioctl(kvm, KVM_GET_MSR_INDEX_LIST, l) < 0) {
		free(l);
		return NULL;
	}
	return l;
}

/* What the host offers, asked once. */
static int kvm_vm_learn(struct kvm_vm *vm, struct err *e)
{
	int r = kvm_ioctl_int(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (r < (int)sizeof(struct kvm_run))
		return err_set(e, ENOTSUP, "KVM's vCPU mapping is too small");
	vm->page_size = (size_t)r;
	vm->cpuid = kvm_cpuid_supported(vm->kvm);
	if (!vm->cpuid)
		return err_set(e, ENOTSUP,
			"KVM does not tell which CPUID it supports");
	vm->phys_bits = kvm_cpuid_phys_bits(vm->cpuid);
	vm->msrs = kvm_msr_list_get(vm->kvm);
	if (!vm->msrs)
		return err_set(e, ENOTSUP, "KVM does not list its MSRs");
	vm->readonly_mem = kvm_cap(vm->fd, KVM_CAP_READONLY_MEM);
	vm->binary_stats = kvm_cap(vm->fd, KVM_CAP_BINARY_STATS_FD);
	vm->tsc_deadline = kvm_cap(vm->fd, KVM_CAP_TSC_DEADLINE_TIMER);
	vm->kvmclock_ctrl = kvm_cap(vm->fd, KVM_CAP_KVMCLOCK_CTRL);
	vm->max_routes = kvm_cap(vm->fd, KVM_CAP_IRQ_ROUTING);
	vm->max_slots = kvm_cap(vm->fd, KVM_CAP_NR_MEMSLOTS);
	if (!vm->max_slots)
		vm->max_slots = 32;
	vm->coalesced_page = kvm_cap(vm->fd, KVM_CAP_COALESCED_MMIO);
	if ((vm->coalesced_page + 1) * UINT64_C(4096) > vm->page_size)
		vm->coalesced_page = 0;
	vm->xsave_size = kvm_cap(vm->fd, KVM_CAP_XSAVE2);
	if (vm->xsave_size < sizeof(struct kvm_xsave))
		vm->xsave_size = sizeof(struct kvm_xsave);
	return 0;
}

/* Dirty logs are then read without being cleared at once (kvm_slot.c). */
static void kvm_vm_dirty_protect(struct kvm_vm *vm)
{
	struct kvm_enable_cap c = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};

	if (kvm_cap(vm->fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) &
		KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		vm->dirty_protect = kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &c) >= 0;
}

/* The chips in the kernel, and what they are at power-on. */
static int kvm_vm_chips(struct kvm_vm *vm, struct err *e)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = KVM_IDENTITY_ADDR;
	int r;

	r = kvm_ioctl_int(vm->fd, KVM_SET_TSS_ADDR, KVM_TSS_ADDR);
	if (r < 0)
		return err_sys(e, -r, "KVM refuses an address for its TSS");
	r = kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (r < 0)
		return err_sys(e, -r, "KVM refuses an address for its map");
	r = kvm_ioctl_int(vm->fd, KVM_CREATE_IRQCHIP, 0);
	if (r < 0)
		return err_sys(e, -r, "KVM cannot make the interrupt chips");
	r = kvm_routes_init(vm);
	if (r < 0)
		return err_sys(e, -r, "KVM refuses interrupt routes");
	r = kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
	if (r < 0)
		return err_sys(e, -r, "KVM cannot make the timer chip");
	for (unsigned i = 0; i < KVM_CHIPS; i++) {
		vm->chips[i].chip_id = i;
		r = kvm_ioctl(vm->fd, KVM_GET_IRQCHIP, &vm->chips[i]);
		if (r < 0)
			return err_sys(e, -r, "KVM hides interrupt chip %u", i);
	}
	r = kvm_ioctl(vm->fd, KVM_GET_PIT2, &vm->pit);
	if (r < 0)
		return err_sys(e, -r, "KVM hides the timer chip");
	return 0;
}

int kvm_vm_new(struct kvm_vm **out, struct err *e)
{
	struct kvm_vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_set(e, ENOMEM, "no memory for a virtual machine");
	vm->fd = -1;
	atomic_init(&vm->ring, NULL);
	lock_init(&vm->lock, "kvm", (enum lock_rank)(LOCK_BUS + 1));
	lock_init(&vm->route_lock, "kvm routes",
		(enum lock_rank)(LOCK_IRQ + 1));
	vm->kvm = r = kvm_host_open(e);
	if (r >= 0) {
		r = vm->fd = kvm_ioctl_int(vm->kvm, KVM_CREATE_VM, 0);
		if (r < 0)
			kvm_err_create(-r, e);
	}
	if (r >= 0)
		r = kvm_vm_learn(vm, e);
	if (r >= 0)
		r = kvm_vm_chips(vm, e);
	if (r < 0) {
		kvm_vm_free(vm);
		return r;
	}
	kvm_vm_dirty_protect(vm);
	*out = vm;
	return 0;
}

void kvm_vm_free(struct kvm_vm *vm)
{
	if (!vm)
		return;
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm >= 0)
		close(vm->kvm);
	free(vm->cpuid);
	free(vm->msrs);
	free(vm->routes);
	lock_fini(&vm->route_lock);
	lock_fini(&vm->lock);
	free(vm);
}

int kvm_vm_reset(struct kvm_vm *vm)
{
	int r;

	for (unsigned i = 0; i < KVM_CHIPS; i++) {
		/* KVM writes nothing back, but its argument is not const */
		struct kvm_irqchip chip = vm->chips[i];

		r = kvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &chip);
		if (r < 0)
			return r;
	}
	struct kvm_pit_state2 pit = vm->pit;

	/* counting starts now, not when the machine was made */
	r = kvm_ioctl(vm->fd, KVM_SET_PIT2, &pit);
	return r < 0 ? r : 0;
}

unsigned kvm_phys_bits(const struct kvm_vm *vm)
{
	return vm->phys_bits;
}
