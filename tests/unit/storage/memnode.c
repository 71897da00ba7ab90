/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See memnode.h. The bytes lie in one private mapping that reserves the most
 * there may be, so that they never move; what is behind the size is zero.
 */
#include "tests/unit/storage/memnode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/core/ctx.h"

struct memfail {
	bool on, once;
	unsigned left; /* that still work */
	int err;
};

struct memnode {
	struct node node;
	char *path;
	uint8_t *bytes;
	uint64_t size, max;
	struct memfail fail[BLK_OPS];
	int fail_resize;
	uint64_t count[BLK_OPS];
	int (*watch)(void *arg, const struct blk_req *r);
	void *watch_arg;
	bool hold, closed;
	bool async;
	struct ctx_call call;
	struct list waiting; /* blk_req.node; u64 of priv[5] is the result */
};

static struct memnode *memnode_of(const struct node *n)
{
	return container_of(n, struct memnode, node);
}

static void die(const char *what)
{
	perror(what);
	abort();
}

/* --- requests ------------------------------------------------------------- */

static void mem_zero(struct memnode *m, uint64_t off, uint64_t len)
{
	uint64_t first = size_up(off, 4096), last = size_down(off + len, 4096);

	if (last <= first) {
		memset(m->bytes + off, 0, len);
		return;
	}
	memset(m->bytes + off, 0, first - off);
	if (madvise(m->bytes + first, last - first, MADV_DONTNEED) < 0)
		memset(m->bytes + first, 0, last - first);
	memset(m->bytes + last, 0, off + len - last);
}

static void mem_set_size(struct memnode *m, uint64_t size)
{
	if (size < m->size)
		mem_zero(m, size, m->size - size);
	m->size = size;
}

static int mem_grow(struct memnode *m, uint64_t end)
{
	if (end > m->max)
		return -ENOSPC;
	if (end > MEMNODE_MAX)
		return -EFBIG;
	if (end > m->size)
		m->size = end;
	return 0;
}

static void mem_read(struct memnode *m, const struct blk_req *r)
{
	uint64_t off = r->offset;

	for (int i = 0; i < r->niov; i++) {
		uint64_t len = r->iov[i].iov_len, have;

		have = off < m->size ? m->size - off : 0;
		if (have > len)
			have = len;
		if (have)
			memcpy(r->iov[i].iov_base, m->bytes + off, have);
		if (len > have)
			memset((char *)r->iov[i].iov_base + have, 0,
				len - have);
		off += len;
	}
}

static int mem_write(struct memnode *m, const struct blk_req *r)
{
	uint64_t off = r->offset, end;
	int rc;

	if (!size_add(off, r->len, &end))
		return -EINVAL;
	rc = mem_grow(m, end);
	if (rc < 0)
		return rc;
	for (int i = 0; i < r->niov; i++) {
		if (r->iov[i].iov_len)
			memcpy(m->bytes + off, r->iov[i].iov_base,
				r->iov[i].iov_len);
		off += r->iov[i].iov_len;
	}
	return 0;
}

/* Discards do not make the file longer, writes of zeros do. */
static int mem_clear(struct memnode *m, const struct blk_req *r)
{
	uint64_t end;
	int rc = 0;

	if (!size_add(r->offset, r->len, &end))
		return -EINVAL;
	if (r->op == BLK_WRITE_ZEROES)
		rc = mem_grow(m, end);
	if (rc < 0)
		return rc;
	if (end > m->size)
		end = m->size;
	if (r->offset < end)
		mem_zero(m, r->offset, end - r->offset);
	return 0;
}

static int mem_status(struct memnode *m, const struct blk_req *r)
{
	struct blk_extent *x = r->extent;

	memset(x, 0, sizeof(*x));
	x->len = r->len;
	if (r->offset >= m->size) {
		x->zero = true;
		return 0;
	}
	if (x->len > m->size - r->offset)
		x->len = m->size - r->offset;
	x->data = x->present = x->has_host = true;
	x->host = r->offset;
	x->file = m->path;
	return 0;
}

static int mem_injected(struct memnode *m, const struct blk_req *r)
{
	struct memfail *f = &m->fail[r->op];

	if (m->watch) {
		int rc = m->watch(m->watch_arg, r);

		if (rc < 0)
			return rc;
	}
	if (!f->on)
		return 0;
	if (f->left) {
		f->left--;
		return 0;
	}
	if (f->once)
		f->on = false;
	return -f->err;
}

static int mem_do(struct memnode *m, const struct blk_req *r)
{
	int rc = mem_injected(m, r);

	if (rc < 0)
		return rc;
	switch (r->op) {
	case BLK_READ:
		mem_read(m, r);
		return 0;
	case BLK_WRITE:
		return mem_write(m, r);
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
		return mem_clear(m, r);
	case BLK_STATUS:
		return mem_status(m, r);
	case BLK_FLUSH:
		return 0;
	}
	return -EINVAL;
}

static void mem_finish_waiting(void *arg)
{
	struct memnode *m = arg;
	struct list *l = list_pop(&m->waiting);
	struct blk_req *r = list_entry(l, struct blk_req, node);

	if (!list_empty(&m->waiting))
		ctx_call_schedule(&m->call);
	node_done(r, (int)(int64_t)r->priv[5].u64);
}

static void mem_submit(struct node *n, struct blk_req *r)
{
	struct memnode *m = memnode_of(n);
	int rc = mem_do(m, r);

	m->count[r->op]++;
	if (!m->async) {
		node_done(r, rc);
		return;
	}
	r->priv[5].u64 = (uint64_t)(int64_t)rc;
	list_add_tail(&m->waiting, &r->node);
	ctx_call_schedule(&m->call);
}

static int mem_close(struct node *n)
{
	struct memnode *m = memnode_of(n);

	m->closed = true;
	if (!m->hold)
		memnode_free(n);
	return 0;
}

static void mem_info(const struct node *n, struct blk_info *out)
{
	memset(out, 0, sizeof(*out));
	out->size = memnode_of(n)->size;
	out->block_size = 512;
	out->phys_size = 4096;
	out->readonly = n->readonly;
	out->can_discard = out->can_write_zeroes = true;
	out->discard_align = 512;
	out->format = "mem";
	out->aio = "memory";
}

static int mem_resize(struct node *n, uint64_t size, enum node_prealloc how,
	struct err *e)
{
	struct memnode *m = memnode_of(n);

	(void)how;
	if (m->fail_resize)
		return err_sys(e, m->fail_resize, "%s: cannot resize", m->path);
	if (size > m->max || size > MEMNODE_MAX)
		return err_set(e, ENOSPC, "%s: no room", m->path);
	mem_set_size(m, size);
	return 0;
}

static const struct node_ops mem_ops = {
	.name = "mem",
	.close = mem_close,
	.submit = mem_submit,
	.info = mem_info,
	.resize = mem_resize,
};

/* --- for tests ------------------------------------------------------------ */

struct node *memnode_new(struct ctx *c, const char *name, uint64_t size)
{
	struct memnode *m = calloc(1, sizeof(*m));

	if (!m || size > MEMNODE_MAX)
		die("memnode");
	m->path = strdup(name);
	m->bytes = mmap(NULL, MEMNODE_MAX, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!m->path || m->bytes == MAP_FAILED)
		die("memnode");
	m->size = size;
	m->max = UINT64_MAX;
	m->node.ops = &mem_ops;
	m->node.ctx = c;
	m->node.path = m->path;
	list_init(&m->waiting);
	ctx_call_init(&m->call, c, mem_finish_waiting, m);
	return &m->node;
}

struct node *memnode_new_from(struct ctx *c, const char *name,
	const void *bytes, uint64_t size)
{
	struct node *n = memnode_new(c, name, size);

	if (size)
		memcpy(memnode_of(n)->bytes, bytes, size);
	return n;
}

void memnode_hold(struct node *n)
{
	memnode_of(n)->hold = true;
	memnode_of(n)->closed = false;
}

void memnode_free(struct node *n)
{
	struct memnode *m = memnode_of(n);

	munmap(m->bytes, MEMNODE_MAX);
	free(m->path);
	free(m);
}

bool memnode_is_closed(const struct node *n)
{
	return memnode_of(n)->closed;
}

uint8_t *memnode_bytes(struct node *n, uint64_t *size)
{
	if (size)
		*size = memnode_of(n)->size;
	return memnode_of(n)->bytes;
}

void memnode_save(struct node *n, const char *path)
{
	static const uint8_t zeros[4096];
	struct memnode *m = memnode_of(n);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)m->size) < 0)
		die(path);
	for (uint64_t off = 0; off < m->size; off += sizeof(zeros)) {
		uint64_t len = m->size - off;

		if (len > sizeof(zeros))
			len = sizeof(zeros);
		if (!memcmp(m->bytes + off, zeros, len))
			continue;
		if (pwrite(fd, m->bytes + off, len, (off_t)off) != (ssize_t)len)
			die(path);
	}
	close(fd);
}

void memnode_fail(struct node *n, enum blk_op op, unsigned after_n, int err)
{
	memnode_of(n)->fail[op] =
		(struct memfail){ .on = err != 0, .left = after_n, .err = err };
}

void memnode_fail_once(struct node *n, enum blk_op op, unsigned after_n,
	int err)
{
	memnode_fail(n, op, after_n, err);
	memnode_of(n)->fail[op].once = true;
}

void memnode_fail_resize(struct node *n, int err)
{
	memnode_of(n)->fail_resize = err;
}

void memnode_limit(struct node *n, uint64_t max)
{
	memnode_of(n)->max = max;
}

void memnode_watch(struct node *n, int (*fn)(void *arg, const struct blk_req *),
	void *arg)
{
	memnode_of(n)->watch = fn;
	memnode_of(n)->watch_arg = arg;
}

void memnode_set_async(struct node *n, bool async)
{
	memnode_of(n)->async = async;
}

uint64_t memnode_count(const struct node *n, enum blk_op op)
{
	return memnode_of(n)->count[op];
}
