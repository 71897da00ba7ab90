/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Colours by role, for terminals of 256, 8 or no colours. A theme belongs to
 * one SCREEN and is used while that is set. Thread: the loop's.
 */
#ifndef UI_THEME_H
#define UI_THEME_H

#include <curses.h>
#include <stdbool.h>
#include <stdint.h>

enum role {
	ROLE_NORMAL,
	ROLE_DIM,
	ROLE_STRONG,
	ROLE_TITLE,  /* bar at the top */
	ROLE_TITLE2, /* less important words in it */
	ROLE_HEAD,   /* column heads */
	ROLE_SORTED, /* the one sorted by */
	ROLE_SELECTED,
	ROLE_TAGGED,
	ROLE_GOOD,
	ROLE_WARN,
	ROLE_BAD,
	ROLE_INFO,
	ROLE_METER,
	ROLE_METER_HOT,
	ROLE_METER_OFF, /* the empty part */
	ROLE_SPARK,
	ROLE_KEY, /* key bar: the key, and what it does */
	ROLE_KEY_LABEL,
	ROLE_PROMPT,
	ROLE_ERROR,
	ROLE_DIALOG,
	ROLE_DIALOG_TITLE,
	ROLES,
};

struct theme {
	attr_t attr[ROLES];
	short pair[ROLES];
	int colors; /* 0, 8, 16, 88, 256, ... */
};

/* For the SCREEN that is set; starts its colours. */
void theme_init(struct theme *t);

/*
 * Attributes and pair for a colour of a guest's screen; each is 0..255 (256
 * colours of xterm) or -1 for the default. Bold may be added where the
 * terminal has too few colours for bright ones.
 */
void theme_guest(const struct theme *t, int fg, int bg, attr_t *attr,
	short *pair);
/* The nearest of xterm's 256 colours to an RGB value. */
int theme_from_rgb(uint8_t r, uint8_t g, uint8_t b);

#endif
