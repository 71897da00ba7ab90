/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The node of a qcow2 image: hands each request to the file that does it, and
 * closes the image. See impl.h for how the room works. Thread: the loop's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/qcow2/impl.h"

static bool is_change(enum blk_op op)
{
	return op == BLK_WRITE || op == BLK_WRITE_ZEROES || op == BLK_DISCARD;
}

/* Why a change cannot be: 0 = it can. */
static int refuse_change(const struct qcow2 *q)
{
	if (q->node.readonly)
		return -EROFS;
	return q->corrupt ? -EIO : 0;
}

static void qcow2_submit(struct node *n, struct blk_req *r)
{
	struct qcow2 *q = qcow2_of(n);
	int rc = q->active ? 0 : -EIO;

	if (!rc && is_change(r->op))
		rc = refuse_change(q);
	if (rc < 0) {
		node_done(r, rc);
		return;
	}
	switch (r->op) {
	case BLK_READ:
		qread_submit(q, r);
		return;
	case BLK_WRITE:
		qwrite_submit(q, r);
		return;
	case BLK_FLUSH:
		qflush_submit(q, r);
		return;
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		qzero_submit(q, r);
		return;
	case BLK_STATUS:
		qstatus_submit(q, r);
		return;
	}
	node_done(r, -ENOTSUP);
}

static void qcow2_node_info(const struct node *n, struct blk_info *out)
{
	const struct qcow2 *q = qcow2_of(n);
	struct blk_info file;

	q->file->ops->info(q->file, &file);
	memset(out, 0, sizeof(*out));
	out->size = q->h.size;
	out->block_size = 512;
	out->phys_size = file.phys_size;
	out->readonly = n->readonly;
	out->can_discard = !n->readonly && !q->opts.no_discard;
	out->can_write_zeroes = !n->readonly;
	out->discard_align = q->subcluster_size;
	out->cluster_size = q->cluster_size;
	out->format = n->ops->name;
	out->aio = file.aio;
}

static int qcow2_node_resize(struct node *n, uint64_t size,
	enum node_prealloc how, struct err *e)
{
	static const enum qcow2_prealloc prealloc[] = {
		[NODE_PREALLOC_OFF] = QCOW2_PREALLOC_OFF,
		[NODE_PREALLOC_FALLOC] = QCOW2_PREALLOC_FALLOC,
		[NODE_PREALLOC_FULL] = QCOW2_PREALLOC_FULL,
	};

	return qcow2_resize(n, size, prealloc[how], e);
}

/* Everything that memory still holds, to disk. */
static int write_out(struct qcow2 *q)
{
	int rc;

	if (!q->active || !q->written || q->corrupt || q->node.readonly)
		return 0;
	fiber_lock_take(&q->meta);
	rc = qcommit_all(q);
	if (!rc)
		rc = qstate_clear_dirty(q);
	fiber_lock_drop(&q->meta);
	return rc;
}

static int qcow2_close(struct node *n)
{
	struct qcow2 *q = qcow2_of(n);
	int rc, child;

	qstate_wait_marked(q);
	rc = write_out(q);
	qstate_wait_marked(q);

	qread_close(q);
	qsnap_fini(q);
	qmap_close(q);
	qref_close(q);
	free(q->metaset);

	child = node_close(q->backing);
	rc = rc ? rc : child;
	child = q->data != q->file ? node_close(q->data) : 0;
	rc = rc ? rc : child;
	child = node_close(q->file);
	rc = rc ? rc : child;

	qheader_fini(&q->h);
	free((char *)(uintptr_t)n->path);
	free(q);
	return rc;
}

/* The file, and what backs it, are told by blk_give_up(). */
static void qcow2_give_up(struct node *n)
{
	node_give_up(qcow2_of(n)->data);
}

const struct node_ops qcow2_ops = {
	.name = "qcow2",
	.close = qcow2_close,
	.submit = qcow2_submit,
	.info = qcow2_node_info,
	.resize = qcow2_node_resize,
	.give_up = qcow2_give_up,
};
