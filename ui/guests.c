/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names and patterns to guests. No state; any thread. */
#include "ui/guests.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "ui/cmd.h"
#include "ui/job.h"

int guests_list(struct engine *en, struct guest_info **out)
{
	struct guest_info *v = NULL;
	size_t max = 0, n = engine_list(en, NULL, 0);

	/* the list may grow between the two looks */
	while (n > max) {
		struct guest_info *p;

		max = n + 8;
		p = realloc(v, max * sizeof(*v));
		if (!p) {
			free(v);
			return -ENOMEM;
		}
		v = p;
		n = engine_list(en, v, max);
	}
	*out = v;
	return (int)n;
}

static int guests_unknown(const struct guest_info *all, int n, const char *word,
	struct err *e)
{
	const char *near = NULL;
	unsigned best = 4;

	for (int i = 0; i < n; i++) {
		unsigned d = words_distance(word, all[i].name);

		if (d < best && d < strlen(word)) {
			best = d;
			near = all[i].name;
		}
	}
	if (near)
		return err_set(e, ENOENT,
			"there is no guest '%s', did you mean '%s'?", word,
			near);
	return err_set(e, ENOENT, "there is no guest '%s'", word);
}

/* Move what word names from all (name then emptied) to out. */
static int guests_take(struct guest_info *all, bool *taken, int n,
	const char *word, struct guest_info *out, int have, int *found)
{
	bool pattern = strpbrk(word, "*?[") != NULL;

	*found = 0;
	for (int i = 0; i < n; i++) {
		if (pattern ? fnmatch(word, all[i].name, 0) != 0
			    : strcmp(word, all[i].name) != 0)
			continue;
		++*found;
		if (taken[i])
			continue;
		taken[i] = true;
		out[have++] = all[i];
	}
	return have;
}

int guests_match(struct engine *en, char *const *words, int n,
	struct guest_info **out, struct err *e)
{
	struct guest_info *all = NULL, *v;
	int count = guests_list(en, &all), have = 0, found;
	bool *taken;

	if (count < 0)
		return err_sys(e, ENOMEM, "cannot list the guests");
	if (n == 0) {
		*out = all;
		return count;
	}
	v = calloc((size_t)count + 1, sizeof(*v));
	taken = calloc((size_t)count + 1, sizeof(*taken));
	if (!v || !taken) {
		have = err_sys(e, ENOMEM, "cannot list the guests");
		goto out;
	}
	for (int i = 0; i < n; i++) {
		have = guests_take(all, taken, count, words[i], v, have,
			&found);
		if (!found) {
			have = guests_unknown(all, count, words[i], e);
			goto out;
		}
	}
	*out = v;
	v = NULL;
out:
	free(v);
	free(taken);
	free(all);
	return have;
}

int guests_one(struct job *j, struct guest_info *out)
{
	struct guest_info *g = NULL;
	struct err e = ERR_NONE;
	int n = guests_match(j->app->engine, &j->args.operand[0], 1, &g, &e);

	if (n > 1)
		n = err_set(&e, EINVAL, "'%s' names %d guests, one is needed",
			j->args.operand[0], n);
	if (n < 1 || !g)
		job_fail(j, "%s", e.msg);
	else
		*out = g[0];
	free(g);
	return n < 0 ? n : n ? 0 : -ENOENT;
}
