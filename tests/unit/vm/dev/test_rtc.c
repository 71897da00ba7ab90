// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include "vm/base/clock.h"

#include "vm/dev/rtc.h"
#include "vm/dev/rtc_time.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/devrig.h"

#define IRQ 8

static struct devrig rig;
static struct device *dev;

static void up_with(uint64_t ram, const struct rtc_conf *conf)
{
	struct err e = ERR_NONE;

	devrig_init(&rig, ram);
	ck_assert_int_eq(rtc_new(&rig.core, conf, &dev, &e), 0);
}

static void up(void)
{
	const struct rtc_conf conf = { .cpus = 1 };

	up_with(MiB, &conf);
}

static void down(void)
{
	dev->ops->free(dev);
	devrig_fini(&rig);
}

static uint8_t get(uint8_t reg)
{
	out8(&rig, 0x70, reg);
	return in8(&rig, 0x71);
}

static void put(uint8_t reg, uint8_t val)
{
	out8(&rig, 0x70, reg);
	out8(&rig, 0x71, val);
}

static uint64_t get_n(uint8_t reg, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)get((uint8_t)(reg + i)) << (8 * i);
	return v;
}

/* Set the clock as Linux does: 2031-12-24 23:59:50. */
static void set_clock(void)
{
	static const uint8_t bcd[][2] = { { 0x32, 0x20 }, { 9, 0x31 },
		{ 8, 0x12 }, { 7, 0x24 }, { 4, 0x23 }, { 2, 0x59 },
		{ 0, 0x50 } };

	put(0x0b, 0x82);
	put(0x0a, 0x76);
	for (size_t i = 0; i < ARRAY_LEN(bcd); i++)
		put(bcd[i][0], bcd[i][1]);
}

static void let_clock_run(void)
{
	put(0x0b, 0x02);
	put(0x0a, 0x26);
}

START_TEST (encodes_all_formats) {
	uint8_t c[128] = { 0 };
	const int64_t t = 1796216400 - 1; /* 2026-12-02 12:59:59 UTC */

	rtc_encode(c, RTC_B_24H, t);
	ck_assert_uint_eq(c[RTC_SEC], 0x59);
	ck_assert_uint_eq(c[RTC_HOUR], 0x12);
	ck_assert_uint_eq(c[RTC_MONTH], 0x12);
	ck_assert_uint_eq(c[RTC_MDAY], 0x02);
	ck_assert_uint_eq(c[RTC_YEAR], 0x26);
	ck_assert_uint_eq(c[RTC_CENTURY], 0x20);
	ck_assert_uint_eq(c[RTC_WDAY], 4);
	rtc_encode(c, RTC_B_BINARY, t);
	ck_assert_uint_eq(c[RTC_SEC], 59);
	ck_assert_uint_eq(c[RTC_HOUR], 0x80 | 12);
	rtc_encode(c, 0, t + 1);
	ck_assert_uint_eq(c[RTC_HOUR], 0x81);
	rtc_encode(c, 0, t + 11 * 3600 + 1);
	ck_assert_uint_eq(c[RTC_HOUR], 0x12); /* midnight */
}
END_TEST

START_TEST (decodes_what_it_encodes) {
	static const uint8_t formats[] = { 0, RTC_B_24H, RTC_B_BINARY,
		RTC_B_24H | RTC_B_BINARY };

	for (size_t f = 0; f < sizeof(formats); f++)
		for (int64_t t = 0; t < INT64_C(4000000000); t += 12345677) {
			uint8_t c[128] = { 0 };

			rtc_encode(c, formats[f], t);
			ck_assert_int_eq(rtc_decode(c, formats[f]), t);
		}
}
END_TEST

START_TEST (alarm_finds_the_next_match) {
	uint8_t c[128] = { 0 };

	c[RTC_SEC_ALARM] = 0x30;
	c[RTC_MIN_ALARM] = c[RTC_HOUR_ALARM] = 0xff;
	ck_assert_uint_eq(rtc_alarm_in(c, RTC_B_24H, 29), 1);
	ck_assert_uint_eq(rtc_alarm_in(c, RTC_B_24H, 30), 60);
	c[RTC_MIN_ALARM] = 0x01;
	c[RTC_HOUR_ALARM] = 0x02;
	ck_assert_uint_eq(rtc_alarm_in(c, RTC_B_24H, 7290), 86400);
	ck_assert_uint_eq(rtc_alarm_in(c, RTC_B_24H, 7291), 86399);
	ck_assert_uint_eq(rtc_alarm_in(c, RTC_B_24H, -1), 7291);
	c[RTC_SEC_ALARM] = c[RTC_MIN_ALARM] = c[RTC_HOUR_ALARM] = 0xc0;
	ck_assert_uint_eq(rtc_alarm_in(c, RTC_B_24H, 5), 1);
	c[RTC_SEC_ALARM] = 0x75;
	ck_assert_uint_eq(rtc_alarm_in(c, RTC_B_24H, 5), 0);
}
END_TEST

START_TEST (shows_host_time_with_the_offset) {
	const struct rtc_conf conf = { .cpus = 1, .offset_s = 86400 * 400 };
	uint8_t c[128] = { 0 };
	int64_t want;

	up_with(MiB, &conf);
	want = (int64_t)(clock_wall_ns() / NS_PER_S) + 86400 * 400;
	for (uint8_t reg = 0; reg < 10; reg++)
		c[reg] = get(reg);
	c[RTC_CENTURY] = get(RTC_CENTURY);
	ck_assert_int_le(llabs(rtc_decode(c, RTC_B_24H) - want), 2);
	ck_assert_int_eq(rtc_offset_s(dev), 86400 * 400);
	down();
}
END_TEST

START_TEST (guest_sets_the_clock_and_the_offset_stays) {
	int64_t want = 1955923190 - (int64_t)(clock_wall_ns() / NS_PER_S);

	up();
	set_clock();
	ck_assert_uint_eq(get(0), 0x50); /* does not run */
	ck_assert_uint_eq(get(0x0a) & 0x80, 0);
	let_clock_run();
	ck_assert_uint_eq(get(7), 0x24);
	ck_assert_uint_eq(get(9), 0x31);
	ck_assert_int_le(llabs(rtc_offset_s(dev) - want), 2);
	dev->ops->reset(dev);
	ck_assert_int_le(llabs(rtc_offset_s(dev) - want), 2);
	ck_assert_uint_eq(get(8), 0x12);
	down();
}
END_TEST

START_TEST (single_fields_are_set_while_running) {
	up();
	put(9, 0x45);
	ck_assert_uint_eq(get(9), 0x45);
	put(0x32, 0x19);
	ck_assert_uint_eq(get(0x32), 0x19);
	ck_assert_uint_eq(get(9), 0x45);
	down();
}
END_TEST

START_TEST (nonsense_time_is_clamped) {
	up();
	put(0x0b, 0x86);
	for (uint8_t reg = 0; reg < 10; reg++)
		put(reg, 0xff);
	put(0x32, 0xff);
	put(0x0b, 0x06);
	ck_assert_uint_eq(get(0x32), 22);
	ck_assert_int_eq(rtc_offset_s(dev), RTC_OFFSET_MAX);
	put(0x0b, 0x86);
	for (uint8_t reg = 0; reg < 10; reg++)
		put(reg, 0);
	put(0x32, 0);
	put(0x0b, 0x06);
	ck_assert_uint_eq(get(0x32), 19);
	ck_assert_int_eq(rtc_offset_s(dev), -RTC_OFFSET_MAX);
	down();
}
END_TEST

START_TEST (reset_lets_a_stopped_clock_run) {
	up();
	put(0x0b, 0x82);
	dev->ops->reset(dev);
	ck_assert_uint_eq(get(0x0b), 0x02);
	ck_assert_int_le(llabs(rtc_offset_s(dev)), 2);
	down();
}
END_TEST

START_TEST (update_interrupt_comes_each_second) {
	up();
	put(0x0b, 0x12);
	get(0x0c);
	devrig_until(&rig, irq(&rig, IRQ));
	ck_assert_uint_eq(get(0x0c) & 0x90, 0x90);
	ck_assert(!irq(&rig, IRQ));
	ck_assert_uint_eq(get(0x0c) & 0x80, 0);
	down();
}
END_TEST

START_TEST (alarm_interrupts_on_any_second) {
	up();
	put(1, 0xff);
	put(3, 0xff);
	put(5, 0xff);
	put(0x0b, 0x22);
	get(0x0c);
	devrig_until(&rig, irq(&rig, IRQ));
	ck_assert_uint_eq(get(0x0c) & 0xa0, 0xa0);
	down();
}
END_TEST

START_TEST (periodic_interrupt_and_its_backlog) {
	uint64_t start;
	unsigned owed = 0;

	up();
	put(0x0a, 0x26); /* 1024 Hz */
	put(0x0b, 0x42);
	devrig_until(&rig, irq(&rig, IRQ));
	/* the guest sees nothing for 20 ms: about 20 ticks are owed */
	start = clock_now_ns();
	while (clock_now_ns() - start < 20 * NS_PER_MS)
		;
	while (get(0x0c) & 0x40)
		owed++;
	ck_assert_uint_ge(owed, 18);
	ck_assert(!irq(&rig, IRQ));
	/* a pause owes nothing */
	dev->ops->resume(dev);
	ck_assert_uint_eq(get(0x0c) & 0x40, 0);
	down();
}
END_TEST

START_TEST (polled_periodic_flag_needs_no_interrupt) {
	up();
	put(0x0a, 0x23); /* 8192 Hz */
	get(0x0c);
	while (!(get(0x0c) & 0x40))
		;
	ck_assert(!irq(&rig, IRQ));
	put(0x0a, 0x20); /* off */
	get(0x0c);
	ck_assert_uint_eq(get(0x0c) & 0x40, 0);
	down();
}
END_TEST

START_TEST (update_in_progress_is_seen) {
	up();
	while (!(get(0x0a) & 0x80))
		;
	while (get(0x0a) & 0x80)
		;
	put(0x0b, 0x82);
	ck_assert_uint_eq(get(0x0a), 0x26);
	down();
}
END_TEST

START_TEST (cmos_tells_memory_cpus_and_boot_order) {
	const struct rtc_conf conf = { .cpus = 3,
		.boot = { RTC_BOOT_CDROM, RTC_BOOT_DISK, RTC_BOOT_NET } };
	unsigned sum = 0;

	up_with(64 * MiB, &conf);
	ck_assert_uint_eq(get_n(0x15, 2), 640);
	ck_assert_uint_eq(get_n(0x30, 2), 63 * 1024);
	ck_assert_uint_eq(get_n(0x17, 2), 63 * 1024);
	ck_assert_uint_eq(get_n(0x34, 2), 48 * 16);
	ck_assert_uint_eq(get_n(0x5b, 3), 0);
	ck_assert_uint_eq(get(0x5f), 2);
	ck_assert_uint_eq(get(0x3d), 0x23);
	ck_assert_uint_eq(get(0x38), 0x41);
	ck_assert_uint_eq(get(0x0d), 0x80);
	for (uint8_t i = 0x10; i <= 0x2d; i++)
		sum += get(i);
	ck_assert_uint_eq(get(0x2e) << 8 | get(0x2f), sum);
	down();
}
END_TEST

START_TEST (cmos_tells_memory_above_4g) {
	const struct rtc_conf conf = { .cpus = 1 };

	up_with(5 * GiB, &conf);
	ck_assert_uint_eq(get_n(0x30, 2), 0xffff);
	ck_assert_uint_eq(get_n(0x34, 2) * 65536 + 16 * MiB,
		gmem_low_end(rig.core.gmem));
	ck_assert_uint_eq(get_n(0x5b, 3) * 65536 + 4 * GiB,
		gmem_high_end(rig.core.gmem));
	down();
}
END_TEST

START_TEST (ram_is_kept_over_reset) {
	up();
	put(0x0f, 0x0a);
	put(0x7f, 0x55);
	put(0x80 | 0x7e, 0x66); /* NMI mask bit */
	dev->ops->reset(dev);
	ck_assert_uint_eq(get(0x0f), 0x0a);
	ck_assert_uint_eq(get(0x7f), 0x55);
	ck_assert_uint_eq(get(0x7e), 0x66);
	ck_assert_uint_eq(in8(&rig, 0x70), 0xff);
	down();
}
END_TEST

START_TEST (offset_of_centuries_is_refused) {
	const struct rtc_conf conf = { .cpus = 1,
		.offset_s = INT64_C(4000000000) };
	struct err e = ERR_NONE;

	devrig_init(&rig, MiB);
	ck_assert_int_eq(rtc_new(&rig.core, &conf, &dev, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "offset of 4000000000 s");
	devrig_fini(&rig);
}
END_TEST

SUITE("rtc", encodes_all_formats, decodes_what_it_encodes,
	alarm_finds_the_next_match, shows_host_time_with_the_offset,
	guest_sets_the_clock_and_the_offset_stays,
	single_fields_are_set_while_running, nonsense_time_is_clamped,
	reset_lets_a_stopped_clock_run, update_interrupt_comes_each_second,
	alarm_interrupts_on_any_second, periodic_interrupt_and_its_backlog,
	polled_periodic_flag_needs_no_interrupt, update_in_progress_is_seen,
	cmos_tells_memory_cpus_and_boot_order, cmos_tells_memory_above_4g,
	ram_is_kept_over_reset, offset_of_centuries_is_refused)
