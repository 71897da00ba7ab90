/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ring of a ctx, for ctx.c and for the images' engine, aio_uring.c.
 * Functions for ctx.c do nothing with u NULL. Thread: the loop's.
 */
#ifndef STORAGE_CORE_URING_H
#define STORAGE_CORE_URING_H

#include <liburing.h>
#include <stdbool.h>

#include "storage/core/aio.h"
#include "storage/core/ctx.h"

#define URING_SQ    128
#define URING_CQ    1024 /* and the most that is in flight in the kernel */
#define URING_SLOTS 256  /* images in the table of registered files */

struct uring {
	struct ctx *ctx;
	struct io_uring ring;
	bool left;            /* the ring failed: threads do the rest */
	bool reaping;         /* done callbacks run: a flush comes after */
	unsigned in_kernel;   /* submitted, not yet completed */
	uint64_t enters;      /* system calls, for tests and figures */
	struct list backlog;  /* struct aio_req: not yet in the queue */
	struct list prepared; /* in it, in its order; not yet submitted */
	struct list failed;   /* to be completed with what is in res */
	struct list images;   /* struct aio_uring */
	struct ctx_fd watch;
	struct ctx_timer retry;
	bool has_table;   /* of registered files */
	bool has_buffers; /* a table of registered buffers */
	bool used[URING_SLOTS];
};

/* An image's handle. */
struct aio_uring {
	struct aio aio;
	struct uring *u;
	int slot; /* -1 = none was free: by its descriptor */
	struct list node;
	struct log_limit limit;
	struct aio *threads; /* helper, made when first needed */
};

/* For ctx.c. */

/* Will something come from the ring, and is uring_wait() the way to get it? */
bool uring_can_wait(const struct uring *u);

/* Is there a completion, or a failure, that needs no wait? */
bool uring_has_some(struct uring *u);

/* Hand what is queued to the kernel, in one call as a rule. */
void uring_flush(struct uring *u);

/* Complete what is complete, then hand on what that brought. */
void uring_reap(struct uring *u);

/* Flush and block for a completion, in one system call; then reap. */
void uring_wait(struct uring *u);

/* What to poll for completions, NULL when none can come. */
struct ctx_fd *uring_watch(struct uring *u);

void uring_free(struct uring *u);

/* For aio_uring.c. */

int uring_new(struct ctx *c, struct uring **out);

/* Put fd into the table. Returns its slot, -1 when there is none. */
int uring_slot_get(struct uring *u, int fd);
void uring_slot_put(struct uring *u, int slot);

/* In uring_buffer.c: tell a new ring of the ctx's buffers. */
void uring_buffer_init(struct uring *u);
/* The registered buffer that all of iov lies in, or -1. */
int uring_buffer_find(const struct ctx *c, const struct iovec *iov);

/* In aio_uring.c, for uring.c. */

/* Say in sqe what q says. */
void aio_uring_prepare(struct io_uring_sqe *sqe, const struct aio_req *q);
/* Give q to its image's helper; where there is none, fail it, later. */
void aio_uring_detour(struct aio_req *q);
/* The ring gave err and is left: tell the images. */
void aio_uring_left(struct uring *u, int err);

#endif
