/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `guestdeck run FILE`: one guest in the foreground with an engine of its
 * own and no server, for service managers and for trying things. Its serial
 * console is on the standard streams. State lives in a private folder that
 * is removed at the end. SIGTERM (SIGINT, SIGHUP) presses the power button
 * and cuts the power when time is up; a second one cuts it at once.
 *
 * Threads: main runs the loop; the engine's thread only schedules calls.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vm/base/io.h"

#include "ui/client.h"
#include "ui/feed.h"
#include "ui/process.h"
#include "ui/tty.h"

#define RUN_ESCAPE 0x1d /* ^] */
#define RUN_CHUNK  1024
#define RUN_STOP_S 60

struct run {
	struct loop *loop;
	struct engine *engine;
	char guest[CONF_NAME_MAX + 1];
	char dir[PATHS_DIR_MAX];
	struct log *log;
	struct feed feed;
	struct loop_fd in, out, signals;
	sigset_t old_mask;
	struct loop_call changed; /* the engine said something */
	struct loop_call command; /* a command has ended */
	_Atomic int command_code; /* how; published by the call */
	char command_text[sizeof(((struct err *)0)->msg)];
	unsigned stop_timeout_ms;
	unsigned orders; /* to end, by signal or key */
	bool started, raw, escaped;
	bool out_direct; /* standard output is no terminal, pipe or socket */
	int code;
};

/* Engine's thread. One command is under way at a time. */
static void run_done(void *arg, const struct err *e)
{
	struct run *r = arg;

	snprintf(r->command_text, sizeof(r->command_text), "%s", e->msg);
	atomic_store(&r->command_code, e->code);
	loop_call_schedule(&r->command);
}

/* Engine's thread; how a kill or a press went shows in the state. */
static void run_done_unheard(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
}

static void run_watch(void *arg, const struct engine_event *ev)
{
	struct run *r = arg;

	(void)ev;
	loop_call_schedule(&r->changed);
}

static void run_order(struct run *r, enum engine_verb verb,
	void (*done)(void *arg, const struct err *e))
{
	struct engine_command c = {
		.verb = verb,
		.timeout_ms = r->stop_timeout_ms,
		.done = done,
		.arg = r,
	};

	strcpy(c.guest, r->guest);
	engine_command(r->engine, &c);
}

static void run_end(struct run *r)
{
	if (!r->started) {
		r->code = UI_FAIL;
		loop_stop(r->loop);
		return;
	}
	if (r->orders++)
		run_order(r, ENGINE_KILL, run_done_unheard);
	else
		run_order(r, ENGINE_STOP, run_done);
}

/* Write what the guest said; the last time all of it. */
static void run_pump(struct run *r, bool last)
{
	char buf[RUN_CHUNK];
	size_t n;

	while ((n = feed_read(&r->feed, buf, sizeof(buf)))) {
		if (io_write_full(STDOUT_FILENO, buf, n))
			return;
		if (!last && !r->out_direct)
			break; /* the loop says when there is room again */
	}
	if (!r->out_direct && !last && feed_at_end(&r->feed))
		loop_fd_mod(&r->out, 0);
}

static void run_out(void *arg, uint32_t events)
{
	struct run *r = arg;

	if (events & (EPOLLERR | EPOLLHUP)) { /* nobody reads any more */
		loop_fd_del(&r->out);
		r->out_direct = false;
		feed_listen(&r->feed, false);
		return;
	}
	run_pump(r, false);
}

static void run_output(void *arg)
{
	struct run *r = arg;

	if (r->out_direct)
		run_pump(r, false);
	else if (r->out.loop)
		loop_fd_mod(&r->out, EPOLLOUT);
}

static void run_key(struct run *r, char c)
{
	if (!r->escaped && c == RUN_ESCAPE && r->raw) {
		r->escaped = true;
		return;
	}
	if (r->escaped) {
		r->escaped = false;
		if (c == 'q') {
			r->orders++;
			run_end(r);
			return;
		}
		if (c == 's') {
			run_order(r, ENGINE_STOP, run_done_unheard);
			return;
		}
		if (c != RUN_ESCAPE) {
			fprintf(stderr, "\r\n^] q quit  ^] s power button  "
					"^] ^] send ^]\r\n");
			return;
		}
	}
	feed_input(&r->feed, &c, 1);
}

static void run_in(void *arg, uint32_t events)
{
	struct run *r = arg;
	char buf[256];
	ssize_t n;

	(void)events;
	if (r->feed.input.len > FEED_INPUT_MAX / 2) {
		loop_fd_mod(&r->in, 0); /* until the guest has taken it */
		return;
	}
	n = read(STDIN_FILENO, buf, sizeof(buf));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		loop_fd_del(&r->in);
	for (ssize_t i = 0; i < n; i++)
		run_key(r, buf[i]);
}

static void run_drained(void *arg)
{
	struct run *r = arg;

	if (r->in.loop)
		loop_fd_mod(&r->in, EPOLLIN);
}

static void run_signal(void *arg, uint32_t events)
{
	struct run *r = arg;
	struct signalfd_siginfo si;

	(void)events;
	if (read(r->signals.fd, &si, sizeof(si)) == sizeof(si))
		run_end(r);
}

/* The guest's board is up: connect its serial console. */
static void run_started(struct run *r)
{
	struct err e = ERR_NONE;

	r->started = true;
	if (feed_open(&r->feed, r->engine, r->loop, r->guest, &e))
		return;
	r->feed.output = run_output;
	r->feed.drained = run_drained;
	r->feed.arg = r;
	r->out_direct = loop_fd_add(r->loop, &r->out, STDOUT_FILENO, 0, run_out,
				r) != 0;
	/* a file or /dev/null as input has nothing to wait for */
	loop_fd_add(r->loop, &r->in, STDIN_FILENO, EPOLLIN, run_in, r);
	if (tty_is() && !tty_raw(&e))
		r->raw = true;
	feed_listen(&r->feed, true);
	run_output(r);
}

static void run_command_ended(void *arg)
{
	struct run *r = arg;
	int code = atomic_load(&r->command_code);

	if (!r->started) {
		if (!code) {
			run_started(r);
			return;
		}
		r->code = client_fail("%s", r->command_text);
		loop_stop(r->loop);
	} else if (code == ETIMEDOUT) {
		fprintf(stderr,
			"guestdeck: %s did not power off in time: "
			"cutting its power\r\n",
			r->guest);
		run_order(r, ENGINE_KILL, run_done_unheard);
	}
}

static void run_changed(void *arg)
{
	struct run *r = arg;
	struct guest_info g;

	if (!r->started || engine_info(r->engine, r->guest, &g))
		return;
	if (g.state != GUEST_OFF && g.state != GUEST_CRASHED)
		return;
	if (r->feed.console)
		run_pump(r, true);
	tty_restore();
	if (g.state == GUEST_CRASHED)
		r->code = client_fail("%s crashed: %s", r->guest, g.why);
	loop_stop(r->loop);
}

static int run_catch(struct run *r, struct err *e)
{
	sigset_t set;
	int fd;

	process_for_guests();
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &r->old_mask);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "cannot make a signalfd");
	return loop_fd_add(r->loop, &r->signals, fd, EPOLLIN, run_signal, r);
}

static int run_folder(struct run *r, struct err *e)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (!base || *base != '/')
		base = "/tmp";
	if (snprintf(r->dir, sizeof(r->dir), "%s/guestdeck-run-XXXXXX", base) >=
		(int)sizeof(r->dir))
		return err_set(e, ENAMETOOLONG, "XDG_RUNTIME_DIR is too long");
	if (!mkdtemp(r->dir)) {
		r->dir[0] = 0;
		return err_sys(e, errno, "cannot make a folder in %s", base);
	}
	return 0;
}

static int run_up(struct run *r, const struct paths *p, const struct conf *c,
	struct err *e)
{
	struct engine_opts o = {
		.dir = r->dir,
		.exe = p->exe,
		.ephemeral = true,
	};
	char path[PATHS_MAX];
	int ret = run_folder(r, e);

	if (!ret)
		ret = loop_new(&r->loop, e);
	if (!ret)
		ret = run_catch(r, e);
	/* on a terminal the log would be written over the guest's lines */
	snprintf(path, sizeof(path), "%s/run.log", r->dir);
	if (!ret && isatty(STDERR_FILENO))
		ret = log_open(path, &r->log, e);
	o.log = r->log;
	if (!ret)
		ret = engine_new(&o, &r->engine, e);
	if (ret)
		return ret;
	loop_call_init(&r->changed, r->loop, run_changed, r);
	loop_call_init(&r->command, r->loop, run_command_ended, r);
	strcpy(r->guest, c->name);
	ret = engine_define(r->engine, c, false, e);
	if (ret)
		return ret;
	engine_watch(r->engine, run_watch, r);
	run_order(r, ENGINE_START, run_done);
	return 0;
}

static int run_remove(const char *path, const struct stat *st, int type,
	struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void run_down(struct run *r)
{
	tty_restore();
	if (r->engine) {
		engine_watch(r->engine, NULL, NULL);
		loop_fd_del(&r->in);
		loop_fd_del(&r->out);
		feed_close(&r->feed);
		engine_free(r->engine);
		loop_call_cancel(&r->changed);
		loop_call_cancel(&r->command);
	}
	if (r->signals.loop) {
		int fd = r->signals.fd;

		loop_fd_del(&r->signals);
		close(fd);
		sigprocmask(SIG_SETMASK, &r->old_mask, NULL);
	}
	if (r->loop)
		loop_free(r->loop);
	log_close(r->log);
	if (*r->dir)
		nftw(r->dir, run_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static int run_timeout(const struct cmd_args *a, unsigned *out)
{
	const char *s = cmd_opt(a, "--timeout");
	char *end;
	unsigned long v = s ? strtoul(s, &end, 10) : RUN_STOP_S;

	if (s && (*s < '0' || *s > '9' || *end || v > 86400)) {
		client_fail("run: --timeout takes 0 to 86400 seconds, not "
			    "'%s'",
			s);
		return UI_USAGE;
	}
	*out = (unsigned)v * 1000;
	return UI_OK;
}

int client_run(struct client *c, const struct cmd_args *a)
{
	struct conf *conf = malloc(sizeof(*conf));
	struct run *r = calloc(1, sizeof(*r));
	struct err e = ERR_NONE;
	int code = UI_FAIL;

	if (!conf || !r) {
		client_fail("out of memory");
		goto out;
	}
	code = run_timeout(a, &r->stop_timeout_ms);
	if (code)
		goto out;
	code = UI_FAIL;
	if (conf_read(a->operand[0], conf, &e)) {
		client_fail("%s", e.msg);
		goto out;
	}
	if (run_up(r, c->paths, conf, &e))
		r->code = client_fail("%s", e.msg);
	else
		loop_run(r->loop);
	code = r->code;
	run_down(r);
out:
	free(conf);
	free(r);
	return code;
}
