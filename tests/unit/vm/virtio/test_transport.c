/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Status, features, registers, interrupts and reset over PCI. */
#include <errno.h>

#include "vm/base/clock.h"
#include "vm/base/thread.h"

#include "vm/virtio/impl.h"

#include "tests/unit/vm/virtio/vdriver.h"

static struct vd vd;
static struct virtio_dev dev;
static struct vd_ring ring;

/* How the device under test behaves. */
static bool busy; /* stop() says so: requests are in flight */
static unsigned starts, stops, drains, resets, cfg_writes;
static bool drain_ends;
static unsigned looks; /* at queues */

static bool features_ok(struct virtio_dev *v, uint64_t features)
{
	(void)v;
	return !(features & VIRTIO_BIT(5)) || features & VIRTIO_BIT(4);
}

static void config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
	cfg_writes++;
	ck_assert_uint_le(off + len, 12);
	v->config[11] = v->config[0];
}

static void op_reset(struct virtio_dev *v)
{
	resets++;
	v->config[0] = 0x11;
}

static void op_start(struct virtio_dev *v)
{
	(void)v;
	starts++;
}

static void op_queue(struct virtio_dev *v, struct virtq *q)
{
	(void)v;
	(void)q;
	looks++;
}

static bool op_stop(struct virtio_dev *v)
{
	(void)v;
	stops++;
	return !busy;
}

static void op_drain(struct virtio_dev *v)
{
	drains++;
	busy = false;
	if (drain_ends)
		virtio_stopped(v);
}

static void op_free(struct virtio_dev *v)
{
	virtio_dev_fini(v);
}

static const struct virtio_ops ops = {
	.features_ok = features_ok,
	.config_written = config_written,
	.reset = op_reset,
	.start = op_start,
	.queue = op_queue,
	.stop = op_stop,
	.drain = op_drain,
	.free = op_free,
};

static void start(void)
{
	static const struct virtio_info info = {
		.name = "virtio-test",
		.type = VIRTIO_TYPE_NET,
		.class_code = 0x020000,
		.nqueues = 3,
		.queue_size = 128,
		.features = VIRTIO_BIT(4) | VIRTIO_BIT(5) | VIRTIO_BIT(40),
		.config_len = 12,
	};
	struct err e = ERR_NONE;

	busy = drain_ends = false;
	looks = 0;
	starts = stops = drains = resets = cfg_writes = 0;
	rig_init(&vd.r, VD_RAM, true);
	ck_assert_int_eq(virtio_dev_init(&dev, &vd.r.core, &info, &ops, &e), 0);
	for (unsigned i = 0; i < 12; i++)
		dev.config[i] = (uint8_t)(0x11 * (i + 1));
	dev.config_wmask[0] = 0x0f;
	ck_assert_int_eq(virtio_pci_add(&dev, vd.r.pci, VD_FN, &e), 0);
	vd_probe(&vd);
}

static void stop(void)
{
	dev.dev.ops->free(&dev.dev);
	rig_fini(&vd.r);
}

static void go_live(void)
{
	ck_assert(vd_negotiate(&vd, VD_V1));
	vd_ring(&vd, &ring, 0, 8);
	vd_driver_ok(&vd);
	ck_assert_uint_eq(vd_status(&vd), 15);
	ck_assert_uint_eq(starts, 1);
}

START_TEST (the_function_is_a_modern_virtio_one) {
	start();
	ck_assert_uint_eq(cfg_in(&vd.r, VD_FN, 0, 4), 0x10411af4);
	ck_assert_uint_eq(cfg_in(&vd.r, VD_FN, 8, 4), 0x02000001);
	ck_assert_uint_eq(cfg_in(&vd.r, VD_FN, 0x2c, 4), 0x11001af4);
	ck_assert_uint_eq(cfg_in(&vd.r, VD_FN, 0x3d, 1), 1);
	for (uint8_t type = 1; type <= 5; type++)
		ck_assert_uint_ne(vd_cap(&vd, type), 0);
	ck_assert_uint_eq(vd.notify_mul, 4);
	ck_assert_uint_ne(cfg_cap(&vd.r, VD_FN, 0x11, 0), 0);
	ck_assert_uint_ne(cfg_cap(&vd.r, VD_FN, 0x10, 0), 0);
	ck_assert_uint_eq(vd_in(&vd, 18, 2), 3);
	stop();
}
END_TEST

START_TEST (a_taken_slot_is_refused) {
	static const struct virtio_info info = { .name = "virtio-more",
		.type = VIRTIO_TYPE_RNG,
		.nqueues = 1,
		.queue_size = 8 };
	struct virtio_dev other;
	struct err e = ERR_NONE;

	start();
	ck_assert_int_eq(virtio_dev_init(&other, &vd.r.core, &info, &ops, &e),
		0);
	ck_assert_int_eq(virtio_pci_add(&other, vd.r.pci, VD_FN, &e), -EEXIST);
	ck_assert_err(e, EEXIST, "taken by virtio-test");
	virtio_dev_fini(&other);
	stop();
}
END_TEST

START_TEST (features_are_offered_and_checked) {
	const uint64_t offered = VIRTIO_BIT(4) | VIRTIO_BIT(5) |
				 VIRTIO_BIT(40) | VD_V1 | VD_IND | VD_EVT |
				 VD_PKD;

	start();
	ck_assert_uint_eq(vd_offered(&vd), offered);
	vd_out(&vd, 0, 2, 4);
	ck_assert_uint_eq(vd_in(&vd, 4, 4), 0);
	ck_assert(vd_negotiate(&vd, offered));
	ck_assert(vd_negotiate(&vd, VD_V1));
	ck_assert(!vd_negotiate(&vd, 0));         /* legacy */
	ck_assert(!vd_negotiate(&vd, VD_V1 | 1)); /* not offered */
	ck_assert(!vd_negotiate(&vd, VD_V1 | VIRTIO_BIT(63)));
	ck_assert(!vd_negotiate(&vd, VD_V1 | VIRTIO_BIT(5))); /* device's no */
	ck_assert(vd_negotiate(&vd, VD_V1 | VIRTIO_BIT(4) | VIRTIO_BIT(5)));
	/* they are fixed now */
	vd_out(&vd, 8, 0, 4);
	vd_out(&vd, 12, 0, 4);
	ck_assert_uint_eq(vd_in(&vd, 12, 4), 0x30);
	vd_out(&vd, 8, 7, 4);
	vd_out(&vd, 12, 1, 4);
	ck_assert_uint_eq(vd_in(&vd, 12, 4), 0);
	stop();
}
END_TEST

START_TEST (driver_ok_needs_features_ok) {
	start();
	vd_out(&vd, 20, 1, 1);
	vd_out(&vd, 20, 3, 1);
	vd_out(&vd, 20, 7, 1);
	vd_run(&vd);
	ck_assert_uint_eq(vd_status(&vd), 3);
	ck_assert_uint_eq(starts, 0);
	stop();
}
END_TEST

START_TEST (status_bits_go_only_by_reset) {
	start();
	go_live();
	vd_out(&vd, 20, 0x80, 1);
	ck_assert_uint_eq(vd_status(&vd), 0x8f);
	vd_out(&vd, 20, 1, 1);
	ck_assert_uint_eq(vd_status(&vd), 0x8f);
	vd_out(&vd, 20, 0x40, 1); /* not the driver's to set */
	ck_assert_uint_eq(vd_status(&vd), 0x8f);
	vd_reset(&vd);
	stop();
}
END_TEST

START_TEST (queue_registers_belong_to_the_selected_queue) {
	start();
	vd_out(&vd, 22, 2, 2);
	ck_assert_uint_eq(vd_in(&vd, 24, 2), 128);
	ck_assert_uint_eq(vd_in(&vd, 30, 2), 2);
	vd_out(&vd, 24, 64, 2);
	vd_out(&vd, 24, 0, 2);   /* not a size */
	vd_out(&vd, 24, 129, 2); /* more than there is */
	vd_out64(&vd, 32, UINT64_C(0x1122334455667788));
	mmio_out(&vd.r, vd.common + 40, UINT64_C(0x99aabbccddeeff00), 8);
	vd_out(&vd, 26, 3, 2);
	vd_out(&vd, 28, 2, 2); /* only 1 enables */
	ck_assert_uint_eq(vd_in(&vd, 24, 2), 64);
	ck_assert_uint_eq(vd_in(&vd, 28, 2), 0);
	vd_out(&vd, 28, 1, 2);
	vd_out(&vd, 28, 0, 2); /* and only a reset disables */
	ck_assert_uint_eq(vd_in(&vd, 28, 2), 1);
	ck_assert_uint_eq(vd_in(&vd, 26, 2), 3);
	ck_assert_uint_eq(vd_in(&vd, 36, 4), 0x11223344);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.common + 40, 8),
		UINT64_C(0x99aabbccddeeff00));
	vd_out(&vd, 22, 1, 2);
	ck_assert_uint_eq(vd_in(&vd, 24, 2), 128);
	ck_assert_uint_eq(vd_in(&vd, 32, 4), 0);
	/* no such queue */
	vd_out(&vd, 22, 3, 2);
	ck_assert_uint_eq(vd_in(&vd, 24, 2), 0);
	vd_out(&vd, 24, 8, 2);
	vd_out(&vd, 28, 1, 2);
	vd_out(&vd, 22, 0xffff, 2);
	vd_out64(&vd, 48, 1);
	ck_assert_uint_eq(vd_in(&vd, 48, 4), 0);
	vd_reset(&vd);
	vd_out(&vd, 22, 2, 2);
	ck_assert_uint_eq(vd_in(&vd, 24, 2), 128);
	ck_assert_uint_eq(vd_in(&vd, 28, 2), 0);
	ck_assert_uint_eq(vd_in(&vd, 26, 2), 0xffff);
	stop();
}
END_TEST

START_TEST (rings_are_fixed_while_the_device_runs) {
	start();
	go_live();
	vd_out(&vd, 22, 0, 2);
	vd_out(&vd, 24, 4, 2);
	vd_out64(&vd, 32, 0);
	ck_assert_uint_eq(vd_in(&vd, 24, 2), 8);
	ck_assert_uint_eq(vd_in(&vd, 32, 4), ring.desc);
	vd_out(&vd, 22, 1, 2);
	vd_out(&vd, 28, 1, 2);
	ck_assert_uint_eq(vd_in(&vd, 28, 2), 0);
	stop();
}
END_TEST

START_TEST (a_vector_that_does_not_exist_reads_as_none) {
	start();
	vd_out(&vd, 16, 3, 2);
	ck_assert_uint_eq(vd_in(&vd, 16, 2), 3);
	vd_out(&vd, 16, 4, 2);
	ck_assert_uint_eq(vd_in(&vd, 16, 2), 0xffff);
	vd_out(&vd, 26, 4, 2);
	ck_assert_uint_eq(vd_in(&vd, 26, 2), 0xffff);
	stop();
}
END_TEST

START_TEST (odd_accesses_to_the_registers_do_no_harm) {
	start();
	for (unsigned off = 0; off < 0x4000; off += 7)
		for (unsigned size = 1; size <= 8; size *= 2) {
			mmio_in(&vd.r, vd.common + off, size);
			mmio_out(&vd.r, vd.common + off, UINT64_MAX, size);
		}
	vd_run(&vd);
	vd_reset(&vd);
	go_live();
	stop();
}
END_TEST

START_TEST (config_bytes_obey_their_mask) {
	start();
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config, 4), 0x44332211);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 3, 1), 0x44);
	mmio_out(&vd.r, vd.config, 0xffffffff, 4);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config, 4), 0x4433221f);
	ck_assert_uint_eq(cfg_writes, 1);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 11, 1), 0x1f);
	/* over the end, and past it */
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 10, 4), 0x1fbb);
	mmio_out(&vd.r, vd.config + 10, 0, 4);
	mmio_out(&vd.r, vd.config + 12, 0, 4);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 12, 4), 0);
	ck_assert_uint_eq(cfg_writes, 2);
	vd_reset(&vd);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config, 1), 0x11);
	stop();
}
END_TEST

START_TEST (a_config_change_counts_up_and_interrupts) {
	start();
	virtio_config_set(&dev, 4, "\x01\x02", 2);
	ck_assert_uint_eq(vd_in(&vd, 21, 1), 1);
	ck_assert_uint_eq(vd_isr(&vd), 0); /* no driver yet */
	go_live();
	virtio_config_set(&dev, 4, "\x03\x04", 2);
	ck_assert_uint_eq(vd_in(&vd, 21, 1), 2);
	ck_assert(vd.r.pirq[pci_pirq(2, 1)]);
	ck_assert_uint_eq(vd_isr(&vd), 3);
	ck_assert(!vd.r.pirq[pci_pirq(2, 1)]);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 4, 2), 0x0403);
	stop();
}
END_TEST

/* All vectors masked: what fires shows as pending. */
static uint64_t msix_pending(void)
{
	return mmio_in(&vd.r, vd_bar(&vd, 1) + 0x800, 8);
}

START_TEST (msix_gives_queues_and_config_vectors_of_their_own) {
	start();
	go_live();
	cfg_out(&vd.r, VD_FN, cfg_cap(&vd.r, VD_FN, 0x11, 0) + 2, 0x8000, 2);
	dev.transport->notify_queue(&dev, 0); /* no vector: nothing */
	ck_assert_uint_eq(msix_pending(), 0);
	vd_out(&vd, 16, 3, 2);
	vd_out(&vd, 22, 0, 2);
	vd_out(&vd, 26, 1, 2);
	dev.transport->notify_queue(&dev, 0);
	ck_assert_uint_eq(msix_pending(), 2);
	virtio_config_set(&dev, 0, "", 1);
	ck_assert_uint_eq(msix_pending(), 2 | 8);
	/* neither ISR nor wire */
	ck_assert_uint_eq(vd_isr(&vd), 0);
	ck_assert_uint_eq(vd.r.routed, 0);
	stop();
}
END_TEST

START_TEST (the_config_window_reaches_bar4_and_nothing_else) {
	unsigned w;

	start();
	w = vd_cap(&vd, 5);
	cfg_out(&vd.r, VD_FN, w + 4, 4, 1);
	cfg_out(&vd.r, VD_FN, w + 8, 18, 4);
	cfg_out(&vd.r, VD_FN, w + 12, 2, 4);
	ck_assert_uint_eq(cfg_in(&vd.r, VD_FN, w + 16, 2), 3);
	/* status by the window */
	cfg_out(&vd.r, VD_FN, w + 8, 20, 4);
	cfg_out(&vd.r, VD_FN, w + 12, 1, 4);
	cfg_out(&vd.r, VD_FN, w + 16, 1, 1);
	ck_assert_uint_eq(vd_status(&vd), 1);
	cfg_out(&vd.r, VD_FN, w + 16, 3, 4);
	ck_assert_uint_eq(cfg_in(&vd.r, VD_FN, w + 16, 1), 3);
	/* another BAR, odd length, misaligned, past the end */
	cfg_out(&vd.r, VD_FN, w + 4, 1, 1);
	cfg_out(&vd.r, VD_FN, w + 16, 0, 4);
	ck_assert_uint_eq(vd_status(&vd), 3);
	cfg_out(&vd.r, VD_FN, w + 4, 4, 1);
	cfg_out(&vd.r, VD_FN, w + 12, 3, 4);
	cfg_out(&vd.r, VD_FN, w + 16, 0, 4);
	cfg_out(&vd.r, VD_FN, w + 12, 4, 4);
	cfg_out(&vd.r, VD_FN, w + 8, 2, 4);
	cfg_out(&vd.r, VD_FN, w + 16, 0, 4);
	cfg_out(&vd.r, VD_FN, w + 8, 0x4000, 4);
	cfg_out(&vd.r, VD_FN, w + 16, 0, 4);
	cfg_out(&vd.r, VD_FN, w + 8, 0xfffffffc, 4);
	cfg_in(&vd.r, VD_FN, w + 16, 4);
	cfg_out(&vd.r, VD_FN, w + 16, 0, 4);
	ck_assert_uint_eq(vd_status(&vd), 3);
	stop();
}
END_TEST

/* --- reset
 * ---------------------------------------------------------------------- */

START_TEST (reset_of_a_device_that_never_ran_is_at_once) {
	start();
	vd_out(&vd, 20, 3, 1);
	vd_out(&vd, 20, 0, 1);
	ck_assert_uint_eq(vd_status(&vd), 0);
	ck_assert_uint_eq(stops, 0);
	ck_assert_uint_eq(resets, 1);
	stop();
}
END_TEST

START_TEST (status_reads_zero_only_when_requests_are_back) {
	start();
	go_live();
	busy = true;
	vd_out(&vd, 20, 0, 1);
	ck_assert_uint_eq(vd_status(&vd), 15); /* not even begun */
	vd_run(&vd);
	ck_assert_uint_eq(stops, 1);
	ck_assert_uint_eq(vd_status(&vd), 15);
	ck_assert(!virtio_active(&dev));
	vd_out(&vd, 20, 0, 1); /* impatient */
	vd_run(&vd);
	ck_assert_uint_eq(stops, 1);
	virtio_stopped(&dev);
	ck_assert_uint_eq(vd_status(&vd), 0);
	virtio_stopped(&dev); /* once more: nothing */
	starts = 0;
	go_live();
	stop();
}
END_TEST

START_TEST (reset_before_the_start_was_seen_stops_nothing) {
	start();
	ck_assert(vd_negotiate(&vd, VD_V1));
	vd_out(&vd, 20, 15, 1);
	vd_out(&vd, 20, 0, 1);
	vd_run(&vd);
	ck_assert_uint_eq(vd_status(&vd), 0);
	ck_assert_uint_eq(starts, 0);
	ck_assert_uint_eq(stops, 0);
	stop();
}
END_TEST

START_TEST (machine_reset_drains) {
	for (int i = 0; i < 2; i++) {
		start();
		go_live();
		busy = true;
		drain_ends = i;
		dev.dev.ops->reset(&dev.dev);
		ck_assert_uint_eq(stops, 1);
		ck_assert_uint_eq(drains, 1);
		ck_assert_uint_eq(vd_status(&vd), 0);
		ck_assert(!dev.stopping);
		stop();
	}
}
END_TEST

START_TEST (machine_reset_ends_a_reset_that_the_driver_began) {
	start();
	go_live();
	busy = true;
	vd_out(&vd, 20, 0, 1);
	vd_run(&vd);
	dev.dev.ops->reset(&dev.dev);
	ck_assert_uint_eq(stops, 1);
	ck_assert_uint_eq(drains, 1);
	ck_assert_uint_eq(vd_status(&vd), 0);
	vd_run(&vd);
	starts = 0;
	go_live();
	stop();
}
END_TEST

START_TEST (quiesce_drains_and_resume_kicks) {
	start();
	go_live();
	dev.dev.ops->quiesce(&dev.dev);
	ck_assert_uint_eq(drains, 1);
	ck_assert(!virtio_active(&dev));
	dev.dev.ops->resume(&dev.dev);
	ck_assert(virtio_active(&dev));
	stop();
}
END_TEST

START_TEST (a_broken_device_says_so_and_a_reset_mends_it) {
	start();
	go_live();
	virtio_broken(&dev, "a test");
	ck_assert_uint_eq(vd_status(&vd), 15 | 64);
	ck_assert_uint_eq(vd_isr(&vd), 3);
	virtio_broken(&dev, "again");
	ck_assert_uint_eq(vd_isr(&vd), 0);
	vd_reset(&vd);
	starts = 0;
	go_live();
	ck_assert(virtio_active(&dev));
	stop();
}
END_TEST

static void io_thread(void *arg)
{
	loop_run(arg);
}

/*
 * OVMF writes 0 and goes on at once. What it writes next must not be lost,
 * nor meet the old state.
 */
START_TEST (a_driver_that_does_not_poll_waits_for_the_reset) {
	struct err e = ERR_NONE;
	struct thread t;

	start();
	ck_assert_int_eq(thread_start(&t, "io", io_thread, vd.r.core.io, &e),
		0);
	for (unsigned i = 0; i < 200; i++) {
		vd_out(&vd, 20, 0, 1);
		vd_out(&vd, 20, 1, 1);
		ck_assert_uint_eq(vd_status(&vd), 1);
		vd_out(&vd, 20, 3, 1);
		vd_out(&vd, 8, 1, 4);
		vd_out(&vd, 12, 1, 4);
		vd_out(&vd, 20, 11, 1);
		vd.features = VD_V1;
		vd_ring(&vd, &ring, 0, 8);
		vd_out(&vd, 20, 15, 1);
		ck_assert_uint_eq(vd_status(&vd), 15);
	}
	loop_stop(vd.r.core.io);
	thread_join(&t);
	stop();
}
END_TEST

static void ack_while_resetting(void *arg)
{
	(void)arg;
	vd_out(&vd, 20, 1, 1);
}

/* A disk that hangs holds a vCPU for a bounded time; the write is lost. */
START_TEST (a_reset_that_hangs_does_not_hold_the_vcpu_for_ever) {
	struct err e = ERR_NONE;
	struct thread t;

	start();
	go_live();
	busy = true;
	vd_out(&vd, 20, 0, 1);
	vd_run(&vd);
	ck_assert_int_eq(thread_start(&t, "vcpu", ack_while_resetting, NULL,
				 &e),
		0);
	thread_join(&t);
	ck_assert_uint_eq(vd_status(&vd), 15);
	virtio_stopped(&dev);
	ck_assert_uint_eq(vd_status(&vd), 0);
	stop();
}
END_TEST

START_TEST (moving_the_bar_while_running_keeps_the_doorbell) {
	start();
	go_live();
	cfg_out(&vd.r, VD_FN, 0x20, 0xd0000000, 4);
	cfg_out(&vd.r, VD_FN, 0x24, 0, 4);
	vd.common = vd_cap_addr(&vd, 1);
	vd.notify = vd_cap_addr(&vd, 2);
	ck_assert_uint_eq(vd.common, 0xd0000000);
	ck_assert_uint_eq(vd_status(&vd), 15);
	vd_kick(&ring);
	cfg_out(&vd.r, VD_FN, 0x20, 0x100000, 4); /* over RAM */
	cfg_out(&vd.r, VD_FN, 0x20, 0, 4);
	pci_bus_reset(vd.r.pci);
	dev.dev.ops->reset(&dev.dev);
	ck_assert(!dev.live);
	stop();
}
END_TEST

/* Kick an empty ring until the device leaves the doorbell alone. */
static void kick_for_nothing(void)
{
	struct virtq *q = virtio_queue(&dev, 0);

	for (int i = 0; !q->hold_ns; i++) {
		ck_assert_int_lt(i, 1000);
		vd_doorbell(&ring);
		/* no second round: it may come when the hold is over */
		loop_run_once(vd.r.core.io, 0);
	}
	ck_assert_uint_ge(looks, 8); /* not at once */
	ck_assert_uint_le(looks, 32);
}

START_TEST (kicks_for_nothing_are_held_back_until_there_is_something) {
	static const uint64_t kinds[] = VD_KINDS;
	static const struct vd_buf buf = { VD_DATA, 64, true };

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		struct virtq *q;

		start();
		ck_assert(vd_negotiate(&vd, VD_V1 | kinds[i]));
		vd_ring(&vd, &ring, 0, 8);
		vd_driver_ok(&vd);
		looks = 0;
		kick_for_nothing();
		q = virtio_queue(&dev, 0);
		vd_add(&ring, &buf, 1);
		looks = 0;
		vd_kick(&ring);
		while (q->hold_ns)
			loop_run_once(vd.r.core.io, 100);
		ck_assert_uint_ge(looks, 1);
		ck_assert_uint_eq(q->for_nothing, 0);
		stop();
	}
}
END_TEST

START_TEST (kicks_are_heard_again_when_they_stop_or_at_a_new_start) {
	struct virtq *q;

	start();
	go_live();
	looks = 0;
	kick_for_nothing();
	q = virtio_queue(&dev, 0);
	while (q->hold_ns)
		loop_run_once(vd.r.core.io, 100);
	looks = 0;
	kick_for_nothing();
	vd_reset(&vd);
	starts = 0;
	go_live();
	ck_assert_uint_eq(q->hold_ns, 0);
	looks = 0;
	vd_kick(&ring);
	ck_assert_uint_eq(looks, 1);
	/* what the device asks for itself is not held back */
	looks = 0;
	kick_for_nothing();
	looks = 0;
	virtq_again(q);
	ck_assert_uint_eq(q->hold_ns, 0);
	vd_run(&vd);
	ck_assert_uint_ge(looks, 1);
	stop();
}
END_TEST

SUITE("virtio pci", the_function_is_a_modern_virtio_one,
	a_taken_slot_is_refused,
	kicks_for_nothing_are_held_back_until_there_is_something,
	kicks_are_heard_again_when_they_stop_or_at_a_new_start,
	features_are_offered_and_checked, driver_ok_needs_features_ok,
	status_bits_go_only_by_reset,
	queue_registers_belong_to_the_selected_queue,
	rings_are_fixed_while_the_device_runs,
	a_vector_that_does_not_exist_reads_as_none,
	odd_accesses_to_the_registers_do_no_harm, config_bytes_obey_their_mask,
	a_config_change_counts_up_and_interrupts,
	msix_gives_queues_and_config_vectors_of_their_own,
	the_config_window_reaches_bar4_and_nothing_else,
	reset_of_a_device_that_never_ran_is_at_once,
	status_reads_zero_only_when_requests_are_back,
	reset_before_the_start_was_seen_stops_nothing, machine_reset_drains,
	machine_reset_ends_a_reset_that_the_driver_began,
	quiesce_drains_and_resume_kicks,
	a_broken_device_says_so_and_a_reset_mends_it,
	a_driver_that_does_not_poll_waits_for_the_reset,
	a_reset_that_hangs_does_not_hold_the_vcpu_for_ever,
	moving_the_bar_while_running_keeps_the_doorbell)
