/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tab on the ":" line. File names are looked for in a thread of their own,
 * for a folder may be on a server that does not answer: the word is completed
 * when they come, if the line is still the same. Nobody waits for the thread
 * but app_fini(), also when the view has gone. Thread: the loop's, but for
 * files_thread().
 */
#include <stdlib.h>
#include <string.h>

#include "vm/base/thread.h"

#include "ui/complete.h"
#include "ui/guests.h"
#include "ui/view.h"

struct view_files {
	struct list node;  /* of app.lookups */
	struct view *view; /* NULL: it has gone */
	char *cwd;
	struct thread thread;
	struct loop_call end;
	struct complete c; /* the thread's until it has ended */
	char line[W_LINE_MAX];
	size_t cursor;
};

/* Put in what all candidates have in common, and list them. */
static void complete_take(struct view *v, const struct complete *c)
{
	size_t len = complete_common(c);
	char word[W_LINE_MAX];

	if (c->n && len < sizeof(word) - 2) {
		memcpy(word, c->word[0], len);
		word[len] = 0;
		if (c->n == 1 && len && word[len - 1] != '/')
			strcpy(word + len, " ");
		w_line_replace(&v->line, c->start, word);
	}
	v->message[0] = 0;
	for (int i = 0; c->n > 1 && i < c->n; i++) {
		size_t at = strlen(v->message);

		snprintf(v->message + at, sizeof(v->message) - at, "%s  ",
			c->word[i]);
		v->message_role = ROLE_DIM;
	}
}

static void files_thread(void *arg)
{
	struct view_files *f = arg;

	complete_files(&f->c, f->cwd, f->c.begin);
	loop_call_schedule(&f->end);
}

static void files_free(struct view_files *f)
{
	list_del(&f->node);
	complete_fini(&f->c);
	free(f->cwd);
	free(f);
}

static void files_end(void *arg)
{
	struct view_files *f = arg;
	struct view *v = f->view;

	thread_join(&f->thread);
	if (v)
		v->files = NULL;
	if (v && v->prompt == VIEW_COMMAND && v->line.cursor == f->cursor &&
		!strcmp(v->line.text, f->line)) {
		complete_take(v, &f->c);
		view_dirty(v, true);
	}
	files_free(f);
}

/* c becomes the thread's. */
static void files_begin(struct view *v, struct complete *c)
{
	struct view_files *f = calloc(1, sizeof(*f));
	struct err e = ERR_NONE;

	if (!f) {
		complete_fini(c);
		return;
	}
	list_add_tail(&v->app->lookups, &f->node);
	f->view = v;
	f->c = *c;
	f->cwd = strdup(v->cwd);
	if (!f->cwd || !c->begin) {
		files_free(f);
		return;
	}
	f->cursor = v->line.cursor;
	strcpy(f->line, v->line.text);
	loop_call_init(&f->end, v->app->loop, files_end, f);
	if (thread_start(&f->thread, "files", files_thread, f, &e)) {
		view_message(v, ROLE_ERROR, "%s", e.msg);
		files_free(f);
		return;
	}
	v->files = f;
}

void view_complete_end(struct view *v)
{
	if (v->files)
		v->files->view = NULL;
	v->files = NULL;
}

void view_complete_fini(struct app *a)
{
	struct list *n;

	while ((n = list_pop(&a->lookups))) {
		struct view_files *f = list_entry(n, struct view_files, node);

		thread_join(&f->thread);
		loop_call_cancel(&f->end);
		files_free(f);
	}
}

void view_complete(struct view *v)
{
	struct guest_info *g = NULL;
	struct complete c;
	char **names;
	int n;

	if (v->files)
		return; /* it comes */
	n = guests_list(v->app->engine, &g);
	names = n > 0 ? calloc((size_t)n, sizeof(*names)) : NULL;
	for (int i = 0; names && i < n; i++)
		names[i] = g[i].name;
	complete_line(v->line.text, v->line.cursor, names, names ? n : 0, true,
		&c);
	free(names);
	free(g);
	if (c.file) {
		files_begin(v, &c);
		return;
	}
	complete_take(v, &c);
	complete_fini(&c);
}
