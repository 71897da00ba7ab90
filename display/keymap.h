/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys: names as QEMU's sendkey has them, X11 keysyms of a US keyboard, and
 * XT set-1 scancodes (0xe0xx = extended). Pure tables. Thread: any.
 */
#ifndef DISPLAY_KEYMAP_H
#define DISPLAY_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/err.h"

#define KEYMAP_COMBO_MAX 8

enum keymap_level {
	KEYMAP_ANY,     /* the key means this with and without shift */
	KEYMAP_PLAIN,   /* only without shift */
	KEYMAP_SHIFTED, /* only with shift */
};

/* Scancode of a key's name (any case), or 0. */
uint16_t keymap_name(const char *name, size_t len);

/* The known name that is nearest to name. Never NULL. */
const char *keymap_nearest(const char *name, size_t len);

/*
 * Scancodes of a combination "ctrl-alt-delete" in the order given. Returns
 * how many (1..KEYMAP_COMBO_MAX), or -EINVAL with e naming the key that is
 * unknown and the nearest one that is known.
 */
int keymap_combo(const char *combo, uint16_t codes[KEYMAP_COMBO_MAX],
	struct err *e);

/*
 * The US key that makes keysym, or 0; *level says what shift must be. A
 * letter is also under the influence of caps lock: *letter.
 */
uint16_t keymap_keysym(uint32_t keysym, enum keymap_level *level, bool *letter);

/* May a guest be sent this scancode? (1..0x7f, 0xe001..0xe07f) */
static inline bool keymap_valid(uint16_t code)
{
	return (code >= 1 && code <= 0x7f) ||
	       (code >= 0xe001 && code <= 0xe07f);
}

#define KEY_SHIFT_L 0x2a
#define KEY_SHIFT_R 0x36
#define KEY_CAPS    0x3a

#endif
