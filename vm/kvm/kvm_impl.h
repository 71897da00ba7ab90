/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of vm/kvm share; nobody else includes this. */
#ifndef VM_KVM_KVM_IMPL_H
#define VM_KVM_KVM_IMPL_H

#include <stdatomic.h>

#include "vm/base/lock.h"

#include "vm/kvm/kvm.h"

#define KVM_SLOTS_MAX   512
#define KVM_CPUID_MAX   256
#define KVM_MSRS_MAX    512
#define KVM_CHIPS       3 /* PIC master, PIC slave, IOAPIC */
#define KVM_IOAPIC_PINS 24

/* The highest addresses that KVM takes pages of for Intel's real mode. */
#define KVM_IDENTITY_ADDR UINT64_C(0xFEFFC000)
#define KVM_TSS_ADDR      UINT64_C(0xFEFFD000)

/* One GSI beyond the chips' own, for an MSI. */
struct kvm_route {
	bool used;
	uint64_t addr;
	uint32_t data;
};

struct kvm_vm {
	int kvm;          /* /dev/kvm */
	int fd;           /* the VM */
	size_t page_size; /* of a vCPU's shared mapping */
	size_t xsave_size;
	unsigned phys_bits;
	unsigned max_slots, max_routes;
	bool readonly_mem, dirty_protect, binary_stats;
	bool tsc_deadline, kvmclock_ctrl;
	unsigned coalesced_page;   /* in a vCPU's mapping, 0 = none */
	uint32_t tsc_khz;          /* 0 = unknown */
	struct kvm_cpuid2 *cpuid;  /* what KVM supports on this host */
	struct kvm_msr_list *msrs; /* what makes up a vCPU's state */
	_Atomic(struct kvm_coalesced_mmio_ring *) ring;

	/* power-on state of the chips in the kernel */
	struct kvm_irqchip chips[KVM_CHIPS];
	struct kvm_pit_state2 pit;

	struct lock lock; /* rank BUS + 1: guards what follows */
	bool slot_used[KVM_SLOTS_MAX];
	int stats_layout;    /* 0 = not looked at, 1 = known, -1 = none */
	uint32_t stats_data; /* offset of the counters in the file */
	int stats_at[8];     /* of each in them, -1 = not there */

	struct lock route_lock; /* rank IRQ + 1: guards the next two */
	struct kvm_route *routes;
	unsigned nroutes; /* entries of routes, used or not */
};

struct kvm_vcpu {
	struct kvm_vm *vm;
	unsigned index;
	int fd;
	int stats_fd; /* -1 = the kernel has none */
	struct kvm_run *run;
	struct kvm_vcpu_power_on *power_on;
};

/* ioctl that goes on after a signal; returns >= 0 or -errno. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
int kvm_ioctl_int(int fd, unsigned long request, unsigned long arg);

/*
 * Open /dev/kvm and check version and capabilities. Descriptor or -errno
 * with e naming cause and mend.
 */
int kvm_host_open(struct err *e);
/* Why /dev/kvm does not open, by errno, and the mend. Returns -code. */
int kvm_host_err(int code, struct err *e);
/* KVM_CHECK_EXTENSION, 0 for an error. */
unsigned kvm_cap(int fd, int cap);
/* What KVM lets a guest see; the caller frees. NULL = no memory or refused. */
struct kvm_cpuid2 *kvm_cpuid_supported(int kvm_fd);
/* Guest physical address bits by a CPUID table. */
unsigned kvm_cpuid_phys_bits(const struct kvm_cpuid2 *c);

/*
 * The CPUID of vCPU index of ncpus, made of what vm supports. Caller frees.
 */
struct kvm_cpuid2 *kvm_cpuid_make(const struct kvm_vm *vm, unsigned index,
	unsigned ncpus);

/* Give the chips' lines their routes. */
int kvm_routes_init(struct kvm_vm *vm);

/* Read the present state of v as its power-on state. 0 or -errno. */
int kvm_state_keep(struct kvm_vcpu *v);
void kvm_state_free(struct kvm_vcpu *v);

/* Open the statistics of v (stats_fd stays -1 where there are none). */
void kvm_stats_open(struct kvm_vcpu *v);

#endif
