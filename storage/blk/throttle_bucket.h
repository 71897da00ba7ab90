/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A limit as a leaky bucket: work is poured in as requests pass and drains
 * at the rate; a request may pass while the level is not above the size.
 * What it pours in may be more than the size: it passes all the same and the
 * next one waits the longer.
 *
 * Size without a burst: a tenth of a second at the rate, so that requests
 * that come a little early need no wait. With a burst a second bucket of a
 * tenth of a second drains at the burst rate, and the first one is larger by
 * what a burst of full length puts on top, (burst_rate - rate) * burst_s: so
 * from empty, burst_rate can be kept up for burst_s seconds, then rate; and
 * all of a burst is there again after the disk was idle for
 * (burst_rate - rate) * burst_s / rate seconds. (QEMU's burst_rate * burst_s
 * lets one last longer than it says.)
 *
 * Pure arithmetic in whole numbers: time comes from the caller. Thread: any,
 * no lock.
 */
#ifndef STORAGE_BLK_THROTTLE_BUCKET_H
#define STORAGE_BLK_THROTTLE_BUCKET_H

#include "storage/storage.h"

/* Units of work (requests, bytes) times 1e9: rate * nanoseconds. */
typedef unsigned __int128 throttle_level;

struct throttle_bucket {
	struct blk_limit limit; /* rate 0: always empty */
	throttle_level level, burst_level;
};

/* Take another limit; the level stays. */
void throttle_bucket_set(struct throttle_bucket *b, const struct blk_limit *l);

/* ns went by. */
void throttle_bucket_drain(struct throttle_bucket *b, uint64_t ns);

/* Nanoseconds until a request may pass, 0 = now. At most 30 days. */
uint64_t throttle_bucket_wait_ns(const struct throttle_bucket *b);

/* One of units passes (or will); or will not after all. */
void throttle_bucket_add(struct throttle_bucket *b, uint64_t units);
void throttle_bucket_take_back(struct throttle_bucket *b, uint64_t units);

/* 0, or -EINVAL with e filled: what names the limit. */
int throttle_limit_check(const struct blk_limit *l, const char *what,
	struct err *e);

#endif
