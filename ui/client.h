/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The client process: it finds or starts the server, hands it a verb, and
 * passes bytes between the server and the terminal until the verb has ended.
 * Thread: main.
 */
#ifndef UI_CLIENT_H
#define UI_CLIENT_H

#include <stdbool.h>

#include "ui/cmd.h"
#include "ui/paths.h"

struct client {
	const struct paths *paths;
};

/* One command line (without the program's name); returns the exit code. */
int client_main(const struct paths *p, int argc, char **argv);

/*
 * Carry argv out on the server; text goes to the standard streams. Starts
 * the server when start is set. Returns the exit code.
 */
int client_ask(struct client *c, int argc, char **argv, bool start);
/* The same, but standard output goes to *out (caller frees). */
int client_ask_text(struct client *c, int argc, char **argv, char **out);

/*
 * A connected socket to the server. With start, a server is started when
 * none runs. >= 0, -ENOENT when none runs and start is not set, or another
 * -errno; e is filled.
 */
int client_connect(const struct paths *p, bool start, struct err *e);

/* "guestdeck: TEXT" on standard error; returns UI_FAIL. */
int client_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
