/* SPDX-License-Identifier: GPL-3.0-or-later */
/* New images: create and clone, and the making that convert shares. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/proto/proto.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

#define FILL_BYTES (2 * MiB)

/* Writing zeros out, for a full preallocation. */

struct fill {
	struct tool *t;
	struct blk *b;
	uint64_t size;
};

static int fill_fiber(void *arg)
{
	struct fill *f = arg;
	uint8_t *zeros = aligned_alloc(4096, FILL_BYTES);
	int r = zeros ? 0 : -ENOMEM;

	if (zeros)
		memset(zeros, 0, FILL_BYTES);
	for (uint64_t n, at = 0; !r && at < f->size; at += n) {
		n = tool_min(f->size - at, FILL_BYTES);
		r = f->t->stop ? -ECANCELED
			       : tool_rw(f->b, BLK_WRITE, 0, at, n, zeros);
		f->t->done += n;
	}
	if (!r)
		r = tool_rw(f->b, BLK_FLUSH, 0, 0, 0, NULL);
	free(zeros);
	return r;
}

static int make_full(struct tool *t, const char *path, enum blk_format format,
	uint64_t size, struct err *e)
{
	const struct img_ref ref = { .path = path, .format = format };
	struct fill f = { .t = t, .size = size };
	int r;

	if (!size)
		return 0;
	t->total = size;
	r = tool_open(t, &ref, TOOL_WRITE | TOOL_ALONE, &f.b, e);
	if (r)
		return r;
	r = tool_run(t, fill_fiber, &f);
	if (r)
		err_sys(e, -r, "%s: cannot fill it", path);
	return tool_close(&f.b, path, r, e);
}

/* The files of a qcow2 image, in a fiber. */

struct make {
	struct tool *t;
	const char *path;
	char data_path[PATH_MAX];
	struct qcow2_create q;
	struct err *e;
};

static int make_open(struct make *m, const char *path, struct node **out)
{
	const struct proto_open o = {
		.path = path,
		.ctx = m->t->ctx,
		.log = m->t->log,
		.is_format = true,
	};

	return nbd_is_uri(path) ? nbd_node_open(&o, out, m->e)
				: file_node_open(&o, out, m->e);
}

static int make_fiber(void *arg)
{
	struct make *m = arg;
	struct node *file = NULL, *data = NULL;
	int r, r2;

	r = make_open(m, m->path, &file);
	if (!r && m->q.data_file)
		r = make_open(m, m->data_path, &data);
	if (!r)
		r = qcow2_create(file, data, &m->q, m->e);
	r2 = node_close(data);
	if (!r && r2)
		r = err_sys(m->e, -r2, "%s: cannot write it", m->data_path);
	r2 = node_close(file);
	if (!r && r2)
		r = err_sys(m->e, -r2, "%s: cannot write it", m->path);
	return r;
}

static int make_qcow2(struct tool *t, const char *path,
	const struct img_options *o, uint64_t size, struct err *e)
{
	struct make m = { .t = t, .path = path, .e = e };
	bool full = o->prealloc == IMG_PREALLOC_FULL;
	int r;

	img_options_qcow2(o, &m.q);
	m.q.size = size;
	if (full)
		m.q.prealloc = QCOW2_PREALLOC_METADATA;
	r = proto_create(path, 0, NODE_PREALLOC_OFF, e);
	if (r)
		return r; /* what is there is not ours */
	if (m.q.data_file)
		r = tool_beside(path, m.q.data_file, m.data_path,
			sizeof(m.data_path), e);
	if (!r && m.q.data_file)
		r = proto_create(m.data_path, size, NODE_PREALLOC_OFF, e);
	if (!r)
		r = tool_run(t, make_fiber, &m);
	if (!r && full)
		r = make_full(t, path, BLK_QCOW2, size, e);
	if (r)
		tool_remove(path);
	return r;
}

static int make_raw(struct tool *t, const char *path,
	const struct img_options *o, uint64_t size, struct err *e)
{
	int r = proto_create(path, size,
		o->prealloc == IMG_PREALLOC_FALLOC ? NODE_PREALLOC_FALLOC
						   : NODE_PREALLOC_OFF,
		e);

	if (r)
		return r; /* what is there is not ours */
	if (o->prealloc == IMG_PREALLOC_FULL)
		r = make_full(t, path, BLK_RAW, size, e);
	if (r)
		tool_remove(path);
	return r;
}

int img_make(const char *path, enum blk_format format,
	const struct img_options *o, uint64_t size, struct img_job *j,
	struct err *e)
{
	struct tool t;
	int r = tool_init(&t, j, e);

	if (r)
		return r;
	if (format == BLK_RAW)
		r = make_raw(&t, path, o, size, e);
	else
		r = make_qcow2(&t, path, o, size, e);
	if (r == -ECANCELED)
		err_set(e, ECANCELED, "stopped: %s is removed", path);
	tool_fini(&t);
	return r;
}

/* create */

/* Open what will back the image, to see that it can be, and its size. */
static int create_backing(const struct img_create *o, struct img_job *j,
	uint64_t *size, struct err *e)
{
	struct img_ref ref = { .cache = BLK_WRITEBACK };
	char path[PATH_MAX];
	struct blk *b = NULL;
	struct tool t;
	int r;

	r = img_format_parse(o->options.backing_format, &ref.format, e);
	if (!r)
		r = tool_beside(o->path, o->options.backing_file, path,
			sizeof(path), e);
	if (!r)
		r = tool_init(&t, j, e);
	if (r)
		return r;
	ref.path = path;
	r = tool_open(&t, &ref, 0, &b, e);
	if (r)
		err_prefix(e, "%s: what shall back it", o->path);
	else
		*size = tool_size(b);
	r = tool_close(&b, path, r, e);
	tool_fini(&t);
	return r;
}

static int create_check_backing(const struct img_create *o, struct err *e)
{
	if (o->format != BLK_QCOW2)
		return err_set(e, ENOTSUP,
			"%s: a raw image cannot have a backing file: use "
			"-f qcow2",
			o->path);
	if (!*o->options.backing_format)
		return err_set(e, EINVAL,
			"%s: name the format of %s with -F (raw, qcow2 ...): "
			"to guess it would be to trust what a guest wrote",
			o->path, o->options.backing_file);
	return 0;
}

static int create_check(const struct img_create *o, uint64_t size,
	struct err *e)
{
	struct qcow2_create q;
	char data[PATH_MAX];
	int r;

	if (o->format == BLK_RAW)
		return tool_check_target(o->path, o->force, e);
	img_options_qcow2(&o->options, &q);
	q.size = size;
	r = qcow2_create_check(&q, e);
	if (r)
		return err_prefix(e, "%s", o->path);
	if (q.data_file) {
		r = tool_beside(o->path, q.data_file, data, sizeof(data), e);
		if (!r)
			r = tool_check_target(data, o->force, e);
	}
	return r ? r : tool_check_target(o->path, o->force, e);
}

int img_create(const struct img_create *o, struct img_job *j, struct err *e)
{
	uint64_t size = o->options.size, backing_size = 0;
	bool backed = *o->options.backing_file != '\0';
	int r = 0;

	if (o->format != BLK_RAW && o->format != BLK_QCOW2)
		return err_set(e, ENOTSUP,
			"%s: %s images are only read: create raw or qcow2",
			o->path, img_format_name(o->format));
	if (backed)
		r = create_check_backing(o, e);
	if (!r && backed && !(o->unsafe && o->options.has_size))
		r = create_backing(o, j, &backing_size, e);
	if (r)
		return r;
	if (!o->options.has_size && !backed)
		return err_set(e, EINVAL, "%s: give it a size: 10G, say",
			o->path);
	if (!o->options.has_size)
		size = backing_size;
	size = size_up(size, 512);
	r = create_check(o, size, e);
	return r ? r : img_make(o->path, o->format, &o->options, size, j, e);
}

/* clone */

/* src as the new image shall name it. */
static int clone_name(const char *src, const char *dst, char *out, size_t size,
	struct err *e)
{
	char real[PATH_MAX], dir[PATH_MAX], real_dir[PATH_MAX];
	const char *slash = strrchr(dst, '/');
	const char *name = src;
	size_t n;

	if (!nbd_is_uri(src)) {
		if (!realpath(src, real))
			return err_sys(e, errno, "%s: cannot open it", src);
		name = real;
		snprintf(dir, sizeof(dir), "%.*s",
			slash ? (int)(slash - dst) + 1 : 1, slash ? dst : ".");
		if (!realpath(dir, real_dir))
			return err_sys(e, errno, "%s: no such folder", dir);
		n = strlen(real_dir);
		if (!strncmp(real, real_dir, n) && real[n] == '/')
			name = real + n + 1;
	}
	if (strlen(name) >= size)
		return err_set(e, ENAMETOOLONG,
			"%s: too long a name for a backing file", name);
	memcpy(out, name, strlen(name) + 1);
	return 0;
}

int img_clone(const struct img_ref *src, const char *dst, bool force,
	struct err *e)
{
	struct img_create c = {
		.path = dst,
		.format = BLK_QCOW2,
		.unsafe = true,
		.force = force,
	};
	struct blk_info info;
	struct blk *b = NULL;
	struct tool t;
	int r = tool_init(&t, NULL, e);

	if (r)
		return r;
	r = tool_open(&t, src, 0, &b, e);
	if (!r) {
		blk_info(b, &info);
		c.options.size = info.size;
		c.options.has_size = true;
		snprintf(c.options.backing_format,
			sizeof(c.options.backing_format), "%s", info.format);
		r = clone_name(src->path, dst, c.options.backing_file,
			sizeof(c.options.backing_file), e);
	}
	r = tool_close(&b, src->path, r, e);
	tool_fini(&t);
	return r ? r : img_create(&c, NULL, e);
}
