// SPDX-License-Identifier: GPL-3.0-or-later
/* Direct entry states, RAM above 4 GiB, and what KVM tells of the host. */
#include <errno.h>
#include <fcntl.h>

#include "vm/base/bytes.h"

#include "tests/kvm/rig.h"

#define TABLES UINT64_C(0x20000)
#define GDT    UINT64_C(0x10000)

static void put64(struct rig *r, uint64_t gpa, uint64_t val)
{
	ck_assert_int_eq(gmem_write(r->core.gmem, gpa, &val, 8), 0);
}

/* 5 GiB mapped one to one with 2 MiB pages. */
static void page_tables(struct rig *r)
{
	put64(r, TABLES, TABLES + 0x1000 + 3);
	for (uint64_t g = 0; g < 5; g++) {
		uint64_t dir = TABLES + 0x2000 + g * 0x1000;

		put64(r, TABLES + 0x1000 + g * 8, dir + 3);
		for (uint64_t i = 0; i < 512; i++)
			put64(r, dir + i * 8, g * GiB + i * 2 * MiB + 0x83);
	}
	put64(r, GDT + 0x10, 0x00af9b000000ffff);
	put64(r, GDT + 0x18, 0x00cf93000000ffff);
}

static void start_at(struct rig *r, const struct vcpu_entry *entry)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(vcpus_reset(r->vcpus, entry, &e), 0);
	ck_assert_int_eq(vcpus_start(r->vcpus, &e), 0);
	rig_wait_done(r, 1);
	vcpus_pause(r->vcpus);
}

START_TEST (a_64_bit_guest_reaches_ram_above_4_gib) {
	struct rig r;
	struct vcpu_entry entry = {
		.mode = VCPU_LONG64,
		.rip = RIG_CODE,
		.rsp = 0x7f00,
		.rsi = 0x12345,
		.cr3 = TABLES,
		.gdt_base = GDT,
		.gdt_limit = 0x1f,
	};
	uint64_t val;

	rig_up(&r, "long64", 3 * GiB, 1);
	ck_assert_uint_eq(gmem_low_end(r.core.gmem), 2 * GiB);
	ck_assert_uint_eq(gmem_high_end(r.core.gmem), 5 * GiB);
	page_tables(&r);
	start_at(&r, &entry);
	ck_assert_uint_eq(r.nseen, 4);
	ck_assert_uint_eq(r.seen[0], 0x12345);
	ck_assert_uint_eq(r.seen[1], 0x11223344);
	ck_assert_uint_eq(r.seen[2], 0x10);
	ck_assert_uint_eq(r.seen[3] & 0x80000031, 0x80000031);
	ck_assert_int_eq(gmem_read(r.core.gmem, 0x100002000, &val, sizeof(val)),
		0);
	ck_assert_uint_eq(val, 0x1122334455667788);
	rig_down(&r);
}
END_TEST

START_TEST (a_pvh_guest_starts_flat_in_32_bit) {
	struct rig r;
	struct vcpu_entry entry = {
		.mode = VCPU_PVH32,
		.rip = RIG_CODE,
		.rbx = 0xabcd00,
	};

	rig_up(&r, "pvh", 16 * MiB, 1);
	start_at(&r, &entry);
	ck_assert_uint_eq(r.nseen, 3);
	ck_assert_uint_eq(r.seen[0], 0xabcd00);
	ck_assert_uint_eq(r.seen[1], 0xfeedface);
	ck_assert_uint_eq(r.seen[2] & 0x80000001, 1);
	/* the second start is like the first */
	ck_assert_uint_eq(r.ncrashed, 0);
	vcpus_stop(r.vcpus);
	r.ndone = r.nseen = 0;
	start_at(&r, &entry);
	ck_assert_uint_eq(r.nseen, 3);
	ck_assert_uint_eq(r.seen[0], 0xabcd00);
	rig_down(&r);
}
END_TEST

START_TEST (guest_memory_of_senseless_size_is_refused) {
	struct kvm_vm *vm;
	struct gmem *g;
	struct err e = ERR_NONE;

	ck_assert_int_eq(kvm_vm_new(&vm, &e), 0);
	ck_assert_int_eq(gmem_new(vm, UINT64_C(1) << 60, false, &g, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "address bits");
	kvm_vm_free(vm);
}
END_TEST

START_TEST (the_probe_tells_what_the_host_offers) {
	struct kvm_host h;
	struct err e = ERR_NONE;

	ck_assert_int_eq(kvm_probe(&h, &e), 0);
	ck_assert(h.device);
	ck_assert(h.usable);
	ck_assert_int_eq(h.api, 12);
	ck_assert_uint_ge(h.phys_bits, 36);
	ck_assert_uint_le(h.phys_bits, 52);
	ck_assert_uint_ge(h.max_vcpus, 1);
	ck_assert_uint_eq(strlen(h.cpu), 12);
}
END_TEST

START_TEST (no_descriptor_left_is_told_with_its_mend) {
	struct kvm_vm *vm = NULL;
	struct err e = ERR_NONE;

	suite_limit_fds(open("/dev/null", O_RDONLY | O_CLOEXEC) + 1);
	ck_assert_int_eq(kvm_vm_new(&vm, &e), -EMFILE);
	suite_limit_fds(-1); /* sanitizers want some at the end */
	ck_assert_err(e, EMFILE, "ulimit -n");
	ck_assert_ptr_null(vm);
}
END_TEST

START_TEST (slots_run_out_in_order) {
	struct kvm_vm *vm;
	struct err e = ERR_NONE;
	int n = 0;

	ck_assert_int_eq(kvm_vm_new(&vm, &e), 0);
	while (kvm_slot_new(vm) == n)
		n++;
	ck_assert_int_ge(n, 32);
	ck_assert_int_eq(kvm_slot_new(vm), -ENOSPC);
	kvm_slot_free(vm, 5);
	ck_assert_int_eq(kvm_slot_new(vm), 5);
	kvm_vm_free(vm);
}
END_TEST

KVM_SUITE("entry", a_64_bit_guest_reaches_ram_above_4_gib,
	a_pvh_guest_starts_flat_in_32_bit,
	guest_memory_of_senseless_size_is_refused,
	the_probe_tells_what_the_host_offers,
	no_descriptor_left_is_told_with_its_mend, slots_run_out_in_order)
