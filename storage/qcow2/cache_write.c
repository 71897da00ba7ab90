/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing what is dirty in a cache; see impl.h. Slices that are neighbours in
 * the image go in one request; some requests are on their way at a time. meta
 * is held meanwhile, so the slices do not change; they may be read.
 */
#include <errno.h>
#include <stdlib.h>

#include "storage/qcow2/impl.h"

#define QWRITE_SLICES   256u /* most in one request */
#define QWRITE_REQUESTS 16u  /* most on their way */

struct qrun {
	struct blk_req r;
	struct qspill *f;
	uint32_t first, n; /* of f->slices */
};

/* Lies in one piece of memory with its arrays. */
struct qspill {
	struct qcache *c;
	struct qslice **slices;
	struct iovec *iov; /* one a slice */
	struct qrun runs[QWRITE_REQUESTS];
	struct qrun *spare[QWRITE_REQUESTS];
	unsigned nspare;
	struct fiber *fiber; /* waits */
	int err;             /* the first */
};

static void qspill_done(struct blk_req *r, int err)
{
	struct qrun *run = r->arg;
	struct qspill *f = run->f;

	for (uint32_t i = 0; !err && i < run->n; i++) {
		struct qslice *s = f->slices[run->first + i];

		qcache_mark_clean(f->c, s);
	}
	if (err && !f->err)
		f->err = err;
	f->spare[f->nspare++] = run;
	if (f->fiber)
		fiber_wake(f->fiber);
}

/* Until at least n requests are free. */
static void qspill_wait(struct qspill *f, unsigned n)
{
	f->fiber = fiber_self();
	while (f->nspare < n)
		fiber_wait();
	f->fiber = NULL;
}

/* How many from the first-th on lie in a row? */
static uint32_t qspill_row(const struct qspill *f, uint32_t first, uint32_t n)
{
	uint32_t k = 1;

	while (k < QWRITE_SLICES && first + k < n &&
		f->slices[first + k]->offset ==
			f->slices[first]->offset +
				(uint64_t)k * f->c->slice_bytes)
		k++;
	return k;
}

static void qspill_submit(struct qspill *f, uint32_t first, uint32_t n)
{
	struct qrun *run;

	qspill_wait(f, 1);
	run = f->spare[--f->nspare];
	*run = (struct qrun){
		.r = {
			.op = BLK_WRITE,
			.offset = f->slices[first]->offset,
			.len = (uint64_t)n * f->c->slice_bytes,
			.iov = &f->iov[first],
			.niov = (int)n,
			.done = qspill_done,
			.arg = run,
		},
		.f = f,
		.first = first,
		.n = n,
	};
	list_init(&run->r.node);
	node_submit(f->c->q->file, &run->r);
}

static int qspill_compare(const void *a, const void *b)
{
	const struct qslice *x = *(struct qslice *const *)a;
	const struct qslice *y = *(struct qslice *const *)b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static struct qspill *qspill_new(struct qcache *c)
{
	size_t n = c->ndirty, i = 0;
	struct qspill *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->c = c;
	f->slices = calloc(n, sizeof(struct qslice *));
	f->iov = calloc(n, sizeof(struct iovec));
	if (!f->slices || !f->iov) {
		free(f->slices);
		free(f->iov);
		free(f);
		return NULL;
	}
	for (unsigned k = 0; k < QWRITE_REQUESTS; k++)
		f->spare[f->nspare++] = &f->runs[k];
	list_each (it, &c->dirty)
		f->slices[i++] = list_entry(it, struct qslice, lru);
	qsort(f->slices, n, sizeof(struct qslice *), qspill_compare);
	for (i = 0; i < n; i++)
		f->iov[i] =
			(struct iovec){ f->slices[i]->data, c->slice_bytes };
	return f;
}

int qcache_write(struct qcache *c)
{
	uint32_t n = c->ndirty, k;
	struct qspill *f;
	int r;

	if (!n)
		return 0;
	f = qspill_new(c);
	if (!f)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !f->err; i += k) {
		k = qspill_row(f, i, n);
		qspill_submit(f, i, k);
	}
	qspill_wait(f, QWRITE_REQUESTS);
	r = f->err;
	free(f->slices);
	free(f->iov);
	free(f);
	return r;
}
