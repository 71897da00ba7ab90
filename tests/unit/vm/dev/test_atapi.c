// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/ahcirig.h"

/* A failed packet: its sense key, in the error register. */
static unsigned key_of(uint32_t tfd)
{
	ck_assert_uint_eq(tfd & 0xff, 0x51);
	recover(1);
	return tfd >> 12;
}

/* REQUEST SENSE: key, ASC and ASCQ in one number. */
static uint32_t sense(void)
{
	const uint8_t *s;

	ck_assert_uint_eq(PACKET(18, 0x03, 0, 0, 0, 18), 0x50);
	s = ram(DATA, 18);
	ck_assert_uint_eq(s[0], 0x70);
	return (uint32_t)s[2] << 16 | (uint32_t)s[12] << 8 | s[13];
}

static uint32_t moved(void)
{
	return get_le32(ram(clb(1) + 4, 4));
}

START_TEST (identify_packet_tells_a_cd) {
	struct cmd c = { .command = 0xa1, .len = 512 };

	ahci_up();
	ck_assert_uint_eq(run(1, &c), 0x50);
	ck_assert_uint_eq(get_le16(ram(DATA, 2)), 0x85c0);
	ck_assert_mem_eq(ram(DATA + 54, 4), "UGSE", 4);
	ahci_down();
}
END_TEST

START_TEST (reads_sectors) {
	ahci_up();
	ck_assert_uint_eq(PACKET(8192, 0x28, 0, 0, 0, 0, 16, 0, 0, 4), 0x50);
	ck_assert(same(cd, 16 * 2048, 8192));
	ck_assert_uint_eq(moved(), 8192);
	ck_assert_uint_eq(ram(fb(1) + 0x40, 20)[12], 3);
	ck_assert_uint_eq(PACKET(2048, 0xa8, 0, 0, 0, 1, 255, 0, 0, 0, 1),
		0x50);
	ck_assert(same(cd, 511 * 2048, 2048));
	ck_assert_uint_eq(PACKET(2048, 0xbe, 0, 0, 0, 0, 3, 0, 0, 1, 0x10),
		0x50);
	ck_assert(same(cd, 3 * 2048, 2048));
	ck_assert_uint_eq(PACKET(0, 0x28, 0), 0x50); /* no sector is fine */
	ahci_down();
}
END_TEST

START_TEST (pio_transfers_are_the_same) {
	const uint8_t cdb[12] = { 0x28, 0, 0, 0, 0, 1, 0, 0, 1 };
	struct cmd c = { .command = 0xa0, .cdb = cdb, .len = 2048 };

	ahci_up();
	ck_assert_uint_eq(run(1, &c), 0x50);
	ck_assert(same(cd, 2048, 2048));
	ahci_down();
}
END_TEST

START_TEST (reading_past_the_end_is_refused) {
	ahci_up();
	ck_assert_uint_eq(key_of(PACKET(4096, 0x28, 0, 0, 0, 1, 255, 0, 0, 2)),
		5);
	ck_assert_uint_eq(sense(), 0x052100);
	ck_assert_uint_eq(sense(), 0);
	ck_assert_uint_eq(key_of(PACKET(4096, 0xa8, 0, 0xff, 0xff, 0xff, 0xff,
				  0xff, 0xff, 0xff, 0xff)),
		5);
	ck_assert_uint_eq(cd->ops[BLK_READ], 0);
	ahci_down();
}
END_TEST

START_TEST (raw_and_audio_sectors_are_refused) {
	ahci_up();
	ck_assert_uint_eq(key_of(PACKET(4096, 0xbe, 0, 0, 0, 0, 0, 0, 0, 1,
				  0xf8)),
		5);
	ck_assert_uint_eq(sense(), 0x052400);
	ahci_down();
}
END_TEST

START_TEST (medium_error_is_told) {
	ahci_up();
	cd->fail = -EIO;
	ck_assert_uint_eq(key_of(PACKET(2048, 0x28, 0, 0, 0, 0, 0, 0, 0, 1)),
		3);
	ck_assert_uint_eq(sense(), 0x031100);
	cd->fail = 0;
	ck_assert_uint_eq(key_of(PACKET(100, 0x28, 0, 0, 0, 0, 0, 0, 0, 1)), 5);
	ahci_down();
}
END_TEST

START_TEST (inquiry_is_cut_to_what_was_asked) {
	ahci_up();
	ck_assert_uint_eq(PACKET(96, 0x12, 0, 0, 0, 96), 0x50);
	ck_assert_uint_eq(moved(), 36);
	ck_assert_uint_eq(ram(DATA, 1)[0], 5);
	ck_assert_mem_eq(ram(DATA + 8, 8), "GUESTDEK", 8);
	ck_assert_uint_eq(PACKET(96, 0x12, 0, 0, 0, 5), 0x50);
	ck_assert_uint_eq(moved(), 5);
	ck_assert_uint_eq(ram(DATA, 6)[5], 0xee);
	ck_assert_uint_eq(PACKET(3, 0x12, 0, 0, 0, 96), 0x50);
	ck_assert_uint_eq(moved(), 3);
	ck_assert_uint_eq(key_of(PACKET(96, 0x12, 1, 0x80, 0, 96)), 5);
	ahci_down();
}
END_TEST

START_TEST (capacity_and_toc_tell_one_data_track) {
	const uint8_t *d = NULL;

	ahci_up();
	d = ram(DATA, 64);
	ck_assert_uint_eq(PACKET(8, 0x25), 0x50);
	ck_assert_uint_eq(get_be32(d), 511);
	ck_assert_uint_eq(get_be32(d + 4), 2048);
	ck_assert_uint_eq(PACKET(64, 0x43, 0, 0, 0, 0, 0, 0, 0, 64), 0x50);
	ck_assert_uint_eq(moved(), 20);
	ck_assert_uint_eq(get_be16(d), 18);
	ck_assert_uint_eq(d[5], 0x14);
	ck_assert_uint_eq(d[14], 0xaa);
	ck_assert_uint_eq(get_be32(d + 16), 512);
	ck_assert_uint_eq(PACKET(64, 0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64), 0x50);
	ck_assert_uint_eq(moved(), 12);
	ck_assert_uint_eq(d[10], 8); /* 512 + 150 frames */
	ck_assert_uint_eq(d[11], 62);
	ck_assert_uint_eq(PACKET(64, 0x43, 0, 1, 0, 0, 0, 0, 0, 64), 0x50);
	ck_assert_uint_eq(moved(), 12);
	ck_assert_uint_eq(PACKET(64, 0x43, 2, 2, 0, 0, 0, 0, 0, 64), 0x50);
	ck_assert_uint_eq(moved(), 48);
	ck_assert_uint_eq(get_be16(d), 46);
	ck_assert_uint_eq(PACKET(64, 0x43, 0, 0, 0, 0, 0, 0, 0, 64, 0x80),
		0x50); /* as old drivers ask */
	ck_assert_uint_eq(moved(), 48);
	ck_assert_uint_eq(key_of(PACKET(64, 0x43, 0, 0, 0, 0, 0, 7, 0, 64)), 5);
	ck_assert_uint_eq(key_of(PACKET(64, 0x43, 0, 5, 0, 0, 0, 0, 0, 64)), 5);
	ahci_down();
}
END_TEST

START_TEST (mode_pages_are_there) {
	const uint8_t *d = NULL;

	ahci_up();
	d = ram(DATA, 128);
	ck_assert_uint_eq(PACKET(128, 0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128), 0x50);
	ck_assert_uint_eq(moved(), 30);
	ck_assert_uint_eq(get_be16(d), 28);
	ck_assert_uint_eq(d[8], 0x2a);
	ck_assert_uint_eq(PACKET(128, 0x1a, 0, 0x01, 0, 128), 0x50);
	ck_assert_uint_eq(moved(), 16);
	ck_assert_uint_eq(d[0], 15);
	ck_assert_uint_eq(PACKET(128, 0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 128), 0x50);
	ck_assert_uint_eq(moved(), 8 + 12 + 16 + 12 + 22);
	ck_assert_uint_eq(key_of(PACKET(128, 0x5a, 0, 0x31, 0, 0, 0, 0, 0,
				  128)),
		5);
	ck_assert_uint_eq(key_of(PACKET(128, 0x5a, 0, 0xea, 0, 0, 0, 0, 0,
				  128)),
		5);
	ahci_down();
}
END_TEST

START_TEST (configuration_tells_the_profile) {
	const uint8_t *d = NULL;

	ahci_up();
	d = ram(DATA, 256);
	ck_assert_uint_eq(PACKET(256, 0x46, 0, 0, 0, 0, 0, 0, 1, 0), 0x50);
	ck_assert_uint_eq(get_be16(d + 6), 8);
	ck_assert_uint_eq(get_be32(d), moved() - 4);
	ck_assert_uint_eq(PACKET(256, 0x46, 2, 0, 0x1e, 0, 0, 0, 1, 0), 0x50);
	ck_assert_uint_eq(moved(), 16);
	ck_assert_uint_eq(PACKET(256, 0x46, 1, 0, 0, 0, 0, 0, 1, 0), 0x50);
	ck_assert_uint_eq(PACKET(256, 0x46, 2, 0x77, 0, 0, 0, 0, 1, 0), 0x50);
	ck_assert_uint_eq(moved(), 8);
	ck_assert_uint_eq(key_of(PACKET(256, 0x46, 3, 0, 0, 0, 0, 0, 1, 0)), 5);
	ahci_down();
}
END_TEST

START_TEST (large_medium_is_a_dvd) {
	struct err e = ERR_NONE;
	const uint8_t *d = NULL;

	ahci_up();
	d = ram(DATA, 4096);
	extra = fake_blk(rig.core.io, MiB);
	extra->info.size = UINT64_C(4) << 30;
	ck_assert_int_eq(ahci_set_media(dev, 1, extra, false, &e), 0);
	ck_assert_uint_eq(key_of(PACKET(0, 0x00)), 6);
	ck_assert_uint_eq(PACKET(8, 0x46, 0, 0, 0, 0, 0, 0, 0, 8), 0x50);
	ck_assert_uint_eq(get_be16(d + 6), 0x10);
	ck_assert_uint_eq(PACKET(4096, 0xad, 0, 0, 0, 0, 0, 0, 0, 16, 0), 0x50);
	ck_assert_uint_eq(moved(), 2052);
	ck_assert_uint_eq(get_be16(d), 2050);
	ck_assert_uint_eq(key_of(PACKET(4096, 0xad, 0, 0, 0, 0, 0, 0, 4, 16,
				  0)),
		5);
	ahci_down();
}
END_TEST

START_TEST (info_commands_answer) {
	ahci_up();
	ck_assert_uint_eq(PACKET(64, 0x51, 0, 0, 0, 0, 0, 0, 0, 64), 0x50);
	ck_assert_uint_eq(moved(), 34);
	ck_assert_uint_eq(PACKET(64, 0x52, 1, 0, 0, 0, 1, 0, 0, 64), 0x50);
	ck_assert_uint_eq(moved(), 36);
	ck_assert_uint_eq(get_be32(ram(DATA + 24, 4)), 512);
	ck_assert_uint_eq(PACKET(64, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), 0x50);
	ck_assert_uint_eq(moved(), 8);
	ck_assert_uint_eq(PACKET(64, 0x23, 0, 0, 0, 0, 0, 0, 0, 12), 0x50);
	ck_assert_uint_eq(ram(DATA + 8, 1)[0], 2);
	ck_assert_uint_eq(PACKET(0, 0xbb), 0x50);
	ck_assert_uint_eq(PACKET(0, 0x2b), 0x50);
	ck_assert_uint_eq(key_of(PACKET(0, 0x04)), 5);
	ck_assert_uint_eq(sense(), 0x052000);
	ahci_down();
}
END_TEST

START_TEST (empty_drive_says_no_medium) {
	struct err e = ERR_NONE;

	ahci_up();
	ck_assert_int_eq(ahci_set_media(dev, 1, NULL, false, &e), 0);
	ck_assert_uint_eq(key_of(PACKET(0, 0x00)), 2);
	ck_assert_uint_eq(sense(), 0x023a01);
	ck_assert_uint_eq(key_of(PACKET(2048, 0x28, 0, 0, 0, 0, 0, 0, 0, 1)),
		2);
	ck_assert_uint_eq(PACKET(96, 0x12, 0, 0, 0, 96), 0x50);
	ck_assert_uint_eq(PACKET(8, 0x46, 0, 0, 0, 0, 0, 0, 0, 8), 0x50);
	ck_assert_uint_eq(get_be16(ram(DATA + 6, 2)), 0);
	ahci_down();
}
END_TEST

START_TEST (new_medium_is_told_once) {
	struct err e = ERR_NONE;

	ahci_up();
	extra = fake_blk(rig.core.io, 2 * MiB);
	ck_assert_int_eq(ahci_set_media(dev, 1, extra, false, &e), 0);
	ck_assert_uint_eq(PACKET(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0x50);
	ck_assert_uint_eq(ram(DATA, 8)[4], 2);
	ck_assert_uint_eq(ram(DATA, 8)[5], 2);
	ck_assert_uint_eq(PACKET(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0x50);
	ck_assert_uint_eq(ram(DATA, 8)[4], 0);
	ck_assert_uint_eq(key_of(PACKET(0, 0x00)), 6);
	ck_assert_uint_eq(sense(), 0x062800);
	ck_assert_uint_eq(PACKET(0, 0x00), 0x50);
	ck_assert_uint_eq(PACKET(8, 0x25), 0x50);
	ck_assert_uint_eq(get_be32(ram(DATA, 4)), 1023);
	ahci_down();
}
END_TEST

START_TEST (events_are_polled_only) {
	ahci_up();
	ck_assert_uint_eq(key_of(PACKET(8, 0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8)),
		5);
	ck_assert_uint_eq(PACKET(8, 0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8), 0x50);
	ck_assert_uint_eq(moved(), 4);
	ck_assert_uint_eq(ram(DATA, 4)[2], 0x80);
	ahci_down();
}
END_TEST

START_TEST (locked_tray_stays_shut_unless_forced) {
	struct err e = ERR_NONE;

	ahci_up();
	ck_assert_uint_eq(PACKET(0, 0x1e, 0, 0, 0, 1), 0x50);
	ck_assert_uint_eq(key_of(PACKET(0, 0x1b, 0, 0, 0, 2)), 5);
	ck_assert_uint_eq(sense(), 0x055302);
	ck_assert_int_eq(ahci_set_media(dev, 1, NULL, false, &e), -EBUSY);
	ck_assert_err(e, EBUSY, "locked the tray");
	ck_assert_uint_eq(PACKET(0, 0x00), 0x50);
	ck_assert_int_eq(ahci_set_media(dev, 1, NULL, true, &e), 0);
	ck_assert_uint_eq(key_of(PACKET(0, 0x00)), 2);
	ahci_down();
}
END_TEST

START_TEST (guest_opens_and_shuts_the_tray) {
	ahci_up();
	ck_assert_uint_eq(PACKET(0, 0x1b, 0, 0, 0, 2), 0x50);
	ck_assert_uint_eq(key_of(PACKET(0, 0x00)), 2);
	ck_assert_uint_eq(sense(), 0x023a02);
	ck_assert_uint_eq(PACKET(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0x50);
	ck_assert_uint_eq(ram(DATA, 8)[4], 3);
	ck_assert_uint_eq(ram(DATA, 8)[5], 1);
	ck_assert_uint_eq(PACKET(0, 0x1b, 0, 0, 0, 3), 0x50);
	ck_assert_uint_eq(PACKET(0, 0x00), 0x50);
	ahci_down();
}
END_TEST

START_TEST (medium_changes_while_a_read_runs) {
	const uint8_t cdb[12] = { 0x28, 0, 0, 0, 0, 1, 0, 0, 1 };
	struct cmd c = { .command = 0xa0, .cdb = cdb, .len = 2048 };
	struct err e = ERR_NONE;

	ahci_up();
	cd->hold = true;
	issue(1, 0, &c);
	ck_assert_uint_eq(preg(1, CI), 1);
	ck_assert_int_eq(ahci_set_media(dev, 1, NULL, false, &e), 0);
	ck_assert(list_empty(&cd->queue));
	ck_assert_uint_eq(preg(1, CI), 0);
	ck_assert(same(cd, 2048, 2048));
	ahci_down();
}
END_TEST

START_TEST (a_read_that_waits_ends_with_its_medium) {
	uint8_t cdb[12] = { 0xa8, 0, 0, 0, 0, 0, 0, 0, 4, 0 }; /* 2 MiB */
	struct cmd c = { .command = 0xa0,
		.features = 1,
		.cdb = cdb,
		.len = 2 * MiB };
	struct err e = ERR_NONE;
	struct blk *big;

	ahci_up();
	big = fake_blk(rig.core.io, 4 * MiB);
	ck_assert_int_eq(ahci_set_media(dev, 1, big, true, &e), 0);
	PACKET(0, 0x00); /* takes the unit attention */
	recover(1);
	big->hold = true;
	issue(1, 0, &c);
	dev->ops->quiesce(dev);
	ck_assert_uint_eq(big->ops[BLK_READ], 1);
	ck_assert_int_eq(ahci_set_media(dev, 1, NULL, true, &e), 0);
	blk_close(big);
	dev->ops->resume(dev);
	devrig_io(&rig);
	ck_assert_uint_eq(key_of(preg(1, TFD)), 3);
	ahci_down();
}
END_TEST

START_TEST (media_changes_need_a_cd_drive) {
	struct err e = ERR_NONE;

	ahci_up();
	ck_assert_int_eq(ahci_set_media(dev, 0, NULL, false, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "SATA port 0 has no CD-ROM drive");
	ck_assert_int_eq(ahci_set_media(dev, 9, NULL, false, &e), -EINVAL);
	cd->info.block_size = 4096;
	ck_assert_int_eq(ahci_set_media(dev, 1, cd, false, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "the image needs 4096");
	ahci_down();
}
END_TEST

START_TEST (disk_commands_on_a_cd_abort) {
	struct cmd c = { .command = 0x25,
		.device = 0x40,
		.count = 1,
		.len = 512 };

	ahci_up();
	ck_assert_uint_eq(run(1, &c), 0x451);
	recover(1);
	c.command = 0x60;
	ck_assert_uint_eq(run(1, &c), 0x451);
	recover(1);
	c.command = 0xa0; /* and a packet on a disk */
	ck_assert_uint_eq(run(0, &c), 0x451);
	c.command = 0x08;
	ck_assert_uint_eq(run(1, &c), 0x110);
	ck_assert_uint_eq(ram(fb(1) + 0x40, 20)[5], 0x14);
	ahci_down();
}
END_TEST

SUITE("atapi", identify_packet_tells_a_cd, reads_sectors,
	pio_transfers_are_the_same, reading_past_the_end_is_refused,
	raw_and_audio_sectors_are_refused, medium_error_is_told,
	inquiry_is_cut_to_what_was_asked, capacity_and_toc_tell_one_data_track,
	mode_pages_are_there, configuration_tells_the_profile,
	large_medium_is_a_dvd, info_commands_answer, empty_drive_says_no_medium,
	new_medium_is_told_once, events_are_polled_only,
	locked_tray_stays_shut_unless_forced, guest_opens_and_shuts_the_tray,
	medium_changes_while_a_read_runs,
	a_read_that_waits_ends_with_its_medium, media_changes_need_a_cd_drive,
	disk_commands_on_a_cd_abort)
