/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keysyms and scancodes: see keys.h. */
#include "display/viewer/keys.h"

#include "display/keymap.h"

static unsigned keys_bit(uint16_t code)
{
	return (code & 0x7f) | (code & 0x8000 ? 128 : 0);
}

static bool keys_held(const struct keys *k, uint16_t code)
{
	unsigned bit = keys_bit(code);

	return k->down[bit / 64] >> (bit % 64) & 1;
}

static void keys_send(struct keys *k, uint16_t code, bool down)
{
	unsigned bit = keys_bit(code);
	uint64_t mask = UINT64_C(1) << (bit % 64);

	if (down)
		k->down[bit / 64] |= mask;
	else
		k->down[bit / 64] &= ~mask;
	if (code == KEY_CAPS && down)
		*k->caps = !*k->caps;
	k->send(k->arg, code, down);
}

/* A shortcut is meant as it is: no playing with shift. */
static bool keys_shortcut(const struct keys *k)
{
	static const uint16_t mods[] = { 0x1d, 0xe01d, 0x38, 0xe038, 0xe05b,
		0xe05c };

	for (unsigned i = 0; i < sizeof(mods) / sizeof(mods[0]); i++)
		if (keys_held(k, mods[i]))
			return true;
	return false;
}

/* Press code with shift up, and put the shifts back. */
static void keys_unshifted(struct keys *k, uint16_t code)
{
	bool left = keys_held(k, KEY_SHIFT_L);
	bool right = keys_held(k, KEY_SHIFT_R);

	if (left)
		keys_send(k, KEY_SHIFT_L, false);
	if (right)
		keys_send(k, KEY_SHIFT_R, false);
	keys_send(k, code, true);
	if (left)
		keys_send(k, KEY_SHIFT_L, true);
	if (right)
		keys_send(k, KEY_SHIFT_R, true);
}

static void keys_press(struct keys *k, uint16_t code, enum keymap_level level,
	bool letter)
{
	bool shift = keys_held(k, KEY_SHIFT_L) || keys_held(k, KEY_SHIFT_R);
	bool need = (level == KEYMAP_SHIFTED) != (letter && *k->caps);

	if (level == KEYMAP_ANY || need == shift || keys_shortcut(k)) {
		keys_send(k, code, true);
	} else if (need) {
		keys_send(k, KEY_SHIFT_L, true);
		keys_send(k, code, true);
		keys_send(k, KEY_SHIFT_L, false);
	} else {
		keys_unshifted(k, code);
	}
}

void keys_event(struct keys *k, bool down, uint32_t keysym, uint32_t code)
{
	enum keymap_level level = KEYMAP_ANY;
	bool letter = false;
	uint16_t scancode;

	if (code > 0 && code <= 0xff)
		scancode =
			(uint16_t)(code & 0x80 ? 0xe000 | (code & 0x7f) : code);
	else
		scancode = keymap_keysym(keysym, &level, &letter);
	if (!keymap_valid(scancode))
		return;
	if (!down) {
		if (keys_held(k, scancode))
			keys_send(k, scancode, false);
	} else {
		keys_press(k, scancode, level, letter);
	}
}

void keys_release(struct keys *k)
{
	for (unsigned bit = 0; bit < 256; bit++)
		if (k->down[bit / 64] >> (bit % 64) & 1)
			keys_send(k,
				(uint16_t)(bit < 128 ? bit
						     : 0xe000 | (bit - 128)),
				false);
}
