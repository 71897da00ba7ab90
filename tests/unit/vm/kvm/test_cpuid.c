// SPDX-License-Identifier: GPL-3.0-or-later
/* The guest's CPUID, made from tables such as KVM gives on real hosts. */
#include "vm/kvm/kvm_impl.h"

#include "tests/unit/suite.h"

static struct kvm_vm *vm_with(const struct kvm_cpuid_entry2 *entries, size_t n)
{
	struct kvm_vm *vm = calloc(1, sizeof(*vm));

	vm->cpuid = calloc(1,
		sizeof(*vm->cpuid) + KVM_CPUID_MAX * sizeof(entries[0]));
	vm->cpuid->nent = (unsigned)n;
	memcpy(vm->cpuid->entries, entries, n * sizeof(entries[0]));
	vm->tsc_khz = 2600000;
	vm->tsc_deadline = true;
	return vm;
}

static void vm_end(struct kvm_vm *vm)
{
	free(vm->cpuid);
	free(vm);
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *c,
	uint32_t function, uint32_t index)
{
	for (unsigned i = 0; i < c->nent; i++)
		if (c->entries[i].function == function &&
			c->entries[i].index == index)
			return &c->entries[i];
	return NULL;
}

static const struct kvm_cpuid_entry2 intel[] = {
	{ .function = 0,
		.eax = 0x1f,
		.ebx = 0x756e6547,
		.ecx = 0x6c65746e,
		.edx = 0x49656e69 },
	{ .function = 1,
		.eax = 0xa0671,
		.ebx = 0x01020800,
		.ecx = 0x8120a008 | 1u << 27,
		.edx = 0x0f8bfbff },
	{ .function = 4, .index = 0, .flags = 1, .eax = 0x04000121 },
	{ .function = 4, .index = 3, .flags = 1, .eax = 0x04004163 },
	{ .function = 4, .index = 4, .flags = 1, .eax = 0 },
	{ .function = 7,
		.index = 0,
		.flags = 1,
		.ebx = 1u << 2 | 1u << 25 | 1u << 7 },
	{ .function = 0xa, .eax = 0x07300402 },
	{ .function = 0xb, .index = 0, .flags = 1, .edx = 1 },
	{ .function = 0xb, .index = 1, .flags = 1, .edx = 1 },
	{ .function = 0x12, .eax = 3 },
	{ .function = 0x14, .eax = 1 },
	{ .function = 0x1f, .index = 0, .flags = 1, .edx = 1 },
	{ .function = 0x40000000,
		.eax = 0x40000001,
		.ebx = 0x4b4d564b,
		.ecx = 0x564b4d56,
		.edx = 0x4d },
	{ .function = 0x40000001, .eax = 0x01007efb },
	{ .function = 0x80000001, .ecx = 0x101 },
	{ .function = 0x80000008, .eax = 0x3930 },
};

static const struct kvm_cpuid_entry2 amd[] = {
	{ .function = 0,
		.eax = 0xd,
		.ebx = 0x68747541,
		.ecx = 0x444d4163,
		.edx = 0x69746e65 },
	{ .function = 1, .eax = 0x800f12, .ebx = 0x07080800, .edx = 1u << 28 },
	{ .function = 0x80000001, .ecx = 1u << 1 | 1u << 22 | 1u << 23 },
	{ .function = 0x80000008, .eax = 0x3028, .ecx = 0x703f },
	{ .function = 0x8000001d, .index = 0, .flags = 1, .eax = 0x4121 },
	{ .function = 0x8000001d, .index = 3, .flags = 1, .eax = 0x1c163 },
	{ .function = 0x8000001e, .eax = 7, .ebx = 0x103, .ecx = 0x101 },
};

START_TEST (one_cpu_is_one_core) {
	struct kvm_vm *vm = vm_with(intel, sizeof(intel) / sizeof(intel[0]));
	struct kvm_cpuid2 *c = kvm_cpuid_make(vm, 0, 1);

	ck_assert_uint_eq(find(c, 1, 0)->ebx, 0x00010800);
	ck_assert_uint_eq(find(c, 1, 0)->edx & 1u << 28, 0);
	ck_assert_uint_eq(find(c, 4, 3)->eax >> 26, 0);
	ck_assert_uint_eq(find(c, 0xb, 1)->eax, 0);
	ck_assert_uint_eq(find(c, 0xb, 1)->ebx, 1);
	free(c);
	vm_end(vm);
}
END_TEST

START_TEST (intel_cores_are_of_one_socket) {
	struct kvm_vm *vm = vm_with(intel, sizeof(intel) / sizeof(intel[0]));
	struct kvm_cpuid2 *c = kvm_cpuid_make(vm, 5, 6);
	const struct kvm_cpuid_entry2 *e = find(c, 1, 0);

	ck_assert_uint_eq(e->ebx, 0x05060800);
	ck_assert_uint_ne(e->edx & 1u << 28, 0);
	/* x2APIC, TSC deadline, hypervisor; no MONITOR, no PDCM */
	ck_assert_uint_eq(e->ecx & (1u << 21 | 1u << 24 | 1u << 31),
		1u << 21 | 1u << 24 | 1u << 31);
	ck_assert_uint_eq(e->ecx & (1u << 3 | 1u << 15), 0);
	/* eight ids for six cores; the last level is shared by all */
	ck_assert_uint_eq(find(c, 4, 0)->eax, 0x121u | 7u << 26);
	ck_assert_uint_eq(find(c, 4, 3)->eax, 0x163u | 7u << 26 | 7u << 14);
	ck_assert_uint_eq(find(c, 4, 4)->eax, 0);
	for (unsigned leaf = 0xb; leaf <= 0x1f; leaf += 0x14) {
		ck_assert_uint_eq(find(c, leaf, 0)->eax, 0);
		ck_assert_uint_eq(find(c, leaf, 0)->ebx, 1);
		ck_assert_uint_eq(find(c, leaf, 0)->ecx, 0x100);
		ck_assert_uint_eq(find(c, leaf, 1)->eax, 3);
		ck_assert_uint_eq(find(c, leaf, 1)->ebx, 6);
		ck_assert_uint_eq(find(c, leaf, 1)->ecx, 0x201);
		ck_assert_uint_eq(find(c, leaf, 2)->ebx, 0);
		ck_assert_uint_eq(find(c, leaf, 2)->ecx, 2);
		for (unsigned i = 0; i < 3; i++)
			ck_assert_uint_eq(find(c, leaf, i)->edx, 5);
	}
	/* the AMD places stay empty */
	ck_assert_uint_eq(find(c, 0x80000001, 0)->ecx, 0x101);
	ck_assert_uint_eq(find(c, 0x80000008, 0)->ecx, 0);
	free(c);
	vm_end(vm);
}
END_TEST

START_TEST (amd_cores_are_of_one_socket) {
	struct kvm_vm *vm = vm_with(amd, sizeof(amd) / sizeof(amd[0]));
	struct kvm_cpuid2 *c = kvm_cpuid_make(vm, 3, 4);

	ck_assert_uint_eq(find(c, 1, 0)->ebx, 0x03040800);
	ck_assert_uint_eq(find(c, 0x80000001, 0)->ecx, 1u << 1 | 1u << 22);
	/* four cores, two bits of an APIC id */
	ck_assert_uint_eq(find(c, 0x80000008, 0)->ecx, 0x2003);
	ck_assert_uint_eq(find(c, 0x8000001d, 0)->eax, 0x121);
	ck_assert_uint_eq(find(c, 0x8000001d, 3)->eax, 0x163u | 3u << 14);
	ck_assert_uint_eq(find(c, 0x8000001e, 0)->eax, 3);
	ck_assert_uint_eq(find(c, 0x8000001e, 0)->ebx, 3);
	ck_assert_uint_eq(find(c, 0x8000001e, 0)->ecx, 0);
	/* no further than the basic leaves go */
	ck_assert_uint_eq(find(c, 0xb, 1)->ebx, 4);
	ck_assert_ptr_null(find(c, 0x1f, 0));
	free(c);
	vm->cpuid->entries[0].eax = 7;
	c = kvm_cpuid_make(vm, 3, 4);
	ck_assert_ptr_null(find(c, 0xb, 0));
	free(c);
	vm_end(vm);
}
END_TEST

START_TEST (what_a_guest_cannot_use_is_left_out) {
	struct kvm_vm *vm = vm_with(intel, sizeof(intel) / sizeof(intel[0]));
	struct kvm_cpuid2 *c = kvm_cpuid_make(vm, 0, 2);

	ck_assert_ptr_null(find(c, 0xa, 0));
	ck_assert_ptr_null(find(c, 0x12, 0));
	ck_assert_ptr_null(find(c, 0x14, 0));
	ck_assert_uint_eq(find(c, 7, 0)->ebx, 1u << 7);
	free(c);
	vm_end(vm);
}
END_TEST

START_TEST (the_kvm_leaves_tell_the_clocks) {
	struct kvm_vm *vm = vm_with(intel, sizeof(intel) / sizeof(intel[0]));
	struct kvm_cpuid2 *c = kvm_cpuid_make(vm, 0, 1);

	ck_assert_uint_eq(find(c, 0x40000000, 0)->eax, 0x40000010);
	ck_assert_uint_eq(find(c, 0x40000000, 0)->ebx, 0x4b4d564b);
	ck_assert_uint_eq(find(c, 0x40000001, 0)->eax, 0x01007efb);
	ck_assert_uint_eq(find(c, 0x40000010, 0)->eax, 2600000);
	ck_assert_uint_eq(find(c, 0x40000010, 0)->ebx, 1000000);
	free(c);
	vm->tsc_khz = 0; /* not known: the leaf is not there */
	c = kvm_cpuid_make(vm, 0, 1);
	ck_assert_uint_eq(find(c, 0x40000000, 0)->eax, 0x40000001);
	ck_assert_ptr_null(find(c, 0x40000010, 0));
	free(c);
	vm_end(vm);
}
END_TEST

START_TEST (a_full_table_stays_in_bounds) {
	struct kvm_cpuid_entry2 many[KVM_CPUID_MAX];
	struct kvm_vm *vm;
	struct kvm_cpuid2 *c;

	memset(many, 0, sizeof(many));
	for (unsigned i = 0; i < KVM_CPUID_MAX; i++)
		many[i].function = 0x80000100 + i;
	many[0] = intel[0];
	vm = vm_with(many, KVM_CPUID_MAX);
	c = kvm_cpuid_make(vm, 1, 64);
	ck_assert_uint_eq(c->nent, KVM_CPUID_MAX);
	free(c);
	vm_end(vm);
}
END_TEST

START_TEST (address_bits_are_believed_within_reason) {
	struct kvm_cpuid_entry2 e = { .function = 0x80000008, .eax = 0x3930 };
	struct kvm_vm *vm = vm_with(&e, 1);

	ck_assert_uint_eq(kvm_cpuid_phys_bits(vm->cpuid), 48);
	vm->cpuid->entries[0].eax = 0x39ff;
	ck_assert_uint_eq(kvm_cpuid_phys_bits(vm->cpuid), 52);
	vm->cpuid->entries[0].eax = 0;
	ck_assert_uint_eq(kvm_cpuid_phys_bits(vm->cpuid), 36);
	vm->cpuid->nent = 0;
	ck_assert_uint_eq(kvm_cpuid_phys_bits(vm->cpuid), 36);
	vm_end(vm);
}
END_TEST

SUITE("cpuid", one_cpu_is_one_core, intel_cores_are_of_one_socket,
	amd_cores_are_of_one_socket, what_a_guest_cannot_use_is_left_out,
	the_kvm_leaves_tell_the_clocks, a_full_table_stays_in_bounds,
	address_bits_are_believed_within_reason)
