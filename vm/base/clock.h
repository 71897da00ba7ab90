/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clocks, in nanoseconds. Thread: any. */
#ifndef VM_BASE_CLOCK_H
#define VM_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)

static inline uint64_t clock_ns_of(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Monotonic time; the base of every deadline and interval. */
static inline uint64_t clock_now_ns(void)
{
	return clock_ns_of(CLOCK_MONOTONIC);
}

/* Wall-clock time since the epoch; only for people and guests' RTCs. */
static inline uint64_t clock_wall_ns(void)
{
	return clock_ns_of(CLOCK_REALTIME);
}

#endif
