// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * MC146818 real-time clock with 128 bytes of CMOS RAM (Motorola MC146818A
 * data sheet; PC use of the RAM as MACHINE.md lists it). The time is host
 * UTC plus an offset that the guest moves by setting the clock. Flags are
 * brought up to date when somebody looks; a timer runs only for an interrupt
 * that is enabled and not already raised. Periodic ticks that came while one
 * was unacknowledged are kept (one second of them at most) and raised one by
 * one as the guest reads register C: guests that count ticks keep time.
 *
 * Threads: ports on vCPUs, the timer on the I/O thread. Lock: one of rank
 * LOCK_DEVICE guards all state.
 */
#include "vm/dev/rtc.h"

#include <errno.h>
#include <stdlib.h>

#include "vm/base/clock.h"
#include "vm/base/list.h"
#include "vm/base/lock.h"
#include "vm/base/sizes.h"

#include "vm/dev/rtc_time.h"

#define RTC_PORT 0x70
#define RTC_IRQ  8
#define RTC_HZ   32768u

enum {
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	CMOS_EQUIPMENT = 0x14,
	CMOS_BASE_KIB = 0x15, /* 2 bytes */
	CMOS_EXT_KIB = 0x17,  /* 2 bytes, and again at 0x30 */
	CMOS_SUM_FIRST = 0x10,
	CMOS_SUM_LAST = 0x2d,
	CMOS_SUM = 0x2e, /* 2 bytes, big endian */
	CMOS_EXT_KIB2 = 0x30,
	CMOS_ABOVE_16M = 0x34, /* 2 bytes, 64 KiB units */
	CMOS_BOOT3 = 0x38,
	CMOS_BOOT21 = 0x3d,
	CMOS_ABOVE_4G = 0x5b, /* 3 bytes, 64 KiB units */
	CMOS_CPUS = 0x5f,
};

#define A_UIP     0x80
#define A_DV      0x70
#define A_RATE    0x0f
#define A_DEFAULT 0x26
#define B_SET     0x80
#define B_PIE     0x40
#define B_AIE     0x20
#define B_UIE     0x10
#define B_DEFAULT RTC_B_24H
#define C_IRQF    0x80
#define C_PF      0x40
#define C_AF      0x20
#define C_UF      0x10
#define C_FLAGS   0x70 /* in the place of their enables in B */
#define D_VRT     0x80

/* What a guest may set: 1906 to 2223, so that nanoseconds fit 64 bits. */
#define TIME_MIN   INT64_C(-2000000000)
#define TIME_MAX   INT64_C(8000000000)
#define OFFSET_MAX RTC_OFFSET_MAX

#define UIP_NS (244 * NS_PER_US)

struct rtc {
	struct device dev;
	struct core *core;
	struct bus_region region;
	struct rtc_conf conf;
	struct loop_timer timer;

	struct lock lock; /* LOCK_DEVICE; guards all that follows */
	uint8_t index;
	uint8_t cmos[128];
	int64_t offset_ns; /* guest time - wall time while running */
	int64_t phase_ns;  /* part of a second to go on with, when stopped */
	int64_t last_s;    /* guest second of the last update */
	uint64_t base_ns;  /* monotonic time of tick 0 */
	uint64_t ticks;    /* periodic ticks seen since base_ns */
	uint64_t missed;   /* ticks still owed to the guest */
	bool level;
};

/* Does the clock advance? Not while it is set, nor with dividers held. */
static bool running(const struct rtc *r)
{
	return !(r->cmos[REG_B] & B_SET) && (r->cmos[REG_A] & A_DV) < 0x60;
}

static int64_t guest_ns(const struct rtc *r)
{
	return (int64_t)clock_wall_ns() + r->offset_ns;
}

static int64_t floor_s(int64_t ns)
{
	int64_t s = ns / (int64_t)NS_PER_S;

	return ns % (int64_t)NS_PER_S < 0 ? s - 1 : s;
}

static int64_t phase_of(int64_t ns)
{
	return ns - floor_s(ns) * (int64_t)NS_PER_S;
}

static void stop_locked(struct rtc *r)
{
	int64_t now = guest_ns(r);

	rtc_encode(r->cmos, r->cmos[REG_B], floor_s(now));
	r->phase_ns = phase_of(now);
}

static int64_t clamp(int64_t t)
{
	if (t < TIME_MIN)
		return TIME_MIN;
	return t > TIME_MAX ? TIME_MAX : t;
}

/* Go on from what the clock registers say. */
static void start_locked(struct rtc *r)
{
	int64_t t = clamp(rtc_decode(r->cmos, r->cmos[REG_B]));

	r->offset_ns =
		t * (int64_t)NS_PER_S + r->phase_ns - (int64_t)clock_wall_ns();
	r->last_s = t;
}

/* Length of the periodic interrupt in 1/32768 s, 0 = off. */
static unsigned period_units(const struct rtc *r)
{
	unsigned rate = r->cmos[REG_A] & A_RATE;

	if (!rate || (r->cmos[REG_A] & A_DV) >= 0x60)
		return 0;
	return 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static uint64_t units_of_ns(uint64_t ns)
{
	return ns / NS_PER_S * RTC_HZ + ns % NS_PER_S * RTC_HZ / NS_PER_S;
}

/* Rounded up: at that time the unit has begun. */
static uint64_t ns_of_units(uint64_t units)
{
	return units / RTC_HZ * NS_PER_S +
	       (units % RTC_HZ * NS_PER_S + RTC_HZ - 1) / RTC_HZ;
}

static void rebase_locked(struct rtc *r)
{
	r->base_ns = clock_now_ns();
	r->ticks = 0;
	r->missed = 0;
}

static void update_periodic_locked(struct rtc *r)
{
	unsigned period = period_units(r);
	uint64_t now, fresh, max;

	if (!period)
		return;
	now = units_of_ns(clock_now_ns() - r->base_ns) / period;
	fresh = now - r->ticks;
	r->ticks = now;
	if (!fresh)
		return;
	if (!(r->cmos[REG_C] & C_PF))
		fresh--;
	r->cmos[REG_C] |= C_PF;
	if (!(r->cmos[REG_B] & B_PIE))
		return;
	max = RTC_HZ / period;
	r->missed = fresh > max - r->missed ? max : r->missed + fresh;
}

static void update_clock_locked(struct rtc *r)
{
	int64_t now;
	unsigned in;

	if (!running(r))
		return;
	now = floor_s(guest_ns(r));
	if (now > r->last_s) {
		r->cmos[REG_C] |= C_UF;
		in = rtc_alarm_in(r->cmos, r->cmos[REG_B], r->last_s);
		if (in && (int64_t)in <= now - r->last_s)
			r->cmos[REG_C] |= C_AF;
	}
	r->last_s = now; /* the host's clock may also have gone back */
}

static void set_irq_locked(struct rtc *r)
{
	bool level = r->cmos[REG_C] & r->cmos[REG_B] & C_FLAGS;

	if (level)
		r->cmos[REG_C] |= C_IRQF;
	else
		r->cmos[REG_C] &= (uint8_t)~C_IRQF;
	if (level == r->level)
		return;
	r->level = level;
	irq_set(r->core->irqs, RTC_IRQ, level);
}

/* Monotonic time of the next event with an enabled interrupt, 0 = none. */
static uint64_t next_event_locked(struct rtc *r)
{
	uint64_t now = clock_now_ns(), due = UINT64_MAX, t;
	uint8_t b = r->cmos[REG_B];
	unsigned period = period_units(r), in = 0;
	int64_t wall;

	if (b & B_PIE && period)
		due = r->base_ns + ns_of_units((r->ticks + 1) * period);
	if (!running(r))
		return due == UINT64_MAX ? 0 : due;
	if (b & B_UIE)
		in = 1;
	else if (b & B_AIE)
		in = rtc_alarm_in(r->cmos, b, r->last_s);
	if (in) {
		wall = (r->last_s + (int64_t)in) * (int64_t)NS_PER_S -
		       guest_ns(r);
		t = now + (wall > 0 ? (uint64_t)wall : 0);
		due = t < due ? t : due;
	}
	return due == UINT64_MAX ? 0 : due;
}

/* A line that is up needs no timer: reading C brings all up to date. */
static void arm_locked(struct rtc *r)
{
	uint64_t due = r->level ? 0 : next_event_locked(r);

	if (due)
		loop_timer_arm(&r->timer, due);
	else
		loop_timer_disarm(&r->timer);
}

static void update_locked(struct rtc *r)
{
	update_periodic_locked(r);
	update_clock_locked(r);
	set_irq_locked(r);
}

static void rtc_tick(void *arg)
{
	struct rtc *r = arg;

	LOCK_GUARD(&r->lock);
	update_locked(r);
	arm_locked(r);
}

static uint8_t read_c_locked(struct rtc *r)
{
	uint8_t val;

	update_locked(r);
	val = r->cmos[REG_C];
	r->cmos[REG_C] = 0;
	set_irq_locked(r);
	if (r->missed && r->cmos[REG_B] & B_PIE) {
		r->missed--;
		r->cmos[REG_C] |= C_PF;
		set_irq_locked(r);
	}
	arm_locked(r);
	return val;
}

static uint8_t read_a_locked(struct rtc *r)
{
	uint8_t val = r->cmos[REG_A];

	if (running(r) && phase_of(guest_ns(r)) >= (int64_t)(NS_PER_S - UIP_NS))
		val |= A_UIP;
	return val;
}

static uint8_t read_locked(struct rtc *r, unsigned reg)
{
	switch (reg) {
	case REG_A:
		return read_a_locked(r);
	case REG_C:
		return read_c_locked(r);
	default:
		if (rtc_is_clock(reg) && running(r))
			rtc_encode(r->cmos, r->cmos[REG_B],
				floor_s(guest_ns(r)));
		return r->cmos[reg];
	}
}

/* A or B: stop and start the clock as their bits say. */
static void write_control_locked(struct rtc *r, unsigned reg, uint8_t val)
{
	bool was = running(r);
	uint8_t old = r->cmos[reg];

	update_locked(r);
	if (was) /* in the format that holds now */
		stop_locked(r);
	r->cmos[reg] = val;
	if (reg == REG_A) {
		r->cmos[reg] &= (uint8_t)~A_UIP;
		if ((old ^ val) & (A_DV | A_RATE))
			rebase_locked(r);
		/* Held dividers run on half a second before an update. */
		if ((val & A_DV) >= 0x60)
			r->phase_ns = NS_PER_S / 2;
	} else {
		if (val & B_SET) /* the chip clears UIE then */
			r->cmos[reg] &= (uint8_t)~B_UIE;
		if (~old & val & B_PIE)
			rebase_locked(r);
	}
	if (!was && running(r))
		start_locked(r);
	set_irq_locked(r);
	arm_locked(r);
}

static void write_clock_locked(struct rtc *r, unsigned reg, uint8_t val)
{
	bool run = running(r);

	if (run)
		stop_locked(r);
	r->cmos[reg] = val;
	if (!run)
		return;
	start_locked(r);
	arm_locked(r);
}

static void write_locked(struct rtc *r, unsigned reg, uint8_t val)
{
	switch (reg) {
	case REG_A:
	case REG_B:
		write_control_locked(r, reg, val);
		break;
	case REG_C:
	case REG_D:
		break;
	case RTC_SEC_ALARM:
	case RTC_MIN_ALARM:
	case RTC_HOUR_ALARM:
		update_locked(r);
		r->cmos[reg] = val;
		arm_locked(r);
		break;
	default:
		if (rtc_is_clock(reg))
			write_clock_locked(r, reg, val);
		else
			r->cmos[reg] = val;
	}
}

static uint64_t rtc_read(void *opaque, uint64_t off, unsigned size)
{
	struct rtc *r = opaque;
	uint64_t data;

	LOCK_GUARD(&r->lock);
	data = off || size > 1 ? read_locked(r, r->index) : 0;
	if (off)
		return data;
	return size > 1 ? data << 8 | 0xff : 0xff; /* index is write only */
}

static void rtc_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct rtc *r = opaque;

	LOCK_GUARD(&r->lock);
	if (!off) {
		r->index = val & 0x7f; /* bit 7 masks NMIs: there are none */
		val >>= 8;
	}
	if (off || size > 1)
		write_locked(r, r->index, (uint8_t)val);
}

static const struct bus_ops rtc_bus_ops = {
	.read = rtc_read,
	.write = rtc_write,
};

static uint64_t at_most(uint64_t v, uint64_t max)
{
	return v < max ? v : max;
}

static void put_cmos(struct rtc *r, unsigned reg, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		r->cmos[reg + i] = (uint8_t)(v >> (8 * i));
}

static void put_memory_locked(struct rtc *r)
{
	uint64_t low, high, ext;

	if (!r->core->gmem)
		return;
	low = gmem_low_end(r->core->gmem);
	high = gmem_high_end(r->core->gmem) - GMEM_HIGH_BASE;
	ext = at_most((low > MiB ? low - MiB : 0) / KiB, 0xffff);
	put_cmos(r, CMOS_BASE_KIB, 640, 2);
	put_cmos(r, CMOS_EXT_KIB, ext, 2);
	put_cmos(r, CMOS_EXT_KIB2, ext, 2);
	low = low > 16 * MiB ? low - 16 * MiB : 0;
	put_cmos(r, CMOS_ABOVE_16M, at_most(low / (64 * KiB), 0xffff), 2);
	put_cmos(r, CMOS_ABOVE_4G, at_most(high / (64 * KiB), 0xffffff), 3);
}

static void put_config_locked(struct rtc *r)
{
	const uint8_t *boot = r->conf.boot;
	unsigned sum = 0;

	put_memory_locked(r);
	r->cmos[CMOS_EQUIPMENT] = 0x06; /* FPU, PS/2 mouse, no floppy */
	r->cmos[CMOS_BOOT3] = (uint8_t)(boot[2] << 4 | 1); /* no A: check */
	r->cmos[CMOS_BOOT21] = (uint8_t)(boot[1] << 4 | boot[0]);
	r->cmos[CMOS_CPUS] = (uint8_t)at_most(r->conf.cpus - 1, 0xff);
	for (unsigned i = CMOS_SUM_FIRST; i <= CMOS_SUM_LAST; i++)
		sum += r->cmos[i];
	r->cmos[CMOS_SUM] = (uint8_t)(sum >> 8);
	r->cmos[CMOS_SUM + 1] = (uint8_t)sum;
}

/* RAM that is not ours to set and the time survive, as by a battery. */
static void reset_locked(struct rtc *r)
{
	bool was = running(r);

	r->cmos[REG_C] = 0;
	if (!was) {
		r->cmos[REG_A] = A_DEFAULT;
		r->cmos[REG_B] &= (uint8_t)~B_SET;
		start_locked(r);
	}
	r->cmos[REG_A] = A_DEFAULT;
	r->cmos[REG_B] = B_DEFAULT;
	r->cmos[REG_D] = D_VRT;
	r->index = 0;
	put_config_locked(r);
	rebase_locked(r);
	set_irq_locked(r);
	arm_locked(r);
}

static void rtc_reset(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	LOCK_GUARD(&r->lock);
	reset_locked(r);
}

/* Ticks of the time that the guest was paused are not owed to it. */
static void rtc_resume(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	LOCK_GUARD(&r->lock);
	rebase_locked(r);
	update_locked(r);
	arm_locked(r);
}

static void rtc_free(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	bus_unmap(r->core->pio, &r->region);
	loop_timer_disarm(&r->timer);
	lock_fini(&r->lock);
	free(r);
}

static const struct device_ops rtc_ops = {
	.reset = rtc_reset,
	.resume = rtc_resume,
	.free = rtc_free,
};

int64_t rtc_offset_s(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	int64_t s;

	LOCK_GUARD(&r->lock);
	s = floor_s(r->offset_ns + (int64_t)NS_PER_S / 2);
	/* a guest that set a far year must be one that can be started anew */
	return s > OFFSET_MAX ? OFFSET_MAX : s < -OFFSET_MAX ? -OFFSET_MAX : s;
}

int rtc_new(struct core *core, const struct rtc_conf *conf, struct device **out,
	struct err *e)
{
	struct rtc *r;
	int rc;

	if (llabs(conf->offset_s) > OFFSET_MAX)
		return err_set(e, EINVAL,
			"real-time clock: an offset of %lld s is more than "
			"%lld s",
			(long long)conf->offset_s, (long long)OFFSET_MAX);
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_sys(e, ENOMEM, "real-time clock");
	r->dev = (struct device){ .name = "rtc", .ops = &rtc_ops };
	r->core = core;
	r->conf = *conf;
	if (!r->conf.cpus)
		r->conf.cpus = 1;
	r->region = (struct bus_region){
		.name = "rtc",
		.ops = &rtc_bus_ops,
		.opaque = r,
		.len = 2,
		.prio = BUS_FIXED,
	};
	r->offset_ns = conf->offset_s * (int64_t)NS_PER_S;
	r->cmos[REG_A] = A_DEFAULT;
	r->last_s = floor_s(guest_ns(r));
	lock_init(&r->lock, "rtc", LOCK_DEVICE);
	loop_timer_init(&r->timer, core->io, rtc_tick, r);
	reset_locked(r);
	rc = bus_map(core->pio, &r->region, RTC_PORT);
	if (rc) {
		lock_fini(&r->lock);
		free(r);
		return err_sys(e, -rc, "real-time clock at 0x70");
	}
	*out = &r->dev;
	return 0;
}
