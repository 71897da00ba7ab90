/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Interrupts and kicks of a virtqueue, wanted and not, and that a device which
 * may not work leaves its rings alone. */
#include <errno.h>

#include "tests/unit/vm/virtio/queuerig.h"

/* --- notifications ------------------------------------------------------ */

static void complete_one(void)
{
	const struct vd_buf b = { VD_DATA, 1, false };
	uint16_t id = vd_add(&ring, &b, 1);

	vd_kick(&ring);
	vd_expect_used(&ring, id, 0);
}

START_TEST (no_interrupt_when_the_driver_wants_none) {
	start(kinds[_i], 8);
	if (ring.packed)
		put_le16(ring.a + 2, 1);
	else
		put_le16(ring.a, 1);
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 0);
	put_le16(ring.a + (ring.packed ? 2 : 0), 0);
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 1);
	stop();
}
END_TEST

START_TEST (split_event_index_delays_the_interrupt) {
	start(VD_EVT, 8);
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 1); /* used_event 0 was passed */
	put_le16(ring.a + 4 + 2 * 8, 3);   /* tell me when entry 3 is used */
	complete_one();
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 0);
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 1);
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 0);
	stop();
}
END_TEST

START_TEST (split_event_index_works_across_the_wrap_of_the_index) {
	start(VD_EVT, 8);
	for (unsigned i = 0; i < 70000; i++) {
		bool want = i % 1000 == 999;

		put_le16(ring.a + 4 + 2 * 8, (uint16_t)(i - i % 1000 + 999));
		complete_one();
		ck_assert_uint_eq(vd_isr(&vd), want);
	}
	stop();
}
END_TEST

/* The event structure: interrupt me when slot `at` of this round is used. */
static void packed_event(unsigned at, bool wrap)
{
	put_le16(ring.a, (uint16_t)(at | (wrap ? 0x8000 : 0)));
	put_le16(ring.a + 2, 2);
}

START_TEST (packed_event_index_delays_the_interrupt) {
	start(VD_PKD | VD_EVT, 5);
	packed_event(2, true);
	complete_one();
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 0);
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 1);
	packed_event(1, false); /* next round, slot 1 */
	complete_one();
	complete_one();
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 0);
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 1);
	stop();
}
END_TEST

START_TEST (a_packed_batch_over_the_ring_end_still_interrupts) {
	const struct vd_buf b = { VD_DATA, 1, false };
	uint16_t ids[4];

	start(VD_PKD | VD_EVT, 5);
	packed_event(4, true);
	complete_one();
	complete_one();
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 0);
	hold = true;
	ntaken = 0;
	for (unsigned i = 0; i < 4; i++)
		ids[i] = vd_add(&ring, &b, 1);
	vd_kick(&ring);
	for (unsigned i = 0; i < 4; i++)
		virtq_push(virtio_queue(&dev, 0), &taken[i], 0);
	virtq_notify(virtio_queue(&dev, 0));
	ck_assert_uint_eq(vd_isr(&vd), 1);
	for (unsigned i = 0; i < 4; i++)
		vd_expect_used(&ring, ids[i], 0);
	stop();
}
END_TEST

START_TEST (a_notify_without_a_push_says_nothing) {
	start(kinds[_i], 8);
	complete_one();
	ck_assert_uint_eq(vd_isr(&vd), 1);
	virtq_notify(virtio_queue(&dev, 0));
	ck_assert_uint_eq(vd_isr(&vd), 0);
	stop();
}
END_TEST

START_TEST (kicks_are_asked_for_again_after_the_work) {
	struct virtq *q;

	start(kinds[_i], 8);
	polls = true;
	q = virtio_queue(&dev, 0);
	virtq_disable_kicks(q);
	if (ring.packed)
		ck_assert_uint_eq(get_le16(ring.u + 2), 1);
	else
		ck_assert_uint_eq(get_le16(ring.u), 1);
	complete_one();
	if (ring.packed)
		ck_assert_uint_eq(get_le16(ring.u + 2), 0);
	else
		ck_assert_uint_eq(get_le16(ring.u), 0);
	stop();
}
END_TEST

START_TEST (the_avail_event_follows_what_was_popped) {
	start(kinds[_i] | VD_EVT, 8);
	polls = true;
	for (unsigned i = 0; i < 9; i++)
		complete_one();
	if (ring.packed) {
		ck_assert_uint_eq(get_le16(ring.u + 2), 2);
		/* slot 1 of the second round */
		ck_assert_uint_eq(get_le16(ring.u), 1);
	} else {
		ck_assert_uint_eq(get_le16(ring.u + 4 + 8 * 8), 9);
	}
	stop();
}
END_TEST

START_TEST (enabling_kicks_tells_of_what_came_meanwhile) {
	const struct vd_buf b = { VD_DATA, 1, false };
	struct virtq *q;

	start(kinds[_i] | VD_EVT, 8);
	q = virtio_queue(&dev, 0);
	ck_assert(!virtq_enable_kicks(q));
	virtq_disable_kicks(q);
	vd_add(&ring, &b, 1);
	ck_assert(virtq_enable_kicks(q));
	/* but not while the device may not pop: that would never end */
	cfg_out(&vd.r, VD_FN, 4, 2, 2);
	ck_assert(!virtq_enable_kicks(q));
	stop();
}
END_TEST

/* --- when the device rests ---------------------------------------------- */

START_TEST (without_bus_mastering_nothing_is_popped) {
	const struct vd_buf b = { VD_DATA, 1, false };
	uint16_t id;

	start(kinds[_i], 8);
	cfg_out(&vd.r, VD_FN, 4, 2, 2);
	id = vd_add(&ring, &b, 1);
	vd_kick(&ring);
	ck_assert_uint_eq(ntaken, 0);
	ck_assert_int_eq(virtq_pop(virtio_queue(&dev, 0), &taken[0]), -EAGAIN);
	/* mastering again: the kick is made up for */
	cfg_out(&vd.r, VD_FN, 4, 6, 2);
	vd_run(&vd);
	vd_expect_used(&ring, id, 0);
	stop();
}
END_TEST

START_TEST (a_quiesced_device_pops_after_resume) {
	const struct vd_buf b = { VD_DATA, 1, false };
	uint16_t id;

	start(kinds[_i], 8);
	dev.dev.ops->quiesce(&dev.dev);
	id = vd_add(&ring, &b, 1);
	vd_kick(&ring);
	vd_expect_none(&ring);
	dev.dev.ops->resume(&dev.dev);
	vd_expect_used(&ring, id, 0);
	stop();
}
END_TEST

START_TEST (after_reset_the_ring_is_left_alone) {
	const struct vd_buf b = { VD_DATA, 4, true };
	struct virtq *q;

	start(kinds[_i], 8);
	hold = true;
	q = virtio_queue(&dev, 0);
	vd_add(&ring, &b, 1);
	vd_kick(&ring);
	ck_assert_uint_eq(ntaken, 1);
	dev.dev.ops->reset(&dev.dev);
	ck_assert_uint_eq(vd_status(&vd), 0);
	ck_assert(!virtq_ready(q));
	virtq_push(q, &taken[0], 4);
	virtq_notify(q);
	virtq_unpop(q, &taken[0]);
	virtq_disable_kicks(q);
	ck_assert(!virtq_enable_kicks(q));
	vd_expect_none(&ring);
	ck_assert_uint_eq(vd_isr(&vd), 0);
	vd_kick(&ring);
	ck_assert_uint_eq(ntaken, 1);
	stop();
}
END_TEST

START_TEST (again_calls_the_device_in_the_next_round) {
	start(0, 8);
	nqueue_calls = 0;
	virtq_again(virtio_queue(&dev, 0));
	ck_assert_uint_eq(nqueue_calls, 0);
	vd_run(&vd);
	ck_assert_uint_eq(nqueue_calls, 1);
	stop();
}
END_TEST

int main(void)
{
	const TTest *both[] = { no_interrupt_when_the_driver_wants_none,
		a_notify_without_a_push_says_nothing,
		kicks_are_asked_for_again_after_the_work,
		the_avail_event_follows_what_was_popped,
		enabling_kicks_tells_of_what_came_meanwhile,
		without_bus_mastering_nothing_is_popped,
		a_quiesced_device_pops_after_resume,
		after_reset_the_ring_is_left_alone };
	const TTest *once[] = { split_event_index_delays_the_interrupt,
		split_event_index_works_across_the_wrap_of_the_index,
		packed_event_index_delays_the_interrupt,
		a_packed_batch_over_the_ring_end_still_interrupts,
		again_calls_the_device_in_the_next_round };

	return queuerig_main("virtqueue notify", both, ARRAY_LEN(both), once,
		ARRAY_LEN(once));
}
