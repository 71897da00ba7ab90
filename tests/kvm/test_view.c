// SPDX-License-Identifier: GPL-3.0-or-later
/* Views and RAM in KVM: dirty logs, moving, overlap, large memory. */
#include <errno.h>

#include "tests/kvm/rig.h"

static struct gmem_view *view(struct rig *r, uint64_t len, unsigned flags)
{
	struct gmem_block *b;
	struct gmem_view *v;
	struct err e;

	ck_assert_int_eq(gmem_block_new(r->core.gmem, "vram", len, &b, &e), 0);
	ck_assert_int_eq(gmem_view_new(b, 0, len, flags, &v, &e), 0);
	return v;
}

START_TEST (a_dirty_log_tells_written_pages_once) {
	struct rig r;
	struct gmem_view *v;
	uint64_t bits[1] = { 0 };

	rig_up(&r, "dirty", MiB, 1);
	v = view(&r, 0x10000, GMEM_DIRTY);
	ck_assert_int_eq(gmem_view_dirty(v, bits), 0);
	ck_assert_int_eq(gmem_view_map(v, 0xb0000), 0);
	rig_run(&r);
	ck_assert_int_eq(gmem_view_dirty(v, bits), 1);
	ck_assert_uint_eq(bits[0], 1u << 0 | 1u << 3 | 1u << 15);
	bits[0] = 0;
	ck_assert_int_eq(gmem_view_dirty(v, bits), 0);
	ck_assert_uint_eq(bits[0], 0);
	vcpus_resume(r.vcpus);
	rig_wait_done(&r, 2);
	vcpus_pause(r.vcpus);
	/* what was in the bitmap stays */
	bits[0] = 2;
	ck_assert_int_eq(gmem_view_dirty(v, bits), 1);
	ck_assert_uint_eq(bits[0], 1u << 1 | 1u << 5);
	rig_down(&r);
}
END_TEST

START_TEST (a_moved_view_counts_as_written_whole) {
	struct rig r;
	struct gmem_view *v;
	uint64_t bits[2] = { 0 };

	rig_up(&r, "dirty", MiB, 1);
	v = view(&r, 70 * 4096, GMEM_DIRTY);
	ck_assert_int_eq(gmem_view_map(v, 0xe0000000), 0);
	ck_assert_int_eq(gmem_view_map(v, 0xd0000000), 0);
	ck_assert_int_eq(gmem_view_dirty(v, bits), 1);
	ck_assert_uint_eq(bits[0], UINT64_MAX);
	ck_assert_uint_eq(bits[1], 0x3f);
	ck_assert_int_eq(gmem_view_dirty(v, bits), 0);
	gmem_view_unmap(v);
	ck_assert_int_eq(gmem_view_dirty(v, bits), 1);
	ck_assert_int_eq(gmem_view_dirty(v, bits), 0);
	rig_down(&r);
}
END_TEST

START_TEST (a_shifted_view_shows_another_part) {
	struct rig r;
	struct gmem_block *b;
	struct gmem_view *v;
	struct err e;
	uint8_t *p;

	rig_up(&r, "dirty", MiB, 1);
	ck_assert_int_eq(gmem_block_new(r.core.gmem, "vram", 0x20000, &b, &e),
		0);
	ck_assert_int_eq(gmem_view_new(b, 0, 0x10000, GMEM_DIRTY, &v, &e), 0);
	ck_assert_int_eq(gmem_view_map(v, 0xb0000), 0);
	ck_assert_int_eq(gmem_view_shift(v, 0x10000), 0);
	ck_assert_int_eq(gmem_view_shift(v, 0x20000), -EINVAL);
	ck_assert_int_eq(gmem_view_shift(v, 0x10), -EINVAL);
	rig_run(&r);
	p = gmem_block_ptr(b);
	ck_assert_uint_eq(p[0], 0);
	ck_assert_uint_eq(p[0x10000], 1);
	ck_assert_uint_eq(p[0x1ffff], 3);
	rig_down(&r);
}
END_TEST

START_TEST (what_kvm_refuses_leaves_the_view_hidden) {
	struct rig r;
	struct gmem_view *a, *b;
	uint32_t word;

	rig_up(&r, "dirty", MiB, 1);
	a = view(&r, 0x4000, 0);
	b = view(&r, 0x4000, 0);
	ck_assert_int_eq(gmem_view_map(a, 0xc0000000), 0);
	ck_assert_int_eq(gmem_view_map(b, 0xc0003000), -EEXIST);
	ck_assert_int_eq(gmem_view_map(b, 0x1000), -EEXIST);
	ck_assert_int_eq(gmem_view_map(b, 0xc0000800), -EINVAL);
	ck_assert_int_eq(gmem_view_map(b,
				 (UINT64_C(1) << kvm_phys_bits(r.kvm)) -
					 0x1000),
		-EINVAL);
	/* at the very top it fits */
	ck_assert_int_eq(gmem_view_map(b,
				 (UINT64_C(1) << kvm_phys_bits(r.kvm)) -
					 0x4000),
		0);
	/* a failed move hides it: the guest asked for no memory there */
	ck_assert_int_eq(gmem_view_map(b, 0xc0003000), -EEXIST);
	ck_assert_int_eq(gmem_peek(r.core.gmem,
				 (UINT64_C(1) << kvm_phys_bits(r.kvm)) - 0x4000,
				 &word, 4),
		-EFAULT);
	ck_assert_int_eq(gmem_view_map(b, 0xc0004000), 0);
	rig_down(&r);
}
END_TEST

START_TEST (the_dirty_rate_of_ram_is_measured) {
	struct rig r;
	int64_t n;

	rig_up(&r, "boots", 16 * MiB, 1);
	ck_assert_int_eq(gmem_dirty_fetch(r.core.gmem), -EINVAL);
	ck_assert_int_eq(gmem_dirty_start(r.core.gmem), 0);
	ck_assert_int_eq(gmem_dirty_fetch(r.core.gmem), 0);
	rig_run(&r);
	/* KVM also counts the code's page, which it maps writable */
	n = gmem_dirty_fetch(r.core.gmem);
	ck_assert_int_ge(n, 1);
	ck_assert_int_le(n, 2);
	ck_assert_int_eq(gmem_dirty_fetch(r.core.gmem), 0);
	gmem_dirty_stop(r.core.gmem);
	ck_assert_int_eq(gmem_dirty_fetch(r.core.gmem), -EINVAL);
	rig_down(&r);
}
END_TEST

START_TEST (resident_memory_is_what_was_touched) {
	struct rig r;
	uint64_t before;
	uint8_t page[4096] = { 1 };

	rig_up(&r, "boots", 64 * MiB, 1);
	before = gmem_resident(r.core.gmem);
	ck_assert_uint_lt(before, 8 * MiB);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(gmem_write(r.core.gmem, 8 * MiB + i * 2 * MiB,
					 page, sizeof(page)),
			0);
	ck_assert_uint_ge(gmem_resident(r.core.gmem), before + 16 * 4096);
	rig_down(&r);
}
END_TEST

KVM_SUITE("view", a_dirty_log_tells_written_pages_once,
	a_moved_view_counts_as_written_whole, a_shifted_view_shows_another_part,
	what_kvm_refuses_leaves_the_view_hidden,
	the_dirty_rate_of_ram_is_measured, resident_memory_is_what_was_touched)
