/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The disk: requests over a fake image, good and bad, batches, resets. */
#include <errno.h>

#include "vm/virtio/blk_impl.h"

#include "tests/unit/vm/virtio/fake_blk.h"
#include "tests/unit/vm/virtio/vdriver.h"

#define HDR    VD_DATA
#define STATUS (VD_DATA + 0x1000)
#define DATA   (VD_DATA + 0x10000)

#define F(n) VIRTIO_BIT(VBLK_F_##n)

static struct vd vd;
static struct blk blk;
static struct device *dev;
static struct vd_ring ring;

static void make(unsigned queues)
{
	struct err e = ERR_NONE;

	rig_init(&vd.r, VD_RAM, true);
	ck_assert_int_eq(virtio_blk_new(&vd.r.core, vd.r.pci, VD_FN, &blk,
				 queues, "serial-0123456789-too-long", &dev,
				 &e),
		0);
	vd_probe(&vd);
}

static void go(uint64_t features)
{
	ck_assert(vd_negotiate(&vd, features | VD_V1));
	vd_ring(&vd, &ring, 0, 64);
	vd_driver_ok(&vd);
}

static void start(uint64_t features)
{
	fake_init(&blk);
	make(1);
	go(features);
}

static void stop(void)
{
	dev->ops->free(dev);
	rig_fini(&vd.r);
}

static void header(uint64_t gpa, uint32_t type, uint64_t sector)
{
	uint8_t *h = vd_ptr(&vd, gpa, 16);

	put_le32(h, type);
	put_le32(h + 4, 0);
	put_le64(h + 8, sector);
}

static uint8_t status(void)
{
	return *(uint8_t *)vd_ptr(&vd, STATUS, 1);
}

/* Header, len bytes of data, status: made available, not kicked. */
static uint16_t put(uint32_t type, uint64_t sector, uint32_t len, bool write)
{
	const struct vd_buf b[] = { { HDR, 16, false }, { DATA, len, !write },
		{ STATUS, 1, true } };

	header(HDR, type, sector);
	*(uint8_t *)vd_ptr(&vd, STATUS, 1) = 0xaa;
	return vd_add(&ring, b, 3);
}

static void end_all(void)
{
	while (blk.npending)
		fake_end(&blk, false);
	vd_run(&vd);
}

/* One request to its end: its status, and the bytes it says it wrote. */
static uint8_t run(uint16_t id, uint32_t want_len)
{
	vd_kick(&ring);
	end_all();
	vd_expect_used(&ring, id, want_len);
	return status();
}

static const uint64_t kinds[] = { 0, VD_PKD, VD_EVT, VD_PKD | VD_EVT };

START_TEST (reads_give_the_images_bytes) {
	start(kinds[_i]);
	memset(blk.data + 512 * 7, 0x5a, 1024);
	ck_assert_uint_eq(run(put(VBLK_T_IN, 7, 1024, false), 1025), 0);
	ck_assert_mem_eq(vd_ptr(&vd, DATA, 1024), blk.data + 512 * 7, 1024);
	ck_assert_uint_eq(vd_isr(&vd), 1);
	ck_assert_uint_eq(blk.plugs, 0);
	stop();
}
END_TEST

START_TEST (writes_reach_the_image) {
	start(kinds[_i]);
	memset(vd_ptr(&vd, DATA, 4096), 0xc3, 4096);
	ck_assert_uint_eq(run(put(VBLK_T_OUT, 2040, 4096, true), 1), 0);
	ck_assert_uint_eq(blk.data[FAKE_SIZE - 1], 0xc3);
	ck_assert_uint_eq(blk.data[2040 * 512 - 1], 0);
	stop();
}
END_TEST

START_TEST (header_data_and_status_may_be_cut_anywhere) {
	/* 16 + 512 out in three pieces, cut inside the header */
	const struct vd_buf w[] = { { HDR, 5, false }, { HDR + 5, 100, false },
		{ HDR + 105, 423, false }, { STATUS, 1, true } };
	/* data and status in one piece, data begun in another */
	const struct vd_buf rd[] = { { HDR, 16, false }, { DATA, 100, true },
		{ DATA + 100, 413, true } };
	uint8_t *p;

	start(0);
	header(HDR, VBLK_T_OUT, 3);
	p = vd_ptr(&vd, HDR, 528);
	for (unsigned i = 0; i < 512; i++)
		p[16 + i] = (uint8_t)(i * 7);
	ck_assert_uint_eq(run(vd_add(&ring, w, 4), 1), 0);
	ck_assert_mem_eq(blk.data + 3 * 512, p + 16, 512);
	header(HDR, VBLK_T_IN, 3);
	*(uint8_t *)vd_ptr(&vd, DATA + 512, 1) = 0xaa;
	run(vd_add(&ring, rd, 3), 513);
	ck_assert_mem_eq(vd_ptr(&vd, DATA, 512), blk.data + 3 * 512, 512);
	ck_assert_uint_eq(*(uint8_t *)vd_ptr(&vd, DATA + 512, 1), 0);
	stop();
}
END_TEST

START_TEST (config_describes_the_disk) {
	start(0);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config, 8), FAKE_SIZE / 512);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 12, 4), 254);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 20, 4), 512);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 24, 1), 3);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 26, 2), 8);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 28, 4), 0);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 34, 2), 1);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 44, 4), 8);
	ck_assert_uint_eq(vd_offered(&vd) & 0xffffff,
		F(SEG_MAX) | F(BLK_SIZE) | F(FLUSH) | F(TOPOLOGY) |
			F(CONFIG_WCE) | F(DISCARD) | F(WRITE_ZEROES));
	stop();
}
END_TEST

START_TEST (clusters_of_the_format_are_the_best_size) {
	fake_init(&blk);
	blk.info.cluster_size = 65536;
	blk.info.discard_align = 2048; /* of subclusters */
	make(1);
	go(0);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 26, 2), 8);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 28, 4), 128);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 44, 4), 128);
	stop();
}
END_TEST

START_TEST (the_identity_is_the_serial_cut_to_20_bytes) {
	start(0);
	ck_assert_uint_eq(run(put(VBLK_T_GET_ID, 0, 20, false), 21), 0);
	ck_assert_mem_eq(vd_ptr(&vd, DATA, 20), "serial-0123456789-to", 20);
	ck_assert_uint_eq(blk.submits, 0);
	/* a short buffer gets what fits, a long one 20 bytes */
	ck_assert_uint_eq(run(put(VBLK_T_GET_ID, 0, 3, false), 4), 0);
	ck_assert_uint_eq(run(put(VBLK_T_GET_ID, 0, 64, false), 21), 0);
	ck_assert_uint_eq(vd_isr(&vd), 1);
	stop();
}
END_TEST

START_TEST (flush_goes_to_the_image) {
	const struct vd_buf b[] = { { HDR, 16, false }, { STATUS, 1, true } };

	start(F(FLUSH));
	header(HDR, VBLK_T_FLUSH, 0);
	ck_assert_uint_eq(run(vd_add(&ring, b, 2), 1), 0);
	ck_assert_int_eq(blk.last.op, BLK_FLUSH);
	stop();
}
END_TEST

START_TEST (writes_are_through_unless_the_driver_can_flush) {
	start(0); /* cannot */
	run(put(VBLK_T_OUT, 0, 512, true), 1);
	ck_assert_uint_eq(blk.last.flags, BLK_FUA);
	go(F(FLUSH));
	run(put(VBLK_T_OUT, 0, 512, true), 1);
	ck_assert_uint_eq(blk.last.flags, 0);
	/* may be switched while running */
	go(F(FLUSH) | F(CONFIG_WCE));
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 32, 1), 1);
	run(put(VBLK_T_OUT, 0, 512, true), 1);
	ck_assert_uint_eq(blk.last.flags, 0);
	mmio_out(&vd.r, vd.config + 32, 0, 1);
	run(put(VBLK_T_OUT, 0, 512, true), 1);
	ck_assert_uint_eq(blk.last.flags, BLK_FUA);
	run(put(VBLK_T_IN, 0, 512, false), 513);
	ck_assert_uint_eq(blk.last.flags, 0);
	vd_reset(&vd);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 32, 1), 1);
	stop();
}
END_TEST

static uint16_t put_ranges(uint32_t type, unsigned n, uint32_t flags)
{
	uint8_t *p = vd_ptr(&vd, DATA, 16 * (n ? n : 1));

	for (unsigned i = 0; i < n; i++) {
		put_le64(p + 16 * i, 8 * (i + 1));
		put_le32(p + 16 * i + 8, 2);
		put_le32(p + 16 * i + 12, flags);
	}
	return put(type, 0, 16 * n, true);
}

START_TEST (discard_and_zeroes_take_their_ranges_one_by_one) {
	start(F(DISCARD) | F(WRITE_ZEROES) | F(FLUSH));
	memset(blk.data, 0xff, FAKE_SIZE);
	ck_assert_uint_eq(run(put_ranges(VBLK_T_DISCARD, 3, 0), 1), 0);
	ck_assert_uint_eq(blk.submits, 3);
	ck_assert_int_eq(blk.last.op, BLK_DISCARD);
	ck_assert_uint_eq(blk.data[24 * 512 + 1023], 0);
	ck_assert_uint_eq(blk.data[24 * 512 + 1024], 0xff);
	memset(blk.data, 0xff, FAKE_SIZE);
	ck_assert_uint_eq(run(put_ranges(VBLK_T_WRITE_ZEROES, 1, 1), 1), 0);
	ck_assert_uint_eq(blk.submits, 4);
	ck_assert_int_eq(blk.last.op, BLK_WRITE_ZEROES);
	ck_assert_uint_eq(blk.last.flags, BLK_UNMAP);
	ck_assert_uint_eq(blk.data[blk.last.offset], 0);
	/* the first that fails ends it */
	blk.fail = ENOSPC;
	ck_assert_uint_eq(run(put_ranges(VBLK_T_DISCARD, 4, 0), 1),
		VBLK_S_IOERR);
	ck_assert_uint_eq(blk.submits, 5);
	stop();
}
END_TEST

START_TEST (bad_ranges_end_that_request_only) {
	uint8_t *p;

	start(F(DISCARD) | F(WRITE_ZEROES));
	p = vd_ptr(&vd, DATA, 16);
	ck_assert_uint_eq(run(put_ranges(VBLK_T_DISCARD, 1, 1), 1),
		VBLK_S_UNSUPP);
	ck_assert_uint_eq(run(put_ranges(VBLK_T_WRITE_ZEROES, 1, 2), 1),
		VBLK_S_UNSUPP);
	ck_assert_uint_eq(run(put_ranges(VBLK_T_DISCARD, 17, 0), 1),
		VBLK_S_IOERR);
	ck_assert_uint_eq(run(put_ranges(VBLK_T_WRITE_ZEROES, 2, 0), 1),
		VBLK_S_IOERR);
	ck_assert_uint_eq(run(put_ranges(VBLK_T_DISCARD, 0, 0), 1),
		VBLK_S_IOERR);
	ck_assert_uint_eq(run(put(VBLK_T_DISCARD, 0, 15, true), 1),
		VBLK_S_IOERR);
	put_ranges(VBLK_T_DISCARD, 1, 0);
	put_le64(p, UINT64_MAX);
	vd_kick(&ring);
	ck_assert_uint_eq(status(), VBLK_S_IOERR);
	put_ranges(VBLK_T_DISCARD, 1, 0);
	put_le32(p + 8, 0);
	vd_kick(&ring);
	ck_assert_uint_eq(status(), VBLK_S_IOERR);
	ck_assert_uint_eq(blk.submits, 0);
	ck_assert_uint_eq(vd_status(&vd), 15);
	stop();
}
END_TEST

START_TEST (discard_must_be_negotiated) {
	start(0);
	ck_assert_uint_eq(run(put_ranges(VBLK_T_DISCARD, 1, 0), 1),
		VBLK_S_UNSUPP);
	stop();
}
END_TEST

START_TEST (bad_requests_end_with_an_error_of_their_own) {
	const struct vd_buf brief[] = { { HDR, 15, false },
		{ STATUS, 1, true } };
	const struct vd_buf only_status = { STATUS, 1, true };

	start(0);
	ck_assert_uint_eq(run(put(VBLK_T_IN, 0, 511, false), 1), VBLK_S_IOERR);
	ck_assert_uint_eq(run(put(VBLK_T_IN, 0, 0, false), 1), VBLK_S_IOERR);
	ck_assert_uint_eq(run(put(VBLK_T_OUT, 0, 100, true), 1), VBLK_S_IOERR);
	ck_assert_uint_eq(run(put(VBLK_T_IN, 2048, 512, false), 1),
		VBLK_S_IOERR);
	ck_assert_uint_eq(run(put(VBLK_T_IN, 2047, 1024, false), 1),
		VBLK_S_IOERR);
	ck_assert_uint_eq(run(put(VBLK_T_IN, UINT64_MAX, 512, false), 1),
		VBLK_S_IOERR);
	ck_assert_uint_eq(run(put(VBLK_T_IN, UINT64_MAX / 512 + 1, 512, false),
				  1),
		VBLK_S_IOERR);
	ck_assert_uint_eq(run(put(99, 0, 512, false), 1), VBLK_S_UNSUPP);
	ck_assert_uint_eq(run(vd_add(&ring, brief, 2), 1), VBLK_S_IOERR);
	ck_assert_uint_eq(run(vd_add(&ring, &only_status, 1), 1), VBLK_S_IOERR);
	ck_assert_uint_eq(blk.submits, 0);
	/* and the next good one works */
	ck_assert_uint_eq(run(put(VBLK_T_IN, 0, 512, false), 513), 0);
	stop();
}
END_TEST

START_TEST (a_request_without_a_status_byte_breaks_the_device) {
	const struct vd_buf b = { HDR, 16, false };

	start(0);
	vd_add(&ring, &b, 1);
	vd_kick(&ring);
	ck_assert_uint_eq(vd_status(&vd), 15 | 64);
	go(0);
	ck_assert_uint_eq(run(put(VBLK_T_IN, 0, 512, false), 513), 0);
	stop();
}
END_TEST

START_TEST (errors_of_the_image_reach_the_driver) {
	start(0);
	blk.fail = EIO;
	ck_assert_uint_eq(run(put(VBLK_T_IN, 0, 512, false), 1), VBLK_S_IOERR);
	blk.fail = ENOTSUP;
	ck_assert_uint_eq(run(put(VBLK_T_OUT, 0, 512, true), 1), VBLK_S_UNSUPP);
	stop();
}
END_TEST

START_TEST (a_read_only_disk_says_so_and_refuses_writes) {
	fake_init(&blk);
	blk.info.readonly = true;
	make(1);
	ck_assert(vd_offered(&vd) & F(RO));
	ck_assert(!(vd_offered(&vd) & (F(DISCARD) | F(WRITE_ZEROES))));
	go(F(RO));
	ck_assert_uint_eq(run(put(VBLK_T_OUT, 0, 512, true), 1), VBLK_S_IOERR);
	ck_assert_uint_eq(blk.submits, 0);
	ck_assert_uint_eq(run(put(VBLK_T_IN, 0, 512, false), 513), 0);
	stop();
}
END_TEST

START_TEST (one_kick_takes_all_and_one_interrupt_answers_all) {
	start(kinds[_i]);
	if (!(kinds[_i] & VD_PKD) && kinds[_i] & VD_EVT)
		put_le16(ring.a + 4 + 2 * 64, 0); /* tell me of the first */
	if (kinds[_i] & VD_PKD)
		put_le16(ring.a + 2, 0);
	for (unsigned i = 0; i < 16; i++)
		put(VBLK_T_IN, i, 512, false);
	vd_kick(&ring);
	ck_assert_uint_eq(blk.npending, 16);
	vd_expect_none(&ring);
	while (blk.npending)
		fake_end(&blk, true);
	ck_assert_uint_eq(vd.r.routed, 0);
	vd_run(&vd);
	ck_assert_uint_eq(vd.r.routed, 1);
	for (unsigned i = 0; i < 16; i++) {
		uint16_t id;
		uint32_t len;

		ck_assert(vd_used(&ring, &id, &len));
		ck_assert_uint_eq(len, 513);
	}
	vd_expect_none(&ring);
	stop();
}
END_TEST

/*
 * The same chain over and over makes more requests than a ring holds: they
 * wait in the ring for a free one of the pool.
 */
START_TEST (a_driver_that_overfills_waits_for_the_pool) {
	unsigned done = 0;
	uint16_t id;
	uint32_t len;

	start(0);
	put(VBLK_T_IN, 0, 512, false);
	vd_kick(&ring);
	for (unsigned i = 0; i < 400; i++) {
		vd_avail_split(&ring, 0);
		vd_kick(&ring);
		ck_assert_uint_le(blk.npending, VBLK_QUEUE);
		if (i == 300)
			ck_assert_uint_eq(blk.npending, VBLK_QUEUE);
		if (i >= 300) /* keep the ring legal */
			fake_end(&blk, false);
		while (vd_used(&ring, &id, &len))
			done++;
	}
	(void)done;
	end_all();
	end_all();
	ck_assert_uint_eq(vd_status(&vd) & 15, 15);
	stop();
}
END_TEST

START_TEST (so_many_bytes_are_in_flight_and_no_more) {
	const unsigned most = VBLK_MAX_BYTES_OUT / FAKE_SIZE;
	unsigned begun = 1;

	start(0);
	put(VBLK_T_IN, 0, FAKE_SIZE, false);
	vd_kick(&ring);
	for (; begun < most + 10; begun++) {
		vd_avail_split(&ring, 0);
		vd_kick(&ring);
	}
	ck_assert_uint_eq(blk.npending, most);
	for (unsigned i = 0; i < begun; i++) {
		fake_end(&blk, false);
		vd_run(&vd);
	}
	ck_assert_uint_eq(blk.submits, begun);
	ck_assert_uint_eq(((struct virtio_blk *)(void *)dev)->bytes, 0);
	stop();
}
END_TEST

START_TEST (reset_waits_for_requests_in_flight) {
	uint8_t *p;

	start(0);
	put(VBLK_T_IN, 0, 512, false);
	put(VBLK_T_IN, 1, 512, false);
	vd_kick(&ring);
	ck_assert_uint_eq(blk.npending, 2);
	vd_out(&vd, 20, 0, 1);
	vd_run(&vd);
	ck_assert_uint_eq(vd_status(&vd), 15);
	fake_end(&blk, true);
	ck_assert_uint_eq(vd_status(&vd), 15);
	fake_end(&blk, true);
	ck_assert_uint_eq(vd_status(&vd), 0);
	vd_run(&vd);
	/* neither status nor used ring was written */
	ck_assert_uint_eq(status(), 0xaa);
	vd_expect_none(&ring);
	ck_assert_uint_eq(vd_isr(&vd), 0);
	p = vd_ptr(&vd, DATA, 512);
	memset(p, 0x77, 512);
	go(0);
	ck_assert_uint_eq(p[0], 0x77);
	ck_assert_uint_eq(run(put(VBLK_T_IN, 0, 512, false), 513), 0);
	stop();
}
END_TEST

START_TEST (machine_reset_with_requests_in_flight_drains) {
	start(F(DISCARD));
	put_ranges(VBLK_T_DISCARD, 8, 0);
	vd_kick(&ring);
	dev->ops->reset(dev);
	ck_assert_uint_eq(blk.npending, 0);
	ck_assert_uint_eq(blk.submits, 8);
	ck_assert_uint_eq(vd_status(&vd), 0);
	ck_assert_uint_eq(status(), 0xaa);
	stop();
}
END_TEST

START_TEST (quiesce_completes_what_is_in_flight) {
	uint16_t id;

	start(0);
	id = put(VBLK_T_IN, 0, 512, false);
	vd_kick(&ring);
	dev->ops->quiesce(dev);
	ck_assert_uint_eq(blk.npending, 0);
	vd_expect_used(&ring, id, 513);
	id = put(VBLK_T_IN, 0, 512, false);
	vd_kick(&ring);
	ck_assert_uint_eq(blk.npending, 0);
	dev->ops->resume(dev);
	ck_assert_uint_eq(blk.npending, 1);
	end_all();
	vd_expect_used(&ring, id, 513);
	stop();
}
END_TEST

START_TEST (a_new_size_is_told) {
	start(0);
	blk.info.size = FAKE_SIZE / 2;
	virtio_blk_resized(dev);
	ck_assert_uint_eq(vd_isr(&vd), 3);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config, 8), FAKE_SIZE / 1024);
	ck_assert_uint_eq(vd_in(&vd, 21, 1), 1);
	ck_assert_uint_eq(run(put(VBLK_T_IN, 1024, 512, false), 1),
		VBLK_S_IOERR);
	stop();
}
END_TEST

START_TEST (queues_answer_each_for_itself) {
	struct vd_ring other;
	const struct vd_buf b[] = { { HDR, 16, false }, { DATA, 512, true },
		{ STATUS, 1, true } };
	uint16_t id;

	fake_init(&blk);
	make(4);
	ck_assert(vd_offered(&vd) & F(MQ));
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 34, 2), 4);
	ck_assert(vd_negotiate(&vd, VD_V1 | F(MQ)));
	vd_ring(&vd, &ring, 0, 8);
	vd_ring(&vd, &other, 3, 16);
	vd_driver_ok(&vd);
	header(HDR, VBLK_T_IN, 0);
	id = vd_add(&other, b, 3);
	vd_kick(&other);
	end_all();
	vd_expect_used(&other, id, 513);
	vd_expect_none(&ring);
	stop();
}
END_TEST

START_TEST (creation_refuses_bad_queue_counts_and_slots) {
	struct err e = ERR_NONE;
	struct device *two;

	start(0);
	ck_assert_int_eq(virtio_blk_new(&vd.r.core, vd.r.pci, PCI_DEVFN(9, 0),
				 &blk, 9, "", &two, &e),
		-EINVAL);
	ck_assert_err(e, EINVAL, "9 queues; 1 to 8 work");
	ck_assert_int_eq(virtio_blk_new(&vd.r.core, vd.r.pci, VD_FN, &blk, 1,
				 "", &two, &e),
		-EEXIST);
	ck_assert_err(e, EEXIST, "slot 2.0 is taken");
	stop();
}
END_TEST

int main(void)
{
	const TTest *each[] = { reads_give_the_images_bytes,
		writes_reach_the_image,
		one_kick_takes_all_and_one_interrupt_answers_all };
	const TTest *once[] = { header_data_and_status_may_be_cut_anywhere,
		config_describes_the_disk,
		clusters_of_the_format_are_the_best_size,
		the_identity_is_the_serial_cut_to_20_bytes,
		flush_goes_to_the_image,
		writes_are_through_unless_the_driver_can_flush,
		discard_and_zeroes_take_their_ranges_one_by_one,
		bad_ranges_end_that_request_only, discard_must_be_negotiated,
		bad_requests_end_with_an_error_of_their_own,
		a_request_without_a_status_byte_breaks_the_device,
		errors_of_the_image_reach_the_driver,
		a_read_only_disk_says_so_and_refuses_writes,
		a_driver_that_overfills_waits_for_the_pool,
		so_many_bytes_are_in_flight_and_no_more,
		reset_waits_for_requests_in_flight,
		machine_reset_with_requests_in_flight_drains,
		quiesce_completes_what_is_in_flight, a_new_size_is_told,
		queues_answer_each_for_itself,
		creation_refuses_bad_queue_counts_and_slots };
	Suite *s = suite_create("virtio-blk");
	TCase *t = tcase_create("virtio-blk");
	SRunner *r;
	int failed;

	for (unsigned i = 0; i < ARRAY_LEN(each); i++)
		tcase_add_loop_test(t, each[i], 0, 4);
	for (unsigned i = 0; i < ARRAY_LEN(once); i++)
		tcase_add_test(t, once[i]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
