/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Power loss at every moment. A random course of writes, zeroes, discards,
 * flushes, snapshots and resizes runs once on a disk that remembers what was
 * written when (crashnode.h). Then for every step of it the disk is taken as
 * a crash would leave it: what no flush covered is gone, is all there, or is
 * partly there in any order. Each time the image must open, have no more than
 * leaks, and hold every write that a guest's flush covered; in each sector
 * must be what was written last before that flush, or something later.
 *
 * GUESTDECK_LONG=1: more courses. GUESTDECK_SEED: another one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/crashnode.h"
#include "tests/unit/storage/qcow2/qtest.h"

#define SECTOR  512u
#define OPS_MAX 400u
#define BATCH   4
#define KEPT    12 /* values that a sector may have */

struct crash_case {
	struct qcow2_create o;
	uint64_t backing_bytes; /* 0 = none */
	bool snapshots, resize;
	unsigned steps; /* batches */
};

/* What the guest did. */
struct gop {
	enum blk_op op;
	uint64_t off, len, begun, done, tag;
};

/* A snapshot that was there at a time: content by sector. */
struct gsnap {
	char name[16];
	uint64_t from, to; /* sure to be there between */
	uint64_t sectors;
	uint64_t *tags;
};

struct crash {
	const struct crash_case *k;
	uint64_t clock;
	struct node *mem, *log, *n;
	struct node *data_mem, *data_log;
	struct node *backing;
	uint64_t size;
	struct gop ops[OPS_MAX];
	unsigned nops;
	uint64_t *now; /* tags by sector, as the guest sees them */
	struct gsnap snaps[16];
	unsigned nsnaps, seed;
	uint64_t looked; /* crashes looked at */
};

static unsigned rnd(struct crash *c)
{
	c->seed = c->seed * 1103515245u + 12345u;
	return c->seed >> 8;
}

/* A sector's content: tag and place, over and over. 0 = zeros. */
static void put_sector(uint8_t *p, uint64_t tag, uint64_t sector)
{
	memset(p, 0, SECTOR);
	for (unsigned i = 0; tag && i < SECTOR; i += 16) {
		memcpy(p + i, &tag, 8);
		memcpy(p + i + 8, &sector, 8);
	}
}

/* The tag of a sector; UINT64_MAX = it is torn or of another place. */
static uint64_t get_sector(const uint8_t *p, uint64_t sector)
{
	uint8_t want[SECTOR];
	uint64_t tag;

	memcpy(&tag, p, 8);
	put_sector(want, tag, sector);
	return memcmp(p, want, SECTOR) ? UINT64_MAX : tag;
}

/* --- the course --- */

struct greq {
	struct blk_req r;
	struct iovec iov;
	struct gop *op;
	struct crash *c;
	uint8_t *buf;
	int *left;
};

static void greq_done(struct blk_req *r, int err)
{
	struct greq *q = container_of(r, struct greq, r);

	ck_assert_msg(!err, "request: %s", strerror(-err));
	q->op->done = ++q->c->clock;
	(*q->left)--;
	free(q->buf);
}

static void greq_begin(struct crash *c, struct greq *q, struct gop *op,
	int *left)
{
	memset(q, 0, sizeof(*q));
	q->op = op;
	q->c = c;
	q->left = left;
	q->r.op = op->op;
	q->r.offset = op->off;
	q->r.len = op->len;
	q->r.done = greq_done;
	if (op->op == BLK_WRITE) {
		q->buf = malloc(op->len);
		for (uint64_t i = 0; i < op->len; i += SECTOR)
			put_sector(q->buf + i, op->tag, (op->off + i) / SECTOR);
		q->iov = (struct iovec){ q->buf, op->len };
		q->r.iov = &q->iov;
		q->r.niov = 1;
	}
	if (op->op == BLK_WRITE_ZEROES && (rnd(c) & 1))
		q->r.flags = BLK_UNMAP;
	op->begun = ++c->clock;
	node_submit(c->n, &q->r);
}

static struct gop *new_op(struct crash *c, enum blk_op op)
{
	struct gop *g = &c->ops[c->nops];

	ck_assert_uint_lt(c->nops, OPS_MAX);
	*g = (struct gop){ .op = op, .tag = op == BLK_WRITE ? c->nops + 1 : 0 };
	c->nops++;
	return g;
}

static bool meets(const struct gop *a, const struct gop *b)
{
	return a->off < b->off + b->len && b->off < a->off + a->len;
}

static void note_now(struct crash *c, const struct gop *g)
{
	for (uint64_t s = g->off / SECTOR; s < (g->off + g->len) / SECTOR; s++)
		c->now[s] = g->op == BLK_WRITE ? g->tag : 0;
}

/* Some requests at once that do not meet. */
static void step_requests(struct crash *c)
{
	struct greq q[BATCH];
	struct gop *first = &c->ops[c->nops];
	uint64_t sectors = c->size / SECTOR;
	int left = 0, n = 1 + (int)(rnd(c) % BATCH);

	for (int i = 0; i < n; i++) {
		unsigned what = rnd(c) % 8;
		struct gop *g = new_op(c, what == 7   ? BLK_DISCARD
					  : what == 6 ? BLK_WRITE_ZEROES
						      : BLK_WRITE);
		bool clash = false;

		g->off = rnd(c) % sectors * SECTOR;
		g->len = (1 + rnd(c) % (rnd(c) % 4 ? 6 : 40)) * SECTOR;
		if (g->len > c->size - g->off)
			g->len = c->size - g->off;
		for (struct gop *o = first; o < g; o++)
			clash |= meets(o, g);
		if (clash) {
			c->nops--;
			continue;
		}
		left++;
		greq_begin(c, &q[i], g, &left);
		note_now(c, g);
	}
	while (left)
		ctx_wait(qt_ctx);
}

static void step_flush(struct crash *c)
{
	struct gop *g = new_op(c, BLK_FLUSH);
	struct greq q;
	int left = 1;

	greq_begin(c, &q, g, &left);
	while (left)
		ctx_wait(qt_ctx);
}

struct named {
	struct node *n;
	const char *name;
	int (*fn)(struct node *n, const char *name, struct err *e);
	uint64_t size;
};

static int named_fn(void *arg)
{
	struct named *a = arg;
	struct err e = ERR_NONE;
	int r = a->fn ? a->fn(a->n, a->name, &e)
		      : qcow2_resize(a->n, a->size, QCOW2_PREALLOC_OFF, &e);

	ck_assert_msg(!r, "%s", e.msg);
	return r;
}

static void step_snapshot(struct crash *c)
{
	struct gsnap *s = &c->snaps[c->nsnaps];
	struct named a = { .n = c->n };

	if (c->nsnaps && !s[-1].to && rnd(c) % 2) {
		s[-1].to = c->clock;
		a.name = s[-1].name;
		a.fn = qcow2_snapshot_delete;
		qt_run(named_fn, &a);
		return;
	}
	if (c->nsnaps == ARRAY_LEN(c->snaps))
		return;
	snprintf(s->name, sizeof(s->name), "s%u", c->nsnaps);
	a.name = s->name;
	a.fn = qcow2_snapshot_create;
	qt_run(named_fn, &a);
	s->from = ++c->clock;
	s->sectors = c->size / SECTOR;
	s->tags = malloc(s->sectors * sizeof(*s->tags));
	memcpy(s->tags, c->now, s->sectors * sizeof(*s->tags));
	c->nsnaps++;
}

static void step_resize(struct crash *c)
{
	struct named a = { .n = c->n, .size = c->size + 24 * SECTOR };

	qt_run(named_fn, &a);
	c->now = reallocarray(c->now, a.size / SECTOR, sizeof(*c->now));
	memset(c->now + c->size / SECTOR, 0, 24 * sizeof(*c->now));
	c->size = a.size;
}

/* --- before and after --- */

static struct node *with_data(struct crash *c, struct node *n,
	struct node *data)
{
	if (c->backing) {
		memnode_hold(c->backing);
		qcow2_set_backing(n, c->backing);
	}
	if (data)
		qcow2_set_data(n, data);
	return n;
}

struct opening {
	struct crash *c;
	struct node *file, *data, *n;
	bool readonly;
	struct err e;
};

static int opening_fn(void *arg)
{
	struct opening *o = arg;
	struct qcow2_opts q = { .readonly = o->readonly };
	int r = qcow2_open(o->file, &q, &o->n, &o->e);

	if (!r)
		r = qcow2_activate(with_data(o->c, o->n, o->data), &o->e);
	return r;
}

static void begin(struct crash *c, const struct crash_case *k, unsigned seed)
{
	struct opening o = { .c = c };
	struct err e = ERR_NONE;
	int r;

	memset(c, 0, sizeof(*c));
	c->k = k;
	c->seed = seed;
	c->size = k->o.size;
	c->now = calloc(c->size / SECTOR, sizeof(*c->now));
	c->mem = qt_mem();
	if (k->o.data_file)
		c->data_mem = qt_mem();
	if (k->backing_bytes) {
		uint8_t s[SECTOR];

		c->backing = qt_mem();
		for (uint64_t i = 0; i < k->backing_bytes / SECTOR; i++) {
			put_sector(s, 9999, i);
			qt_io(c->backing, BLK_WRITE, 0, i * SECTOR, s, SECTOR);
			c->now[i] = 9999;
		}
		memnode_save(c->backing, rig_path("b")); /* for qemu-img */
	}
	r = qt_create(c->mem, c->data_mem, &k->o, &e);
	ck_assert_msg(!r, "%s", e.msg);
	c->log = crashnode_new(c->mem, &c->clock);
	crashnode_begin(c->log);
	if (c->data_mem) {
		c->data_log = crashnode_new(c->data_mem, &c->clock);
		crashnode_begin(c->data_log);
	}
	o.file = c->log;
	o.data = c->data_log;
	r = qt_run(opening_fn, &o);
	ck_assert_msg(!r, "%s", o.e.msg);
	c->n = o.n;
	memnode_set_async(c->mem, true);
	if (c->data_mem)
		memnode_set_async(c->data_mem, true);
}

static void run(struct crash *c)
{
	for (unsigned i = 0; i < c->k->steps; i++) {
		unsigned what = rnd(c) % 12;

		if (what < 8)
			step_requests(c);
		else if (what == 8 && c->k->snapshots)
			step_snapshot(c);
		else if (what == 9 && c->k->resize)
			step_resize(c);
		else
			step_flush(c);
	}
	qt_close(c->n);
}

/* --- looking at what a crash left --- */

static uint64_t first_tag(const struct crash *c, uint64_t sector)
{
	return sector < c->k->backing_bytes / SECTOR ? 9999 : 0;
}

static bool is_flushed(const struct crash *c, const struct gop *g, uint64_t t)
{
	if (!g->done || g->done > t)
		return false;
	for (const struct gop *f = g + 1; f < c->ops + c->nops; f++)
		if (f->op == BLK_FLUSH && f->begun > g->done && f->done <= t)
			return true;
	return false;
}

/* What a sector may hold after a crash at t; returns how many. */
static int may_hold(const struct crash *c, uint64_t sector, uint64_t t,
	uint64_t *tags)
{
	int n = 1;

	tags[0] = first_tag(c, sector);
	for (unsigned i = 0; i < c->nops; i++) {
		const struct gop *g = &c->ops[i];

		if (g->begun > t || g->op == BLK_FLUSH ||
			sector * SECTOR < g->off ||
			sector * SECTOR >= g->off + g->len)
			continue;
		/* a discard may keep what it likes */
		if (g->op != BLK_DISCARD && is_flushed(c, g, t))
			n = 0;
		ck_assert_int_lt(n, KEPT);
		tags[n++] = g->op == BLK_WRITE ? g->tag : 0;
	}
	return n;
}

static void check_sector(struct crash *c, const uint8_t *p, uint64_t sector,
	uint64_t t, enum crash_rest rest)
{
	uint64_t tags[KEPT], tag = get_sector(p, sector);
	int n = may_hold(c, sector, t, tags);

	for (int i = 0; i < n; i++)
		if (tags[i] == tag)
			return;
	/* a sector of unflushed data may be torn by none of ours: each
	 * sector is whole in each write */
	ck_abort_msg("crash at %llu (%d): sector %llu holds %lld, not %llu",
		(unsigned long long)t, (int)rest, (unsigned long long)sector,
		(long long)tag, (unsigned long long)tags[n - 1]);
}

static void check_data(struct crash *c, struct node *n, uint64_t t,
	enum crash_rest rest)
{
	uint64_t size = node_size(n);
	uint8_t *buf = malloc(size);
	int r = qt_io(n, BLK_READ, 0, 0, buf, size);

	ck_assert_msg(!r, "crash at %llu: cannot read", (unsigned long long)t);
	for (uint64_t s = 0; s < size / SECTOR; s++)
		check_sector(c, buf + s * SECTOR, s, t, rest);
	free(buf);
}

struct checking {
	struct node *n;
	struct qcow2_check found;
	char first[200];
};

static void keep_first(void *arg, const char *line)
{
	struct checking *k = arg;

	if (!*k->first)
		snprintf(k->first, sizeof(k->first), "%s", line);
}

static int checking_fn(void *arg)
{
	struct checking *k = arg;
	const struct qcow2_check_fns fns = { NULL, keep_first, k };
	struct err e = ERR_NONE;
	int r = qcow2_check(k->n, QCOW2_REPAIR_NONE, &fns, &k->found, &e);

	ck_assert_msg(!r, "%s", e.msg);
	return 0;
}

static void check_tables(struct node *n, uint64_t t, enum crash_rest rest)
{
	struct checking k = { .n = n };

	qt_run(checking_fn, &k);
	ck_assert_msg(!k.found.corruptions && !k.found.errors,
		"crash at %llu (%d): %llu corruptions: %s",
		(unsigned long long)t, (int)rest,
		(unsigned long long)k.found.corruptions, k.first);
}

static int load_fn(void *arg)
{
	struct named *a = arg;
	struct err e = ERR_NONE;
	int r = qcow2_snapshot_load(a->n, a->name, &e);

	ck_assert_msg(!r, "%s", e.msg);
	return 0;
}

static struct node *open_after(struct crash *c, struct node *file,
	struct node *data, bool readonly, uint64_t t, enum crash_rest rest)
{
	struct opening o = {
		.c = c,
		.file = file,
		.data = data,
		.readonly = readonly,
	};
	int r = qt_run(opening_fn, &o);

	ck_assert_msg(!r, "crash at %llu (%d): does not open: %s",
		(unsigned long long)t, (int)rest, o.e.msg);
	return o.n;
}

static void check_snapshots(struct crash *c, struct node *file,
	struct node *data, uint64_t t, enum crash_rest rest)
{
	uint8_t *buf;

	for (unsigned i = 0; i < c->nsnaps; i++) {
		struct gsnap *s = &c->snaps[i];
		struct named a = { .name = s->name };

		if (t < s->from || (s->to && t >= s->to))
			continue;
		a.n = open_after(c, file, data, true, t, rest);
		qt_run(load_fn, &a);
		buf = malloc(s->sectors * SECTOR);
		ck_assert_int_eq(qt_io(a.n, BLK_READ, 0, 0, buf,
					 s->sectors * SECTOR),
			0);
		for (uint64_t k = 0; k < s->sectors; k++)
			ck_assert_msg(get_sector(buf + k * SECTOR, k) ==
					      s->tags[k],
				"crash at %llu (%d): snapshot %s differs at "
				"sector %llu",
				(unsigned long long)t, (int)rest, s->name,
				(unsigned long long)k);
		free(buf);
		qt_close(a.n);
	}
}

/* A node with what the crash left. */
static struct node *left_by(struct node *log, uint64_t t, enum crash_rest rest,
	unsigned seed)
{
	uint64_t size;
	uint8_t *bytes;
	struct node *n;

	if (!log)
		return NULL;
	bytes = crashnode_at(log, t, rest, seed, &size);
	n = memnode_new_from(qt_ctx, "crashed", bytes, size);
	memnode_hold(n);
	free(bytes);
	return n;
}

static void ask_qemu(struct node *file, uint64_t t)
{
	int r;

	memnode_save(file, rig_path("crashed.qcow2"));
	r = qt_sh("qemu-img check -q -f qcow2 crashed.qcow2 >said 2>&1");
	ck_assert_msg(r == 0 || r == 3, "crash at %llu: qemu-img check: %d",
		(unsigned long long)t, r);
}

static void look(struct crash *c, uint64_t t, enum crash_rest rest)
{
	unsigned seed = (unsigned)t * 7919u + (unsigned)rest;
	struct node *file = left_by(c->log, t, rest, seed);
	struct node *data = left_by(c->data_log, t, rest, seed + 1);
	struct node *n = open_after(c, file, data, false, t, rest);

	check_tables(n, t, rest);
	check_data(c, n, t, rest);
	qt_close(n);
	if (c->nsnaps)
		check_snapshots(c, file, data, t, rest);
	if (c->looked++ % 64 == 0 && !c->data_log)
		ask_qemu(file, t);
	memnode_free(file);
	if (data)
		memnode_free(data);
}

static void course(const struct crash_case *k, unsigned seed)
{
	struct crash c;

	begin(&c, k, seed);
	run(&c);
	for (uint64_t t = 0; t <= c.clock; t++) {
		look(&c, t, CRASH_NONE);
		look(&c, t, CRASH_ALL);
		look(&c, t, t & 1 ? CRASH_SOME : CRASH_SECTORS);
	}
	ck_assert_uint_gt(c.looked, 100);
	crashnode_free(c.log);
	if (c.data_log)
		crashnode_free(c.data_log);
	for (unsigned i = 0; i < c.nsnaps; i++)
		free(c.snaps[i].tags);
	free(c.now);
}

static void courses(const struct crash_case *k)
{
	const char *given = getenv("GUESTDECK_SEED");
	unsigned seed = given ? (unsigned)atoi(given) : 1;
	unsigned n = getenv("GUESTDECK_LONG") ? 20 : 1;

	for (unsigned i = 0; i < n; i++)
		course(k, seed + i);
}

#define K512 .cluster_size = 512, .size = 64 * KiB
#define ON_B .backing_file = "b", .backing_format = "raw"

/* The courses of a case, which is said in the fields of struct crash_case. */
#define CRASH_TEST(name, ...)                                                  \
	START_TEST (name) {                                                    \
		const struct crash_case k = { __VA_ARGS__ };                   \
                                                                               \
		courses(&k);                                                   \
	}                                                                      \
	END_TEST

CRASH_TEST(a_crash_leaves_a_plain_image_whole, .o = { K512 }, .steps = 60)

CRASH_TEST(a_crash_leaves_larger_clusters_whole,
	.o = { .cluster_size = 4096, .size = 256 * KiB }, .steps = 60)

CRASH_TEST(a_crash_leaves_usual_clusters_whole,
	.o = { .cluster_size = 64 * KiB, .size = 1 * MiB }, .steps = 60)

CRASH_TEST(a_crash_leaves_a_version_2_image_whole,
	.o = { K512, ON_B, .version = 2 }, .backing_bytes = 40 * KiB,
	.steps = 50)

CRASH_TEST(a_crash_leaves_an_overlay_whole,
	.o = { ON_B, .cluster_size = 2048, .size = 128 * KiB },
	.backing_bytes = 100 * KiB, .steps = 60)

CRASH_TEST(a_crash_leaves_lazy_refcounts_to_be_mended,
	.o = { K512, .lazy_refcounts = true }, .steps = 50)

CRASH_TEST(a_crash_leaves_wide_refcounts_whole,
	.o = { K512, .refcount_bits = 64 }, .steps = 60)

CRASH_TEST(a_crash_leaves_subclusters_whole,
	.o = { ON_B, .cluster_size = 16384, .size = 256 * KiB,
		.extended_l2 = true },
	.backing_bytes = 200 * KiB, .steps = 60)

CRASH_TEST(a_crash_leaves_a_data_file_right, .o = { K512, .data_file = "d" },
	.steps = 50)

CRASH_TEST(a_crash_leaves_snapshots_whole,
	.o = { .cluster_size = 512, .size = 48 * KiB }, .snapshots = true,
	.steps = 60)

CRASH_TEST(a_crash_while_it_grows_leaves_it_whole,
	.o = { .cluster_size = 512, .size = 32 * KiB }, .resize = true,
	.steps = 60)

QT_SUITE("qcow2 crash", a_crash_leaves_a_plain_image_whole,
	a_crash_leaves_larger_clusters_whole,
	a_crash_leaves_usual_clusters_whole,
	a_crash_leaves_a_version_2_image_whole, a_crash_leaves_an_overlay_whole,
	a_crash_leaves_lazy_refcounts_to_be_mended,
	a_crash_leaves_wide_refcounts_whole, a_crash_leaves_subclusters_whole,
	a_crash_leaves_a_data_file_right, a_crash_leaves_snapshots_whole,
	a_crash_while_it_grows_leaves_it_whole)
