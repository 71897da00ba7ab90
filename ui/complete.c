/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion from the verb table. */
#include "ui/complete.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/base/sizes.h"

#include "ui/cmd.h"

/* Length of what two words begin with. */
static size_t complete_both(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n;
}

static void complete_add(struct complete *c, const char *word,
	const char *begin)
{
	char *copy;

	if (strncmp(word, begin, strlen(begin)))
		return;
	if (c->n == COMPLETE_MAX) { /* what it has in common counts yet */
		size_t n = complete_both(c->word[0], word);

		if (!c->cut || n < c->most)
			c->most = n;
		c->cut = true;
		return;
	}
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
	} else if (!strcmp(v->name, "help") && nth == 0) {
		complete_verbs(c, begin, in_console);
	} else if (!strcmp(v->name, "server")) {
		complete_add(c, "status", begin);
		complete_add(c, "stop", begin);
	}
}

/* What an option's value can be, by its name in the help. */
static void complete_value(struct complete *c, const struct cmd_opt *o,
	const char *begin)
{
	static const struct {
		const char *arg;
		const char *words[6];
	} values[] = {
		{ "FORMAT", { "raw", "qcow2", "vmdk", "vdi", "vhdx" } },
		{ "CACHE", { "writeback", "none", "writethrough", "directsync",
				   "unsafe" } },
		{ "WHAT", { "leaks", "all" } },
		{ "HOW", { "off", "metadata", "falloc", "full" } },
		{ "FORM", { "human", "json" } },
		{ "AIO", { "io_uring", "threads" } },
	};

	if (!strcmp(o->arg, "FILE") || !strcmp(o->arg, "FOLDER"))
		c->file = true;
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		for (size_t k = 0; !strcmp(o->arg, values[i].arg) && k < 6; k++)
			if (values[i].words[k])
				complete_add(c, values[i].words[k], begin);
}

/* The option that word is, when its value is the next word; or NULL. */
static const struct cmd_opt *complete_takes_value(const struct cmd_verb *v,
	const char *word)
{
	for (const struct cmd_opt *o = v->opts; o && o->name; o++)
		if (o->arg && (!strcmp(o->name, word) ||
				      (o->brief && !strcmp(o->brief, word))))
			return o;
	return NULL;
}

/* The words of a verb before the one to complete: argv[from..argc). */
static void complete_verb(struct complete *c, const struct cmd_verb *v,
	int argc, char **argv, int from, const char *begin, char *const *names,
	int n, bool in_console)
{
	const struct cmd_opt *value = NULL;
	int nth = 0;

	for (int i = from; i < argc; i++) {
		if (value)
			value = NULL;
		else if (argv[i][0] == '-')
			value = complete_takes_value(v, argv[i]);
		else
			nth++;
	}
	if (value)
		complete_value(c, value, begin);
	else if (!strcmp(v->name, "help") && nth == 1)
		complete_group(c, argv[argc - 1], begin);
	else if (*begin == '-')
		for (const struct cmd_opt *o = v->opts; o && o->name; o++)
			complete_add(c, o->name, begin);
	else
		complete_operand(c, v, nth, begin, names, n, in_console);
}

/* Is line[at] a blank that ends a word? */
static bool complete_is_blank(const char *line, size_t at)
{
	return line[at] == ' ' && (!at || line[at - 1] != '\\');
}

void complete_line(const char *line, size_t cursor, char *const *names, int n,
	bool in_console, struct complete *out)
{
	char *copy = strndup(line, cursor), **argv = NULL;
	const char *begin = "";
	int argc = 0, all, nwords;
	const struct cmd_verb *v;

	memset(out, 0, sizeof(*out));
	out->start = cursor;
	if (!copy || words_split(copy, &argc, &argv)) {
		free(copy);
		return;
	}
	all = argc;
	if (cursor && !complete_is_blank(copy, cursor - 1) && argc) {
		begin = argv[--argc];
		while (out->start && !complete_is_blank(line, out->start - 1))
			out->start--;
	}
	v = cmd_find_words(argc, argv, &nwords);
	if (argc == 0)
		complete_verbs(out, begin, in_console);
	else if (argc == 1 && cmd_is_group(argv[0]))
		complete_group(out, argv[0], begin);
	else if (v)
		complete_verb(out, v, argc, argv, nwords, begin, names, n,
			in_console);
	if (out->file)
		out->begin = strdup(begin);
	words_free(all, argv);
	free(copy);
}

/* name as a word of a line; caller frees. */
static char *complete_quote(const char *folder, const char *name, bool dir)
{
	char *word = malloc(2 * (strlen(folder) + strlen(name)) + 2), *p = word;

	for (int i = 0; word && i < 2; i++)
		for (const char *s = i ? name : folder; *s; s++) {
			if (strchr(" \t'\"\\", *s))
				*p++ = '\\';
			*p++ = *s;
		}
	if (word && dir)
		*p++ = '/';
	if (word)
		*p = '\0';
	return word;
}

static void complete_entry(struct complete *c, int fd, const char *folder,
	const struct dirent *d)
{
	struct stat st;
	bool dir = d->d_type == DT_DIR;
	char *word;

	if (d->d_type == DT_LNK || d->d_type == DT_UNKNOWN)
		dir = !fstatat(fd, d->d_name, &st, 0) && S_ISDIR(st.st_mode);
	word = complete_quote(folder, d->d_name, dir);
	if (word)
		complete_add(c, word, "");
	free(word);
}

static int complete_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void complete_files(struct complete *c, const char *cwd, const char *word)
{
	const char *slash = strrchr(word, '/');
	const char *begin = slash ? slash + 1 : word;
	char *folder = strndup(word, (size_t)(begin - word)), *path = NULL;
	struct dirent *d;
	DIR *dir = NULL;

	if (folder &&
		asprintf(&path, "%s/%s", *word == '/' ? "" : cwd, folder) >= 0)
		dir = opendir(path);
	/* readdir_r() is no better with a DIR of one's own, and deprecated */
	/* cppcheck-suppress readdirCalled */
	while (dir && (d = readdir(dir)))
		if (!strncmp(d->d_name, begin, strlen(begin)) &&
			(*begin == '.' || *d->d_name != '.'))
			complete_entry(c, dirfd(dir), folder, d);
	if (dir)
		closedir(dir);
	qsort(c->word, (size_t)c->n, sizeof(c->word[0]), complete_order);
	free(folder);
	free(path);
}

void complete_fini(struct complete *c)
{
	for (int i = 0; i < c->n; i++)
		free(c->word[i]);
	c->n = 0;
	free(c->begin);
	c->begin = NULL;
}

size_t complete_common(const struct complete *c)
{
	size_t len;

	if (!c->n)
		return 0;
	len = c->cut ? c->most : strlen(c->word[0]);
	for (int i = 1; i < c->n; i++) {
		size_t n = complete_both(c->word[0], c->word[i]);

		len = n < len ? n : len;
	}
	return len;
}
