/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one table of verbs. Keys, the ":" line, the command line and the shell
 * all look a verb up here and parse its words the same way. Where it runs
 * is told by its entry: exec in the server, client in the client's process,
 * view in an attached console (when it has something better there).
 */
#ifndef UI_CMD_H
#define UI_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "vm/base/err.h"

#define CMD_OPTS_MAX 20
#define CMD_MANY_MAX 16 /* values of an option that may come again */

struct cmd_args;
struct client;
struct disk_io;
struct job;
struct view;

enum cmd_flags {
	CMD_GUEST = 1,    /* first operand is a guest's name or pattern */
	CMD_MANY = 2,     /* all operands are */
	CMD_FILE = 4,     /* first operand is a file */
	CMD_ASK = 8,      /* something can be lost: people are asked first */
	CMD_NOSTART = 16, /* no server is started for it */
	CMD_CONSOLE = 32, /* only inside an attached console */
};

struct cmd_opt {
	const char *name; /* "--timeout" */
	const char *arg;  /* "S", or NULL when it takes none */
	const char *help;
	const char *brief; /* "-t", or NULL */
	bool many;         /* may come again: see struct cmd_args */
};

/* A name of two words ("disk info") is looked up by both. */
struct cmd_verb {
	const char *name, *alias; /* alias may be NULL */
	const char *args;         /* of the usage line */
	const char *help;         /* one line */
	unsigned flags;
	int min, max;               /* operands; max -1 = any number */
	const struct cmd_opt *opts; /* ended by a NULL name; may be NULL */
	const char *ask;  /* question, "%s" = the guests; with CMD_ASK */
	const char *more; /* further help, may be NULL */
	void (*exec)(struct job *j);
	int (*client)(struct client *c, const struct cmd_args *a);
	void (*view)(struct view *v, const struct cmd_args *a);
	/* of the disk verbs: the work itself, see disk.h */
	int (*disk)(const struct cmd_args *a, struct disk_io *io);
};

/* A verb's words, taken apart. Strings are borrowed from argv. */
struct cmd_args {
	const struct cmd_verb *verb;
	const char *opt[CMD_OPTS_MAX];  /* by place in opts; NULL = not given */
	const char *many[CMD_MANY_MAX]; /* of the verb's option with `many` */
	int nmany;
	char **operand;
	int noperands;
};

/* Entry i, or NULL past the end. */
const struct cmd_verb *cmd_verb(size_t i);
/* By name or alias, or NULL. */
const struct cmd_verb *cmd_find(const char *name);
/* By the first word or two of argv, whose number becomes *nwords; or NULL. */
const struct cmd_verb *cmd_find_words(int argc, char *const *argv, int *nwords);

/* Is word the first of names of two words? */
bool cmd_is_group(const char *word);

/*
 * Take argv apart; argv[0] is the verb. argv's strings stay, its order
 * changes (operands to the front). 0, or -EINVAL with e naming what is wrong
 * and the usage (exit code 2).
 */
int cmd_parse(int argc, char **argv, struct cmd_args *out, struct err *e);

/* Value of option name ("--json"): NULL when not given, "" for a flag. */
const char *cmd_opt(const struct cmd_args *a, const char *name);

/*
 * "usage: guestdeck VERB ..." without a newline, into buf; returns buf.
 */
char *cmd_usage(const struct cmd_verb *v, char *buf, size_t len);

/* The name nearest to word, or NULL when none is near. */
const char *cmd_nearest(const char *word);

/* How unlike a and b are: single edits and swaps, at most 99. */
unsigned words_distance(const char *a, const char *b);

/*
 * Split a line into words as a shell does with quotes and backslashes.
 * Caller frees *argv and its strings with words_free(). 0, -EINVAL (open
 * quote), -ENOMEM.
 */
int words_split(const char *line, int *argc, char ***argv);
void words_free(int argc, char **argv);

/* Exit codes. */
enum { UI_OK = 0, UI_FAIL = 1, UI_USAGE = 2 };

/* exec and client halves, by the file that has them. */
void cmd_define(struct job *j); /* cmd_guest.c */
void cmd_undefine(struct job *j);
void cmd_start(struct job *j);
void cmd_stop(struct job *j);
void cmd_kill(struct job *j);
void cmd_pause(struct job *j);
void cmd_resume(struct job *j);
void cmd_reset(struct job *j);
void cmd_dirty(struct job *j);
void cmd_screenshot(struct job *j);
void cmd_sendkey(struct job *j);
void cmd_list(struct job *j); /* cmd_list.c */
void cmd_show(struct job *j);
void cmd_console(struct job *j); /* cmd_console.c */
void cmd_attach(struct job *j);  /* attach.c */
void cmd_server(struct job *j);  /* cmd_server.c */
void cmd_disk(struct job *j);    /* cmd_disk.c */
int client_attach(struct client *c, const struct cmd_args *a);
int client_console(struct client *c, const struct cmd_args *a);
int client_server(struct client *c, const struct cmd_args *a);
int client_run(struct client *c, const struct cmd_args *a);
int client_shell(struct client *c, const struct cmd_args *a);
int client_doctor(struct client *c, const struct cmd_args *a);
int client_help(struct client *c, const struct cmd_args *a);
int client_version(struct client *c, const struct cmd_args *a);
int client_disk(struct client *c, const struct cmd_args *a);
void view_cmd_console(struct view *v, const struct cmd_args *a); /* view.c */
void view_cmd_screen(struct view *v, const struct cmd_args *a);
void view_cmd_help(struct view *v, const struct cmd_args *a);
void view_cmd_detach(struct view *v, const struct cmd_args *a);
void view_cmd_page(struct view *v, const struct cmd_args *a);

#endif
