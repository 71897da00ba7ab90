/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The arithmetic of a limit; see throttle_bucket.h. */
#include "storage/blk/throttle_bucket.h"

#include <errno.h>

#include "vm/base/clock.h"

/* Part of a second's work that may come early. */
#define BUCKET_SLACK   10u
#define BUCKET_WAIT_NS (30 * UINT64_C(86400) * NS_PER_S)

static throttle_level bucket_slack(uint64_t rate)
{
	return (throttle_level)rate * (NS_PER_S / BUCKET_SLACK);
}

static throttle_level bucket_size(const struct blk_limit *l)
{
	throttle_level size = bucket_slack(l->rate);

	if (l->burst_rate)
		size += (throttle_level)(l->burst_rate - l->rate) * l->burst_s *
			NS_PER_S;
	return size;
}

static throttle_level level_less(throttle_level level, throttle_level less)
{
	return level > less ? level - less : 0;
}

void throttle_bucket_set(struct throttle_bucket *b, const struct blk_limit *l)
{
	b->limit = *l;
	if (!l->rate)
		b->level = 0;
	if (!l->burst_rate)
		b->burst_level = 0;
}

void throttle_bucket_drain(struct throttle_bucket *b, uint64_t ns)
{
	b->level = level_less(b->level, (throttle_level)b->limit.rate * ns);
	b->burst_level = level_less(b->burst_level,
		(throttle_level)b->limit.burst_rate * ns);
}

/* Until level, draining at rate, is down to size. */
static uint64_t level_wait_ns(throttle_level level, throttle_level size,
	uint64_t rate)
{
	throttle_level ns;

	if (level <= size)
		return 0;
	ns = (level - size + rate - 1) / rate;
	return ns > BUCKET_WAIT_NS ? BUCKET_WAIT_NS : (uint64_t)ns;
}

uint64_t throttle_bucket_wait_ns(const struct throttle_bucket *b)
{
	const struct blk_limit *l = &b->limit;
	uint64_t wait, burst;

	if (!l->rate)
		return 0;
	wait = level_wait_ns(b->level, bucket_size(l), l->rate);
	if (!l->burst_rate)
		return wait;
	burst = level_wait_ns(b->burst_level, bucket_slack(l->burst_rate),
		l->burst_rate);
	return wait > burst ? wait : burst;
}

void throttle_bucket_add(struct throttle_bucket *b, uint64_t units)
{
	if (b->limit.rate)
		b->level += (throttle_level)units * NS_PER_S;
	if (b->limit.burst_rate)
		b->burst_level += (throttle_level)units * NS_PER_S;
}

void throttle_bucket_take_back(struct throttle_bucket *b, uint64_t units)
{
	throttle_level work = (throttle_level)units * NS_PER_S;

	b->level = level_less(b->level, work);
	b->burst_level = level_less(b->burst_level, work);
}

int throttle_limit_check(const struct blk_limit *l, const char *what,
	struct err *e)
{
	if (!l->burst_rate)
		return 0;
	if (!l->rate)
		return err_set(e, EINVAL,
			"throttle: %s: a burst rate needs a rate too: give "
			"one, or no burst",
			what);
	if (l->burst_rate <= l->rate)
		return err_set(e, EINVAL,
			"throttle: %s: the burst rate %llu is not above the "
			"rate %llu: raise it or leave it out",
			what, (unsigned long long)l->burst_rate,
			(unsigned long long)l->rate);
	if (!l->burst_s)
		return err_set(e, EINVAL,
			"throttle: %s: a burst of 0 seconds: give 1 or more",
			what);
	return 0;
}
