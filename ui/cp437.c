/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Code page 437 as the VGA's ROM font draws it: controls are signs too.
 */
#include "ui/cp437.h"

#include <stdio.h>
#include <string.h>

#include "vm/base/sizes.h"

static const uint16_t low[32] = { ' ', 0x263a, 0x263b, 0x2665, 0x2666, 0x2663,
	0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9, 0x2642, 0x2640, 0x266a, 0x266b,
	0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8,
	0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc };

static const uint16_t high[129] = { 0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2,
	0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee,
	0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2,
	0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7,
	0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba,
	0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591,
	0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563,
	0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c,
	0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566,
	0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558,
	0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c,
	0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5,
	0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229,
	0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0,
	0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0 };

uint32_t cp437_to_unicode(uint8_t c)
{
	if (c < 32)
		return low[c];
	if (c < 127)
		return c;
	return c == 255 ? ' ' : high[c - 127];
}

/* Keys that need no name of their own are their character. */
static const struct {
	char plain, shifted;
	const char *name;
} signs[] = {
	{ '-', '_', "minus" },
	{ '=', '+', "equal" },
	{ '[', '{', "bracket_left" },
	{ ']', '}', "bracket_right" },
	{ '\\', '|', "backslash" },
	{ ';', ':', "semicolon" },
	{ '\'', '"', "apostrophe" },
	{ ',', '<', "comma" },
	{ '.', '>', "dot" },
	{ '/', '?', "slash" },
	{ '`', '~', "grave_accent" },
	{ ' ', 0, "spc" },
	{ '1', '!', "1" },
	{ '2', '@', "2" },
	{ '3', '#', "3" },
	{ '4', '$', "4" },
	{ '5', '%', "5" },
	{ '6', '^', "6" },
	{ '7', '&', "7" },
	{ '8', '*', "8" },
	{ '9', '(', "9" },
	{ '0', ')', "0" },
};

static const char *special_name(int code)
{
	static const char *const names[] = { "up", "down", "left", "right",
		"home", "end", "pgup", "pgdn", "insert", "delete", "shift-tab",
		"f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10",
		"f11", "f12" };

	switch (code) {
	case K_ENTER:
		return "ret";
	case K_TAB:
		return "tab";
	case K_ESC:
		return "esc";
	case K_BACKSPACE:
		return "backspace";
	default:
		if (code > K_BASE && code <= K_F12)
			return names[code - K_BASE - 1];
		return NULL;
	}
}

char *cp437_key_name(const struct key *k, char *buf, size_t len)
{
	const char *name = special_name(k->code);
	bool shift = k->shift, ctrl = k->ctrl;
	char letter[2] = { 0 };
	int c = k->code;

	if (!name && c > 0 && c < 27) {
		ctrl = true;
		c += 'a' - 1;
	}
	if (!name && c >= 'A' && c <= 'Z') {
		shift = true;
		c += 'a' - 'A';
	}
	if (!name && c >= 'a' && c <= 'z') {
		letter[0] = (char)c;
		name = letter;
	}
	for (size_t i = 0; !name && i < ARRAY_LEN(signs); i++) {
		if (c != signs[i].plain && (!c || c != signs[i].shifted))
			continue;
		shift |= c == signs[i].shifted;
		name = signs[i].name;
	}
	if (!name)
		return NULL;
	snprintf(buf, len, "%s%s%s%s", ctrl ? "ctrl-" : "",
		k->alt ? "alt-" : "", shift ? "shift-" : "", name);
	return buf;
}
