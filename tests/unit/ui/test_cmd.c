/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verb table, words into arguments, completion. */
#include <errno.h>

#include "vm/base/sizes.h"

#include "ui/cmd.h"
#include "ui/complete.h"
#include "ui/help.h"

#include "tests/unit/suite.h"

static int parse(const char *line, struct cmd_args *a, struct err *e)
{
	static char **argv;
	static int argc;

	words_free(argc, argv);
	ck_assert_int_eq(words_split(line, &argc, &argv), 0);
	memset(e, 0, sizeof(*e));
	return cmd_parse(argc, argv, a, e);
}

START_TEST (every_verb_is_whole_and_named_once) {
	const struct cmd_verb *v, *w;

	for (size_t i = 0; (v = cmd_verb(i)); i++) {
		int opts = 0;

		ck_assert_msg(v->help && *v->help && v->args, "%s", v->name);
		ck_assert_msg(v->exec || v->client || v->view, "%s", v->name);
		ck_assert_msg(v->max < 0 || v->max >= v->min, "%s", v->name);
		for (const struct cmd_opt *o = v->opts; o && o->name; o++) {
			ck_assert(!strncmp(o->name, "--", 2) && o->help);
			opts++;
		}
		ck_assert_int_le(opts, CMD_OPTS_MAX);
		if (v->flags & CMD_ASK)
			ck_assert_msg(v->ask && strstr(v->ask, "%s") &&
					      v->flags & CMD_GUEST,
				"%s", v->name);
		for (size_t k = 0; (w = cmd_verb(k)); k++) {
			ck_assert(k == i || strcmp(v->name, w->name));
			ck_assert(!v->alias || strcmp(v->alias, w->name));
			ck_assert(k == i || !v->alias || !w->alias ||
				  strcmp(v->alias, w->alias));
		}
		ck_assert_ptr_eq(cmd_find(v->name), v);
	}
}
END_TEST

START_TEST (what_takes_power_or_definitions_away_asks) {
	static const char *const names[] = { "kill", "reset", "undefine",
		"stop" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ck_assert(cmd_find(names[i])->flags & CMD_ASK);
}
END_TEST

START_TEST (options_may_stand_anywhere) {
	struct cmd_args a;
	struct err e;

	ck_assert_int_eq(parse("stop --timeout 5 web db", &a, &e), 0);
	ck_assert_str_eq(cmd_opt(&a, "--timeout"), "5");
	ck_assert_int_eq(a.noperands, 2);
	ck_assert_str_eq(a.operand[1], "db");
	ck_assert_int_eq(parse("stop web --timeout=0 db", &a, &e), 0);
	ck_assert_str_eq(cmd_opt(&a, "--timeout"), "0");
	ck_assert_str_eq(a.operand[0], "web");
	ck_assert_str_eq(a.operand[1], "db");
	ck_assert_int_eq(parse("list --json", &a, &e), 0);
	ck_assert_str_eq(cmd_opt(&a, "--json"), "");
	ck_assert_ptr_null(cmd_opt(&a, "--names"));
	ck_assert_int_eq(parse("show -- --json", &a, &e), 0);
	ck_assert_ptr_null(cmd_opt(&a, "--json"));
	ck_assert_str_eq(a.operand[0], "--json");
}
END_TEST

START_TEST (mistakes_are_named_with_the_usage) {
	static const struct {
		const char *line, *text;
	} t[] = {
		{ "start", "usage: guestdeck start GUEST..." },
		{ "strat web", "did you mean 'start'" },
		{ "frobnicate", "there is no verb 'frobnicate'" },
		{ "list --jsn", "unknown option --jsn" },
		{ "list --json=1", "no value is taken by --json" },
		{ "stop web --timeout", "a value is missing after --timeout" },
		{ "run a b", "one word too many: b" },
		{ "screenshot web", "something is missing" },
	};
	struct cmd_args a;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		ck_assert_int_eq(parse(t[i].line, &a, &e), -EINVAL);
		ck_assert_err(e, EINVAL, t[i].text);
	}
}
END_TEST

START_TEST (an_alias_is_the_verb) {
	struct cmd_args a;
	struct err e;

	ck_assert_int_eq(parse("ls", &a, &e), 0);
	ck_assert_str_eq(a.verb->name, "list");
}
END_TEST

START_TEST (words_keep_quotes_together) {
	char **v;
	int n;

	ck_assert_int_eq(words_split("a 'b c' \"d\\\" e\" f\\ g  ''", &n, &v),
		0);
	ck_assert_int_eq(n, 5);
	ck_assert_str_eq(v[1], "b c");
	ck_assert_str_eq(v[2], "d\" e");
	ck_assert_str_eq(v[3], "f g");
	ck_assert_str_eq(v[4], "");
	words_free(n, v);
	ck_assert_int_eq(words_split("   ", &n, &v), 0);
	ck_assert_int_eq(n, 0);
	words_free(n, v);
	ck_assert_int_eq(words_split("a 'b", &n, &v), -EINVAL);
}
END_TEST

START_TEST (distance_counts_edits_and_swaps) {
	ck_assert_uint_eq(words_distance("start", "start"), 0);
	ck_assert_uint_eq(words_distance("strat", "start"), 1);
	ck_assert_uint_eq(words_distance("stat", "start"), 1);
	ck_assert_uint_eq(words_distance("", "abc"), 3);
	ck_assert_uint_eq(words_distance("a",
				  "0123456789012345678901234567890123456789"),
		99);
}
END_TEST

static void complete(const char *line, struct complete *c)
{
	static char web[] = "web", west[] = "west", db[] = "db";
	char *names[] = { db, web, west };

	complete_line(line, strlen(line), names, 3, true, c);
}

START_TEST (completion_offers_what_the_table_says) {
	struct complete c;

	complete("st", &c);
	ck_assert_int_eq(c.n, 2); /* start, stop */
	ck_assert_uint_eq(complete_common(&c), 2);
	complete_fini(&c);
	complete("start we", &c);
	ck_assert_int_eq(c.n, 2);
	ck_assert_uint_eq(c.start, 6);
	ck_assert_uint_eq(complete_common(&c), 2);
	complete_fini(&c);
	complete("start web ", &c); /* takes many */
	ck_assert_int_eq(c.n, 3);
	complete_fini(&c);
	complete("console web ", &c); /* takes one */
	ck_assert_int_eq(c.n, 0);
	complete_fini(&c);
	complete("stop --t", &c);
	ck_assert_int_eq(c.n, 1);
	ck_assert_str_eq(c.word[0], "--timeout");
	complete_fini(&c);
	complete("define ", &c);
	ck_assert(c.file);
	complete_fini(&c);
	complete("help sho", &c);
	ck_assert_str_eq(c.word[0], "show");
	complete_fini(&c);
	complete("bogus x", &c);
	ck_assert_int_eq(c.n, 0);
	complete_fini(&c);
	complete("start 'we", &c); /* an open quote */
	ck_assert_int_eq(c.n, 0);
	complete_fini(&c);
}
END_TEST

START_TEST (help_names_every_verb_and_option) {
	char *all = help_overview();
	const struct cmd_verb *v;

	ck_assert_ptr_nonnull(all);
	for (size_t i = 0; (v = cmd_verb(i)); i++) {
		char *one = help_verb(v);

		ck_assert_ptr_nonnull(strstr(all, v->name));
		ck_assert_ptr_nonnull(strstr(one, v->help));
		for (const struct cmd_opt *o = v->opts; o && o->name; o++)
			ck_assert_ptr_nonnull(strstr(one, o->name));
		free(one);
	}
	free(all);
}
END_TEST

SUITE("ui/cmd", every_verb_is_whole_and_named_once,
	what_takes_power_or_definitions_away_asks, options_may_stand_anywhere,
	mistakes_are_named_with_the_usage, an_alias_is_the_verb,
	words_keep_quotes_together, distance_counts_edits_and_swaps,
	completion_offers_what_the_table_says, help_names_every_verb_and_option)
