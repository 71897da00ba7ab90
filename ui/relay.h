/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One request on a connected server, and bytes between it and the standard
 * streams until its exit code comes. Thread: main of a client.
 */
#ifndef UI_RELAY_H
#define UI_RELAY_H

#include <stdbool.h>
#include <stdio.h>

struct relay {
	int fd;          /* socket, stays the caller's */
	FILE *out;       /* instead of standard output, or NULL */
	bool until_gone; /* wait until the server lets go of the socket */
};

/* Returns the exit code. What went wrong is told on standard error. */
int relay_run(struct relay *r, int argc, char **argv);

#endif
