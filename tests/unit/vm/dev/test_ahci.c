// SPDX-License-Identifier: GPL-3.0-or-later
/* The controller and its disks; CD-ROM drives are in test_atapi.c. */
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

START_TEST (identify_tells_the_disk) {
	struct cmd c = { .command = 0xec, .len = 512 };
	const uint8_t *id;
	uint8_t sum = 0;

	ahci_up();
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert_uint_eq(preg(0, CI), 0);
	ck_assert_uint_eq(preg(0, IS) & 0x3, 0x2); /* PIO setup */
	ck_assert_uint_eq(ram(fb(0) + 0x20, 20)[0], 0x5f);
	ck_assert_uint_eq(ram(fb(0) + 0x20, 20)[15], 0x50);
	id = ram(DATA, 512);
	ck_assert_uint_eq(get_le32(id + 120), 8192);
	ck_assert_uint_eq(get_le64(id + 200), 8192);
	ck_assert_uint_eq(get_le16(id + 150), 31);
	ck_assert_uint_eq(get_le16(id + 212), 0x6003); /* 8 to a physical */
	ck_assert_mem_eq(id + 20, "ESIRLA 7", 8);
	for (unsigned i = 0; i < 512; i++)
		sum = (uint8_t)(sum + id[i]);
	ck_assert_uint_eq(sum, 0);
	ck_assert_uint_eq(get_le32(ram(clb(0) + 4, 4)), 512); /* PRDBC */
	ahci_down();
}
END_TEST

START_TEST (identify_of_the_other_kind_aborts) {
	struct cmd c = { .command = 0xa1, .len = 512 };

	ahci_up();
	ck_assert_uint_eq(run(0, &c), 0x451);
	ck_assert_uint_eq(preg(0, CI), 1);
	ck_assert_uint_ne(preg(0, IS) & 0x40000000, 0);
	recover(0);
	ck_assert_uint_eq(preg(0, CI), 0);
	c.command = 0xec;
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert_uint_eq(run(1, &c), 0x451);
	ck_assert_uint_eq(ram(fb(1) + 0x40, 20)[5], 0x14);
	ahci_down();
}
END_TEST

START_TEST (all_ways_of_reading_read) {
	static const struct {
		uint8_t command, device;
		bool pio;
	} ways[] = { { 0x20, 0x40, true }, { 0x21, 0x40, true },
		{ 0xc4, 0x40, true }, { 0x24, 0x40, true },
		{ 0x29, 0x40, true }, { 0xc8, 0x40, false },
		{ 0xc9, 0x40, false }, { 0x25, 0x40, false } };

	ahci_up();
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct cmd c = { .command = ways[i].command,
			.device = ways[i].device,
			.lba = 100 + i,
			.count = 3,
			.len = 1536 };

		preg_set(0, IS, 0xffffffff);
		ck_assert_uint_eq(run(0, &c), 0x50);
		ck_assert_uint_eq(preg(0, IS) & 3, ways[i].pio ? 2 : 1);
		ck_assert(same(disk, (100 + i) * 512, 1536));
	}
	ahci_down();
}
END_TEST

START_TEST (all_ways_of_writing_write) {
	static const uint8_t ways[] = { 0x30, 0x31, 0xc5, 0x34, 0x39, 0xca,
		0xcb, 0x35, 0x3d, 0xce };

	ahci_up();
	for (size_t i = 0; i < sizeof(ways); i++) {
		struct cmd c = { .command = ways[i],
			.device = 0x40,
			.lba = 200 + 4 * i,
			.count = 2,
			.len = 1024,
			.write = true };

		memset(gmem_host(rig.core.gmem, DATA, 1024), (int)(0x30 + i),
			1024);
		ck_assert_uint_eq(run(0, &c), 0x50);
		ck_assert(same(disk, (200 + 4 * i) * 512, 1024));
	}
	ck_assert_uint_eq(disk->fua, 2);
	ahci_down();
}
END_TEST

START_TEST (chs_addresses_are_translated) {
	struct cmd c = { .command = 0x20,
		.device = 0x02,
		.count = 1,
		.lba = 0x000105 /* cylinder 1, sector 5 */,
		.len = 512 };

	ahci_up();
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert(same(disk, ((1 * 16 + 2) * 63 + 4) * 512, 512));
	c.lba = 0x000100; /* sectors count from 1 */
	ck_assert_uint_eq(run(0, &c), 0x1051);
	ahci_down();
}
END_TEST

START_TEST (large_transfers_go_in_parts) {
	struct cmd c = { .command = 0x25,
		.device = 0x40,
		.count = 6000,
		.prds = 3000 };

	ahci_up();
	/* 3000 pieces of 1024 bytes; the table reaches over other slots */
	for (unsigned i = 0; i < 3000; i++)
		put_prd(0, 0, i, DATA + i * 1024, 1024);
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert(same(disk, 0, 6000 * 512));
	ck_assert_uint_gt(disk->ops[BLK_READ], 10);
	ck_assert_uint_eq(get_le32(ram(clb(0) + 4, 4)), 6000 * 512);
	ahci_down();
}
END_TEST

START_TEST (pieces_need_not_be_sectors) {
	struct cmd c = { .command = 0x25,
		.device = 0x40,
		.count = 64,
		.lba = 7,
		.prds = 0 };
	static const uint32_t lens[] = { 2, 510, 100, 924, 600, 8192, 22 };
	uint64_t at = 0;
	unsigned i;

	ahci_up();
	for (i = 0; at < 64 * 512; i++) {
		uint32_t len = lens[i % ARRAY_LEN(lens)];

		if (len > 64 * 512 - at)
			len = (uint32_t)(64 * 512 - at);
		put_prd(0, 0, i, DATA + at, len);
		at += len;
	}
	c.prds = i;
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert(same(disk, 7 * 512, 64 * 512));
	ahci_down();
}
END_TEST

START_TEST (short_data_area_overflows) {
	struct cmd c = { .command = 0x25,
		.device = 0x40,
		.count = 4,
		.len = 1000 };

	ahci_up();
	ck_assert_uint_eq(run(0, &c), 0x451);
	ck_assert_uint_ne(preg(0, IS) & 0x01000000, 0);
	recover(0);
	c.len = 0;
	ck_assert_uint_eq(run(0, &c), 0x451);
	ahci_down();
}
END_TEST

START_TEST (data_area_that_is_no_memory_fails) {
	struct cmd c = { .command = 0x25,
		.device = 0x40,
		.count = 4,
		.prds = 2 };

	ahci_up();
	put_prd(0, 0, 0, DATA, 1024);
	put_prd(0, 0, 1, RAM - 512, 1024);
	ck_assert_uint_eq(run(0, &c), 0x451);
	ck_assert_uint_ne(preg(0, IS) & 0x10000000, 0);
	recover(0);
	put_prd(0, 0, 1, UINT64_MAX - 512, 1024);
	ck_assert_uint_eq(run(0, &c), 0x451);
	ahci_down();
}
END_TEST

START_TEST (reading_past_the_end_is_refused) {
	struct cmd c = { .command = 0x25,
		.device = 0x40,
		.count = 2,
		.lba = 8191,
		.len = 1024 };

	ahci_up();
	ck_assert_uint_eq(run(0, &c), 0x1051);
	recover(0);
	c.lba = UINT64_C(0xffffffffffff);
	ck_assert_uint_eq(run(0, &c), 0x1051);
	recover(0);
	c.count = 0; /* 65536 sectors */
	c.lba = 0;
	ck_assert_uint_eq(run(0, &c), 0x1051);
	ck_assert_uint_eq(disk->ops[BLK_READ], 0);
	ahci_down();
}
END_TEST

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

START_TEST (trim_discards_its_ranges) {
	struct cmd c = { .command = 0x06,
		.device = 0x40,
		.features = 1,
		.count = 1,
		.len = 512,
		.write = true };
	uint8_t ranges[512] = { 0 };

	ahci_up();
	put_le64(&ranges[0], UINT64_C(8) << 48 | 100);
	put_le64(&ranges[16], UINT64_C(1) << 48 | 500);
	gmem_write(rig.core.gmem, DATA, ranges, sizeof(ranges));
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert_uint_eq(disk->ops[BLK_DISCARD], 2);
	ck_assert_uint_eq(disk->data[100 * 512 + 9], 0);
	ck_assert_uint_eq(disk->data[500 * 512 + 9], 0);
	put_le64(&ranges[24], UINT64_C(2) << 48 | 8191);
	gmem_write(rig.core.gmem, DATA, ranges, sizeof(ranges));
	ck_assert_uint_eq(run(0, &c), 0x451);
	ck_assert_uint_eq(disk->ops[BLK_DISCARD], 2);
	recover(0);
	c.count = 9;
	ck_assert_uint_eq(run(0, &c), 0x451);
	recover(0);
	c.count = 1;
	disk->fail = -EIO;
	put_le64(&ranges[24], 0);
	gmem_write(rig.core.gmem, DATA, ranges, sizeof(ranges));
	ck_assert_uint_eq(run(0, &c), 0x451);
	ahci_down();
}
END_TEST

START_TEST (write_cache_off_writes_through) {
	struct cmd sf = { .command = 0xef, .features = 0x82 };
	struct cmd w = { .command = 0x35,
		.device = 0x40,
		.count = 1,
		.len = 512,
		.write = true };

	ahci_up();
	ck_assert_uint_eq(run(0, &sf), 0x50);
	ck_assert_uint_eq(disk->ops[BLK_FLUSH], 1);
	ck_assert_uint_eq(run(0, &w), 0x50);
	ck_assert_uint_eq(disk->fua, 1);
	sf.features = 0x02;
	ck_assert_uint_eq(run(0, &sf), 0x50);
	ck_assert_uint_eq(run(0, &w), 0x50);
	ck_assert_uint_eq(disk->fua, 1);
	sf.features = 0x77;
	ck_assert_uint_eq(run(0, &sf), 0x451);
	ahci_down();
}
END_TEST

START_TEST (storage_errors_reach_the_guest) {
	struct cmd r = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };
	struct cmd w = { .command = 0x35,
		.device = 0x40,
		.count = 1,
		.len = 512,
		.write = true };
	struct cmd f = { .command = 0xe7 };

	ahci_up();
	disk->fail = -EIO;
	ck_assert_uint_eq(run(0, &r), 0x4051);
	recover(0);
	disk->fail = -ENOSPC;
	ck_assert_uint_eq(run(0, &w), 0x451);
	recover(0);
	ck_assert_uint_eq(run(0, &f), 0x451);
	ahci_down();
}
END_TEST

START_TEST (small_commands_answer) {
	struct cmd c = { .command = 0xf8, .device = 0x40 };

	ahci_up();
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert_uint_eq(get_le32(ram(fb(0) + 0x44, 4)) & 0xffffff, 8191);
	c.command = 0x27;
	ck_assert_uint_eq(run(0, &c), 0x50);
	c.command = 0xe5;
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert_uint_eq(ram(fb(0) + 0x40, 20)[12], 0xff);
	for (uint8_t n = 0xe0; n <= 0xe3; n++) {
		c.command = n;
		ck_assert_uint_eq(run(0, &c), 0x50);
	}
	c = (struct cmd){ .command = 0x42, .device = 0x40, .count = 9 };
	ck_assert_uint_eq(run(0, &c), 0x50);
	c = (struct cmd){ .command = 0xc6, .count = 16 };
	ck_assert_uint_eq(run(0, &c), 0x50);
	c.command = 0x90;
	ck_assert_uint_eq(run(0, &c), 0x150);
	c = (struct cmd){ .command = 0xc6, .count = 3 };
	ck_assert_uint_eq(run(0, &c), 0x451);
	recover(0);
	c.command = 0x00; /* NOP */
	ck_assert_uint_eq(run(0, &c), 0x451);
	ahci_down();
}
END_TEST

START_TEST (smart_says_healthy) {
	struct cmd c = { .command = 0xb0, .features = 0xda, .lba = 0xc24f00 };

	ahci_up();
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert_uint_eq(ram(fb(0) + 0x40, 20)[5], 0x4f);
	c.features = 0xd0;
	c.len = 512;
	ck_assert_uint_eq(run(0, &c), 0x50);
	ck_assert_uint_eq(ram(DATA, 512)[0], 1);
	c.features = 0xd9;
	ck_assert_uint_eq(run(0, &c), 0x50);
	c.features = 0xd0;
	ck_assert_uint_eq(run(0, &c), 0x451);
	recover(0);
	c.features = 0xd8;
	ck_assert_uint_eq(run(0, &c), 0x50);
	c.lba = 0;
	ck_assert_uint_eq(run(0, &c), 0x451);
	ahci_down();
}
END_TEST

START_TEST (large_sectors_are_told_and_used) {
	struct err e = ERR_NONE;
	struct cmd c = { .command = 0xec, .len = 512 };

	ahci_up();
	extra = fake_blk(rig.core.io, MiB);
	extra->info.block_size = 4096;
	ck_assert_int_eq(ahci_attach(dev, 4, extra, false, NULL, &e), 0);
	hba_set(0x04, 0x80000002);
	port_start(4);
	ck_assert_uint_eq(run(4, &c), 0x50);
	ck_assert_uint_eq(get_le16(ram(DATA + 212, 2)), 0x5000);
	ck_assert_uint_eq(get_le32(ram(DATA + 234, 4)), 2048);
	ck_assert_uint_eq(get_le32(ram(DATA + 120, 4)), 256);
	c = (struct cmd){ .command = 0x25,
		.device = 0x40,
		.lba = 3,
		.count = 2,
		.len = 8192 };
	ck_assert_uint_eq(run(4, &c), 0x50);
	ck_assert(same(extra, 3 * 4096, 8192));
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
	signature_fis_is_posted_when_reception_starts, identify_tells_the_disk,
	identify_of_the_other_kind_aborts, all_ways_of_reading_read,
	all_ways_of_writing_write, chs_addresses_are_translated,
	large_transfers_go_in_parts, pieces_need_not_be_sectors,
	short_data_area_overflows, data_area_that_is_no_memory_fails,
	reading_past_the_end_is_refused, queued_commands_end_in_any_order,
	queued_error_is_told_by_log_page, queued_tag_must_be_the_slot,
	unqueued_command_waits_for_queued_ones,
	commands_run_one_after_the_other, interrupt_follows_ports_and_enables,
	msi_takes_the_place_of_the_line, stopping_waits_for_what_runs,
	link_reset_waits_for_what_runs, controller_reset_waits_for_what_runs,
	software_reset_gives_the_signature, machine_reset_drains_and_resets,
	quiet_device_starts_nothing_until_resumed,
	a_pause_waits_for_a_part_of_a_transfer_only,
	a_reset_ends_a_transfer_that_waits,
	a_paused_transfer_is_forgotten_at_the_end,
	touches_no_memory_unless_bus_master,
	command_list_outside_memory_stops_the_port,
	fis_that_is_none_stops_the_port,
	empty_port_and_stopped_port_take_no_command, trim_discards_its_ranges,
	write_cache_off_writes_through, storage_errors_reach_the_guest,
	small_commands_answer, smart_says_healthy,
	large_sectors_are_told_and_used, wrong_drives_are_refused)
