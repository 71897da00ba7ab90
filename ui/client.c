/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Command line to exit code. A verb with a client half runs that here; the
 * others are asked of the server as they stand.
 */
#include "ui/client.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ui/relay.h"
#include "ui/tty.h"

int client_fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "guestdeck: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return UI_FAIL;
}

static int client_connected(struct client *c, int argc, char **argv, bool start,
	struct relay *r)
{
	struct err e = ERR_NONE;
	int code;

	r->fd = client_connect(c->paths, start, &e);
	if (r->fd < 0)
		return client_fail("%s", e.msg);
	code = relay_run(r, argc, argv);
	close(r->fd);
	return code;
}

int client_ask(struct client *c, int argc, char **argv, bool start)
{
	struct relay r = { 0 };

	return client_connected(c, argc, argv, start, &r);
}

int client_ask_text(struct client *c, int argc, char **argv, char **out)
{
	size_t len = 0;
	struct relay r = { .out = open_memstream(out, &len) };
	int code;

	if (!r.out)
		return client_fail("out of memory");
	code = client_connected(c, argc, argv, true, &r);
	fclose(r.out);
	return code;
}

/* "-h", "--help", "--version" as every program has them. */
static char *client_habit(char *word)
{
	static char help[] = "help", version[] = "version";

	if (!strcmp(word, "-h") || !strcmp(word, "--help"))
		return help;
	if (!strcmp(word, "-V") || !strcmp(word, "--version"))
		return version;
	return word;
}

/* "VERB --help" is help on it, and so is a group's name alone. */
static bool client_wants_help(int argc, char **argv)
{
	return (argc > 1 && argc < 4 && !strcmp(argv[argc - 1], "--help")) ||
	       (argc == 1 && cmd_is_group(argv[0]));
}

/* argv with "help" before the verb's words; one word too many falls off. */
static void client_help_words(int *argc, char **argv, char **words)
{
	static char help[] = "help";
	int n = *argc > 1 ? *argc - 1 : 1;

	words[0] = help;
	for (int i = 0; i < n; i++)
		words[i + 1] = argv[i];
	words[n + 1] = NULL;
	*argc = n + 1;
}

int client_main(const struct paths *p, int argc, char **argv)
{
	static char attach[] = "attach";
	char *none[] = { attach, NULL }, *words[4];
	struct client c = { .paths = p };
	struct cmd_args a;
	struct err e = ERR_NONE;

	setlocale(LC_ALL, "");
	if (argc == 0) {
		argc = 1;
		argv = none;
	}
	argv[0] = client_habit(argv[0]);
	if (client_wants_help(argc, argv)) {
		client_help_words(&argc, argv, words);
		argv = words;
	}
	if (cmd_parse(argc, argv, &a, &e)) {
		client_fail("%s", e.msg);
		return UI_USAGE;
	}
	if (a.verb->flags & CMD_CONSOLE) {
		client_fail("%s works only inside the console (guestdeck)",
			a.verb->name);
		return UI_USAGE;
	}
	if (a.verb->client)
		return a.verb->client(&c, &a);
	return client_ask(&c, argc, argv, !(a.verb->flags & CMD_NOSTART));
}

int client_attach(struct client *c, const struct cmd_args *a)
{
	static char attach[] = "attach";
	char *argv[] = { attach, NULL };

	(void)a;
	if (!tty_is())
		return client_fail("attach needs a terminal; without one see "
				   "guestdeck list and guestdeck help");
	return client_ask(c, 1, argv, true);
}

int client_console(struct client *c, const struct cmd_args *a)
{
	static char console[] = "console", log[] = "--log";
	char *argv[] = { console, a->operand[0],
		cmd_opt(a, "--log") ? log : NULL, NULL };

	return client_ask(c, argv[2] ? 3 : 2, argv, true);
}

int client_server(struct client *c, const struct cmd_args *a)
{
	static char server[] = "server", force[] = "--force";
	char *argv[] = { server, a->operand[0],
		cmd_opt(a, "--force") ? force : NULL, NULL };
	struct err e = ERR_NONE;
	int fd = client_connect(c->paths, false, &e);

	if (fd == -ENOENT) {
		if (!strcmp(a->operand[0], "stop")) {
			printf("%s\n", e.msg);
			return UI_OK;
		}
		return client_fail("%s", e.msg);
	}
	if (fd < 0)
		return client_fail("%s", e.msg);
	struct relay r = { .fd = fd, .until_gone = true };
	int code = relay_run(&r, argv[2] ? 3 : 2, argv);

	close(fd);
	return code;
}
