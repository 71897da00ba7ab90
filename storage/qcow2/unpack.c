/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading compressed clusters; see read.h. A guest reads them in pieces that
 * are smaller than a cluster, so some are kept as they were decompressed; who
 * comes while one is on its way waits for it. Whole clusters into one piece
 * of memory are decompressed right there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/sizes.h"

#include "storage/core/iov.h"
#include "storage/qcow2/read.h"

#define QUNPACK_MAX   16u
#define QUNPACK_BYTES (1 * MiB) /* or two clusters */
/* Clusters on their way at the same time: each takes up to three times its
 * size, and a guest asks for as many as it likes. */
#define QUNPACK_LOADS (16 * MiB)

struct qunpack_slot {
	struct qunpack_at at;
	uint8_t *buf; /* a cluster, or NULL: never used */
	bool valid, loading;
	unsigned pins;
	uint64_t used; /* when, by count */
	int err;       /* of the loading */
	struct fiber_queue waiters;
};

struct qunpacked {
	unsigned n;
	uint64_t uses;
	struct fiber_room loads;
	struct qunpack_slot slots[];
};

static struct qunpacked *qunpack_open(struct qcow2 *q)
{
	uint64_t n = QUNPACK_BYTES >> q->cluster_bits;
	struct qunpacked *u = q->unpacked;

	if (u)
		return u;
	n = n < 2 ? 2 : n > QUNPACK_MAX ? QUNPACK_MAX : n;
	u = calloc(1, sizeof(*u) + n * sizeof(u->slots[0]));
	if (!u)
		return NULL;
	u->n = (unsigned)n;
	fiber_room_init(&u->loads);
	for (unsigned i = 0; i < u->n; i++)
		fiber_queue_init(&u->slots[i].waiters);
	q->unpacked = u;
	return u;
}

void qunpack_close(struct qcow2 *q)
{
	struct qunpacked *u = q->unpacked;

	for (unsigned i = 0; u && i < u->n; i++)
		free(u->slots[i].buf);
	free(u);
	q->unpacked = NULL;
}

static struct qunpack_slot *qunpack_find(struct qunpacked *u,
	const struct qunpack_at *at)
{
	for (unsigned i = 0; u && i < u->n; i++) {
		struct qunpack_slot *s = &u->slots[i];

		if ((s->valid || s->loading) && s->at.host == at->host &&
			s->at.host_len == at->host_len &&
			s->at.epoch == at->epoch)
			return s;
	}
	return NULL;
}

const uint8_t *qunpack_peek(struct qcow2 *q, const struct qunpack_at *at)
{
	struct qunpack_slot *s = qunpack_find(q->unpacked, at);

	if (!s || !s->valid)
		return NULL;
	s->used = ++q->unpacked->uses;
	return s->buf;
}

/* Read and decompress a cluster into dst. In the room of loads. */
static int qunpack_load(struct qcow2 *q, const struct qunpack_at *at, void *dst)
{
	void *src = malloc(at->host_len);
	int r;

	if (!src)
		return -ENOMEM;
	r = node_read(q->file, at->host, src, at->host_len);
	if (!r)
		r = qcomp_unpack(q, dst, q->cluster_size, src, at->host_len);
	free(src);
	return r;
}

/* The slot that was not used for longest, or NULL: all are. Has a buffer. */
static struct qunpack_slot *qunpack_oldest(struct qcow2 *q, struct qunpacked *u)
{
	struct qunpack_slot *best = NULL;

	for (unsigned i = 0; i < u->n; i++) {
		struct qunpack_slot *s = &u->slots[i];

		if (!s->pins && (!best || s->used < best->used))
			best = s;
	}
	if (best && !best->buf)
		best->buf = malloc(q->cluster_size);
	return best && best->buf ? best : NULL;
}

/* Into s, which is pinned; those who came meanwhile are told. */
static int qunpack_fill(struct qcow2 *q, const struct qunpack_at *at,
	struct qunpack_slot *s)
{
	struct fiber_room *loads = &q->unpacked->loads;

	s->at = *at;
	s->valid = false;
	s->loading = true;
	fiber_room_enter(loads, QUNPACK_LOADS >> q->cluster_bits);
	s->err = qunpack_load(q, at, s->buf);
	fiber_room_leave(loads);
	s->loading = false;
	s->valid = !s->err;
	fiber_queue_wake_all(&s->waiters);
	return s->err;
}

/* Without a slot, in the room of loads. */
static int qunpack_load_apart(struct qcow2 *q, const struct qunpack_at *at,
	uint32_t in, uint32_t len, const struct iovec *iov, int niov)
{
	uint8_t *buf;
	int r;

	if (niov == 1 && len == q->cluster_size)
		return qunpack_load(q, at, iov->iov_base);
	buf = malloc(q->cluster_size);
	if (!buf)
		return -ENOMEM;
	r = qunpack_load(q, at, buf);
	if (!r)
		iov_from_buf(iov, niov, 0, buf + in, len);
	free(buf);
	return r;
}

/* Without a slot. */
static int qunpack_apart(struct qcow2 *q, const struct qunpack_at *at,
	uint32_t in, uint32_t len, const struct iovec *iov, int niov)
{
	struct fiber_room *loads = &q->unpacked->loads;
	int r;

	fiber_room_enter(loads, QUNPACK_LOADS >> q->cluster_bits);
	r = qunpack_load_apart(q, at, in, len, iov, niov);
	fiber_room_leave(loads);
	return r;
}

int qunpack(struct qcow2 *q, const struct qunpack_at *at, uint32_t in,
	uint32_t len, const struct iovec *iov, int niov)
{
	struct qunpacked *u = qunpack_open(q);
	struct qunpack_slot *s;
	int r;

	if (!u)
		return -ENOMEM;
	s = qunpack_find(u, at);
	if (!s && len == q->cluster_size)
		return qunpack_apart(q, at, in, len, iov, niov);
	if (s) {
		s->pins++;
		while (s->loading)
			fiber_queue_wait(&s->waiters);
		r = s->err;
	} else {
		s = qunpack_oldest(q, u);
		if (!s)
			return qunpack_apart(q, at, in, len, iov, niov);
		s->pins++;
		r = qunpack_fill(q, at, s);
	}
	if (!r) {
		iov_from_buf(iov, niov, 0, s->buf + in, len);
		s->used = ++u->uses;
	}
	s->pins--;
	return r;
}
