/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the engine and a viewer process say to each other: plain structs of
 * one binary over a SOCK_SEQPACKET pair, one message a packet, descriptors
 * beside it. The engine treats all that comes from the viewer as hostile
 * (it parses bytes off the network); the viewer trusts the engine.
 *
 * Pictures: a viewer that has a client waiting says WANT; the engine looks
 * at the guest's screen at its own pace and answers one FRAME when something
 * changed. Descriptors: SURFACE brings the memfd, CLIENT the accepted socket.
 */
#ifndef DISPLAY_PROTO_H
#define DISPLAY_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "display/display.h"
#include "display/surface.h"

#define VIEWER_FD       3 /* the viewer's end, after the spawn */
#define VIEWER_NAME_MAX 64
#define VIEWER_PEER_MAX 64
#define VIEWER_LOG_MAX  200
#define VIEWER_PASS_MAX 8 /* VncAuth knows no more */

enum viewer_msg_type {
	/* engine to viewer */
	VIEWER_CONFIG = 1,
	VIEWER_SURFACE,
	VIEWER_FRAME,
	VIEWER_CLIENT,
	/* viewer to engine */
	VIEWER_WANT,
	VIEWER_INPUT,
	VIEWER_RESIZE,
	VIEWER_STATS,
	VIEWER_LOG,
};

struct viewer_config {
	char name[VIEWER_NAME_MAX];
	bool has_password, has_viewonly;
	char password[VIEWER_PASS_MAX + 1];
	char viewonly[VIEWER_PASS_MAX + 1];
};

struct viewer_surface {
	uint32_t width, height, stride;
	uint64_t bytes;
};

struct viewer_frame {
	struct surface_tiles tiles;
};

struct viewer_client {
	char peer[VIEWER_PEER_MAX]; /* whose failures are counted together */
};

/* struct input_event, but any bytes in it are values */
struct viewer_input {
	uint32_t kind, scancode, down;
	int32_t x, y;
	uint32_t buttons;
};

struct viewer_resize {
	uint32_t width, height;
};

struct viewer_stats {
	uint32_t viewers; /* past their authentication */
	uint32_t pending; /* before it */
	uint32_t taken;   /* CLIENT messages so far */
	uint32_t blocked; /* addresses that must wait after failures */
};

struct viewer_log {
	uint32_t level; /* enum log_level */
	char text[VIEWER_LOG_MAX];
};

struct viewer_msg {
	uint32_t type;
	uint32_t zero;
	union {
		struct viewer_config config;
		struct viewer_surface surface;
		struct viewer_frame frame;
		struct viewer_client client;
		struct viewer_input input;
		struct viewer_resize resize;
		struct viewer_stats stats;
		struct viewer_log log;
	} u;
};

/* Length of a message of this type on the wire, 0 = no such type. */
static inline size_t viewer_msg_len(uint32_t type)
{
	const size_t head = offsetof(struct viewer_msg, u);

	switch (type) {
	case VIEWER_CONFIG:
		return head + sizeof(struct viewer_config);
	case VIEWER_SURFACE:
		return head + sizeof(struct viewer_surface);
	case VIEWER_FRAME:
		return head + sizeof(struct viewer_frame);
	case VIEWER_CLIENT:
		return head + sizeof(struct viewer_client);
	case VIEWER_WANT:
		return head;
	case VIEWER_INPUT:
		return head + sizeof(struct viewer_input);
	case VIEWER_RESIZE:
		return head + sizeof(struct viewer_resize);
	case VIEWER_STATS:
		return head + sizeof(struct viewer_stats);
	case VIEWER_LOG:
		return head + sizeof(struct viewer_log);
	}
	return 0;
}

#endif
