/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The wrapper's insides: blk.c has a request's way in and out, blk_open.c
 * everything else, chain.c the nodes below. Thread: the loop's, but for what
 * is an atomic or guarded by lock.
 */
#ifndef STORAGE_BLK_IMPL_H
#define STORAGE_BLK_IMPL_H

#include "vm/base/lock.h"

#include "storage/blk/chain.h"
#include "storage/core/ctx.h"
#include "storage/core/node.h"

/* Counted on the loop's thread alone, read by any. */
struct blk_dir {
	_Atomic uint64_t ops, bytes, errors, time_ns;
	struct hist latency;
};

struct blk {
	struct ctx *ctx;
	struct node *top; /* where requests go: the throttle or chain's top */
	struct chain *chain;
	struct node *throttle; /* NULL = none */
	struct log *log;
	struct log_limit limit;

	/* for the checks; changed by resize only */
	uint64_t size;
	uint64_t align_mask;    /* of offsets and lengths */
	uint32_t compress_size; /* BLK_COMPRESS: in such pieces, 0 = never */
	bool readonly;
	bool no_discard;
	bool guarded; /* found raw: must not begin to look like something */
	enum blk_zeroes detect_zeroes;

	unsigned submitting; /* inside blk_submit(): completions wait */
	struct list late;    /* requests to complete, error in start_ns */
	struct ctx_call late_call;
	_Atomic uint32_t in_flight;
	struct blk_dir dir[BLK_OPS];

	struct lock lock;     /* rank LOCK_BLK */
	struct blk_info info; /* guarded by lock */
};

/* blk.c: complete what waits in late. */
void blk_finish_late(void *arg);

/* guard.c: hand on r, a checked write of the first sector, or refuse it. */
void guard_submit(struct blk *b, struct blk_req *r);

#endif
