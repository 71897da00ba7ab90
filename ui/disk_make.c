/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Disk verbs that make or change images. */
#include <string.h>

#include "ui/disk.h"

/* Put an option's value where -o would. */
static int take_text(const struct cmd_args *a, struct disk_io *io,
	const char *opt, char *to, size_t size)
{
	const char *v = cmd_opt(a, opt);

	if (!v)
		return 0;
	if (strlen(v) >= size)
		return disk_wrong(io, "%s: %s: too long", a->verb->name, opt);
	memcpy(to, v, strlen(v) + 1);
	return 0;
}

/* -b or -B, and -F. */
static int take_backing(const struct cmd_args *a, struct disk_io *io,
	const char *opt, struct img_options *o)
{
	enum blk_format f = BLK_RAW;
	int r = take_text(a, io, opt, o->backing_file, sizeof(o->backing_file));

	if (!r)
		r = disk_opt_format(a, io, "-F", &f);
	if (!r)
		r = take_text(a, io, "-F", o->backing_format,
			sizeof(o->backing_format));
	return r;
}

/* "-o help" is done, which is no failure. */
static int option_code(int r)
{
	return r < 0 ? UI_OK : r;
}

/* Without a file only "-o help" makes sense. */
static int create_help(const struct cmd_args *a, struct disk_io *io)
{
	enum blk_format format = BLK_RAW;
	struct img_options o = { 0 };
	int r = disk_opt_format(a, io, "-f", &format);

	if (!r)
		r = disk_opt_options(a, io, format, &o);
	if (r)
		return option_code(r);
	return disk_wrong(io, "%s: name the file to make", a->verb->name);
}

int disk_create(const struct cmd_args *a, struct disk_io *io)
{
	struct img_create c = {
		.unsafe = cmd_opt(a, "-u"),
		.force = cmd_opt(a, "--force"),
	};
	struct err e = ERR_NONE;
	struct img_ref ref;
	int r;

	if (!a->noperands)
		return create_help(a, io);
	r = disk_ref(a, io, 0, "-f", &ref);
	if (r)
		return r;
	c.path = ref.path;
	c.tls_dir = ref.tls_dir;
	c.format = ref.format == BLK_AUTO ? BLK_RAW : ref.format;
	r = disk_opt_options(a, io, c.format, &c.options);
	if (!r)
		r = take_backing(a, io, "-b", &c.options);
	if (r)
		return option_code(r);
	if (a->noperands > 1) {
		if (img_size_parse(a->operand[1], &c.options.size, &e))
			return disk_wrong(io, "%s: %s", a->verb->name, e.msg);
		c.options.has_size = true;
	}
	r = img_create(&c, io->job, &e);
	return disk_end(a, io, r, &e);
}

static int convert_sparse(const struct cmd_args *a, struct disk_io *io,
	struct img_convert *c)
{
	int r = disk_opt_size(a, io, "-S", &c->sparse_bytes);

	if (!r && cmd_opt(a, "-S") && !c->sparse_bytes)
		c->sparse_bytes = UINT64_MAX;
	return r;
}

static int convert_args(const struct cmd_args *a, struct disk_io *io,
	struct img_convert *c)
{
	uint64_t parallel = 0;
	int r = disk_ref(a, io, 0, "-f", &c->src);

	c->src.snapshot = cmd_opt(a, "-l");
	c->dst_format = BLK_RAW;
	c->compress = cmd_opt(a, "-c");
	c->no_create = cmd_opt(a, "-n");
	c->target_is_zero = cmd_opt(a, "--target-is-zero");
	c->force = cmd_opt(a, "--force");
	if (!r)
		r = disk_opt_format(a, io, "-O", &c->dst_format);
	if (!r)
		r = disk_opt_options(a, io, c->dst_format, &c->options);
	if (!r)
		r = take_backing(a, io, "-B", &c->options);
	if (!r)
		r = convert_sparse(a, io, c);
	if (!r)
		r = disk_opt_number(a, io, "-m", 64, &parallel);
	if (!r)
		r = disk_opt_cache(a, io, "-t", &c->dst_cache);
	if (!r)
		r = disk_opt_cache(a, io, "-T", &c->src.cache);
	c->parallel = (unsigned)parallel;
	return r;
}

int disk_convert(const struct cmd_args *a, struct disk_io *io)
{
	struct img_convert c = { 0 };
	struct err e = ERR_NONE;
	int r = convert_args(a, io, &c);

	if (r)
		return option_code(r);
	c.dst = disk_path(io, a->operand[1]);
	if (!c.dst)
		return disk_wrong(io, "out of memory");
	r = img_convert(&c, io->job, &e);
	return disk_end(a, io, r, &e);
}

int disk_resize(const struct cmd_args *a, struct disk_io *io)
{
	struct img_resize z = { .shrink = cmd_opt(a, "--shrink") };
	const char *how = cmd_opt(a, "--preallocation");
	const char *size = a->operand[1];
	struct err e = ERR_NONE;
	uint64_t now;
	int r = disk_ref(a, io, 0, "-f", &z.ref);

	if (r)
		return r;
	if (how && img_prealloc_parse(how, &z.prealloc, &e))
		return disk_wrong(io, "%s: %s", a->verb->name, e.msg);
	z.sign = *size == '+' ? 1 : *size == '-' ? -1 : 0;
	if (img_size_parse(size + (z.sign ? 1 : 0), &z.size, &e))
		return disk_wrong(io, "%s: %s", a->verb->name, e.msg);
	r = img_resize(&z, io->job, &now, &e);
	if (r)
		return disk_fail(io, &e);
	if (disk_wants_json(a))
		return disk_json(io,
			json_pack("{s:I}", "virtual-size", (json_int_t)now),
			UI_OK);
	return UI_OK;
}

int disk_clone(const struct cmd_args *a, struct disk_io *io)
{
	struct err e = ERR_NONE;
	struct img_ref ref;
	const char *dst;
	int r = disk_ref(a, io, 0, "-f", &ref);

	if (r)
		return r;
	dst = disk_path(io, a->operand[1]);
	if (!dst)
		return disk_wrong(io, "out of memory");
	r = img_clone(&ref, dst, cmd_opt(a, "--force"), &e);
	return disk_end(a, io, r, &e);
}

int disk_rebase(const struct cmd_args *a, struct disk_io *io)
{
	const char *backing = cmd_opt(a, "-b"), *format = cmd_opt(a, "-F");
	enum blk_format f = BLK_AUTO;
	struct err e = ERR_NONE;
	struct img_ref ref;
	int r = disk_ref(a, io, 0, "-f", &ref);

	if (!r)
		r = disk_opt_format(a, io, "-F", &f);
	if (r)
		return r;
	if (ref.format == BLK_AUTO)
		ref.format = BLK_QCOW2;
	r = img_rebase(&ref, backing ? backing : "", format ? format : "",
		cmd_opt(a, "-u"), io->job, &e);
	return disk_end(a, io, r, &e);
}

int disk_commit(const struct cmd_args *a, struct disk_io *io)
{
	const char *base = cmd_opt(a, "-b");
	struct err e = ERR_NONE;
	struct img_ref ref;
	int r = disk_ref(a, io, 0, "-f", &ref);

	if (r)
		return r;
	if (base)
		base = disk_path(io, base);
	r = img_commit(&ref, base, cmd_opt(a, "-d"), io->job, &e);
	return disk_end(a, io, r, &e);
}
