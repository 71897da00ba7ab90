/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * New qcow2 images: with every option `qemu-img` finds nothing to say and
 * reads back the options, and options that do not go together are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/qcow2/header.h"
#include "storage/qcow2/layout.h"

#include "tests/unit/storage/qcow2/qtest.h"

/* --- as qemu-img sees it -------------------------------------------------- */

static json_t *qcow2_data(const json_t *info)
{
	return json_object_get(json_object_get(info, "format-specific"),
		"data");
}

static bool is_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static void same_info(const struct qcow2_create *o, const char *path)
{
	json_t *info = qt_info(path), *data = qcow2_data(info);
	const char *compat = json_string_value(json_object_get(data, "compat"));
	uint64_t cluster = o->cluster_size ? o->cluster_size : 64 * KiB;

	ck_assert_str_eq(json_string_value(json_object_get(info, "format")),
		"qcow2");
	ck_assert_uint_eq((uint64_t)json_integer_value(
				  json_object_get(info, "virtual-size")),
		o->size);
	ck_assert_uint_eq((uint64_t)json_integer_value(
				  json_object_get(info, "cluster-size")),
		cluster);
	ck_assert(!is_true(info, "dirty-flag"));
	ck_assert(!is_true(data, "corrupt"));
	ck_assert_str_eq(compat, o->version == 2 ? "0.10" : "1.1");
	ck_assert_int_eq(json_integer_value(
				 json_object_get(data, "refcount-bits")),
		o->refcount_bits ? o->refcount_bits : 16);
	ck_assert(is_true(data, "lazy-refcounts") == o->lazy_refcounts);
	ck_assert(is_true(data, "extended-l2") == o->extended_l2);
	ck_assert_str_eq(json_string_value(
				 json_object_get(data, "compression-type")),
		o->zstd ? "zstd" : "zlib");
	ck_assert(is_true(data, "data-file-raw") == o->data_file_raw);
	json_decref(info);
}

/* Make it, and let qemu-img look; all of it must read as zeros. */
static void good(const struct qcow2_create *o)
{
	struct node *n = qt_new(o);
	const char *path = rig_path("good.qcow2");

	memnode_save(n, path);
	qt_check_file(path);
	same_info(o, path);
	qt_sh_ok("truncate -s %llu zeros.raw && qemu-img compare -q "
		 "-f raw -F qcow2 zeros.raw good.qcow2",
		(unsigned long long)o->size);
	qt_sh_ok("rm zeros.raw");
}

START_TEST (each_cluster_size_is_good) {
	for (uint32_t cluster = 512; cluster <= 2 * MiB; cluster *= 2) {
		struct qcow2_create o = { .size = 3 * MiB + 512,
			.cluster_size = cluster };

		good(&o);
		o.prealloc = QCOW2_PREALLOC_METADATA;
		good(&o);
	}
}
END_TEST

START_TEST (each_refcount_width_is_good) {
	for (unsigned bits = 1; bits <= 64; bits *= 2) {
		struct qcow2_create o = { .size = 5 * MiB + 1024,
			.refcount_bits = bits };

		good(&o);
		o.prealloc = QCOW2_PREALLOC_METADATA;
		good(&o);
		/* many refcount blocks */
		o.cluster_size = 512;
		good(&o);
	}
}
END_TEST

START_TEST (each_preallocation_is_good) {
	for (int how = QCOW2_PREALLOC_OFF; how <= QCOW2_PREALLOC_FULL; how++) {
		struct qcow2_create o = { .size = 20 * MiB,
			.prealloc = (enum qcow2_prealloc)how };

		good(&o);
		o.extended_l2 = true;
		good(&o);
		o.cluster_size = 16 * KiB;
		good(&o);
	}
}
END_TEST

START_TEST (features_are_good) {
	struct qcow2_create o = { .size = MiB, .lazy_refcounts = true };

	good(&o);
	o.zstd = true;
	good(&o);
	o.extended_l2 = true;
	good(&o);
	o = (struct qcow2_create){ .size = MiB, .version = 2 };
	good(&o);
	o.cluster_size = 1024;
	o.prealloc = QCOW2_PREALLOC_METADATA;
	good(&o);
}
END_TEST

START_TEST (sizes_from_nothing_to_much_are_good) {
	static const uint64_t sizes[] = { 0, 512, 64 * KiB - 512, 64 * KiB,
		64 * KiB + 512, 512 * MiB, 512 * MiB + 512, TiB, 64 * TiB };

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct qcow2_create o = { .size = sizes[i] };
		const char *path = rig_path("size.qcow2");
		struct node *n = qt_new(&o);

		memnode_save(n, path);
		qt_check_file(path);
		same_info(&o, path);
	}
}
END_TEST

START_TEST (empty_disk_may_be_preallocated) {
	struct qcow2_create o = { .prealloc = QCOW2_PREALLOC_FULL };

	good(&o);
	o.cluster_size = 2 * MiB;
	good(&o);
}
END_TEST

START_TEST (backing_file_is_named) {
	struct qcow2_create o = { .size = MiB,
		.backing_file = "base.raw",
		.backing_format = "raw" };
	const char *path = rig_path("top.qcow2");
	json_t *info;

	qt_sh_ok("head -c 1M /dev/urandom >base.raw");
	memnode_save(qt_new(&o), path);
	qt_check_file(path);
	info = qt_info(path);
	ck_assert_str_eq(json_string_value(
				 json_object_get(info, "backing-filename")),
		"base.raw");
	ck_assert_str_eq(json_string_value(json_object_get(info,
				 "backing-filename-format")),
		"raw");
	json_decref(info);
	qt_sh_ok("qemu-img compare -q base.raw top.qcow2");
	/* subclusters have a place and are not used yet */
	o.extended_l2 = true;
	o.prealloc = QCOW2_PREALLOC_METADATA;
	memnode_save(qt_new(&o), path);
	qt_check_file(path);
	qt_sh_ok("qemu-img compare -q base.raw top.qcow2");
}
END_TEST

static void with_data_file(struct qcow2_create *o, uint64_t want)
{
	struct node *n = qt_mem(), *data = qt_mem();
	struct err e = ERR_NONE;
	uint64_t size;
	json_t *info;

	ck_assert_int_eq(qt_create(n, data, o, &e), 0);
	memnode_bytes(data, &size);
	ck_assert_uint_eq(size, want);
	memnode_save(n, rig_path("top.qcow2"));
	memnode_save(data, rig_path("data.raw"));
	qt_check_file("top.qcow2");
	same_info(o, "top.qcow2");
	info = qt_info("top.qcow2");
	ck_assert_str_eq(json_string_value(json_object_get(qcow2_data(info),
				 "data-file")),
		"data.raw");
	json_decref(info);
	qt_sh_ok("qemu-img compare -q top.qcow2 data.raw");
}

START_TEST (data_file_is_named_and_sized) {
	struct qcow2_create o = { .size = 3 * MiB + 512,
		.data_file = "data.raw" };

	with_data_file(&o, o.size);
	o.extended_l2 = true;
	o.prealloc = QCOW2_PREALLOC_METADATA;
	with_data_file(&o, o.size);
	o.data_file_raw = true;
	with_data_file(&o, o.size);
	o.extended_l2 = false;
	o.prealloc = QCOW2_PREALLOC_OFF;
	with_data_file(&o, o.size);
}
END_TEST

START_TEST (raw_data_file_is_read_through_the_tables) {
	struct qcow2_create o = { .size = MiB,
		.data_file = "data.raw",
		.data_file_raw = true };
	struct node *n = qt_mem(), *data = qt_mem();
	struct err e = ERR_NONE;

	ck_assert_int_eq(qt_create(n, data, &o, &e), 0);
	memnode_save(n, rig_path("top.qcow2"));
	qt_sh_ok("head -c 1M /dev/urandom >data.raw");
	qt_sh_ok("qemu-img compare -q -f qcow2 -F raw top.qcow2 data.raw");
}
END_TEST

START_TEST (longer_data_file_keeps_its_bytes) {
	struct qcow2_create o = { .size = MiB, .data_file = "data.raw" };
	struct node *n = qt_mem(), *data = memnode_new(qt_ctx, "d", 2 * MiB);
	struct err e = ERR_NONE;
	uint64_t size;

	memset(memnode_bytes(data, NULL) + 2 * MiB - 1, 7, 1);
	ck_assert_int_eq(qt_create(n, data, &o, &e), 0);
	memnode_bytes(data, &size);
	ck_assert_uint_eq(size, 2 * MiB);
	ck_assert_uint_eq(memnode_bytes(data, NULL)[2 * MiB - 1], 7);
	memnode_free(data);
}
END_TEST

/* --- preallocation -------------------------------------------------------- */

START_TEST (preallocated_clusters_follow_each_other) {
	struct qcow2_create o = { .size = 600 * MiB,
		.prealloc = QCOW2_PREALLOC_METADATA };
	uint8_t *b = memnode_bytes(qt_new(&o), NULL);
	uint64_t l1 = get_be64(b + QH_L1_OFFSET);
	uint64_t l2 = get_be64(b + l1) & QL1_OFFSET;
	uint64_t data = get_be64(b + l2) & QL2_OFFSET;

	ck_assert_uint_eq(get_be32(b + QH_L1_ENTRIES), 2);
	ck_assert_uint_eq(get_be64(b + l1 + 8), (l2 + 64 * KiB) | QL1_COPIED);
	for (uint64_t i = 0; i < 9600; i++)
		ck_assert_uint_eq(get_be64(b + l2 + i * 8),
			(data + i * 64 * KiB) | QL2_COPIED);
	ck_assert_uint_eq(get_be64(b + l2 + 9600 * 8), 0);
}
END_TEST

static uint64_t blocks_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

START_TEST (what_preallocation_asks_of_the_file) {
	struct qcow2_create o = { .size = 64 * MiB };
	const char *path = rig_path("p.qcow2");

	memnode_save(qt_new(&o), path);
	ck_assert_uint_lt(blocks_of(path), MiB);
	o.prealloc = QCOW2_PREALLOC_METADATA;
	memnode_save(qt_new(&o), path);
	ck_assert_uint_lt(blocks_of(path), MiB);
}
END_TEST

/* --- on a device ---------------------------------------------------------- */

START_TEST (device_with_old_bytes_is_good) {
	struct qcow2_create o = { .size = 20 * MiB };

	for (int how = QCOW2_PREALLOC_OFF; how <= QCOW2_PREALLOC_FULL; how++) {
		struct node *n = memnode_new(qt_ctx, "dev", 32 * MiB);
		struct err e = ERR_NONE;
		uint64_t size;

		memset(memnode_bytes(n, NULL), 0xff, 32 * MiB);
		o.prealloc = (enum qcow2_prealloc)how;
		ck_assert_int_eq(qt_create(n, NULL, &o, &e), 0);
		memnode_bytes(n, &size);
		ck_assert_uint_eq(size, 32 * MiB);
		qt_check(n);
		qt_sh_ok("truncate -s 20M zeros.raw && qemu-img compare -q "
			 "-f raw -F qcow2 zeros.raw check.qcow2");
		memnode_free(n);
	}
}
END_TEST

START_TEST (device_that_is_too_small_is_refused) {
	struct qcow2_create o = { .size = MiB,
		.prealloc = QCOW2_PREALLOC_METADATA };
	struct node *n = memnode_new(qt_ctx, "dev", MiB);
	struct err e = ERR_NONE;

	ck_assert_int_eq(qt_create(n, NULL, &o, &e), -ENOSPC);
	ck_assert_err(e, ENOSPC, "dev: has 1048576 bytes, the image needs");
	memnode_free(n);
}
END_TEST

START_TEST (old_image_is_gone_before_the_new_one_is_there) {
	struct qcow2_create o = { .size = MiB };
	struct node *n = memnode_new(qt_ctx, "dev", 2 * MiB);
	struct err e = ERR_NONE;

	ck_assert_int_eq(qt_create(n, NULL, &o, &e), 0);
	for (unsigned i = 0;; i++) {
		int rc;

		memnode_fail(n, BLK_WRITE, i, EIO);
		rc = qt_create(n, NULL, &o, &e);
		if (!rc)
			break;
		ck_assert_int_eq(rc, -EIO);
		ck_assert_err(e, EIO, "dev: writing");
		ck_assert(!qcow2_probe(memnode_bytes(n, NULL), 8));
	}
	memnode_free(n);
}
END_TEST

/* --- what goes wrong ------------------------------------------------------ */

struct refusal {
	struct qcow2_create o;
	const char *has;
};

static const struct refusal refusals[] = {
	{ { .size = 511 }, "size 511 is not a multiple of 512" },
	{ { .cluster_size = 256 }, "cluster_size 256" },
	{ { .cluster_size = 65535 }, "cluster_size 65535" },
	{ { .cluster_size = 4 << 20 }, "cluster_size 4194304" },
	{ { .refcount_bits = 3 }, "refcount_bits 3" },
	{ { .refcount_bits = 128 }, "refcount_bits 128" },
	{ { .version = 1 }, "not 1" },
	{ { .version = 4 }, "not 4" },
	{ { .version = 2, .refcount_bits = 8 }, "refcount_bits other than" },
	{ { .version = 2, .lazy_refcounts = true },
		"lazy_refcounts needs compat=1.1" },
	{ { .version = 2, .extended_l2 = true },
		"extended_l2 needs compat=1.1" },
	{ { .version = 2, .zstd = true }, "zstd needs compat=1.1" },
	{ { .version = 2, .data_file = "x" }, "data_file needs compat=1.1" },
	{ { .extended_l2 = true, .cluster_size = 8192 }, "at least 16K" },
	{ { .data_file_raw = true }, "data_file_raw needs a data_file" },
	{ { .data_file = "x", .data_file_raw = true, .backing_file = "b" },
		"exclude each other" },
	{ { .backing_format = "raw" }, "needs a backing file" },
	{ { .backing_file = "" }, "1 to 1023 bytes" },
	{ { .backing_file = "b", .prealloc = QCOW2_PREALLOC_METADATA },
		"needs extended_l2=on" },
};

START_TEST (options_that_cannot_be_are_refused) {
	for (unsigned i = 0; i < ARRAY_LEN(refusals); i++) {
		struct err e = ERR_NONE;

		ck_assert_int_eq(qcow2_create_check(&refusals[i].o, &e),
			-EINVAL);
		ck_assert_err(e, EINVAL, refusals[i].has);
	}
}
END_TEST

START_TEST (names_that_are_too_long_are_refused) {
	struct qcow2_create o = { .size = MiB };
	char name[4200];
	struct err e;

	memset(name, 'x', sizeof(name));
	name[4199] = '\0';
	o.data_file = name;
	ck_assert_int_eq(qcow2_create_check(&o, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "at most 4095 bytes");
	name[4000] = '\0';
	ck_assert_int_eq(qcow2_create_check(&o, &e), 0);
	o.cluster_size = 4096;
	ck_assert_int_eq(qcow2_create_check(&o, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "do not fit in a cluster of 4096 bytes");
	o.data_file = NULL;
	o.backing_file = name;
	name[1024] = '\0';
	ck_assert_int_eq(qcow2_create_check(&o, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "1 to 1023 bytes");
	name[1023] = '\0';
	ck_assert_int_eq(qcow2_create_check(&o, &e), 0);
	o.backing_format = name;
	ck_assert_int_eq(qcow2_create_check(&o, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "at most 63 bytes");
}
END_TEST

START_TEST (disk_that_is_too_large_is_refused) {
	struct qcow2_create o = { .size = 128 * GiB, .cluster_size = 512 };
	struct err e;

	ck_assert_int_eq(qcow2_create_check(&o, &e), 0);
	o.size += 512;
	ck_assert_int_eq(qcow2_create_check(&o, &e), -EFBIG);
	ck_assert_err(e, EFBIG, "larger cluster_size");
	o.size = UINT64_MAX - 511;
	ck_assert_int_eq(qcow2_create_check(&o, &e), -EFBIG);
	o.cluster_size = 2 << 20;
	ck_assert_int_eq(qcow2_create_check(&o, &e), -EFBIG);
	o.size = UINT64_C(1) << 60;
	ck_assert_int_eq(qcow2_create_check(&o, &e), 0);
	o.prealloc = QCOW2_PREALLOC_METADATA;
	ck_assert_int_eq(qcow2_create_check(&o, &e), -EFBIG);
	/* counts of 64 bits need more refcount table than there may be */
	o = (struct qcow2_create){ .size = 64 * GiB,
		.cluster_size = 512,
		.refcount_bits = 64,
		.prealloc = QCOW2_PREALLOC_METADATA };
	ck_assert_int_eq(qcow2_create_check(&o, &e), -EFBIG);
}
END_TEST

START_TEST (each_failing_request_is_told) {
	static const enum blk_op ops[] = { BLK_READ, BLK_WRITE, BLK_FLUSH };
	struct qcow2_create o = { .size = 4 * MiB,
		.prealloc = QCOW2_PREALLOC_METADATA };

	for (unsigned k = 0; k < ARRAY_LEN(ops); k++) {
		for (unsigned i = 0;; i++) {
			struct node *n = memnode_new(qt_ctx, "m", 0);
			struct err e = ERR_NONE;
			int rc;

			memnode_fail(n, ops[k], i, ENOSPC);
			rc = qt_create(n, NULL, &o, &e);
			memnode_free(n);
			if (!rc)
				break;
			ck_assert_int_eq(rc, -ENOSPC);
			ck_assert_err(e, ENOSPC, "m: ");
		}
	}
}
END_TEST

START_TEST (failing_resize_is_told) {
	struct qcow2_create o = { .size = MiB, .data_file = "d" };
	struct node *n = qt_mem(), *data = qt_mem();
	struct err e = ERR_NONE;

	ck_assert_int_eq(qt_create(n, NULL, &o, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "data file is missing");
	memnode_fail_resize(data, ENOSPC);
	ck_assert_int_eq(qt_create(n, data, &o, &e), -ENOSPC);
	ck_assert_err(e, ENOSPC, "cannot resize");
	ck_assert(!qcow2_probe(memnode_bytes(n, NULL), 8));
}
END_TEST

QT_SUITE("qcow2 create", each_cluster_size_is_good, each_refcount_width_is_good,
	each_preallocation_is_good, features_are_good,
	sizes_from_nothing_to_much_are_good, empty_disk_may_be_preallocated,
	backing_file_is_named, data_file_is_named_and_sized,
	raw_data_file_is_read_through_the_tables,
	longer_data_file_keeps_its_bytes,
	preallocated_clusters_follow_each_other,
	what_preallocation_asks_of_the_file, device_with_old_bytes_is_good,
	device_that_is_too_small_is_refused,
	old_image_is_gone_before_the_new_one_is_there,
	options_that_cannot_be_are_refused, names_that_are_too_long_are_refused,
	disk_that_is_too_large_is_refused, each_failing_request_is_told,
	failing_resize_is_told)
