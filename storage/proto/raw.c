/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raw images: regular files and block devices. This file opens and measures;
 * raw_io.c moves the data.
 */
#include "storage/proto/raw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void raw_close(struct node *n)
{
	struct raw *raw = container_of(n, struct raw, node);

	raw->aio->ops->free(raw->aio);
	raw_io_fini(raw);
	file_close(&raw->file);
	free(raw->path);
	free(raw);
}

static void raw_unplug(struct node *n)
{
	struct raw *raw = container_of(n, struct raw, node);

	raw->aio->ops->kick(raw->aio);
}

static void raw_wait(struct node *n)
{
	struct raw *raw = container_of(n, struct raw, node);

	raw->aio->ops->wait(raw->aio);
}

static void raw_info(const struct node *n, struct blk_info *out)
{
	const struct raw *raw = container_of(n, struct raw, node);

	*out = (struct blk_info){
		.size = raw->file.size,
		.block_size = raw->file.block_size,
		.phys_size = raw->file.phys_size,
		.readonly = raw->readonly,
		.can_discard = !raw->readonly,
		.can_write_zeroes = !raw->readonly,
		.discard_align = raw->file.discard_align,
		.format = "raw",
		.aio = atomic_load(&raw->aio->name),
	};
}

static void raw_set_cache(struct raw *raw, enum blk_cache cache)
{
	raw->write_through =
		cache == BLK_WRITETHROUGH || cache == BLK_DIRECTSYNC;
	raw->unsafe = cache == BLK_UNSAFE;
}

static int raw_open(const struct node_open *o, struct node **out, struct err *e)
{
	struct raw *raw = calloc(1, sizeof(*raw));
	const char *path = o->opts->path;
	int r;

	if (raw)
		raw->path = strdup(path);
	if (!raw || !raw->path) {
		free(raw);
		return err_sys(e, ENOMEM, "%s: cannot open it", path);
	}
	raw->node.ops = &raw_ops;
	raw->log = o->log;
	raw->readonly = o->opts->readonly;
	raw->keep_allocated = o->opts->no_discard;
	raw_set_cache(raw, o->opts->cache);
	list_init(&raw->spare);
	r = file_open(o, &raw->file, e);
	if (r)
		goto fail;
	if (o->opts->format == BLK_AUTO && file_is_qcow2(&raw->file)) {
		r = err_set(e, ENOTSUP,
			"%s: qcow2 is not there yet: convert with qemu-img "
			"convert -O raw (or set format = raw, if it is a raw "
			"image that begins like one)",
			path);
		goto fail_close;
	}
	r = aio_new(o->opts->aio, raw->file.fd, path, o->loop, o->log,
		&raw->aio, e);
	if (r)
		goto fail_close;
	*out = &raw->node;
	return 0;
fail_close:
	file_close(&raw->file);
fail:
	free(raw->path);
	free(raw);
	return r;
}

const struct node_ops raw_ops = {
	.format = "raw",
	.open = raw_open,
	.close = raw_close,
	.submit = raw_submit,
	.unplug = raw_unplug,
	.wait = raw_wait,
	.info = raw_info,
};
