/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a qcow2 image: opened, read, checked, repaired and written. An
 * image that a check found good is good after all changes, and what was
 * written is read back; a repaired one has no corruption left.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/core/ctx.h"
#include "storage/core/sync.h"
#include "storage/qcow2/qcow2.h"

/* one program of one file: see `make fuzz` */
#include "tests/unit/storage/memnode.c" // NOLINT(bugprone-suspicious-include)

#define GROW  (16 * MiB) /* room behind what the image has */
#define PIECE (192 * KiB)
#define STEPS 24u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ctx *ctx;
static struct log *quiet;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void start(void)
{
	char path[] = "/tmp/fuzz-qcow2-XXXXXX";
	struct err e = ERR_NONE;
	struct loop *l;
	int fd = mkstemp(path);

	must(fd >= 0);
	close(fd);
	must(!loop_new(&l, &e));
	must(!ctx_get(l, &ctx, &e));
	must(!log_open(path, &quiet, &e));
	unlink(path);
	log_set_level(quiet, (enum log_level)(LOG_ERROR + 1));
}

struct run {
	struct node *file, *n;
	const uint8_t *data;
	size_t size;
	unsigned seed;
	bool good; /* a check found nothing */
	uint8_t *a, *b;
};

static uint64_t rnd(struct run *r, uint64_t below)
{
	r->seed = r->seed * 1103515245u + 12345u;
	return below ? ((uint64_t)(r->seed >> 8) * 2654435761u) % below : 0;
}

/* --- one image, opened so ------------------------------------------------- */

static bool opened(struct run *r, bool readonly, bool for_check)
{
	struct qcow2_opts o = { .readonly = readonly, .for_check = for_check };
	struct node *data = NULL;
	struct err e = ERR_NONE;

	if (qcow2_open(r->file, &o, &r->n, &e) < 0) {
		must(e.code > 0 && e.msg[0]);
		return false;
	}
	if (qcow2_data_file(r->n)) {
		data = memnode_new(ctx, "data", 0);
		memnode_limit(data, GROW);
		qcow2_set_data(r->n, data);
	}
	if (qcow2_activate(r->n, &e) < 0) {
		must(e.code > 0 && e.msg[0]);
		node_close(r->n);
		return false;
	}
	return true;
}

static void read_some(struct run *r)
{
	uint64_t size = node_size(r->n);
	struct blk_extent x;

	for (unsigned i = 0; i < 6 && size; i++) {
		uint64_t len = 512 + rnd(r, PIECE - 512), off;

		if (len > size)
			len = size;
		off = i == 0 ? 0 : i == 1 ? size - len : rnd(r, size - len + 1);
		node_read(r->n, off, r->a, len);
		if (!node_status(r->n, off, len, 0, &x))
			must(x.len && x.len <= len);
	}
}

static void list_snapshots(struct run *r)
{
	struct qcow2_snapshot s;
	struct qcow2_info i;

	qcow2_info(r->n, &i);
	for (unsigned k = 0; k <= i.nsnapshots; k++)
		if (qcow2_snapshot_get(r->n, k, &s) < 0)
			break;
}

/* --- changes -------------------------------------------------------------- */

static void write_one(struct run *r, uint64_t off, uint64_t len, unsigned flags)
{
	memset(r->a, (int)(1 + rnd(r, 255)), len);
	if (node_write(r->n, off, r->a, len, flags) < 0)
		return;
	memset(r->b, 0, len);
	if (node_read(r->n, off, r->b, len) < 0)
		return;
	/* in a damaged image two guest clusters may be one */
	must(!r->good || !memcmp(r->a, r->b, len));
}

static void change_one(struct run *r, uint64_t size)
{
	uint64_t len = (1 + rnd(r, PIECE / 512)) * 512, off;
	struct err e = ERR_NONE;

	if (len > size)
		len = size;
	off = rnd(r, (size - len) / 512 + 1) * 512;
	switch (rnd(r, 12)) {
	case 0:
		node_zero(r->n, off, len, rnd(r, 2) ? BLK_UNMAP : 0);
		return;
	case 1:
		node_discard(r->n, off, len);
		return;
	case 2:
		node_flush(r->n);
		return;
	case 3:
		qcow2_snapshot_create(r->n, "s", &e);
		return;
	case 4:
		qcow2_snapshot_delete(r->n, "s", &e);
		return;
	case 5:
		qcow2_snapshot_revert(r->n, "s", &e);
		return;
	case 6:
		qcow2_resize(r->n, size + len, QCOW2_PREALLOC_OFF, &e);
		return;
	case 7:
		qcow2_resize(r->n, size - len, QCOW2_PREALLOC_OFF, &e);
		return;
	default:
		write_one(r, off, len, 0);
	}
}

static int change_fn(void *arg)
{
	struct run *r = arg;

	if (!opened(r, false, false))
		return 0;
	for (unsigned i = 0; i < STEPS; i++) {
		uint64_t size = node_size(r->n);

		if (size)
			change_one(r, size);
	}
	node_close(r->n);
	return 0;
}

/* --- check ---------------------------------------------------------------- */

static void tell(void *arg, const char *line)
{
	(void)arg;
	if (getenv("FUZZ_TELL"))
		fprintf(stderr, "%s\n", line);
}

static const struct qcow2_check_fns fns = { .tell = tell };

static bool is_clean(const struct qcow2_check *c)
{
	return !c->corruptions && !c->errors;
}

static int check_fn(void *arg)
{
	struct run *r = arg;
	struct qcow2_check c;
	struct err e = ERR_NONE;

	r->good = false;
	if (!opened(r, true, true))
		return 0;
	r->good = !qcow2_check(r->n, QCOW2_REPAIR_NONE, &fns, &c, &e) &&
		  is_clean(&c);
	node_close(r->n);
	return 0;
}

static int repair_fn(void *arg)
{
	struct run *r = arg;
	struct qcow2_check c;
	struct err e = ERR_NONE;

	r->good = false;
	if (!opened(r, false, true))
		return 0;
	r->good = !qcow2_check(r->n, QCOW2_REPAIR_ALL, &fns, &c, &e) &&
		  is_clean(&c);
	node_close(r->n);
	return 0;
}

static int read_fn(void *arg)
{
	struct run *r = arg;

	if (!opened(r, true, false))
		return 0;
	read_some(r);
	list_snapshots(r);
	node_close(r->n);
	return 0;
}

/* Never inlined: a crash shows which one it was. */
static void __attribute__((noinline))
still_good(const struct run *r, bool was_good)
{
	must(r->good || !was_good);
}

/* --- all ------------------------------------------------------------------ */

static void image(struct run *r, const uint8_t *data, size_t size)
{
	r->file = memnode_new_from(ctx, "fuzz.qcow2", data, size);
	r->file->log = quiet;
	memnode_hold(r->file);
	memnode_limit(r->file, size + GROW);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = { .data = data, .size = size };
	bool was_good;

	if (!ctx)
		start();
	for (size_t i = 0; i < size; i += 61)
		r.seed = r.seed * 31 + data[i];
	r.a = malloc(PIECE);
	r.b = malloc(PIECE);
	must(r.a && r.b);

	image(&r, data, size);
	ctx_run(ctx, check_fn, &r);
	was_good = r.good;
	ctx_run(ctx, read_fn, &r);
	ctx_run(ctx, change_fn, &r);
	ctx_run(ctx, check_fn, &r);
	still_good(&r, was_good);
	memnode_free(r.file);

	image(&r, data, size);
	ctx_run(ctx, repair_fn, &r);
	was_good = r.good;
	ctx_run(ctx, check_fn, &r);
	still_good(&r, was_good);
	ctx_run(ctx, change_fn, &r);
	ctx_run(ctx, check_fn, &r);
	still_good(&r, was_good);
	memnode_free(r.file);
	free(r.a);
	free(r.b);
	return 0;
}
