/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A device that does with its virtqueues what the test says, and its driver
 * (vdriver.h): start() to stop() in each test, which may change the
 * behaviour in between.
 */
#ifndef TESTS_UNIT_VM_VIRTIO_QUEUERIG_H
#define TESTS_UNIT_VM_VIRTIO_QUEUERIG_H

#include "tests/unit/vm/virtio/vdriver.h"

#define MAX_TAKEN 64

static struct vd vd;
static struct virtio_dev dev;
static struct vd_ring ring;

/* What the device saw last, and how it behaves. */
static struct iovec iov[64];
static struct virtq_elem taken[MAX_TAKEN];
static unsigned ntaken, nqueue_calls;
static uint8_t out[256];
static uint32_t out_len;
static bool hold;  /* keep what was popped */
static bool lazy;  /* do not pop at all */
static bool polls; /* turn kicks off and on around the work */
static int last_pop;
static unsigned iov_max;

static inline void echo_one(struct virtq *q, struct virtq_elem *el)
{
	uint8_t reply[64];

	out_len = virtq_elem_read(el, 0, out, sizeof(out));
	memset(reply, 0xee, sizeof(reply));
	virtq_push(q, el,
		virtq_elem_write(el, 0, reply,
			el->in_bytes < 64 ? el->in_bytes : 64));
}

static inline void take_all(struct virtq *q)
{
	for (;;) {
		struct virtq_elem *el = &taken[ntaken % MAX_TAKEN];

		el->iov = iov;
		el->iov_max = iov_max;
		last_pop = virtq_pop(q, el);
		if (last_pop != 1)
			return;
		ntaken++;
		if (!hold)
			echo_one(q, el);
	}
}

static inline void test_queue(struct virtio_dev *v, struct virtq *q)
{
	ck_assert_ptr_eq(v, &dev);
	nqueue_calls++;
	if (lazy)
		return;
	if (!polls) {
		take_all(q);
	} else {
		do {
			virtq_disable_kicks(q);
			take_all(q);
		} while (virtq_enable_kicks(q));
	}
	virtq_notify(q);
}

static inline void test_free(struct virtio_dev *v)
{
	virtio_dev_fini(v);
}

static const struct virtio_ops ops = {
	.queue = test_queue,
	.free = test_free,
};

static inline void start(uint64_t features, uint16_t size)
{
	static const struct virtio_info info = {
		.name = "virtio-test",
		.type = VIRTIO_TYPE_RNG,
		.class_code = 0x00ff00,
		.nqueues = 2,
		.queue_size = 64,
		.config_len = 8,
	};
	struct err e = ERR_NONE;

	hold = lazy = polls = false;
	ntaken = nqueue_calls = out_len = 0;
	iov_max = ARRAY_LEN(iov);
	rig_init(&vd.r, VD_RAM, true);
	ck_assert_int_eq(virtio_dev_init(&dev, &vd.r.core, &info, &ops, &e), 0);
	ck_assert_int_eq(virtio_pci_add(&dev, vd.r.pci, VD_FN, &e), 0);
	vd_probe(&vd);
	ck_assert(vd_negotiate(&vd, features | VD_V1));
	vd_ring(&vd, &ring, 0, size);
	vd_driver_ok(&vd);
}

static inline void stop(void)
{
	dev.dev.ops->free(&dev.dev);
	rig_fini(&vd.r);
}

static inline bool needs_reset(void)
{
	return vd_status(&vd) & VIRTIO_S_NEEDS_RESET;
}

/* Both kinds of ring */
static const uint64_t kinds[] = { 0, VD_PKD };

/* A program's main(): those of `both` run for each of the kinds (_i). */
static inline int queuerig_main(const char *name, const TTest **both,
	size_t nboth, const TTest **once, size_t nonce)
{
	Suite *s = suite_create(name);
	TCase *t = tcase_create(name);
	SRunner *r;
	int failed;

	for (size_t i = 0; i < nboth; i++)
		tcase_add_loop_test(t, both[i], 0, ARRAY_LEN(kinds));
	for (size_t i = 0; i < nonce; i++)
		tcase_add_test(t, once[i]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
