/* SPDX-License-Identifier: GPL-3.0-or-later */
/* being written */
#include "ui/view.h"

#include "ui/job.h"

void view_event(struct view *v, const struct engine_event *ev)
{
	(void)v;
	(void)ev;
}

void view_tick(struct view *v)
{
	(void)v;
}

void view_free_all(struct app *a)
{
	(void)a;
}

void cmd_attach(struct job *j)
{
	job_fail(j, "attach is being written");
}

void view_cmd_console(struct view *v, const struct cmd_args *a)
{
	(void)v;
	(void)a;
}

void view_cmd_screen(struct view *v, const struct cmd_args *a)
{
	(void)v;
	(void)a;
}

void view_cmd_help(struct view *v, const struct cmd_args *a)
{
	(void)v;
	(void)a;
}

void view_cmd_detach(struct view *v, const struct cmd_args *a)
{
	(void)v;
	(void)a;
}

void view_cmd_page(struct view *v, const struct cmd_args *a)
{
	(void)v;
	(void)a;
}
