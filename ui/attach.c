/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `attach`: a view for a client's terminal. The job lives as long as the view;
 * a client that goes away takes the view with it and touches no guest.
 */
#include <errno.h>

#include "ui/job.h"
#include "ui/view.h"

static void attach_write(void *arg, const void *data, size_t len)
{
	job_write(arg, data, len);
}

static size_t attach_queued(void *arg)
{
	const struct job *j = arg;

	return j->sink && j->sink->queued ? j->sink->queued(j->sink_arg) : 0;
}

static void attach_end(struct job *j, bool alive)
{
	struct view *v = j->priv;

	if (!v)
		return;
	j->priv = NULL;
	view_free(v, alive);
	job_drop(j);
}

static void attach_gone(void *arg)
{
	attach_end(arg, true);
}

static const struct view_out attach_out = {
	.write = attach_write,
	.queued = attach_queued,
	.gone = attach_gone,
};

static bool attach_input(struct job *j, const uint8_t *data, size_t len)
{
	if (j->priv)
		view_input(j->priv, data, len);
	return true;
}

static void attach_winsize(struct job *j, int rows, int cols)
{
	if (j->priv)
		view_resize(j->priv, rows, cols);
}

static void attach_writable(struct job *j)
{
	if (j->priv)
		view_writable(j->priv);
}

static void attach_cancel(struct job *j)
{
	attach_end(j, false);
}

static const struct job_ops attach_ops = {
	.input = attach_input,
	.winsize = attach_winsize,
	.writable = attach_writable,
	.cancel = attach_cancel,
};

void cmd_attach(struct job *j)
{
	struct view_opts o = {
		.term = j->req.term,
		.cwd = j->req.cwd,
		.rows = j->req.rows,
		.cols = j->req.cols,
		.utf8 = j->req.utf8,
		.out = &attach_out,
		.arg = j,
	};
	struct err e = ERR_NONE;
	struct view *v;

	if (!j->req.tty || !j->sink || !j->sink->raw) {
		job_fail(j, "attach needs a terminal");
		return;
	}
	if (view_new(j->app, &o, &v, &e)) {
		job_fail(j, "%s", e.msg);
		return;
	}
	j->priv = v;
	j->ops = &attach_ops;
	job_hold(j);
	j->sink->raw(j->sink_arg, PROTO_RAW_SCREEN);
}
