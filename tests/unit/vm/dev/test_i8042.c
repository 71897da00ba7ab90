// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include "vm/dev/i8042.h"

#include "tests/unit/suite.h"
#include "tests/unit/vm/dev/devrig.h"

#define KBD 1
#define AUX 12

static struct devrig rig;
static struct device *dev;

static void up(void)
{
	struct err e = ERR_NONE;

	devrig_init(&rig, MiB);
	ck_assert_int_eq(i8042_new(&rig.core, NULL, &dev, &e), 0);
}

static void down(void)
{
	dev->ops->free(dev);
	devrig_fini(&rig);
}

static void cmd(uint8_t val)
{
	out8(&rig, 0x64, val);
}

static void data(uint8_t val)
{
	out8(&rig, 0x60, val);
}

static uint8_t status(void)
{
	return in8(&rig, 0x64);
}

/* Next byte; it must be there, from the mouse or not. */
static uint8_t next(bool aux)
{
	uint8_t st = status();

	ck_assert_uint_eq(st & 0x21, aux ? 0x21 : 0x01);
	return in8(&rig, 0x60);
}

/* These bytes and no more. */
static void expect(bool aux, const uint8_t *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(next(aux), want[i]);
	ck_assert_uint_eq(status() & 1, 0);
}

#define EXPECT(aux, ...)                                                       \
	do {                                                                   \
		const uint8_t want_[] = { __VA_ARGS__ };                       \
		expect(aux, want_, sizeof(want_));                             \
	} while (0)

static void mouse(uint8_t val)
{
	cmd(0xd4);
	data(val);
}

static void key(uint16_t code, bool pressed)
{
	struct input_event ev = { .kind = INPUT_KEY,
		.scancode = code,
		.down = pressed };

	i8042_input(dev, &ev);
}

static void move(int x, int y, unsigned buttons)
{
	struct input_event ev = { .kind = INPUT_POINTER_REL,
		.x = x,
		.y = y,
		.buttons = buttons };

	i8042_input(dev, &ev);
}

/* Command byte: translation and both interrupts on. */
static void translate(void)
{
	cmd(0x60);
	data(0x47);
}

static void mouse_rates(uint8_t a, uint8_t b, uint8_t c)
{
	const uint8_t rates[] = { a, b, c };

	for (int i = 0; i < 3; i++) {
		mouse(0xf3);
		mouse(rates[i]);
	}
	for (int i = 0; i < 6; i++)
		ck_assert_uint_eq(next(true), 0xfa);
}

START_TEST (self_tests_pass) {
	up();
	ck_assert_uint_eq(status() & 0x05, 0);
	cmd(0xaa);
	EXPECT(false, 0x55);
	ck_assert_uint_eq(status() & 0x04, 0x04);
	cmd(0xab);
	EXPECT(false, 0x00);
	cmd(0xa9);
	EXPECT(false, 0x00);
	cmd(0xa4);
	EXPECT(false, 0xf1);
	cmd(0xc0);
	EXPECT(false, 0x80);
	down();
}
END_TEST

START_TEST (command_byte_and_ram_are_read_back) {
	up();
	cmd(0x20);
	EXPECT(false, 0x03);
	cmd(0x60);
	data(0x65);
	cmd(0x20);
	EXPECT(false, 0x65);
	cmd(0xa7);
	cmd(0xad);
	cmd(0x20);
	EXPECT(false, 0x75);
	cmd(0xa8);
	cmd(0xae);
	cmd(0x20);
	EXPECT(false, 0x45);
	cmd(0x7f);
	data(0x99);
	cmd(0x3f);
	EXPECT(false, 0x99);
	down();
}
END_TEST

START_TEST (keys_come_translated_with_irq_1) {
	up();
	translate();
	key(0x1e, true);
	ck_assert(irq(&rig, KBD));
	ck_assert(!irq(&rig, AUX));
	EXPECT(false, 0x1e);
	ck_assert(!irq(&rig, KBD));
	key(0x1e, false);
	EXPECT(false, 0x9e);
	key(0xe048, true);
	key(0xe048, false);
	EXPECT(false, 0xe0, 0x48, 0xe0, 0xc8);
	key(0x41, true); /* F7: 0x83 in set 2 */
	EXPECT(false, 0x41);
	down();
}
END_TEST

START_TEST (every_key_survives_translation) {
	up();
	translate();
	for (uint16_t code = 1; code < 0x80; code++) {
		key(code, true);
		key(code, false);
		EXPECT(false, (uint8_t)code, (uint8_t)(code | 0x80));
	}
	down();
}
END_TEST

START_TEST (keys_come_raw_in_set_2_and_1) {
	up();
	key(0x1e, true);
	key(0x1e, false);
	EXPECT(false, 0x1c, 0xf0, 0x1c);
	data(0xf0);
	data(0x01);
	EXPECT(false, 0xfa, 0xfa);
	key(0xe01d, true);
	key(0xe01d, false);
	EXPECT(false, 0xe0, 0x1d, 0xe0, 0x9d);
	data(0xf0);
	data(0x00);
	EXPECT(false, 0xfa, 0xfa, 0x01);
	data(0xf0);
	data(0x03);
	EXPECT(false, 0xfa, 0xfe);
	down();
}
END_TEST

START_TEST (pause_and_print_have_their_sequences) {
	up();
	translate();
	key(0xe046, true);
	key(0xe046, false);
	EXPECT(false, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
	key(0xe11d, true);
	EXPECT(false, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
	key(0xe037, true);
	key(0xe037, false);
	EXPECT(false, 0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
	key(0x1d, true);
	key(0xe046, true); /* with Ctrl: Break */
	key(0xe046, false);
	key(0xe037, true);
	key(0xe037, false);
	key(0x1d, false);
	EXPECT(false, 0x1d, 0xe0, 0x46, 0xe0, 0xc6, 0xe0, 0x37, 0xe0, 0xb7,
		0x9d);
	key(0x38, true);
	key(0xe037, true);
	key(0x38, false);
	key(0xe037, false);
	EXPECT(false, 0x38, 0x54, 0xb8, 0xd4);
	key(0xe037, true);
	key(0x2a, true);
	key(0xe037, false);
	EXPECT(false, 0xe0, 0x2a, 0xe0, 0x37, 0x2a, 0xe0, 0xb7, 0xe0, 0xaa);
	down();
}
END_TEST

START_TEST (keyboard_answers_its_commands) {
	up();
	data(0xff);
	EXPECT(false, 0xfa, 0xaa);
	data(0xf2);
	EXPECT(false, 0xfa, 0xab, 0x83);
	data(0xee);
	EXPECT(false, 0xee);
	data(0xfe);
	EXPECT(false, 0xee);
	data(0xed);
	data(0x06);
	EXPECT(false, 0xfa, 0xfa);
	ck_assert_uint_eq(i8042_leds(dev), 6);
	data(0xf3);
	data(0x20);
	EXPECT(false, 0xfa, 0xfa);
	data(0xed);
	data(0xf4); /* a command instead of the parameter */
	EXPECT(false, 0xfa, 0xfa);
	ck_assert_uint_eq(i8042_leds(dev), 6);
	data(0x01);
	EXPECT(false, 0xfe);
	down();
}
END_TEST

START_TEST (id_is_translated_too) {
	up();
	translate();
	data(0xf2);
	EXPECT(false, 0xfa, 0xab, 0x41);
	down();
}
END_TEST

START_TEST (disabled_scanning_hears_no_key) {
	up();
	data(0xf5);
	EXPECT(false, 0xfa);
	key(0x1e, true);
	ck_assert_uint_eq(status() & 1, 0);
	data(0xf4);
	EXPECT(false, 0xfa);
	key(0x1e, false); /* its press was not told */
	ck_assert_uint_eq(status() & 1, 0);
	key(0x1e, true);
	EXPECT(false, 0x1c);
	down();
}
END_TEST

START_TEST (disabled_interface_keeps_keys) {
	up();
	cmd(0xad);
	key(0x1e, true);
	ck_assert_uint_eq(status() & 1, 0);
	cmd(0xae);
	EXPECT(false, 0x1c);
	cmd(0xad);
	data(0xee); /* talking to it turns it on */
	EXPECT(false, 0xee);
	down();
}
END_TEST

START_TEST (replies_come_before_keys) {
	up();
	cmd(0xad);
	key(0x1e, true);
	key(0x1f, true);
	data(0xf2);
	ck_assert_uint_eq(next(false), 0xfa);
	down();
}
END_TEST

START_TEST (flood_of_keys_leaves_none_stuck) {
	unsigned pressed[128] = { 0 }, released[128] = { 0 };

	up();
	translate();
	for (unsigned i = 0; i < 500; i++) {
		key((uint16_t)(1 + i % 80), true);
		if (i >= 8)
			key((uint16_t)(1 + (i - 8) % 80), false);
	}
	while (status() & 1) {
		uint8_t b = in8(&rig, 0x60);

		if (b & 0x80)
			released[b & 0x7f]++;
		else
			pressed[b]++;
	}
	for (unsigned i = 0; i < 128; i++)
		ck_assert_uint_eq(pressed[i] > 0, released[i] > 0);
	ck_assert_uint_gt(pressed[1], 0);
	down();
}
END_TEST

START_TEST (mouse_becomes_a_wheel_mouse) {
	up();
	mouse(0xff);
	EXPECT(true, 0xfa, 0xaa, 0x00);
	mouse(0xf2);
	EXPECT(true, 0xfa, 0x00);
	mouse_rates(200, 100, 80);
	mouse(0xf2);
	EXPECT(true, 0xfa, 0x03);
	mouse_rates(200, 200, 80);
	mouse(0xf2);
	EXPECT(true, 0xfa, 0x04);
	mouse(0xff);
	EXPECT(true, 0xfa, 0xaa, 0x00);
	mouse(0xf2);
	EXPECT(true, 0xfa, 0x00);
	down();
}
END_TEST

START_TEST (mouse_reports_when_enabled) {
	up();
	move(5, 5, 0);
	ck_assert_uint_eq(status() & 1, 0);
	mouse(0xf4);
	EXPECT(true, 0xfa);
	move(5, 3, INPUT_LEFT);
	ck_assert(irq(&rig, AUX));
	ck_assert(!irq(&rig, KBD));
	EXPECT(true, 0x29, 5, 0xfd);
	move(-1, -2, INPUT_RIGHT | INPUT_MIDDLE);
	EXPECT(true, 0x1e, 0xff, 2);
	move(0, 0, INPUT_RIGHT | INPUT_MIDDLE);
	ck_assert_uint_eq(status() & 1, 0);
	move(0, 0, 0);
	EXPECT(true, 0x08, 0, 0);
	mouse(0xf5);
	EXPECT(true, 0xfa);
	move(5, 3, 0);
	ck_assert_uint_eq(status() & 1, 0);
	down();
}
END_TEST

START_TEST (wheel_turns) {
	up();
	mouse_rates(200, 100, 80);
	mouse(0xf4);
	EXPECT(true, 0xfa);
	move(0, 0, INPUT_WHEEL_UP);
	EXPECT(true, 0x08, 0, 0, 0xff);
	move(0, 0, 0);
	ck_assert_uint_eq(status() & 1, 0);
	move(0, 0, INPUT_WHEEL_DOWN);
	move(0, 0, 0);
	EXPECT(true, 0x08, 0, 0, 0x01);
	down();
}
END_TEST

START_TEST (movement_that_waits_is_summed_up) {
	int sum = 0;

	up();
	mouse(0xf4);
	EXPECT(true, 0xfa);
	for (int i = 0; i < 100; i++)
		move(20, 0, 0);
	while (status() & 1) {
		ck_assert_uint_eq(next(true), 0x08);
		sum += next(true);
		next(true);
	}
	ck_assert_int_eq(sum, 2000);
	move(1000000, -1000000, 0);
	while (status() & 1)
		next(true);
	down();
}
END_TEST

START_TEST (mouse_tells_status_and_is_polled) {
	up();
	mouse(0xe8);
	mouse(0x03);
	mouse(0xe7);
	EXPECT(true, 0xfa, 0xfa, 0xfa);
	mouse(0xf0); /* remote mode */
	EXPECT(true, 0xfa);
	move(7, 0, INPUT_LEFT);
	ck_assert_uint_eq(status() & 1, 0);
	mouse(0xe9);
	EXPECT(true, 0xfa, 0x54, 3, 100);
	mouse(0xeb);
	EXPECT(true, 0xfa, 0x09, 7, 0);
	mouse(0xea);
	mouse(0xe6);
	mouse(0xf6);
	mouse(0xe9);
	EXPECT(true, 0xfa, 0xfa, 0xfa, 0xfa, 0x04, 2, 100);
	mouse(0x55);
	EXPECT(true, 0xfe);
	down();
}
END_TEST

START_TEST (mouse_wraps) {
	up();
	mouse(0xee);
	mouse(0xf4);
	mouse(0x12);
	EXPECT(true, 0xfa, 0xf4, 0x12);
	mouse(0xec);
	EXPECT(true, 0xfa);
	mouse(0xfe);
	EXPECT(true, 0xfa);
	down();
}
END_TEST

START_TEST (controller_writes_into_either_buffer) {
	up();
	cmd(0xd2);
	data(0x12);
	ck_assert(irq(&rig, KBD));
	EXPECT(false, 0x12);
	cmd(0xd3);
	data(0xa5);
	ck_assert(irq(&rig, AUX));
	EXPECT(true, 0xa5);
	down();
}
END_TEST

START_TEST (interrupts_follow_their_enables) {
	up();
	cmd(0x60);
	data(0x00);
	key(0x1e, true);
	ck_assert(!irq(&rig, KBD));
	cmd(0x60);
	data(0x01);
	ck_assert(irq(&rig, KBD));
	ck_assert_uint_eq(next(false), 0x1c);
	ck_assert(!irq(&rig, KBD));
	down();
}
END_TEST

START_TEST (resets_the_machine_three_ways) {
	up();
	cmd(0xfe);
	ck_assert_uint_eq(rig.requests[CORE_RESET], 1);
	cmd(0xff);
	ck_assert_uint_eq(rig.requests[CORE_RESET], 1);
	cmd(0xd1);
	data(0x02);
	ck_assert_uint_eq(rig.requests[CORE_RESET], 2);
	cmd(0xf0);
	ck_assert_uint_eq(rig.requests[CORE_RESET], 3);
	down();
}
END_TEST

START_TEST (output_port_keeps_a20) {
	up();
	cmd(0xd0);
	EXPECT(false, 0x03);
	cmd(0xd1);
	data(0x01);
	cmd(0xd0);
	EXPECT(false, 0x01);
	down();
}
END_TEST

START_TEST (reset_forgets_all) {
	up();
	translate();
	mouse(0xf4);
	key(0x1e, true);
	ck_assert(irq(&rig, AUX));
	dev->ops->reset(dev);
	ck_assert(!irq(&rig, KBD));
	ck_assert(!irq(&rig, AUX));
	ck_assert_uint_eq(status() & 1, 0);
	move(1, 1, 1);
	ck_assert_uint_eq(status() & 1, 0);
	cmd(0x20);
	EXPECT(false, 0x03);
	down();
}
END_TEST

SUITE("i8042", self_tests_pass, command_byte_and_ram_are_read_back,
	keys_come_translated_with_irq_1, every_key_survives_translation,
	keys_come_raw_in_set_2_and_1, pause_and_print_have_their_sequences,
	keyboard_answers_its_commands, id_is_translated_too,
	disabled_scanning_hears_no_key, disabled_interface_keeps_keys,
	replies_come_before_keys, flood_of_keys_leaves_none_stuck,
	mouse_becomes_a_wheel_mouse, mouse_reports_when_enabled, wheel_turns,
	movement_that_waits_is_summed_up, mouse_tells_status_and_is_polled,
	mouse_wraps, controller_writes_into_either_buffer,
	interrupts_follow_their_enables, resets_the_machine_three_ways,
	output_port_keeps_a20, reset_forgets_all)
