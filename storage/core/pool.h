/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A pool of threads for the work of one ctx; it has one for what computes and
 * one for system calls that block. Thread: the loop's.
 */
#ifndef STORAGE_CORE_POOL_H
#define STORAGE_CORE_POOL_H

#include "storage/core/ctx.h"

struct pool;

/* name is its threads'. They are started as work waits, max at most (1 to
 * POOL_MAX); the first one is started here. 0 or -errno. */
#define POOL_MAX 16u
int pool_new(struct ctx *c, const char *name, unsigned max, struct pool **out);

/* Nothing is in flight. Joins the threads. NULL is fine. */
void pool_free(struct pool *p);

/* Queue w: run() on a thread, then done() here. */
void pool_submit(struct pool *p, struct ctx_work *w);

/* The one of c for blocking calls, made when it is first asked for. */
int pool_io(struct ctx *c, struct pool **out);

#endif
