// SPDX-License-Identifier: GPL-3.0-or-later
/* The controller and its ports. Disks: test_ahci_disk.c and
 * test_ahci_queued.c; resets and pauses: test_ahci_reset.c; CD-ROM drives:
 * test_atapi.c. */
#include <errno.h>

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/ahcirig.h"

START_TEST (registers_are_what_firmware_expects) {
	ahci_up();
	ck_assert_uint_eq(cfg_in(&rig, AHCI, 0, 4), 0x29228086);
	ck_assert_uint_eq(cfg_in(&rig, AHCI, 8, 4), 0x01060102);
	ck_assert_uint_eq(hba(0x00), 0xc0141f05);
	ck_assert_uint_eq(hba(0x0c), 0x3f);
	ck_assert_uint_eq(hba(0x10), 0x10301);
	ck_assert_uint_eq(hba(0x04), 0x80000002);
	ck_assert_uint_eq(preg(0, SSTS), 0x113);
	ck_assert_uint_eq(preg(0, SIG), 0x101);
	ck_assert_uint_eq(preg(0, TFD), 0x150);
	ck_assert_uint_eq(preg(1, SIG), 0xeb140101);
	ck_assert_uint_eq(preg(2, SSTS), 0);
	ck_assert_uint_eq(preg(2, SIG), 0xffffffff);
	ck_assert_uint_eq(preg(2, TFD), 0x7f);
	ck_assert_uint_eq(preg(0, CMD) & 0xc011, 0xc011);
	ck_assert_uint_eq(hba(0x400), 0);
	ahci_down();
}
END_TEST

START_TEST (signature_fis_is_posted_when_reception_starts) {
	const uint8_t *d2h;

	ahci_up();
	d2h = ram(fb(0) + 0x40, 20);
	ck_assert_uint_eq(d2h[0], 0x34);
	ck_assert_uint_eq(d2h[2], 0x50);
	ck_assert_uint_eq(d2h[12], 1);
	d2h = ram(fb(1) + 0x40, 20);
	ck_assert_uint_eq(d2h[5], 0x14);
	ck_assert_uint_eq(d2h[6], 0xeb);
	ahci_down();
}
END_TEST

START_TEST (interrupt_follows_ports_and_enables) {
	struct cmd f = { .command = 0xe7 };

	ahci_up();
	hba_set(0x08, 0xffffffff);
	ck_assert(!irq(&rig, 16));
	run(0, &f);
	ck_assert(irq(&rig, 16));
	ck_assert_uint_eq(hba(0x08), 1);
	hba_set(0x08, 1); /* the port's bit still stands */
	ck_assert_uint_eq(hba(0x08), 1);
	ck_assert(irq(&rig, 16));
	hba_set(0x04, 0x80000000);
	ck_assert(!irq(&rig, 16));
	hba_set(0x04, 0x80000002);
	ck_assert(irq(&rig, 16));
	preg_set(0, IS, 0xffffffff);
	ck_assert(irq(&rig, 16));
	hba_set(0x08, 1);
	ck_assert(!irq(&rig, 16));
	preg_set(0, IE, 0);
	run(0, &f);
	ck_assert(!irq(&rig, 16));
	ahci_down();
}
END_TEST

START_TEST (msi_takes_the_place_of_the_line) {
	struct cmd f = { .command = 0xe7 };
	unsigned cap;

	ahci_up();
	cap = cfg_in(&rig, AHCI, 0x34, 1);
	ck_assert_uint_eq(cfg_in(&rig, AHCI, cap, 1), 5);
	ck_assert_uint_eq(cfg_in(&rig, AHCI, cap + 2, 2), 0x80);
	cfg_out(&rig, AHCI, cap + 4, MSI_AT, 4);
	cfg_out(&rig, AHCI, cap + 12, 0x41, 2);
	cfg_out(&rig, AHCI, cap + 2, 1, 2);
	hba_set(0x08, 0xffffffff);
	run(0, &f);
	ck_assert_uint_eq(hba(0x08), 1);
	ck_assert(!irq(&rig, 16));
	cfg_out(&rig, AHCI, cap + 2, 0, 2);
	run(0, &f);
	ck_assert(irq(&rig, 16));
	ahci_down();
}
END_TEST

START_TEST (touches_no_memory_unless_bus_master) {
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };

	ahci_up();
	cfg_out(&rig, AHCI, 0x04, 0x0002, 2);
	issue(0, 0, &r);
	ck_assert_uint_eq(preg(0, CI), 1);
	ck_assert_uint_eq(disk->ops[BLK_READ], 0);
	cfg_out(&rig, AHCI, 0x04, 0x0006, 2);
	devrig_io(&rig);
	ck_assert_uint_eq(preg(0, CI), 0);
	ahci_down();
}
END_TEST

START_TEST (command_list_outside_memory_stops_the_port) {
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };
	uint8_t hdr[32] = { 5 };

	ahci_up();
	preg_set(0, CMD, 0x10);
	preg_set(0, 0x04, 0xffffffff);
	preg_set(0, CMD, 0x11);
	preg_set(0, CI, 1);
	devrig_io(&rig);
	ck_assert_uint_ne(preg(0, IS) & 0x20000000, 0);
	preg_set(0, 0x04, 0);
	recover(0);
	put_le64(&hdr[8], UINT64_MAX); /* so is the table */
	gmem_write(rig.core.gmem, clb(0), hdr, sizeof(hdr));
	preg_set(0, CI, 1);
	devrig_io(&rig);
	ck_assert_uint_ne(preg(0, IS) & 0x20000000, 0);
	recover(0);
	ck_assert_uint_eq(run(0, &r), 0x50);
	ahci_down();
}
END_TEST

START_TEST (fis_that_is_none_stops_the_port) {
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };
	const uint8_t bad = 0x46;

	ahci_up();
	put_cmd(0, 0, &r);
	gmem_write(rig.core.gmem, table(0, 0), &bad, 1);
	preg_set(0, CI, 1);
	devrig_io(&rig);
	ck_assert_uint_ne(preg(0, IS) & 0x08000000, 0);
	recover(0);
	ck_assert_uint_eq(run(0, &r), 0x50);
	ahci_down();
}
END_TEST

START_TEST (empty_port_and_stopped_port_take_no_command) {
	ahci_up();
	port_start(3);
	preg_set(3, CI, 1);
	devrig_io(&rig);
	ck_assert_uint_eq(preg(3, CI), 1);
	preg_set(0, CMD, 0x10);
	preg_set(0, CI, 1);
	preg_set(0, SACT, 1);
	ck_assert_uint_eq(preg(0, CI), 0);
	ck_assert_uint_eq(preg(0, SACT), 0);
	ahci_down();
}
END_TEST

START_TEST (wrong_drives_are_refused) {
	struct err e = ERR_NONE;
	struct blk *odd;

	ahci_up();
	ck_assert_int_eq(ahci_attach(dev, 6, disk, false, NULL, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "SATA port 6: there are 0 to 5");
	ck_assert_int_eq(ahci_attach(dev, 0, disk, false, NULL, &e), -EBUSY);
	ck_assert_err(e, EBUSY, "SATA port 0 is taken");
	ck_assert_int_eq(ahci_attach(dev, 3, NULL, false, NULL, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "a disk needs an image");
	odd = fake_blk(rig.core.io, MiB);
	odd->info.block_size = 4096;
	ck_assert_int_eq(ahci_attach(dev, 3, odd, true, NULL, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "the image needs 4096");
	odd->info.block_size = 512;
	odd->info.size = 0;
	ck_assert_int_eq(ahci_attach(dev, 3, odd, false, NULL, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "less than one sector");
	blk_close(odd);
	ahci_down();
}
END_TEST

SUITE("ahci", registers_are_what_firmware_expects,
	signature_fis_is_posted_when_reception_starts,
	interrupt_follows_ports_and_enables, msi_takes_the_place_of_the_line,
	touches_no_memory_unless_bus_master,
	command_list_outside_memory_stops_the_port,
	fis_that_is_none_stops_the_port,
	empty_port_and_stopped_port_take_no_command, wrong_drives_are_refused)
