// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * ACPI block of the ICH9 (datasheet 316972, 13.8.3; ACPI 6.4 chapter 4.8).
 * The machine is always in ACPI mode: SCI_EN reads 1 and there is no SMM, so
 * SMI_EN reads APMC_EN, by which SeaBIOS leaves SMM alone. OVMF reads the
 * timer millions of times: that path takes no lock.
 *
 * Threads: registers on vCPUs, events on any. Lock: pm.lock.
 */
#include "vm/dev/pm.h"

#include "vm/base/clock.h"

enum {                /* offsets */
	R_PM1 = 0x00, /* status, enable */
	R_CNT = 0x04,
	R_TMR = 0x08,
	R_GPE_STS = 0x20,
	R_GPE_EN = 0x28,
	R_SMI_EN = 0x30,
};

#define PM_HZ         UINT64_C(3579545)
#define PM_TMR_MASK   0xffffffu
#define PM_TOGGLE_BIT 23

#define STS_TMROF  0x0001
#define STS_PWRBTN 0x0100
#define EN_ALL     0x0721
#define CNT_SCI_EN 0x0001
#define CNT_STORED 0x1c02 /* BM_RLD, SLP_TYP */
#define CNT_TYP    0x1c00
#define CNT_SLP_EN 0x2000
#define SMI_APMC   0x20

static uint64_t pm_ticks(const struct pm *p)
{
	uint64_t ns = clock_now_ns() - p->base_ns;

	return ns / NS_PER_S * PM_HZ + ns % NS_PER_S * PM_HZ / NS_PER_S;
}

/* When the timer has the given tick, rounded up. */
static uint64_t pm_when(const struct pm *p, uint64_t tick)
{
	return p->base_ns + tick / PM_HZ * NS_PER_S +
	       (tick % PM_HZ * NS_PER_S + PM_HZ - 1) / PM_HZ;
}

static void update_locked(struct pm *p)
{
	uint64_t toggles = pm_ticks(p) >> PM_TOGGLE_BIT;

	if (toggles != p->toggles)
		p->sts |= STS_TMROF;
	p->toggles = toggles;
	p->sci(p->arg, p->sts & p->en || p->gpe_sts & p->gpe_en);
	if (p->en & STS_TMROF && !(p->sts & STS_TMROF))
		loop_timer_arm(&p->timer,
			pm_when(p, (toggles + 1) << PM_TOGGLE_BIT));
	else
		loop_timer_disarm(&p->timer);
}

static void pm_overflow(void *arg)
{
	struct pm *p = arg;

	LOCK_GUARD(&p->lock);
	update_locked(p);
}

static uint32_t reg_locked(struct pm *p, unsigned off)
{
	switch (off) {
	case R_PM1:
		update_locked(p);
		return p->sts | (uint32_t)p->en << 16;
	case R_CNT:
		return p->cnt | CNT_SCI_EN;
	case R_TMR:
		return pm_ticks(p) & PM_TMR_MASK;
	case R_GPE_STS:
		return (uint32_t)p->gpe_sts;
	case R_GPE_STS + 4:
		return (uint32_t)(p->gpe_sts >> 32);
	case R_GPE_EN:
		return (uint32_t)p->gpe_en;
	case R_GPE_EN + 4:
		return (uint32_t)(p->gpe_en >> 32);
	case R_SMI_EN:
		return SMI_APMC;
	default:
		return 0;
	}
}

static uint64_t pm_read(void *opaque, uint64_t off, unsigned size)
{
	struct pm *p = opaque;
	unsigned at = (unsigned)off & ~3u, shift = ((unsigned)off & 3) * 8;
	uint64_t val;

	if (off == R_TMR && size == 4)
		return pm_ticks(p) & PM_TMR_MASK;
	LOCK_GUARD(&p->lock);
	val = reg_locked(p, at);
	if (shift + size * 8 > 32)
		val |= (uint64_t)reg_locked(p, at + 4) << 32;
	return val >> shift;
}

/* The sleep states: only S5 exists, as type 0 in the DSDT's _S5. */
static void sleep_locked(struct pm *p)
{
	if (!(p->cnt & CNT_TYP))
		core_request(p->core, CORE_POWEROFF, "ACPI S5");
}

static void put_byte16(uint16_t *reg, unsigned byte, uint8_t val)
{
	*reg = (uint16_t)((*reg & ~(0xff << (8 * byte))) | val << (8 * byte));
}

static void put_byte64(uint64_t *reg, unsigned byte, uint8_t val)
{
	*reg &= ~(UINT64_C(0xff) << (8 * byte));
	*reg |= (uint64_t)val << (8 * byte);
}

static void write_byte_locked(struct pm *p, unsigned off, uint8_t val)
{
	switch (off) {
	case R_PM1:
	case R_PM1 + 1:
		p->sts &= (uint16_t) ~(val << (8 * off));
		break;
	case R_PM1 + 2:
	case R_PM1 + 3:
		put_byte16(&p->en, off - 2, val);
		p->en &= EN_ALL;
		break;
	case R_CNT:
	case R_CNT + 1:
		put_byte16(&p->cnt, off - R_CNT, val);
		if (p->cnt & CNT_SLP_EN)
			sleep_locked(p);
		p->cnt &= CNT_STORED;
		break;
	case R_GPE_STS ... R_GPE_STS + 7:
		p->gpe_sts &= ~((uint64_t)val << (8 * (off - R_GPE_STS)));
		break;
	case R_GPE_EN ... R_GPE_EN + 7:
		put_byte64(&p->gpe_en, off - R_GPE_EN, val);
		break;
	default:
		break;
	}
}

static void pm_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	struct pm *p = opaque;

	LOCK_GUARD(&p->lock);
	update_locked(p); /* what is due comes before the guest's clearing */
	for (unsigned i = 0; i < size; i++)
		write_byte_locked(p, (unsigned)off + i,
			(uint8_t)(val >> (8 * i)));
	update_locked(p);
}

static const struct bus_ops pm_bus_ops = {
	.read = pm_read,
	.write = pm_write,
};

int pm_map(struct pm *p, unsigned base)
{
	bus_unmap(p->core->pio, &p->region);
	return base ? bus_map(p->core->pio, &p->region, base) : 0;
}

void pm_power_button(struct pm *p)
{
	LOCK_GUARD(&p->lock);
	p->sts |= STS_PWRBTN;
	update_locked(p);
}

void pm_gpe(struct pm *p, unsigned bit)
{
	LOCK_GUARD(&p->lock);
	p->gpe_sts |= UINT64_C(1) << (bit % PM_GPE_BITS);
	update_locked(p);
}

void pm_reset(struct pm *p)
{
	LOCK_GUARD(&p->lock);
	p->sts = p->en = p->cnt = 0;
	p->gpe_sts = p->gpe_en = 0;
	p->toggles = pm_ticks(p) >> PM_TOGGLE_BIT;
	update_locked(p);
}

void pm_init(struct pm *p, struct core *core,
	void (*sci)(void *arg, bool level), void *arg)
{
	p->core = core;
	p->sci = sci;
	p->arg = arg;
	p->base_ns = clock_now_ns();
	p->region = (struct bus_region){
		.name = "pm",
		.ops = &pm_bus_ops,
		.opaque = p,
		.len = PM_LEN,
		.prio = BUS_FIXED,
	};
	lock_init(&p->lock, "pm", LOCK_DEVICE);
	loop_timer_init(&p->timer, core->io, pm_overflow, p);
}

void pm_fini(struct pm *p)
{
	bus_unmap(p->core->pio, &p->region);
	loop_timer_disarm(&p->timer);
	lock_fini(&p->lock);
}
