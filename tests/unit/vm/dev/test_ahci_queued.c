// SPDX-License-Identifier: GPL-3.0-or-later
/* The order of a disk's commands, queued (NCQ) and not. */
#include <errno.h>

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/ahcirig.h"

START_TEST (queued_commands_end_in_any_order) {
	struct cmd r = { .command = 0x60,
		.device = 0x40,
		.features = 8,
		.lba = 64,
		.count = 3 << 3,
		.prds = 1 };
	struct cmd w = { .command = 0x61,
		.device = 0xc0,
		.features = 1,
		.lba = 5,
		.count = 9 << 3,
		.prds = 1,
		.write = true };

	ahci_up();
	disk->hold = true;
	put_prd(0, 3, 0, DATA, 4096);
	put_prd(0, 9, 0, DATA + 8192, 512);
	memset(gmem_host(rig.core.gmem, DATA + 8192, 512), 0x99, 512);
	put_cmd(0, 3, &r);
	put_cmd(0, 9, &w);
	preg_set(0, SACT, 1u << 3 | 1u << 9);
	preg_set(0, CI, 1u << 3 | 1u << 9);
	devrig_io(&rig);
	ck_assert_uint_eq(preg(0, CI), 0);
	ck_assert_uint_eq(preg(0, SACT), 0x208);
	ck_assert_uint_eq(preg(0, TFD), 0x50);
	ck_assert(!irq(&rig, 16));
	fake_release(disk);
	devrig_io(&rig);
	ck_assert_uint_eq(preg(0, SACT), 0);
	ck_assert_uint_eq(preg(0, IS) & 0x8, 0x8);
	ck_assert(irq(&rig, 16));
	ck_assert(same(disk, 64 * 512, 4096));
	ck_assert_uint_eq(disk->data[5 * 512], 0x99);
	ck_assert_uint_eq(disk->fua, 1);
	ck_assert_uint_eq(ram(fb(0) + 0x58, 8)[0], 0xa1);
	ahci_down();
}
END_TEST

START_TEST (queued_error_is_told_by_log_page) {
	struct cmd r = { .command = 0x60,
		.device = 0x40,
		.features = 1,
		.lba = 64,
		.count = 5 << 3,
		.len = 512 };
	struct cmd log = { .command = 0x2f,
		.count = 1,
		.lba = 0x10,
		.len = 512 };

	ahci_up();
	disk->fail = -EIO;
	preg_set(0, SACT, 1u << 5);
	issue(0, 5, &r);
	ck_assert_uint_eq(preg(0, TFD), 0x4051);
	ck_assert_uint_eq(preg(0, SACT), 1u << 5);
	ck_assert_uint_ne(preg(0, IS) & 0x40000000, 0);
	/* the port has stopped */
	issue(0, 6, &log);
	ck_assert_uint_eq(preg(0, CI), 1u << 6);
	disk->fail = 0;
	recover(0);
	ck_assert_uint_eq(preg(0, SACT), 0);
	ck_assert_uint_eq(run(0, &log), 0x50);
	ck_assert_uint_eq(ram(DATA, 512)[0], 5);
	ck_assert_uint_eq(ram(DATA, 512)[2], 0x51);
	ck_assert_uint_eq(ram(DATA, 512)[3], 0x40);
	ck_assert_uint_eq(ram(DATA, 512)[4], 64);
	ck_assert_uint_eq(run(0, &log), 0x50);
	ck_assert_uint_eq(ram(DATA, 512)[0], 0x80);
	log.lba = 0;
	ck_assert_uint_eq(run(0, &log), 0x50);
	ck_assert_uint_eq(ram(DATA, 512)[0x20], 1);
	log.lba = 0x99;
	ck_assert_uint_eq(run(0, &log), 0x451);
	ahci_down();
}
END_TEST

START_TEST (queued_tag_must_be_the_slot) {
	struct cmd r = { .command = 0x60,
		.device = 0x40,
		.features = 1,
		.count = 5 << 3,
		.len = 512 };

	ahci_up();
	preg_set(0, SACT, 1u << 4);
	issue(0, 4, &r);
	ck_assert_uint_eq(preg(0, TFD), 0x451);
	ahci_down();
}
END_TEST

START_TEST (unqueued_command_waits_for_queued_ones) {
	struct cmd r = { .command = 0x60,
		.device = 0x40,
		.features = 1,
		.count = 1 << 3,
		.len = 512 };
	struct cmd f = { .command = 0xea };

	ahci_up();
	disk->hold = true;
	preg_set(0, SACT, 1u << 1);
	issue(0, 1, &r);
	issue(0, 2, &f);
	ck_assert_uint_eq(preg(0, CI), 1u << 2);
	ck_assert_uint_eq(disk->ops[BLK_FLUSH], 0);
	fake_release(disk);
	devrig_io(&rig);
	ck_assert_uint_eq(disk->ops[BLK_FLUSH], 1);
	ck_assert_uint_eq(preg(0, CI), 0);
	ahci_down();
}
END_TEST

START_TEST (commands_run_one_after_the_other) {
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };

	ahci_up();
	disk->hold = true;
	for (unsigned s = 0; s < 32; s++) {
		r.lba = s;
		put_cmd(0, s, &r);
	}
	preg_set(0, CI, 0xffffffff);
	devrig_io(&rig);
	ck_assert_uint_eq(preg(0, CI), 0xffffffff);
	ck_assert_uint_eq(preg(0, TFD) & 0x80, 0x80);
	fake_release(disk);
	for (int i = 0; i < 64; i++)
		devrig_io(&rig);
	ck_assert_uint_eq(preg(0, CI), 0);
	ck_assert_uint_eq(disk->ops[BLK_READ], 32);
	ck_assert(same(disk, 31 * 512, 512));
	ahci_down();
}
END_TEST

SUITE("ahci queued", queued_commands_end_in_any_order,
	queued_error_is_told_by_log_page, queued_tag_must_be_the_slot,
	unqueued_command_waits_for_queued_ones,
	commands_run_one_after_the_other)
