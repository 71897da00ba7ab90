/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A line into words: blanks, 'quotes', "quotes" and backslashes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ui/cmd.h"

void words_free(int argc, char **argv)
{
	for (int i = 0; argv && i < argc; i++)
		free(argv[i]);
	free(argv);
}

/*
 * Copy one word from *s to out (large enough for all of it), moving *s past
 * it. 0 or -EINVAL when a quote stays open.
 */
static int words_one(const char **s, char *out)
{
	const char *p = *s;
	char quote = 0;

	for (; *p; p++) {
		if (quote ? *p == quote : (*p == '\'' || *p == '"')) {
			quote = quote ? 0 : *p;
			continue;
		}
		if (!quote && (*p == ' ' || *p == '\t'))
			break;
		if (*p == '\\' && quote != '\'' && p[1])
			p++;
		*out++ = *p;
	}
	*out = 0;
	*s = p;
	return quote ? -EINVAL : 0;
}

int words_split(const char *line, int *argc, char ***argv)
{
	size_t len = strlen(line);
	char **v = calloc(len / 2 + 2, sizeof(*v));
	char *word = malloc(len + 1);
	int n = 0, r = v && word ? 0 : -ENOMEM;

	while (!r) {
		line += strspn(line, " \t");
		if (!*line)
			break;
		r = words_one(&line, word);
		if (r)
			break;
		v[n] = strdup(word);
		if (!v[n])
			r = -ENOMEM;
		else
			n++;
	}
	free(word);
	if (r) {
		words_free(n, v);
		return r;
	}
	*argc = n;
	*argv = v;
	return 0;
}
