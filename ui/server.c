/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The server's life: one a state folder (flock on run/server.lock), no
 * controlling terminal, its own log. It stays when nobody is attached and no
 * guest runs, so that definitions and consoles of ended guests can be read;
 * `guestdeck server stop` ends it.
 *
 * SIGTERM and SIGINT press every guest's power button, and end the server
 * when all are off or after a minute; a second one ends it at once.
 */
#include "ui/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/io.h"

#include "ui/guests.h"
#include "ui/model.h"
#include "ui/process.h"
#include "ui/tscreen.h"
#include "ui/view.h"

#define SERVER_STOP_NS  (60 * NS_PER_S)
#define SERVER_AGAIN_NS (NS_PER_S / 2) /* pause without descriptors */

static void server_accept(void *arg, uint32_t events)
{
	struct server *s = arg;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd;

	(void)events;
	/* cppcheck-suppress nullPointer */
	fd = accept4(s->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			errno == ENOMEM) {
			/* or the loop would spin on it */
			loop_fd_mod(&s->listen, 0);
			loop_timer_arm(&s->again,
				clock_now_ns() + SERVER_AGAIN_NS);
		}
		return;
	}
	/* the socket's mode says it already; a folder can be opened up */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) ||
		(peer.uid != geteuid() && peer.uid != 0) ||
		s->nconns >= SERVER_CLIENTS_MAX) {
		close(fd);
		return;
	}
	conn_new(s, fd);
}

static void server_accept_again(void *arg)
{
	struct server *s = arg;

	loop_fd_mod(&s->listen, EPOLLIN);
}

int server_take_clients(struct server *s, int fd)
{
	loop_timer_init(&s->again, s->loop, server_accept_again, s);
	return loop_fd_add(s->loop, &s->listen, fd, EPOLLIN, server_accept, s);
}

void server_take_no_more(struct server *s)
{
	if (!s->listen.loop)
		return;
	loop_timer_disarm(&s->again);
	loop_fd_del(&s->listen);
	close(s->listen.fd);
}

/* A moment later, so that who asked gets its answer. */
static void server_stop(void *arg)
{
	struct server *s = arg;

	s->stopping = true;
	loop_timer_arm(&s->quit, clock_now_ns() + 50 * NS_PER_MS);
}

static unsigned server_clients(void *arg)
{
	const struct server *s = arg;

	return s->nconns;
}

static void server_quit_check(void *arg);

/* Engine's thread; the state is what counts. */
static void server_stopped(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
}

/* Press every guest's power button. */
static void server_stop_guests(struct server *s)
{
	struct guest_info *g = NULL;
	int n = guests_list(s->engine, &g);

	for (int i = 0; i < n; i++) {
		struct engine_command c = {
			.verb = ENGINE_STOP,
			.done = server_stopped,
		};

		if (!model_alive(g[i].state))
			continue;
		strcpy(c.guest, g[i].name);
		engine_command(s->engine, &c);
	}
	free(g);
}

static void server_signal(void *arg, uint32_t events)
{
	struct server *s = arg;
	struct signalfd_siginfo si;

	(void)events;
	if (read(s->signals.fd, &si, sizeof(si)) != sizeof(si))
		return;
	log_msg(s->log, LOG_INFO, "signal %u: stopping", si.ssi_signo);
	if (s->stops++) {
		loop_stop(s->loop);
		return;
	}
	server_stop_guests(s);
	s->stop_ns = clock_now_ns();
	server_quit_check(s);
}

/* End now? Asked four times a second from SIGTERM on. */
static void server_quit_check(void *arg)
{
	struct server *s = arg;
	uint64_t now = clock_now_ns();

	model_refresh(s->app.model);
	if (s->stopping || !model_running(s->app.model) ||
		now - s->stop_ns > SERVER_STOP_NS)
		loop_stop(s->loop);
	else
		loop_timer_arm(&s->quit, now + NS_PER_S / 4);
}

static int server_signals(struct server *s, struct err *e)
{
	sigset_t set;
	int fd;

	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, errno, "cannot make a signalfd");
	return loop_fd_add(s->loop, &s->signals, fd, EPOLLIN, server_signal, s);
}

/* One server a folder: -EBUSY when another one runs. */
static int server_lock(struct server *s, struct err *e)
{
	char pid[32];
	int n;

	s->lock_fd = open(s->paths->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return err_sys(e, errno, "cannot open %s", s->paths->lock);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB))
		return err_set(e, EBUSY, "another server runs in %s",
			s->paths->dir);
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(s->lock_fd, 0) || write(s->lock_fd, pid, (size_t)n) < 0)
		return err_sys(e, errno, "cannot write %s", s->paths->lock);
	return 0;
}

static int server_engine(struct server *s, struct err *e)
{
	struct engine_opts o = {
		.dir = s->paths->dir,
		.exe = s->paths->exe,
		.log = s->log,
	};

	return engine_new(&o, &s->engine, e);
}

static int server_listen(struct server *s, struct err *e)
{
	int fd = io_unix_listen(s->paths->socket, 16, e);
	int r;

	if (fd < 0)
		return fd;
	io_nonblock(fd);
	r = server_take_clients(s, fd);
	if (!r)
		return 0;
	close(fd);
	return err_sys(e, -r, "cannot watch %s", s->paths->socket);
}

static int server_up(struct server *s, struct err *e)
{
	int r = paths_make(s->paths, e);

	if (!r)
		r = server_lock(s, e);
	if (!r)
		r = log_open(s->paths->server_log, &s->log, e);
	if (!r)
		r = loop_new(&s->loop, e);
	if (!r)
		r = server_signals(s, e);
	if (!r)
		r = server_engine(s, e);
	if (!r) {
		r = app_init(&s->app, s->engine, s->loop, s->log, e);
		if (r) {
			engine_free(s->engine);
			s->engine = NULL;
		}
	}
	if (r)
		return r;
	s->app.paths = s->paths;
	s->app.stop = server_stop;
	s->app.clients = server_clients;
	s->app.server = s;
	loop_timer_init(&s->quit, s->loop, server_quit_check, s);
	return server_listen(s, e);
}

static void server_unlisten(struct server *s)
{
	if (!s->listen.loop)
		return;
	server_take_no_more(s);
	unlink(s->paths->socket);
}

/*
 * Clients first, then guests, then what both used. The client that asked for
 * the stop keeps its socket until the process has ended: that is how it
 * knows.
 */
static void server_down(struct server *s)
{
	server_unlisten(s);
	if (s->engine) {
		view_free_all(&s->app);
		conn_close_all(s);
		app_quiesce(&s->app);
		engine_free(s->engine);
		app_fini(&s->app);
	}
	if (s->signals.loop) {
		int fd = s->signals.fd;

		loop_timer_disarm(&s->quit);
		loop_fd_del(&s->signals);
		close(fd);
	}
	if (s->loop)
		loop_free(s->loop);
	log_msg(s->log, LOG_INFO, "server ends");
	log_close(s->log);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
}

static void server_tell(int fd, const char *text)
{
	if (fd < 0)
		return;
	io_write_full(fd, text, strlen(text));
	close(fd);
}

static void server_environment(void)
{
	process_for_guests();
	tscreen_environment();
	/* curses would handle these */
	signal(SIGTSTP, SIG_IGN);
	signal(SIGWINCH, SIG_IGN);
	umask(077);
}

int server_main(const struct paths *p, int ready_fd)
{
	struct server s = { .paths = p, .lock_fd = -1 };
	struct err e = ERR_NONE;
	int r;

	list_init(&s.conns);
	list_init(&s.app.views);
	server_environment();
	r = server_up(&s, &e);
	if (r == -EBUSY) {
		server_tell(ready_fd, SERVER_BUSY);
	} else if (r) {
		log_msg(s.log, LOG_ERROR, "%s", e.msg);
		server_tell(ready_fd, e.msg);
	} else {
		log_msg(s.log, LOG_INFO, "server runs, pid %d", (int)getpid());
		server_tell(ready_fd, SERVER_READY);
		loop_run(s.loop);
	}
	server_down(&s);
	return r ? 1 : 0;
}
