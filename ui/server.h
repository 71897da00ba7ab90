/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that owns the guests: it listens on DIR/run/server.sock, runs
 * one loop for all clients and views, and ends by `server stop` or SIGTERM.
 */
#ifndef UI_SERVER_H
#define UI_SERVER_H

#include <stdbool.h>

#include "ui/app.h"
#include "ui/paths.h"

#define SERVER_ARG         "--server"
#define SERVER_CLIENTS_MAX 64

struct server {
	struct app app;
	const struct paths *paths;
	struct loop *loop;
	struct log *log;
	struct engine *engine;
	struct loop_fd listen, signals;
	struct loop_timer again; /* to listen, after a lack of descriptors */
	struct loop_timer quit;  /* the end of waiting for guests to stop */
	struct list conns;
	unsigned nconns;
	unsigned stops;   /* orders to end that came by signal */
	uint64_t stop_ns; /* when the first did */
	bool stopping;    /* by `server stop` */
	int lock_fd;
};

/*
 * Run the server until it is told to stop; main() calls it for SERVER_ARG.
 * ready_fd (or -1) gets "ok" or the reason why it cannot run, then is
 * closed. Returns the exit code.
 */
int server_main(const struct paths *p, int ready_fd);

/* What is written to ready_fd when it runs, and when another one does. */
#define SERVER_READY "ok\n"
#define SERVER_BUSY  "busy\n"

/* Clients come by the nonblocking socket fd, taken on success: 0 or -errno. */
int server_take_clients(struct server *s, int fd);
void server_take_no_more(struct server *s);
/* A client came in on socket fd (taken). */
void conn_new(struct server *s, int fd);
/* Close all. */
void conn_close_all(struct server *s);

#endif
