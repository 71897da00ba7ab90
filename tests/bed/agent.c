/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bed's first process (pid 1) once the roots are switched: takes a
 * command from tests/bed/bed through a virtio serial port, runs it on a
 * terminal or on pipes, carries its input and output, tells how it ended and
 * powers off. It also carries forwarded TCP ports to the loopback address,
 * where the project's servers listen. Built static, so that it starts
 * at once and asks nothing of the root.
 *
 * Both ways go frames: a letter, three bytes of length (little endian), data.
 * To us: A argument, E environment, D folder, T terminal "ROWS COLS", F
 * "OUTER INNER" ports, G go, I input (empty = end), W new size, S signal, N
 * nothing (its interrupt is what counts).
 * From us: H ready, O output, R error output, X exit status, M a message.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_PATH "/dev/vport0p1"
#define FRAME_MAX 32768
#define ARGS_MAX  4096
#define OUTER_IP  "10.0.2.15"

static int port = -1;

static char *args[ARGS_MAX + 1], *env[ARGS_MAX + 1];
static int nargs, nenv;
static char *folder;
static bool tty;
static struct winsize size = { 24, 80, 0, 0 };

static pid_t child = -1;
static int child_in = -1, child_out = -1, child_err = -1;

/* input that the child did not take yet */
static char pending[FRAME_MAX];
static size_t pending_len;
static bool pending_end;

/* Frames. */

static void write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static void send_frame(char type, const void *buf, size_t len)
{
	char frame[4 + FRAME_MAX];

	frame[0] = type;
	frame[1] = (char)(len & 0xff);
	frame[2] = (char)(len >> 8 & 0xff);
	frame[3] = (char)(len >> 16);
	memcpy(frame + 4, buf, len);
	write_all(port, frame, 4 + len);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	send_frame('M', line, strlen(line));
}

static void finish(int status)
{
	char text[16];

	sync();
	snprintf(text, sizeof(text), "%d", status);
	send_frame('X', text, strlen(text));
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void read_all(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) { /* nobody is there any more */
			sync();
			reboot(RB_POWER_OFF);
			pause();
		}
		p += n;
		len -= (size_t)n;
	}
}

/* Read a frame, ended with a zero byte, into buf. Returns its letter. */
static char read_frame(char *buf, size_t *len)
{
	unsigned char head[4];

	read_all(port, head, sizeof(head));
	*len = head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16;
	if (*len > FRAME_MAX) {
		say("a frame of %zu bytes", *len);
		finish(125);
	}
	read_all(port, buf, *len);
	buf[*len] = 0;
	return (char)head[0];
}

/* Forwarded ports. */

static void relay_half(int from, int to, bool *open)
{
	char buf[16384];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n > 0) {
		write_all(to, buf, (size_t)n);
		return;
	}
	shutdown(to, SHUT_WR);
	*open = false;
}

static void relay(int a, int b)
{
	struct pollfd p[2] = { { a, POLLIN, 0 }, { b, POLLIN, 0 } };
	bool open[2] = { true, true };

	while (open[0] || open[1]) {
		p[0].fd = open[0] ? a : -1;
		p[1].fd = open[1] ? b : -1;
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents)
			relay_half(a, b, &open[0]);
		if (p[1].revents)
			relay_half(b, a, &open[1]);
	}
}

static struct sockaddr_in address(const char *ip, int number)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };

	sa.sin_port = htons((uint16_t)number);
	inet_pton(AF_INET, ip, &sa.sin_addr);
	return sa;
}

/* A process that accepts on the outer port and one a connection. */
static void forward(const char *spec)
{
	int outer = 0, inner = 0, on = 1, s, c, to;
	struct sockaddr_in sa;

	if (sscanf(spec, "%d %d", &outer, &inner) != 2)
		return;
	s = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	sa = address(OUTER_IP, outer);
	if (bind(s, (struct sockaddr *)&sa, sizeof(sa)) || listen(s, 16)) {
		say("cannot forward port %d: %s", inner, strerror(errno));
		finish(125);
	}
	if (fork()) {
		close(s);
		return;
	}
	close(port);
	signal(SIGCHLD, SIG_IGN);
	sa = address("127.0.0.1", inner);
	while ((c = accept(s, NULL, NULL)) >= 0) {
		if (!fork()) {
			close(s);
			to = socket(AF_INET, SOCK_STREAM, 0);
			if (connect(to, (struct sockaddr *)&sa, sizeof(sa)))
				_exit(0);
			setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on,
				sizeof(on));
			setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &on,
				sizeof(on));
			relay(c, to);
			_exit(0);
		}
		close(c);
	}
	_exit(0);
}

/* The command. */

static void add(char **list, int *n, const char *text)
{
	if (*n == ARGS_MAX) {
		say("more than %d arguments", ARGS_MAX);
		finish(125);
	}
	list[(*n)++] = strdup(text);
}

static void set_size(const char *text)
{
	int rows, cols;

	if (sscanf(text, "%d %d", &rows, &cols) != 2)
		return;
	size.ws_row = (unsigned short)rows;
	size.ws_col = (unsigned short)cols;
	if (child_out >= 0)
		ioctl(child_out, TIOCSWINSZ, &size);
}

static void get_command(void)
{
	static char buf[FRAME_MAX + 1];
	size_t len;

	for (;;) {
		switch (read_frame(buf, &len)) {
		case 'A':
			add(args, &nargs, buf);
			break;
		case 'E':
			add(env, &nenv, buf);
			break;
		case 'D':
			free(folder);
			folder = strdup(buf);
			break;
		case 'T':
			tty = true;
			set_size(buf);
			break;
		case 'F':
			forward(buf);
			break;
		case 'G':
			return;
		}
	}
}

static void exec_command(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (!folder || chdir(folder))
		if (chdir("/"))
			_exit(126);
	environ = env;
	execvp(args[0], args);
	fprintf(stderr, "bed: %s: %s\n", args[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void start_on_tty(void)
{
	child = forkpty(&child_out, NULL, NULL, &size);
	if (!child) {
		close(port);
		exec_command();
	}
	child_in = child_out;
}

static void start_on_pipes(void)
{
	int in[2], out[2], errs[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ||
		pipe2(errs, O_CLOEXEC)) {
		say("no pipe: %s", strerror(errno));
		finish(125);
	}
	child = fork();
	if (!child) {
		close(port);
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(errs[1], 2);
		exec_command();
	}
	close(in[0]);
	close(out[1]);
	close(errs[1]);
	child_in = in[1];
	child_out = out[0];
	child_err = errs[0];
}

static void start(void)
{
	if (tty)
		start_on_tty();
	else
		start_on_pipes();
	if (child < 0) {
		say("cannot start %s: %s", args[0], strerror(errno));
		finish(125);
	}
	fcntl(child_in, F_SETFL, O_NONBLOCK);
	fcntl(child_out, F_SETFL, O_NONBLOCK);
	if (child_err >= 0)
		fcntl(child_err, F_SETFL, O_NONBLOCK);
}

/* While it runs. */

static void feed(void)
{
	while (pending_len) {
		ssize_t n = write(child_in, pending, pending_len);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			n = (ssize_t)pending_len; /* it reads no more */
		pending_len -= (size_t)n;
		memmove(pending, pending + n, pending_len);
	}
	if (pending_end && !tty && child_in >= 0) {
		close(child_in);
		child_in = -1;
	}
}

static void take_frame(void)
{
	static char buf[FRAME_MAX + 1];
	size_t len;

	switch (read_frame(buf, &len)) {
	case 'I':
		if (child_in < 0)
			break;
		memcpy(pending, buf, len);
		pending_len = len;
		pending_end = !len;
		feed();
		break;
	case 'W':
		set_size(buf);
		break;
	case 'S':
		kill(-child, atoi(buf));
		break;
	}
}

/* Send on what *fd has. Returns false when it has no more now. */
static bool carry(int *fd, char type)
{
	char buf[FRAME_MAX];
	ssize_t n;

	if (*fd < 0)
		return false;
	n = read(*fd, buf, sizeof(buf));
	if (n > 0) {
		send_frame(type, buf, (size_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (*fd == child_in)
		child_in = -1; /* the terminal's one descriptor */
	close(*fd);
	*fd = -1;
	return false;
}

/* Reap all; true when the command is among them. */
static bool reap(int *status)
{
	bool ended = false;
	pid_t pid;
	int st;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		if (pid != child)
			continue;
		ended = true;
		*status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
	}
	return ended;
}

static int run(int sigfd)
{
	struct pollfd p[5];
	struct signalfd_siginfo si;
	int status = 0;

	for (;;) {
		p[0] = (struct pollfd){ sigfd, POLLIN, 0 };
		p[1] = (struct pollfd){ pending_len ? -1 : port, POLLIN, 0 };
		p[2] = (struct pollfd){ child_out, POLLIN, 0 };
		p[3] = (struct pollfd){ child_err, POLLIN, 0 };
		p[4] = (struct pollfd){ pending_len ? child_in : -1, POLLOUT,
			0 };
		if (poll(p, 5, -1) < 0)
			continue;
		if (p[2].revents)
			carry(&child_out, 'O');
		if (p[3].revents)
			carry(&child_err, 'R');
		if (p[4].revents)
			feed();
		if (p[1].revents)
			take_frame();
		if (p[0].revents &&
			read(sigfd, &si, sizeof(si)) == sizeof(si) &&
			reap(&status))
			break;
	}
	while (carry(&child_out, 'O') || carry(&child_err, 'R'))
		;
	return status;
}

int main(void)
{
	sigset_t chld;
	int sigfd;

	port = open(PORT_PATH, O_RDWR | O_CLOEXEC);
	if (port < 0) {
		perror("BED: " PORT_PATH);
		reboot(RB_POWER_OFF);
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	sigfd = signalfd(-1, &chld, SFD_CLOEXEC);
	send_frame('H', "", 0);
	get_command();
	if (!nargs)
		finish(125);
	start();
	finish(run(sigfd));
}
