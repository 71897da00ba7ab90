/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See qtest.h. */
#include "tests/unit/storage/qcow2/qtest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#define MEMS 256

struct ctx *qt_ctx;
struct log *qt_log;
static struct node *mems[MEMS];
static unsigned nmems;

/* --- around each test ----------------------------------------------------- */

static void qt_setup(void)
{
	struct err e = ERR_NONE;

	rig_setup();
	ck_assert_int_eq(ctx_get(rig_loop, &qt_ctx, &e), 0);
	ck_assert_int_eq(log_open(rig_path("log"), &qt_log, &e), 0);
}

static void qt_teardown(void)
{
	while (nmems)
		memnode_free(mems[--nmems]);
	ctx_put(qt_ctx);
	log_close(qt_log);
	rig_teardown();
}

int qt_main(const char *name, const TTest **tests, size_t n)
{
	return suite_run_with(name, tests, n, 120, qt_setup, qt_teardown);
}

/* --- nodes ---------------------------------------------------------------- */

static struct node *keep(struct node *n)
{
	ck_assert_uint_lt(nmems, MEMS);
	memnode_hold(n);
	n->log = qt_log;
	mems[nmems++] = n;
	return n;
}

struct node *qt_mem(void)
{
	return keep(memnode_new(qt_ctx, "mem.qcow2", 0));
}

struct node *qt_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct node *n;
	struct stat st;
	uint64_t at = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	n = keep(memnode_new(qt_ctx, path, (uint64_t)st.st_size));
	/* holes are left out */
	for (;;) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		off_t end = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		uint8_t *to = memnode_bytes(n, NULL);

		if (data < 0 || end < 0)
			break;
		ck_assert_int_eq(pread(fd, to + data, (size_t)(end - data),
					 data),
			end - data);
		at = (uint64_t)end;
	}
	close(fd);
	return n;
}

/* --- calls ---------------------------------------------------------------- */

struct call {
	struct node *n, *data, *out;
	const struct qcow2_create *create;
	const struct qcow2_opts *opts;
	struct err *e;
	enum blk_op op;
	unsigned flags;
	uint64_t off, len;
	void *buf;
	struct blk_extent *x;
};

int qt_run(int (*fn)(void *arg), void *arg)
{
	return ctx_run(qt_ctx, fn, arg);
}

static int create_fn(void *arg)
{
	struct call *c = arg;

	return qcow2_create(c->n, c->data, c->create, c->e);
}

int qt_create(struct node *file, struct node *data,
	const struct qcow2_create *o, struct err *e)
{
	struct call c = { .n = file, .data = data, .create = o, .e = e };

	return qt_run(create_fn, &c);
}

struct node *qt_new(const struct qcow2_create *o)
{
	struct node *n = qt_mem();
	struct err e = ERR_NONE;
	int rc = qt_create(n, NULL, o, &e);

	ck_assert_msg(rc == 0, "%s", e.msg);
	return n;
}

static int open_fn(void *arg)
{
	struct call *c = arg;
	int rc = qcow2_open(c->n, c->opts, &c->out, c->e);

	if (rc < 0)
		return rc;
	if (c->data)
		qcow2_set_data(c->out, c->data);
	rc = qcow2_activate(c->out, c->e);
	if (rc < 0)
		node_close(c->out);
	return rc;
}

int qt_open(struct node *file, const struct qcow2_opts *o, struct node **out,
	struct err *e)
{
	struct call c = { .n = file, .opts = o, .e = e };
	int rc;

	memnode_hold(file);
	rc = qt_run(open_fn, &c);
	*out = rc ? NULL : c.out;
	return rc;
}

struct node *qt_opened(struct node *file)
{
	struct qcow2_opts o = { 0 };
	struct err e = ERR_NONE;
	struct node *n;
	int rc = qt_open(file, &o, &n, &e);

	ck_assert_msg(rc == 0, "%s", e.msg);
	return n;
}

static int close_fn(void *arg)
{
	return node_close(arg);
}

int qt_close(struct node *n)
{
	return qt_run(close_fn, n);
}

static int io_fn(void *arg)
{
	struct call *c = arg;

	switch (c->op) {
	case BLK_READ:
		return node_read(c->n, c->off, c->buf, c->len);
	case BLK_WRITE:
		return node_write(c->n, c->off, c->buf, c->len, c->flags);
	case BLK_FLUSH:
		return node_flush(c->n);
	case BLK_DISCARD:
		return node_discard(c->n, c->off, c->len);
	case BLK_WRITE_ZEROES:
		return node_zero(c->n, c->off, c->len, c->flags);
	case BLK_STATUS:
		return node_status(c->n, c->off, c->len, c->flags, c->x);
	}
	return -EINVAL;
}

int qt_io(struct node *n, enum blk_op op, unsigned flags, uint64_t off,
	void *buf, uint64_t len)
{
	struct call c = { .n = n,
		.op = op,
		.flags = flags,
		.off = off,
		.len = len,
		.buf = buf };

	return qt_run(io_fn, &c);
}

int qt_status(struct node *n, unsigned flags, uint64_t off, uint64_t len,
	struct blk_extent *x)
{
	struct call c = { .n = n,
		.op = BLK_STATUS,
		.flags = flags,
		.off = off,
		.len = len,
		.x = x };

	return qt_run(io_fn, &c);
}

/* --- bytes ---------------------------------------------------------------- */

static uint8_t byte_of(unsigned *state)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint8_t)(*state >> 24);
}

void qt_fill(void *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = byte_of(&seed);
}

bool qt_is_filled(const void *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		if (((const uint8_t *)buf)[i] != byte_of(&seed))
			return false;
	return true;
}

bool qt_is_zero(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

/* --- qemu-img ------------------------------------------------------------- */

static int sh(const char *fmt, va_list ap, char *cmd, size_t size)
{
	int n = snprintf(cmd, size, "cd '%s' && ", rig_dir), rc;

	n += vsnprintf(cmd + n, size - (size_t)n, fmt, ap);
	ck_assert_uint_lt((size_t)n, size);
	rc = system(cmd);
	ck_assert(WIFEXITED(rc));
	return WEXITSTATUS(rc);
}

int qt_sh(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = sh(fmt, ap, cmd, sizeof(cmd));
	va_end(ap);
	return rc;
}

void qt_sh_ok(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = sh(fmt, ap, cmd, sizeof(cmd));
	va_end(ap);
	ck_assert_msg(rc == 0, "%s: exit status %d", cmd, rc);
}

void qt_check_file(const char *path)
{
	qt_sh_ok("qemu-img check -q -f qcow2 '%s' 2>&1", path);
}

void qt_check(struct node *file)
{
	const char *path = rig_path("check.qcow2");

	memnode_save(file, path);
	qt_check_file(path);
}

json_t *qt_info(const char *path)
{
	json_error_t bad;
	json_t *root;

	qt_sh_ok("qemu-img info --output=json '%s' >info.json", path);
	root = json_load_file(rig_path("info.json"), 0, &bad);
	ck_assert_msg(root != NULL, "%s", bad.text);
	return root;
}
