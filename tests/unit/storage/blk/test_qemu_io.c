/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A differential test against QEMU's tools: one random course of writes,
 * writes of zeros, discards, flushes, internal snapshots, resizes and
 * compressing copies is made by us on a qcow2 image, by us on a raw file, and
 * by qemu-io and qemu-img on a qcow2 image of their own. After each round all
 * three are compared with what they must read, each image by us and by
 * qemu-img, which must find nothing wrong in either. Now and then the two
 * programs swap their images and go on with the other's.
 *
 * A discarded sector may read as before or as zeros, and what it is in one
 * image says nothing of the others; so each image has a model of its own,
 * which takes over what the image is found to read. From then on it must stay
 * so. GUESTDECK_LONG=1 makes more rounds, GUESTDECK_SEED another course.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/rig.h"

#define OPS       24u /* in a round */
#define SNAPSHOTS 3u
#define NOISE     65521u /* a prime: no two sectors of it are alike */

enum { IMG_OURS, IMG_THEIRS, IMG_RAW, IMGS };

struct course {
	/* -o as both programs take it; size in bytes */
	const char *options;
	uint64_t size;
	uint32_t cluster;
	uint64_t base_len; /* of the chain's raw end; 0 = no backing files */
	bool v2;
	bool data_file;    /* compresses nothing */
	bool no_snapshots; /* has no counts, or a data file */
	/* below: made by the test */
	unsigned seed;
	uint64_t max_size;
	bool swapped; /* we work on theirs, they on ours */
	uint8_t *model[IMGS];
	bool *maybe; /* by sectors: discarded in this round */
	uint8_t *noise, *buf;
	bool has[SNAPSHOTS];
	uint64_t snap_size[SNAPSHOTS];
	uint8_t *snaps; /* of each snapshot and image, max_size */
	FILE *script;   /* for qemu-io */
};

/* --- dice --- */

static uint64_t below(struct course *c, uint64_t n)
{
	uint64_t v = (uint64_t)rand_r(&c->seed) << 31;

	return (v ^ (uint64_t)rand_r(&c->seed)) % n;
}

static unsigned course_rounds(void)
{
	return getenv("GUESTDECK_LONG") ? 20 : 4;
}

/* --- names and programs --- */

static const char *const img_file[IMGS] = { "ours.qcow2", "theirs.qcow2",
	"disk.raw" };

/* Which image do we (and which do they) work on now? */
static int img_of_us(const struct course *c)
{
	return c->swapped ? IMG_THEIRS : IMG_OURS;
}

static int img_of_them(const struct course *c)
{
	return c->swapped ? IMG_OURS : IMG_THEIRS;
}

/* A command of QEMU's in the folder, which must work. */
static void must(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void must(const char *fmt, ...)
{
	char cmd[1024], line[1300], log[4096] = "";
	va_list ap;
	FILE *f;
	int r;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "cd %s && { %s ; } >log 2>&1", rig_dir,
		cmd);
	r = system(line);
	f = fopen(rig_path("log"), "r");
	if (f) {
		log[fread(log, 1, sizeof(log) - 1, f)] = 0;
		fclose(f);
	}
	ck_assert_msg(r == 0, "%s: %s", cmd, log);
}

static struct blk_opts image_opts(int i)
{
	struct blk_opts o = rig_opts(rig_path(img_file[i]));

	if (i != IMG_RAW)
		o.format = BLK_QCOW2;
	return o;
}

static struct img_ref image_ref(int i)
{
	return (struct img_ref){ .path = rig_path(img_file[i]),
		.format = i == IMG_RAW ? BLK_RAW : BLK_QCOW2 };
}

/* --- creating --- */

/* img_options of both the course's text and what it depends on. */
static struct img_options image_options(const struct course *c, int i)
{
	struct img_options o = { 0 };
	struct err e = ERR_NONE;

	ck_assert_msg(!img_options_parse(&o, BLK_QCOW2, c->options, &e), "%s",
		e.msg);
	if (c->data_file)
		snprintf(o.data_file, sizeof(o.data_file), "%s.data",
			rig_path(img_file[i]));
	if (c->base_len) {
		strcpy(o.backing_file, "mid.qcow2");
		strcpy(o.backing_format, "qcow2");
	}
	return o;
}

static void make_ours(const struct course *c)
{
	struct img_create o = { .path = rig_path(img_file[IMG_OURS]),
		.format = BLK_QCOW2,
		.options = image_options(c, IMG_OURS) };
	struct err e = ERR_NONE;

	o.options.size = c->size;
	o.options.has_size = true;
	ck_assert_msg(!img_create(&o, NULL, &e), "%s", e.msg);
}

static void make_theirs(const struct course *c)
{
	char more[200] = "";

	if (c->data_file)
		snprintf(more, sizeof(more), ",data_file=%s.data",
			rig_path(img_file[IMG_THEIRS]));
	must("qemu-img create -q -f qcow2 -o %s%s %s %s %llu", c->options, more,
		c->base_len ? "-b mid.qcow2 -F qcow2" : "",
		img_file[IMG_THEIRS], (unsigned long long)c->size);
}

/* base.raw <- mid.qcow2, which is a bit shorter and has zeros of its own. */
static void make_chain(struct course *c)
{
	uint64_t mid_len = size_down(c->base_len * 3 / 4, 512);
	uint64_t part = size_down(mid_len / 5, 512), zeros = 3 * part;
	uint8_t *content = c->model[IMG_RAW];
	const char *base = rig_file("base.raw", c->base_len);

	for (uint64_t i = 0; i < c->base_len; i++)
		c->buf[i] = (uint8_t)below(c, 256);
	rig_write_file(base, 0, c->buf, c->base_len);
	must("qemu-img create -q -f qcow2 -b base.raw -F raw mid.qcow2 %llu",
		(unsigned long long)mid_len);
	must("qemu-io -f qcow2 -c 'write -q -P 3 %llu %llu' "
	     "-c 'write -q -z %llu %llu' mid.qcow2",
		(unsigned long long)part, (unsigned long long)part,
		(unsigned long long)zeros, (unsigned long long)part);
	memcpy(content, c->buf, mid_len);
	memset(content + part, 3, part);
	memset(content + zeros, 0, part);
	if (c->size < mid_len)
		memset(content + c->size, 0, mid_len - c->size);
}

static void course_begin(struct course *c)
{
	c->max_size = c->size * 3;
	for (int i = 0; i < IMGS; i++) {
		c->model[i] = calloc(1, c->max_size);
		ck_assert_ptr_nonnull(c->model[i]);
	}
	c->maybe = calloc(c->max_size / 512, sizeof(*c->maybe));
	c->noise = malloc(NOISE);
	c->snaps = calloc((size_t)SNAPSHOTS * IMGS, c->max_size);
	c->buf = malloc(c->max_size);
	ck_assert(c->maybe && c->noise && c->buf && c->snaps);
	if (c->base_len)
		make_chain(c);
	make_ours(c);
	make_theirs(c);
	rig_write_file(rig_file(img_file[IMG_RAW], c->size), 0,
		c->model[IMG_RAW], c->size);
	memcpy(c->model[IMG_OURS], c->model[IMG_RAW], c->max_size);
	memcpy(c->model[IMG_THEIRS], c->model[IMG_RAW], c->max_size);
}

/* What image i had when snapshot s was made. */
static uint8_t *snap_model(const struct course *c, unsigned s, int i)
{
	return c->snaps + (s * IMGS + (unsigned)i) * c->max_size;
}

static void course_end(struct course *c)
{
	for (int i = 0; i < IMGS; i++)
		free(c->model[i]);
	free(c->snaps);
	free(c->maybe);
	free(c->noise);
	free(c->buf);
}

/* --- a round of requests --- */

static void pick_range(struct course *c, uint64_t *off, uint64_t *len)
{
	uint64_t cs = c->cluster, most = 16;

	*off = below(c, c->size / 512) * 512;
	switch (below(c, 4)) {
	case 0: /* whole clusters */
		*off = size_down(*off, cs);
		*len = cs * (1 + below(c, 4));
		break;
	case 1: /* small */
		*len = (1 + below(c, most)) * 512;
		break;
	default: /* about a cluster or a few */
		most = 1 + 3 * cs / 512;
		*len = (1 + below(c, most)) * 512;
		break;
	}
	if (*len > c->size - *off)
		*len = c->size - *off;
}

static void new_noise(struct course *c)
{
	for (size_t i = 0; i < NOISE; i++)
		c->noise[i] = (uint8_t)below(c, 256);
	rig_write_file(rig_file("noise", NOISE), 0, c->noise, NOISE);
}

static void models_set(struct course *c, uint64_t off, uint64_t len,
	const uint8_t *data)
{
	for (int i = 0; i < IMGS; i++)
		memcpy(c->model[i] + off, data, len);
	memset(c->maybe + off / 512, 0, len / 512 * sizeof(*c->maybe));
}

static void both(struct blk *ours, struct blk *raw, enum blk_op op,
	unsigned flags, uint64_t off, uint64_t len, void *buf)
{
	ck_assert_int_eq(blk_rw(ours, op, flags, off, len, buf), 0);
	ck_assert_int_eq(blk_rw(raw, op, flags, off, len, buf), 0);
}

static void op_write(struct course *c, struct blk *ours, struct blk *raw,
	uint64_t off, uint64_t len)
{
	unsigned pattern = 1 + (unsigned)below(c, 255);
	bool noise = below(c, 2), fua = !below(c, 6);

	if (noise) {
		for (uint64_t i = 0; i < len; i++)
			c->buf[i] = c->noise[i % NOISE];
		fprintf(c->script, "write %s -s noise", fua ? "-f" : "");
	} else {
		memset(c->buf, (int)pattern, len);
		fprintf(c->script, "write %s -P %u", fua ? "-f" : "", pattern);
	}
	fprintf(c->script, " %llu %llu\n", (unsigned long long)off,
		(unsigned long long)len);
	both(ours, raw, BLK_WRITE, fua ? BLK_FUA : 0, off, len, c->buf);
	models_set(c, off, len, c->buf);
}

static void op_zero(struct course *c, struct blk *ours, struct blk *raw,
	uint64_t off, uint64_t len)
{
	bool unmap = below(c, 2);

	fprintf(c->script, "write -z %s %llu %llu\n", unmap ? "-u" : "",
		(unsigned long long)off, (unsigned long long)len);
	both(ours, raw, BLK_WRITE_ZEROES, unmap ? BLK_UNMAP : 0, off, len,
		NULL);
	memset(c->buf, 0, len);
	models_set(c, off, len, c->buf);
}

static void op_discard(struct course *c, struct blk *ours, struct blk *raw,
	uint64_t off, uint64_t len)
{
	fprintf(c->script, "discard %llu %llu\n", (unsigned long long)off,
		(unsigned long long)len);
	both(ours, raw, BLK_DISCARD, 0, off, len, NULL);
	for (uint64_t s = off / 512; s < (off + len) / 512; s++)
		c->maybe[s] = true;
}

static void one_op(struct course *c, struct blk *ours, struct blk *raw)
{
	unsigned k = (unsigned)below(c, 20);
	uint64_t off, len;

	pick_range(c, &off, &len);
	if (k < 11) {
		op_write(c, ours, raw, off, len);
	} else if (k < 15) {
		op_zero(c, ours, raw, off, len);
	} else if (k < 18) {
		op_discard(c, ours, raw, off, len);
	} else {
		fputs("flush\n", c->script);
		both(ours, raw, BLK_FLUSH, 0, 0, 0, NULL);
	}
}

static void requests(struct course *c)
{
	struct blk_opts o = image_opts(img_of_us(c)), r = image_opts(IMG_RAW);
	struct blk *ours, *raw;

	o.aio = below(c, 2) ? BLK_AIO_AUTO : BLK_AIO_THREADS;
	o.cache = below(c, 2) ? BLK_WRITEBACK : BLK_UNSAFE;
	o.detect_zeroes = (enum blk_zeroes)below(c, 3);
	ours = rig_open(&o);
	raw = rig_open(&r);
	new_noise(c);
	c->script = fopen(rig_path("script"), "w");
	ck_assert_ptr_nonnull(c->script);
	for (unsigned i = 0; i < OPS; i++)
		one_op(c, ours, raw);
	fclose(c->script);
	ck_assert_int_eq(blk_close(ours), 0);
	ck_assert_int_eq(blk_close(raw), 0);
	must("qemu-io -d unmap -t %s -f qcow2 %s <script",
		below(c, 2) ? "writeback" : "unsafe", img_file[img_of_them(c)]);
}

/* --- comparing --- */

static void content_is(struct course *c, int i)
{
	static const uint8_t zeros[512];

	for (uint64_t off = 0; off < c->size; off += 512) {
		uint8_t *want = c->model[i] + off;

		if (!memcmp(c->buf + off, want, 512))
			continue;
		ck_assert_msg(c->maybe[off / 512] &&
				      !memcmp(c->buf + off, zeros, 512),
			"%s (%s) differs at %llu", img_file[i],
			c->swapped ? "swapped" : "own",
			(unsigned long long)off);
		memset(want, 0, 512);
	}
}

static void read_by_us(struct course *c, int i)
{
	struct blk_opts o = image_opts(i);
	struct blk_info info;
	struct blk *b;

	o.readonly = true;
	b = rig_open(&o);
	blk_info(b, &info);
	ck_assert_uint_eq(info.size, c->size);
	ck_assert_int_eq(blk_rw(b, BLK_READ, 0, 0, c->size, c->buf), 0);
	ck_assert_int_eq(blk_close(b), 0);
	content_is(c, i);
}

/* What we read, QEMU reads too: maybe[] is no excuse any more. */
static void read_by_qemu(struct course *c, int i)
{
	const char *want = rig_file("model.raw", c->size);

	rig_write_file(want, 0, c->model[i], c->size);
	must("qemu-img compare -s -f qcow2 -F raw %s model.raw || "
	     "qemu-img compare -f qcow2 -F raw %s model.raw",
		img_file[i], img_file[i]);
}

static void check_by_us(int i)
{
	struct img_ref ref = image_ref(i);
	struct img_check found;
	struct err e = ERR_NONE;
	int r = img_check(&ref, IMG_REPAIR_NONE, NULL, NULL, NULL, &found, &e);

	ck_assert_msg(!r, "%s", e.msg);
	ck_assert_msg(!found.corruptions && !found.leaks && !found.errors,
		"%s: %llu corruptions, %llu leaks", img_file[i],
		(unsigned long long)found.corruptions,
		(unsigned long long)found.leaks);
}

static void compare(struct course *c)
{
	for (int i = 0; i < IMGS; i++)
		read_by_us(c, i);
	memset(c->maybe, 0, c->max_size / 512 * sizeof(*c->maybe));
	for (int i = 0; i < IMG_RAW; i++) {
		must("qemu-img check %s", img_file[i]);
		check_by_us(i);
		read_by_qemu(c, i);
	}
}

/* --- what changes the whole image --- */

static void snap_create(struct course *c, unsigned s, const char *name)
{
	struct img_ref ref = image_ref(img_of_us(c));
	struct err e = ERR_NONE;

	ck_assert_msg(!img_snapshot_create(&ref, name, &e), "%s", e.msg);
	must("qemu-img snapshot -c %s %s", name, img_file[img_of_them(c)]);
	must("cp %s disk.%s", img_file[IMG_RAW], name);
	for (int i = 0; i < IMGS; i++)
		memcpy(snap_model(c, s, i), c->model[i], c->size);
	c->snap_size[s] = c->size;
	c->has[s] = true;
}

static void snap_revert(struct course *c, unsigned s, const char *name)
{
	struct img_ref ref = image_ref(img_of_us(c));
	struct err e = ERR_NONE;

	ck_assert_msg(!img_snapshot_revert(&ref, name, &e), "%s", e.msg);
	must("qemu-img snapshot -a %s %s", name, img_file[img_of_them(c)]);
	must("cp disk.%s %s", name, img_file[IMG_RAW]);
	c->size = c->snap_size[s];
	for (int i = 0; i < IMGS; i++)
		memcpy(c->model[i], snap_model(c, s, i), c->size);
}

static void snap_delete(struct course *c, unsigned s, const char *name)
{
	struct img_ref ref = image_ref(img_of_us(c));
	struct err e = ERR_NONE;

	ck_assert_msg(!img_snapshot_delete(&ref, name, &e), "%s", e.msg);
	must("qemu-img snapshot -d %s %s", name, img_file[img_of_them(c)]);
	must("rm disk.%s", name);
	c->has[s] = false;
}

static void change_snapshots(struct course *c)
{
	unsigned s = (unsigned)below(c, SNAPSHOTS);
	char name[2] = { (char)('a' + s), 0 };

	if (!c->has[s])
		snap_create(c, s, name);
	else if (below(c, 2))
		snap_revert(c, s, name);
	else
		snap_delete(c, s, name);
}

static bool any_snapshot(const struct course *c)
{
	bool any = false;

	for (unsigned s = 0; s < SNAPSHOTS; s++)
		any = any || c->has[s];
	return any;
}

/*
 * Up to any size, down to whole clusters: what of a cut cluster is behind
 * the end may show again in QEMU's.
 */
static void change_size(struct course *c)
{
	uint64_t size = 512 + below(c, c->max_size / 512) * 512;
	struct img_ref ref = image_ref(img_of_us(c));
	struct err e = ERR_NONE;
	struct blk_opts o = image_opts(IMG_RAW);
	struct blk *raw = rig_open(&o);
	struct img_resize z = { .ref = ref, .shrink = true };

	if (size < c->size)
		size = size_up(size, c->cluster);
	z.size = size;
	ck_assert_msg(!img_resize(&z, NULL, &size, &e), "%s", e.msg);
	ck_assert_uint_eq(size, z.size);
	must("qemu-img resize -q --shrink -f qcow2 %s %llu",
		img_file[img_of_them(c)], (unsigned long long)size);
	ck_assert_msg(!blk_resize(raw, size, &e), "%s", e.msg);
	ck_assert_int_eq(blk_close(raw), 0);
	for (int i = 0; i < IMGS && size > c->size; i++)
		memset(c->model[i] + c->size, 0, size - c->size);
	c->size = size;
}

/* Both images anew, compressed; snapshots are not taken along. */
static void change_compress(struct course *c)
{
	int us = img_of_us(c), them = img_of_them(c);
	struct img_convert v = { .src = image_ref(us),
		.dst = rig_path("new.qcow2"),
		.dst_format = BLK_QCOW2,
		.options = image_options(c, us),
		.compress = true };
	struct err e = ERR_NONE;

	ck_assert_msg(!img_convert(&v, NULL, &e), "%s", e.msg);
	must("mv new.qcow2 %s", img_file[us]);
	must("qemu-img convert -c -O qcow2 -o %s %s %s new.qcow2 && "
	     "mv new.qcow2 %s",
		c->options, c->base_len ? "-B mid.qcow2 -F qcow2" : "",
		img_file[them], img_file[them]);
	memset(c->has, 0, sizeof(c->has));
}

static void change(struct course *c)
{
	switch (below(c, 6)) {
	case 0:
		if (!c->v2 || !any_snapshot(c)) /* refused there */
			change_size(c);
		break;
	case 1:
		if (!c->data_file)
			change_compress(c);
		break;
	default:
		if (!c->no_snapshots)
			change_snapshots(c);
		break;
	}
}

/* --- the course --- */

static void course_run(struct course c)
{
	const char *seed = getenv("GUESTDECK_SEED");
	unsigned rounds = course_rounds();

	if (!rig_has("qemu-io") || !rig_has("qemu-img")) {
		puts("skip qemu_io no qemu-io in the path");
		return;
	}
	c.seed = (seed ? (unsigned)strtoul(seed, NULL, 0) : 1) * 7919;
	course_begin(&c);
	for (unsigned i = 0; i < rounds; i++) {
		requests(&c);
		compare(&c);
		change(&c);
		compare(&c);
		if (i + 1 == rounds / 2 || !below(&c, 3))
			c.swapped = !c.swapped;
	}
	course_end(&c);
}

#define COURSE(name, ...)                                                      \
	START_TEST (name) {                                                    \
		course_run((struct course){ __VA_ARGS__ });                    \
	}                                                                      \
	END_TEST

COURSE(usual_image, .options = "cluster_size=64k", .size = 3 * MiB,
	.cluster = 65536)
COURSE(usual_chain, .options = "cluster_size=64k", .size = 3 * MiB + 512,
	.cluster = 65536, .base_len = 4 * MiB + 1024)
COURSE(v2_image, .options = "compat=0.10", .size = 3 * MiB + 1536,
	.cluster = 65536, .v2 = true)
COURSE(v2_chain, .options = "compat=0.10,cluster_size=4k", .size = 600 * KiB,
	.cluster = 4096, .base_len = 700 * KiB, .v2 = true)
COURSE(tiny_clusters, .options = "cluster_size=512", .size = 300 * KiB,
	.cluster = 512)
COURSE(tiny_clusters_chain, .options = "cluster_size=512", .size = 300 * KiB,
	.cluster = 512, .base_len = 200 * KiB)
COURSE(huge_clusters, .options = "cluster_size=2M", .size = 9 * MiB + 512,
	.cluster = 2 * MiB)
COURSE(subclusters, .options = "cluster_size=64k,extended_l2=on",
	.size = 3 * MiB + 512, .cluster = 65536)
COURSE(subclusters_chain, .options = "cluster_size=16k,extended_l2=on",
	.size = 2 * MiB, .cluster = 16384, .base_len = 3 * MiB + 512)
COURSE(lazy_counts, .options = "lazy_refcounts=on", .size = 3 * MiB,
	.cluster = 65536)
COURSE(lazy_zstd_chain, .options = "lazy_refcounts=on,compression_type=zstd",
	.size = 3 * MiB, .cluster = 65536, .base_len = 2 * MiB)
COURSE(wide_counts, .options = "refcount_bits=64,cluster_size=4k",
	.size = 700 * KiB, .cluster = 4096)
/* A count of one bit has no room for a snapshot. */
COURSE(narrow_counts, .options = "refcount_bits=1,cluster_size=4k",
	.size = 700 * KiB + 512, .cluster = 4096, .no_snapshots = true)
COURSE(data_file, .options = "cluster_size=64k", .size = 3 * MiB + 512,
	.cluster = 65536, .data_file = true, .no_snapshots = true)
COURSE(data_file_raw, .options = "data_file_raw=on", .size = 3 * MiB,
	.cluster = 65536, .data_file = true, .no_snapshots = true)
COURSE(data_file_subclusters_chain, .options = "extended_l2=on",
	.size = 3 * MiB, .cluster = 65536, .base_len = 2 * MiB,
	.data_file = true, .no_snapshots = true)

RIG_SUITE("storage/qemu-io", usual_image, usual_chain, v2_image, v2_chain,
	tiny_clusters, tiny_clusters_chain, huge_clusters, subclusters,
	subclusters_chain, lazy_counts, lazy_zstd_chain, wide_counts,
	narrow_counts, data_file, data_file_raw, data_file_subclusters_chain)
