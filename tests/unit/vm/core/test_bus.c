// SPDX-License-Identifier: GPL-3.0-or-later
/* Address decoding. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "vm/base/sizes.h"

#include "vm/core/bus.h"

#include "tests/unit/suite.h"

struct dev { /* remembers its last access */
	struct bus_region region;
	uint64_t off, val;
	unsigned size, reads, writes;
	uint64_t give;
};

static uint64_t dev_read(void *opaque, uint64_t off, unsigned size)
{
	struct dev *d = opaque;

	ck_assert_uint_le(off + size, d->region.len);
	d->off = off;
	d->size = size;
	d->reads++;
	return d->give >> 8 * (off % 8);
}

static void dev_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct dev *d = opaque;

	ck_assert_uint_le(off + size, d->region.len);
	d->off = off;
	d->val = val;
	d->size = size;
	d->writes++;
}

static const struct bus_ops dev_ops = { dev_read, dev_write };

static struct bus *new_bus(bool ports)
{
	struct bus *b;
	struct err e = ERR_NONE;

	ck_assert_int_eq(bus_new(NULL, ports,
				 ports ? 0x10000 : UINT64_C(1) << 46, &b, &e),
		0);
	return b;
}

static void dev_init(struct dev *d, uint64_t len, enum bus_prio prio)
{
	*d = (struct dev){ .region = { .name = "dev",
				   .ops = &dev_ops,
				   .opaque = d,
				   .len = len,
				   .prio = prio },
		.give = 0x8877665544332211 };
}

START_TEST (nothing_reads_as_all_ones) {
	struct bus *b = new_bus(true);

	ck_assert_uint_eq(bus_read(b, 0x3f8, 1), 0xff);
	ck_assert_uint_eq(bus_read(b, 0x3f8, 2), 0xffff);
	ck_assert_uint_eq(bus_read(b, 0xcf8, 4), 0xffffffff);
	ck_assert_uint_eq(bus_read(b, 0xfffe, 4), 0xffffffff);
	ck_assert_uint_eq(bus_read(b, UINT64_MAX, 8), UINT64_MAX);
	bus_write(b, 0x3f8, 1, 1);
	bus_write(b, UINT64_MAX, 1, 8);
	bus_free(b);
	bus_free(NULL);
}
END_TEST

START_TEST (an_access_arrives_with_its_offset_and_size) {
	struct bus *b = new_bus(true);
	struct dev d;

	dev_init(&d, 8, BUS_FIXED);
	ck_assert_int_eq(bus_map(b, &d.region, 0x3f8), 0);
	ck_assert_uint_eq(bus_read(b, 0x3f9, 1), 0x22);
	ck_assert_uint_eq(d.off, 1);
	ck_assert_uint_eq(d.size, 1);
	ck_assert_uint_eq(bus_read(b, 0x3f8, 4), 0x44332211);
	bus_write(b, 0x3fc, 0xffffffffffffabcd, 2);
	ck_assert_uint_eq(d.off, 4);
	ck_assert_uint_eq(d.val, 0xabcd);
	ck_assert_uint_eq(d.size, 2);
	/* the neighbours are not it */
	bus_write(b, 0x3f7, 1, 1);
	bus_write(b, 0x400, 1, 1);
	ck_assert_uint_eq(d.writes, 1);
	bus_unmap(b, &d.region);
	ck_assert_uint_eq(bus_read(b, 0x3f9, 1), 0xff);
	bus_unmap(b, &d.region);
	bus_free(b);
}
END_TEST

START_TEST (an_access_over_an_edge_is_split_into_bytes) {
	struct bus *b = new_bus(false);
	struct dev d, n;

	dev_init(&d, 0x10, BUS_BAR);
	dev_init(&n, 0x10, BUS_BAR);
	ck_assert_int_eq(bus_map(b, &d.region, 0x1000), 0);
	/* past the end is nothing */
	ck_assert_uint_eq(bus_read(b, 0x100e, 4), 0xffff8877);
	ck_assert_uint_eq(d.size, 1);
	/* before the begin is nothing */
	ck_assert_uint_eq(bus_read(b, 0xffe, 4), 0x2211ffff);
	ck_assert_uint_eq(bus_read(b, 0xff9, 8), 0x11ffffffffffffff);
	ck_assert_int_eq(bus_map(b, &n.region, 0x1010), 0);
	ck_assert_uint_eq(bus_read(b, 0x100e, 4), 0x22118877);
	bus_write(b, 0x100f, 0x44332211, 4);
	ck_assert_uint_eq(d.val, 0x11);
	ck_assert_uint_eq(n.val, 0x44);
	ck_assert_uint_eq(n.off, 2);
	bus_write(b, 0xfff, 0xabcd, 2);
	ck_assert_uint_eq(d.val, 0xab);
	ck_assert_uint_eq(d.off, 0);
	bus_free(b);
}
END_TEST

START_TEST (odd_sizes_are_split_into_bytes) {
	struct bus *b = new_bus(false);
	struct dev d;

	dev_init(&d, 0x10, BUS_BAR);
	ck_assert_int_eq(bus_map(b, &d.region, 0x1000), 0);
	ck_assert_uint_eq(bus_read(b, 0x1000, 3), 0x332211);
	ck_assert_uint_eq(d.reads, 3);
	bus_write(b, 0x1001, 0x030201, 3);
	ck_assert_uint_eq(d.writes, 3);
	ck_assert_uint_eq(d.off, 3);
	ck_assert_uint_eq(d.val, 3);
	bus_free(b);
}
END_TEST

START_TEST (a_bar_does_not_cover_what_is_fixed) {
	struct bus *b = new_bus(false);
	struct dev bar, fixed, late;

	dev_init(&bar, 0x10000, BUS_BAR);
	dev_init(&fixed, 0x1000, BUS_FIXED);
	dev_init(&late, 0x100, BUS_BAR);
	ck_assert_int_eq(bus_map(b, &bar.region, 0x10000), 0);
	ck_assert_int_eq(bus_map(b, &fixed.region, 0x14000), 0);
	/* of two BARs the one that was there first */
	ck_assert_int_eq(bus_map(b, &late.region, 0x1ff80), 0);
	bus_write(b, 0x13fff, 1, 1);
	ck_assert_uint_eq(bar.off, 0x3fff);
	bus_write(b, 0x14000, 1, 1);
	ck_assert_uint_eq(fixed.off, 0);
	bus_write(b, 0x14fff, 1, 1);
	ck_assert_uint_eq(fixed.off, 0xfff);
	bus_write(b, 0x15000, 1, 1);
	ck_assert_uint_eq(bar.off, 0x5000);
	bus_write(b, 0x1fff0, 1, 1);
	ck_assert_uint_eq(bar.off, 0xfff0);
	ck_assert_uint_eq(late.writes, 0);
	bus_write(b, 0x20000, 1, 1);
	ck_assert_uint_eq(late.off, 0x80);
	/* straddling into the fixed part is split */
	bus_write(b, 0x13ffe, 0x44332211, 4);
	ck_assert_uint_eq(bar.val, 0x22);
	ck_assert_uint_eq(fixed.val, 0x44);
	bus_unmap(b, &bar.region);
	bus_write(b, 0x1ff80, 7, 1);
	ck_assert_uint_eq(late.val, 7);
	ck_assert_uint_eq(late.off, 0);
	bus_free(b);
}
END_TEST

START_TEST (a_region_moves) {
	struct bus *b = new_bus(false);
	struct dev d;

	dev_init(&d, 0x1000, BUS_BAR);
	ck_assert_int_eq(bus_map(b, &d.region, 0xc0000000), 0);
	ck_assert_int_eq(bus_map(b, &d.region, 0xc0000800), 0);
	bus_write(b, 0xc0000800, 1, 1);
	ck_assert_uint_eq(d.off, 0);
	ck_assert_uint_eq(bus_read(b, 0xc0000000, 1), 0xff);
	ck_assert_int_eq(bus_map(b, &d.region, 0xc0000800), 0);
	/* at the very top */
	ck_assert_int_eq(bus_map(b, &d.region, (UINT64_C(1) << 46) - 0x1000),
		0);
	bus_write(b, (UINT64_C(1) << 46) - 1, 9, 1);
	ck_assert_uint_eq(d.off, 0xfff);
	bus_free(b);
}
END_TEST

START_TEST (what_does_not_fit_is_refused_and_unmapped) {
	struct bus *b = new_bus(true);
	struct dev d;

	dev_init(&d, 0x10, BUS_BAR);
	ck_assert_int_eq(bus_map(b, &d.region, 0xfff1), -EINVAL);
	ck_assert_int_eq(bus_map(b, &d.region, 0x10000), -EINVAL);
	ck_assert_int_eq(bus_map(b, &d.region, UINT64_MAX - 3), -EINVAL);
	ck_assert(!d.region.mapped);
	ck_assert_int_eq(bus_map(b, &d.region, 0xfff0), 0);
	ck_assert_int_eq(bus_map(b, &d.region, 0xfff8), -EINVAL);
	ck_assert(!d.region.mapped);
	ck_assert_uint_eq(bus_read(b, 0xfff0, 1), 0xff);
	d.region.len = 0;
	ck_assert_int_eq(bus_map(b, &d.region, 0), -EINVAL);
	bus_free(b);
}
END_TEST

START_TEST (a_full_map_is_refused) {
	struct bus *b = new_bus(false);
	struct dev *d = calloc(300, sizeof(*d));
	int r = 0, n;

	for (n = 0; n < 300; n++) {
		/* each inside the next: the most spans there can be */
		dev_init(&d[n], 0x1000 + (uint64_t)n * 0x20, BUS_BAR);
		r = bus_map(b, &d[n].region, 0x100000 - (uint64_t)n * 0x10);
		if (r < 0)
			break;
	}
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_int_eq(n, 256);
	for (int i = 1; i < n; i++) {
		uint64_t at = 0x100000 - (uint64_t)i * 0x10;

		bus_write(b, at, 1, 1);
		ck_assert_uint_eq(d[i].writes, 1);
		bus_write(b, at + d[i].region.len - 1, 1, 1);
		ck_assert_uint_eq(d[i].writes, 2);
	}
	bus_free(b);
	free(d);
}
END_TEST

START_TEST (a_missing_handler_reads_ones_and_drops_writes) {
	static const struct bus_ops none = { 0 };
	struct bus *b = new_bus(true);
	struct dev d;

	dev_init(&d, 4, BUS_FIXED);
	d.region.ops = &none;
	ck_assert_int_eq(bus_map(b, &d.region, 0x80), 0);
	ck_assert_uint_eq(bus_read(b, 0x80, 2), 0xffff);
	bus_write(b, 0x80, 1, 1);
	bus_free(b);
}
END_TEST

START_TEST (doorbells_are_checked) {
	struct bus *pio = new_bus(true), *mmio = new_bus(false);

	ck_assert_int_eq(bus_ioeventfd_add(pio, 0x100, 2, false, 0, 1), 0);
	ck_assert_int_eq(bus_ioeventfd_add(pio, 0x100, 0, false, 0, 1),
		-EINVAL);
	ck_assert_int_eq(bus_ioeventfd_add(pio, 0xffff, 2, false, 0, 1),
		-EINVAL);
	ck_assert_int_eq(bus_ioeventfd_add(mmio, 0x100, 0, false, 0, 1), 0);
	ck_assert_int_eq(bus_ioeventfd_add(mmio, 0x100, 0, true, 0, 1),
		-EINVAL);
	ck_assert_int_eq(bus_ioeventfd_add(mmio, 0x100, 3, false, 0, 1),
		-EINVAL);
	bus_ioeventfd_del(mmio, 0x100, 0, false, 0, 1);
	ck_assert_int_eq(bus_coalesce(pio, 0x100, 1, true), -EINVAL);
	ck_assert_int_eq(bus_coalesce(mmio, 0x100, 0, true), -EINVAL);
	ck_assert_int_eq(bus_coalesce(mmio, UINT64_MAX, 2, true), -EINVAL);
	ck_assert_int_eq(bus_coalesce(mmio, 0xa0000, 0x20000, true), 0);
	bus_flush(mmio);
	bus_flush(pio);
	bus_free(pio);
	bus_free(mmio);
}
END_TEST

/* One thread moves a BAR over and over while two look it up. */
struct race {
	struct bus *b;
	struct dev fixed;
	_Atomic bool stop;
	_Atomic unsigned lost;
};

static void count_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	(void)opaque;
	(void)off;
	(void)val;
	(void)size;
}

static uint64_t give_off(void *opaque, uint64_t off, unsigned size)
{
	(void)opaque;
	(void)size;
	return off;
}

static const struct bus_ops race_ops = { give_off, count_write };

static void *race_read(void *arg)
{
	struct race *r = arg;

	for (unsigned i = 0; !atomic_load(&r->stop); i++)
		if (bus_read(r->b, 0x5000 + i % 64, 1) != i % 64)
			atomic_fetch_add(&r->lost, 1);
	return NULL;
}

START_TEST (look_ups_are_right_while_others_map) {
	struct race r = { .b = new_bus(false) };
	struct bus_region moving = { .name = "moving",
		.ops = &race_ops,
		.len = 0x1000 };
	struct bus_region fixed = { .name = "fixed",
		.ops = &race_ops,
		.len = 64,
		.prio = BUS_FIXED };
	pthread_t t[2];

	ck_assert_int_eq(bus_map(r.b, &fixed, 0x5000), 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, race_read, &r);
	for (unsigned i = 0; i < 20000; i++) {
		ck_assert_int_eq(bus_map(r.b, &moving, 0x4000 + i % 32 * 0x100),
			0);
		if (i % 7 == 0)
			bus_unmap(r.b, &moving);
	}
	atomic_store(&r.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(r.lost, 0);
	bus_free(r.b);
}
END_TEST

SUITE("bus", nothing_reads_as_all_ones,
	an_access_arrives_with_its_offset_and_size,
	an_access_over_an_edge_is_split_into_bytes,
	odd_sizes_are_split_into_bytes, a_bar_does_not_cover_what_is_fixed,
	a_region_moves, what_does_not_fit_is_refused_and_unmapped,
	a_full_map_is_refused, a_missing_handler_reads_ones_and_drops_writes,
	doorbells_are_checked, look_ups_are_right_while_others_map)
