/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening one layer of a chain: its protocol, its format; see chain_impl.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "storage/blk/chain_impl.h"
#include "storage/blk/probe.h"
#include "storage/core/sync.h"
#include "storage/import/import.h"
#include "storage/proto/proto.h"
#include "storage/qcow2/qcow2.h"

void layer_identify(struct chain_layer *l)
{
	struct stat st;

	l->dev = l->ino = 0;
	l->is_uri = nbd_is_uri(l->path);
	if (l->is_uri || stat(l->path, &st))
		return;
	/* one device may have more than one file */
	l->dev = S_ISBLK(st.st_mode) ? 0 : (uint64_t)st.st_dev;
	l->ino = S_ISBLK(st.st_mode) ? (uint64_t)st.st_rdev
				     : (uint64_t)st.st_ino;
}

bool layer_is_same(const struct chain_layer *a, const struct chain_layer *b)
{
	if (a->is_uri || b->is_uri)
		return a->is_uri && b->is_uri && !strcmp(a->path, b->path);
	return (a->dev || a->ino) && a->dev == b->dev && a->ino == b->ino;
}

/* The protocol. */

static int layer_open_proto(struct chain *ch, const char *path, bool readonly,
	bool is_format, struct node **out, struct err *e)
{
	const struct proto_open po = {
		.path = path,
		.ctx = ch->ctx,
		.log = ch->log,
		.cache = ch->opts.cache,
		.aio = ch->opts.aio,
		.readonly = readonly,
		.no_lock = ch->opts.no_lock,
		.no_discard = ch->opts.no_discard,
		.is_format = is_format,
		.tls_dir = ch->opts.tls_dir,
	};

	if (nbd_is_uri(path))
		return nbd_node_open(&po, out, e);
	return file_node_open(&po, out, e);
}

/* Look at an NBD export: connect to read, for the format says how to open. */
static int layer_head_nbd(struct chain *ch, const char *path, void *head,
	uint64_t *len, struct err *e)
{
	struct node *n;
	int r = layer_open_proto(ch, path, true, true, &n, e);

	if (r)
		return r;
	if (*len > node_size(n))
		*len = node_size(n);
	r = node_read(n, 0, head, *len);
	node_close(n);
	if (r)
		return err_sys(e, -r, "%s: cannot read it", path);
	return 0;
}

static int layer_probe(struct chain *ch, struct chain_layer *l, struct err *e)
{
	uint8_t head[PROBE_BYTES];
	uint64_t len = sizeof(head);
	struct probe p;
	int r;

	if (l->is_uri)
		r = layer_head_nbd(ch, l->path, head, &len, e);
	else
		r = file_read_head(l->path, head, &len, e);
	if (r)
		return r;
	p = probe_head(head, len);
	if (p.format == BLK_AUTO)
		return err_set(e, ENOTSUP,
			"%s: is a %s image, which is not supported: convert it "
			"with qemu-img convert (or say that the format is raw, "
			"if it is a raw image that begins like one)",
			l->path, p.name);
	l->format = p.format;
	l->probed = true;
	return 0;
}

/* The formats. */

/*
 * What a guest may have written is no place to take names of files from.
 * Whether the top or a backing file, the mend is to tell the format.
 */
static int layer_distrust(const struct chain_layer *l, const char *name,
	struct err *e)
{
	if (!l->name)
		return err_set(e, EINVAL,
			"%s: looks like %s and names another file (%s), which "
			"is not opened on a guess: if it is yours say that its "
			"format is %s (-f, or format = in a guest's file), "
			"else that it is raw",
			l->path, probe_format_name(l->format), name,
			probe_format_name(l->format));
	return err_set(e, EINVAL,
		"%s: looks like %s and names another file (%s), but its own "
		"format is recorded nowhere: if it is yours record it: disk "
		"rebase -u -b %s -F %s of the image above",
		l->path, probe_format_name(l->format), name, l->name,
		probe_format_name(l->format));
}

static int layer_add_data(struct chain *ch, struct chain_layer *l,
	struct err *e)
{
	const char *name = qcow2_data_file(l->node);
	struct chain_layer data = { .readonly = l->readonly };
	struct node *n;
	int r;

	if (!name)
		return 0;
	if (!*name)
		return err_set(e, EINVAL,
			"%s: its data is in another file that it does not "
			"name: convert it with qemu-img, which can be told",
			l->path);
	if (l->probed)
		return layer_distrust(l, name, e);
	r = chain_resolve(l->path, name, &data.path, e);
	if (!r) {
		layer_identify(&data);
		if (layer_is_same(&data, l))
			r = err_set(e, ELOOP,
				"%s: names itself as its data file", l->path);
	}
	if (!r)
		r = layer_open_proto(ch, data.path, data.readonly, true, &n, e);
	free(data.path);
	if (r && r != -ELOOP)
		err_prefix(e, "%s: its data file", l->path);
	if (r)
		return r;
	qcow2_set_data(l->node, n);
	return 0;
}

static int layer_open_qcow2(struct chain *ch, struct chain_layer *l,
	struct err *e)
{
	const struct qcow2_opts qo = {
		.readonly = l->readonly,
		.for_check = ch->opts.for_check,
		.no_discard = ch->opts.no_discard,
		.header_only = ch->opts.header_only,
	};
	const char *name, *format;
	int r = qcow2_open(l->file, &qo, &l->node, e);

	if (r) {
		node_close(l->file);
		return r;
	}
	if (ch->opts.header_only)
		return 0;
	name = qcow2_backing_file(l->node, &format);
	if (name && l->probed && !ch->opts.no_backing)
		r = layer_distrust(l, name, e);
	if (!r)
		r = layer_add_data(ch, l, e);
	if (r)
		node_close(l->node);
	return r;
}

struct layer_extents {
	struct chain *ch;
	const struct chain_layer *l;
};

/* An extent of a VMDK; name has no folder in it. */
static int layer_open_extent(void *arg, const char *name, struct node **out,
	struct err *e)
{
	struct layer_extents *x = arg;
	char *path;
	int r;

	if (x->l->probed)
		return layer_distrust(x->l, name, e);
	r = chain_resolve(x->l->path, name, &path, e);
	if (r)
		return r;
	r = layer_open_proto(x->ch, path, true, true, out, e);
	free(path);
	return r;
}

static int layer_open_import(struct chain *ch, struct chain_layer *l,
	struct err *e)
{
	struct layer_extents x = { ch, l };
	const struct import_open io = {
		.file = l->file,
		.open_extent = layer_open_extent,
		.arg = &x,
	};
	int r;

	if (l->format == BLK_VMDK)
		r = vmdk_open(&io, &l->node, e);
	else if (l->format == BLK_VDI)
		r = vdi_open(&io, &l->node, e);
	else
		r = vhdx_open(&io, &l->node, e);
	if (r)
		node_close(l->file);
	return r;
}

static bool layer_is_import(enum blk_format f)
{
	return f == BLK_VMDK || f == BLK_VDI || f == BLK_VHDX;
}

int layer_open(struct chain *ch, struct chain_layer *l, struct err *e)
{
	int r = 0;

	layer_identify(l);
	if (l->format == BLK_AUTO)
		r = layer_probe(ch, l, e);
	if (r)
		return r;
	if (layer_is_import(l->format) && !l->readonly)
		return err_set(e, EROFS,
			"%s: %s is a format for reading only: make a qcow2 of "
			"it (disk convert -O qcow2), or set readonly = yes",
			l->path, probe_format_name(l->format));
	r = layer_open_proto(ch, l->path, l->readonly, l->format != BLK_RAW,
		&l->file, e);
	if (r)
		return r;
	if (l->format == BLK_QCOW2)
		return layer_open_qcow2(ch, l, e);
	if (layer_is_import(l->format))
		return layer_open_import(ch, l, e);
	l->node = l->file;
	return 0;
}

/* QEMU takes its protocols' names too, for raw images. */
static bool format_is_protocol(const char *name)
{
	return !strcmp(name, "file") || !strcmp(name, "host_device") ||
	       !strcmp(name, "nbd");
}

int chain_format(const char *path, const char *name, const char *recorded,
	enum blk_format *out, struct err *e)
{
	*out = BLK_AUTO;
	if (!recorded)
		return 0;
	if (format_is_protocol(recorded))
		*out = BLK_RAW;
	else if (!probe_format_of(recorded, out) || *out == BLK_AUTO)
		return err_set(e, ENOTSUP,
			"%s: its backing file %s has the format %s, which is "
			"not supported: convert that with qemu-img, then disk "
			"rebase -u",
			path, name, recorded);
	return 0;
}

int layer_backing(const struct chain_layer *l, const char **name,
	enum blk_format *format, struct err *e)
{
	const char *recorded;

	*name = NULL;
	if (l->format != BLK_QCOW2)
		return 0;
	*name = qcow2_backing_file(l->node, &recorded);
	return *name ? chain_format(l->path, *name, recorded, format, e) : 0;
}
