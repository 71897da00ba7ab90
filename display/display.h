/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One guest's screen: the one display header that others include. A device
 * registers a source, which is asked (on the display thread, only while
 * somebody looks) to bring the surface up to date; viewers, screenshots and
 * the console read the surface. Input goes back through the hub to sinks
 * that devices register.
 *
 * Threads: one display thread for all guests runs every source's refresh
 * and talks with the viewer processes; the rest may be called from any
 * thread. A surface belongs to the display thread and has no lock: a source
 * takes its device's lock for a snapshot of its registers, drops it, and
 * paints from the snapshot. No lock is held while a callback runs.
 */
#ifndef DISPLAY_DISPLAY_H
#define DISPLAY_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/err.h"
#include "vm/base/log.h"

#define DISPLAY_TILE  64 /* pixels a side of a dirty tile */
#define DISPLAY_MIN   64
#define DISPLAY_MAX_W 4096
#define DISPLAY_MAX_H 2160

struct display;
struct display_service; /* the display thread */
struct surface;

/* The display thread for a whole server; exe = path of this program. */
int display_service_new(const char *exe, struct log *log,
	struct display_service **out, struct err *e);
void display_service_free(struct display_service *s);

struct display_listen {
	bool off;
	const char *unix_path; /* or NULL */
	const char *addr;      /* numeric, when unix_path is NULL */
	uint16_t port;
	const char *password_file;          /* NULL = none */
	const char *viewonly_password_file; /* NULL = none */
};

/* name is shown as the desktop's name. 0 or -errno; e names a busy port. */
int display_new(struct display_service *s, const char *name, struct log *log,
	struct display **out, struct err *e);
/* Begin listening for viewers; the address is told by display_address(). */
int display_listen(struct display *d, const struct display_listen *l,
	struct err *e);
/* "127.0.0.1:5905", a socket's path, or "" */
const char *display_address(const struct display *d);
/*
 * Throw the viewers out and give the address free; the display itself stays
 * for whoever still looks at it (nobody paints it any more).
 */
void display_close(struct display *d);
/* display_close(), waits for the display thread to let go, frees. */
void display_free(struct display *d);

/* ---- the device's side ---- */

/* CP437 character cell of a text screen. */
struct display_cell {
	uint8_t ch;   /* CP437 */
	uint8_t attr; /* VGA attribute: bg << 4 | fg */
};

#define DISPLAY_TEXT_MAX_COLS 256
#define DISPLAY_TEXT_MAX_ROWS 128

struct display_text {
	unsigned cols, rows;        /* 0 = the screen is not in text mode */
	int cursor_col, cursor_row; /* -1 = hidden */
	uint8_t palette[16][3];     /* colour of each attribute value */
	bool blink; /* attribute bit 7 blinks (else bright background) */
	struct display_cell cell[DISPLAY_TEXT_MAX_COLS * DISPLAY_TEXT_MAX_ROWS];
};

struct display_source {
	/*
	 * Bring s up to date: surface_resize() when the mode changed, paint,
	 * surface_dirty() what changed. full = all is to be painted. text
	 * (never NULL) is filled when in text mode, else its cols is set 0.
	 * Display thread, no lock held.
	 */
	void (*refresh)(void *arg, struct surface *s, bool full,
		struct display_text *text);
	/* A viewer wants this size; a hint that the device may pass on. */
	void (*resize_hint)(void *arg, unsigned width, unsigned height);
	void *arg;
};

/*
 * NULL takes the source away; waits until it is not being called, so hold no
 * lock that the source takes.
 */
void display_set_source(struct display *d, const struct display_source *src);

/* XRGB8888, little endian; stride in bytes. Only inside refresh(). */
uint32_t *surface_pixels(struct surface *s);
unsigned surface_width(const struct surface *s);
unsigned surface_height(const struct surface *s);
unsigned surface_stride(const struct surface *s);
/*
 * New size (clamped to the limits): content becomes black, all dirty. Keeps
 * everything when it is the size already. 0 or -errno (the old size stays).
 */
int surface_resize(struct surface *s, unsigned width, unsigned height);
void surface_dirty(struct surface *s, unsigned x, unsigned y, unsigned w,
	unsigned h);
/*
 * Copy n pixels to (x, y) and mark only the tiles that really changed. What
 * lies outside the surface is left out. Returns whether anything changed.
 */
bool surface_put_row(struct surface *s, unsigned x, unsigned y,
	const uint32_t *px, unsigned n);

/* Input: devices register sinks; the newest enabled one of a kind wins. */
enum input_kind { INPUT_KEY, INPUT_POINTER_ABS, INPUT_POINTER_REL };

enum input_button {
	INPUT_LEFT = 1,
	INPUT_MIDDLE = 2,
	INPUT_RIGHT = 4,
	INPUT_WHEEL_UP = 8,
	INPUT_WHEEL_DOWN = 16,
};

struct input_event {
	enum input_kind kind;
	/* key: XT set-1 make code, 0xe0xx for extended ones */
	uint16_t scancode;
	bool down;
	/* absolute: 0..32767 over the screen; relative: counts */
	int x, y;
	unsigned buttons; /* enum input_button, all that are held now */
};

struct input_sink {
	unsigned kinds; /* 1 << enum input_kind */
	void (*event)(void *arg, const struct input_event *ev); /* any thread */
	void *arg;
};

/* 0 or -ENOSPC (at most 8). A sink starts disabled when active is false. */
int display_add_sink(struct display *d, const struct input_sink *s,
	bool active);
/* The guest's driver took (let go of) the device behind this sink. */
void display_sink_active(struct display *d, void *arg, bool active);
/* Waits until the sink is not being called: hold no lock that it takes. */
void display_del_sink(struct display *d, void *arg);

/* ---- people's side ---- */

void display_input(struct display *d, const struct input_event *ev);

/*
 * Press and release keys by name, "ctrl-alt-delete", "ret", "a", "f1", one
 * combination an argument; names as QEMU's sendkey has them. -EINVAL names
 * the unknown key and the nearest known one. Takes about 10 ms a key in the
 * background.
 */
int display_sendkey(struct display *d, const char *const *keys, int n,
	struct err *e);

/* Refresh and write the screen as PNG. -ENODATA when there is no screen. */
int display_screenshot(struct display *d, const char *path, struct err *e);

/*
 * Refresh and copy the text screen; cols is 0 when it is in graphics or
 * there is none. Returns a generation that changes when the content does.
 */
uint64_t display_text(struct display *d, struct display_text *out);

struct display_stats {
	unsigned viewers;
	uint64_t frames;
	unsigned width, height;
};
void display_stats(struct display *d, struct display_stats *out);

/*
 * Entry point of the viewer process: main() calls it when argv[1] is
 * DISPLAY_VIEWER_ARG. Returns the exit code.
 */
#define DISPLAY_VIEWER_ARG "--viewer"
int display_viewer_main(int argc, char **argv);

/* VGA state to pixels, for vm/dev/vga.c. */
#include "display/vgascan.h"

#endif
