/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The block layer: the one storage header that others include. An image is
 * opened on a loop (in a guest: the I/O thread's); requests are submitted and
 * completed on that loop's thread, asynchronously through io_uring, or
 * through a pool of threads where io_uring is refused. Knows nothing of
 * guests, KVM or curses.
 *
 * storage/blk.c wraps the drivers and checks both sides: range, alignment,
 * read-only, and that each request completes exactly once.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vm/base/err.h"
#include "vm/base/hist.h"
#include "vm/base/list.h"
#include "vm/base/log.h"
#include "vm/base/loop.h"

struct blk;

#define BLK_MAX_IOV   1024
#define BLK_MAX_BYTES (UINT64_C(1) << 30) /* in one request */

enum blk_format { BLK_RAW, BLK_QCOW2, BLK_AUTO };

/* As admins know them from QEMU. */
enum blk_cache {
	BLK_WRITEBACK,    /* page cache, flush when the guest asks */
	BLK_NONE,         /* O_DIRECT, flush when the guest asks */
	BLK_WRITETHROUGH, /* page cache, flush after every write */
	BLK_DIRECTSYNC,   /* O_DIRECT, flush after every write */
	BLK_UNSAFE,       /* page cache, flushes ignored */
};

enum blk_aio { BLK_AIO_AUTO, BLK_AIO_URING, BLK_AIO_THREADS };

struct blk_opts {
	const char *path;
	enum blk_format format;
	enum blk_cache cache;
	enum blk_aio aio;
	bool readonly;
	bool no_discard; /* discards succeed and do nothing */
	bool no_lock;    /* do not take the image's locks */
};

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };
#define BLK_OPS 5

enum blk_req_flags {
	BLK_FUA = 1,   /* on disk before done (write, write-zeroes) */
	BLK_UNMAP = 2, /* write-zeroes may punch a hole */
};

/*
 * One request, owned by the caller from blk_submit() to done(). The caller
 * fills the first part; iov and what it points to stay good until done().
 * offset and len are bytes; for read and write len is the iovec's sum.
 */
struct blk_req {
	enum blk_op op;
	unsigned flags;
	uint64_t offset;
	uint64_t len;
	const struct iovec *iov;
	int niov;
	/*
	 * Called exactly once, on the loop's thread, never from inside
	 * blk_submit(). err is 0 or -errno (-EIO, -ENOSPC, -EROFS, -EINVAL,
	 * -ENOTSUP, -ECANCELED).
	 */
	void (*done)(struct blk_req *req, int err);
	void *arg;
	/* private to storage/ */
	struct blk *blk;
	struct list node;
	uint64_t start_ns;
	union {
		void *ptr;
		uint64_t u64;
	} priv[6];
};

struct blk_info {
	uint64_t size;       /* bytes, a multiple of 512 */
	uint32_t block_size; /* logical: alignment that the guest must keep */
	uint32_t phys_size;  /* physical block, a hint */
	bool readonly;
	bool can_discard, can_write_zeroes;
	uint32_t discard_align;
	const char *format; /* "raw" */
	const char *aio;    /* "io_uring" or "threads", in use now */
};

struct blk_dir_stats {
	uint64_t ops, bytes, errors, time_ns;
	struct hist_snap latency;
};

struct blk_stats {
	struct blk_dir_stats op[BLK_OPS]; /* by enum blk_op */
	uint32_t in_flight;
};

/*
 * Open an image for use on loop l (borrowed; must outlive the blk). Takes
 * the image's locks (shared for readonly). 0 or -errno with e naming file,
 * cause and mend: -ENOENT, -EACCES, -EBUSY (locked by another process),
 * -EISDIR, -EINVAL, -ENOTSUP (format). log (may be NULL) gets which aio is in
 * use and why. Thread: any before requests are made.
 */
int blk_open(const struct blk_opts *o, struct loop *l, struct log *log,
	struct blk **out, struct err *e);

/* Drained first by the caller (blk_drain). NULL is fine. */
void blk_close(struct blk *b);

void blk_info(const struct blk *b, struct blk_info *out); /* any thread */

/* Queue r. Thread: the loop's. Errors come through done(), never here. */
void blk_submit(struct blk *b, struct blk_req *r);

/*
 * Requests between plug and unplug may be handed to the kernel together, at
 * unplug. Nests. Thread: the loop's.
 */
void blk_plug(struct blk *b);
void blk_unplug(struct blk *b);

/*
 * Run the loop's completions for this image until none is in flight.
 * Thread: the loop's, not from inside done().
 */
void blk_drain(struct blk *b);

/* Counters since open. Takes no lock that a request waits on. Any thread. */
void blk_stats_get(struct blk *b, struct blk_stats *out);

#endif
