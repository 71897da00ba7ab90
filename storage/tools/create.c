/* SPDX-License-Identifier: GPL-3.0-or-later */
/* New images: create and clone. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/proto/proto.h"
#include "storage/tools/tools.h"

/* create */

/* What will back the image, held open (and locked) until that is made. */
struct backing {
	struct tool t;
	struct blk *b;
	char path[PATH_MAX];
};

/* Open it, to see that it can be, and its size. */
static int backing_open(struct backing *k, const struct img_create *o,
	struct img_job *j, struct err *e)
{
	struct img_ref ref = { .path = k->path, .tls_dir = o->tls_dir };
	int r = img_format_parse(o->options.backing_format, &ref.format, e);

	if (!r)
		r = tool_beside(o->path, o->options.backing_file, k->path,
			sizeof(k->path), e);
	if (!r)
		r = tool_init(&k->t, j, e);
	if (r)
		return r;
	r = tool_open(&k->t, &ref, 0, &k->b, e);
	if (r) {
		err_prefix(e, "%s: what shall back it", o->path);
		tool_fini(&k->t);
	}
	return r;
}

static int backing_close(struct backing *k, int err, struct err *e)
{
	if (!k->b)
		return err;
	err = tool_close(&k->b, k->path, err, e);
	tool_fini(&k->t);
	return err;
}

static int create_check_backing(const struct img_create *o, struct err *e)
{
	if (o->format != BLK_QCOW2)
		return err_set(e, ENOTSUP,
			"%s: a raw image cannot have a backing file: use "
			"-f qcow2",
			o->path);
	if (!img_options_backing_known(&o->options))
		return err_set(e, EINVAL,
			"%s: name the format of %s with -F (raw, qcow2 ...): "
			"to guess it would be to trust what a guest wrote",
			o->path, o->options.backing_file);
	return 0;
}

static int create_check(const struct img_create *o, struct err *e)
{
	bool backed = *o->options.backing_file != '\0';

	if (o->format != BLK_RAW && o->format != BLK_QCOW2)
		return err_set(e, ENOTSUP,
			"%s: %s images are only read: create raw or qcow2",
			o->path, img_format_name(o->format));
	if (!o->options.has_size && !backed)
		return err_set(e, EINVAL, "%s: give it a size: 10G, say",
			o->path);
	return backed ? create_check_backing(o, e) : 0;
}

int img_create(const struct img_create *o, struct img_job *j, struct err *e)
{
	bool backed = *o->options.backing_file != '\0';
	struct make m = {
		.path = o->path,
		.format = o->format,
		.o = &o->options,
		.force = o->force,
		.tls_dir = o->tls_dir,
	};
	struct backing k = { 0 };
	int r = create_check(o, e);

	if (!r && backed && !(o->unsafe && o->options.has_size))
		r = backing_open(&k, o, j, e);
	if (r)
		return r;
	m.size = size_up(o->options.has_size ? o->options.size : tool_size(k.b),
		512);
	r = img_make(&m, j, e);
	return backing_close(&k, r, e);
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
		.tls_dir = src->tls_dir,
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
	/* the source is open until then: its locks keep all of its chain from
	 * being taken for the target */
	if (!r)
		r = img_create(&c, NULL, e);
	r = tool_close(&b, src->path, r, e);
	tool_fini(&t);
	return r;
}
