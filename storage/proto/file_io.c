/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading, writing and syncing an image's file. A request is a few calls
 * one after the other: the parts of a transfer that came short, a sync at
 * the end; io->next says what to do with a call's result. See file.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/proto/file.h"

#define FILE_RETRIES 16u

static void file_rw_step(struct file_io *io);

/* The ends of a request. */

static struct file_io *file_io_get(struct file *f, struct blk_req *r)
{
	struct list *n = list_pop(&f->spare);
	struct file_io *io;

	io = n ? list_entry(n, struct file_io, node) : malloc(sizeof(*io));
	if (!io)
		return NULL;
	io->f = f;
	io->r = r;
	io->pos = 0;
	io->had = f->size;
	io->bounce = NULL;
	io->iov = NULL;
	io->retries = 0;
	io->in_order = false;
	list_init(&io->node);
	return io;
}

static void file_io_put(struct file_io *io)
{
	free(io->bounce);
	free(io->iov);
	list_add_head(&io->f->spare, &io->node);
}

void file_io_fini(struct file *f)
{
	struct list *n;

	while ((n = list_pop(&f->spare)))
		free(list_entry(n, struct file_io, node));
	if (f->zeros)
		munmap(f->zeros, FILE_STEP_MAX);
}

int file_map_err(int64_t res)
{
	switch (res) {
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	case -EROFS:
		return -EROFS;
	}
	return -EIO;
}

static bool file_changes(enum blk_op op)
{
	return op == BLK_WRITE || op == BLK_WRITE_ZEROES || op == BLK_DISCARD;
}

void file_io_end(struct file_io *io, int err)
{
	struct blk_req *r = io->r;

	if (file_changes(r->op))
		file_status_forget(io->f);
	if (io->in_order)
		file_order_leave(io);
	file_io_put(io);
	node_done(r, err);
}

void file_io_fail(struct file_io *io, int64_t res)
{
	static const char *const what[] = { "read", "write", "flush", "discard",
		"zeroing", "status" };
	struct file *f = io->f;

	log_limited(f->node.log, &f->limit, LOG_ERROR,
		"%s: %s of %llu bytes at %llu: %s", f->path, what[io->r->op],
		(unsigned long long)io->r->len,
		(unsigned long long)io->r->offset, strerror((int)-res));
	file_io_end(io, file_map_err(res));
}

void file_grew(struct file *f, uint64_t end)
{
	if (end > f->size && f->is_format)
		f->size = end;
}

/* One system call, or a few on a worker thread. */

static void file_called(struct aio_req *q)
{
	struct file_io *io = container_of(q, struct file_io, q);
	struct aio *aio = io->f->aio;

	if ((q->res == -EINTR || q->res == -EAGAIN) &&
		io->retries++ < FILE_RETRIES)
		aio->ops->submit(aio, q);
	else
		io->next(io, q->res);
}

void file_call(struct file_io *io, enum aio_op op, uint64_t offset,
	uint64_t len, void (*next)(struct file_io *io, int64_t res))
{
	io->q.op = op;
	io->q.offset = offset;
	io->q.len = len;
	io->q.done = file_called;
	io->next = next;
	io->f->aio->ops->submit(io->f->aio, &io->q);
}

static void file_worker(struct ctx_work *w)
{
	struct file_io *io = container_of(w, struct file_io, work);

	io->job_res = io->job(io);
}

static void file_worked(struct ctx_work *w)
{
	struct file_io *io = container_of(w, struct file_io, work);

	io->next(io, io->job_res);
}

void file_work(struct file_io *io, int64_t (*job)(struct file_io *io),
	void (*next)(struct file_io *io, int64_t res))
{
	io->job = job;
	io->next = next;
	io->work.run = file_worker;
	io->work.done = file_worked;
	ctx_work_submit(io->f->node.ctx, &io->work);
}

/* Flush. */

/*
 * After a failed sync the kernel forgets which pages were not written and
 * the next sync would succeed: never say again that data is safe. Direct
 * I/O leaves no pages behind, but for the end that goes by tail_fd.
 */
static void file_synced(struct file_io *io, int64_t res)
{
	struct file *f = io->f;

	if (!res) {
		file_io_end(io, 0);
		return;
	}
	if ((!f->direct || f->tail_fd >= 0) && !f->lost) {
		f->lost = file_map_err(res);
		log_msg(f->node.log, LOG_ERROR,
			"%s: data written before is lost (%s): all flushes "
			"fail until it is opened anew",
			f->path, strerror((int)-res));
	}
	file_io_fail(io, res);
}

static void file_sync(struct file_io *io)
{
	if (io->f->unsafe)
		file_io_end(io, 0);
	else if (io->f->lost)
		file_io_end(io, io->f->lost);
	else
		file_call(io, AIO_SYNC, 0, 0, file_synced);
}

void file_io_written(struct file_io *io)
{
	if (io->f->write_through || (io->r->flags & BLK_FUA))
		file_sync(io);
	else
		file_io_end(io, 0);
}

/* Read and write. */

/*
 * The file ends within what is read: a format reads on, or it shrank, and then
 * what is gone must not pass for zeros. A write that ended meanwhile may have
 * made the file longer than it was when this read saw its end.
 */
void file_read_eof(struct file_io *io)
{
	const struct blk_req *r = io->r;
	struct file *f = io->f;
	unsigned long long at = r->offset + io->pos;
	/* less than a block: it never had it, see file_round() */
	bool lost = at + FILE_BLOCK <= io->had;

	if (lost && !f->told_short) {
		f->told_short = true;
		log_msg(f->node.log, LOG_WARN,
			"%s: the file has become shorter: byte %llu of %llu is "
			"gone, and reads of what it lost fail",
			f->path, at, (unsigned long long)io->had);
	}
	if (lost) {
		file_io_end(io, -EIO);
		return;
	}
	iov_zero(r->iov, r->niov, io->pos, r->len - io->pos);
	file_io_end(io, 0);
}

static void file_written(struct file_io *io, int64_t res)
{
	const struct blk_req *r = io->r;
	struct file *f = io->f;

	if (res > 0 && f->direct)
		res = (int64_t)size_down((uint64_t)res, f->align);
	if (res <= 0) {
		file_io_fail(io, res ? res : -EIO);
		return;
	}
	io->pos += (uint64_t)res;
	file_grew(f, r->offset + io->pos);
	if (io->pos < r->len)
		file_rw_step(io);
	else
		file_io_written(io);
}

static void file_was_read(struct file_io *io, int64_t res)
{
	const struct file *f = io->f;

	if (res < 0) {
		file_io_fail(io, res);
		return;
	}
	io->pos += (uint64_t)res;
	if (io->pos >= io->r->len)
		file_io_end(io, 0);
	else if (!res || (f->direct && ((uint64_t)res & (f->align - 1))))
		file_read_eof(io);
	else
		file_rw_step(io);
}

/* Point q's iovec at what is left of r. */
static bool file_rest(struct file_io *io)
{
	const struct blk_req *r = io->r;

	io->q.iov = r->iov;
	io->q.niov = r->niov;
	if (!io->pos)
		return true;
	if (!io->iov)
		io->iov = calloc((size_t)r->niov, sizeof(*io->iov));
	if (!io->iov)
		return false;
	io->q.iov = io->iov;
	io->q.niov =
		iov_part(r->iov, r->niov, io->pos, r->len - io->pos, io->iov);
	return true;
}

static bool file_must_bounce(const struct file *f, const struct blk_req *r)
{
	return f->direct &&
	       (file_is_partial(f, r->offset, r->len) ||
		       !iov_aligned(r->iov, r->niov, f->mem_align, f->align));
}

static void file_rw_step(struct file_io *io)
{
	const struct blk_req *r = io->r;

	if (file_must_bounce(io->f, r))
		file_part_step(io);
	else if (!file_rest(io))
		file_io_fail(io, -ENOMEM);
	else if (r->op == BLK_READ)
		file_call(io, AIO_READ, r->offset + io->pos, r->len - io->pos,
			file_was_read);
	else
		file_call(io, AIO_WRITE, r->offset + io->pos, r->len - io->pos,
			file_written);
}

void file_start(struct file_io *io)
{
	switch (io->r->op) {
	case BLK_DISCARD:
		file_discard(io);
		break;
	case BLK_WRITE_ZEROES:
		file_zero(io);
		break;
	default:
		file_rw_step(io);
	}
}

void file_submit(struct node *n, struct blk_req *r)
{
	struct file *f = container_of(n, struct file, node);
	struct file_io *io = file_io_get(f, r);

	if (!io) {
		node_done(r, -EIO);
		return;
	}
	if (r->op == BLK_FLUSH)
		file_sync(io);
	else if (r->op == BLK_STATUS)
		file_status(io);
	else if (!r->len)
		file_io_end(io, 0);
	else if (r->op == BLK_READ || !f->ordered || file_order_enter(io))
		file_start(io);
}
