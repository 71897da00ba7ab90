/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rebase: another backing file for an image, which goes on to read the same. */
#include <errno.h>
#include <limits.h>

#include "storage/blk/chain.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

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

/*
 * Write into top what it would lose: where it has nothing itself and the old
 * backing chain and the new one differ.
 */
static int rebase_keep(struct tool *t, struct blk *top, const char *path,
	struct blk *old, struct blk *new, struct err *e)
{
	struct copy c = {
		.t = t,
		.src = old,
		.dst = top,
		.base = new,
		.mask = top,
		.size = tool_size(top),
	};

	/* where the old one ends the image reads zeros; the new one may not */
	return copy_into(&c, path, e);
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
	struct img_ref old = { .path = b->old_path, .tls_dir = ref->tls_dir };
	int r;

	if (!name)
		return 0;
	r = chain_format(ref->path, name, format, &old.format, e);
	if (r)
		return r;
	r = tool_beside(ref->path, name, b->old_path, sizeof(b->old_path), e);
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
	b->new_format = BLK_AUTO;
	if (format && *format)
		r = img_format_parse(format, &b->new_format, e);
	if (!r && unsafe && b->new_format == BLK_AUTO)
		r = err_set(e, EINVAL,
			"%s: with -u name the format of %s with -F (raw, qcow2 "
			"...)",
			ref->path, backing);
	return r;
}

/* A format that is found out is trusted as far as blk_open() does, which
 * refuses one that names other files, and no further. */
static int rebase_open_new(struct tool *t, struct rebase *b,
	const struct img_ref *ref, struct err *e)
{
	const struct img_ref new = {
		.path = b->new_path,
		.format = b->new_format,
		.tls_dir = ref->tls_dir,
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
	return r || !*backing ? r : rebase_open_new(t, b, ref, e);
}

/* Nothing backs it now, or nothing shall: zeros stand for that. */
static int rebase_copy(struct tool *t, struct rebase *b, const char *path,
	struct err *e)
{
	struct copy c = {
		.t = t,
		.src = b->old,
		.dst = b->top,
		.mask = b->top,
		.dst_zero = true,
	};

	if (b->old && b->new)
		return rebase_keep(t, b->top, path, b->old, b->new, e);
	if (!b->old && !b->new)
		return 0;
	if (b->old) {
		c.size = tool_min(tool_size(b->old), tool_size(b->top));
		return copy_into(&c, path, e);
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
