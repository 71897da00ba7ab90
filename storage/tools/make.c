/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making the files of a new image, for create, clone and convert; and taking
 * them away again. A file that was there before is emptied, with the person's
 * consent, but never removed: it may be somebody's name for a place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/blk/chain.h"
#include "storage/core/sync.h"
#include "storage/proto/proto.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

#define FILL_BYTES (2 * MiB)

/* Targets. */

bool tool_same_file(const char *a, const char *b)
{
	struct stat x, y;

	if (nbd_is_uri(a) || nbd_is_uri(b))
		return !strcmp(a, b);
	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* -EEXIST with the mend when there is something at path that has a content
 * and force is not given. */
static int target_check(const char *path, bool force, struct err *e)
{
	struct stat st;

	if (force || stat(path, &st) || !S_ISREG(st.st_mode) || !st.st_size)
		return 0;
	return err_set(e, EEXIST,
		"%s: is there already: give --force to replace it, or another "
		"name",
		path);
}

static int target_create(struct target *t, const char *path, uint64_t size,
	enum node_prealloc how, struct err *e)
{
	struct stat st;
	bool was_there = nbd_is_uri(path) || !stat(path, &st);
	int r = proto_create(path, size, how, e);

	if (r)
		return r; /* what is there is as it was */
	if (realpath(path, t->path))
		t->state = was_there ? TARGET_EMPTIED : TARGET_MADE;
	return 0;
}

static void target_undo(struct target *t)
{
	struct stat st;

	if (t->state == TARGET_NONE || lstat(t->path, &st) ||
		!S_ISREG(st.st_mode))
		return;
	if (t->state == TARGET_MADE)
		unlink(t->path);
	else if (truncate(t->path, 0))
		return; /* it is half of an image then, as it was said */
	t->state = TARGET_NONE;
}

const char *make_fate(const struct make *m)
{
	switch (m->image.state) {
	case TARGET_MADE:
		return "is removed";
	case TARGET_EMPTIED:
		return "is empty now";
	case TARGET_NONE:
		break;
	}
	return "is not whole";
}

void img_unmake(struct make *m)
{
	target_undo(&m->data);
	target_undo(&m->image);
}

/* Checks, before anything is touched. */

/* What is made must be none of what is read. */
static int make_check_same(const char *path, const char *read, struct err *e)
{
	if (!read || !tool_same_file(path, read))
		return 0;
	return err_set(e, EINVAL,
		"%s: is what is to be read (%s): name another target", path,
		read);
}

static int make_check_file(const struct make *m, const char *path,
	struct err *e)
{
	char backing[PATH_MAX];
	int r = make_check_same(path, m->src, e);

	if (!r && *m->o->backing_file)
		r = tool_beside(m->path, m->o->backing_file, backing,
			sizeof(backing), e);
	if (!r && *m->o->backing_file)
		r = make_check_same(path, backing, e);
	return r ? r : target_check(path, m->force, e);
}

static int make_check_qcow2(struct make *m, struct err *e)
{
	int r;

	img_options_qcow2(m->o, &m->q);
	m->q.size = m->size;
	r = qcow2_create_check(&m->q, e);
	if (r)
		return err_prefix(e, "%s", m->path);
	if (!m->q.data_file)
		return 0;
	r = tool_beside(m->path, m->q.data_file, m->data_path,
		sizeof(m->data_path), e);
	if (!r && (!strcmp(m->path, m->data_path) ||
			  tool_same_file(m->path, m->data_path)))
		r = err_set(e, EINVAL,
			"%s: cannot be its own data file: name another",
			m->path);
	return r ? r : make_check_file(m, m->data_path, e);
}

/* Writing zeros out, for a full preallocation. */

static int fill_fiber(void *arg)
{
	struct fill *f = arg;
	uint8_t *zeros = aligned_alloc(4096, FILL_BYTES);
	int r = zeros ? 0 : -ENOMEM;

	if (zeros)
		memset(zeros, 0, FILL_BYTES);
	for (uint64_t n, at = f->from; !r && at < f->to; at += n) {
		n = tool_min(f->to - at, FILL_BYTES);
		r = f->t->stop ? -ECANCELED : node_write(f->n, at, zeros, n, 0);
		f->t->done += n;
	}
	if (!r)
		r = node_flush(f->n);
	free(zeros);
	return r;
}

int tool_fill(struct fill *f)
{
	f->t->total = f->to - f->from;
	f->t->done = 0;
	return f->to > f->from ? tool_run(f->t, fill_fiber, f) : 0;
}

static int make_full(struct tool *t, const struct make *m, struct err *e)
{
	const struct img_ref ref = {
		.path = m->path,
		.format = m->format,
		.tls_dir = m->tls_dir,
	};
	struct fill f = { .t = t, .to = m->size };
	struct blk *b = NULL;
	int r;

	r = tool_open(t, &ref, TOOL_WRITE | TOOL_ALONE, &b, e);
	if (r)
		return r;
	f.n = blk_node(b);
	r = tool_fill(&f);
	if (r)
		err_sys(e, -r, "%s: cannot fill it", m->path);
	return tool_close(&b, m->path, r, e);
}

/* The files of a qcow2 image, in a fiber. */

struct make_qcow2 {
	struct tool *t;
	struct make *m;
	struct err *e;
};

static int make_open(struct make_qcow2 *w, const char *path, struct node **out)
{
	const struct proto_open o = {
		.path = path,
		.ctx = w->t->ctx,
		.log = w->t->log,
		.tls_dir = w->m->tls_dir,
		.is_format = true,
	};

	return nbd_is_uri(path) ? nbd_node_open(&o, out, w->e)
				: file_node_open(&o, out, w->e);
}

static int make_fiber(void *arg)
{
	struct make_qcow2 *w = arg;
	struct make *m = w->m;
	struct node *file = NULL, *data = NULL;
	int r, r2;

	r = make_open(w, m->path, &file);
	if (!r && m->q.data_file)
		r = make_open(w, m->data_path, &data);
	if (!r)
		r = qcow2_create(file, data, &m->q, w->e);
	r2 = node_close(data);
	if (!r && r2)
		r = err_sys(w->e, -r2, "%s: cannot write it", m->data_path);
	r2 = node_close(file);
	if (!r && r2)
		r = err_sys(w->e, -r2, "%s: cannot write it", m->path);
	return r;
}

static int make_qcow2(struct tool *t, struct make *m, struct err *e)
{
	struct make_qcow2 w = { .t = t, .m = m, .e = e };
	bool full = m->o->prealloc == IMG_PREALLOC_FULL;
	int r;

	/* written over here, where it can be stopped; but not when a backing
	 * file shall show through */
	if (*m->o->backing_file)
		full = false;
	if (full)
		m->q.prealloc = QCOW2_PREALLOC_METADATA;
	r = target_create(&m->image, m->path, 0, NODE_PREALLOC_OFF, e);
	if (!r && m->q.data_file)
		r = target_create(&m->data, m->data_path, m->size,
			NODE_PREALLOC_OFF, e);
	if (!r)
		r = tool_run(t, make_fiber, &w);
	if (!r && full)
		r = make_full(t, m, e);
	return r;
}

static int make_raw(struct tool *t, struct make *m, struct err *e)
{
	bool falloc = m->o->prealloc == IMG_PREALLOC_FALLOC;
	int r = target_create(&m->image, m->path, m->size,
		falloc ? NODE_PREALLOC_FALLOC : NODE_PREALLOC_OFF, e);

	if (!r && m->o->prealloc == IMG_PREALLOC_FULL)
		r = make_full(t, m, e);
	return r;
}

int img_make(struct make *m, struct img_job *j, struct err *e)
{
	struct tool t;
	int r = 0;

	if (m->format == BLK_QCOW2)
		r = make_check_qcow2(m, e);
	if (!r)
		r = make_check_file(m, m->path, e);
	if (!r)
		r = tool_init(&t, j, e);
	if (r)
		return r;
	if (m->format == BLK_RAW)
		r = make_raw(&t, m, e);
	else
		r = make_qcow2(&t, m, e);
	if (!r && t.stop)
		r = -ECANCELED;
	if (r == -ECANCELED)
		err_set(e, ECANCELED, "stopped: %s %s", m->path, make_fate(m));
	else if (r && e && !e->code)
		err_sys(e, -r, "%s: cannot make it", m->path);
	if (r)
		img_unmake(m);
	tool_fini(&t);
	return r;
}
