/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check, resize and snapshots: work on one image that is the format's. */
#include <errno.h>

#include "vm/base/sizes.h"

#include "storage/blk/chain.h"
#include "storage/core/sync.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

struct check {
	struct tool *t;
	struct node *n;
	enum qcow2_repair how;
	void (*tell)(void *arg, const char *line);
	void *tell_arg;
	struct qcow2_check found;
	struct err *e;
};

static bool check_progress(void *arg, uint64_t done, uint64_t total)
{
	struct check *c = arg;

	c->t->done = done;
	c->t->total = total;
	return c->t->stop;
}

static void check_tell(void *arg, const char *line)
{
	struct check *c = arg;

	if (c->tell)
		c->tell(c->tell_arg, line);
}

static int check_fiber(void *arg)
{
	struct check *c = arg;
	const struct qcow2_check_fns fns = { check_progress, check_tell, c };

	return qcow2_check(c->n, c->how, &fns, &c->found, c->e);
}

int img_check(const struct img_ref *r, enum img_repair how,
	void (*tell)(void *arg, const char *line), void *tell_arg,
	struct img_job *j, struct img_check *out, struct err *e)
{
	static const enum qcow2_repair hows[] = {
		[IMG_REPAIR_NONE] = QCOW2_REPAIR_NONE,
		[IMG_REPAIR_LEAKS] = QCOW2_REPAIR_LEAKS,
		[IMG_REPAIR_ALL] = QCOW2_REPAIR_ALL,
	};
	struct check c = {
		.how = hows[how],
		.tell = tell,
		.tell_arg = tell_arg,
		.e = e,
	};
	struct blk *b = NULL;
	struct tool t;
	int err = tool_init(&t, j, e);

	if (err)
		return err;
	c.t = &t;
	err = tool_open(&t, r, TOOL_ALONE | TOOL_CHECK | (how ? TOOL_WRITE : 0),
		&b, e);
	if (!err) {
		c.n = tool_qcow2(b, r->path, "has nothing to check", e);
		err = c.n ? tool_run(&t, check_fiber, &c) : -ENOTSUP;
	}
	if (err == -ECANCELED)
		err_set(e, ECANCELED, "%s: the check was stopped", r->path);
	err = tool_close(&b, r->path, err, e);
	tool_fini(&t);
	*out = (struct img_check){
		.corruptions = c.found.corruptions,
		.leaks = c.found.leaks,
		.errors = c.found.errors,
		.corruptions_fixed = c.found.corruptions_fixed,
		.leaks_fixed = c.found.leaks_fixed,
		.allocated = c.found.allocated,
		.compressed = c.found.compressed,
		.fragmented = c.found.fragmented,
		.total = c.found.total,
		.image_end = c.found.image_end,
	};
	return err;
}

/* resize */

struct resize {
	struct tool *t;
	struct node *n;
	uint64_t from, to; /* bytes */
	enum img_prealloc how;
	struct err *e;
};

static int resize_node(struct resize *z, uint64_t size, enum img_prealloc how)
{
	static const enum qcow2_prealloc qhow[] = {
		[IMG_PREALLOC_OFF] = QCOW2_PREALLOC_OFF,
		[IMG_PREALLOC_METADATA] = QCOW2_PREALLOC_METADATA,
		[IMG_PREALLOC_FALLOC] = QCOW2_PREALLOC_FALLOC,
		[IMG_PREALLOC_FULL] = QCOW2_PREALLOC_METADATA,
	};

	if (z->n->ops == &qcow2_ops)
		return qcow2_resize(z->n, size, qhow[how], z->e);
	return node_resize(z->n, size,
		how == IMG_PREALLOC_FALLOC ? NODE_PREALLOC_FALLOC
					   : NODE_PREALLOC_OFF,
		z->e);
}

static int resize_fiber(void *arg)
{
	struct resize *z = arg;

	return resize_node(z, z->to, z->how);
}

/* What was added is given up again; the first error is the one to tell. */
static int resize_back_fiber(void *arg)
{
	struct resize *z = arg;
	struct err *e = z->e;
	int r;

	z->e = NULL;
	r = resize_node(z, z->from, IMG_PREALLOC_OFF);
	z->e = e;
	return r;
}

static int resize_run(struct resize *z, const char *path)
{
	struct fill f = { z->t, z->n, z->from, z->to };
	int r = tool_run(z->t, resize_fiber, z);
	bool full = z->how == IMG_PREALLOC_FULL && z->to > z->from;

	if (r == -ECANCELED)
		return err_set(z->e, ECANCELED, "%s: stopped", path);
	if (r || !full)
		return r;
	r = tool_fill(&f);
	if (!r)
		return 0;
	err_sys(z->e, -r, "%s: cannot fill what was added", path);
	if (r == -ECANCELED)
		err_set(z->e, ECANCELED,
			"%s: stopped: it has the size that it had", path);
	z->t->stop = false;
	z->t->job = NULL; /* this part is not to be stopped */
	if (tool_run(z->t, resize_back_fiber, z))
		err_set(z->e, -r, "%s: stopped, %llu bytes large", path,
			(unsigned long long)z->to);
	return r;
}

static int resize_target(const struct img_resize *o, uint64_t now, uint64_t *to,
	struct err *e)
{
	const char *path = o->ref.path;

	*to = o->size;
	if (o->sign > 0 && (!size_add(now, o->size, to) || *to > INT64_MAX))
		return err_set(e, ERANGE, "%s: too large a size", path);
	if (o->sign < 0 && o->size > now)
		return err_set(e, EINVAL, "%s: has no more than %llu bytes",
			path, (unsigned long long)now);
	if (o->sign < 0)
		*to = now - o->size;
	*to = size_up(*to, 512);
	if (*to < now && !o->shrink)
		return err_set(e, EINVAL,
			"%s: %llu bytes are less than it has (%llu): what is "
			"behind them would be lost: shrink the file systems "
			"in it first, then give --shrink",
			path, (unsigned long long)*to, (unsigned long long)now);
	return 0;
}

static int resize_check(const struct resize *z, const char *path)
{
	if (z->how == IMG_PREALLOC_METADATA && z->n->ops != &qcow2_ops)
		return err_set(z->e, EINVAL,
			"%s: has no metadata to preallocate: off, falloc or "
			"full",
			path);
	return 0;
}

int img_resize(const struct img_resize *o, struct img_job *j, uint64_t *size,
	struct err *e)
{
	struct resize z = { .how = o->prealloc, .e = e };
	struct blk *b = NULL;
	struct tool t;
	int r = tool_init(&t, j, e);

	if (r)
		return r;
	z.t = &t;
	r = tool_open(&t, &o->ref, TOOL_WRITE, &b, e);
	if (!r) {
		z.from = tool_size(b);
		r = resize_target(o, z.from, &z.to, e);
	}
	if (!r) {
		z.n = blk_node(b);
		r = resize_check(&z, o->ref.path);
	}
	if (!r)
		r = resize_run(&z, o->ref.path);
	if (!r)
		*size = z.to;
	r = tool_close(&b, o->ref.path, r, e);
	tool_fini(&t);
	return r;
}

/* snapshots */

typedef int (*snapshot_fn)(struct node *n, const char *name, struct err *e);

struct snapshot {
	struct node *n;
	const char *name;
	snapshot_fn fn;
	struct err *e;
};

static int snapshot_fiber(void *arg)
{
	struct snapshot *s = arg;

	return s->fn(s->n, s->name, s->e);
}

static int snapshot_do(const struct img_ref *ref, const char *name,
	snapshot_fn fn, struct err *e)
{
	struct snapshot s = { .name = name, .fn = fn, .e = e };
	struct blk *b = NULL;
	struct tool t;
	int r = tool_init(&t, NULL, e);

	if (r)
		return r;
	r = tool_open(&t, ref, TOOL_WRITE | TOOL_ALONE, &b, e);
	if (!r) {
		s.n = tool_qcow2(b, ref->path,
			"has no snapshots: convert it to qcow2 first", e);
		r = s.n ? tool_run(&t, snapshot_fiber, &s) : -ENOTSUP;
	}
	r = tool_close(&b, ref->path, r, e);
	tool_fini(&t);
	return r;
}

int img_snapshot_create(const struct img_ref *r, const char *name,
	struct err *e)
{
	return snapshot_do(r, name, qcow2_snapshot_create, e);
}

int img_snapshot_revert(const struct img_ref *r, const char *name,
	struct err *e)
{
	return snapshot_do(r, name, qcow2_snapshot_revert, e);
}

int img_snapshot_delete(const struct img_ref *r, const char *name,
	struct err *e)
{
	return snapshot_do(r, name, qcow2_snapshot_delete, e);
}
