// SPDX-License-Identifier: GPL-3.0-or-later
/* What runs on the disk while the port, the controller or the machine is
 * stopped, reset or paused. */
#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/ahcirig.h"

START_TEST (stopping_waits_for_what_runs) {
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };

	ahci_up();
	disk->hold = true;
	issue(0, 0, &r);
	preg_set(0, CMD, 0x10);
	ck_assert_uint_eq(preg(0, CI), 0);
	ck_assert_uint_eq(preg(0, CMD) & 0x8001, 0x8000);
	preg_set(0, IS, 0xffffffff);
	fake_release(disk);
	devrig_io(&rig);
	ck_assert_uint_eq(preg(0, CMD) & 0x8001, 0);
	ck_assert_uint_eq(preg(0, TFD), 0x50);
	ck_assert_uint_eq(preg(0, IS) & 1, 0); /* nobody is told */
	preg_set(0, CMD, 0x11);
	ck_assert_uint_eq(run(0, &r), 0x50);
	ck_assert_uint_eq(preg(0, IS) & 1, 1);
	ahci_down();
}
END_TEST

START_TEST (link_reset_waits_for_what_runs) {
	struct cmd r = { .command = 0x60,
		.device = 0x40,
		.features = 1,
		.len = 512 };

	ahci_up();
	disk->hold = true;
	preg_set(0, SACT, 1);
	issue(0, 0, &r);
	preg_set(0, CMD, 0x10);
	preg_set(0, SCTL, 1);
	ck_assert_uint_eq(preg(0, SSTS), 0);
	ck_assert_uint_eq(preg(0, SACT), 0);
	preg_set(0, SCTL, 0);
	ck_assert_uint_eq(preg(0, SSTS), 0);
	fake_release(disk);
	devrig_io(&rig);
	ck_assert_uint_eq(preg(0, SSTS), 0x113);
	ck_assert_uint_eq(preg(0, TFD), 0x150);
	ck_assert_uint_eq(preg(0, SERR), 0x04000000);
	ck_assert_uint_eq(preg(0, IS) & 0x40, 0x40);
	preg_set(0, SERR, 0x04000000);
	ck_assert_uint_eq(preg(0, IS) & 0x40, 0);
	ck_assert_uint_eq(preg(0, CMD) & 0x8000, 0);
	ahci_down();
}
END_TEST

START_TEST (controller_reset_waits_for_what_runs) {
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };

	ahci_up();
	disk->hold = true;
	issue(0, 0, &r);
	hba_set(0x04, 0x80000001);
	ck_assert_uint_eq(hba(0x04), 0x80000001);
	preg_set(0, IE, 1); /* is not heard */
	fake_release(disk);
	devrig_io(&rig);
	ck_assert_uint_eq(hba(0x04), 0x80000000);
	ck_assert_uint_eq(preg(0, IE), 0);
	ck_assert_uint_eq(preg(0, CMD) & 0xc011, 0);
	ck_assert_uint_eq(preg(0, 0), (uint32_t)clb(0)); /* is kept */
	ck_assert_uint_eq(preg(0, SSTS), 0x113);
	port_start(0);
	ck_assert_uint_eq(run(0, &r), 0x50);
	ahci_down();
}
END_TEST

static void control(uint8_t ctrl)
{
	struct cmd c = { .command = 0 };
	uint8_t fis[20] = { 0x27, 0 };

	put_cmd(0, 0, &c);
	fis[15] = ctrl;
	gmem_write(rig.core.gmem, table(0, 0), fis, sizeof(fis));
	preg_set(0, CI, 1);
	devrig_io(&rig);
}

START_TEST (software_reset_gives_the_signature) {
	ahci_up();
	control(0x04);
	ck_assert_uint_eq(preg(0, CI), 0);
	ck_assert_uint_eq(preg(0, TFD) & 0x80, 0x80);
	control(0x00);
	ck_assert_uint_eq(preg(0, CI), 0);
	ck_assert_uint_eq(preg(0, TFD), 0x150);
	ck_assert_uint_eq(preg(0, SIG), 0x101);
	ahci_down();
}
END_TEST

START_TEST (machine_reset_drains_and_resets) {
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };

	ahci_up();
	disk->hold = true;
	issue(0, 0, &r);
	pci_bus_reset(rig.pci);
	dev->ops->reset(dev);
	ck_assert(list_empty(&disk->queue));
	cfg_out(&rig, AHCI, 0x24, (uint32_t)ABAR, 4);
	cfg_out(&rig, AHCI, 0x04, 0x0006, 2);
	ck_assert_uint_eq(hba(0x04), 0x80000000);
	ck_assert_uint_eq(preg(0, 0), 0);
	ck_assert_uint_eq(preg(0, CMD) & 0xc011, 0);
	ck_assert_uint_eq(preg(0, SSTS), 0x113);
	ck_assert(!irq(&rig, 16));
	disk->hold = false;
	hba_set(0x04, 0x80000002);
	port_start(0);
	ck_assert_uint_eq(run(0, &r), 0x50);
	ahci_down();
}
END_TEST

START_TEST (quiet_device_starts_nothing_until_resumed) {
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };

	ahci_up();
	dev->ops->quiesce(dev);
	issue(0, 0, &r);
	ck_assert_uint_eq(preg(0, CI), 1);
	ck_assert_uint_eq(disk->ops[BLK_READ], 0);
	dev->ops->resume(dev);
	devrig_io(&rig);
	ck_assert_uint_eq(preg(0, CI), 0);
	ahci_down();
}
END_TEST

/* Four parts of a transfer, the first of them under way. */
static void begin_long_read(void)
{
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 8192,
		.len = 4 * MiB };

	ahci_up();
	memset(gmem_host(rig.core.gmem, DATA, 4 * MiB), 0, 4 * MiB);
	disk->hold = true;
	issue(0, 0, &r);
	dev->ops->quiesce(dev);
	disk->hold = false;
}

START_TEST (a_pause_waits_for_a_part_of_a_transfer_only) {
	begin_long_read();
	ck_assert_uint_eq(disk->ops[BLK_READ], 1);
	devrig_io(&rig);
	ck_assert_uint_eq(disk->ops[BLK_READ], 1);
	ck_assert_uint_eq(preg(0, CI), 1);
	dev->ops->resume(dev);
	devrig_until(&rig, !preg(0, CI));
	ck_assert_uint_eq(disk->ops[BLK_READ], 4);
	ck_assert(same(disk, 0, 4 * MiB));
	ahci_down();
}
END_TEST

START_TEST (a_reset_ends_a_transfer_that_waits) {
	begin_long_read();
	dev->ops->reset(dev);
	dev->ops->resume(dev);
	devrig_io(&rig);
	ck_assert_uint_eq(disk->ops[BLK_READ], 1);
	ck_assert_uint_eq(preg(0, CMD) & 0x8000, 0);
	ahci_down();
}
END_TEST

START_TEST (a_paused_transfer_is_forgotten_at_the_end) {
	begin_long_read();
	ahci_down();
}
END_TEST

SUITE("ahci reset", stopping_waits_for_what_runs,
	link_reset_waits_for_what_runs, controller_reset_waits_for_what_runs,
	software_reset_gives_the_signature, machine_reset_drains_and_resets,
	quiet_device_starts_nothing_until_resumed,
	a_pause_waits_for_a_part_of_a_transfer_only,
	a_reset_ends_a_transfer_that_waits,
	a_paused_transfer_is_forgotten_at_the_end)
