/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The encoder: libvncserver on a thread of its own, which sees only socket
 * pairs that speak RFB 3.3 without security. What is told to it here is
 * kept until its thread comes to it; of several screens only the last
 * counts, and dirty tiles add up. The front must always read the sockets, or
 * the encoder blocks for all clients.
 *
 * Locks: one (rank LOCK_SURFACE) for what is passed over.
 */
#ifndef DISPLAY_VIEWER_VNC_H
#define DISPLAY_VIEWER_VNC_H

#include "vm/base/err.h"

#include "display/proto.h"

struct vnc;

/* name = the desktop's. Starts the thread. 0 or -errno. */
int vnc_new(const char *name, struct vnc **out, struct err *e);
void vnc_free(struct vnc *v);

/* Any thread. fds are taken. */
void vnc_set_surface(struct vnc *v, const struct viewer_surface *s, int fd);
void vnc_frame(struct vnc *v, const struct surface_tiles *t);
/* 0 or -EAGAIN (too many at once; fd is then closed). */
int vnc_add_client(struct vnc *v, int fd);

#endif
