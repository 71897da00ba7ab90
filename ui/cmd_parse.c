/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Taking a verb's words apart: options anywhere ("--" ends them), operands
 * counted, mistakes answered with the usage and the nearest known word.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "ui/cmd.h"

#define WORD_MAX 32

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

unsigned words_distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > WORD_MAX || nb > WORD_MAX)
		return 99;
	for (size_t i = 0; i <= na; i++)
		d[i][0] = (unsigned)i;
	for (size_t k = 0; k <= nb; k++)
		d[0][k] = (unsigned)k;
	for (size_t i = 1; i <= na; i++)
		for (size_t k = 1; k <= nb; k++) {
			unsigned same = a[i - 1] == b[k - 1] ? 0 : 1;

			d[i][k] = min3(d[i - 1][k] + 1, d[i][k - 1] + 1,
				d[i - 1][k - 1] + same);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] &&
				a[i - 2] == b[k - 1] &&
				d[i - 2][k - 2] + 1 < d[i][k])
				d[i][k] = d[i - 2][k - 2] + 1;
		}
	return d[na][nb];
}

const char *cmd_nearest(const char *word)
{
	const char *best = NULL;
	unsigned near = 3;

	for (size_t i = 0; cmd_verb(i); i++) {
		const char *name = cmd_verb(i)->name;
		unsigned d = words_distance(word, name);

		if (d < near && d < strlen(name)) {
			near = d;
			best = name;
		}
	}
	return best;
}

char *cmd_usage(const struct cmd_verb *v, char *buf, size_t len)
{
	snprintf(buf, len, "usage: guestdeck %s%s%s", v->name,
		*v->args ? " " : "", v->args);
	return buf;
}

static int parse_wrong(const struct cmd_verb *v, struct err *e,
	const char *what, const char *word)
{
	char usage[160];

	return err_set(e, EINVAL, "%s: %s%s%s; %s", v->name, what,
		word ? " " : "", word ? word : "",
		cmd_usage(v, usage, sizeof(usage)));
}

static bool parse_is(const char *name, const char *word, size_t len)
{
	return strlen(name) == len && !strncmp(name, word, len);
}

/* Keep one more value of an option that may come again. */
static int parse_many(const struct cmd_opt *o, const char *value,
	struct cmd_args *out, struct err *e)
{
	if (!o->many)
		return 0;
	if (out->nmany == CMD_MANY_MAX)
		return parse_wrong(out->verb, e, "too many of", o->name);
	out->many[out->nmany++] = value;
	return 0;
}

/*
 * argv[*i] begins with "--": find it in the verb's options and take its
 * value, which may be the next word.
 */
static int parse_option(int argc, char **argv, int *i, struct cmd_args *out,
	struct err *e)
{
	const char *word = argv[*i];
	size_t len = strcspn(word, "=");
	const struct cmd_opt *o = out->verb->opts;

	for (int n = 0; o && o[n].name; n++) {
		if (!parse_is(o[n].name, word, len) &&
			!(o[n].brief && parse_is(o[n].brief, word, len)))
			continue;
		if (!o[n].arg && word[len])
			return parse_wrong(out->verb, e, "no value is taken by",
				o[n].name);
		if (!o[n].arg)
			out->opt[n] = "";
		else if (word[len])
			out->opt[n] = word + len + 1;
		else if (++*i < argc)
			out->opt[n] = argv[*i];
		else
			return parse_wrong(out->verb, e,
				"a value is missing after", o[n].name);
		return parse_many(&o[n], out->opt[n], out, e);
	}
	return parse_wrong(out->verb, e, "unknown option", word);
}

/* Move argv[from] down to argv[to]; what lies between moves up. */
static void parse_rotate(char **argv, int to, int from)
{
	char *word = argv[from];

	memmove(argv + to + 1, argv + to, (size_t)(from - to) * sizeof(*argv));
	argv[to] = word;
}

/* Not "-" and not "-10G", which is a size to take away. */
static bool parse_is_option(const char *word)
{
	return word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9');
}

/* nwords of argv are the verb's name. */
static int parse_words(int argc, char **argv, int nwords, struct cmd_args *out,
	struct err *e)
{
	bool opts = true;
	int r;

	out->operand = argv + nwords;
	for (int i = nwords; i < argc; i++) {
		if (opts && !strcmp(argv[i], "--")) {
			opts = false;
		} else if (opts && parse_is_option(argv[i])) {
			r = parse_option(argc, argv, &i, out, e);
			if (r)
				return r;
		} else {
			parse_rotate(argv, nwords + out->noperands++, i);
		}
	}
	return 0;
}

int cmd_parse(int argc, char **argv, struct cmd_args *out, struct err *e)
{
	const char *near;
	int r, nwords;

	memset(out, 0, sizeof(*out));
	out->verb = cmd_find_words(argc, argv, &nwords);
	if (!out->verb && cmd_is_group(argv[0]))
		return err_set(e, EINVAL,
			"there is no verb '%s%s%s'; see "
			"guestdeck help %s",
			argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "",
			argv[0]);
	if (!out->verb) {
		near = cmd_nearest(argv[0]);
		return err_set(e, EINVAL,
			"there is no verb '%s'%s%s%s; see guestdeck help",
			argv[0], near ? ", did you mean '" : "",
			near ? near : "", near ? "'?" : "");
	}
	r = parse_words(argc, argv, nwords, out, e);
	if (r)
		return r;
	if (out->noperands < out->verb->min)
		return parse_wrong(out->verb, e, "something is missing", NULL);
	if (out->verb->max >= 0 && out->noperands > out->verb->max)
		return parse_wrong(out->verb, e,
			"one word too many:", out->operand[out->verb->max]);
	return 0;
}

const char *cmd_opt(const struct cmd_args *a, const char *name)
{
	const struct cmd_opt *o = a->verb->opts;

	for (int n = 0; o && o[n].name; n++)
		if (!strcmp(o[n].name, name) ||
			(o[n].brief && !strcmp(o[n].brief, name)))
			return a->opt[n];
	return NULL;
}
