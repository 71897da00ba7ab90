/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One attached terminal: a curses SCREEN of its own that writes into memory,
 * a stack of screens, the ":" line, questions and messages. It never touches
 * a terminal: bytes go out through view_out and come in by view_input(), so
 * a terminal that is stopped, slow or gone holds nothing up. Frames are only
 * made when the last one has left. Thread: the loop's.
 */
#ifndef UI_VIEW_H
#define UI_VIEW_H

#include <stdio.h>

#include "ui/app.h"
#include "ui/cmd.h"
#include "ui/screen.h"
#include "ui/w_line.h"

#define VIEW_MESSAGE_MAX 512
#define VIEW_FRAME_MS    40

struct view_out {
	void (*write)(void *arg, const void *data, size_t len);
	size_t (*queued)(void *arg); /* bytes that did not leave yet */
	/* The person wants to leave: call view_free(). Not from inside. */
	void (*gone)(void *arg);
};

enum view_prompt { VIEW_NO_PROMPT, VIEW_COMMAND, VIEW_FILTER };

struct view {
	struct list node;
	struct app *app;
	const struct view_out *out; /* NULL = the terminal is dead */
	void *out_arg;

	SCREEN *scr;
	FILE *tty_out, *tty_in; /* a memory file, /dev/null */
	char term[64];
	struct canvas cv;
	struct theme theme;
	struct keys keys;
	int rows, cols;
	bool dirty, clear, leaving;
	uint64_t drawn_ns;
	struct loop_timer frame, escape;
	struct loop_call leave;

	struct screen *top;
	struct list jobs; /* struct view_job, the newest last */
	char *cwd;        /* of who is attached: relative names begin there */

	enum view_prompt prompt;
	struct w_line line;
	struct w_history history;
	struct view_files *files; /* being looked for, or NULL */

	char message[VIEW_MESSAGE_MAX];
	enum role message_role;

	char *question; /* NULL = none is asked */
	int ask_argc;
	char **ask_argv;
	bool ask_yes; /* the button that Enter presses */
};

static inline struct view *view_of(struct list *n)
{
	return list_entry(n, struct view, node);
}

struct view_opts {
	const char *term;
	const char *cwd; /* absolute; NULL = "/" */
	int rows, cols;
	bool utf8;
	const struct view_out *out;
	void *arg;
};

/*
 * Open a view that shows the guests. 0, -ENOTTY when the terminal's type is
 * unknown or cannot do what is needed, -ENOMEM; e is filled.
 */
int view_new(struct app *a, const struct view_opts *o, struct view **out,
	struct err *e);
/* Leave the terminal as it was (when alive) and free. */
void view_free(struct view *v, bool alive);
/* Ask every view's owner to free it. */
void view_free_all(struct app *a);

void view_input(struct view *v, const void *data, size_t len);
void view_resize(struct view *v, int rows, int cols); /* also: draw all anew */
void view_writable(struct view *v);
void view_event(struct view *v, const struct engine_event *ev);
void view_tick(struct view *v);

/* ---- for screens and the view's own files ---- */

/* Draw soon (now = for a key: without waiting for the frame's time). */
void view_dirty(struct view *v, bool now);
/* Show a screen; failures are told as a message. */
void view_push(struct view *v, const struct screen_ops *ops, const char *arg);
void view_pop(struct view *v);
void view_message(struct view *v, enum role role, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void view_layout(struct view *v);

/* view_keys.c */
void view_key(struct view *v, const struct key *k);
extern const struct bind view_binds[];
void view_begin_filter(struct view *v, const char *text);

/* view_run.c: a command line; a verb for guests, asking when it must */
void view_run_line(struct view *v, const char *line);
void view_run_verb(struct view *v, const char *verb, const struct names *n);
void view_run(struct view *v, int argc, char **argv); /* argv is taken */
void view_ask_end(struct view *v, bool yes);

/* view_jobs.c: a job of the view's own; argv is taken */
#define VIEW_TITLE_MAX 160
void view_jobs_begin(struct view *v, const char *title, int argc, char **argv);
void view_jobs_drop(struct view *v);
/* Stop what was begun last, of what can be stopped. */
void view_jobs_stop(struct view *v);
/* What ended while a guest had the screen shows what it said. */
void view_jobs_show(struct view *v);
/*
 * What runs, for the message's place: left is cut where there is no room,
 * right is not. False = nothing runs.
 */
bool view_jobs_text(struct view *v, char *left, size_t left_size, char *right,
	size_t right_size);

/* view_complete.c: Tab on the ":" line; the view, then the server, ends */
void view_complete(struct view *v);
void view_complete_end(struct view *v);
void view_complete_fini(struct app *a);

/* view_draw.c */
void view_draw(struct view *v);

#endif
