/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The entropy source: bytes, bounds, the rate. */
#include <errno.h>

#include "tests/unit/vm/virtio/vdriver.h"

static struct vd vd;
static struct device *dev;
static struct vd_ring ring;

static void start(void)
{
	struct err e = ERR_NONE;

	rig_init(&vd.r, VD_RAM, true);
	ck_assert_int_eq(virtio_rng_new(&vd.r.core, vd.r.pci, VD_FN, &dev, &e),
		0);
	vd_probe(&vd);
	ck_assert_uint_eq(cfg_in(&vd.r, VD_FN, 2, 2), 0x1044);
	ck_assert(vd_negotiate(&vd, VD_V1));
	vd_ring(&vd, &ring, 0, 64);
	vd_driver_ok(&vd);
}

static void stop(void)
{
	dev->ops->free(dev);
	rig_fini(&vd.r);
}

START_TEST (buffers_are_filled_and_no_more) {
	const struct vd_buf b[] = { { VD_DATA, 40, true },
		{ VD_DATA + 100, 24, true } };
	uint8_t zero[24] = { 0 };
	uint16_t id;

	start();
	id = vd_add(&ring, b, 2);
	vd_kick(&ring);
	vd_expect_used(&ring, id, 64);
	ck_assert_mem_ne(vd_ptr(&vd, VD_DATA, 24), zero, 24);
	ck_assert_mem_ne(vd_ptr(&vd, VD_DATA + 100, 24), zero, 24);
	ck_assert_mem_eq(vd_ptr(&vd, VD_DATA + 40, 24), zero, 24);
	ck_assert_mem_eq(vd_ptr(&vd, VD_DATA + 124, 24), zero, 24);
	ck_assert_uint_eq(vd_isr(&vd), 1);
	stop();
}
END_TEST

START_TEST (a_large_buffer_gets_a_part) {
	const struct vd_buf b = { VD_DATA, 1 * MiB, true };
	uint16_t id;

	start();
	id = vd_add(&ring, &b, 1);
	vd_kick(&ring);
	vd_expect_used(&ring, id, 4096);
	stop();
}
END_TEST

START_TEST (a_buffer_without_room_comes_back_empty) {
	const struct vd_buf b = { VD_DATA, 16, false };
	uint16_t id;

	start();
	id = vd_add(&ring, &b, 1);
	vd_kick(&ring);
	vd_expect_used(&ring, id, 0);
	stop();
}
END_TEST

START_TEST (a_greedy_guest_waits_and_then_is_served) {
	const struct vd_buf b = { VD_DATA, 4096, true };
	unsigned n = 0;
	uint16_t id;
	uint32_t len;

	start();
	for (unsigned i = 0; i < 60; i++)
		vd_add(&ring, &b, 1);
	mmio_out(&vd.r, vd.notify, 0, 2);
	loop_run_once(vd.r.core.io, 0);
	while (vd_used(&ring, &id, &len))
		n++;
	ck_assert_uint_eq(n, 16); /* the bucket holds 64 KiB */
	while (n < 60) {
		loop_run_once(vd.r.core.io, 1000);
		while (vd_used(&ring, &id, &len))
			n++;
	}
	stop();
}
END_TEST

START_TEST (a_reset_stops_the_waiting) {
	const struct vd_buf b = { VD_DATA, 4096, true };

	start();
	for (unsigned i = 0; i < 60; i++)
		vd_add(&ring, &b, 1);
	vd_kick(&ring);
	vd_reset(&vd);
	vd_run(&vd);
	ck_assert_uint_eq(vd_isr(&vd), 0);
	stop();
}
END_TEST

START_TEST (a_taken_slot_is_refused) {
	struct err e = ERR_NONE;
	struct device *two;

	start();
	ck_assert_int_eq(virtio_rng_new(&vd.r.core, vd.r.pci, VD_FN, &two, &e),
		-EEXIST);
	ck_assert_err(e, EEXIST, "taken by virtio-rng");
	stop();
}
END_TEST

SUITE("virtio-rng", buffers_are_filled_and_no_more, a_large_buffer_gets_a_part,
	a_buffer_without_room_comes_back_empty,
	a_greedy_guest_waits_and_then_is_served, a_reset_stops_the_waiting,
	a_taken_slot_is_refused)
