/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See img.h. */
#include "tests/unit/storage/tools/img.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct img_ref img_ref(const char *path)
{
	size_t n = strlen(path);

	return (struct img_ref){
		.path = path,
		.format = n > 6 && !strcmp(path + n - 6, ".qcow2") ? BLK_QCOW2
								   : BLK_RAW,
	};
}

const char *img_path(const char *name)
{
	static char paths[64][160];
	static unsigned next;
	char *p = paths[next++ % 64];

	snprintf(p, sizeof(paths[0]), "%s/%s", rig_dir, name);
	return p;
}

const char *img_raw(const char *name, unsigned seed)
{
	static const struct {
		uint64_t at, len;
	} runs[] = { { 0, 70000 }, { 1 << 20, 300000 }, { 4 << 20, 512 } };
	const char *path = img_path(name);
	uint8_t *p = calloc(1, 1 << 20);

	rig_file(name, IMG_SIZE);
	rig_write_file(path, 2 << 20, p, 1 << 20); /* written zeros */
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		for (uint64_t k = 0; k < runs[i].len; k++) {
			seed = seed * 1103515245u + 12345u;
			p[k] = (uint8_t)(seed >> 16);
		}
		rig_write_file(path, runs[i].at, p, runs[i].len);
	}
	free(p);
	return path;
}

const char *img_qcow2(const char *name, unsigned seed, const char *options)
{
	struct img_convert c = { .dst_format = BLK_QCOW2, .force = true };
	struct err e = ERR_NONE;

	c.src = img_ref(img_raw("img_qcow2.src", seed));
	c.dst = img_path(name);
	ck_assert_int_eq(img_options_parse(&c.options, BLK_QCOW2, options, &e),
		0);
	ck_assert_msg(!img_convert(&c, NULL, &e), "%s", e.msg);
	unlink(c.src.path);
	return c.dst;
}

const char *img_overlay(const char *name, const char *base)
{
	struct img_ref ref = img_ref(base);
	const char *path = img_path(name);
	struct err e = ERR_NONE;

	ck_assert_msg(!img_clone(&ref, path, true, &e), "%s", e.msg);
	return path;
}

static void img_do(const char *path, enum blk_op op, uint64_t off, uint64_t len,
	void *buf)
{
	struct img_ref ref = img_ref(path);
	struct blk_opts o = rig_opts(path);
	struct blk *b;

	o.format = ref.format;
	b = rig_open(&o);
	ck_assert_int_eq(blk_rw(b, op, 0, off, len, buf), 0);
	ck_assert_int_eq(blk_close(b), 0);
}

void img_put(const char *path, uint64_t off, uint64_t len, int value)
{
	void *buf = malloc(len);

	memset(buf, value, len);
	img_do(path, BLK_WRITE, off, len, buf);
	free(buf);
}

void img_zero(const char *path, uint64_t off, uint64_t len)
{
	img_do(path, BLK_WRITE_ZEROES, off, len, NULL);
}

bool img_is_there(const char *path)
{
	return !access(path, F_OK);
}

uint64_t img_sum(const char *path)
{
	static uint8_t buf[1 << 16];
	uint64_t sum = UINT64_C(14695981039346656037); /* FNV-1a */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum = (sum ^ buf[i]) * UINT64_C(1099511628211);
	close(fd);
	return sum;
}

bool img_same(const char *a, const char *b)
{
	struct img_ref ra = img_ref(a), rb = img_ref(b);
	struct err e = ERR_NONE;
	struct img_compare c;

	ck_assert_msg(!img_compare(&ra, &rb, false, NULL, &c, &e), "%s", e.msg);
	return c.equal;
}

void img_sound(const char *path)
{
	struct img_ref ref = img_ref(path);
	struct err e = ERR_NONE;
	struct img_check c;

	ck_assert_msg(!img_check(&ref, IMG_REPAIR_NONE, NULL, NULL, NULL, &c,
			      &e),
		"%s", e.msg);
	ck_assert_uint_eq(c.corruptions + c.leaks + c.errors, 0);
}

static void stop_progress(void *arg, uint64_t done, uint64_t total)
{
	struct img_stop *s = arg;

	if (!total)
		return;
	ck_assert_uint_le(done, total);
	s->done = done;
	s->total = total;
}

static bool stop_cancelled(void *arg)
{
	struct img_stop *s = arg;

	return s->calls++ >= s->after;
}

static void stop_warn(void *arg, const char *text)
{
	struct img_stop *s = arg;

	snprintf(s->warned, sizeof(s->warned), "%s", text);
}

struct img_job *img_stop(struct img_stop *s, int after)
{
	*s = (struct img_stop){
		.job = { stop_progress, stop_cancelled, stop_warn, s },
		.after = after,
	};
	return &s->job;
}
