// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * XT set-1 scancodes to Linux key codes. Linux numbered its first 88 keys
 * after the scancodes; only the extended ones (0xe0 before them) need a
 * table. Source: linux/input-event-codes.h and the IBM set-1 table.
 */
#include <linux/input-event-codes.h>

#include "vm/base/sizes.h"

#include "vm/virtio/input.h"

static const uint8_t extended[][2] = {
	{ 0x10, KEY_PREVIOUSSONG },
	{ 0x19, KEY_NEXTSONG },
	{ 0x1c, KEY_KPENTER },
	{ 0x1d, KEY_RIGHTCTRL },
	{ 0x20, KEY_MUTE },
	{ 0x21, KEY_CALC },
	{ 0x22, KEY_PLAYPAUSE },
	{ 0x24, KEY_STOPCD },
	{ 0x2e, KEY_VOLUMEDOWN },
	{ 0x30, KEY_VOLUMEUP },
	{ 0x32, KEY_HOMEPAGE },
	{ 0x35, KEY_KPSLASH },
	{ 0x37, KEY_SYSRQ },
	{ 0x38, KEY_RIGHTALT },
	{ 0x46, KEY_PAUSE },
	{ 0x47, KEY_HOME },
	{ 0x48, KEY_UP },
	{ 0x49, KEY_PAGEUP },
	{ 0x4b, KEY_LEFT },
	{ 0x4d, KEY_RIGHT },
	{ 0x4f, KEY_END },
	{ 0x50, KEY_DOWN },
	{ 0x51, KEY_PAGEDOWN },
	{ 0x52, KEY_INSERT },
	{ 0x53, KEY_DELETE },
	{ 0x5b, KEY_LEFTMETA },
	{ 0x5c, KEY_RIGHTMETA },
	{ 0x5d, KEY_COMPOSE },
	{ 0x5e, KEY_POWER },
	{ 0x5f, KEY_SLEEP },
	{ 0x63, KEY_WAKEUP },
};

uint16_t virtio_input_keycode(uint16_t scancode)
{
	unsigned low = scancode & 0xff;

	if (scancode >> 8 == 0xe0) {
		for (size_t i = 0; i < ARRAY_LEN(extended); i++)
			if (extended[i][0] == low)
				return extended[i][1];
		return 0;
	}
	if (scancode >> 8)
		return scancode == 0xe11d ? KEY_PAUSE : 0;
	if ((low >= KEY_ESC && low <= KEY_KPDOT) ||
		(low >= KEY_102ND && low <= KEY_F12))
		return (uint16_t)low;
	switch (low) {
	case 0x70:
		return KEY_KATAKANAHIRAGANA;
	case 0x73:
		return KEY_RO;
	case 0x79:
		return KEY_HENKAN;
	case 0x7b:
		return KEY_MUHENKAN;
	case 0x7d:
		return KEY_YEN;
	default:
		return 0;
	}
}
