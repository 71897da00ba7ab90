/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The virtual CPUs of a guest: one thread each, that runs the guest and
 * serves its exits by the buses of struct core. Commands go to all of them.
 *
 * A vCPU that is parked is outside of the guest with its last access done, so
 * that its state is whole. Threads: start, pause, resume, reset, stop and
 * free are the engine's, one at a time; park and stats may come from any.
 */
#ifndef VM_CORE_VCPU_H
#define VM_CORE_VCPU_H

#include <stddef.h>
#include <stdint.h>

#include "vm/base/err.h"

#include "vm/core/device.h"
#include "vm/core/stats.h"

struct kvm_vm;
struct vcpu;
struct vcpus;

/* How the boot CPU starts; the others wait for INIT and SIPI. */
enum vcpu_mode {
	VCPU_RESET,  /* at the reset vector, in real mode: firmware */
	VCPU_LONG64, /* Linux' 64-bit entry (Documentation/arch/x86/boot) */
	VCPU_PVH32,  /* Xen's PVH entry: 32 bit, flat, no paging */
};

struct vcpu_entry {
	enum vcpu_mode mode;
	/* the rest only where mode is not VCPU_RESET */
	uint64_t rip, rsp;
	uint64_t rsi; /* LONG64: boot_params */
	uint64_t rbx; /* PVH32: hvm_start_info */
	uint64_t cr3; /* LONG64: identity map in guest RAM */
	/* LONG64: with 64-bit code at 0x10 and data at 0x18 */
	uint64_t gdt_base;
	uint16_t gdt_limit;
};

struct vcpus_opts {
	struct kvm_vm *kvm;
	struct core *core;
	unsigned n; /* 1..STATS_MAX_VCPUS */
	/*
	 * v hit something that the guest cannot go on from; all vCPUs are on
	 * their way to park, why is one line and the registers are in the
	 * guest's log. Called on v's thread with no lock; it must return
	 * soon. NULL: core_request(core, CORE_CRASH, why).
	 */
	void (*crashed)(void *arg, struct vcpu *v, const char *why);
	void *crashed_arg;
};

/* Make n vCPUs, parked at power-on, without threads. core is borrowed. */
int vcpus_new(const struct vcpus_opts *o, struct vcpus **out, struct err *e);
/* Stops them first. NULL is fine. */
void vcpus_free(struct vcpus *vs);

/*
 * All vCPUs and the interrupt chips and timer in the kernel to power-on, the
 * boot CPU then to entry. Parked or not yet started; they stay so.
 */
int vcpus_reset(struct vcpus *vs, const struct vcpu_entry *entry,
	struct err *e);

/* Make the threads and run. */
int vcpus_start(struct vcpus *vs, struct err *e);

/*
 * Ask all to park and return at once. A vCPU that calls this, from a port or
 * MMIO handler, executes no further instruction. Thread: any; a device's
 * lock may be held.
 */
void vcpus_park(struct vcpus *vs);
/* Park all and wait until they are. Not from a vCPU's thread. */
void vcpus_pause(struct vcpus *vs);
void vcpus_resume(struct vcpus *vs);
/* Park all, end the threads and join them. vcpus_start() may follow. */
void vcpus_stop(struct vcpus *vs);

unsigned vcpu_index(const struct vcpu *v);

/*
 * Copy the counters of at most max vCPUs; returns how many. Waits for no
 * vCPU. guest_ns comes from /proc/self/task/TID/stat (guest_time) and so is
 * a multiple of the kernel's clock tick, 10 ms.
 */
unsigned vcpus_stats(struct vcpus *vs, struct vcpu_stats *out, unsigned max);

/*
 * The registers of vCPU i as text of several lines, with the code at rip.
 * Parked, or on that vCPU's thread. Returns the length, < size.
 */
size_t vcpus_dump(struct vcpus *vs, unsigned i, char *buf, size_t size);

#endif
