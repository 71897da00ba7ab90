/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key tables: see keymap.h. Keysyms: X11's keysymdef.h, Latin-1 and 0xffxx. */
#include "display/keymap.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "vm/base/sizes.h"

struct keymap_key {
	const char *name;
	uint16_t code;
};

/* The first name of a code is the one that is shown. */
static const struct keymap_key keymap_names[] = {
	{ "esc", 0x01 },
	{ "1", 0x02 },
	{ "2", 0x03 },
	{ "3", 0x04 },
	{ "4", 0x05 },
	{ "5", 0x06 },
	{ "6", 0x07 },
	{ "7", 0x08 },
	{ "8", 0x09 },
	{ "9", 0x0a },
	{ "0", 0x0b },
	{ "minus", 0x0c },
	{ "equal", 0x0d },
	{ "backspace", 0x0e },
	{ "tab", 0x0f },
	{ "q", 0x10 },
	{ "w", 0x11 },
	{ "e", 0x12 },
	{ "r", 0x13 },
	{ "t", 0x14 },
	{ "y", 0x15 },
	{ "u", 0x16 },
	{ "i", 0x17 },
	{ "o", 0x18 },
	{ "p", 0x19 },
	{ "bracket_left", 0x1a },
	{ "bracket_right", 0x1b },
	{ "ret", 0x1c },
	{ "ctrl", 0x1d },
	{ "a", 0x1e },
	{ "s", 0x1f },
	{ "d", 0x20 },
	{ "f", 0x21 },
	{ "g", 0x22 },
	{ "h", 0x23 },
	{ "j", 0x24 },
	{ "k", 0x25 },
	{ "l", 0x26 },
	{ "semicolon", 0x27 },
	{ "apostrophe", 0x28 },
	{ "grave_accent", 0x29 },
	{ "shift", 0x2a },
	{ "backslash", 0x2b },
	{ "z", 0x2c },
	{ "x", 0x2d },
	{ "c", 0x2e },
	{ "v", 0x2f },
	{ "b", 0x30 },
	{ "n", 0x31 },
	{ "m", 0x32 },
	{ "comma", 0x33 },
	{ "dot", 0x34 },
	{ "slash", 0x35 },
	{ "shift_r", 0x36 },
	{ "kp_multiply", 0x37 },
	{ "asterisk", 0x37 },
	{ "alt", 0x38 },
	{ "spc", 0x39 },
	{ "caps_lock", 0x3a },
	{ "f1", 0x3b },
	{ "f2", 0x3c },
	{ "f3", 0x3d },
	{ "f4", 0x3e },
	{ "f5", 0x3f },
	{ "f6", 0x40 },
	{ "f7", 0x41 },
	{ "f8", 0x42 },
	{ "f9", 0x43 },
	{ "f10", 0x44 },
	{ "num_lock", 0x45 },
	{ "scroll_lock", 0x46 },
	{ "kp_7", 0x47 },
	{ "kp_8", 0x48 },
	{ "kp_9", 0x49 },
	{ "kp_subtract", 0x4a },
	{ "kp_4", 0x4b },
	{ "kp_5", 0x4c },
	{ "kp_6", 0x4d },
	{ "kp_add", 0x4e },
	{ "kp_1", 0x4f },
	{ "kp_2", 0x50 },
	{ "kp_3", 0x51 },
	{ "kp_0", 0x52 },
	{ "kp_decimal", 0x53 },
	{ "sysrq", 0x54 },
	{ "less", 0x56 },
	{ "f11", 0x57 },
	{ "f12", 0x58 },
	{ "kp_enter", 0xe01c },
	{ "ctrl_r", 0xe01d },
	{ "kp_divide", 0xe035 },
	{ "print", 0xe037 },
	{ "alt_r", 0xe038 },
	{ "pause", 0xe046 },
	{ "home", 0xe047 },
	{ "up", 0xe048 },
	{ "pgup", 0xe049 },
	{ "left", 0xe04b },
	{ "right", 0xe04d },
	{ "end", 0xe04f },
	{ "down", 0xe050 },
	{ "pgdn", 0xe051 },
	{ "insert", 0xe052 },
	{ "delete", 0xe053 },
	{ "meta_l", 0xe05b },
	{ "meta_r", 0xe05c },
	{ "menu", 0xe05d },
	{ "compose", 0xe05d },
	/* what people type as well */
	{ "escape", 0x01 },
	{ "enter", 0x1c },
	{ "return", 0x1c },
	{ "control", 0x1d },
	{ "space", 0x39 },
	{ "del", 0xe053 },
	{ "ins", 0xe052 },
	{ "bksp", 0x0e },
	{ "pageup", 0xe049 },
	{ "pagedown", 0xe051 },
	{ "super", 0xe05b },
	{ "win", 0xe05b },
	{ "ctrl_l", 0x1d },
	{ "alt_l", 0x38 },
	{ "shift_l", 0x2a },
	{ "altgr", 0xe038 },
	{ "<", 0x56 },
	{ "period", 0x34 },
	{ "equals", 0x0d },
	{ "grave", 0x29 },
};

uint16_t keymap_name(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(keymap_names); i++)
		if (strlen(keymap_names[i].name) == len &&
			!strncasecmp(keymap_names[i].name, name, len))
			return keymap_names[i].code;
	return 0;
}

static unsigned keymap_min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein distance of a (len bytes, at most 31) and b, case folded. */
static unsigned keymap_distance(const char *a, size_t len, const char *b)
{
	unsigned row[32], blen = (unsigned)strlen(b);

	if (len > 31)
		len = 31;
	for (unsigned i = 0; i <= len; i++)
		row[i] = i;
	for (unsigned j = 1; j <= blen; j++) {
		unsigned diagonal = row[0];

		row[0] = j;
		for (unsigned i = 1; i <= len; i++) {
			unsigned above = row[i];
			bool same = tolower((unsigned char)a[i - 1]) ==
				    tolower((unsigned char)b[j - 1]);

			row[i] = keymap_min3(row[i] + 1, row[i - 1] + 1,
				diagonal + !same);
			diagonal = above;
		}
	}
	return row[len];
}

const char *keymap_nearest(const char *name, size_t len)
{
	const char *best = keymap_names[0].name;
	unsigned least = ~0u;

	for (size_t i = 0; i < ARRAY_LEN(keymap_names); i++) {
		const char *known = keymap_names[i].name;
		size_t n = strlen(known);
		/* of equals, one as long and with the same first letter */
		unsigned d = 64 * keymap_distance(name, len, known) +
			     (unsigned)(n > len ? n - len : len - n);

		if (len && *known != tolower((unsigned char)*name))
			d += 2;
		if (d < least) {
			least = d;
			best = known;
		}
	}
	return best;
}

int keymap_combo(const char *combo, uint16_t codes[KEYMAP_COMBO_MAX],
	struct err *e)
{
	const char *at = combo;
	int n = 0;

	for (;;) {
		size_t len = strcspn(at, "-");
		uint16_t code = keymap_name(at, len);

		if (!code)
			return err_set(e, EINVAL,
				"unknown key '%.*s' in '%.60s': nearest is "
				"'%s'",
				(int)(len > 30 ? 30 : len), at, combo,
				keymap_nearest(at, len));
		if (n == KEYMAP_COMBO_MAX)
			return err_set(e, EINVAL,
				"more than %d keys at once in '%.60s'",
				KEYMAP_COMBO_MAX, combo);
		codes[n++] = code;
		if (!at[len])
			return n;
		at += len + 1;
	}
}

/* Scancode by ASCII from 0x20; the high bit says that shift is needed. */
#define S 0x80
static const uint8_t keymap_ascii[] = {
	0x39,
	S | 0x02,
	S | 0x28,
	S | 0x04,
	S | 0x05,
	S | 0x06,
	S | 0x08,
	0x28,
	S | 0x0a,
	S | 0x0b,
	S | 0x09,
	S | 0x0d,
	0x33,
	0x0c,
	0x34,
	0x35,
	0x0b,
	0x02,
	0x03,
	0x04,
	0x05,
	0x06,
	0x07,
	0x08,
	0x09,
	0x0a,
	S | 0x27,
	0x27,
	S | 0x33,
	0x0d,
	S | 0x34,
	S | 0x35,
	S | 0x03,
	/* A to Z */
	S | 0x1e,
	S | 0x30,
	S | 0x2e,
	S | 0x20,
	S | 0x12,
	S | 0x21,
	S | 0x22,
	S | 0x23,
	S | 0x17,
	S | 0x24,
	S | 0x25,
	S | 0x26,
	S | 0x32,
	S | 0x31,
	S | 0x18,
	S | 0x19,
	S | 0x10,
	S | 0x13,
	S | 0x1f,
	S | 0x14,
	S | 0x16,
	S | 0x2f,
	S | 0x11,
	S | 0x2d,
	S | 0x15,
	S | 0x2c,
	0x1a,
	0x2b,
	0x1b,
	S | 0x07,
	S | 0x0c,
	0x29,
	/* a to z */
	0x1e,
	0x30,
	0x2e,
	0x20,
	0x12,
	0x21,
	0x22,
	0x23,
	0x17,
	0x24,
	0x25,
	0x26,
	0x32,
	0x31,
	0x18,
	0x19,
	0x10,
	0x13,
	0x1f,
	0x14,
	0x16,
	0x2f,
	0x11,
	0x2d,
	0x15,
	0x2c,
	S | 0x1a,
	S | 0x2b,
	S | 0x1b,
	S | 0x29,
};
#undef S
_Static_assert(sizeof(keymap_ascii) == 0x7f - 0x20, "space to tilde");

struct keymap_sym {
	uint16_t keysym;
	uint16_t code;
};

static const struct keymap_sym keymap_syms[] = {
	{ 0xff08, 0x0e }, { 0xff09, 0x0f }, { 0xfe20, 0x0f }, /* ISO_Left_Tab */
	{ 0xff0a, 0x1c }, { 0xff0d, 0x1c }, { 0xff13, 0xe046 },
	{ 0xff14, 0x46 }, { 0xff15, 0x54 }, { 0xff1b, 0x01 },
	{ 0xff50, 0xe047 }, { 0xff51, 0xe04b }, { 0xff52, 0xe048 },
	{ 0xff53, 0xe04d }, { 0xff54, 0xe050 }, { 0xff55, 0xe049 },
	{ 0xff56, 0xe051 }, { 0xff57, 0xe04f }, { 0xff61, 0xe037 },
	{ 0xff63, 0xe052 }, { 0xff67, 0xe05d }, { 0xff6b, 0xe046 },
	{ 0xff7e, 0xe038 }, { 0xff7f, 0x45 },
	/* keypad without and with num lock */
	{ 0xff8d, 0xe01c }, { 0xff95, 0x47 }, { 0xff96, 0x4b },
	{ 0xff97, 0x48 }, { 0xff98, 0x4d }, { 0xff99, 0x50 }, { 0xff9a, 0x49 },
	{ 0xff9b, 0x51 }, { 0xff9c, 0x4f }, { 0xff9d, 0x4c }, { 0xff9e, 0x52 },
	{ 0xff9f, 0x53 }, { 0xffaa, 0x37 }, { 0xffab, 0x4e }, { 0xffac, 0x53 },
	{ 0xffad, 0x4a }, { 0xffae, 0x53 }, { 0xffaf, 0xe035 },
	{ 0xffb0, 0x52 }, { 0xffb1, 0x4f }, { 0xffb2, 0x50 }, { 0xffb3, 0x51 },
	{ 0xffb4, 0x4b }, { 0xffb5, 0x4c }, { 0xffb6, 0x4d }, { 0xffb7, 0x47 },
	{ 0xffb8, 0x48 }, { 0xffb9, 0x49 }, { 0xffbe, 0x3b }, { 0xffbf, 0x3c },
	{ 0xffc0, 0x3d }, { 0xffc1, 0x3e }, { 0xffc2, 0x3f }, { 0xffc3, 0x40 },
	{ 0xffc4, 0x41 }, { 0xffc5, 0x42 }, { 0xffc6, 0x43 }, { 0xffc7, 0x44 },
	{ 0xffc8, 0x57 }, { 0xffc9, 0x58 }, { 0xffe1, 0x2a }, { 0xffe2, 0x36 },
	{ 0xffe3, 0x1d }, { 0xffe4, 0xe01d }, { 0xffe5, 0x3a },
	{ 0xffe7, 0xe05b }, { 0xffe8, 0xe05c }, { 0xffe9, 0x38 },
	{ 0xffea, 0xe038 }, { 0xffeb, 0xe05b }, { 0xffec, 0xe05c },
	{ 0xffff, 0xe053 }, { 0xfe03, 0xe038 }, /* ISO_Level3_Shift */
};

uint16_t keymap_keysym(uint32_t keysym, enum keymap_level *level, bool *letter)
{
	*level = KEYMAP_ANY;
	*letter = false;
	if (keysym >= 0x20 && keysym < 0x7f) {
		uint8_t v = keymap_ascii[keysym - 0x20];

		if (keysym != ' ')
			*level = v & 0x80 ? KEYMAP_SHIFTED : KEYMAP_PLAIN;
		*letter = isalpha((int)keysym);
		return v & 0x7f;
	}
	for (size_t i = 0; i < ARRAY_LEN(keymap_syms); i++)
		if (keymap_syms[i].keysym == keysym)
			return keymap_syms[i].code;
	return 0;
}
