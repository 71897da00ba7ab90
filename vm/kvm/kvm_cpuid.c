/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guest's CPUID: what KVM supports on this host, with the topology of
 * one socket, N cores of one thread (APIC id = index), and without what a
 * guest could not use: MONITOR, performance counters, SGX, processor trace.
 * KVM leaves topology leaves as the host's or empty; guests believe them, so
 * each one is written here. Intel SDM 2A CPUID, AMD APM 3 appendix E,
 * Documentation/virt/kvm/x86/cpuid.rst.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/kvm/kvm_impl.h"

#define CPUID_KVM_TIMING 0x40000010u
#define CPUID_APIC_KHZ   1000000u /* the in-kernel APIC timer counts 1 GHz */

struct topology {
	unsigned id, cpus;
	unsigned shift; /* bits of an APIC id that number the cores */
	bool amd;
};

struct kvm_cpuid2 *kvm_cpuid_supported(int kvm_fd)
{
	struct kvm_cpuid2 *c =
		calloc(1, sizeof(*c) + KVM_CPUID_MAX * sizeof(c->entries[0]));

	if (!c)
		return NULL;
	c->nent = KVM_CPUID_MAX;
	if (kvm_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, c) < 0) {
		free(c);
		return NULL;
	}
	return c;
}

static const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid2 *c,
	uint32_t function)
{
	for (unsigned i = 0; i < c->nent; i++)
		if (c->entries[i].function == function)
			return &c->entries[i];
	return NULL;
}

unsigned kvm_cpuid_phys_bits(const struct kvm_cpuid2 *c)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0x80000008);
	unsigned bits = e ? e->eax & 0xff : 0;

	if (bits < 36) /* what PAE gives at least */
		return 36;
	return bits < 52 ? bits : 52;
}

/* Leaves that are left out: written anew below, or nothing a guest can use. */
static bool cpuid_dropped(uint32_t function)
{
	switch (function) {
	case 0x0a: /* performance counters */
	case 0x0b: /* topology */
	case 0x12: /* SGX */
	case 0x14: /* processor trace */
	case 0x1f: /* topology */
	case CPUID_KVM_TIMING:
		return true;
	default:
		return false;
	}
}

static struct kvm_cpuid_entry2 *cpuid_add(struct kvm_cpuid2 *c,
	uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *e = &c->entries[c->nent];

	if (c->nent == KVM_CPUID_MAX)
		return NULL;
	c->nent++;
	memset(e, 0, sizeof(*e));
	e->function = function;
	e->index = index;
	return e;
}

/* 0xb and 0x1f: threads, cores, end; each level tells the x2APIC id. */
static void cpuid_add_levels(struct kvm_cpuid2 *c, uint32_t function,
	const struct topology *t)
{
	for (unsigned level = 0; level < 3; level++) {
		struct kvm_cpuid_entry2 *e = cpuid_add(c, function, level);

		if (!e)
			return;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->ecx = level;
		e->edx = t->id;
		if (level == 0) { /* one thread a core */
			e->ebx = 1;
			e->ecx |= 1u << 8;
		} else if (level == 1) {
			e->eax = t->shift;
			e->ebx = t->cpus;
			e->ecx |= 2u << 8;
		}
	}
}

static void cpuid_leaf_1(const struct kvm_vm *vm, const struct topology *t,
	struct kvm_cpuid_entry2 *e)
{
	e->ebx = (e->ebx & 0xffff) | t->id << 24;
	e->edx &= ~(1u << 28); /* HTT: more than one logical CPU */
	if (t->cpus > 1) {
		e->ebx |= t->cpus << 16;
		e->edx |= 1u << 28;
	} else {
		e->ebx |= 1u << 16;
	}
	e->ecx &= ~(1u << 3);  /* MONITOR would exit all the time */
	e->ecx &= ~(1u << 15); /* PDCM: no performance MSRs */
	e->ecx |= 1u << 31;    /* a hypervisor is there */
	if (vm->tsc_deadline)
		e->ecx |= 1u << 24;
}

/*
 * Intel's cache leaf: first-level caches are a core's own, the last level is
 * shared by all cores.
 */
static void cpuid_leaf_4(const struct topology *t, struct kvm_cpuid_entry2 *e)
{
	unsigned level = e->eax >> 5 & 7, ids = (1u << t->shift) - 1;

	if (!(e->eax & 0x1f)) /* no further cache */
		return;
	e->eax &= 0x3fff;
	e->eax |= (ids < 63 ? ids : 63) << 26;
	if (level >= 3)
		e->eax |= ids << 14;
}

/* The same for AMD, 0x8000001d, which has no core count in it. */
static void cpuid_amd_cache(const struct topology *t,
	struct kvm_cpuid_entry2 *e)
{
	if (!(e->eax & 0x1f))
		return;
	e->eax &= 0x3fff;
	if ((e->eax >> 5 & 7) >= 3)
		e->eax |= (t->cpus - 1) << 14;
}

static void cpuid_patch(const struct kvm_vm *vm, const struct topology *t,
	struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 1:
		cpuid_leaf_1(vm, t, e);
		break;
	case 4:
		cpuid_leaf_4(t, e);
		break;
	case 7:
		if (e->index == 0)
			e->ebx &= ~(1u << 2 | 1u << 25); /* SGX, PT */
		break;
	case 0x40000000:
		if (e->eax < CPUID_KVM_TIMING && vm->tsc_khz)
			e->eax = CPUID_KVM_TIMING;
		break;
	case 0x80000001:
		e->ecx &= ~(1u << 1); /* CmpLegacy */
		if (t->amd && t->cpus > 1)
			e->ecx |= 1u << 1;
		/* counters of AMD: PerfCtrExtCore, NB, L2I */
		e->ecx &= ~(1u << 23 | 1u << 24 | 1u << 28);
		break;
	case 0x80000008:
		e->ecx &= ~0xf0ffu;
		if (t->amd)
			e->ecx |= (t->cpus - 1) | t->shift << 12;
		break;
	case 0x8000001d:
		cpuid_amd_cache(t, e);
		break;
	case 0x8000001e:
		e->eax = t->id;
		e->ebx = t->id; /* compute unit, one thread in it */
		e->ecx = 0;     /* one node */
		break;
	default:
		break;
	}
}

static bool cpuid_is_amd(const struct kvm_cpuid2 *c)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0);

	/* "AuthenticAMD" and "HygonGenuine" by their first four letters */
	return e && (e->ebx == 0x68747541 || e->ebx == 0x6f677948);
}

struct kvm_cpuid2 *kvm_cpuid_make(const struct kvm_vm *vm, unsigned index,
	unsigned ncpus)
{
	const struct kvm_cpuid2 *host = vm->cpuid;
	const struct kvm_cpuid_entry2 *leaf0 = cpuid_find(host, 0);
	unsigned max = leaf0 ? leaf0->eax : 0;
	struct topology t = { .id = index, .cpus = ncpus };
	struct kvm_cpuid2 *c =
		calloc(1, sizeof(*c) + KVM_CPUID_MAX * sizeof(c->entries[0]));
	struct kvm_cpuid_entry2 *e;

	if (!c)
		return NULL;
	while (1u << t.shift < ncpus)
		t.shift++;
	t.amd = cpuid_is_amd(host);
	for (unsigned i = 0; i < host->nent; i++) {
		if (cpuid_dropped(host->entries[i].function))
			continue;
		c->entries[c->nent] = host->entries[i];
		cpuid_patch(vm, &t, &c->entries[c->nent++]);
	}
	if (max >= 0x0b)
		cpuid_add_levels(c, 0x0b, &t);
	if (max >= 0x1f)
		cpuid_add_levels(c, 0x1f, &t);
	if (vm->tsc_khz && cpuid_find(host, 0x40000000)) {
		e = cpuid_add(c, CPUID_KVM_TIMING, 0);
		if (e) {
			e->eax = vm->tsc_khz;
			e->ebx = CPUID_APIC_KHZ;
		}
	}
	return c;
}
