/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The front of the VNC server: it owns the clients' sockets, does the
 * handshake and authentication, sieves what clients say, keeps a bounded
 * queue to each, and gives the encoder only sockets on which nothing can go
 * wrong. One thread, no locks, nothing blocks.
 */
#ifndef DISPLAY_VIEWER_FRONT_H
#define DISPLAY_VIEWER_FRONT_H

#include "vm/base/loop.h"

#include "display/proto.h"

struct front;
struct vnc;

/* Say something to the engine. Never fails: without it the process ends. */
typedef void (*front_send_fn)(void *arg, const struct viewer_msg *m);

/* loop and vnc are borrowed. 0 or -errno. */
int front_new(struct loop *l, struct vnc *vnc, front_send_fn send, void *arg,
	struct front **out, struct err *e);
/* Closes all clients. */
void front_free(struct front *f);

void front_config(struct front *f, const struct viewer_config *c);
/* Size of the picture, for pointers and for how long a queue may get. */
void front_size(struct front *f, unsigned width, unsigned height);
/* Something changed: the encoder has been told. */
void front_frame(struct front *f);
/* A connection (taken) from peer. */
void front_connect(struct front *f, int fd, const char *peer);

#endif
