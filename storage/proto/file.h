/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file protocol's insides: an image's bytes in a regular file or on a
 * block device of the host. file.c opens and closes, file_measure.c finds
 * out what the host asks for, file_io.c moves data, file_order.c keeps
 * writes apart that must not overlap, file_zero.c makes zeros and holes,
 * file_status.c tells where data is, file_size.c changes the size.
 *
 * Thread: the loop's. What a worker thread may touch is said at it.
 */
#ifndef STORAGE_PROTO_FILE_H
#define STORAGE_PROTO_FILE_H

#include <sys/stat.h>

#include "storage/core/aio.h"
#include "storage/core/ctx.h"
#include "storage/proto/proto.h"

#define FILE_BLOCK     512u
#define FILE_BLOCK_MAX 4096u
#define FILE_STEP_MAX  (UINT64_C(1) << 20) /* bounced or zeroed at once */

struct file {
	struct node node;
	struct aio *aio;
	struct log_limit limit;
	char *path;
	int fd;
	int tail_fd;   /* without O_DIRECT, for the end of a guest's file
			  whose size is no multiple of align; or -1 */
	uint64_t size; /* bytes that the image has, see is_format */

	/* what the host asks for, powers of two */
	uint32_t block_size; /* that the guest must keep to */
	uint32_t phys_size;  /* a hint */
	uint32_t align;      /* of offsets and lengths of a transfer */
	uint32_t mem_align;  /* of memory */
	uint32_t zero_align; /* of what is zeroed other than by writing */
	uint32_t discard_align;

	bool bdev;
	bool direct;         /* O_DIRECT */
	bool is_format;      /* as in struct proto_open */
	bool write_through;  /* sync after each write */
	bool unsafe;         /* never sync */
	bool keep_allocated; /* do not punch holes */
	bool locked;
	/* learnt: the file system or device does not do it */
	bool no_punch, no_zero_range, no_zeroout, no_discard, no_seek;
	bool told_short; /* that the file has shrunk */

	int lost;    /* -errno of a failed sync: written data may be gone */
	void *zeros; /* FILE_STEP_MAX of them, mapped when first needed */
	struct list spare; /* struct file_io */

	/* file_order.c: writes in flight, and those that wait for them */
	bool ordered;     /* parts of a block may have to be written */
	unsigned partial; /* writes of such parts, in flight or waiting */
	struct list writes, waiting;
	bool handing_on; /* inside file_order_leave() */

	/* file_status.c: [start, end) of the extent seen last; 0, 0 = none */
	struct {
		uint64_t start, end;
		bool data;
	} seen;
	uint64_t changes; /* count of requests that change where data is */
};

/*
 * A request in progress: a few calls one after the other; next says what to
 * do with the result of the one that runs.
 */
struct file_io {
	struct aio_req q;
	struct ctx_work work;
	struct file *f;
	struct blk_req *r;
	void (*next)(struct file_io *io, int64_t res);
	uint64_t pos; /* bytes of r that are done */
	uint64_t had; /* f->size when r came */
	uint64_t end; /* file_zero.c: of the part that zeros are written to */
	uint8_t *bounce;   /* FILE_STEP_MAX or less; NULL = none */
	struct iovec *iov; /* rest of r->iov after a short transfer */
	struct iovec one;
	unsigned retries;
	struct list node; /* in spare, writes or waiting */

	/* file_order.c: [lo, hi) that it touches, in whole align blocks */
	uint64_t lo, hi;
	bool in_order, partial;

	/* for a worker thread: what it is to do, and what came of it */
	int64_t (*job)(struct file_io *io);
	int64_t job_res;
	uint64_t arg[2];
	bool flag;
};

/* file_measure.c: fill what the host asks for. -errno with e filled. */
int file_measure(struct file *f, const struct stat *st, struct err *e);
/* Bytes that the file or device has now, or -errno. Thread: any. */
int file_bytes(int fd, bool bdev, uint64_t *out);
/* Only files and block devices will do. */
int file_check_type(const char *path, mode_t mode, struct err *e);
/* What open() said, with the mend. Returns -code. */
int file_open_error(const char *path, bool readonly, bool direct, int code,
	struct err *e);

/* file.c: have tail_fd if the size asks for one. 0, -errno with e filled. */
int file_open_tail(struct file *f, struct err *e);

/* file_io.c: the node's submit, and the steps that the other files share. */
void file_submit(struct node *n, struct blk_req *r);
void file_io_fini(struct file *f);
void file_io_end(struct file_io *io, int err);
void file_io_fail(struct file_io *io, int64_t res);
void file_call(struct file_io *io, enum aio_op op, uint64_t offset,
	uint64_t len, void (*next)(struct file_io *io, int64_t res));
/* Run io->job on a worker thread, then next with its result. */
void file_work(struct file_io *io, int64_t (*job)(struct file_io *io),
	void (*next)(struct file_io *io, int64_t res));
/* All of it is in the page cache or on the device: sync if asked, end. */
void file_io_written(struct file_io *io);
/* What a host error is to a guest. */
int file_map_err(int64_t res);
/* The file has bytes up to end now. */
void file_grew(struct file *f, uint64_t end);
/* It has none behind io->pos: end a read with zeros. */
void file_read_eof(struct file_io *io);

/*
 * file_part.c: transfers of parts of blocks under O_DIRECT. Read or write
 * the rest of io's iovec, or zeros where it is BLK_WRITE_ZEROES (up to
 * io->end).
 */
bool file_is_partial(const struct file *f, uint64_t offset, uint64_t len);
void file_part_step(struct file_io *io);

/* file_order.c */
void file_order_init(struct file *f);
/* True: begin io. False: it waits, and is begun by file_start(). */
bool file_order_enter(struct file_io *io);
void file_order_leave(struct file_io *io);
void file_start(struct file_io *io);

/* file_zero.c */
void file_discard(struct file_io *io);
void file_zero(struct file_io *io);

/* file_status.c */
void file_status(struct file_io *io);
void file_status_forget(struct file *f);

/* file_size.c: the node's resize. */
int file_resize(struct node *n, uint64_t size, enum node_prealloc how,
	struct err *e);
/*
 * Give fd, which has from bytes, size of them; how says what becomes of the
 * room that is new. Blocks. -errno.
 */
int file_set_size(int fd, uint64_t from, uint64_t size, enum node_prealloc how);

#endif
