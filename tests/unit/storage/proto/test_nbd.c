/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The NBD client against nbdkit and qemu-nbd: data, what goes over the wire,
 * limits of servers, errors. Reconnecting is test_nbd_again.c, TLS
 * test_nbd_tls.c.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/base/sizes.h"

#include "storage/core/sync.h"
#include "storage/proto/nbd.h"

#include "tests/unit/storage/proto/nbdrig.h"
#include "tests/unit/suite.h"

static uint8_t *pattern(size_t len, unsigned seed)
{
	uint8_t *p = malloc(len);

	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 9) + seed);
	return p;
}

/* A server of so many bytes, and a disk on it. */
static void memory(struct nbdrig_server *s, struct nbdrig_disk *d,
	const char *more)
{
	*s = (struct nbdrig_server){ 0 };
	nbdrig_listen(s);
	nbdrig_start(s, "nbdkit -f %s", more);
	nbdrig_disk_init(d, nbdrig_uri(s, ""));
	nbdrig_disk_open(d);
}

static void end(struct nbdrig_server *s, struct nbdrig_disk *d)
{
	nbdrig_disk_close(d);
	nbdrig_end(s);
}

START_TEST (uris_are_known_by_their_scheme) {
	ck_assert(nbd_is_uri("nbd://host"));
	ck_assert(nbd_is_uri("nbds://host:1234/export"));
	ck_assert(nbd_is_uri("nbd+unix:///?socket=/x"));
	ck_assert(nbd_is_uri("NBDS+unix:///?socket=/x"));
	ck_assert(nbd_is_uri("nbd+vsock://2"));
	ck_assert(!nbd_is_uri("nbd"));
	ck_assert(!nbd_is_uri("nbd:host:10809"));
	ck_assert(!nbd_is_uri("/nbd://host"));
	ck_assert(!nbd_is_uri("https://host"));
}
END_TEST

START_TEST (vsock_is_refused_by_name) {
	struct nbdrig_disk d;

	nbdrig_disk_init(&d, "nbd+vsock://2:10809/");
	nbdrig_disk_fails(&d, ENOTSUP, "vsock is not supported");
}
END_TEST

START_TEST (missing_socket_is_told) {
	struct nbdrig_disk d;
	char uri[200];

	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", rig_path("none"));
	nbdrig_disk_init(&d, uri);
	nbdrig_disk_fails(&d, ENOENT, "is the server running");
}
END_TEST

START_TEST (refused_connection_is_told) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;

	nbdrig_listen_tcp(&s);
	close(s.listen_fd);
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	nbdrig_disk_fails(&d, ECONNREFUSED, "is the server running");
}
END_TEST

START_TEST (host_without_address_is_told) {
	struct nbdrig_disk d;

	nbdrig_disk_init(&d, "nbd://name.invalid/");
	ck_assert_int_lt(nbdrig_disk_try(&d), 0);
	ck_assert_ptr_nonnull(strstr(d.e.msg, "nbd://name.invalid/"));
	ck_assert_ptr_nonnull(strstr(d.e.msg, "cannot connect"));
	ck_assert_ptr_nonnull(strstr(d.e.msg, "is the host's name right?"));
	ctx_put(d.o.ctx);
	log_close(d.log);
}
END_TEST

START_TEST (uri_that_is_wrong_is_told) {
	struct nbdrig_disk d;

	nbdrig_disk_init(&d, "nbd+unix:///export");
	nbdrig_disk_fails(&d, EINVAL, "nbd+unix:///EXPORT?socket=PATH");
}
END_TEST

START_TEST (server_that_says_nothing_is_given_up) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;

	nbdrig_listen(&s); /* and nobody accepts */
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	d.params.connect_ms = 30;
	nbdrig_disk_fails(&d, ETIMEDOUT, "does not answer");
	nbdrig_end(&s);
}
END_TEST

START_TEST (export_that_is_not_there_is_told) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	const char *file = rig_file("img", 1 * MiB);

	NBDRIG_NEEDS("qemu-nbd");
	nbdrig_listen(&s);
	nbdrig_start(&s, "qemu-nbd -t -f raw -x right %s", file);
	nbdrig_disk_init(&d, nbdrig_uri(&s, "wrong"));
	nbdrig_disk_fails(&d, ENOENT, "no export named 'wrong'");
	nbdrig_disk_init(&d, nbdrig_uri(&s, "right"));
	nbdrig_disk_open(&d);
	end(&s, &d);
}
END_TEST

START_TEST (read_only_export_is_refused_for_writing) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	uint8_t buf[512];

	NBDRIG_NEEDS("nbdkit");
	nbdrig_listen(&s);
	nbdrig_start(&s, "nbdkit -f -r memory 1M");
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	nbdrig_disk_fails(&d, EROFS, "set readonly = yes");
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	d.o.readonly = true;
	nbdrig_disk_open(&d);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, buf, 512), 0);
	end(&s, &d);
}
END_TEST

START_TEST (info_is_what_the_server_says) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_info info;

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "memory 1048999");
	d.node->ops->info(d.node, &info);
	ck_assert_uint_eq(info.size, 1048576);
	ck_assert_uint_eq(info.block_size, 512);
	ck_assert(info.can_discard && info.can_write_zeroes && !info.readonly);
	ck_assert_str_eq(info.aio, "nbd");
	ck_assert(nbdrig_logged("the last 423 are not used"));
	end(&s, &d);
}
END_TEST

START_TEST (format_sees_all_bytes_and_zeros_behind) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	struct blk_extent x;
	uint8_t buf[1000], *p = pattern(1000, 1);

	NBDRIG_NEEDS("nbdkit");
	nbdrig_listen(&s);
	nbdrig_start(&s, "nbdkit -f memory 1048999");
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	d.o.is_format = true;
	nbdrig_disk_open(&d);
	ck_assert_uint_eq(node_size(d.node), 1048999);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 1048499, p, 500), 0);
	memset(buf, 0xee, sizeof(buf));
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 1048499, buf, 1000), 0);
	memset(p + 500, 0, 500);
	ck_assert_mem_eq(buf, p, 1000);
	/* it cannot grow */
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 1048499, p, 501), -ENOSPC);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 1048999, NULL, 1),
		-ENOSPC);
	ck_assert_int_eq(nbdrig_do(&d, BLK_DISCARD, 0, 1048499, NULL, 10000),
		0);
	memset(buf, 0xee, sizeof(buf));
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 2 * MiB, buf, 1000), 0);
	ck_assert_mem_eq(buf, p + 500, 500);
	ck_assert_int_eq(nbdrig_status(&d, 1048999, 77, &x), 0);
	ck_assert(x.len == 77 && x.zero && !x.data && !x.present);
	free(p);
	end(&s, &d);
}
END_TEST

START_TEST (data_comes_back_in_all_sizes) {
	static const uint64_t sizes[] = { 512, 4096, 65536, 1 * MiB + 512,
		3 * MiB, 70 * MiB };
	struct nbdrig_server s;
	struct nbdrig_disk d;

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "memory 128M");
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t len = sizes[i], off = 1536 * (i + 1);
		uint8_t *p = pattern(len, i), *q = pattern(len, 99);

		ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, off, p, len), 0);
		ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, off, q, len), 0);
		ck_assert_mem_eq(p, q, len);
		free(p);
		free(q);
	}
	end(&s, &d);
}
END_TEST

/* A request of pieces of odd sizes. */
static int do_pieces(struct nbdrig_disk *d, enum blk_op op, uint64_t off,
	uint8_t *p, uint64_t len)
{
	static const uint64_t step[] = { 512, 4096, 70000, 8192, 200000, 17 };
	struct iovec iov[BLK_MAX_IOV];
	struct rig_req q;
	int n = 0;

	rig_init_req(&q, op, off, p, len);
	for (uint64_t at = 0; at < len; n++) {
		uint64_t l = step[n % 6] < len - at ? step[n % 6] : len - at;

		ck_assert_int_lt(n, BLK_MAX_IOV);
		iov[n] = (struct iovec){ p + at, l };
		at += l;
	}
	q.r.iov = iov;
	q.r.niov = n;
	node_submit(d->node, &q.r);
	return rig_wait(&q);
}

START_TEST (pieces_of_an_iovec_arrive_in_place) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint64_t len = 5 * MiB;
	uint8_t *p = pattern(len, 3), *q = pattern(len, 4);

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "memory 8M");
	ck_assert_int_eq(do_pieces(&d, BLK_WRITE, 1 * MiB, p, len), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 1 * MiB, q, len), 0);
	ck_assert_mem_eq(p, q, len);
	memset(q, 0, len);
	ck_assert_int_eq(do_pieces(&d, BLK_READ, 1 * MiB, q, len), 0);
	ck_assert_mem_eq(p, q, len);
	free(p);
	free(q);
	end(&s, &d);
}
END_TEST

START_TEST (commands_of_a_request_keep_to_32_mebibytes) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	char log[200];
	char args[300];
	uint8_t *p = pattern(70 * MiB, 0);

	snprintf(log, sizeof(log), "%s", rig_path("cmds"));
	NBDRIG_NEEDS("nbdkit");
	snprintf(args, sizeof(args), "--filter=log memory 128M logfile=%s",
		log);
	memory(&s, &d, args);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, p, 70 * MiB), 0);
	nbdrig_disk_close(&d);
	ck_assert_uint_eq(nbdrig_count(log, "Write id=", "count=0x2000000 "),
		2);
	ck_assert_uint_eq(nbdrig_count(log, "Write id=", "count=0x600000 "), 1);
	free(p);
	nbdrig_end(&s);
}
END_TEST

START_TEST (zero_trim_flush_and_fua_are_the_servers) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	char log[200];
	char args[300];
	uint8_t buf[4096];

	snprintf(log, sizeof(log), "%s", rig_path("cmds"));
	NBDRIG_NEEDS("nbdkit");
	snprintf(args, sizeof(args), "--filter=log memory 8M logfile=%s", log);
	memory(&s, &d, args);
	memset(buf, 1, sizeof(buf));
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, BLK_FUA, 0, buf, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 0, NULL, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, BLK_UNMAP, 4096, NULL,
				 4096),
		0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_DISCARD, 0, 8192, NULL, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, buf, 4096), 0);
	for (int i = 0; i < 4096; i++)
		ck_assert_uint_eq(buf[i], 0);
	nbdrig_disk_close(&d);
	ck_assert_uint_eq(nbdrig_count(log, " Write id=", "fua=1"), 1);
	ck_assert_uint_eq(nbdrig_count(log, " Zero id=", "trim=0"), 1);
	ck_assert_uint_eq(nbdrig_count(log, " Zero id=", "trim=1"), 1);
	ck_assert_uint_eq(nbdrig_count(log, " Trim id=", "offset=0x2000"), 1);
	ck_assert_uint_eq(nbdrig_count(log, " Flush id=", NULL), 1);
	nbdrig_end(&s);
}
END_TEST

/* A server that is a shell script: it can what more says. */
static void script(struct nbdrig_server *s, struct nbdrig_disk *d,
	const char *more, const char *log)
{
	char path[200], args[400], text[1000];

	snprintf(path, sizeof(path), "%s", rig_file("plugin", 0));
	snprintf(text, sizeof(text),
		"#!/bin/sh\n"
		"case $1 in\n"
		"get_size) echo 65536 ;;\n"
		"pread) head -c $3 /dev/zero ;;\n"
		"can_write) ;;\n"
		"pwrite) cat >/dev/null ;;\n"
		"%s"
		"*) exit 2 ;;\n"
		"esac\n",
		more);
	rig_write_file(path, 0, text, strlen(text));
	ck_assert_int_eq(chmod(path, 0700), 0);
	snprintf(args, sizeof(args), "%s sh %s%s%s", *log ? "--filter=log" : "",
		path, *log ? " logfile=" : "", log);
	memory(s, d, args);
}

START_TEST (flush_stands_in_for_fua_that_the_server_has_not) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	char log[200];
	uint8_t buf[4096] = { 0 };

	snprintf(log, sizeof(log), "%s", rig_path("cmds"));
	NBDRIG_NEEDS("nbdkit");
	script(&s, &d,
		"can_fua) echo none ;;\n"
		"can_flush|flush|can_zero|zero) ;;\n",
		log);
	ck_assert(!d.nbd->caps.fua && d.nbd->caps.flush);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, BLK_FUA, 0, buf, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, buf, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, BLK_FUA, 0, NULL,
				 4096),
		0);
	nbdrig_disk_close(&d);
	ck_assert_uint_eq(nbdrig_count(log, " Write id=", NULL), 2);
	ck_assert_uint_eq(nbdrig_count(log, " Zero id=", NULL), 1);
	ck_assert_uint_eq(nbdrig_count(log, " Flush id=", NULL), 2);
	nbdrig_end(&s);
}
END_TEST

static unsigned count_with_cache(enum blk_cache cache, bool no_discard,
	const char *what, const char *how)
{
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	char log[200];
	uint8_t buf[512] = { 0 };
	unsigned n;

	snprintf(log, sizeof(log), "%s", rig_path("cmds"));
	remove(log);
	nbdrig_listen(&s);
	nbdrig_start(&s, "nbdkit -f --filter=log memory 1M logfile=%s", log);
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	d.o.cache = cache;
	d.o.no_discard = no_discard;
	nbdrig_disk_open(&d);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, buf, 512), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_DISCARD, 0, 0, NULL, 512), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, BLK_UNMAP, 0, NULL,
				 512),
		0);
	nbdrig_disk_close(&d);
	n = nbdrig_count(log, what, how);
	nbdrig_end(&s);
	return n;
}

START_TEST (cache_modes_and_no_discard_are_kept) {
	NBDRIG_NEEDS("nbdkit");
	ck_assert_uint_eq(count_with_cache(BLK_WRITETHROUGH, false,
				  " Write id=", "fua=1"),
		1);
	ck_assert_uint_eq(count_with_cache(BLK_NONE, false,
				  " Write id=", "fua=1"),
		0);
	ck_assert_uint_eq(count_with_cache(BLK_UNSAFE, false,
				  " Flush id=", NULL),
		0);
	ck_assert_uint_eq(count_with_cache(BLK_WRITEBACK, false,
				  " Trim id=", NULL),
		1);
	ck_assert_uint_eq(count_with_cache(BLK_WRITEBACK, true,
				  " Trim id=", NULL),
		0);
	ck_assert_uint_eq(count_with_cache(BLK_WRITEBACK, true,
				  " Zero id=", "trim=0"),
		1);
}
END_TEST

START_TEST (zeros_are_written_where_the_server_cannot_zero) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint64_t len = 3 * MiB + 512;
	uint8_t *p = pattern(4 * MiB, 5), *q = pattern(4 * MiB, 6);

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "--filter=nozero memory 4M");
	ck_assert(!d.nbd->caps.zero);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, p, 4 * MiB), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 512, NULL, len), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, q, 4 * MiB), 0);
	memset(p + 512, 0, len);
	ck_assert_mem_eq(p, q, 4 * MiB);
	free(p);
	free(q);
	end(&s, &d);
}
END_TEST

START_TEST (trim_and_flush_that_are_not_there_are_no_error) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_info info;

	NBDRIG_NEEDS("nbdkit");
	script(&s, &d, "", "");
	d.node->ops->info(d.node, &info);
	ck_assert(!info.can_discard);
	ck_assert_int_eq(nbdrig_do(&d, BLK_DISCARD, 0, 0, NULL, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert(nbdrig_logged("has no flush"));
	end(&s, &d);
}
END_TEST

START_TEST (zeroing_that_is_refused_late_becomes_writing) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	char log[200];

	snprintf(log, sizeof(log), "%s", rig_path("cmds"));
	NBDRIG_NEEDS("nbdkit");
	script(&s, &d, "", log);
	ck_assert(d.nbd->caps.zero);
	d.nbd->no_zero = true; /* as learnt from ENOTSUP */
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 0, NULL, 4096), 0);
	nbdrig_disk_close(&d);
	ck_assert_uint_eq(nbdrig_count(log, " Write id=", NULL), 1);
	ck_assert_uint_eq(nbdrig_count(log, " Zero id=", NULL), 0);
	nbdrig_end(&s);
}
END_TEST

START_TEST (status_tells_holes_from_data) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_extent x;
	uint8_t *p = pattern(64 * KiB, 1);

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "memory 1M");
	ck_assert(d.nbd->caps.alloc);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 256 * KiB, p, 64 * KiB),
		0);
	ck_assert_int_eq(nbdrig_status(&d, 0, 1 * MiB, &x), 0);
	ck_assert_uint_eq(x.len, 256 * KiB);
	ck_assert(x.zero && !x.data && x.present);
	ck_assert_int_eq(nbdrig_status(&d, 256 * KiB, 768 * KiB, &x), 0);
	ck_assert_uint_eq(x.len, 64 * KiB);
	ck_assert(!x.zero && x.data && x.has_host);
	ck_assert_uint_eq(x.host, 256 * KiB);
	ck_assert_str_eq(x.file, d.o.path);
	ck_assert_int_eq(nbdrig_status(&d, 256 * KiB, 4096, &x), 0);
	ck_assert_uint_eq(x.len, 4096);
	free(p);
	end(&s, &d);
}
END_TEST

START_TEST (status_without_extents_is_data) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_extent x;

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "--filter=noextents memory 1M");
	ck_assert_int_eq(nbdrig_status(&d, 4096, 512 * KiB, &x), 0);
	ck_assert_uint_eq(x.len, 512 * KiB);
	ck_assert(x.data && !x.zero && x.present);
	end(&s, &d);
}
END_TEST

START_TEST (old_server_without_structured_replies_is_fine) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t *p = pattern(64 * KiB, 1), *q = pattern(64 * KiB, 2);
	struct blk_extent x;

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "--no-sr memory 1M");
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 4096, p, 64 * KiB), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 4096, q, 64 * KiB), 0);
	ck_assert_mem_eq(p, q, 64 * KiB);
	ck_assert_int_eq(nbdrig_status(&d, 0, 1 * MiB, &x), 0);
	ck_assert(x.len == 1 * MiB && x.data);
	free(p);
	free(q);
	end(&s, &d);
}
END_TEST

START_TEST (oldest_protocol_is_fine) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t *p = pattern(4096, 1), *q = pattern(4096, 2);

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "-o memory 1M");
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 4096, p, 4096), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 4096, q, 4096), 0);
	ck_assert_mem_eq(p, q, 4096);
	free(p);
	free(q);
	end(&s, &d);
}
END_TEST

/* Servers with blocks of their own. */

#define POLICY                                                                 \
	"--filter=blocksize-policy memory 1M blocksize-error-policy=error "    \
	"blocksize-minimum=4K blocksize-preferred=4K blocksize-maximum=64K"

START_TEST (blocks_of_the_server_are_kept_to) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct blk_info info;
	uint8_t *p = pattern(512 * KiB, 1), *q = pattern(512 * KiB, 2);

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, POLICY);
	d.node->ops->info(d.node, &info);
	ck_assert_uint_eq(info.block_size, 4096);
	ck_assert_int_eq(do_pieces(&d, BLK_WRITE, 4096, p, 512 * KiB), 0);
	ck_assert_int_eq(do_pieces(&d, BLK_READ, 4096, q, 512 * KiB), 0);
	ck_assert_mem_eq(p, q, 512 * KiB);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 8192, NULL,
				 128 * KiB),
		0);
	memset(p + 4096, 0, 128 * KiB);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 4096, q, 512 * KiB), 0);
	ck_assert_mem_eq(p, q, 512 * KiB);
	free(p);
	free(q);
	end(&s, &d);
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
	o->buf[i] = pattern(len, seed);
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
	ck_assert_int_eq(nbdrig_do(&o.d, BLK_READ, 0, 0, o.got, ODD_SIZE), 0);
	ck_assert_mem_eq(o.got, o.want, ODD_SIZE);
	free(o.got);
	free(o.want);
	end(&o.s, &o.d);
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
	ck_assert_int_eq(nbdrig_do(&o.d, BLK_READ, 0, 0, o.got, ODD_SIZE), 0);
	ck_assert_mem_eq(o.got, o.want, ODD_SIZE);
	free(o.got);
	free(o.want);
	end(&o.s, &o.d);
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
	free(o.got);
	free(o.want);
	end(&o.s, &o.d);
}
END_TEST

/* Errors. */

static void check_error(const char *name, int want)
{
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t buf[4096] = { 0 };
	char args[200];

	snprintf(args, sizeof(args),
		"--filter=error memory 1M error=%s error-rate=100%%", name);
	memory(&s, &d, args);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, buf, 4096), want);
	ck_assert(nbdrig_logged("write of 4096 bytes at 0"));
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, buf, 4096), want);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, 0, 0, NULL, 4096),
		want);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	end(&s, &d);
}

START_TEST (errors_of_the_server_are_told_as_what_they_are) {
	NBDRIG_NEEDS("nbdkit");
	check_error("EIO", -EIO);
	check_error("ENOSPC", -ENOSPC);
	check_error("EPERM", -EROFS);
	check_error("ENOMEM", -EIO);
	check_error("EINVAL", -EIO);
}
END_TEST

START_TEST (work_goes_on_when_there_is_room_again) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	char file[200];
	uint8_t *p = pattern(70 * MiB, 1), *q = pattern(70 * MiB, 2);
	char args[400];

	NBDRIG_NEEDS("nbdkit");
	snprintf(file, sizeof(file), "%s", rig_file("inject", 0));
	snprintf(args, sizeof(args),
		"--filter=error memory 128M error=ENOSPC error-rate=100%% "
		"error-file=%s",
		file);
	memory(&s, &d, args);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, BLK_FUA, 0, p, 70 * MiB),
		-ENOSPC);
	remove(file);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, BLK_FUA, 0, p, 70 * MiB), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, q, 70 * MiB), 0);
	ck_assert_mem_eq(p, q, 70 * MiB);
	free(p);
	free(q);
	end(&s, &d);
}
END_TEST

START_TEST (filters_that_delay_read_ahead_and_retry_change_nothing) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct rig_req r[16];
	uint8_t *p = pattern(1 * MiB, 1), *q = pattern(1 * MiB, 2);

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d,
		"--filter=readahead --filter=delay --filter=retry memory 1M "
		"rdelay=3ms wdelay=2ms retry-delay=1");
	for (unsigned i = 0; i < 16; i++)
		nbdrig_submit(&d, &r[i], BLK_WRITE, 0, i * 64 * KiB,
			p + i * 64 * KiB, 64 * KiB);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(rig_wait(&r[i]), 0);
	for (unsigned i = 0; i < 16; i++)
		nbdrig_submit(&d, &r[i], BLK_READ, 0, i * 64 * KiB,
			q + i * 64 * KiB, 64 * KiB);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(rig_wait(&r[i]), 0);
	ck_assert_mem_eq(p, q, 1 * MiB);
	free(p);
	free(q);
	end(&s, &d);
}
END_TEST

/* Several connections. */

static unsigned connected(const struct nbdrig_disk *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NBD_CONNS; i++)
		n += d->nbd->conn[i].h != NULL;
	return n;
}

START_TEST (requests_spread_over_the_connections) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	struct rig_req r[8];
	uint8_t *p = pattern(64 * KiB, 1);

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "--filter=delay memory 1M rdelay=20ms");
	NBDRIG_UNTIL(connected(&d) == NBD_CONNS);
	for (unsigned i = 0; i < 8; i++)
		nbdrig_submit(&d, &r[i], BLK_READ, 0, i * 8192, p + i * 8192,
			8192);
	for (unsigned i = 0; i < NBD_CONNS; i++)
		ck_assert_uint_eq(d.nbd->conn[i].in_flight, 2);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(rig_wait(&r[i]), 0);
	free(p);
	end(&s, &d);
}
END_TEST

START_TEST (one_connection_where_the_server_keeps_no_more_in_step) {
	struct nbdrig_server s;
	struct nbdrig_disk d;
	uint8_t buf[512];

	NBDRIG_NEEDS("nbdkit");
	memory(&s, &d, "--filter=multi-conn memory 1M multi-conn-mode=disable");
	ck_assert(!d.nbd->caps.multi);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, buf, 512), 0);
	ck_assert_uint_eq(d.nbd->conns, 1);
	for (unsigned i = 1; i < NBD_CONNS; i++)
		ck_assert(!d.nbd->conn[i].dial.running);
	end(&s, &d);
}
END_TEST

START_TEST (close_while_others_are_being_connected_is_fine) {
	struct nbdrig_server s;
	struct nbdrig_disk d;

	NBDRIG_NEEDS("nbdkit");
	for (int i = 0; i < 10; i++) {
		memory(&s, &d, "memory 1M");
		end(&s, &d);
	}
}
END_TEST

START_TEST (tcp_works_as_unix_sockets_do) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	uint8_t *p = pattern(3 * MiB, 1), *q = pattern(3 * MiB, 2);

	NBDRIG_NEEDS("nbdkit");
	nbdrig_listen_tcp(&s);
	nbdrig_start(&s, "nbdkit -f memory 4M");
	nbdrig_disk_init(&d, nbdrig_uri(&s, "any"));
	nbdrig_disk_open(&d);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE, 0, 0, p, 3 * MiB), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 0, q, 3 * MiB), 0);
	ck_assert_mem_eq(p, q, 3 * MiB);
	free(p);
	free(q);
	end(&s, &d);
}
END_TEST

START_TEST (qemu_nbd_reads_what_we_wrote) {
	struct nbdrig_server s = { 0 };
	struct nbdrig_disk d;
	struct blk_extent x;
	char file[200];
	uint8_t *p = pattern(3 * MiB, 1), *q = pattern(3 * MiB, 2);

	NBDRIG_NEEDS("qemu-nbd");
	snprintf(file, sizeof(file), "%s", rig_path("img.qcow2"));
	nbdrig_run("qemu-img create -q -f qcow2 %s 64M", file);
	nbdrig_listen(&s);
	nbdrig_start(&s, "qemu-nbd -t -f qcow2 --discard=unmap --shared=4 %s",
		file);
	nbdrig_disk_init(&d, nbdrig_uri(&s, ""));
	nbdrig_disk_open(&d);
	ck_assert_int_eq(do_pieces(&d, BLK_WRITE, 1 * MiB, p, 3 * MiB), 0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_WRITE_ZEROES, BLK_UNMAP, 2 * MiB,
				 NULL, 1 * MiB),
		0);
	ck_assert_int_eq(nbdrig_do(&d, BLK_FLUSH, 0, 0, NULL, 0), 0);
	memset(p + 1 * MiB, 0, 1 * MiB);
	ck_assert_int_eq(nbdrig_do(&d, BLK_READ, 0, 1 * MiB, q, 3 * MiB), 0);
	ck_assert_mem_eq(p, q, 3 * MiB);
	ck_assert_int_eq(nbdrig_status(&d, 1 * MiB, 32 * MiB, &x), 0);
	ck_assert(x.data && !x.zero && x.len == 1 * MiB);
	ck_assert_int_eq(nbdrig_status(&d, 2 * MiB, 32 * MiB, &x), 0);
	ck_assert(!x.data && x.zero && x.len == 1 * MiB);
	end(&s, &d);
	free(p);
	free(q);
}
END_TEST

RIG_SUITE("nbd", uris_are_known_by_their_scheme, vsock_is_refused_by_name,
	missing_socket_is_told, refused_connection_is_told,
	host_without_address_is_told, uri_that_is_wrong_is_told,
	server_that_says_nothing_is_given_up, export_that_is_not_there_is_told,
	read_only_export_is_refused_for_writing, info_is_what_the_server_says,
	format_sees_all_bytes_and_zeros_behind, data_comes_back_in_all_sizes,
	pieces_of_an_iovec_arrive_in_place,
	commands_of_a_request_keep_to_32_mebibytes,
	zero_trim_flush_and_fua_are_the_servers,
	flush_stands_in_for_fua_that_the_server_has_not,
	cache_modes_and_no_discard_are_kept,
	zeros_are_written_where_the_server_cannot_zero,
	trim_and_flush_that_are_not_there_are_no_error,
	zeroing_that_is_refused_late_becomes_writing,
	status_tells_holes_from_data, status_without_extents_is_data,
	old_server_without_structured_replies_is_fine, oldest_protocol_is_fine,
	blocks_of_the_server_are_kept_to,
	odd_writes_at_once_change_their_bytes_only,
	odd_discard_leaves_the_edges, odd_status_is_answered,
	errors_of_the_server_are_told_as_what_they_are,
	work_goes_on_when_there_is_room_again,
	filters_that_delay_read_ahead_and_retry_change_nothing,
	requests_spread_over_the_connections,
	one_connection_where_the_server_keeps_no_more_in_step,
	close_while_others_are_being_connected_is_fine,
	tcp_works_as_unix_sockets_do, qemu_nbd_reads_what_we_wrote)
