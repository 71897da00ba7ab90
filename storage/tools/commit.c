/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commit: what an image has goes down into what backs it. */
#include <errno.h>

#include "storage/blk/chain.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

#define REST_STEP (UINT64_C(256) << 20)

/* The layers from the top down to the base, by their paths. */
struct commit {
	struct img_info chain;
	unsigned base; /* index of it */
	struct blk *dst;
	const char *tls_dir;
};

static int commit_find(struct commit *m, const struct img_ref *ref,
	const char *base, struct err *e)
{
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
	m->base = base ? 0 : 1;
	for (unsigned i = 1; !m->base && i < m->chain.nlayers; i++)
		if (tool_same_file(base, m->chain.layers[i].path))
			m->base = i;
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
	const struct img_layer *l = &m->chain.layers[i];

	*ref = (struct img_ref){ .path = l->path, .tls_dir = m->tls_dir };
	if (!i)
		return img_format_parse(l->format, &ref->format, e);
	return chain_format(l[-1].path, l[-1].backing_file,
		l[-1].backing_format, &ref->format, e);
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
			       : blk_rw(z->dst, BLK_WRITE_ZEROES, BLK_UNMAP,
					 z->at, n, NULL);
	}
	/* the image may be emptied next: this must be on disk before */
	return r ? r : blk_rw(z->dst, BLK_FLUSH, 0, 0, 0, NULL);
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
	struct copy c = { .t = t, .src_flags = BLK_TOP };
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
		c.src = b;
		c.dst = m->dst;
		c.size = tool_size(b);
		r = copy_into(&c, m->chain.layers[m->base].path, e);
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
	struct commit m = { .tls_dir = r->tls_dir };
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
