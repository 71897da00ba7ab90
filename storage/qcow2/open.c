/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening a qcow2 image: the header and a node first, then what the caller
 * found by it (data file, backing), then the tables and the repair of what a
 * crash left. Also what the caller may ask about the header. Thread: the
 * loop's, in a fiber.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/qcow2/header.h"

/* --- the node ------------------------------------------------------------- */

static int check_corrupt(const struct qheader *h, const struct qcow2_opts *o,
	const char *path, struct err *e)
{
	if (!(h->incompatible & QINCOMPAT_CORRUPT) || o->readonly ||
		o->for_check)
		return 0;
	return err_set(e, EACCES,
		"%s: the image is marked corrupt and cannot be written; copy "
		"it, then repair it with `disk check --repair all`, or open it "
		"for reading only",
		path);
}

static void set_geometry(struct qcow2 *q)
{
	bool wide = q->h.incompatible & QINCOMPAT_EXTENDED_L2;

	q->cluster_bits = q->h.cluster_bits;
	q->cluster_size = 1u << q->cluster_bits;
	q->l2_entry_bytes = wide ? 16 : 8;
	q->l2_bits = q->cluster_bits - (wide ? 4 : 3);
	q->subclusters = wide ? 32 : 1;
	q->subcluster_size = q->cluster_size / q->subclusters;
	/* bytes of a block in bits, less the bits of a count */
	q->rb_bits = q->cluster_bits + 3 - q->h.refcount_order;
}

static void init_lists(struct qcow2 *q)
{
	fiber_lock_init(&q->meta);
	fiber_queue_init(&q->marked);
	fiber_room_init(&q->fills);
	list_init(&q->inflight);
	list_init(&q->pending);
	list_init(&q->new_blocks);
}

/* A check takes what is damaged too, and tells it once more by itself. */
static int read_header(struct node *file, const struct qcow2_opts *o,
	struct qheader *h, struct err *e)
{
	struct err damage = ERR_NONE;
	int rc;

	if (!o->for_check)
		return qheader_read(file, h, e);
	rc = qheader_read_damaged(file, h, &damage);
	if (rc < 0 && e)
		*e = damage;
	if (rc > 0)
		log_msg(file->log, LOG_WARN, "%s", damage.msg);
	return rc < 0 ? rc : 0;
}

int qcow2_open(struct node *file, const struct qcow2_opts *o, struct node **out,
	struct err *e)
{
	struct qcow2 *q = calloc(1, sizeof(*q));
	char *path = strdup(file->path);
	int rc;

	if (!q || !path) {
		rc = err_sys(e, ENOMEM, "%s", file->path);
		goto fail;
	}
	rc = read_header(file, o, &q->h, e);
	if (rc < 0)
		goto fail;
	rc = check_corrupt(&q->h, o, path, e);
	if (rc < 0) {
		qheader_fini(&q->h);
		goto fail;
	}
	q->node = (struct node){ .ops = &qcow2_ops,
		.ctx = file->ctx,
		.log = file->log,
		.path = path,
		.readonly = o->readonly };
	q->opts = *o;
	q->file = file;
	if (!(q->h.incompatible & QINCOMPAT_DATA_FILE))
		q->data = file;
	set_geometry(q);
	init_lists(q);
	*out = &q->node;
	return 0;
fail:
	free(path);
	free(q);
	return rc;
}

/* --- what the header says ------------------------------------------------- */

const char *qcow2_backing_file(const struct node *n, const char **format)
{
	const struct qheader *h = &qcow2_of(n)->h;

	if (format)
		*format = h->backing_file ? h->backing_format : NULL;
	return h->backing_file;
}

const char *qcow2_data_file(const struct node *n)
{
	const struct qheader *h = &qcow2_of(n)->h;

	if (!(h->incompatible & QINCOMPAT_DATA_FILE))
		return NULL;
	return h->data_file ? h->data_file : "";
}

bool qcow2_data_file_raw(const struct node *n)
{
	const struct qheader *h = &qcow2_of(n)->h;

	return h->incompatible & QINCOMPAT_DATA_FILE &&
	       h->autoclear & QAUTOCLEAR_DATA_RAW;
}

void qcow2_keep_zeroes(struct node *n)
{
	qcow2_of(n)->keep_zeroes = true;
}

void qcow2_set_backing(struct node *n, struct node *backing)
{
	struct qcow2 *q = qcow2_of(n);

	if (q->backing != backing)
		node_close(q->backing);
	q->backing = backing;
}

struct node *qcow2_backing(const struct node *n)
{
	return qcow2_of(n)->backing;
}

struct node *qcow2_take_backing(struct node *n)
{
	struct node *backing = qcow2_of(n)->backing;

	qcow2_of(n)->backing = NULL;
	return backing;
}

void qcow2_set_data(struct node *n, struct node *data)
{
	qcow2_of(n)->data = data;
}

void qcow2_info(const struct node *n, struct qcow2_info *out)
{
	const struct qcow2 *q = qcow2_of(n);
	const struct qheader *h = &q->h;

	*out = (struct qcow2_info){
		.version = h->version,
		.refcount_bits = 1u << h->refcount_order,
		.cluster_size = q->cluster_size,
		.size = h->size,
		.lazy_refcounts = h->compatible & QCOMPAT_LAZY,
		.extended_l2 = h->incompatible & QINCOMPAT_EXTENDED_L2,
		.zstd = h->compression == QCOMPRESS_ZSTD,
		.dirty = h->incompatible & QINCOMPAT_DIRTY,
		.corrupt = q->corrupt || h->incompatible & QINCOMPAT_CORRUPT,
		.data_file_raw = qcow2_data_file_raw(n),
		.data_file = qcow2_data_file(n),
		.nsnapshots = h->nsnapshots,
	};
	out->backing_file = qcow2_backing_file(n, &out->backing_format);
	for (uint32_t i = 0; q->snaps && i < q->nsnaps; i++)
		out->vm_state_bytes += q->snaps[i].s.vm_state_size;
}

/* --- ready ---------------------------------------------------------------- */

static int read_tables(struct qcow2 *q, struct err *e)
{
	int rc = qref_open(q, e);

	if (!rc)
		rc = qmap_read_l1(q, e);
	if (!rc)
		rc = qsnap_read(q, e);
	return rc;
}

/* The dirty bit was left: counts may be wrong. */
static int repair(struct qcow2 *q, struct err *e)
{
	struct qcow2_check found = { 0 };
	uint64_t left;
	int rc;

	log_msg(q->node.log, LOG_WARN,
		"%s: not closed cleanly; its refcounts "
		"are being repaired",
		q->node.path);
	rc = qcow2_check(&q->node, QCOW2_REPAIR_COUNTS, NULL, &found, e);
	if (rc < 0)
		return rc;
	left = found.corruptions + found.errors;
	if (left)
		return err_set(e, EINVAL,
			"%s: not closed cleanly, and %llu errors could not be "
			"repaired; see `disk check`, and take it from a backup",
			q->node.path, (unsigned long long)left);
	fiber_lock_take(&q->meta);
	rc = qcommit_all(q);
	if (!rc)
		rc = qstate_clear_dirty(q);
	q->written = false; /* the first change sets the bit again */
	fiber_lock_drop(&q->meta);
	if (rc < 0)
		return err_sys(e, -rc, "%s: repairing it after a crash",
			q->node.path);
	log_msg(q->node.log, LOG_INFO,
		"%s: repaired (%llu refcounts, %llu "
		"leaks)",
		q->node.path, (unsigned long long)found.corruptions_fixed,
		(unsigned long long)found.leaks_fixed);
	return 0;
}

int qcow2_activate(struct node *n, struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	bool dirty = q->h.incompatible & QINCOMPAT_DIRTY;
	int rc;

	if (!q->data && !q->opts.header_only)
		return err_set(e, EINVAL,
			"%s: its data file is missing; it is "
			"needed beside the image",
			n->path);
	rc = read_tables(q, e);
	if (rc < 0 && q->opts.for_check && rc != -ENOMEM) {
		/* the check reads the file by itself, all else gets -EIO */
		log_msg(n->log, LOG_WARN,
			"%s: its tables cannot be used; only "
			"a check can",
			n->path);
		return 0;
	}
	if (rc < 0)
		return rc;
	q->active = true;
	if (!dirty || n->readonly || q->opts.for_check)
		return 0;
	rc = repair(q, e);
	if (rc < 0)
		q->active = false; /* so that close writes nothing */
	return rc;
}
