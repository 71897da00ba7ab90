/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Split and packed rings, kept and broken rules of theirs; who tells whom
 * when is in test_queue_notify.c. */
#include "tests/unit/vm/virtio/queuerig.h"

START_TEST (a_chain_arrives_as_out_and_in_pieces) {
	const struct vd_buf b[] = { { VD_DATA, 3, false },
		{ VD_DATA + 0x100, 2, false }, { VD_DATA + 0x200, 10, true } };
	uint16_t id;

	start(kinds[_i], 8);
	memcpy(vd_ptr(&vd, VD_DATA, 3), "abc", 3);
	memcpy(vd_ptr(&vd, VD_DATA + 0x100, 2), "de", 2);
	id = vd_add(&ring, b, 3);
	vd_kick(&ring);
	ck_assert_uint_eq(out_len, 5);
	ck_assert_mem_eq(out, "abcde", 5);
	vd_expect_used(&ring, id, 10);
	ck_assert_uint_eq(*(uint8_t *)vd_ptr(&vd, VD_DATA + 0x209, 1), 0xee);
	ck_assert_uint_eq(*(uint8_t *)vd_ptr(&vd, VD_DATA + 0x20a, 1), 0);
	ck_assert_uint_eq(vd_isr(&vd), 1);
	ck_assert_uint_eq(vd_isr(&vd), 0);
	stop();
}
END_TEST

START_TEST (an_indirect_table_is_followed) {
	const struct vd_buf b[] = { { VD_DATA, 3, false },
		{ VD_DATA + 0x100, 0, false }, { VD_DATA + 0x200, 4, true },
		{ VD_DATA + 0x300, 4, true } };
	uint16_t id;

	start(kinds[_i] | VD_IND, 4);
	id = vd_add_indirect(&ring, b, 4, VD_DATA + 0x1000);
	vd_kick(&ring);
	ck_assert_uint_eq(out_len, 3);
	ck_assert_uint_eq(taken[0].nout, 1); /* the empty piece is gone */
	ck_assert_uint_eq(taken[0].nin, 2);
	vd_expect_used(&ring, id, 8);
	stop();
}
END_TEST

START_TEST (rings_go_round_many_times) {
	/* a packed ring need not be a power of two long */
	const uint16_t size = kinds[_i] ? 7 : 8;

	start(kinds[_i] | VD_EVT, size);
	for (unsigned i = 0; i < 500; i++) {
		const struct vd_buf b[] = { { VD_DATA, 1 + i % 7, false },
			{ VD_DATA + 0x100, 1, true },
			{ VD_DATA + 0x200, i % 5, true } };
		uint16_t id = vd_add(&ring, b, 1 + i % 3);

		vd_kick(&ring);
		ck_assert_uint_eq(out_len, 1 + i % 7);
		vd_expect_used(&ring, id,
			i % 3 == 0   ? 0
			: i % 3 == 1 ? 1
				     : 1 + i % 5);
		vd_expect_none(&ring);
	}
	ck_assert(!needs_reset());
	stop();
}
END_TEST

START_TEST (completions_may_come_in_any_order) {
	const struct vd_buf b[] = { { VD_DATA, 1, false },
		{ VD_DATA + 0x100, 1, true } };
	uint16_t ids[3];

	start(kinds[_i], 8);
	hold = true;
	for (unsigned round = 0; round < 20; round++) {
		ntaken = 0;
		ids[0] = vd_add(&ring, b, 2);
		ids[1] = vd_add(&ring, b, 1);
		ids[2] = vd_add(&ring, b, 2);
		vd_kick(&ring);
		ck_assert_uint_eq(ntaken, 3);
		vd_expect_none(&ring);
		for (int i = 2; i >= 0; i--)
			virtq_push(virtio_queue(&dev, 0), &taken[i], 1);
		virtq_notify(virtio_queue(&dev, 0));
		vd_expect_used(&ring, ids[2], 1);
		vd_expect_used(&ring, ids[1], 1);
		vd_expect_used(&ring, ids[0], 1);
		vd_expect_none(&ring);
	}
	stop();
}
END_TEST

START_TEST (a_chain_put_back_is_popped_again) {
	const struct vd_buf b[] = { { VD_DATA, 1, false },
		{ VD_DATA + 0x100, 1, true } };
	struct virtq_elem el = { .iov = iov, .iov_max = 64 };
	struct virtq *q;
	uint16_t id;

	start(kinds[_i], kinds[_i] ? 3 : 4);
	q = virtio_queue(&dev, 0);
	for (unsigned i = 0; i < 12; i++) {
		lazy = true;
		id = vd_add(&ring, b, 2);
		vd_kick(&ring);
		ck_assert_int_eq(virtq_pop(q, &el), 1);
		ck_assert_int_eq(virtq_pop(q, &taken[0]), 0);
		virtq_unpop(q, &el);
		lazy = false;
		vd_kick(&ring);
		vd_expect_used(&ring, id, 1);
	}
	stop();
}
END_TEST

START_TEST (what_lay_in_the_ring_at_start_is_served) {
	const struct vd_buf b = { VD_DATA, 1, false };
	uint16_t id;

	start(kinds[_i], 8);
	ck_assert(vd_negotiate(&vd, kinds[_i] | VD_V1));
	vd_ring(&vd, &ring, 0, 8);
	id = vd_add(&ring, &b, 1);
	vd_kick(&ring); /* before DRIVER_OK: nothing */
	vd_expect_none(&ring);
	vd_driver_ok(&vd);
	vd_expect_used(&ring, id, 0);
	stop();
}
END_TEST

/* --- broken rules ------------------------------------------------------- */

/* The device is broken and only a reset mends it. */
static void expect_broken(uint64_t features)
{
	const struct vd_buf b = { VD_DATA, 1, false };

	ck_assert(needs_reset());
	ck_assert_int_lt(last_pop, 0);
	ck_assert_uint_eq(vd_isr(&vd) & 2, 2);
	ntaken = 0;
	vd_add(&ring, &b, 1);
	vd_kick(&ring);
	ck_assert_uint_eq(ntaken, 0);
	ck_assert(vd_negotiate(&vd, features | VD_V1));
	vd_ring(&vd, &ring, 0, 8);
	vd_driver_ok(&vd);
	ck_assert(!needs_reset());
	vd_add(&ring, &b, 1);
	vd_kick(&ring);
	ck_assert_uint_eq(ntaken, 1);
}

START_TEST (loops_are_refused) {
	start(0, 8);
	vd_put_desc(ring.d, VD_DATA, 1, 1, 1);
	vd_put_desc(ring.d + 16, VD_DATA, 1, 1, 0);
	vd_avail_split(&ring, 0);
	vd_kick(&ring);
	expect_broken(0);
	stop();
}
END_TEST

START_TEST (a_packed_chain_without_end_is_refused) {
	start(VD_PKD, 8);
	for (unsigned i = 0; i < 8; i++)
		vd_put_desc(ring.d + 16 * i, VD_DATA, 1, 7, 0x81);
	vd_kick(&ring);
	expect_broken(VD_PKD);
	stop();
}
END_TEST

START_TEST (descriptors_that_lead_nowhere_are_refused) {
	start(0, 8);
	vd_put_desc(ring.d, VD_DATA, 1, 1, 8);
	vd_avail_split(&ring, 0);
	vd_kick(&ring);
	expect_broken(0);
	vd_avail_split(&ring, 8);
	vd_kick(&ring);
	expect_broken(0);
	stop();
}
END_TEST

START_TEST (an_avail_index_that_jumps_is_refused) {
	start(0, 8);
	put_le16(ring.a + 2, 9);
	vd_kick(&ring);
	expect_broken(0);
	stop();
}
END_TEST

START_TEST (buffers_outside_ram_are_refused) {
	static const struct vd_buf bad[] = {
		{ VD_RAM, 1, false },
		{ VD_RAM - 1, 2, true },
		{ 0xb0000000, 4, true }, /* the config window */
		{ 0xa0000, 1, false },
		{ UINT64_MAX, 1, false },
		{ UINT64_MAX - 3, 8, true },
		{ 0x9fffe, 4, true },
	};

	start(kinds[_i], 8);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		vd_add(&ring, &bad[i], 1);
		vd_kick(&ring);
		expect_broken(kinds[_i]);
	}
	stop();
}
END_TEST

START_TEST (readable_after_writable_is_refused) {
	const struct vd_buf b[] = { { VD_DATA, 1, true },
		{ VD_DATA, 1, false } };

	start(kinds[_i], 8);
	vd_add(&ring, b, 2);
	vd_kick(&ring);
	expect_broken(kinds[_i]);
	stop();
}
END_TEST

START_TEST (more_pieces_than_the_device_takes_are_refused) {
	const struct vd_buf b[] = { { VD_DATA, 1, false },
		{ VD_DATA, 1, false }, { VD_DATA, 1, true } };

	start(kinds[_i], 8);
	iov_max = 2;
	vd_add(&ring, b, 3);
	vd_kick(&ring);
	expect_broken(kinds[_i]);
	stop();
}
END_TEST

START_TEST (more_bytes_than_the_bound_are_refused) {
	struct vd_buf b[32];

	start(kinds[_i] | VD_IND, 8);
	/* 7 MiB each: no memory is touched, only counted */
	for (unsigned i = 0; i < 32; i++)
		b[i] = (struct vd_buf){ 1 * MiB, 7 * MiB, false };
	vd_add_indirect(&ring, b, 32, 0x8000);
	vd_kick(&ring);
	ck_assert(!needs_reset()); /* 224 MiB are fine */
	b[0].len = UINT32_MAX;
	vd_add_indirect(&ring, b, 1, 0x8000);
	vd_kick(&ring);
	expect_broken(kinds[_i] | VD_IND);
	stop();
}
END_TEST

START_TEST (bad_indirect_tables_are_refused) {
	static const struct vd_buf bad[] = {
		{ VD_DATA, 0, false },
		{ VD_DATA, 15, false },
		{ VD_DATA, 24, false },
		{ VD_DATA, 16 * (VIRTQ_MAX_CHAIN + 1), false },
		{ VD_RAM - 16, 32, false },
		{ VD_DATA + 4, 16, false },
		{ UINT64_MAX - 7, 16, false },
	};

	start(kinds[_i] | VD_IND, 8);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		if (ring.packed)
			vd_add_packed(&ring, &bad[i], 1, 4);
		else
			vd_add_split(&ring, &bad[i], 1, 4);
		vd_kick(&ring);
		expect_broken(kinds[_i] | VD_IND);
	}
	stop();
}
END_TEST

START_TEST (indirect_in_indirect_is_refused) {
	start(VD_IND, 8);
	/* a table whose first entry is a table: itself, or the ring's */
	vd_put_desc(vd_ptr(&vd, VD_DATA, 16), VD_DATA, 16, 4, 0);
	vd_put_desc(ring.d, VD_DATA, 16, 4, 0);
	vd_avail_split(&ring, 0);
	vd_kick(&ring);
	expect_broken(VD_IND);
	vd_put_desc(ring.d, ring.desc, 16 * 8, 4, 0);
	vd_avail_split(&ring, 0);
	vd_kick(&ring);
	expect_broken(VD_IND);
	/* and one that says that it goes on */
	vd_put_desc(ring.d, VD_DATA, 16, 4 | 1, 1);
	vd_avail_split(&ring, 0);
	vd_kick(&ring);
	expect_broken(VD_IND);
	stop();
}
END_TEST

START_TEST (loops_in_an_indirect_table_are_refused) {
	uint8_t *t;

	start(VD_IND, 8);
	t = vd_ptr(&vd, VD_DATA, 32);
	vd_put_desc(t, VD_DATA, 1, 1, 1);
	vd_put_desc(t + 16, VD_DATA, 1, 1, 0);
	vd_put_desc(ring.d, VD_DATA, 32, 4, 0);
	vd_avail_split(&ring, 0);
	vd_kick(&ring);
	expect_broken(VD_IND);
	stop();
}
END_TEST

START_TEST (indirect_must_be_negotiated) {
	const struct vd_buf b = { VD_DATA, 1, false };

	start(kinds[_i], 8);
	vd_add_indirect(&ring, &b, 1, VD_DATA + 0x1000);
	vd_kick(&ring);
	expect_broken(kinds[_i]);
	stop();
}
END_TEST

static void expect_bad_ring(uint16_t size, unsigned reg, uint64_t addr)
{
	ck_assert(vd_negotiate(&vd, ring.packed ? VD_V1 | VD_PKD : VD_V1));
	vd_ring(&vd, &ring, 0, 8);
	vd_out(&vd, 24, size, 2);
	if (reg)
		vd_out64(&vd, reg, addr);
	vd_driver_ok(&vd);
	ck_assert(needs_reset());
	vd_kick(&ring);
}

START_TEST (rings_in_bad_places_break_the_device) {
	start(kinds[_i], 8);
	for (unsigned reg = 32; reg <= 48; reg += 8) {
		expect_bad_ring(8, reg, VD_RAM);
		expect_bad_ring(8, reg, VD_RAM - 1);
		expect_bad_ring(8, reg, 0x9fffe);
		expect_bad_ring(8, reg, VD_RING + 1);
		expect_bad_ring(8, reg, UINT64_MAX - 15);
		expect_bad_ring(8, reg, 0xb0000000);
	}
	ck_assert_uint_eq(ntaken, 0);
	stop();
}
END_TEST

START_TEST (a_split_ring_must_be_a_power_of_two) {
	start(0, 8);
	expect_bad_ring(7, 0, 0);
	stop();
}
END_TEST

/* --- pieces
 * ------------------------------------------------------------------------ */

START_TEST (cutting_pieces_keeps_what_was_asked_for) {
	uint8_t m[16];
	struct iovec v[3];
	int first;

#define FILL()                                                                 \
	do {                                                                   \
		v[0] = (struct iovec){ m, 4 };                                 \
		v[1] = (struct iovec){ m + 4, 4 };                             \
		v[2] = (struct iovec){ m + 8, 4 };                             \
	} while (0)
	FILL();
	ck_assert_int_eq(virtq_iov_cut(v, 3, 0, 12, &first), 3);
	ck_assert_int_eq(first, 0);
	FILL();
	ck_assert_int_eq(virtq_iov_cut(v, 3, 6, 5, &first), 2);
	ck_assert_int_eq(first, 1);
	ck_assert_ptr_eq(v[1].iov_base, m + 6);
	ck_assert_uint_eq(v[1].iov_len, 2);
	ck_assert_uint_eq(v[2].iov_len, 3);
	FILL();
	ck_assert_int_eq(virtq_iov_cut(v, 3, 5, 1, &first), 1);
	ck_assert_uint_eq(v[1].iov_len, 1);
	FILL();
	ck_assert_int_eq(virtq_iov_cut(v, 3, 4, 8, &first), 2);
	ck_assert_int_eq(first, 1);
	FILL();
	ck_assert_int_eq(virtq_iov_cut(v, 3, 12, 0, &first), 0);
	ck_assert_int_eq(virtq_iov_cut(v, 3, 2, 0, &first), 0);
}
END_TEST

START_TEST (copies_stop_at_the_end_of_the_pieces) {
	uint8_t m[8] = "abcdefgh", b[8];
	struct iovec v[] = { { m, 2 }, { m + 2, 1 }, { m + 4, 2 } };
	struct virtq_elem el = { .iov = v, .nout = 2, .nin = 1 };

	ck_assert_uint_eq(virtq_elem_read(&el, 0, b, 8), 3);
	ck_assert_mem_eq(b, "abc", 3);
	ck_assert_uint_eq(virtq_elem_read(&el, 1, b, 1), 1);
	ck_assert_uint_eq(b[0], 'b');
	ck_assert_uint_eq(virtq_elem_read(&el, 3, b, 1), 0);
	ck_assert_uint_eq(virtq_elem_write(&el, 1, "XYZ", 3), 1);
	ck_assert_mem_eq(m, "abcdeXgh", 8);
}
END_TEST

int main(void)
{
	const TTest *both[] = { a_chain_arrives_as_out_and_in_pieces,
		an_indirect_table_is_followed, rings_go_round_many_times,
		completions_may_come_in_any_order,
		a_chain_put_back_is_popped_again,
		what_lay_in_the_ring_at_start_is_served,
		buffers_outside_ram_are_refused,
		readable_after_writable_is_refused,
		more_pieces_than_the_device_takes_are_refused,
		more_bytes_than_the_bound_are_refused,
		bad_indirect_tables_are_refused, indirect_must_be_negotiated,
		rings_in_bad_places_break_the_device };
	const TTest *once[] = { loops_are_refused,
		a_packed_chain_without_end_is_refused,
		descriptors_that_lead_nowhere_are_refused,
		an_avail_index_that_jumps_is_refused,
		indirect_in_indirect_is_refused,
		loops_in_an_indirect_table_are_refused,
		a_split_ring_must_be_a_power_of_two,
		cutting_pieces_keeps_what_was_asked_for,
		copies_stop_at_the_end_of_the_pieces };

	return queuerig_main("virtqueues", both, ARRAY_LEN(both), once,
		ARRAY_LEN(once));
}
