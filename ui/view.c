/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A view's life, its terminal and its frames. curses writes to a memfd, so
 * its write(2) never blocks or fails; each frame is read back from there and
 * handed on as one piece. A new size means a new SCREEN (see tscreen.h). The
 * next frame waits until that piece has left: curses' picture of the terminal
 * is then always right, and a slow line gets fewer frames instead of a queue.
 * Padding is off (NCURSES_NO_PADDING), input is decoded by keys.c, so nothing
 * in curses ever waits.
 */
#include "ui/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <term.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/io.h"

#include "ui/model.h"
#include "ui/protocol.h"
#include "ui/tscreen.h"

#define VIEW_QUEUE_LOW 2048 /* a frame is made below this */
#define VIEW_STALE_NS  (2 * NS_PER_S)

/* What curses wrote is not wanted. */
static void view_discard(struct view *v)
{
	int fd = fileno(v->tty_out);

	fflush(v->tty_out);
	if (ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET))
		v->clear = true;
}

/* What curses wrote goes on its way. */
static void view_flush(struct view *v)
{
	int fd = fileno(v->tty_out);
	off_t len;
	char *buf;

	fflush(v->tty_out);
	len = lseek(fd, 0, SEEK_END);
	if (len <= 0)
		return;
	buf = malloc((size_t)len);
	if (buf && !io_pread_full(fd, buf, (size_t)len, 0) && v->out)
		v->out->write(v->out_arg, buf, (size_t)len);
	free(buf);
	view_discard(v);
}

static void view_frame(void *arg)
{
	struct view *v = arg;

	if (!v->dirty || !v->out || v->leaving || !v->scr)
		return;
	if (v->out->queued && v->out->queued(v->out_arg) > VIEW_QUEUE_LOW)
		return; /* view_writable() comes */
	v->dirty = false;
	v->drawn_ns = clock_now_ns();
	set_term(v->scr);
	view_draw(v);
	view_flush(v);
}

void view_dirty(struct view *v, bool now)
{
	uint64_t due = v->drawn_ns + VIEW_FRAME_MS * NS_PER_MS;

	v->dirty = true;
	loop_timer_arm(&v->frame, now ? 1 : due);
}

void view_writable(struct view *v)
{
	if (v->dirty)
		view_frame(v);
}

static void view_leave(void *arg)
{
	struct view *v = arg;

	if (v->out)
		v->out->gone(v->out_arg);
}

/* A new SCREEN of the view's terminal. 0 or -ENOMEM. */
static int view_open_screen(struct view *v, int rows, int cols)
{
	v->scr = tscreen_open(v->term, v->tty_out, v->tty_in, rows, cols);
	if (!v->scr)
		return -ENOMEM;
	theme_init(&v->theme);
	nonl();
	keypad(stdscr, TRUE);
	leaveok(stdscr, FALSE);
	scrollok(stdscr, FALSE);
	typeahead(-1);
	return 0;
}

static void view_close_screen(struct view *v)
{
	if (v->scr)
		tscreen_close(v->scr);
	v->scr = NULL;
}

static int view_terminal(struct view *v, const struct view_opts *o,
	struct err *e)
{
	int fd = memfd_create("screen", MFD_CLOEXEC);

	v->tty_out = fd < 0 ? NULL : fdopen(fd, "w");
	v->tty_in = fopen("/dev/null", "re");
	if (!v->tty_out || !v->tty_in) {
		if (fd >= 0 && !v->tty_out)
			close(fd);
		return err_sys(e, errno, "cannot open a screen");
	}
	snprintf(v->term, sizeof(v->term), "%s", o->term);
	if (!tscreen_known(o->term, fd))
		return err_set(e, ENOTTY,
			"terminal type '%.40s' is not known here: set TERM, "
			"e.g. TERM=xterm-256color (or vt100)",
			o->term);
	if (view_open_screen(v, o->rows, o->cols))
		return err_sys(e, ENOMEM, "cannot open a screen");
	if (!cursor_address)
		return err_set(e, ENOTTY,
			"terminal type '%s' cannot place its cursor: use the "
			"verbs, see guestdeck help",
			v->term);
	keys_init(&v->keys);
	v->cv.theme = &v->theme;
	return 0;
}

/* The canvas is as large as the SCREEN that we really got. */
static void view_measure(struct view *v)
{
	getmaxyx(stdscr, v->rows, v->cols);
	v->cv.rows = v->rows;
	v->cv.cols = v->cols;
	v->clear = true;
	view_layout(v);
	view_dirty(v, true);
}

static void view_escape_late(void *arg);

int view_new(struct app *a, const struct view_opts *o, struct view **out,
	struct err *e)
{
	struct view *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_sys(e, ENOMEM, "cannot open a screen");
	list_init(&v->node);
	list_init(&v->jobs);
	v->app = a;
	v->cv.utf8 = o->utf8;
	v->cwd = strdup(o->cwd ? o->cwd : "/");
	loop_timer_init(&v->frame, a->loop, view_frame, v);
	loop_timer_init(&v->escape, a->loop, view_escape_late, v);
	loop_call_init(&v->leave, a->loop, view_leave, v);
	r = v->cwd ? view_terminal(v, o, e)
		   : err_sys(e, ENOMEM, "cannot open a screen");
	if (r) {
		view_free(v, false);
		return r;
	}
	v->out = o->out;
	v->out_arg = o->arg;
	list_add_tail(&a->views, &v->node);
	if (clock_now_ns() - a->model->sampled_ns > VIEW_STALE_NS)
		model_sample(a->model);
	view_measure(v);
	view_push(v, &scr_guests, NULL);
	if (!v->top) {
		view_free(v, false);
		return err_sys(e, ENOMEM, "cannot open a screen");
	}
	app_poke(a);
	*out = v;
	return 0;
}

void view_layout(struct view *v)
{
	for (struct screen *s = v->top; s; s = s->below) {
		int chrome = s->ops->full ? 0 : v->rows >= 6 ? 2 : 1;
		int h = v->rows > chrome ? v->rows - chrome : v->rows;
		bool changed = s->h != h || s->w != v->cols;

		s->y = 0;
		s->h = h;
		s->w = v->cols;
		if (changed && s->ops->resize)
			s->ops->resize(s);
	}
}

/* Its SCREEN is lost and cannot be had again: the view must end. */
static void view_lost(struct view *v)
{
	v->leaving = true;
	loop_call_schedule(&v->leave);
}

/* Let all that waits in curses be freed: nobody sees more than a redraw. */
static void view_renew_all(struct app *a)
{
	list_each (n, &a->views) {
		view_close_screen(view_of(n));
		view_discard(view_of(n));
	}
	list_each (n, &a->views) {
		struct view *v = view_of(n);

		if (view_open_screen(v, v->rows, v->cols))
			view_lost(v);
		else
			view_measure(v);
	}
}

void view_resize(struct view *v, int rows, int cols)
{
	proto_clamp_size(&rows, &cols);
	if (!v->scr)
		return;
	if (rows == v->rows && cols == v->cols) {
		set_term(v->scr);
		view_measure(v);
		return;
	}
	view_close_screen(v);
	view_flush(v);
	if (view_open_screen(v, rows, cols)) {
		view_lost(v);
		return;
	}
	view_measure(v);
	if (tscreen_crowded())
		view_renew_all(v->app);
}

void view_free(struct view *v, bool alive)
{
	if (!alive)
		v->out = NULL;
	list_del(&v->node);
	view_jobs_drop(v);
	view_complete_end(v);
	view_ask_end(v, false);
	while (v->top)
		view_pop(v);
	/* also for a dead terminal: it only writes to memory */
	view_close_screen(v);
	if (v->tty_out) {
		view_flush(v);
		fclose(v->tty_out);
	}
	if (tscreen_crowded())
		view_renew_all(v->app);
	if (v->tty_in)
		fclose(v->tty_in);
	w_history_fini(&v->history);
	free(v->cwd);
	/* last: what came before may have asked for a frame */
	loop_timer_disarm(&v->frame);
	loop_timer_disarm(&v->escape);
	loop_call_cancel(&v->leave);
	free(v);
}

void view_free_all(struct app *a)
{
	list_each_safe (n, tmp, &a->views) {
		struct view *v = view_of(n);

		v->out->gone(v->out_arg);
	}
}

void view_push(struct view *v, const struct screen_ops *ops, const char *arg)
{
	struct screen *s = calloc(1, ops->size);
	struct err e = ERR_NONE;

	if (!s) {
		view_message(v, ROLE_ERROR, "out of memory");
		return;
	}
	s->ops = ops;
	s->view = v;
	if (ops->init && ops->init(s, arg, &e)) {
		view_message(v, ROLE_ERROR, "%s", e.msg);
		free(s);
		return;
	}
	s->below = v->top;
	v->top = s;
	v->message[0] = 0;
	view_layout(v);
	if (ops->update)
		ops->update(s);
	view_dirty(v, true);
}

void view_pop(struct view *v)
{
	struct screen *s = v->top;

	v->top = s->below;
	if (s->ops->free)
		s->ops->free(s);
	free(s);
	if (v->top && v->top->ops->update)
		v->top->ops->update(v->top);
	if (v->top)
		view_jobs_show(v);
	view_dirty(v, true);
}

void view_event(struct view *v, const struct engine_event *ev)
{
	if (ev->kind == ENGINE_EV_STATE && ev->state == GUEST_CRASHED)
		view_message(v, ROLE_ERROR, "%s crashed: %s", ev->guest,
			ev->why);
	if (v->top && v->top->ops->update)
		v->top->ops->update(v->top);
	view_dirty(v, false);
}

void view_tick(struct view *v)
{
	if (v->top && v->top->ops->update)
		v->top->ops->update(v->top);
	view_dirty(v, false);
}

/* All keys that are whole; a lone ESC waits for its timer. */
static void view_keys(struct view *v, bool late)
{
	struct key k;

	while (!v->leaving && keys_next(&v->keys, late, &k))
		view_key(v, &k);
	if (v->leaving)
		loop_call_schedule(&v->leave);
	else if (keys_waiting(&v->keys))
		loop_timer_arm(&v->escape,
			clock_now_ns() + KEYS_ESC_MS * NS_PER_MS);
}

static void view_escape_late(void *arg)
{
	view_keys(arg, true);
}

void view_input(struct view *v, const void *data, size_t len)
{
	const char *p = data;

	loop_timer_disarm(&v->escape);
	while (len && !v->leaving) {
		size_t n = keys_put(&v->keys, p, len);

		p += n;
		len -= n;
		/* a full buffer without a whole key is rubbish: move on */
		view_keys(v, n == 0);
	}
}
