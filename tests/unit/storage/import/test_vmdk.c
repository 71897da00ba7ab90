/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "tests/unit/storage/import/imp.h"

#define SECTOR 512

/* --- images of qemu-img's --- */

static void round_trip(const char *subformat, uint64_t size)
{
	char options[64];
	uint64_t zeros;

	snprintf(options, sizeof(options), "subformat=%s", subformat);
	zeros = imp_round_trip(BLK_VMDK, "vmdk", options, size);
	/* of a flat one only the file system knows the holes */
	ck_assert(zeros > 0 || strstr(subformat, "Flat"));
}

START_TEST (a_monolithic_sparse_image_reads_as_its_source) {
	round_trip("monolithicSparse", 40 * MiB + 512);
	round_trip("monolithicSparse", 3 * MiB + 7 * 512);
}
END_TEST

START_TEST (a_stream_optimized_image_reads_as_its_source) {
	round_trip("streamOptimized", 20 * MiB + 512);
}
END_TEST

START_TEST (a_flat_image_reads_as_its_source) {
	round_trip("monolithicFlat", 9 * MiB + 3 * 512);
}
END_TEST

START_TEST (split_images_read_as_their_source) {
	round_trip("twoGbMaxExtentSparse", 12 * MiB + 512);
	round_trip("twoGbMaxExtentFlat", 12 * MiB + 512);
}
END_TEST

START_TEST (a_disk_goes_over_several_files) {
	static uint8_t want[4 * MiB], buf[4 * MiB];
	const uint64_t two = 2047 * MiB; /* bytes of an extent */
	struct blk_extent x;
	struct node *n;

	imp_raw("piece", sizeof(want), 77);
	rig_read_file(rig_path("piece"), 0, want, sizeof(want));
	rig_file("raw", 5 * GiB + 512);
	for (uint64_t at = two; at <= 2 * two; at += two)
		rig_write_file(rig_path("raw"), at - 2 * MiB - 512, want,
			sizeof(want));
	imp_convert("raw", "vmdk", "subformat=twoGbMaxExtentSparse", "a.vmdk");
	n = imp_open(BLK_VMDK, imp_load("a.vmdk"));
	ck_assert_uint_eq(node_size(n), 5 * GiB + 512);
	for (uint64_t at = two; at <= 2 * two; at += two) {
		ck_assert_int_eq(imp_rw(n, BLK_READ, at - 2 * MiB - 512, buf,
					 sizeof(buf)),
			0);
		ck_assert(!memcmp(buf, want, sizeof(buf)));
	}
	ck_assert_int_eq(imp_status(n, 5 * GiB - MiB, MiB + 512, &x), 0);
	ck_assert(x.zero && x.len == MiB + 512);
	imp_close(n);
}
END_TEST

START_TEST (zeroed_grains_read_as_zeros) {
	imp_raw("raw", 20 * MiB, 7);
	imp_convert("raw", "vmdk", "zeroed_grain=on", "a.vmdk");
	rig_sh("qemu-io -f vmdk -c 'write -P 7 1M 1M' -c 'write -z 1M 512k' "
	       "%s",
		rig_path("a.vmdk"));
	ck_assert_int_eq(rig_sh("qemu-img convert -O raw %s %s",
				 rig_path("a.vmdk"), rig_path("raw")),
		0);
	struct node *n = imp_open(BLK_VMDK, imp_load("a.vmdk"));
	struct blk_extent x;

	ck_assert_int_eq(imp_status(n, MiB, MiB, &x), 0);
	ck_assert(x.zero && x.present);
	ck_assert_uint_eq(x.len, 512 * KiB);
	ck_assert_uint_gt(imp_same(n, "raw"), 0);
	imp_close(n);
}
END_TEST

START_TEST (reads_wait_for_the_files) {
	imp_async = true;
	round_trip("twoGbMaxExtentSparse", 20 * MiB);
	round_trip("streamOptimized", 9 * MiB + 512);
}
END_TEST

/* --- descriptors of several extents --- */

static struct node *text_node(const char *text)
{
	return memnode_new_from(rig_ctx(), "d.vmdk", text, strlen(text));
}

#define HEAD                                                                   \
	"# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"        \
	"createType=\"custom\"\n"

START_TEST (extents_of_all_kinds_follow_each_other) {
	uint64_t size;
	uint8_t *raw, *buf = malloc(3 * MiB), *want = calloc(1, 3 * MiB);
	struct blk_extent x;
	struct node *n;

	/* sparse of 1 MiB, 512 KiB of zeros, 1 MiB flat from 512 KiB on */
	imp_raw("one", 1 * MiB, 1);
	imp_raw("two", 2 * MiB, 2);
	imp_convert("one", "vmdk", "", "one.vmdk");
	raw = imp_slurp("one", &size);
	memcpy(want, raw, MiB);
	free(raw);
	raw = imp_slurp("two", &size);
	memcpy(want + 3 * MiB / 2, raw + MiB / 2, MiB);
	free(raw);

	n = imp_open(BLK_VMDK,
		text_node(HEAD "RW 2048 SPARSE \"one.vmdk\"\n"
			       "RW 1024 ZERO\n"
			       "RDONLY 2048 FLAT \"two\" 1024\n"));
	ck_assert_uint_eq(node_size(n), 5 * MiB / 2);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, 5 * MiB / 2), 0);
	ck_assert_mem_eq(buf, want, 5 * MiB / 2);
	ck_assert_int_eq(imp_status(n, MiB, MiB / 2, &x), 0);
	ck_assert(x.zero && x.present && x.len == MiB / 2);
	imp_close(n);
	free(buf);
	free(want);
}
END_TEST

START_TEST (a_vmfs_disk_is_a_flat_file) {
	struct node *n;

	imp_raw("x-flat.vmdk", 5 * MiB, 3);
	n = imp_open(BLK_VMDK,
		text_node("# Disk DescriptorFile\r\nversion=1\r\n"
			  "encoding=\"UTF-8\"\r\nCID=fffffffe\r\n"
			  "parentCID=ffffffff\r\ncreateType=\"vmfs\"\r\n\r\n"
			  "# Extent description\r\n"
			  "RW 10240 VMFS \"x-flat.vmdk\"\r\n\r\n"
			  "ddb.thinProvisioned = \"1\"\r\n"));
	imp_same(n, "x-flat.vmdk");
	imp_close(n);
}
END_TEST

START_TEST (extents_that_do_not_fit_are_refused) {
	rig_file("short", 4096);
	imp_fails(BLK_VMDK, text_node(HEAD "RW 9 FLAT \"short\" 0\n"), EINVAL,
		"short: it is shorter");
	imp_fails(BLK_VMDK, text_node(HEAD "RW 8 FLAT \"short\" 1\n"), EINVAL,
		"short: it is shorter");
	imp_fails(BLK_VMDK, text_node(HEAD "RW 8 FLAT \"absent\" 0\n"), ENOENT,
		"extent \"absent\" of d.vmdk: absent: cannot open");
	imp_fails(BLK_VMDK, text_node(HEAD "RW 8 SPARSE \"short\"\n"), EINVAL,
		"not a sparse VMDK extent");
	imp_raw("one", 1 * MiB, 1);
	imp_convert("one", "vmdk", "", "one.vmdk");
	imp_fails(BLK_VMDK, text_node(HEAD "RW 2049 SPARSE \"one.vmdk\"\n"),
		EINVAL, "is it that of another image");
	/* what opened before the bad one is closed: the sanitizer tells */
	imp_fails(BLK_VMDK,
		text_node(HEAD "RW 2048 SPARSE \"one.vmdk\"\n"
			       "RW 8 FLAT \"absent\" 0\n"),
		ENOENT, "absent");
}
END_TEST

/* --- an image made by hand --- */

/*
 * Grains of 4 KiB, two tables of 4 entries: header 0, descriptor at sector 1
 * (3 of them), second directory 8, its tables 9 and 10, directory 16, its
 * tables 17 and 18, grains from sector 24 on. The disk has 7 grains and one
 * sector. Grain n holds 'a' + n; 1 is none, 2 is a zeroed one.
 */
#define GRAIN       4096
#define SMALL_SIZE  (7 * GRAIN + SECTOR)
#define TABLE(n)    ((17 + (n)) * SECTOR)
#define TABLE2(n)   ((9 + (n)) * SECTOR)
#define GRAIN_AT(n) ((24 + 8 * (n)) * SECTOR)
#define FILE_SIZE   (GRAIN_AT(8))
#define DESC_TEXT                                                              \
	"# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\n"                   \
	"createType=\"monolithicSparse\"\nRW 57 SPARSE \"small.vmdk\"\n"

static void small_dir(uint8_t *b, unsigned dir, unsigned table)
{
	put_le32(b + dir * SECTOR, table);
	put_le32(b + dir * SECTOR + 4, table + 1);
	for (uint32_t i = 0; i < 8; i++)
		put_le32(b + (table + i / 4) * SECTOR + i % 4 * 4,
			i == 1   ? 0
			: i == 2 ? 1
				 : 24 + 8 * i);
}

static void small_header(uint8_t *b, uint32_t flags, const char *text)
{
	memcpy(b, "KDMV", 4);
	put_le32(b + 4, 1);
	put_le32(b + 8, flags);
	put_le64(b + 12, SMALL_SIZE / SECTOR);
	put_le64(b + 20, GRAIN / SECTOR);
	put_le64(b + 28, 1);
	put_le64(b + 36, 3);
	put_le32(b + 44, 4);
	put_le64(b + 48, 8);
	put_le64(b + 56, 16);
	put_le64(b + 64, 24);
	memcpy(b + 73, "\n \r\n", 4);
	memcpy(b + SECTOR, text, strlen(text));
}

static struct node *small_vmdk(uint8_t **bytes)
{
	struct node *f = memnode_new(rig_ctx(), "small.vmdk", FILE_SIZE);
	uint8_t *b = memnode_bytes(f, NULL);

	small_header(b, 7, DESC_TEXT);
	small_dir(b, 8, 9);
	small_dir(b, 16, 17);
	for (int i = 0; i < 8; i++)
		memset(b + GRAIN_AT(i), 'a' + i, GRAIN);
	*bytes = b;
	return f;
}

static void small_want(uint8_t *want)
{
	for (int i = 0; i < 8; i++)
		memset(want + i * GRAIN, i == 1 || i == 2 ? 0 : 'a' + i,
			i == 7 ? SECTOR : GRAIN);
}

/* Opens, and reads right. */
static void small_reads(struct node *f)
{
	uint8_t buf[SMALL_SIZE], want[SMALL_SIZE];
	struct node *n = imp_open(BLK_VMDK, f);

	small_want(want);
	ck_assert_uint_eq(node_size(n), SMALL_SIZE);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, SMALL_SIZE), 0);
	ck_assert_mem_eq(buf, want, SMALL_SIZE);
	imp_close(n);
}

START_TEST (grains_are_found_by_the_tables) {
	struct blk_extent x;
	struct node *n;
	uint8_t *b;

	small_reads(small_vmdk(&b));
	n = imp_open(BLK_VMDK, small_vmdk(&b));
	ck_assert_int_eq(imp_status(n, GRAIN, GRAIN, &x), 0);
	ck_assert(x.zero && !x.present && x.len == GRAIN);
	ck_assert_int_eq(imp_status(n, 2 * GRAIN, SMALL_SIZE - 2 * GRAIN, &x),
		0);
	ck_assert(x.zero && x.present && x.len == GRAIN);
	ck_assert_int_eq(imp_status(n, 3 * GRAIN, SMALL_SIZE - 3 * GRAIN, &x),
		0);
	ck_assert(x.data && x.len == SMALL_SIZE - 3 * GRAIN);
	ck_assert_uint_eq(x.host, GRAIN_AT(3));
	imp_close(n);
}
END_TEST

START_TEST (grains_side_by_side_are_read_as_one) {
	uint8_t *b, buf[4 * GRAIN];
	struct node *f = small_vmdk(&b), *n = imp_open(BLK_VMDK, f);
	uint64_t before;

	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, SECTOR), 0);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 4 * GRAIN, buf, SECTOR), 0);
	before = memnode_count(f, BLK_READ);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 3 * GRAIN, buf, 4 * GRAIN), 0);
	ck_assert_uint_eq(memnode_count(f, BLK_READ), before + 1);
	imp_close(n);
}
END_TEST

START_TEST (the_second_directory_serves_where_the_first_is_damaged) {
	struct node *f;
	uint8_t *b;

	f = small_vmdk(&b);
	put_le32(b + 16 * SECTOR, FILE_SIZE / SECTOR); /* an entry */
	small_reads(f);
	f = small_vmdk(&b);
	put_le64(b + 56, FILE_SIZE / SECTOR); /* its place */
	small_reads(f);
	f = small_vmdk(&b);
	put_le32(b + TABLE(1) + 4, FILE_SIZE / SECTOR); /* a table's entry */
	small_reads(f);
}
END_TEST

static uint64_t broken_at;

static int broken_sector(void *arg, const struct blk_req *r)
{
	(void)arg;
	return r->op == BLK_READ && r->offset <= broken_at &&
			       r->offset + r->len > broken_at
		       ? -EIO
		       : 0;
}

START_TEST (the_second_directory_serves_where_the_first_is_unreadable) {
	uint8_t *b;
	struct node *f = small_vmdk(&b);

	broken_at = 16 * SECTOR; /* the directory */
	memnode_watch(f, broken_sector, NULL);
	small_reads(f);
	f = small_vmdk(&b);
	broken_at = TABLE(0);
	memnode_watch(f, broken_sector, NULL);
	small_reads(f);
}
END_TEST

START_TEST (with_both_tables_damaged_the_read_fails) {
	uint8_t *b, buf[GRAIN];
	struct node *f = small_vmdk(&b), *n;

	put_le32(b + TABLE(0), FILE_SIZE / SECTOR);
	put_le32(b + TABLE2(0), UINT32_MAX);
	n = imp_open(BLK_VMDK, f);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, GRAIN), -EIO);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 3 * GRAIN, buf, GRAIN), 0);
	ck_assert_int_eq(buf[0], 'd');
	imp_close(n);
}
END_TEST

START_TEST (with_both_directories_damaged_it_does_not_open) {
	struct node *f;
	uint8_t *b;

	f = small_vmdk(&b);
	put_le32(b + 16 * SECTOR + 4, FILE_SIZE / SECTOR);
	put_le32(b + 8 * SECTOR + 4, FILE_SIZE / SECTOR);
	imp_fails(BLK_VMDK, f, EINVAL, "tables past the end");
	f = small_vmdk(&b);
	put_le64(b + 56, UINT64_MAX / SECTOR);
	put_le64(b + 48, 0);
	imp_fails(BLK_VMDK, f, EINVAL, "no readable grain directory");
	f = small_vmdk(&b); /* has no second one */
	put_le32(b + 8, 5);
	put_le32(b + 16 * SECTOR, FILE_SIZE / SECTOR);
	imp_fails(BLK_VMDK, f, EINVAL, "tables past the end");
}
END_TEST

START_TEST (a_file_that_is_cut_off_fails_where_it_is) {
	uint8_t *b, buf[GRAIN];
	struct node *full = small_vmdk(&b);
	struct node *n = imp_open(BLK_VMDK,
		memnode_new_from(rig_ctx(), "cut.vmdk", b, GRAIN_AT(5)));

	ck_assert_int_eq(imp_rw(n, BLK_READ, 4 * GRAIN, buf, GRAIN), 0);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 5 * GRAIN, buf, GRAIN), -EIO);
	imp_close(n);
	imp_close(full);
}
END_TEST

START_TEST (damaged_headers_are_refused) {
	static const struct imp_field wrong[] = {
		{ 0, 4, 0x44574f43, ENOTSUP, "COWD" },
		{ 0, 4, 0, EINVAL, "not a VMDK" },
		{ 4, 4, 0, ENOTSUP, "version 0" },
		{ 4, 4, 4, ENOTSUP, "version 4" },
		{ 8, 4, 0x17, ENOTSUP, "flags 0x10" },
		{ 8, 4, 0x10007, ENOTSUP, "no markers" },
		{ 8, 4, 0x20007, ENOTSUP, "no markers" },
		{ 8, 4, 0x30007, ENOTSUP, "method 0" },
		{ 12, 8, UINT64_MAX, EINVAL, "capacity" },
		{ 12, 8, UINT64_C(1) << 54, EINVAL, "capacity" },
		{ 12, 8, UINT64_C(1) << 40, ENOTSUP, "more than 32 MiB" },
		{ 12, 8, 56, EINVAL, "that of another image" },
		{ 20, 8, 0, EINVAL, "grain size" },
		{ 20, 8, 9, EINVAL, "grain size" },
		{ 20, 8, 0x20000, EINVAL, "grain size" },
		{ 20, 8, UINT64_C(1) << 63, EINVAL, "grain size" },
		{ 28, 8, FILE_SIZE, EINVAL, "descriptor's place" },
		{ 28, 8, UINT64_MAX, EINVAL, "descriptor's place" },
		{ 28, 8, 2, EINVAL, "no descriptor where" },
		{ 28, 8, 0, EINVAL, "one of the extents of a split" },
		{ 36, 8, 0, EINVAL, "descriptor's place" },
		{ 36, 8, 4096, EINVAL, "descriptor's place" },
		{ 36, 8, UINT64_MAX, EINVAL, "descriptor's place" },
		{ 44, 4, 0, EINVAL, "table size" },
		{ 44, 4, 513, EINVAL, "table size" },
		{ 73, 1, '\r', EINVAL, "copied as text" },
		{ 77, 2, 2, ENOTSUP, "method 2" },
	};

	imp_fields_fail(BLK_VMDK, small_vmdk, wrong, ARRAY_LEN(wrong));
}
END_TEST

START_TEST (an_embedded_descriptor_names_the_one_file) {
	uint8_t *b;
	struct node *f = small_vmdk(&b);
	char *text = (char *)b + SECTOR;

	strcat(text, "RW 57 SPARSE \"other.vmdk\"\n");
	imp_fails(BLK_VMDK, f, EINVAL, "names 2 extents, not one");
	f = small_vmdk(&b);
	text = (char *)b + SECTOR;
	memcpy(strstr(text, "SPARSE"), "  FLAT", 6);
	strcpy(text + strlen(text) - 1, " 0\n");
	imp_fails(BLK_VMDK, f, EINVAL, "not one sparse");
}
END_TEST

START_TEST (other_files_are_not_opened_without_leave) {
	const char *text = HEAD "RW 8 FLAT \"secret\" 0\n";
	struct import_open io = { .file = text_node(text) };
	struct node *n = NULL;
	struct err e = ERR_NONE;
	int rc = 0;

	/* what the fiber would do, with nothing to wait for */
	rc = vmdk_open(&io, &n, &e);
	ck_assert_int_eq(rc, -ENOTSUP);
	ck_assert_err(e, ENOTSUP, "names other files");
	imp_close(io.file);
}
END_TEST

/* --- streams --- */

static void marker(uint8_t *b, uint64_t v, uint32_t type)
{
	put_le64(b, v);
	put_le32(b + 8, 0);
	put_le32(b + 12, type);
}

struct stream {
	uint8_t *b;
	uint64_t len;
	uint64_t grain_at[8], footer_at;
};

/* As a program writes it that cannot go back: directory and footer last. */
static void stream_make(struct stream *s)
{
	uint8_t plain[GRAIN];
	uint64_t at = 8 * SECTOR, tables[2], dir;

	s->b = calloc(1, MiB);
	small_header(s->b, 0x30001, DESC_TEXT);
	put_le32(s->b + 4, 3);
	put_le64(s->b + 48, 0);
	put_le64(s->b + 56, UINT64_MAX);
	put_le16(s->b + 77, 1);
	for (uint64_t i = 0; i < 8; i++) {
		uLongf len = 2 * GRAIN;

		s->grain_at[i] = 0;
		if (i == 1 || i == 2)
			continue;
		s->grain_at[i] = at;
		memset(plain, 'a' + (int)i, GRAIN);
		/* the last one holds only what the disk has */
		ck_assert_int_eq(compress(s->b + at + 12, &len, plain,
					 i == 7 ? SECTOR : GRAIN),
			Z_OK);
		put_le64(s->b + at, i * GRAIN / SECTOR);
		put_le32(s->b + at + 8, (uint32_t)len);
		at += size_up(12 + len, SECTOR);
	}
	for (int t = 0; t < 2; t++) {
		marker(s->b + at, 1, 1);
		tables[t] = at + SECTOR;
		for (int i = 0; i < 4; i++)
			put_le32(s->b + tables[t] + i * 4,
				(uint32_t)(s->grain_at[t * 4 + i] / SECTOR));
		at += 2 * SECTOR;
	}
	marker(s->b + at, 1, 2);
	dir = at + SECTOR;
	put_le32(s->b + dir, (uint32_t)(tables[0] / SECTOR));
	put_le32(s->b + dir + 4, (uint32_t)(tables[1] / SECTOR));
	at += 2 * SECTOR;
	marker(s->b + at, 1, 3);
	s->footer_at = at + SECTOR;
	memcpy(s->b + s->footer_at, s->b, SECTOR);
	put_le64(s->b + s->footer_at + 56, dir / SECTOR);
	s->len = at + 3 * SECTOR; /* and a marker of zeros */
}

static struct node *stream_node(struct stream *s)
{
	struct node *f =
		memnode_new_from(rig_ctx(), "stream.vmdk", s->b, s->len);

	free(s->b);
	return f;
}

START_TEST (a_stream_has_its_directory_behind_it) {
	struct stream s;

	stream_make(&s);
	small_reads(stream_node(&s));
	stream_make(&s); /* some tools fill up the file */
	s.len += 16 * SECTOR;
	small_reads(stream_node(&s));
}
END_TEST

START_TEST (a_stream_reads_in_parts_of_grains) {
	struct stream s;
	struct node *f, *n;
	uint8_t buf[SECTOR];
	uint64_t before;

	stream_make(&s);
	f = stream_node(&s);
	n = imp_open(BLK_VMDK, f);
	for (int i = 0; i < SMALL_SIZE / SECTOR; i++) {
		int g = i / 8;

		ck_assert_int_eq(imp_rw(n, BLK_READ, (uint64_t)i * SECTOR, buf,
					 SECTOR),
			0);
		ck_assert_int_eq(buf[7], g == 1 || g == 2 ? 0 : 'a' + g);
	}
	/* what was unpacked once is kept */
	before = memnode_count(f, BLK_READ);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, SECTOR), 0);
	ck_assert_uint_eq(memnode_count(f, BLK_READ), before);
	imp_close(n);
}
END_TEST

START_TEST (status_of_a_stream_tells_what_is_packed) {
	struct stream s;
	struct blk_extent x;
	struct node *n;
	uint8_t buf[SECTOR];

	stream_make(&s);
	n = imp_open(BLK_VMDK, stream_node(&s));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(imp_status(n, 0, SMALL_SIZE, &x), 0);
		ck_assert(x.data && x.compressed && !x.has_host);
		ck_assert_uint_eq(x.len, GRAIN);
		/* the same when it is in memory */
		ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, SECTOR), 0);
	}
	ck_assert_int_eq(imp_status(n, GRAIN, 2 * GRAIN, &x), 0);
	ck_assert(x.zero && !x.present && x.len == 2 * GRAIN);
	imp_close(n);
}
END_TEST

START_TEST (a_stream_without_its_footer_is_not_complete) {
	struct stream s;

	stream_make(&s);
	s.len -= SECTOR;
	imp_fails(BLK_VMDK, stream_node(&s), EINVAL, "footer is missing");
	stream_make(&s);
	s.len = 4 * SECTOR;
	imp_fails(BLK_VMDK, stream_node(&s), EINVAL, "footer is missing");
	stream_make(&s);
	put_le32(s.b + s.footer_at - SECTOR + 12, 2);
	imp_fails(BLK_VMDK, stream_node(&s), EINVAL, "footer is missing");
	stream_make(&s);
	put_le64(s.b + s.footer_at + 12, 1);
	imp_fails(BLK_VMDK, stream_node(&s), EINVAL, "does not fit");
	stream_make(&s);
	put_le64(s.b + s.footer_at + 56, UINT64_MAX);
	imp_fails(BLK_VMDK, stream_node(&s), EINVAL, "does not fit");
}
END_TEST

/* Whole and part of the first grain fail, the next one reads. */
static void grain_fails(struct stream *s)
{
	struct node *n = imp_open(BLK_VMDK, stream_node(s));
	uint8_t buf[GRAIN];

	ck_assert_int_eq(imp_rw(n, BLK_READ, 0, buf, GRAIN), -EIO);
	ck_assert_int_eq(imp_rw(n, BLK_READ, SECTOR, buf, SECTOR), -EIO);
	ck_assert_int_eq(imp_rw(n, BLK_READ, 3 * GRAIN, buf, GRAIN), 0);
	imp_close(n);
}

START_TEST (damaged_packed_grains_fail) {
	struct stream s;

	stream_make(&s); /* not its own */
	put_le64(s.b + s.grain_at[0], 8);
	grain_fails(&s);
	stream_make(&s); /* no length, too long, past the end */
	put_le32(s.b + s.grain_at[0] + 8, 0);
	grain_fails(&s);
	stream_make(&s);
	put_le32(s.b + s.grain_at[0] + 8, UINT32_MAX);
	grain_fails(&s);
	stream_make(&s);
	put_le32(s.b + s.grain_at[0] + 8, 2 * GRAIN);
	grain_fails(&s);
	stream_make(&s); /* not what was packed */
	s.b[s.grain_at[0] + 16] ^= 0xff;
	grain_fails(&s);
	stream_make(&s); /* less than a grain */
	memcpy(s.b + s.grain_at[0] + 8, s.b + s.grain_at[7] + 8, 64);
	grain_fails(&s);
}
END_TEST

START_TEST (a_grain_that_packs_badly_is_read_in_two) {
	/* random bytes do not get smaller; the first guess is */
	round_trip("streamOptimized", 2 * MiB);
	imp_raw("raw", 64 * KiB, 11);
	rig_sh("head -c 65536 /dev/urandom > %s", rig_path("raw"));
	imp_convert("raw", "vmdk", "subformat=streamOptimized", "r.vmdk");
	struct node *n = imp_open(BLK_VMDK, imp_load("r.vmdk"));

	imp_same(n, "raw");
	imp_close(n);
}
END_TEST

START_TEST (the_probe_knows_both_kinds) {
	ck_assert(vmdk_probe("KDMV\1\0\0\0", 8));
	ck_assert(vmdk_probe("COWD\1\0\0\0", 8));
	ck_assert(vmdk_probe("# Disk DescriptorFile\n", 22));
	ck_assert(vmdk_probe("\n# disk descriptorfile\r\n", 23));
	ck_assert(!vmdk_probe("# Disk Descriptor", 17));
	ck_assert(!vmdk_probe("KDM", 3));
	ck_assert(!vmdk_probe("", 0));
}
END_TEST

RIG_SUITE("import_vmdk", a_monolithic_sparse_image_reads_as_its_source,
	a_stream_optimized_image_reads_as_its_source,
	a_flat_image_reads_as_its_source, split_images_read_as_their_source,
	a_disk_goes_over_several_files, zeroed_grains_read_as_zeros,
	reads_wait_for_the_files, extents_of_all_kinds_follow_each_other,
	a_vmfs_disk_is_a_flat_file, extents_that_do_not_fit_are_refused,
	grains_are_found_by_the_tables, grains_side_by_side_are_read_as_one,
	the_second_directory_serves_where_the_first_is_damaged,
	the_second_directory_serves_where_the_first_is_unreadable,
	with_both_tables_damaged_the_read_fails,
	with_both_directories_damaged_it_does_not_open,
	a_file_that_is_cut_off_fails_where_it_is, damaged_headers_are_refused,
	an_embedded_descriptor_names_the_one_file,
	other_files_are_not_opened_without_leave,
	a_stream_has_its_directory_behind_it, a_stream_reads_in_parts_of_grains,
	status_of_a_stream_tells_what_is_packed,
	a_stream_without_its_footer_is_not_complete, damaged_packed_grains_fail,
	a_grain_that_packs_badly_is_read_in_two, the_probe_knows_both_kinds)
