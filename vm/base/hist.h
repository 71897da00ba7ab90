/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Latency histogram with one bucket a power of two of microseconds:
 * bucket 0 is < 1 us, bucket n is [2^(n-1), 2^n) us, the last is open.
 * Thread: any (relaxed atomics).
 */
#ifndef VM_BASE_HIST_H
#define VM_BASE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

#define HIST_BUCKETS 24

struct hist {
	_Atomic uint64_t n[HIST_BUCKETS];
};

struct hist_snap {
	uint64_t n[HIST_BUCKETS];
};

static inline void hist_add(struct hist *h, uint64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned b = us ? 64 - (unsigned)__builtin_clzll(us) : 0;

	if (b >= HIST_BUCKETS)
		b = HIST_BUCKETS - 1;
	atomic_fetch_add_explicit(&h->n[b], 1, memory_order_relaxed);
}

static inline void hist_copy(struct hist *h, struct hist_snap *out)
{
	for (int i = 0; i < HIST_BUCKETS; i++)
		out->n[i] =
			atomic_load_explicit(&h->n[i], memory_order_relaxed);
}

/*
 * Upper bound in us of the bucket that holds the q-th part (0..1), as if the
 * last one were not open; 0 when nothing was counted.
 */
uint64_t hist_quantile_us(const struct hist_snap *s, double q);

#endif
