/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The jobs of a view: what they say becomes a message, or a page when it is
 * long; how far they are is shown where messages are; ^C stops the last of
 * those that can be stopped. A guest's own screen is not covered by a page:
 * that waits until the person is back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ui/job.h"
#include "ui/view.h"

#define VIEW_OUTPUT_MAX (1u << 20)

struct view_job {
	struct list node;
	struct view *view;
	struct job *job;
	bool ended; /* job is gone; what it said waits to be shown */
	int code;
	struct sendq out, err;
	bool cut;      /* of out: there was more */
	bool tells;    /* its end, also when it said nothing */
	bool measured; /* permille is known */
	unsigned permille;
	char title[VIEW_TITLE_MAX];
};

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
	size_t room = VIEW_OUTPUT_MAX - vj->out.len;

	if (len > room) { /* whole lines of it */
		vj->cut = true;
		for (len = room; len && text[len - 1] != '\n'; len--)
			continue;
	}
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
static void view_show(struct view *v, const struct view_job *vj, char *text,
	bool bad)
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
	if (asprintf(&page, "%s\n%s%s", vj->title, text,
		    vj->cut ? "... and more: too long to be shown here\n"
			    : "") < 0)
		return;
	view_push(v, &scr_pager, page);
	free(page);
}

static void view_job_show(struct view_job *vj)
{
	struct view *v = vj->view;
	char *out = view_job_text(&vj->out), *err = view_job_text(&vj->err);

	list_del(&vj->node); /* what is shown may ask for the others */
	list_init(&vj->node);
	if (err && *err)
		view_show(v, vj, err, vj->code != UI_OK);
	else if (out && *out)
		view_show(v, vj, out, false);
	else if (vj->tells)
		view_message(v, ROLE_GOOD, "%s: done", vj->title);
	free(out);
	free(err);
	view_job_free(vj);
	view_dirty(v, true);
}

static void sink_done(void *arg, int code)
{
	struct view_job *vj = arg;
	struct view *v = vj->view;

	vj->ended = true;
	vj->code = code;
	if (v->top->ops->full) /* a guest has the keys: no page under them */
		view_message(v, code == UI_OK ? ROLE_GOOD : ROLE_ERROR,
			"%s has %s", vj->title,
			code == UI_OK ? "ended" : "failed");
	else
		view_job_show(vj);
}

void view_jobs_show(struct view *v)
{
	if (v->top->ops->full)
		return;
	list_each_safe (n, tmp, &v->jobs) {
		struct view_job *vj = list_entry(n, struct view_job, node);

		if (vj->ended)
			view_job_show(vj);
	}
}

static void sink_progress(void *arg, unsigned permille)
{
	struct view_job *vj = arg;

	vj->measured = true;
	vj->permille = permille;
	view_dirty(vj->view, false);
}

/* The one that was begun last; with_stop: of those that can be stopped. */
static struct view_job *view_jobs_last(struct view *v, bool with_stop, int *n)
{
	struct view_job *last = NULL;

	*n = 0;
	list_each (p, &v->jobs) {
		struct view_job *vj = list_entry(p, struct view_job, node);

		if (vj->ended || (with_stop && !job_can_stop(vj->job)))
			continue;
		last = vj;
		++*n;
	}
	return last;
}

bool view_jobs_text(struct view *v, char *left, size_t left_size, char *right,
	size_t right_size)
{
	struct view_job *vj;
	int n;

	vj = view_jobs_last(v, true, &n);
	if (!vj)
		vj = view_jobs_last(v, false, &n);
	if (!vj)
		return false;
	if (vj->measured)
		snprintf(left, left_size, "%u.%u %% %s", vj->permille / 10,
			vj->permille % 10, vj->title);
	else
		snprintf(left, left_size, "%s ...", vj->title);
	*right = 0;
	if (job_can_stop(vj->job))
		snprintf(right, right_size,
			n > 1 ? "^C stops it (1 of %d)" : "^C stops it", n);
	return true;
}

void view_jobs_stop(struct view *v)
{
	int n;
	struct view_job *vj = view_jobs_last(v, true, &n);

	if (!vj) {
		view_message(v, ROLE_WARN, "nothing runs that can be stopped");
		return;
	}
	view_message(v, ROLE_WARN, "%s: is being stopped ...", vj->title);
	job_stop(vj->job);
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

		if (!vj->ended)
			job_detach(vj->job);
		view_job_free(vj);
	}
}

void view_jobs_begin(struct view *v, const char *title, int argc, char **argv)
{
	struct view_job *vj = calloc(1, sizeof(*vj));
	struct proto_request req = {
		.argc = argc,
		.argv = argv,
		.cwd = strdup(v->cwd),
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
	snprintf(vj->title, sizeof(vj->title), "%s", title);
	v->message[0] = 0;
	view_dirty(v, true);
	list_add_tail(&v->jobs, &vj->node);
	vj->job = job_run(v->app, &req, &view_sink, vj);
	if (vj->job)
		vj->tells = job_can_stop(vj->job);
	else
		view_job_free(vj);
}
