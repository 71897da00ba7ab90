/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an image has where, as qemu-img map says it; and what that cannot. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/memnode.h"
#include "tests/unit/storage/qcow2/images.h"
#include "tests/unit/storage/rig.h"

static bool follows(const struct blk_extent *a, const struct blk_extent *b)
{
	return a->data == b->data && a->zero == b->zero &&
	       a->present == b->present && a->compressed == b->compressed &&
	       a->depth == b->depth && a->has_host == b->has_host &&
	       (!a->has_host || a->host + a->len == b->host);
}

/* The extent at `at`, put together as far as it is alike. */
static void whole_extent(struct node *n, uint64_t at, uint64_t size,
	struct blk_extent *x)
{
	struct blk_extent more;

	ck_assert_int_eq(node_status(n, at, size - at, 0, x), 0);
	for (;;) {
		ck_assert_uint_gt(x->len, 0);
		ck_assert_uint_le(x->len, size - at);
		ck_assert_ptr_nonnull(x->file);
		if (x->len == size - at)
			return;
		ck_assert_int_eq(node_status(n, at + x->len, size - at - x->len,
					 0, &more),
			0);
		if (!follows(x, &more))
			return;
		x->len += more.len;
	}
}

static bool is(json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static uint64_t number(json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* A place that is kept for what is not there (subclusters) is nothing that we
 * tell: put together what is absent. */
static void join_absent(json_t *map)
{
	for (size_t i = 0; i < json_array_size(map); i++) {
		json_t *o = json_array_get(map, i), *next;
		uint64_t len = number(o, "length");

		if (is(o, "present"))
			continue;
		json_object_del(o, "offset");
		while ((next = json_array_get(map, i + 1)) != NULL &&
			!is(next, "present") &&
			number(next, "depth") == number(o, "depth")) {
			len += number(next, "length");
			json_array_remove(map, i + 1);
		}
		json_object_set_new(o, "length", json_integer((json_int_t)len));
	}
}

static void compare_map(struct node *n, const char *name)
{
	uint64_t size = node_size(n), at = 0;
	json_error_t je;
	json_t *map;

	images_sh("qemu-img map --output=json -f qcow2 %s >map", name);
	map = json_load_file(rig_path("map"), 0, &je);
	ck_assert_msg(map != NULL, "%s", je.text);
	join_absent(map);
	for (size_t i = 0; i < json_array_size(map); i++) {
		json_t *o = json_array_get(map, i);
		struct blk_extent x;

		whole_extent(n, at, size, &x);
		ck_assert_msg(number(o, "start") == at &&
				      number(o, "length") == x.len &&
				      number(o, "depth") == x.depth &&
				      is(o, "present") == x.present &&
				      is(o, "zero") == x.zero &&
				      is(o, "data") == x.data &&
				      (json_object_get(o, "offset") != NULL) ==
					      x.has_host &&
				      (!x.has_host ||
					      number(o, "offset") == x.host),
			"%s at %llu: len %llu depth %u present %d zero %d "
			"data %d host %d %llu, but %s",
			name, (unsigned long long)at, (unsigned long long)x.len,
			x.depth, x.present, x.zero, x.data, x.has_host,
			(unsigned long long)x.host,
			json_dumps(o, JSON_COMPACT));
		at += x.len;
	}
	ck_assert_uint_eq(at, size);
	json_decref(map);
}

static int map_all(void *arg)
{
	struct node *n = images_open(arg, true);

	compare_map(n, arg);
	compare_map(n, arg); /* all is cached now */
	return node_close(n);
}

#define MAPS(name, options, size, cluster, max)                                \
	START_TEST (name) {                                                    \
		images_try(map_all, options, size, cluster, max, 0x7654321);   \
	}                                                                      \
	END_TEST

MAPS(version_2_is_mapped, "compat=0.10", 8 * MiB + 1536, 65536, MiB)
MAPS(version_3_is_mapped, "compat=1.1", 8 * MiB + 1536, 65536, MiB)
MAPS(clusters_of_512_are_mapped, "cluster_size=512", 2 * MiB + 512, 0, 65536)
MAPS(clusters_of_4k_are_mapped, "cluster_size=4k", 40 * MiB + 1024, 4096,
	4 * MiB)
MAPS(clusters_of_2m_are_mapped, "cluster_size=2M", 40 * MiB + 512, 2097152,
	4 * MiB)
MAPS(extended_l2_is_mapped, "extended_l2=on,cluster_size=64k", 8 * MiB + 512,
	65536, 262144)
MAPS(extended_l2_with_16k_is_mapped, "extended_l2=on,cluster_size=16k",
	8 * MiB + 512, 0, 65536)
MAPS(a_data_file_is_mapped, "data_file=data", 8 * MiB + 512, 0, MiB)
MAPS(a_preallocated_file_is_mapped, "preallocation=full", 8 * MiB, 0, MiB)

START_TEST (an_empty_image_is_one_extent) {
	images_begin();
	images_create("image", "", 10 * GiB);
	images_run(map_all, (char *)(uintptr_t) "image");
	images_end();
}
END_TEST

START_TEST (a_chain_is_mapped_with_its_depths) {
	static const uint64_t sizes[] = { 3 * MiB + 512, 6 * MiB, 5 * MiB + 512,
		4 * MiB, 8 * MiB + 512 };
	uint64_t seed = 99;
	char name[16];

	images_begin();
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		char options[100];

		snprintf(name, sizeof(name), "layer%u", i);
		snprintf(options, sizeof(options),
			"cluster_size=%u,backing_file=layer%u,"
			"backing_fmt=qcow2",
			i % 2 ? 65536 : 4096, i - 1);
		images_create(name, i ? options : "", sizes[i]);
		images_scribble(name, sizes[i], 0, 65536, 30, &seed);
		images_run(map_all, name);
	}
	images_end();
}
END_TEST

/* What a single layer says, and how: by hand. */

static void expect(struct node *n, unsigned flags, uint64_t at, uint64_t len,
	const struct blk_extent *want)
{
	struct blk_extent x;

	ck_assert_int_eq(node_status(n, at, len, flags, &x), 0);
	ck_assert_uint_eq(x.len, want->len);
	ck_assert_int_eq(x.data, want->data);
	ck_assert_int_eq(x.zero, want->zero);
	ck_assert_int_eq(x.present, want->present);
	ck_assert_int_eq(x.compressed, want->compressed);
	ck_assert_uint_eq(x.depth, want->depth);
	ck_assert_int_eq(x.has_host, want->has_host);
	ck_assert_msg(strstr(x.file, want->file) != NULL, "%s", x.file);
}

static int top_only(void *arg)
{
	struct node *n = images_open(arg, true);

	/* in the top, in the layer below, in none, behind the one below */
	expect(n, 0, 0, 3 * MiB,
		&(struct blk_extent){ .len = 65536,
			.data = true,
			.present = true,
			.has_host = true,
			.file = "/top" });
	expect(n, 0, 65536, 3 * MiB,
		&(struct blk_extent){ .len = 65536,
			.data = true,
			.present = true,
			.has_host = true,
			.depth = 1,
			.file = "/below" });
	expect(n, 0, 131072, 4 * MiB,
		&(struct blk_extent){ .len = MiB - 131072,
			.zero = true,
			.depth = 1,
			.file = "/below" });
	expect(n, 0, MiB, MiB,
		&(struct blk_extent){ .len = MiB - 65536,
			.zero = true,
			.file = "/top" });
	expect(n, BLK_TOP, 0, MiB,
		&(struct blk_extent){ .len = 65536,
			.data = true,
			.present = true,
			.has_host = true,
			.file = "/top" });
	expect(n, BLK_TOP, 65536, 2 * MiB,
		&(struct blk_extent){ .len = 2 * MiB - 2 * 65536,
			.file = "/top" });
	expect(n, BLK_TOP, 2 * MiB - 65536, MiB,
		&(struct blk_extent){ .len = 65536,
			.zero = true,
			.present = true,
			.file = "/top" });
	expect(n, 0, 2 * MiB + 512, MiB,
		&(struct blk_extent){ .len = 131072 - 512,
			.data = true,
			.present = true,
			.compressed = true,
			.file = "/top" });
	return node_close(n);
}

START_TEST (a_layer_tells_only_of_itself_when_asked_so) {
	images_begin();
	images_create("below", "", MiB);
	images_sh("qemu-io -f qcow2 -c 'write 65536 65536' below >said");
	images_create("top", "backing_file=below,backing_fmt=qcow2", 4 * MiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 65536' -c 'write -z 1984k 64k' "
		  "-c 'write -c 2M 64k' -c 'write -c 2112k 64k' top >said");
	images_run(top_only, (char *)(uintptr_t) "top");
	images_end();
}
END_TEST

static int failing(void *arg)
{
	struct node *file, *n = images_in_memory(arg, true, &file);
	struct blk_extent x;

	memnode_fail_once(file, BLK_READ, 0, EIO);
	ck_assert_int_eq(node_status(n, 0, MiB, 0, &x), -EIO);
	ck_assert_int_eq(node_status(n, 0, MiB, 0, &x), 0);
	ck_assert(x.data);
	return node_close(n);
}

START_TEST (a_table_that_cannot_be_read_is_an_error) {
	images_begin();
	images_create("image", "", MiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 65536' image >said");
	images_run(failing, (char *)(uintptr_t) "image");
	images_end();
}
END_TEST

static int below_fails(void *arg)
{
	struct node *file, *n = images_open(arg, true);
	struct blk_extent x;

	qcow2_set_backing(n, images_in_memory("below", true, &file));
	memnode_fail_once(file, BLK_READ, 0, EIO);
	ck_assert_int_eq(node_status(n, 0, MiB, 0, &x), -EIO);
	ck_assert_int_eq(node_status(n, 0, MiB, 0, &x), 0);
	ck_assert_uint_eq(x.depth, 1);
	return node_close(n);
}

START_TEST (an_error_of_the_layer_below_is_told) {
	images_begin();
	images_create("below", "", MiB);
	images_sh("qemu-io -f qcow2 -c 'write 0 65536' below >said");
	images_create("top", "backing_file=below,backing_fmt=qcow2", 4 * MiB);
	images_run(below_fails, (char *)(uintptr_t) "top");
	images_end();
}
END_TEST

RIG_SUITE("qcow2 status", version_2_is_mapped, version_3_is_mapped,
	clusters_of_512_are_mapped, clusters_of_4k_are_mapped,
	clusters_of_2m_are_mapped, extended_l2_is_mapped,
	extended_l2_with_16k_is_mapped, a_data_file_is_mapped,
	a_preallocated_file_is_mapped, an_empty_image_is_one_extent,
	a_chain_is_mapped_with_its_depths,
	a_layer_tells_only_of_itself_when_asked_so,
	a_table_that_cannot_be_read_is_an_error,
	an_error_of_the_layer_below_is_told)
