/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's serial terminal: libvterm, its scrollback and its picture on a
 * canvas. All input is hostile. Thread: the loop's.
 */
#ifndef UI_TERM_H
#define UI_TERM_H

#include <stdbool.h>
#include <stddef.h>

#include "ui/draw.h"
#include "ui/keys.h"

#define TERM_SCROLLBACK 2000 /* lines */

struct term;

/*
 * out gets what the terminal answers and what keys become; it may be called
 * from term_write() and term_key(). NULL when memory is short. Sizes below
 * 2x2 are taken as 2.
 */
struct term *term_new(int rows, int cols,
	void (*out)(void *arg, const char *data, size_t len), void *arg);
void term_free(struct term *t);

/*
 * Whatever a guest wrote. There is no resize: libvterm 0.1.4 crashes in it;
 * make a new terminal and replay.
 */
void term_write(struct term *t, const char *data, size_t len);
/* While muted, questions of the guest (where is the cursor?) go unanswered. */
void term_mute(struct term *t, bool on);
/* A special key (K_UP ...) as the guest wants it encoded. */
void term_key(struct term *t, const struct key *k);
/* Lines above the screen. */
int term_history(const struct term *t);
/* Paint, scrolled back by `back` lines; sets the canvas' cursor. */
void term_draw(struct term *t, struct canvas *cv, int y, int back);

#endif
