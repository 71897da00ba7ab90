/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion from the verb table. */
#include "ui/complete.h"

#include <stdlib.h>
#include <string.h>

#include "ui/cmd.h"

static void complete_add(struct complete *c, const char *word,
	const char *begin)
{
	char *copy;

	if (strncmp(word, begin, strlen(begin)) || c->n == COMPLETE_MAX)
		return;
	for (int i = 0; i < c->n; i++)
		if (!strcmp(c->word[i], word))
			return;
	copy = strdup(word);
	if (copy)
		c->word[c->n++] = copy;
}

/* Of a name only what comes before a blank. */
static void complete_word(struct complete *c, const char *name,
	const char *begin)
{
	char *word = strndup(name, strcspn(name, " "));

	if (word)
		complete_add(c, word, begin);
	free(word);
}

static void complete_verbs(struct complete *c, const char *begin,
	bool in_console)
{
	const struct cmd_verb *v;

	for (size_t i = 0; (v = cmd_verb(i)); i++)
		if (in_console || !(v->flags & CMD_CONSOLE))
			complete_word(c, v->name, begin);
}

/* The second words of a group's verbs. */
static void complete_group(struct complete *c, const char *group,
	const char *begin)
{
	size_t len = strlen(group);
	const struct cmd_verb *v;

	for (size_t i = 0; (v = cmd_verb(i)); i++)
		if (!strncmp(v->name, group, len) && v->name[len] == ' ')
			complete_word(c, v->name + len + 1, begin);
}

/* Operand number nth (0 first) of verb v. */
static void complete_operand(struct complete *c, const struct cmd_verb *v,
	int nth, const char *begin, char *const *names, int n, bool in_console)
{
	if (v->flags & CMD_GUEST && (nth == 0 || v->flags & CMD_MANY)) {
		for (int i = 0; i < n; i++)
			complete_add(c, names[i], begin);
	} else if (!strcmp(v->name, "disk snapshot") && nth == 0) {
		complete_add(c, "list", begin);
		complete_add(c, "create", begin);
		complete_add(c, "revert", begin);
		complete_add(c, "delete", begin);
	} else if (v->flags & CMD_FILE || !strcmp(v->name, "screenshot")) {
		c->file = true;
	} else if (!strcmp(v->name, "help")) {
		complete_verbs(c, begin, in_console);
	} else if (!strcmp(v->name, "server")) {
		complete_add(c, "status", begin);
		complete_add(c, "stop", begin);
	}
}

void complete_line(const char *line, size_t cursor, char *const *names, int n,
	bool in_console, struct complete *out)
{
	char *copy = strndup(line, cursor), **argv = NULL;
	const char *begin = "";
	int argc = 0, all, nth, nwords;

	memset(out, 0, sizeof(*out));
	out->start = cursor;
	if (!copy || words_split(copy, &argc, &argv)) {
		free(copy);
		return;
	}
	all = argc;
	if (cursor && copy[cursor - 1] != ' ' && argc) {
		begin = argv[--argc];
		while (out->start && line[out->start - 1] != ' ')
			out->start--;
	}
	if (argc == 0) {
		complete_verbs(out, begin, in_console);
	} else if (argc == 1 && cmd_is_group(argv[0])) {
		complete_group(out, argv[0], begin);
	} else {
		const struct cmd_verb *v = cmd_find_words(argc, argv, &nwords);

		nth = -nwords;
		for (int i = 0; i < argc; i++)
			nth += argv[i][0] != '-';
		if (v && *begin == '-')
			for (const struct cmd_opt *o = v->opts; o && o->name;
				o++)
				complete_add(out, o->name, begin);
		else if (v)
			complete_operand(out, v, nth, begin, names, n,
				in_console);
	}
	words_free(all, argv);
	free(copy);
}

void complete_fini(struct complete *c)
{
	for (int i = 0; i < c->n; i++)
		free(c->word[i]);
	c->n = 0;
}

size_t complete_common(const struct complete *c)
{
	size_t len;

	if (!c->n)
		return 0;
	len = strlen(c->word[0]);
	for (int i = 1; i < c->n; i++) {
		size_t k = 0;

		while (k < len && c->word[i][k] == c->word[0][k])
			k++;
		len = k;
	}
	return len;
}
