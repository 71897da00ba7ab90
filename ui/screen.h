/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a screen is to the view that shows it. Screens lie on a stack; the
 * top one gets keys and is drawn. They never draw from a key handler: they
 * return bits, and the view draws once. Thread: the loop's, with the view's
 * SCREEN set.
 */
#ifndef UI_SCREEN_H
#define UI_SCREEN_H

#include "vm/vm.h"

#include "ui/draw.h"
#include "ui/keys.h"

struct view;
struct screen;

enum screen_bits {
	SCREEN_HANDLED = 1,
	SCREEN_REDRAW = 2,
	SCREEN_CLOSE = 4, /* go back to the screen below */
	SCREEN_DETACH = 8,
};

/* One key of a screen; help and key bar are made from these. */
struct bind {
	int code;
	const char *label; /* in the key bar; NULL = only in the help */
	const char *help;
	const char *verb; /* of the verb table, for the screen's guests */
	unsigned (*fn)(struct screen *s);
};

struct names {
	char (*name)[CONF_NAME_MAX + 1];
	int n;
};

struct screen_ops {
	const char *title;        /* in the help */
	const struct bind *binds; /* ended by code 0; may be NULL */
	size_t size;              /* of the struct that begins with screen */
	bool full; /* has all rows to itself and gets every key raw */
	/* arg: what view_push() got. 0 or -errno with e filled. */
	int (*init)(struct screen *s, const char *arg, struct err *e);
	void (*free)(struct screen *s); /* may be NULL */
	/* The area has a new size (also called once after init). */
	void (*resize)(struct screen *s);
	/* A key that no bind has. enum screen_bits. */
	unsigned (*key)(struct screen *s, const struct key *k);
	/* New figures, or a guest changed. */
	void (*update)(struct screen *s);
	void (*draw)(struct screen *s, struct canvas *cv);
	/* The guests that a verb's key means; caller frees name. */
	void (*targets)(struct screen *s, struct names *out);
	/* The filter line changed (screens that begin one). */
	void (*filter)(struct screen *s, const char *text);
};

struct screen {
	const struct screen_ops *ops;
	struct view *view;
	struct screen *below;
	int y, h, w; /* area: rows [y, y+h), columns [0, w) */
};

extern const struct screen_ops scr_guests; /* arg: unused */
extern const struct screen_ops scr_guest;  /* arg: name */
extern const struct screen_ops scr_serial; /* arg: name */
extern const struct screen_ops scr_text;   /* arg: name */
extern const struct screen_ops scr_pager;  /* arg: title '\n' text */
extern const struct screen_ops scr_help;   /* arg: unused */

#endif
