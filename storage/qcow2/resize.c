/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Another size of the disk. Growing: the L1 table gets room, what is to read
 * as zeros is made so, and only then the header says the new size, so that
 * at no time old data or what backs the image can be seen there. Shrinking:
 * the header first, then what lies behind goes. A crash in between leaves
 * entries behind the disk's end, which nobody sees and growing drops.
 */
#include "storage/qcow2/resize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/qcow2/whole.h"

static int check(const struct qcow2 *q, uint64_t size, enum qcow2_prealloc how,
	struct err *e)
{
	const char *path = q->node.path;

	if (size % 512)
		return err_set(e, EINVAL,
			"%s: a size of %llu bytes is not a "
			"multiple of 512",
			path, (unsigned long long)size);
	/* snapshots of version 2 need not say which size they have */
	if (q->h.version < 3 && q->h.nsnapshots)
		return err_set(e, ENOTSUP,
			"%s: a version 2 image with "
			"snapshots cannot be resized: delete them",
			path);
	if (size < q->h.size && how != QCOW2_PREALLOC_OFF)
		return err_set(e, EINVAL,
			"%s: it gets smaller, so there is "
			"nothing to preallocate",
			path);
	if (size >> 62 || qtree_l1_need(q, size) > QCOW2_MAX_L1_BYTES / 8)
		return err_set(e, EFBIG,
			"%s: a disk of %llu bytes is too "
			"large for clusters of %u bytes: convert it to larger "
			"ones",
			path, (unsigned long long)size, q->cluster_size);
	return 0;
}

static int write_size(struct qcow2 *q, uint64_t size)
{
	struct qheader h = q->h;

	h.size = size;
	return qwhole_write_header(q, &h);
}

/*
 * A data file may be longer than the disk, on a device for example: what it
 * has where the disk grows to is not the guest's.
 */
static int clear_data(struct qcow2 *q, uint64_t size, enum qcow2_prealloc how)
{
	uint64_t old = q->h.size, end = node_size(q->data);
	bool holes =
		how == QCOW2_PREALLOC_OFF || how == QCOW2_PREALLOC_METADATA;

	end = end < size ? end : size;
	return end > old ? node_zero(q->data, old, end - old,
				   holes ? BLK_UNMAP : 0)
			 : 0;
}

/* The data file is as long as the disk, which is not yet if it grows. */
static int resize_data(struct qcow2 *q, uint64_t size, enum qcow2_prealloc how,
	struct err *e)
{
	enum node_prealloc file = NODE_PREALLOC_OFF;
	int r;

	if (q->data == q->file)
		return 0;
	r = clear_data(q, size, how);
	if (r)
		return err_sys(e, -r, "%s: clearing its data file",
			q->node.path);
	if (how == QCOW2_PREALLOC_FALLOC)
		file = NODE_PREALLOC_FALLOC;
	if (how == QCOW2_PREALLOC_FULL)
		file = NODE_PREALLOC_FULL;
	if (node_size(q->data) == size)
		return 0;
	return node_resize(q->data, size, file, e);
}

/* --- growing -------------------------------------------------------------- */

/* Room in the L1 table, and nothing behind the disk's end. meta held. */
static int make_room(struct qcow2 *q, uint64_t size)
{
	uint64_t need = qtree_l1_need(q, size), *l1;
	int r = qdrop_from(q, size_up(q->h.size, q->cluster_size));

	if (r || need <= q->h.l1_entries)
		return r;
	l1 = calloc(need, sizeof(*l1));
	if (!l1)
		return -ENOMEM;
	memcpy(l1, q->l1, (size_t)q->h.l1_entries * sizeof(*l1));
	r = qwhole_switch_l1(q, l1, (uint32_t)need);
	free(l1);
	return r ? r : qcommit_all(q);
}

/*
 * The disk is larger in memory already: what is in its last cluster behind
 * the old end, and what backs the image there, must not be seen. meta is not
 * held.
 */
static int hide(struct qcow2 *q, uint64_t old, uint64_t size)
{
	uint64_t end = size_up(old, q->cluster_size);

	if (q->backing && node_size(q->backing) > end)
		end = node_size(q->backing);
	if (end > size)
		end = size;
	return end > old ? node_zero(&q->node, old, end - old, 0) : 0;
}

static int grow(struct qcow2 *q, uint64_t size, enum qcow2_prealloc how)
{
	bool raw = q->data != q->file && q->h.autoclear & QAUTOCLEAR_DATA_RAW;
	uint64_t old = q->h.size;
	int r;

	/* its tables must never say other than the file: see layout.c */
	if (raw && how == QCOW2_PREALLOC_OFF)
		how = QCOW2_PREALLOC_METADATA;
	q->h.size = size;
	r = hide(q, old, size);
	if (!r && how != QCOW2_PREALLOC_OFF)
		r = qprealloc(q, old, size, how);
	fiber_lock_take(&q->meta);
	if (!r)
		r = qcommit_all(q);
	q->h.size = old;
	if (!r)
		r = write_size(q, size);
	fiber_lock_drop(&q->meta);
	return r;
}

/* --- shrinking ------------------------------------------------------------ */

/* meta held. */
static int shrink(struct qcow2 *q, uint64_t size)
{
	int r = write_size(q, size);

	if (!r)
		r = qdrop_from(q, size_up(size, q->cluster_size));
	if (!r)
		qwhole_trim(q);
	return r;
}

/* --- the verb ------------------------------------------------------------- */

int qcow2_resize(struct node *n, uint64_t size, enum qcow2_prealloc how,
	struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	bool grows = size > q->h.size;
	int r = check(q, size, how, e);

	if (r || size == q->h.size)
		return r;
	fiber_lock_take(&q->meta);
	r = qwhole_begin(q, e);
	if (r) {
		fiber_lock_drop(&q->meta);
		return r;
	}
	r = grows ? make_room(q, size) : shrink(q, size);
	fiber_lock_drop(&q->meta);
	if (!r) {
		r = resize_data(q, size, how, e);
		if (r)
			return r;
	}
	if (!r && grows)
		r = grow(q, size, how);
	return r ? err_sys(e, -r, "%s: changing its size", n->path) : 0;
}
