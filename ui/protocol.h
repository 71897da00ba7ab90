/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What client and server say to each other over DIR/run/server.sock: frames
 * of a little-endian u32 (length of what follows its five bytes), a type
 * byte, and that many bytes. A client sends one PROTO_REQUEST (JSON) and,
 * when the verb takes the terminal or a stream, PROTO_INPUT and PROTO_WINSIZE;
 * the server sends PROTO_OUT and PROTO_ERR text, PROTO_RAW once to ask for a
 * raw terminal, and PROTO_EXIT (one byte, the exit code) last.
 *
 * All of it is checked here, on both sides. Thread: the caller's.
 */
#ifndef UI_PROTOCOL_H
#define UI_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/base/err.h"

#define PROTO_MAX      (1u << 20) /* bytes in one frame */
#define PROTO_HEADER   5
#define PROTO_ARGS_MAX 256
#define PROTO_ROWS_MAX 300
#define PROTO_COLS_MAX 800

enum proto_type {
	PROTO_REQUEST = 1, /* client: JSON, see struct proto_request */
	PROTO_INPUT,       /* client: bytes of its standard input */
	PROTO_WINSIZE,     /* client: u16 rows, u16 columns */
	PROTO_EOF,         /* client: its standard input has ended */
	PROTO_OUT = 16,    /* server: for standard output */
	PROTO_ERR,         /* server: for standard error */
	PROTO_RAW,         /* server: u8 enum proto_raw */
	PROTO_EXIT,        /* server: u8 exit code; the last frame */
};

/* What the client shall do with its terminal from now on. */
enum proto_raw {
	PROTO_RAW_SCREEN = 1, /* raw; every byte is the server's */
	PROTO_RAW_SERIAL,     /* raw; ^] ends (found by the client) */
};

struct proto_msg {
	enum proto_type type;
	const uint8_t *data; /* good until the next call on the reader */
	uint32_t len;
};

/* Reader: bytes go in as they come, whole frames come out. */
struct proto_in {
	uint8_t *buf;
	size_t cap, have, taken;
	bool broken;
};

void proto_in_fini(struct proto_in *in);
/*
 * Where to put the next bytes and how many may be put there (> 0), or NULL
 * when memory is short. Then say how many came.
 */
uint8_t *proto_in_room(struct proto_in *in, size_t *len);
void proto_in_added(struct proto_in *in, size_t len);
/*
 * Take the next frame: 1 and *msg, 0 when none is whole, -EPROTO when the
 * other side breaks the rules (stays so).
 */
int proto_in_next(struct proto_in *in, struct proto_msg *msg);

/* Bytes that wait for a socket, never more than max. */
struct sendq {
	uint8_t *buf;
	size_t cap, head, len, max;
};

void sendq_init(struct sendq *q, size_t max);
void sendq_fini(struct sendq *q);
/* 0, -ENOBUFS when it would hold more than max, -ENOMEM; all or nothing. */
int sendq_put(struct sendq *q, const void *data, size_t len);
/* One frame; data longer than PROTO_MAX is cut into several. */
int sendq_frame(struct sendq *q, enum proto_type type, const void *data,
	size_t len);
/* Send what the nonblocking socket takes. 0 or -errno (not -EAGAIN). */
int sendq_flush(struct sendq *q, int fd);

/* A request, once checked. Strings are owned by it. */
struct proto_request {
	int argc;
	char **argv; /* NULL-terminated */
	char *cwd;   /* absolute */
	bool tty;    /* standard input and output are a terminal */
	bool utf8;   /* of the client's locale */
	char *term;  /* TERM, "" when there is none */
	int rows, cols;
};

/* 0, -EINVAL with e saying what is wrong, -ENOMEM. */
int proto_request_parse(const void *json, size_t len, struct proto_request *r,
	struct err *e);
void proto_request_fini(struct proto_request *r);
/* Caller frees *out. 0, -EINVAL (an argument is not UTF-8), -ENOMEM. */
int proto_request_format(const struct proto_request *r, char **out);

/* Read a PROTO_WINSIZE; sizes are clamped to what is possible. -EINVAL. */
int proto_winsize(const struct proto_msg *msg, int *rows, int *cols);
void proto_clamp_size(int *rows, int *cols);

#endif
