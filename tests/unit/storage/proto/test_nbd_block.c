/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Servers with blocks of their own, and requests that keep to none. */
#include "vm/base/sizes.h"

#include "storage/proto/nbd.h"

#include "tests/unit/storage/proto/nbdrig.h"
#include "tests/unit/suite.h"

#define POLICY                                                                 \
	"--filter=blocksize-policy memory 1M blocksize-error-policy=error "    \
	"blocksize-minimum=4K blocksize-preferred=4K blocksize-maximum=64K"

START_TEST (blocks_of_the_server_are_kept_to) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_info info;
	uint8_t *p = nbdrig_pattern(512 * KiB, 1),
		*q = nbdrig_pattern(512 * KiB, 2);

	NBDRIG_NEEDS("nbdkit");
	nbdrig_serve(&s, &d, POLICY);
	d.node->ops->info(d.node, &info);
	ck_assert_uint_eq(info.block_size, 4096);
	ck_assert_int_eq(nbdrig_pieces(&d, BLK_WRITE, 4096, p, 512 * KiB), 0);
	ck_assert_int_eq(nbdrig_pieces(&d, BLK_READ, 4096, q, 512 * KiB), 0);
	ck_assert_mem_eq(p, q, 512 * KiB);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 8192, NULL,
				 128 * KiB),
		0);
	memset(p + 4096, 0, 128 * KiB);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 4096, q, 512 * KiB), 0);
	ck_assert_mem_eq(p, q, 512 * KiB);
	free(p);
	free(q);
	nbdrig_serve_end(&s, &d);
}
END_TEST

/* The disk and what it must hold. */
#define ODD_SIZE  (256u * 1024)
#define ODD_SLOTS 16u

struct odd {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t *want, *got;
	struct rig_req q[ODD_SLOTS];
	uint8_t *buf[ODD_SLOTS];
	uint64_t off[ODD_SLOTS], len[ODD_SLOTS];
	bool used[ODD_SLOTS];
};

static void odd_open(struct odd *o)
{
	memset(o, 0, sizeof(*o));
	nbdrig_listen(&o->s);
	nbdrig_start(&o->s, "nbdkit -f " POLICY);
	nbdrig_disk_init(&o->d, nbdrig_uri(&o->s, ""));
	o->d.o.is_format = true;
	nbdrig_disk_open(&o->d);
	o->want = calloc(1, ODD_SIZE);
	o->got = calloc(1, ODD_SIZE);
}

static void odd_close(struct odd *o)
{
	free(o->got);
	free(o->want);
	nbdrig_serve_end(&o->s, &o->d);
}

/* All is as it must be. */
static void odd_check(struct odd *o)
{
	ck_assert_int_eq(nbdrig_do(&o->d, BLK_READ, 0, 0, o->got, ODD_SIZE), 0);
	ck_assert_mem_eq(o->got, o->want, ODD_SIZE);
}

static void odd_wait(struct odd *o, unsigned i)
{
	if (!o->used[i])
		return;
	ck_assert_int_eq(rig_wait(&o->q[i]), 0);
	if (o->q[i].r.op == BLK_READ)
		ck_assert_mem_eq(o->buf[i], o->want + o->off[i], o->len[i]);
	free(o->buf[i]);
	o->used[i] = false;
}

/* Requests in flight must not touch the same bytes; blocks they may. */
static void odd_wait_overlaps(struct odd *o, uint64_t off, uint64_t len)
{
	for (unsigned i = 0; i < ODD_SLOTS; i++)
		if (o->used[i] && off < o->off[i] + o->len[i] &&
			o->off[i] < off + len)
			odd_wait(o, i);
}

static void odd_step(struct odd *o, unsigned i, unsigned seed)
{
	static const enum blk_op ops[] = { BLK_WRITE, BLK_WRITE, BLK_READ,
		BLK_WRITE_ZEROES };
	enum blk_op op = ops[(unsigned)random() % 4];
	uint64_t len = 1 + (uint64_t)random() % (random() % 4 ? 3000 : 20000);
	uint64_t off = (uint64_t)random() % (ODD_SIZE - len);

	odd_wait(o, i);
	odd_wait_overlaps(o, off, len);
	o->off[i] = off;
	o->len[i] = len;
	o->buf[i] = nbdrig_pattern(len, seed);
	o->used[i] = true;
	if (op == BLK_WRITE)
		memcpy(o->want + off, o->buf[i], len);
	else if (op == BLK_WRITE_ZEROES)
		memset(o->want + off, 0, len);
	nbdrig_submit(&o->d, &o->q[i], op, 0, off, o->buf[i], len);
}

START_TEST (odd_writes_at_once_change_their_bytes_only) {
	struct odd o;

	NBDRIG_NEEDS("nbdkit");
	odd_open(&o);
	srandom(1);
	for (unsigned n = 0; n < 2000; n++)
		odd_step(&o, n % ODD_SLOTS, n);
	for (unsigned i = 0; i < ODD_SLOTS; i++)
		odd_wait(&o, i);
	odd_check(&o);
	odd_close(&o);
}
END_TEST

START_TEST (odd_discard_leaves_the_edges) {
	struct odd o;

	NBDRIG_NEEDS("nbdkit");
	odd_open(&o);
	memset(o.want, 7, ODD_SIZE);
	ck_assert_int_eq(nbdrig_do(&o.d, BLK_WRITE, 0, 0, o.want, ODD_SIZE), 0);
	ck_assert_int_eq(nbdrig_do(&o.d, BLK_DISCARD, 0, 100, NULL, 4000), 0);
	ck_assert_int_eq(nbdrig_do(&o.d, BLK_DISCARD, 0, 5000, NULL, 9000), 0);
	memset(o.want + 8192, 0, 4096);
	odd_check(&o);
	odd_close(&o);
}
END_TEST

START_TEST (odd_status_is_answered) {
	struct blk_extent x;
	struct odd o;

	NBDRIG_NEEDS("nbdkit");
	odd_open(&o);
	ck_assert_int_eq(nbdrig_status(&o.d, 4096, 100, &x), 0);
	ck_assert(x.len == 100 && x.zero && !x.data);
	ck_assert_int_eq(nbdrig_status(&o.d, 100, 1000, &x), 0);
	ck_assert(x.len == 1000 && x.data);
	odd_close(&o);
}
END_TEST

RIG_SUITE("nbd_block", blocks_of_the_server_are_kept_to,
	odd_writes_at_once_change_their_bytes_only,
	odd_discard_leaves_the_edges, odd_status_is_answered)
