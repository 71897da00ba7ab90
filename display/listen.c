/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The address at which viewers find a guest: a Unix socket or a TCP port. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/io.h"

#include "display/display_impl.h"

#define LISTEN_BACKLOG 16

union listen_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Fill a from a numeric address; sets *loopback. 0 or -EINVAL. */
static int listen_parse(const struct display_listen *l, union listen_addr *a,
	socklen_t *len, bool *loopback, struct err *e)
{
	const char *addr = l->addr && *l->addr ? l->addr : "127.0.0.1";

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, addr, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(l->port);
		*len = sizeof(a->in);
		*loopback = (ntohl(a->in.sin_addr.s_addr) >> 24) == 127;
		return 0;
	}
	if (inet_pton(AF_INET6, addr, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(l->port);
		*len = sizeof(a->in6);
		*loopback = IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
		return 0;
	}
	return err_set(e, EINVAL,
		"cannot listen on '%.60s': give a numeric address, as "
		"127.0.0.1 or ::1",
		addr);
}

static void listen_name(const union listen_addr *a, char *out, size_t len)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (a->sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->in6.sin6_addr, text, sizeof(text));
		snprintf(out, len, "[%s]:%u", text, ntohs(a->in6.sin6_port));
		return;
	}
	inet_ntop(AF_INET, &a->in.sin_addr, text, sizeof(text));
	snprintf(out, len, "%s:%u", text, ntohs(a->in.sin_port));
}

static int listen_refused(int code, const char *address, struct err *e)
{
	if (code == EADDRINUSE)
		return err_set(e, code,
			"cannot listen for viewers on %s: the port is in use: "
			"give the guest another vnc display",
			address);
	return err_sys(e, code, "cannot listen for viewers on %s", address);
}

static int listen_tcp(const struct display_listen *l, char *address,
	struct err *e)
{
	union listen_addr a;
	socklen_t len = 0;
	bool loopback = false;
	int one = 1, fd, r;

	r = listen_parse(l, &a, &len, &loopback, e);
	if (r)
		return r;
	listen_name(&a, address, DISPLAY_ADDRESS_MAX);
	if (!loopback && !l->password_file && !l->viewonly_password_file)
		return err_set(e, EACCES,
			"cannot listen for viewers on %s without a password: "
			"set password-file, or listen on 127.0.0.1",
			address);
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, errno, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a.sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, &a.sa, len) || listen(fd, LISTEN_BACKLOG)) {
		r = listen_refused(errno, address, e);
		close(fd);
		return r;
	}
	/* port 0 became a real one */
	if (!getsockname(fd, &a.sa, &len))
		listen_name(&a, address, DISPLAY_ADDRESS_MAX);
	return fd;
}

int listener_open(struct listener *ln, const struct display_listen *l,
	char address[DISPLAY_ADDRESS_MAX], struct err *e)
{
	int fd, r;

	if (l->unix_path) {
		fd = io_unix_listen(l->unix_path, LISTEN_BACKLOG, e);
		if (fd < 0)
			return fd;
		snprintf(ln->unix_path, sizeof(ln->unix_path), "%s",
			l->unix_path);
		snprintf(address, DISPLAY_ADDRESS_MAX, "%s", l->unix_path);
	} else {
		fd = listen_tcp(l, address, e);
		if (fd < 0) {
			address[0] = 0;
			return fd;
		}
	}
	ln->fd = fd;
	r = io_nonblock(fd);
	if (r) {
		listener_close(ln);
		return err_sys(e, -r, "cannot listen for viewers");
	}
	return 0;
}

void listener_close(struct listener *ln)
{
	if (ln->fd < 0)
		return;
	loop_fd_del(&ln->watch);
	loop_timer_disarm(&ln->again);
	close(ln->fd);
	ln->fd = -1;
	if (ln->unix_path[0])
		unlink(ln->unix_path);
	ln->unix_path[0] = 0;
}
