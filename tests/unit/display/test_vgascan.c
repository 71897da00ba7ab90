/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VGA state to pixels. Registers as the VGA BIOS sets them for each mode;
 * expected pixels are worked out by hand from the data sheet.
 */
#include "display/surface.h"
#include "display/vgascan.h"

#include "tests/unit/suite.h"

#define VRAM 0x400000u

static uint8_t vram[VRAM];
static uint64_t dirty[VRAM / 4096 / 64];
static struct vga_state st;
static struct vgascan *sc;
static struct surface *s;
static struct surface_reader rd;
static struct display_text text;

static void setup(void)
{
	struct err e = ERR_NONE;

	memset(vram, 0, sizeof(vram));
	memset(dirty, 0, sizeof(dirty));
	memset(&st, 0, sizeof(st));
	st.vram = vram;
	st.vram_size = VRAM;
	st.video_on = true;
	st.pel_mask = 0xff;
	st.attr[0x12] = 0x0f;
	for (unsigned i = 0; i < 16; i++)
		st.attr[i] = (uint8_t)i;
	/* colour i is 4i of red, 6 bits: XRGB (i << 4 | ...) by the scanner */
	for (unsigned i = 0; i < 256; i++)
		st.palette[i][0] = (uint8_t)(i & 0x3f);
	ck_assert_int_eq(vgascan_new(&sc, &e), 0);
	ck_assert_int_eq(surface_new(&s, &e), 0);
	surface_reader_add(s, &rd);
}

static void teardown(void)
{
	surface_free(s);
	vgascan_free(sc);
}

/* 6 bits of red widened to 8 */
static uint32_t red(unsigned v)
{
	return (v << 2 | v >> 4) << 16;
}

static uint32_t at(unsigned x, unsigned y)
{
	ck_assert_uint_lt(x, surface_width(s));
	ck_assert_uint_lt(y, surface_height(s));
	return surface_pixels(s)[(size_t)y * surface_width(s) + x];
}

static void paint(void)
{
	vgascan_paint(sc, &st, dirty, false, s, &text);
	memset(dirty, 0, sizeof(dirty));
}

/* What a guest writes shows up as a dirty page. */
static void poke(uint32_t off, uint8_t v)
{
	vram[off] = v;
	dirty[off / 4096 / 64] |= UINT64_C(1) << (off / 4096 % 64);
}

static bool marked(void)
{
	struct surface_tiles t;

	return surface_fetch(&rd, &t);
}

static void lines(unsigned n)
{
	st.crtc[0x12] = (uint8_t)(n - 1);
	st.crtc[7] = (uint8_t)(((n - 1) >> 8 & 1) << 1 |
			       ((n - 1) >> 9 & 1) << 6 | 0x10);
	st.crtc[0x18] = 0xff; /* no split */
	st.crtc[9] |= 0x40;
}

static void mode_text(unsigned cell, unsigned dots)
{
	st.gfx[5] = 0x10;
	st.gfx[6] = 0x0e;
	st.seq[1] = dots == 8;
	st.crtc[1] = 79;
	st.crtc[9] = (uint8_t)(cell - 1);
	st.crtc[0x13] = 40;
	st.crtc[0x14] = 0x1f;
	st.crtc[0x17] = 0xa3;
	st.crtc[0xa] = 0x20; /* no cursor */
	lines(400);
}

static void put_cell(unsigned col, unsigned row, uint8_t ch, uint8_t attr)
{
	vram[(row * 80 + col) * 2] = ch;
	vram[(row * 80 + col) * 2 + 1] = attr;
}

static void put_glyph(uint8_t ch, unsigned line, uint8_t bits)
{
	poke(vga_plane_offset(ch * 32u + line, 2), bits);
}

START_TEST (planes_fill_memory_without_overlap) {
	static uint8_t hit[VGA_PLANES_SIZE];

	for (uint32_t a = 0; a < 0x10000; a++)
		for (unsigned p = 0; p < 4; p++) {
			ck_assert_uint_lt(vga_plane_offset(a, p),
				VGA_PLANES_SIZE);
			ck_assert_uint_eq(hit[vga_plane_offset(a, p)]++, 0);
		}
	/* text as the guest addresses it: character 2n, attribute 2n + 1 */
	ck_assert_uint_eq(vga_plane_offset(2 * 7, 0), 14);
	ck_assert_uint_eq(vga_plane_offset(2 * 7, 1), 15);
}
END_TEST

START_TEST (text_draws_glyphs_in_their_colours) {
	mode_text(16, 9);
	put_glyph('A', 0, 0x81);
	put_cell(1, 2, 'A', 0x12); /* 2 on 1 */
	paint();
	ck_assert_uint_eq(surface_width(s), 720);
	ck_assert_uint_eq(surface_height(s), 400);
	ck_assert_uint_eq(at(9, 32), red(2));
	ck_assert_uint_eq(at(10, 32), red(1));
	ck_assert_uint_eq(at(16, 32), red(2));
	ck_assert_uint_eq(at(17, 32), red(1)); /* ninth dot */
	ck_assert_uint_eq(at(9, 33), red(1));
	ck_assert_uint_eq(at(18, 32), 0);
	ck_assert_uint_eq(text.cols, 80);
	ck_assert_uint_eq(text.rows, 25);
	ck_assert_uint_eq(text.cell[2 * 80 + 1].ch, 'A');
	ck_assert_uint_eq(text.cell[2 * 80 + 1].attr, 0x12);
	ck_assert_int_eq(text.cursor_col, -1);
	ck_assert_uint_eq(text.palette[2][0], red(2) >> 16);
}
END_TEST

START_TEST (line_graphics_reach_the_ninth_dot) {
	mode_text(16, 9);
	st.attr[0x10] = 4;
	put_glyph(0xc4, 7, 0xff);
	put_glyph('-', 7, 0xff);
	put_cell(0, 0, 0xc4, 7);
	put_cell(1, 0, '-', 7);
	paint();
	ck_assert_uint_eq(at(8, 7), red(7));
	ck_assert_uint_eq(at(17, 7), 0);
}
END_TEST

START_TEST (eight_dots_and_fifty_rows) {
	mode_text(8, 8);
	put_glyph('x', 7, 0x80);
	put_cell(79, 49, 'x', 15);
	paint();
	ck_assert_uint_eq(surface_width(s), 640);
	ck_assert_uint_eq(text.rows, 50);
	ck_assert_uint_eq(at(632, 399), red(15));
}
END_TEST

START_TEST (forty_columns_have_wide_dots) {
	mode_text(16, 9);
	st.seq[1] |= 8;
	st.crtc[1] = 39;
	st.crtc[0x13] = 20;
	put_glyph('A', 0, 0x80);
	vram[0] = 'A';
	vram[1] = 3;
	paint();
	ck_assert_uint_eq(surface_width(s), 720);
	ck_assert_uint_eq(at(1, 0), red(3));
	ck_assert_uint_eq(at(2, 0), 0);
}
END_TEST

START_TEST (the_cursor_shows_in_its_lines) {
	mode_text(16, 9);
	put_cell(3, 0, ' ', 0x07);
	st.crtc[0xa] = 14;
	st.crtc[0xb] = 15;
	st.crtc[0xf] = 3;
	st.cursor_phase = true;
	paint();
	ck_assert_uint_eq(at(27, 13), 0);
	ck_assert_uint_eq(at(27, 14), red(7));
	ck_assert_uint_eq(at(35, 15), red(7));
	ck_assert_uint_eq(at(36, 15), 0);
	ck_assert_int_eq(text.cursor_col, 3);
	ck_assert_int_eq(text.cursor_row, 0);
	marked();
	st.cursor_phase = false;
	paint();
	ck_assert_uint_eq(at(27, 14), 0);
	ck_assert(marked());
	ck_assert_int_eq(text.cursor_col, 3); /* it blinks, it is not gone */
	st.crtc[0xa] = 15;
	st.crtc[0xb] = 2; /* start after end: none */
	st.cursor_phase = true;
	paint();
	ck_assert_uint_eq(at(27, 15), 0);
	ck_assert_int_eq(text.cursor_col, -1);
}
END_TEST

START_TEST (blinking_text_hides_in_the_dark_phase) {
	mode_text(16, 9);
	put_glyph('A', 0, 0xff);
	put_cell(0, 0, 'A', 0x87);
	st.attr[0x10] = 8;
	st.blink_phase = true;
	paint();
	ck_assert_uint_eq(at(0, 0), red(7));
	ck_assert(text.blink);
	st.blink_phase = false;
	paint();
	ck_assert_uint_eq(at(0, 0), 0);
	st.attr[0x10] = 0; /* then bit 7 is a bright background */
	paint();
	ck_assert_uint_eq(at(0, 0), red(7));
	ck_assert_uint_eq(at(0, 1), red(8));
}
END_TEST

START_TEST (a_second_font_serves_bright_characters) {
	mode_text(16, 9);
	st.seq[3] = 0x04; /* A = 1 (at 0x4000), B = 0 */
	poke(vga_plane_offset(0x4000 + 'A' * 32, 2), 0xff);
	put_cell(0, 0, 'A', 0x0f);
	put_cell(1, 0, 'A', 0x07);
	paint();
	ck_assert_uint_eq(at(0, 0), red(15));
	ck_assert_uint_eq(at(9, 0), 0);
}
END_TEST

START_TEST (a_new_font_repaints) {
	mode_text(16, 9);
	put_cell(0, 0, 'A', 7);
	paint();
	ck_assert_uint_eq(at(0, 0), 0);
	put_glyph('A', 0, 0xff);
	paint();
	ck_assert_uint_eq(at(0, 0), red(7));
}
END_TEST

START_TEST (nothing_new_marks_nothing) {
	mode_text(16, 9);
	paint();
	marked();
	paint();
	ck_assert(!marked());
	put_cell(0, 0, 'B', 0x70);
	paint(); /* cells are compared: no dirty page is needed */
	ck_assert(marked());
	ck_assert_uint_eq(at(0, 0), red(7));
}
END_TEST

START_TEST (text_scrolls_by_its_start_and_splits) {
	mode_text(16, 9);
	put_cell(0, 0, 'T', 0x10);
	put_cell(0, 1, 'U', 0x20);
	st.crtc[0xd] = 80; /* second row first */
	paint();
	ck_assert_uint_eq(at(0, 0), red(2));
	st.crtc[0x18] = 31; /* line compare: two rows, then from 0 again */
	st.crtc[7] &= ~0x10;
	st.crtc[9] &= ~0x40;
	paint();
	ck_assert_uint_eq(at(0, 31), 0);
	ck_assert_uint_eq(at(0, 32), red(1));
	ck_assert_uint_eq(text.cell[2 * 80].ch, 'T');
	st.crtc[8] = 4; /* smooth scroll: the first row lacks 4 lines */
	paint();
	ck_assert_uint_eq(at(0, 11), red(2));
	ck_assert_uint_eq(at(0, 12), 0);
}
END_TEST

static void mode_planar(void)
{
	st.gfx[5] = 0;
	st.gfx[6] = 5;
	st.seq[1] = 1;
	st.seq[4] = 6;
	st.crtc[1] = 79;
	st.crtc[9] = 0;
	st.crtc[0x13] = 40;
	st.crtc[0x17] = 0xe3;
	lines(480);
}

START_TEST (sixteen_colours_come_from_four_planes) {
	mode_planar();
	poke(vga_plane_offset(80 * 2 + 1, 0), 0x80);
	poke(vga_plane_offset(80 * 2 + 1, 3), 0xc0);
	paint();
	ck_assert_uint_eq(surface_width(s), 640);
	ck_assert_uint_eq(surface_height(s), 480);
	ck_assert_uint_eq(at(8, 2), red(9));
	ck_assert_uint_eq(at(9, 2), red(8));
	ck_assert_uint_eq(at(10, 2), 0);
	ck_assert_uint_eq(text.cols, 0);
	st.attr[0x12] = 1; /* colour plane enable */
	paint();
	ck_assert_uint_eq(at(8, 2), red(1));
	ck_assert_uint_eq(at(9, 2), 0);
}
END_TEST

START_TEST (only_lines_of_dirty_pages_are_converted) {
	mode_planar();
	paint();
	/* memory changed behind its back: a clean page is not looked at */
	vram[vga_plane_offset(0, 0)] = 0xff;
	paint();
	ck_assert_uint_eq(at(0, 0), 0);
	poke(vga_plane_offset(0, 0), 0xff);
	paint();
	ck_assert_uint_eq(at(0, 0), red(1));
	poke(vga_plane_offset(80 * 400 + 1, 2), 0xff);
	paint();
	ck_assert_uint_eq(at(8, 400), red(4));
}
END_TEST

START_TEST (the_palette_has_an_attribute_and_a_dac_side) {
	mode_planar();
	poke(vga_plane_offset(0, 1), 0x80); /* value 2 */
	st.attr[2] = 0x15;
	paint();
	ck_assert_uint_eq(at(0, 0), red(0x15));
	st.attr[0x10] = 0x80; /* bits 4 and 5 from colour select */
	st.attr[0x14] = 2;
	paint();
	ck_assert_uint_eq(at(0, 0), red(0x25));
	st.pel_mask = 0x0f;
	paint();
	ck_assert_uint_eq(at(0, 0), red(5));
	st.dac8 = true;
	st.palette[5][1] = 0xfe;
	paint();
	ck_assert_uint_eq(at(0, 0), 0x05fe00);
}
END_TEST

START_TEST (planar_pans_and_splits) {
	mode_planar();
	poke(vga_plane_offset(1, 0), 0x80); /* x = 8, y = 0 */
	st.attr[0x13] = 3;
	paint();
	ck_assert_uint_eq(at(5, 0), red(1));
	st.crtc[0x18] = 99;
	st.crtc[7] &= ~0x10;
	st.crtc[9] &= ~0x40;
	st.crtc[0xd] = 80;
	paint();
	ck_assert_uint_eq(at(5, 0), 0);
	ck_assert_uint_eq(at(5, 100), red(1));
	st.attr[0x10] = 0x20; /* no panning below the split */
	paint();
	ck_assert_uint_eq(at(8, 100), red(1));
}
END_TEST

START_TEST (mode_13h_doubles_both_ways) {
	st.gfx[5] = 0x40;
	st.gfx[6] = 5;
	st.seq[1] = 1;
	st.seq[4] = 0x0e;
	st.crtc[1] = 79;
	st.crtc[9] = 0x41;
	st.crtc[0x13] = 40;
	st.crtc[0x14] = 0x40;
	st.crtc[0x17] = 0xa3;
	st.attr[0x10] = 0x41;
	lines(400);
	poke(320 * 5 + 7, 33);
	paint();
	ck_assert_uint_eq(surface_width(s), 640);
	ck_assert_uint_eq(surface_height(s), 400);
	ck_assert_uint_eq(at(13, 10), 0);
	ck_assert_uint_eq(at(14, 10), red(33));
	ck_assert_uint_eq(at(15, 11), red(33));
	ck_assert_uint_eq(at(16, 11), 0);
	ck_assert_uint_eq(at(14, 12), 0);
}
END_TEST

START_TEST (unchained_pixels_alternate_between_planes) {
	st.gfx[5] = 0x40;
	st.gfx[6] = 5;
	st.seq[1] = 1;
	st.seq[4] = 0x06;
	st.crtc[1] = 79;
	st.crtc[9] = 0x41;
	st.crtc[0x13] = 40;
	st.crtc[0x17] = 0xe3; /* byte mode: mode X */
	lines(400);
	poke(vga_plane_offset(80 * 3 + 2, 1), 9); /* pixel 9 of line 3 */
	paint();
	ck_assert_uint_eq(at(18, 6), red(9));
	ck_assert_uint_eq(at(19, 7), red(9));
	ck_assert_uint_eq(at(20, 7), 0);
}
END_TEST

START_TEST (cga_four_colours_interleave_lines) {
	st.gfx[5] = 0x30;
	st.gfx[6] = 0x0f;
	st.seq[1] = 9;
	st.seq[4] = 2;
	st.crtc[1] = 39;
	st.crtc[9] = 0xc1;
	st.crtc[0x13] = 20;
	st.crtc[0x17] = 0xa2; /* line bit 0 is address bit 13 */
	lines(400);
	/* the guest's B8000: two bits a pixel, odd lines from 0x2000 */
	poke(0, 0x1b);      /* 0 1 2 3 */
	poke(0x2000, 0xc0); /* line 1: 3 */
	poke(81, 0x40);     /* line 2, pixel 4: 1 */
	paint();
	ck_assert_uint_eq(surface_width(s), 640);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(at(2 * i, 0), red(i));
	ck_assert_uint_eq(at(0, 2), red(3));
	ck_assert_uint_eq(at(0, 4), 0);
	ck_assert_uint_eq(at(8, 4), red(1));
}
END_TEST

START_TEST (cga_two_colours_are_one_plane) {
	mode_planar();
	st.gfx[6] = 0x0d;
	st.crtc[9] = 0xc1;
	st.crtc[0x13] = 40;
	st.crtc[0x17] = 0xc2;
	st.attr[0x12] = 1;
	lines(400);
	poke(vga_plane_offset(0x2000, 0), 0x80);
	poke(vga_plane_offset(80, 0), 0x40);
	paint();
	ck_assert_uint_eq(at(0, 2), red(1));
	ck_assert_uint_eq(at(1, 4), red(1));
	ck_assert_uint_eq(at(0, 0), 0);
}
END_TEST

static void lfb(unsigned w, unsigned h, unsigned bpp)
{
	st.lfb = true;
	st.lfb_width = w;
	st.lfb_height = h;
	st.lfb_bpp = bpp;
	st.lfb_pitch = w * ((bpp + 7) / 8);
}

START_TEST (linear_depths_become_xrgb) {
	static const struct {
		unsigned bpp;
		uint8_t bytes[4];
		uint32_t want;
	} t[] = {
		{ 8, { 63 }, 0xff0000 },
		{ 15, { 0x1f, 0x7c }, 0xff00ff },
		{ 15, { 0xe0, 0x83 }, 0x00ff00 }, /* bit 15 is nothing */
		{ 16, { 0xe0, 0x07 }, 0x00ff00 },
		{ 16, { 0x10, 0x80 }, 0x840084 },
		{ 24, { 1, 2, 3 }, 0x030201 },
		{ 32, { 1, 2, 3, 0xff }, 0x030201 },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		lfb(100, 70, t[i].bpp);
		for (unsigned k = 0; k < 4; k++)
			vram[2 * st.lfb_pitch + 3 * ((t[i].bpp + 7) / 8) + k] =
				t[i].bytes[k];
		vgascan_paint(sc, &st, NULL, true, s, &text);
		ck_assert_uint_eq(surface_width(s), 100);
		ck_assert_uint_eq(at(3, 2), t[i].want);
		memset(vram, 0, 0x10000);
	}
}
END_TEST

START_TEST (linear_has_pitch_and_offset) {
	lfb(100, 70, 32);
	st.lfb_pitch = 4096;
	st.lfb_offset = 4096 * 10 + 4 * 5;
	poke(4096 * 11 + 4 * 6, 0x44);
	paint();
	ck_assert_uint_eq(at(1, 1), 0x44);
	marked();
	poke(4096 * 5, 1); /* not on the screen */
	paint();
	ck_assert(!marked());
}
END_TEST

START_TEST (linear_lines_past_memory_are_black) {
	lfb(128, 128, 32);
	memset(vram, 0xff, sizeof(vram));
	st.lfb_offset = VRAM - 128 * 4 * 2;
	vgascan_paint(sc, &st, NULL, true, s, &text);
	ck_assert_uint_eq(at(0, 1), 0xffffff);
	ck_assert_uint_eq(at(0, 2), 0);
	st.lfb_offset = UINT64_MAX;
	st.lfb_pitch = UINT32_MAX;
	vgascan_paint(sc, &st, NULL, true, s, &text);
	ck_assert_uint_eq(at(0, 0), 0);
}
END_TEST

START_TEST (sixteen_colours_by_dispi) {
	lfb(800, 600, 4);
	st.lfb_pitch = 100;
	poke(vga_plane_offset(100 * 599, 2), 1);
	paint();
	ck_assert_uint_eq(surface_width(s), 800);
	ck_assert_uint_eq(at(7, 599), red(4));
}
END_TEST

START_TEST (video_off_is_black_and_keeps_its_size) {
	mode_text(16, 9);
	put_cell(0, 0, ' ', 0x70);
	paint();
	ck_assert_uint_eq(at(0, 0), red(7));
	st.video_on = false;
	paint();
	ck_assert_uint_eq(surface_width(s), 720);
	ck_assert_uint_eq(at(0, 0), 0);
	ck_assert_uint_eq(text.cols, 0);
	st.video_on = true;
	st.seq[1] |= 0x20; /* screen off */
	paint();
	ck_assert_uint_eq(at(0, 0), 0);
	st.seq[1] &= ~0x20;
	paint();
	ck_assert_uint_eq(at(0, 0), red(7));
}
END_TEST

START_TEST (a_screen_without_a_mode_is_black) {
	st.video_on = false;
	paint();
	ck_assert_uint_eq(surface_width(s), 720);
	ck_assert_uint_eq(at(719, 399), 0);
}
END_TEST

START_TEST (tiny_modes_have_black_around_them) {
	mode_text(16, 9);
	st.crtc[1] = 0;
	lines(1);
	memset(vram, 0x77, sizeof(vram));
	paint();
	ck_assert_uint_eq(surface_width(s), 64);
	ck_assert_uint_eq(at(0, 0), red(7));
	ck_assert_uint_eq(at(9, 0), 0);
	ck_assert_uint_eq(at(0, 1), 0);
}
END_TEST

/* All registers at random: nothing to compare, only to survive. */
START_TEST (any_registers_are_harmless) {
	unsigned seed = 1;
	uint8_t *regs[] = { st.seq, st.crtc, st.gfx, st.attr };
	const size_t len[] = { 8, 32, 16, 32 };

	for (size_t i = 0; i < sizeof(vram); i += 97)
		vram[i] = (uint8_t)i;
	for (int round = 0; round < 300; round++) {
		for (int k = 0; k < 4; k++)
			for (size_t i = 0; i < len[k]; i++)
				regs[k][i] = (uint8_t)(rand_r(&seed) >> 7);
		st.cursor_phase = rand_r(&seed) & 8;
		paint();
		ck_assert_uint_le(text.cols, DISPLAY_TEXT_MAX_COLS);
		ck_assert_uint_le(text.rows, DISPLAY_TEXT_MAX_ROWS);
	}
}
END_TEST

int main(void)
{
	const TTest *tests[] = { planes_fill_memory_without_overlap,
		text_draws_glyphs_in_their_colours,
		line_graphics_reach_the_ninth_dot, eight_dots_and_fifty_rows,
		forty_columns_have_wide_dots, the_cursor_shows_in_its_lines,
		blinking_text_hides_in_the_dark_phase,
		a_second_font_serves_bright_characters, a_new_font_repaints,
		nothing_new_marks_nothing, text_scrolls_by_its_start_and_splits,
		sixteen_colours_come_from_four_planes,
		only_lines_of_dirty_pages_are_converted,
		the_palette_has_an_attribute_and_a_dac_side,
		planar_pans_and_splits, mode_13h_doubles_both_ways,
		unchained_pixels_alternate_between_planes,
		cga_four_colours_interleave_lines,
		cga_two_colours_are_one_plane, linear_depths_become_xrgb,
		linear_has_pitch_and_offset, linear_lines_past_memory_are_black,
		sixteen_colours_by_dispi, video_off_is_black_and_keeps_its_size,
		a_screen_without_a_mode_is_black,
		tiny_modes_have_black_around_them, any_registers_are_harmless };
	Suite *su = suite_create("vgascan");
	TCase *t = tcase_create("vgascan");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(su, t);
	r = srunner_create(su);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
