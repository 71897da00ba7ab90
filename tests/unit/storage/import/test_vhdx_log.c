/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A VHDX whose log has changes that are not yet in the file. The images are
 * qemu-img's, with pages of their tables spoilt, and what they were in a log.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/import/vhdx_overlay.h"

#include "tests/unit/storage/import/vx.h"

#define PAGE VX_SECTOR

static uint8_t bat[PAGE], meta[PAGE], values[PAGE], junk[PAGE];

/* A fixed image of 6 MiB; its table's and metadata's pages are kept. */
static void load(struct vx *v)
{
	if (access(rig_path("a.vhdx"), R_OK) < 0) { /* once a test */
		imp_raw("raw", 6 * MiB, 9);
		imp_convert("raw", "vhdx",
			"subformat=fixed,block_size=1M,log_size=1M", "a.vhdx");
	}
	vx_load(v, "a.vhdx");
	memcpy(bat, v->b + v->bat_at, PAGE);
	memcpy(meta, v->b + v->meta_at, PAGE);
	memcpy(values, v->b + v->meta_at + 64 * KiB, PAGE);
	memset(junk, 0xee, PAGE);
	vx_use_log(v);
}

static void spoil(struct vx *v, uint64_t at)
{
	memset(v->b + at, 0xdd, PAGE);
}

static struct vx_change page(uint64_t at, const uint8_t *data)
{
	return (struct vx_change){ .at = at, .data = data };
}

static struct vx_change zeros(uint64_t at, uint64_t len)
{
	return (struct vx_change){ .at = at, .zeros = len };
}

static void same(struct vx *v)
{
	struct node *n = imp_open(BLK_VHDX, v->f);

	imp_same(n, "raw");
	imp_close(n);
}

/* A log of one entry: table and metadata, which the file has no more. */
static void one_entry(struct vx *v)
{
	struct vx_change c[3];

	load(v);
	c[0] = page(v->bat_at, bat);
	c[1] = page(v->meta_at, meta);
	c[2] = page(v->meta_at + 64 * KiB, values);
	for (int i = 0; i < 3; i++)
		spoil(v, c[i].at);
	vx_entry(v, 3, 3, 1, c, 3);
}

START_TEST (what_the_log_says_is_read) {
	struct vx v;

	one_entry(&v);
	same(&v);
	one_entry(&v);
	memnode_set_async(v.f, true);
	same(&v);
}
END_TEST

START_TEST (the_file_is_not_written) {
	struct vx v;

	one_entry(&v);
	memnode_hold(v.f);
	same(&v);
	for (int op = 0; op < BLK_OPS; op++)
		ck_assert(op == BLK_READ || op == BLK_STATUS ||
			  memnode_count(v.f, (enum blk_op)op) == 0);
	memnode_free(v.f);
}
END_TEST

START_TEST (qemu_reads_our_log_as_we_do) {
	struct vx v;

	one_entry(&v);
	memnode_save(v.f, rig_path("dirty.vhdx"));
	imp_close(v.f);
	ck_assert_int_eq(rig_sh("qemu-img check -r all %s",
				 rig_path("dirty.vhdx")),
		0);
	ck_assert_int_eq(rig_sh("qemu-img compare -f vhdx -F raw %s %s",
				 rig_path("dirty.vhdx"), rig_path("raw")),
		0);
}
END_TEST

START_TEST (later_entries_hide_earlier_ones) {
	struct vx_change c[3];
	uint32_t at;
	struct vx v;

	load(&v);
	spoil(&v, v.bat_at);
	c[0] = zeros(v.bat_at, 4 * PAGE);
	c[1] = page(v.bat_at + PAGE, junk);
	at = vx_entry(&v, 0, 0, 10, c, 2);
	c[0] = page(v.bat_at, junk);
	at = vx_entry(&v, at, 0, 11, c, 1);
	c[0] = page(v.bat_at, bat);
	vx_entry(&v, at, 0, 12, c, 1);
	same(&v);
}
END_TEST

START_TEST (what_is_before_the_tail_is_done) {
	struct vx_change c;
	uint32_t at, tail;
	struct vx v;

	load(&v); /* replayed, the first one would spoil it */
	c = page(v.bat_at, junk);
	tail = vx_entry(&v, 0, 0, 10, &c, 1);
	c = page(v.meta_at + 32 * KiB, junk);
	at = vx_entry(&v, tail, tail, 11, &c, 1);
	vx_entry(&v, at, tail, 12, &c, 1);
	same(&v);
}
END_TEST

START_TEST (the_log_is_a_ring) {
	struct vx_change c[3];
	uint32_t at, last;
	struct vx v;

	load(&v);
	last = v.log_len / PAGE - 2; /* two sectors, and the data in front */
	spoil(&v, v.bat_at);
	c[0] = page(v.bat_at, junk);
	c[1] = page(v.meta_at, meta);
	c[2] = page(v.meta_at, meta);
	at = vx_entry(&v, last, last, 5, c, 3);
	ck_assert_uint_eq(at, v.log_len / PAGE + 2);
	c[0] = page(v.bat_at, bat);
	vx_entry(&v, at % (v.log_len / PAGE), last, 6, c, 1);
	same(&v);
}
END_TEST

START_TEST (the_sequence_with_the_highest_number_counts) {
	struct vx_change c;
	struct vx v;

	load(&v);
	spoil(&v, v.bat_at);
	c = page(v.bat_at, junk);
	vx_entry(&v, 0, 0, 7, &c, 1);
	vx_entry(&v, 200, 200, 8, &c, 1);
	c = page(v.bat_at, bat);
	vx_entry(&v, 100, 100, UINT64_C(1) << 33, &c, 1);
	same(&v);
}
END_TEST

START_TEST (a_sequence_ends_at_what_is_not_whole) {
	struct vx_change c;
	uint32_t at;
	struct vx v;

	load(&v);
	spoil(&v, v.bat_at);
	c = page(v.bat_at, bat);
	at = vx_entry(&v, 0, 0, 7, &c, 1);
	c = page(v.bat_at, junk);
	vx_entry(&v, at, 0, 8, &c, 1);
	vx_sector(&v, at + 1)[100] ^= 1; /* torn */
	same(&v);
	load(&v);
	spoil(&v, v.bat_at);
	c = page(v.bat_at, bat);
	at = vx_entry(&v, 0, 0, 7, &c, 1);
	c = page(v.bat_at, junk);
	vx_entry(&v, at, 0, 9, &c, 1); /* of an older round */
	vx_sector(&v, at)[12] = 77;    /* with a tail elsewhere */
	vx_sum_entry(&v, at);
	same(&v);
}
END_TEST

START_TEST (many_descriptors_take_several_sectors) {
	struct vx_change c[300];
	struct vx v;

	load(&v);
	for (unsigned i = 0; i < 300; i++)
		c[i] = i % 3 ? zeros(v.bat_at + 256 * KiB,
				       i * PAGE % (256 * KiB))
			     : page(v.meta_at + 128 * KiB, junk);
	c[299] = page(v.bat_at, bat);
	c[127] = page(v.bat_at, junk);
	spoil(&v, v.bat_at);
	vx_entry(&v, 9, 9, 7, c, 300);
	same(&v);
}
END_TEST

START_TEST (data_of_the_disk_can_be_in_the_log_too) {
	uint8_t page_of_raw[PAGE];
	uint64_t at;
	struct vx_change c[2];
	struct blk_extent x;
	struct node *n;
	struct vx v;

	load(&v);
	at = size_down(get_le64(v.b + v.bat_at + 8), MiB); /* block 1 */
	rig_read_file(rig_path("raw"), MiB + 8 * PAGE, page_of_raw, PAGE);
	spoil(&v, at + 8 * PAGE);
	spoil(&v, at + 10 * PAGE);
	memset(junk, 0, PAGE);
	rig_write_file(rig_path("raw"), MiB + 10 * PAGE, junk, PAGE);
	c[0] = page(at + 8 * PAGE, page_of_raw);
	c[1] = zeros(at + 10 * PAGE, PAGE);
	vx_entry(&v, 0, 0, 1, c, 2);
	n = imp_open(BLK_VHDX, v.f);
	imp_same(n, "raw");
	ck_assert_int_eq(imp_status(n, MiB + 8 * PAGE, MiB, &x), 0);
	ck_assert(x.data && !x.has_host && x.len == PAGE);
	ck_assert_int_eq(imp_status(n, MiB + 10 * PAGE, MiB, &x), 0);
	ck_assert(x.zero && x.len == PAGE);
	imp_close(n);
}
END_TEST

START_TEST (the_log_makes_the_file_longer) {
	struct vx_change c[1];
	uint8_t new_bat[PAGE];
	struct node *n;
	uint64_t end;
	struct vx v;

	/* a new block at the end, which the file does not have yet */
	load(&v);
	end = size_up(v.size, MiB);
	memcpy(new_bat, bat, PAGE);
	put_le64(new_bat + 8, end | 6);
	c[0] = page(v.bat_at, new_bat);
	vx_entry(&v, 0, 0, 1, c, 1);
	put_le64(vx_sector(&v, 0) + 56, end + MiB);
	vx_sum_entry(&v, 0);
	rig_sh("fallocate -p -o 1048576 -l 1048576 %s", rig_path("raw"));
	n = imp_open(BLK_VHDX, v.f);
	imp_same(n, "raw");
	imp_close(n);
}
END_TEST

START_TEST (a_file_shorter_than_its_log_says_is_refused) {
	struct vx v;

	one_entry(&v);
	put_le64(vx_sector(&v, 3) + 48, v.size + 4096);
	vx_sum_entry(&v, 3);
	imp_fails(BLK_VHDX, v.f, EINVAL, "is cut off");
}
END_TEST

/* The only entry, changed there, and its sum put right. */
static void entry_refused(unsigned at, unsigned width, uint64_t value)
{
	struct vx v;

	one_entry(&v);
	put_le(vx_sector(&v, 3) + at, value, width);
	vx_sum_entry(&v, 3);
	imp_fails(BLK_VHDX, v.f, EINVAL, "none can be used");
}

START_TEST (entries_that_make_no_sense_are_refused) {
	entry_refused(12, 4, 4096);         /* tail of no entry */
	entry_refused(12, 4, 3 * 4096 + 1); /* not a sector */
	entry_refused(12, 4, 0xfffff000);   /* not in the log */
	entry_refused(16, 8, 0);            /* number */
	entry_refused(16, 8, 2);            /* not its descriptors' */
	entry_refused(24, 4, 0xffffffff);   /* descriptors */
	entry_refused(24, 4, 127);          /* more than fit its sectors */
	entry_refused(48, 8, UINT64_MAX);   /* ends */
	entry_refused(56, 8, UINT64_MAX);
	entry_refused(64, 4, 0x12345678); /* a descriptor's kind */
	entry_refused(64 + 16, 8, 4095);  /* its place */
	entry_refused(64 + 16, 8, UINT64_MAX - 4095);
	entry_refused(64 + 24, 8, 2);       /* its number */
	entry_refused(4096, 4, 0x12345678); /* the data's mark */
	entry_refused(4096 + 4, 4, 1);      /* its number, high ... */
	entry_refused(2 * 4096 - 4, 4, 2);  /* ... and low */
}
END_TEST

START_TEST (entries_with_wrong_lengths_are_refused) {
	static const uint32_t lens[] = { 0, 1, 4095, 4096, 3 * 4096, MiB + 4096,
		UINT32_MAX };

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct vx v;

		one_entry(&v);
		put_le32(vx_sector(&v, 3) + 8, lens[i]);
		if (lens[i] % 4096 == 0 && lens[i] < MiB)
			vx_sum_entry(&v, 3);
		imp_fails(BLK_VHDX, v.f, EINVAL, "none can be used");
	}
}
END_TEST

START_TEST (an_entry_with_a_wrong_sum_is_refused) {
	struct vx v;

	one_entry(&v);
	vx_sector(&v, 3)[4] ^= 1;
	imp_fails(BLK_VHDX, v.f, EINVAL, "none can be used");
}
END_TEST

START_TEST (a_log_that_nothing_was_written_to_is_empty) {
	struct vx v;

	load(&v); /* in use by the header, but no entry of that guid */
	same(&v);
	one_entry(&v); /* entries of another guid do not count */
	memcpy(v.b + v.bat_at, bat, PAGE);
	memcpy(v.b + v.meta_at, meta, PAGE);
	memcpy(v.b + v.meta_at + 64 * KiB, values, PAGE);
	for (int i = 0; i < 2; i++)
		v.b[VX_HEADER(i) + 60] ^= 1;
	vx_sum_headers(&v);
	same(&v);
}
END_TEST

START_TEST (a_log_that_cannot_be_read_is_told) {
	struct vx v;

	one_entry(&v);
	memnode_fail(v.f, BLK_READ, 3, EIO);
	imp_fails(BLK_VHDX, v.f, EIO, "cannot read the VHDX log");
}
END_TEST

/* As load(), but of 64 MiB, with nothing behind the first. */
static void load_large(struct vx *v)
{
	struct node *f = memnode_new(rig_ctx(), "big.vhdx", 64 * MiB);

	load(v);
	memcpy(memnode_bytes(f, NULL), v->b, MiB);
	imp_close(v->f);
	v->f = f;
	v->b = memnode_bytes(f, NULL);
}

/* Each sector pretends to be an entry as long as the log. */
START_TEST (a_log_made_to_take_for_ever_does_not) {
	const uint32_t len = 32 * MiB;
	struct vx v;

	load_large(&v);
	for (int i = 0; i < 2; i++) {
		put_le32(v.b + VX_HEADER(i) + 68, len);
		put_le64(v.b + VX_HEADER(i) + 72, 16 * MiB);
	}
	vx_sum_headers(&v);
	v.log_at = 16 * MiB;
	v.log_len = len;
	for (uint32_t at = 0; at < len / PAGE; at++) {
		uint8_t *h = vx_sector(&v, at);

		memcpy(h, "loge", 4);
		put_le32(h + 8, len);
		put_le64(h + 16, 1);
		memcpy(h + 32, v.b + VX_HEADER(0) + 48, 16);
	}
	imp_fails(BLK_VHDX, v.f, EINVAL, "none can be used");
}
END_TEST

START_TEST (a_log_that_is_too_large_is_refused) {
	struct vx v;

	load_large(&v);
	for (int i = 0; i < 2; i++)
		put_le32(v.b + VX_HEADER(i) + 68, 33 * MiB);
	vx_sum_headers(&v);
	imp_fails(BLK_VHDX, v.f, ENOTSUP, "larger than the 32 MiB");
}
END_TEST

/* --- the overlay against a simple one --- */

#define CELLS 200
#define CELL  4096

START_TEST (an_overlay_is_what_was_written_last) {
	static uint8_t data[CELLS * CELL], want[CELLS * CELL],
		got[CELLS * CELL];

	srandom(4711);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)random();
	for (int round = 0; round < 200; round++) {
		struct vhdx_write w[60];
		struct vhdx_overlay o = { 0 };
		size_t n = (size_t)random() % 60;

		memset(want, 0x5a, sizeof(want));
		memset(got, 0x5a, sizeof(got));
		for (size_t i = 0; i < n; i++) {
			uint64_t at = (uint64_t)random() % CELLS;
			uint64_t len = 1 + (uint64_t)random() % 20;

			w[i].data = NULL;
			if (random() % 2) {
				w[i].data = data +
					    (uint64_t)random() % CELLS * CELL;
				len = 1;
			}
			len = len < CELLS - at ? len : CELLS - at;
			w[i].start = at * CELL;
			w[i].end = (at + len) * CELL;
			if (w[i].data)
				memcpy(want + at * CELL, w[i].data, CELL);
			else
				memset(want + at * CELL, 0, len * CELL);
		}
		ck_assert_int_eq(vhdx_overlay_build(&o, w, n), 0);
		vhdx_overlay_apply(&o, 0, got, sizeof(got));
		ck_assert(!memcmp(got, want, sizeof(got)));
		memset(got, 0x5a, sizeof(got));
		for (uint64_t at = 0; at < sizeof(got); at += 1024)
			vhdx_overlay_apply(&o, at, got + at, 1024);
		ck_assert(!memcmp(got, want, sizeof(got)));
		vhdx_overlay_fini(&o);
	}
}
END_TEST

RIG_SUITE("import_vhdx_log", what_the_log_says_is_read, the_file_is_not_written,
	qemu_reads_our_log_as_we_do, later_entries_hide_earlier_ones,
	what_is_before_the_tail_is_done, the_log_is_a_ring,
	the_sequence_with_the_highest_number_counts,
	a_sequence_ends_at_what_is_not_whole,
	many_descriptors_take_several_sectors,
	data_of_the_disk_can_be_in_the_log_too, the_log_makes_the_file_longer,
	a_file_shorter_than_its_log_says_is_refused,
	entries_that_make_no_sense_are_refused,
	entries_with_wrong_lengths_are_refused,
	an_entry_with_a_wrong_sum_is_refused,
	a_log_that_nothing_was_written_to_is_empty,
	a_log_that_cannot_be_read_is_told, a_log_made_to_take_for_ever_does_not,
	a_log_that_is_too_large_is_refused, an_overlay_is_what_was_written_last)
