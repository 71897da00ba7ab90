/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an image is, layer by layer. Each is opened alone, without locks and
 * as it is: a header can be shown of an image that a guest is using, that is
 * damaged, or whose backing file is gone.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/base/sizes.h"

#include "storage/blk/chain.h"
#include "storage/proto/proto.h"
#include "storage/qcow2/qcow2.h"
#include "storage/tools/tools.h"

#define INFO_MAX_LAYERS 256

static char *info_copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

static uint64_t info_actual(const char *path)
{
	struct stat st;

	if (nbd_is_uri(path) || stat(path, &st) || !S_ISREG(st.st_mode))
		return UINT64_MAX;
	return (uint64_t)st.st_blocks * 512;
}

static int info_snapshots(struct img_layer *l, struct node *n, unsigned count)
{
	struct qcow2_snapshot s;

	if (!count)
		return 0;
	l->snapshots = calloc(count, sizeof(*l->snapshots));
	if (!l->snapshots)
		return -ENOMEM;
	while (l->nsnapshots < count &&
		!qcow2_snapshot_get(n, l->nsnapshots, &s)) {
		struct img_snapshot *to = &l->snapshots[l->nsnapshots++];

		memcpy(to->id, s.id, sizeof(to->id));
		memcpy(to->name, s.name, sizeof(to->name));
		to->vm_state_bytes = s.vm_state_size;
		to->size_bytes = s.size;
		to->date_s = s.date_s;
		to->date_ns = s.date_ns;
		to->vm_clock_ns = s.vm_clock_ns;
	}
	return 0;
}

static int info_qcow2(struct img_layer *l, struct node *n, struct err *e)
{
	struct qcow2_info i;
	char path[PATH_MAX];
	int r = 0;

	qcow2_info(n, &i);
	l->qcow2 = true;
	l->compat = i.version;
	l->refcount_bits = i.refcount_bits;
	l->lazy_refcounts = i.lazy_refcounts;
	l->extended_l2 = i.extended_l2;
	l->zstd = i.zstd;
	l->dirty = i.dirty;
	l->corrupt = i.corrupt;
	l->data_file_raw = i.data_file_raw;
	l->data_file = info_copy(i.data_file);
	l->backing_file = info_copy(i.backing_file);
	l->backing_format = info_copy(i.backing_format);
	if (i.backing_file)
		r = tool_beside(l->path, i.backing_file, path, sizeof(path), e);
	if (!r && i.backing_file)
		l->backing_path = strdup(path);
	if (!r && info_snapshots(l, n, i.nsnapshots))
		r = err_sys(e, ENOMEM, "%s: cannot list its snapshots",
			l->path);
	return r;
}

static int info_layer(struct tool *t, const struct img_ref *ref,
	struct img_layer *l, struct err *e)
{
	struct blk_info info;
	struct blk *b = NULL;
	struct node *n;
	int r;

	l->path = info_copy(ref->path);
	if (!l->path)
		return err_sys(e, ENOMEM, "%s", ref->path);
	r = tool_open(t, ref, TOOL_HEADER | TOOL_CHECK | TOOL_NO_LOCK, &b, e);
	if (r)
		return r;
	blk_info(b, &info);
	n = blk_node(b);
	l->format = info_copy(info.format);
	l->size = info.size;
	l->cluster_size = info.cluster_size;
	l->actual_size = info_actual(ref->path);
	if (n->ops == &qcow2_ops)
		r = info_qcow2(l, n, e);
	return tool_close(&b, ref->path, r, e);
}

/* Was the layer's backing file met before? Hard links are let pass: the
 * bound on layers ends those. */
static bool info_loops(const struct img_info *i, const char *path)
{
	for (unsigned k = 0; k < i->nlayers; k++)
		if (!strcmp(i->layers[k].path, path))
			return true;
	return false;
}

static int info_next(const struct img_info *i, struct img_ref *ref,
	struct err *e)
{
	const struct img_layer *l = &i->layers[i->nlayers - 1];

	if (info_loops(i, l->backing_path) || i->nlayers == INFO_MAX_LAYERS)
		return err_set(e, ELOOP,
			"%s: its backing files go round in a circle: mend the "
			"one that is wrong with disk rebase -u",
			l->path);
	ref->path = l->backing_path;
	return chain_format(l->path, l->backing_file, l->backing_format,
		&ref->format, e);
}

int img_info(const struct img_ref *r, bool chain, struct img_info *out,
	struct err *e)
{
	struct img_ref ref = *r;
	struct tool t;
	int err;

	memset(out, 0, sizeof(*out));
	err = tool_init(&t, NULL, e);
	if (err)
		return err;
	do {
		struct img_layer *l =
			reallocarray(out->layers, out->nlayers + 1, sizeof(*l));

		if (!l) {
			err = err_sys(e, ENOMEM, "%s", ref.path);
			break;
		}
		out->layers = l;
		l += out->nlayers++;
		memset(l, 0, sizeof(*l));
		err = info_layer(&t, &ref, l, e);
		if (err || !chain || !l->backing_path)
			break;
		err = info_next(out, &ref, e);
	} while (!err);
	tool_fini(&t);
	return err;
}

void img_info_free(struct img_info *i)
{
	for (unsigned k = 0; k < i->nlayers; k++) {
		struct img_layer *l = &i->layers[k];

		free(l->path);
		free(l->format);
		free(l->backing_file);
		free(l->backing_format);
		free(l->backing_path);
		free(l->data_file);
		free(l->snapshots);
	}
	free(i->layers);
	memset(i, 0, sizeof(*i));
}
