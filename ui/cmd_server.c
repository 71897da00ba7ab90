/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `server status` and `server stop`, the half that runs in the server. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/base/clock.h"

#include "ui/guests.h"
#include "ui/job.h"
#include "ui/model.h"
#include "ui/paths.h"
#include "ui/text.h"

static void server_status(struct job *j)
{
	struct app *a = j->app;
	char up[16];

	model_refresh(a->model);
	text_duration(clock_now_ns() - a->started_ns, up, sizeof(up));
	job_printf(j,
		"server runs, pid %d, for %s, in %s\n"
		"%zu of %zu guests running, %u clients\n",
		(int)getpid(), up, a->paths ? a->paths->dir : "-",
		model_running(a->model), a->model->n,
		a->clients ? a->clients(a->server) : 0);
	for (size_t i = 0; engine_broken(a->engine, i); i++)
		job_printf(j, "not loaded: %s\n", engine_broken(a->engine, i));
}

/* Names of the guests that would lose power; how many there are. */
static int server_running(struct job *j, char *names, size_t len)
{
	struct guest_info *g = NULL;
	int n = guests_list(j->app->engine, &g), running = 0;
	size_t at = 0;

	*names = 0;
	for (int i = 0; i < n; i++) {
		if (!model_alive(g[i].state))
			continue;
		if (running++ && at < len)
			at += (size_t)snprintf(names + at, len - at, ", ");
		if (at < len)
			at += (size_t)snprintf(names + at, len - at, "%s",
				g[i].name);
	}
	free(g);
	return running;
}

/* Disk verbs and the like, which would end half-way. */
static int server_jobs(struct job *j)
{
	int n = 0;

	list_each (p, &j->app->jobs)
		n += job_can_stop(list_entry(p, struct job, node));
	return n;
}

static void server_stop(struct job *j)
{
	char names[512];
	int n = server_running(j, names, sizeof(names));
	int jobs = server_jobs(j);

	if (!n && jobs && !cmd_opt(&j->args, "--force")) {
		job_fail(j,
			"%d disk verb%s at work for a console: wait, or use "
			"--force, which stops %s",
			jobs, jobs == 1 ? " is" : "s are",
			jobs == 1 ? "it" : "them");
		return;
	}
	if (n && !cmd_opt(&j->args, "--force")) {
		job_fail(j,
			"%s %s: stop %s first, or use --force, which takes "
			"the power away",
			names, n == 1 ? "runs" : "run", n == 1 ? "it" : "them");
		return;
	}
	if (!j->app->stop) {
		job_fail(j, "this server cannot be stopped");
		return;
	}
	j->app->stop(j->app->server);
}

void cmd_server(struct job *j)
{
	const char *what = j->args.operand[0];

	if (!strcmp(what, "status")) {
		server_status(j);
	} else if (!strcmp(what, "stop")) {
		server_stop(j);
	} else {
		job_fail(j, "server: status or stop, not '%s'", what);
		j->code = UI_USAGE;
	}
}
