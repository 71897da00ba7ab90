/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading what QEMU's tools wrote, byte by byte as these read it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "tests/unit/storage/qcow2/images.h"
#include "tests/unit/storage/rig.h"

static int read_all(void *arg)
{
	const char *name = arg;
	struct node *n = images_open(name, true);

	images_compare(n, name);
	ck_assert(!qcow2_of(n)->corrupt);
	return node_close(n);
}

#define READS(name, options, size, cluster, max)                               \
	START_TEST (name) {                                                    \
		images_try(read_all, options, size, cluster, max, 0x1234567);  \
	}                                                                      \
	END_TEST

READS(version_2_is_read, "compat=0.10", 8 * MiB + 1536, 65536, MiB)
READS(version_3_is_read, "compat=1.1", 8 * MiB + 1536, 65536, MiB)
READS(clusters_of_512_are_read, "cluster_size=512", 2 * MiB + 512, 512, 65536)
READS(version_2_with_clusters_of_512_is_read, "compat=0.10,cluster_size=512",
	2 * MiB, 512, 65536)
READS(clusters_of_4k_are_read, "cluster_size=4k", 8 * MiB + 1024, 4096, 262144)
READS(clusters_of_2m_are_read, "cluster_size=2M", 40 * MiB + 512, 2097152,
	4 * MiB)
READS(extended_l2_is_read, "extended_l2=on,cluster_size=64k", 8 * MiB + 512,
	65536, 262144)
READS(extended_l2_with_16k_is_read, "extended_l2=on,cluster_size=16k",
	8 * MiB + 512, 16384, 65536)
READS(extended_l2_with_2m_is_read, "extended_l2=on,cluster_size=2M", 40 * MiB,
	2097152, MiB)
READS(zstd_is_read, "compression_type=zstd", 8 * MiB + 512, 65536, MiB)
READS(zstd_with_4k_is_read, "compression_type=zstd,cluster_size=4k",
	4 * MiB + 512, 4096, 65536)
READS(odd_refcounts_are_read, "refcount_bits=1", 8 * MiB, 0, MiB)
READS(wide_refcounts_are_read, "refcount_bits=64,lazy_refcounts=on", 8 * MiB,
	65536, MiB)
READS(a_data_file_is_read, "data_file=data", 8 * MiB + 512, 0, MiB)
READS(a_raw_data_file_is_read, "data_file=data,data_file_raw=on", 8 * MiB, 0,
	MiB)
READS(a_data_file_with_extended_l2_is_read,
	"data_file=data,extended_l2=on,cluster_size=64k", 8 * MiB, 0, 262144)
READS(preallocated_metadata_is_read, "preallocation=metadata", 8 * MiB + 512,
	65536, MiB)
READS(a_preallocated_file_is_read, "preallocation=falloc", 8 * MiB, 65536, MiB)
READS(extended_l2_preallocated_is_read,
	"preallocation=metadata,extended_l2=on,cluster_size=64k", 8 * MiB,
	65536, MiB)

START_TEST (an_empty_image_reads_as_zeros) {
	images_begin();
	images_create("image", "", 100 * MiB);
	images_run(read_all, (char *)(uintptr_t) "image");
	images_end();
}
END_TEST

static int read_small_cache(void *arg)
{
	struct node *n = images_open(arg, true);

	qcow2_of(n)->l2.max = 1;
	images_compare(n, arg);
	return node_close(n);
}

START_TEST (a_cache_that_is_too_small_reads_the_same) {
	uint64_t seed = 11;

	images_begin();
	images_create("image", "cluster_size=1k", 4 * MiB);
	images_scribble("image", 4 * MiB, 0, 65536, 120, &seed);
	images_run(read_small_cache, (char *)(uintptr_t) "image");
	images_end();
}
END_TEST

/* Five layers, each shorter or longer than the one it stands on. */
static const struct {
	const char *options;
	uint64_t size;
	uint32_t cluster;
} layers[] = {
	{ "compat=0.10", 3 * MiB + 512, 65536 },
	{ "cluster_size=4k", 6 * MiB + 1024, 4096 },
	{ "extended_l2=on,cluster_size=64k", 5 * MiB + 512, 65536 },
	{ "cluster_size=512", 5 * MiB - 1536, 0 },
	{ "compression_type=zstd,cluster_size=128k", 8 * MiB + 512, 131072 },
};

static void make_chain(const char *bottom, const char *bottom_format)
{
	uint64_t seed = 4711;
	char below[16], name[16];

	strcpy(below, bottom);
	for (unsigned i = 0; i < ARRAY_LEN(layers); i++) {
		char options[200];

		snprintf(name, sizeof(name), "layer%u", i);
		snprintf(options, sizeof(options),
			"%s,backing_file=%s,backing_fmt=%s", layers[i].options,
			below, i ? "qcow2" : bottom_format);
		images_create(name, options, layers[i].size);
		images_scribble(name, layers[i].size, layers[i].cluster, 65536,
			40, &seed);
		strcpy(below, name);
	}
}

START_TEST (a_chain_of_short_and_long_layers_is_read) {
	uint64_t seed = 5;
	uint8_t *buf = malloc(2 * MiB + 512);

	images_begin();
	ck_assert_ptr_nonnull(buf);
	images_random(&seed, buf, 2 * MiB + 512);
	rig_write_file(rig_file("bottom", 2 * MiB + 512), 0, buf,
		2 * MiB + 512);
	free(buf);
	make_chain("bottom", "raw");
	for (unsigned i = 0; i < ARRAY_LEN(layers); i++) {
		char name[16];

		snprintf(name, sizeof(name), "layer%u", i);
		images_run(read_all, name);
	}
	images_end();
}
END_TEST

RIG_SUITE("qcow2 read", version_2_is_read, version_3_is_read,
	clusters_of_512_are_read, version_2_with_clusters_of_512_is_read,
	clusters_of_4k_are_read, clusters_of_2m_are_read, extended_l2_is_read,
	extended_l2_with_16k_is_read, extended_l2_with_2m_is_read, zstd_is_read,
	zstd_with_4k_is_read, odd_refcounts_are_read, wide_refcounts_are_read,
	a_data_file_is_read, a_raw_data_file_is_read,
	a_data_file_with_extended_l2_is_read, preallocated_metadata_is_read,
	a_preallocated_file_is_read, extended_l2_preallocated_is_read,
	an_empty_image_reads_as_zeros, a_cache_that_is_too_small_reads_the_same,
	a_chain_of_short_and_long_layers_is_read)
