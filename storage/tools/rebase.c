/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rebase: another backing file for an image, which goes on to read the same;
 * commit: what an image has goes down into what backs it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/blk/chain.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

#define REBASE_CHUNK    (1 * MiB)
#define REBASE_PARALLEL 4
#define REST_STEP       (UINT64_C(256) << 20)

struct rename {
	struct node *n;
	const char *file, *format;
	struct err *e;
};

static int rename_fiber(void *arg)
{
	struct rename *r = arg;

	return qcow2_set_backing_name(r->n, r->file, r->format, r->e);
}

static int rebase_header(struct tool *t, struct node *n, const char *backing,
	enum blk_format format, struct err *e)
{
	struct rename r = { .n = n, .e = e };

	if (*backing) {
		r.file = backing;
		r.format = img_format_name(format);
	}
	return tool_run(t, rename_fiber, &r);
}

/* Copying, for both. */

struct merge {
	struct copy c;
	struct blk *flush;
};

static int merge_fiber(void *arg)
{
	struct merge *m = arg;
	int r = copy_run(&m->c);

	return r ? r : tool_rw(m->flush, BLK_FLUSH, 0, 0, 0, NULL);
}

static int merge_run(struct merge *m, const char *path, struct err *e)
{
	struct blk_info info;
	int r;

	blk_info(m->c.dst, &info);
	m->flush = m->c.dst;
	m->c.piece = info.cluster_size ? info.cluster_size : 4096;
	m->c.chunk = m->c.piece > REBASE_CHUNK ? m->c.piece : REBASE_CHUNK;
	m->c.parallel = REBASE_PARALLEL;
	m->c.t->total = m->c.size;
	m->c.t->done = 0;
	r = tool_run(m->c.t, merge_fiber, m);
	if (r == -ECANCELED)
		return err_set(e, ECANCELED, "%s: stopped: it reads as before",
			path);
	if (r && m->c.read_failed)
		return err_sys(e, -r, "%s: cannot read what it needs", path);
	if (r)
		return err_sys(e, -r, "%s: cannot copy into it", path);
	return 0;
}

/*
 * Write into top what it would lose: where it has nothing itself and the old
 * backing chain and the new one differ.
 */
static int rebase_keep(struct tool *t, struct blk *top, const char *path,
	struct blk *old, struct blk *new, struct err *e)
{
	struct merge m = { .c = {
				   .t = t,
				   .src = old,
				   .dst = top,
				   .base = new,
				   .mask = top,
				   .size = tool_size(top),
			   } };

	/* where the old one ends the image reads zeros; the new one may not */
	return merge_run(&m, path, e);
}

struct rebase {
	struct blk *top, *old, *new;
	char old_path[PATH_MAX], new_path[PATH_MAX];
	enum blk_format new_format;
};

static int rebase_open_old(struct tool *t, struct rebase *b,
	const struct img_ref *ref, struct err *e)
{
	const char *format;
	const char *name = qcow2_backing_file(blk_node(b->top), &format);
	struct img_ref old = { .path = b->old_path, .format = BLK_AUTO };
	int r;

	if (!name)
		return 0;
	r = tool_beside(ref->path, name, b->old_path, sizeof(b->old_path), e);
	if (!r && format)
		r = img_format_parse(format, &old.format, e);
	if (!r)
		r = tool_open(t, &old, 0, &b->old, e);
	if (r)
		err_prefix(e,
			"%s: its present backing file (-u goes without it)",
			ref->path);
	return r;
}

/*
 * The new one, by its path. With the name only (unsafe) it need not be there,
 * but must not be the image itself.
 */
static int rebase_find_new(struct rebase *b, const struct img_ref *ref,
	const char *backing, const char *format, bool unsafe, struct err *e)
{
	int r = tool_beside(ref->path, backing, b->new_path,
		sizeof(b->new_path), e);

	if (r)
		return r;
	if (tool_same_file(ref->path, b->new_path))
		return err_set(e, ELOOP, "%s: cannot be backed by itself",
			ref->path);
	if (format && *format)
		return img_format_parse(format, &b->new_format, e);
	if (unsafe)
		return err_set(e, EINVAL,
			"%s: with -u name the format of %s with -F (raw, qcow2 "
			"...)",
			ref->path, backing);
	b->new_format = BLK_AUTO;
	return 0;
}

/* A format that is found out is trusted as far as blk_open() does, which
 * refuses one that names other files, and no further. */
static int rebase_open_new(struct tool *t, struct rebase *b, struct err *e)
{
	const struct img_ref new = {
		.path = b->new_path,
		.format = b->new_format,
	};
	struct blk_info info;
	int r = tool_open(t, &new, 0, &b->new, e);

	if (r)
		return r;
	blk_info(b->new, &info);
	return img_format_parse(info.format, &b->new_format, e);
}

static int rebase_open(struct tool *t, struct rebase *b,
	const struct img_ref *ref, const char *backing, const char *format,
	bool unsafe, struct err *e)
{
	int r = tool_open(t, ref, TOOL_WRITE | TOOL_ALONE, &b->top, e);

	if (!r && !tool_qcow2(b->top, ref->path, "has no backing file", e))
		r = -ENOTSUP;
	if (!r && *backing)
		r = rebase_find_new(b, ref, backing, format, unsafe, e);
	if (r || unsafe)
		return r;
	qcow2_keep_zeroes(blk_node(b->top));
	r = rebase_open_old(t, b, ref, e);
	return r || !*backing ? r : rebase_open_new(t, b, e);
}

/* Nothing backs it now, or nothing shall: zeros stand for that. */
static int rebase_copy(struct tool *t, struct rebase *b, const char *path,
	struct err *e)
{
	struct merge m = { .c = {
				   .t = t,
				   .src = b->old,
				   .dst = b->top,
				   .mask = b->top,
				   .dst_zero = true,
			   } };

	if (b->old && b->new)
		return rebase_keep(t, b->top, path, b->old, b->new, e);
	if (!b->old && !b->new)
		return 0;
	if (b->old) {
		m.c.size = tool_min(tool_size(b->old), tool_size(b->top));
		return merge_run(&m, path, e);
	}
	/* zeros now, but the new one would show: the image itself, opened
	 * without a backing file, reads as zeros where it has nothing */
	return rebase_keep(t, b->top, path, b->top, b->new, e);
}

int img_rebase(const struct img_ref *r, const char *backing, const char *format,
	bool unsafe, struct img_job *j, struct err *e)
{
	struct rebase b = { 0 };
	struct tool t;
	int err = tool_init(&t, j, e);

	if (err)
		return err;
	err = rebase_open(&t, &b, r, backing, format, unsafe, e);
	if (!err && !unsafe)
		err = rebase_copy(&t, &b, r->path, e);
	if (!err)
		err = rebase_header(&t, blk_node(b.top), backing, b.new_format,
			e);
	err = tool_close(&b.old, b.old_path, err, e);
	err = tool_close(&b.new, b.new_path, err, e);
	err = tool_close(&b.top, r->path, err, e);
	tool_fini(&t);
	return err;
}

/* commit */

/* The layers from the top down to the base, by their paths. */
struct commit {
	struct img_info chain;
	unsigned base; /* index of it */
	struct blk *dst;
};

static int commit_find(struct commit *m, const struct img_ref *ref,
	const char *base, struct err *e)
{
	char *want, *have;
	int r = img_info(ref, true, &m->chain, e);

	if (r)
		return r;
	if (m->chain.nlayers < 2)
		return err_set(e, EINVAL,
			"%s: has no backing file to commit to", ref->path);
	/* what a guest may have written is no place to take a name from that
	 * is then written to */
	if (ref->format == BLK_AUTO)
		return err_set(e, EINVAL,
			"%s: names %s as its backing file, which is not "
			"written to on a guess: if it is yours say that its "
			"format is %s (-f)",
			ref->path, m->chain.layers[0].backing_file,
			m->chain.layers[0].format);
	m->base = 1;
	if (!base)
		return 0;
	want = realpath(base, NULL);
	for (unsigned i = 1; i < m->chain.nlayers; i++) {
		have = realpath(m->chain.layers[i].path, NULL);
		m->base = want && have && !strcmp(want, have) ? i : 0;
		free(have);
		if (m->base)
			break;
	}
	free(want);
	if (!m->base)
		return err_set(e, EINVAL, "%s: does not back %s", base,
			ref->path);
	return 0;
}

/* A format that no layer records is found out anew at each opening, for what
 * is found out is not trusted with other files. */
static int commit_ref(const struct commit *m, unsigned i, struct img_ref *ref,
	struct err *e)
{
	const char *format = m->chain.layers[i].format;

	if (i)
		format = m->chain.layers[i - 1].backing_format;
	*ref = (struct img_ref){
		.path = m->chain.layers[i].path,
		.format = BLK_AUTO,
	};
	return format ? img_format_parse(format, &ref->format, e) : 0;
}

struct empty {
	struct node *n;
	struct err *e;
};

static int empty_fiber(void *arg)
{
	struct empty *m = arg;

	return qcow2_make_empty(m->n, m->e);
}

/* A layer that is shorter than the top reads as zeros from its end on, and
 * hides what the base has there. */
struct rest {
	struct tool *t;
	struct blk *dst;
	uint64_t at, end;
};

static int rest_fiber(void *arg)
{
	struct rest *z = arg;
	uint64_t n;
	int r = 0;

	for (; !r && z->at < z->end; z->at += n) {
		n = tool_min(z->end - z->at, REST_STEP);
		r = z->t->stop ? -ECANCELED
			       : tool_rw(z->dst, BLK_WRITE_ZEROES, BLK_UNMAP,
					 z->at, n, NULL);
	}
	/* the image may be emptied next: this must be on disk before */
	return r ? r : tool_rw(z->dst, BLK_FLUSH, 0, 0, 0, NULL);
}

static int commit_rest(struct tool *t, struct commit *m, uint64_t from,
	struct err *e)
{
	const char *path = m->chain.layers[m->base].path;
	struct rest z = {
		.t = t,
		.dst = m->dst,
		.at = from,
		.end = tool_min(tool_size(m->dst), m->chain.layers[0].size),
	};
	int r = tool_run(t, rest_fiber, &z);

	return r ? err_sys(e, -r, "%s: cannot write to it", path) : 0;
}

/* What layer i has itself goes to the base. */
static int commit_layer(struct tool *t, struct commit *m, unsigned i,
	bool empty, struct err *e)
{
	struct merge g = { .c = { .t = t, .src_flags = BLK_TOP } };
	struct empty em = { .e = e };
	struct img_ref ref;
	struct blk *b = NULL;
	int r = commit_ref(m, i, &ref, e);

	if (!r)
		r = tool_open(t, &ref, TOOL_ALONE | (empty ? TOOL_WRITE : 0),
			&b, e);
	if (!r && tool_size(b) > tool_size(m->dst))
		r = blk_resize(m->dst, tool_size(b), e);
	if (!r) {
		g.c.src = b;
		g.c.dst = m->dst;
		g.c.size = tool_size(b);
		r = merge_run(&g, m->chain.layers[m->base].path, e);
	}
	if (!r && tool_size(b) < m->chain.layers[0].size)
		r = commit_rest(t, m, tool_size(b), e);
	if (!r && empty) {
		em.n = blk_node(b);
		r = tool_run(t, empty_fiber, &em);
	}
	if (r == -ECANCELED)
		err_set(e, ECANCELED,
			"%s: stopped: it reads as before, %s has some of it",
			m->chain.layers[0].path, m->chain.layers[m->base].path);
	return tool_close(&b, ref.path, r, e);
}

int img_commit(const struct img_ref *r, const char *base, bool keep,
	struct img_job *j, struct err *e)
{
	struct commit m = { 0 };
	struct img_ref ref;
	struct tool t;
	int err = commit_find(&m, r, base, e);

	if (!err)
		err = tool_init(&t, j, e);
	if (err) {
		img_info_free(&m.chain);
		return err;
	}
	err = commit_ref(&m, m.base, &ref, e);
	if (!err)
		err = tool_open(&t, &ref, TOOL_WRITE, &m.dst, e);
	/* emptied above layers that keep what they have it would show that */
	for (unsigned i = m.base; !err && i-- > 0;)
		err = commit_layer(&t, &m, i, !keep && m.base == 1, e);
	err = tool_close(&m.dst, m.chain.layers[m.base].path, err, e);
	tool_fini(&t);
	img_info_free(&m.chain);
	return err;
}
