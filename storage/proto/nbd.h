/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The NBD client's insides:
 *   nbd.c       opens the node and closes it
 *   nbd_dial.c  connects, in a thread of its own: names and keys may take long
 *   nbd_link.c  connections: their loss and return
 *   nbd_conn.c  what goes over them
 *   nbd_io.c    requests, which
 *   nbd_piece.c makes commands of
 *   nbd_rmw.c   writes of less than the server's block
 *
 * A connection that dies takes nothing with it: its commands wait until
 * there is one again, at most hold_ms, and are sent once more. Reads, writes
 * of the same bytes, zeroing and flushes may well be done twice.
 *
 * What a client cannot see: a server that was started anew may have lost
 * writes that it had acknowledged and nobody had flushed. A flush then
 * succeeds all the same. Servers that keep acknowledged writes elsewhere
 * than in their own memory (files of their host: nbdkit, qemu-nbd) lose none
 * when only they die.
 *
 * Thread: the loop's, but for what nbd_dial.c runs in its thread.
 */
#ifndef STORAGE_PROTO_NBD_H
#define STORAGE_PROTO_NBD_H

#include <libnbd.h>
#include <stdatomic.h>

#include "vm/base/thread.h"

#include "storage/core/ctx.h"
#include "storage/core/fiber.h"
#include "storage/proto/proto.h"

#define NBD_CONNS     4
#define NBD_BLOCK     512u                 /* least block that a guest sees */
#define NBD_PAYLOAD   (UINT32_C(32) << 20) /* bytes, most in one command */
#define NBD_BLOCK_MAX (UINT32_C(64) << 10) /* of the protocol's minimum */

/* How long and how often; times in ms. */
struct nbd_params {
	unsigned connect_ms; /* one attempt to connect */
	unsigned hold_ms;    /* requests wait that long for a connection */
	unsigned pause_ms, pause_max_ms; /* between attempts, doubling */
	unsigned patience_ms; /* given up: without any answer for so long */
	unsigned conns;       /* at most, 1..NBD_CONNS */
	/* For tests: connect h otherwise than to the URI. 0 or -1 as libnbd;
	 * in the dial's thread. */
	int (*connect)(struct nbd_handle *h, void *arg);
	void *arg;
};

extern const struct nbd_params nbd_default_params;

/* nbd_node_open() with other times. p is copied. */
int nbd_node_open_with(const struct proto_open *o, const struct nbd_params *p,
	struct node **out, struct err *e);

/* What a server says of its export. */
struct nbd_caps {
	uint64_t size;        /* bytes */
	uint32_t min_block;   /* power of two, 1..NBD_BLOCK_MAX */
	uint32_t max_payload; /* bytes, multiple of min_block */
	bool readonly, flush, fua, trim, zero, multi, alloc;
};

/* One attempt to connect. */
struct nbd_dial {
	const char *uri, *tls_dir;       /* borrowed */
	const struct nbd_params *params; /* borrowed */
	int done_fd;   /* borrowed eventfd: written at the end */
	int cancel_fd; /* eventfd */
	struct thread thread;
	bool running;         /* the loop's view: between start and end */
	atomic_bool done;     /* releases h, caps and err */
	struct nbd_handle *h; /* NULL = failed, see err */
	struct nbd_caps caps;
	struct err err;
	char ca_dir[32]; /* the thread's: made for the handshake, or "" */
	int answer;      /* the thread's: errno for the export asked for */
};

/* 0 or -errno with e filled. uri, tls_dir, params and done_fd are set. */
int nbd_dial_start(struct nbd_dial *d, struct err *e);
/* Hurry up: it ends soon, with an error. (A name's look-up goes on.) */
void nbd_dial_cancel(struct nbd_dial *d);
/* When done: end the thread. h is the caller's then. */
void nbd_dial_end(struct nbd_dial *d);

struct nbd;

struct nbd_conn {
	struct nbd *nbd;
	struct nbd_handle *h; /* NULL = not connected */
	/* Its socket, a copy: libnbd closes its own when the connection dies,
	 * before the watch is gone, and the number may be another's then. */
	int fd;
	struct ctx_fd watch;
	unsigned direction;   /* that watch is set to */
	struct list sent;     /* struct nbd_op: libnbd has them */
	struct list answered; /* struct nbd_op: to be looked at */
	unsigned in_flight;
	struct nbd_dial dial;
	struct ctx_timer retry;
	unsigned pause_ms; /* before the next attempt */
	uint64_t up_ns;    /* since when there is h */
};

/* A request in work. */
struct nbd_io {
	struct nbd *nbd;
	struct blk_req *r;
	enum blk_op cmd;   /* zeroing may become writing */
	uint64_t pos, end; /* bytes of r: sent, to send */
	int seg;           /* pos lies in r->iov[seg], */
	uint64_t seg_pos;  /* that far in */
	unsigned ops;      /* under way */
	int err;
	bool flush;       /* at the end */
	bool again;       /* as writes: the server does not zero */
	struct list node; /* nbd->writing, or nbd->spare_ios */
};

/* A command. */
struct nbd_op {
	struct nbd *nbd;
	struct nbd_io *io;
	struct nbd_conn *conn; /* that has it, or NULL */
	enum blk_op cmd;
	uint32_t flags; /* LIBNBD_CMD_FLAG_ */
	uint64_t offset, len;
	void *buf;
	void *bounce;                 /* owned, or NULL */
	uint64_t iov_pos, skip, want; /* read: bounce + skip to the iovec */
	uint64_t lost_ns; /* without a connection since, 0 = never was */
	int err;          /* positive errno of the answer */
	uint32_t ext_len, ext_flags; /* status: ext_len 0 = none came */
	struct list node; /* conn->sent, ->answered, nbd->waiting, ->failed */
};

struct nbd {
	struct node node;
	struct nbd_params params;
	char *uri, *tls_dir;
	struct nbd_caps caps;
	uint64_t size; /* bytes of the image */
	bool is_format, keep_allocated, write_through, unsafe;
	bool no_zero, no_trim; /* learnt */

	struct nbd_conn conn[NBD_CONNS];
	unsigned conns; /* of conn that may be used */
	int done_fd;    /* eventfd: a dial is done */
	struct ctx_fd done_watch;
	struct ctx_call service; /* answers that came inside a call */
	struct ctx_timer hold;   /* the first of waiting gives up */
	struct list waiting, failed;
	uint64_t down_ns; /* no connection since; 0 = there is one */
	bool changed;     /* the server has another export now */
	bool closing;
	struct ctx_timer patience; /* given up: does the server still answer? */
	bool mute; /* commands were out when it was armed: none was answered */
	bool gone; /* it did not: no connection any more */
	struct err last; /* of connecting */
	struct log_limit limit;

	/* Somebody's callback is on the stack: close waits. */
	unsigned busy;
	struct fiber *opener, *closer;

	struct list spare_ios, spare_ops;
	void *zeros; /* NBD_ZEROS of them, mapped when first needed */

	/* nbd_rmw.c */
	struct list writing; /* ios that change something, with min_block > 1 */
	struct list held;    /* requests that overlap the one below */
	struct fiber_lock rmw_lock;
	uint64_t rmw_start, rmw_end; /* bytes being changed by the owner */
	struct fiber *rmw_waiter;
};

#define NBD_ZEROS (UINT64_C(1) << 20)

/* While callbacks run that may end in a close: pairs. */
void nbd_enter(struct nbd *nbd);
void nbd_leave(struct nbd *nbd);

/* nbd_conn.c */
/* Hand op to a connection, now or when there is one. nbd_op_done() follows,
 * never from inside. */
void nbd_op_send(struct nbd_op *op);
/* The connection with the least to do, or NULL. */
struct nbd_conn *nbd_conns_pick(struct nbd *nbd);
/* There is a connection: send what waits. */
void nbd_conns_resend(struct nbd *nbd);
/* What went over c, which is lost, goes elsewhere or waits. */
void nbd_conn_give_back(struct nbd_conn *c);
/* EPOLL events for what libnbd wants. */
uint32_t nbd_conn_events(unsigned direction);
/* Callbacks: of a connection's watch, nbd->service, nbd->hold. */
void nbd_conn_event(void *conn, uint32_t events);
void nbd_conns_service(void *nbd);
void nbd_conns_hold_over(void *nbd);

/* nbd_link.c */
int nbd_conns_init(struct nbd *nbd, struct err *e);
/* Connect for the first time: in a fiber. 0 or -errno with e filled. */
int nbd_conns_open(struct nbd *nbd, struct err *e);
void nbd_conns_fini(struct nbd *nbd); /* in a fiber */
/* See struct node_ops. */
void nbd_conns_give_up(struct nbd *nbd);
/* c broke off: close it and see to a new one. */
void nbd_conn_lost(struct nbd_conn *c, const char *why);

/* nbd_io.c */
void nbd_submit(struct node *n, struct blk_req *r);
/* op->err is set. */
void nbd_op_done(struct nbd_op *op);
void nbd_io_fini(struct nbd *nbd);
/* Begin r, which keeps to the server's blocks or is no write. */
void nbd_io_start(struct nbd *nbd, struct blk_req *r);

/* nbd_piece.c: false = no memory */
bool nbd_io_send_next(struct nbd_io *io); /* what lies at io->pos */
bool nbd_io_send_flush(struct nbd_io *io);
void nbd_op_put(struct nbd_op *op); /* op is done with */

/* nbd_rmw.c */
/* Must r wait for a change of less than a block? Then it was queued. */
bool nbd_rmw_holds(struct nbd *nbd, struct blk_req *r);
/* Write or zero what does not keep to the server's blocks. */
void nbd_rmw_start(struct nbd *nbd, struct blk_req *r);
/* An io that changed something ended. */
void nbd_rmw_io_ended(struct nbd *nbd);

#endif
