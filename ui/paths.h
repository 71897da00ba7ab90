/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a server keeps its state. GUESTDECK_DIR moves all of it; else it is
 * $XDG_STATE_HOME/guestdeck or ~/.local/state/guestdeck. Thread: any.
 */
#ifndef UI_PATHS_H
#define UI_PATHS_H

#include <stddef.h>

#include "vm/base/err.h"

#define PATHS_DIR_MAX 1024
#define PATHS_MAX     (PATHS_DIR_MAX + 64)

struct paths {
	char dir[PATHS_DIR_MAX];
	char run[PATHS_MAX];
	char log[PATHS_MAX];
	char socket[PATHS_MAX];     /* run/server.sock */
	char lock[PATHS_MAX];       /* run/server.lock */
	char server_log[PATHS_MAX]; /* log/server.log */
	char exe[PATHS_MAX];        /* this program */
};

/*
 * Fill p from the environment; makes nothing. 0 or -errno; -ENAMETOOLONG
 * when the server's socket would not fit a socket address.
 */
int paths_init(struct paths *p, struct err *e);

/* Make the folders of p, 0700. 0 or -errno. */
int paths_make(const struct paths *p, struct err *e);

/*
 * Write path to out (of len bytes), taken from folder cwd when it is
 * relative. 0, -EINVAL for "", -ENAMETOOLONG.
 */
int paths_resolve(const char *cwd, const char *path, char *out, size_t len,
	struct err *e);

#endif
