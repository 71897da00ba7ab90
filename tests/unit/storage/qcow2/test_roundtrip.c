/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole of the qcow2 room against qemu-img and qemu-io: what they wrote
 * with each option is read the same, what is written to their images and to
 * ours passes their check and compare, and random changes end like those of
 * an array of bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/qtest.h"

/* --- images that qemu-img made -------------------------------------------- */

static const char *const options[] = {
	"compat=0.10",
	"compat=1.1",
	"cluster_size=512",
	"cluster_size=4k",
	"cluster_size=1M",
	"cluster_size=2M",
	"refcount_bits=1",
	"refcount_bits=2",
	"refcount_bits=8",
	"refcount_bits=32",
	"refcount_bits=64",
	"refcount_bits=64,cluster_size=512",
	"extended_l2=on",
	"extended_l2=on,cluster_size=16k",
	"lazy_refcounts=on",
	"compression_type=zstd",
	"preallocation=metadata",
	"preallocation=falloc",
	"preallocation=full",
	"preallocation=metadata,extended_l2=on",
};

#define DISK (6 * MiB + 512)

static void make_raw(void)
{
	qt_sh_ok("truncate -s %llu a.raw && head -c 700000 /dev/urandom | "
		 "dd of=a.raw bs=1000 seek=333 conv=notrunc status=none && "
		 "yes guestdeck | head -c 1000000 | dd of=a.raw bs=1000 "
		 "seek=2222 conv=notrunc status=none",
		(unsigned long long)DISK);
}

static void same_bytes(const uint8_t *a, const uint8_t *b, uint64_t len,
	const char *what)
{
	uint64_t i = 0;

	/* a ck_assert a byte would take minutes */
	while (i < len && a[i] == b[i])
		i++;
	ck_assert_msg(i == len, "byte %llu of %s differs",
		(unsigned long long)i, what);
}

/* All of n is what the file has. */
static void same_as(struct node *n, const char *raw)
{
	uint64_t size = node_size(n);
	uint8_t *a = malloc(size), *b = malloc(size);

	rig_read_file(raw, 0, a, size);
	memset(b, 0x55, size);
	ck_assert_int_eq(qt_io(n, BLK_READ, 0, 0, b, size), 0);
	same_bytes(a, b, size, raw);
	free(a);
	free(b);
}

static struct node *opened_file(const char *path)
{
	return qt_opened(qt_load(path));
}

START_TEST (images_by_qemu_img_read_the_same) {
	make_raw();
	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		struct node *n;

		qt_sh_ok("qemu-img convert -O qcow2 -o %s a.raw a.qcow2",
			options[i]);
		n = opened_file(rig_path("a.qcow2"));
		ck_assert_uint_eq(node_size(n), DISK);
		same_as(n, rig_path("a.raw"));
		ck_assert_int_eq(qt_close(n), 0);
	}
}
END_TEST

START_TEST (compressed_images_by_qemu_img_read_the_same) {
	make_raw();
	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		struct node *n;

		if (strstr(options[i], "prealloc"))
			continue;
		qt_sh_ok("qemu-img convert -c -O qcow2 -o %s a.raw a.qcow2",
			options[i]);
		n = opened_file(rig_path("a.qcow2"));
		same_as(n, rig_path("a.raw"));
		ck_assert_int_eq(qt_close(n), 0);
	}
}
END_TEST

/* --- changes -------------------------------------------------------------- */

/* A disk and what it must hold. */
struct disk {
	struct node *n;
	uint8_t *want;
	uint64_t size;
	unsigned seed;
};

static uint64_t rnd(struct disk *d, uint64_t below)
{
	d->seed = d->seed * 1103515245u + 12345u;
	return ((uint64_t)(d->seed >> 8) * 2654435761u >> 7) % below;
}

static void change(struct disk *d)
{
	uint64_t len = (1 + rnd(d, 300)) * 512, off;
	uint8_t *buf;

	if (len > d->size)
		len = d->size;
	off = rnd(d, (d->size - len) / 512 + 1) * 512;
	switch (rnd(d, 6)) {
	case 0:
		memset(d->want + off, 0, len);
		ck_assert_int_eq(qt_io(d->n, BLK_WRITE_ZEROES,
					 rnd(d, 2) ? BLK_UNMAP : 0, off, NULL,
					 len),
			0);
		return;
	case 1: /* what was discarded may be anything: make it zeros */
		ck_assert_int_eq(qt_io(d->n, BLK_DISCARD, 0, off, NULL, len),
			0);
		memset(d->want + off, 0, len);
		ck_assert_int_eq(qt_io(d->n, BLK_WRITE_ZEROES, 0, off, NULL,
					 len),
			0);
		return;
	case 2:
		ck_assert_int_eq(qt_io(d->n, BLK_FLUSH, 0, 0, NULL, 0), 0);
		return;
	default:
		buf = malloc(len);
		qt_fill(buf, len, (unsigned)rnd(d, 1 << 20));
		memcpy(d->want + off, buf, len);
		ck_assert_int_eq(qt_io(d->n, BLK_WRITE, 0, off, buf, len), 0);
		free(buf);
	}
}

static void same_as_wanted(struct disk *d)
{
	uint8_t *b = malloc(d->size);

	memset(b, 0x55, d->size);
	ck_assert_int_eq(qt_io(d->n, BLK_READ, 0, 0, b, d->size), 0);
	same_bytes(d->want, b, d->size, "what was written");
	free(b);
}

/* Change the image in file at random, then have all look at it. */
static void change_all(struct node *file, unsigned seed)
{
	struct disk d = { .seed = seed };

	for (unsigned round = 0; round < 3; round++) {
		d.n = qt_opened(file);
		d.size = node_size(d.n);
		if (!d.want) {
			d.want = malloc(d.size);
			ck_assert_int_eq(qt_io(d.n, BLK_READ, 0, 0, d.want,
						 d.size),
				0);
		}
		for (unsigned i = 0; i < 60; i++)
			change(&d);
		same_as_wanted(&d);
		ck_assert_int_eq(qt_close(d.n), 0);
		qt_check(file);
	}
	rig_write_file(rig_file("want.raw", d.size), 0, d.want, d.size);
	qt_sh_ok("qemu-img compare -q -f raw -F qcow2 want.raw check.qcow2");
	free(d.want);
}

START_TEST (images_by_qemu_img_are_changed_and_stay_good) {
	make_raw();
	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		qt_sh_ok("qemu-img convert -O qcow2 -o %s a.raw a.qcow2",
			options[i]);
		change_all(qt_load(rig_path("a.qcow2")), i);
	}
}
END_TEST

START_TEST (compressed_images_are_changed_and_stay_good) {
	make_raw();
	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		if (strstr(options[i], "prealloc") ||
			strstr(options[i], "lazy"))
			continue;
		qt_sh_ok("qemu-img convert -c -O qcow2 -o %s a.raw a.qcow2",
			options[i]);
		change_all(qt_load(rig_path("a.qcow2")), i);
	}
}
END_TEST

START_TEST (images_of_ours_are_changed_and_stay_good) {
	static const uint32_t sizes[] = { 512, 4 << 10, 16 << 10, 64 << 10,
		1 << 20, 2 << 20 };

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		for (unsigned bits = 1; bits <= 64; bits *= 4) {
			struct qcow2_create o = { .size = DISK,
				.cluster_size = sizes[i],
				.refcount_bits = bits,
				.lazy_refcounts = bits == 4,
				.extended_l2 =
					sizes[i] >= 16 << 10 && bits == 16,
				.prealloc = bits == 64 ? QCOW2_PREALLOC_METADATA
						       : QCOW2_PREALLOC_OFF };

			change_all(qt_new(&o), i * 64 + bits);
		}
	}
}
END_TEST

QT_SUITE("qcow2 round trips", images_by_qemu_img_read_the_same,
	compressed_images_by_qemu_img_read_the_same,
	images_by_qemu_img_are_changed_and_stay_good,
	compressed_images_are_changed_and_stay_good,
	images_of_ours_are_changed_and_stay_good)
