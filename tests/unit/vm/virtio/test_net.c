/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NIC between a driver's rings and a back end that the test plays. */
#include <errno.h>

#include "vm/net/net_impl.h"
#include "vm/virtio/net.h"

#include "tests/unit/vm/virtio/vdriver.h"

#define HDR   12
#define MRG   VIRTIO_BIT(15)
#define CSUM  VIRTIO_BIT(0)
#define GCSUM VIRTIO_BIT(1)
#define GTSO4 VIRTIO_BIT(7)
#define FRAME 300

static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
static struct vd vd;
static struct device *dev;
static struct vd_ring rx, tx;

/* The back end */
static struct fake {
	struct netdev n;
	unsigned sent, resumed;
	size_t len;
	uint8_t last[4096];
	unsigned tun_f;
} fake;

static int fake_send(struct netdev *n, const struct iovec *iov, int niov,
	size_t len)
{
	(void)n;
	fake.sent++;
	fake.len = len;
	netdev_gather(iov, niov, fake.last, sizeof(fake.last));
	return 0;
}

static void fake_resume(struct netdev *n)
{
	(void)n;
	fake.resumed++;
}

static int fake_offload(struct netdev *n, bool hdr, unsigned tun_f)
{
	(void)n;
	ck_assert(hdr);
	fake.tun_f = tun_f;
	return 0;
}

static const struct netdev_ops fake_ops = {
	.send = fake_send,
	.resume = fake_resume,
	.set_offload = fake_offload,
};

static void make(bool vnet)
{
	struct err e = ERR_NONE;

	memset(&fake, 0, sizeof(fake));
	fake.n.ops = &fake_ops;
	fake.n.vnet_hdr = vnet;
	rig_init(&vd.r, VD_RAM, true);
	ck_assert_int_eq(virtio_net_new(&vd.r.core, vd.r.pci, VD_FN, &fake.n,
				 mac, &dev, &e),
		0);
	vd_probe(&vd);
	ck_assert_uint_eq(cfg_in(&vd.r, VD_FN, 2, 2), 0x1041);
}

static void start(bool vnet, uint64_t features)
{
	make(vnet);
	ck_assert(vd_negotiate(&vd, VD_V1 | features));
	vd_ring(&vd, &rx, 0, 64);
	vd_ring(&vd, &tx, 1, 64);
	vd_driver_ok(&vd);
}

static void stop(void)
{
	dev->ops->free(dev);
	ck_assert_ptr_null(fake.n.sink.receive);
	rig_fini(&vd.r);
}

static bool deliver(uint8_t *frame, size_t len)
{
	struct iovec iov[2] = { { frame, 100 }, { frame + 100, len - 100 } };

	return netdev_deliver(&fake.n, iov, 2, len);
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + 1);
}

START_TEST (the_driver_reads_mac_and_link) {
	make(false);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(mmio_in(&vd.r, vd.config + i, 1), mac[i]);
	ck_assert_uint_eq(mmio_in(&vd.r, vd.config + 6, 2), 1);
	stop();
}
END_TEST

START_TEST (a_frame_goes_out_without_its_header) {
	const struct vd_buf b[] = { { VD_DATA, HDR, false },
		{ VD_DATA + 64, FRAME, false } };
	uint16_t id;

	start(false, 0);
	fill(vd_ptr(&vd, VD_DATA + 64, FRAME), FRAME);
	id = vd_add(&tx, b, 2);
	vd_kick(&tx);
	vd_expect_used(&tx, id, 0);
	ck_assert_uint_eq(fake.sent, 1);
	ck_assert_uint_eq(fake.len, FRAME);
	ck_assert_mem_eq(fake.last, vd_ptr(&vd, VD_DATA + 64, FRAME), FRAME);
	stop();
}
END_TEST

START_TEST (a_tap_gets_the_header_too) {
	const struct vd_buf b = { VD_DATA, HDR + FRAME, false };
	uint16_t id;

	start(true, CSUM);
	fill(vd_ptr(&vd, VD_DATA, HDR + FRAME), HDR + FRAME);
	id = vd_add(&tx, &b, 1);
	vd_kick(&tx);
	vd_expect_used(&tx, id, 0);
	ck_assert_uint_eq(fake.len, HDR + FRAME);
	stop();
}
END_TEST

START_TEST (a_frame_comes_in_behind_a_clean_header) {
	const struct vd_buf b = { VD_DATA, 2048, true };
	uint8_t frame[FRAME], hdr[HDR] = { 0 };
	uint16_t id;

	start(false, 0);
	fill(frame, FRAME);
	memset(vd_ptr(&vd, VD_DATA, 2048), 0xee, 2048);
	id = vd_add(&rx, &b, 1);
	vd_kick(&rx);
	ck_assert(deliver(frame, FRAME));
	vd_expect_used(&rx, id, HDR + FRAME);
	hdr[10] = 1; /* num_buffers */
	ck_assert_mem_eq(vd_ptr(&vd, VD_DATA, HDR), hdr, HDR);
	ck_assert_mem_eq(vd_ptr(&vd, VD_DATA + HDR, FRAME), frame, FRAME);
	ck_assert_uint_eq(*(uint8_t *)vd_ptr(&vd, VD_DATA + HDR + FRAME, 1),
		0xee);
	stop();
}
END_TEST

START_TEST (a_large_frame_is_spread_over_buffers) {
	uint8_t frame[FRAME], got[3 * 128];
	struct vd_buf b[3];
	uint16_t id[3];

	start(false, MRG);
	fill(frame, FRAME);
	for (int i = 0; i < 3; i++) {
		b[i] = (struct vd_buf){ VD_DATA + 4096 * i, 128, true };
		id[i] = vd_add(&rx, &b[i], 1);
	}
	vd_kick(&rx);
	ck_assert(deliver(frame, FRAME));
	vd_expect_used(&rx, id[0], 128);
	vd_expect_used(&rx, id[1], 128);
	vd_expect_used(&rx, id[2], HDR + FRAME - 256);
	for (int i = 0; i < 3; i++)
		memcpy(got + 128 * i, vd_ptr(&vd, b[i].gpa, 128), 128);
	ck_assert_uint_eq(get_le16(got + 10), 3);
	ck_assert_mem_eq(got + HDR, frame, FRAME);
	stop();
}
END_TEST

START_TEST (without_enough_buffers_nothing_is_taken) {
	const struct vd_buf b = { VD_DATA, 128, true },
			    c = { VD_DATA + 4096, 2048, true };
	uint8_t frame[FRAME];
	uint16_t id[2];

	start(false, MRG);
	fill(frame, FRAME);
	id[0] = vd_add(&rx, &b, 1);
	vd_kick(&rx);
	ck_assert(!deliver(frame, FRAME));
	vd_expect_none(&rx);
	fake.resumed = 0;
	id[1] = vd_add(&rx, &c, 1);
	vd_kick(&rx);
	ck_assert_uint_ge(fake.resumed, 1);
	ck_assert(deliver(frame, FRAME));
	vd_expect_used(&rx, id[0], 128);
	vd_expect_used(&rx, id[1], HDR + FRAME - 128);
	stop();
}
END_TEST

static void expect_kicks(uint64_t kind)
{
	const struct vd_buf b = { VD_DATA, 128, true },
			    c = { VD_DATA + 4096, 2048, true };
	uint8_t frame[FRAME];
	uint16_t old;

	start(false, MRG | kind);
	fill(frame, FRAME);
	vd_add(&rx, &c, 1);
	vd_kick(&rx);
	ck_assert(deliver(frame, FRAME));
	for (unsigned i = 0; i < 3; i++) { /* none, then one that is small */
		ck_assert(!deliver(frame, FRAME));
		old = vd_at(&rx);
		vd_add(&rx, &b, 1);
		vd_kick_wanted(&rx, old);
		ck_assert(!deliver(frame, FRAME));
		old = vd_at(&rx);
		vd_add(&rx, &c, 1);
		vd_kick_wanted(&rx, old);
		ck_assert(deliver(frame, FRAME));
	}
	stop();
}

START_TEST (a_driver_is_asked_to_kick_when_buffers_were_short) {
	const uint64_t kinds[] = VD_KINDS;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		expect_kicks(kinds[i]);
}
END_TEST

START_TEST (a_frame_larger_than_any_buffer_is_dropped) {
	const struct vd_buf b = { VD_DATA, 128, true },
			    c = { VD_DATA + 4096, 128, true };
	uint8_t frame[FRAME];

	start(false, 0); /* no merging */
	vd_add(&rx, &b, 1);
	vd_add(&rx, &c, 1);
	vd_kick(&rx);
	ck_assert(deliver(frame, FRAME));
	vd_expect_none(&rx);
	stop();
}
END_TEST

START_TEST (frames_without_a_driver_are_dropped) {
	uint8_t frame[FRAME] = { 0 };

	make(false);
	ck_assert(deliver(frame, FRAME));
	stop();
}
END_TEST

START_TEST (a_runt_comes_back_unsent) {
	const struct vd_buf b = { VD_DATA, HDR, false };
	uint16_t id;

	start(false, 0);
	id = vd_add(&tx, &b, 1);
	vd_kick(&tx);
	vd_expect_used(&tx, id, 0);
	ck_assert_uint_eq(fake.sent, 0);
	stop();
}
END_TEST

START_TEST (offloads_are_offered_on_a_tap_only) {
	make(false);
	ck_assert_uint_eq(vd_offered(&vd) & (CSUM | GCSUM | GTSO4), 0);
	stop();
	start(true, GCSUM | GTSO4);
	ck_assert_uint_eq(fake.tun_f, 1 | 2); /* TUN_F_CSUM, TUN_F_TSO4 */
	stop();
}
END_TEST

START_TEST (segmentation_without_checksum_is_refused) {
	make(true);
	ck_assert(!vd_negotiate(&vd, VD_V1 | GTSO4));
	stop();
}
END_TEST

SUITE("virtio/net", the_driver_reads_mac_and_link,
	a_frame_goes_out_without_its_header, a_tap_gets_the_header_too,
	a_frame_comes_in_behind_a_clean_header,
	a_large_frame_is_spread_over_buffers,
	without_enough_buffers_nothing_is_taken,
	a_driver_is_asked_to_kick_when_buffers_were_short,
	a_frame_larger_than_any_buffer_is_dropped,
	frames_without_a_driver_are_dropped, a_runt_comes_back_unsent,
	offloads_are_offered_on_a_tap_only,
	segmentation_without_checksum_is_refused)
