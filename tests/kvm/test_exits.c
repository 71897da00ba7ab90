// SPDX-License-Identifier: GPL-3.0-or-later
/* Port and MMIO exits, ROM views, doorbells and gathered writes. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/kvm/rig.h"

struct mem { /* an MMIO device that is plain memory, and counts */
	struct bus_region region;
	uint8_t data[0x8000];
	unsigned reads, writes;
	unsigned last_size;
};

static uint64_t mem_read(void *opaque, uint64_t off, unsigned size)
{
	struct mem *m = opaque;
	uint64_t v = 0;

	m->reads++;
	memcpy(&v, m->data + off, size);
	return v;
}

static void mem_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct mem *m = opaque;

	m->writes++;
	m->last_size = size;
	memcpy(m->data + off, &val, size);
}

static const struct bus_ops mem_ops = { mem_read, mem_write };

static void mem_map(struct rig *r, struct mem *m, uint64_t base, uint64_t len)
{
	memset(m, 0, sizeof(*m));
	m->region = (struct bus_region){ .name = "mem",
		.ops = &mem_ops,
		.opaque = m,
		.len = len,
		.prio = BUS_FIXED };
	ck_assert_int_eq(bus_map(r->core.mmio, &m->region, base), 0);
}

START_TEST (ports_take_each_size_and_strings) {
	static const uint64_t want[] = { 0x12, 0x3456, 0x789abcde, 0xbb, 0xccbb,
		0xeeddccbb, 0xffffffff, 1, 2, 3, 4, 0xccbb, 0xccbb, 0xccbb };
	struct rig r;
	struct vcpu_stats s;

	rig_up(&r, "pio", MiB, 1);
	rig_run(&r);
	ck_assert_uint_eq(r.nseen, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < r.nseen; i++)
		ck_assert_uint_eq(r.seen[i], want[i]);
	ck_assert_uint_eq(vcpus_stats(r.vcpus, &s, 1), 1);
	ck_assert_uint_ge(s.exits[EXIT_IO_READ], 5);
	ck_assert_uint_ge(s.exits[EXIT_IO_WRITE], 12);
	rig_down(&r);
}
END_TEST

START_TEST (mmio_takes_each_size_and_splits_at_an_edge) {
	struct rig r;
	struct mem *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));

	rig_up(&r, "mmio", MiB, 1);
	mem_map(&r, a, 0xa0000, 0x1000);
	mem_map(&r, b, 0xa1000, 0x1000);
	rig_run(&r);
	ck_assert_uint_eq(r.nseen, 4);
	ck_assert_uint_eq(r.seen[0], 0x11);
	ck_assert_uint_eq(r.seen[1], 0x2222);
	ck_assert_uint_eq(r.seen[2], 0x33333333);
	ck_assert_uint_eq(r.seen[3], 0xddccbbaa);
	ck_assert_uint_eq(a->data[0xffe], 0xaa);
	ck_assert_uint_eq(a->data[0xfff], 0xbb);
	ck_assert_uint_eq(b->data[0], 0xcc);
	ck_assert_uint_eq(b->data[1], 0xdd);
	rig_down(&r);
	free(a);
	free(b);
}
END_TEST

START_TEST (a_write_to_rom_exits_and_changes_nothing) {
	struct rig r;
	struct mem *m = calloc(1, sizeof(*m));
	struct gmem_block *b;
	struct gmem_view *v;
	struct err e;
	uint32_t word = 0xcafef00d;

	rig_up(&r, "rom", MiB, 1);
	mem_map(&r, m, 0xa8000, 0x8000);
	ck_assert_int_eq(gmem_block_new(r.core.gmem, "flash", 0x8000, &b, &e),
		0);
	memcpy((uint8_t *)gmem_block_ptr(b) + 0x10, &word, 4);
	ck_assert_int_eq(gmem_view_new(b, 0, 0x8000, GMEM_ROM, &v, &e), 0);
	ck_assert_int_eq(gmem_view_map(v, 0xa8000), 0);
	rig_run(&r);
	ck_assert_uint_eq(r.seen[0], 0xcafef00d);
	ck_assert_uint_eq(r.seen[1], 0xcafef00d);
	ck_assert_uint_eq(m->writes, 1);
	ck_assert_uint_eq(m->reads, 0);
	ck_assert_uint_eq(m->last_size, 4);
	rig_down(&r);
	free(m);
}
END_TEST

static unsigned event_count(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? (unsigned)n : 0;
}

START_TEST (doorbells_signal_and_do_not_exit) {
	struct rig r;
	struct mem *m = calloc(1, sizeof(*m));
	int any = eventfd(0, EFD_NONBLOCK), match = eventfd(0, EFD_NONBLOCK);
	int port = eventfd(0, EFD_NONBLOCK);

	rig_up(&r, "doorbell", MiB, 1);
	mem_map(&r, m, 0xa0000, 0x1000);
	ck_assert_int_eq(bus_ioeventfd_add(r.core.mmio, 0xa0010, 0, false, 0,
				 any),
		0);
	ck_assert_int_eq(bus_ioeventfd_add(r.core.mmio, 0xa0020, 4, true, 7,
				 match),
		0);
	ck_assert_int_eq(bus_ioeventfd_add(r.core.pio, 0xfc, 1, false, 0, port),
		0);
	/* the place is taken */
	ck_assert_int_eq(bus_ioeventfd_add(r.core.pio, 0xfc, 1, false, 0, any),
		-EEXIST);
	rig_run(&r);
	ck_assert_uint_eq(event_count(any), 1);
	ck_assert_uint_eq(event_count(match), 1);
	ck_assert_uint_eq(event_count(port), 1);
	/* only the value that did not match came to the device */
	ck_assert_uint_eq(m->writes, 1);
	ck_assert_uint_eq(m->data[0x20], 8);

	/* taken away, everything exits again */
	bus_ioeventfd_del(r.core.mmio, 0xa0010, 0, false, 0, any);
	bus_ioeventfd_del(r.core.mmio, 0xa0020, 4, true, 7, match);
	bus_ioeventfd_del(r.core.pio, 0xfc, 1, false, 0, port);
	vcpus_stop(r.vcpus);
	rig_start(&r);
	rig_wait_done(&r, 2);
	vcpus_pause(r.vcpus);
	ck_assert_uint_eq(event_count(any), 0);
	ck_assert_uint_eq(event_count(match), 0);
	ck_assert_uint_eq(event_count(port), 0);
	ck_assert_uint_eq(m->writes, 4);
	rig_down(&r);
	close(any);
	close(match);
	close(port);
	free(m);
}
END_TEST

START_TEST (gathered_writes_arrive_in_order_before_the_exit) {
	struct rig r;
	struct mem *m = calloc(1, sizeof(*m));
	struct vcpu_stats s;

	rig_up(&r, "gather", MiB, 1);
	mem_map(&r, m, 0xa0000, 0x1000);
	ck_assert_int_eq(bus_coalesce(r.core.mmio, 0xa0000, 0x1000, true), 0);
	rig_run(&r);
	ck_assert_uint_eq(m->writes, 300);
	for (unsigned i = 0; i < 300; i++)
		ck_assert_uint_eq(m->data[i], i & 0xff);
	/* far fewer exits than writes: one when the ring is full */
	vcpus_stats(r.vcpus, &s, 1);
	ck_assert_uint_lt(s.exits[EXIT_MMIO_WRITE], 100);
	ck_assert_int_eq(bus_coalesce(r.core.mmio, 0xa0000, 0x1000, false), 0);
	rig_down(&r);
	free(m);
}
END_TEST

KVM_SUITE("exits", ports_take_each_size_and_strings,
	mmio_takes_each_size_and_splits_at_an_edge,
	a_write_to_rom_exits_and_changes_nothing,
	doorbells_signal_and_do_not_exit,
	gathered_writes_arrive_in_order_before_the_exit)
