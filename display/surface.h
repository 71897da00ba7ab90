/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pixels of one screen and who has seen what of them. Pixels stand in a
 * sealed memfd that viewer processes map for reading only; a resize makes a
 * new one, and the old one goes when the last process lets go of it, so
 * nobody has to acknowledge anything. Each reader has dirty tiles of its own,
 * so a slow reader costs the others nothing. Thread: the display thread's.
 */
#ifndef DISPLAY_SURFACE_H
#define DISPLAY_SURFACE_H

#include "vm/base/list.h"

#include "display/display.h"

#define SURFACE_TILE_ROWS ((DISPLAY_MAX_H + DISPLAY_TILE - 1) / DISPLAY_TILE)

/* One word a row of tiles, one bit a tile: 4096 / 64 columns fit just so. */
struct surface_tiles {
	uint64_t row[SURFACE_TILE_ROWS];
};
_Static_assert(DISPLAY_MAX_W / DISPLAY_TILE == 64, "a tile row is one word");

struct surface_reader {
	struct list node;
	struct surface_tiles dirty;
	bool any;
};

int surface_new(struct surface **out, struct err *e);
void surface_free(struct surface *s);

/* 0 x 0 until the first surface_resize(). Borrowed; changes on resize. */
int surface_fd(const struct surface *s);
size_t surface_bytes(const struct surface *s);
uint64_t surface_generation(const struct surface *s);

/* A new reader has everything to see. */
void surface_reader_add(struct surface *s, struct surface_reader *r);
void surface_reader_del(struct surface_reader *r);
/* Take what is dirty for r; false when nothing is (out is then untouched). */
bool surface_fetch(struct surface_reader *r, struct surface_tiles *out);

struct surface_rect {
	unsigned x, y, w, h; /* pixels */
};

/*
 * The tiles as few rectangles clipped to width x height: spans of a row, and
 * equal spans of following rows in one. Clears t. Returns how many were
 * written to out (at most max; what would be more is one bounding box).
 */
size_t surface_rects(struct surface_tiles *t, unsigned width, unsigned height,
	struct surface_rect *out, size_t max);

#endif
