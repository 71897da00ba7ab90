/* SPDX-License-Identifier: GPL-3.0-or-later */
/* BARs: sizing, mapping, moving, hostile places, direct-boot assignment. */
#include <errno.h>

#include "vm/pci/pci.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/pci/rig.h"

#define FN  PCI_DEVFN(3, 0)
#define FN2 PCI_DEVFN(4, 0)

static const struct pci_ids ids = { 0x1234, 1, 0x1234, 2, 0x02000000 };

static struct rig r;
static struct pci_dev dev, dev2;
static uint64_t moved_to[PCI_BARS];

static void moved(struct pci_dev *d, unsigned bar, uint64_t addr)
{
	if (d == &dev)
		moved_to[bar] = addr;
}

static uint64_t trap_read(void *opaque, uint64_t off, unsigned size)
{
	return (uint64_t)(uintptr_t)opaque + off + size;
}

static void trap_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	(void)opaque;
	(void)off;
	(void)val;
	(void)size;
}

static const struct bus_ops ops = { trap_read, trap_write };

static void start(void)
{
	struct err e = ERR_NONE;

	rig_init(&r, 4 * MiB, false);
	memset(&dev, 0, sizeof(dev));
	memset(&dev2, 0, sizeof(dev2));
	ck_assert_int_eq(pci_dev_add(r.pci, &dev, "one", FN, &ids, &e), 0);
	ck_assert_int_eq(pci_dev_add(r.pci, &dev2, "two", FN2, &ids, &e), 0);
	dev.bar_moved = moved;
	pci_bar_trap(&dev, 0, PCI_BAR_IO, 32, &ops, (void *)0x1000);
	pci_bar_trap(&dev, 1, PCI_BAR_MEM32, 4096, &ops, (void *)0x2000);
	pci_bar_trap(&dev, 2, PCI_BAR_MEM64, 16384, &ops, (void *)0x3000);
	pci_bar_trap(&dev2, 0, PCI_BAR_MEM32, 4096, &ops, (void *)0x9000);
	for (unsigned i = 0; i < PCI_BARS; i++)
		moved_to[i] = GPA_NONE;
}

static void stop(void)
{
	pci_dev_del(&dev);
	pci_dev_del(&dev2);
	rig_fini(&r);
}

START_TEST (all_ones_tell_the_size) {
	start();
	for (unsigned reg = 0x10; reg < 0x28; reg += 4)
		cfg_out(&r, FN, reg, 0xffffffff, 4);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x10, 4), 0xffffffe1);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x14, 4), 0xfffff000);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x18, 4), 0xffffc004);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x1c, 4), 0xffffffff);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x20, 4), 0);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x30, 4), 0);
	stop();
}
END_TEST

START_TEST (sizing_with_decoding_on_maps_nothing) {
	start();
	cfg_out(&r, FN, 4, 3, 2);
	for (unsigned reg = 0x10; reg < 0x28; reg += 4)
		cfg_out(&r, FN, reg, 0xffffffff, 4);
	ck_assert_uint_eq(moved_to[0], GPA_NONE);
	ck_assert_uint_eq(moved_to[1], GPA_NONE);
	ck_assert_uint_eq(moved_to[2], GPA_NONE);
	stop();
}
END_TEST

START_TEST (decode_bits_map_and_unmap) {
	start();
	cfg_out(&r, FN, 0x10, 0xc000, 4);
	cfg_out(&r, FN, 0x14, 0xe0000000, 4);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xc004, 1), 0xff);
	cfg_out(&r, FN, 4, 1, 2);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xc004, 2), 0x1006);
	ck_assert_uint_eq(mmio_in(&r, 0xe0000010, 4), 0xffffffff);
	cfg_out(&r, FN, 4, 3, 2);
	ck_assert_uint_eq(mmio_in(&r, 0xe0000010, 4), 0x2014);
	ck_assert_uint_eq(moved_to[1], 0xe0000000);
	cfg_out(&r, FN, 4, 0, 2);
	ck_assert_uint_eq(mmio_in(&r, 0xe0000010, 4), 0xffffffff);
	ck_assert_uint_eq(bus_read(r.core.pio, 0xc004, 1), 0xff);
	ck_assert_uint_eq(moved_to[1], GPA_NONE);
	stop();
}
END_TEST

START_TEST (a_64_bit_bar_lives_above_4_gib) {
	start();
	cfg_out(&r, FN, 4, 2, 2);
	cfg_out(&r, FN, 0x18, 0xc000, 4);
	cfg_out(&r, FN, 0x1c, 0x10, 4);
	ck_assert_uint_eq(moved_to[2], UINT64_C(0x100000c000));
	ck_assert_uint_eq(mmio_in(&r, UINT64_C(0x100000c000), 8), 0x3008);
	/* past the bus: nowhere, and no harm */
	cfg_out(&r, FN, 0x1c, 0x7fffffff, 4);
	ck_assert_uint_eq(moved_to[2], GPA_NONE);
	cfg_out(&r, FN, 0x1c, 0x8000, 4);
	ck_assert_uint_eq(moved_to[2], GPA_NONE);
	stop();
}
END_TEST

START_TEST (bars_over_each_other_harm_nobody) {
	start();
	cfg_out(&r, FN, 4, 2, 2);
	cfg_out(&r, FN2, 4, 2, 2);
	cfg_out(&r, FN, 0x14, 0xe0000000, 4);
	cfg_out(&r, FN2, 0x10, 0xe0000000, 4);
	ck_assert_uint_eq(mmio_in(&r, 0xe0000000, 4), 0x2004);
	cfg_out(&r, FN, 0x14, 0xe0001000, 4);
	ck_assert_uint_eq(mmio_in(&r, 0xe0000000, 4), 0x9004);
	ck_assert_uint_eq(mmio_in(&r, 0xe0001000, 4), 0x2004);
	/* over the config window: the chipset wins */
	cfg_out(&r, 0, 0x60, 0xb0000001, 4);
	cfg_out(&r, FN, 0x14, 0xb0000000, 4);
	ck_assert_uint_eq(mmio_in(&r, 0xb0000000, 4), 0x29c08086);
	/* over the config ports likewise */
	cfg_out(&r, FN, 4, 3, 2);
	cfg_out(&r, FN, 0x10, 0xce0, 4);
	ck_assert_uint_eq(cfg_in(&r, 0, 0, 4), 0x29c08086);
	stop();
}
END_TEST

START_TEST (a_view_is_refused_over_ram_and_comes_back) {
	struct gmem_block *b;
	struct gmem_view *v;
	struct err e = ERR_NONE;

	start();
	ck_assert_int_eq(gmem_block_new(r.core.gmem, "vram", 65536, &b, &e), 0);
	ck_assert_int_eq(gmem_view_new(b, 0, 65536, 0, &v, &e), 0);
	pci_bar_view(&dev, 4, PCI_BAR_MEM32, 65536, v);
	cfg_out(&r, FN, 4, 2, 2);
	cfg_out(&r, FN, 0x20, 0xffffffff, 4);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x20, 4), 0xffff0008);
	cfg_out(&r, FN, 0x20, 0x100000, 4); /* RAM */
	ck_assert_uint_eq(moved_to[4], GPA_NONE);
	cfg_out(&r, FN, 0x20, 0xd0000000, 4);
	ck_assert_uint_eq(moved_to[4], 0xd0000000);
	pci_bus_reset(r.pci);
	ck_assert_uint_eq(moved_to[4], GPA_NONE);
	stop();
}
END_TEST

START_TEST (option_rom_has_an_enable_of_its_own) {
	uint8_t image[5000];
	struct err e = ERR_NONE;

	start();
	memset(image, 0x55, sizeof(image));
	ck_assert_int_eq(pci_rom_add(&dev, image, sizeof(image), &e), 0);
	cfg_out(&r, FN, 0x30, 0xfffffffe, 4);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x30, 4), 0xffffe000);
	cfg_out(&r, FN, 4, 2, 2);
	cfg_out(&r, FN, 0x30, 0xd0000000, 4);
	ck_assert_uint_eq(moved_to[PCI_ROM_BAR], GPA_NONE);
	cfg_out(&r, FN, 0x30, 0xd0000001, 4);
	ck_assert_uint_eq(moved_to[PCI_ROM_BAR], 0xd0000000);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x30, 4), 0xd0000001);
	ck_assert_int_eq(pci_rom_add(&dev2, image, 0, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "option ROM of 0 bytes");
	stop();
}
END_TEST

START_TEST (assignment_gives_aligned_places_that_do_not_overlap) {
	uint32_t io, m32, two;
	uint64_t m64;

	start();
	pci_intx_pin(&dev, 1);
	pci_bus_assign(r.pci);
	io = cfg_in(&r, FN, 0x10, 4) & ~3u;
	m32 = cfg_in(&r, FN, 0x14, 4);
	m64 = (cfg_in(&r, FN, 0x18, 4) & ~0xfu) |
	      (uint64_t)cfg_in(&r, FN, 0x1c, 4) << 32;
	two = cfg_in(&r, FN2, 0x10, 4);
	ck_assert_uint_eq(io, 0xc000);
	ck_assert_uint_eq(m64, GMEM_PCI32_BASE); /* the largest comes first */
	ck_assert_uint_eq(m32, GMEM_PCI32_BASE + 0x4000);
	ck_assert_uint_eq(two, GMEM_PCI32_BASE + 0x5000);
	/* decoding, but no bus mastering */
	ck_assert_uint_eq(cfg_in(&r, FN, 4, 2), 3);
	ck_assert_uint_eq(cfg_in(&r, FN2, 4, 2), 2);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x3c, 1), 11); /* slot 3 INTA = H */
	ck_assert_uint_eq(cfg_in(&r, FN2, 0x3c, 1), 0);
	ck_assert_uint_eq(mmio_in(&r, m64 + 8, 4), 0x300c);
	ck_assert_uint_eq(bus_read(r.core.pio, io, 2), 0x1002);
	pci_bus_reset(r.pci);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x14, 4), 0);
	ck_assert_uint_eq(mmio_in(&r, m64 + 8, 4), 0xffffffff);
	pci_bus_assign(r.pci);
	ck_assert_uint_eq(cfg_in(&r, FN, 0x14, 4), m32);
	stop();
}
END_TEST

START_TEST (what_the_low_window_cannot_hold_goes_above_ram) {
	start();
	pci_bar_trap(&dev2, 2, PCI_BAR_MEM64, 2 * GiB, &ops, NULL);
	pci_bus_assign(r.pci);
	ck_assert_uint_eq(cfg_in(&r, FN2, 0x18, 4), 4);
	ck_assert_uint_ge(cfg_in(&r, FN2, 0x1c, 4), 1);
	stop();
}
END_TEST

START_TEST (no_room_leaves_a_bar_without_an_address) {
	start();
	pci_bar_trap(&dev2, 1, PCI_BAR_MEM32, 2 * GiB, &ops, NULL);
	pci_bar_trap(&dev2, 2, PCI_BAR_IO, 32768, &ops, NULL);
	pci_bus_assign(r.pci);
	ck_assert_uint_eq(cfg_in(&r, FN2, 0x14, 4), 0);
	ck_assert_uint_eq(cfg_in(&r, FN2, 0x18, 4), 1);
	stop();
}
END_TEST

SUITE("pci bars", all_ones_tell_the_size, sizing_with_decoding_on_maps_nothing,
	decode_bits_map_and_unmap, a_64_bit_bar_lives_above_4_gib,
	bars_over_each_other_harm_nobody,
	a_view_is_refused_over_ram_and_comes_back,
	option_rom_has_an_enable_of_its_own,
	assignment_gives_aligned_places_that_do_not_overlap,
	what_the_low_window_cannot_hold_goes_above_ram,
	no_room_leaves_a_bar_without_an_address)
