/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See faults.h. */
#include "tests/unit/storage/blk/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/io.h"

void disk_create(const char *path, const char *options, const char *backing)
{
	struct img_create o = { .path = path, .format = BLK_QCOW2 };
	struct err e = ERR_NONE;

	ck_assert_msg(!img_options_parse(&o.options, BLK_QCOW2, options, &e),
		"%s", e.msg);
	o.options.size = SIZE;
	o.options.has_size = true;
	if (backing) {
		strcpy(o.options.backing_file, backing);
		strcpy(o.options.backing_format, "raw");
	}
	ck_assert_msg(!img_create(&o, NULL, &e), "%s", e.msg);
}

void disk_open(struct disk *d, enum blk_format format, enum blk_aio aio,
	enum blk_cache cache)
{
	struct blk_opts o = rig_opts(d->path);
	struct err e = ERR_NONE;

	o.format = format;
	o.aio = aio;
	o.cache = cache;
	if (!d->log)
		ck_assert_int_eq(log_open(rig_path("log"), &d->log, &e), 0);
	ck_assert_msg(!blk_open(&o, rig_loop, d->log, &d->b, &e), "%s", e.msg);
}

/* The log has this text. */
void disk_logged(const char *text)
{
	struct err e = ERR_NONE;
	uint8_t *all;
	size_t len;

	ck_assert_int_eq(io_read_file(rig_path("log"), 16 * MiB, &all, &len,
				 &e),
		0);
	ck_assert_msg(strstr((char *)all, text), "no '%s' in: %s", text,
		(char *)all);
	free(all);
}

/* Write cluster i full of fill. */
int disk_write(struct disk *d, unsigned i, uint8_t fill)
{
	int r;

	memset(d->buf, fill, CLUSTER);
	r = blk_rw(d->b, BLK_WRITE, 0, i * CLUSTER, CLUSTER, d->buf);
	d->torn[i] = r != 0;
	d->tried[i] = fill;
	if (!r)
		d->fill[i] = fill;
	return r;
}

int disk_read(struct disk *d, unsigned i)
{
	return blk_rw(d->b, BLK_READ, 0, i * CLUSTER, CLUSTER, d->buf);
}

int disk_flush(struct disk *d)
{
	return blk_rw(d->b, BLK_FLUSH, 0, 0, 0, NULL);
}

static bool all_is(const uint8_t *buf, size_t len, uint8_t fill)
{
	return buf[0] == fill && !memcmp(buf, buf + 1, len - 1);
}

static void is_torn(const struct disk *d, unsigned i)
{
	bool ok = true;

	for (size_t k = 0; k < CLUSTER; k += 512)
		ok = ok && (all_is(d->buf + k, 512, d->fill[i]) ||
				   all_is(d->buf + k, 512, d->tried[i]));
	ck_assert(ok);
}

void disk_has(struct disk *d)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		ck_assert_int_eq(disk_read(d, i), 0);
		if (d->torn[i]) {
			is_torn(d, i);
			continue;
		}
		ck_assert_msg(all_is(d->buf, CLUSTER, d->fill[i]),
			"cluster %u begins with %u and is not all %u", i,
			d->buf[0], d->fill[i]);
	}
}

/* An incompatible bit of the header; version 2 has none. */
bool disk_has_bit(const char *path, unsigned bit)
{
	uint8_t head[80];

	rig_read_file(path, 0, head, sizeof(head));
	return head[7] > 2 && (head[79] & bit);
}

/*
 * At most leaks, says QEMU. The image may be open. One that is dirty has
 * counts that are to be made anew, at the next opening.
 */
void disk_sound(struct disk *d)
{
	int r;

	ck_assert(!disk_has_bit(d->path, 2));
	if (disk_has_bit(d->path, 1))
		return;
	r = rig_sh("qemu-img check -U -f qcow2 %s", d->path);
	ck_assert_msg(r == 0 || r == 3, "qemu-img check: %d", r);
}

void disk_end(struct disk *d, int want)
{
	ck_assert_int_eq(blk_close(d->b), want);
	d->b = NULL;
}

void disk_free(struct disk *d)
{
	log_close(d->log);
	free(d->path);
	free(d);
}

struct disk *disk_new(const char *path)
{
	struct disk *d = calloc(1, sizeof(*d));

	ck_assert_ptr_nonnull(d);
	d->path = strdup(path);
	ck_assert_ptr_nonnull(d->path);
	return d;
}
