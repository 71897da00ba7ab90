/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The VGA through its ports, windows and BARs, without KVM. */
#include <errno.h>

#include "vm/base/bytes.h"

#include "display/display.h"

#include "vm/dev/vga_impl.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/devrig.h"

#define DEVFN PCI_DEVFN(1, 0)
#define BAR0  0xC0000000u
#define BAR2  0xD0000000u

static struct devrig rig;
static struct device *dev;
static struct vga *vga;
static struct display_service *svc;
static struct display *disp;
static struct display_text text;
static const char rom[] = "\x55\xaa option ROM";

static void setup(void)
{
	struct err e = ERR_NONE;

	devrig_init(&rig, 4 * MiB);
	ck_assert_int_eq(display_service_new("/nowhere", rig.core.log, &svc,
				 &e),
		0);
	ck_assert_int_eq(display_new(svc, "vga", rig.core.log, &disp, &e), 0);
	ck_assert_int_eq(vga_new(&rig.core, rig.pci, DEVFN, rom, sizeof(rom),
				 disp, &dev, &e),
		0);
	vga = (struct vga *)(void *)dev; /* the device is its first member */
	cfg_out(&rig, DEVFN, 0x10, BAR0, 4);
	cfg_out(&rig, DEVFN, 0x18, BAR2, 4);
	cfg_out(&rig, DEVFN, 0x04, 3, 2);
}

static void teardown(void)
{
	dev->ops->free(dev);
	display_free(disp);
	display_service_free(svc);
	devrig_fini(&rig);
}

static uint8_t mem_in(uint32_t addr)
{
	return (uint8_t)bus_read(rig.core.mmio, addr, 1);
}

static void mem_out(uint32_t addr, uint8_t v)
{
	bus_write(rig.core.mmio, addr, v, 1);
}

static void reg(unsigned port, uint8_t index, uint8_t v)
{
	out16(&rig, port, (uint16_t)(v << 8 | index));
}

static uint8_t reg_in(unsigned port, uint8_t index)
{
	out8(&rig, port, index);
	return in8(&rig, port + 1);
}

static void dispi(uint16_t index, uint16_t v)
{
	out16(&rig, 0x1ce, index);
	out16(&rig, 0x1cf, v);
}

static uint16_t dispi_in(uint16_t index)
{
	out16(&rig, 0x1ce, index);
	return (uint16_t)bus_read(rig.core.pio, 0x1cf, 2);
}

static void unblank(void)
{
	in8(&rig, 0x3da);
	out8(&rig, 0x3c0, 0x20);
}

/* 16 colours, 64 KiB at A0000, all planes */
static void planar(void)
{
	out8(&rig, 0x3c2, 0x63);
	reg(0x3c4, 2, 0x0f);
	reg(0x3c4, 4, 0x06);
	reg(0x3ce, 5, 0);
	reg(0x3ce, 6, 5);
	reg(0x3ce, 8, 0xff);
}

static void text_mode(void)
{
	static const uint8_t crtc[] = { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81,
		0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e,
		0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff };

	out8(&rig, 0x3c2, 0x67);
	reg(0x3c4, 1, 0);
	reg(0x3c4, 2, 3);
	reg(0x3c4, 4, 2);
	reg(0x3ce, 5, 0x10);
	reg(0x3ce, 6, 0x0e);
	reg(0x3ce, 8, 0xff);
	reg(0x3d4, 0x11, 0);
	for (uint8_t i = 0; i < sizeof(crtc); i++)
		reg(0x3d4, i, crtc[i]);
	unblank();
}

START_TEST (it_is_the_adapter_that_firmware_knows) {
	ck_assert_uint_eq(cfg_in(&rig, DEVFN, 0, 4), 0x11111234);
	ck_assert_uint_eq(cfg_in(&rig, DEVFN, 8, 4), 0x03000002);
	ck_assert_uint_eq(cfg_in(&rig, DEVFN, 0x2c, 4), 0x11001af4);
	cfg_out(&rig, DEVFN, 0x10, 0xffffffff, 4);
	ck_assert_uint_eq(cfg_in(&rig, DEVFN, 0x10, 4), 0xff000008);
	cfg_out(&rig, DEVFN, 0x18, 0xffffffff, 4);
	ck_assert_uint_eq(cfg_in(&rig, DEVFN, 0x18, 4), 0xfffff000);
	cfg_out(&rig, DEVFN, 0x30, 0xfffff800, 4);
	ck_assert_uint_eq(cfg_in(&rig, DEVFN, 0x30, 4), 0xfffff000);
}
END_TEST

START_TEST (a_taken_slot_is_an_error) {
	struct device *other;
	struct err e = ERR_NONE;

	ck_assert_int_eq(vga_new(&rig.core, rig.pci, DEVFN, NULL, 0, NULL,
				 &other, &e),
		-EEXIST);
	ck_assert_err(e, EEXIST, "vga");
}
END_TEST

START_TEST (index_and_data_may_be_one_word) {
	out8(&rig, 0x3c2, 1);
	reg(0x3c4, 2, 0xff);
	ck_assert_uint_eq(reg_in(0x3c4, 2), 0x0f); /* 4 bits exist */
	reg(0x3d4, 0x0e, 0x12);
	ck_assert_uint_eq(reg_in(0x3d4, 0x0e), 0x12);
	ck_assert_uint_eq(reg_in(0x3b4, 0x0e), 0xff); /* not decoded */
	out8(&rig, 0x3c2, 0);
	ck_assert_uint_eq(reg_in(0x3b4, 0x0e), 0x12);
	ck_assert_uint_eq(in8(&rig, 0x3d5), 0xff);
	ck_assert_uint_eq(in8(&rig, 0x3cc), 0);
}
END_TEST

START_TEST (crtc_protection_spares_line_compare) {
	out8(&rig, 0x3c2, 1);
	reg(0x3d4, 1, 0x4f);
	reg(0x3d4, 7, 0x0f);
	reg(0x3d4, 0x11, 0x80);
	reg(0x3d4, 1, 0x27);
	reg(0x3d4, 7, 0xf0);
	ck_assert_uint_eq(reg_in(0x3d4, 1), 0x4f);
	ck_assert_uint_eq(reg_in(0x3d4, 7), 0x1f);
}
END_TEST

START_TEST (the_attribute_flip_flop_is_reset_by_status) {
	out8(&rig, 0x3c2, 1);
	in8(&rig, 0x3da);
	out8(&rig, 0x3c0, 0x13);
	out8(&rig, 0x3c0, 0x05);
	out8(&rig, 0x3c0, 0x10); /* index again */
	in8(&rig, 0x3da);
	out8(&rig, 0x3c0, 0x33);
	ck_assert_uint_eq(in8(&rig, 0x3c1), 0x05);
	ck_assert_uint_eq(in8(&rig, 0x3c0), 0x33);
	/* retrace comes and goes for whoever waits */
	ck_assert_uint_ne(in8(&rig, 0x3da) & 8, in8(&rig, 0x3da) & 8);
}
END_TEST

START_TEST (the_dac_counts_on) {
	out8(&rig, 0x3c8, 254);
	for (uint8_t i = 1; i <= 9; i++) /* 254, 255, 0 */
		out8(&rig, 0x3c9, i);
	ck_assert_uint_eq(in8(&rig, 0x3c8), 1);
	ck_assert_uint_eq(in8(&rig, 0x3c7), 0);
	out8(&rig, 0x3c7, 255);
	ck_assert_uint_eq(in8(&rig, 0x3c7), 3);
	for (uint8_t i = 4; i <= 9; i++)
		ck_assert_uint_eq(in8(&rig, 0x3c9), i);
}
END_TEST

START_TEST (write_mode_0_sets_rotates_and_masks) {
	planar();
	mem_out(0xA0000, 0xa5);
	reg(0x3ce, 4, 2);
	ck_assert_uint_eq(mem_in(0xA0000), 0xa5);
	reg(0x3ce, 1, 5); /* planes 0 and 2 from set/reset */
	reg(0x3ce, 0, 4);
	reg(0x3ce, 3, 4); /* rotate by 4 */
	reg(0x3ce, 8, 0xf0);
	mem_out(0xA0000, 0x12);
	for (uint8_t p = 0; p < 4; p++) {
		static const uint8_t want[4] = { 0x05, 0x25, 0xf5, 0x25 };

		reg(0x3ce, 4, p);
		ck_assert_uint_eq(mem_in(0xA0000), want[p]);
	}
}
END_TEST

START_TEST (the_logic_unit_joins_with_the_latch) {
	static const struct {
		uint8_t op, want;
	} t[] = { { 0x08, 0x0c & 0x0a }, { 0x10, 0x0c | 0x0a },
		{ 0x18, 0x0c ^ 0x0a } };

	planar();
	for (size_t i = 0; i < 3; i++) {
		reg(0x3ce, 3, 0);
		mem_out(0xA0010, 0x0a);
		mem_in(0xA0010);
		reg(0x3ce, 3, t[i].op);
		mem_out(0xA0010, 0x0c);
		ck_assert_uint_eq(mem_in(0xA0010), t[i].want);
	}
}
END_TEST

START_TEST (write_modes_1_to_3) {
	planar();
	reg(0x3c4, 2, 6);
	mem_out(0xA0000, 0x3c); /* planes 1 and 2 */
	reg(0x3c4, 2, 15);
	reg(0x3ce, 5, 1);
	mem_in(0xA0000);
	mem_out(0xA0005, 0); /* copies all planes at once */
	reg(0x3ce, 5, 0);
	reg(0x3ce, 4, 2);
	ck_assert_uint_eq(mem_in(0xA0005), 0x3c);
	reg(0x3ce, 4, 0);
	ck_assert_uint_eq(mem_in(0xA0005), 0);
	reg(0x3ce, 5, 2);
	reg(0x3ce, 8, 0x81);
	mem_in(0xA0005);
	mem_out(0xA0005, 0x01); /* colour 1 in two pixels */
	reg(0x3ce, 5, 0);
	ck_assert_uint_eq(mem_in(0xA0005), 0x81);
	reg(0x3ce, 4, 2);
	ck_assert_uint_eq(mem_in(0xA0005), 0x3c);
	reg(0x3ce, 5, 3);
	reg(0x3ce, 8, 0xff);
	reg(0x3ce, 0, 4);
	mem_in(0xA0005);
	mem_out(0xA0005, 0x80); /* data is the mask, set/reset the colour */
	reg(0x3ce, 5, 0);
	ck_assert_uint_eq(mem_in(0xA0005), 0xbc);
	reg(0x3ce, 4, 0);
	ck_assert_uint_eq(mem_in(0xA0005), 0x01);
}
END_TEST

START_TEST (read_mode_1_compares_colours) {
	planar();
	reg(0x3c4, 2, 5);
	mem_out(0xA0000, 0xf0); /* colour 5 left, 0 right */
	reg(0x3ce, 5, 8);
	reg(0x3ce, 2, 5);
	reg(0x3ce, 7, 0x0f);
	ck_assert_uint_eq(mem_in(0xA0000), 0xf0);
	reg(0x3ce, 2, 4);
	ck_assert_uint_eq(mem_in(0xA0000), 0);
	reg(0x3ce, 7, 0x04); /* only plane 2 counts */
	ck_assert_uint_eq(mem_in(0xA0000), 0xf0);
	reg(0x3ce, 7, 0);
	ck_assert_uint_eq(mem_in(0xA0000), 0xff);
}
END_TEST

START_TEST (text_is_linear_and_shown_directly) {
	text_mode();
	ck_assert_int_eq(vga->window, VGA_WINDOW_B8000);
	bus_write(rig.core.mmio, 0xB8000, 0x1f42, 2);
	ck_assert_uint_eq(vga->vram[0], 'B');
	ck_assert_uint_eq(vga->vram[1], 0x1f);
	ck_assert_uint_eq(bus_read(rig.core.mmio, 0xB8000, 2), 0x1f42);
	ck_assert_uint_eq(mem_in(0xA0000), 0xff); /* not decoded */
	/* a font is uploaded in between */
	reg(0x3c4, 2, 4);
	ck_assert_int_eq(vga->window, VGA_WINDOW_TRAP);
	ck_assert(vga->coalesced);
	reg(0x3c4, 4, 7);
	reg(0x3ce, 5, 0);
	reg(0x3ce, 6, 4);
	mem_out(0xA0000 + 'B' * 32, 0x81);
	ck_assert_uint_eq(vga->vram[vga_plane_offset('B' * 32, 2)], 0x81);
	text_mode();
	ck_assert_int_eq(vga->window, VGA_WINDOW_B8000);
	ck_assert(!vga->coalesced);
	ck_assert_uint_eq(mem_in(0xB8000), 'B');
	display_text(disp, &text);
	ck_assert_uint_eq(text.cols, 80);
	ck_assert_uint_eq(text.rows, 25);
	ck_assert_uint_eq(text.cell[0].ch, 'B');
	ck_assert_uint_eq(text.cell[0].attr, 0x1f);
	ck_assert_int_eq(text.cursor_col, 0);
}
END_TEST

START_TEST (mono_text_has_its_own_window) {
	text_mode();
	reg(0x3ce, 6, 0x0a);
	ck_assert_int_eq(vga->window, VGA_WINDOW_B0000);
	mem_out(0xB0000, 'x');
	ck_assert_uint_eq(vga->vram[0], 'x');
	ck_assert_uint_eq(mem_in(0xB8000), 0xff);
}
END_TEST

START_TEST (odd_even_through_the_trap_is_the_same_memory) {
	text_mode();
	mem_out(0xB8003, 7);
	reg(0x3ce, 8, 0x0f); /* a bit mask: no direct view */
	ck_assert_int_eq(vga->window, VGA_WINDOW_TRAP);
	ck_assert_uint_eq(mem_in(0xB8003), 7);
	mem_out(0xB8003, 0xff);
	ck_assert_uint_eq(vga->vram[3], 0x0f);
}
END_TEST

START_TEST (chained_memory_is_linear) {
	planar();
	reg(0x3c4, 4, 0x0e);
	reg(0x3ce, 5, 0x40);
	ck_assert_int_eq(vga->window, VGA_WINDOW_A0000);
	bus_write(rig.core.mmio, 0xA1234, 0xddccbbaa, 4);
	ck_assert_uint_eq(get_le32(vga->vram + 0x1234), 0xddccbbaa);
	reg(0x3c4, 2, 0x02); /* one plane only: every fourth byte */
	ck_assert_int_eq(vga->window, VGA_WINDOW_TRAP);
	bus_write(rig.core.mmio, 0xA1234, 0, 4);
	ck_assert_uint_eq(get_le32(vga->vram + 0x1234), 0xddcc00aa);
}
END_TEST

START_TEST (dispi_is_known_and_counts_its_memory) {
	ck_assert_uint_eq(dispi_in(0), 0xb0c5);
	dispi(0, 0xb0c0);
	ck_assert_uint_eq(dispi_in(0), 0xb0c0);
	dispi(0, 0x1234);
	ck_assert_uint_eq(dispi_in(0), 0xb0c0);
	ck_assert_uint_eq(dispi_in(10), 256); /* 16 MiB */
	ck_assert_uint_eq(dispi_in(11), 0);
	dispi(4, 2);
	ck_assert_uint_eq(dispi_in(1), 4096);
	ck_assert_uint_eq(dispi_in(2), 2160);
	ck_assert_uint_eq(dispi_in(3), 32);
	/* data at 0x1d0 as well: OVMF */
	out16(&rig, 0x1ce, 1);
	out16(&rig, 0x1d0, 800);
	dispi(4, 0);
	ck_assert_uint_eq(dispi_in(1), 800);
}
END_TEST

static void mode(uint16_t w, uint16_t h, uint16_t bpp, uint16_t enable)
{
	dispi(4, 0);
	dispi(1, w);
	dispi(2, h);
	dispi(3, bpp);
	dispi(4, enable);
}

START_TEST (dispi_modes_are_shown) {
	struct display_stats st;

	mode(1024, 768, 32, 0x41);
	unblank();
	display_text(disp, &text);
	display_stats(disp, &st);
	ck_assert_uint_eq(st.width, 1024);
	ck_assert_uint_eq(st.height, 768);
	ck_assert_uint_eq(text.cols, 0);
	ck_assert_uint_eq(dispi_in(6), 1024);
	ck_assert_uint_eq(dispi_in(7), 4096);
}
END_TEST

START_TEST (enabling_clears_unless_told_not_to) {
	vga->vram[100] = 1;
	vga->vram[640 * 480] = 2;
	mode(640, 480, 8, 0xc1);
	ck_assert_uint_eq(vga->vram[100], 1);
	mode(640, 480, 8, 0x41);
	ck_assert_uint_eq(vga->vram[100], 0);
	ck_assert_uint_eq(vga->vram[640 * 480], 2);
}
END_TEST

START_TEST (modes_are_kept_inside_memory) {
	struct vga_geometry g;
	static const uint16_t v[] = { 0, 1, 7, 640, 4095, 4096, 4097, 0x8000,
		0xffff };
	static const uint16_t bpps[] = { 0, 4, 8, 15, 16, 24, 31, 32, 0xffff };
	const size_t n = sizeof(v) / sizeof(v[0]);

	for (size_t b = 0; b < n; b++)
		for (size_t i = 0; i < n * n * n; i++) {
			uint64_t mem;

			mode(v[i % n], v[i / n % n], bpps[b], 0x81);
			dispi(6, v[i / n / n]);
			dispi(8, v[i % 5 * 2]);
			dispi(9, v[i % 4 * 2 + 1]);
			vga_dispi_geometry(vga, &g);
			mem = g.bpp == 4 ? 0x10000 : VGA_VRAM_BYTES;
			ck_assert(g.width >= 8 && g.width <= DISPLAY_MAX_W);
			ck_assert(g.height >= 1 && g.height <= DISPLAY_MAX_H);
			ck_assert_uint_le(
				g.offset + (uint64_t)g.pitch * (g.height - 1) +
					g.width *
						(uint64_t)(g.bpp == 4 ? 1
								      : g.bpp) /
						8,
				mem);
		}
}
END_TEST

START_TEST (a_picture_too_large_loses_lines) {
	mode(4096, 2160, 32, 0x41);
	ck_assert_uint_eq(dispi_in(1), 4096);
	ck_assert_uint_eq(dispi_in(2), 1024); /* 16 MiB are full */
}
END_TEST

START_TEST (banks_move_the_window) {
	mode(1024, 768, 8, 1);
	reg(0x3ce, 6, 5);
	ck_assert_int_eq(vga->window, VGA_WINDOW_A0000);
	dispi(5, 3);
	ck_assert_uint_eq(vga->window_off, 0x30000);
	mem_out(0xA0001, 0x77);
	ck_assert_uint_eq(vga->vram[0x30001], 0x77);
	dispi(5, 256); /* there is no such bank */
	ck_assert_uint_eq(dispi_in(5), 3);
	dispi(5, 255);
	mem_out(0xAFFFF, 0x78);
	ck_assert_uint_eq(vga->vram[VGA_VRAM_BYTES - 1], 0x78);
}
END_TEST

START_TEST (bar_2_mirrors_ports_and_dispi) {
	struct bus *m = rig.core.mmio;

	bus_write(m, BAR2 + 0x400 + 2, 0x67, 1);
	ck_assert_uint_eq(in8(&rig, 0x3cc), 0x67);
	bus_write(m, BAR2 + 0x404, 0x0f02, 2);
	ck_assert_uint_eq(reg_in(0x3c4, 2), 0x0f);
	ck_assert_uint_eq(bus_read(m, BAR2 + 0x500, 2), 0xb0c5);
	bus_write(m, BAR2 + 0x502, 1280, 2);
	bus_write(m, BAR2 + 0x504, 800, 2);
	bus_write(m, BAR2 + 0x506, 32, 2);
	bus_write(m, BAR2 + 0x508, 0x41, 2);
	ck_assert_uint_eq(dispi_in(1), 1280);
	ck_assert_uint_eq(bus_read(m, BAR2 + 0x504, 4), 32u << 16 | 800);
	ck_assert_uint_eq(bus_read(m, BAR2 + 0x600, 4), 8);
	ck_assert_uint_eq(bus_read(m, BAR2 + 0x604, 4), 0x1e1e1e1e);
	bus_write(m, BAR2 + 0x604, 0xbebebebe, 4); /* big endian: no */
	ck_assert_uint_eq(bus_read(m, BAR2 + 0x604, 4), 0x1e1e1e1e);
	ck_assert_uint_eq(bus_read(m, BAR2 + 0xff8, 8), UINT64_MAX);
}
END_TEST

static void edid(uint8_t out[128], unsigned *w, unsigned *h)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < 128; i++) {
		out[i] = (uint8_t)bus_read(rig.core.mmio, BAR2 + i, 1);
		sum = (uint8_t)(sum + out[i]);
	}
	ck_assert_uint_eq(sum, 0);
	ck_assert_mem_eq(out, "\0\xff\xff\xff\xff\xff\xff\0", 8);
	*w = out[56] | (out[58] & 0xf0u) << 4;
	*h = out[59] | (out[61] & 0xf0u) << 4;
}

START_TEST (the_edid_prefers_1280x800_or_what_a_viewer_wants) {
	uint8_t e[128];
	unsigned w, h, clock;

	edid(e, &w, &h);
	ck_assert_uint_eq(w, 1280);
	ck_assert_uint_eq(h, 800);
	clock = get_le16(e + 54); /* in 10 kHz: (w + 160) (h + 35) 60 */
	ck_assert_uint_ge(clock, 7200);
	ck_assert_uint_le(clock, 7220);
	vga_edid_fill(vga->edid, 2560, 1440);
	edid(e, &w, &h);
	ck_assert_uint_eq(w, 2560);
	ck_assert_uint_eq(h, 1440);
}
END_TEST

START_TEST (reset_goes_dark_and_traps) {
	text_mode();
	mode(640, 480, 8, 0x41);
	dev->ops->reset(dev);
	ck_assert_int_eq(vga->window, VGA_WINDOW_TRAP);
	ck_assert_uint_eq(dispi_in(4), 0);
	ck_assert_uint_eq(dispi_in(0), 0xb0c5);
	ck_assert_uint_eq(in8(&rig, 0x3cc), 0);
	display_text(disp, &text);
	ck_assert_uint_eq(text.cols, 0);
}
END_TEST

int main(void)
{
	const TTest *tests[] = { it_is_the_adapter_that_firmware_knows,
		a_taken_slot_is_an_error, index_and_data_may_be_one_word,
		crtc_protection_spares_line_compare,
		the_attribute_flip_flop_is_reset_by_status, the_dac_counts_on,
		write_mode_0_sets_rotates_and_masks,
		the_logic_unit_joins_with_the_latch, write_modes_1_to_3,
		read_mode_1_compares_colours, text_is_linear_and_shown_directly,
		mono_text_has_its_own_window,
		odd_even_through_the_trap_is_the_same_memory,
		chained_memory_is_linear, dispi_is_known_and_counts_its_memory,
		dispi_modes_are_shown, enabling_clears_unless_told_not_to,
		modes_are_kept_inside_memory, a_picture_too_large_loses_lines,
		banks_move_the_window, bar_2_mirrors_ports_and_dispi,
		the_edid_prefers_1280x800_or_what_a_viewer_wants,
		reset_goes_dark_and_traps };
	Suite *su = suite_create("vga");
	TCase *t = tcase_create("vga");
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
