/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests of the room's inside: an image that is open, and calls that need
 * a fiber and q->meta. */
#ifndef TESTS_UNIT_STORAGE_QCOW2_INNER_H
#define TESTS_UNIT_STORAGE_QCOW2_INNER_H

#include "storage/qcow2/refs.h"
#include "storage/qcow2/write.h"

#include "tests/unit/storage/qcow2/qtest.h"

struct inner {
	struct node *file, *data, *backing, *n;
	struct qcow2 *q;
};

/* Make an image in memory with these options and open it. backing and data
 * are nodes or NULL. */
void inner_begin(struct inner *in, const struct qcow2_create *o,
	struct node *data, struct node *backing);
void inner_open(struct inner *in);
/* A backing file of len bytes that are not zero, and in *o the options from
 * with its name. */
struct node *inner_backing(const struct qcow2_create *from,
	struct qcow2_create *o, uint64_t len);
/* Close, which must work, and what qemu-img finds: nothing. */
void inner_end(struct inner *in);
/* Close, which may fail, and open again. */
void inner_reopen(struct inner *in);

/* fn(q, arg) in a fiber with meta held; what it returned. */
int inner_call(struct inner *in, int (*fn)(struct qcow2 *q, void *arg),
	void *arg);

int inner_commit(struct inner *in);
/* Counts; the first must work. */
uint64_t inner_count(struct inner *in, uint64_t cluster);
int inner_add(struct inner *in, uint64_t cluster, uint64_t n, int64_t delta);
/* What is in the map at a guest offset. */
struct qmap inner_map(struct inner *in, uint64_t offset);

int inner_write(struct inner *in, uint64_t off, uint64_t len, unsigned seed);
/* Reads as that write wrote it, as zeros? */
bool inner_is(struct inner *in, uint64_t off, uint64_t len, unsigned seed);
bool inner_is_zero(struct inner *in, uint64_t off, uint64_t len);

/* A request that is begun; inner_wait() gives its error. */
struct inner_req {
	struct blk_req r;
	struct iovec iov;
	bool done;
	int err;
};

void inner_submit(struct inner *in, struct inner_req *r, enum blk_op op,
	unsigned flags, uint64_t off, void *buf, uint64_t len);
int inner_wait(struct inner_req *r);

#endif
