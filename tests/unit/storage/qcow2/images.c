/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See images.h. */
#include "tests/unit/storage/qcow2/images.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/proto/proto.h"

#include "tests/unit/storage/memnode.h"
#include "tests/unit/storage/rig.h"

struct ctx *images_ctx;
static struct log *images_log;

void images_begin(void)
{
	struct err e = ERR_NONE;

	ck_assert_int_eq(ctx_get(rig_loop, &images_ctx, &e), 0);
	ck_assert_int_eq(log_open(rig_path("log"), &images_log, &e), 0);
}

void images_end(void)
{
	ctx_put(images_ctx);
	log_close(images_log);
}

void images_run(int (*fn)(void *arg), void *arg)
{
	ck_assert_int_eq(ctx_run(images_ctx, fn, arg), 0);
}

void images_sh(const char *fmt, ...)
{
	char cmd[16384];
	va_list ap;
	int n = snprintf(cmd, sizeof(cmd), "cd %s && ", rig_dir);

	va_start(ap, fmt);
	n += vsnprintf(cmd + n, sizeof(cmd) - (size_t)n, fmt, ap);
	va_end(ap);
	ck_assert_int_lt(n, (int)sizeof(cmd));
	ck_assert_msg(system(cmd) == 0, "%s", cmd);
}

static uint64_t images_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

uint64_t images_dice(uint64_t *seed, uint64_t below)
{
	return images_next(seed) % below;
}

void images_random(uint64_t *seed, void *buf, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		((uint8_t *)buf)[i] = (uint8_t)(images_next(seed) >> 32);
}

void images_create(const char *name, const char *options, uint64_t size)
{
	images_sh("qemu-img create -q -f qcow2 %s%s %s %llu",
		*options ? "-o " : "", options, name, (unsigned long long)size);
}

static void images_change(FILE *f, uint64_t size, uint64_t max, uint64_t *seed)
{
	uint64_t at = images_dice(seed, size / 512) * 512;
	uint64_t len = (1 + images_dice(seed, max / 512)) * 512;
	unsigned what = (unsigned)images_dice(seed, 16);
	const char *how = what >= 13   ? "write -z"
			  : what == 12 ? "write -z -u"
			  : what == 11 ? "discard"
				       : "write -s random";

	if (len > size - at)
		len = size - at;
	fprintf(f, "%s %llu %llu\n", how, (unsigned long long)at,
		(unsigned long long)len);
}

/*
 * Compressed writes all over the disk. QEMU 7.2 damages what it has written
 * when they hit each other, or come after discards: so one after the other,
 * and first.
 */
static void images_compress(FILE *f, uint64_t size, uint32_t cluster,
	uint64_t max, uint64_t *seed)
{
	uint64_t at = 0, len;

	for (; at < size; at += len + cluster * images_dice(seed, 4)) {
		len = size_up(1 + images_dice(seed, max), cluster);
		if (len > size - at)
			len = size - at;
		fprintf(f, "write -c %s %llu %llu\n",
			images_dice(seed, 3) ? "-P 165" : "-s random",
			(unsigned long long)at, (unsigned long long)len);
	}
}

void images_scribble(const char *name, uint64_t size, uint32_t cluster,
	uint64_t max, unsigned n, uint64_t *seed)
{
	uint8_t *buf = malloc(MiB);
	FILE *f = fopen(rig_path("changes"), "w");

	ck_assert_ptr_nonnull(buf);
	images_random(seed, buf, MiB);
	rig_file("random", MiB);
	rig_write_file(rig_path("random"), 0, buf, MiB);
	free(buf);
	ck_assert_ptr_nonnull(f);
	if (cluster)
		images_compress(f, size, cluster, max, seed);
	for (unsigned i = 0; i < n; i++)
		images_change(f, size, max, seed);
	fclose(f);
	images_sh("{ qemu-io -t unsafe -d unmap -f qcow2 %s <changes >said "
		  "2>&1;"
		  " ! grep -i corrupt said; }",
		name);
}

void images_try(int (*fn)(void *arg), const char *options, uint64_t size,
	uint32_t cluster, uint64_t max, uint64_t seed)
{
	static char name[] = "image";

	seed += size;
	images_begin();
	images_create(name, options, size);
	images_scribble(name, size, cluster, max, 120, &seed);
	images_run(fn, name);
	images_end();
}

uint8_t *images_content(const char *name, uint64_t size)
{
	uint8_t *bytes = malloc(size + 1);

	ck_assert_ptr_nonnull(bytes);
	images_sh("qemu-img convert -t unsafe -f qcow2 -O raw %s content",
		name);
	rig_read_file(rig_path("content"), 0, bytes, size);
	return bytes;
}

static struct node *images_file(const char *name, bool readonly, bool format)
{
	struct err e = ERR_NONE;
	struct node *file = NULL;
	struct proto_open o = { .path = rig_path(name),
		.ctx = images_ctx,
		.readonly = readonly,
		.is_format = format };
	int r = file_node_open(&o, &file, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
	return file;
}

struct node *images_open(const char *name, bool readonly)
{
	struct qcow2_opts o = { .readonly = readonly };
	struct node *top = NULL, *over = NULL;

	while (name) {
		struct node *file = images_file(name, readonly, true), *n;
		struct err e = ERR_NONE;
		const char *format = "qcow2", *data;

		if (qcow2_open(file, &o, &n, &e))
			ck_abort_msg("%s", e.msg);
		data = qcow2_data_file(n);
		if (data)
			qcow2_set_data(n, images_file(data, readonly, false));
		if (qcow2_activate(n, &e))
			ck_abort_msg("%s", e.msg);
		if (over)
			qcow2_set_backing(over, n);
		else
			top = n;
		over = n;
		name = qcow2_backing_file(n, &format);
		if (name && format && !strcmp(format, "raw")) {
			qcow2_set_backing(n, images_file(name, true, false));
			name = NULL;
		}
		readonly = o.readonly = true;
	}
	return top;
}

static uint8_t *images_load(const char *name, uint64_t *size)
{
	FILE *f = fopen(rig_path(name), "r");
	uint8_t *bytes;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
	*size = (uint64_t)ftell(f);
	bytes = malloc(*size + 1);
	ck_assert_ptr_nonnull(bytes);
	rewind(f);
	ck_assert_uint_eq(fread(bytes, 1, *size, f), *size);
	fclose(f);
	return bytes;
}

struct node *images_in_memory(const char *name, bool readonly,
	struct node **file)
{
	struct qcow2_opts o = { .readonly = readonly };
	struct err e = ERR_NONE;
	uint64_t size;
	uint8_t *bytes = images_load(name, &size);
	struct node *n;

	*file = memnode_new_from(images_ctx, rig_path(name), bytes, size);
	free(bytes);
	(*file)->log = images_log;
	ck_assert_int_eq(qcow2_open(*file, &o, &n, &e), 0);
	if (qcow2_data_file(n))
		qcow2_set_data(n, memnode_new(images_ctx, "data", MiB));
	if (qcow2_activate(n, &e))
		ck_abort_msg("%s", e.msg);
	return n;
}

void images_logged(const char *text)
{
	uint64_t size;
	char *log = (char *)images_load("log", &size);

	log[size] = 0;
	ck_assert_msg(strstr(log, text) != NULL, "no \"%s\" in %s", text, log);
	free(log);
}

/* --- reading all of it in many ways --- */

struct images_read {
	struct blk_req r;
	struct iovec iov[9];
	uint8_t *buf;
	struct fiber *boss;
	unsigned *left;
};

static void images_read_done(struct blk_req *r, int err)
{
	struct images_read *x = r->arg;

	ck_assert_int_eq(err, 0);
	if (!--*x->left)
		fiber_wake(x->boss);
}

/* [at, at + len) in some pieces, not waited for. */
static void images_read(struct node *n, struct images_read *x, uint64_t at,
	uint64_t len, uint64_t *seed, unsigned *left)
{
	uint64_t have = 0;
	int niov = 0;

	memset(x, 0, sizeof(*x));
	x->buf = malloc(len);
	ck_assert_ptr_nonnull(x->buf);
	memset(x->buf, 0xee, len);
	while (have < len) {
		uint64_t k = niov == 8 ? len - have
				       : 1 + images_dice(seed, len - have);

		if (k == 1 && len - have > 512)
			k = 512;
		x->iov[niov++] = (struct iovec){ x->buf + have, k };
		have += k;
	}
	x->boss = fiber_self();
	x->left = left;
	x->r = (struct blk_req){ .op = BLK_READ,
		.offset = at,
		.len = len,
		.iov = x->iov,
		.niov = niov,
		.done = images_read_done,
		.arg = x };
	++*left;
	node_submit(n, &x->r);
}

static void images_check(struct images_read *x, const uint8_t *want,
	const char *name)
{
	for (uint64_t i = 0; i < x->r.len; i++)
		if (x->buf[i] != want[x->r.offset + i])
			ck_abort_msg("%s: byte %llu is %02x, not %02x (read "
				     "of %llu at %llu)",
				name, (unsigned long long)(x->r.offset + i),
				x->buf[i], want[x->r.offset + i],
				(unsigned long long)x->r.len,
				(unsigned long long)x->r.offset);
	free(x->buf);
}

/* n reads of at most max bytes at once. */
static void images_compare_many(struct node *node, const char *name,
	const uint8_t *want, uint64_t size, uint64_t max, unsigned n,
	uint64_t *seed)
{
	struct images_read *x = calloc(n, sizeof(*x));
	unsigned left = 1;

	ck_assert_ptr_nonnull(x);
	for (unsigned i = 0; i < n; i++) {
		uint64_t at = images_dice(seed, size / 512) * 512;
		uint64_t len = (1 + images_dice(seed, max / 512)) * 512;

		if (len > size - at)
			len = size - at;
		images_read(node, &x[i], at, len, seed, &left);
	}
	left--;
	while (left)
		fiber_wait();
	for (unsigned i = 0; i < n; i++)
		images_check(&x[i], want, name);
	free(x);
}

void images_compare(struct node *node, const char *name)
{
	uint64_t size = node_size(node), seed = 77;
	uint8_t *want = images_content(name, size);
	struct images_read x;
	unsigned left = 0;

	for (int i = 0; i < 8; i++)
		images_compare_many(node, name, want, size, 4096, 64, &seed);
	images_compare_many(node, name, want, size, MiB, 16, &seed);
	images_read(node, &x, 0, size, &seed, &left);
	while (left)
		fiber_wait();
	images_check(&x, want, name);
	free(want);
}
