// SPDX-License-Identifier: GPL-3.0-or-later
/* Guest memory without KVM: layout, bounds, views. */
#include <errno.h>

#include "vm/base/sizes.h"

#include "vm/core/gmem.h"

#include "tests/unit/suite.h"

static struct gmem *ram(uint64_t size)
{
	struct gmem *g = NULL;
	struct err e = ERR_NONE;

	ck_assert_msg(gmem_new(NULL, size, false, &g, &e) == 0, "%s", e.msg);
	return g;
}

START_TEST (small_memory_is_all_low) {
	struct gmem *g = ram(128 * MiB);

	ck_assert_uint_eq(gmem_size(g), 128 * MiB);
	ck_assert_uint_eq(gmem_low_end(g), 128 * MiB);
	ck_assert_uint_eq(gmem_high_end(g), 4 * GiB);
	ck_assert_ptr_nonnull(gmem_host(g, 128 * MiB - 1, 1));
	ck_assert_ptr_null(gmem_host(g, 128 * MiB - 1, 2));
	ck_assert_ptr_null(gmem_host(g, 4 * GiB, 1));
	gmem_free(g);
}
END_TEST

START_TEST (memory_splits_at_2_75_gib) {
	struct gmem *g = ram(0xb0000000 - 0x1000);

	ck_assert_uint_eq(gmem_low_end(g), 0xb0000000 - 0x1000);
	ck_assert_uint_eq(gmem_high_end(g), 4 * GiB);
	gmem_free(g);
	g = ram(0xb0000000);
	ck_assert_uint_eq(gmem_low_end(g), 2 * GiB);
	ck_assert_uint_eq(gmem_high_end(g), 4 * GiB + 0x30000000);
	ck_assert_ptr_null(gmem_host(g, 2 * GiB, 1));
	ck_assert_ptr_nonnull(gmem_host(g, 4 * GiB + 0x2fffffff, 1));
	ck_assert_ptr_null(gmem_host(g, 4 * GiB + 0x30000000, 1));
	/* the two parts do not lie over each other */
	ck_assert_ptr_eq((char *)gmem_host(g, 4 * GiB, 1),
		(char *)gmem_host(g, 0, 1) + 2 * GiB);
	gmem_free(g);
}
END_TEST

START_TEST (the_vga_hole_is_no_memory) {
	struct gmem *g = ram(MiB);
	uint8_t b[16] = { 0 };

	ck_assert_int_eq(gmem_read(g, 0x9ffff, b, 1), 0);
	ck_assert_int_eq(gmem_read(g, 0x9ffff, b, 2), -EFAULT);
	ck_assert_int_eq(gmem_read(g, 0xa0000, b, 1), -EFAULT);
	ck_assert_int_eq(gmem_read(g, 0xbffff, b, 1), -EFAULT);
	ck_assert_int_eq(gmem_write(g, 0xbffff, b, 2), -EFAULT);
	ck_assert_int_eq(gmem_write(g, 0xc0000, b, 16), 0);
	ck_assert_int_eq(gmem_write(g, 0xfffff, b, 1), 0);
	ck_assert_int_eq(gmem_write(g, 0x100000, b, 1), -EFAULT);
	gmem_free(g);
}
END_TEST

START_TEST (addresses_that_wrap_are_refused) {
	struct gmem *g = ram(MiB);
	struct iovec iov;
	uint8_t b[16];

	ck_assert_int_eq(gmem_read(g, UINT64_MAX, b, 1), -EFAULT);
	ck_assert_int_eq(gmem_read(g, UINT64_MAX - 3, b, 16), -EFAULT);
	ck_assert_ptr_null(gmem_host(g, 0x1000, UINT64_MAX));
	ck_assert_ptr_null(gmem_host(g, 0x1000, UINT64_MAX - 0xfff));
	ck_assert_int_eq(gmem_iov(g, 0x1000, UINT64_MAX, &iov, 1), -EFAULT);
	ck_assert_int_eq(gmem_iov(g, UINT64_MAX, 1, &iov, 1), -EFAULT);
	gmem_free(g);
}
END_TEST

START_TEST (iov_gives_pieces_inside_ram) {
	struct gmem *g = ram(4 * GiB);
	struct iovec iov[2];

	ck_assert_int_eq(gmem_iov(g, 0x1000, 0x2000, iov, 2), 1);
	ck_assert_ptr_eq(iov[0].iov_base, gmem_host(g, 0x1000, 0x2000));
	ck_assert_uint_eq(iov[0].iov_len, 0x2000);
	ck_assert_int_eq(gmem_iov(g, 0x1000, 0, iov, 2), -EINVAL);
	ck_assert_int_eq(gmem_iov(g, 0x1000, 1, iov, 0), -E2BIG);
	ck_assert_int_eq(gmem_iov(g, 0x9f000, 0x2000, iov, 2), -EFAULT);
	ck_assert_int_eq(gmem_iov(g, 2 * GiB - 1, 2, iov, 2), -EFAULT);
	/* all of low RAM above the hole */
	ck_assert_int_eq(gmem_iov(g, 0xc0000, 2 * GiB - 0xc0000, iov, 2), 1);
	gmem_free(g);
}
END_TEST

START_TEST (what_was_written_is_read_back) {
	struct gmem *g = ram(3 * GiB);
	static const uint64_t at[] = { 0, 0xfffe, 0xc0001, 2 * GiB - 8, 4 * GiB,
		5 * GiB - 8 };

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		uint64_t v = 0x1122334455667788 + i, got = 0;

		ck_assert_int_eq(gmem_write(g, at[i], &v, 8), 0);
		ck_assert_int_eq(gmem_read(g, at[i], &got, 8), 0);
		ck_assert_uint_eq(got, v);
	}
	ck_assert_int_eq(gmem_read(g, 12345678901, NULL, 0), 0);
	ck_assert_uint_gt(gmem_resident(g), 0);
	gmem_free(g);
}
END_TEST

START_TEST (a_senseless_size_is_refused_with_its_mend) {
	struct gmem *g = NULL;
	struct err e = ERR_NONE;

	ck_assert_int_eq(gmem_new(NULL, 0, false, &g, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "at least 1M");
	ck_assert_int_eq(gmem_new(NULL, MiB + 1, false, &g, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "multiple of 4K");
	ck_assert_int_eq(gmem_new(NULL, UINT64_C(1) << 50, false, &g, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "46 address bits");
	ck_assert_ptr_null(g);
}
END_TEST

START_TEST (missing_huge_pages_are_told_with_their_mend) {
	struct gmem *g = NULL;
	struct err e = ERR_NONE;

	/* more than any host that runs tests keeps free */
	ck_assert_int_eq(gmem_new(NULL, 512 * GiB, true, &g, &e), -ENOMEM);
	ck_assert_err(e, ENOMEM, "vm.nr_hugepages by 262144");
	ck_assert_err(e, ENOMEM, "512G");
}
END_TEST

START_TEST (views_do_not_overlap_ram_or_each_other) {
	struct gmem *g = ram(3 * GiB);
	struct gmem_block *b;
	struct gmem_view *v, *w;
	struct err e = ERR_NONE;

	ck_assert_int_eq(gmem_block_new(g, "vram", 0x1fff0, &b, &e), 0);
	ck_assert_uint_eq(gmem_block_size(b), 0x20000);
	ck_assert_int_eq(gmem_view_new(b, 0, 0x20000, 0, &v, &e), 0);
	ck_assert_int_eq(gmem_view_new(b, 0x1000, 0x1000, 0, &w, &e), 0);
	/* RAM: below and above the VGA hole, low end, high */
	ck_assert_int_eq(gmem_view_map(v, 0), -EEXIST);
	ck_assert_int_eq(gmem_view_map(v, 0x9f000), -EEXIST);
	ck_assert_int_eq(gmem_view_map(v, 0xa1000), -EEXIST);
	ck_assert_int_eq(gmem_view_map(v, 2 * GiB - 0x1000), -EEXIST);
	ck_assert_int_eq(gmem_view_map(v, 4 * GiB - 0x1000), -EEXIST);
	ck_assert_int_eq(gmem_view_map(v, 5 * GiB - 0x1000), -EEXIST);
	/* the holes are free */
	ck_assert_int_eq(gmem_view_map(v, 0xa0000), 0);
	ck_assert_int_eq(gmem_view_map(v, 2 * GiB), 0);
	ck_assert_int_eq(gmem_view_map(v, 4 * GiB - 0x20000), 0);
	ck_assert_int_eq(gmem_view_map(w, 4 * GiB - 0x1000), -EEXIST);
	ck_assert_int_eq(gmem_view_map(w, 4 * GiB - 0x21000), 0);
	gmem_view_unmap(v);
	gmem_view_unmap(v);
	ck_assert_int_eq(gmem_view_map(w, 4 * GiB - 0x1000), 0);
	gmem_free(g);
}
END_TEST

START_TEST (a_view_past_the_address_width_is_refused) {
	struct gmem *g = ram(MiB);
	struct gmem_block *b;
	struct gmem_view *v;
	struct err e = ERR_NONE;

	ck_assert_int_eq(gmem_block_new(g, "bar", 0x2000, &b, &e), 0);
	ck_assert_int_eq(gmem_view_new(b, 0, 0x2000, 0, &v, &e), 0);
	ck_assert_int_eq(gmem_view_map(v, UINT64_MAX - 0xfff), -EINVAL);
	ck_assert_int_eq(gmem_view_map(v, UINT64_C(1) << 46), -EINVAL);
	ck_assert_int_eq(gmem_view_map(v, (UINT64_C(1) << 46) - 0x1000),
		-EINVAL);
	ck_assert_int_eq(gmem_view_map(v, (UINT64_C(1) << 46) - 0x2000), 0);
	ck_assert_int_eq(gmem_view_map(v, 0xc0000001), -EINVAL);
	gmem_free(g);
}
END_TEST

START_TEST (a_view_must_lie_in_its_block) {
	struct gmem *g = ram(MiB);
	struct gmem_block *b;
	struct gmem_view *v;
	struct err e = ERR_NONE;

	ck_assert_int_eq(gmem_block_new(g, "rom", 0, &b, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "rom: 0 bytes");
	ck_assert_int_eq(gmem_block_new(g, "rom", 0x4000, &b, &e), 0);
	ck_assert_int_eq(gmem_view_new(b, 0, 0, 0, &v, &e), -EINVAL);
	ck_assert_int_eq(gmem_view_new(b, 0x4000, 0x1000, 0, &v, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "rom: a view on 16384+4096 of 16384");
	ck_assert_int_eq(gmem_view_new(b, 0x800, 0x1000, 0, &v, &e), -EINVAL);
	ck_assert_int_eq(gmem_view_new(b, 0x1000, UINT64_MAX - 0xfff, 0, &v,
				 &e),
		-EINVAL);
	ck_assert_int_eq(gmem_view_new(b, 0x1000, 0x2000, 0, &v, &e), 0);
	ck_assert_int_eq(gmem_view_shift(v, 0x2000), 0);
	ck_assert_int_eq(gmem_view_shift(v, 0x3000), -EINVAL);
	ck_assert_int_eq(gmem_view_shift(v, UINT64_MAX - 0xfff), -EINVAL);
	gmem_free(g);
}
END_TEST

START_TEST (peek_sees_ram_and_mapped_views) {
	struct gmem *g = ram(MiB);
	struct gmem_block *b;
	struct gmem_view *v;
	struct err e = ERR_NONE;
	uint8_t got[4] = { 0 };

	ck_assert_int_eq(gmem_block_new(g, "rom", 0x2000, &b, &e), 0);
	memcpy((char *)gmem_block_ptr(b) + 0x1ffc, "abcd", 4);
	ck_assert_int_eq(gmem_view_new(b, 0x1000, 0x1000, GMEM_ROM, &v, &e), 0);
	ck_assert_int_eq(gmem_peek(g, 0xfffffffc, got, 4), -EFAULT);
	ck_assert_int_eq(gmem_view_map(v, 0xfffff000), 0);
	ck_assert_int_eq(gmem_peek(g, 0xfffffffc, got, 4), 0);
	ck_assert_mem_eq(got, "abcd", 4);
	ck_assert_int_eq(gmem_peek(g, 0xfffffffd, got, 4), -EFAULT);
	ck_assert_int_eq(gmem_peek(g, 0x1000, got, 4), 0);
	/* a view is no RAM for a device */
	ck_assert_int_eq(gmem_read(g, 0xfffffffc, got, 4), -EFAULT);
	gmem_free(g);
}
END_TEST

START_TEST (dirty_logs_are_quiet_without_kvm) {
	struct gmem *g = ram(MiB);
	struct gmem_block *b;
	struct gmem_view *v, *plain;
	struct err e = ERR_NONE;
	uint64_t bits = 0;

	ck_assert_int_eq(gmem_dirty_fetch(g), -EINVAL);
	ck_assert_int_eq(gmem_dirty_start(g), 0);
	ck_assert_int_eq(gmem_dirty_start(g), 0);
	ck_assert_int_eq(gmem_dirty_fetch(g), 0);
	gmem_dirty_stop(g);
	gmem_dirty_stop(g);
	ck_assert_int_eq(gmem_block_new(g, "vram", 0x3000, &b, &e), 0);
	ck_assert_int_eq(gmem_view_new(b, 0, 0x3000, GMEM_DIRTY, &v, &e), 0);
	ck_assert_int_eq(gmem_view_new(b, 0, 0x3000, 0, &plain, &e), 0);
	ck_assert_int_eq(gmem_view_dirty(plain, &bits), -EINVAL);
	ck_assert_int_eq(gmem_view_map(v, 0xd0000000), 0);
	ck_assert_int_eq(gmem_view_dirty(v, &bits), 0);
	/* moved: written whole, once, and no bit past its end */
	ck_assert_int_eq(gmem_view_map(v, 0xe0000000), 0);
	ck_assert_int_eq(gmem_view_dirty(v, &bits), 1);
	ck_assert_uint_eq(bits, 7);
	ck_assert_int_eq(gmem_view_dirty(v, &bits), 0);
	gmem_free(g);
}
END_TEST

START_TEST (freeing_nothing_is_fine) {
	gmem_free(NULL);
}
END_TEST

START_TEST (zeroed_memory_reads_as_zeroes_and_nothing_else_changes) {
	struct gmem *g;
	struct err e = ERR_NONE;
	uint8_t buf[3 * 4096], want[3 * 4096];

	ck_assert_int_eq(gmem_new(NULL, 4 * MiB, false, &g, &e), 0);
	memset(buf, 0x5a, sizeof(buf));
	memcpy(want, buf, sizeof(want));
	ck_assert_int_eq(gmem_write(g, MiB, buf, sizeof(buf)), 0);
	ck_assert_int_eq(gmem_zero(g, MiB + 100, 2 * 4096), 0);
	memset(want + 100, 0, 2 * 4096);
	ck_assert_int_eq(gmem_read(g, MiB, buf, sizeof(buf)), 0);
	ck_assert_mem_eq(buf, want, sizeof(buf));
	ck_assert_int_eq(gmem_zero(g, MiB + 7, 5), 0);
	ck_assert_int_eq(gmem_zero(g, 4 * MiB - 1, 2), -EFAULT);
	ck_assert_int_eq(gmem_zero(g, GMEM_VGA_BASE, 1), -EFAULT);
	ck_assert_int_eq(gmem_zero(g, GMEM_VGA_BASE, 0), 0);
	gmem_free(g);
}
END_TEST

/* What the host holds free or reserved, from /proc/meminfo. */
static long huge_pages(const char *key)
{
	char line[128];
	long n = -1;
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && n < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			n = strtol(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return n;
}

START_TEST (huge_pages_stay_reserved_when_memory_is_zeroed) {
	struct gmem *g = NULL;
	struct err e = ERR_NONE;
	long free_pages;

	if (gmem_new(NULL, 4 * MiB, true, &g, &e) < 0) {
		printf("skip huge_pages %s\n", e.msg);
		return;
	}
	memset(gmem_host(g, MiB, 3 * MiB), 1, 3 * MiB);
	free_pages = huge_pages("HugePages_Free:");
	ck_assert_int_eq(gmem_zero(g, 2 * MiB, 2 * MiB), 0);
	ck_assert_int_eq(*(uint8_t *)gmem_host(g, 3 * MiB, 1), 0);
	ck_assert_int_eq(huge_pages("HugePages_Free:"), free_pages);
	ck_assert_uint_eq(gmem_resident(g), 4 * MiB);
	gmem_free(g);
}
END_TEST

SUITE("gmem", small_memory_is_all_low, memory_splits_at_2_75_gib,
	the_vga_hole_is_no_memory, addresses_that_wrap_are_refused,
	iov_gives_pieces_inside_ram, what_was_written_is_read_back,
	a_senseless_size_is_refused_with_its_mend,
	missing_huge_pages_are_told_with_their_mend,
	views_do_not_overlap_ram_or_each_other,
	a_view_past_the_address_width_is_refused, a_view_must_lie_in_its_block,
	peek_sees_ram_and_mapped_views, dirty_logs_are_quiet_without_kvm,
	freeing_nothing_is_fine,
	zeroed_memory_reads_as_zeroes_and_nothing_else_changes,
	huge_pages_stay_reserved_when_memory_is_zeroed)
