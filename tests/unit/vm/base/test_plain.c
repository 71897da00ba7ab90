/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm/base: the small ones: bytes, list, clock, hist. */
#include "vm/base/bytes.h"
#include "vm/base/clock.h"
#include "vm/base/hist.h"
#include "vm/base/list.h"

#include "tests/unit/suite.h"

START_TEST (bytes_go_in_both_orders_at_any_alignment) {
	uint8_t b[16] = { 0 };

	put_le32(b + 1, 0x11223344);
	ck_assert_uint_eq(b[1], 0x44);
	ck_assert_uint_eq(get_le32(b + 1), 0x11223344);
	put_be16(b + 3, 0x1122);
	ck_assert_uint_eq(b[3], 0x11);
	ck_assert_uint_eq(get_be16(b + 3), 0x1122);
	put_be64(b + 5, UINT64_C(0x0102030405060708));
	ck_assert_uint_eq(b[5], 1);
	ck_assert_uint_eq(get_le64(b + 5), UINT64_C(0x0807060504030201));
}
END_TEST

START_TEST (bytes_of_a_size_leave_the_rest_alone) {
	uint8_t b[9];

	memset(b, 0xee, sizeof(b));
	put_le(b, 0x1122334455667788, 2);
	ck_assert_uint_eq(get_le(b, 4), 0xeeee7788);
	put_le(b, 0x1122334455667788, 9);
	ck_assert_uint_eq(b[8], 0xee);
	ck_assert_uint_eq(get_le(b, 9), 0x1122334455667788);
}
END_TEST

START_TEST (list_keeps_order) {
	struct list head, a, b, c;

	list_init(&head);
	list_init(&a);
	ck_assert(list_empty(&head));
	ck_assert_ptr_null(list_pop(&head));
	list_add_tail(&head, &b);
	list_add_tail(&head, &c);
	list_add_head(&head, &a);
	list_del(&b);
	list_del(&b); /* harmless */
	ck_assert_ptr_eq(list_pop(&head), &a);
	ck_assert_ptr_eq(list_pop(&head), &c);
	ck_assert(list_empty(&head));
}
END_TEST

START_TEST (list_can_lose_nodes_while_walked) {
	struct list head, n[3];
	int seen = 0;

	list_init(&head);
	for (int i = 0; i < 3; i++)
		list_add_tail(&head, &n[i]);
	list_each_safe (it, tmp, &head) {
		list_del(it);
		seen++;
	}
	ck_assert_int_eq(seen, 3);
	ck_assert(list_empty(&head));
}
END_TEST

START_TEST (clock_does_not_go_back) {
	uint64_t a = clock_now_ns(), b = clock_now_ns();

	ck_assert_uint_le(a, b);
	/* after the year 2020 */
	ck_assert_uint_gt(clock_wall_ns(), UINT64_C(1577836800) * NS_PER_S);
}
END_TEST

START_TEST (hist_tells_quantiles) {
	struct hist h = { 0 };
	struct hist_snap s;

	hist_copy(&h, &s);
	ck_assert_uint_eq(hist_quantile_us(&s, 0.5), 0);
	for (int i = 0; i < 99; i++)
		hist_add(&h, 500); /* < 1 us */
	hist_add(&h, 100 * NS_PER_US);
	hist_copy(&h, &s);
	ck_assert_uint_eq(hist_quantile_us(&s, 0), 1);
	ck_assert_uint_eq(hist_quantile_us(&s, 0.99), 1);
	ck_assert_uint_eq(hist_quantile_us(&s, 1), 128);
}
END_TEST

START_TEST (hist_puts_the_slowest_into_the_open_bucket) {
	struct hist h = { 0 };
	struct hist_snap s;

	hist_add(&h, UINT64_MAX);
	hist_copy(&h, &s);
	ck_assert_uint_eq(s.n[HIST_BUCKETS - 1], 1);
	ck_assert_uint_eq(hist_quantile_us(&s, 0.5), 1u << 23);
}
END_TEST

SUITE("plain", bytes_go_in_both_orders_at_any_alignment,
	bytes_of_a_size_leave_the_rest_alone, list_keeps_order,
	list_can_lose_nodes_while_walked, clock_does_not_go_back,
	hist_tells_quantiles, hist_puts_the_slowest_into_the_open_bucket)
