// SPDX-License-Identifier: GPL-3.0-or-later
/* A disk at the controller: its commands and transfers. */
#include <errno.h>

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/ahcirig.h"

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

SUITE("ahci disk", identify_tells_the_disk, identify_of_the_other_kind_aborts,
	all_ways_of_reading_read, all_ways_of_writing_write,
	chs_addresses_are_translated, large_transfers_go_in_parts,
	pieces_need_not_be_sectors, short_data_area_overflows,
	data_area_that_is_no_memory_fails, reading_past_the_end_is_refused,
	trim_discards_its_ranges, write_cache_off_writes_through,
	storage_errors_reach_the_guest, small_commands_answer,
	smart_says_healthy, large_sectors_are_told_and_used)
