/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a latency histogram. No state; any thread. */
#include "vm/base/hist.h"

uint64_t hist_quantile_us(const struct hist_snap *s, double q)
{
	uint64_t total = 0, seen = 0;
	double want;

	for (int i = 0; i < HIST_BUCKETS; i++)
		total += s->n[i];
	if (!total)
		return 0;
	want = q * (double)total;
	for (int i = 0; i < HIST_BUCKETS - 1; i++) {
		seen += s->n[i];
		if (seen && (double)seen >= want)
			return UINT64_C(1) << i;
	}
	/* the open one: its lower bound is all that is known */
	return UINT64_C(1) << (HIST_BUCKETS - 2);
}
