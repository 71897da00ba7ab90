/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a viewer process gives up. See jail.c. */
#ifndef DISPLAY_VIEWER_JAIL_H
#define DISPLAY_VIEWER_JAIL_H

#include "vm/base/err.h"

/* First thing in the process: limits, privileges, stray descriptors. */
int jail_begin(struct err *e);

/*
 * Last thing before the first byte from outside, when all threads run and
 * all libraries are loaded: only the system calls of the list remain, for
 * every thread.
 */
int jail_close(struct err *e);

#endif
