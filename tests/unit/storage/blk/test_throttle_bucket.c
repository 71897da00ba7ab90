/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The throttle's arithmetic, under a clock of the test's. */
#include <errno.h>

#include "tests/unit/storage/blk/throttlerig.h"

static struct throttle_bucket bucket(uint64_t rate, uint64_t burst_rate,
	unsigned burst_s)
{
	struct blk_limit l = { rate, burst_rate, burst_s };
	struct throttle_bucket b;

	memset(&b, 0, sizeof(b));
	throttle_bucket_set(&b, &l);
	return b;
}

/* ns that n requests of units each take, one after the other, at the most
 * speed that b allows; the first passes at 0. */
static uint64_t bucket_run_ns(struct throttle_bucket *b, unsigned n,
	uint64_t units)
{
	uint64_t at = 0;

	while (n--) {
		uint64_t wait = throttle_bucket_wait_ns(b);

		at += wait;
		throttle_bucket_drain(b, wait);
		ck_assert_uint_eq(throttle_bucket_wait_ns(b), 0);
		throttle_bucket_add(b, units);
	}
	return at;
}

START_TEST (no_limit_never_waits) {
	struct throttle_bucket b = bucket(0, 0, 0);

	ck_assert_uint_eq(bucket_run_ns(&b, 1000, UINT64_C(1) << 40), 0);
}
END_TEST

START_TEST (rate_is_kept) {
	struct throttle_bucket b = bucket(1000, 0, 0);

	/* 5101 came before the last; all of them but the slack have drained */
	ck_assert_uint_eq(bucket_run_ns(&b, 5102, 1), 5 * NS_PER_S + NS_PER_MS);
}
END_TEST

START_TEST (rate_is_kept_to_the_nanosecond_where_it_does_not_divide) {
	struct throttle_bucket b = bucket(3, 0, 0);
	uint64_t at = bucket_run_ns(&b, 3001, 1);

	/* 3000 requests at 3 a second, less the slack of 0.3 requests */
	ck_assert_uint_ge(at, 1000 * NS_PER_S - SLACK_NS);
	ck_assert_uint_le(at, 1000 * NS_PER_S - SLACK_NS + 3001);
}
END_TEST

START_TEST (request_larger_than_the_bucket_passes_and_the_next_waits) {
	struct throttle_bucket b = bucket(1 * MiB, 0, 0);

	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 0);
	throttle_bucket_add(&b, 10 * MiB);
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b),
		10 * NS_PER_S - SLACK_NS);
}
END_TEST

START_TEST (idle_time_is_not_saved_up) {
	struct throttle_bucket b = bucket(100, 0, 0);

	throttle_bucket_drain(&b, 3600 * NS_PER_S);
	ck_assert_uint_eq(bucket_run_ns(&b, 12, 1), 10 * NS_PER_MS);
}
END_TEST

START_TEST (burst_lasts_as_long_as_it_says_and_then_comes_the_rate) {
	struct throttle_bucket b = bucket(100, 1000, 5);
	uint64_t at;

	/* 5 s at 1000 a second; some of the slack is used up by it */
	at = bucket_run_ns(&b, 5000, 1);
	ck_assert_uint_ge(at, 5 * NS_PER_S - 2 * SLACK_NS);
	ck_assert_uint_le(at, 5 * NS_PER_S);
	/* and 100 a second from there */
	(void)bucket_run_ns(&b, 200, 1);
	at = bucket_run_ns(&b, 1000, 1);
	ck_assert_uint_eq(at, 10 * NS_PER_S);
}
END_TEST

START_TEST (burst_rate_is_a_limit_too) {
	struct throttle_bucket b = bucket(100, 1000, 60);

	(void)bucket_run_ns(&b, 101, 1); /* slack of the burst */
	ck_assert_uint_eq(bucket_run_ns(&b, 1000, 1), NS_PER_S);
}
END_TEST

START_TEST (burst_comes_back_while_idle) {
	struct throttle_bucket b = bucket(100, 1000, 5);
	uint64_t first = bucket_run_ns(&b, 5000, 1);

	throttle_bucket_drain(&b, 45 * NS_PER_S + SLACK_NS + NS_PER_S);
	ck_assert_uint_eq(bucket_run_ns(&b, 5000, 1), first);
}
END_TEST

START_TEST (huge_figures_do_not_overflow) {
	struct throttle_bucket b =
		bucket(UINT64_MAX - 1, UINT64_MAX, UINT32_MAX);

	throttle_bucket_add(&b, UINT64_C(1) << 40);
	throttle_bucket_drain(&b, UINT64_C(1) << 62);
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 0);
	b = bucket(1, 0, 0);
	for (int i = 0; i < 1000; i++)
		throttle_bucket_add(&b, UINT64_C(1) << 60);
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 30 * 86400 * NS_PER_S);
}
END_TEST

START_TEST (taken_back_is_as_if_never_added) {
	struct throttle_bucket b = bucket(10, 100, 1);

	throttle_bucket_add(&b, 500);
	throttle_bucket_take_back(&b, 500);
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 0);
	throttle_bucket_take_back(&b, 500); /* never below empty */
	ck_assert_uint_eq(throttle_bucket_wait_ns(&b), 0);
}
END_TEST

static void check_limit(struct blk_limit l, const char *has)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(throttle_limit_check(&l, "iops, read", &e), -EINVAL);
	ck_assert_err(e, EINVAL, has);
	ck_assert_err(e, EINVAL, "iops, read");
}

START_TEST (limits_that_make_no_sense_are_refused) {
	struct blk_limit good = { 10, 20, 1 };

	check_limit((struct blk_limit){ 0, 10, 1 }, "needs a rate");
	check_limit((struct blk_limit){ 10, 10, 1 }, "not above the rate 10");
	check_limit((struct blk_limit){ 10, 20, 0 }, "0 seconds");
	ck_assert_int_eq(throttle_limit_check(&good, "x", NULL), 0);
}
END_TEST

RIG_SUITE("throttle_bucket", no_limit_never_waits, rate_is_kept,
	rate_is_kept_to_the_nanosecond_where_it_does_not_divide,
	request_larger_than_the_bucket_passes_and_the_next_waits,
	idle_time_is_not_saved_up,
	burst_lasts_as_long_as_it_says_and_then_comes_the_rate,
	burst_rate_is_a_limit_too, burst_comes_back_while_idle,
	huge_figures_do_not_overflow, taken_back_is_as_if_never_added,
	limits_that_make_no_sense_are_refused)
