/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The paravirtual console: bytes out, bytes in, input that waits. */
#include <errno.h>

#include "vm/virtio/console.h"

#include "tests/unit/vm/virtio/vdriver.h"

static struct vd vd;
static struct device *dev;
static struct console *con;
static struct vd_ring rx, tx;

static void start_with(uint64_t features)
{
	struct err e = ERR_NONE;

	rig_init(&vd.r, VD_RAM, true);
	ck_assert_int_eq(console_new(NULL, &con, &e), 0);
	ck_assert_int_eq(virtio_console_new(&vd.r.core, vd.r.pci, VD_FN, con,
				 &dev, &e),
		0);
	vd_probe(&vd);
	ck_assert(vd_negotiate(&vd, VD_V1 | features));
	vd_ring(&vd, &rx, 0, 64);
	vd_ring(&vd, &tx, 1, 64);
	vd_driver_ok(&vd);
}

static void start(void)
{
	start_with(0);
}

static void stop(void)
{
	dev->ops->free(dev);
	console_free(con);
	rig_fini(&vd.r);
}

START_TEST (output_reaches_the_console) {
	const struct vd_buf b[] = { { VD_DATA, 6, false },
		{ VD_DATA + 64, 5, false } };
	uint64_t pos = 0;
	char got[32];
	uint16_t id;

	start();
	memcpy(vd_ptr(&vd, VD_DATA, 6), "hello ", 6);
	memcpy(vd_ptr(&vd, VD_DATA + 64, 5), "guest", 5);
	id = vd_add(&tx, b, 2);
	vd_kick(&tx);
	vd_expect_used(&tx, id, 0);
	ck_assert_uint_eq(console_read(con, &pos, got, sizeof(got)), 11);
	ck_assert_mem_eq(got, "hello guest", 11);
	stop();
}
END_TEST

START_TEST (input_waits_for_a_buffer) {
	const struct vd_buf b = { VD_DATA, 4, true },
			    c = { VD_DATA + 64, 64, true };
	uint16_t id[2];

	start();
	ck_assert_uint_eq(console_input(con, "abcdef", 6), 6);
	vd_run(&vd);
	vd_expect_none(&rx);
	id[0] = vd_add(&rx, &b, 1);
	id[1] = vd_add(&rx, &c, 1);
	vd_kick(&rx);
	vd_expect_used(&rx, id[0], 4);
	vd_expect_used(&rx, id[1], 2);
	ck_assert_mem_eq(vd_ptr(&vd, VD_DATA, 4), "abcd", 4);
	ck_assert_mem_eq(vd_ptr(&vd, VD_DATA + 64, 2), "ef", 2);
	stop();
}
END_TEST

START_TEST (a_buffer_waits_for_input) {
	const struct vd_buf b = { VD_DATA, 16, true };
	uint16_t id;

	start();
	id = vd_add(&rx, &b, 1);
	vd_kick(&rx);
	vd_expect_none(&rx);
	console_input(con, "x", 1);
	vd_run(&vd);
	vd_expect_used(&rx, id, 1);
	stop();
}
END_TEST

START_TEST (an_output_buffer_in_the_input_ring_comes_back_empty) {
	const struct vd_buf b = { VD_DATA, 16, false };
	uint16_t id;

	start();
	console_input(con, "x", 1);
	id = vd_add(&rx, &b, 1);
	vd_kick(&rx);
	vd_expect_used(&rx, id, 0);
	stop();
}
END_TEST

static void expect_kicks(uint64_t kind)
{
	const struct vd_buf b = { VD_DATA, 1, true };
	uint16_t id, old;

	start_with(kind);
	console_input(con, "abcdef", 6);
	vd_run(&vd);
	for (unsigned i = 0; i < 6; i++) {
		old = vd_at(&rx);
		id = vd_add(&rx, &b, 1);
		vd_kick_wanted(&rx, old);
		vd_expect_used(&rx, id, 1);
	}
	stop();
}

START_TEST (a_driver_is_asked_to_kick_while_input_waits) {
	const uint64_t kinds[] = VD_KINDS;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		expect_kicks(kinds[i]);
}
END_TEST

SUITE("virtio/console", output_reaches_the_console, input_waits_for_a_buffer,
	a_buffer_waits_for_input,
	an_output_buffer_in_the_input_ring_comes_back_empty,
	a_driver_is_asked_to_kick_while_input_waits)
