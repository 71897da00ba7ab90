/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MC146818 real-time clock and CMOS RAM at ports 0x70/0x71, IRQ 8. */
#ifndef VM_DEV_RTC_H
#define VM_DEV_RTC_H

#include "vm/core/device.h"

enum rtc_boot {
	RTC_BOOT_NONE,
	RTC_BOOT_FLOPPY,
	RTC_BOOT_DISK,
	RTC_BOOT_CDROM,
	RTC_BOOT_NET,
};

#define RTC_OFFSET_MAX INT64_C(3000000000) /* s, either way */

struct rtc_conf {
	unsigned cpus;
	uint8_t boot[3];  /* enum rtc_boot, first to third */
	int64_t offset_s; /* guest clock minus host UTC */
};

/*
 * Memory sizes come from core->gmem (NULL = none told). 0 or -errno with e
 * filled; the device ends by (*out)->ops->free.
 */
int rtc_new(struct core *core, const struct rtc_conf *conf, struct device **out,
	struct err *e);

/*
 * The guest's clock minus host UTC in seconds, as the guest last set it, to
 * be kept for the next start: at most RTC_OFFSET_MAX. Thread: any.
 */
int64_t rtc_offset_s(struct device *d);

#endif
