/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `guestdeck shell`: verbs line by line over readline, from the same table
 * as everywhere. Without a terminal it reads a script: lines that begin with
 * '#' are comments, and the exit code is that of the last verb.
 */
#include <errno.h>
#include <readline/history.h>
#include <readline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ui/client.h"
#include "ui/complete.h"
#include "ui/tty.h"

#define SHELL_HISTORY 500

/* readline gives its callbacks no argument of ours */
static struct client *shell_client;
static struct complete shell_words;
static int shell_next;

static int shell_verb(struct client *c, int argc, char **argv)
{
	struct cmd_args a;
	struct err e = ERR_NONE;

	if (cmd_parse(argc, argv, &a, &e)) {
		client_fail("%s", e.msg);
		return UI_USAGE;
	}
	if (a.verb->client == client_shell) {
		client_fail("this is the shell already");
		return UI_USAGE;
	}
	if (a.verb->flags & CMD_CONSOLE) {
		client_fail("%s works only inside the console (attach)",
			a.verb->name);
		return UI_USAGE;
	}
	if (a.verb->client)
		return a.verb->client(c, &a);
	return client_ask(c, argc, argv, true);
}

/*
 * One line; *end is set by a word that leaves. Returns the exit code, which
 * is the one before when the line has no verb.
 */
static int shell_line(struct client *c, const char *line, int code, bool *end)
{
	char **argv;
	int argc;

	line += strspn(line, " \t");
	if (*line == '#')
		return code;
	if (words_split(line, &argc, &argv)) {
		client_fail("a quote is not closed");
		return UI_USAGE;
	}
	if (argc == 1 && (!strcmp(argv[0], "exit") || !strcmp(argv[0], "quit")))
		*end = true;
	else if (argc)
		code = shell_verb(c, argc, argv);
	fflush(stdout);
	words_free(argc, argv);
	return code;
}

static int shell_script(struct client *c)
{
	char *line = NULL;
	size_t cap = 0;
	bool end = false;
	int code = UI_OK;

	while (!end && getline(&line, &cap, stdin) > 0) {
		line[strcspn(line, "\r\n")] = 0;
		code = shell_line(c, line, code, &end);
	}
	free(line);
	return code;
}

/* The guests' names, one allocation a line; *text holds them. */
static int shell_names(char **text, char ***names)
{
	static char list[] = "list", flag[] = "--names";
	char *argv[] = { list, flag, NULL }, *save = NULL, *p;
	int n = 0;

	*names = NULL;
	if (client_ask_text(shell_client, 2, argv, text) || !*text)
		return 0;
	*names = calloc(strlen(*text) / 2 + 1, sizeof(**names));
	for (p = strtok_r(*text, "\n", &save); *names && p;
		p = strtok_r(NULL, "\n", &save))
		(*names)[n++] = p;
	return n;
}

static char *shell_generate(const char *text, int state)
{
	(void)text;
	if (state == 0)
		shell_next = 0;
	if (shell_next >= shell_words.n)
		return NULL;
	return strdup(shell_words.word[shell_next++]);
}

static char **shell_complete(const char *text, int start, int end)
{
	char *names_text = NULL, **names;
	int n = shell_names(&names_text, &names);

	(void)start;
	complete_fini(&shell_words);
	complete_line(rl_line_buffer, (size_t)end, names, n, false,
		&shell_words);
	free(names);
	free(names_text);
	/* files are readline's own business */
	rl_attempted_completion_over = !shell_words.file;
	if (!shell_words.n)
		return NULL;
	return rl_completion_matches(text, shell_generate);
}

static int shell_talk(struct client *c)
{
	char history[PATHS_MAX], *line;
	int code = UI_OK;
	bool end = false;

	snprintf(history, sizeof(history), "%s/shell_history", c->paths->dir);
	rl_readline_name = "guestdeck";
	rl_attempted_completion_function = shell_complete;
	rl_basic_word_break_characters = " \t";
	rl_completer_quote_characters = "'\"";
	rl_filename_quote_characters = " \t'\"\\"; /* as words_split() */
	using_history();
	read_history(history);
	stifle_history(SHELL_HISTORY);
	while (!end && (line = readline("guestdeck> "))) {
		if (*line)
			add_history(line);
		code = shell_line(c, line, code, &end);
		free(line);
	}
	if (!end)
		putchar('\n');
	complete_fini(&shell_words);
	/* no folder yet means that no server ever ran: nothing to keep */
	write_history(history);
	clear_history();
	return code;
}

int client_shell(struct client *c, const struct cmd_args *a)
{
	(void)a;
	shell_client = c;
	if (!tty_is())
		return shell_script(c);
	return shell_talk(c);
}
