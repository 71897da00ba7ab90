/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The raw format's insides, shared by raw.c (open, info) and raw_io.c. */
#ifndef STORAGE_RAW_H
#define STORAGE_RAW_H

#include "storage/core/aio.h"
#include "storage/proto/file.h"
#include "storage/core/node.h"

#define RAW_STEP_MAX (UINT64_C(1) << 20) /* bytes bounced or zeroed at once */

/* Thread: the loop's, but for file, which never changes after open. */
struct raw {
	struct node node;
	struct file file;
	struct aio *aio;
	struct log *log;
	struct log_limit limit;
	char *path;
	bool readonly;
	bool write_through;  /* sync after each write */
	bool unsafe;         /* never sync */
	bool keep_allocated; /* do not punch holes */
	/* learnt: the file system or device does not do it */
	bool no_punch, no_zero_range, no_zeroout, no_discard;
	int lost;    /* -errno of a failed sync: written data may be gone */
	void *zeros; /* RAW_STEP_MAX of them, mapped when first needed */
	struct list spare; /* struct raw_io */
};

/* Release what raw_io.c keeps. */
void raw_io_fini(struct raw *raw);

/* The node's submit. */
void raw_submit(struct node *n, struct blk_req *r);

#endif
