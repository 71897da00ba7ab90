/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See inner.h. */
#include "tests/unit/storage/qcow2/inner.h"

#include <stdlib.h>

static int open_fn(void *arg)
{
	struct inner *in = arg;
	struct qcow2_opts o = { 0 };
	struct err e = ERR_NONE;
	int r = qcow2_open(in->file, &o, &in->n, &e);

	ck_assert_msg(!r, "%s", e.msg);
	if (in->data)
		qcow2_set_data(in->n, in->data);
	if (in->backing)
		qcow2_set_backing(in->n, in->backing);
	r = qcow2_activate(in->n, &e);
	ck_assert_msg(!r, "%s", e.msg);
	in->q = qcow2_of(in->n);
	return 0;
}

void inner_open(struct inner *in)
{
	memnode_hold(in->file);
	if (in->data)
		memnode_hold(in->data);
	if (in->backing)
		memnode_hold(in->backing);
	qt_run(open_fn, in);
}

void inner_begin(struct inner *in, const struct qcow2_create *o,
	struct node *data, struct node *backing)
{
	struct err e = ERR_NONE;
	int r;

	*in = (struct inner){ .file = qt_mem(),
		.data = data,
		.backing = backing };
	r = qt_create(in->file, data, o, &e);
	ck_assert_msg(!r, "%s", e.msg);
	inner_open(in);
}

struct node *inner_backing(const struct qcow2_create *from,
	struct qcow2_create *o, uint64_t len)
{
	struct node *n = qt_mem();
	uint8_t *buf = malloc(len);

	ck_assert_ptr_nonnull(buf);
	qt_fill(buf, len, 77);
	ck_assert_int_eq(qt_io(n, BLK_WRITE, 0, 0, buf, len), 0);
	free(buf);
	*o = *from;
	o->backing_file = "backing.raw";
	o->backing_format = "raw";
	return n;
}

void inner_end(struct inner *in)
{
	ck_assert_int_eq(qt_close(in->n), 0);
	if (in->data)
		memnode_save(in->data, rig_path("data.raw"));
	if (in->backing)
		memnode_save(in->backing, rig_path("backing.raw"));
	qt_check(in->file);
}

void inner_reopen(struct inner *in)
{
	(void)qt_close(in->n);
	inner_open(in);
}

struct inner_call {
	struct qcow2 *q;
	int (*fn)(struct qcow2 *q, void *arg);
	void *arg;
};

static int call_fn(void *arg)
{
	struct inner_call *c = arg;
	int r;

	fiber_lock_take(&c->q->meta);
	r = qcow2_begin_writing(c->q);
	if (!r)
		r = c->fn(c->q, c->arg);
	fiber_lock_drop(&c->q->meta);
	return r;
}

int inner_call(struct inner *in, int (*fn)(struct qcow2 *q, void *arg),
	void *arg)
{
	struct inner_call c = { in->q, fn, arg };

	return qt_run(call_fn, &c);
}

static int commit_fn(struct qcow2 *q, void *arg)
{
	(void)arg;
	return qcommit(q);
}

int inner_commit(struct inner *in)
{
	return inner_call(in, commit_fn, NULL);
}

struct count_arg {
	uint64_t cluster, n, count;
	int64_t delta;
};

static int count_fn(struct qcow2 *q, void *arg)
{
	struct count_arg *a = arg;

	return qref_get(q, a->cluster, &a->count);
}

uint64_t inner_count(struct inner *in, uint64_t cluster)
{
	struct count_arg a = { .cluster = cluster };

	ck_assert_int_eq(inner_call(in, count_fn, &a), 0);
	return a.count;
}

static int add_fn(struct qcow2 *q, void *arg)
{
	struct count_arg *a = arg;

	return qref_add(q, a->cluster, a->n, a->delta);
}

int inner_add(struct inner *in, uint64_t cluster, uint64_t n, int64_t delta)
{
	struct count_arg a = { .cluster = cluster, .n = n, .delta = delta };

	return inner_call(in, add_fn, &a);
}

struct map_arg {
	uint64_t offset;
	struct qmap m;
};

static int map_fn(struct qcow2 *q, void *arg)
{
	struct map_arg *a = arg;

	return qmap_get(q, a->offset, q->h.size - a->offset, &a->m);
}

struct qmap inner_map(struct inner *in, uint64_t offset)
{
	struct map_arg a = { .offset = offset };

	ck_assert_int_eq(inner_call(in, map_fn, &a), 0);
	return a.m;
}

int inner_write(struct inner *in, uint64_t off, uint64_t len, unsigned seed)
{
	void *buf = malloc(len);
	int r;

	ck_assert_ptr_nonnull(buf);
	qt_fill(buf, len, seed);
	r = qt_io(in->n, BLK_WRITE, 0, off, buf, len);
	free(buf);
	return r;
}

bool inner_is(struct inner *in, uint64_t off, uint64_t len, unsigned seed)
{
	void *buf = malloc(len);
	bool is;

	ck_assert_ptr_nonnull(buf);
	ck_assert_int_eq(qt_io(in->n, BLK_READ, 0, off, buf, len), 0);
	is = qt_is_filled(buf, len, seed);
	free(buf);
	return is;
}

bool inner_is_zero(struct inner *in, uint64_t off, uint64_t len)
{
	void *buf = malloc(len);
	bool is;

	ck_assert_ptr_nonnull(buf);
	ck_assert_int_eq(qt_io(in->n, BLK_READ, 0, off, buf, len), 0);
	is = qt_is_zero(buf, len);
	free(buf);
	return is;
}

static void req_done(struct blk_req *r, int err)
{
	struct inner_req *q = r->arg;

	ck_assert(!q->done);
	q->done = true;
	q->err = err;
}

void inner_submit(struct inner *in, struct inner_req *r, enum blk_op op,
	unsigned flags, uint64_t off, void *buf, uint64_t len)
{
	*r = (struct inner_req){ .iov = { buf, len } };
	r->r = (struct blk_req){ .op = op,
		.flags = flags,
		.offset = off,
		.len = len,
		.iov = &r->iov,
		.niov = 1,
		.done = req_done,
		.arg = r };
	list_init(&r->r.node);
	node_submit(in->n, &r->r);
}

int inner_wait(struct inner_req *r)
{
	while (!r->done)
		ctx_wait(qt_ctx);
	return r->err;
}
