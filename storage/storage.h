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

/* AUTO looks at the content, see blk_open(). The last three: reading only. */
enum blk_format {
	BLK_RAW,
	BLK_QCOW2,
	BLK_AUTO,
	BLK_VMDK,
	BLK_VDI,
	BLK_VHDX,
};

/* As admins know them from QEMU. */
enum blk_cache {
	BLK_WRITEBACK,    /* page cache, flush when the guest asks */
	BLK_NONE,         /* O_DIRECT, flush when the guest asks */
	BLK_WRITETHROUGH, /* page cache, flush after every write */
	BLK_DIRECTSYNC,   /* O_DIRECT, flush after every write */
	BLK_UNSAFE,       /* page cache, flushes ignored */
};

enum blk_aio { BLK_AIO_AUTO, BLK_AIO_URING, BLK_AIO_THREADS };

/* What a write of nothing but zeros becomes. */
enum blk_zeroes {
	BLK_ZEROES_OFF,   /* a write */
	BLK_ZEROES_ON,    /* a write-zeroes */
	BLK_ZEROES_UNMAP, /* one that may punch a hole */
};

/* One limit: rate per second, 0 = none. Above it bursts of burst_rate (0 =
 * none, else > rate) for at most burst_s seconds (>= 1) in a row. */
struct blk_limit {
	uint64_t rate, burst_rate;
	unsigned burst_s;
};

enum blk_limit_dir { BLK_LIMIT_TOTAL, BLK_LIMIT_READ, BLK_LIMIT_WRITE };

struct blk_throttle {
	struct blk_limit iops[3], bytes[3]; /* by enum blk_limit_dir */
};

struct blk_opts {
	const char *path; /* file, block device, or NBD URI (nbd.h) */
	enum blk_format format;
	enum blk_cache cache;
	enum blk_aio aio;
	enum blk_zeroes detect_zeroes;
	bool readonly;
	bool no_discard;  /* discards succeed and do nothing */
	bool no_lock;     /* do not take the image's locks */
	bool header_only; /* to look at, not to read: no other file matters */
	bool no_backing;  /* this layer only: what it lacks reads as zeros */
	/* qcow2: this internal snapshot, by name or id, with readonly; or NULL
	 * for the present state */
	const char *snapshot;
	bool for_check; /* open what is marked corrupt, repair nothing */
	/* Limits from the start, or NULL; disks of one group (a name, or NULL
	 * for none) share the limits that were given last. */
	const struct blk_throttle *throttle;
	const char *throttle_group;
	/* Folder with ca-cert.pem (and client-cert.pem, client-key.pem) for
	 * nbds://, or NULL for the system's authorities. */
	const char *tls_dir;
};

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,
	BLK_DISCARD,
	BLK_WRITE_ZEROES,
	BLK_STATUS, /* fills *extent; needs no room in the iovec */
};
#define BLK_OPS 6

enum blk_req_flags {
	BLK_FUA = 1,   /* on disk before done (write, write-zeroes) */
	BLK_UNMAP = 2, /* write-zeroes may punch a hole */
	BLK_TOP = 4,   /* status: of this layer alone, not of what backs it */
	BLK_COMPRESS = 8, /* write: compress (qcow2: whole clusters) */
};

/*
 * Status of bytes [offset, offset + len) of an image, len being how far all
 * of it is alike, in whole blocks, at most what was asked.
 */
struct blk_extent {
	uint64_t len;
	bool data;    /* stored as data (may be zeros all the same) */
	bool zero;    /* reads as zeros */
	bool present; /* known to some layer of the chain (BLK_TOP: to this),
			 not just the end of it */
	bool compressed;
	bool has_host;
	unsigned depth;   /* layer that it comes from, 0 = top */
	uint64_t host;    /* offset in file, with has_host */
	const char *file; /* path of it; the layer's, good until close */
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
	struct blk_extent *extent; /* BLK_STATUS: filled by it */
	/*
	 * Called exactly once, on the loop's thread, never from inside
	 * blk_submit(). err is 0 or -errno (-EIO, -ENOSPC, -EROFS, -EINVAL,
	 * -ENOTSUP, -ECANCELED).
	 */
	void (*done)(struct blk_req *req, int err);
	void *arg;
	/* private to storage/ */
	struct blk *blk;
	/* What node_done() calls in place of done, or NULL: blk_submit()'s. */
	void (*complete)(struct blk_req *req, int err);
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
	uint32_t cluster_size; /* of the format, 0 = has none */
	const char *format;    /* "raw", "qcow2", ... */
	const char *aio;       /* "io_uring", "threads", "nbd": in use now */
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
 * Open an image with all that backs it for use on loop l (borrowed; must
 * outlive the blk). Takes the images' locks (shared for readonly). 0 or
 * -errno with e naming file, cause and mend: -ENOENT, -EACCES, -EBUSY (locked
 * by another process), -EISDIR, -EINVAL, -ENOTSUP (format, feature), -ELOOP.
 * log (may be NULL; must outlive the blk) gets which aio is in use and why.
 *
 * BLK_AUTO takes the format from the content, and then trusts it no further:
 * a qcow2 found so must name no other file, and nothing that makes a raw
 * image look like another format is written to its first sector. The same
 * goes for a backing file whose format is not recorded.
 *
 * Thread: any. With the loop running elsewhere the caller waits for it.
 */
int blk_open(const struct blk_opts *o, struct loop *l, struct log *log,
	struct blk **out, struct err *e);

/*
 * Drained first by the caller (blk_drain). Writes out what the format still
 * holds. NULL is fine. 0, or -errno of that last write: what was flushed
 * before is safe. Thread: as blk_open().
 */
int blk_close(struct blk *b);

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
 * Hand on what is queued and block until something completed, of this or of
 * another image of the loop. At once when nothing is in flight. Thread: the
 * loop's, or any while it does not run; not from inside done().
 */
void blk_wait(struct blk *b);

/*
 * Limits hold nothing back any more (on), so that what is in flight comes to
 * its end; off undoes that. Who may not block looks at blk_stats_get() then,
 * instead of a blk_drain(). Thread: the loop's.
 */
void blk_settle(struct blk *b, bool on);

/*
 * blk_wait() until nothing of this image is in flight; limits are as without
 * blk_settle() then. Thread: the same.
 */
void blk_drain(struct blk *b);

/*
 * The guest is to go off whatever comes: what waits for a server that is gone
 * ends with -EIO now and from here on, for one that is silent in 5 to 10 s.
 * Close follows. Thread: the loop's.
 */
void blk_give_up(struct blk *b);

/*
 * One request made and waited for; extent as in struct blk_req. Its error.
 * Thread: as blk_wait(); or in a fiber, which alone waits then.
 */
int blk_rw(struct blk *b, enum blk_op op, unsigned flags, uint64_t offset,
	uint64_t len, void *buf);
int blk_status(struct blk *b, unsigned flags, uint64_t offset, uint64_t len,
	struct blk_extent *extent);

/*
 * Change the limits, at once, for all of its group. NULL = none. 0, or
 * -EINVAL with e filled. Thread: the loop's.
 */
int blk_set_throttle(struct blk *b, const struct blk_throttle *t,
	struct err *e);

/*
 * Change the size in bytes (a multiple of 512). Shrinking loses what is
 * behind. Nothing may be in flight. 0 or -errno with e filled. Thread: as
 * blk_open().
 */
int blk_resize(struct blk *b, uint64_t size, struct err *e);

/* Counters since open. Takes no lock that a request waits on. Any thread. */
void blk_stats_get(struct blk *b, struct blk_stats *out);

#include "storage/image.h" /* the image tools */

#endif
