/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SCREENs that do not harm each other; see the header for why. */
#include "ui/tscreen.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>

#define TSCREEN_WAITING 64 /* each some 20 KiB */

static struct {
	unsigned live;
	SCREEN *waiting[TSCREEN_WAITING];
	unsigned nwaiting;
} pool;

/*
 * newterm() takes the size from LINES and COLUMNS. They stand in the
 * environment from the start and only their digits are changed: setenv()
 * would move what other threads look at. Blanks before, as a leading 0 would
 * make the number octal.
 */
static char lines_env[] = "LINES=   24", columns_env[] = "COLUMNS=   80";

void tscreen_environment(void)
{
	putenv(lines_env);
	putenv(columns_env);
	setenv("NCURSES_NO_PADDING", "1", 1);
	setlocale(LC_ALL, "C.UTF-8");
}

/* Names as terminfo has them; no path, nothing strange. */
static bool tscreen_name_ok(const char *term)
{
	size_t n = strspn(term, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._");

	return n > 0 && n < 64 && !term[n] && *term != '.';
}

bool tscreen_known(const char *term, int fd)
{
	TERMINAL *old = cur_term; /* of the SCREEN that is set, if any */
	int why;

	/* newterm() leaks when it fails; this does not */
	if (!tscreen_name_ok(term) || setupterm(term, fd, &why) != OK)
		return false;
	if (cur_term != old)
		del_curterm(set_curterm(old));
	return true;
}

SCREEN *tscreen_open(const char *term, FILE *out, FILE *in, int rows, int cols)
{
	SCREEN *s;

	snprintf(strchr(lines_env, '=') + 1, 6, "%5d", rows);
	snprintf(strchr(columns_env, '=') + 1, 6, "%5d", cols);
	s = newterm(term, out, in);
	if (!s)
		return NULL;
	pool.live++;
	set_term(s);
	return s;
}

/* None is in use: windows of all are gone with the first. */
static void tscreen_free(SCREEN *last)
{
	delscreen(last);
	while (pool.nwaiting)
		delscreen(pool.waiting[--pool.nwaiting]);
}

void tscreen_close(SCREEN *s)
{
	set_term(s);
	endwin();
	if (--pool.live == 0) {
		tscreen_free(s);
		return;
	}
	delwin(stdscr);
	delwin(newscr);
	delwin(curscr);
	/* too many: it is lost; tscreen_crowded() is there to prevent it */
	if (pool.nwaiting < TSCREEN_WAITING)
		pool.waiting[pool.nwaiting++] = s;
	set_term(NULL);
}

bool tscreen_crowded(void)
{
	return pool.nwaiting >= TSCREEN_WAITING / 2;
}
