/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One program, three lives: the client that a person starts, the server
 * behind it, and the jailed viewer process of a guest. Only here it exits.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "display/display.h"

#include "ui/client.h"
#include "ui/paths.h"
#include "ui/server.h"

int main(int argc, char **argv)
{
	struct err e = ERR_NONE;
	struct paths p;

	if (argc > 1 && !strcmp(argv[1], DISPLAY_VIEWER_ARG))
		return display_viewer_main(argc, argv);
	/* a closed standard stream must not become some file's descriptor */
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			return UI_FAIL;
	if (paths_init(&p, &e))
		return client_fail("%s", e.msg);
	if (argc > 2 && !strcmp(argv[1], SERVER_ARG)) {
		int ready = atoi(argv[2]);

		fcntl(ready, F_SETFD, FD_CLOEXEC);
		return server_main(&p, ready);
	}
	return client_main(&p, argc > 1 ? argc - 1 : 0, argv + 1);
}
