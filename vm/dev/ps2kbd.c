// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * PS/2 keyboard, scan code sets 1 and 2. Keys wait in a queue in whole
 * sequences: a key that finds no room is dropped, both its ends, and room is
 * held back for releases, so that no key sticks in the guest. There is no
 * typematic repeat here: repeats come as events from who holds the key.
 */
#include <string.h>

#include "vm/base/sizes.h"

#include "vm/dev/ps2.h"

#define SEQUENCE_MAX 8  /* bytes of the longest key sequence */
#define RELEASE_ROOM 64 /* bytes kept free for releases */

#define KEY_CTRL   0x1d
#define KEY_LSHIFT 0x2a
#define KEY_RSHIFT 0x36
#define KEY_PRINT  0x37 /* extended */
#define KEY_ALT    0x38
#define KEY_BREAK  0x46 /* extended */
#define KEY_SYSRQ  0x54
#define EXT        0x80 /* in down[]: extended */

enum {
	CMD_LEDS = 0xed,
	CMD_ECHO = 0xee,
	CMD_SCANSET = 0xf0,
	CMD_ID = 0xf2,
	CMD_RATE = 0xf3,
	CMD_ENABLE = 0xf4,
	CMD_DISABLE = 0xf5,
	CMD_DEFAULTS = 0xf6,
	CMD_ALL_FIRST = 0xf7, /* key types, mean something in set 3 only */
	CMD_ALL_LAST = 0xfa,
	CMD_RESEND = 0xfe,
	CMD_RESET = 0xff,
};

/* Set-1 make code to set 2: what an 8042's translation turns back. */
static const uint8_t set2_of[128] = {
	/* 00 */ 0x00,
	0x76,
	0x16,
	0x1e,
	0x26,
	0x25,
	0x2e,
	0x36,
	/* 08 */ 0x3d,
	0x3e,
	0x46,
	0x45,
	0x4e,
	0x55,
	0x66,
	0x0d,
	/* 10 */ 0x15,
	0x1d,
	0x24,
	0x2d,
	0x2c,
	0x35,
	0x3c,
	0x43,
	/* 18 */ 0x44,
	0x4d,
	0x54,
	0x5b,
	0x5a,
	0x14,
	0x1c,
	0x1b,
	/* 20 */ 0x23,
	0x2b,
	0x34,
	0x33,
	0x3b,
	0x42,
	0x4b,
	0x4c,
	/* 28 */ 0x52,
	0x0e,
	0x12,
	0x5d,
	0x1a,
	0x22,
	0x21,
	0x2a,
	/* 30 */ 0x32,
	0x31,
	0x3a,
	0x41,
	0x49,
	0x4a,
	0x59,
	0x7c,
	/* 38 */ 0x11,
	0x29,
	0x58,
	0x05,
	0x06,
	0x04,
	0x0c,
	0x03,
	/* 40 */ 0x0b,
	0x83,
	0x0a,
	0x01,
	0x09,
	0x77,
	0x7e,
	0x6c,
	/* 48 */ 0x75,
	0x7d,
	0x7b,
	0x6b,
	0x73,
	0x74,
	0x79,
	0x69,
	/* 50 */ 0x72,
	0x7a,
	0x70,
	0x71,
	0x84,
	0x60,
	0x61,
	0x78,
	/* 58 */ 0x07,
	0x0f,
	0x17,
	0x1f,
	0x27,
	0x2f,
	0x37,
	0x3f,
	/* 60 */ 0x47,
	0x4f,
	0x56,
	0x5e,
	0x08,
	0x10,
	0x18,
	0x20,
	/* 68 */ 0x28,
	0x30,
	0x38,
	0x40,
	0x48,
	0x50,
	0x57,
	0x6f,
	/* 70 */ 0x13,
	0x19,
	0x39,
	0x51,
	0x53,
	0x5c,
	0x5f,
	0x62,
	/* 78 */ 0x63,
	0x64,
	0x65,
	0x67,
	0x68,
	0x6a,
	0x6d,
	0x6e,
};

uint8_t ps2_translate(uint8_t byte)
{
	for (unsigned i = 0; i < ARRAY_LEN(set2_of); i++)
		if (set2_of[i] == byte)
			return (uint8_t)i;
	if (byte == 0x02) /* the other code that gives F7 */
		return 0x41;
	return byte == 0x7f ? KEY_SYSRQ : byte;
}

static void set_defaults(struct ps2kbd *k)
{
	k->set = 2;
	k->scanning = true;
	k->print = PS2_PRINT_BARE;
	ps2_fifo_clear(&k->keys);
	memset(k->down, 0, sizeof(k->down));
}

void ps2kbd_reset(struct ps2kbd *k)
{
	ps2_fifo_clear(&k->reply);
	k->command = 0;
	k->last = 0;
	k->leds = 0;
	set_defaults(k);
}

static void ack(struct ps2kbd *k)
{
	ps2_fifo_put(&k->reply, PS2_ACK);
}

static void scanset_param(struct ps2kbd *k, uint8_t val)
{
	if (val > 2) { /* set 3 is not there */
		ps2_fifo_put(&k->reply, PS2_RESEND);
		return;
	}
	ack(k);
	if (!val)
		ps2_fifo_put(&k->reply, k->set);
	else
		k->set = val;
}

static void parameter(struct ps2kbd *k, uint8_t command, uint8_t val)
{
	switch (command) {
	case CMD_LEDS:
		k->leds = val & 7;
		ack(k);
		break;
	case CMD_SCANSET:
		scanset_param(k, val);
		break;
	default: /* typematic rate: repeats are not made here */
		ack(k);
	}
}

static void command(struct ps2kbd *k, uint8_t cmd)
{
	switch (cmd) {
	case CMD_ECHO:
		ps2_fifo_put(&k->reply, CMD_ECHO);
		return;
	case CMD_RESEND:
		ps2_fifo_put(&k->reply, k->last);
		return;
	case CMD_LEDS:
	case CMD_SCANSET:
	case CMD_RATE:
		k->command = cmd;
		break;
	case CMD_ENABLE:
		k->scanning = true;
		break;
	case CMD_DISABLE:
		set_defaults(k);
		k->scanning = false;
		break;
	case CMD_DEFAULTS:
		set_defaults(k);
		break;
	case CMD_ID:
		ack(k);
		ps2_fifo_put(&k->reply, 0xab);
		ps2_fifo_put(&k->reply, 0x83);
		return;
	case CMD_RESET:
		ps2kbd_reset(k);
		ack(k);
		ps2_fifo_put(&k->reply, PS2_BAT_OK);
		return;
	case CMD_ALL_FIRST ... CMD_ALL_LAST:
		break;
	default:
		ps2_fifo_put(&k->reply, PS2_RESEND);
		return;
	}
	ack(k);
}

void ps2kbd_write(struct ps2kbd *k, uint8_t byte)
{
	uint8_t pending = k->command;

	k->command = 0;
	/* What cannot be a parameter is a new command. */
	if (pending && byte < CMD_LEDS)
		parameter(k, pending, byte);
	else
		command(k, byte);
}

bool ps2kbd_ready(const struct ps2kbd *k)
{
	return k->reply.len || k->keys.len;
}

uint8_t ps2kbd_read(struct ps2kbd *k)
{
	k->last = ps2_fifo_get(k->reply.len ? &k->reply : &k->keys);
	return k->last;
}

static bool is_down(const struct ps2kbd *k, unsigned key)
{
	return k->down[key / 8] >> key % 8 & 1;
}

static void put_key(struct ps2kbd *k, bool ext, uint8_t code, bool down)
{
	if (ext)
		ps2_fifo_put(&k->keys, 0xe0);
	if (k->set == 1) {
		ps2_fifo_put(&k->keys, code | (down ? 0 : 0x80));
		return;
	}
	if (!down)
		ps2_fifo_put(&k->keys, 0xf0);
	ps2_fifo_put(&k->keys, set2_of[code]);
}

/* Pause has no release: both come at once. */
static void put_pause(struct ps2kbd *k)
{
	static const uint8_t set1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
	static const uint8_t set2[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14,
		0xf0, 0x77 };
	const uint8_t *seq = k->set == 1 ? set1 : set2;
	size_t n = k->set == 1 ? sizeof(set1) : sizeof(set2);

	for (size_t i = 0; i < n; i++)
		ps2_fifo_put(&k->keys, seq[i]);
}

static bool ctrl_down(const struct ps2kbd *k)
{
	return is_down(k, KEY_CTRL) || is_down(k, KEY_CTRL | EXT);
}

/*
 * Print: SysRq with Alt, bare with Ctrl or Shift, else with a fake shift. Its
 * release has the form of its press, whatever was held in between.
 */
static void put_print(struct ps2kbd *k, bool down)
{
	if (down && (is_down(k, KEY_ALT) || is_down(k, KEY_ALT | EXT)))
		k->print = PS2_PRINT_SYSRQ;
	else if (down && (ctrl_down(k) || is_down(k, KEY_LSHIFT) ||
				 is_down(k, KEY_RSHIFT)))
		k->print = PS2_PRINT_BARE;
	else if (down)
		k->print = PS2_PRINT_SHIFTED;
	if (k->print == PS2_PRINT_SYSRQ) {
		put_key(k, false, KEY_SYSRQ, down);
		return;
	}
	if (down && k->print == PS2_PRINT_SHIFTED)
		put_key(k, true, KEY_LSHIFT, true);
	put_key(k, true, KEY_PRINT, down);
	if (!down && k->print == PS2_PRINT_SHIFTED)
		put_key(k, true, KEY_LSHIFT, false);
}

static bool fits(const struct ps2kbd *k, bool down)
{
	return ps2_fifo_room(&k->keys) >=
	       (down ? SEQUENCE_MAX + RELEASE_ROOM : SEQUENCE_MAX);
}

/* Remember the key; false when the guest shall not hear of this event. */
static bool admit(struct ps2kbd *k, unsigned key, bool down)
{
	uint8_t bit = (uint8_t)(1 << key % 8);

	if (!fits(k, down) || (!down && !is_down(k, key)))
		return false;
	if (down)
		k->down[key / 8] |= bit;
	else
		k->down[key / 8] &= (uint8_t)~bit;
	return true;
}

void ps2kbd_key(struct ps2kbd *k, uint16_t scancode, bool down)
{
	uint8_t code = scancode & 0x7f;
	unsigned prefix = scancode >> 8;
	bool ext = prefix == 0xe0 || prefix == 0xe1;

	if (!k->scanning || !code || (prefix && !ext))
		return;
	if (prefix == 0xe1)
		code = KEY_BREAK;
	if (ext && code == KEY_BREAK && down && !ctrl_down(k)) {
		if (fits(k, true))
			put_pause(k);
		return;
	}
	if (!admit(k, code | (ext ? EXT : 0), down))
		return;
	if (ext && code == KEY_PRINT)
		put_print(k, down);
	else
		put_key(k, ext, code, down);
}
