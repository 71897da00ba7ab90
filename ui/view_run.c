/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Verbs started from a view: parsed like those of the command line, carried
 * out as the same jobs. What they say becomes a message, or a page when it is
 * long. Keys ask first where the verb's entry says that something is lost; a
 * typed line names its guests and is taken at its word.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "ui/job.h"
#include "ui/view.h"

#define VIEW_OUTPUT_MAX (1u << 20)

struct view_job {
	struct list node;
	struct view *view;
	struct job *job;
	struct sendq out, err;
	char title[160];
};

void view_message(struct view *v, enum role role, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->message, sizeof(v->message), fmt, ap);
	va_end(ap);
	v->message_role = role;
	view_dirty(v, true);
}

static void view_job_free(struct view_job *vj)
{
	list_del(&vj->node);
	sendq_fini(&vj->out);
	sendq_fini(&vj->err);
	free(vj);
}

static void sink_out(void *arg, const char *text, size_t len)
{
	struct view_job *vj = arg;

	sendq_put(&vj->out, text, len);
}

static void sink_err(void *arg, const char *text, size_t len)
{
	struct view_job *vj = arg;

	sendq_put(&vj->err, text, len);
}

/* The text of q as a string; caller frees. */
static char *view_job_text(const struct sendq *q)
{
	char *s = malloc(q->len + 1);

	if (!s)
		return NULL;
	if (q->len)
		memcpy(s, q->buf + q->head, q->len);
	s[q->len] = 0;
	return s;
}

/* One line becomes a message, more a page. */
static void view_show(struct view *v, const char *title, char *text, bool bad)
{
	static const char self[] = "guestdeck: ";
	char *end = strchr(text, '\n'), *page;

	if (!strncmp(text, self, sizeof(self) - 1))
		text += sizeof(self) - 1;
	if (!end || !end[1]) {
		if (end)
			*end = 0;
		if (*text)
			view_message(v, bad ? ROLE_ERROR : ROLE_GOOD, "%s",
				text);
		return;
	}
	if (asprintf(&page, "%s\n%s", title, text) < 0)
		return;
	view_push(v, &scr_pager, page);
	free(page);
}

static void sink_done(void *arg, int code)
{
	struct view_job *vj = arg;
	struct view *v = vj->view;
	char *out = view_job_text(&vj->out), *err = view_job_text(&vj->err);

	if (err && *err)
		view_show(v, vj->title, err, code != UI_OK);
	else if (out && *out)
		view_show(v, vj->title, out, false);
	else
		v->message[0] = 0;
	free(out);
	free(err);
	view_job_free(vj);
	view_dirty(v, true);
}

static void sink_progress(void *arg, unsigned permille)
{
	struct view_job *vj = arg;

	view_message(vj->view, ROLE_DIM, "%s ... %u.%u %%", vj->title,
		permille / 10, permille % 10);
}

static const struct job_sink view_sink = {
	.progress = sink_progress,
	.out = sink_out,
	.err = sink_err,
	.done = sink_done,
};

void view_jobs_drop(struct view *v)
{
	list_each_safe (n, tmp, &v->jobs) {
		struct view_job *vj = list_entry(n, struct view_job, node);

		job_detach(vj->job);
		view_job_free(vj);
	}
}

static void view_title(char *out, size_t len, int argc, char **argv)
{
	size_t at = 0;

	*out = 0;
	for (int i = 0; i < argc && at < len; i++)
		at += (size_t)snprintf(out + at, len - at, "%s%s", i ? " " : "",
			argv[i]);
}

static void view_run_job(struct view *v, int argc, char **argv)
{
	struct view_job *vj = calloc(1, sizeof(*vj));
	struct proto_request req = {
		.argc = argc,
		.argv = argv,
		.cwd = strdup("/"),
		.term = strdup(""),
	};

	if (!vj || !req.cwd || !req.term) {
		proto_request_fini(&req);
		free(vj);
		view_message(v, ROLE_ERROR, "out of memory");
		return;
	}
	vj->view = v;
	sendq_init(&vj->out, VIEW_OUTPUT_MAX);
	sendq_init(&vj->err, VIEW_OUTPUT_MAX);
	view_title(vj->title, sizeof(vj->title), argc, argv);
	view_message(v, ROLE_DIM, "%s ...", vj->title);
	list_add_tail(&v->jobs, &vj->node);
	vj->job = job_run(v->app, &req, &view_sink, vj);
	if (!vj->job)
		view_job_free(vj);
}

void view_run(struct view *v, int argc, char **argv)
{
	struct err e = ERR_NONE;
	struct cmd_args a;

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
		view_run_job(v, argc, argv);
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

void view_cmd_help(struct view *v, const struct cmd_args *a)
{
	(void)a;
	view_push(v, &scr_help, NULL);
}

void view_cmd_detach(struct view *v, const struct cmd_args *a)
{
	(void)a;
	v->leaving = true;
}
