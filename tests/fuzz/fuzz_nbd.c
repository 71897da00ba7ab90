/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An NBD server that says anything: all of it is written into a socket pair
 * beforehand. Either the input is the server's bytes as they are, or its
 * first bytes make a handshake that is nearly right and the rest are recipes
 * for replies. Whatever comes, each request ends once, and a status is about
 * what was asked. Beyond that the first connection may be followed by a
 * second one with bytes of its own.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/core/ctx.h"
#include "storage/core/sync.h"
#include "storage/proto/nbd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS 8u
#define WIRE_MAX 65536u

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* What the fuzzer gives, byte by byte; zeros at its end. */
struct input {
	const uint8_t *p;
	size_t left;
};

static uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

/* What the server says. */
struct wire {
	uint8_t buf[WIRE_MAX];
	size_t len;
};

static void put(struct wire *w, const void *p, size_t len)
{
	if (len > WIRE_MAX - w->len)
		len = WIRE_MAX - w->len;
	memcpy(w->buf + w->len, p, len);
	w->len += len;
}

static void put_be(struct wire *w, uint64_t v, unsigned bytes)
{
	uint8_t b[8];

	put_be64(b, v);
	put(w, b + 8 - bytes, bytes);
}

static void put_option_reply(struct wire *w, uint32_t option, uint32_t type,
	uint32_t len)
{
	put_be(w, UINT64_C(0x3e889045565a9), 8);
	put_be(w, option, 4);
	put_be(w, type, 4);
	put_be(w, len, 4);
}

/* Option haggling as libnbd does it, with the server's figures from in. */
static void put_handshake(struct wire *w, struct input *in)
{
	static const uint32_t mins[] = { 1, 1, 512, 4096, 65536, 3, 0, 131072 };
	uint8_t how = take(in);

	put(w, "NBDMAGICIHAVEOPT", 16);
	put_be(w, 3, 2);
	put_option_reply(w, 8, how & 1 ? 1 : 0x80000001u, 0);
	if (how & 1) { /* structured replies: base:allocation, number 1 */
		put_option_reply(w, 10, 4, 4 + 15);
		put_be(w, 1, 4);
		put(w, "base:allocation", 15);
		put_option_reply(w, 10, 1, 0);
	}
	put_option_reply(w, 7, 3, 12);
	put_be(w, 0, 2);
	put_be(w, (uint64_t)take(in) << (take(in) & 63), 8);
	put_be(w, (uint16_t)((take(in) << 8) | take(in) | 1), 2);
	if (how & 2) {
		put_option_reply(w, 7, 3, 14);
		put_be(w, 3, 2);
		put_be(w, mins[take(in) & 7], 4);
		put_be(w, 4096, 4);
		put_be(w, UINT32_C(1) << (take(in) & 31), 4);
	}
	put_option_reply(w, 7, how & 4 ? 0x80000000u + (how >> 3) : 1, 0);
}

static void put_chunk(struct wire *w, struct input *in, uint16_t type,
	uint32_t len)
{
	put_be(w, 0x668e33ef, 4);
	put_be(w, take(in) & 3, 2);
	put_be(w, type, 2);
	put_be(w, take(in) & 15, 8);
	put_be(w, len, 4);
}

/* One reply by a recipe. */
static void put_reply(struct wire *w, struct input *in)
{
	static const uint8_t errors[] = { 0, 0, 0, 1, 5, 12, 22, 28, 75, 95,
		108, 255 };
	uint8_t data[4096];
	uint32_t len;

	switch (take(in) % 7) {
	case 0:
		put_be(w, 0x67446698, 4);
		put_be(w, errors[take(in) % sizeof(errors)], 4);
		put_be(w, take(in) & 15, 8);
		break;
	case 1:
		len = (uint32_t)take(in) * 16;
		memset(data, 0x5a, sizeof(data));
		put_chunk(w, in, 1, len + 8);
		put_be(w, (uint64_t)take(in) * 512, 8);
		put(w, data, len);
		break;
	case 2:
		put_chunk(w, in, 2, 12);
		put_be(w, (uint64_t)take(in) * 512, 8);
		put_be(w, (uint32_t)take(in) << (take(in) & 31), 4);
		break;
	case 3:
		len = take(in) & 3;
		put_chunk(w, in, 5, 4 + 8 * len);
		put_be(w, take(in) & 1 ? 1 : take(in), 4);
		while (len--) {
			put_be(w, (uint32_t)take(in) << (take(in) & 31), 4);
			put_be(w, take(in) & 7, 4);
		}
		break;
	case 4:
		put_chunk(w, in, 0x8001 + (take(in) & 1), 6);
		put_be(w, errors[take(in) % sizeof(errors)], 4);
		put_be(w, 0, 2);
		break;
	case 5:
		put_chunk(w, in, 0, 0);
		break;
	default:
		len = take(in) & 31;
		for (uint32_t i = 0; i < len; i++)
			data[i] = take(in);
		put(w, data, len);
	}
}

static struct wire wires[2];
static unsigned connects; /* the dial's thread, one at a time */

static int connect_pair(struct nbd_handle *h, void *arg)
{
	struct wire *w = &wires[connects < 2 ? connects : 1];
	int sv[2], size = 1 << 20;
	int *keep = arg;

	if (connects++ >= 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		return -1;
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	must(send(sv[0], w->buf, w->len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
		(ssize_t)w->len);
	shutdown(sv[0], SHUT_WR);
	keep[connects - 1] = sv[0];
	return nbd_aio_connect_socket(h, sv[1]);
}

struct request {
	struct blk_req r;
	struct blk_extent extent;
	struct iovec iov[2];
	uint8_t buf[16384];
	unsigned done;
};

struct disk {
	struct proto_open o;
	struct nbd_params params;
	struct node *node;
	struct err e;
	struct request q[REQUESTS];
};

static void request_done(struct blk_req *r, int err)
{
	struct request *q = r->arg;

	must(err <= 0);
	q->done++;
	if (!err && r->op == BLK_STATUS)
		must(q->extent.len && q->extent.len <= r->len);
}

static void request_fill(struct request *q, struct input *in)
{
	uint8_t how = take(in);
	uint64_t len = 1 + take(in) * 61u;

	memset(q, 0, offsetof(struct request, buf));
	q->done = 0;
	q->iov[0] = (struct iovec){ q->buf, len / 3 };
	q->iov[1] = (struct iovec){ q->buf + len / 3, len - len / 3 };
	q->r = (struct blk_req){
		.op = (enum blk_op)(how % BLK_OPS),
		.flags = how & 64    ? BLK_FUA
			 : how & 128 ? BLK_UNMAP
				     : 0,
		.offset = (uint64_t)take(in) << (take(in) & 31),
		.len = len,
		.iov = q->iov,
		.niov = 2,
		.extent = &q->extent,
		.done = request_done,
		.arg = q,
	};
	if (!(how & 32)) { /* a guest's */
		q->r.offset &= ~UINT64_C(511);
		q->r.len = 512 * (1 + len / 512);
		q->iov[1].iov_len = q->r.len - q->iov[0].iov_len;
	}
}

static int open_fn(void *arg)
{
	struct disk *d = arg;

	return nbd_node_open_with(&d->o, &d->params, &d->node, &d->e);
}

static int close_fn(void *arg)
{
	return node_close(((struct disk *)arg)->node);
}

static void ignore(void *arg, enum log_level level, const char *text)
{
	(void)arg;
	(void)level;
	(void)text;
}

static void run(struct disk *d, struct input *in)
{
	struct blk_info info;

	if (ctx_run(d->o.ctx, open_fn, d)) {
		must(d->e.code > 0 && d->e.msg[0]);
		return;
	}
	d->node->ops->info(d->node, &info);
	must(size_is_pow2(info.block_size) && info.block_size <= 65536);
	for (unsigned i = 0; i < REQUESTS; i++) {
		request_fill(&d->q[i], in);
		node_submit(d->node, &d->q[i].r);
	}
	for (unsigned i = 0; i < REQUESTS; i++)
		while (!d->q[i].done)
			ctx_wait(d->o.ctx);
	must(!ctx_run(d->o.ctx, close_fn, d));
	for (unsigned i = 0; i < REQUESTS; i++)
		must(d->q[i].done == 1);
}

static void fill_wires(struct input *in)
{
	bool raw = take(in) & 1;
	size_t half = in->left / 2;

	for (unsigned i = 0; i < 2; i++) {
		struct input part = { in->p + i * half, half };

		wires[i].len = 0;
		if (raw) {
			put(&wires[i], part.p, part.left);
			continue;
		}
		put_handshake(&wires[i], &part);
		while (part.left)
			put_reply(&wires[i], &part);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	static struct ctx *ctx;
	static struct log *quiet;
	static struct disk d;
	struct err e = ERR_NONE;
	struct input in = { data, size };
	int keep[2] = { -1, -1 };
	uint8_t how;

	if (!loop) {
		must(!loop_new(&loop, &e) && !ctx_get(loop, &ctx, &e));
		quiet = log_new(ignore, NULL);
	}
	if (size > 8192)
		return 0;
	how = take(&in);
	memset(&d.e, 0, sizeof(d.e));
	d.o = (struct proto_open){ .path = "nbd://fuzz/",
		.ctx = ctx,
		.log = quiet,
		.cache = (enum blk_cache)(how % 5),
		.readonly = how & 32,
		.is_format = how & 64 };
	d.params = (struct nbd_params){ .connect_ms = 1000,
		.hold_ms = 3,
		.pause_ms = 1,
		.pause_max_ms = 1,
		.conns = 1,
		.connect = connect_pair,
		.arg = keep };
	connects = 0;
	{
		struct input wire = in;

		fill_wires(&wire);
	}
	/* the requests come from the end */
	if (in.left > 4 * REQUESTS) {
		in.p += in.left - 4 * REQUESTS;
		in.left = 4 * REQUESTS;
	}
	run(&d, &in);
	for (int i = 0; i < 2; i++)
		if (keep[i] >= 0)
			close(keep[i]);
	return 0;
}
