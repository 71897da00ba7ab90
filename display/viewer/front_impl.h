/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the front, for front*.c only. */
#ifndef DISPLAY_VIEWER_FRONT_IMPL_H
#define DISPLAY_VIEWER_FRONT_IMPL_H

#include "vm/base/list.h"

#include "display/viewer/auth.h"
#include "display/viewer/filter.h"
#include "display/viewer/front.h"
#include "display/viewer/keys.h"
#include "display/viewer/outq.h"

#define FRONT_PENDING   16 /* connections before authentication */
#define FRONT_CLIENTS   8  /* after it */
#define FRONT_HAND_MAX  16 /* longest thing a client says before it runs */
#define FRONT_READ      16384
#define FRONT_LOW       65536 /* a queue below this may ask for more */
#define FRONT_IN_MAX    65536 /* queued to the encoder before we read on */
#define FRONT_HAND_NS   (10 * NS_PER_S)
#define FRONT_STALL_NS  (30 * NS_PER_S)
#define FRONT_LINGER_NS (2 * NS_PER_S)
#define FRONT_AGAIN_NS  (30 * NS_PER_MS)
#define FRONT_RESIZE_NS (NS_PER_S / 2)
#define FRONT_FORGET_NS (5 * NS_PER_S)

enum front_state {
	FRONT_VERSION,  /* client's protocol version */
	FRONT_SECURITY, /* its choice of security type */
	FRONT_RESPONSE, /* its answer to the challenge */
	FRONT_INIT,     /* ClientInit */
	FRONT_INNER,    /* the encoder's greeting is awaited */
	FRONT_RUN,
	FRONT_CLOSING, /* a last word is being sent */
};

struct front_client {
	struct list node;
	struct front *f;
	enum front_state state;
	char peer[VIEWER_PEER_MAX];
	int fd, inner; /* inner: the pair to the encoder, -1 = none */
	struct loop_fd watch, inner_watch;
	struct loop_timer timer;       /* handshake, stall, linger */
	uint32_t events, inner_events; /* watched for now, 0 = not at all */
	bool view_only, dead, stall_armed;
	unsigned minor; /* of the protocol: 3, 7 or 8 */
	uint8_t hand[FRONT_HAND_MAX];
	size_t hand_len;
	uint8_t challenge[AUTH_CHALLENGE];
	struct outq out;   /* to the client */
	struct outq in;    /* to the encoder */
	uint64_t moved_ns; /* when the client last took something */
	struct filter filter;
	struct keys keys;
	uint8_t buttons;
	uint16_t x, y; /* pointer, pixels */
	/* the client's request, until its queue is short enough */
	bool has_request;
	struct filter_request request;
	bool waits; /* asked the encoder and has seen nothing yet */
};

struct front {
	struct loop *loop;
	struct vnc *vnc;
	front_send_fn send;
	void *send_arg;
	struct viewer_config config;
	struct auth_table auth;
	struct list clients;
	unsigned width, height;
	bool wanted; /* the engine knows that somebody waits */
	struct loop_timer again, forget;
	bool caps;
	uint64_t resize_ns;
	struct viewer_stats stats; /* as told last */
	uint32_t taken;
};

/* ---- front.c ---- */
void front_log(struct front *f, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Tell the engine how many there are, when that changed. */
void front_tell(struct front *f);
unsigned front_running(const struct front *f);
/* Let the engine know that somebody waits for a picture. */
void front_want(struct front *f);
/* Marks the client; it goes when its event has been handled. */
void front_drop(struct front_client *c, const char *why);
/* Queue bytes to the client; drops it when there is no room. */
void front_put(struct front_client *c, const void *buf, size_t len);
/* Say what is queued, then close. */
void front_close_after(struct front_client *c);

/* ---- front_hand.c ---- */
void front_hand_begin(struct front_client *c);
/* Take bytes of the handshake; returns how many were used. */
size_t front_hand_feed(struct front_client *c, const uint8_t *p, size_t len);

/* ---- front_run.c ---- */
/* Authenticated: connect the client with the encoder. */
void front_run_begin(struct front_client *c);
void front_run_feed(struct front_client *c, const uint8_t *p, size_t len);
/* Pass the waiting request on when the queue allows. */
void front_run_request(struct front_client *c);
/* Read what the encoder says. */
void front_run_inner(struct front_client *c);
void front_run_end(struct front_client *c);

#endif
