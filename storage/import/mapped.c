// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A request becomes a job, which walks along it: zeros are filled in, what
 * lies in a file becomes a child request, what is compressed a fiber that
 * unpacks it, several at once. Where a table is missing a fiber fetches it
 * and the walk goes on. Pieces that lie next to each other in a file are
 * read as one.
 */
#include "storage/import/mapped.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/core/iov.h"
#include "storage/core/sync.h"

#define JOB_PARTS 16   /* children of one request in flight */
#define RUN_MAX   4096 /* pieces looked at for one run */

struct job {
	struct mapped *m;
	struct blk_req *r;
	uint64_t pos;      /* bytes of r that are done or under way */
	int iov_at;        /* where pos is in r->iov ... */
	uint64_t iov_skip; /* ... and how far inside that one */
	unsigned in_flight;
	bool running; /* somebody walks: whoever else comes goes away */
	bool loading; /* a fiber fetches a table */
	int err;
};

/* A child in flight: one request, or a fiber that unpacks. */
struct part {
	struct blk_req req;
	struct job *job;
	uint64_t offset;
	struct mapped_piece piece;
	int niov;
	struct iovec iov[];
};

static void job_run(struct job *j);

/* --- the map, with pieces that belong together as one --- */

static bool piece_joins(const struct mapped_piece *a,
	const struct mapped_piece *b)
{
	if (a->kind != b->kind || a->present != b->present ||
		a->compressed != b->compressed)
		return false;
	if (a->kind == MAPPED_ZERO)
		return true;
	return a->kind == MAPPED_DATA && a->file == b->file &&
	       a->host + a->len == b->host;
}

static int map_run(struct mapped *m, uint64_t offset, uint64_t len,
	struct mapped_piece *p)
{
	struct mapped_piece next = { 0 };
	int rc;

	memset(p, 0, sizeof(*p));
	rc = m->ops->map(m, offset, len, p);
	if (rc < 0 || p->kind == MAPPED_MEM || p->kind == MAPPED_PACKED)
		return rc;
	for (int i = 0; i < RUN_MAX && p->len < len; i++) {
		memset(&next, 0, sizeof(next));
		/* an error here is met again when it is this one's turn */
		if (m->ops->map(m, offset + p->len, len - p->len, &next) < 0 ||
			!piece_joins(p, &next))
			break;
		p->len += next.len;
	}
	return 0;
}

/* --- reading --- */

static void job_end(struct job *j)
{
	struct blk_req *r = j->r;
	int err = j->err;

	free(j);
	node_done(r, err);
}

/* Let pos be len further. */
static void job_advance(struct job *j, uint64_t len)
{
	j->pos += len;
	while (len) {
		uint64_t left = j->r->iov[j->iov_at].iov_len - j->iov_skip;

		if (len < left) {
			j->iov_skip += len;
			return;
		}
		len -= left;
		j->iov_at++;
		j->iov_skip = 0;
	}
}

static void part_end(struct part *p, int err)
{
	struct job *j = p->job;

	free(p);
	j->in_flight--;
	if (err && !j->err)
		j->err = err;
	job_run(j);
}

static void part_done(struct blk_req *r, int err)
{
	part_end(r->arg, err);
}

static void part_unpack(void *arg)
{
	struct part *p = arg;
	struct mapped *m = p->job->m;
	int rc = -ENOMEM;
	uint8_t *buf;

	/* not all at once: each grain takes memory three times its size */
	fiber_room_enter(&m->unpacking, MAPPED_UNPACK_MAX / m->unpack_bytes);
	buf = malloc(p->piece.len);
	if (buf)
		rc = m->ops->unpack(m, p->offset, &p->piece, buf);
	if (!rc)
		iov_from_buf(p->iov, p->niov, 0, buf, p->piece.len);
	free(buf);
	fiber_room_leave(&m->unpacking);
	part_end(p, rc);
}

/* A part for the piece at pos with its own iovec. NULL = no memory. */
static struct part *part_new(struct job *j, const struct mapped_piece *piece)
{
	const struct iovec *iov = j->r->iov + j->iov_at;
	uint64_t skip = j->iov_skip, left = piece->len;
	struct part *p;
	int n = 0;

	for (uint64_t sum = 0; sum < skip + left; n++)
		sum += iov[n].iov_len;
	p = calloc(1, sizeof(*p) + (size_t)n * sizeof(p->iov[0]));
	if (!p)
		return NULL;
	for (int i = 0; i < n; i++) {
		uint64_t len = iov[i].iov_len - skip;

		len = len < left ? len : left;
		p->iov[i].iov_base = (char *)iov[i].iov_base + skip;
		p->iov[i].iov_len = len;
		left -= len;
		skip = 0;
	}
	p->niov = n;
	p->job = j;
	p->piece = *piece;
	p->offset = j->r->offset + j->pos;
	return p;
}

static void part_start(struct job *j, const struct mapped_piece *piece)
{
	struct part *p = part_new(j, piece);
	int rc;

	if (!p) {
		j->err = -ENOMEM;
		return;
	}
	j->in_flight++;
	job_advance(j, piece->len);
	if (piece->kind == MAPPED_PACKED) {
		rc = fiber_start(j->m->node.ctx, part_unpack, p);
		if (rc < 0)
			part_end(p, rc);
		return;
	}
	list_init(&p->req.node);
	p->req.op = BLK_READ;
	p->req.offset = piece->host;
	p->req.len = piece->len;
	p->req.iov = p->iov;
	p->req.niov = p->niov;
	p->req.done = part_done;
	p->req.arg = p;
	node_submit(piece->file, &p->req);
}

/* In a fiber: the table that is missing at pos. */
static void job_load(void *arg)
{
	struct job *j = arg;
	int rc = j->m->ops->load(j->m, j->r->offset + j->pos);

	if (rc < 0 && !j->err)
		j->err = rc;
	j->loading = false;
	job_run(j);
}

static void job_start_load(struct job *j)
{
	int rc;

	j->loading = true;
	rc = fiber_start(j->m->node.ctx, job_load, j);
	if (rc < 0) {
		j->loading = false;
		j->err = rc;
	}
}

static void job_read_step(struct job *j)
{
	const struct iovec *iov = j->r->iov + j->iov_at;
	int niov = j->r->niov - j->iov_at, rc;
	struct mapped_piece p;

	rc = map_run(j->m, j->r->offset + j->pos, j->r->len - j->pos, &p);
	if (rc == -EAGAIN) {
		job_start_load(j);
	} else if (rc < 0) {
		j->err = rc;
	} else if (p.kind == MAPPED_ZERO) {
		iov_zero(iov, niov, j->iov_skip, p.len);
		job_advance(j, p.len);
	} else if (p.kind == MAPPED_MEM) {
		iov_from_buf(iov, niov, j->iov_skip, p.mem, p.len);
		job_advance(j, p.len);
	} else {
		part_start(j, &p);
	}
}

/* --- status --- */

/* The layer below was asked about a piece of data: it may be a hole there. */
static void status_done(struct blk_req *q, int err)
{
	struct part *p = q->arg;
	struct blk_extent *x = p->job->r->extent, below = *q->extent;

	free(q->extent);
	if (!err && below.len) {
		x->len = below.len < x->len ? below.len : x->len;
		x->data = below.data;
		x->zero = below.zero;
		x->has_host = below.has_host;
		x->host = below.host;
		x->file = below.file;
	}
	part_end(p, 0); /* the data can be read all the same */
}

static void status_below(struct job *j, const struct mapped_piece *piece)
{
	struct blk_extent *below = calloc(1, sizeof(*below));
	struct part *p = calloc(1, sizeof(*p));

	if (!p || !below) {
		free(p);
		free(below);
		j->err = -ENOMEM;
		return;
	}
	p->job = j;
	j->in_flight++;
	list_init(&p->req.node);
	p->req.op = BLK_STATUS;
	p->req.offset = piece->host;
	p->req.len = piece->len;
	p->req.extent = below;
	p->req.done = status_done;
	p->req.arg = p;
	node_submit(piece->file, &p->req);
}

static void job_status_step(struct job *j)
{
	struct blk_req *r = j->r;
	struct mapped_piece p;
	int rc = map_run(j->m, r->offset, r->len, &p);

	if (rc == -EAGAIN) {
		job_start_load(j);
		return;
	}
	j->pos = r->len; /* whatever it is, this is the end */
	if (rc < 0) {
		j->err = rc;
		return;
	}
	memset(r->extent, 0, sizeof(*r->extent));
	r->extent->len = p.len;
	r->extent->data = p.kind != MAPPED_ZERO;
	r->extent->zero = p.kind == MAPPED_ZERO;
	r->extent->present = p.present;
	r->extent->compressed = p.compressed;
	if (p.kind == MAPPED_DATA) {
		r->extent->has_host = true;
		r->extent->host = p.host;
		r->extent->file = p.file->path;
		status_below(j, &p);
	}
}

/* --- the walk --- */

static bool job_can_step(const struct job *j)
{
	return !j->err && !j->loading && j->in_flight < JOB_PARTS &&
	       j->pos < j->r->len;
}

/* A child may end inside its submit, and comes here while we are here. */
static void job_run(struct job *j)
{
	if (j->running)
		return;
	j->running = true;
	while (job_can_step(j)) {
		if (j->r->op == BLK_STATUS)
			job_status_step(j);
		else
			job_read_step(j);
	}
	j->running = false;
	if (!j->loading && !j->in_flight)
		job_end(j);
}

static void mapped_submit(struct node *n, struct blk_req *r)
{
	struct mapped *m = container_of(n, struct mapped, node);
	struct job *j;

	if (r->op == BLK_FLUSH) {
		node_done(r, 0);
		return;
	}
	if (r->op != BLK_READ && r->op != BLK_STATUS) {
		node_done(r, -EROFS);
		return;
	}
	j = calloc(1, sizeof(*j));
	if (!j) {
		node_done(r, -ENOMEM);
		return;
	}
	j->m = m;
	j->r = r;
	job_run(j);
}

/* --- the rest of a node --- */

static void mapped_info(const struct node *n, struct blk_info *out)
{
	const struct mapped *m = container_of(n, struct mapped, node);

	m->file->ops->info(m->file, out);
	out->size = m->size;
	out->block_size = 512;
	out->phys_size = m->phys_size;
	out->readonly = true;
	out->can_discard = false;
	out->can_write_zeroes = false;
	out->discard_align = 0;
	out->cluster_size = m->cluster_size;
	out->format = m->ops->format;
}

void mapped_fini(struct mapped *m)
{
	free((char *)(uintptr_t)m->node.path);
	m->node.path = NULL;
}

static int mapped_close(struct node *n)
{
	struct mapped *m = container_of(n, struct mapped, node);

	mapped_fini(m);
	m->ops->free(m);
	return 0; /* nothing was written */
}

static const struct node_ops mapped_node_ops = {
	.name = "import",
	.close = mapped_close,
	.submit = mapped_submit,
	.info = mapped_info,
};

int mapped_init(struct mapped *m, const struct mapped_ops *ops,
	struct node *file, struct err *e)
{
	char *path = strdup(file->path ? file->path : "image");

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	m->node.ops = &mapped_node_ops;
	m->node.ctx = file->ctx;
	m->node.log = file->log;
	m->node.path = path;
	m->node.readonly = true;
	m->ops = ops;
	m->file = file;
	fiber_room_init(&m->unpacking);
	if (!m->phys_size)
		m->phys_size = 512;
	return 0;
}

int mapped_damaged(struct mapped *m, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	log_limited(m->node.log, &m->limit, LOG_ERROR,
		"%s: the %s image is damaged: %s", m->node.path, m->ops->format,
		what);
	return -EIO;
}
