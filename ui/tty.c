/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A client's own terminal. Signals are blocked but while it waits in
 * ppoll(), so that none is lost between a look and the wait; handlers only
 * set flags.
 */
#include "ui/tty.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "vm/base/io.h"

static struct termios tty_cooked;
static bool tty_is_raw;
static volatile sig_atomic_t tty_resized, tty_ended;

bool tty_is(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

bool tty_utf8(void)
{
	return !strcasecmp(nl_langinfo(CODESET), "UTF-8");
}

void tty_size(int *rows, int *cols)
{
	struct winsize ws = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || !ws.ws_row || !ws.ws_col) {
		ws.ws_row = 24;
		ws.ws_col = 80;
	}
	*rows = ws.ws_row;
	*cols = ws.ws_col;
}

int tty_raw(struct err *e)
{
	struct termios t;

	if (!tty_is_raw && tcgetattr(STDIN_FILENO, &tty_cooked))
		return err_sys(e, errno, "cannot read the terminal's mode");
	t = tty_cooked;
	cfmakeraw(&t);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &t))
		return err_sys(e, errno, "cannot set the terminal raw");
	tty_is_raw = true;
	return 0;
}

void tty_restore(void)
{
	if (!tty_is_raw)
		return;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &tty_cooked);
	tty_is_raw = false;
}

void tty_rescue(void)
{
	static const char *const caps[] = { "rmcup", "cnorm", "sgr0", "rmkx" };
	int bad;

	if (tty_is_raw && setupterm(NULL, STDOUT_FILENO, &bad) == OK)
		for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
			const char *s = tigetstr(caps[i]);

			if (s && s != (char *)-1)
				putp(s);
		}
	fflush(stdout);
	tty_restore();
}

static void tty_caught(int sig)
{
	if (sig == SIGWINCH || sig == SIGCONT)
		tty_resized = 1;
	else
		tty_ended = sig;
}

static const int tty_sigs[] = { SIGWINCH, SIGCONT, SIGTERM, SIGHUP, SIGINT };
static struct sigaction tty_old[sizeof(tty_sigs) / sizeof(tty_sigs[0])];
static sigset_t tty_old_mask;

void tty_signals(sigset_t *wait)
{
	struct sigaction sa = { .sa_handler = tty_caught };
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(tty_sigs) / sizeof(tty_sigs[0]); i++) {
		sigaction(tty_sigs[i], &sa, &tty_old[i]);
		sigaddset(&set, tty_sigs[i]);
	}
	sigprocmask(SIG_BLOCK, &set, &tty_old_mask);
	*wait = tty_old_mask;
	for (size_t i = 0; i < sizeof(tty_sigs) / sizeof(tty_sigs[0]); i++)
		sigdelset(wait, tty_sigs[i]);
}

void tty_signals_end(void)
{
	for (size_t i = 0; i < sizeof(tty_sigs) / sizeof(tty_sigs[0]); i++)
		sigaction(tty_sigs[i], &tty_old[i], NULL);
	sigprocmask(SIG_SETMASK, &tty_old_mask, NULL);
}

void tty_news(struct tty_news *out)
{
	out->resized = tty_resized;
	out->ended = tty_ended;
	tty_resized = 0;
	tty_ended = 0;
}
