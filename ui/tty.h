/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The terminal of a client process: raw mode and back, size, and the signals
 * that matter to it. One a process. Thread: main, before there are others.
 */
#ifndef UI_TTY_H
#define UI_TTY_H

#include <signal.h>
#include <stdbool.h>

#include "vm/base/err.h"

/* Are standard input and output a terminal? */
bool tty_is(void);
/* Its locale says UTF-8 (LC_ALL, LC_CTYPE, LANG). */
bool tty_utf8(void);
/* 24x80 when it does not tell. */
void tty_size(int *rows, int *cols);

/*
 * Raw mode; tty_restore() takes it back, also after a fatal signal if
 * tty_signals() was called. 0 or -errno.
 */
int tty_raw(struct err *e);
void tty_restore(void);
/*
 * As tty_restore(), and also leave what a full-screen program switched on
 * (alternate screen, hidden cursor): the server that did is gone.
 */
void tty_rescue(void);

/* What came in by signal since the last look; each is told once. */
struct tty_news {
	bool resized; /* SIGWINCH, or SIGCONT after a stop */
	int ended;    /* SIGTERM, SIGHUP, SIGINT: the signal, else 0 */
};
/* Catch the signals; *wait is the mask to give to ppoll(). */
void tty_signals(sigset_t *wait);
/* Back to what the signals did before. */
void tty_signals_end(void);
void tty_news(struct tty_news *out);

#endif
