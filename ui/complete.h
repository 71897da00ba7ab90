/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the word before the cursor can become: verbs first, then options,
 * guests and files as the verb's entry says. Used by the ":" line and by the
 * shell. Thread: any.
 */
#ifndef UI_COMPLETE_H
#define UI_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

#define COMPLETE_MAX 256

struct complete {
	char *word[COMPLETE_MAX]; /* sorted as found */
	int n;
	bool cut;     /* there are more */
	size_t most;  /* with cut: letters that those share with a first one */
	size_t start; /* where in the line the word begins */
	bool file;    /* a file name is wanted here: see complete_files() */
	char *begin;  /* with file: the word so far, without its quotes */
};

/*
 * Complete line[0..cursor). names are the guests' (n of them); in_console
 * offers the verbs that only the console has, too. End with complete_fini().
 */
void complete_line(const char *line, size_t cursor, char *const *names, int n,
	bool in_console, struct complete *out);
void complete_fini(struct complete *c);
/*
 * With file set: the file names that begin as the word does, from cwd on,
 * written as the line has them (blanks behind backslashes), folders with a
 * '/' at the end. word is the word so far, as words_split() has it. Reads
 * folders: it may block.
 */
void complete_files(struct complete *c, const char *cwd, const char *word);
/* Length of what all candidates begin with. */
size_t complete_common(const struct complete *c);

#endif
