/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tablet and keyboard: what the driver may ask, and the events it gets. */
#include <errno.h>
#include <linux/input-event-codes.h>

#include "vm/virtio/input.h"

#include "tests/unit/vm/virtio/vdriver.h"

static struct vd vd;
static struct device *dev;
static struct vd_ring ring;

/* Stand-ins for the display's hub. */
static struct input_sink sink;
static bool active;

int display_add_sink(struct display *d, const struct input_sink *s, bool on)
{
	(void)d;
	sink = *s;
	active = on;
	return 0;
}

void display_sink_active(struct display *d, void *arg, bool on)
{
	(void)d;
	ck_assert_ptr_eq(arg, sink.arg);
	active = on;
}

void display_del_sink(struct display *d, void *arg)
{
	(void)d;
	(void)arg;
	memset(&sink, 0, sizeof(sink));
}

static void make(enum virtio_input_kind kind)
{
	struct err e = ERR_NONE;

	rig_init(&vd.r, VD_RAM, true);
	ck_assert_int_eq(virtio_input_new(&vd.r.core, vd.r.pci, VD_FN, kind,
				 (struct display *)&sink, &dev, &e),
		0);
	vd_probe(&vd);
	ck_assert_uint_eq(cfg_in(&vd.r, VD_FN, 2, 2), 0x1052);
	ck_assert(!active);
}

static void start(enum virtio_input_kind kind)
{
	make(kind);
	ck_assert(vd_negotiate(&vd, VD_V1));
	vd_ring(&vd, &ring, 0, 64);
	vd_driver_ok(&vd);
	ck_assert(active);
}

static void stop(void)
{
	dev->ops->free(dev);
	ck_assert_ptr_null(sink.event);
	rig_fini(&vd.r);
}

/* Ask the configuration; returns the size, data in buf. */
static unsigned ask(uint8_t select, uint8_t subsel, uint8_t *buf)
{
	unsigned size;

	mmio_out(&vd.r, vd.config, select, 1);
	mmio_out(&vd.r, vd.config + 1, subsel, 1);
	size = (unsigned)mmio_in(&vd.r, vd.config + 2, 1);
	for (unsigned i = 0; i < size; i++)
		buf[i] = (uint8_t)mmio_in(&vd.r, vd.config + 8 + i, 1);
	return size;
}

static bool has(const uint8_t *map, unsigned size, unsigned bit)
{
	return bit / 8 < size && (map[bit / 8] & 1U << bit % 8);
}

static void buffers(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct vd_buf b = { VD_DATA + 8 * i, 8, true };

		vd_add(&ring, &b, 1);
	}
	vd_kick(&ring);
}

/* Event i has arrived with these values. */
static void expect(unsigned i, unsigned type, unsigned code, int value)
{
	const uint8_t *p = vd_ptr(&vd, VD_DATA + 8 * i, 8);

	vd_expect_used(&ring, i, 8);
	ck_assert_uint_eq(get_le16(p), type);
	ck_assert_uint_eq(get_le16(p + 2), code);
	ck_assert_int_eq((int)get_le32(p + 4), value);
}

START_TEST (the_tablet_says_what_it_is) {
	uint8_t b[128];
	unsigned n;

	make(VIRTIO_INPUT_TABLET);
	n = ask(0x01, 0, b);
	ck_assert_uint_eq(n, strlen("guestdeck tablet"));
	ck_assert_mem_eq(b, "guestdeck tablet", n);
	ck_assert_uint_eq(ask(0x03, 0, b), 8);
	n = ask(0x11, EV_KEY, b);
	ck_assert(has(b, n, BTN_LEFT) && has(b, n, BTN_RIGHT));
	ck_assert(!has(b, n, KEY_A));
	n = ask(0x11, EV_ABS, b);
	ck_assert(has(b, n, ABS_X) && has(b, n, ABS_Y));
	ck_assert_uint_eq(ask(0x12, ABS_X, b), 20);
	ck_assert_uint_eq(get_le32(b + 4), 32767);
	ck_assert_uint_eq(ask(0x12, ABS_Z, b), 0);
	ck_assert_uint_eq(ask(0x77, 0, b), 0);
	stop();
}
END_TEST

START_TEST (the_keyboard_has_the_keys_of_a_pc) {
	uint8_t b[128];
	unsigned n;

	make(VIRTIO_INPUT_KEYBOARD);
	n = ask(0x11, EV_KEY, b);
	ck_assert(has(b, n, KEY_ESC) && has(b, n, KEY_A) &&
		  has(b, n, KEY_F12) && has(b, n, KEY_UP) &&
		  has(b, n, KEY_RIGHTALT) && has(b, n, KEY_LEFTMETA));
	ck_assert(!has(b, n, BTN_LEFT));
	ck_assert_uint_eq(ask(0x11, EV_ABS, b), 0);
	stop();
}
END_TEST

START_TEST (scancodes_become_linux_keys) {
	ck_assert_uint_eq(virtio_input_keycode(0x1e), KEY_A);
	ck_assert_uint_eq(virtio_input_keycode(0x58), KEY_F12);
	ck_assert_uint_eq(virtio_input_keycode(0xe048), KEY_UP);
	ck_assert_uint_eq(virtio_input_keycode(0xe11d), KEY_PAUSE);
	ck_assert_uint_eq(virtio_input_keycode(0), 0);
	ck_assert_uint_eq(virtio_input_keycode(0xe000), 0);
	ck_assert_uint_eq(virtio_input_keycode(0xffff), 0);
}
END_TEST

START_TEST (a_key_press_is_an_event_and_a_report) {
	struct input_event ev = { .kind = INPUT_KEY,
		.scancode = 0x1e,
		.down = true };

	start(VIRTIO_INPUT_KEYBOARD);
	buffers(4);
	sink.event(sink.arg, &ev);
	ev.down = false;
	sink.event(sink.arg, &ev);
	vd_run(&vd);
	expect(0, EV_KEY, KEY_A, 1);
	expect(1, EV_SYN, SYN_REPORT, 0);
	expect(2, EV_KEY, KEY_A, 0);
	expect(3, EV_SYN, SYN_REPORT, 0);
	stop();
}
END_TEST

START_TEST (the_pointer_moves_clicks_and_scrolls) {
	struct input_event ev = { .kind = INPUT_POINTER_ABS,
		.x = 100,
		.y = 200,
		.buttons = INPUT_LEFT | INPUT_WHEEL_DOWN };

	start(VIRTIO_INPUT_TABLET);
	buffers(10);
	sink.event(sink.arg, &ev);
	ev.buttons = 0;
	sink.event(sink.arg, &ev);
	vd_run(&vd);
	expect(0, EV_ABS, ABS_X, 100);
	expect(1, EV_ABS, ABS_Y, 200);
	expect(2, EV_KEY, BTN_LEFT, 1);
	expect(3, EV_REL, REL_WHEEL, -1);
	expect(4, EV_SYN, SYN_REPORT, 0);
	expect(5, EV_ABS, ABS_X, 100);
	expect(6, EV_ABS, ABS_Y, 200);
	expect(7, EV_KEY, BTN_LEFT, 0);
	expect(8, EV_SYN, SYN_REPORT, 0);
	stop();
}
END_TEST

START_TEST (events_wait_for_buffers_and_never_overrun) {
	struct input_event ev = { .kind = INPUT_KEY, .scancode = 0x1e };

	start(VIRTIO_INPUT_KEYBOARD);
	for (int i = 0; i < 1000; i++) {
		ev.down = !(i & 1);
		sink.event(sink.arg, &ev);
	}
	vd_run(&vd);
	buffers(2);
	expect(0, EV_KEY, KEY_A, 1);
	expect(1, EV_SYN, SYN_REPORT, 0);
	stop();
}
END_TEST

static void expect_kicks(uint64_t kind)
{
	struct input_event ev = { .kind = INPUT_KEY, .scancode = 0x1e };
	struct vd_buf b = { VD_DATA, 8, true }, led = { VD_DATA, 8, false };
	struct vd_ring status;
	uint16_t id, old;

	make(VIRTIO_INPUT_KEYBOARD);
	ck_assert(vd_negotiate(&vd, VD_V1 | kind));
	vd_ring(&vd, &ring, 0, 64);
	vd_ring(&vd, &status, 1, 64);
	vd_driver_ok(&vd);
	for (unsigned i = 0; i < 4; i++) {
		old = vd_at(&status);
		id = vd_add(&status, &led, 1);
		vd_kick_wanted(&status, old);
		vd_expect_used(&status, id, 0);
	}
	for (unsigned i = 0; i < 4; i++) { /* eight events wait */
		ev.down = !(i & 1);
		sink.event(sink.arg, &ev);
	}
	vd_run(&vd);
	for (unsigned i = 0; i < 8; i++) {
		old = vd_at(&ring);
		id = vd_add(&ring, &b, 1);
		vd_kick_wanted(&ring, old);
		vd_expect_used(&ring, id, 8);
	}
	stop();
}

START_TEST (a_driver_is_asked_to_kick_for_what_waits) {
	const uint64_t kinds[] = VD_KINDS;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		expect_kicks(kinds[i]);
}
END_TEST

START_TEST (a_reset_lets_go_of_the_pointer) {
	start(VIRTIO_INPUT_TABLET);
	vd_reset(&vd);
	ck_assert(!active);
	stop();
}
END_TEST

SUITE("virtio/input", the_tablet_says_what_it_is,
	the_keyboard_has_the_keys_of_a_pc, scancodes_become_linux_keys,
	a_key_press_is_an_event_and_a_report,
	the_pointer_moves_clicks_and_scrolls,
	events_wait_for_buffers_and_never_overrun,
	a_driver_is_asked_to_kick_for_what_waits,
	a_reset_lets_go_of_the_pointer)
