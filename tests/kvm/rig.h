/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest for engine tests: memory, buses, interrupts and vCPUs, but no
 * chipset; two ports by which a tiny guest talks to the test. See
 * tests/guest/README.md.
 */
#ifndef TESTS_KVM_RIG_H
#define TESTS_KVM_RIG_H

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/core/device.h"
#include "vm/core/vcpu.h"
#include "vm/kvm/kvm.h"

#include "tests/unit/suite.h"

/* each is tests/guest/NAME.s */
#define GUESTS(X)                                                              \
	X(pio)                                                                 \
	X(mmio)                                                                \
	X(rom)                                                                 \
	X(dirty)                                                               \
	X(doorbell)                                                            \
	X(gather)                                                              \
	X(spin)                                                                \
	X(triple)                                                              \
	X(boots)                                                               \
	X(line)                                                                \
	X(msi)                                                                 \
	X(smp)                                                                 \
	X(pvh)                                                                 \
	X(long64)                                                              \
	X(fwait)                                                               \
	X(reboot)

#define RIG_CODE UINT64_C(0x8000)
#define RIG_DATA UINT64_C(0x7000)
#define RIG_SEEN 1024

struct rig {
	struct core core;
	struct kvm_vm *kvm;
	struct vcpus *vcpus;
	struct bus_region note, done, reg;
	uint32_t reg_val;

	pthread_mutex_t mutex;
	pthread_cond_t cond;
	/* guarded by mutex */
	uint64_t seen[RIG_SEEN];
	unsigned nseen;
	unsigned ndone;
	unsigned ncrashed;
	char why[512];
};

const uint8_t *guest_code(const char *name, size_t *len);

/* A guest of mem bytes and n CPUs that will run guest name from reset. */
void rig_up(struct rig *r, const char *name, uint64_t mem, unsigned n);
void rig_down(struct rig *r);

/* Start it at its reset vector. */
void rig_start(struct rig *r);
/* Wait until done was written n times in all, n values were noted, ... */
void rig_wait_done(struct rig *r, unsigned n);
void rig_wait_seen(struct rig *r, unsigned n);
void rig_wait_crashed(struct rig *r, unsigned n);

/* start, wait for the first done, pause */
void rig_run(struct rig *r);

/* main(): exit 77 with the reason when /dev/kvm is not usable. */
int rig_main(const char *name, const TTest **tests, size_t n);

#define KVM_SUITE(name, ...)                                                   \
	int main(void)                                                         \
	{                                                                      \
		const TTest *tests[] = { __VA_ARGS__ };                        \
		return rig_main(name, tests,                                   \
			sizeof(tests) / sizeof(tests[0]));                     \
	}

#endif
