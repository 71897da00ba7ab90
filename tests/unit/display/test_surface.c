/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Surfaces: sizes, dirty tiles, rectangles, seals. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "display/surface.h"

#include "tests/unit/suite.h"

static struct surface *make(unsigned w, unsigned h)
{
	struct surface *s;
	struct err e = ERR_NONE;

	ck_assert_int_eq(surface_new(&s, &e), 0);
	ck_assert_int_eq(surface_resize(s, w, h), 0);
	return s;
}

START_TEST (resize_clamps_to_the_limits) {
	struct surface *s = make(1, 1);

	ck_assert_uint_eq(surface_width(s), DISPLAY_MIN);
	ck_assert_uint_eq(surface_height(s), DISPLAY_MIN);
	ck_assert_int_eq(surface_resize(s, 99999, 99999), 0);
	ck_assert_uint_eq(surface_width(s), DISPLAY_MAX_W);
	ck_assert_uint_eq(surface_height(s), DISPLAY_MAX_H);
	ck_assert_uint_eq(surface_stride(s), DISPLAY_MAX_W * 4);
	surface_free(s);
}
END_TEST

START_TEST (resize_to_the_same_size_keeps_all) {
	struct surface *s = make(100, 80);
	uint64_t gen = surface_generation(s);

	surface_pixels(s)[5] = 7;
	ck_assert_int_eq(surface_resize(s, 100, 80), 0);
	ck_assert_uint_eq(surface_generation(s), gen);
	ck_assert_uint_eq(surface_pixels(s)[5], 7);
	ck_assert_int_eq(surface_resize(s, 101, 80), 0);
	ck_assert_uint_eq(surface_generation(s), gen + 1);
	ck_assert_uint_eq(surface_pixels(s)[5], 0);
	surface_free(s);
}
END_TEST

START_TEST (each_reader_has_its_own_marks) {
	struct surface *s = make(256, 256);
	struct surface_reader a, b;
	struct surface_tiles t;

	surface_reader_add(s, &a);
	surface_reader_add(s, &b);
	ck_assert(surface_fetch(&a, &t)); /* a new one sees everything */
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(t.row[i], 0xf);
	ck_assert(!surface_fetch(&a, &t));
	surface_dirty(s, 63, 64, 2, 1);
	ck_assert(surface_fetch(&a, &t));
	ck_assert_uint_eq(t.row[0], 0);
	ck_assert_uint_eq(t.row[1], 3); /* both sides of x = 64 */
	ck_assert(surface_fetch(&b, &t));
	ck_assert_uint_eq(t.row[0], 0xf); /* b had never looked */
	surface_reader_del(&a);
	surface_reader_del(&b);
	surface_free(s);
}
END_TEST

START_TEST (marks_outside_are_left_out) {
	struct surface *s = make(128, 128);
	struct surface_reader a;
	struct surface_tiles t;

	surface_reader_add(s, &a);
	surface_fetch(&a, &t);
	surface_dirty(s, 128, 0, 5, 5);
	surface_dirty(s, 0, 4000000000u, 5, 5);
	surface_dirty(s, 0, 0, 0, 5);
	ck_assert(!surface_fetch(&a, &t));
	surface_dirty(s, 100, 100, UINT32_MAX, UINT32_MAX);
	ck_assert(surface_fetch(&a, &t));
	ck_assert_uint_eq(t.row[1], 2);
	ck_assert_uint_eq(t.row[2], 0);
	surface_free(s);
}
END_TEST

START_TEST (put_row_marks_only_what_changed) {
	struct surface *s = make(256, 64);
	struct surface_reader a;
	struct surface_tiles t;
	uint32_t px[300] = { 0 };

	surface_reader_add(s, &a);
	surface_fetch(&a, &t);
	ck_assert(!surface_put_row(s, 0, 3, px, 256)); /* black is black */
	px[70] = 1;
	ck_assert(surface_put_row(s, 0, 3, px, 300)); /* too long: cut */
	ck_assert_uint_eq(surface_pixels(s)[3 * 256 + 70], 1);
	ck_assert_uint_eq(surface_pixels(s)[4 * 256], 0);
	ck_assert(surface_fetch(&a, &t));
	ck_assert_uint_eq(t.row[0], 2);
	ck_assert(!surface_put_row(s, 256, 0, px, 1));
	ck_assert(!surface_put_row(s, 0, 64, px, 1));
	surface_free(s);
}
END_TEST

START_TEST (a_black_screen_holds_no_memory) {
	struct surface *s = make(128, 128);
	uint32_t row[128] = { 0 };
	struct stat st;

	for (unsigned y = 0; y < 128; y++)
		ck_assert(!surface_put_row(s, 0, y, row, 128));
	ck_assert_int_eq(fstat(surface_fd(s), &st), 0);
	ck_assert_int_eq(st.st_blocks, 0);
	row[127] = 5;
	ck_assert(surface_put_row(s, 0, 9, row, 128));
	ck_assert_uint_eq(surface_pixels(s)[9 * 128 + 127], 5);
	row[127] = 0; /* black again, which now is a change */
	ck_assert(surface_put_row(s, 0, 9, row, 128));
	ck_assert_uint_eq(surface_pixels(s)[9 * 128 + 127], 0);
	surface_free(s);
}
END_TEST

START_TEST (rects_join_equal_spans_of_rows) {
	struct surface_tiles t = { { 0x6, 0x6, 0x1 } };
	struct surface_rect r[8];

	ck_assert_uint_eq(surface_rects(&t, 1000, 1000, r, 8), 2);
	ck_assert_uint_eq(r[0].x, 64);
	ck_assert_uint_eq(r[0].y, 0);
	ck_assert_uint_eq(r[0].w, 128);
	ck_assert_uint_eq(r[0].h, 128);
	ck_assert_uint_eq(r[1].x, 0);
	ck_assert_uint_eq(r[1].y, 128);
	ck_assert_uint_eq(t.row[0] | t.row[1] | t.row[2], 0);
}
END_TEST

START_TEST (rects_are_clipped_and_never_too_many) {
	struct surface_tiles t = { { 0 } };
	struct surface_rect r[3];

	t.row[0] = ~UINT64_C(0);
	ck_assert_uint_eq(surface_rects(&t, 100, 10, r, 3), 1);
	ck_assert_uint_eq(r[0].w, 100);
	ck_assert_uint_eq(r[0].h, 10);
	/* a chess board: the rest is one box in the last place */
	for (int i = 0; i < SURFACE_TILE_ROWS; i++)
		t.row[i] = i & 1 ? 0x5555555555555555 : 0xaaaaaaaaaaaaaaaa;
	ck_assert_uint_eq(surface_rects(&t, 4096, 2160, r, 3), 3);
	ck_assert_uint_eq(r[2].y + r[2].h, 2160);
	ck_assert_uint_eq(r[2].x + r[2].w, 4096);
}
END_TEST

START_TEST (others_can_neither_shrink_nor_paint_it) {
	struct surface *s = make(64, 64);
	void *p;

	ck_assert_int_ne(ftruncate(surface_fd(s), 0), 0);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, surface_fd(s),
		0);
	ck_assert_ptr_eq(p, MAP_FAILED);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, surface_fd(s), 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	munmap(p, 4096);
	surface_free(s);
}
END_TEST

START_TEST (resize_without_descriptors_keeps_the_old_picture) {
	struct surface *s = make(64, 64);

	surface_pixels(s)[0] = 9;
	suite_limit_fds(3);
	ck_assert_int_eq(surface_resize(s, 128, 128), -EMFILE);
	suite_limit_fds(-1);
	ck_assert_uint_eq(surface_width(s), 64);
	ck_assert_uint_eq(surface_pixels(s)[0], 9);
	surface_free(s);
}
END_TEST

SUITE("surface", resize_clamps_to_the_limits, resize_to_the_same_size_keeps_all,
	each_reader_has_its_own_marks, marks_outside_are_left_out,
	put_row_marks_only_what_changed, a_black_screen_holds_no_memory,
	rects_join_equal_spans_of_rows, rects_are_clipped_and_never_too_many,
	others_can_neither_shrink_nor_paint_it,
	resize_without_descriptors_keeps_the_old_picture)
