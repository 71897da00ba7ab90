/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An NBD server of the test's own, in a thread, that answers as no good one
 * does: what a real one cannot be brought to.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "storage/proto/nbd.h"

#include "tests/unit/storage/proto/nbdrig.h"
#include "tests/unit/suite.h"

#define FLAGS_ALL 0x6d /* flush, FUA, trim, zeroes */
#define CMDS      8
#define OUT_MAX   1024u

/* How it behaves; set before the node is opened. */
static struct {
	uint64_t size;
	uint32_t min, max; /* block sizes, 0 = says none */
	uint16_t flags;
	uint32_t error[CMDS]; /* NBD's error by command */
	unsigned seen[CMDS];  /* commands that came */
	uint32_t extent[4];   /* for block status: lengths and flags */
	unsigned extents;     /* of those pairs */
	bool wrong_cookie, long_read;
	pthread_t thread;
	int fd;
	bool running;
} bad;

static struct nbdrig_disk disk;

struct out {
	uint8_t buf[OUT_MAX];
	size_t len;
};

static void put(struct out *o, uint64_t v, unsigned bytes)
{
	uint8_t b[8];

	put_be64(b, v);
	memcpy(o->buf + o->len, b + 8 - bytes, bytes);
	o->len += bytes;
}

static void put_text(struct out *o, const char *s)
{
	memcpy(o->buf + o->len, s, strlen(s));
	o->len += strlen(s);
}

static void put_option(struct out *o, uint32_t option, uint32_t type,
	uint32_t len)
{
	put(o, UINT64_C(0x3e889045565a9), 8);
	put(o, option, 4);
	put(o, type, 4);
	put(o, len, 4);
}

/* All of the handshake at once: what the client says is not looked at. */
static void say_hello(void)
{
	struct out o = { .len = 0 };

	put_text(&o, "NBDMAGICIHAVEOPT");
	put(&o, 3, 2);
	put_option(&o, 8, 1, 0);
	put_option(&o, 10, 4, 4 + 15);
	put(&o, 1, 4);
	put_text(&o, "base:allocation");
	put_option(&o, 10, 1, 0);
	put_option(&o, 7, 3, 12);
	put(&o, 0, 2);
	put(&o, bad.size, 8);
	put(&o, bad.flags, 2);
	if (bad.max) {
		put_option(&o, 7, 3, 14);
		put(&o, 3, 2);
		put(&o, bad.min, 4);
		put(&o, bad.min, 4);
		put(&o, bad.max, 4);
	}
	put_option(&o, 7, 1, 0);
	ck_assert_int_eq(io_write_full(bad.fd, o.buf, o.len), 0);
}

static void put_chunk(struct out *o, uint16_t type, uint64_t cookie,
	uint32_t len)
{
	put(o, 0x668e33ef, 4);
	put(o, 1, 2); /* the last one */
	put(o, type, 2);
	put(o, cookie, 8);
	put(o, len, 4);
}

static void answer(uint16_t cmd, uint64_t cookie, uint32_t len)
{
	struct out o = { .len = 0 };

	if (bad.wrong_cookie)
		cookie += 77;
	if (bad.error[cmd]) {
		put_chunk(&o, 0x8001, cookie, 6);
		put(&o, bad.error[cmd], 4);
		put(&o, 0, 2);
	} else if (cmd == 0) { /* read: a hole, maybe beyond its end */
		put_chunk(&o, 2, cookie, 12);
		put(&o, 0, 8);
		put(&o, bad.long_read ? len + 4096 : len, 4);
	} else if (cmd == 7) {
		put_chunk(&o, 5, cookie, 4 + 8 * bad.extents);
		put(&o, 1, 4);
		for (unsigned i = 0; i < 2 * bad.extents; i++)
			put(&o, bad.extent[i], 4);
	} else {
		put_chunk(&o, 0, cookie, 0);
	}
	(void)io_write_full(bad.fd, o.buf, o.len);
}

/* Skip what the client says in the handshake, up to its last option. */
static bool read_hello(void)
{
	uint8_t b[16], name[256];
	uint32_t len;

	if (io_read_full(bad.fd, b, 4))
		return false;
	do {
		if (io_read_full(bad.fd, b, 16))
			return false;
		len = get_be32(b + 12);
		if (len > sizeof(name) || io_read_full(bad.fd, name, len))
			return false;
	} while (get_be32(b + 8) != 7);
	return true;
}

static void *serve(void *arg)
{
	uint8_t b[28], data[4096];

	(void)arg;
	if (!read_hello())
		return NULL;
	while (!io_read_full(bad.fd, b, sizeof(b))) {
		uint16_t cmd = get_be16(b + 6);
		uint32_t len = get_be32(b + 24);

		if (cmd == 2 || cmd >= CMDS)
			break;
		for (uint32_t n; cmd == 1 && len; len -= n) {
			n = len < sizeof(data) ? len : sizeof(data);
			if (io_read_full(bad.fd, data, n))
				return NULL;
		}
		bad.seen[cmd]++;
		answer(cmd, get_be64(b + 8), len);
	}
	return NULL;
}

/* Only once: what it loses it does not get back. */
static int connect_bad(struct nbd_handle *h, void *arg)
{
	int sv[2];

	(void)arg;
	if (bad.running ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return -1;
	bad.running = true;
	bad.fd = sv[0];
	say_hello();
	ck_assert_int_eq(pthread_create(&bad.thread, NULL, serve, NULL), 0);
	return nbd_aio_connect_socket(h, sv[1]);
}

static void begin(void)
{
	memset(&bad, 0, sizeof(bad));
	bad.size = 1 * MiB;
	bad.flags = FLAGS_ALL;
	nbdrig_disk_init(&disk, "nbd://test/");
	disk.params.connect = connect_bad;
	disk.params.connect_ms = 5000;
	disk.params.hold_ms = 20;
	disk.params.conns = 1;
}

static void bad_end(void)
{
	if (!bad.running)
		return;
	shutdown(bad.fd, SHUT_RDWR);
	pthread_join(bad.thread, NULL);
	close(bad.fd);
}

static void end(void)
{
	nbdrig_disk_close(&disk);
	bad_end();
}

START_TEST (zeroing_that_is_not_supported_after_all_becomes_writing) {
	begin();
	bad.error[6] = 95;
	nbdrig_disk_open(&disk);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_WRITE_ZEROES, BLK_FUA, 0, NULL,
				 8192),
		0);
	ck_assert_uint_eq(bad.seen[6], 1);
	ck_assert_uint_eq(bad.seen[1], 1);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_WRITE_ZEROES, 0, 0, NULL, 8192),
		0);
	ck_assert_uint_eq(bad.seen[6], 1); /* it has learnt */
	ck_assert_uint_eq(bad.seen[1], 2);
	end();
}
END_TEST

START_TEST (trim_that_is_not_supported_after_all_is_no_error) {
	begin();
	bad.error[4] = 95;
	nbdrig_disk_open(&disk);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_DISCARD, 0, 0, NULL, 8192), 0);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_DISCARD, 0, 0, NULL, 8192), 0);
	ck_assert_uint_eq(bad.seen[4], 1);
	end();
}
END_TEST

START_TEST (failed_flush_is_told) {
	uint8_t buf[512] = { 0 };

	begin();
	bad.error[3] = 5;
	bad.flags &= (uint16_t)~8u; /* no FUA: a flush instead */
	nbdrig_disk_open(&disk);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_WRITE, BLK_FUA, 0, buf, 512),
		-EIO);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_WRITE, 0, 0, buf, 512), 0);
	end();
}
END_TEST

static void status_of(uint32_t len, uint32_t flags, unsigned n,
	struct blk_extent *x)
{
	begin();
	bad.extent[0] = len;
	bad.extent[1] = flags;
	bad.extents = n;
	nbdrig_disk_open(&disk);
	ck_assert_int_eq(nbdrig_status(&disk, 4096, 8192, x), 0);
	end();
}

START_TEST (extents_are_taken_for_what_they_may_be) {
	struct blk_extent x;

	status_of(4096, 3, 1, &x);
	ck_assert(x.len == 4096 && x.zero && !x.data);
	status_of(UINT32_MAX, 3, 1, &x);
	ck_assert(x.len == 8192 && x.zero);
	status_of(4096, 1, 1, &x); /* a hole of what? */
	ck_assert(x.len == 4096 && x.data && !x.zero);
	status_of(4096, 2, 1, &x);
	ck_assert(x.len == 4096 && x.data && x.zero);
}
END_TEST

/* Extents of a server's are of bytes, those of an image of whole blocks. */
START_TEST (extents_that_end_within_blocks_are_cut_to_blocks) {
	static const char list[] = "0 1000 hole,zero\n1000 2524\n"
				   "3524 4668 hole,zero\n";
	static const struct {
		uint64_t at, len;
		bool data;
	} want[] = { { 0, 512, false }, { 512, 512, true },
		{ 1024, 2048, true }, { 3072, 512, true },
		{ 3584, 4608, false } };
	const char *path = rig_file("extents", 0);
	struct nbdrig_server s = { 0 };
	struct blk_extent x;
	struct blk_opts o;
	struct blk *b;

	NBDRIG_NEEDS("nbdkit");
	rig_write_file(path, 0, list, sizeof(list) - 1);
	nbdrig_listen(&s);
	nbdrig_start(&s,
		"nbdkit -f --filter=extentlist memory 8K extentlist=%s", path);
	o = rig_opts(nbdrig_uri(&s, ""));
	b = rig_open(&o);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		ck_assert_int_eq(blk_status(b, 0, want[i].at,
					 8 * KiB - want[i].at, &x),
			0);
		ck_assert_uint_eq(x.len, want[i].len);
		ck_assert_int_eq(x.data, want[i].data);
		ck_assert_int_eq(x.zero, !want[i].data);
		ck_assert_int_eq(x.has_host, want[i].len == 2048);
	}
	ck_assert_int_eq(blk_close(b), 0);
	nbdrig_end(&s);
}
END_TEST

START_TEST (empty_extent_is_no_hang) {
	struct blk_extent x;
	struct rig_req q;

	begin();
	bad.extents = 1; /* of length 0 */
	nbdrig_disk_open(&disk);
	rig_init_req(&q, BLK_STATUS, 0, NULL, 8192);
	q.r.extent = &x;
	node_submit(disk.node, &q.r);
	if (!rig_wait(&q))
		ck_assert(x.len == 8192 && x.data);
	end();
}
END_TEST

START_TEST (reply_that_nobody_waits_for_ends_the_connection) {
	uint8_t buf[4096];

	begin();
	bad.wrong_cookie = true;
	nbdrig_disk_open(&disk);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), -EIO);
	ck_assert(nbdrig_logged("is lost"));
	end();
}
END_TEST

START_TEST (more_data_than_asked_is_not_taken) {
	uint8_t buf[8192];

	begin();
	bad.long_read = true;
	nbdrig_disk_open(&disk);
	memset(buf, 0xee, sizeof(buf));
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 4096), -EIO);
	for (unsigned i = 4096; i < sizeof(buf); i++)
		ck_assert_uint_eq(buf[i], 0xee);
	end();
}
END_TEST

START_TEST (size_that_is_negative_is_refused) {
	begin();
	bad.size = UINT64_MAX - 511;
	nbdrig_disk_fails(&disk, 0, "cannot connect");
	bad_end();
}
END_TEST

START_TEST (largest_size_is_taken) {
	struct blk_info info;
	uint8_t buf[512];

	begin();
	bad.size = INT64_MAX;
	nbdrig_disk_open(&disk);
	disk.node->ops->info(disk.node, &info);
	ck_assert_uint_eq(info.size, (uint64_t)INT64_MAX - 511);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_WRITE, 0, info.size - 512, buf,
				 512),
		0);
	end();
}
END_TEST

START_TEST (blocks_beyond_the_protocol_are_refused_or_not_believed) {
	static const uint32_t mins[] = { 3, 131072, 0 };

	for (unsigned i = 0; i < ARRAY_LEN(mins); i++) {
		begin();
		bad.min = mins[i];
		bad.max = 1 << 20;
		if (nbdrig_disk_try(&disk)) {
			ck_assert_err(disk.e, disk.e.code, "nbd://test/");
			ctx_put(disk.o.ctx);
			log_close(disk.log);
			bad_end();
			continue;
		}
		ck_assert(size_is_pow2(disk.nbd->caps.min_block) &&
			  disk.nbd->caps.min_block <= NBD_BLOCK_MAX);
		end();
	}
}
END_TEST

START_TEST (server_that_ends_in_the_handshake_is_told) {
	begin();
	bad.running = true; /* refuses at once */
	nbdrig_disk_fails(&disk, 0, "nbd://test/: cannot connect");
}
END_TEST

START_TEST (error_that_nobody_knows_is_an_io_error) {
	uint8_t buf[512];

	begin();
	bad.error[0] = 4711;
	bad.error[1] = 30;
	nbdrig_disk_open(&disk);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_READ, 0, 0, buf, 512), -EIO);
	ck_assert_int_eq(nbdrig_do(&disk, BLK_WRITE, 0, 0, buf, 512), -EIO);
	end();
}
END_TEST

RIG_SUITE("nbd_hostile",
	zeroing_that_is_not_supported_after_all_becomes_writing,
	trim_that_is_not_supported_after_all_is_no_error, failed_flush_is_told,
	extents_are_taken_for_what_they_may_be,
	extents_that_end_within_blocks_are_cut_to_blocks,
	empty_extent_is_no_hang,
	reply_that_nobody_waits_for_ends_the_connection,
	more_data_than_asked_is_not_taken, size_that_is_negative_is_refused,
	largest_size_is_taken,
	blocks_beyond_the_protocol_are_refused_or_not_believed,
	server_that_ends_in_the_handshake_is_told,
	error_that_nobody_knows_is_an_io_error)
