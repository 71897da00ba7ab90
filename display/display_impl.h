/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside of a display, for this folder only. Unless a field says otherwise
 * it belongs to the display thread: other threads get there by loop_sync().
 */
#ifndef DISPLAY_DISPLAY_IMPL_H
#define DISPLAY_DISPLAY_IMPL_H

#include <stdatomic.h>
#include <sys/types.h>

#include "vm/base/loop.h"
#include "vm/base/thread.h"

#include "display/display.h"
#include "display/input.h"
#include "display/proto.h"
#include "display/surface.h"

#define DISPLAY_ADDRESS_MAX 160
#define DISPLAY_SENDKEY_MAX 1024

struct display_service {
	struct loop *loop;
	struct thread thread;
	struct log *log;
	char *exe;
};

/* Keys on their way; see sendkey.c. */
struct sendkey {
	struct lock lock; /* rank LOCK_SURFACE; guards what follows */
	struct {
		uint16_t code;
		bool down, last; /* last = 10 ms pause after it */
	} queue[DISPLAY_SENDKEY_MAX];
	unsigned head, count;
	struct loop_timer timer;
	struct input_hub *hub;
};

void sendkey_init(struct sendkey *k, struct loop *l, struct input_hub *hub);
/* On the display thread. */
void sendkey_fini(struct sendkey *k);

/* The listening socket; see listen.c. */
struct listener {
	int fd; /* -1 = none */
	char unix_path[108];
	struct loop_fd watch;
	struct loop_timer again; /* after running out of descriptors */
};

int listener_open(struct listener *ln, const struct display_listen *l,
	char address[DISPLAY_ADDRESS_MAX], struct err *e);
void listener_close(struct listener *ln);

/* The viewer process; see viewers.c. */
struct viewers {
	int sock; /* -1 = no process */
	int pidfd;
	pid_t pid;
	struct loop_fd watch;
	struct loop_timer tick; /* next look at the guest's screen */
	struct loop_timer idle; /* end of a process that nobody uses */
	struct surface_reader reader;
	uint64_t sent_generation;
	bool wanted;
	uint64_t tick_ns;       /* when tick is due */
	uint64_t last_frame_ns; /* when the last FRAME went out */
	uint64_t moved_ns;      /* when the picture or the mouse last did */
	uint64_t retry_ns;      /* no new process before, after a crash */
	uint32_t clients_sent;
	struct viewer_stats stats;
	uint64_t keys_down[4]; /* by scancode, extended ones from bit 128 */
	struct input_event pointer;
	char *password_file, *viewonly_file; /* NULL = none */
	struct log_limit limit;
};

struct display {
	struct display_service *service;
	char name[VIEWER_NAME_MAX];
	struct log *log;
	struct surface *surface;
	struct display_source source;
	bool has_source;
	bool painted; /* a source has been there */
	struct display_text text, text_next;
	uint64_t text_generation;
	struct input_hub hub; /* has a lock of its own */
	struct sendkey sendkey;
	struct listener listener;
	struct viewers viewers;
	char address[DISPLAY_ADDRESS_MAX]; /* written once by listen */
	_Atomic uint64_t frames;
	_Atomic unsigned width, height, viewer_count;
};

/* Ask the source to paint. full = paint all. */
void display_refresh(struct display *d, bool full);

/* Read the first line of a password file: 1..8 characters. */
int viewers_read_password(const char *path, char out[VIEWER_PASS_MAX + 1],
	struct log *log, struct err *e);
void viewers_init(struct display *d);
/* Hand an accepted connection (taken) to the viewer process. */
void viewers_connect(struct display *d, int fd, const char *peer);
void viewers_stop(struct display *d);
void viewers_fini(struct display *d);

#endif
