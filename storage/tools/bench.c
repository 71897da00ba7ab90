/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bench: so many requests of one kind with so many in flight. It runs on the
 * caller's stack by completions, as a guest's device would, without fibers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "storage/tools/tools.h"

#define BENCH_DEPTH_MAX 1024u
#define BENCH_ASK_NS    (100 * NS_PER_MS) /* between two questions to the job */

struct bench;

struct bench_req {
	struct blk_req r;
	struct iovec iov;
	struct bench *b;
	struct list node;
};

struct bench {
	struct tool *t;
	const struct img_bench *o;
	struct blk *blk;
	struct bench_req *reqs;
	uint8_t *buf;
	struct list idle;
	uint64_t begun, ended, next, size, since_flush, rng;
	unsigned in_flight;
	uint64_t ask_ns; /* when the job is asked next */
	int err;
};

static void bench_done(struct blk_req *r, int err)
{
	struct bench_req *q = container_of(r, struct bench_req, r);
	struct bench *b = q->b;

	list_add_head(&b->idle, &q->node);
	b->in_flight--;
	if (r->op != BLK_FLUSH)
		b->ended++;
	if (err && !b->err)
		b->err = err;
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift
 * generators, scrambled", 2016. */
static uint64_t bench_random(struct bench *b)
{
	b->rng ^= b->rng >> 12;
	b->rng ^= b->rng << 25;
	b->rng ^= b->rng >> 27;
	return b->rng * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t bench_place(struct bench *b)
{
	const struct img_bench *o = b->o;
	uint64_t at = b->next, room = b->size - o->offset;

	if (o->random)
		return o->offset +
		       bench_random(b) % (room / o->bytes) * o->bytes;
	/* round and round, as qemu-img bench does */
	b->next = (b->next + (o->step ? o->step : o->bytes)) % b->size;
	if (b->next > b->size - o->bytes)
		b->next = o->offset;
	return at;
}

static void bench_submit(struct bench *b, enum blk_op op)
{
	struct list *n = list_pop(&b->idle);
	struct bench_req *q = list_entry(n, struct bench_req, node);

	q->r.op = op;
	q->r.flags = 0;
	q->r.offset = op == BLK_FLUSH ? 0 : bench_place(b);
	q->r.len = op == BLK_FLUSH ? 0 : b->o->bytes;
	q->r.iov = &q->iov;
	q->r.niov = op == BLK_FLUSH ? 0 : 1;
	q->r.done = bench_done;
	b->in_flight++;
	blk_submit(b->blk, &q->r);
}

static bool bench_wants_flush(struct bench *b)
{
	const struct img_bench *o = b->o;

	if (!o->flush_every || b->since_flush < o->flush_every)
		return false;
	return o->no_drain || !b->in_flight;
}

static void bench_fill(struct bench *b)
{
	const struct img_bench *o = b->o;

	blk_plug(b->blk);
	while (!b->err && !list_empty(&b->idle)) {
		if (bench_wants_flush(b)) {
			bench_submit(b, BLK_FLUSH);
			b->since_flush = 0;
			if (!o->no_drain)
				break;
			continue;
		}
		if (b->begun == o->count ||
			(o->flush_every && b->since_flush >= o->flush_every))
			break;
		bench_submit(b, o->write ? BLK_WRITE : BLK_READ);
		b->begun++;
		b->since_flush++;
	}
	blk_unplug(b->blk);
}

/* A timer would cost a call a request; a signal ends the wait as well. */
static void bench_ask(struct bench *b)
{
	uint64_t now = clock_now_ns();

	if (now < b->ask_ns)
		return;
	b->ask_ns = now + BENCH_ASK_NS;
	b->t->done = b->ended * b->o->bytes;
	if (tool_tick(b->t) && !b->err)
		b->err = -ECANCELED;
}

static int bench_loop(struct bench *b)
{
	while (!b->err && b->ended < b->o->count) {
		bench_fill(b);
		blk_wait(b->blk);
		bench_ask(b);
	}
	blk_drain(b->blk);
	return b->err;
}

static int bench_prepare(struct bench *b, struct err *e)
{
	const struct img_bench *o = b->o;
	uint64_t bytes;

	b->size = tool_size(b->blk);
	if (o->offset > b->size || b->size - o->offset < o->bytes)
		return err_set(e, EINVAL, "%s: is too small for that",
			o->ref.path);
	if (!size_mul(o->depth, o->bytes, &bytes) || bytes > GiB)
		return err_set(e, EINVAL, "more than 1 GiB in flight");
	b->buf = aligned_alloc(4096, size_up(bytes, 4096));
	b->reqs = calloc(o->depth, sizeof(*b->reqs));
	if (!b->buf || !b->reqs)
		return err_sys(e, ENOMEM, "cannot begin");
	memset(b->buf, o->pattern, bytes);
	ctx_buffer_add(b->t->ctx, b->buf, bytes);
	for (unsigned i = 0; i < o->depth; i++) {
		b->reqs[i].b = b;
		b->reqs[i].iov.iov_base = b->buf + (size_t)i * o->bytes;
		b->reqs[i].iov.iov_len = o->bytes;
		list_add_tail(&b->idle, &b->reqs[i].node);
	}
	b->next = o->offset;
	b->rng = o->seed ? o->seed : 1;
	if (!size_mul(o->count, o->bytes, &b->t->total))
		b->t->total = 0;
	return 0;
}

static uint64_t bench_cpu_ns(void)
{
	return clock_ns_of(CLOCK_PROCESS_CPUTIME_ID);
}

static int bench_run(struct bench *b, struct img_bench_result *out,
	struct err *e)
{
	const struct img_bench *o = b->o;
	struct blk_info info;
	uint64_t ns, cpu;
	int r = bench_prepare(b, e);

	if (r)
		return r;
	ns = clock_now_ns();
	cpu = bench_cpu_ns();
	r = bench_loop(b);
	out->ns = clock_now_ns() - ns;
	out->cpu_ns = bench_cpu_ns() - cpu;
	blk_stats_get(b->blk, &out->stats);
	blk_info(b->blk, &info);
	strncpy(out->aio, info.aio, sizeof(out->aio) - 1);
	if (r == -ECANCELED)
		return err_set(e, ECANCELED, "%s: stopped", o->ref.path);
	if (r)
		return err_sys(e, -r, "%s: a request failed", o->ref.path);
	return 0;
}

static int bench_check(const struct img_bench *o, struct err *e)
{
	if (!o->count)
		return err_set(e, EINVAL, "-c: at least one request");
	if (!o->depth || o->depth > BENCH_DEPTH_MAX)
		return err_set(e, EINVAL, "-d: 1 to %u", BENCH_DEPTH_MAX);
	if (!o->bytes || o->bytes % 512 || o->offset % 512 || o->step % 512)
		return err_set(e, EINVAL,
			"sizes and offsets must be multiples of 512");
	return 0;
}

int img_bench(const struct img_bench *o, struct img_job *j,
	struct img_bench_result *out, struct err *e)
{
	struct bench b = { .o = o };
	struct tool t;
	int r = bench_check(o, e);

	memset(out, 0, sizeof(*out));
	if (!r)
		r = tool_init(&t, j, e);
	if (r)
		return r;
	b.t = &t;
	list_init(&b.idle);
	r = tool_open(&t, &o->ref, o->write ? TOOL_WRITE : 0, &b.blk, e);
	if (!r)
		r = bench_run(&b, out, e);
	ctx_buffer_del(t.ctx, b.buf);
	r = tool_close(&b.blk, o->ref.path, r, e);
	free(b.buf);
	free(b.reqs);
	tool_fini(&t);
	return r;
}
