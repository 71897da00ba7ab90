/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding the server, or starting it: this program again with SERVER_ARG, in
 * a session of its own, its output in its log. A pipe tells when it listens,
 * or why it cannot. Two clients that start one at the same time both end up
 * with the one that got the lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/base/clock.h"
#include "vm/base/io.h"

#include "ui/client.h"
#include "ui/server.h"

#define SPAWN_WAIT_NS  (20 * NS_PER_S) /* to say that it is ready */
#define SPAWN_OTHER_MS 50              /* between looks for another's server */

/* In the child: become the server. Never returns. */
static void spawn_exec(const struct paths *p, int ready)
{
	char fd[16];
	int null = open("/dev/null", O_RDWR);
	int log = open(p->server_log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 ||
		dup2(log, 2) < 0 || dup2(ready, 3) < 0)
		_exit(127);
	/* what the user's shell left open is none of the server's business */
	close_range(4, ~0U, 0);
	snprintf(fd, sizeof(fd), "%d", 3);
	if (chdir("/"))
		_exit(127);
	setenv("GUESTDECK_DIR", p->dir, 1);
	execl(p->exe, "guestdeck", SERVER_ARG, fd, (char *)NULL);
	_exit(127);
}

/* Start it as nobody's child but init's. 0 or -errno. */
static int spawn_fork(const struct paths *p, int ready, struct err *e)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return err_sys(e, errno, "cannot start the server");
	if (pid == 0) {
		setsid();
		pid = fork();
		if (pid == 0)
			spawn_exec(p, ready);
		_exit(pid < 0 ? 1 : 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			break;
	return 0;
}

/* Read what the server says of its start into text; "" = it just ended. */
static void spawn_hear(int fd, char *text, size_t len)
{
	uint64_t end = clock_now_ns() + SPAWN_WAIT_NS;
	size_t have = 0;

	while (have < len - 1) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_now_ns();
		ssize_t n;

		if (now >= end)
			break;
		n = poll(&p, 1, (int)((end - now) / NS_PER_MS) + 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		n = read(fd, text + have, len - 1 - have);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	text[have] = 0;
}

static int spawn_start(const struct paths *p, struct err *e)
{
	char text[sizeof(e->msg)];
	int fds[2], r;

	r = paths_make(p, e);
	if (r)
		return r;
	if (pipe2(fds, O_CLOEXEC))
		return err_sys(e, errno, "cannot start the server");
	r = spawn_fork(p, fds[1], e);
	close(fds[1]);
	if (!r)
		spawn_hear(fds[0], text, sizeof(text));
	close(fds[0]);
	if (r)
		return r;
	if (!strcmp(text, SERVER_READY) || !strcmp(text, SERVER_BUSY))
		return 0;
	if (!*text)
		return err_set(e, EIO, "the server did not start, see %s",
			p->server_log);
	return err_set(e, EIO, "the server did not start: %s", text);
}

int client_connect(const struct paths *p, bool start, struct err *e)
{
	uint64_t end = clock_now_ns() + SPAWN_WAIT_NS;
	int fd = io_unix_connect(p->socket, e), r;

	if (fd >= 0 || (fd != -ENOENT && fd != -ECONNREFUSED))
		return fd;
	if (!start)
		return err_set(e, ENOENT, "no server is running in %s", p->dir);
	r = spawn_start(p, e);
	if (r)
		return r;
	/* "busy" may mean one that is starting, or ending, just now */
	while ((fd = io_unix_connect(p->socket, e)) < 0) {
		if (clock_now_ns() > end ||
			(fd != -ENOENT && fd != -ECONNREFUSED))
			return fd;
		poll(NULL, 0, SPAWN_OTHER_MS);
		r = spawn_start(p, e);
		if (r)
			return r;
	}
	return fd;
}
