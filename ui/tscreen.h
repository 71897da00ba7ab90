/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Several curses SCREENs in one process, coming and going. ncurses 6.4 as
 * Debian builds it keeps the windows of all SCREENs in one list:
 * resize_term() resizes them all and delscreen() frees them all, also those
 * of other people's terminals. So a SCREEN is never resized here, and is
 * only freed when none is in use; until then its windows are freed by hand
 * and the small rest waits. Process-wide, as curses is. Thread: the loop's.
 */
#ifndef UI_TSCREEN_H
#define UI_TSCREEN_H

#include <curses.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * Once, before any SCREEN and while there is one thread: what curses reads
 * from the environment becomes ours, the locale becomes C.UTF-8.
 */
void tscreen_environment(void);

/* Is there a terminal type of this name? fd is no terminal. */
bool tscreen_known(const char *term, int fd);

/* A SCREEN of that size, set as the present one; NULL when it fails. */
SCREEN *tscreen_open(const char *term, FILE *out, FILE *in, int rows, int cols);
/*
 * End a SCREEN (writes what leaves its terminal as it was). None is set
 * after it.
 */
void tscreen_close(SCREEN *s);
/* So many wait to be freed that closing and opening all is worth it. */
bool tscreen_crowded(void);

#endif
