/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the header says about the state of an image, and changes to it while
 * the image is open: the dirty and corrupt bits, autoclear bits, and the name
 * of the backing file. Thread: the loop's, in a fiber but where it says so.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/qcow2/header.h"
#include "storage/qcow2/whole.h"

/* Write the three words of feature bits as they shall be; only when they are
 * on disk the header in memory has them. */
static int write_features(struct qcow2 *q, uint64_t incompatible,
	uint64_t autoclear)
{
	struct qheader h = q->h;
	int rc;

	h.incompatible = incompatible;
	h.autoclear = autoclear;
	rc = qheader_write_features(q->file, &h);
	if (!rc)
		rc = node_flush(q->file);
	if (rc < 0)
		return rc;
	q->h.incompatible = incompatible;
	q->h.autoclear = autoclear;
	return 0;
}

/* --- first change, last change -------------------------------------------- */

/* The autoclear bits that stay true when we write: that a data file is the
 * raw image, which each of our writes sees to. */
static uint64_t kept_autoclear(const struct qheader *h)
{
	if (!(h->incompatible & QINCOMPAT_DATA_FILE))
		return 0;
	return h->autoclear & QAUTOCLEAR_DATA_RAW;
}

int qcow2_begin_writing(struct qcow2 *q)
{
	uint64_t incompatible = q->h.incompatible;
	uint64_t autoclear = kept_autoclear(&q->h);
	int rc = 0;

	if (q->written)
		return 0;
	if (q->node.readonly)
		return -EROFS;
	if (q->corrupt)
		return -EIO;
	if (q->h.compatible & QCOMPAT_LAZY)
		incompatible |= QINCOMPAT_DIRTY;
	if (incompatible != q->h.incompatible || autoclear != q->h.autoclear)
		rc = write_features(q, incompatible, autoclear);
	if (rc < 0)
		return rc;
	/* without the bit nobody trusts the bitmaps any more */
	q->h.nbitmaps = 0;
	q->h.bitmaps_offset = q->h.bitmaps_bytes = 0;
	q->written = true;
	return 0;
}

int qstate_clear_dirty(struct qcow2 *q)
{
	if (!(q->h.incompatible & QINCOMPAT_DIRTY))
		return 0;
	return write_features(q, q->h.incompatible & ~(uint64_t)QINCOMPAT_DIRTY,
		q->h.autoclear);
}

/* --- corruption ----------------------------------------------------------- */

static void write_corrupt_bit(void *arg)
{
	struct qcow2 *q = arg;
	int rc;

	fiber_lock_take(&q->meta);
	rc = write_features(q, q->h.incompatible | QINCOMPAT_CORRUPT,
		q->h.autoclear);
	fiber_lock_drop(&q->meta);
	if (rc < 0)
		log_msg(q->node.log, LOG_WARN,
			"%s: cannot mark the image corrupt: %s", q->node.path,
			strerror(-rc));
	q->marking = false;
	fiber_queue_wake_all(&q->marked);
}

void qstate_wait_marked(struct qcow2 *q)
{
	while (q->marking)
		fiber_queue_wait(&q->marked);
}

void qcow2_mark_corrupt(struct qcow2 *q, const char *fmt, ...)
{
	char what[200];
	va_list ap;

	if (q->corrupt || q->opts.for_check)
		return;
	q->corrupt = true;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	log_msg(q->node.log, LOG_ERROR,
		"%s: the image is damaged: %s; it is not written any more: "
		"copy it, then repair it with `disk check --repair all`",
		q->node.path, what);
	if (q->node.readonly || q->h.version < 3)
		return;
	q->marking = true;
	if (fiber_start(q->node.ctx, write_corrupt_bit, q) < 0)
		q->marking = false;
}

/* --- the backing file's name ---------------------------------------------- */

static int check_backing_name(const struct qcow2 *q, const char *file,
	const char *format, struct err *e)
{
	if (!file)
		return 0;
	if (!file[0] || strlen(file) > QH_MAX_BACKING_LEN)
		return err_set(e, EINVAL,
			"%s: a backing file's name has 1 to "
			"%u bytes",
			q->node.path, QH_MAX_BACKING_LEN);
	if (format && strlen(format) > QH_MAX_FORMAT_LEN)
		return err_set(e, EINVAL,
			"%s: a format's name has at most %u "
			"bytes",
			q->node.path, QH_MAX_FORMAT_LEN);
	if (q->h.autoclear & QAUTOCLEAR_DATA_RAW)
		return err_set(e, EINVAL,
			"%s: its data file is the raw image "
			"itself, so that it can have no backing file",
			q->node.path);
	return 0;
}

static int copy_string(const char *s, char **out)
{
	*out = s ? strdup(s) : NULL;
	return s && !*out ? -ENOMEM : 0;
}

/* Everything else in the header goes out too, so it must be true: commit
 * first. With the names as they shall be; they stay the caller's. */
static int write_names(struct qcow2 *q, char *file, char *format, struct err *e)
{
	struct qheader h;
	int rc = qwhole_begin(q, e);

	if (rc < 0)
		return rc;
	h = q->h;
	h.backing_file = file;
	h.backing_format = format;
	rc = qheader_write(q->file, &h, e);
	if (rc < 0)
		return rc;
	rc = node_flush(q->file);
	if (rc < 0)
		return err_sys(e, -rc, "%s: writing the header", q->node.path);
	return 0;
}

int qcow2_set_backing_name(struct node *n, const char *file, const char *format,
	struct err *e)
{
	struct qcow2 *q = qcow2_of(n);
	char *new_file = NULL, *new_format = NULL;
	int rc = check_backing_name(q, file, format, e);

	if (rc < 0)
		return rc;
	rc = copy_string(file, &new_file);
	if (!rc)
		rc = copy_string(file ? format : NULL, &new_format);
	if (rc < 0) {
		err_sys(e, -rc, "%s: writing the header", n->path);
	} else {
		fiber_lock_take(&q->meta);
		rc = write_names(q, new_file, new_format, e);
		fiber_lock_drop(&q->meta);
	}
	if (rc < 0) {
		free(new_file);
		free(new_format);
		return rc;
	}
	free(q->h.backing_file);
	free(q->h.backing_format);
	q->h.backing_file = new_file;
	q->h.backing_format = new_format;
	return 0;
}
