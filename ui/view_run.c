/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Verbs started from a view: parsed like those of the command line, carried
 * out as the same jobs (view_jobs.c). Keys ask first where the verb's entry
 * says that something is lost; a typed line names its guests and is taken at
 * its word.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "ui/help.h"
#include "ui/view.h"

void view_message(struct view *v, enum role role, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->message, sizeof(v->message), fmt, ap);
	va_end(ap);
	v->message_role = role;
	view_dirty(v, true);
}

static void view_title(char *out, size_t len, int argc, char **argv)
{
	size_t at = 0;

	*out = 0;
	for (int i = 0; i < argc && at < len; i++)
		at += (size_t)snprintf(out + at, len - at, "%s%s", i ? " " : "",
			argv[i]);
}

void view_run(struct view *v, int argc, char **argv)
{
	char title[VIEW_TITLE_MAX];
	struct err e = ERR_NONE;
	struct cmd_args a;

	view_title(title, sizeof(title), argc, argv); /* in the order typed */
	if (cmd_parse(argc, argv, &a, &e)) {
		view_message(v, ROLE_ERROR, "%s", e.msg);
	} else if (a.verb->view && !cmd_opt(&a, "--log") &&
		   !cmd_opt(&a, "--json")) {
		a.verb->view(v, &a);
	} else if (!a.verb->exec || a.verb->exec == cmd_attach) {
		view_message(v, ROLE_WARN,
			"%s is for the command line, not for the console",
			a.verb->name);
	} else {
		view_jobs_begin(v, title, argc, argv);
		return;
	}
	words_free(argc, argv);
}

void view_run_line(struct view *v, const char *line)
{
	char **argv;
	int argc;

	if (words_split(line, &argc, &argv)) {
		view_message(v, ROLE_ERROR, "a quote is not closed");
		return;
	}
	if (argc)
		view_run(v, argc, argv);
	else
		words_free(argc, argv);
}

/* "web", "web and db", "web, db and 3 more" */
static void view_names(const struct names *n, char *out, size_t len)
{
	int show = n->n <= 4 ? n->n : 3;
	size_t at = 0;

	for (int i = 0; i < show && at < len; i++) {
		const char *join = i == 0 ? "" : i == n->n - 1 ? " and " : ", ";

		at += (size_t)snprintf(out + at, len - at, "%s%s", join,
			n->name[i]);
	}
	if (show < n->n && at < len)
		snprintf(out + at, len - at, " and %d more", n->n - show);
}

static void view_ask(struct view *v, const struct cmd_verb *verb,
	const struct names *n, int argc, char **argv)
{
	const char *hole = strstr(verb->ask, "%s");
	char names[CONF_NAME_MAX * 5];

	view_names(n, names, sizeof(names));
	view_ask_end(v, false);
	if (asprintf(&v->question, "%.*s%s%s", (int)(hole - verb->ask),
		    verb->ask, names, hole + 2) < 0) {
		v->question = NULL;
		words_free(argc, argv);
		return;
	}
	v->ask_argc = argc;
	v->ask_argv = argv;
	v->ask_yes = false;
}

void view_ask_end(struct view *v, bool yes)
{
	int argc = v->ask_argc;
	char **argv = v->ask_argv;

	if (!v->question)
		return;
	free(v->question);
	v->question = NULL;
	v->ask_argv = NULL;
	v->ask_argc = 0;
	if (yes)
		view_run(v, argc, argv);
	else
		words_free(argc, argv);
}

void view_run_verb(struct view *v, const char *name, const struct names *n)
{
	const struct cmd_verb *verb = cmd_find(name);
	char **argv = calloc((size_t)n->n + 2, sizeof(*argv));
	int argc = 0;
	bool bad;

	if (!argv) {
		view_message(v, ROLE_ERROR, "out of memory");
		return;
	}
	argv[argc] = strdup(name);
	bad = !argv[argc++];
	for (int i = 0; i < n->n && !bad; i++) {
		argv[argc] = strdup(n->name[i]);
		bad = !argv[argc++];
	}
	if (bad)
		words_free(argc, argv);
	else if (verb->flags & CMD_ASK)
		view_ask(v, verb, n, argc, argv);
	else
		view_run(v, argc, argv);
}

/* Verbs that have a screen of their own. */
static void view_open(struct view *v, const struct screen_ops *ops,
	const struct cmd_args *a)
{
	view_push(v, ops, a->operand[0]);
}

void view_cmd_console(struct view *v, const struct cmd_args *a)
{
	view_open(v, &scr_serial, a);
}

void view_cmd_screen(struct view *v, const struct cmd_args *a)
{
	view_open(v, &scr_text, a);
}

void view_cmd_page(struct view *v, const struct cmd_args *a)
{
	view_open(v, &scr_guest, a);
}

/* On a verb or a group what the command line says, else that of the keys. */
void view_cmd_help(struct view *v, const struct cmd_args *a)
{
	const struct cmd_verb *verb;
	char *text, *page;
	int nwords;

	if (!a->noperands) {
		view_push(v, &scr_help, NULL);
		return;
	}
	verb = cmd_find_words(a->noperands, a->operand, &nwords);
	if (!verb && !cmd_is_group(a->operand[0])) {
		view_message(v, ROLE_ERROR, "there is no verb '%s'",
			a->operand[0]);
		return;
	}
	text = verb ? help_verb(verb) : help_group(a->operand[0]);
	if (text && asprintf(&page, "help %s\n%s",
			    verb ? verb->name : a->operand[0], text) >= 0) {
		view_push(v, &scr_pager, page);
		free(page);
	}
	free(text);
}

void view_cmd_detach(struct view *v, const struct cmd_args *a)
{
	(void)a;
	v->leaving = true;
}
