/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts about verbs, all from the table. */
#include "ui/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Verbs whose names begin with group and a blank; all for NULL. */
static void help_list(FILE *f, const char *group)
{
	size_t len = group ? strlen(group) : 0;
	const struct cmd_verb *v;
	char left[80];

	for (size_t i = 0; (v = cmd_verb(i)); i++) {
		if (group &&
			(strncmp(v->name, group, len) || v->name[len] != ' '))
			continue;
		snprintf(left, sizeof(left), "%s%s%s", v->name,
			*v->args ? " " : "", v->args);
		if (strlen(left) < 32)
			fprintf(f, "  %-32s %s\n", left, v->help);
		else
			fprintf(f, "  %s\n  %-32s %s\n", left, "", v->help);
	}
}

char *help_group(const char *group)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "usage: guestdeck %s VERB ...\n\n", group);
	help_list(f, group);
	fprintf(f, "\nSee also guestdeck help %s VERB.\n", group);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

char *help_overview(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fputs("usage: guestdeck [VERB ...]\n\n"
	      "Without a verb the full-screen console opens.\n\n",
		f);
	help_list(f, NULL);
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

static void help_option(FILE *f, const struct cmd_opt *o)
{
	char left[80];

	snprintf(left, sizeof(left), "%s%s%s%s%s", o->brief ? o->brief : "",
		o->brief ? ", " : "", o->name, o->arg ? " " : "",
		o->arg ? o->arg : "");
	fprintf(f, "  %-32s %s\n", left, o->help);
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
	if (v->opts)
		fputc('\n', f);
	for (const struct cmd_opt *o = v->opts; o && o->name; o++)
		help_option(f, o);
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
