/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The sieve for what a VNC client says after the handshake (RFC 6143 7.5 and
 * the extensions that are listed in filter.c): bytes in, whole and checked
 * messages out. What is not in the table ends the connection. No sockets,
 * no clock: it can be fuzzed. Thread: the caller's.
 */
#ifndef DISPLAY_VIEWER_FILTER_H
#define DISPLAY_VIEWER_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_MAX_ENCODINGS 1024 /* that a client may name */
#define FILTER_MAX_KEPT      64   /* of them that are passed on */
#define FILTER_MAX_TEXT      (1u << 20)
#define FILTER_BUF           (4 + 4 * FILTER_MAX_ENCODINGS)

struct filter_request {
	bool incremental;
	uint16_t x, y, w, h;
};

struct filter_ops {
	/* for the encoder as it is: SetPixelFormat, SetEncodings, size */
	void (*forward)(void *arg, const uint8_t *msg, size_t len);
	void (*request)(void *arg, const struct filter_request *r);
	/* code: XT scancode as in RFB (bit 7 = extended), 0 = not told */
	void (*key)(void *arg, bool down, uint32_t keysym, uint32_t code);
	void (*pointer)(void *arg, uint8_t buttons, uint16_t x, uint16_t y);
	void (*resize)(void *arg, uint16_t width, uint16_t height);
};

struct filter {
	const struct filter_ops *ops;
	void *arg;
	bool view_only;
	uint8_t buf[FILTER_BUF];
	size_t have;
	uint32_t skip;   /* bytes of clipboard text still to be dropped */
	const char *why; /* set when feed failed */
};

void filter_init(struct filter *f, const struct filter_ops *ops, void *arg,
	bool view_only);

/* 0, or -EPROTO with why: the connection is to be closed. */
int filter_feed(struct filter *f, const uint8_t *data, size_t len);

#endif
