/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rig.h"

#include <poll.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/sizes.h"

#include "ui/text.h"
#include "ui/tscreen.h"
#include "ui/w_head.h"

static void rig_host(struct rig *r)
{
	r->app.model->host = (struct host){
		.name = "deck",
		.cpus = 8,
		.cpu_percent = 41.5,
		.memory_bytes = 32 * GiB,
		.memory_used_bytes = 11 * GiB,
		.load = { 1.25, 0.9, 0.75 },
	};
}

void rig_second(struct rig *r)
{
	fake_pass(r->en, 1000);
	model_sample(r->app.model);
	rig_host(r);
	list_each_safe (n, tmp, &r->app.views)
		view_tick(view_of(n));
	rig_pump(r);
}

void rig_init(struct rig *r)
{
	struct err e = ERR_NONE;

	tscreen_environment();
	/* 2026-11-21 14:15:16 */
	w_test_clock_ns = UINT64_C(1795270516) * NS_PER_S;
	memset(r, 0, sizeof(*r));
	r->en = fake_new();
	fake_populate(r->en);
	ck_assert_int_eq(loop_new(&r->loop, &e), 0);
	ck_assert_int_eq(app_init(&r->app, r->en, r->loop, NULL, &e), 0);
	/* time passes only when a test says so */
	r->app.next_tick_ns = UINT64_MAX;
	for (int i = 0; i < 3; i++)
		rig_second(r);
}

void rig_fini(struct rig *r)
{
	rig_pump(r);
	app_quiesce(&r->app);
	engine_free(r->en);
	app_fini(&r->app);
	loop_free(r->loop);
}

/*
 * Rounds until one brings nothing: jobs, tasks on the worker and frames that
 * are due. The worker is waited for by its tasks.
 */
void rig_pump(struct rig *r)
{
	int quiet = 0;

	for (int i = 0; i < 4000 && quiet < 3; i++) {
		bool busy = !list_empty(&r->app.tasks) && !r->en->held.done;

		list_each (n, &r->app.views)
			busy |= view_of(n)->dirty &&
				(!view_of(n)->out->queued ||
					view_of(n)->out->queued(
						view_of(n)->out_arg) < 2048);
		loop_run_once(r->loop, busy ? 20 : 0);
		quiet = busy ? 0 : quiet + 1;
	}
}

static void heard_add(char *to, size_t cap, const char *text, size_t len)
{
	size_t at = strlen(to);

	if (len > cap - at - 1)
		len = cap - at - 1;
	memcpy(to + at, text, len);
	to[at + len] = 0;
}

static void heard_out(void *arg, const char *text, size_t len)
{
	struct heard *h = arg;

	heard_add(h->out, sizeof(h->out), text, len);
}

static void heard_err(void *arg, const char *text, size_t len)
{
	struct heard *h = arg;

	heard_add(h->err, sizeof(h->err), text, len);
}

static void heard_done(void *arg, int code)
{
	struct heard *h = arg;

	ck_assert_int_eq(h->code, -1);
	h->code = code;
}

static void heard_raw(void *arg, enum proto_raw how)
{
	(void)arg;
	(void)how;
}

static const struct job_sink heard_sink = { .out = heard_out,
	.err = heard_err,
	.done = heard_done,
	.raw = heard_raw };

struct job *rig_begin(struct rig *r, struct heard *h, const char *line)
{
	struct proto_request q = { .cwd = strdup("/tmp"),
		.term = strdup("xterm"),
		.rows = 24,
		.cols = 80 };
	struct job *j;

	memset(h, 0, sizeof(*h));
	h->code = -1;
	ck_assert_int_eq(words_split(line, &q.argc, &q.argv), 0);
	j = job_run(&r->app, &q, &heard_sink, h);
	ck_assert_ptr_nonnull(j);
	return j;
}

void rig_run(struct rig *r, struct heard *h, const char *line)
{
	rig_begin(r, h, line);
	for (int i = 0; i < 4000 && h->code < 0; i++)
		loop_run_once(r->loop, 20);
	ck_assert_int_ge(h->code, 0);
}

/* ---- seats ---- */

static void seat_write(void *arg, const void *data, size_t len)
{
	struct seat *s = arg;

	s->bytes += len;
	vterm_input_write(s->vt, data, len);
}

static size_t seat_queued(void *arg)
{
	return ((struct seat *)arg)->queued;
}

static void seat_gone(void *arg)
{
	struct seat *s = arg;
	struct view *v = s->view;

	s->view = NULL;
	view_free(v, true);
}

static const struct view_out seat_out = { seat_write, seat_queued, seat_gone };

void seat_open(struct seat *s, struct rig *r, const char *term, int rows,
	int cols, bool utf8)
{
	struct view_opts o = { .term = term,
		.rows = rows,
		.cols = cols,
		.utf8 = utf8,
		.out = &seat_out,
		.arg = s };
	struct err e = ERR_NONE;
	VTermScreen *scr;

	memset(s, 0, sizeof(*s));
	s->rig = r;
	s->rows = rows;
	s->cols = cols;
	s->vt = vterm_new(rows, cols);
	vterm_set_utf8(s->vt, 1);
	scr = vterm_obtain_screen(s->vt);
	vterm_screen_enable_altscreen(scr, 1);
	vterm_screen_reset(scr, 1);
	if (view_new(&r->app, &o, &s->view, &e))
		ck_abort_msg("view_new: %s", e.msg);
	rig_host(r);
	rig_pump(r);
}

void seat_close(struct seat *s)
{
	if (s->view)
		view_free(s->view, true);
	vterm_free(s->vt);
}

void seat_type(struct seat *s, const char *keys)
{
	view_input(s->view, keys, strlen(keys));
	rig_pump(s->rig);
}

void seat_resize(struct seat *s, int rows, int cols)
{
	s->rows = rows;
	s->cols = cols;
	vterm_set_size(s->vt, rows, cols);
	view_resize(s->view, rows, cols);
	rig_pump(s->rig);
}

const char *seat_row(struct seat *s, int y)
{
	static char line[4096];
	VTermScreen *scr = vterm_obtain_screen(s->vt);
	size_t n = 0;

	for (int x = 0; x < s->cols && n < sizeof(line) - 8; x++) {
		VTermPos pos = { .row = y, .col = x };
		VTermScreenCell c;

		vterm_screen_get_cell(scr, pos, &c);
		if (c.chars[0] == UINT32_MAX)
			continue;
		n += text_utf8_put(c.chars[0] ? c.chars[0] : ' ', line + n);
	}
	while (n && line[n - 1] == ' ')
		n--;
	line[n] = 0;
	return line;
}

bool seat_shows(struct seat *s, const char *text)
{
	for (int y = 0; y < s->rows; y++)
		if (strstr(seat_row(s, y), text))
			return true;
	return false;
}

char *seat_dump(struct seat *s)
{
	static char dump[65536];
	size_t n = 0;

	dump[0] = 0;
	for (int y = 0; y < s->rows && n < sizeof(dump) - 4096; y++)
		n += (size_t)sprintf(dump + n, "%s\n", seat_row(s, y));
	return dump;
}

void seat_golden(struct seat *s, const char *name)
{
	const char *mode = getenv("GUESTDECK_GOLDEN");
	char path[256], want[65536];
	const char *is = seat_dump(s);
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "tests/unit/ui/golden/%s.txt", name);
	if (mode && !strcmp(mode, "write")) {
		f = fopen(path, "w");
		ck_assert_ptr_nonnull(f);
		fputs(is, f);
		fclose(f);
		return;
	}
	f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s is missing", path);
	n = fread(want, 1, sizeof(want) - 1, f);
	want[n] = 0;
	fclose(f);
	ck_assert_msg(!strcmp(want, is), "%s differs; the screen is\n%s", path,
		is);
}
