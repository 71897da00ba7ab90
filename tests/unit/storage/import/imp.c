/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See imp.h. */
#include "tests/unit/storage/import/imp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#define DEPTH  16
#define IOVECS 5

bool imp_async;

/* --- files --- */

void imp_raw(const char *name, uint64_t size, unsigned seed)
{
	static uint8_t buf[1 << 20];
	int fd = open(rig_path(name), O_CREAT | O_TRUNC | O_RDWR, 0600);
	uint64_t at = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	srandom(seed);
	while (at < size) {
		uint64_t len = UINT64_C(512) << random() % 12;
		long kind = random() % 100;

		if (random() % 4 == 0)
			len = (uint64_t)(1 + random() % 1000) * 512;
		if (random() % 20 == 0) { /* more than one block */
			at += (uint64_t)(1 + random() % 3) * MiB;
			continue;
		}
		len = len < size - at ? len : size - at;
		for (uint64_t i = 0; i < len; i++)
			buf[i] = kind < 25   ? (uint8_t)random()
				 : kind < 35 ? (uint8_t)(1 + kind)
					     : 0;
		if (kind < 40)
			ck_assert_int_eq(pwrite(fd, buf, len, (off_t)at),
				(ssize_t)len);
		at += len;
	}
	close(fd);
}

uint8_t *imp_slurp(const char *name, uint64_t *size)
{
	int fd = open(rig_path(name), O_RDONLY);
	struct stat st;
	uint8_t *buf;

	ck_assert_msg(fd >= 0, "no file %s", name);
	ck_assert_int_eq(fstat(fd, &st), 0);
	*size = (uint64_t)st.st_size;
	buf = malloc(*size + 1);
	ck_assert_ptr_nonnull(buf);
	ck_assert_int_eq(pread(fd, buf, *size, 0), st.st_size);
	close(fd);
	return buf;
}

void imp_convert(const char *raw, const char *format, const char *options,
	const char *name)
{
	ck_assert_int_eq(rig_sh("qemu-img convert -f raw -O %s %s%s %s %s",
				 format, *options ? "-o " : "", options,
				 rig_path(raw), rig_path(name)),
		0);
}

struct node *imp_load(const char *name)
{
	uint64_t size;
	uint8_t *buf = imp_slurp(name, &size);
	struct node *n = memnode_new_from(rig_ctx(), name, buf, size);

	free(buf);
	memnode_set_async(n, imp_async);
	n->readonly = true;
	return n;
}

/* --- open and close --- */

static int load_extent(void *arg, const char *name, struct node **out,
	struct err *e)
{
	(void)arg;
	if (access(rig_path(name), R_OK) < 0)
		return err_sys(e, errno, "%s: cannot open", name);
	*out = imp_load(name);
	return 0;
}

struct opening {
	enum blk_format format;
	struct node *file, **out;
	struct err *e;
};

static int open_run(void *arg)
{
	struct opening *o = arg;
	const struct import_open io = { .file = o->file,
		.open_extent = load_extent };
	int rc;

	if (o->format == BLK_VMDK)
		rc = vmdk_open(&io, o->out, o->e);
	else if (o->format == BLK_VDI)
		rc = vdi_open(&io, o->out, o->e);
	else
		rc = vhdx_open(&io, o->out, o->e);
	if (rc < 0)
		node_close(o->file);
	return rc;
}

int imp_try(enum blk_format format, struct node *file, struct node **out,
	struct err *e)
{
	struct opening o = { format, file, out, e };

	*e = (struct err)ERR_NONE;
	return rig_run(open_run, &o);
}

struct node *imp_open(enum blk_format format, struct node *file)
{
	struct node *n = NULL;
	struct err e = ERR_NONE;
	int rc = imp_try(format, file, &n, &e);

	ck_assert_msg(rc == 0, "open: %s", e.msg);
	return n;
}

static int close_run(void *arg)
{
	return node_close(arg);
}

void imp_close(struct node *n)
{
	ck_assert_int_eq(rig_run(close_run, n), 0);
}

void imp_fails(enum blk_format format, struct node *file, int code,
	const char *has)
{
	struct node *n = NULL;
	struct err e = ERR_NONE;

	ck_assert_int_eq(imp_try(format, file, &n, &e), -code);
	ck_assert_err(e, code, has);
}

void imp_fields_fail(enum blk_format format,
	struct node *(*make)(uint8_t **bytes), const struct imp_field *f,
	size_t n)
{
	for (; n--; f++) {
		uint8_t *b;
		struct node *file = make(&b);

		put_le(b + f->at, f->v, f->width);
		imp_fails(format, file, f->code, f->has);
	}
}

/* --- requests --- */

struct shot {
	struct blk_req r;
	struct iovec iov[IOVECS];
	struct blk_extent x;
	uint8_t *buf;
	int calls, err;
};

static void shot_done(struct blk_req *r, int err)
{
	struct shot *s = container_of(r, struct shot, r);

	s->calls++;
	s->err = err;
}

static void shot_init(struct shot *s, enum blk_op op, uint64_t offset,
	uint64_t len)
{
	memset(&s->r, 0, sizeof(s->r));
	list_init(&s->r.node);
	s->r.op = op;
	s->r.offset = offset;
	s->r.len = len;
	s->r.iov = s->iov;
	s->r.done = shot_done;
	s->r.extent = &s->x;
	s->calls = 0;
}

static int shot_wait(struct shot *s)
{
	while (!s->calls)
		ctx_wait(rig_ctx());
	ck_assert_int_eq(s->calls, 1);
	return s->err;
}

int imp_rw(struct node *n, enum blk_op op, uint64_t offset, void *buf,
	uint64_t len)
{
	struct shot s = { 0 };

	shot_init(&s, op, offset, len);
	s.iov[0].iov_base = buf;
	s.iov[0].iov_len = len;
	s.r.niov = 1;
	node_submit(n, &s.r);
	return shot_wait(&s);
}

int imp_status(struct node *n, uint64_t offset, uint64_t len,
	struct blk_extent *x)
{
	struct shot s = { 0 };
	int rc;

	shot_init(&s, BLK_STATUS, offset, len);
	node_submit(n, &s.r);
	rc = shot_wait(&s);
	*x = s.x;
	return rc;
}

/* --- comparing --- */

/* A read of [offset, offset + len) into pieces of s->buf. */
static void shot_read(struct node *n, struct shot *s, uint64_t offset,
	uint64_t len)
{
	uint64_t left = len;
	uint8_t *at = s->buf;

	shot_init(s, BLK_READ, offset, len);
	memset(s->buf, 0xa5, len);
	for (int i = 0; i < IOVECS; i++) {
		uint64_t piece = left;

		if (i < IOVECS - 1 && left)
			piece = (uint64_t)random() % (left + 1);
		s->iov[i].iov_base = at;
		s->iov[i].iov_len = piece;
		at += piece;
		left -= piece;
	}
	s->r.niov = IOVECS;
	node_submit(n, &s->r);
}

static void shot_check(struct shot *s, const uint8_t *raw)
{
	if (!s->r.done)
		return;
	ck_assert_int_eq(shot_wait(s), 0);
	for (uint64_t i = 0; i < s->r.len; i++)
		if (s->buf[i] != raw[s->r.offset + i])
			ck_abort_msg("byte %llu is %02x, not %02x",
				(unsigned long long)(s->r.offset + i),
				s->buf[i], raw[s->r.offset + i]);
	s->r.done = NULL;
}

static void read_all(struct node *n, const uint8_t *raw, uint64_t size)
{
	static struct shot shots[DEPTH];
	const uint64_t most = 300 * 1024;
	uint64_t at = 0;

	for (int i = 0; i < DEPTH; i++)
		shots[i].buf = malloc(most);
	for (int i = 0; at < size || i % DEPTH; i++) {
		struct shot *s = &shots[i % DEPTH];
		uint64_t len = most < size - at ? most : size - at;

		shot_check(s, raw);
		if (len)
			shot_read(n, s, at, len);
		at += len;
	}
	for (int i = 0; i < 1000 && size; i++) {
		struct shot *s = &shots[i % DEPTH];
		uint64_t sectors = size / 512, first, len;

		first = (uint64_t)random() % sectors;
		len = 1 + (uint64_t)random() % (i % 3 ? 16 : 500);
		len = len < sectors - first ? len : sectors - first;
		shot_check(s, raw);
		shot_read(n, s, first * 512, len * 512);
	}
	for (int i = 0; i < DEPTH; i++) {
		shot_check(&shots[i], raw);
		free(shots[i].buf);
	}
}

static uint64_t status_all(struct node *n, const uint8_t *raw, uint64_t size)
{
	uint64_t at = 0, zeros = 0;

	while (at < size) {
		struct blk_extent x;

		ck_assert_int_eq(imp_status(n, at, size - at, &x), 0);
		ck_assert(x.len > 0 && x.len <= size - at);
		ck_assert(x.zero || x.data);
		for (uint64_t i = 0; x.zero && i < x.len; i++)
			if (raw[at + i]) /* an assert a byte takes minutes */
				ck_abort_msg("not zero at %llu",
					(unsigned long long)(at + i));
		zeros += x.zero ? x.len : 0;
		at += x.len;
	}
	return zeros;
}

uint64_t imp_same(struct node *n, const char *raw)
{
	uint64_t size, zeros;
	uint8_t *want = imp_slurp(raw, &size);

	ck_assert_uint_eq(node_size(n), size);
	read_all(n, want, size);
	zeros = status_all(n, want, size);
	free(want);
	return zeros;
}

uint64_t imp_round_trip(enum blk_format format, const char *name,
	const char *options, uint64_t size)
{
	char image[16];
	struct node *n;
	uint64_t zeros;

	snprintf(image, sizeof(image), "a.%s", name);
	imp_raw("raw", size, (unsigned)size);
	imp_convert("raw", name, options, image);
	n = imp_open(format, imp_load(image));
	zeros = imp_same(n, "raw");
	imp_close(n);
	return zeros;
}
