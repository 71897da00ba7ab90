/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files vcpu*.c share; nobody else includes this. */
#ifndef VM_CORE_VCPU_IMPL_H
#define VM_CORE_VCPU_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "vm/base/lock.h"
#include "vm/base/thread.h"

#include "vm/core/vcpu.h"
#include "vm/kvm/kvm.h"

struct vcpu {
	struct vcpus *group;
	unsigned index;
	struct kvm_vcpu *kvm;
	struct kvm_run *run; /* shared with the kernel */
	struct thread thread;
	bool alive; /* the thread may be signalled; guarded by group lock */
	/* the vCPU thread's own */
	bool pending; /* the last exit is completed by the next KVM_RUN */
	_Atomic uint64_t exits[EXIT_KINDS]; /* one writer */
};

enum vcpus_want { VCPUS_PARK, VCPUS_RUN, VCPUS_QUIT };

struct vcpus {
	struct vcpus_opts o;
	/*
	 * A leaf, taken by those who hold a device's lock; guards what
	 * follows. Rank above BUS, as a bus handler's caller may park.
	 */
	struct lock lock;
	pthread_cond_t go;     /* want changed */
	pthread_cond_t parked; /* running got 0 */
	enum vcpus_want want;
	unsigned running; /* vCPUs that are not parked */
	bool ran;         /* since the last reset */

	_Atomic bool leave; /* want != VCPUS_RUN, for vCPUs to look at */
	unsigned n;
	struct vcpu *v; /* n */
};

/* One more exit of this kind. Only v's thread counts. */
static inline void vcpu_count(struct vcpu *v, enum exit_kind kind)
{
	uint64_t n =
		atomic_load_explicit(&v->exits[kind], memory_order_relaxed);

	atomic_store_explicit(&v->exits[kind], n + 1, memory_order_relaxed);
}

/* Run the guest until all are to park or v crashes. Thread: v's. */
void vcpu_loop(struct vcpu *v);

/* Put the boot CPU at entry. v is at power-on. */
int vcpu_enter(struct vcpu *v, const struct vcpu_entry *entry);

/* Registers and code of v as text; returns its length, < size. */
size_t vcpu_dump(struct vcpu *v, char *buf, size_t size);

#endif
