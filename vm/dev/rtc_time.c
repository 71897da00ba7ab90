// SPDX-License-Identifier: GPL-3.0-or-later
/* Calendar of the MC146818 (data sheet, "Time, calendar and alarm"). */
#include "vm/dev/rtc_time.h"

#include <string.h>
#include <time.h>

#define HOUR_PM        0x80
#define ALARM_DONTCARE 0xc0

static uint8_t to_reg(uint8_t b, int v)
{
	if (b & RTC_B_BINARY)
		return (uint8_t)v;
	return (uint8_t)(v / 10 % 10 << 4 | v % 10);
}

static int from_reg(uint8_t b, uint8_t v)
{
	if (b & RTC_B_BINARY)
		return v;
	return (v >> 4) * 10 + (v & 0x0f);
}

static uint8_t hour_to_reg(uint8_t b, int hour)
{
	int h = hour % 12;

	if (b & RTC_B_24H)
		return to_reg(b, hour);
	return to_reg(b, h ? h : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int hour_from_reg(uint8_t b, uint8_t v)
{
	if (b & RTC_B_24H)
		return from_reg(b, v);
	return from_reg(b, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

bool rtc_is_clock(unsigned reg)
{
	switch (reg) {
	case RTC_SEC:
	case RTC_MIN:
	case RTC_HOUR:
	case RTC_WDAY:
	case RTC_MDAY:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		return true;
	default:
		return false;
	}
}

void rtc_encode(uint8_t *cmos, uint8_t b, int64_t t)
{
	time_t when = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&when, &tm))
		memset(&tm, 0, sizeof(tm));
	cmos[RTC_SEC] = to_reg(b, tm.tm_sec);
	cmos[RTC_MIN] = to_reg(b, tm.tm_min);
	cmos[RTC_HOUR] = hour_to_reg(b, tm.tm_hour);
	cmos[RTC_WDAY] = to_reg(b, tm.tm_wday + 1);
	cmos[RTC_MDAY] = to_reg(b, tm.tm_mday);
	cmos[RTC_MONTH] = to_reg(b, tm.tm_mon + 1);
	cmos[RTC_YEAR] = to_reg(b, (tm.tm_year + 1900) % 100);
	cmos[RTC_CENTURY] = to_reg(b, (tm.tm_year + 1900) / 100 % 100);
}

int64_t rtc_decode(const uint8_t *cmos, uint8_t b)
{
	struct tm tm = {
		.tm_sec = from_reg(b, cmos[RTC_SEC]),
		.tm_min = from_reg(b, cmos[RTC_MIN]),
		.tm_hour = hour_from_reg(b, cmos[RTC_HOUR]),
		.tm_mday = from_reg(b, cmos[RTC_MDAY]),
		.tm_mon = from_reg(b, cmos[RTC_MONTH]) - 1,
		.tm_year = from_reg(b, cmos[RTC_CENTURY]) * 100 +
			   from_reg(b, cmos[RTC_YEAR]) - 1900,
	};

	return timegm(&tm);
}

unsigned rtc_alarm_in(const uint8_t *cmos, uint8_t b, int64_t t)
{
	uint8_t rs = cmos[RTC_SEC_ALARM], rm = cmos[RTC_MIN_ALARM],
		rh = cmos[RTC_HOUR_ALARM];
	int sec = rs >= ALARM_DONTCARE ? -1 : from_reg(b, rs);
	int min = rm >= ALARM_DONTCARE ? -1 : from_reg(b, rm);
	int hour = rh >= ALARM_DONTCARE ? -1 : hour_from_reg(b, rh);
	int now = (int)((t % RTC_DAY_S + RTC_DAY_S) % RTC_DAY_S);

	if (sec > 59 || min > 59 || hour > 23)
		return 0;
	for (int i = 1; i <= RTC_DAY_S;) {
		int s = (now + i) % RTC_DAY_S;

		if (hour >= 0 && hour != s / 3600)
			i += 3600 - s % 3600;
		else if (min >= 0 && min != s / 60 % 60)
			i += 60 - s % 60;
		else if (sec >= 0 && sec != s % 60)
			i++;
		else
			return (unsigned)i;
	}
	return 0;
}
