/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the image tools share. A tool has a loop of its own, runs its work in
 * fibers on the calling thread and asks its job between chunks whether to go
 * on.
 */
#ifndef STORAGE_TOOLS_TOOLS_H
#define STORAGE_TOOLS_TOOLS_H

#include <limits.h>

#include "storage/core/ctx.h"
#include "storage/core/fiber.h"
#include "storage/core/node.h"
#include "storage/qcow2/qcow2.h"
#include "storage/storage.h"

struct tool {
	struct loop *loop;
	struct ctx *ctx;
	struct log *log;
	struct img_job *job;  /* or NULL */
	uint64_t done, total; /* for the job */
	bool stop;            /* the job was cancelled */
};

/* 0 or -errno with e filled; tool_fini() only after 0. */
int tool_init(struct tool *t, struct img_job *j, struct err *e);
void tool_fini(struct tool *t);

enum tool_how {
	TOOL_WRITE = 1,
	TOOL_ALONE = 2,   /* without what backs it */
	TOOL_CHECK = 4,   /* as it is, damaged or not */
	TOOL_HEADER = 16, /* only to look at what it is */
	TOOL_NO_LOCK = 8, /* reading what somebody else may use */
};

int tool_open(struct tool *t, const struct img_ref *ref, unsigned how,
	struct blk **out, struct err *e);
/* Close *b (NULL is fine), which becomes NULL. Its error counts when err is
 * 0: returns err, or that one. e is filled if nobody did. */
int tool_close(struct blk **b, const char *path, int err, struct err *e);

/*
 * Run fn(arg) in a fiber until it returns, the job asked ten times a second.
 * Its result.
 */
int tool_run(struct tool *t, int (*fn)(void *arg), void *arg);

/* Ask the job now, from outside of fibers: true = stop. */
bool tool_tick(struct tool *t);

uint64_t tool_size(const struct blk *b);

static inline uint64_t tool_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Where name, as written in the image at path, points to. -ENAMETOOLONG. */
int tool_beside(const char *path, const char *name, char *out, size_t size,
	struct err *e);

/* The qcow2 node on top of b: NULL and e filled (-ENOTSUP) when it is none,
 * what is "cannot have snapshots" or the like. */
struct node *tool_qcow2(struct blk *b, const char *path, const char *what,
	struct err *e);

/* --- options.c, make.c ---------------------------------------------------- */

/* What o says in qcow2's own terms; borrows o's strings. */
void img_options_qcow2(const struct img_options *o, struct qcow2_create *q);

/* Is o's backing format one that can be written down? "auto" is none. */
bool img_options_backing_known(const struct img_options *o);

/* Do both names lead to one file? */
bool tool_same_file(const char *a, const char *b);

/* A file that is being made, by its real name. */
struct target {
	enum { TARGET_NONE, TARGET_MADE, TARGET_EMPTIED } state;
	char path[PATH_MAX];
};

/* An image to be made with all that belongs to it (data file). */
struct make {
	const char *path;
	enum blk_format format; /* raw or qcow2 */
	const struct img_options *o;
	uint64_t size; /* bytes, final */
	bool force;
	const char *src; /* what is read for it: never a target; or NULL */
	const char *tls_dir;
	/* img_make()'s */
	struct qcow2_create q;
	char data_path[PATH_MAX];
	struct target image, data;
};

/*
 * Check all that can be known before, then make it. When it fails what was
 * made is gone again (what was there before and --force gave free is empty).
 * -EEXIST without force, -ECANCELED.
 */
int img_make(struct make *m, struct img_job *j, struct err *e);
/* Take it away again, as after a failure. */
void img_unmake(struct make *m);
/* "is removed" or whatever img_unmake() will do to the image. */
const char *make_fate(const struct make *m);

/* Write zeros to [from, to) of n, and flush; t's job is told and asked. */
struct fill {
	struct tool *t;
	struct node *n;
	uint64_t from, to;
};
int tool_fill(struct fill *f);

/* --- copy.c --------------------------------------------------------------- */

/*
 * Copy from src to dst, many chunks at once. Where base is given only what
 * differs from it is written; where mask is given only what that layer does
 * not have itself.
 */
struct copy {
	struct tool *t;
	struct blk *src, *dst, *base, *mask;
	uint64_t size;      /* bytes from 0 on */
	unsigned src_flags; /* of status: BLK_TOP = skip what src has not */
	bool dst_zero;      /* dst reads as zeros where nobody wrote */
	bool compress;
	bool no_sparse; /* write zeros out */
	uint64_t piece; /* zeros (or equal bytes) are looked for by it */
	uint64_t chunk; /* read at once, multiple of piece */
	unsigned parallel;
	bool read_failed; /* the error was the source's, not dst's */
	/* the engine's */
	struct fiber_lock cursor;
	struct fiber *boss;
	uint8_t *mem; /* everybody's buffers */
	uint64_t pos;
	unsigned begun, running;
	int err;
};

/* In a fiber. 0, -ECANCELED or another -errno (of the request that failed;
 * read_failed says whose). */
int copy_run(struct copy *c);

/*
 * Not in a fiber, for an image that is there: with pieces as dst has them,
 * told and stopped by the tool's job, flushed. path is dst's. 0 or -errno with
 * e filled.
 */
int copy_into(struct copy *c, const char *path, struct err *e);

#endif
