/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key names, keysyms, and the hub that hands input to devices. */
#include <errno.h>

#include "display/input.h"
#include "display/keymap.h"

#include "tests/unit/suite.h"

static struct input_event seen[16];
static int nseen;
static void *seen_by;

static void note(void *arg, const struct input_event *ev)
{
	seen_by = arg;
	if (nseen < 16)
		seen[nseen] = *ev;
	nseen++;
}

static int one, two;

static void add(struct input_hub *h, unsigned kinds, void *arg, bool active)
{
	const struct input_sink s = { kinds, note, arg };

	ck_assert_int_eq(input_hub_add(h, &s, active), 0);
}

static void key(struct input_hub *h, uint16_t code)
{
	const struct input_event ev = {
		.kind = INPUT_KEY,
		.scancode = code,
		.down = true,
	};

	input_hub_event(h, &ev);
}

static void move(struct input_hub *h, int x, int y, unsigned buttons)
{
	const struct input_event ev = {
		.kind = INPUT_POINTER_ABS,
		.x = x,
		.y = y,
		.buttons = buttons,
	};

	input_hub_event(h, &ev);
}

START_TEST (the_newest_enabled_sink_wins) {
	struct input_hub h;

	nseen = 0;
	input_hub_init(&h);
	key(&h, 0x1e); /* nobody: nothing happens */
	ck_assert_int_eq(nseen, 0);
	add(&h, 1 << INPUT_KEY, &one, true);
	add(&h, 1 << INPUT_KEY, &two, false);
	key(&h, 0x1e);
	ck_assert_ptr_eq(seen_by, &one);
	input_hub_active(&h, &two, true);
	key(&h, 0x1e);
	ck_assert_ptr_eq(seen_by, &two);
	input_hub_del(&h, &two);
	key(&h, 0x1e);
	ck_assert_ptr_eq(seen_by, &one);
	ck_assert_int_eq(nseen, 3);
	input_hub_fini(&h);
}
END_TEST

START_TEST (a_ninth_sink_has_no_room) {
	const struct input_sink s = { 1 << INPUT_KEY, note, &one };
	struct input_hub h;

	input_hub_init(&h);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(input_hub_add(&h, &s, true), 0);
	ck_assert_int_eq(input_hub_add(&h, &s, true), -ENOSPC);
	input_hub_del(&h, &one);
	ck_assert_int_eq(input_hub_add(&h, &s, true), 0);
	input_hub_fini(&h);
}
END_TEST

START_TEST (absolute_becomes_relative_for_a_mouse) {
	struct input_hub h;

	nseen = 0;
	input_hub_init(&h);
	input_hub_size(&h, 641, 481);
	add(&h, 1 << INPUT_POINTER_REL, &one, true);
	move(&h, 0, 0, 0); /* where the guest's pointer is nobody knows */
	move(&h, 32767, 32767, INPUT_LEFT);
	ck_assert_int_eq(nseen, 2);
	ck_assert_int_eq(seen[0].kind, INPUT_POINTER_REL);
	ck_assert_int_eq(seen[0].x, 0);
	ck_assert_int_eq(seen[1].x, 640);
	ck_assert_int_eq(seen[1].y, 480);
	ck_assert_uint_eq(seen[1].buttons, INPUT_LEFT);
	add(&h, 1 << INPUT_POINTER_ABS, &two, true);
	move(&h, 5, 6, 0);
	ck_assert_int_eq(seen[2].kind, INPUT_POINTER_ABS);
	ck_assert_int_eq(seen[2].x, 5);
	input_hub_fini(&h);
}
END_TEST

START_TEST (senseless_input_is_clamped_or_dropped) {
	struct input_hub h;

	nseen = 0;
	input_hub_init(&h);
	add(&h, 1 << INPUT_KEY | 1 << INPUT_POINTER_ABS, &one, true);
	key(&h, 0);
	key(&h, 0x80);
	key(&h, 0xe000);
	key(&h, 0xe1e1);
	ck_assert_int_eq(nseen, 0);
	move(&h, -5, 99999, ~0u);
	ck_assert_int_eq(nseen, 1);
	ck_assert_int_eq(seen[0].x, 0);
	ck_assert_int_eq(seen[0].y, 32767);
	ck_assert_uint_eq(seen[0].buttons, 0x1f);
	input_hub_fini(&h);
}
END_TEST

START_TEST (combinations_are_read_by_name) {
	uint16_t c[KEYMAP_COMBO_MAX];
	struct err e = ERR_NONE;

	ck_assert_int_eq(keymap_combo("ctrl-alt-delete", c, &e), 3);
	ck_assert_uint_eq(c[0], 0x1d);
	ck_assert_uint_eq(c[1], 0x38);
	ck_assert_uint_eq(c[2], 0xe053);
	ck_assert_int_eq(keymap_combo("RET", c, &e), 1);
	ck_assert_uint_eq(c[0], 0x1c);
	ck_assert_int_eq(keymap_combo("minus", c, &e), 1);
	ck_assert_uint_eq(c[0], 0x0c);
	ck_assert_int_eq(keymap_combo("f12", c, &e), 1);
	ck_assert_uint_eq(c[0], 0x58);
}
END_TEST

START_TEST (an_unknown_key_is_named_with_the_nearest) {
	uint16_t c[KEYMAP_COMBO_MAX];
	struct err e = ERR_NONE;

	ck_assert_int_eq(keymap_combo("ctrl-atl-delete", c, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "unknown key 'atl'");
	ck_assert_err(e, EINVAL, "nearest is 'alt'");
	ck_assert_int_eq(keymap_combo("ctrl-", c, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "unknown key ''");
	ck_assert_int_eq(keymap_combo("", c, &e), -EINVAL);
	ck_assert_int_eq(keymap_combo("scrol_lok", c, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "'scroll_lock'");
	/* longer than any name, and no end of them */
	ck_assert_int_eq(keymap_combo("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
				 c, &e),
		-EINVAL);
	ck_assert_int_eq(keymap_combo("a-b-c-d-e-f-g-h-i", c, &e), -EINVAL);
	ck_assert_err(e, EINVAL, "more than 8 keys");
}
END_TEST

START_TEST (keysyms_are_keys_of_a_us_keyboard) {
	enum keymap_level level;
	bool letter;

	ck_assert_uint_eq(keymap_keysym('a', &level, &letter), 0x1e);
	ck_assert(level == KEYMAP_PLAIN && letter);
	ck_assert_uint_eq(keymap_keysym('Z', &level, &letter), 0x2c);
	ck_assert(level == KEYMAP_SHIFTED && letter);
	ck_assert_uint_eq(keymap_keysym('!', &level, &letter), 0x02);
	ck_assert(level == KEYMAP_SHIFTED && !letter);
	ck_assert_uint_eq(keymap_keysym('~', &level, &letter), 0x29);
	ck_assert_uint_eq(keymap_keysym(' ', &level, &letter), 0x39);
	ck_assert(level == KEYMAP_ANY);
	ck_assert_uint_eq(keymap_keysym(0xff0d, &level, &letter), 0x1c);
	ck_assert_uint_eq(keymap_keysym(0xffff, &level, &letter), 0xe053);
	ck_assert_uint_eq(keymap_keysym(0xff51, &level, &letter), 0xe04b);
	ck_assert_uint_eq(keymap_keysym(0x7f, &level, &letter), 0);
	ck_assert_uint_eq(keymap_keysym(0xffffffff, &level, &letter), 0);
}
END_TEST

/* Each printable character and the key that makes it, against each other. */
START_TEST (digits_rows_agree_with_names) {
	enum keymap_level level;
	bool letter;
	char name[2] = "";

	for (const char *p = "1234567890qwertyuiopasdfghjklzxcvbnm"; *p; p++) {
		name[0] = *p;
		ck_assert_uint_eq(keymap_name(name, 1),
			keymap_keysym((uint32_t)*p, &level, &letter));
	}
}
END_TEST

SUITE("input", the_newest_enabled_sink_wins, a_ninth_sink_has_no_room,
	absolute_becomes_relative_for_a_mouse,
	senseless_input_is_clamped_or_dropped, combinations_are_read_by_name,
	an_unknown_key_is_named_with_the_nearest,
	keysyms_are_keys_of_a_us_keyboard, digits_rows_agree_with_names)
