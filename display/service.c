/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The display thread: one loop for the screens of all guests. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "display/display_impl.h"

static void service_run(void *arg)
{
	struct display_service *s = arg;

	loop_run(s->loop);
}

int display_service_new(const char *exe, struct log *log,
	struct display_service **out, struct err *e)
{
	struct display_service *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_sys(e, ENOMEM, "cannot start the display thread");
	s->log = log;
	s->exe = strdup(exe ? exe : "");
	if (!s->exe) {
		r = err_sys(e, ENOMEM, "cannot start the display thread");
		goto fail;
	}
	r = loop_new(&s->loop, e);
	if (r)
		goto fail;
	r = thread_start(&s->thread, "display", service_run, s, e);
	if (r)
		goto fail_loop;
	*out = s;
	return 0;
fail_loop:
	loop_free(s->loop);
fail:
	free(s->exe);
	free(s);
	return r;
}

void display_service_free(struct display_service *s)
{
	if (!s)
		return;
	loop_stop(s->loop);
	thread_join(&s->thread);
	loop_free(s->loop);
	free(s->exe);
	free(s);
}
