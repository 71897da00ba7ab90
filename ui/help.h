/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Help made from the verb table. Caller frees; NULL when memory is short.
 * Thread: any.
 */
#ifndef UI_HELP_H
#define UI_HELP_H

#include "ui/cmd.h"

char *help_overview(void);
/* The verbs of a group, as "disk". */
char *help_group(const char *group);
char *help_verb(const struct cmd_verb *v);

#endif
