/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What may be done to a qcow2 image, in any order, against a model in memory:
 * writes, compressed writes, zeroes, discards, snapshots, sizes, emptying,
 * checks, reopening; with options of all kinds, with backing, and with
 * requests of the file that fail in between. What is read must be what the
 * model has; at the end a check finds no corruption, and without failures no
 * leak either.
 *
 * The input is a course of events: options, then an event in four bytes each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/core/ctx.h"
#include "storage/core/sync.h"
#include "storage/qcow2/qcow2.h"

/* one program of one file: see `make fuzz` */
#include "tests/unit/storage/memnode.c" // NOLINT(bugprone-suspicious-include)

#define MOST   (160 * KiB) /* of the disk */
#define BACK   (60 * KiB)
#define GROW   (32 * MiB) /* of the file */
#define EVENTS 200u
#define SNAPS  4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ctx *ctx;
static struct log *quiet;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void drop(void *arg, enum log_level level, const char *text)
{
	(void)arg;
	(void)level;
	if (getenv("FUZZ_TELL"))
		fprintf(stderr, "log: %s\n", text);
}

static void start(void)
{
	struct err e = ERR_NONE;
	struct loop *l;

	must(!loop_new(&l, &e));
	must(!ctx_get(l, &ctx, &e));
	quiet = log_new(drop, NULL);
	must(quiet);
}

struct disk {
	uint8_t *bytes; /* MOST */
	uint64_t size;
	bool used; /* a snapshot */
};

struct run {
	const uint8_t *in;
	size_t left;
	struct node *file, *back, *n;
	struct disk now, snap[SNAPS];
	/* with a backing file a discard may leave anything there */
	bool v2_backed;
	bool failed; /* a request of the file did: there may be leaks */
	bool lost;   /* and of a change, so that the model is not known */
	uint8_t *buf;
};

static uint8_t take(struct run *r)
{
	if (!r->left)
		return 0;
	r->left--;
	return *r->in++;
}

/* --- the image ------------------------------------------------------------ */

static void make(struct run *r)
{
	static const uint32_t clusters[] = { 512, 1024, 4096, 16384, 65536 };
	uint8_t a = take(r), b = take(r);
	struct qcow2_create o = {
		.size = (1 + take(r)) * UINT64_C(512),
		.cluster_size = clusters[a % ARRAY_LEN(clusters)],
		.version = a & 8 ? 2 : 3,
		.refcount_bits = 16,
		.extended_l2 = a & 16,
		.zstd = a & 32,
		.lazy_refcounts = a & 64,
		.prealloc = (enum qcow2_prealloc)(b >> 6 & 3),
		.backing_file = b & 8 ? "back" : NULL,
	};
	struct err e = ERR_NONE;

	if (o.version == 3)
		o.refcount_bits = 1u << (b % 7);
	if (o.version == 2)
		o.extended_l2 = o.zstd = o.lazy_refcounts = false;
	if (o.backing_file)
		o.prealloc = QCOW2_PREALLOC_OFF;
	if (o.cluster_size < 16384)
		o.extended_l2 = false;
	r->file = memnode_new(ctx, "fuzz.qcow2", 0);
	r->file->log = quiet;
	memnode_hold(r->file);
	must(!qcow2_create(r->file, NULL, &o, &e));
	memnode_limit(r->file, GROW);
	r->now.size = o.size;
	if (!o.backing_file)
		return;
	r->back = memnode_new(ctx, "back", BACK);
	memnode_hold(r->back);
	memset(memnode_bytes(r->back, NULL), 0xbb, BACK);
	memset(r->now.bytes, 0xbb, o.size < BACK ? o.size : BACK);
	r->v2_backed = o.version == 2;
}

static bool reopen(struct run *r)
{
	struct qcow2_opts o = { 0 };
	struct err e = ERR_NONE;

	if (qcow2_open(r->file, &o, &r->n, &e))
		return false;
	if (r->back)
		qcow2_set_backing(r->n, r->back);
	if (!qcow2_activate(r->n, &e))
		return true;
	node_close(r->n);
	r->n = NULL;
	return false;
}

/* --- events --------------------------------------------------------------- */

struct event {
	uint8_t what, a, b, c;
	uint64_t off, len;
};

/* The result of a change that was done to the model, if it was done. */
static bool done(struct run *r, int err)
{
	if (err && (r->failed || err == -ENOSPC))
		r->lost = true;
	return !err;
}

static void write_some(struct run *r, const struct event *v, unsigned flags)
{
	int err;

	memset(r->buf, v->c, v->len);
	if (flags && v->c & 1) /* does not get smaller */
		for (uint64_t i = 0; i < v->len; i++)
			r->buf[i] = (uint8_t)((i * 2654435761u) >> 13);
	err = node_write(r->n, v->off, r->buf, v->len, flags);
	if (done(r, err))
		memcpy(r->now.bytes + v->off, r->buf, v->len);
	else
		must(r->failed || err == -ENOSPC);
}

static void zero_some(struct run *r, const struct event *v)
{
	int err = node_zero(r->n, v->off, v->len, v->c & 1 ? BLK_UNMAP : 0);

	if (done(r, err))
		memset(r->now.bytes + v->off, 0, v->len);
	else
		must(r->failed || err == -ENOSPC);
}

/* What was discarded is what it was, or zeros. */
static void discard_some(struct run *r, const struct event *v)
{
	int err = node_discard(r->n, v->off, v->len);

	if (!done(r, err) || node_read(r->n, v->off, r->buf, v->len)) {
		r->lost = true;
		must(r->failed || err == -ENOSPC);
		return;
	}
	for (uint64_t i = 0; i < v->len; i++)
		must(r->lost || !r->buf[i] ||
			r->buf[i] == r->now.bytes[v->off + i]);
	memcpy(r->now.bytes + v->off, r->buf, v->len);
}

static void compare(struct run *r)
{
	uint64_t size = node_size(r->n);

	must(r->lost || size == r->now.size);
	if (r->lost || !size)
		return;
	if (node_read(r->n, 0, r->buf, size))
		must(r->failed);
	else
		must(!memcmp(r->buf, r->now.bytes, size));
}

static void snapshot(struct run *r, const struct event *v)
{
	struct disk *s = &r->snap[v->a % SNAPS];
	char name[2] = { (char)('a' + v->a % SNAPS), '\0' };
	struct err e = ERR_NONE;
	int err;

	switch (v->b % 3) {
	case 0:
		err = qcow2_snapshot_create(r->n, name, &e);
		if (err == -EEXIST)
			must(r->lost || s->used);
		if (!done(r, err))
			break;
		s->used = true;
		s->size = r->now.size;
		memcpy(s->bytes, r->now.bytes, MOST);
		break;
	case 1:
		err = qcow2_snapshot_revert(r->n, name, &e);
		if (err == -ENOENT)
			must(r->lost || !s->used);
		if (!done(r, err))
			break;
		r->now.size = s->size;
		memcpy(r->now.bytes, s->bytes, MOST);
		break;
	default:
		err = qcow2_snapshot_delete(r->n, name, &e);
		if (err == -ENOENT)
			must(r->lost || !s->used);
		if (done(r, err))
			s->used = false;
		break;
	}
	must(!err || e.code == -err);
}

static void resize(struct run *r, const struct event *v)
{
	uint64_t size = (uint64_t)(v->a | (v->b & 3) << 8) * 512;
	enum qcow2_prealloc how = (enum qcow2_prealloc)(v->c & 3);
	struct err e = ERR_NONE;
	int err;

	if (size > MOST)
		size = MOST;
	err = qcow2_resize(r->n, size, how, &e);
	if (!done(r, err)) {
		must(e.code == -err);
		return;
	}
	if (size > r->now.size)
		memset(r->now.bytes + r->now.size, 0, size - r->now.size);
	r->now.size = size;
}

static void empty(struct run *r)
{
	struct err e = ERR_NONE;
	int err = qcow2_make_empty(r->n, &e);
	uint64_t n = r->now.size < BACK ? r->now.size : BACK;

	if (!done(r, err))
		return;
	memset(r->now.bytes, 0, MOST);
	if (r->back)
		memset(r->now.bytes, 0xbb, n);
}

static void tell(void *arg, const char *line)
{
	(void)arg;
	if (getenv("FUZZ_TELL"))
		fprintf(stderr, "%s\n", line);
}

static void check(struct run *r, enum qcow2_repair how)
{
	static const struct qcow2_check_fns fns = { .tell = tell };
	struct qcow2_check c;
	struct err e = ERR_NONE;
	int err = qcow2_check(r->n, how, &fns, &c, &e);

	if (err) {
		must(r->failed || err == -ENOSPC);
		r->lost = true;
		return;
	}
	if (c.errors)
		must(r->failed);
	must(!c.corruptions);
	if (!r->failed && !r->lost)
		must(!c.leaks);
}

static void happen(struct run *r)
{
	struct event v = { take(r), take(r), take(r), take(r), 0, 0 };
	uint64_t sectors = r->n ? node_size(r->n) / 512 : 0;

	if (!sectors && v.what % 16 < 7)
		return;
	if (sectors) {
		v.off = (v.a | (v.c & 3) << 8) % sectors * 512;
		v.len = (1 + v.b) * UINT64_C(512);
		if (v.len > sectors * 512 - v.off)
			v.len = sectors * 512 - v.off;
	}
	if (getenv("FUZZ_TELL"))
		fprintf(stderr, "event %u: %u %u %u at %llu + %llu\n",
			v.what % 16, v.a, v.b, v.c, (unsigned long long)v.off,
			(unsigned long long)v.len);
	switch (v.what % 16) {
	case 0:
	case 1:
	case 2:
		write_some(r, &v, 0);
		break;
	case 3:
		write_some(r, &v, BLK_COMPRESS);
		break;
	case 4:
		zero_some(r, &v);
		break;
	case 5:
		discard_some(r, &v);
		break;
	case 6:
		compare(r);
		break;
	case 7:
	case 8:
	case 9:
		snapshot(r, &v);
		break;
	case 10:
		resize(r, &v);
		break;
	case 11:
		if (v.a % 4 == 0)
			empty(r);
		break;
	case 12:
		must(!node_flush(r->n) || r->failed || r->lost);
		break;
	case 13:
		check(r, v.a & 1 ? QCOW2_REPAIR_ALL : QCOW2_REPAIR_NONE);
		break;
	case 14:
		if (!(v.c & 0xc0)) { /* not all courses have failures */
			r->failed = true;
			memnode_fail_once(r->file,
				v.b & 1 ? BLK_WRITE : BLK_FLUSH, v.a, EIO);
		}
		break;
	default:
		if (node_close(r->n)) {
			must(r->failed || r->lost);
			r->lost = true;
		}
		r->n = NULL;
		if (!reopen(r))
			must(r->failed);
	}
}

/* --- all ------------------------------------------------------------------ */

static void finish(struct run *r)
{
	int err = 0;

	memnode_fail_once(r->file, BLK_WRITE, 0, 0);
	memnode_fail_once(r->file, BLK_FLUSH, 0, 0);
	if (r->n) {
		compare(r);
		err = node_close(r->n);
		must(!err || r->failed || r->lost);
	}
	/* what is not committed is gone with a close that failed */
	r->lost |= err != 0;
	must(reopen(r));
	compare(r);
	check(r, QCOW2_REPAIR_NONE);
	node_close(r->n);
}

static int run_fn(void *arg)
{
	struct run *r = arg;

	make(r);
	must(reopen(r));
	for (unsigned i = 0; i < EVENTS && r->left && r->n; i++) {
		happen(r);
		if (getenv("FUZZ_CHECK") && r->n)
			check(r, QCOW2_REPAIR_NONE);
	}
	finish(r);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = { .in = data, .left = size };

	if (!ctx)
		start();
	r.now.bytes = calloc(1, MOST);
	r.buf = malloc(MOST);
	must(r.now.bytes && r.buf);
	for (unsigned i = 0; i < SNAPS; i++) {
		r.snap[i].bytes = calloc(1, MOST);
		must(r.snap[i].bytes);
	}
	must(!ctx_run(ctx, run_fn, &r));
	memnode_free(r.file);
	if (r.back)
		memnode_free(r.back);
	for (unsigned i = 0; i < SNAPS; i++)
		free(r.snap[i].bytes);
	free(r.now.bytes);
	free(r.buf);
	return 0;
}
