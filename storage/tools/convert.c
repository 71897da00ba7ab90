/* SPDX-License-Identifier: GPL-3.0-or-later */
/* convert: an image in another format, or in the same one, tidied. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/base/sizes.h"

#include "storage/blk/chain.h"
#include "storage/proto/proto.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

#define CONVERT_CHUNK    (1 * MiB)
#define CONVERT_PARALLEL 8
#define CONVERT_MOST     64
#define CONVERT_SPARSE   4096

struct convert {
	const struct img_convert *o;
	struct copy c;
	struct blk *src, *dst, *base;
	char base_path[PATH_MAX];
	struct make make; /* dst, unless it was there */
};

static int convert_check(const struct img_convert *o, struct err *e)
{
	if (o->dst_format != BLK_RAW && o->dst_format != BLK_QCOW2)
		return err_set(e, ENOTSUP,
			"%s: %s images are only read: convert to raw or qcow2",
			o->dst, img_format_name(o->dst_format));
	if (o->compress && o->dst_format != BLK_QCOW2)
		return err_set(e, ENOTSUP,
			"%s: a raw image cannot be compressed: use -O qcow2",
			o->dst);
	if (*o->options.backing_file &&
		(o->dst_format != BLK_QCOW2 ||
			!img_options_backing_known(&o->options)))
		return err_set(e, EINVAL,
			"%s: -B needs -O qcow2, and -F for its format", o->dst);
	if (o->compress && *o->options.data_file)
		return err_set(e, ENOTSUP,
			"%s: an image with a data file cannot be compressed",
			o->dst);
	if (o->target_is_zero && !o->no_create)
		return err_set(e, EINVAL,
			"--target-is-zero is for a target that is there: -n");
	if (o->parallel > CONVERT_MOST)
		return err_set(e, EINVAL, "-m %u: at most %u", o->parallel,
			CONVERT_MOST);
	if (o->sparse_bytes && o->sparse_bytes != UINT64_MAX &&
		(!size_is_pow2(o->sparse_bytes) || o->sparse_bytes < 512 ||
			o->sparse_bytes > CONVERT_CHUNK))
		return err_set(e, EINVAL,
			"-S: a power of two from 512 to 1M, or 0");
	return 0;
}

static int convert_open_src(struct tool *t, struct convert *v, struct err *e)
{
	const struct img_convert *o = v->o;
	struct img_ref base = {
		.path = v->base_path,
		.tls_dir = o->src.tls_dir,
	};
	int r = tool_open(t, &o->src, 0, &v->src, e);

	if (r || !*o->options.backing_file)
		return r;
	r = img_format_parse(o->options.backing_format, &base.format, e);
	if (!r)
		r = tool_beside(o->dst, o->options.backing_file, v->base_path,
			sizeof(v->base_path), e);
	return r ? r : tool_open(t, &base, 0, &v->base, e);
}

static bool convert_is_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

/*
 * Does what was made read as zeros? A file does. A device under qcow2 has
 * what it had, and shows it where the tables say so.
 */
static bool convert_made_zeros(const struct make *m)
{
	bool tables = m->o->prealloc != IMG_PREALLOC_OFF;

	if (*m->o->data_file && (tables || m->o->data_file_raw))
		return convert_is_file(m->data_path);
	if (m->format == BLK_QCOW2 && !tables)
		return true;
	return convert_is_file(m->path);
}

static int convert_make(struct convert *v, struct err *e)
{
	const struct img_convert *o = v->o;
	uint64_t size = tool_size(v->src);
	int r;

	if (o->options.has_size && o->options.size < size)
		return err_set(e, EINVAL,
			"-o size: smaller than %s, which has %llu bytes",
			o->src.path, (unsigned long long)size);
	if (o->options.has_size)
		size = size_up(o->options.size, 512);
	v->make = (struct make){
		.path = o->dst,
		.format = o->dst_format,
		.o = &o->options,
		.size = size,
		.force = o->force,
		.src = o->src.path,
		.tls_dir = o->src.tls_dir,
	};
	r = img_make(&v->make, v->c.t->job, e);
	if (!r)
		v->c.dst_zero = convert_made_zeros(&v->make);
	return r;
}

static int convert_open_dst(struct tool *t, struct convert *v, struct err *e)
{
	const struct img_convert *o = v->o;
	const struct img_ref ref = {
		.path = o->dst,
		.format = o->dst_format,
		.cache = o->dst_cache,
		.tls_dir = o->src.tls_dir,
	};
	int r = 0;

	v->c.dst_zero = o->target_is_zero;
	if (!o->no_create)
		r = convert_make(v, e);
	else if (tool_same_file(o->src.path, o->dst))
		r = err_set(e, EINVAL,
			"%s: is what is to be read: name another target",
			o->dst);
	if (!r)
		r = tool_open(t, &ref, TOOL_WRITE, &v->dst, e);
	if (!r && tool_size(v->dst) < tool_size(v->src))
		r = err_set(e, ENOSPC,
			"%s: has %llu bytes, %s needs %llu: make it larger",
			o->dst, (unsigned long long)tool_size(v->dst),
			o->src.path, (unsigned long long)tool_size(v->src));
	return r;
}

static void convert_tune(struct convert *v)
{
	const struct img_convert *o = v->o;
	struct copy *c = &v->c;
	struct qcow2_info q;
	struct blk_info info;

	blk_info(v->dst, &info);
	c->src = v->src;
	c->dst = v->dst;
	c->base = v->base;
	c->size = tool_size(v->src);
	c->compress = o->compress;
	c->no_sparse = o->sparse_bytes == UINT64_MAX;
	c->parallel = o->parallel ? o->parallel : CONVERT_PARALLEL;
	c->piece = CONVERT_SPARSE;
	if (o->sparse_bytes && !c->no_sparse)
		c->piece = o->sparse_bytes;
	if (blk_node(v->dst)->ops == &qcow2_ops) {
		qcow2_info(blk_node(v->dst), &q);
		if (q.extended_l2 && !c->compress)
			q.cluster_size /= 32;
		if (c->compress || q.cluster_size > c->piece)
			c->piece = q.cluster_size;
	}
	c->chunk = c->piece > CONVERT_CHUNK ? c->piece : CONVERT_CHUNK;
	c->t->total = c->size;
	c->t->done = 0;
}

static int convert_fiber(void *arg)
{
	struct convert *v = arg;
	int r = copy_run(&v->c);

	return r ? r : blk_rw(v->dst, BLK_FLUSH, 0, 0, 0, NULL);
}

static int convert_run(struct tool *t, struct convert *v, struct err *e)
{
	const struct img_convert *o = v->o;
	int r;

	convert_tune(v);
	r = tool_run(t, convert_fiber, v);
	if (r == -ECANCELED && o->no_create)
		return err_set(e, ECANCELED, "stopped: %s is not whole",
			o->dst);
	if (r == -ECANCELED)
		return err_set(e, ECANCELED, "stopped: %s %s", o->dst,
			make_fate(&v->make));
	if (r && v->c.read_failed)
		return err_sys(e, -r, "%s: cannot read it", o->src.path);
	if (r == -ENOSPC)
		return err_set(e, ENOSPC,
			"%s: no space left on its disk: make room, or name "
			"another target",
			o->dst);
	if (r)
		return err_sys(e, -r, "%s: cannot write it", o->dst);
	return 0;
}

int img_convert(const struct img_convert *o, struct img_job *j, struct err *e)
{
	struct convert v = { .o = o };
	struct tool t;
	int r = convert_check(o, e);

	if (!r)
		r = tool_init(&t, j, e);
	if (r)
		return r;
	v.c.t = &t;
	r = convert_open_src(&t, &v, e);
	if (!r)
		r = convert_open_dst(&t, &v, e);
	if (!r)
		r = convert_run(&t, &v, e);
	r = tool_close(&v.dst, o->dst, r, e);
	r = tool_close(&v.base, v.base_path, r, e);
	r = tool_close(&v.src, o->src.path, r, e);
	if (r)
		img_unmake(&v.make);
	tool_fini(&t);
	return r;
}
