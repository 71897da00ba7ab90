/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Limits that disks share, under a clock of the test's. */
#include <errno.h>

#include "tests/unit/storage/blk/throttlerig.h"

static void set(struct throttle_member *m, const struct blk_throttle *t)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(throttle_group_set(m->group, t, 0, &e), 0);
}

/* Two of one group with limits t. */
static void join_two(struct throttle_member *a, struct throttle_member *b,
	const struct blk_throttle *t)
{
	join(a, "lab");
	join(b, "lab");
	set(a, t);
}

/* One more read of 512 bytes: when may it pass? */
static uint64_t place_read(struct throttle_member *m, uint64_t now_ns)
{
	return throttle_group_place(m, THROTTLE_READ, 512, now_ns);
}

START_TEST (groups_are_found_by_name) {
	struct throttle_member a, b, c, d;

	join(&a, "lab");
	join(&b, "lab");
	join(&c, "other");
	join(&d, NULL);
	ck_assert_ptr_eq(a.group, b.group);
	ck_assert_ptr_ne(a.group, c.group);
	ck_assert_ptr_ne(c.group, d.group);
	throttle_group_leave(&a);
	throttle_group_leave(&b);
	throttle_group_leave(&c);
	throttle_group_leave(&d);
}
END_TEST

START_TEST (limits_are_kept_while_somebody_is_in_the_group) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_TOTAL, 10);
	struct throttle_member a, b;

	join(&a, "lab");
	set(&a, &t);
	join(&b, "lab");
	throttle_group_leave(&a);
	ck_assert_uint_eq(b.group->iops[BLK_LIMIT_TOTAL].limit.rate, 10);
	throttle_group_leave(&b);
	join(&b, "lab");
	ck_assert_uint_eq(b.group->iops[BLK_LIMIT_TOTAL].limit.rate, 0);
	throttle_group_leave(&b);
}
END_TEST

START_TEST (members_take_turns) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_TOTAL, 10);
	struct throttle_member m[3];
	uint64_t now = 0;
	unsigned passed[3] = { 0, 0, 0 };

	for (int i = 0; i < 3; i++)
		join(&m[i], "lab");
	set(&m[0], &t);
	/* all of them always want more, and the first ones more often */
	for (; now < 30 * NS_PER_S; now += NS_PER_MS) {
		for (int i = 0; i < 3; i++) {
			while (place_read(&m[i], now) <= now) {
				ck_assert(throttle_group_passed(&m[i],
					THROTTLE_READ));
				passed[i]++;
			}
		}
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_ge(passed[i], 99);
		ck_assert_uint_le(passed[i], 102);
		throttle_group_leave(&m[i]);
	}
}
END_TEST

START_TEST (total_and_direction_limit_together) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_TOTAL, 1000);
	struct throttle_member m;

	t.iops[BLK_LIMIT_READ].rate = 10;
	t.bytes[BLK_LIMIT_WRITE].rate = 1 * MiB;
	join(&m, NULL);
	set(&m, &t);
	for (int i = 0; i < 2; i++)
		while (place_read(&m, 0) == 0)
			throttle_group_passed(&m, THROTTLE_READ);
	/* reads wait for their own limit, a write does not */
	ck_assert_uint_eq(place_read(&m, 0), NS_PER_S / 10);
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_WRITE, 1 * MiB, 0),
		0);
	throttle_group_passed(&m, THROTTLE_WRITE);
	ck_assert_uint_eq(throttle_group_place(&m, THROTTLE_WRITE, 1 * MiB, 0),
		NS_PER_S - SLACK_NS);
	throttle_group_leave(&m);
}
END_TEST

START_TEST (place_is_kept_until_it_is_used) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 1);
	struct throttle_member m;
	uint64_t at;

	join(&m, NULL);
	set(&m, &t);
	ck_assert_uint_eq(place_read(&m, 5), 5);
	throttle_group_passed(&m, THROTTLE_READ);
	at = place_read(&m, 5);
	ck_assert_uint_eq(at, 5 + NS_PER_S - SLACK_NS);
	ck_assert_uint_eq(place_read(&m, at), at);
	ck_assert(throttle_group_passed(&m, THROTTLE_READ));
	throttle_group_leave(&m);
}
END_TEST

START_TEST (change_takes_places_away_and_keeps_what_has_passed) {
	struct blk_throttle slow = iops_limit(BLK_LIMIT_READ, 1);
	struct blk_throttle fast = iops_limit(BLK_LIMIT_READ, 10);
	struct throttle_member m;

	join(&m, NULL);
	set(&m, &slow);
	place_read(&m, 0);
	throttle_group_passed(&m, THROTTLE_READ);
	place_read(&m, 0);
	set(&m, &fast);
	ck_assert(!throttle_group_passed(&m, THROTTLE_READ));
	/* one request is in the bucket, which drains at 10 a second now and
	 * has room for one */
	ck_assert_uint_eq(place_read(&m, 0), 0);
	throttle_group_passed(&m, THROTTLE_READ);
	ck_assert_uint_eq(place_read(&m, 0), NS_PER_S / 10);
	set(&m, NULL);
	ck_assert_uint_eq(place_read(&m, 0), 0);
	throttle_group_leave(&m);
}
END_TEST

START_TEST (who_leaves_gives_its_place_back) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 1);
	struct throttle_member a, b;

	join_two(&a, &b, &t);
	ck_assert_uint_eq(place_read(&a, 0), 0);
	throttle_group_leave(&a);
	ck_assert_uint_eq(place_read(&b, 0), 0);
	throttle_group_leave(&b);
}
END_TEST

START_TEST (clock_that_lags_behind_another_core_is_no_harm) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 10);
	struct throttle_member a, b;

	join_two(&a, &b, &t);
	place_read(&a, NS_PER_S);
	throttle_group_passed(&a, THROTTLE_READ);
	place_read(&a, NS_PER_S);
	ck_assert_uint_eq(place_read(&b, NS_PER_S - 7),
		NS_PER_S - 7 + NS_PER_S / 10);
	throttle_group_leave(&a);
	throttle_group_leave(&b);
}
END_TEST

START_TEST (refused_limits_change_nothing) {
	struct blk_throttle t = iops_limit(BLK_LIMIT_READ, 10), bad = t;
	struct throttle_member m;
	struct err e = ERR_NONE;

	join(&m, NULL);
	set(&m, &t);
	bad.bytes[BLK_LIMIT_WRITE] = (struct blk_limit){ 5, 4, 1 };
	ck_assert_int_eq(throttle_group_set(m.group, &bad, 0, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "bytes/s, write");
	ck_assert_uint_eq(m.group->iops[BLK_LIMIT_READ].limit.rate, 10);
	throttle_group_leave(&m);
}
END_TEST

RIG_SUITE("throttle_group", groups_are_found_by_name,
	limits_are_kept_while_somebody_is_in_the_group, members_take_turns,
	total_and_direction_limit_together, place_is_kept_until_it_is_used,
	change_takes_places_away_and_keeps_what_has_passed,
	who_leaves_gives_its_place_back,
	clock_that_lags_behind_another_core_is_no_harm,
	refused_limits_change_nothing)
