/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The only room with ioctls on KVM descriptors: a virtual machine with its
 * in-kernel interrupt chips and timer, memslots, interrupt routes, eventfds,
 * and virtual CPUs with their CPUID, state and statistics.
 *
 * Locks: only those of kvm_irq.c (routes) and kvm_io.c (none). Calls on one
 * memslot are serialised by the caller (gmem); the rest may come from any
 * thread unless it is said. Specs: Documentation/virt/kvm/api.rst; CPUID by
 * the Intel SDM 2A and AMD APM 3.
 */
#ifndef VM_KVM_KVM_H
#define VM_KVM_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/err.h"

struct kvm_vm;
struct kvm_vcpu;

/* What this host offers; for the doctor. */
struct kvm_host {
	bool device;        /* /dev/kvm is there */
	bool usable;        /* it opens and has all that guestdeck needs */
	bool vmx, svm;      /* what CPUID tells of the host CPU */
	int api;            /* KVM's API version, 12 */
	unsigned phys_bits; /* of a guest's physical addresses */
	unsigned max_vcpus; /* in one guest */
	bool readonly_mem, dirty_protect, binary_stats, coalesced;
	bool nested;  /* guests may run guests */
	char cpu[16]; /* "GenuineIntel" */
};

/*
 * Look at /dev/kvm. 0 when it is usable, else -errno with e naming cause and
 * mend; *out is filled as far as it was found in both cases.
 */
int kvm_probe(struct kvm_host *out, struct err *e);

/*
 * Make a virtual machine with PIC, IOAPIC and PIT in the kernel; local APICs
 * come with the vCPUs. 0 or -errno with e naming cause and mend.
 */
int kvm_vm_new(struct kvm_vm **out, struct err *e);
/* All vCPUs are freed before. NULL is fine. */
void kvm_vm_free(struct kvm_vm *vm);

/* Interrupt chips and PIT back to power-on. All vCPUs are stopped. */
int kvm_vm_reset(struct kvm_vm *vm);

/* Width of the guest's physical addresses in bits. */
unsigned kvm_phys_bits(const struct kvm_vm *vm);

/* Memslots: the guest's window on host memory. */
enum kvm_slot_flags {
	KVM_SLOT_ROM = 1,   /* writes exit; ignored where KVM can't */
	KVM_SLOT_DIRTY = 2, /* log written pages */
};

/* A free slot number (>= 0), or -ENOSPC. Thread: any. */
int kvm_slot_new(struct kvm_vm *vm);
/* Hide the slot if it is shown and give its number back. */
void kvm_slot_free(struct kvm_vm *vm, int slot);

/*
 * Show len bytes at host to the guest at gpa (all multiples of 4 KiB), or
 * change the flags of a slot shown at the same place. -EEXIST when it would
 * overlap another slot; -EINVAL when KVM does not take the address. The slot
 * is as it was when this fails.
 */
int kvm_slot_show(struct kvm_vm *vm, int slot, uint64_t gpa, uint64_t len,
	void *host, unsigned flags);
int kvm_slot_hide(struct kvm_vm *vm, int slot);

/*
 * OR the pages written since the last call into bitmap (len/4096 bits,
 * rounded up to whole words) and start anew. scratch is as long as bitmap.
 * 1 if there were any, 0 if none, or -errno (-ENOENT: not logged).
 */
int kvm_slot_dirty(struct kvm_vm *vm, int slot, uint64_t len, uint64_t *bitmap,
	uint64_t *scratch);

/* Drive line gsi (0-23) of the interrupt chips. */
int kvm_irq_line(struct kvm_vm *vm, unsigned gsi, bool level);
/* Deliver one MSI. 0 (delivered or blocked by the guest), or -errno. */
int kvm_signal_msi(struct kvm_vm *vm, uint64_t addr, uint32_t data);

/*
 * A GSI of its own for an MSI; change or give back. Routes are added on top
 * of KVM's default ones. Number (>= 24), -ENOSPC or -errno.
 */
int kvm_route_add(struct kvm_vm *vm, uint64_t addr, uint32_t data);
int kvm_route_set(struct kvm_vm *vm, int gsi, uint64_t addr, uint32_t data);
void kvm_route_del(struct kvm_vm *vm, int gsi);

/* Fire gsi whenever eventfd fd is signalled; undo. */
int kvm_irqfd(struct kvm_vm *vm, int gsi, int fd, bool on);

/*
 * Signal eventfd fd instead of exiting when the guest writes addr with this
 * length (0 = any, MMIO only) and, where match, this value. off undoes it.
 */
int kvm_ioeventfd(struct kvm_vm *vm, bool port, uint64_t addr, unsigned size,
	bool match, uint64_t val, int fd, bool on);

/* Gather the guest's writes to [addr, addr+len) in the VM's ring. */
int kvm_coalesce(struct kvm_vm *vm, uint64_t addr, uint64_t len, bool on);

struct kvm_write { /* one gathered write */
	uint64_t addr;
	uint32_t len; /* 1..8 */
	uint8_t data[8];
};
/* Is anything gathered? A hint without a lock. */
bool kvm_coalesced_any(struct kvm_vm *vm);
/* Take the oldest write. The caller serialises. */
bool kvm_coalesced_pop(struct kvm_vm *vm, struct kvm_write *out);

/*
 * Make virtual CPU index (0 = boot CPU) of ncpus with its CPUID set (one
 * socket, ncpus cores) and its power-on state kept for kvm_vcpu_reset().
 * Thread of all calls on a vCPU: the one that runs it, or another while it
 * does not run.
 */
int kvm_vcpu_new(struct kvm_vm *vm, unsigned index, unsigned ncpus,
	struct kvm_vcpu **out, struct err *e);
void kvm_vcpu_free(struct kvm_vcpu *v); /* NULL is fine */

/* The page shared with the kernel; run_size bytes. Good until free. */
struct kvm_run *kvm_vcpu_page(struct kvm_vcpu *v);
size_t kvm_vcpu_page_size(const struct kvm_vcpu *v);

/* Run the guest. 0 with an exit in the page, or -errno (-EINTR, ...). */
int kvm_vcpu_run(struct kvm_vcpu *v);

/* Back to what the CPU was at kvm_vcpu_new(): all of its registers. */
int kvm_vcpu_reset(struct kvm_vcpu *v);

int kvm_vcpu_get_regs(struct kvm_vcpu *v, struct kvm_regs *regs,
	struct kvm_sregs *sregs);
int kvm_vcpu_set_regs(struct kvm_vcpu *v, const struct kvm_regs *regs,
	const struct kvm_sregs *sregs);
int kvm_vcpu_get_msr(struct kvm_vcpu *v, uint32_t index, uint64_t *val);
int kvm_vcpu_set_msr(struct kvm_vcpu *v, uint32_t index, uint64_t val);
/* What the local APIC's two input pins do. */
int kvm_vcpu_set_lints(struct kvm_vcpu *v, uint32_t lvt0, uint32_t lvt1);
int kvm_vcpu_get_mp_state(struct kvm_vcpu *v, uint32_t *state);
/* Guest-linear to guest-physical by the guest's page tables. */
int kvm_vcpu_translate(struct kvm_vcpu *v, uint64_t linear, uint64_t *gpa);
/* Tell the guest that it was paused, so that its watchdogs keep quiet. */
void kvm_vcpu_was_paused(struct kvm_vcpu *v);

/* KVM's own counters; 0 where the kernel does not tell. */
struct kvm_vcpu_stats {
	uint64_t exits, halt_exits, irq_injections;
	uint64_t halt_ns; /* blocked or polling while halted */
};
/* Thread: any, also while the vCPU runs. */
void kvm_vcpu_stats(struct kvm_vcpu *v, struct kvm_vcpu_stats *out);

#endif
