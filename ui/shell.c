/* SPDX-License-Identifier: GPL-3.0-or-later */
/* placeholder, being written */
#include "ui/client.h"

int client_shell(struct client *c, const struct cmd_args *a)
{
	(void)c;
	(void)a;
	return client_fail("not yet");
}
