/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quantiles of a latency histogram. Thread: any, no state. */
#include "vm/base/hist.h"

uint64_t hist_quantile_us(const struct hist_snap *s, double q)
{
	uint64_t total = 0, seen = 0;
	double want;

	for (int i = 0; i < HIST_BUCKETS; i++)
		total += s->n[i];
	if (!total)
		return 0;
	if (!(q > 0)) /* a NaN too */
		q = 0;
	if (q > 1)
		q = 1;
	want = q * (double)total;
	for (int i = 0; i < HIST_BUCKETS; i++) {
		seen += s->n[i];
		/* an empty bucket holds no part, not even the 0th */
		if (s->n[i] && (double)seen >= want)
			return UINT64_C(1) << i;
	}
	return UINT64_C(1) << (HIST_BUCKETS - 1);
}
