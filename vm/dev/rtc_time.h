/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calendar of the MC146818: seconds since 1970 to clock registers and back,
 * in BCD or binary, 12 or 24 hours. Pure, no state. Thread: any.
 */
#ifndef VM_DEV_RTC_TIME_H
#define VM_DEV_RTC_TIME_H

#include <stdbool.h>
#include <stdint.h>

enum { /* clock registers in CMOS */
	RTC_SEC = 0x00,
	RTC_SEC_ALARM = 0x01,
	RTC_MIN = 0x02,
	RTC_MIN_ALARM = 0x03,
	RTC_HOUR = 0x04,
	RTC_HOUR_ALARM = 0x05,
	RTC_WDAY = 0x06,
	RTC_MDAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_CENTURY = 0x32,
};

#define RTC_B_24H    0x02
#define RTC_B_BINARY 0x04

#define RTC_DAY_S 86400

/* Is this CMOS address part of the running clock (alarms are not)? */
bool rtc_is_clock(unsigned reg);

/* Fill the clock registers in cmos for time t by the format in reg_b. */
void rtc_encode(uint8_t *cmos, uint8_t reg_b, int64_t t);

/* The time that the clock registers say; nonsense gives some time. */
int64_t rtc_decode(const uint8_t *cmos, uint8_t reg_b);

/*
 * Seconds from t (exclusive) to the next time that the alarm registers
 * match: 1..86400, or 0 when they never do.
 */
unsigned rtc_alarm_in(const uint8_t *cmos, uint8_t reg_b, int64_t t);

#endif
