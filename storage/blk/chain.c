/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The layers of an image; see chain.h. Never recursive, neither here nor in
 * what it calls: an image decides how long a chain is, and fibers have small
 * stacks. So each layer is closed by itself, taken off the one above it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/blk/chain_impl.h"
#include "storage/core/sync.h"
#include "storage/proto/proto.h"
#include "storage/qcow2/qcow2.h"

/* Names. */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* Has name a protocol before a colon, as in QEMU: no '/' before it? */
static bool has_protocol(const char *name)
{
	size_t n = strcspn(name, ":/");

	return name[n] == ':';
}

static int resolve_protocol(const char *path, const char **name, struct err *e)
{
	static const char *const files[] = { "file:", "host_device:" };
	const char *n = *name;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!strncmp(n, files[i], strlen(files[i]))) {
			*name = n + strlen(files[i]);
			return 0;
		}
	if (!strncmp(n, "json:", 5))
		return err_set(e, ENOTSUP,
			"%s: it names a file by \"json:\", which is not "
			"supported: give its plain name (disk rebase -u)",
			path);
	return err_set(e, ENOTSUP,
		"%s: it names %s: the protocol \"%.*s\" is not supported: "
		"serve that by NBD (qemu-nbd, nbdkit) and name the nbd:// "
		"URI (disk rebase -u)",
		path, n, (int)strcspn(n, ":"), n);
}

int chain_resolve(const char *path, const char *name, char **out, struct err *e)
{
	const char *folder_end = strrchr(path, '/');
	int r = 0;

	if (!nbd_is_uri(name) && has_protocol(name))
		r = resolve_protocol(path, &name, e);
	if (r)
		return r;
	if (!*name)
		return err_set(e, EINVAL, "%s: it names a file without a name",
			path);
	if (*name == '/' || nbd_is_uri(name) || !folder_end) {
		*out = strdup(name);
	} else if (nbd_is_uri(path)) {
		return err_set(e, EINVAL,
			"%s: it names %s, which is relative, and an NBD export "
			"is in no folder: give the whole path (disk rebase -u)",
			path, name);
	} else {
		if (asprintf(out, "%.*s%s", (int)(folder_end - path + 1), path,
			    name) < 0)
			*out = NULL;
	}
	if (!*out)
		return err_sys(e, ENOMEM, "%s: cannot open %s", path, name);
	return 0;
}

/* Opening. */

/* "a.qcow2 -> b.qcow2 -> a.qcow2": the first, and those before the last. */
static int chain_loop(struct chain *ch, unsigned same, struct err *e)
{
	char names[300];
	size_t at = 0;

	for (unsigned i = same; i < ch->n && at < sizeof(names); i++) {
		if (i > same + 4 && i + 2 < ch->n)
			continue; /* a long one: the middle says little */
		at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s",
			i == same ? "" : " -> ", base_name(ch->layers[i].path));
	}
	return err_set(e, ELOOP,
		"%s: its backing files go round in a circle (%s): give one of "
		"them another backing file (disk rebase -u)",
		ch->layers[0].path, names);
}

/* The next layer below, not opened yet. */
static struct chain_layer *chain_grow(struct chain *ch)
{
	struct chain_layer *ls = realloc(ch->layers, (ch->n + 1) * sizeof(*ls));

	if (!ls)
		return NULL;
	ch->layers = ls;
	memset(&ls[ch->n], 0, sizeof(*ls));
	return &ls[ch->n++];
}

static void chain_drop_last(struct chain *ch)
{
	struct chain_layer *l = &ch->layers[--ch->n];

	free(l->path);
	free(l->name);
}

/* Say whose backing file it is that e is about: the one above the last. */
static int chain_prefix(struct chain *ch, int err, struct err *e)
{
	const struct chain_layer *l = &ch->layers[ch->n - 1];

	if (ch->n > 2)
		err_prefix(e, "%s: ... %s: its backing file",
			ch->layers[0].path, base_name(l[-1].path));
	else if (ch->n > 1)
		err_prefix(e, "%s: its backing file", ch->layers[0].path);
	return err;
}

/* Open the last layer, whose path and format are known. */
static int chain_open_last(struct chain *ch, struct err *e)
{
	struct chain_layer *l = &ch->layers[ch->n - 1];
	int r = 0;

	layer_identify(l);
	for (unsigned i = 0; !r && i + 1 < ch->n; i++)
		if (layer_is_same(&ch->layers[i], l))
			r = chain_loop(ch, i, e);
	if (!r) {
		r = layer_open(ch, l, e);
		if (r)
			r = chain_prefix(ch, r, e);
	}
	if (r)
		chain_drop_last(ch);
	return r;
}

/* What backs the last layer, if anything does, becomes the last. */
static int chain_open_next(struct chain *ch, bool *more, struct err *e)
{
	const char *name;
	enum blk_format format;
	struct chain_layer *l;
	int r = layer_backing(&ch->layers[ch->n - 1], &name, &format, e);

	*more = !r && name;
	if (!*more)
		return r;
	if (ch->n == CHAIN_MAX)
		return err_set(e, ELOOP,
			"%s: more than %u backing files: make them fewer (disk "
			"rebase, disk commit)",
			ch->layers[0].path, CHAIN_MAX);
	l = chain_grow(ch);
	if (!l)
		return err_sys(e, ENOMEM, "%s: cannot open it", ch->opts.path);
	l->format = format;
	l->readonly = true;
	l->name = strdup(name);
	r = l->name ? chain_resolve(l[-1].path, name, &l->path, e)
		    : err_sys(e, ENOMEM, "%s: cannot open it", ch->opts.path);
	if (r) {
		chain_drop_last(ch);
		return r;
	}
	return chain_open_last(ch, e);
}

static int chain_open_top(struct chain *ch, struct err *e)
{
	struct chain_layer *l = chain_grow(ch);

	if (l)
		l->path = strdup(ch->opts.path);
	if (!l || !l->path)
		return err_sys(e, ENOMEM, "%s: cannot open it", ch->opts.path);
	l->format = ch->opts.format;
	l->readonly = ch->opts.readonly;
	return chain_open_last(ch, e);
}

/* Layer i stands on the one below it, which is ready. */
static int chain_activate(struct chain *ch, unsigned i, struct err *e)
{
	struct chain_layer *l = &ch->layers[i];
	int r;

	if (l->format != BLK_QCOW2 && !i && ch->opts.snapshot)
		return err_set(e, ENOTSUP,
			"%s: only qcow2 images have snapshots", l->path);
	if (l->format != BLK_QCOW2)
		return 0;
	qcow2_set_backing(l->node,
		i + 1 < ch->n ? ch->layers[i + 1].node : NULL);
	r = qcow2_activate(l->node, e);
	if (!r && !i && ch->opts.snapshot)
		r = qcow2_snapshot_load(l->node, ch->opts.snapshot, e);
	if (r && i)
		err_prefix(e, "%s: its backing file", ch->layers[0].path);
	return r;
}

int chain_open(const struct blk_opts *o, struct ctx *c, struct log *log,
	struct chain **out, struct err *e)
{
	struct chain *ch = calloc(1, sizeof(*ch));
	bool more = !o->no_backing && !o->header_only;
	int r;

	if (!ch)
		return err_sys(e, ENOMEM, "%s: cannot open it", o->path);
	ch->opts = *o;
	ch->ctx = c;
	ch->log = log;
	r = chain_open_top(ch, e);
	while (!r && more)
		r = chain_open_next(ch, &more, e);
	for (unsigned i = ch->n; !r && i-- > 0;)
		r = chain_activate(ch, i, e);
	if (r) {
		chain_close(ch);
		return r;
	}
	*out = ch;
	return 0;
}

/* Closing. */

/* Take layer i + 1 off layer i, if it stands on it by now. */
static void chain_detach(struct chain *ch, unsigned i)
{
	if (ch->layers[i].node && ch->layers[i].format == BLK_QCOW2)
		qcow2_take_backing(ch->layers[i].node);
}

int chain_close(struct chain *ch)
{
	int err = 0, r;

	if (!ch)
		return 0;
	for (unsigned i = 0; i < ch->n; i++) {
		struct chain_layer *l = &ch->layers[i];

		chain_detach(ch, i);
		r = node_close(!i && ch->filter ? ch->filter : l->node);
		if (!err)
			err = r;
		free(l->path);
		free(l->name);
	}
	free(ch->layers);
	free(ch);
	return err;
}

/* What others look at. */

void chain_set_filter(struct chain *ch, struct node *filter)
{
	ch->filter = filter;
}

unsigned chain_layers(const struct chain *ch)
{
	return ch->n;
}

const struct chain_layer *chain_layer(const struct chain *ch, unsigned i)
{
	return i < ch->n ? &ch->layers[i] : NULL;
}

int chain_reopen(struct chain *ch, unsigned i, bool readonly, struct err *e)
{
	struct chain_layer *l = &ch->layers[i];
	int r;

	if (i)
		chain_detach(ch, i - 1);
	chain_detach(ch, i);
	r = node_close(l->node);
	l->node = l->file = NULL;
	if (r)
		return err_sys(e, -r, "%s: cannot write it out", l->path);
	l->readonly = readonly;
	r = layer_open(ch, l, e);
	if (r) {
		l->node = NULL;
		return r;
	}
	r = chain_activate(ch, i, e);
	if (!r && i)
		qcow2_set_backing(ch->layers[i - 1].node, l->node);
	return r;
}
