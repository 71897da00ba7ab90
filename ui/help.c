/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts about verbs, all from the table. */
#include "ui/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *help_overview(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	const struct cmd_verb *v;

	if (!f)
		return NULL;
	fputs("usage: guestdeck [VERB ...]\n\n"
	      "Without a verb the full-screen console opens.\n\n",
		f);
	for (size_t i = 0; (v = cmd_verb(i)); i++) {
		char left[80];

		snprintf(left, sizeof(left), "%s%s%s", v->name,
			*v->args ? " " : "", v->args);
		if (strlen(left) < 32)
			fprintf(f, "  %-32s %s\n", left, v->help);
		else
			fprintf(f, "  %s\n  %-32s %s\n", left, "", v->help);
	}
	fputs("\nGUEST is a name or a pattern ('web*'). Exit codes: 0 done, 1 "
	      "failed, 2 usage.\n"
	      "State is in $GUESTDECK_DIR, or in "
	      "~/.local/state/guestdeck.\n",
		f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

char *help_verb(const struct cmd_verb *v)
{
	char *text = NULL, usage[160];
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "%s\n", cmd_usage(v, usage, sizeof(usage)));
	if (v->alias)
		fprintf(f, "also: guestdeck %s\n", v->alias);
	fprintf(f, "\n%s\n", v->help);
	for (const struct cmd_opt *o = v->opts; o && o->name; o++)
		fprintf(f, "\n  %s%s%s\t%s\n", o->name, o->arg ? " " : "",
			o->arg ? o->arg : "", o->help);
	if (v->more)
		fprintf(f, "\n%s\n", v->more);
	if (v->flags & CMD_CONSOLE)
		fputs("\nOnly inside the console, after ':'.\n", f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
